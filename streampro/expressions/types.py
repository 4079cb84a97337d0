"""Types of columns: how a contract spells them, which both engines store alike, what is stored."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.names import named, twins
from streampro.portable.numbers import MOST_DIGITS

_NAN = float("nan")
_QUOTED = re.compile("'[^']*'|\"[^\"]*\"")
_INSTANT = dt.Timestamp("UTC", 6)
_STORED = (dt.Boolean, dt.SignedInteger, dt.Float32, dt.Float64, dt.String, dt.Binary, dt.Date)
"""Types without parts that every engine stores and reads alike."""
_INSTEAD: Mapping[type[dt.DataType], str] = {
    dt.Timestamp: "Instant, the one type of instants",
    dt.Decimal: "digits in all and behind the point, such as Annotated[dt.Decimal, 18, 2]",
    dt.UnsignedInteger: "dt.Int64, or Annotated[dt.Decimal, 20, 0] where it is too small",
    dt.Float16: "dt.Float64",
    dt.Time: "str, such as '23:59', or dt.Int64 with a unit",
    dt.Interval: "dt.Int64 with a unit, such as microseconds",
    dt.JSON: "str, which keeps the text of JSON as it is, or its fields as columns",
    dt.UUID: "str",
    dt.Array: "the same without a length, and a @rule about it",
    dt.Map: "a list of struct<key, value> there; a map is a column of its own",
}
"""What to write for a type that is not stored; a text for any other."""

ops.TimestampTruncate.dtype = property(lambda self: self.arg.dtype)  # Ibis forgets the zone


def type_of(annotation: Any) -> dt.DataType:
    """Return the type that an annotation of a contract's column spells.

    `Annotated[T, a, b]` is `T(a, b)`, `list[T]` and `dt.Array[T]` are arrays, `dict[K, T]` and
    `dt.Map[K, T]` maps, also inside of each other; else whatever Ibis takes for a type. Raises
    `TypeError` for what is none.
    """
    if isinstance(annotation, dt.DataType):
        return annotation
    if isinstance(annotation, Mapping):
        return dt.Struct({name: type_of(kind) for name, kind in annotation.items()})
    if hasattr(annotation, "__metadata__"):
        kind, *_ = get_args(annotation)
        given = [each for each in annotation.__metadata__ if not hasattr(each, "dtype_kwargs")]
        return type_of(kind) if not given else _made(kind, given)
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind in (list, dt.Array, dict, dt.Map):
        return (dt.Array if len(parts) == 1 else dt.Map)(*map(type_of, parts))
    try:
        is_kind = isinstance(annotation, type) and issubclass(annotation, dt.DataType)
        made: dt.DataType = annotation() if is_kind else ibis.dtype(annotation)
    except Exception as error:  # Ibis raises many kinds
        name = getattr(annotation, "__name__", annotation)
        raise TypeError(f"{name} says no type of a column") from error
    if _loses_a_part(annotation, made):
        raise TypeError(f"{annotation} has a part twice")
    return made


def refusal(kind: dt.DataType, at: Literal["top", "inside"] = "top") -> str | None:
    """Return why a contract may not have a column of a type and what to write instead."""
    if at == "inside" and not kind.nullable:
        return f"{kind} says that a part is not null, which nobody checks: write a @rule for that"
    if isinstance(kind, dt.Map) and not (kind.key_type.is_string() or kind.key_type.is_integer()):
        return f"{kind} has keys that are neither str nor dt.Int64: write their text"
    if isinstance(kind, dt.Struct) and (same := twins(kind.names)):
        return f"{kind} has parts {same[0]!r} and {same[1]!r}, which engines do not tell apart"
    if isinstance(kind, dt.Struct) and not kind.names:
        return f"{kind} has no part: write the parts that it has, or str"
    if not _is_stored(kind, at):
        others = (text for of, text in _INSTEAD.items() if isinstance(kind, of))
        return f"engines do not store {kind} alike: write {next(others, 'str')}"
    return next(filter(None, (refusal(part, "inside") for part in parts_of(kind))), None)


def parts_of(kind: dt.DataType) -> Iterator[dt.DataType]:
    """Yield the types inside a nested one; the key of a map is never null."""
    if isinstance(kind, dt.Array):
        yield kind.value_type
    elif isinstance(kind, dt.Map):
        yield kind.key_type
        yield kind.value_type
    elif isinstance(kind, dt.Struct):
        yield from kind.types


def holds(kind: dt.DataType, is_one: Callable[[dt.DataType], bool]) -> bool:
    """Tell whether a type is one of those, or has one in it."""
    return is_one(kind) or any(holds(part, is_one) for part in parts_of(kind))


def changed(kind: dt.DataType, change: Callable[[dt.DataType], dt.DataType]) -> dt.DataType:
    """Return a type in which each type inside, then the type itself is changed."""
    if isinstance(kind, dt.Array):
        return change(kind.copy(value_type=changed(kind.value_type, change)))
    if isinstance(kind, dt.Map):
        key, value = changed(kind.key_type, change), changed(kind.value_type, change)
        return change(kind.copy(key_type=key, value_type=value))
    if isinstance(kind, dt.Struct):
        fields = {name: changed(part, change) for name, part in kind.fields.items()}
        return change(kind.copy(fields=fields))
    return change(kind)


def nullable(kind: dt.DataType) -> dt.DataType:
    """Return a type that may be null, and so may all in it."""
    return changed(kind, lambda each: each.copy(nullable=True))


def in_microseconds(kind: dt.DataType) -> dt.DataType:
    """Return a type in which instants are in microseconds, as every engine computes them; Ibis says
    none of an instant in the code, nor of what such a one is chosen for.
    """

    def counted(each: dt.DataType) -> dt.DataType:
        is_of_code = (
            isinstance(each, dt.Timestamp) and each.timezone == "UTC" and each.scale is None
        )
        return _INSTANT.copy(nullable=each.nullable) if is_of_code else each

    return changed(kind, counted)


def as_stored(rows: ir.Table) -> ir.Table:
    """Return rows as they are stored: NaN is null, -0.0 is 0.0, also inside of lists and structs; a
    map has its entries in the order of its keys. Rows are then equal on every engine or on none.
    """
    changing = [name for name, kind in rows.schema().items() if _is_changed(kind)]
    stored = {name: _stored(rows[name]) for name in changing}
    return rows.mutate(named(stored)) if stored else rows


def comparable(value: ir.Value) -> ir.Value:
    """Return a stored value, a map as a struct of its keys and values: Spark compares no maps, and
    loses nulls of those that it groups by.
    """
    if not isinstance(value, ir.MapValue):
        return value
    return ibis.struct({"keys": value.keys(), "values": value.values()}).name(value.get_name())


def as_declared(value: ir.Value, kind: dt.DataType) -> ir.Value:
    """Return what `comparable` made of a value of a type."""
    if not kind.is_map():
        return value
    made = ibis.map(value["keys"], value["values"])
    return ibis.cases((value["keys"].notnull(), made)).name(value.get_name())


def _made(kind: Any, given: list[Any]) -> dt.DataType:
    parts = {dt.Array: 1, dt.Map: 2, dt.Struct: 1}.get(kind, 0)
    kinds = [type_of(each) for each in given[:parts]]
    if kind is dt.Struct:
        kinds = [each.fields for each in kinds]
    try:
        made: dt.DataType = kind(*kinds, *given[parts:])
    except Exception as error:  # Ibis raises many kinds
        said = ", ".join(map(repr, given))
        raise TypeError(
            f"{getattr(kind, '__name__', kind)} of {said} says no type of a column"
        ) from error
    return made


def _loses_a_part(annotation: object, kind: dt.DataType) -> bool:
    """Tell whether a text has more parts of structs than the type that Ibis makes of it."""
    said = _QUOTED.sub("", annotation) if isinstance(annotation, str) else ""
    return "struct" in said and said.count(":") > _number_of_names(kind)


def _number_of_names(kind: dt.DataType) -> int:
    own = len(kind.names) if isinstance(kind, dt.Struct) else 0
    return own + sum(map(_number_of_names, parts_of(kind)))


def _is_stored(kind: dt.DataType, at: Literal["top", "inside"]) -> bool:
    if isinstance(kind, dt.Timestamp):
        return bool(kind.copy(nullable=True) == _INSTANT)
    if isinstance(kind, dt.Decimal):
        return kind.precision is not None and kind.precision <= MOST_DIGITS
    if isinstance(kind, dt.Array):
        return kind.length is None
    return isinstance(kind, (*_STORED, dt.Struct)) or (isinstance(kind, dt.Map) and at == "top")


def _is_changed(kind: dt.DataType) -> bool:
    return holds(kind, lambda each: each.is_floating() or each.is_map())


def _stored(value: ir.Value) -> ir.Value:
    kind = value.type()
    if not _is_changed(kind):
        return value
    if isinstance(value, ir.FloatingValue):
        return (value.nullif(ibis.literal(_NAN, kind)) + ibis.literal(0.0, kind)).cast(kind)
    return ibis.cases((value.notnull(), _parts_stored(value)))


def _parts_stored(value: ir.Value) -> ir.Value:
    if isinstance(value, ir.ArrayValue):
        return value.map(_stored)
    if isinstance(value, ir.StructValue):
        return ibis.struct({name: _stored(value[name]) for name in value.names})
    return ibis.map(value.keys(), value.values().map(_stored))
