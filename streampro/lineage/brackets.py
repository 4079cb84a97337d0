"""Expressions as text in which operators keep their brackets, as Python writes them."""

from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.expr.format import _infix_ops, fmt

_ORDER = ({"|"}, {"^"}, {"&"}, {"+", "-"}, {"*", "/", "//", "%"}, {"**"})
"""Operators of Python, the loosest first; comparisons are looser than all of them."""
_ASSOCIATIVE = ("&", "|", "+", "*")


class Bracketed(ops.Value):  # type: ignore[misc]  # Ibis has no types here
    """A value that stands in brackets."""

    arg: ops.Value

    @property
    def name(self) -> str:
        return str(self.arg.name)

    @property
    def dtype(self) -> Any:
        return self.arg.dtype

    @property
    def shape(self) -> Any:
        return self.arg.shape


@fmt.register(Bracketed)  # type: ignore[untyped-decorator]  # Ibis has no types here
def _bracketed(op: Bracketed, arg: str) -> str:
    return f"({arg})"


def with_brackets(rows: ir.Table) -> str:
    """Return how Ibis shows an expression, with the brackets that its operators need."""
    return repr(rows.op().replace(_put).to_expr())


def _put(node: Any, changed: dict[str, Any] | None) -> Any:
    node = node.__recreate__(changed) if changed else node
    if type(node) not in _infix_ops:
        return node
    left, right = node.left, node.right
    return node.copy(
        left=Bracketed(left) if _needs_brackets(node, left, is_right=False) else left,
        right=Bracketed(right) if _needs_brackets(node, right, is_right=True) else right,
    )


def _needs_brackets(node: Any, side: Any, *, is_right: bool) -> bool:
    symbol, below = _infix_ops[type(node)], _infix_ops.get(type(side))
    if below is None:
        return False
    strength, of_side = _strength(symbol), _strength(below)
    is_same = symbol == below and symbol in _ASSOCIATIVE
    return of_side < strength or (
        of_side == strength and not is_same and (is_right or not strength)
    )


def _strength(symbol: str) -> int:
    """Return how tight an operator binds; 0 for a comparison."""
    return next((place for place, level in enumerate(_ORDER, 1) if symbol in level), 0)
