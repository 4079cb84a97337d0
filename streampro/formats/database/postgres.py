"""PostgreSQL by psycopg, whose texts of values have all their digits."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streampro.errors import ConfigError, EngineError, SourceError
from streampro.formats.database.session import (
    PATIENCE_S,
    ROWS_AT_ONCE,
    Asked,
    Column,
    Session,
    Table,
    missing_driver,
)

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

_SETTINGS = (
    "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; "
    "SET LOCAL IntervalStyle = 'iso_8601'; "
    "SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; "
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
)
_COLUMNS = """
    SELECT a.attname, CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
           ELSE format_type(a.atttypid, a.atttypmod) END, t.typtype = 'e'
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_TABLES = """
    SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n
    ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
    ORDER BY 1
"""
_KINDS = {
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "real": "float32",
    "double precision": "float64",
    "boolean": "boolean",
    "date": "date",
    "bytea": "binary",
    "uuid": "string",
    "json": "string",
    "jsonb": "string",
    "xml": "string",
    "text": "string",
    "name": "string",
    "citext": "string",
    '"char"': "string",
    "inet": "string",
    "cidr": "string",
    "macaddr": "string",
    "macaddr8": "string",
    "interval": "string",
}
_TEXT = re.compile(r"character( varying)?(\(\d+\))?|time(\(\d\))? with(out)? time zone|interval.*")
_INSTANT = re.compile(r"timestamp(\(\d\))? with(out)? time zone")
_ADDRESS = re.compile(
    "authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in"
    '|(database|role) ".*" does not exist|permission denied for database'
)
"""What a server says of a user, a password or a database; before there is a connection it has no
codes.
"""
_NUMERIC = re.compile(r"numeric(\((\d+),(-?\d+)\))?")


class Postgres(Session):
    """A transaction that reads one snapshot."""

    def connect(self) -> None:
        """See `Session.connect`."""
        try:
            import psycopg
        except ImportError as error:
            raise missing_driver("PostgreSQL", "postgres") from error
        address = self.address
        given = {
            "host": address.host,
            "port": address.port,
            "user": address.user,
            "password": address.password,
            "dbname": address.database or None,
            "application_name": "streampro",
            "connect_timeout": PATIENCE_S,
            **address.options,
        }
        with self.failing(f"{address.shown} does not answer"):
            said = {name: value for name, value in given.items() if value is not None}
            self.connection = psycopg.connect("", **said)  # type: ignore[arg-type]  # options of the address

    def begin(self) -> None:
        """See `Session.begin`."""
        import psycopg

        with self.failing(f"{self.address.shown} cannot be read"):
            self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self.connection.read_only = True
            self.connection.execute(_SETTINGS)

    def columns(self, table: Table) -> dict[str, Column]:
        """See `Session.columns`."""
        named = self.table(table).replace("'", "''")
        found = self.fetched(_COLUMNS.format(f"'{named}'"))
        return {name: _column(name, said, is_enum) for name, said, is_enum in found}

    def tables(self) -> list[str]:
        """See `Session.tables`."""
        return [name for (name,) in self.fetched(_TABLES)]

    def text(self, asked: Asked) -> str:
        """See `Session.text`."""
        name, kind = self.identifier(asked.column.name), asked.column.kind
        if kind is not None and kind.is_array():
            return f"CAST(to_json({name}) AS text)"
        if kind is not None and kind.is_binary():
            return f"encode({name}, 'hex')"
        if kind is not None and kind.is_boolean():
            return f"CAST(CAST({name} AS integer) AS text)"
        return f"CAST({name} AS text)"

    def digests(self, table: Table, asked: Sequence[Asked], part: str) -> list[tuple[Any, ...]]:
        """See `Session.digests`."""
        names = ", ".join(self.identifier(each.column.name) for each in asked)
        half = "coalesce(sum(CAST(CAST('x' || {}(h, 16) AS bit(64)) AS bigint)), 0)"
        return self.fetched(
            f"SELECT p, count(*), coalesce(sum(octet_length(r)), 0), {half.format('left')}, "
            f"{half.format('right')} FROM (SELECT p, r, md5(r) AS h FROM (SELECT {part} AS p, "
            f"CAST(ROW({names}) AS text) AS r FROM {self.table(table)}) AS a) AS b GROUP BY p"
        )

    def query(self, sql: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """See `Session.query`."""
        with (
            self.failing(f"{self.address.shown} cannot be read"),
            self.connection.cursor("streampro") as cursor,
        ):
            cursor.execute(sql.encode())
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield some

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """See `Session.failing`."""
        import psycopg

        try:
            yield
        except psycopg.OperationalError as error:
            kind = ConfigError if _ADDRESS.search(str(error)) else EngineError
            raise kind(f"{what}: {_said(error)} Nothing was published.") from error
        except psycopg.Error as error:
            raise SourceError(f"{what}: {_said(error)} Nothing was published.") from error


def _said(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if said.endswith(".") else f"{said}."


def _column(name: str, said: str, is_enum: bool) -> Column:
    import ibis.expr.datatypes as dt

    kind = dt.string if is_enum else _kind(said)
    return Column(name, kind, said, kind is not None)


def _kind(said: str) -> "dt.DataType | None":
    """Return the type of a column as `format_type` says it, None for one that is not read."""
    import ibis.expr.datatypes as dt

    if said.endswith("[]"):
        of = _kind(said.removesuffix("[]"))
        return dt.Array(of) if of is not None else None
    if _TEXT.fullmatch(said):
        return dt.string
    if _INSTANT.fullmatch(said):
        return dt.Timestamp("UTC", 6)
    if numeric := _NUMERIC.fullmatch(said):
        precision, scale = (int(numeric[n] or 0) for n in (2, 3))
        is_exact = numeric[1] and precision <= 38 and 0 <= scale <= precision
        return dt.Decimal(precision, scale) if is_exact else dt.Decimal()
    return dt.dtype(_KINDS[said]) if said in _KINDS else None
