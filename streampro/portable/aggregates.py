"""Aggregates that do not depend on the order of rows."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from streampro.errors import PipelineError
from streampro.portable.numbers import ratio

_LOW_HALF = 2**32 - 1
_LARGEST_HIGH_HALF = 2**31 - 1
_INT64_BOUND = 2.0**63
_MOST_DIGITS = 15
LARGEST_INT64 = 2**63 - 1


def earliest(value: ir.Value, by: ir.Value) -> ir.Value:
    """Return, as an aggregate, the `value` that is not null with the smallest `by`.

    Ties: the smallest value. Rows without `by` do not count. Null where no row is left.
    """
    return _beside(value, by).min(where=value.notnull() & by.notnull())["value"]


def latest(value: ir.Value, by: ir.Value) -> ir.Value:
    """Return, as an aggregate, the `value` that is not null with the largest `by`.

    Ties: the largest value. Rows without `by` do not count. Null where no row is left.
    """
    return _beside(value, by).max(where=value.notnull() & by.notnull())["value"]


def sum_floats(numbers: ir.FloatingColumn, digits: int = 6) -> ir.FloatingScalar:
    """Return, as an aggregate, the sum of floats, each rounded to `digits` (0 to 15) behind the
    point, as float64.

    The same for every order of rows: `x * 10**digits` is rounded to a whole number, these are
    added exactly, and the sum is divided by `10**digits`. Null where nothing is left to add, and
    where a value is NaN, infinite or at least `2**63 / 10**digits` in size.
    """
    if not 0 <= digits <= _MOST_DIGITS:
        raise PipelineError(f"portable.sum_floats: digits is {digits}. Give 0 to {_MOST_DIGITS}.")
    scaled = numbers * float(10**digits)
    fits = scaled.abs() < _INT64_BOUND
    units = ibis.cases((fits, scaled)).round().cast("decimal(19, 0)")
    return ratio(ibis.cases((fits.all(), units.sum())), 10**digits)


def mean(numbers: ir.NumericColumn | ir.BooleanColumn, digits: int = 6) -> ir.FloatingScalar:
    """Return, as an aggregate, the sum divided by the count, as float64; nulls do not count.

    The sum of integers, decimals and booleans is exact; beyond int64 or 38 digits the run stops.
    That of floats is `sum_floats(numbers, digits)`. Null where nothing is left.
    """
    if numbers.type().is_floating():
        return ratio(sum_floats(numbers, digits), numbers.count())
    return numbers.mean()


def mode(rows: ir.Table, column: str, by: Sequence[str] = ()) -> ir.Table:
    """Return a row per group of `by` with the value of `column` that most of its rows have.

    Ties: the smallest value. Nulls do not count; null where a group has nothing else. Floats are
    refused, because engines group 0.0 and -0.0 differently.
    """
    if rows[column].type().is_floating():
        raise PipelineError(f"portable.mode: {column} is a float. Round it to an integer first.")
    keys = [*by, column]
    count = "rows_alike" + "_" * max(map(len, keys))  # none of them
    alike = rows.group_by(keys).aggregate(rows.count().name(count))
    most = earliest(alike[column], -alike[count])
    return alike.aggregate(most.name(column), by=[*by])


def count_if(condition: ir.BooleanColumn) -> ir.IntegerScalar:
    """Return, as an aggregate, the number of rows where `condition` is true; 0 without rows."""
    return ibis.coalesce(condition.sum(), 0)


def bounded_sum(numbers: ir.IntegerColumn, where: ir.BooleanValue) -> ir.IntegerScalar:
    """Return, as an aggregate, the sum of integers from 0 up; int64's largest if it is more.

    0 where there is nothing to add. Halves of 32 bits are added apart, because a sum that is too
    large stops one engine and is widened by the other.
    """
    low = ibis.coalesce((numbers & _LOW_HALF).sum(where=where), 0)
    high = ibis.coalesce((numbers >> 32).sum(where=where), 0) + (low >> 32)
    total = ibis.least(high, _LARGEST_HIGH_HALF) * 2**32 + (low & _LOW_HALF)
    return ibis.ifelse(high > _LARGEST_HIGH_HALF, LARGEST_INT64, total)


def _beside(value: ir.Value, by: ir.Value) -> ir.StructValue:
    """Return a value beside what orders it, so that the least or greatest has both."""
    return ibis.struct({"by": by, "value": value})
