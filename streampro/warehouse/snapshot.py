"""Ask the published tables, with SQL or with Ibis."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streampro.warehouse import (ledger,)
from streampro.config import Remote, Target

from streampro.storage import (delta,)
from streampro.engines.duckdb.engine import (DuckDBEngine,)
from streampro.engines.casts import (COMPILERS, compiled_query,)
from streampro.errors import ConfigError, WarehouseError, did_you_mean
from streampro.warehouse.ledger import (Run,)
from streampro.expressions.nulls import (may_be_null,)
from streampro.modeling.model import (ANSWERS, Model, TableName,)
from streampro.modeling.pipeline import (Pipeline,)
from streampro.modeling.quarantine import (outcomes,)


class Published:
    """The tables of one published run, as Ibis expressions and to ask with SQL, on one DuckDB
    connection that this owns.

    Use it as a context manager or `close` it; its expressions cannot be executed after that. It
    writes nothing, and a run that is published meanwhile changes nothing here. One thread at a
    time.

    Attributes:
        run: the run whose versions of the tables these are.
    """

    def __init__(self, target: Target, run: Run) -> None:
        self.run = run
        self._is_open = True
        self._versions = {TableName(*item.table.split(".")): item.version for item in run.tables}
        with ExitStack() as stack:
            scratch = stack.enter_context(TemporaryDirectory(prefix="streampro-ask-"))
            self._engine = stack.enter_context(DuckDBEngine(target, Path(scratch)))
            self._engine.show(self._versions)
            self._resources = stack.pop_all()

    def table(self, name: str) -> ir.Table:
        """Return a table by its name, `layer.table`. Raises `ConfigError` if the run has none."""
        self._refuse_when_closed()
        known = [str(table) for table in self._versions]
        if name not in known:
            raise ConfigError(
                f"run {self.run.run_id} has no table {name!r}. {did_you_mean(name, known)}"
                f"Its tables: {', '.join(known)}."
            )
        layer, _, table = name.partition(".")
        return self._engine.ibis.table(table, database=layer)

    def sql(self, query: str) -> pa.Table:
        """Return the result of a DuckDB query, in which tables are named `layer.table`.

        Raises `ConfigError` for a query that is wrong, for several, and for what is no query.
        """
        self._refuse_when_closed()
        return self._engine.ask(query)

    def close(self) -> None:
        """Close the connection and remove its temporary folder; again is fine."""
        self._is_open = False
        self._resources.close()

    def _refuse_when_closed(self) -> None:
        if not self._is_open:
            raise ConfigError("these tables are closed; open them again: streampro.published(...)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def published(target: Target, run_id: int | None = None) -> Published:
    """Return the tables of a run, the newest by default, open to ask; the caller closes them.

    ```python
    with streampro.published(target) as tables:
        revenue = tables.table("mart.revenue")
        best = revenue.order_by(revenue.amount.desc()).limit(3).to_pandas()
    ```

    Every table is read at the version that the run pins, so what is asked never sees half of a
    run. Asks local warehouses, whichever engine wrote them.

    Raises `ConfigError` where nothing was published, for an unknown run and for a remote
    warehouse, `WarehouseError` for a run that was cleaned.
    """
    if isinstance(target.warehouse, Remote):
        raise ConfigError(
            f"DuckDB asks local warehouses; ask {target.warehouse} with streampro.spark_session."
        )
    found = published_run(target) if run_id is None else readable_run(target, run_id)
    return Published(target, found)


def sql(query: str, target: Target, run_id: int | None = None) -> pa.Table:
    """Return the result of a DuckDB query over the tables of a run, the newest by default.

    ```python
    rows = streampro.sql("select city, amount from mart.revenue", target).to_pylist()
    ```

    Tables are named `layer.table`. Every table is read at the version that the run pins, so a
    query never sees half of a run. The connection is closed when this returns; to ask more than
    once, or with Ibis, keep one open with `published`.

    Raises `ConfigError` where nothing was published or the query is wrong, `WarehouseError` for a
    run that was cleaned.
    """
    with published(target, run_id) as tables:
        return tables.sql(query)


def compiled(pipeline: Pipeline, model: str, engine: str) -> str:
    """Return the SQL that a full run computes a model with, which needs neither engine nor data.

    `model` is `name` or `layer.name`, `engine` `duckdb` or `spark`. Tables are named `layer.table`,
    the text of a source by the source; of a quarantine model it is the query whose rows are split
    into accepted and rejected ones. Raises `ConfigError` for an unknown model or engine.
    """
    if engine not in COMPILERS:
        raise ConfigError(f"there is no engine {engine!r}; {', '.join(COMPILERS)}.")
    built = _model(pipeline, model)
    rows = built(**{name: _input(pipeline, name) for name in built.inputs})
    if built.quarantine:
        rows = outcomes(built, rows, pipeline.source_of(built).secret)
    return compiled_query(engine, rows)


def _model(pipeline: Pipeline, name: str) -> Model:
    for model in pipeline.models.values():
        if name in (model.name, str(model.table)):
            return model
        if model.quarantine and name in (model.rejected.name, str(model.rejected)):
            raise ConfigError(
                f"{model.rejected} has no query of its own: it is split from that of "
                f"{model.name!r}. Ask for {model.name}."
            )
    meant = did_you_mean(name.rpartition(".")[2], list(pipeline.models))
    raise ConfigError(
        f"pipeline {pipeline.name!r} has no model {name!r}. {meant}"
        f"Models: {', '.join(pipeline.models)}."
    )


def _input(pipeline: Pipeline, name: str) -> ir.Table:
    """Return an input as an engine gives it to a model: any column may be null."""
    source, model = pipeline.sources.get(name), pipeline.models.get(name)
    schema = source.schema if source else pipeline.models[name].spec.schema
    return ibis.table(may_be_null(schema), name=name, database=model.table.layer if model else None)


def read_tables(
    run: Run, tables: Sequence[TableName], target: Target
) -> dict[TableName, list[dict[str, Any]]]:
    """Return the rows of small tables as a run pinned them. Raises `KeyError` for another table."""
    versions = {item.table: item.version for item in run.tables}
    found = {}
    for table in tables:
        folder = target.warehouse / table.layer / table.name
        rows = delta.read(folder, versions[str(table)])
        found[table] = [] if rows is None else rows.to_pylist()
    return found


def published_run(target: Target, run_id: int | None = None) -> Run:
    """Return a run, the newest by default. Raises `ConfigError` if there is no such run."""
    runs = ledger.runs(target.warehouse)
    if not runs:
        raise ConfigError(
            f"{target.warehouse} has no published run yet. Start with `streampro run`."
        )
    if run_id is None:
        return runs[-1]
    for run in runs:
        if run.run_id == run_id:
            return run
    raise ConfigError(
        f"{target.warehouse} has no run {run_id}; the runs are 1 to {runs[-1].run_id}."
    )


def readable_run(target: Target, run_id: int) -> Run:
    """Return a run that can be read and gone on from.

    Raises `ConfigError` if there is no such run, `WarehouseError` for one that was cleaned.
    """
    found = published_run(target, run_id)
    if lost := _lost(target, found):
        others = (run for run in ledger.runs(target.warehouse) if not _lost(target, run))
        oldest = next(others, None)
        advice = (
            f"the oldest that can be read is {oldest.run_id}."
            if oldest
            else "no run can be read. Build the tables anew in another --warehouse."
        )
        raise WarehouseError(f"run {run_id} was cleaned ({lost}); {advice}")
    return found


def answers(target: Target, run: Run) -> dict[TableName, list[dict[str, Any]]] | None:
    """Return the rows of the answers as a run published them, None if the run was cleaned."""
    if _lost(target, run):
        return None
    tables = (TableName(*item.table.split(".")) for item in run.tables)
    return read_tables(run, [table for table in tables if table.layer == ANSWERS], target)


def _lost(target: Target, run: Run) -> str | None:
    """Return which table of a run cannot be read any more, None if all can."""
    for table, version in sorted(run.needs):
        folder = target.warehouse / table.layer / table.name
        try:
            is_lost = bool(delta.missing_files(folder, version))
        except WarehouseError:
            is_lost = True
        if is_lost:
            return f"{table} lost files of version {version}"
    return None


def spark_session(target: Target, session: Any = None) -> Any:
    """Return a Spark session in which the tables of the newest run are known by layer and name.

    They show their newest versions. It is a new session in the application of `session`, or in one
    that is started for it; `stop()` ends that. Raises `ConfigError` without PySpark or Delta Lake.
    """
    from streampro.engines.spark.session import (Session,)
    from streampro.engines.spark.engine import (register,)
    from streampro.engines.spark.files import (Files,)

    found = Session(target.spark, session).spark
    files = Files(found)
    run = ledger.newest(target.warehouse)
    for item in run.tables if run else ():
        table = TableName(*item.table.split("."))
        register(found, files, table, files.uri(target.warehouse / table.layer / table.name))
    return found
