"""Whether the data files of a version are as they were written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import WarehouseError
from streampro.storage.data_files import is_as_written
from streampro.storage.native import native
from streampro.storage.statistics import bounds, statistic


@dataclass(frozen=True)
class LoggedFile:
    """A data file as the log tells of it.

    Attributes:
        rows: how many the log says, None where what it says is damaged.
        minimum: bounds of columns, as JSON values; `maximum` likewise.
    """

    path: Path
    size: int
    rows: int | None
    minimum: Mapping[str, object] = field(hash=False)
    maximum: Mapping[str, object] = field(hash=False)


@native
def logged_files(folder: Path, version: int) -> list[LoggedFile]:
    """Return the data files of a version on a disk.

    Raises `WarehouseError` where the log does not tell of such a version.
    """
    try:
        table = DeltaTable(str(folder), version=version)
        rows = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    except (DeltaError, OSError) as error:
        raise WarehouseError(f"version {version} of {folder} cannot be read: {error}") from error
    return [
        LoggedFile(
            path=folder / unquote(row["path"]),
            size=row["size_bytes"],
            rows=row["num_records"],
            minimum=_bounds(row, "min."),
            maximum=_bounds(row, "max."),
        )
        for row in rows
    ]


def damage(file: LoggedFile) -> str | None:
    """Return what is wrong with a data file in words, None for one that is as it was written.

    Files without a digest in their names are read instead, as far as Parquet tells.
    """
    return next(_damages(file), None)


def is_there(file: LoggedFile) -> bool:
    """Tell whether a data file is there, whatever it holds."""
    return file.path.is_file()


def _damages(file: LoggedFile) -> Iterator[str]:
    try:
        size = file.path.stat().st_size
        if size != file.size:
            yield f"it has {size:,} bytes, but {file.size:,} were written"
        is_same = is_as_written(file.path)
        if is_same is False:
            yield "it does not hold what was written: its digest differs"
        footer = pq.read_metadata(file.path)
        if footer.num_rows != file.rows:
            yield f"it has {footer.num_rows} rows, but its log says {file.rows}"
        for which, told in (("min", file.minimum), ("max", file.maximum)):
            found = bounds(footer, which)  # type: ignore[arg-type]  # of the two texts
            for name in (name for name in told if found.get(name, told[name]) != told[name]):
                yield f"its log says another {which}imum of column {name} than it has"
        if is_same is None:
            pq.read_table(file.path)
    except FileNotFoundError:
        yield "it is missing"
    except (OSError, pa.ArrowException) as error:
        yield f"it cannot be read: {error}"


def _bounds(row: dict[str, object], prefix: str) -> dict[str, object]:
    told = {
        name.removeprefix(prefix): statistic(value)
        for name, value in row.items()
        if name.startswith(prefix) and value is not None
    }
    return {name: value for name, value in told.items() if value is not None}
