"""What differs between two published runs, of one warehouse or of two: columns, rows, values."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import ibis.expr.types as ir

from streampro.arguments import asks
from streampro.config import Target
from streampro.engines.protocol import SqlEngine, fetched_rows
from streampro.engines.registry import connect_sql
from streampro.errors import ConfigError
from streampro.modeling.columns.secrets import personal_columns
from streampro.modeling.contract import Rejected
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.spec import spec_of
from streampro.storage.delta import Stored
from streampro.warehouse import changes
from streampro.warehouse.changes import Move
from streampro.warehouse.folders import main_of, scratch
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import (
    Snapshot,
    code_of,
    moves_between,
    published_run,
    readable_run,
)

HIDDEN = "(personal)"
"""Stands for a value of a person."""
_SIDES = ("left", "right")


@dataclass(frozen=True)
class RowDifference:
    """A row that differs: as it is on the left and on the right, None where it is missing; of a row
    of both its key and the `columns` that differ.
    """

    left: Mapping[str, Any] | None
    right: Mapping[str, Any] | None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableDifference:
    """How a table of the left run differs from that of the right one.

    Attributes:
        table: its name.
        left_rows, right_rows: how many it has, null where a run does not have it.
        schema: how its columns differ, a sentence each. Rows are compared in those of both.
        added, removed, changed: rows of the right alone, of the left alone, and of both with other
            values, told apart by the key of the contract; without a key no row is changed but the
            one of a table that has no other.
        columns: changed rows by the column in which they differ.
        first: some of the rows that differ, changed ones first.
        left_bytes, right_bytes: of its data files; of a table of the same version null.
        left_seconds, right_seconds: how long the runs took for it, null where one did not build it.
    """

    table: TableName
    left_rows: int | None
    right_rows: int | None
    schema: tuple[str, ...] = ()
    added: int = 0
    removed: int = 0
    changed: int = 0
    columns: Mapping[str, int] = field(default_factory=dict)
    first: tuple[RowDifference, ...] = ()
    left_bytes: int | None = None
    right_bytes: int | None = None
    left_seconds: float | None = None
    right_seconds: float | None = None

    @property
    def is_equal(self) -> bool:
        """Whether both runs have the table with the same columns and rows."""
        is_missing = (self.left_rows is None) != (self.right_rows is None)
        return not (is_missing or self.schema or self.added or self.removed or self.changed)


@dataclass(frozen=True)
class RunDifference:
    """How two runs differ.

    Attributes:
        left, right: which runs these are.
        tables: all tables of both that were compared.
        moves: the values of answers that differ, where both runs have them.
    """

    left: str
    right: str
    tables: tuple[TableDifference, ...]
    moves: tuple[Move, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether no table differs."""
        return all(each.is_equal for each in self.tables)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"is_equal": self.is_equal, **asdict(self)}


@asks
def diff(
    pipeline: Pipeline,
    left: Target,
    right: Target | None = None,
    *,
    left_run: int | None = None,
    right_run: int | None = None,
    select: str | None = None,
    exclude: str | None = None,
    limit: int = 3,
) -> RunDifference:
    """Return how two runs differ: of one warehouse, or the newest of two.

    ```python
    found = streampro.diff(PIPELINE, target, left_run=3, right_run=5)
    print([each.table for each in found.tables if not each.is_equal])
    ```

    Rows are told apart by the keys of contracts, compared value by value as they are stored, by
    DuckDB, whichever engine wrote them; a table of the same version of one warehouse is not read.
    Values of columns that are marked `personal`, or computed from such, are not among the examples.

    Args:
        pipeline: whose contracts say the keys.
        left: where the left run is.
        right: where the right run is; by default also in the warehouse of `left`.
        left_run: its number, by default the run before the newest, or of two warehouses the newest.
        right_run: its number, by default the newest.
        select: models whose tables are compared, as of `run`. Default: all tables of both runs.
        exclude: as of `run`.
        limit: how many rows of each table are among the examples.

    Raises `ConfigError` for runs that there are not, `WarehouseError` for one that was cleaned.
    """
    other = left if right is None else right
    newest = published_run(other)
    if left_run is None and right is None:
        left_run = newest.run_id - 1
        if not left_run:
            raise ConfigError(f"{left.warehouse} has one run, which differs from no other.")
    one = published_run(left) if left_run is None else readable_run(left, left_run)
    two = newest if right_run is None else readable_run(other, right_run)
    chosen = None
    if select is not None or exclude is not None:
        models = pipeline.select(select, exclude, code_of(left))
        chosen = {table for each in models for table in (each.table, each.rejected)}
    with scratch(left.warehouse) as folder, connect_sql(left, folder) as engine:
        sides = _Sides(pipeline, engine, (left, other), (one, two), limit)
        tables = tuple(sides.differences(chosen))
    is_of_pipeline = pipeline.name == one.pipeline == two.pipeline
    moves = moves_between(pipeline, (left, one), (other, two)) if is_of_pipeline else []
    shown = tuple(move for move in moves if chosen is None or move.table in chosen)
    return RunDifference(_named(left, one), _named(other, two), tables, shown)


def _named(target: Target, run: Run) -> str:
    main = main_of(target.warehouse)
    return f"run {run.run_id} of " + (f"branch {main[1]}" if main else str(target.warehouse))


class _Sides:
    """The tables of both runs, read by one engine."""

    def __init__(
        self,
        pipeline: Pipeline,
        engine: SqlEngine,
        targets: tuple[Target, Target],
        runs: tuple[Run, Run],
        limit: int,
    ) -> None:
        self.engine = engine
        self.runs = runs
        self.limit = limit
        self.order = pipeline.tables()
        self.keys = {model.table: model.spec.key for model in pipeline.models.values()}
        self.personal = personal_columns(pipeline)
        self.columns = {
            table: frozenset(spec_of(contract).schema)
            for model in pipeline.models.values()
            for table, contract in ((model.table, model.contract), (model.rejected, Rejected))
        }
        self.snapshots = [
            Snapshot(target.warehouse, run) for target, run in zip(targets, runs, strict=True)
        ]

    def differences(self, chosen: Collection[TableName] | None) -> Iterator[TableDifference]:
        """Yield how tables differ, those of the pipeline first."""
        held = {item.table for run in self.runs for item in run.tables}
        known = [table for table in self.order if table in held]
        tables = [*known, *sorted(held - {*known})]
        tables = [table for table in tables if chosen is None or table in chosen]
        self.engine.show(dict(self._stored(tables)))
        for table in tables:
            yield self._difference(table)

    def _stored(self, tables: Sequence[TableName]) -> Iterator[tuple[TableName, Stored]]:
        for side, snapshot in zip(_SIDES, self.snapshots, strict=True):
            for table in tables:
                if table in snapshot.versions and not self._is_one_version(table):
                    yield _shown_as(side, table), snapshot.stored(table)

    def _is_one_version(self, table: TableName) -> bool:
        """Tell whether both runs have the same version of a table, written by the same commit."""
        left, right = (
            each.parts(table) if table in each.versions else [] for each in self.snapshots
        )
        return left == right

    def _difference(self, table: TableName) -> TableDifference:
        left, right = (
            each.row_count(table) if table in each.versions else None for each in self.snapshots
        )
        if self._is_one_version(table):
            return TableDifference(table, left, right)
        costs = dict(self._costs(table))
        if left is None or right is None:
            return TableDifference(table, left, right, **costs)
        before, after = (self.engine.shown(_shown_as(side, table)) for side in _SIDES)
        schema = tuple(_schema_differences(before, after))
        both = [n for n in before.columns if after.schema().get(n) == before.schema()[n]]
        key = self.keys.get(table, ())
        is_keyed = bool(key) and {*key} <= {*both}
        rows = before.select(both), after.select(both)
        found = self._rows(*rows, key if is_keyed else (), one_row=left == right == 1)
        first = tuple(self._shown(table, row) for row in found.pop("first"))
        return TableDifference(table, left, right, schema, first=first, **found, **costs)

    def _costs(self, table: TableName) -> Iterator[tuple[str, Any]]:
        for side, snapshot, run in zip(_SIDES, self.snapshots, self.runs, strict=True):
            if built := run.table(table):
                yield f"{side}_bytes", sum(e.size_bytes for e in snapshot.stored(table).parts)
                yield f"{side}_seconds", built.seconds

    def _rows(
        self, before: ir.Table, after: ir.Table, key: Sequence[str], one_row: bool
    ) -> dict[str, Any]:
        """Return how many rows differ, and the first of them."""
        if not key and one_row:
            [old], [new] = (self._first(rows, rows.columns) for rows in (before, after))
            columns = {name: 1 for name, value in old.items() if value != new[name]}
            pair = [RowDifference(old, new)] if columns else []
            return {"changed": len(pair), "columns": columns, "first": pair}
        if not key:
            alone = [changes.beyond(before, after), changes.beyond(after, before)]
            removed, added = (self._first(rows, rows.columns) for rows in alone)
            numbers = [fetched_rows(self.engine, rows.aggregate(n=rows.count())) for rows in alone]
            return {
                "removed": numbers[0][0]["n"],
                "added": numbers[1][0]["n"],
                "first": self._paired([], removed, added),
            }
        [counted] = fetched_rows(self.engine, changes.counts(before, after, key))
        found = changes.counted(counted)
        only_left, only_right, old, new = changes.apart(before, after, key)
        pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
        if found["changed"]:
            pairs = [*zip(self._first(old, key), self._first(new, key), strict=True)]
        removed = self._first(only_left, key) if found["removed"] else []
        added = self._first(only_right, key) if found["added"] else []
        return found | {"first": self._paired(pairs, removed, added)}

    def _first(self, rows: ir.Table, order: Sequence[str]) -> list[dict[str, Any]]:
        return fetched_rows(self.engine, rows.order_by(*order).limit(max(self.limit, 1)))

    def _paired(
        self,
        changed: Sequence[tuple[dict[str, Any], dict[str, Any]]],
        removed: Sequence[dict[str, Any]],
        added: Sequence[dict[str, Any]],
    ) -> list[RowDifference]:
        found = [
            *(RowDifference(left, right) for left, right in changed),
            *(RowDifference(row, None) for row in removed),
            *(RowDifference(None, row) for row in added),
        ]
        return found[: self.limit]

    def _shown(self, table: TableName, row: RowDifference) -> RowDifference:
        hidden = {*self.personal.get(table, ()), *self._unknown(table, row)}
        return shown_row(row.left, row.right, self.keys.get(table, ()), hidden)

    def _unknown(self, table: TableName, row: RowDifference) -> set[str]:
        """Return the columns of which the code of now does not say whether they are personal."""
        known = self.columns.get(table, frozenset())
        return {name for side in (row.left, row.right) for name in side or () if name not in known}


def shown_row(
    left: Mapping[str, Any] | None,
    right: Mapping[str, Any] | None,
    key: Sequence[str],
    hidden: Collection[str],
) -> RowDifference:
    """Return how a row differs, without hidden values; of a changed one key and what differs."""
    one, other = (
        side and {name: HIDDEN if name in hidden else v for name, v in side.items()}
        for side in (left, right)
    )
    if not (one and other and left and right):
        return RowDifference(one, other)
    columns = tuple(name for name, value in left.items() if value != right[name])
    told = [name for name in left if name in (*key, *columns)]
    return RowDifference({n: one[n] for n in told}, {n: other[n] for n in told}, columns)


def _shown_as(side: str, table: TableName) -> TableName:
    return TableName(f"{side} {table.layer}", table.name)


def _schema_differences(before: ir.Table, after: ir.Table) -> Iterator[str]:
    one, other = before.schema(), after.schema()
    for name in dict.fromkeys([*one, *other]):
        if name not in other:
            yield f"{name} is only on the left"
        elif name not in one:
            yield f"{name} is only on the right"
        elif one[name] != other[name]:
            yield f"{name} is {one[name]} on the left, {other[name]} on the right"
