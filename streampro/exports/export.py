"""Published tables written to files and databases, now or after each run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from streampro.arguments import asks
from streampro.config import Target
from streampro.destination import Destination, destination_of
from streampro.errors import ConfigError, ExportError, StreamProError, number_of
from streampro.exports import record
from streampro.exports.files import write_file
from streampro.exports.postgres import replace_table
from streampro.exports.record import Exported
from streampro.location import holds
from streampro.modeling.model import Export, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.folders import writing
from streampro.warehouse.published import Published, published
from streampro.warehouse.run import Run

Step = Callable[[str, Callable[[], float | None]], AbstractContextManager[Any]]


@asks
def export(table: str, target: Target, to: str, run_id: int | None = None) -> Exported:
    """Write a table of a run, the newest by default, to a file or a database, in place of what is
    there, and return what was written.

    ```python
    done = streampro.export("mart.revenue", target, to="revenue.csv")
    print(done.rows, done.run_id)
    ```

    Rows are in the order of their values, first column first, so the same rows are the same bytes.
    A file has all of them or is as it was, and so has a table of PostgreSQL.

    Args:
        table: `layer.name`.
        target: where the warehouse is; on a disk or in an object store.
        to: as of `Export`.
        run_id: the run whose rows are written.

    Raises `ConfigError` for a destination that cannot be, a table that the run does not have, what
    its file cannot hold and a missing package; `EngineError` where it cannot be written;
    `WarehouseError` for a damaged table.
    """
    place = destination_of(to, ConfigError)
    refuse_misplaced([place], target)
    with published(target, run_id) as tables:
        return _written(tables, target, TableName.of(table), place)


def refuse_misplaced(places: Iterable[Destination], target: Target) -> None:
    """Raise `ConfigError` for files of which two are one, and for one in the raw folder, where a
    run would read it, or in the warehouse.
    """
    folders = [*(("raw folder", each) for each in target.raw_folders)]
    folders.append(("warehouse", target.warehouse))
    known: dict[Path, str] = {}
    for each, path in _files(places):
        for what, folder in folders:
            if holds(folder, path):
                raise ConfigError(f"{each.text} is in the {what} {folder}. Export elsewhere.")
        if path in known:
            raise ConfigError(f"{known[path]} and {each.text} are one file. Export each elsewhere.")
        known[path] = each.text


def _files(places: Iterable[Destination]) -> Iterator[tuple[Destination, Path]]:
    """Yield those that are files, as far as it is known now, and where they really lie."""
    for each in places:
        with suppress(ConfigError):
            found = each.resolved()
            if found.is_file:
                yield each, found.path.resolve()


def carry_out(pipeline: Pipeline, target: Target, step: Step) -> None:
    """Write what a pipeline exports of the newest run and was not written of it yet.

    Raises `ExportError`, after trying all, if one fails.
    """
    if not pipeline.exports:
        return
    with writing(target.warehouse), published(target) as tables:
        failed = []
        todo = _outstanding(pipeline, target, tables.run)
        for each in todo:
            try:
                with step(f"export {each.table}", lambda: None):
                    place = destination_of(each.to)
                    _written(tables, target, TableName.of(each.table), place)
            except (StreamProError, OSError, pa.ArrowException) as error:
                failed.append(f"{each.table} to {each.to}: {error}")
        if failed:
            raise ExportError(
                f"run {tables.run.run_id} is published, but {len(failed)} of "
                f"{number_of(len(todo), 'export')} failed, which the next run tries again: "
                f"{' '.join(failed)}",
                tables.run,
            )


def _outstanding(pipeline: Pipeline, target: Target, run: Run) -> list[Export]:
    """Return what is to be written: tables of the run whose version was not written last, or whose
    file is gone.
    """
    known = {(each.table, each.to): each for each in record.exports(target.warehouse)}
    outstanding = []
    for each in pipeline.exports:
        table = TableName.of(each.table)
        version = run.version_of(table)
        last = known.get((table, each.to))
        is_same = last and (last.version, last.token) == (version, run.tokens.get(table, ""))
        if version is not None and not (is_same and _is_there(destination_of(each.to))):
            outstanding.append(each)
    return outstanding


def _is_there(place: Destination) -> bool:
    try:
        found = place.resolved()
    except StreamProError:
        return False
    return not found.is_file or found.path.is_file()


def _written(tables: Published, target: Target, table: TableName, place: Destination) -> Exported:
    found = place.resolved()
    rows = tables.batches(table)
    count = (
        write_file(found.kind, table, rows, found.path)
        if found.is_file
        else replace_table(found.text, table, rows)
    )
    [version] = (item.version for item in tables.run.tables if item.table == table)
    done = Exported(
        table=table,
        to=place.text,
        run_id=tables.run.run_id,
        version=version,
        rows=count,
        token=tables.run.tokens.get(table, ""),
        exported_at=datetime.now(UTC),
    )
    record.append(target.warehouse, done)
    return done
