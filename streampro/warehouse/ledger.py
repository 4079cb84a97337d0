"""The ledger of runs: what each run read, counted and published. A run is published when its row
in `<warehouse>/_streampro/runs` is; the row pins the Delta version of every table.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from streampro.warehouse.changes import (Change, Move,)
from streampro.config import Location, Remote
from streampro.formats.files import (InputFile,)
from streampro.storage import (delta,)
from streampro.errors import ConfigError, WarehouseError, number_of
from streampro.notebook import html_table
from streampro.modeling.model import (TableName,)
from streampro.modeling.quarantine import (Books,)

FOLDER = "_streampro"
_UNUSABLE = re.compile(r"[\[\]%*?]")


@dataclass(frozen=True)
class PublishedTable:
    """A table as a run left it; `seconds` is null where the run did not build it."""

    table: str
    version: int
    rows: int
    seconds: float | None = None


@dataclass(frozen=True)
class Warned:
    """Rows that break a rule of severity `warn`."""

    table: str
    rule: str
    rows: int


@dataclass(frozen=True)
class Plan:
    """What a run would do. Attributes as in `Run`.

    Attributes:
        new_files: raw files that no run has read.
        lost_files: what became of files that the last run read: they changed or vanished.
    """

    new_files: tuple[InputFile, ...]
    lost_files: tuple[str, ...]
    books: tuple[Books, ...]
    warnings: tuple[Warned, ...]
    changes: tuple[Change, ...]
    moves: tuple[Move, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    def __repr__(self) -> str:
        modes = Counter(change.mode for change in self.changes)
        told = [number_of(len(self.new_files), "new file")]
        told += [f"{tables} {mode}" for mode, tables in modes.items()]
        if self.moves:
            told.append(f"{number_of(len(self.moves), 'value')} of answers would move")
        return f"<Plan: {', '.join(told)}>"

    def _repr_html_(self) -> str:
        shown = ("table", "mode", "reason", "added", "removed", "changed")
        rows = [{name: getattr(change, name) for name in shown} for change in self.changes]
        return html_table(repr(self)[1:-1], rows)


@dataclass(frozen=True)
class Run:
    """One published run. Instants are UTC.

    Attributes:
        run_id: 1, 2, ... in the order of publication.
        packages: versions of what computed and stored.
        code: per model the digest of the expression that its table was built from.
        inputs: the raw files that the tables were built from, as they were found.
        books: the account of every source that was read.
        tables: every table of the warehouse, also those that this run did not build.
        warnings: rows that break a rule of severity `warn`, references without a match among them.
        lineage: per table the versions of the tables that it was built from.
        changes: what the run did to each table that it was asked to build.
        moves: the values of answers that it changed.
        rolled_back_to: the run whose tables it published again, null for a run that built.
    """

    run_id: int
    started_at: datetime
    finished_at: datetime
    pipeline: str
    target: str
    engine: str
    packages: Mapping[str, str]
    code: Mapping[str, str]
    inputs: tuple[InputFile, ...]
    books: tuple[Books, ...]
    tables: tuple[PublishedTable, ...]
    warnings: tuple[Warned, ...] = ()
    lineage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    moves: tuple[Move, ...] = ()
    rolled_back_to: int | None = None

    @property
    def kind(self) -> str:
        """What it did: `full` if it computed all rows of all tables that it was asked for,
        `unchanged` if none, else `incremental`; or `rollback to N`.
        """
        if self.rolled_back_to is not None:
            return f"rollback to {self.rolled_back_to}"
        modes = {change.mode for change in self.changes} or {"full"}
        return modes.pop() if len(modes) == 1 else "incremental"

    @property
    def needs(self) -> set[tuple[TableName, int]]:
        """The table versions without which it cannot be read, or no run can go on from it."""
        pinned = {(item.table, item.version) for item in self.tables}
        compared = {pair for inputs in self.lineage.values() for pair in inputs.items()}
        return {(TableName(*table.split(".")), version) for table, version in pinned | compared}

    def table(self, table: TableName) -> PublishedTable | None:
        """Return a table as readers of this run see it, None if it was never published."""
        return next((item for item in self.tables if item.table == str(table)), None)

    def version_of(self, table: TableName) -> int | None:
        """Return the version that readers of this run see, None if it was never published."""
        found = self.table(table)
        return found.version if found else None

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return asdict(self) | {
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
        }

    def __repr__(self) -> str:
        return (
            f"<Run {self.run_id} of {self.pipeline}: {self.kind}, "
            f"{number_of(len(self.tables), 'table')}, target {self.target} ({self.engine}), "
            f"{self.finished_at:%Y-%m-%d %H:%M:%S} UTC>"
        )

    def _repr_html_(self) -> str:
        changes = {change.table: change for change in self.changes}
        rows = [
            {
                "table": item.table,
                "version": item.version,
                "rows": item.rows,
                "mode": changes[item.table].mode if item.table in changes else None,
                "reason": changes[item.table].reason if item.table in changes else None,
            }
            for item in self.tables
        ]
        return html_table(repr(self)[1:-1], rows)


_NAME_TO_TEXT = pa.map_(pa.string(), pa.string())
_NAME_TO_COUNT = pa.map_(pa.string(), pa.int64())
_INSTANT = pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    {
        "run_id": pa.int64(),
        "started_at": _INSTANT,
        "finished_at": _INSTANT,
        "pipeline": pa.string(),
        "target": pa.string(),
        "engine": pa.string(),
        "packages": _NAME_TO_TEXT,
        "code": _NAME_TO_TEXT,
        "inputs": pa.list_(
            pa.struct(
                {
                    "source": pa.string(),
                    "path": pa.string(),
                    "size": pa.int64(),
                    "modified_ns": pa.int64(),
                    "etag": pa.string(),
                }
            )
        ),
        "books": pa.list_(
            pa.struct(
                {
                    "source": pa.string(),
                    "lines": pa.int64(),
                    "accepted": pa.int64(),
                    "duplicates": pa.int64(),
                    "rejected": pa.int64(),
                    "reasons": _NAME_TO_COUNT,
                    "warnings": _NAME_TO_COUNT,
                }
            )
        ),
        "tables": pa.list_(
            pa.struct(
                {
                    "table": pa.string(),
                    "version": pa.int64(),
                    "rows": pa.int64(),
                    "seconds": pa.float64(),
                }
            )
        ),
        "warnings": pa.list_(
            pa.struct({"table": pa.string(), "rule": pa.string(), "rows": pa.int64()})
        ),
        "lineage": pa.map_(pa.string(), pa.map_(pa.string(), pa.int64())),
        "changes": pa.list_(
            pa.struct(
                {
                    "table": pa.string(),
                    "mode": pa.string(),
                    "reason": pa.string(),
                    "keys": pa.int64(),
                    "added": pa.int64(),
                    "removed": pa.int64(),
                    "changed": pa.int64(),
                    "columns": _NAME_TO_COUNT,
                    "late": pa.int64(),
                    "late_by_s": pa.float64(),
                }
            )
        ),
        "moves": pa.list_(
            pa.struct(dict.fromkeys(("table", "row", "column", "before", "after"), pa.string()))
        ),
        "rolled_back_to": pa.int64(),
    }
)


def append(warehouse: Location, run: Run) -> None:
    """Publish a run: its row is written last, in one commit."""
    delta.append(warehouse / FOLDER / "runs", pa.Table.from_pylist([asdict(run)], schema=_SCHEMA))


def runs(warehouse: Location) -> list[Run]:
    """Return all published runs of a warehouse folder, the oldest first; none where there is no
    warehouse yet.

    ```python
    for run in streampro.runs(target.warehouse):
        print(run.run_id, run.kind, run.finished_at)
    ```
    """
    table = delta.read(warehouse / FOLDER / "runs")
    rows = [] if table is None else table.to_pylist()
    return sorted((_run(row) for row in rows), key=lambda run: run.run_id)


def newest(warehouse: Location) -> Run | None:
    """Return the run that readers see, None before the first."""
    found = runs(warehouse)
    return found[-1] if found else None


@contextmanager
def writing(warehouse: Location) -> Iterator[None]:
    """Hold the warehouse as its only writer, after removing what a killed writer left.

    A remote warehouse cannot be held: that one run writes at a time is the scheduler's duty.

    Raises `ConfigError` for a folder that holds something else, `WarehouseError` when another run
    is writing or the folder cannot be written.
    """
    if isinstance(warehouse, Remote):
        yield
        return
    own = warehouse / FOLDER
    if unusable := _UNUSABLE.search(str(warehouse.absolute())):
        raise ConfigError(
            f"the path of a warehouse must not contain {unusable[0]!r}, which Delta readers take "
            f"for a pattern or an escape: {warehouse}"
        )
    if warehouse.is_dir() and any(warehouse.iterdir()) and not own.is_dir():
        raise ConfigError(
            f"{warehouse} holds other files and is no StreamPro warehouse. "
            "Choose an empty or a new folder with --warehouse."
        )
    try:
        own.mkdir(parents=True, exist_ok=True)
        lock = FileLock(own / "lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise WarehouseError(
            f"another run is writing to {warehouse}. Wait for it to end, then run again."
        ) from error
    except OSError as error:
        raise WarehouseError(f"the warehouse {warehouse} cannot be written: {error}") from error
    with lock:
        for leftover in (own / "staging").glob("*"):
            delta.remove_leftovers(warehouse, leftover)
        yield


def _run(row: dict[str, Any]) -> Run:
    for name in ("packages", "code"):
        row[name] = dict(row[name])
    books = [
        Books(**item | {"reasons": dict(item["reasons"]), "warnings": dict(item["warnings"])})
        for item in row["books"]
    ]
    return Run(
        **row
        | {
            "inputs": tuple(InputFile(**item) for item in row["inputs"]),
            "books": tuple(books),
            "tables": tuple(PublishedTable(**item) for item in row["tables"]),
            "warnings": tuple(Warned(**item) for item in row["warnings"]),
            "lineage": {table: dict(inputs) for table, inputs in row.get("lineage") or ()},
            "changes": tuple(
                Change(**item | {"columns": dict(item["columns"])})
                for item in row.get("changes") or ()
            ),
            "moves": tuple(Move(**item) for item in row.get("moves") or ()),
        }
    )
