"""The tables of a run at the versions that it pins, asked by expressions."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis.expr.types as ir

from streampro.config import Remote, Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.ledger import Run


class RunTables:
    """A run that can be asked.

    Attributes:
        missing: names of the models that the run lacks.
        other_code: names of the models that the run has from other code than the present.
    """

    def __init__(self, run: Run, pipeline: Pipeline, engine: Engine) -> None:
        self.run = run
        self.pipeline = pipeline
        self.engine = engine
        code = pipeline.code_hashes()
        self.missing = [name for name in code if name not in run.code]
        self.other_code = [name for name in code if run.code.get(name, code[name]) != code[name]]

    @property
    def is_of_the_present(self) -> bool:
        """The run has every model of the pipeline, built by its present code."""
        return not self.missing and not self.other_code

    def knows(self, name: str) -> bool:
        """Tell whether the run has a model as its contract now says."""
        is_present = name not in self.missing and name not in self.other_code
        return is_present and self.has(self.pipeline.models[name].table)

    def has(self, table: TableName) -> bool:
        """Tell whether the run has the table."""
        return self.run.version_of(table) is not None

    def table(self, table: TableName) -> ir.Table:
        """Return a table that the run has."""
        version = self.run.version_of(table)
        assert version is not None
        return self.engine.read(table, version)

    def rows(self, asked: ir.Table) -> list[dict[str, Any]]:
        """Return the few rows of an expression, values of the types that the expression says."""
        types = may_be_null(asked.schema()).to_pyarrow()
        return list(self.engine.fetch(asked).cast(types).to_pylist())

    def ask(self, question: Callable[..., ir.Table]) -> list[dict[str, Any]]:
        """Return the rows of an expression over models, which the function's parameters name."""
        names = inspect.signature(question).parameters
        return self.rows(
            question(**{name: self.table(self.pipeline.models[name].table) for name in names})
        )


@contextmanager
def reading(target: Target, session: Any = None) -> Iterator[Engine]:
    """Yield an engine that reads a warehouse: of a local one DuckDB, whoever wrote it."""
    if not isinstance(target.warehouse, Remote):
        target, session = target.model_copy(update={"engine": "duckdb"}), None
    with (
        TemporaryDirectory(prefix="streampro-report-") as scratch,
        connect(target, session, Path(scratch)) as engine,
    ):
        yield engine
