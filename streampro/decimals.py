"""Whether an operation on decimals is exact on every engine, read off the expression."""

from typing import Any

import ibis.expr.operations as ops

MOST_DIGITS = 38
"""Of a decimal, on every engine."""
_DIGITS_OF_INT64, _DIGITS_OF_A_FLOAT = 18, 15
"""All integers of so many digits fit."""


def takes_decimals(node: Any) -> bool:
    """Say whether any argument of an operation is a decimal."""
    return any(kind.is_decimal() for kind in _types_in(node))


def mixes_with_floats(node: Any) -> bool:
    """Say whether an operation takes both decimals and computed floats; a literal is exact."""
    values = [child for child in node.__children__ if not isinstance(child, ops.Literal)]
    floats = [each for each in values if isinstance(each, ops.Value) and each.dtype.is_floating()]
    return takes_decimals(node) and bool(floats)


def is_inexact_product(product: Any) -> bool:
    """Say whether a product of decimals may need more digits than an engine gives it."""
    left, right = _digits(product.left), _digits(product.right)
    is_wide = max(left, right) > _DIGITS_OF_INT64
    fits = left + right < MOST_DIGITS if is_wide else left + right <= _DIGITS_OF_INT64
    return bool(left and right) and not fits


def is_inexact_float(cast: Any) -> bool:
    """Say whether a decimal is cast to a float that may not be able to hold its digits."""
    return bool(cast.to.is_floating()) and _digits(cast.arg) > _DIGITS_OF_A_FLOAT


def has_no_size(node: Any) -> bool:
    """Say whether a value is a decimal without precision, as literals are by default."""
    return bool(node.dtype.is_decimal()) and node.dtype.precision is None


def _types_in(node: Any) -> list[Any]:
    return [child.dtype for child in node.__children__ if isinstance(child, ops.Value)]


def _digits(value: Any) -> int:
    """Return the digits that a decimal may have, 0 for another type; Ibis errs about products."""
    if not value.dtype.is_decimal():
        return 0
    return MOST_DIGITS if isinstance(value, ops.Multiply) else value.dtype.precision or MOST_DIGITS
