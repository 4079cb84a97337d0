"""From a number down to the raw lines that it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from streampro.arguments import asks, refuse_limit
from streampro.config import Target
from streampro.engines.registry import connect_sql
from streampro.errors import ConfigError, did_you_mean
from streampro.expressions.columns import ROWS, ColumnRef
from streampro.lineage.brackets import readable
from streampro.lineage.trace import Line, RowTrace, Step
from streampro.modeling.columns.lineage import Lineage, Origin
from streampro.modeling.contract import Contract
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.spec import spec_of
from streampro.storage.place import place_of
from streampro.warehouse.folders import extracted, scratch
from streampro.warehouse.snapshot import published_run, readable_run


@dataclass(frozen=True)
class Meaning:
    """A column as its contract declares it."""

    column: str
    type: str
    nullable: bool
    unit: str | None
    description: str


@dataclass(frozen=True)
class Explanation:
    """Where rows of a table come from.

    Attributes:
        table: the table, as `layer.name`.
        column: the column that is asked about, null for all.
        run_id: the run whose tables and files these are.
        where: the condition that selects rows, null for all.
        rows: the first of the selected rows.
        definition: what the model and its contract say.
        columns: what the columns mean.
        expression: the model's expression, without columns that are only handed on.
        lineage: per column, as `name.column`, what it comes from, down to the fields of sources.
        steps: rows at each step, from the selected rows down to raw lines.
        lines: some of the raw lines.
        notes: what could not be told, and why.
    """

    table: str
    column: str | None
    run_id: int
    where: str | None
    rows: tuple[Mapping[str, Any], ...]
    definition: tuple[str, ...]
    columns: tuple[Meaning, ...]
    expression: str
    lineage: Mapping[str, tuple[Origin, ...]]
    steps: tuple[Step, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The table's name without its layer."""
        return self.table.rpartition(".")[2]

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values."""
        origins = {
            name: [{"column": str(each.column), "how": each.how} for each in found]
            for name, found in self.lineage.items()
        }
        return asdict(self) | {"lineage": origins}


@asks
def explain(
    pipeline: Pipeline,
    target: Target,
    model: str,
    where: str | None = None,
    *,
    run_id: int | None = None,
    limit: int = 5,
) -> Explanation:
    """Return where rows of a table come from: definition, expression, column lineage, the rows at
    each step, and some of the raw lines.

    Args:
        pipeline: whose table it is.
        target: where its warehouse and raw folder are, on disks or in object stores.
        model: `name` or `layer.name` of a model or of a `<name>_rejected` table, or one column of
            it as `name.column`: then only the rows that this column is computed from are followed.
        where: which rows, a condition in DuckDB's SQL; all by default.
        run_id: the run to explain, by default the newest.
        limit: how many rows, and how many raw lines of each source, are shown.

    Raises `ConfigError` for an unknown model, column or run, a condition that is wrong, and tables
    that were built by other code than the pipeline's; `WarehouseError` for a run that was cleaned.
    """
    if not place_of(target.warehouse).is_reached:
        raise ConfigError(
            f"explain reads warehouses on disks and in object stores; {target.warehouse} is none. "
            "Ask its tables with streampro.spark_session."
        )
    refuse_limit("explain", limit)
    lineage = Lineage(pipeline)
    table, column = _asked(pipeline, lineage, model)
    columns = [column] if column else [*lineage.tables[table.name].columns]
    run = published_run(target) if run_id is None else readable_run(target, run_id)
    with (
        scratch(target.warehouse) as folder,
        extracted(pipeline.sources.values(), target) as extracts,
        connect_sql(target, folder) as engine,
    ):
        followed = RowTrace(pipeline, target, run, engine, extracts, limit)
        with followed.snapshot.altered_told():
            rows = followed.from_table(table, column, where)
        return Explanation(
            table=table,
            column=column,
            run_id=run.run_id,
            where=where,
            rows=rows,
            definition=_definition(followed.contract(table), followed.models[table]),
            columns=_meanings(followed.contract(table), column),
            expression=readable(pipeline.expressions[followed.models[table].name]),
            lineage=_lineage(lineage, table, columns),
            steps=tuple(followed.steps),
            lines=tuple(followed.lines),
            notes=tuple(followed.notes),
        )


def _asked(pipeline: Pipeline, lineage: Lineage, asked: str) -> tuple[TableName, str | None]:
    """Return the table, and maybe the column, that a text names."""
    known: dict[str, TableName] = {table: table for table in pipeline.tables()}
    known |= {table.name: table for table in pipeline.tables()}
    if asked in known:
        return known[asked], None
    name, _, column = asked.rpartition(".")
    for source in {asked, name} & pipeline.sources.keys():
        built = [m.table for m in pipeline.models.values() if source in m.inputs]
        raise ConfigError(
            f"{source} is a source. Ask for a table that is built from it: {', '.join(built)}."
        )
    if name not in known:
        raise ConfigError(
            f"pipeline {pipeline.name!r} has no table {asked!r}. {did_you_mean(asked, [*known])}"
            f"Tables: {', '.join(map(str, pipeline.tables()))}."
        )
    columns = [*lineage.tables[known[name].name].columns]
    if column not in columns:
        raise ConfigError(
            f"{known[name]} has no column {column!r}. {did_you_mean(column, columns)}"
            f"Columns: {', '.join(columns)}."
        )
    return known[name], column


def _definition(contract: type[Contract], model: Model) -> tuple[str, ...]:
    docs = (contract.__doc__, model.transform.__doc__)
    return tuple(dict.fromkeys(" ".join(doc.split()) for doc in docs if doc))


def _meanings(contract: type[Contract], column: str | None) -> tuple[Meaning, ...]:
    kinds = spec_of(contract).schema
    return tuple(
        Meaning(
            name,
            str(kinds[name].copy(nullable=True)),
            kinds[name].nullable,
            (spec.metadata or {}).get("unit"),
            spec.description or "",
        )
        for name, spec in spec_of(contract).columns.items()
        if column in (None, name)
    )


def _lineage(
    lineage: Lineage, table: TableName, columns: Sequence[str]
) -> dict[str, tuple[Origin, ...]]:
    """Return what columns come from, and what of these the values come from, down to fields."""
    found: dict[str, tuple[Origin, ...]] = {}
    todo = [ColumnRef(table.name, column) for column in columns]
    while todo:
        column = todo.pop(0)
        name = str(column)
        if name not in found and (origins := lineage.origins(column)):
            found[name] = origins
            values = (each.column for each in origins if each.how != "decides")
            todo += [value for value in values if value.column != ROWS]
    return found
