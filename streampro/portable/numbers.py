"""Numbers that text spells, and quotients."""

import sys

import ibis
import ibis.expr.types as ir

from streampro.errors import PipelineError

_NUMBER = r"[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)(e[+-]?[0-9]+)?"
MOST_DIGITS = 38
"""Of a decimal, on every engine."""
_INT64_BOUND = 2.0**63
_LARGEST_FLOAT = sys.float_info.max


def to_integer(text: ir.StringValue) -> ir.IntegerValue:
    """Return the number that `text` spells, truncated toward zero, as int64; null for other text.

    Grammar: `[+-]?(digits[.digits] | .digits)[e[+-]digits]`. Integers up to int64 are exact;
    with a fraction or an exponent the number is read in double precision. Null outside int64.
    """
    digits = text.re_search(r"^[+-]?[0-9]+\z")
    number = text.re_search(rf"^{_NUMBER}\z")
    real = text.try_cast("float64")
    whole = ibis.ifelse(real < 0, real.ceil(), real.floor())
    fits = (real >= -_INT64_BOUND) & (real < _INT64_BOUND)
    truncated = ibis.cases((fits, whole.cast("int64")))
    return ibis.cases((digits, text.try_cast("int64")), (number, truncated))


def to_float(text: ir.StringValue) -> ir.FloatingValue:
    """Return the float64 next to the number that `text` spells; null for other text.

    Grammar: that of `to_integer`. Null beyond the largest float, so the result is never infinite.
    """
    number = text.re_search(rf"^{_NUMBER}\z")
    real = ibis.cases((number, text.try_cast("float64")))
    return ibis.cases((real.abs() <= _LARGEST_FLOAT, real))


def to_decimal(text: ir.StringValue, precision: int = 18, scale: int = 2) -> ir.DecimalValue:
    """Return the number that `text` spells, exactly, as decimal(precision, scale); null for others.

    Grammar: `[+-]?(digits[.digits] | .digits)`, no exponent. Nothing is rounded: a number with more
    than `scale` digits behind the point or more than `precision - scale` before it is null, unless
    the surplus ones are zeros. `-0` is 0. Raises `PipelineError` for a size that no decimal has.
    """
    if not (1 <= precision <= MOST_DIGITS and 0 <= scale <= precision):
        raise PipelineError(
            f"portable.to_decimal: no decimal has {precision} digits, {scale} of them behind the "
            f"point. There may be {MOST_DIGITS}."
        )
    whole = rf"0*[0-9]{{1,{precision - scale}}}" if precision > scale else "0+"
    fraction = rf"\.[0-9]{{1,{scale}}}0*" if scale else r"\.0+"
    exact = text.re_search(rf"^[+-]?({whole}({fraction})?|{fraction})\z")
    return ibis.cases((exact, text.try_cast(f"decimal({precision}, {scale})")))


def ratio(part: ir.NumericValue | float, whole: ir.NumericValue | float) -> ir.FloatingValue:
    """Return `part / whole` as float64; null where `whole` is 0. Decimals are read as the nearest
    float first.
    """
    return _undivided(part) / _undivided(whole).nullif(0)


def _undivided(number: ir.NumericValue | float) -> ir.NumericValue:
    """Return a decimal as the float64 next to it, by way of its text: engines cast large ones
    differently. Other numbers are returned as they are.
    """
    number = number if isinstance(number, ir.Value) else ibis.literal(number)
    if not number.type().is_decimal():
        return number
    text = number.cast("string")
    is_number = text.re_search(r"^-?[0-9]+(\.[0-9]+)?\z")
    return ibis.cases((is_number, text.try_cast("float64")))
