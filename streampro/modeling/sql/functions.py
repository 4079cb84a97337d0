"""The functions of SQL that are one operation, or one word of `portable`, on their arguments."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.types as ir
from sqlglot import exp

from streampro import portable
from streampro.errors import PipelineError

Function = Callable[..., ir.Value]
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_PARTS_OF_TIME: dict[str, Function] = {
    "YEAR": lambda when: when.year(),
    "QUARTER": lambda when: when.quarter(),
    "MONTH": lambda when: when.month(),
    "WEEK": portable.iso_week,
    "ISOYEAR": portable.iso_year,
    "DAY": lambda when: when.day(),
    "DOY": lambda when: when.day_of_year(),
    "DOW": lambda when: (when.day_of_week.index() + 1) % 7,
    "ISODOW": lambda when: when.day_of_week.index() + 1,
    "HOUR": lambda when: when.hour(),
    "MINUTE": lambda when: when.minute(),
    "SECOND": lambda when: when.second(),
}
UNITS = {
    "YEAR": "Y",
    "QUARTER": "Q",
    "MONTH": "M",
    "WEEK": "W",
    "DAY": "D",
    "HOUR": "h",
    "MINUTE": "m",
    "SECOND": "s",
    "MILLISECOND": "ms",
    "MICROSECOND": "us",
}


def _joined(*texts: ir.StringValue) -> ir.Value:
    """Return texts one after the other; nulls are left out, as CONCAT does."""
    first, *rest = (ibis.coalesce(text, ibis.literal("")) for text in texts)
    for text in rest:
        first = first + text
    return first


def _joined_by(sign: str, *texts: ir.StringValue) -> ir.Value:
    """Return texts with a sign between them; nulls are left out, as CONCAT_WS does."""
    return ibis.array([*texts]).join(sign)


def _replaced(text: Any, pattern: str, other: str, options: str = "") -> ir.Value:
    """Return a text with all that fits a pattern replaced."""
    if options != "g":
        raise PipelineError("engines replace all that fits: write regexp_replace(..., 'g')")
    return text.re_replace(pattern, other)


def _last_day(when: Any) -> ir.Value:
    day = when.date() if when.type().is_timestamp() else when
    return day.truncate("M") + ibis.interval(months=1) - ibis.interval(days=1)


def epoch(when: Any) -> ir.Value:
    """Return the seconds since 1970, a float."""
    if when.type().is_date():
        return when.delta(date(1970, 1, 1), unit="day").cast("float64") * 86_400.0
    start = ibis.literal(datetime(1970, 1, 1, tzinfo=UTC), "timestamp('UTC', 6)")
    return portable.ratio(when.delta(start, unit="microsecond"), 1_000_000)


def _month_name(when: Any) -> ir.Value:
    return ibis.cases(*((when.month() == number, name) for number, name in enumerate(_MONTHS, 1)))


def _truncated(number: Any) -> ir.Value:
    """Return a number without its fraction."""
    if not number.type().is_floating():
        raise PipelineError("trunc is of floats here: write number // 1, or floor")
    return ibis.ifelse(number < 0, -(-number).floor(), number.floor()).cast("float64")


def _fits(text: Any, pattern: str) -> ir.Value:
    """Return whether a whole text fits a pattern."""
    return text.re_search(rf"^(?:{pattern})\z")


def _rounded(number: Any, digits: ir.Value | None = None) -> ir.Value:
    """Return a number rounded, a half away from zero."""
    if digits is not None or not number.type().is_floating():
        return number.round() if digits is None else number.round(digits)
    size = number.abs()
    whole = size.floor()
    rounded = ibis.ifelse(size - whole >= 0.5, whole + 1, whole).cast("float64")
    return ibis.ifelse(number < 0, -rounded, rounded)


FUNCTIONS: Mapping[type[exp.Expr], tuple[tuple[str, ...], Function]] = {
    exp.Abs: (("this",), lambda number: number.abs()),
    exp.Ceil: (("this",), lambda number: number.ceil()),
    exp.Floor: (("this",), lambda number: number.floor()),
    exp.Round: (("this", "decimals"), _rounded),
    exp.Sqrt: (("this",), lambda number: number.sqrt()),
    exp.Exp: (("this",), lambda number: number.exp()),
    exp.Ln: (("this",), lambda number: number.ln()),
    exp.Pow: (("this", "expression"), lambda number, power: number**power),
    exp.Sign: (("this",), lambda number: number.sign()),
    exp.Coalesce: (("this", "expressions"), ibis.coalesce),
    exp.Nullif: (("this", "expression"), lambda value, other: value.nullif(other)),
    exp.Greatest: (("this", "expressions"), ibis.greatest),
    exp.Least: (("this", "expressions"), ibis.least),
    exp.MD5: (("this",), lambda text: text.hexdigest("md5")),
    exp.Upper: (("this",), portable.upper),
    exp.Lower: (("this",), portable.lower),
    exp.Length: (("this",), lambda text: text.length()),
    exp.Replace: (("this", "expression", "replacement"), lambda text, a, b: text.replace(a, b)),
    exp.StartsWith: (("this", "expression"), lambda text, part: text.startswith(part)),
    exp.EndsWith: (("this", "expression"), lambda text, part: text.endswith(part)),
    exp.Contains: (("this", "expression"), lambda text, part: text.contains(part)),
    exp.StrPosition: (("this", "substr"), lambda text, part: text.find(part) + 1),
    exp.RegexpLike: (("this", "expression"), lambda text, pattern: text.re_search(pattern)),
    exp.RegexpExtract: (
        ("this", "expression", "group"),
        lambda text, pattern, group=0: text.re_extract(pattern, group),
    ),
    exp.RegexpReplace: (("this", "expression", "replacement", "modifiers"), _replaced),
    exp.Repeat: (("this", "times"), lambda text, times: text.repeat(times)),
    exp.Translate: (("this", "from_", "to"), lambda text, a, b: text.translate(a, b)),
    exp.TimeToStr: (("this", "format"), lambda when, spelling: when.strftime(spelling)),
    exp.DateFromParts: (("year", "month", "day"), ibis.date),
    exp.LastDay: (("this",), _last_day),
    exp.ConcatWs: (("expressions",), _joined_by),
    exp.Concat: (("expressions",), _joined),
    exp.RegexpFullMatch: (("this", "expression"), _fits),
    exp.Split: (("this", "expression"), lambda text, sign: text.split(sign)),
    exp.Array: (("expressions",), lambda *items: ibis.array([*items])),
    exp.BitwiseAnd: (("this", "expression"), lambda one, other: one & other),
    exp.BitwiseOr: (("this", "expression"), lambda one, other: one | other),
    exp.BitwiseXor: (("this", "expression"), lambda one, other: one ^ other),
    exp.ArrayContains: (("this", "expression"), lambda items, item: items.contains(item)),
    exp.ArraySize: (("this",), lambda items: items.length()),
    exp.ArrayToString: (("this", "expression"), lambda items, sign: items.join(sign)),
    exp.Explode: (("this",), lambda items: items.unnest()),
    exp.Trunc: (("this",), _truncated),
    exp.TimeToUnix: (("this",), epoch),
    exp.Dayname: (("this",), lambda when: when.day_of_week.full_name()),
    exp.Monthname: (("this",), _month_name),
    exp.If: (
        ("this", "true", "false"),
        lambda test, yes, no=None: ibis.cases((test, yes), else_=no),
    ),
    exp.NullSafeEQ: (("this", "expression"), lambda one, other: one.identical_to(other)),
    exp.NullSafeNEQ: (("this", "expression"), lambda one, other: ~one.identical_to(other)),
    **{
        kind: (("this",), lambda when, name=name: _PARTS_OF_TIME[name](when).cast("int64"))
        for kind, name in (
            (exp.Year, "YEAR"),
            (exp.Quarter, "QUARTER"),
            (exp.Month, "MONTH"),
            (exp.Day, "DAY"),
            (exp.DayOfMonth, "DAY"),
            (exp.DayOfYear, "DOY"),
            (exp.DayOfWeek, "DOW"),
            (exp.DayOfWeekIso, "ISODOW"),
            (exp.WeekOfYear, "WEEK"),
            (exp.Week, "WEEK"),
            (exp.Hour, "HOUR"),
            (exp.Minute, "MINUTE"),
            (exp.Second, "SECOND"),
        )
    },
}
"""A function by its class: its arguments in the order in which ours takes them, and ours."""


def part_of(name: str) -> Function | None:
    """Return what takes a part, such as YEAR, out of a day or an instant, as int64."""
    part = _PARTS_OF_TIME.get(name.upper())
    return part and (lambda when: part(when).cast("int64"))


def _summed(number: Any) -> ir.Value:
    return portable.sum_floats(number) if number.type().is_floating() else number.sum()


AGGREGATES: Mapping[type[exp.Expr], tuple[tuple[str, ...], Function]] = {
    exp.Sum: (("this",), _summed),
    exp.Avg: (("this",), portable.mean),
    exp.Min: (("this",), lambda value: value.min()),
    exp.Max: (("this",), lambda value: value.max()),
    exp.Median: (("this",), lambda number: number.median()),
    exp.Stddev: (("this",), lambda number: number.std(how="sample")),
    exp.StddevSamp: (("this",), lambda number: number.std(how="sample")),
    exp.StddevPop: (("this",), lambda number: number.std(how="pop")),
    exp.Variance: (("this",), lambda number: number.var(how="sample")),
    exp.VariancePop: (("this",), lambda number: number.var(how="pop")),
    exp.LogicalAnd: (("this",), lambda value: value.all()),
    exp.LogicalOr: (("this",), lambda value: value.any()),
    exp.CountIf: (("this",), portable.count_if),
    exp.ArgMin: (("this", "expression"), portable.earliest),
    exp.ArgMax: (("this", "expression"), portable.latest),
}
INSTEAD: Mapping[type[exp.Expr], str] = {
    **dict.fromkeys((exp.First, exp.FirstValue), "write arg_min(value, key), of the smallest key"),
    **dict.fromkeys((exp.Last, exp.LastValue), "write arg_max(value, key), of the largest key"),
    exp.AnyValue: "any row is another on each engine: write min(value)",
    exp.NthValue: "write lag or lead, or arg_min(value, key) FILTER (WHERE number = 2)",
}
"""What to write in place of an aggregate."""
RANKS: Mapping[type[exp.Expr], Function] = {
    exp.RowNumber: ibis.row_number,
    exp.Rank: ibis.rank,
    exp.DenseRank: ibis.dense_rank,
}
"""Ibis counts from 0, SQL from 1."""
ANALYTICS: Mapping[type[exp.Expr], tuple[tuple[str, ...], Function]] = {
    exp.PercentRank: ((), ibis.percent_rank),
    exp.CumeDist: ((), ibis.cume_dist),
    exp.Lag: (("this", "offset", "default"), lambda value, *rest: value.lag(*rest)),
    exp.Lead: (("this", "offset", "default"), lambda value, *rest: value.lead(*rest)),
}
FRAMED: tuple[type[exp.Expr], ...] = (exp.Count, *AGGREGATES)
"""What looks at the rows of a frame."""
