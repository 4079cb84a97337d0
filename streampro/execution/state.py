"""The tables as a run finds and leaves them, and which of their rows moved."""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis.expr.types as ir

from streampro.config import Location
from streampro.engines.protocol import Engine, Staged
from streampro.errors import ConfigError, WarehouseError
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import delta
from streampro.warehouse import changes
from streampro.warehouse.ledger import PublishedTable, Run


@dataclass(frozen=True)
class Moved:
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

    `moved` compares it with the last run, null where no row differs.
    """

    data: ir.Table
    parts: tuple[Staged, ...]
    rows: int
    moved: Moved | None
    onto: int | None = None

    @property
    def is_as_before(self) -> bool:
        """Whether there is nothing to publish."""
        return self.onto is not None and not any(part.rows for part in self.parts)


class State:
    """The tables of the last run, and above them those that this run has built so far."""

    def __init__(
        self, pipeline: Pipeline, engine: Engine, warehouse: Location, last: Run | None
    ) -> None:
        self.pipeline = pipeline
        self.warehouse = warehouse
        self.engine = engine
        self.last = last
        self.hashes = pipeline.code_hashes()
        self.built: dict[TableName, Built] = {}

    def published(self, table: TableName) -> int | None:
        """Return the version of the last run, None if there is none."""
        return self.last.version_of(table) if self.last else None

    def version(self, table: TableName) -> int:
        """Return the version of the last run of a table that it has."""
        return self._told(table).version

    def rows(self, table: TableName) -> int:
        """Return the rows that such a table had."""
        return self._told(table).rows

    def _told(self, table: TableName) -> PublishedTable:
        assert self.last
        return next(item for item in self.last.tables if item.table == str(table))

    def refuse_damaged(self, table: TableName, version: int) -> None:
        """Raise `WarehouseError` unless a version is there with all its data files."""
        try:
            delta.refuse_damaged(self.warehouse / table.layer / table.name, version)
        except WarehouseError as error:
            raise WarehouseError(
                f"{error} Nothing was published. Build it anew from the raw files: "
                "streampro run --full-refresh."
            ) from error

    def is_same_code(self, model: Model) -> bool:
        """Tell whether the last run built the model from the same expression and contract."""
        return bool(self.last and self.last.code.get(model.name) == self.hashes[model.name])

    def input(self, name: str, reader: Model) -> ir.Table:
        """Return the content of a model that another reads.

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
        return rows

    def nullable_keys(self, model: Model) -> list[str]:
        """Return the inputs' columns that tell the keys of a model, but may be null: rows without
        a key could belong to any.
        """
        parents = (self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models)
        by = str(model.incremental_by)
        schemas = {parent.name: parent.spec.schema for parent in parents}
        return [f"{n}.{by}" for n, kinds in schemas.items() if by in kinds and kinds[by].nullable]

    def published_rows(self, model: Model) -> ir.Table:
        """Return what the last run published of a model, with the columns it then had."""
        return self._read(model.table, self.version(model.table))

    def stored(self, model: Model) -> ir.Table:
        """Return the same with the columns of the contract, where that has not changed since."""
        return self.published_rows(model).select(*model.spec.columns)

    def moved_inputs(self, model: Model) -> dict[str, Moved]:
        """Return what moved in each input since a model that the last run has was built."""
        assert self.last
        lineage = self.last.lineage.get(str(model.table), {})
        parents = [self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models]
        moved = {parent.name: self._moved_since(parent, lineage) for parent in parents}
        return {name: each for name, each in moved.items() if each}

    def difference(self, model: Model, then: int, now: ir.Table) -> Moved | None:
        """Compare rows with an older version, one by one; for tables that are not large."""
        old = self._read(model.table, then)
        if {**may_be_null(old.schema())} != {**may_be_null(now.schema())}:
            return Moved(None)
        rows = self.engine.keep(changes.difference(old.select(*now.columns), now))
        return Moved(rows) if self.count(rows) else None

    def count(self, rows: ir.Table) -> int:
        """Return the number of rows."""
        [found] = self.engine.fetch(rows.aggregate(rows=rows.count())).to_pylist()
        return int(found["rows"])

    def _moved_since(self, parent: Model, lineage: Mapping[str, int]) -> Moved | None:
        then, now = lineage.get(str(parent.table)), self.published(parent.table)
        built = self.built.get(parent.table)
        if then is not None and then == now:
            return built.moved if built else None
        if then is None or now is None or parent.incremental_by:
            return Moved(None)
        return self.difference(parent, then, self._content(parent))

    def _content(self, model: Model) -> ir.Table:
        if model.table in self.built:
            return self.built[model.table].data
        return self.published_rows(model)

    def _read(self, table: TableName, version: int) -> ir.Table:
        self.refuse_damaged(table, version)
        return self.engine.read(table, version)
