"""Which columns tell the rows of a relation apart, read off its expression, without engine or data.

A key is a set of columns in which no two rows agree; null agrees with null, as `distinct` and
`group_by` see it. A relation of at most one row has the empty key. What is derived holds for any
rows of the inputs that keep the keys that are declared; what cannot be derived is left out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from types import MappingProxyType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node

from streampro.expressions.conditions import (
    are_alike,
    conjuncts,
    equalities,
    fields_of,
    is_rowwise,
    spelled_out,
    told_apart_by,
    with_windows_first,
)

Columns = frozenset[ops.Field]
Declared = Mapping[str, Collection[Collection[str]]]
"""The keys of inputs by the name of their table."""
Lines = Mapping[str, Sequence[str]]
"""The inputs whose rows are read from lines, and which columns say all others: line and file."""

_MOST_KEYS = 12
_MOST_WAYS = 3
"""How many keys of a relation, and how many other columns for a lost one, are followed."""
EXACT = (dt.Boolean, dt.Date, dt.Decimal, dt.Integer, dt.String, dt.Timestamp)
"""Types of which equal values are the same: the floats 0.0 and -0.0 are not."""
_KEEPS_ROWS = (ops.AliasedRelation, ops.Limit, ops.Reference, ops.Sample, ops.Sort)


@dataclass(frozen=True)
class Keys:
    """What is known of the columns of a relation.

    Attributes:
        unique: keys, none of them part of another.
        depends: pairs of columns and those that they determine: rows that agree in the first agree
            in the second.
    """

    unique: tuple[Columns, ...] = ()
    depends: tuple[tuple[Columns, Columns], ...] = ()

    def determined_by(self, columns: Iterable[ops.Field]) -> Columns:
        """Return all columns in which rows agree that agree in these, these among them."""
        found = {*columns}
        while more := {y for x, ys in self.depends if x <= found for y in ys} - found:
            found |= more
        return frozenset(found)

    def identify(self, columns: Iterable[ops.Field]) -> bool:
        """Return whether no two rows agree in these columns."""
        return any(key <= self.determined_by(columns) for key in self.unique)

    def of(self, columns: Collection[ops.Field]) -> "Keys":
        """Return what is known if only these columns are left."""
        ways = self._ways(columns)
        unique = [way for key in self.unique for way in _combined(key, ways)]
        lefts = dict.fromkeys(way for x, _ in self.depends for way in _combined(x, ways))
        kept = frozenset(columns)
        depends = [(x, (self.determined_by(x) & kept) - x) for x in lefts]
        return known(unique, [(x, ys) for x, ys in depends if ys])

    def named_by(self, relation: ops.Relation) -> "Keys":
        """Return the same of the columns of these names of another relation, if it has all."""

        def named(columns: Columns) -> Columns:
            return frozenset(ops.Field(relation, column.name) for column in columns)

        depends = tuple((named(x), named(ys)) for x, ys in self.depends)
        return Keys(tuple(map(named, self.unique)), depends)

    def _ways(self, columns: Collection[ops.Field]) -> Mapping[ops.Field, list[Columns]]:
        """Return for a column which of the given ones determine it, a few sets at most."""
        ways = {column: [frozenset({column})] for column in columns}
        is_new = True
        while is_new:
            is_new = False
            for x, ys in self.depends:
                for way in _combined(x, ways):
                    for y in ys.difference(columns):
                        is_new |= _put(ways.setdefault(y, []), way)
        return ways


_ONE_ROW = Keys((frozenset(),))
KeysIn = Mapping[Node, Keys]


def known(unique: Iterable[Columns], depends: Iterable[tuple[Columns, Columns]] = ()) -> Keys:
    """Return keys without columns that others in them determine, and without what holds anyway."""
    found = Keys((), tuple(dict.fromkeys(depends)))
    shortest = sorted(dict.fromkeys(_shortened(key, found) for key in unique), key=_size)
    kept: list[Columns] = []
    for key in shortest:
        if not any(other <= key for other in kept):
            kept.append(key)
    return Keys(tuple(kept[:_MOST_KEYS]), found.depends)


def keys_in(
    expression: ir.Table, declared: Declared, lines: Lines = MappingProxyType({})
) -> KeysIn:
    """Return the keys of all relations in an expression, each told by its own columns."""

    def visit(node: Node, of: dict[Node, Any], **_: Any) -> Keys | None:
        if isinstance(node, ops.UnboundTable | ops.DatabaseTable):
            return _of_table(node, declared, lines)
        if isinstance(node, ops.Filter):
            return _derived(with_windows_first(node), of).named_by(node)
        return _keys(node, of) if isinstance(node, ops.Relation) else None

    found: KeysIn = expression.op().map(visit)
    return found


def _derived(relation: Any, of: KeysIn) -> Keys:
    """Return the keys of a relation that stands for another, above those that are known."""
    if relation in of:
        return of[relation]
    return _keys(relation, {**of, relation.parent: _derived(relation.parent, of)})


def keys_below(relation: Any, keys: KeysIn) -> Keys:
    """Return the keys of the rows that a relation computes its columns from."""
    if isinstance(relation, ops.JoinChain):
        return _joined(relation, keys)
    parent = getattr(relation, "parent", None)
    return _ONE_ROW if parent is None else keys[parent]


def keys_of(expression: ir.Table, declared: Declared) -> list[tuple[str, ...]]:
    """Return the keys of an expression by the names of their columns, in the expression's order."""
    found = keys_in(expression, declared)[expression.op()]
    names = [{column.name for column in key} for key in found.unique]
    return [tuple(name for name in expression.columns if name in key) for key in names]


def is_of_its_row(value: ops.Value) -> bool:
    """Return whether a value follows from its row alone, the same in each run."""
    return is_rowwise(value) and not value.find((ops.Impure, ops.Subquery), filter=ops.Value)


def _of_table(node: ops.PhysicalTable, declared: Declared, lines: Lines) -> Keys:
    given = [key for key in declared.get(node.name, ()) if {*key} <= {*node.schema}]
    told_by = [lines[node.name]] if node.name in lines else []
    line = [(_columns(node, each), _columns(node, node.schema)) for each in told_by]
    return known([_columns(node, key) for key in given], line)


def _keys(node: Any, of: KeysIn) -> Keys:
    """Return the keys of a relation; `of` has those of all that it is made of."""
    node, written = spelled_out(node), node
    if isinstance(node, _KEEPS_ROWS):
        is_one_row = isinstance(node, ops.Limit) and node.n in (0, 1)
        return _ONE_ROW if is_one_row else of[node.parent].named_by(node)
    match node:
        case ops.DummyTable():
            return Keys() if _multiplies(node.values) else _ONE_ROW
        case ops.Project():
            return _computed(written, node.values, of[node.parent])
        case ops.Filter():
            below = of[node.parent]
            own = [each for each in node.predicates if each.relations <= {node.parent}]
            return known(below.unique, (*below.depends, *_ensured(own))).named_by(written)
        case ops.Aggregate():
            return _aggregated(node, of[node.parent])
        case ops.Distinct():
            return _distinct(node, of[node.parent].named_by(node))
        case ops.JoinChain():
            return _computed(node, node.values, _joined(node, of))
        case ops.Set():
            return _set(node, of)
        case ops.TableUnnest():
            return _unnested(node, of[node.parent])
    return Keys()


def _unnested(node: ops.TableUnnest, below: Keys) -> Keys:
    """Return the keys of a row per element: those of a row with the place of the element."""
    changed = {
        ops.Field(node.parent, each)
        for each in (node.column_name, node.offset)
        if each in node.parent.schema
    }
    depends = [(one, other - changed) for one, other in below.depends if not one & changed]
    rows = known([], depends).named_by(node)
    if node.offset is None:
        return rows
    place = ops.Field(node, node.offset)
    kept = [key for key in below.unique if not key & changed]
    unique = [_columns(node, [each.name for each in key]) | {place} for key in kept]
    return known(unique, rows.depends)


def _computed(node: ops.Relation, values: Mapping[str, ops.Value], below: Keys) -> Keys:
    """Return the keys of columns computed from rows below, each row staying one."""
    if _multiplies(values):
        return Keys()
    unique, depends = [*below.unique], [*below.depends]
    columns = {ops.Field(node, name): value for name, value in values.items()}
    for column, value in columns.items():
        depends += _dependencies(column, value)
        unique += _numbered(column, value)
    return known(unique, depends).of(list(columns))


def _multiplies(values: Mapping[str, ops.Value]) -> bool:
    return any(value.find(ops.Unnest, filter=ops.Value) for value in values.values())


def _dependencies(column: ops.Field, value: ops.Value) -> Iterator[tuple[Columns, Columns]]:
    """Yield on what a computed column depends, and what depends on it."""
    source = told_apart_by(value)
    if isinstance(source, ops.Field):
        yield from _same(column, source)
    elif _follows_from_its_row(value):
        yield frozenset(fields_of([value])), frozenset({column})


def _follows_from_its_row(value: ops.Value) -> bool:
    return is_of_its_row(value) and all(
        isinstance(field.dtype, EXACT) for field in fields_of([value])
    )


def _numbered(column: ops.Field, value: ops.Value) -> Iterator[Columns]:
    """Yield the key that row numbers are with their partition, whatever the order."""
    match told_apart_by(value):
        case ops.WindowFunction(func=ops.RowNumber(), group_by=partition):
            if all(isinstance(v, ops.Field) or _follows_from_its_row(v) for v in partition):
                yield frozenset({column, *fields_of(partition)})


def _ensured(tests: Iterable[ops.Value]) -> Iterator[tuple[Columns, Columns]]:
    """Yield the dependencies of all rows for which conditions are true."""
    for test in conjuncts(tests):
        match test:
            case ops.Field():
                yield frozenset(), frozenset({test})
            case ops.Not(arg=ops.Field() as column) | ops.IsNull(arg=ops.Field() as column):
                yield frozenset(), frozenset({column})
            case ops.Equals() | ops.IdenticalTo() if are_alike(test.left, test.right):
                yield from _equal(test.left, test.right)


def _equal(left: ops.Value, right: ops.Value) -> Iterator[tuple[Columns, Columns]]:
    one, other = told_apart_by(left), told_apart_by(right)
    if isinstance(one, ops.Field) and isinstance(other, ops.Field):
        yield from _same(one, other)
    for column, value in ((one, other), (other, one)):
        if isinstance(column, ops.Field) and isinstance(value, ops.Literal):
            yield frozenset(), frozenset({column})


def _same(one: ops.Field, other: ops.Field) -> Iterator[tuple[Columns, Columns]]:
    yield frozenset({one}), frozenset({other})
    yield frozenset({other}), frozenset({one})


def _aggregated(node: ops.Aggregate, below: Keys) -> Keys:
    if _multiplies(node.values):
        return Keys()
    groups = _computed(node, node.groups, below)
    return known([*groups.unique, _columns(node, node.groups)], groups.depends)


def _distinct(node: ops.Relation, rows: Keys) -> Keys:
    return known([*rows.unique, _columns(node, node.schema)], rows.depends)


def _set(node: ops.Set, of: KeysIn) -> Keys:
    left, right = of[node.left].named_by(node), of[node.right].named_by(node)
    match node:
        case ops.Intersection():
            rows = known([*left.unique, *right.unique], [*left.depends, *right.depends])
        case ops.Difference():
            rows = left
        case _:
            rows = Keys()
    return _distinct(node, rows) if node.distinct else rows


def _joined(chain: ops.JoinChain, of: KeysIn) -> Keys:
    """Return the keys of the joined rows, told by the columns of the sides."""
    found: Keys = of[chain.first]
    columns = _columns(chain.first, chain.first.schema)
    for link in chain.rest:
        theirs = _columns(link.table, link.table.schema)
        found = _linked(_Side(columns, found), _Side(theirs, of[link.table]), link)
        columns |= theirs
    return found


@dataclass(frozen=True)
class _Side:
    columns: Columns
    keys: Keys

    @property
    def depends(self) -> list[tuple[Columns, Columns]]:
        """What is determined in its rows, all of a row by a key among it."""
        return [*self.keys.depends, *((key, self.columns) for key in self.keys.unique)]

    def bound(self, tests: Iterable[Any], other: "_Side") -> Columns:
        """Return its columns that a row of the other side says the values of."""
        pairs = [pair for t in tests for pair in ((t.left, t.right), (t.right, t.left))]
        return frozenset(
            own
            for value, given in pairs
            if (own := told_apart_by(value)) in self.columns
            and fields_of([given]) <= other.columns
            and is_of_its_row(given)
        )


def _linked(left: _Side, right: _Side, link: ops.JoinLink) -> Keys:
    """Return the keys of joined rows: of a key of each side, without those columns of one that a
    row of the other says. A row that is missing is one row of nulls beside the other side's.
    """
    if link.how in ("semi", "anti"):
        return left.keys
    if link.how not in ("inner", "cross", "left", "right"):
        return Keys()
    tests = [*equalities(link.predicates)]
    pairs = [*product(left.keys.unique, right.keys.unique)]
    unique = []
    if link.how != "right":
        said = right.keys.determined_by(right.bound(tests, left))
        unique += [one | (other - said) for one, other in pairs]
    if link.how != "left":
        said = left.keys.determined_by(left.bound(tests, right))
        unique += [(one - said) | other for one, other in pairs]
    depends = [*_kept(left, right, tests, link.how == "right")]
    depends += _kept(right, left, tests, link.how == "left")
    if link.how == "inner":
        depends += _ensured(link.predicates)
    return known(unique, depends)


def _kept(
    side: _Side, other: _Side, tests: Iterable[Any], may_miss: bool
) -> Iterator[tuple[Columns, Columns]]:
    """Yield what is determined on a side; if nulls may stand for its row, by what then only is."""
    given = side.bound([test for test in tests if isinstance(test, ops.Equals)], other)
    yield from ((x, ys) for x, ys in side.depends if not may_miss or x & given)


def _columns(relation: ops.Relation, names: Iterable[str]) -> Columns:
    return frozenset(ops.Field(relation, name) for name in names)


def _combined(columns: Columns, ways: Mapping[ops.Field, Sequence[Columns]]) -> list[Columns]:
    """Return a few unions of a way for each of the columns, none if one of them has no way."""
    choices = product(*(ways.get(column, ()) for column in sorted(columns, key=_place)))
    return [frozenset().union(*choice) for choice in islice(choices, _MOST_KEYS)]


def _put(ways: list[Columns], way: Columns) -> bool:
    """Put a way among the shortest ones; return whether it is one of them."""
    if any(other <= way for other in ways):
        return False
    ways.append(way)
    ways.sort(key=_size)
    del ways[_MOST_WAYS:]
    return way in ways


def _shortened(key: Columns, keys: Keys) -> Columns:
    for column in sorted(key, key=_place, reverse=True):
        if key <= keys.determined_by(key - {column}):
            key = key - {column}
    return key


def _place(column: ops.Field) -> tuple[int, int]:
    """Return what sorts the columns of a relation, and the sides of a join, in their order."""
    return getattr(column.rel, "identifier", 0), [*column.rel.schema].index(column.name)


def _size(key: Columns) -> tuple[int, list[tuple[int, int]]]:
    return len(key), sorted(map(_place, key))
