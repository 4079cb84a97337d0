"""What the compilers of all engines write otherwise than Ibis does, so that engines agree."""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import reduce
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import FALSE, NULL, SQLGlotCompiler

from streampro.engines.compilation.rewrites import CALENDAR, SHORT, is_within
from streampro.engines.compilation.size import GIVEN, measured, part_of_given, repeated, struct
from streampro.engines.compilation.subqueries import apart, outside_of_lists
from streampro.engines.compilation.widths import ARITHMETIC, narrow_operands
from streampro.expressions.decimals import exact
from streampro.expressions.portability.patterns import value_of

_MOST_LETTERS = 2**31 - 2
_MOST_PARTS = 10**9
"""Of a share of all values, so that its product with their number is an int64."""
_CONTROLS = re.compile(r"([\0\a\v\f])")
_OPERATORS = (
    ops.Between,
    ops.Binary,
    ops.InSubquery,
    ops.InValues,
    ops.IsNull,
    ops.NotNull,
    ops.RegexSearch,
    ops.StringSQLLike,
)


class Agreeing(SQLGlotCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Stands before a compiler of Ibis. What is said here once means the same on every engine;
    what one engine alone needs is in its own folder.

    A method is here because `tests/expressions/test_portability.py` shows what comes out without.
    """

    __slots__ = ()
    SIMPLE_OPS: dict[type[ops.Node], str] = {}
    """None of its own: else Ibis would put those of its compilers before the methods below."""

    def visit_node(self, op: Any, **given: Any) -> Any:
        """Put operators below operators in brackets, as engines bind them in different orders,
        compute integers in 64 bits, and first what is large and stands in its SQL more than once.
        """
        is_operator = isinstance(op, _OPERATORS)
        given = {  # methods, too, ask what they are given whether it is null
            name: _closed(sql) if is_operator or isinstance(sql, sge.Is | sge.Not) else sql
            for name, sql in given.items()
        }
        if isinstance(op, ops.Reduction) and given.get("where") is not None:
            given["where"] = sge.paren(given["where"])  # Ibis puts AND before an OR
        if isinstance(op, ARITHMETIC):
            given = self._wide(op, given)
        if isinstance(op, ops.Subquery):
            given["rel"] = apart(given["rel"])
        made = super().visit_node(op, **given)
        if large := repeated(op, given, made):
            names = {name: part_of_given(name) for name in large}
            made = self._of_given(large, super().visit_node(op, **given | names))
        return measured(op, made)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """Write a float as a double: both engines read `60.0` as a decimal, `60.0e0` is a float.
        Zero has no sign, as Ibis takes both for one. Write signs by their numbers that Spark's SQL
        spells as letters, or DuckDB's not at all.
        """
        if dtype.is_floating() and abs(value) < float("inf"):
            return _double(float(value) + 0.0)
        if dtype.is_string() and _CONTROLS.search(value):
            parts = [each for each in _CONTROLS.split(value) if each]
            return self.f.concat(*(self._part(each) for each in parts))
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_DefaultLiteral(self, op: Any, *, value: Any, dtype: dt.DataType) -> Any:
        """Cast what is empty, as no engine can tell its type."""
        literal = super().visit_DefaultLiteral(op, value=value, dtype=dtype)
        return literal if value or not dtype.is_nested() else self.cast(literal, dtype)

    def to_sqlglot(self, expr: ir.Expr, **given: Any) -> Any:
        """Write the expression with the true types of decimals."""
        rows = exact(expr.as_table())
        return outside_of_lists(rows, super().to_sqlglot(rows, **given))

    def visit_Exact(self, op: Any, *, operation: str, left: Any, right: Any, dtype: Any) -> Any:
        """Write the arithmetic of decimals and cast its result to its own type."""
        write = getattr(self, f"visit_{operation}")
        return self.cast(write(op, left=left, right=right), dtype)

    def visit_Sign(self, op: Any, *, arg: Any) -> Any:
        """Return a number of the type that it is of."""
        return self.cast(super().visit_Sign(op, arg=arg), op.dtype)

    def visit_BitwiseNot(self, op: Any, *, arg: Any) -> Any:
        """Put it in brackets: DuckDB takes `~a - b` for `~(a - b)`."""
        return sge.paren(sge.BitwiseNot(this=sge.paren(arg)))

    def visit_FloorDivide(self, op: Any, *, left: Any, right: Any) -> Any:
        """Divide integers as integers, rounded down: a float between would lose digits."""
        if not (op.left.dtype.is_integer() and op.right.dtype.is_integer()):
            return super().visit_FloorDivide(op, left=left, right=right)
        left, right = sge.paren(left), sge.paren(right)
        rest = sge.paren(sge.Mod(this=left, expression=right))
        signs_differ = sge.paren(rest < 0).neq(sge.paren(right < 0))
        above = self.if_(rest.neq(0).and_(signs_differ), 1, 0)
        return sge.paren(sge.IntDiv(this=left, expression=right) - above)

    def visit_Floor(self, op: Any, *, arg: Any) -> Any:
        """Return an integer itself: DuckDB would take it for a float."""
        return arg if op.arg.dtype.is_integer() else super().visit_Floor(op, arg=arg)

    def visit_Ceil(self, op: Any, *, arg: Any) -> Any:
        """Return an integer itself: DuckDB would take it for a float."""
        return arg if op.arg.dtype.is_integer() else super().visit_Ceil(op, arg=arg)

    def visit_Substring(self, op: Any, *, arg: Any, start: Any, length: Any) -> Any:
        """Count a negative start from the end, at most to the first letter; take nothing where a
        length is negative; return null of a null number.
        """
        first = self._place(op.start, start, arg)
        taken = () if length is None else (self._from_0(op.length, length),)
        cut = self.f.substring(arg, first + 1, *taken)
        return self._null_of_numbers(cut, (op.start, start), (op.length, length))

    def visit_StringSlice(self, op: Any, *, arg: Any, start: Any, end: Any) -> Any:
        """Cut a text as Python does; return null of a null number."""
        first = sge.convert(0) if start is None else self._place(op.start, start, arg)
        size = () if end is None else (self._place(op.end, end, arg) - first,)
        cut = self.f.substring(arg, first + 1, *(self.f.greatest(each, 0) for each in size))
        return self._null_of_numbers(cut, (op.start, start), (op.end, end))

    def visit_StrRight(self, op: Any, *, arg: Any, nchars: Any) -> Any:
        """Take nothing where the number of letters is negative; return null of null."""
        cut = super().visit_StrRight(op, arg=arg, nchars=self._from_0(op.nchars, nchars))
        return self._null_of_numbers(cut, (op.nchars, nchars))

    def visit_Repeat(self, op: Any, *, arg: Any, times: Any) -> Any:
        """Repeat nothing where the number of times is negative; return null of null."""
        repeated = super().visit_Repeat(op, arg=arg, times=self._from_0(op.times, times))
        return self._null_of_numbers(repeated, (op.times, times))

    def visit_LPad(self, op: Any, *, arg: Any, length: Any, pad: Any) -> Any:
        """Put a letter before a text as often as it is shorter; null where a length is null."""
        return self._padded(op, arg, length, pad, lambda padding: (padding, arg))

    def visit_RPad(self, op: Any, *, arg: Any, length: Any, pad: Any) -> Any:
        """Put a letter after a text as often as it is shorter; null where a length is null."""
        return self._padded(op, arg, length, pad, lambda padding: (arg, padding))

    def visit_Least(self, op: Any, *, arg: Any) -> Any:
        """Return a single value itself, of which Spark takes no least."""
        return self.f.least(*arg) if len(arg) > 1 else arg[0]

    def visit_Greatest(self, op: Any, *, arg: Any) -> Any:
        """Return a single value itself, of which Spark takes no greatest."""
        return self.f.greatest(*arg) if len(arg) > 1 else arg[0]

    def visit_Xor(self, op: Any, *, left: Any, right: Any) -> Any:
        """Compare both: without XOR, which DuckDB has not, each side would be written twice."""
        return sge.NEQ(this=left, expression=right)

    def visit_LagLead(self, op: Any, *, arg: Any, offset: Any, default: Any) -> Any:
        """Let what stands for a missing row have 64 bits: Spark casts it to the type of the rest,
        also where no row is missing.
        """
        if default is not None:
            arg = self._wide(op, {"arg": arg})["arg"]
        return super().visit_LagLead(op, arg=arg, offset=offset, default=default)

    visit_Lag = visit_Lead = visit_LagLead

    def visit_ScalarSubquery(self, op: Any, *, rel: Any) -> Any:
        """Put it in brackets, which take the name where it stands as a column, and only there."""
        return sge.Paren(this=rel.this)

    def visit_InSubquery(self, op: Any, *, rel: Any, needle: Any) -> Any:
        """Say false where it is not known, as Spark does of what is no filter."""
        return self.f.coalesce(super().visit_InSubquery(op, rel=rel, needle=needle), FALSE)

    def visit_DateFromYMD(self, op: Any, *, year: Any, month: Any, day: Any) -> Any:
        """Return null of what is no day of the years 1 to 9999: engines stop, or go on beyond."""
        parts = ((year, 4, 9999), (month, 2, 12), (day, 2, 31))
        texts = (self.f.lpad(self.cast(part, dt.string), size, "0") for part, size, _ in parts)
        text = reduce(lambda one, other: self.f.concat(one, "-", other), texts)
        read = sge.TryCast(this=text, to=self.type_mapper.from_ibis(dt.date), safe=True)
        are_possible = (
            sge.Between(this=sge.paren(part), low=sge.convert(1), high=sge.convert(last))
            for part, _, last in parts
        )
        return self.if_(sg.and_(*are_possible), read, NULL)

    def visit_DateAdd(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return a date, which DuckDB makes an instant."""
        moved = super().visit_DateAdd(op, left=left, right=right)
        return self.cast(self._in_calendar(op, moved), dt.date)

    def visit_DateSub(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return a date, which DuckDB makes an instant."""
        moved = super().visit_DateSub(op, left=left, right=right)
        return self.cast(self._in_calendar(op, moved), dt.date)

    def visit_TimestampAdd(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return null beyond the calendar; see `_in_calendar`."""
        return self._in_calendar(op, super().visit_TimestampAdd(op, left=left, right=right))

    def visit_TimestampSub(self, op: Any, *, left: Any, right: Any) -> Any:
        """Return null beyond the calendar; see `_in_calendar`."""
        return self._in_calendar(op, super().visit_TimestampSub(op, left=left, right=right))

    def visit_Sum(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Stop where a sum leaves int64: DuckDB would go on in 128 bits."""
        total = bare(super().visit_Sum(op, arg=arg, where=where))
        return self.cast(total, dt.int64) if op.dtype.is_integer() else total

    def visit_Mean(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Divide the exact sum of integers by their number: Spark would add floats."""
        if not (op.arg.dtype.is_integer() or op.arg.dtype.is_boolean()):
            return super().visit_Mean(op, arg=arg, where=where)
        number = self.cast(arg, dt.int64)
        total = self.cast(bare(self.agg.sum(number, where=where)), dt.int64)
        count = bare(self.agg.count(number, where=where))
        return self.cast(total, dt.float64) / self.f.nullif(count, 0)

    def visit_Quantile(self, op: Any, *, arg: Any, where: Any, **_: Any) -> Any:
        """Return one of the sorted values; of numbers what lies between two of them."""
        return self._quantile(op, arg, op.quantile.value, where)

    def visit_Median(self, op: Any, *, arg: Any, where: Any) -> Any:
        """Return the quantile of one half."""
        return self._quantile(op, arg, 0.5, where)

    def visit_MultiQuantile(self, op: Any, *, arg: Any, where: Any, **_: Any) -> Any:
        """Return a list of quantiles."""
        return self.f.array(*(self._quantile(op, arg, share, where) for share in op.quantile.value))

    def visit_ArrayRepeat(self, op: Any, *, arg: Any, times: Any) -> Any:
        """Repeat nothing where the number of times is negative; return null of null."""
        number = self._from_0(op.times, times)
        repeated = super().visit_ArrayRepeat(op, arg=arg, times=number)
        return self._null_of_null((arg, times), repeated)

    def visit_IntegerRange(self, op: Any, **given: Any) -> Any:
        """Return null of null."""
        return self._null_of_null(given.values(), super().visit_IntegerRange(op, **given))

    def visit_TimestampRange(self, op: Any, **given: Any) -> Any:
        """Return null of null."""
        return self._null_of_null(given.values(), super().visit_TimestampRange(op, **given))

    def visit_MapGet(self, op: Any, *, arg: Any, key: Any, default: Any) -> Any:
        """Return the default only where the map has no such key: a null that it has is null."""
        value = super().visit_MapGet(op, arg=arg, key=key, default=NULL)
        is_there = self.visit_MapContains(op, arg=arg, key=key)
        return self._null_of_null([arg], self.if_(is_there, value, default))

    def visit_MapLength(self, op: Any, *, arg: Any) -> Any:
        """Count with a sign, from which one may subtract."""
        return self.cast(super().visit_MapLength(op, arg=arg), dt.int64)

    def visit_MapKeys(self, op: Any, *, arg: Any) -> Any:
        """Return the keys in their order."""
        return super().visit_MapKeys(op, arg=self._by_key(arg))

    def visit_MapValues(self, op: Any, *, arg: Any) -> Any:
        """Return the values in the order of their keys."""
        return super().visit_MapValues(op, arg=self._by_key(arg))

    def visit_WindowFunction(self, op: Any, *, func: Any, order_by: Any, **window: Any) -> Any:
        """Put the window at the aggregates themselves where more is computed from them. Let the
        key of a range of integers have 64 bits, as a step from it may be wider than its type. Keys
        are in lists, as SQLGlot looks into no tuples.
        """
        if op.how == "range" and (op.start or op.end) and op.order_by[0].arg.dtype.is_integer():
            order_by = [order_by[0].copy()]
            order_by[0].set("this", self.cast(order_by[0].this, dt.int64))
        window |= {"order_by": [*order_by], "group_by": [*window["group_by"]]}
        over = super().visit_WindowFunction
        func = func.copy()
        parts = func.walk(prune=lambda each: isinstance(each, sge.Query))  # of other rows
        aggregates = [each for each in parts if "bare" in each.meta]
        if "bare" in func.meta or not aggregates:
            return over(op, func=func, **window)
        for each in aggregates:
            each.replace(over(op, func=each.copy(), **window))
        return func

    def _quantile(self, op: Any, arg: Any, share: float, where: Any) -> Any:
        """Return the first of the sorted values that is not below a share of all, of numbers
        `lower + (upper - lower) * fraction`: engines interpolate by formulas of their own.
        """
        kind = op.arg.dtype
        value = self.cast(arg, dt.float64) if kind.is_integer() else arg
        value = value if where is None else self.if_(where, value, NULL)
        given = self.agg.array_agg(value, where=value.is_(sg.not_(NULL)))
        values = self.f.array_sort(bare(given))
        size = self.f.array_size(values)
        if kind.is_numeric():
            found = self._interpolated(values, size, share)
        else:
            of = Fraction(share).limit_denominator(_MOST_PARTS)
            below = sge.paren(self.cast(size, dt.int64) * of.numerator + (of.denominator - 1))
            number = sge.IntDiv(this=below, expression=sge.convert(of.denominator))
            found = self._element(values, self.cast(self.f.greatest(number, 1), dt.int32))
        return self.if_(size > 0, found, NULL)

    def _interpolated(self, values: Any, size: Any, share: float) -> Any:
        place = sge.paren(self.cast(sge.convert(share), dt.float64) * sge.paren(size - 1))
        whole = self.cast(self.f.floor(place), dt.int32)
        lower = self._element(values, whole + 1)
        upper = self._element(values, self.f.least(whole + 2, size))
        between = lower + sge.paren(upper - lower) * sge.paren(place - whole)
        return self.if_(lower.eq(upper), lower, between)

    def _by_key(self, entries: Any) -> Any:
        return self.f.map_from_entries(self.f.array_sort(self.f.map_entries(entries)))

    def _null_of_null(self, given: Iterable[Any], made: Any) -> Any:
        return self.if_(sg.or_(*(each.is_(NULL) for each in given)), NULL, made)

    def _null_of_numbers(self, made: Any, *numbers: tuple[Any, Any]) -> Any:
        """Return null where one of the numbers of letters is null, which `greatest` passes over."""
        given = [sql for value, sql in numbers if value is not None and value_of(value) is None]
        return self._null_of_null(given, made) if given else made

    def _place(self, value: Any, sql: Any, text: Any) -> Any:
        """Return the place of a letter; a negative one counts from the end."""
        if value_of(value, -1) >= 0:
            return self._from_0(value, sql)
        from_end = self.f.greatest(self.f.length(text) + sql, 0)
        place = self.if_(sql >= 0, self._from_0(value, sql), from_end)
        return from_end if isinstance(value, ops.Literal) else self.cast(place, dt.int32)

    def _padded(
        self, op: Any, arg: Any, length: Any, pad: Any, parts: Callable[[Any], tuple[Any, Any]]
    ) -> Any:
        missing = self._from_0(op.length, length) - self.cast(self.f.length(arg), dt.int32)
        padding = self.f.repeat(pad, missing)
        if len(str(op.pad.value)) > 1:
            padding = self.f.substring(padding, 1, missing)
        first, last = parts(padding)
        longer = self.if_(missing > 0, sge.DPipe(this=first, expression=last), arg)
        return self._null_of_numbers(longer, (op.length, length))

    def _of_given(self, given: dict[str, Any], made: Any) -> Any:
        """Return what is made of values, as a function of the one element of a list."""
        return self._element(self._mapped(self.f.array(struct(given)), GIVEN, made), sge.convert(1))

    def _part(self, text: str) -> Any:
        return self.f.anon.chr(ord(text)) if _CONTROLS.fullmatch(text) else sge.convert(text)

    def _in_calendar(self, op: Any, moved: Any) -> Any:
        """Return a date or an instant, null where it is not of the years 1 to 9999, whose ends each
        engine sees elsewhere. What can be moved by a hundred years at most is not looked at.
        """
        by = op.right
        if is_within(by, SHORT):
            return moved
        if isinstance(by, ops.Literal) and not is_within(by, CALENDAR):
            return self.cast(NULL, op.dtype)
        end = "9999-12-31" if op.dtype.is_date() else "9999-12-31 23:59:59.999999"
        first, last = (self.cast(sge.convert(text), op.dtype) for text in ("0001-01-01", end))
        return self.if_(sge.Between(this=sge.paren(moved), low=first, high=last), moved, NULL)

    def _wide(self, op: Any, given: dict[str, Any]) -> dict[str, Any]:
        narrow = narrow_operands(op, given)
        return {
            name: self.cast(sql, dt.int64) if name in narrow else sql for name, sql in given.items()
        }

    def _from_0(self, value: Any, sql: Any) -> Any:
        """Return a number of letters, which Spark takes in 32 bits."""
        if isinstance(value, ops.Literal):
            return sge.convert(min(max(value.value or 0, 0), _MOST_LETTERS))
        return self.cast(self.f.least(self.f.greatest(sql, 0), _MOST_LETTERS), dt.int32)


def bare(aggregate: Any) -> Any:
    """Mark an aggregate from which more is computed, so that a window finds it."""
    aggregate.meta["bare"] = True
    return aggregate


def _closed(sql: Any) -> Any:
    kinds = (sge.Binary, sge.Unary, sge.Between, sge.In, sge.Exists, sge.Filter)  # of NOT, too
    is_closed = isinstance(sql, sge.Dot | sge.Paren) or not isinstance(sql, kinds)
    return sql if is_closed else sge.paren(sql, copy=False)


def _double(value: float) -> sge.Expression:
    digits = repr(abs(value))
    number = sge.Literal.number(digits if "e" in digits else f"{digits}e0")
    return sge.Neg(this=number) if str(value).startswith("-") else number
