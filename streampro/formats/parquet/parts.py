"""The query that reads Parquet files: those with the same columns have one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from streampro.environment import temporary_folder
from streampro.errors import SourceError, did_you_mean
from streampro.formats.json.typed import identifier, quoted
from streampro.formats.parquet.conversions import (
    converted,
    in_json,
    is_exact,
    type_in_sql,
    type_of_sql,
)
from streampro.formats.parquet.footers import Footer
from streampro.names import MASK

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source

FILE = "streampro_file"
"""The column in which DuckDB tells the file of a row."""
_PLACE = "streampro_place"
"""The same, below the raw folder."""
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Part:
    """Files with the same columns, and DuckDB's query of their rows, in which `query` puts what is
    read and where each row comes from.
    """

    files: tuple[str, ...]
    fields: Mapping[str, str]
    raw_line: str

    def query(self, rows: str, file: str) -> str:
        """Return the query of rows, of which the SQL `file` tells the name of their file."""
        fields = (f"{sql} AS {identifier(name)}" for name, sql in self.fields.items())
        return (
            f"SELECT {', '.join(map(identifier, self.fields))}, {self.raw_line} AS raw_line, "
            f"source_file FROM (SELECT {', '.join(fields)}, {_PLACE} AS source_file "
            f"FROM (SELECT *, {file} AS {_PLACE} FROM {rows}))"
        )


def rows_of(paths: Sequence[object]) -> str:
    """Return the SQL of the rows of files with the same columns, each with its path in `FILE`."""
    files = ", ".join(quoted(path) for path in paths)
    return f"read_parquet([{files}], filename = {quoted(FILE)}, hive_partitioning = false)"


def no_rows(source: "Source") -> str:
    """Return the query of a source without a file."""
    kinds = source.schema.items()
    nulls = (f"CAST(NULL AS {type_in_sql(kind)}) AS {identifier(name)}" for name, kind in kinds)
    return f"SELECT {', '.join(nulls)} WHERE false"


def session(threads: int | None = 1, **settings: Any) -> Any:
    """Return a session of DuckDB that reads instants as this module does; None for as many threads
    as the machine has.
    """
    import duckdb

    connection = duckdb.connect(
        config={
            **({} if threads is None else {"threads": threads}),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            **settings,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def parts_of(source: "Source", footers: Sequence[Footer], may_miss: bool = False) -> Iterator[Part]:
    """Yield the files of a source by the columns that they have, with their queries.

    Raises `SourceError` for a column whose type does not convert exactly to the one that is said,
    for one that no file has unless all `may_miss` it, and for a folder's value that is none of its
    type.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[Footer]] = {}
    for footer in footers:
        groups.setdefault((footer.schema, footer.folders), []).append(footer)
    with session() as connection, temporary_folder() as folder:
        described = [
            (group, _columns(connection, folder / f"{number}.parquet", group[0].content))
            for number, group in enumerate(groups.values())
        ]
        if not may_miss:
            _refuse_missing(source, described)
        for group, columns in described:
            yield _part(source, group, columns, connection)


def _columns(connection: Any, place: Path, footer: bytes) -> "dict[str, dt.DataType]":
    """Return the columns of a file, of which its footer is enough, as DuckDB reads them."""
    place.write_bytes(footer)
    found = connection.sql(f"SELECT * FROM read_parquet({quoted(place)})")
    return {
        name: type_of_sql(str(kind)) for name, kind in zip(found.columns, found.types, strict=True)
    }


def _part(
    source: "Source", group: Sequence[Footer], columns: "Mapping[str, dt.DataType]", connection: Any
) -> Part:
    first, fields, shown = group[0], {}, []
    secret = {*source.secret_fields}
    for name, path in source.fields.items():
        kind = source.kinds[name]
        if len(path) == 1 and path[0] in first.folders:
            fields[name] = _of_folder(path[0], kind)
            _refuse_values(group, path[0], name, kind, fields[name], connection)
            continue
        fields[name] = _field(first, name, path, columns, kind)
        value = quoted(MASK) if name in secret else in_json(identifier(name), kind)
        shown.append(f"{identifier(name)} := {value}")
    text = f"CAST(to_json(struct_pack({', '.join(shown)})) AS VARCHAR)" if shown else "'{}'"
    return Part(tuple(footer.name for footer in group), fields, text)


def _field(
    footer: Footer,
    name: str,
    path: Sequence[str],
    columns: "Mapping[str, dt.DataType]",
    kind: "dt.DataType",
) -> str:
    """Return the SQL of a field, null where the file does not have it."""
    top, *below = path
    nothing = f"CAST(NULL AS {type_in_sql(kind)})"
    if top not in columns:
        return nothing
    _refuse_twins(footer, top)
    sql, of = identifier(top), columns[top]
    for key in below:
        if not of.is_struct():
            raise SourceError(
                f"{footer.name}: the place of field {name!r} is {'.'.join(path)!r}, but the column "
                f"has {of} there, which has no part {key!r}. Nothing was published."
            )
        if key not in of.fields:
            return nothing
        sql, of = f"struct_extract({sql}, {quoted(key)})", of[key]
    if top in footer.void:
        return f"CAST(CAST({sql} AS VARCHAR) AS {type_in_sql(kind)})" if of.is_nested() else nothing
    if top in footer.inexact or not is_exact(of, kind):
        raise _other_type(footer, name, path, of, kind)
    return converted(sql, of, kind)


def _of_folder(key: str, kind: "dt.DataType") -> str:
    """Return the SQL of what a folder says, as `month=2026-01`, whose signs may be escaped."""
    said = f"regexp_extract({_PLACE}, {quoted(f'(?:^|/){re.escape(key)}=([^/]*)/')}, 1)"
    text = f"nullif({said}, {quoted(_HIVE_NULL)})"
    return f"TRY_CAST(url_decode({text}) AS {type_in_sql(kind)})"


def _refuse_values(
    group: Sequence[Footer],
    key: str,
    name: str,
    kind: "dt.DataType",
    sql: str,
    connection: Any,
) -> None:
    """Raise `SourceError` for what a folder says that is none of a field's type."""
    for footer in group:
        [said] = [part for part in PurePosixPath(footer.name).parts if part.startswith(f"{key}=")][
            :1
        ]
        text = said.removeprefix(f"{key}=")
        try:
            unquote_to_bytes(text).decode()
            [[value]] = connection.execute(
                f"SELECT {sql} FROM (SELECT $1 AS {_PLACE})", [footer.name]
            ).fetchall()
        except UnicodeDecodeError:
            value = None
        if value is None and text != _HIVE_NULL:
            raise SourceError(
                f"{footer.name}: the folder {said!r} tells no {kind}, the type of field {name!r}. "
                "Nothing was published."
            )


def _refuse_missing(
    source: "Source",
    described: "Sequence[tuple[Sequence[Footer], Mapping[str, dt.DataType]]]",
) -> None:
    """Raise `SourceError` for a column that stands in no file."""
    for name, path in source.fields.items():
        if any(_has(group[0], columns, path) for group, columns in described):
            continue
        told = (_known(group[0], columns, path) for group, columns in described)
        known = [*dict.fromkeys(chain.from_iterable(told))]
        first, more = described[0][0][0].name, sum(len(group) for group, _ in described) - 1
        where = first if not more else f"{first}, like {more:,} more of source {source.name!r},"
        raise SourceError(
            f"{where} has no column {'.'.join(path)!r}, the place of field {name!r}. "
            f"{did_you_mean(path[-1], known)}Its columns: {', '.join(known)}. "
            "Nothing was published."
        )


def _has(footer: Footer, columns: "Mapping[str, dt.DataType]", path: Sequence[str]) -> bool:
    return path[-1] in _known(footer, columns, path)


def _known(
    footer: Footer, columns: "Mapping[str, dt.DataType]", path: Sequence[str]
) -> Sequence[str]:
    """Return the names beside the last part of a path, as far as there are structs on the way."""
    if len(path) == 1:
        return [*footer.names, *footer.folders]
    of = columns.get(path[0])
    for key in path[1:-1]:
        of = of.fields.get(key) if of is not None and of.is_struct() else None
    return [*of.fields] if of is not None and of.is_struct() else [path[-1]] if of else []


def _other_type(
    footer: Footer, name: str, path: Sequence[str], of: "dt.DataType", kind: "dt.DataType"
) -> SourceError:
    from streampro.expressions.types import refusal

    said = "text, as where types say nothing" if kind.is_string() else str(kind)
    what = footer.inexact.get(path[0], str(of))
    word = "..." if path[0] in footer.inexact or refusal(of) else repr(str(of))
    return SourceError(
        f"{footer.name}: column {'.'.join(path)!r} is {what}, which does not convert exactly to "
        f"{said}, the type of field {name!r}. Say in the source what the file has, "
        f"types={{{name!r}: {word}}}, and cast it in a model. Nothing was published."
    )


def _refuse_twins(footer: Footer, name: str) -> None:
    if twins := [each for each in footer.names if each.casefold() == name.casefold()][1:]:
        raise SourceError(
            f"{footer.name} has columns {name!r} and {twins[-1]!r}, which engines do not tell "
            "apart. Rename one; nothing was published."
        )
