"""What must be true of an operation for engines to read it differently."""

import re
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any, NamedTuple

import ibis.expr.operations as ops

from streampro.expressions.conditions import conjuncts
from streampro.expressions.decimals import (
    is_inexact_float,
    is_inexact_product,
    mixes_with_floats,
    takes_decimals,
    true_type,
)
from streampro.expressions.portability.allowed import arguments_of
from streampro.expressions.portability.families import PLAIN, family_of, holds_map, shape_of
from streampro.expressions.portability.patterns import (
    COMMON_STRFTIME,
    READ_DIFFERENTLY,
    as_python,
    begins,
    letters_of,
    misread,
    signs_meet,
    text_of,
    value_of,
)
from streampro.expressions.types import parts_of
from streampro.names import is_utf8
from streampro.portable.instants import SPELLINGS

_CAST_ALIKE = {
    "integer": ("+-0123456789",),
    "decimal": ("+-.0123456789",),
    "float": ("+-.eE0123456789", "Na-.eE0123456789"),
}
"""Letters of which all texts are cast alike; not those of a float where two signs meet."""
_CUTS = (
    *(ops.Strip, ops.LStrip, ops.RStrip, ops.Substring, ops.StringSlice, ops.StrRight),
    ops.RegexExtract,
)
_FIXED = {"WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"}
"""Units of intervals that are as long everywhere."""


class Place(NamedTuple):
    """An operation, what takes it, and the conditions of the case branches it stands in."""

    node: Any
    parent: Any
    gates: frozenset[Any]


Condition = Callable[[Place], bool]


def _casts(source: str, target: str) -> Condition:
    """Say of a cast whether it goes from one family of types to the other."""
    return lambda place: bool(
        getattr(true_type(place.node.arg), f"is_{source}")()
        and getattr(place.node.to, f"is_{target}")()
        and not isinstance(place.node.arg, ops.Floor | ops.Ceil | ops.Round)
    )


def _is_cast_of_unread_text(place: Place) -> bool:
    """Say no in the branch of a pattern for texts that engines cast alike, of which the text is or
    is cut.
    """
    text, target = place.node.arg, place.node.to
    is_cast = text.dtype.is_string() and not target.is_string()
    is_null = isinstance(text, ops.Literal) and text.value is None
    searches = (gate for gate in place.gates if isinstance(gate, ops.RegexSearch))
    return is_cast and not is_null and not any(_is_read(gate, text, target) for gate in searches)


def _is_read(search: Any, text: Any, target: Any) -> bool:
    pattern, family = text_of(search.pattern), family_of(target)
    if pattern in SPELLINGS:
        return search.arg in text.find(type(search.arg), filter=ops.Value)
    letters = letters_of(pattern)
    return (
        letters is not None
        and any(letters <= {*each} for each in _CAST_ALIKE.get(family, ()))
        and not (family == "float" and "+" in letters and signs_meet(pattern))
        and _cut(text, search.arg)
    )


def _cut(text: Any, whole: Any) -> bool:
    """Say whether a text is another, or a part of it."""
    return bool(text == whole or (isinstance(text, _CUTS) and _cut(text.arg, whole)))


def _is_gated_above(place: Place, value: Any, bound: float) -> bool:
    """Say whether the branch is taken only for values above the bound, or not below if it is 0."""
    kinds = (ops.Greater, ops.GreaterEqual) if bound == 0 else (ops.Greater,)
    return any(
        isinstance(gate, kinds) and gate.left == value and value_of(gate.right, -1) >= bound
        for gate in place.gates
    )


def _is_local(dtype: Any) -> bool:
    return bool(dtype.is_time() or (dtype.is_timestamp() and dtype.timezone != "UTC"))


def _is_origin_of_local_time(node: Any) -> bool:
    if isinstance(node, ops.PhysicalTable):
        return any(map(_is_local, node.schema.types))
    inputs = [child.dtype for child in node.__children__ if isinstance(child, ops.Value)]
    is_handed_on = isinstance(node, ops.Field | ops.TimestampTruncate) or any(
        map(_is_local, inputs)
    )
    return _is_local(node.dtype) and not is_handed_on


def _is_never_zero(node: Any) -> bool:
    if isinstance(node, ops.Multiply):
        return _is_never_zero(node.left) and _is_never_zero(node.right)
    if isinstance(node, ops.NullIf):
        return bool(value_of(node.null_if_expr) == 0)
    return _is_never_zero(node.arg) if isinstance(node, ops.Cast) else bool(value_of(node))


def _is_distinct_in_a_window(place: Place) -> bool:
    is_distinct = getattr(place.node, "distinct", True)
    return bool(is_distinct and isinstance(place.parent, ops.WindowFunction))


def _is_collected_in_any_order(place: Place) -> bool:
    node, parent = place.node, place.parent
    in_window_order = isinstance(parent, ops.WindowFunction) and bool(parent.order_by)
    is_plain = not node.include_null and not node.order_by
    return not is_plain or not (in_window_order or isinstance(parent, ops.ArraySort))


def _may_hold_null(extreme: Any) -> bool:
    """Say of a minimum or maximum of structs whether a field may be null in a row that counts."""
    struct = extreme.arg
    if not isinstance(struct, ops.StructColumn):
        return any(part.nullable for part in getattr(struct.dtype, "types", ()))
    given = {test.arg for test in conjuncts([extreme.where]) if isinstance(test, ops.NotNull)}
    return any(field.dtype.nullable and field not in given for field in struct.values)


def _is_stranger(node: Any) -> bool:
    """Say of a list or map and an element or key whether they are of different families, or of
    different decimals.
    """
    kind, other = true_type(node.arg), true_type(node.__args__[1])
    kind = kind.key_type if kind.is_map() else kind.value_type
    return bool(shape_of(kind) != shape_of(other))


def _meets_its_name(node: Any) -> bool:
    """Say of what maps or filters a list whether another within it takes its element's name, and
    may mean that element.
    """
    within = node.body.find((ops.ArrayMap, ops.ArrayFilter))
    hidden = (each for each in within if each.param.name == node.param.name)
    return any(node.param in (each.param, *each.body.find(ops.Argument)) for each in hidden)


def _are_strangers(node: Any) -> bool:
    """Say of lists whether their elements are of different families, or of different decimals."""
    elements = {true_type(each).value_type.copy(nullable=True) for each in node.__args__}
    families = {family_of(each) for each in elements} - {"null"}
    return len(families) > 1 or (families == {"decimal"} and len(elements) > 1)


def _shares(node: Any) -> tuple[Any, ...]:
    given = value_of(node.quantile, -1)
    return given if isinstance(given, tuple) else (given,)


def _is_share(number: Any) -> bool:
    return number is not None and 0 <= number <= 1


def _numbers_of_rows(node: Any) -> Iterator[int]:
    for name in ("buckets", "index", "n", "offset", "value"):
        given = getattr(node, name, None)
        yield given if isinstance(given, int) else value_of(given, 0) or 0


def _is_odd_range(window: Any) -> bool:
    """Say of a range whether engines do not take its steps from its key, or not alike."""
    steps = [each.value for each in (window.start, window.end) if each]
    if window.how != "range" or not steps:
        return False
    if len(window.order_by) != 1 or not all(map(_is_written, steps)):
        return True
    key = true_type(window.order_by[0].arg)
    units = {step.dtype.unit.name for step in steps if step.dtype.is_interval()}
    if units:
        taken = {"DAY", "WEEK"} if key.is_date() else _FIXED if key.is_timestamp() else {*()}
        return len(units) > 1 or not units <= taken
    return not (key.is_integer() or key.is_floating() or key.is_date())


def _is_written(step: Any) -> bool:
    return isinstance(step.arg if isinstance(step, ops.Cast) else step, ops.Literal)


def _kind_of(value: Any) -> str:
    kind = true_type(value)
    return "number" if kind.is_numeric() and not kind.is_boolean() else family_of(kind)


def _is_part_below_1(cast: Any) -> bool:
    """Say whether a part of a list or struct is a decimal without digits before the point that
    becomes a text.
    """
    kind = true_type(cast.arg)
    is_part = isinstance(cast.arg, ops.Argument) and cast.arg.name.startswith("part of ")
    is_below_1 = kind.is_decimal() and kind.precision == kind.scale
    return is_part and is_below_1 and cast.to.is_string()


def _is_no_decimal(literal: Any) -> bool:
    """Say whether a literal is a decimal of more digits than there are, or of none."""
    kind = true_type(literal)
    return literal.value is not None and kind.is_decimal() and kind.precision is None


def _meets_wider_list(node: Any) -> bool:
    """Say whether a list is compared with one that is written and of a wider type."""
    lists = [each for each in arguments_of(node) if true_type(each).is_array()]
    return any(
        not (one.relations or one.find(ops.Argument))
        and _is_wider(_innermost(true_type(one)), _innermost(true_type(other)))
        for one, other in permutations(lists, 2)
    )


def _innermost(kind: Any) -> Any:
    return _innermost(kind.value_type) if kind.is_array() else kind


def _is_wider(kind: Any, than: Any) -> bool:
    if kind.is_floating():
        return bool(than.is_integer() or (kind.is_float64() and than.is_float32()))
    return bool(kind.is_timestamp() and than.is_date())


def _is_one_row(relation: Any) -> bool:
    """Say whether a relation has one row at most, whatever the rows below it."""
    while isinstance(relation, ops.Project | ops.Filter | ops.Sort):
        relation = relation.parent
    if isinstance(relation, ops.Limit):
        return relation.n in (0, 1)
    return isinstance(relation, ops.Aggregate) and not relation.groups


def _names_twice(unnest: Any) -> bool:
    """Say whether the elements or their places have the name of a column beside them."""
    columns, elements = unnest.parent.schema, unnest.column_name
    is_in_place = isinstance(unnest.column, ops.Field) and unnest.column.name == elements
    return unnest.offset in {*columns, elements} or (elements in columns and not is_in_place)


def _compares_maps(node: Any) -> bool:
    if isinstance(node, ops.Union) and not node.distinct:
        return False
    keys = getattr(node, "keys", ()) or getattr(node, "groups", {}).values()
    over = (*node.group_by, *node.order_by) if isinstance(node, ops.WindowFunction) else keys
    is_whole = isinstance(node, ops.Distinct | ops.Set)
    return any(map(holds_map, node.schema.types if is_whole else (each.dtype for each in over)))


def _may_miss(place: Place) -> bool:
    array, index = place.node.arg, value_of(place.node.index)
    if index is None:
        return True
    is_first_part = index == 0 and isinstance(array, ops.StringSplit)
    least = index if index >= 0 else -index - 1
    return not (is_first_part or _is_gated_above(place, ops.ArrayLength(array), least))


_OF_NODE: dict[str, Callable[[Any], bool]] = {
    "": lambda node: True,
    "delimiter": lambda node: bool(re.search(r"[][\\^$.|?*+(){}]", text_of(node.delimiter))),
    "backslash": lambda node: "\\" in text_of(node.pattern),
    "replacement": lambda node: bool(re.search(r"[\\$]", text_of(node.replacement))),
    "begin": lambda node: begins(node.pattern),
    "nothing": lambda node: bool(as_python(node.pattern).search("")),
    "group": lambda node: value_of(node.index) not in range(as_python(node.pattern).groups + 1),
    "hash": lambda node: getattr(node, "how", "") not in ("md5", "sha256"),
    "zero": lambda node: not _is_never_zero(node.right),
    "decimals": takes_decimals,
    "mixed": mixes_with_floats,
    "digits": is_inexact_product,
    "parts": lambda node: (
        node.arg.dtype.is_struct() and node.to.is_struct() and node.arg.dtype.names != node.to.names
    ),
    "fraction": lambda node: true_type(node.arg).is_floating() and value_of(node.digits) != 0,
    "wide": is_inexact_float,
    "shift": lambda node: value_of(node.right, -1) not in range(64),
    "power": lambda node: not (node.left.dtype.is_integer() and value_of(node.right) in range(64)),
    "floating": lambda node: true_type(node.arg).is_floating(),
    "struct": _may_hold_null,
    "nested_parts": lambda node: any(each.is_nested() for each in parts_of(node.arg.dtype)),
    "inexact": lambda node: not node.arg.dtype.value_type.is_integer(),
    "share": lambda node: not all(map(_is_share, _shares(node))),
    "name": _meets_its_name,
    "tiny": lambda node: node.dtype.unit.name == "NANOSECOND",
    "stranger": _is_stranger,
    "strangers": _are_strangers,
    "default": lambda node: (
        family_of(node.default.dtype) not in ("null", family_of(node.arg.dtype.value_type))
    ),
    "maps": _compares_maps,
    "structs": lambda node: node.left.dtype.is_struct(),
    "nested": lambda node: node.dtype.is_array() or node.dtype.is_struct(),
    "elapsed": lambda node: value_of(node.part) not in ("microsecond", "week"),
    "boundaries": lambda node: value_of(node.part) not in ("day", "week"),
    "calendar": lambda node: node.step.dtype.unit.name in ("YEAR", "QUARTER", "MONTH"),
    "local": _is_origin_of_local_time,
    "format": lambda node: not COMMON_STRFTIME.fullmatch(text_of(node.format_str)),
    "far": lambda node: any(abs(each) >= 2**31 for each in _numbers_of_rows(node)),
    "too_large": _is_no_decimal,
    "rows": lambda node: not _is_one_row(node.rel),
    "no_text": lambda node: isinstance(node.value, str) and not is_utf8(node.value),
    "twice": _names_twice,
    "lists": _meets_wider_list,
    "join": lambda node: node.how in ("asof", "positional", "any_inner", "any_left"),
    "range": _is_odd_range,
    "cases": lambda node: (
        not any(
            {*map(_kind_of, (node.base, *node.cases))} <= {each, "null"}
            for each in ("number", *PLAIN)
        )
    ),
    "below_1": _is_part_below_1,
}
_OF_PLACE: dict[str, Condition] = {
    "text": _is_cast_of_unread_text,
    "sqrt": lambda place: not _is_gated_above(place, place.node.arg, 0),
    "windowed": _is_distinct_in_a_window,
    "collected": _is_collected_in_any_order,
    "index": _may_miss,
}


def condition(name: str) -> Condition:
    """Return the condition that a line of the table names."""
    if name in _OF_PLACE:
        return _OF_PLACE[name]
    if name in (*READ_DIFFERENTLY, "other"):
        return lambda place: misread(place.node) == name
    if ">" in name:
        return _casts(*name.split(">"))
    return lambda place: _OF_NODE[name](place.node)
