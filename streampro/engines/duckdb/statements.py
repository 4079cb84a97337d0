"""SQL that a user writes: statements that only read, told by DuckDB's own parser.

Two walls stand between a text and the disk: the statement, which is looked at here, and the
connection, which `confine` keeps to the data files of its tables. What got through the first by
mistake would reach no other file.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from streampro.engines.duckdb.readers import listed
from streampro.errors import ConfigError

CONFIG = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
"""No query fetches or loads an extension, and none reads a variable of Python's as a table."""

_ALLOWED = (
    "Allowed is one statement that reads: SELECT, WITH, FROM, VALUES, TABLE, PIVOT, UNPIVOT, SHOW, "
    "DESCRIBE, SUMMARIZE, or EXPLAIN of one of these."
)
_END = "; \t\r\n"
FILES = "Files are read with --allow-files only; in Python, with allow_files=True."
_READ_FILES = frozenset(
    (
        "glob",
        "parquet_bloom_probe",
        "parquet_file_metadata",
        "parquet_full_metadata",
        "parquet_kv_metadata",
        "parquet_metadata",
        "parquet_scan",
        "parquet_schema",
        "read_blob",
        "read_csv",
        "read_csv_auto",
        "read_json",
        "read_json_auto",
        "read_json_objects",
        "read_json_objects_auto",
        "read_ndjson",
        "read_ndjson_auto",
        "read_ndjson_objects",
        "read_parquet",
        "read_text",
        "sniff_csv",
    )
)
_READ_NO_FILES = frozenset(
    (
        "duckdb_columns",
        "duckdb_databases",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_schemas",
        "duckdb_settings",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "generate_series",
        "icu_calendar_names",
        "json_each",
        "json_tree",
        "pg_timezone_names",
        "pragma_collations",
        "pragma_platform",
        "pragma_show",
        "pragma_table_info",
        "pragma_version",
        "range",
        "repeat",
        "repeat_row",
        "summary",
        "unnest",
    )
)
_WRITE = frozenset(("write_blob", "write_log"))
"""Scalar functions that write; `write_blob` comes with an extension and does wherever it likes."""
_GAP = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_EXPLAIN = re.compile(
    rf"{_GAP}explain\b{_GAP}"
    r"(?P<how>analy[sz]e\b|\(\s*(?:analy[sz]e|format)\b[\w\s,]*\))?"
    r"(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
_SHAPE = """
    SELECT j ->> '$.error' = 'false', j ->> '$..function.function_name', j ->> '$..function_name',
           j ->> '$..from_table.type'
    FROM (SELECT json_serialize_sql($1::VARCHAR) AS j)
"""
_TABLE_FUNCTIONS = """
    SELECT DISTINCT function_name FROM duckdb_functions()
    WHERE function_type IN ('table', 'table_macro')
"""


@dataclass(frozen=True)
class _Shape:
    """What a statement is made of, whatever it is inside of.

    Attributes:
        tables: the functions that it reads as tables.
        functions: all functions.
        relations: the kind of what stands after each FROM.
    """

    tables: Sequence[str]
    functions: Sequence[str]
    relations: Sequence[str]


def confine(connection: duckdb.DuckDBPyConnection, files: Iterable[str]) -> None:
    """Let a connection reach these files and no other, and load nothing, for good."""
    connection.execute(f"SET allowed_paths = {listed([*files])}")
    connection.execute("SET enable_external_access = false")


def reading(connection: duckdb.DuckDBPyConnection, text: str, allow_files: bool) -> str:
    """Return a user's statement as it is to be executed: it writes nothing, changes no setting,
    and calls what reads files only with `allow_files`.

    Raises `ConfigError` for any other, for several, and for what is no SQL.
    """
    refuse_unreadable(text)
    explained = _EXPLAIN.fullmatch(text)
    if not explained or [each.type.name for each in _statements(connection, text)] != ["EXPLAIN"]:
        _refuse_others(connection, text, allow_files)
        return text
    _refuse_others(connection, explained["query"], allow_files)
    # Put together anew, so that this explains what was looked at, however DuckDB reads the rest.
    return f"EXPLAIN {explained['how'] or ''}\n{explained['query']}"


def refuse_unreadable(text: str) -> None:
    """Raise `ConfigError` for a text that DuckDB does not take, or only to its first NUL."""
    if re.search("[\0\ud800-\udfff]", text):
        raise ConfigError("the query is wrong: it holds a NUL, or what is no text in UTF-8.")


def refuse_all_but_condition(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise `ConfigError` unless `text`, a query of one table by a user's condition, asks nothing
    but the columns of that table.
    """
    shape = _shape(connection, text)
    if shape is None or len(shape.relations) != 1:
        raise ConfigError("--where asks columns of the table, and has no query inside it.")
    _refuse_functions(shape, allow_files=False)


def _refuse_others(connection: duckdb.DuckDBPyConnection, text: str, allow_files: bool) -> None:
    """Raise `ConfigError` for all but one statement that reads."""
    found = _statements(connection, text)
    if not found:
        raise ConfigError("the query is empty.")
    if len(found) == 1 and (shape := _shape(connection, text)):
        _refuse_functions(shape, allow_files)
    elif _is_pivot(connection, text.rstrip(_END)):
        _refuse_words(connection, text, allow_files)
    else:
        what = found[0].type.name if len(found) == 1 else "several statements"
        raise ConfigError(f"the query is refused ({what}). {_ALLOWED}")


def _statements(connection: duckdb.DuckDBPyConnection, text: str) -> Sequence[duckdb.Statement]:
    with _wrong():
        return connection.extract_statements(text)


@contextmanager
def _wrong() -> Iterator[None]:
    """Raise `ConfigError` for what DuckDB's parser refuses."""
    try:
        yield
    except duckdb.PermissionException as error:  # IMPORT DATABASE is read while it is parsed
        raise ConfigError(f"the query is refused. {_ALLOWED}") from error
    except duckdb.Error as error:
        raise ConfigError(f"the query is wrong: {error}") from error


def _is_pivot(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
    """Tell whether a text is a PIVOT that finds its columns itself. DuckDB makes more statements of
    it, none of which has a text: a type for each list of columns, then the query. In brackets there
    is nothing but a query.
    """
    if len(found := _statements(connection, text)) < 2 or any(each.query for each in found):
        return False
    *types, query = (each.type.name for each in _statements(connection, f"FROM (\n{text}\n)"))
    return {*types} == {"CREATE"} and query == "SELECT"


def _shape(connection: duckdb.DuckDBPyConnection, text: str) -> _Shape | None:
    """Return what a statement is made of, None if it does more than to read."""
    with _wrong():
        [(is_select, *parts)] = connection.execute(_SHAPE, [text]).fetchall()
    return _Shape(*parts) if is_select else None


def _refuse_functions(shape: _Shape, allow_files: bool) -> None:
    for name in map(str.lower, shape.tables):
        _refuse_function(name, name in _readers(allow_files))
    for name in map(str.lower, shape.functions):
        _refuse_function(name, name not in _WRITE)


def _refuse_words(connection: duckdb.DuckDBPyConnection, text: str, allow_files: bool) -> None:
    """Raise `ConfigError` for a PIVOT, which DuckDB takes apart for nobody, that has the name of a
    function that is not let through, in whatever role.
    """
    words = {*re.findall(r"\w+", text.lower())}
    known = {name for [name] in connection.execute(_TABLE_FUNCTIONS).fetchall()}
    for name in sorted(words & ((known - _readers(allow_files)) | _WRITE)):
        _refuse_function(name, False)


def _refuse_function(name: str, is_allowed: bool) -> None:
    if not is_allowed:
        hint = FILES if name in _READ_FILES else _ALLOWED
        raise ConfigError(f"the query is refused: it calls {name}. {hint}")


def _readers(allow_files: bool) -> frozenset[str]:
    return _READ_NO_FILES | _READ_FILES if allow_files else _READ_NO_FILES
