"""The tables as a run finds and leaves them, and which of their rows moved."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass

import ibis.expr.types as ir

from streampro.config import Target
from streampro.engines.checked import fingerprint
from streampro.engines.protocol import Engine, Staged, row_count
from streampro.errors import ConfigError, PipelineError, WarehouseError
from streampro.expressions.nulls import may_be_null
from streampro.location import Location
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.sample import SAMPLED, Sample
from streampro.warehouse import changes, ledger, observed
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import REBUILD, Snapshot


@dataclass(frozen=True)
class ChangedRows:
    """Which rows of a table differ from an older state; `rows` is null if any of them may.

    There may be more of them than differ, but no key whose rows differ is missing. `now` are all
    rows that the table has of the values of `by` in `rows`, where they are at hand.
    """

    rows: ir.Table | None
    by: str | None = None
    now: ir.Table | None = None


@dataclass(frozen=True)
class Built:
    """A table as this run leaves it: `parts` are staged, beside what it had at version `onto`.

    `changed` compares it with the last run, null where no row differs.
    """

    data: ir.Table
    parts: tuple[Staged, ...]
    rows: int
    changed: ChangedRows | None
    onto: int | None = None

    @property
    def is_as_before(self) -> bool:
        """Whether there is nothing to publish."""
        return self.onto is not None and not any(part.rows for part in self.parts)


class State:
    """The tables of the last run, and above them those that this run has built so far."""

    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine,
        warehouse: Location,
        last: Run | None,
        sample: Sample | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.last = last
        self.snapshot = last and Snapshot(
            warehouse, last, engine, f"Nothing was published. {REBUILD}"
        )
        self.sample = sample
        self.hashes = pipeline.code_hashes()
        self.built: dict[TableName, Built] = {}

    def leave_out(self, names: Collection[str]) -> None:
        """Forget what was built of models."""
        for name in names:
            model = self.pipeline.models[name]
            self.built.pop(model.table, None)
            self.built.pop(model.rejected, None)

    def published(self, table: TableName) -> int | None:
        """Return the version of the last run, None if there is none."""
        return self.last.version_of(table) if self.last else None

    def version(self, table: TableName) -> int:
        """Return the version of the last run of a table that it has."""
        return self._snapshot.versions[table]

    def rows(self, table: TableName) -> int:
        """Return the rows that such a table had."""
        return self._snapshot.row_count(table)

    def refuse_damaged(self, table: TableName, version: int) -> None:
        """Raise `WarehouseError` unless a version is there with all its data files."""
        self._snapshot.stored(table, version)

    def is_same_code(self, model: Model) -> bool:
        """Tell whether the last run has the model from the same expression and contract, of the
        same sample or of all rows.
        """
        is_of_any = (self.hashes[model.name], self.code(model))
        return bool(self.last and self.last.code.get(model.name) in is_of_any)

    def is_observed(self, model: Model) -> bool:
        """Tell whether the last run has the table as one that keeps what runs have seen."""
        return bool(self.last and model.table in self.last.observed)

    def code(self, model: Model) -> str:
        """Return what tells from which code, and of which sample, this run builds a model: of its
        own, or of that of a model that it is built from.
        """
        parents = [self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models]
        of_parents = (self._code_now(each).partition(SAMPLED)[2] for each in parents)
        sample = str(self.sample or "") if parents else ""
        sample = sample or next(filter(None, of_parents), "")
        return self.hashes[model.name] + (f"{SAMPLED}{sample}" if sample else "")

    def _code_now(self, model: Model) -> str:
        """Return of which code a table is, as this run has it so far."""
        if model.table in self.built:
            return self.code(model)
        return self.last.code.get(model.name, "") if self.last else ""

    def input(self, name: str, reader: Model) -> ir.Table:
        """Return the content of a model that another reads, of a sampled run what that chooses.

        Raises `ConfigError` if it was never published.
        """
        parent = self.pipeline.models[name]
        if parent.table not in self.built and self.published(parent.table) is None:
            raise ConfigError(
                f"{reader.table} is built from {parent.table}, which was never published. "
                f"Select it too: --select +{reader.name}."
            )
        rows = self._content(parent)
        if missing := [n for n in parent.spec.schema if n not in rows.columns]:
            raise ConfigError(
                f"{reader.table} is built from {parent.table}, which was published before its "
                f"contract had {', '.join(missing)}. Select it too: --select +{reader.name}."
            )
        return self.sampled(reader, name, rows)

    def sampled(self, reader: Model, name: str, rows: ir.Table) -> ir.Table:
        """Return the rows of an input of a model that the sample of the run chooses."""
        return self.sample.rows(reader, name, rows) if self.sample else rows

    def nullable_keys(self, model: Model) -> list[str]:
        """Return the inputs' columns that tell the keys of a model, but may be null: rows without
        a key could belong to any.
        """
        parents = (self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models)
        keys = [(parent, model.key_of(parent.name)) for parent in parents]
        return [
            f"{parent.name}.{key}"
            for parent, key in keys
            if key in parent.spec.schema and parent.spec.schema[key].nullable
        ]

    def published_rows(self, model: Model) -> ir.Table:
        """Return what the last run published of a model, with the columns it then had."""
        return self._snapshot.table(model.table)

    def kept(self, model: Model) -> ir.Table:
        """Return what runs have seen of an observed model, with the columns of its contract."""
        return observed.kept(model, self._snapshot.verified(model.table))

    def stored(self, model: Model) -> ir.Table:
        """Return the same with the columns of the contract, where that has not changed since."""
        return self._snapshot.verified(model.table).select(*model.spec.columns)

    def changed_inputs(self, model: Model) -> dict[str, ChangedRows]:
        """Return what changed in each input since a model that the last run has was built."""
        assert self.last
        lineage = self.last.lineage.get(model.table, {})
        parents = [self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models]
        changed = {parent.name: self._changed_since(parent, lineage) for parent in parents}
        return {name: each for name, each in changed.items() if each}

    def difference(self, model: Model, then: int, now: ir.Table) -> ChangedRows | None:
        """Compare rows with an older version, one by one; for tables that are not large."""
        old = self._snapshot.verified(model.table, then)
        if {**may_be_null(old.schema())} != {**may_be_null(now.schema())}:
            return ChangedRows(None)
        rows = self.engine.cache(changes.difference(old.select(*now.columns), now))
        return ChangedRows(rows) if self.count(rows) else None

    def count(self, rows: ir.Table) -> int:
        """Return the number of rows."""
        return row_count(self.engine, rows)

    def _changed_since(self, parent: Model, lineage: Mapping[TableName, int]) -> ChangedRows | None:
        then, now = lineage.get(parent.table), self.published(parent.table)
        built = self.built.get(parent.table)
        if then is not None and then == now:
            return built.changed if built else None
        if then is None or now is None or parent.incremental_by:
            return ChangedRows(None)
        return self.difference(parent, then, self._content(parent))

    def _content(self, model: Model) -> ir.Table:
        if model.table in self.built:
            return self.built[model.table].data
        return self._snapshot.verified(model.table)

    @property
    def _snapshot(self) -> Snapshot:
        assert self.snapshot
        return self.snapshot


def unjudged(pipeline: Pipeline, target: Target) -> set[str]:
    """Return the models that the last run has not looked at as they are now."""
    with suppress(PipelineError, WarehouseError):  # which are told where they are in the way
        last, now = ledger.last_of(target.warehouse), fingerprint(pipeline, target.engine)
        if last and last.checked == now.surroundings:
            return {name for name in now.models if last.judged.get(name) != now.models[name]}
    return {*pipeline.models}
