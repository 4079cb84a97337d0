"""What the ledger tells of tables over the runs: rows, freshness, rules, and what moved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from streampro.modeling.model import TableName
from streampro.modeling.quarantine import Books
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.run import Run

MOST_RUNS = 30
"""Runs of a table that are shown, the newest."""
Newest = Callable[[TableName, int], date | None]
"""Returns when the newest row of a version of a table happened, None where nothing tells."""


@dataclass(frozen=True)
class TableRun:
    """A table as a run left it.

    Attributes:
        change: what the run did to it, None where it was not asked to.
        newest: when its newest row happened, None where nothing tells.
    """

    run: Run
    rows: int
    change: Change | None
    newest: date | None

    @property
    def age_h(self) -> float | None:
        """Hours from the newest row, or the end of its day, to the end of the run, from 0 up."""
        at = self.newest
        if at is None:
            return None
        if not isinstance(at, datetime):
            at = datetime.combine(at, time.max, UTC)
        return max(0.0, (self.run.finished_at - at).total_seconds() / 3600)


@dataclass(frozen=True)
class Outcome:
    """How a rule fared in the runs that built its table, the oldest first.

    Attributes:
        severity: `fail`, `quarantine` or `warn`.
        broken: by run the rows, or lines of the source, that broke it.
    """

    rule: str
    severity: str
    broken: Mapping[int, int]

    @property
    def last(self) -> tuple[int, int] | None:
        """The newest run in which it was broken, and by how many; None if it always held."""
        return next(((run, n) for run, n in [*self.broken.items()][::-1] if n), None)

    @property
    def times(self) -> int:
        """The number of runs in which it was broken."""
        return sum(1 for each in self.broken.values() if each)


def table_runs(runs: Sequence[Run], table: TableName, newest: Newest) -> list[TableRun]:
    """Return a table as the newest runs left it, the oldest first."""
    having = [(run, item) for run in runs if (item := run.table(table))][-MOST_RUNS:]
    return [
        TableRun(
            run,
            item.rows,
            next((each for each in run.changes if each.table == table), None),
            newest(table, item.version),
        )
        for run, item in having
    ]


def outcomes(
    runs: Sequence[Run], table: TableName, rules: Mapping[str, str], source: str | None
) -> list[Outcome]:
    """Return how rules of a table fared: those declared, `rules` by severity, and others of which
    runs tell: reasons for which lines of `source` were rejected, and what runs warned of.
    """
    built = [run for run in runs if _is_built(run, table)][-MOST_RUNS:]
    by_run = {run.run_id: _broken(run, table, source) for run in built}
    others: dict[str, str] = {}
    for broken in by_run.values():
        others |= {name: severity for name, (severity, _) in broken.items() if name not in rules}
    return [
        Outcome(name, severity, {n: by_run[n].get(name, ("", 0))[1] for n in by_run})
        for name, severity in ({**rules} | dict(sorted(others.items()))).items()
    ]


def changed(run: Run) -> list[Change]:
    """Return what a run did to the tables that it built, the most moved rows first."""
    built = [each for each in run.changes if each.mode != "unchanged"]
    return sorted(built, key=lambda each: (-moved(each), each.table))


def moved(change: Change) -> int:
    """Return the rows that a run added, removed or changed, as far as they were counted."""
    return sum(each or 0 for each in (change.added, change.removed, change.changed))


def shown_moves(run: Run, may_show: Callable[[TableName, str], bool]) -> tuple[list[Move], int]:
    """Return the values of answers that a run moved and that may be shown, `may_show` of a table
    and a column, and how many others there are.
    """
    shown = [each for each in run.moves if may_show(each.table, each.column)]
    return shown, len(run.moves) - len(shown)


def _is_built(run: Run, table: TableName) -> bool:
    item = run.table(table)
    return item is not None and item.seconds is not None


def _broken(run: Run, table: TableName, source: str | None) -> dict[str, tuple[str, int]]:
    """Return by rule its severity and what broke it."""
    found = {each.rule: ("warn", each.rows) for each in run.warnings if each.table == table}
    for account in _accounts(run, source):
        found |= {name: ("quarantine", lines) for name, lines in account.reasons.items()}
        found |= {name: ("warn", lines) for name, lines in account.warnings.items()}
    return found


def _accounts(run: Run, source: str | None) -> Iterator[Books]:
    return (account for account in run.books if account.source == source)
