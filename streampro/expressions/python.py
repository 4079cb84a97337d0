"""Rows that a Python function computes of the rows of one key, as an operation among the others."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.annotations import attribute
from ibis.common.collections import FrozenOrderedDict
from ibis.expr.schema import Schema

from streampro.expressions.types import holds


class RowsOfKeys(ops.Relation):  # type: ignore[misc]  # Ibis has no types here
    """What `function` makes of the rows of each value of the column `by`, one value at a time.

    It has no SQL: engines compute `parent`, hand its rows to the function, and read what comes.
    """

    parent: ops.Relation
    by: str
    function: Any
    schema: Schema

    @attribute  # type: ignore[untyped-decorator]  # Ibis has no types here
    def values(self) -> FrozenOrderedDict[str, Any]:
        """Its columns are no values of its parent."""
        return FrozenOrderedDict()


def rows_of_keys(rows: ir.Table, by: str, function: Callable[..., Any], schema: Schema) -> ir.Table:
    """Return what a function makes of the rows of each value of a column."""
    return RowsOfKeys(rows, by, function, schema).to_expr()


def sql_part(rows: ir.Table) -> ir.Table:
    """Return what SQL computes of an expression: of what a Python function makes the rows that it
    is given.
    """
    node = rows.op()
    if isinstance(node, RowsOfKeys):
        return node.parent.to_expr()
    return _replaced(rows, lambda each: ibis.table(each.schema, name="rows"))


def computed(rows: ir.Table, compute: Callable[[RowsOfKeys], ir.Table]) -> ir.Table:
    """Return an expression in which `compute` has computed what Python functions make."""
    return _replaced(rows, compute)


def order_of(node: RowsOfKeys) -> list[str] | None:
    """Return the columns by which the rows of a key are sorted, all; None where SQL cannot sort
    by one of them, a list or a struct.
    """
    schema = node.parent.schema
    if any(holds(kind, lambda each: each.is_nested()) for kind in schema.types):
        return None
    return [node.by, *(name for name in schema if name != node.by)]


def _replaced(rows: ir.Table, made: Callable[[RowsOfKeys], ir.Table]) -> ir.Table:
    found = {node: made(node).op() for node in rows.op().find(RowsOfKeys)}
    return rows.op().replace(found).to_expr() if found else rows
