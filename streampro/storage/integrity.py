"""Whether the data files of a version are as they were written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from streampro.errors import WarehouseError
from streampro.storage.data_files import DataFile, found_bytes, is_as_written
from streampro.storage.native import native, of_store, reason
from streampro.storage.place import Place
from streampro.storage.statistics import bounds, statistic
from streampro.storage.versions import version_of


@dataclass(frozen=True)
class LoggedFile:
    """A data file as the log tells of it.

    Attributes:
        place: where it lies.
        name: as the log has it, below the table's folder.
        found: the bytes that it has, None if it is missing.
        rows: how many the log says, None where what it says is damaged.
        minimum: bounds of columns, as JSON values; `maximum` likewise.
        nulls: of columns.
    """

    place: Place
    name: str
    size: int
    found: int | None
    rows: int | None
    minimum: Mapping[str, object] = field(hash=False)
    maximum: Mapping[str, object] = field(hash=False)
    nulls: Mapping[str, int] = field(hash=False)

    def as_data_file(self, name: str) -> DataFile:
        """Return it as a file for another table, which also stays where it is."""
        return DataFile(
            path=self.place,
            name=name,
            size=self.size,
            rows=self.rows or 0,
            minimum=self.minimum,
            maximum=self.maximum,
            nulls=self.nulls,
            stays=True,
        )


@native
def logged_files(folder: Place, version: int) -> list[LoggedFile]:
    """Return the data files of a version.

    Raises `WarehouseError` where the log does not tell of such a version, `EngineError` for a store
    that does not answer.
    """
    with _read(folder, version):
        rows = _entries(folder, version)
        found = found_bytes(folder, [row["path"] for row in rows])
    return [
        LoggedFile(
            place=folder / unquote(row["path"]),
            name=unquote(row["path"]),
            size=row["size_bytes"],
            found=found.get(row["path"]),
            rows=row["num_records"],
            minimum=_bounds(row, "min."),
            maximum=_bounds(row, "max."),
            nulls={
                name.removeprefix("null_count."): int(number)
                for name, number in row.items()
                if name.startswith("null_count.") and number is not None
            },
        )
        for row in rows
    ]


@native
def greatest(folder: Place, version: int, column: str) -> Any:
    """Return the greatest value of a column in a version, read off its log alone; None where that
    tells none: of personal columns, and where no row has a value. Raises `WarehouseError` where the
    log does not tell of such a version, `EngineError` for a store that does not answer.
    """
    with _read(folder, version):
        files = _entries(folder, version)
    filled = [each for each in files if each.get(f"null_count.{column}") != each["num_records"]]
    found: list[Any] = [each.get(f"max.{column}") for each in filled]
    return None if None in found else max(found, default=None)


def damage(file: LoggedFile, scratch: Path) -> str | None:
    """Return what is wrong with a data file in words, None for one that is as it was written. One
    of a store is copied to `scratch` for as long as it is looked at.

    Files without a digest in their names are read instead, as far as Parquet tells.
    """
    if file.found is None:
        return "it is missing"
    try:
        with file.place.at_hand(scratch) as path:
            return next(_damages(file, path), None)
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error}"


def is_there(file: LoggedFile) -> bool:
    """Tell whether a data file is there, whatever it holds."""
    return file.found is not None


@contextmanager
def _read(folder: Place, version: int) -> Iterator[None]:
    try:
        yield
    except (DeltaError, OSError) as error:
        what = f"version {version} of {folder} cannot be read"
        if not folder.is_local and not isinstance(error, DeltaError | FileNotFoundError):
            raise of_store(what, error) from error
        raise WarehouseError(f"{what}: {reason(error)}") from error


def _entries(folder: Place, version: int) -> list[dict[str, Any]]:
    """Return what the log says of each data file of a version."""
    return list(pa.table(version_of(folder, version).get_add_actions(flatten=True)).to_pylist())


def _damages(file: LoggedFile, path: Path) -> Iterator[str]:
    try:
        size = path.stat().st_size
        if size != file.size:
            yield f"it has {size:,} bytes, but {file.size:,} were written"
        is_same = is_as_written(path)
        if is_same is False:
            yield "it does not hold what was written: its digest differs"
        footer = pq.read_metadata(path)
        if footer.num_rows != file.rows:
            yield f"it has {footer.num_rows} rows, but its log says {file.rows}"
        for which, told in (("min", file.minimum), ("max", file.maximum)):
            found = bounds(footer, which)  # type: ignore[arg-type]  # of the two texts
            for name in (name for name in told if found.get(name, told[name]) != told[name]):
                yield f"its log says another {which}imum of column {name} than it has"
        if is_same is None:
            pq.read_table(path)
    except pa.ArrowException as error:
        yield f"it cannot be read: {error}"


def _bounds(row: dict[str, object], prefix: str) -> dict[str, object]:
    told = {
        name.removeprefix(prefix): statistic(value)
        for name, value in row.items()
        if name.startswith(prefix) and value is not None
    }
    return {name: value for name, value in told.items() if value is not None}
