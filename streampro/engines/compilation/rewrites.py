"""What is computed otherwise than it is written, on every engine, before a compiler sees it."""

import re
from collections.abc import Callable
from functools import reduce
from operator import mul
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.backends.sql.rewrites import complexity, p
from ibis.common.patterns import replace

from streampro.engines.compilation.categories import with_ranges
from streampro.engines.compilation.size import has_subquery
from streampro.expressions.conditions import with_windows_before_unnest, with_windows_first
from streampro.expressions.portability.patterns import value_of

_OF_A_DAY = {"h": 24, "m": 1440, "s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6}
_OF_A_YEAR = {"Y": 1, "Q": 4, "M": 12, "W": 53, "D": 366}
_OF_A_YEAR |= {unit: 366 * number for unit, number in _OF_A_DAY.items()}
"""How many of a unit are as long as the longest year, at least."""
_LARGE = 30
"""Operations of a value that is written once."""
_LARGEST_STEP = 10**18
"""Power of ten that is an int64."""
SHORT, CALENDAR = 100, 10_000
"""Years by which an instant is moved unseen, and those that there are."""


def _once(value: Any, made: Callable[[Any], Any]) -> Any:
    """Return what is made of a value, as a function of one element where the value is large."""
    if complexity(value) < _LARGE or has_subquery(value):
        return made(value.to_expr()).op()
    return ibis.array([value.to_expr()]).map(made)[0].op()


@replace(p.TimestampSub)  # type: ignore[untyped-decorator]  # Ibis has no types here
def subtractions_as_additions(_: Any) -> Any:
    """Add the negative number instead, which stops where there is none: DuckDB would go on."""
    if not isinstance(_.right, ops.IntervalFromInteger):
        return _
    return ops.TimestampAdd(_.left, _.right.copy(arg=ops.Negate(_.right.arg)))


@replace(p.Literal)  # type: ignore[untyped-decorator]  # Ibis has no types here
def quarters_as_months(_: Any) -> Any:
    """Count quarters in months: Spark has no intervals of quarters."""
    is_in_quarters = _.dtype.is_interval() and _.dtype.unit.name == "QUARTER" and _.value
    return ops.Literal(3 * _.value, dt.Interval("M")) if is_in_quarters else _


@replace(p.IntervalFromInteger)  # type: ignore[untyped-decorator]  # Ibis has no types here
def intervals_of_a_calendar(_: Any) -> Any:
    """Let an interval be null that leads out of any calendar, before an engine stops at it."""
    if is_within(_, CALENDAR):
        return _
    most = _most(_, CALENDAR)
    return _.copy(arg=_once(_.arg, lambda it: it.between(-most, most).ifelse(it, ibis.null())))


@replace(p.Power)  # type: ignore[untyped-decorator]  # Ibis has no types here
def powers_as_products(_: Any) -> Any:
    """Multiply floats one by one: engines round a power beyond 2**53 each its own way."""
    number = value_of(_.right)
    if not _.left.dtype.is_integer() or number not in range(64):
        return _
    base = ops.Cast(_.left, dt.float64)
    if not number:
        return base.to_expr().isnull().ifelse(ibis.null(dt.float64), 1.0).op()
    return _once(base, lambda it: reduce(mul, [it] * number))


@replace(p.Round)  # type: ignore[untyped-decorator]  # Ibis has no types here
def integers_rounded_as_integers(_: Any) -> Any:
    """Round an integer by dividing it, which stops beyond int64: Spark would stop beyond the type
    it has, DuckDB go on with floats.
    """
    digits = value_of(_.digits)
    if not _.arg.dtype.is_integer() or digits is None:
        return _
    number = ops.Cast(_.arg, dt.int64).to_expr()
    step = 10 ** max(-digits, 0)
    if step > _LARGEST_STEP:
        return (number * 0).cast(_.dtype).op()
    if step == 1:
        return ops.Cast(number, _.dtype)

    def rounded(it: ir.IntegerValue) -> ir.Value:
        size = (it.abs() + step // 2) // step * step
        return (it < 0).ifelse(-size, size)

    return ops.Cast(_once(number.op(), rounded), _.dtype)


@replace(p.TryCast)  # type: ignore[untyped-decorator]  # Ibis has no types here
def casts_to_text(_: Any) -> Any:
    """Cast to a text, which never fails, as every cast to one."""
    return ops.Cast(_.arg, _.to) if _.to.is_string() else _


@replace(p.Sort)  # type: ignore[untyped-decorator]  # Ibis has no types here
def sorts_by_values(_: Any) -> Any:
    """Sort by no literal, of which engines take a number for that of a column."""
    keys = tuple(key for key in _.keys if not isinstance(key.arg, ops.Literal))
    return _ if keys == _.keys else ops.Sort(_.parent, keys) if keys else _.parent


@replace(p.Distinct)  # type: ignore[untyped-decorator]  # Ibis has no types here
def distinct_of_unsorted(_: Any) -> Any:
    """Sort no rows of which only different ones are kept: Spark's SQL would tell them apart by the
    keys, too.
    """
    sorts, rows = set(), _.parent
    while isinstance(rows, ops.Project | ops.Filter | ops.Sort):
        sorts |= {rows} if isinstance(rows, ops.Sort) else set()
        rows = rows.parent

    def unsorted(node: Any, changed: dict[str, Any] | None) -> Any:
        if node in sorts:
            return changed["parent"] if changed else node.parent
        return node.__recreate__(changed) if changed else node

    return _.replace(unsorted) if sorts else _


_REGEX = p.RegexExtract | p.RegexReplace | p.RegexSearch | p.RegexSplit


@replace(_REGEX)  # type: ignore[untyped-decorator]  # Ibis has no types here
def categories_as_ranges(_: Any) -> Any:
    """Write out which letters a category has: each engine knows another Unicode."""
    pattern = value_of(_.pattern)
    if not (isinstance(pattern, str) and re.search(r"\\[pP]\{", pattern)):
        return _
    return _.copy(pattern=ops.Literal(with_ranges(pattern), dt.string))


def _most(interval: Any, years: int) -> int:
    return years * _OF_A_YEAR.get(interval.dtype.unit.value, 0)


def is_within(interval: Any, years: int) -> bool:
    """Tell whether an interval cannot be longer than so many years, by its value or its type."""
    most = _most(interval, years)
    if isinstance(interval, ops.Literal):
        return bool(abs(interval.value or 0) <= most)
    if not isinstance(interval, ops.IntervalFromInteger):
        return False
    bounds = interval.arg.dtype.bounds
    return bool(max(-bounds.lower, bounds.upper) <= most)


@replace(p.Filter)  # type: ignore[untyped-decorator]  # Ibis has no types here
def windows_before_filters(_: Any) -> Any:
    """Compute the windows of a filter as columns: in Spark's SQL, which has no QUALIFY, SQLGlot
    forgets whose columns stand beside a window, and DuckDB's is over the rows that other conditions
    leave.
    """
    return with_windows_first(_)


@replace(p.Project | p.JoinChain)  # type: ignore[untyped-decorator]  # Ibis has no types here
def windows_before_unnests(_: Any) -> Any:
    """Compute the windows beside an unnest as columns before it: Spark would take them over the
    elements, DuckDB over the rows that have the lists.
    """
    return with_windows_before_unnest(_)


REWRITES = (
    subtractions_as_additions,
    quarters_as_months,
    intervals_of_a_calendar,
    powers_as_products,
    integers_rounded_as_integers,
    categories_as_ranges,
    casts_to_text,
    sorts_by_values,
    distinct_of_unsorted,
    windows_before_filters,
    windows_before_unnests,
)
