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
        for field in _fields_from_outside(subquery)
    }
    names = ", ".join(sorted({field.name for field in fields}))
    said = f"ScalarSubquery: it looks at {names} of the row outside of it. Join an aggregate."
    return [said] if fields else []


def _fields_from_outside(subquery: ops.ScalarSubquery) -> Iterator[ops.Field]:
    nodes = {*_below(subquery.rel)}
    yield from (each for each in nodes if isinstance(each, ops.Field) and each.rel not in nodes)


def _below(node: Any) -> Iterator[Any]:
    """Yield what rows are computed from, without following a field to its table."""
    todo, seen = [node], set()
    while todo:
        each = todo.pop()
        if each not in seen:
            seen.add(each)
            yield each
            todo += () if isinstance(each, ops.Field) else each.__children__
