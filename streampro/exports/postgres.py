"""Tables of PostgreSQL, each replaced in one transaction."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from streampro.errors import ConfigError, EngineError
from streampro.exports.files import write_csv
from streampro.modeling.model import TableName

if TYPE_CHECKING:
    from psycopg import Cursor

_KINDS: Mapping[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int64(): "bigint",
    pa.int32(): "integer",
    pa.int16(): "smallint",
    pa.int8(): "smallint",
    pa.float64(): "double precision",
    pa.float32(): "real",
    pa.date32(): "date",
    pa.binary(): "bytea",
    pa.large_binary(): "bytea",
    pa.string(): "text",
    pa.large_string(): "text",
}
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.relkind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = %s AND c.relname = %s ORDER BY a.attnum
"""


def replace_table(url: str, table: TableName, rows: pa.RecordBatchReader) -> int:
    """Make rows the content of the table of that name in the schema named like the layer, and
    return how many they are. Who reads meanwhile sees the old rows or the new ones.

    A table with the same columns stays, with its indexes, views and grants; another one is dropped.
    Raises `ConfigError` without the driver, `EngineError` for all that the server refuses.
    """
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            "PostgreSQL needs a further package: pip install 'streampro[postgres]'."
        ) from error
    try:
        with (
            psycopg.connect(url, application_name="streampro", connect_timeout=20) as connection,
            connection.cursor() as cursor,
        ):
            _make_room(cursor, table, rows.schema)
            into = psycopg.sql.SQL("COPY {}.{} FROM STDIN (FORMAT csv, HEADER)")
            names = map(psycopg.sql.Identifier, (table.layer, table.name))
            with cursor.copy(into.format(*names)) as copy:
                return write_csv(table, _with_bytes_escaped(rows), cast(Any, _Writable(copy)))
    except psycopg.Error as error:
        raise EngineError(f"PostgreSQL refused {table}: {' '.join(str(error).split())}") from error


def _make_room(cursor: "Cursor[Any]", table: TableName, schema: pa.Schema) -> None:
    """Let there be an empty table with the columns of a schema, for this transaction."""
    from psycopg.sql import SQL, Identifier

    layer, name = Identifier(table.layer), Identifier(table.name)
    wanted = [(field.name, _kind(field.type)) for field in schema]
    found = cursor.execute(_COLUMNS, (table.layer, table.name)).fetchall()
    if found and found[0][2] not in ("r", "p"):
        raise ConfigError(f"{table} is no table in that database: drop or rename it.")
    if [(column, kind) for column, kind, _ in found] == wanted:
        cursor.execute(SQL("LOCK TABLE {}.{} IN SHARE ROW EXCLUSIVE MODE").format(layer, name))
        cursor.execute(SQL("DELETE FROM {}.{}").format(layer, name))
        return
    if not cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (table.layer,)).rowcount:
        cursor.execute(SQL("CREATE SCHEMA {}").format(layer))
    if found:
        cursor.execute(SQL("DROP TABLE {}.{}").format(layer, name))
    columns = (SQL("{} {}").format(Identifier(n), SQL(cast(Any, kind))) for n, kind in wanted)
    cursor.execute(SQL("CREATE TABLE {}.{} ({})").format(layer, name, SQL(", ").join(columns)))


def _kind(kind: pa.DataType) -> str:
    """Return the type of a column, as the server spells it."""
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp without time zone"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})"
    return _KINDS.get(kind, "jsonb" if pa.types.is_nested(kind) else "text")


def _with_bytes_escaped(rows: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return rows whose bytes are texts that the server reads as bytes."""
    places = [n for n, field in enumerate(rows.schema) if _kind(field.type) == "bytea"]
    if not places:
        return rows

    def escaped(batch: pa.RecordBatch) -> pa.RecordBatch:
        for place in places:
            values = batch.column(place).to_pylist()
            texts = [None if value is None else f"\\x{value.hex()}" for value in values]
            name = batch.schema.field(place).name
            batch = batch.set_column(place, name, pa.array(texts, pa.string()))
        return batch

    schema = escaped(pa.RecordBatch.from_pylist([], rows.schema)).schema
    return pa.RecordBatchReader.from_batches(schema, map(escaped, rows))


class _Writable:
    """What Arrow asks of a file that it writes to."""

    closed = False

    def __init__(self, copy: Any) -> None:
        self.copy = copy

    def write(self, data: Any) -> int:
        self.copy.write(bytes(data))
        return len(data)

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """See `io.IOBase.flush`: the server is sent what it is written."""

    def close(self) -> None:
        """See `io.IOBase.close`: the copy ends with its block."""
