"""What the compilers of all engines write otherwise than Ibis does, so that engines agree."""

from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.rewrites import p
from ibis.common.patterns import replace

from streampro.expressions.decimals import is_exact_literal, takes_decimals

_TAKES_EITHER = (
    ops.Between,
    ops.Binary,
    ops.Coalesce,
    ops.Greatest,
    ops.IfElse,
    ops.InValues,
    ops.Least,
    ops.NullIf,
    ops.SearchedCase,
    ops.SimpleCase,
)


class DecimalLiteral(ops.Literal):  # type: ignore[misc]  # Ibis has no types here
    """A literal such as 0.5 beside a decimal. Its type stays the float that Ibis believes."""


@replace(p.Value)  # type: ignore[untyped-decorator]  # Ibis has no types here
def literals_beside_decimals(_: Any) -> Any:
    """Make a literal such as 0.5 a decimal where it meets one: only there it is no float.

    It matches all values, so it stands after the rewrites of Ibis, of which the first that matches
    is applied.
    """
    if not (isinstance(_, _TAKES_EITHER) and takes_decimals(_)):
        return _
    return type(_)(*(_as_decimal(arg) for arg in _.__args__))


class Agreeing(SQLGlotCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Stands before a compiler of Ibis. What is said here once means the same on every engine;
    what one engine alone needs is in its own folder.

    A method is here because `tests/expressions/test_portability.py` shows what comes out without.
    """

    __slots__ = ()
    SIMPLE_OPS: dict[type[ops.Node], str] = {}
    """None of its own: else Ibis would put those of its compilers before the methods below."""

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """Write a float as a double: both engines read `60.0` as a decimal, `60.0e0` is a float."""
        if dtype.is_floating() and abs(value) < float("inf"):
            return _double(float(value))
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_DecimalLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """Write `0.5`, which both engines read as a decimal."""
        return sge.convert(value)


def _double(value: float) -> sge.Expression:
    digits = repr(abs(value))
    number = sge.Literal.number(digits if "e" in digits else f"{digits}e0")
    return sge.Neg(this=number) if str(value).startswith("-") else number


def _as_decimal(argument: Any) -> Any:
    if isinstance(argument, tuple):
        return tuple(map(_as_decimal, argument))
    if not (is_exact_literal(argument) and argument.dtype.is_floating()):
        return argument
    return DecimalLiteral(argument.value, argument.dtype)
