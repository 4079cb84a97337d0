"""Data files of a Delta table: how they are written, named and added to its log."""

import hashlib
import json
import re
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from deltalake.transaction import AddAction
from pyarrow.fs import FileSelector

from streampro.errors import WarehouseError
from streampro.storage.native import of_store
from streampro.storage.place import Place
from streampro.storage.statistics import bounds, nulls

COMPRESSION = "zstd"
"""Of the data files of every engine."""
_DIGEST = re.compile(r"\.([0-9a-f]{32})\.parquet$")


@dataclass(frozen=True)
class DataFile:
    """A parquet file and the statistics that let readers skip it (JSON values per column).

    One that `stays` is another table's, too.
    """

    path: Place
    name: str
    size: int
    rows: int
    minimum: Mapping[str, Any]
    maximum: Mapping[str, Any]
    nulls: Mapping[str, int]
    stays: bool = False

    @classmethod
    def of(cls, path: Place, name: str, size: int, footer: pq.FileMetaData) -> Self:
        """Return a file with the statistics that its footer tells."""
        return cls(
            path=path,
            name=name,
            size=size,
            rows=footer.num_rows,
            minimum=bounds(footer, "min"),
            maximum=bounds(footer, "max"),
            nulls=nulls(footer),
        )

    def bounded_by(self, columns: Container[str]) -> Self:
        """Return the file with bounds of no other columns."""
        minimum, maximum = (
            {name: bound for name, bound in bounds.items() if name in columns}
            for bounds in (self.minimum, self.maximum)
        )
        return replace(self, minimum=minimum, maximum=maximum)

    def moved_to(self, folder: Place) -> AddAction:
        """Move the file into a table's folder and return the log entry that adds it. On a disk its
        digest becomes part of its name; stores keep check sums of their own.
        """
        name = with_digest(self.name, self.path.path) if self.path.is_local else self.name
        (self.path.link if self.stays else self.path.move)(folder / name)
        stats = {
            "numRecords": self.rows,
            "minValues": dict(self.minimum),
            "maxValues": dict(self.maximum),
            "nullCount": dict(self.nulls),
        }
        return AddAction(
            path=name,
            size=self.size,
            partition_values={},
            modification_time=int(time.time() * 1000),
            data_change=True,
            stats=json.dumps(stats, ensure_ascii=False),
        )


def sizes(table: DeltaTable) -> dict[str, tuple[int, int]]:
    """Return bytes and rows of each file of a table, by its name in the log."""
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = (actions.column(name).to_pylist() for name in ("path", "size_bytes", "num_records"))
    return {path: (size, rows) for path, size, rows in zip(*columns, strict=True)}


def found_bytes(folder: Place, names: Iterable[str]) -> dict[str, int]:
    """Return the bytes of those data files that are there, of a store by listing it once."""
    if folder.is_local:
        paths = ((name, folder.path / unquote(name)) for name in names)
        return {name: path.stat().st_size for name, path in paths if path.is_file()}
    wanted = {unquote(name): name for name in names}
    selector = FileSelector("/", recursive=any("/" in path for path in wanted))
    listed = DeltaStorageHandler(folder.delta_uri).get_file_info_selector(selector)
    return {wanted[each.path]: each.size for each in listed if each.path in wanted}


def opened(folder: Place, names: Iterable[str]) -> Iterator[pq.ParquetFile]:
    """Yield data files of a table, named as in its log, open; those of a store are not large.

    Raises `FileNotFoundError` for one that is not there, `EngineError` and `ConfigError` for a
    store that does not answer or refuses; whatever else reading them raises is damage.
    """
    if folder.is_local:
        yield from (pq.ParquetFile(folder.path / unquote(name)) for name in names)
        return
    store = DeltaStorageHandler(folder.delta_uri)
    for name in map(unquote, names):
        try:
            with store.open_input_file(name) as file:
                content = file.read()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise of_store(f"{folder / name} cannot be read", error) from error
        yield pq.ParquetFile(BytesIO(content))


def with_digest(name: str, file: Path) -> str:
    """Return the name of a data file with the digest of what the file holds, by which anybody can
    tell whether it is as it was written: the first 128 bits of its SHA-256.
    """
    return f"{name.removesuffix('.parquet')}.{_digest(file)}.parquet"


def is_as_written(file: Path) -> bool | None:
    """Tell whether a data file holds what it held when it was named; None where its name has no
    digest. Raises `OSError` for a file that cannot be read.
    """
    named = _DIGEST.search(file.name)
    return None if named is None else named[1] == _digest(file)


def refuse_altered(folder: Place, names: Iterable[str]) -> None:
    """Raise `WarehouseError` for a data file of a table, named as in its log, that does not hold
    what was written: its rows, written anew, would have a digest that is right. Stores keep check
    sums of their own.
    """
    if not folder.is_local:
        return
    for name in names:
        if is_as_written(folder.path / unquote(name)) is False:
            raise WarehouseError(
                f"{folder}: {unquote(name)} does not hold what was written: its digest differs."
            )


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:32]
