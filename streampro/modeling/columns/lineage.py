"""Column lineage, exact from the expression trees: no engine, no data."""

from dataclasses import dataclass
from functools import cached_property

import ibis.expr.types as ir

from streampro.errors import ConfigError, did_you_mean
from streampro.expressions.columns import (
    ROWS,
    ColumnRef,
    How,
    Origins,
    Rows,
    merged,
    rows_of,
    through,
)
from streampro.modeling.contract import Rejected
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import fates
from streampro.modeling.spec import spec_of


@dataclass(frozen=True)
class Origin:
    """A column that another one depends on, and how; of several ways the first of these is told:

    - `computed`: the value is computed from it;
    - `copied`: the value is one of its values, unchanged, maybe of another row (`lead`, the value
      of the earliest row) or missing (a left join);
    - `decides`: it is no part of the value, but decides which rows there are or which of several
      values is taken: filters, join keys, keys of groups, windows and orders, `where=` of an
      aggregate, conditions of a case, and all columns of rows that are made distinct.
    """

    column: ColumnRef
    how: How


class Lineage:
    """The lineage of every table of a pipeline, the rejected ones included.

    Raises `PipelineError` for an operation whose lineage is not known.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    def origins(self, column: ColumnRef) -> tuple[Origin, ...]:
        """Return what a column is made from in the inputs of its model, none for a source's field.

        Of `ROWS` as column it is what decides which rows there are.
        """
        if column.table in self.pipeline.sources:
            return ()
        rows = self._stored[column.table]
        of_values = {} if column.column == ROWS else rows.columns[column.column]
        found = merged([of_values, rows.which])
        named = {origin.table for origin in found if origin.column != ROWS}
        return tuple(
            Origin(origin, how)
            for origin, how in found.items()
            if origin.column != ROWS or how != "decides" or origin.table not in named
        )

    def upstream(self, column: ColumnRef) -> dict[ColumnRef, tuple[Origin, ...]]:
        """Return the origins of a column, of these, and so on down to the fields of sources, each
        column after those it is met in.
        """
        found: dict[ColumnRef, tuple[Origin, ...]] = {}
        todo = [column]
        while todo:
            each = todo.pop(0)
            if each not in found:
                found[each] = self.origins(each)
                todo += [origin.column for origin in found[each]]
        return found

    def fields(self, column: ColumnRef) -> tuple[Origin, ...]:
        """Return the fields of sources that a column comes from over all tables between."""
        return tuple(Origin(field, how) for field, how in self._fields(column, {}).items())

    def column(self, text: str) -> ColumnRef:
        """Return the column that `table.column` or `layer.table.column` names.

        Raises `ConfigError` if there is none.
        """
        table, _, name = text.rpartition(".")
        if text in self._names:
            columns = ", ".join(f"{text}.{each}" for each in self._columns(self._names[text]))
            what = "source" if text in self.pipeline.sources else "table"
            raise ConfigError(f"{text} is a {what}. A column is given as table.column: {columns}.")
        found = self.table(table or text)
        if name not in (known := self._columns(found)):
            raise ConfigError(
                f"{table} has no column {name!r}. {did_you_mean(name, known)}"
                f"Its columns: {', '.join(known)}."
            )
        return ColumnRef(found, name)

    def table(self, text: str) -> str:
        """Return the name of the table or source that `table` or `layer.table` names.

        Raises `ConfigError` if there is none.
        """
        if text not in self._names:
            raise ConfigError(
                f"pipeline {self.pipeline.name!r} has no table {text!r}. "
                f"{did_you_mean(text, [*self._names])}A column is given as table.column."
            )
        return self._names[text]

    def shown(self, column: ColumnRef) -> str:
        """Return a column with the layer of its table, as `layer.table.column`."""
        return f"{self.shown_table(column.table)}.{column.column}"

    def shown_table(self, name: str) -> str:
        """Return a table with its layer, a source by its name."""
        found = (table for table in self.pipeline.tables() if table.name == name)
        return next(found, name)

    @cached_property
    def tables(self) -> dict[str, ir.Table]:
        """The expression of what every table stores, by name: of a quarantine model the accepted
        rows, once each, and the rejected lines before secrets are masked.
        """
        found = {}
        for name, rows in self.pipeline.expressions.items():
            model = self.pipeline.models[name]
            if model.quarantine:
                found[name], found[model.rejected.name] = _split(model, rows)
            else:
                found[name] = rows
        return found

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names of tables and sources, by these and by `layer.table`."""
        found = {name: name for name in (*self.tables, *self.pipeline.sources)}
        return found | {table: table.name for table in self.pipeline.tables()}

    @cached_property
    def _stored(self) -> dict[str, Rows]:
        return {name: rows_of(name, rows) for name, rows in self.tables.items()}

    def _columns(self, table: str) -> tuple[str, ...]:
        source = self.pipeline.sources.get(table)
        return tuple(source.schema) if source else self.tables[table].columns

    def _fields(self, column: ColumnRef, known: dict[ColumnRef, Origins]) -> Origins:
        if column not in known:
            known[column] = (
                {column: "copied"}
                if column.table in self.pipeline.sources
                else merged(
                    through(origin.how, self._fields(origin.column, known))
                    for origin in self.origins(column)
                )
            )
        return known[column]


def _split(model: Model, rows: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Return what a quarantine model's tables store, split as `modeling.quarantine` does."""
    of = fates(model, rows)
    accepted = of.rows.filter(of.accepted).select(*model.spec.schema).distinct()
    return accepted, of.rows.filter(of.rejected).select(*spec_of(Rejected).schema)
