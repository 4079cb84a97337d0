"""What text becomes, letter for letter."""

import functools
import operator
import re
from itertools import chain

import ibis
import ibis.expr.types as ir

from streampro.errors import PipelineError

_SPACE = r"[ \t\r\n]"

_ALPHABETS = (range(0x41, 0x5B), range(0xC0, 0x180), range(0x370, 0x400), range(0x400, 0x530))
_CAPITALS = "".join(
    capital
    for capital in map(chr, chain(*_ALPHABETS))
    if len(capital.lower()) == 1 and capital.lower().upper() == capital != capital.lower()
)
_SMALL = _CAPITALS.lower()


def strip(text: ir.StringValue) -> ir.StringValue:
    """Return `text` without leading and trailing space, tab, CR and LF; null if nothing is left.

    Exactly these four characters; other Unicode space is kept. Only rows that may need it pay
    for the pattern, so the common case costs two comparisons.
    """
    suspect = functools.reduce(operator.or_, [text.endswith(end) for end in " \t\r\n"], text < "!")
    trimmed = text.re_replace(rf"^{_SPACE}+|{_SPACE}+\z", "").nullif("")
    return ibis.cases((suspect, trimmed), else_=text)


def lower(text: ir.StringValue) -> ir.StringValue:
    """Return `text` in small letters: those of the Latin, Greek and Cyrillic alphabets that are
    one letter in both cases. Others, such as `\u0130` and `\u1e9e`, are kept.
    """
    return text.translate(_CAPITALS, _SMALL)


def upper(text: ir.StringValue) -> ir.StringValue:
    """Return `text` in capital letters: those of the Latin, Greek and Cyrillic alphabets that are
    one letter in both cases. Others, such as `\u00df`, are kept, and so is a last small sigma.
    """
    return text.translate(_SMALL, _CAPITALS)


def split_part(text: ir.StringValue, delimiter: str, index: int) -> ir.StringValue:
    """Return the part of `text` at `index`, from 0, between delimiters; null where there is none.

    The delimiter is taken as it is, not as a pattern. Raises `PipelineError` for an empty one and
    for a negative index.
    """
    if not delimiter or index < 0:
        raise PipelineError(
            f"portable.split_part: there is no part {index} between {delimiter!r}; it "
            "needs a delimiter and an index from 0 up."
        )
    parts = text.re_split(re.escape(delimiter))
    return ibis.cases((parts.length() > index, parts[index]))


def to_boolean(text: ir.StringValue) -> ir.BooleanValue:
    """Return whether `text` is `true` or `false`, in letters of any case; null for other text."""
    is_true = text.re_search(r"^[tT][rR][uU][eE]\z")
    return ibis.cases((is_true, True), (text.re_search(r"^[fF][aA][lL][sS][eE]\z"), False))
