"""What becomes of earlier runs: readers are taken back to one, or its files are removed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from streampro.arguments import asks
from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import leftovers
from streampro.storage.place import Place, place_of
from streampro.warehouse import changes, ledger, snapshot
from streampro.warehouse.changes import Move
from streampro.warehouse.folders import writing
from streampro.warehouse.ledger import Run


@dataclass(frozen=True)
class Cleaned:
    """Data files of a table that no kept run needs; `files` are relative to the warehouse."""

    table: TableName
    files: tuple[str, ...]
    size_bytes: int


@asks
def rollback(target: Target, run_id: int, pipeline: Pipeline | None = None) -> Run:
    """Publish the tables of an earlier run again, as a new run, and return that.

    No table is written and nothing is removed: the new row of the ledger pins the old versions.
    The next run goes on from them, so it reads the files that came after run `run_id` anew.
    `pipeline` tells the keys of the answers, by which `moves` names what the rollback changes in
    them; without it, and for answers that a run lacks or that had other keys, there are no moves.

    Raises `ConfigError` for an unknown run, the newest one and the warehouse of another pipeline,
    `WarehouseError` for a run that was cleaned and while another run is writing.
    """
    started_at = datetime.now(UTC)
    snapshot.published_run(target, run_id)
    with writing(target.warehouse):
        newest = snapshot.published_run(target)
        _refuse_needless(target, newest, run_id)
        wanted = snapshot.readable_run(target, run_id)
        moves = _moves(target, pipeline, newest, wanted) if pipeline else []
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
        )
        return ledger.append(target.warehouse, done)


@asks
def clean(target: Target, keep: int, dry_run: bool = True) -> list[Cleaned]:
    """Remove the data files that none of the newest `keep` runs needs; return them by table.

    A dry run removes nothing. Kept are the versions that these runs pin, those that the next run
    compares with, the newest version of every table, whoever wrote it, and every row of the
    ledger. Logs, files that no log names and tables that StreamPro did not publish are not touched.

    Raises `ConfigError` for a remote warehouse, one without a run and `keep` below 1,
    `WarehouseError` while another run is writing, or when a log cannot be read.
    """
    place = place_of(target.warehouse)
    if not place.is_local:
        raise ConfigError(
            f"streampro clean removes files of local warehouses; {target.warehouse} is remote and "
            "keeps every run. A VACUUM by another tool would remove versions that runs pin."
        )
    if keep < 1:
        raise ConfigError(f"--keep {keep} would keep no run; it must be 1 or more.")
    snapshot.published_run(target)
    if dry_run:
        return _surplus(place, keep)
    with writing(target.warehouse):
        found = _surplus(place, keep)
        for each in found:
            _remove(place.path, each)
    return found


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


def _moves(target: Target, pipeline: Pipeline, newest: Run, wanted: Run) -> list[Move]:
    """Return what readers see move in the answers when they are taken from one run to another."""
    if pipeline.name != wanted.pipeline:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {wanted.pipeline!r}, not of "
            f"{pipeline.name!r}. Name it with --pipeline."
        )
    old, new = snapshot.answers(target, newest) or {}, snapshot.answers(target, wanted) or {}
    found = []
    for model in (
        model for model in pipeline.answers() if model.table in old and model.table in new
    ):
        before, after = old[model.table], new[model.table]
        key = model.spec.key
        if all({*key} <= row.keys() for row in (*before, *after)):
            found += changes.moves(model.table, key, before, after)
    return found


def _surplus(warehouse: Place, keep: int) -> list[Cleaned]:
    runs = ledger.runs(warehouse.path)
    needed = {need for run in runs[-keep:] for need in run.needs}
    cleaned = []
    published = {item.table for run in runs for item in run.tables}
    for table in sorted(published | {ledger.KNOWN_FILES, ledger.RUNS}):
        versions = {version for needed_table, version in needed if needed_table == table}
        files = leftovers.surplus_files(warehouse.table(table), versions)
        if files:
            paths = (str(path.relative_to(warehouse.path)) for path in files)
            cleaned.append(Cleaned(table, tuple(paths), sum(files.values())))
    return cleaned


def _remove(warehouse: Path, found: Cleaned) -> None:
    for file in found.files:
        try:
            (warehouse / file).unlink(missing_ok=True)
        except OSError as error:
            raise WarehouseError(
                f"{found.table}: {file} cannot be removed: {error}. Kept runs are complete; "
                "clean again when it can."
            ) from error
