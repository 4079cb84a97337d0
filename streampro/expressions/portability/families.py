"""What types are to the list of what may be written."""

from collections.abc import Callable, Mapping
from typing import Any

import ibis.expr.datatypes as dt

from streampro.expressions.types import holds

PLAIN = ("boolean", "integer", "float", "decimal", "text", "date", "instant")
"""Families of types that have no parts."""


def family_of(kind: dt.DataType) -> str:
    """Return what a type is to the list: `integer`, `float`, `decimal`, `text`, `instant` and so
    on; `other` for types that no operation is compared with.
    """
    return next((name for name, has in _FAMILIES.items() if has(kind)), "other")


def shape_of(kind: dt.DataType) -> Any:
    """Return the names of the parts of a type and the families of what has none; of a decimal its
    size.
    """
    if kind.is_struct():
        return tuple((name, shape_of(part)) for name, part in kind.items())
    if kind.is_array():
        return ("list", shape_of(kind.value_type))
    if kind.is_map():
        return ("map", shape_of(kind.key_type), shape_of(kind.value_type))
    return str(kind.copy(nullable=True)) if kind.is_decimal() else family_of(kind)


def holds_map(kind: dt.DataType) -> bool:
    """Tell whether a type is a map or has one in it: Spark compares none."""
    return holds(kind, lambda each: each.is_map())


def _is_unordered(kind: dt.DataType) -> bool:
    return holds_map(kind) or kind.is_null()


_FAMILIES: Mapping[str, Callable[[Any], bool]] = {
    "boolean": lambda kind: kind.is_boolean(),
    "integer": lambda kind: kind.is_signed_integer(),
    "float": lambda kind: kind.is_float64(),
    "decimal": lambda kind: kind.is_decimal(),
    "text": lambda kind: kind.is_string(),
    "date": lambda kind: kind.is_date(),
    "instant": lambda kind: kind.is_timestamp() and kind.timezone == "UTC",
    "interval": lambda kind: kind.is_interval(),
    "list": lambda kind: kind.is_array() and family_of(kind.value_type) in PLAIN,
    "nested": lambda kind: kind.is_array() and not _is_unordered(kind.value_type),
    "struct": lambda kind: kind.is_struct(),
    "map": lambda kind: (
        kind.is_map()
        and family_of(kind.key_type) in ("text", "integer")
        and not _is_unordered(kind.value_type)
    ),
    "null": lambda kind: kind.is_null(),
}
