"""Unicode's categories in patterns, written as ranges: each engine knows another Unicode."""

import re
import sys
import unicodedata
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

_SURROGATES = range(0xD800, 0xE000)
"""No text has them."""
_CATEGORY = re.compile(r"\\([pP])\{(\w+)\}|\\.", re.DOTALL)
_PART = re.compile(rf"\[\^?(?:\\.|[^]\\])+\]|{_CATEGORY.pattern}", re.DOTALL)


def with_ranges(pattern: str) -> str:
    r"""Return a pattern in which `\p{L}` and `\P{L}` are the letters that have a category, or have
    it not, by the Unicode of this Python (`unicodedata.unidata_version`). A category of one letter
    has all that begin with it; `\p{C}` has what is not assigned too.
    """
    return _PART.sub(lambda part: _written(part[0]), pattern)


def _written(part: str) -> str:
    if part.startswith("["):
        return _CATEGORY.sub(lambda each: _ranges_of(each) or each[0], part)
    ranges = _ranges_of(_CATEGORY.fullmatch(part))
    return f"[{ranges}]" if ranges else part


def _ranges_of(category: re.Match[str] | None) -> str:
    if category is None or category[1] is None:
        return ""
    return _spelled(category[2], is_without=category[1] == "P")


@lru_cache(maxsize=256)
def _spelled(category: str, is_without: bool) -> str:
    runs = ((name.startswith(category) != is_without, run) for name, run in _runs())
    ranges = ([*found] for is_there, found in groupby(runs, key=itemgetter(0)) if is_there)
    return "".join(rf"\x{{{found[0][1][0]:x}}}-\x{{{found[-1][1][-1]:x}}}" for found in ranges)


@lru_cache(maxsize=1)
def _runs() -> tuple[tuple[str, range], ...]:
    """Return the category and the numbers of letters that follow each other."""
    numbers = (each for each in range(sys.maxunicode + 1) if each not in _SURROGATES)
    runs = groupby(numbers, key=lambda each: unicodedata.category(chr(each)))
    found = ((category, [*run]) for category, run in runs)
    return tuple((category, range(run[0], run[-1] + 1)) for category, run in found)
