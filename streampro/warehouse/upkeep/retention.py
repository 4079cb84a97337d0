"""What becomes of earlier runs: readers are taken back to one, or its files are removed."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from streampro.arguments import asks
from streampro.config import Target
from streampro.errors import ConfigError, EngineError, OvertakenError, WarehouseError
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.names import WAREHOUSE
from streampro.storage import leftovers, log, marks
from streampro.storage.leftovers import Published, Surplus
from streampro.storage.place import Place, place_of
from streampro.warehouse import ledger, snapshot
from streampro.warehouse.folders import branch_folder, branches, reached, writing
from streampro.warehouse.run import EXPORTS, KNOWN_FILES, RUNS, Run

_STAGING = TableName(WAREHOUSE, "staging")
"""Where engines stage in a store."""


@dataclass(frozen=True)
class Cleaned:
    """Data files of a table that no kept run needs, and what of its log is before these runs;
    `files` are relative to the warehouse.
    """

    table: TableName
    files: tuple[str, ...]
    size_bytes: int


@asks
def rollback(target: Target, run_id: int, pipeline: Pipeline | None = None) -> Run:
    """Publish the tables of an earlier run again, as a new run, and return that.

    No table is written and nothing is removed: the new row of the ledger pins the old versions.
    The next run goes on from them, so it reads the files that came after run `run_id` anew. What
    later runs have seen, no run sees again: of tables that keep it (`observed`) those versions stay
    on the disk, and no reader has them.
    `pipeline` tells the keys of the answers, by which `moves` names what the rollback changes in
    them; without it, and for answers that a run lacks or that had other keys, there are no moves.

    Raises `ConfigError` for an unknown run, the newest one and the warehouse of another pipeline,
    `WarehouseError` for a run that was cleaned and while another run is writing.
    """
    started_at = datetime.now(UTC)
    snapshot.published_run(target, run_id)
    with writing(target.warehouse):
        holder = marks.holder(place_of(target.warehouse))
        newest = snapshot.published_run(target)
        _refuse_needless(target, newest, run_id)
        wanted = snapshot.readable_run(target, run_id)
        moves = (
            snapshot.moves_between(pipeline, (target, newest), (target, wanted)) if pipeline else []
        )
        done = replace(
            wanted,
            run_id=newest.run_id + 1,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            target=target.name,
            books=(),
            tables=tuple(replace(item, seconds=None) for item in wanted.tables),
            warnings=(),
            changes=(),
            moves=tuple(moves),
            rolled_back_to=run_id,
            merged=None,
        )
        return ledger.append(target.warehouse, done, holder)


@asks
def clean(target: Target, keep: int, dry_run: bool = True) -> list[Cleaned]:
    """Remove the files that none of the newest `keep` runs needs; return them by table.

    A dry run removes nothing. Kept are the versions that these runs pin, those that the next run
    compares with, the newest version of every table, whoever wrote it, every version that any run
    published of a table that keeps what runs have seen, and every row of the ledger. The log of
    each table, and those of StreamPro's own, then begin at the last checkpoint from which all that
    is kept can be read; older entries go. Files of ours that no log names, such as a killed run
    leaves, go once no run that may still be going can publish them. Other files and tables that
    StreamPro did not publish are not touched. In a store no lock keeps others out: versions of runs
    that may be going are kept, entries of a log for an hour, and a rollback to an older run is not
    published from here on.

    Killed in between it leaves what is kept readable; the next call completes it.

    Raises `ConfigError` for a warehouse that only an engine reaches, one without a run and `keep`
    below 1, `WarehouseError` while another run or `forget` is writing, or when a log cannot be
    read.
    """
    reached(target.warehouse, "clean")
    if keep < 1:
        raise ConfigError(f"--keep {keep} would keep no run; it must be 1 or more.")
    newest = snapshot.published_run(target)
    if dry_run:
        return _cleaned(_surplus(target, newest.run_id - keep + 1))
    with writing(target.warehouse):
        return _clean(target, snapshot.published_run(target).run_id - keep + 1)


def keep_newest(
    target: Target, done: Run, step: Callable[..., AbstractContextManager[Any]]
) -> None:
    """Clean after a run on main, whose lock is still held, where the target says so, as a step.

    Every `keep_runs`-th run does, so that what cleaning costs is shared by as many: between
    `keep_runs` and twice as many stay readable. Raises `WarehouseError` where files cannot be
    removed.
    """
    keep = target.keep_runs
    if keep is None or done.fork is not None or done.run_id % keep:
        return
    try:
        with step("clean", lambda: None):
            _clean(target, done.run_id - keep + 1)
    except WarehouseError as error:
        raise WarehouseError(f"run {done.run_id} is published. {error}") from error


def _clean(target: Target, oldest: int) -> list[Cleaned]:
    place = place_of(target.warehouse)
    found = _surplus(target, marks.cleaned_before(place, oldest))
    for table, surplus in found.items():
        _remove(place, table, surplus)
    return _cleaned(found)


def _refuse_needless(target: Target, newest: Run, run_id: int) -> None:
    if newest.run_id == run_id:
        raise ConfigError(
            f"run {run_id} is the newest of {target.warehouse}; there is nothing to roll back."
        )
    if newest.rolled_back_to == run_id:
        raise ConfigError(
            f"{target.warehouse} is already at run {run_id}: run {newest.run_id}, the newest, "
            "rolled back to it."
        )


def _surplus(target: Target, oldest: int) -> dict[TableName, Surplus]:
    """Return what the runs from `oldest` on do not need. Raises `OvertakenError` where versions
    were written anew meanwhile.
    """
    place = place_of(target.warehouse)
    holder = marks.holder(place)
    row = marks.newest_row(place)  # before the runs are read: a newer one only keeps more
    versions = ledger.versions(target.warehouse)
    last = snapshot.published_run(target).run_id
    kept = ledger.runs(target.warehouse, newest=last - oldest + 1)
    newest = Published(last, row.modified_ns if row else 0)
    needed = {need for run in kept for need in run.needs_of(main=False)}
    for name in branches(target.warehouse):
        needed |= _read_by(target, name)
    needed |= {(RUNS, log.version_of(row))} if row else set()
    observing = ledger.observing(target.warehouse)
    needed |= {(i.table, i.version) for r in observing for i in r.tables if i.table in r.observed}
    published = {table for _, table, _ in versions}
    found = {}
    for table in sorted(published | {EXPORTS, KNOWN_FILES, RUNS}):
        of_it = {version for needed_table, version in needed if needed_table == table}
        found[table] = leftovers.surplus(place.table(table), of_it, newest)
    found[_STAGING] = Surplus(leftovers.left_staged(place.table(_STAGING), newest))
    if marks.holder(place) != holder:
        raise OvertakenError(f"versions in {place} were written anew meanwhile: clean again.")
    return found


def _read_by(target: Target, branch: str) -> set[tuple[TableName, int]]:
    """Return what a branch reads of main. Raises `WarehouseError` for one that does not tell."""
    drop = f"Wait for its run, or remove it: streampro branch drop {branch}."
    try:
        runs = ledger.runs(branch_folder(target.warehouse, branch))
    except WarehouseError as error:
        raise WarehouseError(f"branch {branch!r} cannot be read. {drop}") from error
    if not runs:
        raise WarehouseError(f"the first run on branch {branch!r} has not ended. {drop}")
    return {need for run in runs for need in run.needs_of(main=True)}


def _cleaned(found: Mapping[TableName, Surplus]) -> list[Cleaned]:
    return [
        Cleaned(
            table,
            tuple(f"{table.layer}/{table.name}/{path}" for path in files),
            sum(files.values()),
        )
        for table, surplus in found.items()
        if (files := {**surplus.data, **surplus.log})
    ]


def _remove(warehouse: Place, table: TableName, found: Surplus) -> None:
    try:
        found.remove(warehouse.table(table))
    except (OSError, EngineError) as error:
        raise WarehouseError(
            f"{table}: its files cannot be removed: {error}. Kept runs are complete; "
            "clean again when it can."
        ) from error
