"""What may stand in a model: operations, the types they may take, and why engines then agree.

The list is what has been compared, row for row, on DuckDB 1.5.5 and Spark 4.0.5 with the compilers
of `engines/`; `tests/fuzz` draws its expressions from it. What is not in it is refused, and so is
what `refused.py` knows to differ.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops

from streampro.expressions.decimals import exact_node, is_exact_literal, takes_decimals, true_type
from streampro.expressions.portability.families import PLAIN, family_of, shape_of
from streampro.expressions.python import RowsOfKeys
from streampro.expressions.types import holds, parts_of
from streampro.portable import json

_TABLE = r"""
Field Alias Argument | whatever
SortKey | plain
Literal | any
And Or Xor | boolean boolean
Not | boolean
IsNull NotNull | any|nested
IsNan IsInf | float | null of null, on Spark too
Add Multiply | integer integer; float float; integer float; float integer
    | integers are widened to 64 bits first; of several each is taken in the order that it is
    written in, whatever other order stands beside it
Subtract | integer integer; float float; integer float; float integer
    | integers are widened to 64 bits first
Add Subtract Multiply Modulus | decimal decimal; decimal integer; integer decimal
    | a float literal beside a decimal is a decimal
Divide | number number
Modulus | integer integer; float float; integer float; float integer
    | integers are widened to 64 bits first
FloorDivide | integer integer | rounded down exactly, not by way of a float
Power | integer =integer | floats are multiplied one by one
Negate Abs | number | integers are widened to 64 bits first
Sign | integer; float
Ceil Floor | number | beyond int64 it stops on Spark too
Round | number =integer?
Sqrt | number
Pi |
Bucket | integer; float
Clip | integer integer? integer?; float float? float?;
    decimal decimal|integer? decimal|integer?
Least Greatest | integer*; float*; decimal|integer*; text*; date*; instant*; boolean*
BitwiseAnd BitwiseOr BitwiseXor | integer integer | integers are widened to 64 bits first
BitwiseNot | integer | integers are widened to 64 bits first
BitwiseLeftShift BitwiseRightShift | integer =integer | integers are widened to 64 bits first
Equals NotEquals Less LessEqual Greater GreaterEqual IdenticalTo | SAME
Between | number number number; text text text; date date date; instant instant instant
InValues | number number|null*; text text|null*; boolean boolean|null*; date date|null*;
    instant instant|null*
InSubquery | plain | false, not null, where it is not known
ExistsSubquery ScalarSubquery |
IfElse | CHOSEN
Coalesce | MANY
NullIf | SAME
SearchedCase SimpleCase | CASES
Cast TryCast | boolean>integer; boolean>text; integer>integer; integer>float; integer>decimal;
    integer>text; float>float; float>integer; decimal>decimal; decimal>float; decimal>integer;
    decimal>text; text>text; text>integer; text>float; text>decimal; text>date; text>instant;
    date>date; date>text; instant>instant; instant>date; date>instant; boolean>boolean
Cast | null>any; list>list; nested>nested; struct>struct; map>map
StringConcat | text*
StringJoin | text*
StringLength StringAscii | text
StringContains StartsWith EndsWith | text text
StringFind | text text null? null?
Substring | text integer integer? | a negative start counts from the end, null gives null
StringSlice | text integer? integer? | as Python does, null gives null
StrRight | text integer | a negative number of letters is 0, null gives null
Repeat | text integer | null gives null
LPad RPad | text integer =text
StringReplace | text =text =text
Translate | text =text =text
StringSQLLike | text =text
StringSplit | text =text
RegexSearch RegexSplit | text =text | the letters of \p{L} are written out
RegexExtract | text =text =integer | the letters of \p{L} are written out
RegexReplace | text =text =text | the letters of \p{L} are written out
HexDigest | text
ExtractYear ExtractMonth ExtractDay ExtractQuarter ExtractDayOfYear ExtractWeekOfYear | when
DayOfWeekIndex DayOfWeekName | when
ExtractHour ExtractMinute | instant
DateFromYMD | integer integer integer | null of what is no day of the years 1 to 9999
Date | when
DateTruncate | date | null of null, compared with any day on DuckDB too
TimestampTruncate | instant
Strftime | when =text
DateAdd DateSub | date interval | a date again, on DuckDB too; null beyond the years 1 to 9999
TimestampAdd TimestampSub | instant interval | seconds have 64 bits; null beyond the years 1 to 9999
IntervalFromInteger | integer
DateDelta | =text date date
TimestampDelta | =text instant instant | weeks that have elapsed, on DuckDB too
Count | stored|nested
CountDistinct | plain
CountStar | | rows without a group count 0 on Spark too
Sum | integer | int64 or a stop on DuckDB too
Sum | boolean
Sum | decimal | beyond 38 digits it stops on DuckDB too
Mean | decimal | as portable.ratio divides
Mean | integer; boolean | the sum, exact, divided by the count
Min Max | plain
Min Max | struct
All Any | boolean
Median | number|text|when | between two numbers, decimals as floats; of others the lower of two
Quantile | number|text|when =number | as the median
MultiQuantile | number|text|when =list | as the median
ArrayCollect | plain | null, not an empty list, where there is nothing to collect
RowNumber MinRank DenseRank PercentRank CumeDist |
NTile | =integer
Lag Lead | SHIFTED
WindowFunction | any any*
WindowBoundary | =integer; interval
Array | integer|null*; text|null*; float|null*; boolean|null*; date|null*; instant|null*;
    decimal|null*; list|null*; struct|null*
ArrayLength | list|nested
ArrayIndex | list|nested integer
ArraySort ArrayMin ArrayMax ArrayAny ArrayAll | list
ArraySum ArrayMean | list | nulls do not count, a sum beyond int64 stops
ArrayContains ArrayPosition ArrayRemove | list plain | of null it is null
ArrayDistinct | list | each element where it is first, on DuckDB too
ArrayUnion ArrayIntersect | list list | each element where it is first; of null it is null
ArrayConcat ArrayZip | list|nested*
ArrayRepeat | list|nested integer | a negative number of times is 0; of null it is null
ArrayFlatten | nested | null lists are passed over, on Spark too
ArraySlice | list|nested =integer? =integer? | places beyond 32 bits are those of the longest list
ArrayMap ArrayFilter | list|nested stored|nested stored|nested stored?
IntegerRange | integer integer =integer | of null it is null
TimestampRange | instant instant =interval | of null it is null
Map | list list|nested | a null key, or one that is there twice, stops
MapGet | map text|integer PART? | the default counts only where the key is not there
MapContains | map text|integer
MapKeys MapValues | map | in the order of the keys
MapLength | map
MapMerge | map map | the value on the right counts where both have a key
Equals NotEquals | list list
ArrayStringJoin | list =text
Unnest | list|nested
StructColumn | stored|nested*
StructField | struct
JsonElements | text =text* | DuckDB's JSON parser reads it on Spark too
"""

_LEAVES = (ops.Argument, ops.Field, ops.Literal)
_BESIDE: tuple[tuple[type[ops.Value], tuple[str, ...]], ...] = (
    (ops.Reduction, ("where", "order_by")),
    (ops.WindowFunction, ("start", "end")),
    (ops.FuzzySearch, ("escape",)),
)
"""Arguments that only filter, order or delimit what an operation takes."""
_BAR = re.compile(r"(?<=\s)\|(?=\s|$)")
RELATIONS = (
    ops.Aggregate,
    ops.Distinct,
    ops.DropColumns,
    ops.DropNull,
    ops.FillNull,
    ops.Filter,
    ops.JoinChain,
    ops.Limit,
    ops.PhysicalTable,
    ops.Project,
    ops.Reference,
    ops.Set,
    ops.Sort,
    ops.TableUnnest,
    RowsOfKeys,
)
"""Operations on tables that mean the same; `order.py` judges orders and limits."""
_KEEPS_APART = (
    *(ops.ArrayFilter, ops.ArrayMap, ops.ArrayZip, ops.Map, ops.MapGet, ops.MapMerge),
    *(ops.StructColumn, ops.WindowFunction),
)
"""Operations that take structs of any parts side by side."""
_STORED = (*PLAIN, "list", "struct", "map", "null")
_ANY = (*_STORED, "interval")
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "number": ("integer", "float", "decimal"),
    "when": ("date", "instant"),
    "plain": PLAIN,
    "stored": _STORED,
    "any": _ANY,
    "whatever": (*_ANY, "nested", "other"),
}
_ALIKE = ("number", "text", "boolean", "date", "instant", "list", "nested", "struct", "map")
_MACROS = {
    "SAME": "; ".join(f"{each} {each}" for each in _ALIKE[:5]),
    "CHOSEN": "; ".join(f"boolean {each}|null {each}|null" for each in _ALIKE),
    "MANY": "; ".join(f"{each}|null*" for each in _ALIKE),
    "SHIFTED": "; ".join(
        f"{each} =integer? {each}{or_integer}?"
        for or_integer, shifted in (
            ("", ("integer", "text", "boolean", "date", "instant")),
            ("|integer", ("float", "decimal")),
        )
        for each in shifted
    ),
    "CASES": "; ".join(f"plain* {each}|null*" for each in _ALIKE),
    "PART": "plain|list|struct|null",
}


@dataclass(frozen=True)
class Argument:
    """What may stand in one place of an operation.

    Attributes:
        families: of its type, as `family_of` calls them.
        is_literal: whether it must be written into the code.
        times: `""` for once, `?` for at most once, `*` for any number.
    """

    families: tuple[str, ...]
    is_literal: bool
    times: str


@dataclass(frozen=True)
class Entry:
    """One line of the list: an operation and arguments with which it is equal on every engine.

    Attributes:
        operation: the class of Ibis.
        arguments: what it takes, in the order of the class.
        result: families that a cast may lead to, None for what is no cast.
        rewritten: what the compilers write otherwise than Ibis, empty where engines agree anyway.
    """

    operation: type[ops.Value]
    arguments: tuple[Argument, ...]
    result: tuple[str, ...] | None
    rewritten: str

    def takes(self, node: Any) -> bool:
        """Whether an operation has arguments of these types."""
        families = self.result or ()
        is_result = self.result is None or family_of(node.to) in families
        return is_result and bool(self._pattern.fullmatch(_spelled(node)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("".join(map(_pattern_of, self.arguments)))


def is_allowed(node: ops.Node) -> bool:
    """Tell whether an operation stands in the list with such arguments."""
    return isinstance(node, RELATIONS) or (
        any(entry.takes(node) for entry in ALLOWED.get(type(node), ())) and _has_one_shape(node)
    )


def described(node: ops.Node) -> str:
    """Return an operation and the families of its arguments, as a message shows them."""
    if not isinstance(node, ops.Value):
        return type(node).__name__
    kinds = [
        str(each.dtype) if each.dtype.is_struct() else family_of(true_type(each))
        for each in arguments_of(node)
    ]
    if isinstance(node, ops.Literal):
        kinds = [str(node.dtype)]
    to = f" to {family_of(node.dtype)}" if isinstance(node, ops.Cast | ops.TryCast) else ""
    return f"{type(node).__name__} of {', '.join(kinds)}{to}" if kinds else type(node).__name__


def families_of(node: ops.Node) -> frozenset[str]:
    """Return the families of the arguments of an operation, and of what a cast leads to."""
    if not isinstance(node, ops.Value):
        return frozenset()
    made = [node.dtype] if isinstance(node, ops.Cast | ops.TryCast) else []
    return frozenset(map(family_of, [*map(true_type, arguments_of(node)), *made]))


def _has_one_shape(node: ops.Node) -> bool:
    """Tell whether structs, and lists of decimals, that an operation chooses from or compares have
    the same parts: DuckDB would put those of all together, Spark compares no lists of two types.
    """
    if isinstance(node, _KEEPS_APART):
        return True
    kinds = [exact_node(each).dtype for each in arguments_of(node)]
    shapes = {shape_of(kind) for kind in kinds if any(parts_of(kind))}
    return len(shapes) <= 1 or not any(holds(kind, _is_particular) for kind in kinds)


def _is_particular(kind: dt.DataType) -> bool:
    return bool(kind.is_struct() or kind.is_decimal())


def arguments_of(node: ops.Value) -> list[ops.Value]:
    """Return the values that an operation takes, without what only filters or orders them."""
    return [each for each in _arguments(node) if each is not None]


def _arguments(node: ops.Value) -> list[ops.Value | None]:
    """Return the same with None for what is not given."""
    names = zip(node.__argnames__, node.__args__, strict=True)
    beside = next((skipped for kind, skipped in _BESIDE if isinstance(node, kind)), ())
    return [each for name, arg in names if name not in beside for each in _values(arg)]


def _values(argument: Any) -> Iterator[ops.Value | None]:
    if argument is None or isinstance(argument, ops.Value):
        yield argument
    elif isinstance(argument, tuple):
        for each in argument:
            yield from _values(each)


def _spelled(node: ops.Value) -> str:
    operands = [node] if isinstance(node, _LEAVES) else _arguments(node)
    has_decimals = takes_decimals(node)

    def spelled(each: ops.Value | None) -> str:
        if each is None:
            return "-,"
        mark = "=" if isinstance(each, ops.Literal) and each.value is not None else ""
        is_exact = has_decimals and each.dtype.is_floating() and is_exact_literal(each)
        return f"{mark}{'decimal' if is_exact else family_of(true_type(each))},"

    return "".join(map(spelled, operands))


def _pattern_of(argument: Argument) -> str:
    mark = "=" if argument.is_literal else "=?"
    absent = "|-," if argument.times == "?" else ""
    times = argument.times.replace("?", "")
    return f"(?:{mark}(?:{'|'.join(argument.families)}),{absent}){times}"


def _argument(text: str) -> Argument:
    name, times = (text[:-1], text[-1]) if text[-1] in "?*" else (text, "")
    families = [each for part in name.strip("=").split("|") for each in _GROUPS.get(part, (part,))]
    return Argument(tuple(families), name.startswith("="), times)


def _entries() -> Iterator[Entry]:
    text = _TABLE
    for name, spelled in _MACROS.items():
        text = text.replace(name, spelled)
    for line in text.replace("\n    ", " ").strip().splitlines():
        names, takes, *rest = (part.strip() for part in _BAR.split(line))
        for signature in takes.split(";"):
            given, _, result = signature.strip().partition(">")
            yield from (
                Entry(
                    _operation(name),
                    tuple(map(_argument, given.split())),
                    _argument(result).families if result else None,
                    " ".join(rest),
                )
                for name in names.split()
            )


def _operation(name: str) -> type[ops.Value]:
    """Return an operation of Ibis or, where Ibis has none, of ours."""
    found: type[ops.Value] = getattr(ops, name, None) or getattr(json, name)
    return found


def _by_operation(entries: Iterable[Entry]) -> dict[type[ops.Value], tuple[Entry, ...]]:
    found: dict[type[ops.Value], tuple[Entry, ...]] = {}
    for entry in entries:
        found[entry.operation] = (*found.get(entry.operation, ()), entry)
    return found


ALLOWED = _by_operation(_entries())
"""The list, by operation."""
