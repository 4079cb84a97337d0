"""Conditions on the rows of a relation, moved down an expression tree. Pure Ibis, no engine.

A condition is a boolean value of the relation, or a `Match`: some values of a row are those of one
row of a small table, nulls equal.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from typing import Any, TypeAlias

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.names import named, ours

Cache = Callable[[ir.Table], ir.Table]
"""Computes rows once and returns them, as `Engine.cache` does."""

_COUNTS = (ops.CountStar, ops.CountDistinctStar)
_ACROSS_ROWS = (ops.WindowFunction, ops.Analytic, ops.Reduction, ops.Unnest)


@dataclass(frozen=True)
class Match:
    """Rows whose `values` are those of a row of `keys`, in the order of its columns. No row of
    `keys` stands there twice.
    """

    values: tuple[ops.Value, ...]
    keys: ops.Relation


Condition: TypeAlias = Match | ops.Value
Mapped: TypeAlias = Mapping[ops.Node, ops.Node]


def match(rows: ir.Table, values: Sequence[ops.Value], cache: Cache) -> Match:
    """Return the condition that a row has the values of one of `rows`, whose columns these are.

    Without values any row meets it if there are `rows` at all.
    """
    if not values:
        values = [ops.Literal(1, dtype="int64")]
        rows = rows.select(ibis.literal(1, "int64").name(ours(0)))
    return Match(tuple(values), cache(rows.distinct()).op())


def fields_of(values: Iterable[ops.Node]) -> set[ops.Field]:
    """Return the columns of other relations that values are computed from."""
    return {*chain.from_iterable(value.find(ops.Field, filter=ops.Value) for value in values)}


def values_of(condition: Condition) -> tuple[ops.Value, ...]:
    """Return the values that a condition looks at."""
    return condition.values if isinstance(condition, Match) else (condition,)


def replaced(condition: Condition, fields: Mapped) -> Condition:
    """Return the same condition on the relation that the fields are computed from."""
    if isinstance(condition, Match):
        return Match(tuple(moved(value, fields) for value in condition.values), condition.keys)
    return moved(condition, fields)


def moved(value: ops.Value, fields: Mapped) -> ops.Value:
    """Return a value with columns, or all rows of a relation that it counts, replaced."""

    def put(node: ops.Node, changed: dict[str, Any] | None) -> ops.Node:
        if node in fields:
            return fields[node]
        if isinstance(node, _COUNTS) and node.arg in fields:
            return type(node)(fields[node.arg], where=(changed or {}).get("where", node.where))
        return node.__recreate__(changed) if changed else node

    return value.replace(put, filter=ops.Value)


def renamed(old: ops.Relation, new: ops.Relation) -> Mapped:
    """Return how a relation and its columns are found in another that has them too."""
    names = (name for name in old.schema if name in new.schema)
    return {old: new} | {ops.Field(old, name): ops.Field(new, name) for name in names}


def conjuncts(tests: Iterable[Any]) -> Iterator[Any]:
    """Yield the conditions all of which must be true for all of `tests` to be."""
    for test in tests:
        if isinstance(test, ops.And):
            yield from conjuncts((test.left, test.right))
        else:
            yield test


def equalities(tests: Iterable[ops.Value]) -> Iterator[Any]:
    """Yield the conditions of these that say that two values, compared as they are, are equal."""
    for test in conjuncts(tests):
        if isinstance(test, ops.Equals | ops.IdenticalTo) and are_alike(test.left, test.right):
            yield test


def are_alike(left: ops.Value, right: ops.Value) -> bool:
    """Return whether values are compared as they are: a cast of one side may make two equal."""
    kinds = left.dtype.copy(nullable=True), right.dtype.copy(nullable=True)
    return kinds[0] == kinds[1] or all(kind.is_integer() for kind in kinds)


def is_rowwise(value: ops.Value) -> bool:
    """Tell whether a value follows from its own row, and the row stays one."""
    return not value.find(_ACROSS_ROWS, filter=ops.Value)


def where(relation: ops.Relation, conditions: Sequence[Condition]) -> ir.Table:
    """Return the rows that meet all conditions.

    All values are computed before any row is left out, because windows look at other rows.
    """
    rows = ir.Table(relation)
    values = {
        ours(f"{number}_{place}"): value.to_expr()
        for number, condition in enumerate(conditions)
        for place, value in enumerate(values_of(condition))
    }
    found = rows.mutate(named(values)) if values else rows
    for number, condition in enumerate(conditions):
        if isinstance(condition, Match):
            keys = ir.Table(condition.keys)
            found = found.semi_join(keys, _equal(found, keys, ours(number)))
        else:
            found = found.filter(found[ours(f"{number}_0")])
    return found.select(*rows.columns)


def where_any(
    relation: ops.Relation,
    wanted: Sequence[Sequence[Condition]],
    unwanted: Sequence[Sequence[Condition]] = (),
) -> ir.Table:
    """Return the rows that meet all conditions of one of `wanted` and of none of `unwanted`."""
    if len(wanted) == 1 and not unwanted:
        return where(relation, wanted[0])
    rows = ir.Table(relation)
    marked = rows
    marks: dict[Condition, str] = {}
    for condition in dict.fromkeys(chain.from_iterable((*wanted, *unwanted))):
        marks[condition] = mark = ours(len(marks))
        marked = _marked(marked, condition, mark)

    def met(each: Sequence[Condition]) -> ir.BooleanValue:
        return ibis.and_(*(marked[marks[condition]] for condition in each))

    is_kept = ibis.or_(*map(met, wanted)) & ~ibis.or_(*map(met, unwanted))
    return marked.filter(is_kept).select(*rows.columns)


def narrowed(relation: ops.Relation, conditions: Sequence[Condition]) -> ops.Relation:
    """Return the rows that meet all conditions, tested as far down the tree as that is the same,
    so that an aggregate computes only the groups that are asked for.

    If a condition looks at other rows, all are tested here, where these are still there.
    """
    if not conditions:
        return relation
    plain = spelled_out(relation)
    conditions = [replaced(each, renamed(relation, plain)) for each in conditions]
    parent, values = _movable(plain)
    down = [each for each in conditions if fields_of(values_of(each)) <= values.keys()]
    are_rowwise = all(is_rowwise(value) for each in conditions for value in values_of(each))
    if parent is None or not down or not are_rowwise:
        return where(plain, conditions).op()
    below = narrowed(parent, [replaced(each, values) for each in down])
    again = _over(plain, parent, below)
    rest = [replaced(each, renamed(plain, again)) for each in conditions if each not in down]
    return where(again, rest).op() if rest else again


def spelled_out(relation: ops.Relation) -> ops.Relation:
    """Return shorthands as the projection or filter that they stand for."""
    if isinstance(relation, ops.DropColumns):
        return ops.Project(relation.parent, relation.values)
    if isinstance(relation, ops.FillNull):
        return ops.Project(relation.parent, _filled(relation))
    if isinstance(relation, ops.DropNull):
        columns = relation.subset or relation.parent.fields.values()
        there = [ops.NotNull(column) for column in columns]
        tests = there if relation.how == "any" else [reduce(ops.Or, there)]
        return ir.Table(relation.parent).filter(*(test.to_expr() for test in tests)).op()
    return relation


def with_windows_first(relation: ops.Filter) -> ops.Relation:
    """Return a filter whose windows are columns of the rows that it filters, which is what they are
    over whatever other conditions stand beside them.
    """
    columns = relation.parent.fields
    wide, predicates = _with_windows(relation.parent, relation.predicates)
    if wide is relation.parent:
        return relation
    kept = ops.Filter(wide, predicates)
    return ops.Project(kept, {name: ops.Field(kept, name) for name in columns})


def with_windows_before_unnest(relation: ops.Project | ops.JoinChain) -> ops.Relation:
    """Return a projection whose windows, where one of its columns is unnested, are columns of the
    rows before: they are over these.
    """
    given = relation.values
    if not all(any(map(_finds(kind), given.values())) for kind in (ops.Unnest, ops.WindowFunction)):
        return relation
    if isinstance(relation, ops.JoinChain):
        relation = _after_its_join(relation)
    wide, values = _with_windows(relation.parent, relation.values.values())
    return ops.Project(wide, dict(zip(given, values, strict=True)))


def _finds(kind: type[ops.Value]) -> Callable[[ops.Value], bool]:
    return lambda value: bool(value.find(kind, filter=ops.Value))


def _after_its_join(chain: ops.JoinChain) -> ops.Project:
    """Return a projection of joined rows for a join that computes columns."""
    values = chain.values
    fields = dict.fromkeys(f for v in values.values() for f in v.find(ops.Field, filter=ops.Value))
    names = {field: f"streampro_column_{n}" for n, field in enumerate(fields)}
    joined = chain.copy(values={name: field for field, name in names.items()})
    there = {field: ops.Field(joined, name) for field, name in names.items()}
    return ops.Project(joined, {k: value.replace(there, ops.Value) for k, value in values.items()})


def _with_windows(
    parent: ops.Relation, values: Iterable[ops.Value]
) -> tuple[ops.Relation, list[ops.Value]]:
    """Return rows that have the windows of values as columns, and the values of these."""
    values = [*values]
    found = [
        each
        for value in values
        for each in value.find(ops.WindowFunction, filter=ops.Value)
        if each.relations <= {parent}
    ]
    if not found:
        return parent, values
    names = {window: f"streampro_window_{n}" for n, window in enumerate(dict.fromkeys(found))}
    columns = parent.fields
    windows = {name: window for window, name in names.items()}
    wide = ops.Project(parent, {**columns, **windows})
    there = {column: ops.Field(wide, name) for name, column in columns.items()}
    there |= {window: ops.Field(wide, name) for window, name in names.items()}
    return wide, [value.replace(there, ops.Value) for value in values]


def told_apart_by(value: ops.Value) -> ops.Value:
    """Return the value below all that is one to one: two rows differ in both or in none."""
    match value:
        case ops.Alias():
            return told_apart_by(value.arg)
        case ops.Cast() if _is_wider(value.arg.dtype, value.to):
            return told_apart_by(value.arg)
        case ops.Add() | ops.Subtract() if _is_whole(value.right) and value.left.dtype.is_integer():
            return told_apart_by(value.left)
        case ops.Add() if _is_whole(value.left) and value.right.dtype.is_integer():
            return told_apart_by(value.right)
    return value


def _filled(relation: ops.FillNull) -> dict[str, ops.Value]:
    """Return columns in which a value stands for null, as Ibis says: where the type allows null."""
    given = relation.replacements
    columns: dict[str, ops.Value] = dict(relation.parent.fields)
    nullable = [name for name, kind in relation.schema.items() if kind.nullable]
    values = given if isinstance(given, Mapping) else dict.fromkeys(nullable, given)
    return columns | {
        name: ops.Coalesce((columns[name], value))
        for name, value in values.items()
        if value is not None
    }


def _movable(relation: ops.Relation) -> tuple[ops.Relation | None, Mapped]:
    """Return a relation's parent and, as values of it, those columns on which a condition may be
    tested there instead.

    An aggregate without groups has none: it is one row, whichever rows its parent has.
    """
    if isinstance(relation, ops.Aggregate) and relation.groups:
        return relation.parent, _columns(relation, relation.groups)
    if isinstance(relation, ops.Project) and all(map(is_rowwise, relation.values.values())):
        return relation.parent, _columns(relation, relation.values)
    if isinstance(relation, ops.JoinChain):
        if any(link.how in ("right", "outer") for link in relation.rest):
            return None, {}
        first = relation.first
        handed_on = {
            name: value for name, value in relation.values.items() if value in first.fields.values()
        }
        return first.parent, _columns(
            relation, {n: first.parent.fields[v.name] for n, v in handed_on.items()}
        )
    return None, {}


def _columns(relation: ops.Relation, values: Mapping[str, ops.Value]) -> Mapped:
    return {ops.Field(relation, name): value for name, value in values.items()}


def _over(relation: Any, parent: ops.Relation, new: ops.Relation) -> ops.Relation:
    """Return a relation above another parent, which has the columns of its own."""
    if isinstance(relation, ops.JoinChain):
        first = ops.JoinReference(new, relation.first.identifier)
        fields = renamed(relation.first, first)
        links = [
            ops.JoinLink(link.how, link.table, _all(link.predicates, fields))
            for link in relation.rest
        ]
        return ops.JoinChain(first, links, _named(relation.values, fields))
    fields = renamed(parent, new)
    if isinstance(relation, ops.Aggregate):
        return ops.Aggregate(new, _named(relation.groups, fields), _named(relation.metrics, fields))
    return ops.Project(new, _named(relation.values, fields))


def _all(values: Iterable[ops.Value], fields: Mapped) -> list[ops.Value]:
    return [moved(value, fields) for value in values]


def _named(values: Mapping[str, ops.Value], fields: Mapped) -> dict[str, ops.Value]:
    return dict(zip(values, _all(values.values(), fields), strict=True))


def _marked(rows: ir.Table, condition: Condition, mark: str) -> ir.Table:
    """Add a column that tells which rows meet a condition."""
    if not isinstance(condition, Match):
        return rows.mutate(condition.to_expr().fill_null(False).name(mark))
    values = {f"{mark}_{place}": value.to_expr() for place, value in enumerate(condition.values)}
    valued = rows.mutate(named(values))
    keys = ir.Table(condition.keys).mutate(ibis.literal(True).name(mark))
    joined = valued.left_join(keys, _equal(valued, keys, mark))
    return joined.select(
        *(valued[name] for name in rows.columns), keys[mark].fill_null(False).name(mark)
    )


def _equal(rows: ir.Table, keys: ir.Table, prefix: str) -> list[ir.BooleanValue]:
    names = (name for name in keys.columns if name != prefix)
    return [rows[f"{prefix}_{place}"].identical_to(keys[name]) for place, name in enumerate(names)]


def _is_wider(old: dt.DataType, new: dt.DataType) -> bool:
    if old.is_signed_integer() and new.is_signed_integer():
        return bool(new.nbytes >= old.nbytes)
    is_same = old.copy(nullable=True) == new.copy(nullable=True)
    return is_same or bool(old.is_integer() and new.is_string())


def _is_whole(value: ops.Value) -> bool:
    return isinstance(value, ops.Literal) and value.dtype.is_integer() and value.value is not None
