"""Types of files against the types that a source says: what converts exactly, and how."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from streampro.formats.json.typed import identifier, quoted

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

_FIRST, _LAST = "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"
"""Instants and dates beyond are null: no two engines agree about them."""
_NANOSECONDS = 9
_DIGITS = {1: 3, 2: 5, 4: 10, 8: 20}
"""Of the longest integer of so many bytes."""


def is_exact(of: "dt.DataType", to: "dt.DataType") -> bool:
    """Tell whether every value of a type is one of another; instants are cut to microseconds."""
    if of.is_array() and to.is_array():
        return is_exact(of.value_type, to.value_type)
    if of.is_map() and to.is_map():
        return is_exact(of.key_type, to.key_type) and is_exact(of.value_type, to.value_type)
    if of.is_struct() and to.is_struct():
        common = of.fields.keys() & to.fields.keys()
        return bool(common) and all(is_exact(of[name], to[name]) for name in common)
    if to.is_string():
        return bool(of.is_string() or of.is_json() or of.is_uuid() or of.is_time())
    if to.is_integer():
        return bool(of.is_integer()) and _is_narrower_integer(of, to)
    if to.is_floating():
        widest = to.nbytes // 2
        return (bool(of.is_floating()) and of.nbytes <= to.nbytes) or (
            bool(of.is_integer()) and of.nbytes <= widest
        )
    if to.is_decimal():
        whole = to.precision - to.scale
        return bool(_digits(of) <= whole and _scale(of) <= to.scale)
    return (of.is_timestamp() and to.is_timestamp()) or type(of) is type(to)


def converted(sql: str, of: "dt.DataType", to: "dt.DataType", depth: int = 0) -> str:
    """Return DuckDB's SQL of a value of one type as one of another, to which it is exact."""
    if to.is_timestamp():
        return f"CASE WHEN {_is_instant(sql, of)} THEN CAST({sql} AS TIMESTAMPTZ) END"
    if to.is_date():
        days = f"DATE {quoted(_FIRST[:10])} AND DATE {quoted(_LAST[:10])}"
        return f"CASE WHEN {sql} BETWEEN {days} THEN {sql} END"
    if of.is_nested() and _holds(to, lambda each: each.is_timestamp() or each.is_date()):
        each = f"streampro_{depth}"
        made = _parts(sql, of, to, each, lambda part, a, b: converted(part, a, b, depth + 1))
        return f"CASE WHEN {sql} IS NOT NULL THEN {made} END"
    return f"CAST({sql} AS {type_in_sql(to)})"


def in_json(sql: str, kind: "dt.DataType", depth: int = 0) -> str:
    """Return DuckDB's SQL of what is written of a value into JSON, which has no infinite numbers:
    those are texts there.
    """
    if kind.is_floating():
        text = f"CAST(to_json({sql}) AS VARCHAR)"
        return f"CASE WHEN isfinite({sql}) THEN to_json({sql}) ELSE to_json({text}) END"
    if kind.is_nested() and _holds(kind, lambda each: each.is_floating()):
        each = f"streampro_{depth}"
        made = _parts(sql, kind, kind, each, lambda part, _, of: in_json(part, of, depth + 1))
        return f"CASE WHEN {sql} IS NOT NULL THEN {made} END"
    return sql


def type_in_sql(kind: "dt.DataType") -> str:
    """Return how DuckDB calls a type."""
    from ibis.backends.sql.datatypes import DuckDBType

    return str(DuckDBType.to_string(kind))


def type_of_sql(name: str) -> "dt.DataType":
    """Return the type that DuckDB calls so."""
    from ibis.backends.sql.datatypes import DuckDBType

    return DuckDBType.from_string(name)


def _parts(
    sql: str,
    of: "dt.DataType",
    to: "dt.DataType",
    each: str,
    convert: Callable[[str, "dt.DataType", "dt.DataType"], str],
) -> str:
    """Return the SQL of a nested value whose parts are converted."""
    if to.is_array():
        return (
            f"list_transform({sql}, lambda {each}: {convert(each, of.value_type, to.value_type)})"
        )
    if to.is_map():
        key = convert(f"{each}.key", of.key_type, to.key_type)
        value = convert(f"{each}.value", of.value_type, to.value_type)
        entry = f"lambda {each}: struct_pack(k := {key}, v := {value})"
        return f"map_from_entries(list_transform(map_entries({sql}), {entry}))"
    fields = (
        f"{identifier(name)} := "
        + (
            convert(f"struct_extract({sql}, {quoted(name)})", of[name], kind)
            if name in of.fields
            else f"CAST(NULL AS {type_in_sql(kind)})"
        )
        for name, kind in to.fields.items()
    )
    return f"struct_pack({', '.join(fields)})"


def _is_instant(sql: str, of: "dt.DataType") -> str:
    """Return the SQL that tells whether an instant is in the years 1 to 9999."""
    if of.scale == _NANOSECONDS:
        return f"isfinite({sql})"
    kind, zone = ("TIMESTAMPTZ", "+00") if of.timezone else ("TIMESTAMP", "")
    return f"{sql} BETWEEN {kind} {quoted(_FIRST + zone)} AND {kind} {quoted(_LAST + zone)}"


def _holds(kind: "dt.DataType", is_one: "Callable[[dt.DataType], bool]") -> bool:
    from streampro.expressions.types import holds

    return holds(kind, is_one)


def _is_narrower_integer(of: "dt.DataType", to: "dt.DataType") -> bool:
    return bool(of.nbytes < to.nbytes or (of.nbytes == to.nbytes and of.is_signed_integer()))


def _digits(of: "dt.DataType") -> int:
    """Return how many digits before the point a number may have, too many for what is none."""
    if of.is_integer():
        return 19 if of.is_int64() else _DIGITS[of.nbytes]
    return of.precision - of.scale if of.is_decimal() else 1000


def _scale(of: "dt.DataType") -> int:
    return int(of.scale) if of.is_decimal() else 0
