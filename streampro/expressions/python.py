"""Rows that a Python function computes of the rows of one key, as an operation among the others."""

import inspect
from collections.abc import Callable
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.annotations import attribute
from ibis.common.collections import FrozenOrderedDict
from ibis.expr.schema import Schema

from streampro.errors import PipelineError
from streampro.expressions.types import holds

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class RowsOfKeys(ops.Relation):  # type: ignore[misc]  # Ibis has no types here
    """What `function` makes of the rows of each value of the column `by`, one value at a time.

    It has no SQL: engines compute `parent`, hand its rows to the function, and read what comes.
    """

    parent: ops.Relation
    by: str
    function: Any
    frame: str
    schema: Schema

    @attribute  # type: ignore[untyped-decorator]  # Ibis has no types here
    def values(self) -> FrozenOrderedDict[str, Any]:
        """Its columns are no values of its parent."""
        return FrozenOrderedDict()


_FRAMES = {
    "arrow": ("pa.Table", "pyarrow.Table", "pyarrow.lib.Table"),
    "pandas": ("pd.DataFrame", "pandas.DataFrame", "pandas.core.frame.DataFrame"),
    "polars": ("pl.DataFrame", "polars.DataFrame", "polars.dataframe.frame.DataFrame"),
}
"""How annotations name tables: as they are written, or where they are defined."""


def rows_of_keys(rows: ir.Table, by: str, function: Callable[..., Any], schema: Schema) -> ir.Table:
    """Return what a function makes of the rows of each value of a column."""
    return RowsOfKeys(rows, by, function, frame_of(function), schema).to_expr()


def frame_of(function: Callable[..., Any]) -> str:
    """Return in which library's tables a function takes rows, by the annotation of its parameter:
    `arrow`, `pandas` or `polars`.

    Raises `PipelineError` for a function without one parameter to be given by place, for another
    annotation, and for one of which its source does not tell all: what it closes over, and what is
    wrapped around it.
    """
    if function.__closure__ or hasattr(function, "__wrapped__"):
        raise PipelineError(
            f"{function.__name__} closes over values or is wrapped by a decorator, so its source "
            "does not tell when it changes. Write a plain function of the module."
        )
    parameters = [*inspect.signature(function).parameters.values()]
    if len(parameters) != 1 or parameters[0].kind not in _BY_PLACE:
        raise PipelineError(f"{function.__name__} is given one table, by place.")
    said = parameters[0].annotation
    if said is inspect.Parameter.empty:
        return "arrow"
    if not isinstance(said, str):
        said = f"{getattr(said, '__module__', '')}.{getattr(said, '__qualname__', said)}"
    found = (frame for frame, names in _FRAMES.items() if said.strip("'\"") in names)
    if frame := next(found, None):
        return frame
    raise PipelineError(
        f"{function.__name__} takes {said}, but rows come as pa.Table, pd.DataFrame or "
        "pl.DataFrame."
    )


def sql_part(rows: ir.Table) -> ir.Table:
    """Return what SQL computes of a model's expression: all of it, or the rows that its Python
    function is given.
    """
    node = rows.op()
    return node.parent.to_expr() if isinstance(node, RowsOfKeys) else rows


def computed(rows: ir.Table, compute: Callable[[RowsOfKeys], ir.Table]) -> ir.Table:
    """Return an expression in which `compute` has computed what Python functions make, first those
    below which there is no other.
    """
    while found := [n for n in rows.op().find(RowsOfKeys) if not n.parent.find(RowsOfKeys)]:
        rows = rows.op().replace({found[0]: compute(found[0]).op()}).to_expr()
    return rows


def order_of(node: RowsOfKeys) -> list[str] | None:
    """Return the columns by which the rows of a key are sorted, all; None where SQL cannot sort
    by one of them, a list or a struct.
    """
    schema = node.parent.schema
    if any(holds(kind, lambda each: each.is_nested()) for kind in schema.types):
        return None
    return [node.by, *(name for name in schema if name != node.by)]
