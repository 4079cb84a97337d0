"""The smallest part of an expression that differs, as a test to paste."""

from collections.abc import Callable
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fuzz.running import Engines

from streampro.expressions.portability import findings


def smallest(engines: Engines, build: Callable[..., ir.Table], value: ir.Value) -> ir.Value:
    """Return the part with fewest operations that is accepted and differs by itself."""
    parts = sorted(value.op().find(ops.Value, filter=ops.Value), key=_size)
    columns = (each for each in parts if not isinstance(each, ops.SortKey))
    stored = (each for each in columns if not (each.dtype.is_interval() or each.dtype.is_null()))
    for part in (each.to_expr() for each in stored):
        try:
            is_accepted = not findings(build(v=part))
        except Exception:  # a part that is no column of a query
            continue
        if is_accepted and list(engines.differing(build, {"v": part})):
            return part
    return value


def as_test(value: ir.Value) -> str:
    """Return a test that builds a value and compares the engines."""
    return (
        "def test_engines_agree(engines: Engines) -> None:\n"
        f"    value = {code_of(value.op())}.to_expr()\n"
        '    assert not list(engines.differing(BUILD, {"v": value}))'
    )


def code_of(node: Any) -> str:
    """Return the code that builds a node."""
    if isinstance(node, ops.Field):
        return f"ops.Field(BASE, {node.name!r})"
    if isinstance(node, ops.Literal):
        return f"ops.Literal({node.value!r}, {code_of(node.dtype)})"
    if isinstance(node, ops.Relation):
        return "BASE"
    if isinstance(node, dt.DataType):
        return f"dt.dtype({str(node)!r})"
    if isinstance(node, tuple):
        return f"({''.join(f'{code_of(each)}, ' for each in node)})"
    if isinstance(node, ops.Node):
        return f"ops.{type(node).__name__}({', '.join(map(code_of, node.__args__))})"
    return repr(getattr(node, "short", node))


def _size(node: ops.Value) -> int:
    return len(node.find(ops.Value, filter=ops.Value))
