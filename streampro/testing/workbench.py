"""The engine under test: rows in, rows out, whole pipelines."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from streampro.config import Target
    from streampro.engines.protocol import Engine
    from streampro.engines.spark.application import ApplicationSession
    from streampro.modeling.contract import Contract
    from streampro.modeling.model import Model
    from streampro.modeling.pipeline import Pipeline
    from streampro.testing.rows import Row
    from streampro.warehouse.run import Plan, Run


class Workbench:
    """An engine under test, with a warehouse of its own.

    Attributes:
        name: of the engine.
    """

    def __init__(self, target: "Target", application: "Application | None" = None) -> None:
        self.name = target.engine
        self._target = target
        self._application = application
        self._engine: Engine | None = None
        self._session: Any = None

    @property
    def session(self) -> Any:
        """The Spark session of the test run, None for an engine that has none."""
        return self._application and self._application.session

    @property
    def engine(self) -> "Engine":
        """The engine, connected anew where a test has stopped what it computes in."""
        from streampro.engines.registry import connect

        session = self.session
        if self._engine is None or session is not self._session:
            self._engine, self._session = connect(self._target, session), session
        return self._engine

    def table(
        self, rows: "Iterable[Row]", contract: "type[Contract] | Model", name: str | None = None
    ) -> "ir.Table":
        """Return rows as a table with the columns of a contract (or of a model's contract).

        Columns that a row leaves out are null. Raises `ValueError` for a column that the contract
        does not have, for a value that the column's type would change, and for `None` in a column
        that is never null. Raises `TypeError` for what is no list of rows, or no contract.
        """
        from streampro.modeling.contract import Contract
        from streampro.modeling.model import Model
        from streampro.modeling.spec import spec_of
        from streampro.testing.rows import arrow_table

        of = contract.contract if isinstance(contract, Model) else contract
        if not (isinstance(of, type) and issubclass(of, Contract)):
            raise TypeError(f"the columns' contract must be a Contract or a model, not {of!r}.")
        schema = spec_of(of).schema
        return self.engine.load(arrow_table(rows, schema), schema, name)

    def rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        """Return the rows of an expression, values of the types that the expression says."""
        from streampro.engines.protocol import fetched_rows

        return fetched_rows(self.engine, table)

    def run(self, pipeline: "Pipeline", target: "Target", **options: Any) -> "Run":
        """Run a pipeline as a target says, but on the engine under test and without
        exports; options as of `run`.
        """
        from streampro.execution.runner import run

        return run(pipeline.without_exports(), self._own(target), session=self.session, **options)

    def plan(self, pipeline: "Pipeline", target: "Target", **options: Any) -> "Plan":
        """Plan a run on the engine under test; options as of `plan`."""
        from streampro.execution.runner import plan

        return plan(pipeline, self._own(target), session=self.session, **options)

    def close(self) -> None:
        """Let go of the engine, unless what it computed in is gone."""
        if self._engine and not (self._application and self._application.is_stopped):
            self._engine.close()

    def _own(self, target: "Target") -> "Target":
        return target.model_copy(update={"engine": self.name})


class Application:
    """The Spark application of a test run: started when it is asked for, and again after a test,
    or a fixture of the project's own, has stopped it.
    """

    def __init__(self) -> None:
        self._started: ApplicationSession | None = None

    @property
    def session(self) -> Any:
        """A Spark session with Delta Lake. Raises `ConfigError` where another one runs without."""
        from streampro.config import SparkSettings
        from streampro.engines.spark.application import ApplicationSession

        if self._started is None or self.is_stopped:
            self._started = ApplicationSession(
                SparkSettings(master="local[2]", settings={**_SMALL})
            )
        return self._started.spark

    @property
    def is_stopped(self) -> bool:
        """Whether it was started, and stopped by somebody else."""
        return bool(self._started and self._started.is_stopped)

    def close(self) -> None:
        """Stop it, if it runs."""
        if self._started:
            self._started.close()


_SMALL: dict[str, str | int | bool] = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC "
    "-XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m",
    "spark.sql.adaptive.enabled": False,
    "spark.sql.shuffle.partitions": 2,
}
"""What makes queries on a handful of rows quick. Spark compiles code for each query; Java would
stop and tidy up whenever the little room that it gives to code is full.
"""
