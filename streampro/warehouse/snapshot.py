"""The tables of one run at the versions that it pins, and ways to ask them."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Self

import ibis.expr.types as ir
import pyarrow as pa

from streampro.arguments import asks
from streampro.config import Target
from streampro.engines.protocol import Engine, SqlEngine, fetched_rows
from streampro.engines.registry import connect_reader, connect_sql
from streampro.errors import (
    ComputationError,
    ConfigError,
    EngineError,
    SourceError,
    WarehouseError,
    advised,
    did_you_mean,
)
from streampro.location import Location
from streampro.modeling.model import ANSWERS, TableName
from streampro.storage import delta
from streampro.storage.data_files import refuse_altered
from streampro.storage.delta import Stored
from streampro.storage.place import Place, place_of
from streampro.warehouse import ledger
from streampro.warehouse.folders import scratch
from streampro.warehouse.run import Run

REBUILD = "Build it anew from the raw files: streampro run --full-refresh."


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
        self._warehouse = place_of(warehouse)
        self._engine = engine
        self._advice = advice
        self._tables = {item.table: item for item in run.tables}
        self._verified = set[str]()
        self._handed: list[Stored] = []

    def row_count(self, table: TableName) -> int:
        """Return the rows that a table of the run has."""
        return self._tables[table].rows

    def folder(self, table: TableName) -> Place:
        """Return where a table lies."""
        return self._warehouse.table(table)

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
        return _altered_told(self._handed, self._advice)

    def verified(self, table: TableName, version: int | None = None) -> ir.Table:
        """Return a table as `table` does, from which rows are written anew: what its data files
        hold is compared with the digests in their names.
        """
        files = {*self.stored(table, version).files} - self._verified
        with advised(self._advice):
            refuse_altered(self.folder(table), sorted(files))
        self._verified |= files
        return self._read(table, version)

    def small_table(self, table: TableName) -> list[dict[str, Any]]:
        """Return the rows of a small table. Raises `KeyError` if the run has none of that name,
        `WarehouseError` for a damaged one.
        """
        self.stored(table)
        with advised(self._advice):
            rows = delta.read(self.folder(table), self.versions[table])
        return [] if rows is None else rows.to_pylist(maps_as_pydicts="strict")

    def rows(self, query: ir.Table) -> list[dict[str, Any]]:
        """Return the few rows of an expression, values of the types that the expression says."""
        if self._engine is None:
            raise ValueError("a snapshot without an engine computes nothing.")
        return fetched_rows(self._engine, query)

    def stored(self, table: TableName, version: int | None = None) -> Stored:
        """Return what a version of a table consists of, by default that of the run.

        Raises `WarehouseError` unless it is there with all its data files.
        """
        version = self.versions[table] if version is None else version
        is_pinned = self.versions.get(table) == version
        token = self.run.tokens.get(table) if is_pinned else None
        with advised(self._advice):
            return delta.stored(self.folder(table), version, token)

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

    def _read(self, table: TableName, version: int | None) -> ir.Table:
        if self._engine is None:
            raise ValueError("a snapshot without an engine reads small tables only.")
        return self._engine.read(table, self.versions[table] if version is None else version)


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
def _altered_told(tables: Collection[Stored], advice: str = REBUILD) -> Iterator[None]:
    try:
        yield
    except (EngineError, SourceError, ComputationError):
        with advised(advice):
            for stored in tables:
                refuse_altered(stored.folder, stored.files)
        raise


class Published:
    """The tables of one published run, as Ibis expressions and to ask with SQL, on one DuckDB
    connection that this owns.

    Use it as a context manager or `close` it; its expressions cannot be executed after that. It
    writes nothing, and a run that is published meanwhile changes nothing here. One thread at a
    time.

    Attributes:
        run: the run whose versions of the tables these are.
    """

    def __init__(self, target: Target, run: Run, allow_files: bool = False) -> None:
        self.run = run
        self._is_open = True
        with ExitStack() as stack:
            folder = stack.enter_context(scratch(target.warehouse))
            self._engine: SqlEngine = stack.enter_context(connect_sql(target, folder))
            self._stored, self._damaged = Snapshot(target.warehouse, run).intact()
            with _altered_told(self._stored.values()):
                self._engine.show(self._stored, allow_files)
            self._resources = stack.pop_all()

    def table(self, name: str) -> ir.Table:
        """Return a table by its name, `layer.table`.

        Raises `ConfigError` if the run has none, `WarehouseError` for a damaged one.
        """
        return self._engine.shown(self._known(name))

    def batches(self, name: str) -> pa.RecordBatchReader:
        """Return all rows of a table, in the order of their values, batch by batch. Raises what
        `table` raises.
        """
        table = self._known(name)

        def batches() -> Iterator[pa.RecordBatch]:
            with _altered_told([self._stored[table]]):
                yield from reader

        with _altered_told([self._stored[table]]):
            reader = self._engine.batches(table)
        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def sql(self, query: str) -> pa.Table:
        """Return the result of a DuckDB query, in which tables are named `layer.table`.

        Raises `ConfigError` for a query that is wrong, for several, for what does not only read,
        and for one that reads files without `allow_files`; `WarehouseError` for a damaged table.
        """
        self._refuse_when_closed()
        self._refuse_damaged({*re.findall(r"\w+", query.lower())})
        with _altered_told(self._stored.values()):
            return self._engine.ask(query)

    def close(self) -> None:
        """Close the connection and remove its temporary folder; again is fine."""
        self._is_open = False
        self._resources.close()

    def _known(self, name: str) -> TableName:
        self._refuse_when_closed()
        known = [item.table for item in self.run.tables]
        if name not in known:
            raise ConfigError(
                f"run {self.run.run_id} has no table {name!r}. {did_you_mean(name, known)}"
                f"Its tables: {', '.join(known)}."
            )
        table = TableName.of(name)
        self._refuse_damaged({table.name.lower()})
        return table

    def _refuse_damaged(self, named: Set[str]) -> None:
        """Raise the `WarehouseError` of a damaged table that is named."""
        for table, error in self._damaged.items():
            if table.name.lower() in named:
                raise error

    def _refuse_when_closed(self) -> None:
        if not self._is_open:
            raise ConfigError("these tables are closed; open them again: streampro.published(...)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@asks
def published(target: Target, run_id: int | None = None, *, allow_files: bool = False) -> Published:
    """Return the tables of a run, the newest by default, open to ask; the caller closes them.

    ```python
    with streampro.published(target) as tables:
        revenue = tables.table("mart.revenue")
        best = revenue.order_by(revenue.amount.desc()).limit(3).to_pandas()
    ```

    Every table is read at the version that the run pins, so what is asked never sees half of a
    run. Asks warehouses on disks and in object stores, whichever engine wrote them. Nothing but
    the tables is read, and nothing is written, by SQL or an expression; with `allow_files` other
    files are read too.

    Raises `ConfigError` where nothing was published, for an unknown run and for a remote
    warehouse, `WarehouseError` for a run that was cleaned.
    """
    if not place_of(target.warehouse).is_reached:
        raise ConfigError(
            "DuckDB asks warehouses on disks and in object stores; ask "
            f"{target.warehouse} with streampro.spark_session."
        )
    found = published_run(target) if run_id is None else readable_run(target, run_id)
    return Published(target, found, allow_files)


@asks
def sql(
    query: str, target: Target, run_id: int | None = None, *, allow_files: bool = False
) -> pa.Table:
    """Return the result of a DuckDB query over the tables of a run, the newest by default.

    ```python
    rows = streampro.sql("select city, amount from mart.revenue", target).to_pylist()
    ```

    Tables are named `layer.table`. Every table is read at the version that the run pins, so a
    query never sees half of a run. The connection is closed when this returns; to ask more than
    once, or with Ibis, keep one open with `published`.

    A query only reads: `SELECT`, `WITH`, `FROM`, `VALUES`, `TABLE`, `PIVOT`, `UNPIVOT`, `SHOW`,
    `DESCRIBE`, `SUMMARIZE`, and `EXPLAIN` of one of these. It reads the tables, no other file.

    Args:
        query: one statement.
        target: where the warehouse is.
        run_id: the run to ask, by default the newest.
        allow_files: let the query read other files too, such as `FROM 'cities.csv'`.

    Raises `ConfigError` where nothing was published, for a query that is wrong and for one that is
    not allowed; `WarehouseError` for a run that was cleaned and for a damaged table.
    """
    with published(target, run_id, allow_files=allow_files) as tables:
        return tables.sql(query)


@asks
def tables(target: Target) -> list[dict[str, Any]]:
    """Return the published tables of a target: layer, name, rows, version, and the run that made
    this version. Raises `ConfigError` where nothing was published.
    """
    newest, runs = published_run(target), ledger.runs(target.warehouse)
    return [
        {
            "layer": item.table.layer,
            "name": item.table.name,
            "rows": item.rows,
            "version": item.version,
            "run": next(r.run_id for r in runs if r.version_of(item.table) == item.version),
        }
        for item in newest.tables
    ]


def published_run(target: Target, run_id: int | None = None) -> Run:
    """Return a run, the newest by default. Raises `ConfigError` if there is no such run."""
    newest = ledger.newest(target.warehouse)
    if newest is None:
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
        is_first = run_id is None and ledger.newest(target.warehouse) is None
        return {} if is_first else published_run(target, run_id).code

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


@asks
def spark_session(target: Target, session: Any = None) -> Any:
    """Return a Spark session in which the tables of the newest run are known by layer and name.

    They show their newest versions. It is a new session in the application of `session`, or in one
    that is started for it; `stop()` ends that. Raises `ConfigError` without PySpark or Delta Lake.
    """
    from streampro.engines.spark.catalog import registered

    run = ledger.newest(target.warehouse)
    return registered(target, session, [item.table for item in run.tables] if run else [])
