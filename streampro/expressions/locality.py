"""What lets a row depend on more than one row, so that a part cannot be computed alone."""

from collections.abc import Iterator
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

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
    parts = [*_parts(relation)]
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


def _parts(relation: Any) -> Iterator[Any]:
    """Yield the tables that a relation takes, and the values in it."""
    for child in relation.__children__:
        yield from child.__children__ if isinstance(child, ops.JoinLink) else (child,)
