"""What lets a row depend on more than one row, so that a part cannot be computed alone, and whether
the rows of a key follow from the input rows of that key.

An expression is local by a column if, of inputs of which only the rows of some keys are left, it
gives exactly its own rows of these keys; inputs without the key are left whole. What is proven
holds for any rows; what cannot be proven is told with the operation that stands in the way.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node

from streampro.expressions.conditions import equalities, spelled_out
from streampro.expressions.python import RowsOfKeys

Columns = frozenset[ops.Field]
_ACROSS_ROWS = (
    ops.Aggregate,
    ops.Distinct,
    ops.JoinChain,
    ops.Limit,
    ops.Set,
    ops.Subquery,
    ops.WindowFunction,
)


def operations_across_rows(expression: ir.Expr) -> list[str]:
    """Return the names of the operations in an expression that look at more than one row."""
    return sorted({type(node).__name__ for node in expression.op().find(_ACROSS_ROWS)})


def correlated(expression: ir.Expr) -> list[str]:
    """Return a sentence per subquery for a value that looks at the row outside of it.

    Those of `any` and `isin` are joins on all engines; of others Spark takes a few.
    """
    fields = {
        field
        for subquery in expression.op().find(ops.ScalarSubquery)
        for field in _fields_from_outside(subquery.rel)
    }
    names = ", ".join(sorted({field.name for field in fields}))
    said = f"ScalarSubquery: it looks at {names} of the row outside of it. Join an aggregate."
    return [said] if fields else []


def _fields_from_outside(
    relation: Any, around: frozenset[Any] = frozenset(), seen: set[Any] | None = None
) -> Iterator[ops.Field]:
    """Yield the fields in a relation, and below it, of what it neither takes nor stands in."""
    seen = set() if seen is None else seen
    if (relation, around) in seen:
        return
    seen.add((relation, around))
    parts = [*_children_of(relation)]
    inputs = [each for each in parts if isinstance(each, ops.Relation)]
    near = around.union(inputs)
    for value in (each for each in parts if isinstance(each, ops.Value)):
        for each in value.find((ops.Field, ops.Subquery), filter=ops.Value):
            if isinstance(each, ops.Subquery):
                yield from _fields_from_outside(each.rel, near, seen)
            elif each.rel not in near:
                yield each
    for each in inputs:
        yield from _fields_from_outside(each, around, seen)


def _children_of(relation: Any) -> Iterator[Any]:
    """Yield the tables that a relation takes, and the values in it."""
    for child in relation.__children__:
        yield from child.__children__ if isinstance(child, ops.JoinLink) else (child,)


@dataclass(frozen=True)
class _Part:
    """What is known of the rows of a relation.

    Attributes:
        keys: columns each of which has the key of its row.
        lost: why rows of one key are not told, "" where they are.
        either: columns of which the first that is not null has the key.
    """

    keys: Columns = frozenset()
    lost: str = ""
    either: Columns = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether rows are the same whichever keys the inputs are left."""
        return not (self.keys or self.lost or self.either)

    def named_by(self, relation: ops.Relation) -> "_Part":
        """Return the same of the columns of these names of another relation."""
        keys, either = (
            frozenset(ops.Field(relation, column.name) for column in columns)
            for columns in (self.keys, self.either)
        )
        return _Part(keys, self.lost, either)

    def is_key(self, value: ops.Value) -> bool:
        """Tell whether a value is the key of its row."""
        value = _same(value)
        is_first = isinstance(value, ops.Coalesce) and self.either == {*map(_same, value.arg)}
        return value in self.keys or bool(self.either and is_first)


_WHOLE = _Part()
_Parts = Mapping[Node, _Part]


def why_not_local(expression: ir.Table, by: str, keys: Mapping[str, str]) -> str:
    """Return why rows of one value of `by` may follow from rows of others, "" if they never do.

    Args:
        expression: of a model.
        by: the column of its rows.
        keys: the column that holds the same values, by the name of the input, where it has one.
    """
    if not keys:
        return "none of its inputs has the key"
    part = _key_parts(expression, keys)[expression.op()]
    if part.lost:
        return part.lost
    if ops.Field(expression.op(), by) in part.keys:
        return ""
    held = ", ".join(sorted(column.name for column in part.keys))
    return f"{by} is not the key of its inputs" + (f", which {held} is" if held else "")


def _key_parts(expression: ir.Table, keys: Mapping[str, str]) -> _Parts:
    def visit(node: Node, of: dict[Node, Any], **_: Any) -> _Part | None:
        if isinstance(node, ops.UnboundTable | ops.DatabaseTable):
            column = keys.get(node.name)
            return _Part(frozenset({ops.Field(node, column)})) if column else _WHOLE
        return _part(node, of) if isinstance(node, ops.Relation) else None

    found: _Parts = expression.op().map(visit)
    return found


def _part(node: Any, of: _Parts) -> _Part:
    node, written = spelled_out(node), node
    match node:
        case ops.DummyTable():
            return _WHOLE
        case ops.Reference() | ops.AliasedRelation() | ops.Sort() | ops.Distinct():
            return of[node.parent].named_by(node)
        case ops.Project():
            return _computed(written, node.values, of[node.parent], of)
        case ops.Filter():
            return _filtered(node, of).named_by(written)
        case ops.Aggregate():
            return _aggregated(node, of)
        case ops.JoinChain():
            return _computed(node, node.values, _joined(node, of), of)
        case ops.Set():
            return _combined(node, of)
        case RowsOfKeys():
            return _of_python(node, of[node.parent])
    below = of.get(getattr(node, "parent", None))
    if below and (below.is_whole or below.lost):
        return below
    return _Part(lost=f"{type(node).__name__} takes rows of all keys")


def _of_python(node: RowsOfKeys, below: _Part) -> _Part:
    if below.lost or below.is_whole:
        return below
    if ops.Field(node.parent, node.by) in below.keys:
        return _Part(frozenset({ops.Field(node, node.by)}))
    return _Part(lost=f"Python is given rows by {node.by}, which is not the key")


def _computed(
    node: ops.Relation, values: Mapping[str, ops.Value], below: _Part, of: _Parts
) -> _Part:
    if lost := below.lost or next(_across(values.values(), below, of), ""):
        return _Part(lost=lost)
    keys = frozenset(ops.Field(node, name) for name, value in values.items() if below.is_key(value))
    left = {_same(value): ops.Field(node, name) for name, value in values.items()}
    either = frozenset(left.get(column) for column in below.either)
    if either and None not in either and not keys:
        return _Part(either=either)
    return _kept(below, keys, "a selection of columns leaves out the key")


def _kept(below: _Part, keys: Columns, lost: str) -> _Part:
    """Return what has these keys, which must not be none where rows below have some."""
    return _Part(keys, "" if keys or below.is_whole else lost)


def _filtered(node: ops.Filter, of: _Parts) -> _Part:
    below = of[node.parent]
    if lost := below.lost or next(_across(node.predicates, below, of), ""):
        return _Part(lost=lost)
    keys = _with_equal(below.keys, node.predicates, {node.parent})
    return replace(below, keys=keys).named_by(node)


def _aggregated(node: ops.Aggregate, of: _Parts) -> _Part:
    below = of[node.parent]
    values = (*node.groups.values(), *node.metrics.values())
    if lost := below.lost or next(_across(values, below, of, are_groups=True), ""):
        return _Part(lost=lost)
    keys = frozenset(
        ops.Field(node, name) for name, value in node.groups.items() if below.is_key(value)
    )
    by = ", ".join(node.groups) or "nothing"
    return _kept(below, keys, f"it groups by {by}, not by the key")


def _joined(chain: ops.JoinChain, of: _Parts) -> _Part:
    found, tables = of[chain.first], {chain.first}
    for link in chain.rest:
        tables.add(link.table)
        found = _linked(found, of[link.table], link, of, tables)
    return found


def _linked(
    left: _Part, right: _Part, link: ops.JoinLink, of: _Parts, tables: Container[Node]
) -> _Part:
    """Return the key of joined rows: where both sides have one, rows of equal keys must be joined;
    where one has none, its rows must not stand alone.
    """
    how, both = link.how, _Part(left.keys | right.keys, either=left.either | right.either)
    if lost := left.lost or right.lost or next(_across(link.predicates, both, of), ""):
        return _Part(lost=lost)
    if both.is_whole:
        return _WHOLE
    pairs = _equal_pairs(left.keys, right.keys, link.predicates)
    if not (left.is_whole or right.is_whole or pairs):
        return _Part(lost=f"a join ({how}) of rows of different keys")
    if how == "outer" and pairs:
        return _Part(either=frozenset(pairs[0]))
    if how not in ("inner", "cross", "left", "right", "semi", "anti"):
        return _Part(lost=f"a join ({how}) may leave rows of either side alone")
    alone = {"left": left, "right": right, "semi": left, "anti": left}.get(how)
    if alone is None:
        return replace(both, keys=_with_equal(both.keys, link.predicates, tables))
    return _Part(lost=f"a join ({how}) keeps rows that have no key") if alone.is_whole else alone


def _combined(node: ops.Set, of: _Parts) -> _Part:
    left, right = of[node.left].named_by(node), of[node.right].named_by(node)
    name = type(node).__name__
    if lost := left.lost or right.lost:
        return _Part(lost=lost)
    if left.is_whole and right.is_whole:
        return _WHOLE
    if not (left.is_whole or right.is_whole):
        common = left.keys & right.keys
        return _Part(common, "" if common else f"{name} of rows with keys in different columns")
    if isinstance(node, ops.Intersection):
        return right if left.is_whole else left
    is_less = isinstance(node, ops.Difference) and right.is_whole
    return left if is_less else _Part(lost=f"{name} with rows that have no key")


def _across(
    values: Iterable[ops.Value], below: _Part, of: _Parts, *, are_groups: bool = False
) -> Iterator[str]:
    """Yield what in values looks at rows of other keys."""
    for value in values:
        framed = value.find(ops.WindowFunction, filter=ops.Value)
        for window in framed:
            if not below.is_whole and not any(map(below.is_key, window.group_by)):
                by = ", ".join(each.name for each in window.group_by) or "nothing"
                yield f"{type(window.func).__name__} over a window by {by}, not by the key"
        inside = {each.func for each in framed}
        kinds = (ops.Analytic,) if are_groups else (ops.Analytic, ops.Reduction)
        for bare in value.find(kinds, filter=ops.Value):
            if not below.is_whole and not any(
                bare in each.find(kinds, filter=ops.Value) for each in inside
            ):
                yield f"{type(bare).__name__} over all rows"
        for subquery in value.find(ops.Subquery, filter=ops.Value):
            if not of[subquery.rel].is_whole and not _looks_at_its_key(subquery, below, of):
                yield f"{type(subquery).__name__} looks at rows of other keys"


def _looks_at_its_key(subquery: Any, below: _Part, of: _Parts) -> bool:
    """Tell whether a subquery looks at rows of the key of the row outside of it."""
    rows = of[subquery.rel]
    if rows.lost:
        return False
    if isinstance(subquery, ops.InSubquery):
        return below.is_key(subquery.needle) and bool(rows.keys)
    if isinstance(subquery, ops.ExistsSubquery) and isinstance(subquery.rel, ops.Filter):
        within = of[subquery.rel.parent]
        return bool(_equal_pairs(below.keys, within.keys, subquery.rel.predicates))
    return False


def _equal_pairs(
    one: Columns, other: Columns, tests: Iterable[ops.Value]
) -> list[tuple[ops.Value, ops.Value]]:
    """Return a column of one and a column of the other that conditions ensure to be equal, each
    such pair.
    """
    return [
        (left, right)
        for left, right in _equal_sides(tests)
        if (left in one and right in other) or (left in other and right in one)
    ]


def _with_equal(keys: Columns, tests: Iterable[ops.Value], relations: Container[Node]) -> Columns:
    """Return columns with those of some relations that conditions ensure to be equal to one of
    them; others stand outside of a subquery.
    """
    pairs = [*_equal_sides(tests)]
    found = {*keys}
    while more := {
        other
        for pair in pairs
        for own, other in (pair, pair[::-1])
        if own in found
        and other not in found
        and isinstance(other, ops.Field)
        and other.rel in relations
    }:
        found |= more
    return frozenset(found)


def _equal_sides(tests: Iterable[ops.Value]) -> Iterator[tuple[ops.Value, ops.Value]]:
    return ((_same(test.left), _same(test.right)) for test in equalities(tests))


def _same(value: ops.Value) -> ops.Value:
    """Return the column that a value is, under another name or as a wider integer."""
    match value:
        case ops.Alias():
            return _same(value.arg)
        case ops.Cast() if value.arg.dtype.is_integer() and value.to.is_integer():
            return _same(value.arg) if value.to.nbytes >= value.arg.dtype.nbytes else value
        case ops.Cast() if value.arg.dtype.copy(nullable=True) == value.to.copy(nullable=True):
            return _same(value.arg)
    return value
