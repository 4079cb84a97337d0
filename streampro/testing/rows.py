"""Python's rows as a table of exactly these values, or a refusal that names the first other one."""

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from numbers import Integral
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa

from streampro.environment import kept_environment
from streampro.errors import did_you_mean
from streampro.expressions.nulls import may_be_null
from streampro.names import is_utf8

Row = Mapping[str, Any]
_PASSES_OVER_ZONES = "PYARROW_IGNORE_TIMEZONE"
"""With this variable, which pandera and others set, 14:00+02:00 is 14:00 UTC to PyArrow."""


def arrow_table(rows: Iterable[Row], schema: ibis.Schema) -> pa.Table:
    """Return rows as an Arrow table with the columns of a schema; what a row leaves out is null.

    Raises `ValueError` for a column that the schema does not have, for a value that its type would
    change, and for a null that is given where there may be none: the row, the column, the value
    and what was expected. Raises `TypeError` for what is no list of rows.
    """
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise TypeError(f"rows must be a list of dicts, a row each, not {rows!r}.")
    given = [*rows]
    for number, row in enumerate(given, 1):
        if fault := next(_faults(row, schema), None):
            raise ValueError(f"row {number}, {fault}.")
    with kept_environment():
        os.environ.pop(_PASSES_OVER_ZONES, None)
        return pa.Table.from_pylist([*map(dict, given)], schema=may_be_null(schema).to_pyarrow())


def _faults(row: Row, schema: ibis.Schema) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield f"{row!r}: expected a dict of columns"
        return
    for name in row.keys() - {*schema.names}:
        hint = did_you_mean(str(name), schema.names)
        yield f"{name!r}: the contract has no column {name}. {hint}".strip(". ")
    for name, kind in schema.items():
        for at, value, part, wanted in _misfits(row[name], kind) if name in row else ():
            is_of = f"{value!r} ({type(value).__name__})"
            type_name = str(part) if part.nullable else f"{part(nullable=True)}, never null"
            yield f"column {name!r}{at}: {is_of}, expected {type_name}: {wanted}"


def _misfits(
    value: Any, kind: dt.DataType, at: str = ""
) -> Iterator[tuple[str, Any, dt.DataType, str]]:
    """Yield where in a value, what is there, and of what type it should be, also in words."""
    if value is None and kind.nullable:
        return
    fits, wanted = _fitting(kind)
    if value is None or not fits(value):
        yield at, value, kind, wanted
    elif isinstance(kind, dt.Array):
        for number, each in enumerate(value, 1):
            yield from _misfits(each, kind.value_type, f"{at}[{number}]")
    elif isinstance(kind, dt.Struct):
        for name, each in value.items():
            yield from _misfits(each, kind[name], f"{at}.{name}")
    elif isinstance(kind, dt.Map):
        for key, each in value.items():
            yield from _misfits(key, kind.key_type, f"{at}[{key!r}] as a key")
            yield from _misfits(each, kind.value_type, f"{at}[{key!r}]")


def _fitting(kind: dt.DataType) -> tuple[Callable[[Any], bool], str]:
    """Return what tells whether a type holds a value as it is, and what to write, in words."""
    if isinstance(kind, dt.Integer):
        bounds = kind.bounds
        return (
            lambda value: _is_integer(value) and bounds.lower <= value <= bounds.upper,
            f"an int from {bounds.lower} to {bounds.upper}",
        )
    if isinstance(kind, dt.Decimal):
        return (
            lambda value: _is_exact_decimal(value, kind),
            f"a Decimal or int of at most {kind.precision} digits, {kind.scale} behind the point",
        )
    if isinstance(kind, dt.Struct):
        return (
            lambda value: isinstance(value, Mapping) and value.keys() <= {*kind.names},
            f"a dict of {', '.join(kind.names)}",
        )
    return next(found for of, found in _FITTING.items() if isinstance(kind, of))


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_double(value: Any) -> bool:
    if _is_integer(value):
        return bool(abs(value) <= 2**53)
    return isinstance(value, float) and value == value  # NaN is not


def _is_single(value: Any) -> bool:
    try:
        return _is_double(value) and struct.unpack("f", struct.pack("f", value)) == (value,)
    except OverflowError:
        return False


def _is_exact_decimal(value: Any, kind: dt.Decimal) -> bool:
    if not (_is_integer(value) or (isinstance(value, Decimal) and value.is_finite())):
        return False
    assert kind.precision is not None
    assert kind.scale is not None
    before, _, behind = f"{abs(value):f}".partition(".")
    room = kind.precision - kind.scale
    return len(before.lstrip("0")) <= int(room) and len(behind.rstrip("0")) <= int(kind.scale)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_utf8(value)


def _is_instant(value: Any) -> bool:
    if not isinstance(value, datetime) or value != value:  # NaT of pandas is one
        return False
    return value.utcoffset() is not None and not getattr(value, "nanosecond", 0)  # of pandas


def _is_day(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


_FITTING: dict[type[dt.DataType], tuple[Callable[[Any], bool], str]] = {
    dt.Boolean: (lambda value: isinstance(value, bool), "True or False"),
    dt.Float32: (_is_single, "a float that it holds exactly; tables hold null, not NaN"),
    dt.Floating: (_is_double, "a float, or an int up to 2**53; tables hold null, not NaN"),
    dt.String: (_is_text, "a str"),
    dt.Binary: (lambda value: isinstance(value, bytes), "bytes"),
    dt.Date: (_is_day, "a date, not a datetime"),
    dt.Timestamp: (_is_instant, "a datetime with a time zone, such as UTC"),
    dt.Array: (lambda value: isinstance(value, list | tuple), "a list"),
    dt.Map: (lambda value: isinstance(value, Mapping), "a dict"),
}
"""Types without numbers of their own; the first that fits counts."""
