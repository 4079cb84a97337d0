"""Values of databases, which come as text, as the types that a source declares, by DuckDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streampro.errors import SourceError, did_you_mean
from streampro.formats.database.session import Asked, Column, Session
from streampro.formats.json.typed import (
    identifier,
    is_unreadable,
    quoted,
    refused_type as refused_in_json,
    typed,
)
from streampro.formats.parquet.conversions import in_json, is_exact, type_in_sql
from streampro.names import MASK

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INSTANT = (
    _DATE + r"[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_DECIMAL = "[+-]?[0-9]*([.][0-9]{{0,{scale}}}0*)?"
_POWER = r"[+-]?[0-9]+([.][0-9]*)?[eE]([+-]?[0-9]{1,2})"
_FIRST = "0001"
"""The first year that every engine has."""


def refused_type(kind: "dt.DataType") -> str | None:
    """Return why a field is not read as a type, None if it is."""
    if kind.is_array():
        return refused_in_json(kind)
    if kind.is_struct() or kind.is_map():
        return "a database has JSON for it, which is text: a model takes it apart"
    return None


def asked_of(source: "Source", path: str, columns: dict[str, Column]) -> list[Asked]:
    """Return what the fields of a source read.

    Raises `SourceError` for a column that is not there, and for one whose type does not convert
    exactly to the one that is said.
    """
    asked = []
    for name, (column, *_) in source.fields.items():
        if column not in columns:
            raise SourceError(
                f"{path} has no column {column!r}, the place of field {name!r}. "
                f"{did_you_mean(column, [*columns])}Its columns: {', '.join(columns)}. "
                "Nothing was published."
            )
        found, kind = columns[column], source.kinds[name]
        if not _converts(found, kind):
            raise _other_type(path, name, found, kind)
        asked.append(Asked(found, kind))
    return asked


def _converts(column: Column, kind: "dt.DataType") -> bool:
    if not column.is_read:
        return False
    if column.kind is None:
        return not kind.is_array()
    if column.kind.is_decimal() and column.kind.precision is None:
        return bool(kind.is_decimal())
    return is_exact(column.kind, kind) or (column.also is not None and kind == column.also)


def _other_type(path: str, name: str, column: Column, kind: "dt.DataType") -> SourceError:
    said = "text, as where types say nothing" if kind.is_string() else str(kind)
    what = f"{path}: column {column.name!r} is {column.said}, which "
    if not column.is_read:
        return SourceError(
            f"{what}is not read, for field {name!r}. Make a view of the table that casts it, and "
            "read that. Nothing was published."
        )
    of = column.kind
    is_bounded = of is not None and not (of.is_decimal() and of.precision is None)
    word = repr(str(of)) if is_bounded else "'decimal(38, 9)'"
    return SourceError(
        f"{what}does not convert exactly to {said}, the type of field {name!r}. Say in the source "
        f"what the table has, types={{{name!r}: {word}}}, and cast it in a model. "
        "Nothing was published."
    )


def query_of(
    source: "Source", session: Session, asked: Sequence[Asked], path: str, text: Path
) -> str:
    """Return the query of the rows of a source from a Parquet file of their texts, whose columns
    are numbered, with what `Session.texts` tells of wrong values in the last one.
    """
    values, tests, shown = [], [], []
    secret = {*source.secret_fields}
    for number, (name, each) in enumerate(zip(source.fields, asked, strict=True)):
        said, made = f"c{number}", f"v{number}"
        value = read(said, each)
        if session.wrong(each):
            value = f"CASE WHEN NOT contains(wrong, ',{number},') THEN {value} END"
        values.append(f"{value} AS {made}")
        tests.append(f"({said} IS NOT NULL AND {made} IS NULL)")
        whole = in_json(made, each.kind)
        if each.kind.is_decimal():  # with all its digits
            whole = f"CAST({made} AS VARCHAR)"
        told = f"CASE WHEN {tests[-1]} THEN to_json({said}) ELSE to_json({whole}) END"
        shown.append(f"{quoted(name)}, {quoted(MASK) if name in secret else told}")
    fields = (f"v{number} AS {identifier(name)}" for number, name in enumerate(source.fields))
    keys = [identifier(name) for name in source.key] or ["ALL"]
    return (
        f"SELECT {', '.join(fields)}, "
        f"CAST(json_object({', '.join(shown)}) AS VARCHAR) AS raw_line, "
        f"{quoted(path)} AS source_file, {' OR '.join(tests)} AS is_unreadable "
        f"FROM (SELECT *, {', '.join(values)} FROM read_parquet({quoted(text)})) "
        f"ORDER BY {', '.join(keys)}"
    )


def read(text: str, asked: Asked) -> str:
    """Return the SQL of a text as a type, null where it is of another."""
    kind = asked.kind
    sql = type_in_sql(kind)
    if kind.is_string():
        return text
    if kind.is_binary():
        return f"unhex({text})"
    if kind.is_boolean():
        return f"CASE {text} WHEN '1' THEN true WHEN '0' THEN false END"
    if kind.is_array():
        value = f"CAST({text} AS JSON)"
        return f"CASE WHEN NOT {is_unreadable(value, kind)} THEN {typed(value, kind)} END"
    if kind.is_floating():
        return f"TRY_CAST({text} AS {sql})"
    pattern = "[+-]?[0-9]+"
    if kind.is_decimal():
        pattern = _DECIMAL.format(scale=kind.scale)
    elif kind.is_timestamp():
        pattern = _INSTANT
    elif kind.is_date():
        pattern = _DATE
    test = f"regexp_full_match({text}, {quoted(pattern)})"
    if kind.is_decimal():
        power = f"CAST(nullif(regexp_extract({text}, {quoted(_POWER)}, 2), '') AS INTEGER)"
        digits = f"len(rtrim(regexp_extract({text}, '[.]([0-9]*)', 1), '0'))"
        test = (
            f"({test} OR (regexp_full_match({text}, {quoted(_POWER)}) "
            f"AND {digits} - {power} <= {kind.scale}))"
        )
    if kind.is_timestamp() or kind.is_date():
        test += f" AND {text} >= {quoted(_FIRST)}"
        sql = "TIMESTAMPTZ" if kind.is_timestamp() else sql
    return f"CASE WHEN {test} THEN TRY_CAST({text} AS {sql}) END"
