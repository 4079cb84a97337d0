"""The tables of a run, asked by expressions of the pipeline that built it."""

import inspect
from collections.abc import Callable
from typing import Any

import ibis.expr.types as ir

from streampro.config import Target
from streampro.errors import ConfigError
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot, published_run, readable_run


def run_of(pipeline: Pipeline, target: Target, run_id: int | None = None) -> Run:
    """Return a run of a pipeline that can be read, the newest by default.

    Raises `ConfigError` where nothing was published, for an unknown run and the warehouse of
    another pipeline, `WarehouseError` for a run that was cleaned or whose files are lost.
    """
    run = readable_run(target, published_run(target, run_id).run_id)
    if run.pipeline != pipeline.name:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {run.pipeline!r}, not of "
            f"{pipeline.name!r}. Name it with --pipeline."
        )
    return run


def most_frequent(rows: ir.Table, column: str, most: int) -> ir.Table:
    """Return the values of a column that stand in most rows, `value`, and in how many, `rows`; of
    those in as many the smallest. Nulls are left out.
    """
    values = rows.select(rows[column].name("value"))
    counted = values.group_by("value").aggregate(values.count().name("rows"))
    given = counted.filter(counted["value"].notnull())
    return given.order_by(given["rows"].desc(), given["value"]).limit(most)


class RunTables:
    """A run that can be asked.

    Attributes:
        snapshot: its tables.
        missing: names of the models that the run lacks.
        other_code: names of the models that the run has from other code than the present.
    """

    def __init__(self, snapshot: Snapshot, pipeline: Pipeline) -> None:
        self.snapshot = snapshot
        self.run = snapshot.run
        self.pipeline = pipeline
        code = pipeline.code_hashes()
        self.missing = [name for name in code if name not in self.run.code]
        self.other_code = [
            name for name in code if self.run.code.get(name, code[name]) != code[name]
        ]

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
        return table in self.snapshot.versions

    def table(self, table: TableName) -> ir.Table:
        """Return a table that the run has."""
        return self.snapshot.table(table)

    def rows(self, query: ir.Table) -> list[dict[str, Any]]:
        """Return the few rows of an expression, values of the types that the expression says."""
        return self.snapshot.rows(query)

    def ask(self, question: Callable[..., ir.Table]) -> list[dict[str, Any]]:
        """Return the rows of an expression over models, which the function's parameters name."""
        names = inspect.signature(question).parameters
        return self.rows(
            question(**{name: self.table(self.pipeline.models[name].table) for name in names})
        )
