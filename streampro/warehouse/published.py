"""The published tables of a run, to ask with SQL and Ibis."""

import re
from collections.abc import Iterator, Set
from contextlib import ExitStack
from typing import Self

import ibis.expr.types as ir
import pyarrow as pa

from streampro.arguments import asks
from streampro.config import Target
from streampro.engines.protocol import SqlEngine
from streampro.engines.registry import connect_sql
from streampro.errors import ConfigError, did_you_mean
from streampro.modeling.model import TableName
from streampro.storage.place import place_of
from streampro.warehouse.folders import scratch
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot, altered_told, published_run, readable_run


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
            with altered_told(self._stored.values()):
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
            with altered_told([self._stored[table]]):
                yield from reader

        with altered_told([self._stored[table]]):
            reader = self._engine.batches(table)
        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def sql(self, query: str) -> pa.Table:
        """Return the result of a DuckDB query, in which tables are named `layer.table`.

        Raises `ConfigError` for a query that is wrong, for several, for what does not only read,
        and for one that reads files without `allow_files`; `WarehouseError` for a damaged table.
        """
        self._refuse_when_closed()
        self._refuse_damaged({*re.findall(r"\w+", query.lower())})
        with altered_told(self._stored.values()):
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
