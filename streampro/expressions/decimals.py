"""Whether an operation on decimals is exact on every engine, read off the expression."""

from decimal import Decimal
from typing import Any

import ibis.expr.operations as ops

MOST_DIGITS = 38
"""Of a decimal, on every engine."""
_DIGITS_OF_INT64, _DIGITS_OF_A_FLOAT = 18, 15
"""All integers of so many digits fit."""
_DIGITS_OF_BYTES = {1: 3, 2: 5, 4: 10, 8: 19}
"""DuckDB multiplies an integer of so many bytes as a decimal of so many digits."""
_MOST_DIGITS_BEHIND_THE_POINT = 6
"""Spark keeps so many in a product that is cut to 38 digits."""


def takes_decimals(node: Any) -> bool:
    """Say whether any argument of an operation is a decimal."""
    return any(value.dtype.is_decimal() for value in _values(node))


def mixes_with_floats(node: Any) -> bool:
    """Say whether an operation takes both decimals and floats; a literal such as 0.5 is exact."""
    floats = [
        each for each in _values(node) if each.dtype.is_floating() and not is_exact_literal(each)
    ]
    return takes_decimals(node) and bool(floats)


def is_inexact_product(product: Any) -> bool:
    """Say whether a product of decimals may need more digits than an engine gives it."""
    left, right = sides = (product.left, product.right)
    digits = [_digits(side) for side in sides]
    if not (takes_decimals(product) and all(digits)):
        return False
    if max(digits) <= _DIGITS_OF_INT64:
        return sum(digits) > _DIGITS_OF_INT64
    is_of_columns = _is_sized(left) and _is_sized(right)
    is_rounded = is_of_columns or _scale(product) > _MOST_DIGITS_BEHIND_THE_POINT
    return sum(digits) >= MOST_DIGITS and is_rounded


def is_inexact_float(cast: Any) -> bool:
    """Say whether a decimal is cast to a float that may not be able to hold its digits."""
    is_decimal = cast.arg.dtype.is_decimal()
    return bool(is_decimal and cast.to.is_floating() and _digits(cast.arg) > _DIGITS_OF_A_FLOAT)


def has_no_size(node: Any) -> bool:
    """Say whether a value is a decimal without precision, as literals are by default."""
    return bool(node.dtype.is_decimal()) and node.dtype.precision is None


def _values(node: Any) -> list[Any]:
    return [child for child in node.__children__ if isinstance(child, ops.Value)]


def _is_sized(value: Any) -> bool:
    return bool(value.dtype.is_decimal())


def is_exact_literal(value: Any) -> bool:
    """Say whether a value is a literal that engines read as a decimal: 0.5, but not 1e-07."""
    return isinstance(value, ops.Literal) and str(value.value).strip("-").replace(".", "").isdigit()


def _digits(value: Any) -> int:
    """Return the digits that a factor may have, 0 where it adds none; Ibis errs about products."""
    if value.dtype.is_integer() and not isinstance(value, ops.Literal):
        return _DIGITS_OF_BYTES[value.dtype.nbytes]
    if not value.dtype.is_decimal():
        return _digits_of_literal(value) if is_exact_literal(value) else 0
    if isinstance(value, ops.Multiply):
        return min(_digits(value.left) + _digits(value.right), MOST_DIGITS)
    return value.dtype.precision or MOST_DIGITS


def _digits_of_literal(literal: Any) -> int:
    number = Decimal(str(literal.value))
    return 0 if abs(number) <= 1 and number == int(number) else len(number.as_tuple().digits)


def _scale(value: Any) -> int:
    """Return the digits behind the point that a factor or a product may have."""
    if isinstance(value, ops.Multiply):
        return _scale(value.left) + _scale(value.right)
    if value.dtype.is_decimal():
        return MOST_DIGITS if value.dtype.scale is None else value.dtype.scale
    return len(str(value.value).partition(".")[2]) if is_exact_literal(value) else 0
