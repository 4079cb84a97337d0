"""What lets a row depend on more than one row, so that a part cannot be computed alone."""

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
