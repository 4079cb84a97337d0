"""A run as the ledger keeps it, and the plan of one."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from streampro.errors import WarehouseError, number_of
from streampro.formats.files import InputFile
from streampro.modeling.model import TableName
from streampro.modeling.quarantine import Books
from streampro.names import WAREHOUSE
from streampro.notebook import html_table
from streampro.storage import marks
from streampro.warehouse.changes import Change, Move

RUNS, KNOWN_FILES, EXPORTS = marks.RUNS, *(TableName(WAREHOUSE, n) for n in ("files", "exports"))
"""Our own tables in a warehouse."""
REPAIRED = TableName(WAREHOUSE, "repaired")
"""The runs of a ledger that is written anew, as long as that takes."""


@dataclass(frozen=True)
class PublishedTable:
    """A table as a run left it; `seconds` is null where the run did not build it."""

    table: TableName
    version: int
    rows: int
    seconds: float | None = None


@dataclass(frozen=True)
class Fork:
    """The run of main at which a branch begins.

    Attributes:
        run_id: its number.
        versions: its tables. What the branch makes of a table has the numbers that come after.
        tokens: see `Run`.
    """

    run_id: int
    versions: Mapping[TableName, int]
    tokens: Mapping[TableName, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Where the code of a run is from.

    Attributes:
        commit: of its repository, null where it is in none.
        changes: a digest of what was not committed of it; null where all was.
        lock: a digest of the names and versions of all packages that are installed.
    """

    commit: str | None
    changes: str | None
    lock: str


class Kept(NamedTuple):
    """A version of a Delta table, in the warehouse of the run or in that of main; its commit has
    the token, if one is known.
    """

    is_of_main: bool
    version: int
    token: str | None


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
        by_runs: which tables depend on when runs were, and why, a sentence each.
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
    by_runs: tuple[str, ...] = ()

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
        checked: a digest of engine and packages with which `check` looked at the models.
        judged: per model a digest of all that `check` looked at, in which it found nothing.
        fork: of a branch where it begins, null on main.
        added: tables of a branch that have the rows of main's version besides those of its own.
        origin: where the code is from that built it, null where an older release did.
        merged: the branch whose tables it published, null for a run that built.
        observed: the tables that keep what runs have seen, which no run can compute again; also
            those whose model the pipeline no longer has.
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
    fork: Fork | None = None
    added: tuple[TableName, ...] = ()
    merged: str | None = None
    origin: Origin | None = None
    observed: tuple[TableName, ...] = ()
    judged: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it did: `full` if it computed all rows of all tables that it was asked for,
        `unchanged` if none, else `incremental`; or `rollback to N`, `merge of NAME`.
        """
        if self.merged is not None:
            return f"merge of {self.merged}"
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

    def first_own(self, table: TableName) -> int:
        """Return the number that the first version has which its warehouse has of a table: 0, or
        on a branch the one after main's.
        """
        return self.fork.versions.get(table, -1) + 1 if self.fork else 0

    @property
    def own_tables(self) -> tuple[TableName, ...]:
        """The tables that its warehouse has: of a branch those that are not main's."""
        return tuple(i.table for i in self.tables if i.version >= self.first_own(i.table))

    def parts(self, table: TableName, version: int) -> list[Kept]:
        """Return what a version of a table consists of: one version of a Delta table, or on a
        branch two, where it only added rows to those of main.
        """
        is_pinned = self.version_of(table) == version
        token = self.tokens.get(table) if is_pinned else None
        own = version - self.first_own(table)
        if self.fork is None or (own >= 0 and not (is_pinned and table in self.added)):
            return [Kept(False, own, token)]
        if own < 0:
            return [Kept(True, version, token)]
        base = self.fork.versions[table], self.fork.tokens.get(table)
        return [Kept(True, *base), Kept(False, own, token)]

    def needs_of(self, main: bool) -> set[tuple[TableName, int]]:
        """Return which versions of Delta tables it needs of the warehouse of main, or of its own;
        of a run of main all are its own.
        """
        return {
            (table, part.version)
            for table, version in self.needs
            for part in self.parts(table, version)
            if part.is_of_main is main
        }

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


def whole_books(
    runs: Iterable[Run], reads: Mapping[TableName, Collection[str]]
) -> dict[str, Books]:
    """Return by source the account of the lines of runs, the newest first, since it was last read
    as a whole; `reads` are the sources of each table.
    """
    found: dict[str, Books] = {}
    closed: set[str] = set()
    for run in runs:
        for books in run.books:
            if books.source not in closed:
                so_far = found.get(books.source)
                found[books.source] = so_far + books if so_far else books
        for change in run.changes:
            if change.mode == "full":
                closed |= {*reads.get(change.table, ())}
    return found
