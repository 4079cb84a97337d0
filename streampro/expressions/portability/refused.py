"""What may not stand in a model because engines read it differently, and what to write instead.

The differences are those of DuckDB 1.5.5 and Spark 4.0.5 under Ibis 12. `test_portability.py` shows
each of them on both and fails when upstream mends one: then its line goes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.expressions.conditions import conjuncts
from streampro.expressions.decimals import (
    is_inexact_float,
    is_inexact_product,
    mixes_with_floats,
    takes_decimals,
    true_type,
)
from streampro.expressions.portability.allowed import described, is_allowed
from streampro.expressions.portability.families import family_of, holds_map
from streampro.expressions.portability.patterns import (
    COMMON_STRFTIME,
    READ_DIFFERENTLY,
    as_python,
    misread,
    text_of,
    value_of,
)
from streampro.expressions.portability.places import misplaced

_TABLE = r"""
Strip LStrip RStrip | | Spark strips the letters v and f too, or spaces only | portable.strip(text)
Uppercase Lowercase Capitalize StringSQLILike | | letters such as ß, İ and a last Σ change
    differently | portable.upper(text) or portable.lower(text)
Reverse | | DuckDB keeps an accent with its letter, Spark does not | no reversal
Levenshtein | | DuckDB counts bytes, Spark counts characters | equality
StringSplit | delimiter | Spark reads the delimiter as a pattern | text.re_split('[.]')
StringSQLLike StringSQLILike | backslash | a backslash is itself on DuckDB, an escape on Spark |
    text.contains, startswith or re_search
REGEX | $ | `$` matches before a last line end too on Spark | `\z`
REGEX | . | `.` matches \r, \x85 and \u2028 on DuckDB only | `[^\n]`, or `(?s)` in front
REGEX | \s | `\s` takes \v for space on Spark only | a class such as `[ \t\r\n]`
REGEX | \b | a word ends before é on DuckDB, not on Spark | a class such as `[^0-9A-Za-z]`
REGEX | (?i | `(?i)` folds every letter on DuckDB, ASCII on Spark | classes such as `[aA]`
REGEX | other | the pattern is not a literal, or RE2 and Java read it differently, or one cannot |
    plain groups, classes and quantifiers
RegexReplace | replacement | a group is \1 on DuckDB and $1 on Spark | a replacement without \ and $
RegexReplace RegexSplit | nothing | an empty match after a match counts on Spark only | `+` for `*`
RegexExtract | group | a group that is not there is '' on DuckDB, an error on Spark | one that is
Hash HexDigest | hash | engines hash differently | hexdigest('md5') or hexdigest('sha256')
Cast TryCast | text | engines accept different texts: '1_000', '1e3', 'epoch', ' true ' |
    portable.to_integer, to_float, to_boolean, to_utc or to_date, or a cast in the branch of
    ibis.cases((text.re_search(r'^...\z'), text.try_cast(...)))
Cast TryCast | floating>integer | DuckDB rounds, Spark truncates | floor(), ceil() or round()
Cast TryCast | decimal>integer | DuckDB rounds, Spark truncates | floor(), ceil() or round() first
Cast TryCast | wide | the last digit of a large decimal differs | portable.ratio(part, whole)
Cast TryCast | floating>decimal | 1.005 is 1.00 on DuckDB, 1.01 on Spark | portable.to_decimal(text)
Round | fraction | 1.005 is 1.0 on DuckDB, 1.01 on Spark | decimals, or round() without digits
Add Subtract Multiply Comparison InValues Between NullIf Coalesce Least Greatest IfElse SimpleCase
    SearchedCase | mixed | a decimal that meets a float becomes one, its last digit differs |
    decimals only, or portable.ratio
BitwiseRightShift | shift | beyond 63 places Spark begins anew | a shift of at most 63 places
Multiply | digits | Spark rounds a product of more than 37 digits, more than 6 of them behind the
    point | x.cast('decimal(19, 2)') * y for a y of up to 18 digits
Cast TryCast | floating>string | 1e20 is '1e+20' on DuckDB, '1.0E20' on Spark | a decimal
Cast TryCast | timestamp>string | DuckDB appends '+00' | strftime('%Y-%m-%d %H:%M:%S')
Cast TryCast | timestamp>numeric | DuckDB refuses it | instant.delta(epoch, unit='microsecond')
Divide Modulus | zero | by 0 DuckDB gives inf, NaN or null, Spark stops |
    portable.ratio(part, whole), or whole.nullif(0)
Divide | decimals | DuckDB divides decimals to a float, Spark to a decimal |
    portable.ratio(part, whole)
FloorDivide | decimals | DuckDB divides decimals to a float, which rounds large ones |
    integers, such as of cents
Exp Logarithm TrigonometricUnary TrigonometricBinary E | | the last digit differs |
    + - * / and sqrt, or compute it after the models
Power | power | the last digit differs | x * x
Sqrt | sqrt | DuckDB stops at negative numbers, Spark gives NaN | ibis.cases((x >= 0, x.sqrt()))
BitwiseLeftShift | | DuckDB stops at negative numbers and overflow, Spark goes on | x * 2**n
Sum Mean | floating | a sum of floats depends on the order of rows |
    portable.sum_floats(x) or portable.mean(x)
Variance StandardDev Covariance Correlation | | the last digits differ | sums of x and x * x
Quantile MultiQuantile | share | beyond 1 DuckDB gives null, Spark stops | a share from 0 to 1
ApproxCountDistinct ApproxMedian ApproxQuantile ApproxMultiQuantile | | engines approximate
    differently | nunique(), median() or quantile(q)
CountDistinctStar | | rows with a null count on DuckDB only | rows.distinct().count()
CountDistinct ArrayCollect | windowed | Spark knows no distinct values over a window |
    aggregate and join
ArgMin ArgMax | | engines take different rows of a tie | portable.latest(value, by) or earliest
First Last Arbitrary NthValue | | the row is any row, and over a window Spark skips nulls |
    portable.earliest(value, by), or min()
ArrayCollect | collected | the order is any, and Spark knows neither order_by nor include_null |
    x.collect().sort()
GroupConcat | | the order is any, and Spark knows no order_by | x.collect().sort().join(',')
ArraySum ArrayMean | inexact | Spark forgets the sum at a null | integers, or unnest and aggregate
ArrayContains ArrayPosition ArrayRemove MapContains MapGet | stranger | engines compare an element
    or a key with a value of another type in different ways | a value of the same type
ArrayUnion ArrayIntersect | strangers | Spark knows no common type of their elements |
    lists of one type, by map() with a cast
MapGet | default | engines make one type of two in different ways | a default of the type of the
    values
Aggregate Distinct Set Sort WindowFunction | maps | DuckDB tells maps by the order of their entries,
    Spark compares none | ibis.struct({'keys': m.keys(), 'values': m.values()})
ArrayIndex | index | DuckDB gives null for an element that is not there, Spark stops |
    ibis.cases((array.length() > 1, array[1]))
Min Max | struct | null in a struct is last on DuckDB, first on Spark |
    portable.earliest(value, by), or where=a.notnull() & b.notnull()
SortKey | nested | null in a list or a struct is last on DuckDB, first on Spark |
    its parts, or its length
Less LessEqual Greater GreaterEqual | structs | null in a struct is last on DuckDB, first on Spark |
    a comparison per field
TimestampDelta | elapsed | DuckDB counts boundaries crossed, Spark elapsed units |
    delta(unit='microsecond') // n
DateDelta | boundaries | DuckDB counts boundaries crossed, Spark elapsed units | unit='day'
TimestampDiff DateDiff | | engines give different types |
    a.delta(b, unit='microsecond'), or a <= b + ibis.interval(hours=72)
ExtractEpochSeconds ExtractSecond ExtractMicrosecond | | one engine keeps the fraction, the other
    cuts or refuses it | instant.delta(other, unit='microsecond') // 1_000_000
TimestampRange | calendar | each month is counted from the last on DuckDB, from the first on Spark |
    ibis.range(n).map(lambda each: start + each.as_interval('M'))
Value PhysicalTable | local | a time without the zone UTC differs in type and meaning |
    timestamp('UTC', 6), datetime(..., tzinfo=UTC)
StringToTimestamp StringToDate | | formats are read differently | portable.to_utc or to_date
Strftime | format | Spark reads letters and some directives differently |
    %Y %m %d %H %M %S %f between plain signs, and + for other text
JoinLink | join | Spark has no asof and no positional join | a join on keys
Sample RandomScalar TimestampNow DateNow | | each run gives something else |
    hexdigest('md5') of a key, or the largest instant of the data
JSONGetItem UnwrapJSONString UnwrapJSONInt64 UnwrapJSONFloat64 UnwrapJSONBoolean | | quotes and
    errors differ | the fields of a Source, or portable.unnest_json(text, 'key')
InMemoryTable | | nulls and large integers arrive changed on Spark | a Source
ScalarUDF AggUDF | | it runs on one engine, or not alike on both | Ibis operations
Mode | | only DuckDB has it | portable.mode(rows, 'column', by=['group'])
ExtractIsoYear | | only DuckDB has it | portable.iso_year(day)
ToJSONArray ToJSONMap | | only DuckDB has it | the fields of a Source, or portable.unnest_json(text)
ArrayMode | | only DuckDB has it | unnest(), and portable.mode(rows, 'column', by=['key'])
BitAnd BitOr BitXor FindInSet Kurtosis RandomUUID RowID StringToTime
    TimeFromHMS TimestampBucket TimestampFromYMDHMS TypeOf | | only DuckDB has
    it | other operations
"""
"""Operations | the condition that makes them wrong, below | why | what to use instead."""


class _Place(NamedTuple):
    """An operation, what takes it, and the conditions of the case branches it stands in."""

    node: Any
    parent: Any
    gates: frozenset[Any]


_Condition = Callable[[_Place], bool]


class Refusal(NamedTuple):
    """Operations that engines read differently, or do where the condition is true."""

    operations: tuple[type, ...]
    is_wrong: _Condition
    why: str
    instead: str
    is_always: bool


def findings(expression: ir.Table) -> list[str]:
    """Return a sentence per operation that engines read differently: what, why, what instead.

    What depends on the rows is beyond it: whether a number is too large, or a computed start of
    `substr` is negative. Whether an order is total `order.ties` tells.
    """
    root = expression.op()
    found = {sentence for place in _places(root) for sentence in _wrong(place)}
    return sorted({*found, *misplaced(root)})


def _wrong(place: _Place) -> list[str]:
    """Return what is known to differ, else that an operation has not been compared."""
    known = [
        f"{_name(place.node)}: {rule.why}. Use {rule.instead}."
        for rule in REFUSED
        if isinstance(place.node, rule.operations) and rule.is_wrong(place)
    ]
    if known or not isinstance(place.node, ops.Value | ops.Relation) or is_allowed(place.node):
        return known
    return [
        f"{described(place.node)} is not yet proven equal on all engines. Use operations of the "
        "page What you may write, or propose it as CONTRIBUTING.md says."
    ]


def _places(root: Any) -> Iterator[_Place]:
    todo, seen = [_Place(root, None, frozenset())], set()
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        yield place
        node, gates = place.node, place.gates
        children, branches = _children(node)
        todo += [_Place(result, node, gates | {*conjuncts([case])}) for case, result in branches]
        for child in children:
            todo.append(_Place(child, node, gates if isinstance(child, ops.Value) else frozenset()))


def _children(node: Any) -> tuple[Iterable[Any], Iterable[tuple[Any, Any]]]:
    """Return what is always computed, and pairs of a case and what is computed only then."""
    if isinstance(node, ops.SearchedCase):
        return (*node.cases, node.default), zip(node.cases, node.results, strict=True)
    if isinstance(node, ops.IfElse):
        return (node.bool_expr, node.false_null_expr), [(node.bool_expr, node.true_expr)]
    return node.__children__, ()


def _name(node: Any) -> str:
    kind, name = type(node).__name__, getattr(node, "name", "").replace("\n", " ")
    shown = name if name.startswith(kind) else f"{kind} {name}".rstrip()
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _casts(source: str, target: str) -> _Condition:
    """Say of a cast whether it goes from one family of types to the other."""
    return lambda place: bool(
        getattr(true_type(place.node.arg), f"is_{source}")()
        and getattr(place.node.to, f"is_{target}")()
        and not isinstance(place.node.arg, ops.Floor | ops.Ceil | ops.Round)
    )


def _is_cast_of_unread_text(place: _Place) -> bool:
    """Say no in the branch of a pattern over all of the text, or of what it is cut from."""
    text, target = place.node.arg, place.node.to
    is_read = any(
        re.fullmatch(r"(\^|\\A).*\\z", text_of(gate.pattern), re.DOTALL)
        and gate.arg in text.find(type(gate.arg), filter=ops.Value)
        for gate in place.gates
        if isinstance(gate, ops.RegexSearch)
    )
    is_cast = text.dtype.is_string() and not target.is_string()
    is_null = isinstance(text, ops.Literal) and text.value is None
    return is_cast and not is_read and not is_null


def _is_gated_above(place: _Place, value: Any, bound: float) -> bool:
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


def _is_distinct_in_a_window(place: _Place) -> bool:
    is_distinct = getattr(place.node, "distinct", True)
    return bool(is_distinct and isinstance(place.parent, ops.WindowFunction))


def _is_collected_in_any_order(place: _Place) -> bool:
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
    """Say of a list or map and an element or key whether they are of different families."""
    kind, other = node.arg.dtype, node.__args__[1].dtype
    return family_of(kind.key_type if kind.is_map() else kind.value_type) != family_of(other)


def _are_strangers(node: Any) -> bool:
    """Say of lists whether their elements are of different families, or of different decimals."""
    elements = {true_type(each).value_type.copy(nullable=True) for each in node.__args__}
    families = {family_of(each) for each in elements} - {"null"}
    return len(families) > 1 or (families == {"decimal"} and len(elements) > 1)


def _shares(node: Any) -> tuple[Any, ...]:
    given = value_of(node.quantile, -1)
    return given if isinstance(given, tuple) else (given,)


def _compares_maps(node: Any) -> bool:
    if isinstance(node, ops.Set) and not node.distinct:
        return False
    keys = getattr(node, "keys", ()) or getattr(node, "groups", {}).values()
    over = (*node.group_by, *node.order_by) if isinstance(node, ops.WindowFunction) else keys
    is_whole = isinstance(node, ops.Distinct | ops.Set)
    return any(map(holds_map, node.schema.types if is_whole else (each.dtype for each in over)))


def _may_miss(place: _Place) -> bool:
    array, index = place.node.arg, value_of(place.node.index, -1)
    is_first_part = index == 0 and isinstance(array, ops.StringSplit)
    is_there = is_first_part or _is_gated_above(place, ops.ArrayLength(array), index)
    return index < 0 or not is_there


_OF_NODE: dict[str, Callable[[Any], bool]] = {
    "": lambda node: True,
    "delimiter": lambda node: bool(re.search(r"[][\\^$.|?*+(){}]", text_of(node.delimiter))),
    "backslash": lambda node: "\\" in text_of(node.pattern),
    "replacement": lambda node: bool(re.search(r"[\\$]", text_of(node.replacement))),
    "nothing": lambda node: bool(as_python(node.pattern).search("")),
    "group": lambda node: value_of(node.index) not in range(as_python(node.pattern).groups + 1),
    "hash": lambda node: getattr(node, "how", "") not in ("md5", "sha256"),
    "zero": lambda node: not _is_never_zero(node.right),
    "decimals": takes_decimals,
    "mixed": mixes_with_floats,
    "digits": is_inexact_product,
    "fraction": lambda node: true_type(node.arg).is_floating() and value_of(node.digits) != 0,
    "wide": is_inexact_float,
    "shift": lambda node: value_of(node.right, -1) not in range(64),
    "power": lambda node: not (node.left.dtype.is_integer() and value_of(node.right) in range(64)),
    "floating": lambda node: true_type(node.arg).is_floating(),
    "struct": _may_hold_null,
    "inexact": lambda node: not node.arg.dtype.value_type.is_integer(),
    "share": lambda node: not all(0 <= each <= 1 for each in _shares(node)),
    "stranger": _is_stranger,
    "strangers": _are_strangers,
    "default": lambda node: (
        family_of(node.default.dtype) not in ("null", family_of(node.arg.dtype.value_type))
    ),
    "maps": _compares_maps,
    "structs": lambda node: node.left.dtype.is_struct(),
    "nested": lambda node: node.dtype.is_array() or node.dtype.is_struct(),
    "elapsed": lambda node: node.part.value not in ("microsecond", "week"),
    "boundaries": lambda node: node.part.value not in ("day", "week"),
    "calendar": lambda node: node.step.dtype.unit.name in ("YEAR", "QUARTER", "MONTH"),
    "local": _is_origin_of_local_time,
    "format": lambda node: not COMMON_STRFTIME.fullmatch(text_of(node.format_str)),
    "join": lambda node: node.how in ("asof", "positional"),
}
_OF_PLACE: dict[str, _Condition] = {
    "text": _is_cast_of_unread_text,
    "sqrt": lambda place: not _is_gated_above(place, place.node.arg, 0),
    "windowed": _is_distinct_in_a_window,
    "collected": _is_collected_in_any_order,
    "index": _may_miss,
}


def _condition(name: str) -> _Condition:
    if name in _OF_PLACE:
        return _OF_PLACE[name]
    if name in (*READ_DIFFERENTLY, "other"):
        return lambda place: misread(place.node) == name
    if ">" in name:
        return _casts(*name.split(">"))
    return lambda place: _OF_NODE[name](place.node)


def _refusals() -> Iterator[Refusal]:
    text = _TABLE.replace("REGEX", "RegexSearch RegexExtract RegexReplace RegexSplit")
    for line in text.replace("\n    ", " ").strip().splitlines():
        kinds, name, why, instead = (part.strip() for part in line.split("|"))
        operations = tuple(getattr(ops, kind) for kind in kinds.split())
        yield Refusal(operations, _condition(name), why, instead, is_always=not name)


REFUSED = tuple(_refusals())
"""All of them, in the order of the table."""
