"""Small changes of a model's expression, each a mistake that a test should notice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial, wraps
from itertools import islice
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.annotations import ValidationError
from ibis.common.exceptions import IbisError
from ibis.common.graph import Node
from ibis.expr.format import _infix_ops

from streampro.errors import PipelineError
from streampro.expressions.hash import bottom_up, digest
from streampro.expressions.keys import Declared, keys_in
from streampro.expressions.types import nullable
from streampro.modeling.model import Model
from streampro.proofs.mutation.words import Words, shapes_of

_SWAPPED = (
    (ops.Less, ops.LessEqual),
    (ops.Greater, ops.GreaterEqual),
    (ops.Equals, ops.NotEquals),
    (ops.IsNull, ops.NotNull),
    (ops.And, ops.Or),
    (ops.Add, ops.Subtract),
    (ops.DateAdd, ops.DateSub),
    (ops.TimestampAdd, ops.TimestampSub),
    (ops.Any, ops.All),
    (ops.First, ops.Last),
    (ops.Least, ops.Greatest),
    (ops.Lead, ops.Lag),
    (ops.MinRank, ops.DenseRank),
)
_EXTREMES = ((ops.Min, ops.Max), (ops.ArgMin, ops.ArgMax))
"""Swapped inside of words, too: `earliest` is then `latest`."""
_OTHER_OF_A_WORD = {one: other for pair in _EXTREMES for one, other in (pair, pair[::-1])}
_OTHER = {
    **_OTHER_OF_A_WORD,
    **{one: other for pair in _SWAPPED for one, other in (pair, pair[::-1])},
    ops.Multiply: ops.Add,
    ops.Sum: ops.Max,
    ops.Mean: ops.Max,
    ops.Count: ops.CountDistinct,
}
_OTHER_JOIN = {
    "inner": "left",
    "left": "inner",
    "right": "inner",
    "outer": "left",
    "semi": "anti",
    "anti": "semi",
}

_IMPOSSIBLE = (IbisError, TypeError, ValidationError, ValueError)
"""What Ibis raises for a change that makes no expression, such as one of another type."""
_Said = tuple[str, Callable[[], Any]]
"""A change in words, and what makes it."""


@dataclass(frozen=True)
class Change:
    """A change of an expression: one operation is replaced.

    Attributes:
        number: its place among all changes of the expression.
        what: what it is, in words.
    """

    number: int
    what: str
    node: Node
    replacement: Callable[[], Node]

    def of(self, rows: ir.Table) -> ir.Table:
        """Return the expression with the change."""
        return rows.op().replace({self.node: self.replacement()}).to_expr()


@dataclass(frozen=True)
class Changed:
    """A mutant: the expression of a model with one change."""

    change: Change
    rows: ir.Table


def mutants(
    model: Model, schemas: Mapping[str, ibis.Schema], declared: Declared
) -> tuple[ir.Table, list[Changed]]:
    """Return what a model computes of inputs with these columns, and all its mutants.

    No two have the same digest, and all have the columns of the model. Aggregates of groups that
    are one row each, as the `declared` keys of the inputs prove, mean the same as others.
    """
    rows, changes = _changed(model, schemas)
    seen, alone = {digest(rows)}, _of_one_row(rows, declared)
    found: list[Changed] = []
    for change in changes:
        try:
            mutant = Changed(change, change.of(rows))
            told = digest(mutant.rows)
        except (*_IMPOSSIBLE, PipelineError):
            continue
        is_other = change.node not in alone and _kinds(mutant.rows) == _kinds(rows)
        if is_other and told not in seen:
            seen.add(told)
            found.append(mutant)
    return rows, found


def _of_one_row(rows: ir.Table, declared: Declared) -> set[Node]:
    """Return the aggregates of rows of which each is a group of its own."""
    keys = keys_in(rows, declared)
    return {
        value
        for each in rows.op().find(ops.Aggregate)
        if keys[each.parent].identify(v for v in each.groups.values() if isinstance(v, ops.Field))
        for metric in each.metrics.values()
        for value in metric.find(tuple(_OTHER), filter=ops.Value)
        if isinstance(value, ops.Reduction)
    }


def mutated(model: Model, number: int) -> Model:
    """Return a model whose expression has the change of this number, whatever it is called with."""

    @wraps(model.transform)
    def transform(*args: ir.Table, **inputs: ir.Table) -> ir.Table:
        given = dict(zip(model.inputs, args, strict=False)) | inputs
        if given.keys() != {*model.inputs}:
            return model.transform(*args, **inputs)
        schemas = {name: rows.schema() for name, rows in given.items()}
        rows, changes = _changed(model, schemas)
        change = next(islice(changes, number, None))
        stands_for = {_stand_in(name, schemas[name]).op(): given[name].op() for name in given}
        return change.of(rows).op().replace(stands_for).to_expr()

    return replace(model, transform=transform)


def _changed(model: Model, schemas: Mapping[str, ibis.Schema]) -> tuple[ir.Table, Iterator[Change]]:
    """Return what a model computes of inputs with these columns, and all that can be changed."""
    inputs = {name: _stand_in(name, schemas[name]) for name in model.inputs}
    words = Words()
    rows = words.heard(lambda: model.transform(**inputs))
    return rows, _numbered(rows, words)


def _stand_in(name: str, schema: ibis.Schema) -> ir.Table:
    return ibis.table(schema, name=name)


def _kinds(rows: ir.Table) -> list[tuple[str, Any]]:
    return [(name, nullable(kind)) for name, kind in rows.schema().items()]


def _numbered(rows: ir.Table, words: Words) -> Iterator[Change]:
    number = 0
    shapes = shapes_of(rows.op())
    for node in bottom_up(rows.op()):
        for what, replacement in _changes(node, words, shapes):
            yield Change(number, what, node, replacement)
            number += 1


def _changes(node: Any, words: Words, shapes: Mapping[Node, int]) -> Iterator[_Said]:
    """Yield what may be changed in an operation."""
    word, taken = words.said(node, shapes)
    for each in taken if isinstance(node, ops.Value) else ():
        if (nullable(node.dtype), node.shape) == (nullable(each.dtype), each.shape):
            yield f"{word}({each.name}) dropped", partial(_itself, each)
    inside = words.are_around(node, shapes)
    if other := (_OTHER_OF_A_WORD if inside else _OTHER).get(type(node)):
        yield f"{_sign(type(node))} becomes {_sign(other)}", partial(other, *node.args)
    if not inside:
        yield from _dropped(node)
        yield from _literals(node)


def _sign(kind: Any) -> str:
    return str(_infix_ops.get(kind, kind.__name__))


def _itself(node: Node) -> Node:
    return node


def _dropped(node: Any) -> Iterator[_Said]:
    """Yield what may be left out of an operation, or turned."""
    match node:
        case ops.Filter():
            for each in node.predicates:
                rest = _without(node.predicates, each)
                fewer = partial(node.copy, predicates=rest)
                yield "filter dropped", fewer if rest else partial(_itself, node.parent)
        case ops.Not():
            yield "not dropped", partial(_itself, node.arg)
        case ops.JoinLink() if node.how in _OTHER_JOIN:
            other = _OTHER_JOIN[node.how]
            yield f"{node.how} join becomes {other}", partial(node.copy, how=other)
        case ops.Coalesce():
            fewer = partial(node.copy, arg=node.arg[:-1])
            is_pair = len(node.arg) == 2
            yield (
                "what stands for null dropped",
                partial(_itself, node.arg[0]) if is_pair else fewer,
            )
        case ops.NullIf():
            yield "null where equal dropped", partial(_itself, node.arg)
        case ops.FillNull() | ops.DropNull() | ops.Distinct():
            yield f"{_sign(type(node))} dropped", partial(_itself, node.parent)
        case ops.Set():
            yield "distinct turned", partial(node.copy, distinct=not node.distinct)
        case ops.Limit() if isinstance(node.n, int):
            yield f"limit {node.n} becomes {node.n + 1}", partial(node.copy, n=node.n + 1)
        case ops.SortKey():
            turned = partial(node.copy, ascending=not node.ascending)
            yield f"order by {node.arg.name} turned", turned
        case ops.Sort() if node.keys[1:]:
            kept = partial(node.copy, keys=node.keys[:-1])
            yield f"order by {node.keys[-1].arg.name} dropped", kept
        case ops.WindowFunction():
            if node.order_by[1:]:
                kept = partial(node.copy, order_by=node.order_by[:-1])
                yield f"order by {node.order_by[-1].arg.name} dropped", kept
            for each in node.group_by:
                kept = partial(node.copy, group_by=_without(node.group_by, each))
                yield f"window by {each.name} dropped", kept
        case ops.SearchedCase() | ops.SimpleCase() if node.cases[1:]:
            for n, _ in enumerate(node.cases):
                cases, results = (each[:n] + each[n + 1 :] for each in (node.cases, node.results))
                yield f"case {n + 1} dropped", partial(node.copy, cases=cases, results=results)
        case ops.InValues() if node.options[1:]:
            for each in node.options:
                kept = partial(node.copy, options=_without(node.options, each))
                yield f"{each.name} dropped", kept
        case ops.Reduction() if getattr(node, "where", None) is not None:
            yield f"where of {_sign(type(node))} dropped", partial(node.copy, where=None)


def _without(values: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    return tuple(each for each in values if each is not one)


def _literals(node: Any) -> Iterator[_Said]:
    """Yield the literals among the arguments of an operation, each changed a little."""
    for literal in dict.fromkeys(c for c in node.__children__ if isinstance(c, ops.Literal)):
        for value in _next(literal):
            other = literal.copy(value=value)
            arguments = {
                name: _put(each, literal, other)
                for name, each in zip(node.argnames, node.args, strict=True)
            }
            yield f"{literal.value!r} becomes {value!r}", partial(node.copy, **arguments)


def _put(value: Any, literal: Node, other: Node) -> Any:
    """Return an argument with another literal in place of one."""
    if isinstance(value, tuple):
        return tuple(_put(each, literal, other) for each in value)
    if isinstance(value, Mapping):
        return {name: _put(each, literal, other) for name, each in value.items()}
    return other if value is literal else value


def _next(literal: ops.Literal) -> Iterator[Any]:
    """Yield the value next to that of a literal, none where there is none."""
    value = literal.value
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int) and literal.dtype.is_integer():
        yield value + 1 if value < literal.dtype.bounds.upper else value - 1
    elif isinstance(value, int | float | Decimal):
        yield value + 1
    elif isinstance(value, str):
        yield f"{value}x"
    elif isinstance(value, timedelta | datetime):
        yield value + timedelta(seconds=1)
    elif isinstance(value, date):
        yield value + timedelta(days=1)
