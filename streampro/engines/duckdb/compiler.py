"""DuckDB's SQL of an expression, made without an engine."""

from collections.abc import Callable
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import FALSE, NULL, SQLGlotCompiler
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from streampro.engines.compilation.compiler import Agreeing
from streampro.engines.compilation.rewrites import REWRITES
from streampro.engines.compilation.widths import ARITHMETIC
from streampro.expressions.portability.patterns import value_of
from streampro.portable.json import POSITION

_MICROSECONDS = {"SECOND": 10**6, "MILLISECOND": 10**3, "MICROSECOND": 1}
_MICROSECONDS_OF_A_WEEK = 7 * 86_400_000_000
_STOPPING = (*ARITHMETIC, ops.Cast, ops.Ceil, ops.Floor, ops.Round)
_DIGITS_OF_NO_SUM = 20
"""Of a decimal, of which no number of rows there is has a sum beyond 38 digits."""


class Compiler(Agreeing, DuckDBCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Ibis's, but for what engines would read differently."""

    __slots__ = ()
    rewrites = (*DuckDBCompiler.rewrites, *REWRITES)

    def visit_node(self, op: Any, **given: Any) -> Any:
        """Put in brackets of what a part is taken: SQLGlot refuses the part of a cast to an
        instant, as other engines have other time zones. Compute what may stop only of rows that an
        aggregate takes, as Spark does: DuckDB's FILTER comes after it.
        """
        if isinstance(op, ops.ExtractTemporalField):
            given["arg"] = sge.paren(given["arg"])
        if isinstance(op, ops.Reduction) and given.get("where") is not None and _may_stop(op):
            given["arg"] = self.if_(given["where"], given["arg"], NULL)
        return super().visit_node(op, **given)

    def visit_StringConcat(self, op: Any, *, arg: Any) -> Any:
        """Give a type to what DuckDB takes for a null without one, as one of the texts is of no row
        and null.
        """
        joined = super().visit_StringConcat(op, arg=arg)
        return self.cast(joined, op.dtype) if any(map(_may_be_null, op.arg)) else joined

    def visit_Modulus(self, op: Any, *, left: Any, right: Any) -> Any:
        """Take the rest of 1 for that of -1, which is 0 too: of the least integer DuckDB stops."""
        if op.right.dtype.is_integer() and value_of(op.right, -1) == -1:
            right = self.if_(sge.paren(right).eq(-1), 1, right)
        return super().visit_Modulus(op, left=left, right=right)

    def visit_TimestampTruncate(self, op: Any, *, arg: Any, unit: Any) -> Any:
        """Return null of null by a case: where a truncated day or instant is compared with one that
        is not the first of its unit, DuckDB would say false of null.
        """
        truncated = super().visit_TimestampTruncate(op, arg=arg, unit=unit)
        return self.if_(arg.is_(NULL), NULL, truncated)

    def visit_Cast(self, op: Any, *, arg: Any, to: Any) -> Any:
        """Write a zero before the point of a decimal that has no digits there: DuckDB writes .5"""
        text, kind = super().visit_Cast(op, arg=arg, to=to), op.arg.dtype
        is_below_1 = to.is_string() and kind.is_decimal() and kind.precision == kind.scale
        return self.f.replace(text, sge.convert("."), sge.convert("0.")) if is_below_1 else text

    def visit_TimestampDelta(self, op: Any, *, part: Any, left: Any, right: Any) -> Any:
        """Count weeks that have elapsed, as Spark does: DuckDB's are one off here and there."""
        if op.part.value != "week":
            return super().visit_TimestampDelta(op, part=part, left=left, right=right)
        elapsed = super().visit_TimestampDelta(
            op, part=sge.convert("microsecond"), left=left, right=right
        )
        return sge.paren(sge.IntDiv(this=elapsed, expression=sge.convert(_MICROSECONDS_OF_A_WEEK)))

    def visit_Sum(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Stop beyond 38 digits, as Spark does: DuckDB goes on to the end of 128 bits."""
        total = super().visit_Sum(op, arg=arg, where=where)
        is_short = not op.dtype.is_decimal() or op.arg.dtype.precision <= _DIGITS_OF_NO_SUM
        return total if is_short else self.cast(self.cast(total, dt.string), op.dtype)

    def visit_ApproxQuantile(self, op: Any, *, quantile: Any, **given: Any) -> Any:
        """Take the quantile as FLOAT: DuckDB takes no DOUBLE."""
        kind = dt.Array(dt.float32) if op.quantile.dtype.is_array() else dt.float32
        return super().visit_ApproxQuantile(op, quantile=self.cast(quantile, kind), **given)

    def visit_ArraySum(self, op: Any, *, arg: Any) -> Any:
        """Stop beyond int64, as Spark does."""
        if not op.arg.dtype.value_type.is_integer():
            return super().visit_ArraySum(op, arg=arg)
        return self.cast(super().visit_ArraySum(op, arg=arg), dt.int64)

    def visit_ArrayMean(self, op: Any, *, arg: Any) -> Any:
        """Divide the exact sum of what is not null by its number."""
        if not op.arg.dtype.value_type.is_integer():
            return super().visit_ArrayMean(op, arg=arg)
        size = self.f.list_aggregate(arg, sge.convert("count"))
        return self.cast(self.visit_ArraySum(op, arg=arg), dt.float64) / self.f.nullif(size, 0)

    def visit_ArrayRemove(self, op: Any, *, arg: Any, other: Any) -> Any:
        """Return null where null is removed, as Spark does."""
        left = super().visit_ArrayRemove(op, arg=arg, other=other)
        return self.if_(other.is_(NULL), NULL, left)

    def visit_ArrayDistinct(self, op: Any, *, arg: Any) -> Any:
        """Return each element, also null and NaN, where it is first, as Spark does."""
        return self._distinct(arg)

    def visit_ArrayUnion(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return each element of both where it is first, null of null, as Spark does."""
        both = self._distinct(self.f.list_concat(left, right))
        return self._null_of_null((left, right), both)

    def visit_ArrayIntersect(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return each element of the one that the other has too, as Spark does."""
        shared = self._distinct(left, lambda element: self._number(right, element) > 0)
        return self._null_of_null((left, right), shared)

    def visit_MapMerge(self, op: Any, *, left: Any, right: Any) -> Any:
        """Merge maps of one type, of which literals have another."""
        sides = (self.cast(each, op.dtype) for each in (left, right))
        return super().visit_MapMerge(op, **dict(zip(("left", "right"), sides, strict=True)))

    def visit_ArrayStringJoin(self, op: Any, *, arg: Any, sep: Any) -> Any:
        """Join nulls to an empty text, as Spark does."""
        joined = super().visit_ArrayStringJoin(op, arg=arg, sep=sep)
        return self.if_(arg.is_(NULL), NULL, self.f.coalesce(joined, sge.convert("")))

    def visit_Sign(self, op: Any, *, arg: Any) -> Any:
        """Return NaN of NaN, as Spark does."""
        sign = super().visit_Sign(op, arg=arg)
        return self.if_(self.f.isnan(arg), arg, sign) if op.arg.dtype.is_floating() else sign

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """Write seconds and their parts as microseconds: DuckDB reads a text of them as a float."""
        if dtype.is_interval() and dtype.unit.name in _MICROSECONDS:
            return self.f.to_microseconds(sge.convert(value * _MICROSECONDS[dtype.unit.name]))
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_IntervalFromInteger(self, op: Any, *, arg: Any, unit: Any) -> Any:
        """Count days as hours, of which DuckDB takes 64 bits, months in 32, and seconds as
        microseconds: of seconds it makes floats.
        """
        arg = arg if op.arg.dtype.is_int64() else self.cast(arg, dt.int64)
        if unit.name in _MICROSECONDS:
            return self.f.to_microseconds(sge.paren(arg) * _MICROSECONDS[unit.name])
        if unit.name in ("DAY", "WEEK"):
            return self.f.to_hours(sge.paren(arg) * (24 if unit.name == "DAY" else 168))
        if unit.name == "QUARTER":
            return self.f.to_months(self.cast(sge.paren(arg) * 3, dt.int32))
        is_fixed = unit.name not in ("YEAR", "MONTH")
        return self.f[f"to_{unit.plural}"](arg if is_fixed else self.cast(arg, dt.int32))

    visit_ApproxMultiQuantile = visit_ApproxQuantile

    def _distinct(self, values: Any, is_taken: Callable[[Any], Any] | None = None) -> Any:
        element, number = map(sg.to_identifier, ("streampro_element", "streampro_number"))
        is_first = self._number(values, element).eq(number)
        test = sg.and_(is_first, is_taken(element)) if is_taken else is_first
        chosen = sge.Lambda(this=test, expressions=[element, number], colon=True)
        return self.f.list_filter(values, chosen)

    def _number(self, values: Any, element: Any) -> Any:
        return self.f.coalesce(self.f.list_position(values, element), 0)

    def _mapped(self, values: Any, name: str, made: Any) -> Any:
        function = sge.Lambda(this=made, expressions=[sg.to_identifier(name)], colon=True)
        return self.f.list_transform(values, function)

    def _element(self, values: Any, number: Any) -> Any:
        return self.f.list_extract(values, number)

    def visit_JsonElements(self, op: Any, *, arg: Any, **_: Any) -> Any:
        """Take the named parts of each element of a list, of nothing else."""
        element, number = sg.to_identifier("element"), sg.to_identifier("number")
        parts = [
            sge.PropertyEQ(this=sg.to_identifier(POSITION, quoted=True), expression=number - 1),
            *(
                sge.PropertyEQ(
                    this=sg.to_identifier(name, quoted=True),
                    expression=self.f.json_extract_string(element, sge.convert(pointer)),
                )
                for name, pointer in zip(op.names, op.pointers, strict=True)
            ),
        ]
        of_element = sge.Lambda(
            this=sge.Struct(expressions=parts), expressions=[element, number], colon=True
        )
        place = sge.convert(op.pointer)
        kind = self.f.coalesce(self.f.json_type(arg, place), sge.convert(""))
        is_list = self.if_(self.f.json_valid(arg), kind.eq("ARRAY"), FALSE)
        found = self.f.json_extract(self.f.json_extract(arg, place), sge.convert("$[*]"))
        elements = self.if_(is_list, found, NULL)
        return self.f.list_transform(elements, of_element)


def compiler_of() -> SQLGlotCompiler:
    """Return what makes DuckDB's SQL of an expression."""
    return Compiler()


def _may_stop(aggregate: Any) -> bool:
    """Say whether what an aggregate is of may be no number that there is."""
    value = getattr(aggregate, "arg", None)
    return isinstance(value, ops.Value) and bool(value.find(_STOPPING, filter=ops.Value))


def _may_be_null(value: Any) -> bool:
    """Say whether a value is computed of no row and may be null."""
    is_given = isinstance(value, ops.Literal) and value.value is not None
    if is_given or value.relations:
        return False
    return not value.find((ops.Argument, ops.Field, ops.Reduction))
