"""What a user's Python function makes of the rows of each key, in this process."""

import duckdb
import pyarrow.parquet as pq

from streampro.engines.grouped import grouped
from streampro.expressions.python import RowsOfKeys, order_of
from streampro.formats.json.typed import identifier
from streampro.storage.data_files import COMPRESSION, DataFile
from streampro.storage.place import Place

_BATCH = 100_000


def written(
    connection: duckdb.DuckDBPyConnection, query: str, node: RowsOfKeys, path: Place
) -> DataFile:
    """Give the rows of a query to the function, key by key, and write what comes to a file."""
    order = order_of(node)
    keys = ", ".join(f"{identifier(name)} ASC NULLS FIRST" for name in order or [node.by])
    given, made = (schema.to_pyarrow() for schema in (node.parent.schema, node.schema))
    with pq.ParquetWriter(path.path, made, compression=COMPRESSION) as writer:
        found = connection.execute(f"SELECT * FROM ({query}) ORDER BY {keys}")
        rows = found.to_arrow_reader(_BATCH)
        for batch in grouped(
            rows, node.by, node.function, node.frame, given, made, order is not None
        ):
            writer.write_batch(batch)
    footer = pq.read_metadata(path.path)
    return DataFile.of(path, path.path.name, path.path.stat().st_size, footer)
