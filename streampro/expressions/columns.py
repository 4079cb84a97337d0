"""What the columns of one expression come from: a walk over its tree, operation by operation."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.graph import Node

from streampro.errors import PipelineError
from streampro.expressions.python import RowsOfKeys

How = Literal["copied", "computed", "decides"]
_WEAKEST_FIRST: tuple[How, ...] = ("decides", "copied", "computed")
ROWS = "*"
"""Stands as a column for the rows of a table, whatever their values: what `count()` counts."""


class ColumnRef(NamedTuple):
    """A column of a model, of its `<name>_rejected` table, or a field of a source, by its name
    without layer, as transforms take it.
    """

    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}"


Origins = Mapping[ColumnRef, How]
"""What something comes from, and in which way; of several the last of `_WEAKEST_FIRST`."""


@dataclass(frozen=True)
class Rows:
    """What the columns of a relation come from, what decides which rows it has, and in which order
    they stand. A table whose rows matter, whatever their values, is among the second as its `ROWS`.
    """

    columns: Mapping[str, Origins]
    which: Origins
    order: Origins


_OF_ONE_OTHER = (
    ops.AliasedRelation,
    ops.Distinct,
    ops.DropColumns,
    ops.DropNull,
    ops.FillNull,
    ops.Filter,
    ops.JoinReference,
    ops.Limit,
    ops.Sample,
    ops.SelfReference,
    ops.Sort,
)
"""Operations that hand on rows of one other relation, some or all of them."""


def rows_of(name: str, table: ir.Table) -> Rows:
    """Return the lineage of a model's expression.

    Raises `PipelineError` for an operation that is not known.
    """

    def visit(node: Node, of: dict[Node, Any], **_: Any) -> Rows | Origins | None:
        if isinstance(node, ops.Relation):
            return _rows(node, of)
        return _origins(node, of) if isinstance(node, ops.Value) else None

    relation = table.op()
    try:
        found: Rows = relation.map(visit)[relation]
    except NotImplementedError as error:
        raise PipelineError(
            f"model {name} uses the operation {error}, whose lineage is not known. "
            "Use other Ibis operations."
        ) from None
    return found


def _rows(node: ops.Relation, of: Mapping[Node, Any]) -> Rows:
    """Return the lineage of a relation; `of` has that of all that it is made of."""
    match node:
        case ops.UnboundTable():
            own: dict[str, Origins] = {
                name: {ColumnRef(node.name, name): "copied"} for name in node.schema
            }
            return Rows(own, {ColumnRef(node.name, ROWS): "decides"}, {})
        case ops.InMemoryTable():
            return Rows({name: {} for name in node.schema}, {}, {})
        case ops.JoinChain():
            return _join(node, of)
        case ops.Set():
            return _set(node, of[node.left], of[node.right])
        case ops.DummyTable():
            return Rows(_columns(node.values, of), {}, {})
        case ops.TableUnnest():
            return _unnested(node, of)
        case ops.Project() | ops.Aggregate():
            return _made(node, of)
        case RowsOfKeys():
            return _of_python(node, of[node.parent])
    if isinstance(node, _OF_ONE_OTHER):
        return _handed_on(node, of)
    raise NotImplementedError(type(node).__name__)


def _made(node: ops.Project | ops.Aggregate, of: Mapping[Node, Any]) -> Rows:
    """Return the lineage of new columns; keys of groups and lists that become rows decide.

    An aggregate without groups is always one row: what decides the rows below decides its values.
    """
    parent: Rows = of[node.parent]
    columns = _columns(node.values, of)
    lists = [
        each.arg for value in node.values.values() for each in value.find(ops.Unnest, ops.Value)
    ]
    which = merged(_deciding(of[each]) for each in lists)
    if isinstance(node, ops.Project):
        return Rows(columns, merged([parent.which, which]), parent.order)
    if not node.groups:
        columns = {name: merged([own, parent.which]) for name, own in columns.items()}
        return Rows(columns, which, {})
    groups = (_deciding(of[key]) for key in node.groups.values())
    return Rows(columns, merged([parent.which, which, *groups]), {})


def _of_python(node: RowsOfKeys, parent: Rows) -> Rows:
    """Return the lineage of what Python computes: each column of all, but for the key."""
    every = merged([*parent.columns.values(), parent.which])
    columns = {name: through("computed", every) for name in node.schema}
    columns[node.by] = parent.columns[node.by]
    return Rows(columns, _deciding(every), {})


def _handed_on(node: Any, of: Mapping[Node, Any]) -> Rows:
    """Return the lineage of an operation of `_OF_ONE_OTHER`."""
    parent: Rows = of[node.parent]
    columns = {name: parent.columns[name] for name in node.schema}
    which, order = [parent.which], [parent.order]
    match node:
        case ops.Filter():
            which += [of[test] for test in node.predicates]
        case ops.Sort():
            order += [of[key] for key in node.keys]
        case ops.Limit():
            which += [parent.order, *(of[each] for each in _nodes((node.n, node.offset)))]
        case ops.Distinct():
            which += columns.values()
        case ops.DropNull():
            names = [field.name for field in node.subset or ()] or [*columns]
            which += [columns[name] for name in names]
        case ops.FillNull():
            columns = _filled(node, columns, of)
    return Rows(columns, merged(map(_deciding, which)), merged(map(_deciding, order)))


def _filled(
    node: ops.FillNull, columns: Mapping[str, Origins], of: Mapping[Node, Any]
) -> dict[str, Origins]:
    with_ = node.replacements
    by_name = with_ if isinstance(with_, Mapping) else dict.fromkeys(columns, with_)
    return {
        name: _computed([origins, *(of[each] for each in _nodes(by_name[name]))])
        if name in by_name
        else origins
        for name, origins in columns.items()
    }


def _join(node: ops.JoinChain, of: Mapping[Node, Any]) -> Rows:
    tests = [of[test] for link in node.rest for test in link.predicates]
    which = [of[table].which for table in node.tables] + [_deciding(test) for test in tests]
    return Rows(_columns(node.values, of), merged(which), {})


def _set(node: ops.Set, left: Rows, right: Rows) -> Rows:
    both = {name: [left.columns[name], right.columns[name]] for name in node.schema}
    which = [left.which, right.which]
    if node.distinct or not isinstance(node, ops.Union):
        which += [_deciding(origins) for pair in both.values() for origins in pair]
    kept = 1 if isinstance(node, ops.Difference) else 2
    columns = {name: merged(pair[:kept]) for name, pair in both.items()}
    return Rows(columns, merged(which), {})


def _unnested(node: ops.TableUnnest, of: Mapping[Node, Any]) -> Rows:
    parent: Rows = of[node.parent]
    element = _computed([of[node.column]])
    columns = {name: parent.columns.get(name, element) for name in node.schema}
    columns[node.column_name] = element
    return Rows(columns, merged([parent.which, _deciding(element)]), {})


_DECIDING_ARGUMENTS: tuple[tuple[type[ops.Value], tuple[str, ...]], ...] = (
    (ops.WindowFunction, ("group_by", "order_by", "start", "end")),
    (ops.Reduction, ("where", "order_by")),
    (ops.ArgMin, ("key",)),
    (ops.ArgMax, ("key",)),
    (ops.Lag, ("offset",)),
    (ops.Lead, ("offset",)),
    (ops.NthValue, ("nth",)),
    (ops.SearchedCase, ("cases",)),
    (ops.SimpleCase, ("base", "cases")),
    (ops.IfElse, ("bool_expr",)),
)
_HANDS_ON = (
    ops.Alias,
    ops.Arbitrary,
    ops.ArgMax,
    ops.ArgMin,
    ops.Coalesce,
    ops.First,
    ops.IfElse,
    ops.Lag,
    ops.Last,
    ops.Lead,
    ops.NthValue,
    ops.SearchedCase,
    ops.SimpleCase,
    ops.SortKey,
    ops.WindowFunction,
)
"""Operations whose value is that of an argument that decides nothing."""
_EXTREMES = (ops.Min, ops.Max)


def _origins(node: ops.Value, of: Mapping[Node, Any]) -> Origins:
    """Return the lineage of a value; `of` has that of all that it is made of."""
    match node:
        case ops.Field():
            origins: Origins = of[node.rel].columns[node.name]
            return origins
        case ops.StructField():
            return _field_of_struct(node, of)
        case ops.CountStar() | ops.CountDistinctStar():
            return _count_of_rows(node, of)
        case ops.Subquery():
            return _subquery(node, of)
    names = {
        name for kind, names in _DECIDING_ARGUMENTS if isinstance(node, kind) for name in names
    }
    arguments = list(zip(node.__argnames__, node.__args__, strict=True))
    deciding = [of[each] for name, arg in arguments if name in names for each in _nodes(arg)]
    parts = [each for name, arg in arguments if name not in names for each in _nodes(arg)]
    if any(isinstance(each, ops.Relation) for each in parts):
        raise NotImplementedError(type(node).__name__)
    values = [of[each] for each in parts]
    value = merged(values) if isinstance(node, _HANDS_ON) else _computed(values)
    return merged([value, *map(_deciding, deciding)])


def _field_of_struct(node: ops.StructField, of: Mapping[Node, Any]) -> Origins:
    """Return the lineage of a field; of the least or greatest struct the other fields decide."""
    struct, deciding = node.arg, []
    if isinstance(struct, _EXTREMES) and isinstance(struct.arg, ops.StructColumn):
        deciding = [*struct.arg.values, *_nodes(struct.where)]
        struct = struct.arg
    if not isinstance(struct, ops.StructColumn):
        return _computed([of[node.arg]])
    value = struct.values[struct.names.index(node.field)]
    return merged([of[value], *(_deciding(of[each]) for each in deciding)])


def _count_of_rows(node: Any, of: Mapping[Node, Any]) -> Origins:
    rows: Rows = of[node.arg]
    counted: Origins = {table: "computed" for table in rows.which if table.column == ROWS}
    of_values = rows.columns.values() if isinstance(node, ops.CountDistinctStar) else ()
    where = [_deciding(of[each]) for each in _nodes(node.where)]
    return merged([counted, rows.which, _computed(of_values), *where])


def _subquery(node: ops.Subquery, of: Mapping[Node, Any]) -> Origins:
    rows: Rows = of[node.rel]
    match node:
        case ops.ScalarSubquery():
            return merged([*rows.columns.values(), rows.which])
        case ops.InSubquery():
            return merged([_computed([of[node.needle], *rows.columns.values()]), rows.which])
        case ops.ExistsSubquery():
            return _deciding(rows.which)
    raise NotImplementedError(type(node).__name__)


def _columns(values: Mapping[str, ops.Value], of: Mapping[Node, Any]) -> dict[str, Origins]:
    return {name: of[value] for name, value in values.items()}


def _nodes(argument: Any) -> Iterator[Node]:
    """Yield the nodes that an argument of an operation holds."""
    if isinstance(argument, Node):
        yield argument
    elif isinstance(argument, tuple | list):
        for each in argument:
            yield from _nodes(each)
    elif isinstance(argument, Mapping):
        yield from _nodes(tuple(argument.values()))


def merged(parts: Iterable[Origins]) -> Origins:
    """Return the lineage of what comes from all of these."""
    found: dict[ColumnRef, How] = {}
    for part in parts:
        for column, how in part.items():
            found[column] = max(found.get(column, how), how, key=_WEAKEST_FIRST.index)
    return found


def _computed(parts: Iterable[Origins]) -> Origins:
    """Return the lineage of a value that is computed from all of these."""
    return through("computed", merged(parts))


def _deciding(origins: Origins) -> Origins:
    return dict.fromkeys(origins, "decides")


def through(how: How, origins: Origins) -> Origins:
    """Return the lineage of what comes in this way from something with these origins."""
    if how == "copied":
        return origins
    if how == "decides":
        return _deciding(origins)
    return {column: "decides" if was == "decides" else how for column, was in origins.items()}
