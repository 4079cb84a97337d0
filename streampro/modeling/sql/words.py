"""Words of SQL that are more than one operation, and signs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from sqlglot import exp

from streampro import portable
from streampro.modeling.sql import functions
from streampro.modeling.sql.literals import (
    bounds_of,
    is_spelt,
    like_pattern,
    number_of,
    plain_of,
    span_of,
    text_of,
    type_of,
    unit_of,
    when_of,
)
from streampro.modeling.sql.names import RefusedError, refuse_many_rows

if TYPE_CHECKING:
    from streampro.modeling.sql.values import Values


def _divided(one: Any, other: Any) -> ir.Value:
    """Return a quotient of integers without its fraction, null of zero."""
    whole = one.abs() // other.abs().nullif(0)
    return ibis.ifelse((one < 0) == (other < 0), whole, -whole)


_COMPARED: Mapping[type[exp.Expr], Callable[[Any, Any], ir.Value]] = {
    exp.EQ: lambda one, other: one == other,
    exp.NEQ: lambda one, other: one != other,
    exp.LT: lambda one, other: one < other,
    exp.LTE: lambda one, other: one <= other,
    exp.GT: lambda one, other: one > other,
    exp.GTE: lambda one, other: one >= other,
}
_BINDS_LESS = (exp.Is, exp.Not, exp.NullSafeEQ, exp.NullSafeNEQ)
"""What DuckDB reads after a comparison, and SQLGlot before."""
_COMPUTED: Mapping[type[exp.Expr], Callable[[Any, Any], ir.Value]] = {
    exp.Add: lambda one, other: one + other,
    exp.DateAdd: lambda one, other: one + other,
    exp.Sub: lambda one, other: one - other,
    exp.DateSub: lambda one, other: one - other,
    exp.Mul: lambda one, other: one * other,
    exp.Div: portable.ratio,
    exp.IntDiv: _divided,
    exp.Mod: lambda one, other: one % other,
}


def _compared(values: "Values", node: Any) -> ir.Value:
    sides = node.this, node.expression
    if any(isinstance(each, _BINDS_LESS) for each in sides):
        raise RefusedError(node, "a comparison and IS, or NOT, beside each other: write brackets")
    if any(isinstance(each.unnest(), exp.Null) for each in sides):
        return ibis.null("boolean")
    return _COMPARED[type(node)](*values.pair(node.this, node.expression))


def _computed(values: "Values", node: Any) -> ir.Value:
    if isinstance(node.expression, exp.Interval):
        return _COMPUTED[type(node)](values(node.this), _span(values, node.expression))
    one, other = values.pair(node.this, node.expression)
    if one.type().is_date() and isinstance(node, exp.Add | exp.Sub):
        if other.type().is_date() and isinstance(node, exp.Sub):
            return one.delta(other, unit="day")
        if other.type().is_integer():
            other = other.as_interval("D")
    return _COMPUTED[type(node)](one, other)


def _span(values: "Values", node: exp.Interval) -> ir.Value:
    """Return a span of time: of a number that is spelt, or of one in brackets."""
    unit = unit_of(node.args.get("unit"))
    if unit is None or not isinstance(node.this, exp.Paren):
        length, unit = span_of(node)
        return ibis.interval(length, functions.UNITS[unit])
    number: Any = values(node.this)
    return number.as_interval(functions.UNITS[unit])


def _field(values: "Values", node: exp.Dot) -> ir.Value:
    """Return a field of a struct; small and capital letters are the same."""
    whole: Any = values(node.this)
    if whole.type().is_struct():
        name = node.expression.name.lower()
        names = [each for each in whole.type().names if each.lower() == name]
        if len(names) == 1:
            return whole[names[0]]
    raise RefusedError(node, f"no field {node.expression.name}")


def _struct(values: "Values", node: exp.Struct) -> ir.Value:
    if not all(isinstance(each, exp.PropertyEQ) for each in node.expressions):
        raise RefusedError(node, "fields have names: write {'name': value}")
    return ibis.struct({each.name: values(each.expression) for each in node.expressions})


def _element(values: "Values", node: exp.Bracket) -> ir.Value:
    """Return an element of a list by its place, from 1 or from the end by -1, null where there is
    none; the value of a key of a map; a field of a struct; or some elements or letters.
    """
    whole: Any = values(node.this)
    part = node.expressions[0]
    if isinstance(part, exp.Slice) and (whole.type().is_array() or whole.type().is_string()):
        start = _whole(node, part.this, 1) - 1 if part.this else 0
        end = _whole(node, part.expression, 0) if part.expression else None
        return whole[start:] if end is None else whole[start : max(start, end)]
    key = plain_of(node.expressions[0]) if len(node.expressions) == 1 else None
    place = key + 1 if isinstance(key, int) else None  # SQLGlot counts from 0
    if whole.type().is_map() and key is not None:
        return whole.get(key if place is None else place)
    if whole.type().is_struct() and isinstance(key, str):
        return _field(values, exp.Dot(this=node.this, expression=exp.to_identifier(key)))
    if whole.type().is_string() and place and place > 0:
        return whole.substr(place - 1, 1)
    if whole.type().is_array() and place:
        found = whole[place - 1 if place > 0 else place]
        return ibis.cases((whole.length() > abs(place) - 1, found))
    raise RefusedError(node, "in brackets stands the number of an element, or a key")


def _concatenated(values: "Values", node: exp.DPipe) -> ir.Value:
    """Return two values as one text, null where one is."""
    one, other = (values(each) for each in (node.this, node.expression))
    return one.cast("string") + other.cast("string")


def _between(values: "Values", node: exp.Between) -> ir.Value:
    value = values(node.this)
    return value.between(
        values.beside(value, node.args["low"]), values.beside(value, node.args["high"])
    )


def _in(values: "Values", node: exp.In) -> ir.Value:
    """Return whether a value is in a list or a query: null where SQL does not know."""
    if node.args.get("query") is None:
        value = values(node.this)
        given = [each for each in node.expressions if not isinstance(each.unnest(), exp.Null)]
        found = value.isin([values.beside(value, each) for each in given])
        has_null = len(given) < len(node.expressions)
        return ibis.cases((found, True), else_=ibis.null("boolean")) if has_null else found
    value, column = values.sides_of_in(node)
    if not (value.type().nullable or column.type().nullable):
        return value.isin(column)
    table = column.as_table()
    rows, nulls = (table.count(), table.filter(column.isnull()).count())
    return ibis.cases(
        (rows.as_scalar() == 0, False),
        (value.isnull(), ibis.null("boolean")),
        (value.isin(column), True),
        (nulls.as_scalar() > 0, ibis.null("boolean")),
        else_=False,
    )


def _like(values: "Values", node: exp.Like | exp.ILike) -> ir.Value:
    pattern = text_of(node.expression)
    if pattern is None:
        raise RefusedError(node, "the pattern of LIKE is a text")
    text: Any = values(node.this)
    found = text.like(pattern) if isinstance(node, exp.Like) else text.ilike(pattern)
    return ~found if node.args.get("negate") else found


def _escaped(values: "Values", node: exp.Escape) -> ir.Value:
    """Return LIKE with a sign behind which each sign stands for itself."""
    like, sign = node.this, text_of(node.expression)
    pattern = like_pattern(text_of(like.expression), sign) if isinstance(like, exp.Like) else None
    if pattern is None:
        raise RefusedError(node, "LIKE ... ESCAPE takes a text, and one sign that a sign follows")
    found = values(like.this).re_search(pattern)
    return ~found if like.args.get("negate") else found


def _is(values: "Values", node: exp.Is) -> ir.Value:
    value, what = values(node.this), node.expression
    if isinstance(what, exp.Null):
        return value.isnull()
    if isinstance(what, exp.Boolean):
        return value.fill_null(not what.this) == what.this
    raise RefusedError(node, "IS is followed by NULL, TRUE or FALSE")


def _case(values: "Values", node: exp.Case) -> ir.Value:
    branches = []
    for each in node.args["ifs"]:
        test = values(exp.EQ(this=node.this, expression=each.this) if node.this else each.this)
        branches.append((test, each.args["true"]))
    results = [result for _, result in branches]
    default = node.args.get("default")
    typed = next((values(each) for each in results if not is_spelt(each)), None)
    typed = (
        values(default)
        if typed is None and default is not None and not is_spelt(default)
        else typed
    )
    value = values if typed is None else lambda each: values.beside(typed, each)
    made = [(test, value(result)) for test, result in branches]
    return ibis.cases(*made) if default is None else ibis.cases(*made, else_=value(default))


def _cast(values: "Values", node: exp.Cast) -> ir.Value:
    kind = type_of(node.to)
    if (spelt := when_of(node.this, kind)) is not None:
        return spelt
    value: Any = values(node.this)
    if not value.type().is_string() or kind.is_string():
        bounds = bounds_of(node.to) if isinstance(node, exp.TryCast) else None
        cast = value.cast(kind)
        if kind.is_decimal():  # Ibis leaves a cast out by types that products do not have
            cast = ops.Cast(value, kind).to_expr()
        return cast if bounds is None else ibis.cases((cast.between(*bounds), cast))
    read = {
        "int64": portable.to_integer,
        "float64": portable.to_float,
        "boolean": portable.to_boolean,
        "date": portable.to_date,
    }.get(str(kind), portable.to_utc if kind.is_timestamp() else None)
    if not isinstance(node, exp.TryCast):
        raise RefusedError(
            node, "CAST stops at a text that spells none: write TRY_CAST, which is null"
        )
    if kind.is_decimal():
        return portable.to_decimal(value, kind.precision, kind.scale)
    assert read is not None
    made, bounds = read(value), bounds_of(node.to)
    return made if bounds is None else ibis.cases((made.between(*bounds), made))


def _extract(values: "Values", node: exp.Extract) -> ir.Value:
    if node.name.upper() == "EPOCH":
        return functions.epoch(values(node.expression))
    part = functions.part_of(node.name)
    if part is None:
        raise RefusedError(
            node, f"{node.name} is no part that is taken out of days and instants here"
        )
    return part(values(node.expression))


def _truncated(values: "Values", node: exp.DateTrunc | exp.TimestampTrunc) -> ir.Value:
    unit = unit_of(node.args.get("unit"))
    if unit is None:
        raise RefusedError(node, "date_trunc knows no such unit")
    value: Any = values(node.this)
    return value.truncate(functions.UNITS[unit])


def _delta(values: "Values", node: exp.DateDiff) -> ir.Value:
    unit = unit_of(node.args.get("unit"))
    if unit is None:
        raise RefusedError(node, "date_diff knows no such unit")
    end: Any = values(node.this)
    return end.delta(values(node.expression), unit=unit.lower())


def _trimmed(values: "Values", node: exp.Trim) -> ir.Value:
    if node.expression is not None:
        raise RefusedError(node, "TRIM takes spaces, not other signs, from the ends here")
    position, text = node.args.get("position"), values(node.this)
    for side, pattern in (("TRAILING", r"^ +"), ("LEADING", r" +\z")):
        text = text if position == side else text.re_replace(pattern, "")
    return text


def _split(values: "Values", node: exp.SplitPart) -> ir.Value:
    delimiter, index = text_of(node.args["delimiter"]), number_of(node.args["part_index"])
    if not delimiter or index is None or index < 1 or index != int(index):
        raise RefusedError(node, "split_part takes a text and the number of a part, from 1")
    text: Any = values(node.this)
    part = portable.split_part(text, delimiter, int(index) - 1)
    return ibis.cases((text.notnull(), ibis.coalesce(part, "")))


def _substring(values: "Values", node: exp.Substring) -> ir.Value:
    text: Any = values(node.this)
    start, length = node.args["start"], node.args.get("length")
    first = _whole(node, start, 1) - 1
    return text.substr(first) if length is None else text.substr(first, _whole(node, length, 0))


def _padded(values: "Values", node: exp.Pad) -> ir.Value:
    text: Any = values(node.this)
    length, sign = _whole(node, node.expression, 0), text_of(node.args["fill_pattern"])
    if sign is None:
        raise RefusedError(node, f"{node.sql('duckdb')}: what fills a text is a text")
    padded = text.lpad(length, sign) if node.args["is_left"] else text.rpad(length, sign)
    return padded.left(length)  # SQL also cuts what is longer


def _end(values: "Values", node: exp.Left | exp.Right) -> ir.Value:
    text: Any = values(node.this)
    number = _whole(node, node.expression, 0)
    return text.left(number) if isinstance(node, exp.Left) else text.right(number)


def _whole(node: exp.Expr, given: exp.Expr, least: int) -> int:
    number = number_of(given)
    if number is None or number != int(number) or number < least:
        raise RefusedError(
            node, f"{node.sql('duckdb')}: places and lengths are numbers from {least}"
        )
    return int(number)


def _scalar(values: "Values", node: exp.Subquery) -> ir.Value:
    if values.table_of is None:
        raise RefusedError(node, "a subquery cannot stand here")
    select = node.unnest()
    refuse_many_rows(select)
    return values.table_of(node).as_scalar()


def _null(_values: "Values", _node: exp.Null) -> ir.Value:
    return ibis.null()


def _quantile(values: "Values", node: Any, test: ir.Value | None) -> ir.Value:
    """Return quantile_cont(value, share), or percentile_cont(share) of the values in order."""
    value, share = node.this, node.expression
    if isinstance(node, exp.WithinGroup):
        order = node.expression.expressions
        if not isinstance(value, exp.PercentileCont) or len(order) != 1 or order[0].args["desc"]:
            raise RefusedError(node, "WITHIN GROUP stands beside percentile_cont, in rising order")
        value, share = order[0].this, value.this
    found = None if share is None else number_of(share)
    if found is None or not 0 <= found <= 1:
        raise RefusedError(node, "the share of a quantile is a number from 0 to 1")
    number: Any = values.counted(value, test)
    return number.quantile(float(found))


def _gathered(values: "Values", node: exp.GroupConcat, test: ir.Value | None) -> ir.Value:
    """Return texts of rows as one, in their own order."""
    given, sign = node.this, node.args.get("separator")
    keys = given.expressions if isinstance(given, exp.Order) else []
    text = given.this if isinstance(given, exp.Order) else given
    is_distinct = isinstance(text, exp.Distinct)
    text = text.expressions[0] if is_distinct else text
    if len(keys) != 1 or keys[0].this != text or keys[0].args["desc"] or sign is None:
        raise RefusedError(node, "rows have no order: write string_agg(text, ',' ORDER BY text)")
    texts: Any = values.counted(text, test)
    return texts.collect(distinct=is_distinct).sort().join(values(sign))


GATHERED: Mapping[type[exp.Expr], Callable[[Any, Any, ir.Value | None], ir.Value]] = {
    exp.PercentileCont: _quantile,
    exp.WithinGroup: _quantile,
    exp.GroupConcat: _gathered,
}
"""Aggregates that are more than one operation."""
TRANSLATED: Sequence[tuple[Any, Callable[[Any, Any], ir.Value]]] = [
    (exp.Column, lambda values, node: values.column(node)),
    (exp.Window, lambda values, node: values.window(node)),
    (exp.Paren, lambda values, node: values(node.this)),
    (exp.Literal, lambda _, node: ibis.literal(node.this)),
    (exp.Boolean, lambda _, node: ibis.literal(node.this)),
    (exp.Null, _null),
    (exp.And, lambda values, node: values(node.this) & values(node.expression)),
    (exp.Or, lambda values, node: values(node.this) | values(node.expression)),
    (exp.Not, lambda values, node: ~values(node.this)),
    (exp.Neg, lambda values, node: -values(node.this)),
    (tuple(_COMPARED), _compared),
    (tuple(_COMPUTED), _computed),
    (exp.Between, _between),
    (exp.DPipe, _concatenated),
    (exp.Dot, _field),
    (exp.Bracket, _element),
    (exp.In, _in),
    ((exp.Like, exp.ILike), _like),
    (exp.Escape, _escaped),
    (exp.Struct, _struct),
    (exp.Is, _is),
    (exp.Case, _case),
    (exp.Cast, _cast),
    (exp.Extract, _extract),
    ((exp.DateTrunc, exp.TimestampTrunc), _truncated),
    (exp.DateDiff, _delta),
    (exp.Trim, _trimmed),
    (exp.SplitPart, _split),
    (exp.Substring, _substring),
    ((exp.Left, exp.Right), _end),
    (exp.Pad, _padded),
    (exp.Subquery, _scalar),
]
