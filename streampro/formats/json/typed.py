"""Values of JSON as the types that a source declares, by DuckDB: what is of another is null, and
counted.
"""

from typing import TYPE_CHECKING

from streampro.names import json_pointer

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

_NUMBER = "[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = "([+-]?[0-9]+)([.]0*)?"


def refused_type(kind: "dt.DataType") -> str | None:
    """Return why a field is not read as a type, None if it is."""
    if kind.is_array():
        return refused_type(kind.value_type)
    if kind.is_struct():
        return next(filter(None, map(refused_type, kind.types)), None)
    is_decimal = kind.is_decimal() and kind.precision is not None and kind.precision <= 38
    if kind.is_string() or kind.is_boolean() or kind.is_int64() or kind.is_float64() or is_decimal:
        return None
    return (
        "JSON is read as string, boolean, int64, float64, decimal(digits, places), or arrays and "
        "structs of them; models make dates and instants of text"
    )


def typed(value: str, kind: "dt.DataType", depth: int = 0) -> str:
    """Return the SQL of a JSON value, whose numbers are text, as a type; null where it is of
    another.
    """
    if kind.is_array():
        each = typed(f"x{depth}", kind.value_type, depth + 1)
        return (
            f"CASE WHEN json_type({value}) = 'ARRAY' THEN list_transform("
            f"json_extract({value}, '$[*]'), lambda x{depth}: {each}) END"
        )
    if kind.is_struct():
        parts = (
            f"{identifier(name)} := {typed(_part(value, name), part, depth)}"
            for name, part in kind.items()
        )
        return f"CASE WHEN json_type({value}) = 'OBJECT' THEN struct_pack({', '.join(parts)}) END"
    text = f"json_extract_string({value}, '$')"
    return f"CASE WHEN json_type({value}) NOT IN ('OBJECT', 'ARRAY') THEN {_read(text, kind)} END"


def is_unreadable(value: str, kind: "dt.DataType", depth: int = 0) -> str:
    """Return the SQL that tells whether `typed` leaves something out."""
    if kind.is_array():
        each = is_unreadable(f"x{depth}", kind.value_type, depth + 1)
        inner = (
            f"WHEN 'ARRAY' THEN len(list_filter(json_extract({value}, '$[*]'), "
            f"lambda x{depth}: {each})) > 0"
        )
    elif kind.is_struct():
        parts = (is_unreadable(_part(value, name), part, depth) for name, part in kind.items())
        inner = f"WHEN 'OBJECT' THEN {' OR '.join(parts)}"
    else:
        return (
            f"coalesce(json_type({value}) <> 'NULL' AND {typed(value, kind, depth)} IS NULL, false)"
        )
    return (
        f"coalesce(CASE json_type({value}) WHEN 'NULL' THEN false {inner} "
        f"ELSE {value} IS NOT NULL END, false)"
    )


def quoted(value: object) -> str:
    """Return the SQL of a text."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return the SQL of a column's name."""
    return '"' + name.replace('"', '""') + '"'


def _read(text: str, kind: "dt.DataType") -> str:
    """Return the SQL of a single value's text as a type, null where it does not say one exactly."""
    if kind.is_string():
        return text
    if kind.is_boolean():
        return f"CASE {text} WHEN 'true' THEN true WHEN 'false' THEN false END"
    if kind.is_int64():
        whole = f"regexp_extract({text}, '^{_WHOLE}$', 1)"
        return f"TRY_CAST(CASE WHEN {whole} <> '' THEN {whole} END AS BIGINT)"
    if kind.is_float64():
        number = (
            f"TRY_CAST(CASE WHEN regexp_full_match({text}, '{_NUMBER}') THEN {text} END AS DOUBLE)"
        )
        return f"CASE WHEN isfinite({number}) THEN {number} END"
    places = f"[+-]?([0-9]+([.][0-9]{{0,{kind.scale}}}0*)?|[.][0-9]{{1,{max(1, kind.scale)}}})"
    gate = f"regexp_full_match({text}, '{places}')"
    return f"TRY_CAST(CASE WHEN {gate} THEN {text} END AS DECIMAL({kind.precision}, {kind.scale}))"


def _part(value: str, name: str) -> str:
    return f"json_extract({value}, {quoted(json_pointer([name]))})"
