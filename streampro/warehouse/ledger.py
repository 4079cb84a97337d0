"""The ledger of runs: what each run read, counted and published. A run is published when its row
in `<warehouse>/_streampro/runs` is; the row pins the Delta version of every table.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from streampro.config import Target
from streampro.errors import ConfigError, OvertakenError, WarehouseError, advised, number_of
from streampro.formats.files import InputFile
from streampro.location import Location
from streampro.modeling.model import TableName
from streampro.modeling.quarantine import Books
from streampro.names import WAREHOUSE
from streampro.notebook import html_table
from streampro.storage import delta, marks
from streampro.storage.place import Place, place_of
from streampro.storage.versions import remembered
from streampro.warehouse import known_files
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.folders import usable
from streampro.warehouse.known_files import KnownFiles

RUNS, KNOWN_FILES, EXPORTS = marks.RUNS, *(TableName(WAREHOUSE, n) for n in ("files", "exports"))
"""Our own tables in a warehouse."""


@dataclass(frozen=True)
class PublishedTable:
    """A table as a run left it; `seconds` is null where the run did not build it."""

    table: TableName
    version: int
    rows: int
    seconds: float | None = None


@dataclass(frozen=True)
class Warned:
    """Rows that break a rule of severity `warn`."""

    table: TableName
    rule: str
    rows: int


@dataclass(frozen=True)
class Plan:
    """What a run would do. Attributes as in `Run`.

    Attributes:
        new_files: raw files that no run has read.
        lost_files: what became of files that the last run read: they changed or vanished.
        allowances: what models may compute though engines differ in it, and why.
        unread_files: files below the raw folder that no source reads.
        limits: per source that was read what of it may be odd, in words.
    """

    new_files: tuple[InputFile, ...]
    lost_files: tuple[str, ...]
    books: tuple[Books, ...]
    warnings: tuple[Warned, ...]
    changes: tuple[Change, ...]
    moves: tuple[Move, ...]
    allowances: tuple[str, ...] = ()
    unread_files: tuple[str, ...] = ()
    limits: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return asdict(self)

    def __repr__(self) -> str:
        modes = Counter(change.mode for change in self.changes)
        parts = [number_of(len(self.new_files), "new file")]
        parts += [f"{tables} {mode}" for mode, tables in modes.items()]
        if self.moves:
            parts.append(f"{number_of(len(self.moves), 'value')} of answers would move")
        return f"<Plan: {', '.join(parts)}>"

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
        inputs: the raw files that the tables were built from, as they were found; what looks at
            them raises `WarehouseError` where the run was cleaned.
        books: the account of every source that was read.
        tables: every table of the warehouse, also those that this run did not build.
        warnings: rows that break a rule of severity `warn`, references without a match among them.
        lineage: per table the versions of the tables that it was built from.
        changes: what the run did to each table that it was asked to build.
        moves: the values of answers that it changed.
        rolled_back_to: the run whose tables it published again, null for a run that built.
        files_version: the version of the table of raw files that holds `inputs`.
        files_count: how many files that version has.
        tokens: per table the mark of the commit that made its version, by which that is told from
            another of the same number; none where an older release published it.
        checked: a digest of all that `check` looks at, with which it found nothing.
    """

    run_id: int
    started_at: datetime
    finished_at: datetime
    pipeline: str
    target: str
    engine: str
    packages: Mapping[str, str]
    code: Mapping[str, str]
    inputs: Sequence[InputFile]
    books: tuple[Books, ...]
    tables: tuple[PublishedTable, ...]
    warnings: tuple[Warned, ...] = ()
    lineage: Mapping[TableName, Mapping[TableName, int]] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    moves: tuple[Move, ...] = ()
    rolled_back_to: int | None = None
    files_version: int | None = None
    checked: str | None = None
    tokens: Mapping[TableName, str] = field(default_factory=dict)
    files_count: int | None = None

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
        if self.files_version is not None:
            pinned.add((KNOWN_FILES, self.files_version))
        return pinned | {pair for inputs in self.lineage.values() for pair in inputs.items()}

    def table(self, table: TableName) -> PublishedTable | None:
        """Return a table as readers of this run see it, None if it was never published."""
        return next((item for item in self.tables if item.table == table), None)

    def version_of(self, table: TableName) -> int | None:
        """Return the version that readers of this run see, None if it was never published."""
        found = self.table(table)
        return found.version if found else None

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON values; `inputs` are null where the run was cleaned."""
        inputs: list[dict[str, Any]] | None = None
        with suppress(WarehouseError):
            inputs = [asdict(file) for file in self.inputs]
        return asdict(replace(self, inputs=())) | {
            "inputs": inputs,
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


def _arrow_type(kind: Any) -> pa.DataType:
    """Return the type in which the ledger stores values of a Python type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        [kind] = (each for each in arguments if each is not NoneType)
        return _arrow_type(kind)
    if origin in (tuple, Sequence):
        return pa.list_(_arrow_type(arguments[0]))
    if origin in (Mapping, dict):
        return pa.map_(*map(_arrow_type, arguments))
    if is_dataclass(kind):
        return pa.struct(_arrow_fields(kind))
    return pa.string() if origin is Literal else _SCALARS[kind]


def _arrow_fields(declared: Any) -> dict[str, pa.DataType]:
    hints = get_type_hints(declared)
    return {field.name: _arrow_type(hints[field.name]) for field in fields(declared)}


_SCALARS = {
    str: pa.string(),
    TableName: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", "UTC"),
}


_DIGEST = "digest"
"""The column that says what a row said when it was written."""


@cache
def _schema() -> pa.Schema:
    """Return the columns of the ledger, which are the fields of `Run`."""
    return pa.schema(_arrow_fields(Run))


@cache
def _run_type() -> "TypeAdapter[Run]":
    return TypeAdapter(Run)


@remembered()
def append(warehouse: Location, run: Run, known_holder: str = "") -> Run:
    """Publish a run and return it as it is kept: its row is written last, in one commit, after that
    of the run before, which must be the newest. `known_holder` is what `marks.holder` was when it
    began.

    Raises `OvertakenError` where another run was published meanwhile, or versions were written
    anew, `WarehouseError` when the ledger cannot be written, and for a run that was cleaned.
    """
    place = place_of(warehouse)
    last = delta.read_last(place.table(RUNS), "run_id")
    newest = last[1]["run_id"][0].as_py() if last else 0
    overtaken = (
        f"another run was published in {place} meanwhile. Nothing of this one was published: "
        "run again."
    )
    if newest != run.run_id - 1:
        raise OvertakenError(overtaken)
    if marks.holder(place) != known_holder:
        raise OvertakenError(
            f"what runs have read in {place} was written anew meanwhile. Nothing of this one was "
            "published: run again."
        )
    back_to = run.rolled_back_to
    if back_to is not None and back_to < (oldest := marks.oldest(place)):
        raise WarehouseError(f"run {back_to} was cleaned; the oldest that can be read is {oldest}.")
    try:
        delta.write(place.table(RUNS), _rows([run]), last[0] if last else None)
    except OvertakenError as error:
        if not _is_published(place, run):
            raise OvertakenError(overtaken) from error
    return run


def _is_published(place: Place, run: Run) -> bool:
    """Tell whether the newest run is this one: a store may write a row and not be heard."""
    last = delta.read_last(place.table(RUNS), "run_id")
    newest = runs_of(place, last[1]) if last else []
    return [(each.run_id, each.started_at, each.tokens) for each in newest] == [
        (run.run_id, run.started_at, run.tokens)
    ]


def rewrite(warehouse: Location, runs: Sequence[Run]) -> None:
    """Write a ledger of these runs where there is none. Raises `WarehouseError` when it cannot be
    written.
    """
    delta.write(place_of(warehouse).table(RUNS), _rows(runs))


def files(warehouse: Location, last: Run | None, found: Sequence[InputFile]) -> KnownFiles:
    """Return the raw files of a run that is to be published, kept beside the ledger."""
    folder = place_of(warehouse).table(KNOWN_FILES)
    return known_files.kept(folder, last.inputs if last else (), found)


def runs(target: Target | Location) -> list[Run]:
    """Return all published runs of a target, or of a warehouse folder, the oldest first; none
    where there is no warehouse yet.

    ```python
    for run in streampro.runs(target):
        print(run.run_id, run.kind, run.finished_at)
    ```
    """
    if type(target) is str:
        raise ConfigError(f"runs() is given {target!r}: give a Target, or Path({target!r}).")
    place = usable(target.warehouse if isinstance(target, Target) else target)
    with advised(known_files.REPAIR):
        table = delta.read(place.table(RUNS))
        found = [] if table is None else runs_of(place, table.sort_by("run_id"))
        if [run.run_id for run in found] != [*range(1, len(found) + 1)]:
            raise WarehouseError(f"{place}: runs are missing in the ledger.")
    return found


def run(warehouse: Location, run_id: int) -> Run | None:
    """Return a published run, None if there is none of that number."""
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        table = delta.read(place.table(RUNS))
        found = [] if table is None else runs_of(place, table.filter(pc.field("run_id") == run_id))
    return found[0] if found else None


def newest(warehouse: Location) -> Run | None:
    """Return the run that readers see, None before the first. Older ones are not looked at."""
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        last = delta.read_last(place.table(RUNS), "run_id")
        return runs_of(place, last[1])[0] if last else None


def _rows(runs: Sequence[Run]) -> pa.Table:
    kept = (
        replace(run, inputs=() if run.files_version is not None else run.inputs) for run in runs
    )
    return signed(pa.Table.from_pylist([asdict(run) for run in kept], schema=_schema()))


def signed(rows: pa.Table) -> pa.Table:
    """Return rows of the ledger, each with the digest of all that it says, by which anybody can
    tell whether it is as it was written.
    """
    said = rows.select([name for name in rows.column_names if name != _DIGEST])
    digests = [_digest(row) for row in said.to_pylist(maps_as_pydicts="strict")]
    return said.append_column(_DIGEST, pa.array(digests, pa.string()))


def _digest(row: Mapping[str, Any]) -> str:
    """Return the first 128 bits of the SHA-256 of what a row says; a column that an older release
    did not know says nothing.
    """
    text = json.dumps(_given(row), sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:32]


def _given(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _given(each) for name, each in value.items() if each is not None}
    return [*map(_given, value)] if isinstance(value, list) else value


def runs_of(warehouse: Place, rows: pa.Table) -> list[Run]:
    """Return the runs of rows; what an older release did not know is as by default. Raises
    `WarehouseError` for rows that are not as they were written.
    """
    damaged = f"{warehouse}: the ledger does not hold what was written."
    try:
        said = rows.to_pylist(maps_as_pydicts="strict")
        digests = [row.pop(_DIGEST, None) for row in said]
        if any(each not in (None, _digest(row)) for each, row in zip(digests, said, strict=True)):
            raise WarehouseError(damaged)
        kept_runs = [
            _run_type().validate_python({k: v for k, v in row.items() if v is not None})
            for row in said
        ]
    except (AttributeError, TypeError, ValueError) as error:  # of rows that have no digest
        raise WarehouseError(damaged) from error
    found = []
    for read in kept_runs:
        version = read.files_version
        kept = warehouse.table(KNOWN_FILES)
        inputs: Sequence[InputFile] = tuple(read.inputs)
        if version is not None:
            inputs = KnownFiles(kept, version, read.files_count)
        found.append(replace(read, inputs=inputs))
    return found
