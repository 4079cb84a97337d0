"""Where in a query may stand what is computed across rows: elsewhere no engine takes it, or one
does, or engines take it differently.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import ibis.expr.operations as ops

from streampro.expressions.portability.patterns import value_of

_FIRST = "Use mutate() to make it a column of its own first."
_KINDS: Mapping[str, type[ops.Value]] = {
    "an aggregate": ops.Reduction,
    "a window": ops.WindowFunction,
    "an unnest": ops.Unnest,
}
_SUBQUERIES = (ops.ExistsSubquery, ops.InSubquery, ops.ScalarSubquery)
_NO_SUBQUERIES: Mapping[type[ops.Node], tuple[str, str]] = {
    ops.JoinLink: ("predicates", "a condition of a join"),
    ops.Sort: ("keys", "a key of order_by"),
    ops.ArrayMap: ("body", "a function of elements"),
    ops.ArrayFilter: ("body", "a function of elements"),
    ops.Array: ("exprs", "a list"),
}
"""By operation the part in which no subquery may stand, and what a message calls it."""
_SLOTS: Mapping[tuple[type[ops.Node], str], tuple[str, tuple[str, ...]]] = {
    (ops.Aggregate, "groups"): ("a key of group_by", ()),
    (ops.Aggregate, "metrics"): ("an aggregate", ("an aggregate",)),
    (ops.Sort, "keys"): ("a key of order_by", ()),
    (ops.JoinLink, "predicates"): ("a condition of a join", ()),
    (ops.Filter, "predicates"): ("a filter", ("an aggregate", "a window")),
    (ops.Project, "values"): ("an expression", ("an aggregate", "a window")),
    (ops.JoinChain, "values"): ("the select of a join", ("a window",)),
}
"""By part of a relation what a message calls it, and what may stand in it."""


def misplaced(root: Any) -> list[str]:
    """Return a sentence per aggregate, window and unnest that stands where engines do not take it
    alike, of all below an operation of Ibis, and per window that no engine takes.
    """
    slots = (
        (node, slot) for node in root.find(tuple({kind for kind, _ in _SLOTS})) for slot in _SLOTS
    )
    found = [
        said
        for node, (kind, part) in slots
        if isinstance(node, kind)
        for said in _of_slot(_values(getattr(node, part)), *_SLOTS[kind, part], kind)
    ]
    for node in root.find(tuple(_NO_SUBQUERIES)):
        part, called = _NO_SUBQUERIES[type(node)]
        given = getattr(node, part)
        found += [
            f"{type(each).__name__}: a subquery cannot stand in {called}. {_FIRST}"
            for value in (given if isinstance(given, tuple) else (given,))
            for each in value.find(_SUBQUERIES, filter=ops.Value)
        ]
    found += [said for node in root.find(ops.Filter) for said in _in_filter(node)]
    found += [said for node in root.find(ops.Aggregate) for said in _of_single_rows(node)]
    functions = root.find((ops.ArrayMap, ops.ArrayFilter))
    found += [said for node in functions for said in _of_elements(node)]
    no_parts = [each for each in root.find(ops.NTile) if value_of(each.buckets, 1) < 1]
    return found + ["NTile: no engine makes fewer parts than one." for _ in no_parts]


def _of_elements(node: ops.ArrayMap | ops.ArrayFilter) -> Iterator[str]:
    """Yield what is computed across rows of the elements of a list."""
    across = (ops.Reduction, ops.Analytic, ops.WindowFunction)
    for each in node.body.find(across, filter=ops.Value):
        if node.param in each.find(ops.Argument):
            yield (
                f"{type(each).__name__}: elements of a list are no rows. Use unnest(), and "
                "aggregate() or a window by a key."
            )


def _in_filter(node: ops.Filter) -> Iterator[str]:
    """Yield what is wrong with the windows of a filter, which are computed before it."""
    windows, tests = (
        [each for value in node.predicates for each in value.find(kind, filter=ops.Value)]
        for kind in (ops.WindowFunction, ops.ExistsSubquery)
    )
    if windows and tests:
        yield f"WindowFunction: a window cannot stand in a filter beside any(). {_FIRST}"
    if any(not each.relations <= {node.parent} for each in windows):
        yield f"WindowFunction: a window of other rows cannot stand in a filter. {_FIRST}"


def _of_single_rows(node: ops.Aggregate) -> Iterator[str]:
    """Yield what is taken of each row beside an aggregate: Ibis lets `x.max().clip(upper=y)` be."""
    keys = node.groups.values()
    for value in node.metrics.values():
        fields = value.find(ops.Field, filter=_is_of_rows)
        yield from (
            f"{type(value).__name__}: {each.name!r} of each row cannot stand beside an aggregate. "
            "Use mutate() on what the aggregate gives."
            for each in fields
            if each.rel == node.parent and each not in keys
        )


def _is_of_rows(node: ops.Node) -> bool:
    return isinstance(node, ops.Value) and not isinstance(node, ops.Reduction)


def _of_slot(
    values: list[Any], called: str, may_stand: tuple[str, ...], kind: type[ops.Node]
) -> Iterator[str]:
    may_unnest = kind in (ops.Project, ops.JoinChain)
    unnested = [each for each in values if isinstance(each, ops.Unnest)] if may_unnest else []
    if len(unnested) > 1:
        yield (
            "Unnest: of two in one select DuckDB pairs the elements, Spark combines each with "
            "each. Use one, and a mutate() of its own for the other."
        )
    for value in values:
        if value in unnested:
            value = value.arg
        yield from _inside(value, called, may_stand)


def _inside(value: Any, called: str, may_stand: tuple[str, ...]) -> Iterator[str]:
    """Yield what may not stand in a value, and in what is computed across rows within it."""
    here = next((name for name, kind in _KINDS.items() if isinstance(value, kind)), None)
    if here and here not in may_stand:
        yield f"{type(value).__name__}: {here} cannot stand in {called}. {_FIRST}"
    for operand in _operands(value):
        yield from _inside(operand, *((here, ()) if here else (called, may_stand)))


def _operands(value: Any) -> Iterator[Any]:
    """Yield what a value is computed of within its relation; a window and its function are one."""
    for child in _values(value.__children__):
        if isinstance(value, ops.WindowFunction) and child is value.func:
            yield from _operands(child)
        else:
            yield child


def _values(given: Any) -> list[Any]:
    values = given.values() if isinstance(given, Mapping) else given
    return [_bare(each) for each in values if isinstance(each, ops.Value)]


def _bare(value: Any) -> Any:
    return _bare(value.arg) if isinstance(value, ops.Alias) else value
