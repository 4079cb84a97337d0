"""The rows of a model and of its mutants, computed from the data at hand."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import ibis
import ibis.expr.types as ir

from streampro.config import Target
from streampro.engines.protocol import Engine, fetched_rows
from streampro.engines.registry import connect_sql
from streampro.errors import ConfigError, DataError, StreamProError
from streampro.execution.runner import computed
from streampro.modeling.audit import ROW_COUNT, audit, severity_of
from streampro.modeling.columns.secrets import personal_columns
from streampro.modeling.model import UNREADABLE, Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import fates
from streampro.names import ours
from streampro.proofs.diff import RowDifference, shown_row
from streampro.warehouse import changes, ledger
from streampro.warehouse.folders import extracted, scratch
from streampro.warehouse.snapshot import Snapshot

_SIDE = ours("side")


class DataAtHand:
    """What a model reads, at hand, and the rows that it computes of that."""

    def __init__(
        self, pipeline: Pipeline, model: Model, engine: Engine, inputs: Mapping[str, ir.Table]
    ) -> None:
        self.engine = engine
        self.model = model
        self.inputs = inputs
        self.hidden = personal_columns(pipeline).get(model.table, frozenset())
        self.rows = self._computed(model)
        self.broken = self._broken(self.rows)

    def breaks(self, mutant: Model) -> str | None:
        """Return what a run of a mutant would stop at, which one of the model does not."""
        try:
            return next(iter(self._broken(self._computed(mutant)) - self.broken), None)
        except StreamProError as error:
            return str(error).partition("\n")[0]

    def first_difference(self, mutant: Model) -> RowDifference | None:
        """Return the first row, by key, in which a mutant differs from the model, None for none."""
        old, new = self.rows, self._computed(mutant)
        gone, come = changes.beyond(old, new), changes.beyond(new, old)
        both = gone.mutate(_side(0)).union(come.mutate(_side(1)))
        key = self.model.spec.key
        in_order = both.distinct().order_by(*key or old.columns, _SIDE)
        first = fetched_rows(self.engine, in_order.limit(3))
        if not first:
            return None
        is_pair = bool(key) or len(first) == 2  # of a table that has one row
        sides: list[Mapping[str, Any] | None] = [None, None]
        for row in first[: 2 if is_pair else 1]:
            side = row.pop(_SIDE)
            if sides[side] is None and all(row[name] == first[0][name] for name in key):
                sides[side] = row
        return shown_row(sides[0], sides[1], key, self.hidden)

    def _computed(self, model: Model) -> ir.Table:
        """Return the rows of a model, computed once; of one that keeps books those of all lines,
        with the reason why they are rejected and whether a value could not be read.
        """
        rows = model(**self.inputs)
        if not model.quarantine:
            return self.engine.stage(model.table, rows, model.contract).data
        columns = (*model.spec.schema, "reject_reason", UNREADABLE)
        judged = fates(model, rows).rows
        told = (name for name in columns if name in judged.columns)
        return self.engine.cache(judged.select(*told))

    def _broken(self, rows: ir.Table) -> set[str]:
        """Return the rules that rows break, but for those that only warn."""
        model = self.model
        if model.quarantine:
            rows = rows.filter(rows.reject_reason.isnull()).select(*model.spec.schema).distinct()
        referred = {**self.inputs, model.name: rows}
        [counts] = fetched_rows(self.engine, audit(model.contract, rows, referred))
        counts.pop(ROW_COUNT)
        severities = {rule: severity_of(model.contract, rule) for rule, n in counts.items() if n}
        return {rule for rule, severity in severities.items() if severity != "warn"}


@contextmanager
def data_at_hand(
    pipeline: Pipeline, target: Target, model: Model
) -> Iterator[tuple[DataAtHand | None, str]]:
    """Yield what a model reads and what that is, in words: of models what the newest run published,
    or else what they compute from the raw folder, and of sources the raw folder.

    Where there is neither, None and why.
    """
    with ExitStack() as opened:
        data: DataAtHand | None = None
        try:
            data, told = _opened(pipeline, target, model, opened)
        except (ConfigError, DataError) as error:
            told = f"no data at hand: {error}"
        yield data, told


def _opened(
    pipeline: Pipeline, target: Target, model: Model, opened: ExitStack
) -> tuple[DataAtHand, str]:
    run = ledger.last_of(target.warehouse)
    parents = [pipeline.models[name] for name in model.inputs if name in pipeline.models]
    is_published = run is not None and all(
        run.version_of(each.table) is not None for each in parents
    )
    needed = [model] if is_published else pipeline.built_from(model.name)
    sources = pipeline.read(needed)
    for source in sources:
        if not source.is_in_database and target.raw_of(source.name) is None:
            raise ConfigError("no raw folder is known.")
    folder = opened.enter_context(scratch(target.warehouse))
    extracts = opened.enter_context(extracted(sources, target))
    engine = opened.enter_context(connect_sql(target, folder))
    tables = {
        source.name: engine.read_raw(source, extracts.whole(source, target)).table
        for source in sources
    }
    told = [f"run {run.run_id}"] if run and is_published and parents else []
    told += ["the raw folder"] if sources else []
    if run and is_published:
        snapshot = Snapshot(target.warehouse, run, engine)
        for each in parents:
            tables[each.name] = snapshot.table(each.table).select(*each.spec.schema)
    for each in needed[:-1]:
        tables[each.name] = computed(pipeline, engine, each, tables)
    inputs = {name: tables[name] for name in model.inputs}
    return DataAtHand(pipeline, model, engine, inputs), " and ".join(told)


def _side(number: int) -> ir.Value:
    return ibis.literal(number).name(_SIDE)
