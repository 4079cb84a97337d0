"""Delta tables on local storage: one atomic log entry per publication."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from streampro.config import Location, Remote
from streampro.contract import Contract, schema_of
from streampro.errors import WarehouseError

Move = Callable[[Location, Location], None]
_DESCRIPTION_KEY = "comment"
_LONGEST_TEXT_STATISTIC = 64


def move_locally(source: Location, destination: Location) -> None:
    """Move a file within the local file system of a warehouse."""
    Path(source).replace(destination)


@dataclass(frozen=True)
class DataFile:
    """A parquet file and the statistics that let readers skip it (JSON values per column)."""

    path: Location
    name: str
    size: int
    rows: int
    minimum: Mapping[str, Any]
    maximum: Mapping[str, Any]
    nulls: Mapping[str, int]

    def moved_to(self, folder: Location, move: Move) -> AddAction:
        """Move the file into a table's folder and return the log entry that adds it."""
        move(self.path, folder / self.name)
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


def statistic(value: Any) -> Any:
    """Return a column's bound as the JSON value that a Delta log holds, None for no bound.

    Long texts are left out, as bounds need not be exact but must not be cut; so are booleans,
    floats and decimals, for which the log has no order, no NaN or no exact number.
    """
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
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


def published_schema(contract: type[Contract]) -> pa.Schema:
    """Return the published schema: canonical types, descriptions as column comments."""
    columns = contract.to_schema().columns
    return pa.schema(
        [
            field.with_metadata({_DESCRIPTION_KEY: columns[field.name].description or ""})
            for field in schema_of(contract).to_pyarrow()
        ]
    )


def overwrite(
    folder: Location,
    files: Sequence[DataFile],
    schema: pa.Schema,
    description: str,
    run: int,
    move: Move = move_locally,
) -> int:
    """Make `files` the whole content of the table in `folder`; return its new version.

    Older versions stay readable. Raises `WarehouseError` when the log cannot be written.
    """
    properties = CommitProperties(custom_metadata={"streampro.run": str(run)})
    columns = Schema.from_arrow(schema)
    try:
        if isinstance(folder, Path):
            folder.mkdir(parents=True, exist_ok=True)
        actions = [file.moved_to(folder, move) for file in files]
        if DeltaTable.is_deltatable(str(folder)):
            DeltaTable(str(folder)).create_write_transaction(
                [*actions], mode="overwrite", schema=columns, commit_properties=properties
            )
        else:
            create_table_with_add_actions(
                str(folder),
                columns,
                actions,
                description=description,
                commit_properties=properties,
            )
        return DeltaTable(str(folder)).version()
    except (DeltaError, OSError) as error:
        raise WarehouseError(f"{folder}: the table cannot be published: {error}") from error


def append(folder: Location, rows: pa.Table) -> None:
    """Append rows to the table in `folder` in one commit, creating it if need be.

    Raises `WarehouseError` when it cannot be written.
    """
    try:
        write_deltalake(str(folder), rows, mode="append")
    except (DeltaError, OSError) as error:
        raise WarehouseError(f"{folder}: the table cannot be written: {error}") from error


def read(folder: Location, version: int | None = None) -> pa.Table | None:
    """Return the rows of a small table, by default of its newest version; None if there is none.

    Its files are read directly: `DeltaTable.to_pyarrow_table` leaves threads behind that abort a
    process which ends right after it, about every second time.

    Raises `WarehouseError` when the table is damaged.
    """
    try:
        if not DeltaTable.is_deltatable(str(folder)):
            return None
        table = DeltaTable(str(folder), version=version)
        if isinstance(folder, Remote):
            return table.to_pyarrow_table()
        rows = [pq.ParquetFile(path).read() for path in sorted(_data_files(table, folder))]
        schema = pa.schema(table.schema().to_arrow())
        found = pa.concat_tables([schema.empty_table(), *rows], promote_options="permissive")
        return found.select(schema.names)
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise WarehouseError(f"{folder}: the table cannot be read: {error}") from error


def remove_leftovers(warehouse: Path, staging: Path) -> None:
    """Remove what a run left behind: staged files, and moved ones that no log entry names.

    `staging` is the run's folder; its name is the token that the run's data files carry. Call it
    only while no other run writes.
    """
    if not staging.is_dir():
        return
    for path in warehouse.glob(f"*/*/*{staging.name}*.parquet"):
        if path not in _live_files(path.parent):
            path.unlink()
    try:
        shutil.rmtree(staging)
    except OSError as error:
        raise WarehouseError(f"{staging} cannot be removed: {error}") from error


def _live_files(folder: Path) -> set[Path]:
    if not DeltaTable.is_deltatable(str(folder)):
        return set()
    return _data_files(DeltaTable(str(folder)), folder)


def _data_files(table: DeltaTable, folder: Path) -> set[Path]:
    actions = pa.table(table.get_add_actions(flatten=True))
    return {folder / path for path in actions.column("path").to_pylist()}


def _chunks(footer: pq.FileMetaData) -> dict[str, list[pq.ColumnChunkMetaData]]:
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    names = {i: footer.schema.column(i).path for i in range(footer.num_columns)}
    return {name: [group.column(i) for group in groups] for i, name in names.items()}


def _is_empty(statistics: pq.Statistics | None, values: int) -> bool:
    return bool(statistics and statistics.has_null_count and statistics.null_count == values)
