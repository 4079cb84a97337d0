"""A person, or whatever else has a key, taken out of a warehouse: of every table and version."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from streampro.arguments import asks
from streampro.config import Target
from streampro.environment import undisturbed
from streampro.errors import ConfigError
from streampro.formats.database.extracts import databases_of
from streampro.formats.files import find
from streampro.formats.registry import format_of
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.names import WAREHOUSE
from streampro.storage import delta, leftovers, marks, rewrite
from streampro.storage.place import Place, place_of
from streampro.storage.rewrite import History, Rewriting
from streampro.warehouse import ledger, snapshot
from streampro.warehouse.folders import (
    branches,
    extracted,
    is_at_hand,
    reached,
    refuse_branch,
    scratch,
    writing,
)
from streampro.warehouse.run import EXPORTS, RUNS
from streampro.warehouse.upkeep.forgotten import cut_lineage, rewrite_ledger
from streampro.warehouse.upkeep.key import Key, key_of


@dataclass(frozen=True)
class ForgottenRows:
    """What is taken out of a table.

    Attributes:
        table: its name.
        rows: rows that its newest version loses.
        versions: versions that lose rows.
        files: data files that are written anew.
        entries: of the log, whose statistics or texts told the key of files that are gone.
    """

    table: TableName
    rows: int
    versions: int
    files: int
    entries: int


@dataclass(frozen=True)
class HeldRaw:
    """A raw file that still holds the key, in so many lines; `path` is below the raw folder."""

    source: str
    path: str
    lines: int


@dataclass(frozen=True)
class HeldColumn:
    """A column of another name that has the value of the key, or holds it in a list or a struct.

    Attributes:
        table: its table.
        column: its name.
        rows: that hold it in the version that has most of them.
        is_nested: whether it is no single value, so that it cannot be a key.
    """

    table: TableName
    column: str
    rows: int
    is_nested: bool


@dataclass(frozen=True)
class HeldExport:
    """Where rows of a table that held the key were exported to, as of a run, and are not changed.

    Attributes:
        table: the table.
        to: where to, as it was declared.
        run_id: the last run of which that was.
    """

    table: TableName
    to: str
    run_id: int


@dataclass(frozen=True)
class Forgotten:
    """What `forget` did, or would do.

    Attributes:
        tables: those that held the key.
        raw: raw files that still hold it; None where nobody looked.
        elsewhere: columns of another name in which the same text still stands.
        exported: where tables that held it were exported to; nobody looked whether it is there.
    """

    tables: tuple[ForgottenRows, ...]
    raw: tuple[HeldRaw, ...] | None
    elsewhere: tuple[HeldColumn, ...] = ()
    exported: tuple[HeldExport, ...] = ()


@asks
def forget(
    target: Target,
    key: Mapping[str, Any],
    *,
    pipeline: Pipeline | None = None,
    dry_run: bool = False,
) -> Forgotten:
    """Take the rows with a key out of every version of every table, and tell where it still is.

    ```python
    done = streampro.forget(target, {"city": "Ulm"}, pipeline=PIPELINE, dry_run=True)
    print({each.table: each.rows for each in done.tables}, done.raw)
    ```

    Tables lose the rows whose column of that name has the value, and rows that keep a `raw_line` in
    which it stands, such as rejected ones; files and statistics of older versions lose it too.
    Versions keep their numbers, so all runs can be asked as before. Tables without the column, such
    as answers that count, keep their numbers until the next run, which builds them anew. Columns of
    other names that hold the same text are named, not changed: who is meant there, you know. Of a
    number only those are that reference a column of that name, for others may be equal by chance.

    Raw files are never changed. Those of the target's raw folder that hold the key are named,
    where `pipeline` says how to read them: as long as they do, whatever builds a table anew brings
    the key back. Where tables that held it were exported to is named too: export them again.

    Killed in between it leaves every version readable; the same call completes it. In a store,
    where no lock keeps others out, nothing is published between, and a run that has begun before is
    not published; what such a run leaves is found by the same call once that run has ended.

    Args:
        target: whose warehouse.
        key: one column and its value.
        pipeline: tells the sources.
        dry_run: change nothing, return what would be.

    Raises `ConfigError` for a warehouse that only an engine reaches, one with branches, one without
    a run or of another pipeline, for no or several columns, for a column that no table has or whose
    values are lists or structs, and for a value that is nowhere and that no such column can have,
    `WarehouseError` while another run is writing, or when a table cannot be read or written.
    """
    wanted = key_of(key, pipeline)
    place = reached(target.warehouse, "forget")
    refuse_branch(target.warehouse, "forget")
    _refuse_branches(target)
    _refuse_another_pipeline(target, pipeline)
    with ExitStack() as stack:
        if not dry_run:
            stack.enter_context(writing(target.warehouse))
        if dry_run or not place.is_local:
            own = stack.enter_context(scratch(target.warehouse))
        else:
            own = place.path / WAREHOUSE / "staging"
        staging = own / uuid4().hex[:12]
        last = delta.newest_version(place.table(RUNS))
        histories = _histories(target, place)
        columns = [column for history in histories.values() for column in history.columns()]
        wanted = wanted.read_as(columns)
        wanted.refuse_unknown_column(columns)
        wanted.refuse_nested_column(columns)
        tables = {
            name: rewrite.prepared(history, wanted.change(), staging / name, staging.name)
            for name, history in histories.items()
        }
        elsewhere = tuple(
            held
            for table, history in histories.items()
            for held in _elsewhere(table, history, wanted, staging)
        )
        done = [told for table, found in tables.items() if (told := _told(table, found))]
        exported = _exported(place, [each.table for each in done])
        if not dry_run:
            with marks.held(place, last), undisturbed():
                fewer = {
                    (table, version)
                    for table, found in tables.items()
                    for version, rows in found.fewer().items()
                    if rows
                }
                cut_lineage(place, wanted, fewer, pipeline, staging / "lineage")
                for table, found in tables.items():
                    rewrite.carry_out(found, staging / table)
                rewrite_ledger(place, wanted, [*tables], staging / WAREHOUSE)
            leftovers.remove_leftovers(place, place_of(staging))
        held = _held(target, wanted, pipeline, own)
        if not done and not held and not elsewhere:
            wanted.refuse_impossible_value(columns)
        _refuse_branches(target)  # nor any that began meanwhile
        return Forgotten(tuple(done), held, elsewhere, exported)


def _refuse_branches(target: Target) -> None:
    if there := branches(target.warehouse):
        raise ConfigError(
            f"branches have rows of their own: {', '.join(there)}. Merge or drop them, then call "
            "this again: streampro branch."
        )


def _refuse_another_pipeline(target: Target, pipeline: Pipeline | None) -> None:
    """Raise `ConfigError` unless something was published, by that pipeline."""
    run = snapshot.published_run(target)
    if pipeline and pipeline.name != run.pipeline:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {run.pipeline!r}, not of "
            f"{pipeline.name!r}. Name it with --pipeline."
        )


def _histories(target: Target, warehouse: Place) -> dict[TableName, History]:
    """Return the log of each table that any run has published."""
    names = sorted({item.table for run in ledger.runs(target.warehouse) for item in run.tables})
    found = {name: rewrite.history(warehouse.table(name)) for name in names}
    return {name: history for name, history in found.items() if history.records}


def _exported(warehouse: Place, tables: Collection[TableName]) -> tuple[HeldExport, ...]:
    """Return where tables were exported to, each place once."""
    kept = delta.read(warehouse.table(EXPORTS))
    rows = kept.sort_by("exported_at").to_pylist() if kept else []
    last = {(TableName.of(row["table"]), row["to"]): row["run_id"] for row in rows}
    found = (HeldExport(*where, run_id) for where, run_id in sorted(last.items()))
    return tuple(each for each in found if each.table in tables)


def _told(table: TableName, found: Rewriting) -> ForgottenRows | None:
    fewer = found.fewer()
    if not (found.successors or found.telling or found.garbage):
        return None
    newest = found.history.records[-1].version
    files = len(found.successors) + len(found.garbage)
    return ForgottenRows(table, fewer.get(newest, 0), len(fewer), files, found.telling)


def _elsewhere(
    table: TableName, history: History, wanted: Key, staging: Path
) -> Iterator[HeldColumn]:
    """Yield the other columns of a table in which the value stands once its rows are gone."""
    found: dict[str, dict[str, int]] = {}
    nested: set[str] = set()
    names = dict.fromkeys(added["path"] for added in history.said("add"))
    for name in filter(history.is_own, names):
        for rows in rewrite.row_groups(history.place(name), staging):
            for column, count in wanted.elsewhere(table.name, rows).items():
                files = found.setdefault(column, {})
                files[name] = files.get(name, 0) + count
                nested |= {column} if pa.types.is_nested(rows.schema.field(column).type) else set()
    versions = [files for _, files in history.versions()]
    for column, counts in found.items():
        most = max(sum(counts.get(name, 0) for name in files) for files in versions)
        yield HeldColumn(table, column, most, column in nested)


def _held(
    target: Target, wanted: Key, pipeline: Pipeline | None, scratch: Path
) -> tuple[HeldRaw, ...] | None:
    """Return the raw files in which the key stands, None where nobody can look."""
    if pipeline is None:
        return None
    sources = [*pipeline.sources.values()]
    if not all(is_at_hand(source, target) for source in sources):
        return None
    if not databases_of(sources) <= target.databases.keys():
        return None
    with extracted(sources, target) as extracts:
        return tuple(
            held
            for source in sources
            for held in _held_in(
                source, place_of(extracts.whole(source, target)), wanted, scratch / "raw"
            )
        )


def _held_in(source: Source, raw: Place, wanted: Key, scratch: Path) -> Iterator[HeldRaw]:
    form = format_of(source)
    for file in find(source, raw):
        name = form.stored_as(source, file.path)
        with (raw / name).at_hand(scratch / Path(name).parent) as path:
            records = form.numbered(source, path)
            lines = sum(wanted.is_in(text) for _, text in records)
        if lines:
            yield HeldRaw(source.name, file.path, lines)
