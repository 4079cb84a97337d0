"""What runs have made known of every table: values, history, rules, and the runs themselves."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from streampro.catalog.declared import Declared, Entry
from streampro.catalog.history import Outcome, TableRun, changed, outcomes, shown_moves, table_runs
from streampro.catalog.values import Values, values
from streampro.config import Target
from streampro.errors import WarehouseError
from streampro.modeling.model import Model, TableName
from streampro.report.run_tables import RunTables
from streampro.storage import integrity
from streampro.storage.place import place_of
from streampro.storage.versions import remembered
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot, opened

MOST_RUNS = 100
"""Runs that the time line has, the newest."""
_CHANGES, _MOVES = 12, 12
"""Tables and values of answers that are named of a run."""


@dataclass(frozen=True)
class Found:
    """What is known of a table that the newest run has.

    Attributes:
        values: by column; empty where the run built the table by other code than the present.
    """

    rows: int
    values: Mapping[str, Values]
    history: Sequence[TableRun]
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class Moment:
    """A run on the time line.

    Attributes:
        changes: what it did to tables, the most moved rows first, and how many `more` there are.
        unchanged: the tables that it left as they were.
        moves: values of answers that moved, and how many `more_moves` there are or may not be
            shown.
    """

    run: Run
    seconds: float
    changes: Sequence[Change]
    more: int
    unchanged: int
    moves: Sequence[Move]
    more_moves: int


@dataclass(frozen=True)
class Measured:
    """What runs have made known; without any run nothing is.

    Attributes:
        tables: by full name, those that the newest run has.
        moments: the newest runs, the newest first.
        older: how many runs are older.
        other_code: full names of the tables that the newest run built by other code.
    """

    run: Run | None = None
    tables: Mapping[str, Found] = field(default_factory=dict)
    moments: Sequence[Moment] = ()
    older: int = 0
    other_code: Sequence[str] = ()


def measured(
    declared: Declared, target: Target, runs: Sequence[Run], session: Any = None
) -> Measured:
    """Return what is known of a pipeline whose newest run can be read."""
    newest = runs[-1]
    with remembered(), opened(target, newest, session) as snapshot:
        tables = RunTables(snapshot, declared.pipeline)
        found = {
            entry.name: _found(declared, tables, runs, entry)
            for entry in declared.entries
            if tables.has(TableName.of(entry.name))
        }
    return Measured(
        newest,
        found,
        [_moment(declared, run) for run in runs[: -MOST_RUNS - 1 : -1]],
        max(0, len(runs) - MOST_RUNS),
        [declared.pipeline.models[name].table for name in tables.other_code],
    )


def _found(declared: Declared, tables: RunTables, runs: Sequence[Run], entry: Entry) -> Found:
    table = TableName.of(entry.name)
    model = declared.pipeline.models.get(table.name)
    at = model.spec.event_time if model else None
    at = at if at and declared.shows(table.name, [at]) else None
    is_present = model is None or tables.knows(model.name)
    names = [each.name for each in entry.columns]
    shown = [each.name for each in entry.columns if not each.is_withheld]
    source = declared.pipeline.source_of(model).name if model and model.quarantine else None
    may_tell = not (model and model.quarantine) or declared.shows(
        model.rejected.name, ["reject_reason"]
    )
    return Found(
        tables.snapshot.row_count(table),
        values(tables, table, names, shown) if is_present else {},
        table_runs(runs, table, _newest(tables.snapshot, at)),
        outcomes(runs, table, entry.rules, source if may_tell else None),
    )


def _newest(snapshot: Snapshot, at: str | None) -> Callable[[TableName, int], date | None]:
    """Return what tells when the newest row of a version happened, as its log has it."""

    @cache
    def newest(table: TableName, version: int) -> date | None:
        found: list[date | None] = []
        with suppress(WarehouseError):  # of a run that was cleaned
            for part in snapshot.parts(table, version) if at else ():
                folder = place_of(part.warehouse).table(table)
                found.append(integrity.greatest(folder, part.version, at or ""))
        return max((each for each in found if each), default=None)

    return newest


def _moment(declared: Declared, run: Run) -> Moment:
    models = {model.table: model for model in declared.pipeline.models.values()}

    def may_show(table: TableName, column: str) -> bool:
        model: Model | None = models.get(table)
        return model is not None and declared.shows(model.name, [*model.spec.key, column])

    changes, (moves, hidden) = changed(run), shown_moves(run, may_show)
    return Moment(
        run,
        (run.finished_at - run.started_at).total_seconds(),
        changes[:_CHANGES],
        len(changes[_CHANGES:]),
        len(run.changes) - len(changes),
        moves[:_MOVES],
        len(moves[_MOVES:]) + hidden,
    )
