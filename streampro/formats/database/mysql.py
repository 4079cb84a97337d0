"""MySQL and MariaDB by PyMySQL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from streampro.addresses import PORTS, Address
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
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
)
_COLUMNS = """
    SELECT column_name, data_type, column_type, numeric_precision, numeric_scale
    FROM information_schema.columns WHERE table_schema = {} AND table_name = {}
    ORDER BY ordinal_position
"""
_TABLES = """
    SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1
"""
_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 32, "int": 32, "bigint": 64, "year": 16}
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json")
_MORE_TEXTS = ("time", "uuid", "inet4", "inet6")
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
_ADDRESS = {1044, 1045, 1049, 1698}
_PERMISSION = {1142, 1143}
"""What the server says of a user, a password or a database, and of what a user may read."""


class MySQL(Session):
    """A transaction that reads one snapshot, of engines that have any, such as InnoDB."""

    def connect(self) -> None:
        """See `Session.connect`."""
        try:
            import pymysql
        except ImportError as error:
            raise missing_driver("MySQL", "mysql") from error
        address = self.address
        if not address.database:
            raise ConfigError(f"{address.shown}: the address names no database: mysql://host/NAME.")
        with self.failing(f"{address.shown} does not answer"):
            self.connection = pymysql.connect(
                host=address.host,
                port=address.port or PORTS["mysql"],
                user=address.user,
                password=address.password or "",
                database=address.database,
                charset="utf8mb4",
                connect_timeout=PATIENCE_S,
                cursorclass=pymysql.cursors.SSCursor,
                **_tls(address),
            )

    def begin(self) -> None:
        """See `Session.begin`."""
        for setting in _SETTINGS:
            self.fetched(setting)

    def columns(self, table: Table) -> dict[str, Column]:
        """See `Session.columns`."""
        *schema, name = table
        of = _literal(schema[0]) if schema else "DATABASE()"
        found = self.fetched(_COLUMNS.format(of, _literal(name)))
        return {each[0]: _column(*each) for each in found}

    def tables(self) -> list[str]:
        """See `Session.tables`."""
        return [name for (name,) in self.fetched(_TABLES)]

    def text(self, asked: Asked) -> str:
        """See `Session.text`."""
        name, kind = self.identifier(asked.column.name), asked.column.kind
        if asked.kind.is_boolean():
            return f"CAST({name} + 0 AS CHAR)"
        if kind is not None and kind.is_binary():
            return f"HEX({name})"
        if kind is not None and kind.is_float32():
            return f"CAST(CAST({name} AS DOUBLE) AS CHAR)"
        is_text = kind is not None and kind.is_string()
        return f"CONVERT({name} USING utf8mb4)" if is_text else f"CAST({name} AS CHAR)"

    def digests(self, table: Table, asked: Sequence[Asked], part: str) -> list[tuple[Any, ...]]:
        """See `Session.digests`. Raises `SourceError` for a row that is too long for the server."""
        texts = ", ".join(f"QUOTE({self.text(each)})" for each in asked)
        half = "COALESCE(SUM(CAST(CONV({}(MD5(r), 16), 16, 10) AS UNSIGNED)), 0)"
        found = self.fetched(
            f"SELECT p, COUNT(*), COALESCE(SUM(LENGTH(r)), 0), {half.format('LEFT')}, "
            f"{half.format('RIGHT')}, COALESCE(SUM(r IS NULL), 0) FROM (SELECT {part} AS p, "
            f"CONCAT_WS(',', {texts}) AS r FROM {self.table(table)}) AS a GROUP BY p"
        )
        if overlong := sum(int(row[-1]) for row in found):
            raise SourceError(
                f"{'.'.join(table)}: {overlong} rows are longer than max_allowed_packet of the "
                "server. Nothing was published."
            )
        return [row[:-1] for row in found]

    def query(self, sql: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """See `Session.query`."""
        with (
            self.failing(f"{self.address.shown} cannot be read"),
            self.connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            while some := cursor.fetchmany(ROWS_AT_ONCE):
                yield some

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """See `Session.failing`."""
        import pymysql

        try:
            yield
        except pymysql.Error as error:
            number = error.args[0] if error.args else 0
            said = f"{what}: {' '.join(str(error.args[-1]).split())}. Nothing was published."
            if number in _ADDRESS:
                raise ConfigError(said) from error
            is_of_engine = isinstance(error, (pymysql.OperationalError, pymysql.InternalError))
            kind = EngineError if is_of_engine and number not in _PERMISSION else SourceError
            raise kind(said) from error


def _tls(address: Address) -> dict[str, Any]:
    """Return what `ssl-ca=FILE` in an address says: the certificate by which a server is known."""
    known = {"ssl-ca": "ssl_ca"}
    verified = {"ssl_verify_identity": True} if address.options else {}
    if unknown := [name for name in address.options if name not in known]:
        raise ConfigError(f"{address.shown}: {unknown[0]!r} is no option; known is ssl-ca.")
    return {known[name]: value for name, value in address.options.items()} | verified


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _column(name: str, kind: str, said: str, precision: int | None, scale: int | None) -> Column:
    import ibis.expr.datatypes as dt

    found = _kind(kind.lower(), said.lower(), precision, scale)
    is_flag = said.lower() == "tinyint(1)"
    return Column(name, found, said, found is not None, dt.boolean if is_flag else None)


def _kind(kind: str, said: str, precision: int | None, scale: int | None) -> "dt.DataType | None":
    """Return the type of a column, None for one that is not read."""
    import ibis.expr.datatypes as dt

    if kind == "bit" and said == "bit(1)":
        return dt.boolean
    if kind in _INTEGERS:
        sign = "u" if "unsigned" in said or kind == "year" else ""
        return dt.dtype(f"{sign}int{_INTEGERS[kind]}")
    if kind == "decimal":
        is_exact = precision is not None and precision <= 38
        return dt.Decimal(precision, scale) if is_exact else dt.Decimal()
    if kind in ("float", "double"):
        return dt.float32 if kind == "float" else dt.float64
    if kind in ("datetime", "timestamp"):
        return dt.Timestamp("UTC", 6)
    if kind == "date":
        return dt.date
    if kind in _BYTES:
        return dt.binary
    return dt.string if kind in (*_TEXTS, *_MORE_TEXTS) else None
