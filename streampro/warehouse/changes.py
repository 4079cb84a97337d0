"""What a run changes: the rows that move between two states of a table, and how that is told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import ibis
import ibis.expr.types as ir
import ibis.selectors as s

from streampro.expressions.types import comparable
from streampro.modeling.model import TableName
from streampro.modeling.question import value_text
from streampro.names import named, ours
from streampro.portable import count_if

Mode = Literal["full", "incremental", "unchanged"]
_ADDED, _REMOVED, _CHANGED = ours("added"), ours("removed"), ours("changed")
_AFTER = ours("after_{name}")
_DAY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True)
class Change:
    """What a run does to a table, and why. Counts are null where nobody counted.

    Attributes:
        table: its name.
        mode: `full` computes all rows anew, `incremental` those of the keys whose inputs changed
            (of a staging model: of the new files), `unchanged` none.
        reason: why not less.
        keys: values of the model's `incremental_by` whose rows were computed anew.
        added, removed, changed: rows, told apart by the key of the contract.
        columns: changed rows by the column in which they differ.
        late: new rows whose event time is before the newest that was stored.
        late_by_s: by how much the latest of them is, in seconds.
    """

    table: TableName
    mode: Mode
    reason: str
    keys: int | None = None
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    columns: Mapping[str, int] = field(default_factory=dict)
    late: int | None = None
    late_by_s: float | None = None


@dataclass(frozen=True)
class Move:
    """A value of an answer that changes; `before` is null for a new row, `after` for one that goes.

    `row` tells the row by its key, as `name=value, ...`; values are their text.
    """

    table: TableName
    row: str
    column: str
    before: str | None
    after: str | None


def difference(before: ir.Table, after: ir.Table) -> ir.Table:
    """Return the rows that one table holds more often than the other, either way."""
    return beyond(before, after).union(beyond(after, before))


def keys_of(rows: Iterable[ir.Table], by: str) -> ir.Table:
    """Return the distinct values of a column in any of the tables."""
    return ibis.union(*[each.select(by) for each in rows]).distinct()


def unknown(rows: ir.Table, stored: ir.Table) -> ir.Table:
    """Return the rows that are not stored; nulls are equal."""
    return rows.anti_join(stored, _same(rows, stored, rows.columns))


def known(rows: ir.Table, stored: ir.Table) -> ir.Table:
    """Return the rows that are stored; nulls are equal."""
    return rows.semi_join(stored, _same(rows, stored, rows.columns))


def lateness(rows: ir.Table, stored: ir.Table, event_time: str) -> ir.Table:
    """Return `late`, the rows before the newest stored instant or date, and `late_by_us` of the
    latest.
    """
    newest = stored[event_time].max().as_scalar()
    at = rows[event_time]
    is_date = at.type().is_date()
    by_us = (
        newest.delta(at, unit="day") * _DAY_US if is_date else newest.delta(at, unit="microsecond")
    )
    marked = rows.mutate(is_late=at < newest, by_us=by_us)
    return marked.aggregate(
        late=count_if(marked.is_late), late_by_us=marked.by_us.max(where=marked.is_late)
    )


def counts(before: ir.Table, after: ir.Table, key: Sequence[str]) -> ir.Table:
    """Return one row: added, removed and changed rows, and per column the rows where it changed."""
    old = before.mutate(ibis.literal(True).name(_REMOVED))
    new = after.mutate(ibis.literal(True).name(_ADDED))
    both = old.outer_join(new, _same(old, new, key), rname=_AFTER).select(s.all())
    is_old, is_new = both[_REMOVED].notnull(), both[_ADDED].notnull()
    is_kept = is_old & is_new
    differs = {
        name: ~_is_same(both[name], both[_AFTER.format(name=name)])
        for name in before.columns
        if name not in key
    }
    is_changed = ibis.or_(ibis.literal(False), *differs.values())
    totals = {
        _ADDED: ~is_old,
        _REMOVED: ~is_new,
        _CHANGED: is_kept & is_changed,
    }
    per_column = {name: is_kept & differ for name, differ in differs.items()}
    counted = {name: count_if(rows) for name, rows in (totals | per_column).items()}
    return both.aggregate(named(counted))


def beyond(rows: ir.Table, others: ir.Table) -> ir.Table:
    """Return the rows that one table holds more often than the other, as `comparable` has them."""
    rows, others = (
        each.select(*(comparable(each[name]) for name in each.columns)) for each in (rows, others)
    )
    return rows.difference(others, distinct=False)


def apart(
    before: ir.Table, after: ir.Table, key: Sequence[str]
) -> tuple[ir.Table, ir.Table, ir.Table, ir.Table]:
    """Return the rows that go, those that are new, and those that change, before and after."""
    removed = before.anti_join(after, _same(before, after, key))
    added = after.anti_join(before, _same(after, before, key))
    both = before.inner_join(after, _same(before, after, key), rname=_AFTER)
    differs = (
        ~_is_same(both[name], both[_AFTER.format(name=name)])
        for name in before.columns
        if name not in key
    )
    changed = both.filter(ibis.or_(ibis.literal(False), *differs)).select(*key)
    old = before.semi_join(changed, _same(before, changed, key))
    return removed, added, old, after.semi_join(changed, _same(after, changed, key))


def counted(row: dict[str, int]) -> dict[str, Any]:
    """Return a row of `counts` as attributes of a `Change`."""
    totals = {name: row.pop(name) for name in (_ADDED, _REMOVED, _CHANGED)}
    return {
        "added": totals[_ADDED],
        "removed": totals[_REMOVED],
        "changed": totals[_CHANGED],
        "columns": {name: rows for name, rows in row.items() if rows},
    }


def moves(
    table: TableName,
    key: Sequence[str],
    before: Iterable[Mapping[str, Any]],
    after: Iterable[Mapping[str, Any]],
) -> list[Move]:
    """Return every value that differs between two states of a small table, sorted by row."""
    old, new = ({_row_name(row, key): row for row in rows} for rows in (before, after))
    nothing: Mapping[str, Any] = {}
    return [
        Move(table, name, column, _text(one.get(column)), _text(other.get(column)))
        for name in sorted({*old, *new})
        for one, other in [(old.get(name, nothing), new.get(name, nothing))]
        for column in dict.fromkeys([*one, *other])
        if column not in key and one.get(column) != other.get(column)
    ]


def _same(left: ir.Table, right: ir.Table, columns: Iterable[str]) -> list[ir.BooleanValue]:
    return [_is_same(left[name], right[name]) for name in columns]


def _is_same(one: ir.Value, other: ir.Value) -> ir.BooleanValue:
    return comparable(one).identical_to(comparable(other))


def _row_name(row: Mapping[str, Any], key: Sequence[str]) -> str:
    return ", ".join(f"{name}={value_text(row[name])}" for name in key)


def _text(value: Any) -> str | None:
    return None if value is None else value_text(value)
