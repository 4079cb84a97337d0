"""Tables that depend on when runs were, against their own expressions over what runs have seen."""

from collections.abc import Iterator
from dataclasses import dataclass

from streampro.config import Target
from streampro.engines.protocol import Engine, row_count
from streampro.engines.registry import connect_sql
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse import changes, observed
from streampro.warehouse.folders import scratch
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot


@dataclass(frozen=True)
class AgainstItself:
    """A table that no run computes again, compared with its own expression over the tables of its
    run: of one that keeps what runs have seen the rows of what is there.

    Attributes:
        table: its name.
        why: it depends on when runs were, a sentence.
        differing: rows that one has and the other has not; null where that was not compared: it is
            built from raw files too, or was stored with other columns.
    """

    table: TableName
    why: str
    differing: int | None

    @property
    def is_equal(self) -> bool:
        """Whether no row was found that differs."""
        return not self.differing

    def __str__(self) -> str:
        if self.differing is None:
            return f"{self.why} Not compared."
        return f"{self.why} So it is compared with its own expression: " + (
            f"{self.differing:,} rows differ." if self.differing else "all equal."
        )


def against_themselves(pipeline: Pipeline, target: Target, run: Run) -> Iterator[AgainstItself]:
    """Yield the tables of a run that depend on when runs were."""
    by_runs = pipeline.by_runs()
    models = [each for each in pipeline.models.values() if each.table in by_runs]
    if not models:
        return
    with scratch(target.warehouse) as folder, connect_sql(target, folder) as engine:
        snapshot = Snapshot(target.warehouse, run, engine)
        for model in models:
            found = _differing(pipeline, engine, snapshot, model)
            yield AgainstItself(model.table, by_runs[model.table], found)


def _differing(pipeline: Pipeline, engine: Engine, snapshot: Snapshot, model: Model) -> int | None:
    read = [pipeline.models[name] for name in model.inputs if name in pipeline.models]
    for each in (model, *read):
        is_there = each.table in snapshot.versions
        if not is_there or {*each.spec.schema} - {*snapshot.table(each.table).columns}:
            return None
    if len(read) < len(model.inputs):
        return None
    tables = {
        each.name: snapshot.table(each.table).select([*each.spec.schema]) for each in (model, *read)
    }
    stored = tables[model.name]
    rows = model(**{name: tables[name] for name in model.inputs})
    made = engine.stage(model.table, rows, model.contract).data
    if model.observed_at:
        stored, made = observed.told(model, observed.now(model, stored)), observed.told(model, made)
    return row_count(engine, changes.difference(stored, made))
