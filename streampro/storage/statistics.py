"""Data files of a Delta table, and the statistics of each that let readers skip it."""

import json
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from streampro.storage.place import Place

COMPRESSION = "zstd"
"""Of the data files of every engine."""
_LONGEST_TEXT_STATISTIC = 64


@dataclass(frozen=True)
class DataFile:
    """A parquet file and the statistics that let readers skip it (JSON values per column)."""

    path: Place
    name: str
    size: int
    rows: int
    minimum: Mapping[str, Any]
    maximum: Mapping[str, Any]
    nulls: Mapping[str, int]

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
        """Move the file into a table's folder and return the log entry that adds it."""
        self.path.move(folder / self.name)
        stats = {
            "numRecords": self.rows,
            "minValues": dict(self.minimum),
            "maxValues": dict(self.maximum),
            "nullCount": dict(self.nulls),
        }
        return AddAction(
            path=self.name,
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


def statistic(value: Any) -> Any:
    """Return a column's bound as the JSON value that a Delta log holds, None for no bound.

    Long texts are left out, as bounds need not be exact but must not be cut; so are booleans,
    floats and decimals, for which the log has no order, no NaN or no exact number.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    is_number = isinstance(value, int) and not isinstance(value, bool)
    is_text = isinstance(value, str) and len(value) <= _LONGEST_TEXT_STATISTIC
    return value if is_number or is_text else None


def bounds(footer: pq.FileMetaData, which: Literal["min", "max"]) -> dict[str, Any]:
    """Return per column the least or greatest value that a file's footer tells, as the log has it.

    A row group without values has no bound; where one with values tells none, there is none.
    """
    found = {}
    for name, chunks in _chunks(footer).items():
        parts = [chunk.statistics for chunk in chunks]
        filled = [p for p, c in zip(parts, chunks, strict=True) if not _is_empty(p, c.num_values)]
        if filled and all(part is not None and part.has_min_max for part in filled):
            pick = min if which == "min" else max
            found[name] = statistic(pick(getattr(part, which) for part in filled))
    return {name: value for name, value in found.items() if value is not None}


def nulls(footer: pq.FileMetaData) -> dict[str, int]:
    """Return per column the number of nulls that a file's footer tells."""
    return {
        name: sum(chunk.statistics.null_count for chunk in chunks)
        for name, chunks in _chunks(footer).items()
        if all(chunk.statistics and chunk.statistics.has_null_count for chunk in chunks)
    }


def _chunks(footer: pq.FileMetaData) -> dict[str, list[pq.ColumnChunkMetaData]]:
    """Return the chunks of each column that has no parts: of others the log has no bounds."""
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    leaves = (footer.schema.column(i) for i in range(footer.num_columns))
    names = {i: leaf.name for i, leaf in enumerate(leaves) if leaf.name == leaf.path}
    return {name: [group.column(i) for group in groups] for i, name in names.items()}


def _is_empty(statistics: pq.Statistics | None, values: int) -> bool:
    return bool(statistics and statistics.has_null_count and statistics.null_count == values)
