"""Branches: chains of runs of their own, which begin at a run of main and that nobody else sees."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from streampro.arguments import asks
from streampro.config import Target, unheard
from streampro.environment import undisturbed
from streampro.errors import ConfigError, WarehouseError
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.sample import SAMPLED
from streampro.storage import delta, marks
from streampro.storage.place import place_of
from streampro.warehouse import ledger
from streampro.warehouse.changes import Change
from streampro.warehouse.folders import (
    branch_folder,
    branches as names_of,
    main_of,
    no_branch,
    reached,
    staging,
    writing,
)
from streampro.warehouse.run import Fork, PublishedTable, Run, whole_books
from streampro.warehouse.snapshot import Snapshot, moves_between, published_run

_NAME = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAIN = "main"


@dataclass(frozen=True)
class Branch:
    """A branch with its newest run. Instants are UTC.

    Attributes:
        name: its name.
        run_id: the number of its newest run, of its own 1, 2, ...; 0 where its first run is going
            or was stopped, or what it says of its runs cannot be read.
        finished_at: when that was published, null before.
        begins_at: the run of main at which it begins, null before.
        is_behind: whether main has been published since.
        tables: those that it has of its own; it reads all others as main had them.
        size_bytes: of the data files of these, of older runs too.
    """

    name: str
    run_id: int
    finished_at: datetime | None
    begins_at: int | None
    is_behind: bool
    tables: tuple[TableName, ...]
    size_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        at = self.finished_at
        return asdict(self) | {"finished_at": at.isoformat() if at else None}


@asks
def on_branch(target: Target, name: str) -> Target:
    """Return the target that is a branch of another; the first run on it makes the branch.

    ```python
    trial = streampro.on_branch(target, "new-sessions")
    streampro.run(PIPELINE, trial)
    rows = streampro.sql("from mart.revenue", trial)
    ```

    A branch begins at the newest run of main. What did not change is read as main had it then; what
    changed, and what is built from it, is written beside main's tables. Of its runs no catalog, no
    lineage service and no export hears.

    Raises `ConfigError` for a name that no branch may have, for a target that is a branch, and for
    a warehouse that only an engine reaches.
    """
    reached(target.warehouse, "--branch")
    if main_of(target.warehouse):
        raise ConfigError(f"{target.warehouse} is a branch, which has no branches.")
    if name == MAIN or not _NAME.fullmatch(name):
        raise ConfigError(
            f"no branch can be named {name!r}: names have letters, digits, '.', '_' and '-', at "
            f"most 64, and are no number and not {MAIN!r}."
        )
    return unheard(target, branch_folder(target.warehouse, name))


@asks
def branches(target: Target) -> list[Branch]:
    """Return the branches of a target's warehouse, by name.

    Raises `ConfigError` for a warehouse that only an engine reaches.
    """
    reached(target.warehouse, "branch")
    newest = ledger.newest(target.warehouse)
    return [_branch(on_branch(target, name), newest) for name in names_of(target.warehouse)]


@asks
def drop_branch(target: Target, name: str) -> None:
    """Remove a branch with all that it has of its own; main is as it was.

    Raises `ConfigError` where there is none of that name, `WarehouseError` while a run is writing
    to it.
    """
    with _held(target, name) as branch:
        _remove(branch)


@asks
def merge_branch(target: Target, name: str, pipeline: Pipeline | None = None) -> Run:
    """Publish the tables of a branch as a new run of main, remove the branch, return the run.

    No row is computed: data files of the branch become main's. It is done only where main is as it
    was when the branch began, so that main is then what a run of the branch's code had made of it.

    ```python
    run = streampro.merge_branch(target, "new-sessions", PIPELINE)
    ```

    Args:
        target: where main is.
        name: of the branch.
        pipeline: tells the keys of the answers, by which `moves` names what changes in them.

    Raises `ConfigError` where there is no such branch, where main has been published since it
    began, and where a table is of a sample; `WarehouseError` while another run is writing.
    """
    started_at = datetime.now(UTC)
    with writing(target.warehouse), _held(target, name) as branch:
        holder = marks.holder(place_of(target.warehouse))
        newest, last = published_run(target), published_run(branch)
        _refuse_behind(target, name, newest, last)
        _refuse_sampled(name, last)
        moves = moves_between(pipeline, (target, newest), (branch, last)) if pipeline else []
        token = uuid4().hex[:12]
        staging(place_of(target.warehouse), token).make()  # by which `writing` knows its files
        snapshot = Snapshot(branch.warehouse, last)
        for table in last.own_tables:
            snapshot.refuse_altered(table)
        tables = {
            item.table: _merged(target, branch, last, item, newest.run_id + 1, token)
            for item in last.tables
        }
        runs = ledger.runs(branch.warehouse)
        models = pipeline.models.values() if pipeline else ()
        reads = {model.table: model.inputs for model in models if model.quarantine}
        tokens = {**newest.tokens, **dict.fromkeys(last.own_tables, token)}
        files = ledger.files(target.warehouse, newest, last.inputs)
        run = replace(
            last,
            run_id=newest.run_id + 1,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            target=target.name,
            inputs=files,
            files_version=files.version,
            files_count=len(files),
            books=tuple(whole_books(reversed(runs), reads).values()),
            tables=(*tables.values(),),
            lineage=_lineage(last, tables),
            tokens={table: each for table, each in tokens.items() if table in tables},
            changes=_changes(runs),
            moves=tuple(moves),
            rolled_back_to=None,
            fork=None,
            added=(),
            merged=name,
        )
        with undisturbed():  # or main would have moved on from a branch that is still there
            done = ledger.append(target.warehouse, run, holder)
            _remove(branch)
    return done


def _changes(runs: Sequence[Run]) -> tuple[Change, ...]:
    """Return what a branch did to each table: the newest change, that which built it anew first."""
    found: dict[TableName, Change] = {}
    for change in (each for run in runs for each in run.changes if each.mode != "unchanged"):
        if change.mode == "full" or change.table not in found:
            found[change.table] = change
    return tuple(found.values())


def _branch(branch: Target, newest: Run | None) -> Branch:
    try:
        last = ledger.newest(branch.warehouse)
    except WarehouseError:
        last = None
    name, place = str(branch.warehouse).rpartition("/")[2], place_of(branch.warehouse)
    size_bytes = sum(file.size for file in place.files(["*/*/*.parquet"]))
    if last is None or last.fork is None:
        return Branch(name, 0, None, None, True, (), size_bytes)
    return Branch(
        name=name,
        run_id=last.run_id,
        finished_at=last.finished_at,
        begins_at=last.fork.run_id,
        is_behind=newest is None or not _begins_at(last.fork, newest),
        tables=last.own_tables,
        size_bytes=size_bytes,
    )


@contextmanager
def _held(target: Target, name: str) -> Iterator[Target]:
    """Yield a branch that there is, as its only writer."""
    branch = on_branch(target, name)
    if name not in names_of(target.warehouse):
        raise ConfigError(no_branch(target.warehouse, name))
    with writing(branch.warehouse):
        yield branch


@undisturbed()
def _remove(branch: Target) -> None:
    place = place_of(branch.warehouse)
    try:
        place.remove()
    except OSError as error:
        raise WarehouseError(f"{place} cannot be removed: {error}. Drop it again.") from error


def _begins_at(fork: Fork, run: Run) -> bool:
    return fork.run_id == run.run_id and {**fork.tokens} == {**run.tokens}


def _refuse_behind(target: Target, name: str, newest: Run, last: Run) -> None:
    assert last.fork
    if not _begins_at(last.fork, newest):
        raise ConfigError(
            f"branch {name!r} begins at run {last.fork.run_id} of {target.warehouse}, where run "
            f"{newest.run_id} has been published since. Nothing was merged. Make it anew from what "
            f"is there now: streampro branch drop {name}, then streampro run --branch {name}."
        )


def _refuse_sampled(name: str, last: Run) -> None:
    if sampled := [model for model, code in last.code.items() if SAMPLED in code]:
        raise ConfigError(
            f"branch {name!r} has {', '.join(sampled)} of a sample only. Nothing was merged. Build "
            f"them of all rows first: streampro run --branch {name}."
        )


def _merged(
    target: Target, branch: Target, last: Run, item: PublishedTable, run_id: int, token: str
) -> PublishedTable:
    """Return a table of a branch as main has it: what the branch wrote is committed there."""
    first = last.first_own(item.table)
    if item.version < first:
        return replace(item, seconds=None)
    main, own = (place_of(each.warehouse).table(item.table) for each in (target, branch))
    onto = first - 1 if item.table in last.added else None
    return replace(item, version=delta.adopt(main, own, item.version - first, run_id, onto, token))


def _lineage(
    last: Run, tables: dict[TableName, PublishedTable]
) -> dict[TableName, dict[TableName, int]]:
    """Return from which of main's versions each table was built; of a version that only the branch
    had, of which the tables of now were not all built, nothing is known.
    """
    found: dict[TableName, dict[TableName, int]] = {}
    for table, parents in last.lineage.items():
        found[table] = {}
        for parent, version in parents.items():
            if version < last.first_own(parent):
                found[table][parent] = version
            elif version == last.version_of(parent):
                found[table][parent] = tables[parent].version
    return found
