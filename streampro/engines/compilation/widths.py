"""Which integers have 64 bits on every engine, whatever Ibis says."""

from collections.abc import Iterable
from typing import Any

import ibis.expr.operations as ops

ARITHMETIC = (
    ops.Abs,
    ops.Add,
    ops.BitwiseBinary,
    ops.BitwiseNot,
    ops.FloorDivide,
    ops.Modulus,
    ops.Multiply,
    ops.Negate,
    ops.Subtract,
)
"""Operations that the compilers compute in 64 bits."""
_WIDE = (*ARITHMETIC, ops.Count, ops.CountStar, ops.CountDistinct, ops.Sum)


def narrow_operands(operation: Any, names: Iterable[str]) -> set[str]:
    """Return the names of the arguments that are integers of maybe less than 64 bits. A literal is
    one only beside other literals, as it takes the type of what else there is.
    """
    values = {name: getattr(operation, name) for name in names}
    are_literals = all(isinstance(value, ops.Literal) for value in values.values())
    return {
        name
        for name, value in values.items()
        if value.dtype.is_signed_integer()
        and (are_literals or not isinstance(value, ops.Literal))
        and not _is_wide(value)
    }


def _is_wide(value: Any) -> bool:
    """Tell whether an integer has 64 bits on every engine: a row number, the length of a list and a
    choice among literals have 32 on Spark.
    """
    if isinstance(value, ops.Field):
        if isinstance(value.rel, ops.PhysicalTable):
            return bool(value.dtype.is_int64())
        source = value.rel.values.get(value.name)
        return source is not None and _is_wide(source)
    if isinstance(value, ops.WindowFunction):
        return _is_wide(value.func)
    return isinstance(value, _WIDE) or (isinstance(value, ops.Cast) and value.dtype.is_int64())
