"""Numbers, texts, days and spans of time that a text of SQL spells."""

import calendar
import operator
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import TypeVar

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from sqlglot import exp

from streampro.modeling.sql.functions import UNITS
from streampro.modeling.sql.names import RefusedError

_When = TypeVar("_When")
_EXACT: Mapping[type[exp.Expr], Callable[[Decimal, Decimal], Decimal]] = {
    exp.Add: operator.add,
    exp.Sub: operator.sub,
    exp.Mul: operator.mul,
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:\d\d)?)?)?", re.ASCII
)
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS = {"DAY": 1, "WEEK": 7}
_WILD = {"%": ".*", "_": "."}
_SPECIAL = r"\.^$*+?()[]{}|"
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_TYPES = {
    **dict.fromkeys(_BITS, dt.int64),
    "DOUBLE": dt.float64,
    **dict.fromkeys(("CHAR", "VARCHAR", "TEXT"), dt.string),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMPNTZ", "TIMESTAMPTZ"), dt.Timestamp("UTC", 6)),
    "BOOLEAN": dt.boolean,
    "DATE": dt.date,
}


def number_of(node: exp.Expr) -> Decimal | None:
    """Return the number that an expression of numbers is, exactly; None for another expression."""
    if isinstance(node, exp.Paren):
        return number_of(node.this)
    if isinstance(node, exp.Neg):
        found = number_of(node.this)
        return None if found is None else -found
    if isinstance(node, exp.Literal) and not node.is_string:
        return Decimal(node.this)
    if combine := _EXACT.get(type(node)):
        one, other = number_of(node.this), number_of(node.expression)
        with localcontext(prec=100):
            return None if one is None or other is None else combine(one, other)
    return None


def number(found: Decimal) -> ir.NumericValue:
    """Return a number: an integer, with a point a float, which beside decimals is a decimal."""
    if found.as_tuple().exponent == 0:
        return ibis.literal(int(found))
    if abs(found) > sys.float_info.max:
        raise OverflowError(f"{found} is beyond all floats")
    if Decimal(repr(float(found))) == found:
        return ibis.literal(float(found), dt.float64)
    return ibis.literal(found)


def text_of(node: exp.Expr) -> str | None:
    """Return the text that an expression spells, None for another expression."""
    return node.this if isinstance(node, exp.Literal) and node.is_string else None


def when_of(node: exp.Expr, kind: dt.DataType) -> ir.Value | None:
    """Return the day or instant that a text beside one spells, None for another expression."""
    text = text_of(node)
    if text is None or not (kind.is_date() or kind.is_timestamp()):
        return None
    if kind.is_date():
        return ibis.literal(_day(node, text), dt.date)
    found = _read(node, text, "instant", _INSTANT, datetime.fromisoformat)
    instant = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return ibis.literal(instant, dt.Timestamp("UTC", 6))


def _day(node: exp.Expr, text: str) -> date:
    return _read(node, text, "day", _DAY, date.fromisoformat)


def _read(
    node: exp.Expr, text: str, what: str, pattern: re.Pattern[str], read: Callable[[str], _When]
) -> _When:
    with suppress(ValueError):  # of a month 13
        if pattern.fullmatch(text):
            return read(text)
    raise RefusedError(node, f"{text!r} is no {what}")


def day_of(node: exp.Expr) -> date | None:
    """Return the day that an expression spells, with spans added to it; None for another one."""
    if isinstance(node, exp.Paren):
        return day_of(node.this)
    if isinstance(node, exp.Cast) and node.to.is_type("date") and (text := text_of(node.this)):
        return _day(node.this, text)
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        if (day := day_of(node.this)) is None:
            return None
        length, unit = span_of(node.expression)
        length = -length if isinstance(node, exp.Sub) else length
        if unit in _MONTHS:
            return _months_later(day, length * _MONTHS[unit])
        if unit in _DAYS:
            return date.fromordinal(day.toordinal() + length * _DAYS[unit])
    return None


def _months_later(day: date, months: int) -> date:
    """Return the day of the same number, or the last of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def span_of(node: exp.Interval) -> tuple[int, str]:
    """Return how many of which unit an INTERVAL is."""
    unit = unit_of(node.args.get("unit"))
    text = "" if node.this is None else str(node.this.name)
    if unit is None or not text.lstrip("+-").isdigit():
        raise RefusedError(node, "an INTERVAL is a whole number and a unit, such as INTERVAL 3 DAY")
    return int(text), unit


def unit_of(node: exp.Expr | None) -> str | None:
    """Return a unit of time as `functions.UNITS` names it, None for another one."""
    name = "" if node is None else node.name.upper()
    return next((unit for unit in (name, name.removesuffix("S")) if unit in UNITS), None)


def type_of(node: exp.DataType) -> dt.DataType:
    """Return the type that a CAST names."""
    if node.is_type("decimal"):
        sizes = [int(each.name) for each in node.expressions] or [18, 3]
        return dt.Decimal(sizes[0], sizes[1] if len(sizes) > 1 else 0)
    found = _TYPES.get(str(node.this.value))
    if found is None:
        raise RefusedError(node, f"{node.sql('duckdb')} is no type of tables here")
    return found


def plain_of(node: exp.Expr) -> str | int | None:
    """Return the text or whole number that an expression spells, None for another expression."""
    found = number_of(node)
    return int(found) if found is not None and found == int(found) else text_of(node)


def is_spelt(node: exp.Expr) -> bool:
    """Tell whether an expression is a number or a text that a query spells."""
    return number_of(node) is not None or text_of(node) is not None


def like_pattern(text: str | None, escape: str | None) -> str | None:
    """Return the regular expression of a pattern of LIKE, None for what is no such pattern.

    Args:
        text: the pattern.
        escape: the sign behind which each sign stands for itself.
    """
    if text is None or escape is None or len(escape) != 1:
        return None
    signs, pattern = iter(text), ""
    for sign in signs:
        is_wild = sign != escape
        if not is_wild and (sign := next(signs, "")) == "":
            return None
        plain = re.escape(sign) if sign in _SPECIAL else sign
        pattern += _WILD.get(sign, plain) if is_wild else plain
    return rf"(?s)^{pattern}\z"


def bounds_of(node: exp.DataType) -> tuple[int, int] | None:
    """Return the least and the greatest number of an integer type that a CAST names."""
    bits = _BITS.get(str(node.this.value), 0)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if bits else None
