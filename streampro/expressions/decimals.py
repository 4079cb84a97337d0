"""Decimals with all digits that they truly have, where Ibis gives a product those of one factor.

`exact` is what engines compute and tables store. An operation on decimals is exact, or stops where
a result has more than 38 digits; the few that could be rounded are told by the predicates below.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.rules as rlz
import ibis.expr.types as ir
from ibis.common.annotations import attribute
from ibis.common.collections import FrozenDict
from ibis.common.graph import Node

from streampro.portable import ratio
from streampro.portable.numbers import MOST_DIGITS

_MOST_DIGITS_OF_TERMS = 37
"""Spark gives a sum one digit more than its terms, and rounds it where these are beyond 38."""
_DIGITS_OF_INT64, _DIGITS_OF_A_FLOAT = 18, 15
"""All integers of so many digits fit. DuckDB computes decimals up to 18 digits in int64."""
_MOST_DIGITS_BEHIND_THE_POINT = 6
"""Spark keeps so many in a product that is cut to 38 digits."""
_LEAST_SCALE_OF_A_SUM = 2
_KNOWN: dict[Any, Any] = {}
_MOST_KNOWN = 100_000
_ARITHMETIC = (ops.Add, ops.Subtract, ops.Multiply, ops.Modulus)
_OF_ONE_TYPE: dict[type[ops.Node] | tuple[type[ops.Node], ...], list[tuple[str, ...]]] = {
    ops.Comparison: [("left", "right")],
    ops.Between: [("arg", "lower_bound", "upper_bound")],
    ops.InValues: [("value", "options")],
    ops.NullIf: [("arg", "null_if_expr")],
    ops.Clip: [("arg", "lower", "upper")],
    (ops.Coalesce, ops.Greatest, ops.Least): [("arg",)],
    ops.IfElse: [("true_expr", "false_null_expr")],
    ops.SearchedCase: [("results", "default")],
    ops.SimpleCase: [("base", "cases"), ("results", "default")],
    (ops.Lag, ops.Lead): [("arg", "default")],
    ops.Array: [("exprs",)],
}
"""The arguments of an operation that are compared, or of which it returns one."""


class Exact(ops.Value):  # type: ignore[misc]  # Ibis has no types here
    """Arithmetic on two decimals that are wide enough, and the type that the result has."""

    operation: str
    left: ops.Value
    right: ops.Value
    dtype: dt.DataType

    @attribute  # type: ignore[untyped-decorator]  # Ibis has no types here
    def shape(self) -> Any:
        return rlz.highest_precedence_shape([self.left, self.right])

    @property
    def name(self) -> str:
        return f"{self.operation}({self.left.name}, {self.right.name})"


def exact(rows: ir.Table) -> ir.Table:
    """Return the same rows, every decimal of which has its true type.

    A product has the digits of both factors, a sum or difference one more than its terms, up to
    38; what is compared or chosen has a type that holds each; a mean is a float64, that of
    `portable.ratio`, and so is a median, a quantile or a root. A literal such as 0.5 beside a
    decimal is one.
    """
    return exact_node(rows.op()).to_expr()


def exact_node(node: Any) -> Any:
    """Return a value or a relation as `exact` has it. What it is made of is remembered, as each
    operation of an expression is asked for.
    """
    if len(_KNOWN) > _MOST_KNOWN:
        _KNOWN.clear()
    todo = [node]
    while todo:
        missing = [each for each in todo[-1].__children__ if each not in _KNOWN]
        if missing:
            todo += missing
            continue
        each = todo.pop()
        if each not in _KNOWN:
            given = {
                name: _known(value)
                for name, value in zip(each.__argnames__, each.__args__, strict=True)
            }
            _KNOWN[each] = _exact(each, given)
    return _KNOWN[node]


def in_one_type(one: ir.Value, other: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return two values, of which the first is cast if they are decimals of which neither type
    holds the other: Ibis computes with no such two.
    """
    kinds = [one.type(), other.type()]
    if not all(kind.is_decimal() and kind.precision for kind in kinds):
        return one, other
    common = _common(kinds)
    if any(kind.copy(nullable=True) == common for kind in kinds):
        return one, other
    return one.cast(_common([true_type(each.op()) for each in (one, other)])), other


def true_type(value: Any) -> dt.DataType:
    """Return the type of a value; Ibis knows only what may be a decimal, or a list of such."""
    kind = value.dtype.value_type if value.dtype.is_array() else value.dtype
    return exact_node(value).dtype if kind.is_decimal() else value.dtype


def takes_decimals(node: Any) -> bool:
    """Say whether any argument of an operation is a decimal."""
    return any(true_type(value).is_decimal() for value in _values(node))


def mixes_with_floats(node: Any) -> bool:
    """Say whether an operation takes both decimals and floats; a literal such as 0.5 is exact."""
    floats = [
        each
        for each in _values(node)
        if true_type(each).is_floating() and not is_exact_literal(each)
    ]
    return bool(floats) and takes_decimals(node)


def is_inexact_product(product: Any) -> bool:
    """Say whether a product of decimals may be rounded for want of digits."""
    if not takes_decimals(product):
        return False
    factors = [_decimal(exact_node(side)) for side in _values(product)]
    sized = [factor for factor in factors if factor is not None]
    digits, scale = (sum(getattr(each, of) for each in sized) for of in ("precision", "scale"))
    is_rounded = digits >= MOST_DIGITS and scale > _MOST_DIGITS_BEHIND_THE_POINT
    return len(sized) == len(factors) and is_rounded


def is_inexact_float(cast: Any) -> bool:
    """Say whether a decimal is cast to a float that may not be able to hold its digits."""
    number = true_type(cast.arg)
    digits = number.precision or MOST_DIGITS if number.is_decimal() else 0
    return bool(cast.to.is_floating() and digits > _DIGITS_OF_A_FLOAT)


def is_exact_literal(value: Any) -> bool:
    """Say whether a value is a literal that engines read as a decimal: 0.5, but not 1e-07."""
    if not isinstance(value, ops.Literal):
        return False
    if isinstance(value.value, Decimal):
        return value.value.is_finite()
    return str(value.value).strip("-").replace(".", "").isdigit()


def _values(node: Any) -> list[Any]:
    return [child for child in node.__children__ if isinstance(child, ops.Value)]


def _known(value: Any) -> Any:
    if isinstance(value, Node):
        return _KNOWN[value]
    if isinstance(value, tuple):
        return tuple(map(_known, value))
    if isinstance(value, FrozenDict):
        return FrozenDict({name: _known(each) for name, each in value.items()})
    return value


def _exact(node: Any, given: dict[str, Any]) -> Any:
    for kinds, rewrite in _REWRITES.items():
        if isinstance(node, kinds):
            return rewrite(node, given)
    return _recreated(node, given)


def _arithmetic(node: Any, given: dict[str, Any]) -> Any:
    left, right = map(_decimal, (given["left"], given["right"]))
    if left is None or right is None or not _any_decimal((given["left"], given["right"])):
        return _recreated(node, given)
    terms, result = _digits_of(node, left, right)
    sides = [_cast(given[side], kind) for side, kind in zip(("left", "right"), terms, strict=True)]
    return Exact(type(node).__name__, *sides, result)


def _digits_of(
    node: Any, left: dt.Decimal, right: dt.Decimal
) -> tuple[tuple[dt.Decimal, dt.Decimal], dt.Decimal]:
    """Return the types in which operands are taken, and that of the result."""
    if isinstance(node, ops.Multiply):
        result = _sized(left.precision + right.precision, left.scale + right.scale)
        is_small = max(left.precision, right.precision) <= _DIGITS_OF_INT64
        if is_small and result.precision > _DIGITS_OF_INT64:  # where DuckDB stops otherwise
            left = _sized(_DIGITS_OF_INT64 + 1, left.scale)
        return (left, right), result
    common = _common([left, right])
    if isinstance(node, ops.Modulus):
        return (common, common), common
    whole = max(left.precision - left.scale, right.precision - right.scale)
    result = _sized(whole + common.scale + 1, common.scale)
    term = _sized(min(result.precision, _MOST_DIGITS_OF_TERMS), common.scale)
    return (term, term), result


def _of_one_type(node: Any, given: dict[str, Any]) -> Any:
    groups = next(groups for kinds, groups in _OF_ONE_TYPE.items() if isinstance(node, kinds))
    for group in groups:
        values = [each for name in group for each in _each(given[name])]
        kinds = [_decimal(value) for value in values if not value.dtype.is_null()]
        if _any_decimal(values) and None not in kinds:
            common = _common(kinds)
            given = given | {name: _cast(given[name], common) for name in group}
        elif len({value.dtype for value in values if value.dtype.is_decimal()}) > 1:
            return node  # which is refused: beside floats Ibis knows no type of two decimals
    return _recreated(node, given)


def _literal(node: Any, given: dict[str, Any]) -> Any:
    size = _decimal(node)
    return node if size is None or not node.dtype.is_decimal() else _cast(node, size)


def _sum(node: Any, given: dict[str, Any]) -> Any:
    """Return a sum of decimals with the two digits behind the point that Ibis gives it at least."""
    kind = given["arg"].dtype
    if kind.is_decimal() and kind.precision is not None and kind.scale < _LEAST_SCALE_OF_A_SUM:
        more = _LEAST_SCALE_OF_A_SUM - kind.scale
        wide = _sized(kind.precision + more, _LEAST_SCALE_OF_A_SUM)
        given = given | {"arg": _cast(given["arg"], wide)}
    return _recreated(node, given)


def _mean(node: Any, given: dict[str, Any]) -> Any:
    if not given["arg"].dtype.is_decimal():
        return _recreated(node, given)
    total, count = _sum(ops.Sum(**given), given), ops.Count(**given)
    return ratio(total.to_expr(), count.to_expr()).op()


def _of_float(node: Any, given: dict[str, Any]) -> Any:
    if not given["arg"].dtype.is_decimal():
        return _recreated(node, given)
    return type(node)(**(given | {"arg": ratio(given["arg"].to_expr(), 1).op()}))


def _window(node: Any, given: dict[str, Any]) -> Any:
    """Return the ratio of two sums over a window for a mean over it."""
    if isinstance(given["func"], ops.Analytic | ops.Reduction):
        return _recreated(node, given)

    def over(value: Any, changed: dict[str, Any] | None) -> Any:
        value = value.__recreate__(changed) if changed else value
        if isinstance(value, ops.Reduction):
            return ops.WindowFunction(**(given | {"func": value}))
        return value

    def is_of_this(each: Any) -> bool:
        return isinstance(each, ops.Value) and not isinstance(each, ops.WindowFunction)

    return given["func"].replace(over, filter=is_of_this)


def _round(node: Any, given: dict[str, Any]) -> Any:
    """Return a decimal itself that has no more digits than it is rounded to."""
    digits, kind = getattr(given["digits"], "value", None), given["arg"].dtype
    is_whole = kind.is_decimal() and digits is not None and digits >= (kind.scale or 0)
    return given["arg"] if is_whole else _recreated(node, given)


def _set(node: Any, given: dict[str, Any]) -> Any:
    """Return a union, or other operation, of two tables whose columns have one type each."""
    left, right = given["left"], given["right"]
    kinds = {
        name: _of_both(kind, right.schema[name])
        for name, kind in left.schema.items()
        if kind != right.schema[name]
    }
    return node.__recreate__(given | {"left": _sides(left, kinds), "right": _sides(right, kinds)})


def _of_both(kind: Any, other: Any) -> Any:
    """Return the type that holds the values of two, which differ in their decimals: a mean of such
    is a float64.
    """
    if kind.is_decimal() and other.is_decimal():
        return _common([kind, other])
    if kind.is_array():
        return dt.Array(_of_both(kind.value_type, other.value_type))
    if kind.is_map():
        return dt.Map(kind.key_type, _of_both(kind.value_type, other.value_type))
    if kind.is_struct():
        return dt.Struct({name: _of_both(part, other[name]) for name, part in kind.items()})
    return dt.float64 if kind.is_decimal() else kind


def _sides(rows: Any, kinds: dict[str, Any]) -> Any:
    fields = {name: ops.Field(rows, name) for name in rows.schema}
    sized = {name: _held(fields[name], kind) for name, kind in kinds.items()}
    return ops.Project(rows, fields | sized) if kinds else rows


def _held(value: Any, kind: Any) -> Any:
    is_divided = kind.is_floating() and value.dtype.is_decimal()
    return ratio(value.to_expr(), 1).op() if is_divided else _cast(value, kind)


_REWRITES: dict[Any, Callable[[Any, dict[str, Any]], Any]] = {
    _ARITHMETIC: _arithmetic,
    tuple(
        kind for kinds in _OF_ONE_TYPE for kind in (kinds if isinstance(kinds, tuple) else (kinds,))
    ): _of_one_type,
    ops.Literal: _literal,
    ops.Sum: _sum,
    ops.Mean: _mean,
    (ops.Median, ops.Quantile, ops.MultiQuantile, ops.Sqrt): _of_float,
    ops.WindowFunction: _window,
    ops.Round: _round,
    ops.Set: _set,
}


def _recreated(node: Any, given: dict[str, Any]) -> Any:
    return node if tuple(given.values()) == node.__args__ else node.__recreate__(given)


def _decimal(value: Any) -> dt.Decimal | None:
    """Return the smallest decimal type that holds all values, None for floats and other types."""
    kind = value.dtype
    if isinstance(value, ops.Literal) and (kind.is_numeric()):
        return _decimal_of_literal(value)
    if kind.is_decimal():
        return None if kind.precision is None else kind
    if kind.is_integer():
        return _sized(len(str(2 ** (8 * kind.nbytes - kind.is_signed_integer()))), 0)
    return None


def _decimal_of_literal(literal: Any) -> dt.Decimal | None:
    kind = literal.dtype
    if kind.is_decimal() and kind.precision is not None:
        return kind
    if not is_exact_literal(literal):
        return None
    _, digits, exponent = Decimal(str(literal.value)).normalize().as_tuple()
    scale = max(0, -int(exponent))
    precision = max(len(digits) + max(0, int(exponent)), scale, 1)
    return dt.Decimal(precision, scale) if precision <= MOST_DIGITS else None


def _common(kinds: Iterable[Any]) -> dt.Decimal:
    kinds = [*kinds]
    scale = max(kind.scale for kind in kinds)
    return _sized(max(kind.precision - kind.scale for kind in kinds) + scale, scale)


def _sized(precision: int, scale: int) -> dt.Decimal:
    scale = min(scale, MOST_DIGITS)
    return dt.Decimal(max(min(precision, MOST_DIGITS), scale), scale)


def _cast(value: Any, kind: dt.Decimal) -> Any:
    if isinstance(value, tuple):
        return tuple(_cast(each, kind) for each in value)
    if value is None or value.dtype.is_null() or value.dtype.copy(nullable=True) == kind:
        return value
    if isinstance(value, ops.Literal) and value.value is not None:
        return ops.Literal(Decimal(str(value.value)), kind)
    return ops.Cast(value, kind)


def _each(given: Any) -> tuple[Any, ...]:
    if isinstance(given, tuple):
        return given
    return () if given is None else (given,)


def _any_decimal(values: Iterable[Any]) -> bool:
    return any(value.dtype.is_decimal() for value in values)
