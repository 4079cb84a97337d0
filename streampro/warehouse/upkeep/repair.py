"""A damaged warehouse brought to where runs can go on from it. Nothing is removed: what cannot be
read is set aside.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from io import BytesIO
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq

from streampro.arguments import asks
from streampro.config import Target
from streampro.environment import undisturbed
from streampro.errors import ConfigError, WarehouseError
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.names import WAREHOUSE
from streampro.storage import delta, integrity, log
from streampro.storage.log import Action
from streampro.storage.place import Place
from streampro.warehouse import ledger
from streampro.warehouse.folders import reached, refuse_branch, writing
from streampro.warehouse.run import KNOWN_FILES, REPAIRED, RUNS, PublishedTable, Run


@dataclass(frozen=True)
class Repaired:
    """What was wrong with a warehouse, and is no longer.

    Attributes:
        runs: those of the ledger as it is now.
        rebuilt: those of them that only the commits of their tables tell of: which versions they
            published, not what they read and counted. Where the newest is one, or the list of raw
            files was lost, the next run computes all tables anew.
        set_aside: folders that could not be read, below `_streampro/damaged`.
        lost: tables among them that keep what runs have seen, which no run can build anew.
    """

    runs: tuple[int, ...]
    rebuilt: tuple[int, ...]
    set_aside: tuple[str, ...]
    lost: tuple[TableName, ...] = ()


@dataclass(frozen=True)
class _Commit:
    """What an entry of a table's log says of the run that made it."""

    table: TableName
    version: int
    run_id: int
    token: str
    at: datetime


@asks
def repair(pipeline: Pipeline, target: Target) -> Repaired:
    """Bring a warehouse to where runs can go on from it, and return what was done.

    A ledger that cannot be read is written anew from those of its files that can be, and from what
    the commits of tables say of their runs. A list of raw files, or a table, whose newest version
    has no log is set aside. Published tables are not touched, nothing is removed, and a warehouse
    in order stays as it is.

    ```python
    done = streampro.repair(PIPELINE, target)
    print(done.rebuilt, done.set_aside)
    ```

    In a store a run that is going may be published while the ledger is written anew, and then be
    missing in it: the next call finds it by its commits.

    Raises `ConfigError` where there is no warehouse and for one that only an engine reaches,
    `WarehouseError` while another run is writing and where the folder cannot be written.
    """
    warehouse = reached(target.warehouse, "repair")
    refuse_branch(target.warehouse, "repair")
    if not (warehouse / WAREHOUSE).exists():
        raise ConfigError(f"{warehouse} is no warehouse. The first `streampro run` makes one.")
    with writing(target.warehouse):
        aside = _Aside(warehouse)
        runs, rebuilt = _runs(warehouse, pipeline, target)
        runs, lost_files = _with_files_that_are_there(runs)
        with undisturbed():
            if rebuilt or lost_files or not _is_readable(target, runs):
                with ledger.rewritten(target.warehouse, runs):
                    aside.put(RUNS)
            if lost_files:
                aside.put(KNOWN_FILES)
            tables = [item.table for item in runs[-1].tables] if runs else []
            unread = [table for table in tables if not _has_log(warehouse, table)]
            for table in unread:
                aside.put(table)
        numbers = tuple(run.run_id for run in runs)
        lost = tuple(table for table in unread if table in runs[-1].observed)
        return Repaired(numbers, tuple(sorted(rebuilt)), tuple(aside.names), lost)


class _Aside:
    """Where folders go that cannot be read."""

    def __init__(self, warehouse: Place) -> None:
        self.warehouse = warehouse
        self.names: list[str] = []

    def put(self, table: TableName) -> None:
        folder = self.warehouse.table(table)
        try:
            if not folder.exists():
                return
            damaged = self.warehouse / WAREHOUSE / "damaged" / table.layer
            names = (f"{table.name}-{number}" for number in count(1))
            name = next(name for name in names if not (damaged / name).exists())
            folder.set_aside(damaged / name)
        except OSError as error:
            raise WarehouseError(f"{folder} cannot be set aside: {error}") from error
        self.names.append(f"{WAREHOUSE}/damaged/{table.layer}/{name}")


def _runs(warehouse: Place, pipeline: Pipeline, target: Target) -> tuple[list[Run], set[int]]:
    """Return all runs that anything tells of, and the numbers of those that only commits do."""
    kept = {run.run_id: run for run in _kept(warehouse, target)}
    newest = max([*kept, *_told(warehouse.table(RUNS))], default=0)
    told = {*range(1, newest + 1)}
    commits = [*_commits(warehouse)] if told - kept.keys() else []
    runs: list[Run] = []
    for number in sorted(told):
        before = runs[-1] if runs else None
        run = kept.get(number) or _rebuilt(number, before, commits, warehouse, pipeline, target)
        runs.append(run)
    return runs, told - kept.keys()


def _kept(warehouse: Place, target: Target) -> Iterator[Run]:
    """Yield the runs of the ledger, whichever of its files can be read."""
    try:
        yield from ledger.runs(target)
    except WarehouseError:
        folders = [each for each in map(warehouse.table, (REPAIRED, RUNS)) if each.exists()]
        for folder, file in (
            (each, file) for each in folders for file in each.files(["*.parquet"])
        ):
            with suppress(OSError, ValueError, WarehouseError, pa.ArrowException):
                [content] = folder.read_each([file.path])
                yield from ledger.runs_of(warehouse, pq.read_table(BytesIO(content)))


def _told(folder: Place) -> Iterator[int]:
    """Yield the numbers of runs that entries of the ledger's log tell of."""
    for _, actions in _entries(folder):
        for added in (action["add"] for action in actions if "add" in action):
            with suppress(ValueError, KeyError, TypeError):
                said = json.loads(added["stats"])
                yield from range(said["minValues"]["run_id"], said["maxValues"]["run_id"] + 1)


def _commits(warehouse: Place) -> Iterator[_Commit]:
    """Yield what the logs of all tables say of runs."""
    entries = warehouse.files([f"*/*/{log.LOG}/*.json"])
    for table in sorted({TableName(*each.path.split("/")[:2]) for each in entries}):
        for number, actions in _entries(warehouse.table(table)):
            for said in (action["commitInfo"] for action in actions if "commitInfo" in action):
                if delta.RUN in said:
                    at = datetime.fromtimestamp(said.get("timestamp", 0) / 1000, UTC)
                    run_id, token = int(said[delta.RUN]), said.get(delta.TOKEN, "")
                    yield _Commit(table, number, run_id, token, at)


def _entries(folder: Place) -> Iterator[tuple[int, list[Action]]]:
    """Yield the entries of a log that can be read, by version."""
    for entry in log.log_of(folder).entries:
        with suppress(OSError, ValueError):
            [content] = folder.read_each([entry.path])
            yield log.version_of(entry), log.parsed(content)


def _rebuilt(
    number: int,
    before: Run | None,
    commits: list[_Commit],
    warehouse: Place,
    pipeline: Pipeline,
    target: Target,
) -> Run:
    """Return a run as the commits of tables tell of it, what it did not publish as before it.

    Of attempts with its number the last one was published.
    """
    own = [commit for commit in commits if commit.run_id == number]
    last = max(own, key=lambda commit: commit.at, default=None)
    made = {each.table: each for each in own if last and each.token == last.token}
    kept = before.tables if before else _unknown(warehouse, commits)
    tables = {item.table: replace(item, seconds=None) for item in kept}
    tables |= {
        table: PublishedTable(table, each.version, _row_count(warehouse, table, each.version))
        for table, each in made.items()
    }
    at = last.at if last else before.finished_at if before else datetime.now(UTC)
    observed = {each.table for each in pipeline.models.values() if each.observed_at}
    observed |= {*(before.observed if before else ())}
    return Run(
        run_id=number,
        started_at=at,
        finished_at=at,
        pipeline=before.pipeline if before else pipeline.name,
        target=target.name,
        engine=target.engine,
        packages={"streampro": version("streampro")},
        code={},
        inputs=(),
        books=(),
        tables=tuple(tables.values()),
        tokens={
            **(before.tokens if before else {}),
            **{table: each.token for table, each in made.items() if each.token},
        },
        observed=tuple(sorted(observed & tables.keys())),
    )


def _unknown(warehouse: Place, commits: list[_Commit]) -> Iterator[PublishedTable]:
    """Yield the tables whose logs begin after their first version, at one of those that are gone:
    what a run published of which nothing tells cannot be read, as after `streampro clean`.
    """
    for table in sorted({each.table for each in commits}):
        if begins := log.log_of(warehouse.table(table)).begins:
            yield PublishedTable(table, begins - 1, 0)


def _row_count(warehouse: Place, table: TableName, number: int) -> int:
    with suppress(WarehouseError):
        files = integrity.logged_files(warehouse.table(table), number)
        return sum(file.rows or 0 for file in files)
    return 0


def _with_files_that_are_there(runs: list[Run]) -> tuple[list[Run], bool]:
    """Return the runs, without lists of raw files where the newest cannot be read."""
    if not runs or runs[-1].files_version is None:
        return runs, False
    try:
        len(runs[-1].inputs)
    except WarehouseError:
        without = [replace(run, files_version=None, files_count=None, inputs=()) for run in runs]
        return [*without[:-1], replace(without[-1], code={})], True
    return runs, False


def _is_readable(target: Target, runs: list[Run]) -> bool:
    """Tell whether the ledger can be read as it is, and has these runs."""
    try:
        newest = ledger.newest(target.warehouse)
        return ledger.runs(target) == runs and newest == (runs[-1] if runs else None)
    except WarehouseError:
        return False


def _has_log(warehouse: Place, table: TableName) -> bool:
    """Tell whether a table's log can be read at its newest version."""
    try:
        delta.newest_version(warehouse.table(table))
    except WarehouseError:
        return False
    return True
