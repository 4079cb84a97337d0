"""What lets a row depend on more than one row, so that a part cannot be computed alone."""

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.contract import Contract, rules_of, schema_of

_ACROSS_ROWS = (
    ops.Aggregate,
    ops.Distinct,
    ops.JoinChain,
    ops.Limit,
    ops.Set,
    ops.Subquery,
    ops.WindowFunction,
)


def not_rowwise(contract: type[Contract], staged: ir.Table | None) -> list[str]:
    """Return what a full run would compute otherwise than an incremental one, a clause each.

    Every rule must look at one row at a time, and so must the expression of a staging model.
    """
    found = []
    if staged is not None:
        found += [
            f"every row must follow from one line alone; it uses {operation}."
            for operation in _across_rows(staged)
        ]
    rows = ibis.table(schema_of(contract), name="rows")
    return found + [
        f"its rules must look at one row at a time; {rule.name} uses {operation}."
        for rule in rules_of(contract)
        for operation in _across_rows(rule.breaks(rows))
    ]


def _across_rows(expression: ir.Expr) -> list[str]:
    return sorted({type(node).__name__ for node in expression.op().find(_ACROSS_ROWS)})
