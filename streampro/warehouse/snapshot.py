"""The tables of one run at the versions that it pins."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple

import ibis.expr.types as ir

from streampro.arguments import asks
from streampro.config import Target
from streampro.engines.protocol import Engine, fetched_rows
from streampro.engines.registry import connect_reader
from streampro.errors import (
    ComputationError,
    ConfigError,
    EngineError,
    SourceError,
    WarehouseError,
    advised,
)
from streampro.location import Location
from streampro.modeling.model import ANSWERS, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import delta
from streampro.storage.data_files import refuse_altered
from streampro.storage.delta import Stored
from streampro.storage.place import place_of
from streampro.warehouse import changes, ledger
from streampro.warehouse.changes import Move
from streampro.warehouse.folders import main_of, no_branch, scratch
from streampro.warehouse.run import Run

REBUILD = "Build it anew from the raw files: streampro run --full-refresh."
LOST = (
    "It keeps what runs have seen, so no run can build it anew: bring its folder back from a copy, "
    "go back to an earlier run with streampro rollback, or give its model another name, which "
    "begins anew."
)


class Part(NamedTuple):
    """A version of a Delta table, in a warehouse; its commit has the token, if one is known."""

    warehouse: Location
    version: int
    token: str | None


class Snapshot:
    """The tables of one run at their pinned versions, checked for damage before they are read.

    This is the one way to a published table. An engine reads them; without one only `small_table`
    does.

    Attributes:
        run: the run whose tables these are.
        versions: the version of each table that the run has.
    """

    def __init__(
        self, warehouse: Location, run: Run, engine: Engine | None = None, advice: str = REBUILD
    ) -> None:
        self.run = run
        self.versions = {item.table: item.version for item in run.tables}
        main = main_of(warehouse)
        self._warehouses = (warehouse, main[0] if main else warehouse)
        self._engine = engine
        on_branch = f"streampro run --branch {main[1]}" if main else "streampro run"
        self._advice = advice.replace("streampro run", on_branch)
        self._lost = advice.replace(REBUILD, LOST)
        self._tables = {item.table: item for item in run.tables}
        self._verified: list[Stored] = []
        self._handed: list[Stored] = []

    def row_count(self, table: TableName) -> int:
        """Return the rows that a table of the run has."""
        return self._tables[table].rows

    def parts(self, table: TableName, version: int | None = None) -> list[Part]:
        """Return of which versions of Delta tables a version of a table consists."""
        found = self.run.parts(table, self.versions[table] if version is None else version)
        return [Part(self._warehouses[each.is_of_main], each.version, each.token) for each in found]

    def table(self, table: TableName, version: int | None = None) -> ir.Table:
        """Return a table, or an older version of it that the run is compared with, as an engine
        reads it. Raises `WarehouseError` for a damaged one.
        """
        self._handed.append(self.stored(table, version))
        return self._read(table, version)

    def altered_told(self) -> AbstractContextManager[None]:
        """Raise `WarehouseError` where an engine fails on a table whose files do not hold what was
        written.
        """
        return altered_told(self._handed, self._advice)

    def verified(self, table: TableName, version: int | None = None) -> ir.Table:
        """Return a table as `table` does, from which rows are written anew: what its data files
        hold is compared with the digests in their names.
        """
        self.refuse_altered(table, version)
        return self._read(table, version)

    def refuse_altered(self, table: TableName, version: int | None = None) -> None:
        """Raise `WarehouseError` where the data files of a table do not hold what was written."""
        for part in self.stored(table, version).parts:
            if part not in self._verified:
                with self._advised(table):
                    refuse_altered(part.folder, part.files)
                self._verified.append(part)

    def small_table(self, table: TableName) -> list[dict[str, Any]]:
        """Return the rows of a small table. Raises `KeyError` if the run has none of that name,
        `WarehouseError` for a damaged one.
        """
        stored = self.stored(table)
        with self._advised(table):
            found = [
                delta.read(part.folder, version)
                for part, (_, version, _) in zip(stored.parts, self.parts(table), strict=True)
            ]
        rows = (each.to_pylist(maps_as_pydicts="strict") for each in found if each is not None)
        return [*chain.from_iterable(rows)]

    def rows(self, query: ir.Table) -> list[dict[str, Any]]:
        """Return the few rows of an expression, values of the types that the expression says."""
        if self._engine is None:
            raise ValueError("a snapshot without an engine computes nothing.")
        return fetched_rows(self._engine, query)

    def stored(self, table: TableName, version: int | None = None) -> Stored:
        """Return what a version of a table consists of, by default that of the run.

        Raises `WarehouseError` unless it is there with all its data files.
        """
        with self._advised(table):
            first, *others = [
                delta.stored(place_of(warehouse).table(table), number, token)
                for warehouse, number, token in self.parts(table, version)
            ]
        return replace(first, beside=(*others,)) if others else first

    def intact(self) -> tuple[dict[TableName, Stored], dict[TableName, WarehouseError]]:
        """Return the tables of the run that can be read, and why the others cannot."""
        found: dict[TableName, Stored] = {}
        damaged: dict[TableName, WarehouseError] = {}
        for table in self.versions:
            try:
                found[table] = self.stored(table)
            except WarehouseError as error:
                damaged[table] = error
        return found, damaged

    def damage(self) -> tuple[str, WarehouseError] | None:
        """Return which table of the run, or of those that the next run compares with, lost files,
        and the error that reading it raises; None if all can be read.
        """
        for table, version in sorted(self.run.needs):
            try:
                self.stored(table, version)
            except WarehouseError as error:
                return f"{table} lost files of version {version}", error
        return None

    def _advised(self, table: TableName) -> AbstractContextManager[None]:
        return advised(self._lost if table in self.run.observed else self._advice)

    def _read(self, table: TableName, version: int | None) -> ir.Table:
        if self._engine is None:
            raise ValueError("a snapshot without an engine reads small tables only.")
        first, *others = [
            self._engine.read(table, number, warehouse)
            for warehouse, number, _ in self.parts(table, version)
        ]
        return first.union(*(each.select(*first.columns) for each in others)) if others else first


@contextmanager
def opened(target: Target, run: Run, session: Any = None) -> Iterator[Snapshot]:
    """Yield a run's tables, read by an engine that leaves no trace; a warehouse on this machine
    needs no session.
    """
    with (
        scratch(target.warehouse) as folder,
        connect_reader(target, session, folder) as engine,
    ):
        snapshot = Snapshot(target.warehouse, run, engine)
        with snapshot.altered_told():
            yield snapshot


@contextmanager
def altered_told(tables: Collection[Stored], advice: str = REBUILD) -> Iterator[None]:
    """Raise `WarehouseError` where what reads tables fails and their files do not hold what was
    written.
    """
    try:
        yield
    except (EngineError, SourceError, ComputationError):
        with advised(advice):
            for stored in tables:
                for part in stored.parts:
                    refuse_altered(part.folder, part.files)
        raise


@asks
def tables(target: Target) -> list[dict[str, Any]]:
    """Return the published tables of a target: layer, name, rows, version, and the run that made
    this version. Raises `ConfigError` where nothing was published.
    """
    newest, runs = published_run(target), dict[tuple[TableName, int], int]()
    for run_id, table, version in ledger.versions(target.warehouse):
        runs.setdefault((table, version), run_id)
    return [
        {
            "layer": item.table.layer,
            "name": item.table.name,
            "rows": item.rows,
            "version": item.version,
            "run": runs[item.table, item.version],
        }
        for item in newest.tables
    ]


def published_run(target: Target, run_id: int | None = None) -> Run:
    """Return a run, the newest by default. Raises `ConfigError` if there is no such run."""
    newest = ledger.newest(target.warehouse)
    if newest is None:
        if main := main_of(target.warehouse):
            raise ConfigError(no_branch(*main))
        raise ConfigError(
            f"{target.warehouse} has no published run yet. Start with `streampro run`."
        )
    if run_id is None or run_id == newest.run_id:
        return newest
    if run := ledger.run(target.warehouse, run_id):
        return run
    raise ConfigError(f"{target.warehouse} has no run {run_id}; the runs are 1 to {newest.run_id}.")


def code_of(target: Target) -> Callable[[int | None], Mapping[str, str]]:
    """Return what tells the digests of the code of a run's models, of the newest for None."""

    def published(run_id: int | None) -> Mapping[str, str]:
        if run_id is not None:
            return published_run(target, run_id).code
        last = ledger.last_of(target.warehouse)
        return last.code if last else {}

    return published


def readable_run(target: Target, run_id: int) -> Run:
    """Return a run that can be read and gone on from.

    Raises `ConfigError` if there is no such run, `WarehouseError` for one that was cleaned and for
    the newest, which nobody cleans, if it is damaged.
    """
    found = published_run(target, run_id)
    if damage := Snapshot(target.warehouse, found).damage():
        lost, error = damage
        if found.run_id == published_run(target).run_id:
            raise error
        runs = ledger.runs(target.warehouse)
        others = (run for run in runs if not Snapshot(target.warehouse, run).damage())
        oldest = next(others, None)
        advice = (
            f"the oldest that can be read is {oldest.run_id}."
            if oldest
            else "no run can be read. Build the tables anew in another --warehouse."
        )
        raise WarehouseError(f"run {run_id} was cleaned ({lost}); {advice}")
    return found


def answers(target: Target, run: Run) -> Mapping[TableName, list[dict[str, Any]]] | None:
    """Return the rows of the answers as a run published them, None if they cannot be read."""
    snapshot = Snapshot(target.warehouse, run)
    if snapshot.damage():
        return None
    tables = (table for table in snapshot.versions if table.layer == ANSWERS)
    return {table: snapshot.small_table(table) for table in tables}


def moves_between(
    pipeline: Pipeline, left: tuple[Target, Run], right: tuple[Target, Run]
) -> list[Move]:
    """Return what readers see move in the answers when they are taken from one run to another.

    Raises `ConfigError` for a run of another pipeline.
    """
    for target, run in (left, right):
        if pipeline.name != run.pipeline:
            raise ConfigError(
                f"{target.warehouse} is the warehouse of pipeline {run.pipeline!r}, not of "
                f"{pipeline.name!r}. Name it with --pipeline."
            )
    old, new = answers(*left) or {}, answers(*right) or {}
    found = []
    for model in pipeline.answers():
        before, after, key = old.get(model.table, []), new.get(model.table, []), model.spec.key
        is_in_both = model.table in old and model.table in new
        if is_in_both and all({*key} <= row.keys() for row in (*before, *after)):
            found += changes.moves(model.table, key, before, after)
    return found


@asks
def spark_session(target: Target, session: Any = None) -> Any:
    """Return a Spark session in which the tables of the newest run are known by layer and name.

    They show their newest versions. It is a new session in the application of `session`, or in one
    that is started for it; `stop()` ends that. Raises `ConfigError` without PySpark or Delta Lake.
    """
    from streampro.engines.spark.catalog import registered

    run = ledger.newest(target.warehouse)
    return registered(target, session, [item.table for item in run.tables] if run else [])
