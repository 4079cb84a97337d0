"""Patterns and formats that stand in the code, as far as engines read them alike."""

import re
import sys
from functools import lru_cache
from itertools import pairwise
from typing import Any

import ibis.expr.operations as ops

_ESCAPE = (
    r"\\(?:[adfnrtwzADW]|[pP]\{[A-Z][a-z]?\}|x[0-9A-Fa-f]{2}|x\{[0-9A-Fa-f]+\}"
    r"|[\t-\r!-/:-@\[-`{-~ ])"
)
_CLASS = rf"\[\^?(?:{_ESCAPE}|[^][\\&]|&(?!&))+\]"
_ATOM = rf"{_ESCAPE}|{_CLASS}|\((?!\?)|\(\?:|[)|^]|[^][\\(){{}}.*+?$|^]"
_QUANTIFIER = r"(?:(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)?"
_COMMON_REGEX = re.compile(
    rf"(\(\?s\)(?:(?:{_ATOM}|\.){_QUANTIFIER})*|(?:(?:{_ATOM}){_QUANTIFIER})*)"
)
_STEP = re.compile(rf"({_ATOM}|\.)({_QUANTIFIER})")
_BEGINS, _ENDS = ("^", r"\A"), (r"\z",)
_BEFORE, _BEHIND = (None, "(", "(?:", "|"), (None, ")", "|")
_OPENS, _CLOSES = ("(", "(?:"), ")"
_NO_LETTERS = {*_OPENS, _CLOSES, "|", *_BEGINS, *_ENDS}
_OF_ALL_LETTERS = re.compile(r"^\.|^\[\^|\\[wWDpPx]|[^\0-\x7f]")
_NUMBERS = re.compile("[0-9]+")
_SPECIAL = re.compile(r"\\[pP]\{(\w+)\}|\\x\{(\w+)\}")
_CATEGORIES = {
    *("C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N"),
    *("Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So"),
    *("Z", "Zl", "Zp", "Zs"),
}
_MOST_TIMES = 1000
"""That RE2 repeats something, in all that it stands in."""
COMMON_STRFTIME = re.compile(r"(?:%[YmdHMSfaAbByIpZ]|%-d|[^%A-Za-z'\[\]{}#])+")
READ_DIFFERENTLY = ("$", ".", r"\s", r"\b", "(?i")
_UNKNOWN_TEXT = r"\$(?%"


def misread(node: Any) -> str:
    """Return the family of the first part of a pattern that engines read differently, or ""."""
    pattern = text_of(node.pattern)
    common = _COMMON_REGEX.match(pattern)
    rest = pattern[common.end() if common else 0 :].lower()
    families = [each for each in READ_DIFFERENTLY if rest.startswith(each)]
    return "".join(families or ["other"]) if rest or not _is_sound(pattern) else ""


def begins(pattern: Any) -> bool:
    """Tell whether a part of a pattern is the begin of a text."""
    return any(atom in _BEGINS for atom, _ in _STEP.findall(text_of(pattern)))


@lru_cache(maxsize=1024)
def _is_sound(pattern: str) -> bool:
    """Tell whether every engine takes a pattern of parts that all read alike, and reads begin and
    end where they can be: DuckDB finds `a^b` in `ab`.
    """
    steps = _STEP.findall(pattern.removeprefix("(?s)"))
    atoms = [None, *(atom for atom, _ in steps), None]
    for (atom, quantifier), before, behind in zip(steps, atoms, atoms[2:], strict=False):
        is_misplaced = (atom in _BEGINS and before not in _BEFORE) or (
            atom in _ENDS and behind not in _BEHIND
        )
        if is_misplaced or (quantifier and atom in (*_BEGINS, *_ENDS)):
            return False
    return (
        _compiled(pattern) is not None
        and all(map(_is_known, _SPECIAL.findall(pattern)))
        and _most_times(steps) <= _MOST_TIMES
        and not _repeats_nothing(steps)
    )


def _is_known(named: tuple[str, str]) -> bool:
    category, number = named
    return category in _CATEGORIES if category else int(number, 16) <= sys.maxunicode


def _most_times(steps: list[tuple[str, str]]) -> int:
    """Return how often a pattern repeats at most what is in its groups, too often for a number
    that begins with 0, which RE2 does not take for one.
    """
    most = [1]
    for atom, quantifier in steps:
        numbers = _NUMBERS.findall(quantifier)
        if any(each != str(int(each)) for each in numbers):
            return _MOST_TIMES + 1
        times = max([1, *map(int, numbers)])
        if atom in _OPENS:
            most.append(1)
        else:
            inside = most.pop() if atom == _CLOSES else 1
            most[-1] = max(most[-1], inside * times)
    return most[0]


def letters_of(pattern: str) -> frozenset[str] | None:
    """Return the letters of texts that a pattern fits from begin to end; None if they may be any,
    or a text has more than what fits.
    """
    if not re.fullmatch(r"(\^|\\A).*\\z", pattern, re.DOTALL):
        return None
    letters: set[str] = set()
    depth = 0
    for atom, _ in _STEP.findall(pattern):
        depth += (atom in _OPENS) - (atom == _CLOSES)
        if _OF_ALL_LETTERS.search(atom) or (atom == "|" and not depth):
            return None
        if atom not in _NO_LETTERS:
            letters |= {each for each in map(chr, range(128)) if re.fullmatch(atom, each)}
    return frozenset(letters)


def signs_meet(pattern: str) -> bool:
    """Tell whether two signs may follow each other in a text: each stands once, at the begin or
    behind the letter of an exponent, or there may be.
    """
    steps = [("", ""), *_STEP.findall(pattern)]
    return any(
        not (before in (*_BEGINS, "e", "E", "[eE]") and times in ("", "?"))
        for (before, _), (atom, times) in pairwise(steps)
        if atom not in _NO_LETTERS and any(re.fullmatch(atom, sign) for sign in "+-")
    )


def _repeats_nothing(steps: list[tuple[str, str]]) -> bool:
    """Tell whether a group is repeated that may fit nothing: engines end it at different places."""
    branches = [[True]]
    """Of each group that is open, whether its branches so far may fit nothing."""
    for atom, quantifier in steps:
        may_be_none = quantifier[:1] in ("*", "?") or quantifier.startswith("{0")
        if atom in _OPENS:
            branches.append([True])
            continue
        if atom == "|":
            branches[-1].append(True)
            continue
        fits_nothing = atom in (*_BEGINS, *_ENDS)
        if atom == _CLOSES and len(branches) > 1:
            fits_nothing = any(branches.pop())
            if fits_nothing and quantifier[:1] in ("*", "+", "{"):
                return True
        branches[-1][-1] &= fits_nothing or may_be_none
    return False


def as_python(pattern: Any) -> re.Pattern[str]:
    """Return a pattern as Python spells it; one that fits nothing where it cannot."""
    return _compiled(text_of(pattern)) or re.compile("_")


def _compiled(pattern: str) -> re.Pattern[str] | None:
    spelled = re.sub(r"\\[pP]\{\w+\}|\\x\{\w+\}", "_", pattern).replace(r"\z", r"\Z")
    try:
        return re.compile(spelled)
    except re.error:
        return None


def value_of(node: Any, unknown: Any = None) -> Any:
    """Return the value of a literal; `unknown` of null and of what is no literal."""
    is_known = isinstance(node, ops.Literal) and node.value is not None
    return node.value if is_known else unknown


def text_of(node: Any) -> str:
    """Return the text of a literal; of what is none a text that no condition lets pass."""
    return str(value_of(node, _UNKNOWN_TEXT))
