"""Spark's SQL of an expression, made without an engine; PySpark need not be installed."""

from itertools import count
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import FALSE, NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.config import Config

from streampro.engines.compilation.compiler import Agreeing, bare
from streampro.engines.compilation.rewrites import REWRITES
from streampro.engines.spark.functions import JSON_ELEMENTS
from streampro.expressions.portability.patterns import value_of
from streampro.portable.json import POSITION

_LONGEST_LIST = 2**31 - 2
_MOST_DIGITS, _SCALA_DIGITS = 38, 34
_FIRST_BEYOND_INT64 = sge.Literal.number("9.223372036854775808e18")

_UNITS = {
    "QUARTER": ("3", "MONTH"),
    "WEEK": ("7", "DAY"),
    "MILLISECOND": ("0.001", "SECOND"),
    "MICROSECOND": ("0.000001", "SECOND"),
}
"""How many of which unit of Spark one of Ibis is, where it is not its own."""


class _Options(Config):  # type: ignore[misc]  # Ibis has no types here
    """What Ibis knows only when PySpark is imported, and asks to compile a float."""

    treat_nan_as_null: bool = False


class Compiler(Agreeing, PySparkCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Ibis's, but for what engines would read differently."""

    __slots__ = ()
    LOWERED_OPS = {ops.StringSlice: None}
    rewrites = (*PySparkCompiler.rewrites, *REWRITES)

    def visit_node(self, op: Any, **given: Any) -> Any:
        """Take zero from sums and products, which changes none: Spark takes `a * (b * c)` and
        `b * (a * c)` for one, and computes that which stands first for both.
        """
        made = super().visit_node(op, **given)
        if isinstance(op, ops.Add | ops.Multiply) and not op.dtype.is_decimal():
            return sge.Sub(this=sge.paren(made, copy=False), expression=sge.convert(0))
        return made

    def visit_Field(self, op: Any, *, rel: Any, name: str) -> Any:
        """Hand on NaN, which Ibis makes null on this engine only."""
        return sg.column(self._gen_valid_name(name), table=rel.alias_or_name, quoted=self.quoted)

    def visit_IsNull(self, op: Any, *, arg: Any) -> Any:
        """Say no of NaN, as DuckDB does."""
        return arg.is_(NULL)

    def visit_NotNull(self, op: Any, *, arg: Any) -> Any:
        """Say yes of NaN, as DuckDB does."""
        return arg.is_(sg.not_(NULL))

    def visit_IsNan(self, op: Any, *, arg: Any) -> Any:
        """Say null of null, as DuckDB does."""
        return self.if_(arg.is_(NULL), NULL, super().visit_IsNan(op, arg=arg))

    def visit_IsInf(self, op: Any, *, arg: Any) -> Any:
        """Compare with both infinities, written as this engine reads them."""
        return sge.paren(arg.eq(self.POS_INF).or_(arg.eq(self.NEG_INF)))

    def visit_Floor(self, op: Any, *, arg: Any) -> Any:
        """Stop beyond int64, where Spark would give its largest or smallest number."""
        return self._within_int64(op, arg, super().visit_Floor(op, arg=arg))

    def visit_Ceil(self, op: Any, *, arg: Any) -> Any:
        """Stop beyond int64, where Spark would give its largest or smallest number."""
        return self._within_int64(op, arg, super().visit_Ceil(op, arg=arg))

    def visit_Round(self, op: Any, *, arg: Any, digits: Any) -> Any:
        """Stop beyond int64, where Spark would give its largest or smallest number."""
        whole = super().visit_Round(op, arg=arg, digits=digits)
        return self._within_int64(op, arg, whole) if op.dtype.is_integer() else whole

    def visit_Abs(self, op: Any, *, arg: Any) -> Any:
        """Take the sign from the text of a long decimal, of which Spark would round digits."""
        if not _is_long(op.arg):
            return super().visit_Abs(op, arg=arg)
        return self.cast(_without_sign(self.cast(arg, dt.string)), op.arg.dtype)

    def visit_Negate(self, op: Any, *, arg: Any) -> Any:
        """Change the sign in the text of a long decimal, of which Spark would round digits."""
        if not _is_long(op.arg):
            return super().visit_Negate(op, arg=arg)
        text = self.cast(arg, dt.string)
        negated = self.if_(arg < 0, _without_sign(text), self.f.concat("-", text))
        return self.cast(negated, op.arg.dtype)

    def visit_CountStar(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Count 0 rows where there are none, also with a condition."""
        counted = sge.Star() if where is None else self.if_(where, 1, NULL)
        return self.f.count(counted)

    def visit_ArrayCollect(self, op: Any, **given: Any) -> Any:
        """Collect null from nothing, as DuckDB does."""
        collected = bare(super().visit_ArrayCollect(op, **given))
        return self.if_(self.f.size(collected) > 0, collected, NULL)

    def visit_ArrayContains(self, op: Any, *, arg: Any, other: Any) -> Any:
        """Say null where it is asked for null, as DuckDB does."""
        there = self.f.coalesce(self.f.array_contains(arg, other), FALSE)
        return self.if_(arg.is_(NULL).or_(other.is_(NULL)), NULL, there)

    def visit_ArraySum(self, op: Any, *, arg: Any) -> Any:
        """Add what is not null: Ibis would forget the sum at each null."""
        if not op.arg.dtype.value_type.is_integer():
            return super().visit_ArraySum(op, arg=arg)
        total, _ = self._sum_and_size(arg)
        return total

    def visit_ArrayMean(self, op: Any, *, arg: Any) -> Any:
        """Divide the sum of what is not null by its number."""
        if not op.arg.dtype.value_type.is_integer():
            return super().visit_ArrayMean(op, arg=arg)
        total, size = self._sum_and_size(arg)
        return self.cast(total, dt.float64) / size

    def visit_ArrayStringJoin(self, op: Any, *, arg: Any, sep: Any) -> Any:
        """Join nothing to an empty text, as DuckDB does."""
        return self.if_(arg.is_(NULL), NULL, self.f.array_join(arg, sep))

    def visit_ArraySlice(self, op: Any, *, arg: Any, start: Any, stop: Any) -> Any:
        """Take places in 32 bits, which are enough for any list."""
        start, stop = (
            None
            if each is None
            else sge.convert(max(-_LONGEST_LIST, min(each.value, _LONGEST_LIST)))
            for each in (op.start, op.stop)
        )
        return super().visit_ArraySlice(op, arg=arg, start=start, stop=stop)

    def visit_ArrayIndex(self, op: Any, *, arg: Any, index: Any) -> Any:
        """Count from the end where the index is negative, as DuckDB does."""
        number = value_of(op.index, 0)
        return self._element(arg, index if number < 0 else index + 1)

    def visit_ArrayFlatten(self, op: Any, *, arg: Any) -> Any:
        """Pass over lists that are null, as DuckDB does: Spark would forget the others."""
        element = sg.to_identifier("element")
        is_given = sge.Lambda(this=element.is_(sg.not_(NULL)), expressions=[element])
        return self.f.flatten(self.f.filter(arg, is_given))

    def visit_MapMerge(self, op: Any, *, left: Any, right: Any) -> Any:
        """Take the value on the right of a key that both have, as DuckDB does: Spark stops."""
        key, value = map(sg.to_identifier, ("streampro_key", "streampro_value"))
        is_alone = sg.not_(self.f.map_contains_key(right, key))
        alone = self.f.map_filter(left, sge.Lambda(this=is_alone, expressions=[key, value]))
        return self.f.map_concat(alone, right)

    def visit_IntervalFromInteger(self, op: Any, *, arg: Any, unit: Any) -> Any:
        """Multiply an interval of one: read from a text, a number of seconds has 32 bits."""
        number, name = _UNITS.get(unit.name, ("1", unit.name))
        return sge.Interval(this=sge.convert(number), unit=sge.Var(this=name)) * sge.paren(arg)

    def visit_JsonElements(self, op: Any, *, arg: Any, **_: Any) -> Any:
        """Take what the function of `functions.py` found of each element."""
        element, number = sg.to_identifier("element"), sg.to_identifier("number")
        values = (sge.Bracket(this=element, expressions=[sge.convert(i)]) for i in count())
        named = [sge.convert(POSITION), self.cast(number, dt.int64)]
        for name, value in zip(op.names, values, strict=False):
            named += [sge.convert(name), value]
        parts = sge.Lambda(this=self.f.named_struct(*named), expressions=[element, number])
        pointers = self.f.array(*map(sge.convert, (op.pointer, *op.pointers)))
        return self.f.transform(self.f.anon[JSON_ELEMENTS](arg, pointers), parts)

    def _sum_and_size(self, values: Any) -> tuple[Any, Any]:
        element, sum_ = sg.to_identifier("element"), sg.to_identifier("total")
        is_given = sge.Lambda(this=element.is_(sg.not_(NULL)), expressions=[element])
        given = self.f.filter(values, is_given)
        adds = sge.Lambda(this=sum_ + self.cast(element, dt.int64), expressions=[sum_, element])
        total = self.f.aggregate(given, self.cast(0, dt.int64), adds)
        return self.if_(self.f.size(given) > 0, total, NULL), self.f.size(given)

    def _mapped(self, values: Any, name: str, made: Any) -> Any:
        return self.f.transform(values, sge.Lambda(this=made, expressions=[sg.to_identifier(name)]))

    def _element(self, values: Any, number: Any) -> Any:
        return self.f.element_at(values, number)

    def _within_int64(self, op: Any, arg: Any, whole: Any) -> Any:
        if not op.arg.dtype.is_floating():
            return whole
        is_outside = sge.paren(arg >= _FIRST_BEYOND_INT64).or_(
            arg < sge.Neg(this=_FIRST_BEYOND_INT64)
        )
        too_large = arg * 2  # of 2**63 itself Spark would make the largest number
        return self.if_(is_outside, self.cast(too_large, dt.int64), whole)


def _is_long(value: Any) -> bool:
    """Tell whether a value is a decimal of more digits than Scala keeps where it changes a sign."""
    return value.dtype.is_decimal() and (value.dtype.precision or _MOST_DIGITS) > _SCALA_DIGITS


def _without_sign(text: Any) -> Any:
    return sge.Trim(this=text, expression=sge.convert("-"), position="LEADING")


def compiler_of() -> SQLGlotCompiler:
    """Return what makes Spark's SQL of an expression."""
    if ibis.options.pyspark is None:
        ibis.options.pyspark = _Options()
    return Compiler()
