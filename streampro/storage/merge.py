"""Small files of a table become one, whichever engine wrote them."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from streampro.errors import WarehouseError
from streampro.storage.data_files import COMPRESSION, DataFile, opened, refuse_altered, sizes
from streampro.storage.native import native
from streampro.storage.place import Place
from streampro.storage.versions import version_of

MOST_SMALL_FILES = 32
"""Of a table; the run that would add one more makes one of them."""
SMALL_BYTES = 32 * 1024**2
"""A file of fewer bytes is small. A run copies at most as many bytes of each small file of a table,
once in as many runs as there may be small files; rows of a large file are never copied again."""
_ROWS_OF_A_GROUP = 122_880


@dataclass(frozen=True)
class Merged:
    """The file that takes the place of others in a table, which are told by their names."""

    file: DataFile
    names: frozenset[str]

    def bounded_by(self, columns: Container[str]) -> Self:
        """See `DataFile.bounded_by`."""
        return replace(self, file=self.file.bounded_by(columns))


@native
def merged(
    folder: Place, version: int, schema: pa.Schema, staging: Place, token: str
) -> Merged | None:
    """Return one file with the rows of the small files of a version, written to `staging`; None
    where there are few of them, and where `staging` is in a store.

    Raises `WarehouseError` for a file that cannot be read or written.
    """
    if not staging.is_local:
        return None
    try:
        found = sizes(version_of(folder, version))
        names = sorted(name for name, (size, _) in found.items() if size < SMALL_BYTES)
        if len(names) < MOST_SMALL_FILES:
            return None
        refuse_altered(folder, names)
        staging.make()
        made = staging / f"part-{token}-merged.parquet"
        footer = _write(made.path, opened(folder, names), len(names), schema)
        file = DataFile.of(made, made.path.name, made.path.stat().st_size, footer)
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise WarehouseError(f"{folder}: its small files cannot be merged: {error}") from error
    return Merged(file, frozenset(names))


def _write(
    path: Path, small: Iterable[pq.ParquetFile], number: int, published: pa.Schema
) -> pq.FileMetaData:
    """Write the rows of files into one, in groups that are worth skipping; return its footer."""
    schema = pa.schema([pa.field(field.name, field.type) for field in published])
    held: list[pa.Table] = []
    with pq.ParquetWriter(path, schema, compression=COMPRESSION) as writer:
        for each, file in enumerate(small, 1):
            held.append(file.read(schema.names).select(schema.names).cast(schema))
            if sum(map(len, held)) >= _ROWS_OF_A_GROUP or each == number:
                writer.write_table(pa.concat_tables(held), row_group_size=_ROWS_OF_A_GROUP)
                held = []
    return pq.read_metadata(path)
