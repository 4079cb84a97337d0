"""What may not stand in a model because engines read it differently, and what to write instead.

The differences are those of DuckDB 1.5.5 and Spark 4.0.5 under Ibis 12. `test_portability.py` shows
each of them on both and fails when upstream mends one: then its line goes.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.annotations import ValidationError
from ibis.common.exceptions import IbisError

from streampro.expressions.conditions import conjuncts
from streampro.expressions.decimals import exact_node, true_type
from streampro.expressions.portability.allowed import described, is_allowed
from streampro.expressions.portability.instead import instead_of
from streampro.expressions.portability.places import misplaced
from streampro.expressions.portability.when import Condition, Place, condition
from streampro.expressions.types import nullable, parts_of

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
RegexSplit | begin | DuckDB takes `^` for the begin of each rest | a pattern without ^
RegexExtract | group | a group that is not there is '' on DuckDB, an error on Spark | one that is
Hash HexDigest | hash | engines hash differently | hexdigest('md5') or hexdigest('sha256')
Cast TryCast | text | engines accept different texts: '1_000', '1e3', 'epoch', ' true ' |
    portable.to_integer, to_float, to_boolean, to_utc or to_date, or for a number a cast such as
    ibis.cases((text.re_search(r'^-?[0-9]+\z'), text.try_cast('int64')))
Cast TryCast | floating>integer | DuckDB rounds, Spark truncates | floor(), ceil() or round()
Cast TryCast | decimal>integer | DuckDB rounds, Spark truncates | floor(), ceil() or round() first
Cast TryCast | wide | the last digit of a large decimal differs | portable.ratio(part, whole)
Cast TryCast | floating>decimal | 1.005 is 1.00 on DuckDB, 1.01 on Spark | portable.to_decimal(text)
Cast TryCast | below_1 | DuckDB writes '.5' | map() with a cast
Cast TryCast | parts | DuckDB finds the parts of a struct by name, Spark by place |
    ibis.struct({'a': x.a.cast('string'), 'b': x.b})
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
Comparison InValues Between NullIf | lists | DuckDB takes a written list for one of the type of the
    other, such as [0.5] for [0] | lists of one type, by map() with a cast
SimpleCase | cases | engines compare values of two types, lists and structs in different ways |
    numbers with numbers, texts with texts
ArrayMap ArrayFilter | name | what is within takes the name for its own element | another name in
    each function: rows.map(lambda row: row.map(lambda each: ...))
IntervalFromInteger | tiny | no engine counts nanoseconds | (n // 1000).as_interval('us')
MapGet | default | engines make one type of two in different ways | a default of the type of the
    values
Aggregate Distinct Set Sort WindowFunction | maps | DuckDB tells maps by the order of their entries,
    Spark compares none | ibis.struct({'keys': m.keys(), 'values': m.values()})
ArrayIndex | index | DuckDB gives null for an element that is not there, Spark stops |
    ibis.cases((array.length() > 1, array[1]))
Min Max | nested_parts | Spark compares no maps, and null within a part is last on DuckDB, first on
    Spark | each part on its own, such as portable.latest(value.name, by)
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
    cuts or refuses it | instant.delta(other, unit='microsecond') // 1_000_000, where other is
    datetime(1970, 1, 1, tzinfo=UTC) or instant.truncate('m')
TimestampRange | calendar | each month is counted from the last on DuckDB, from the first on Spark |
    ibis.range(n).map(lambda each: start + each.as_interval('M'))
Value PhysicalTable | local | a time without the zone UTC differs in type and meaning |
    timestamp('UTC', 6), datetime(..., tzinfo=UTC), portable.to_utc or from_epoch
StringToTimestamp StringToDate | | formats are read differently | portable.to_utc or to_date
Strftime | format | Spark reads letters and some directives differently |
    %Y %m %d %H %M %S %f between plain signs, and + for other text
WindowFunction | range | a range has one key, an integer, a float, a date with days or an instant
    with intervals of one unit up to weeks | such a key, or integers such as of cents
ArrayIndex | far | Spark counts elements in 32 bits | a number below 2**31
Lag Lead NTile Limit WindowBoundary | far | Spark counts rows in 32 bits | fewer than 2**31 rows
TableUnnest | twice | Spark takes no name that a column has |
    another name for the elements or their places
JoinLink | join | Spark has no asof and no positional join, and none takes any row | a join on keys
Sample RandomScalar TimestampNow DateNow | | each run gives something else |
    hexdigest('md5') of a key, or the largest instant of the data
JSONGetItem UnwrapJSONString UnwrapJSONInt64 UnwrapJSONFloat64 UnwrapJSONBoolean | | quotes and
    errors differ | the fields of a Source, or portable.unnest_json(text, 'key')
Literal | too_large | no engine has such a decimal | a number of at most 38 digits
ScalarSubquery | rows | of more than one row it stops | an aggregate of the rows, such as max()
Literal | no_text | what is not UTF-8 can be stored nowhere | a text of letters
InMemoryTable | | nulls and large integers arrive changed on Spark | a Source
ScalarUDF AggUDF | | it runs on one engine, or not alike on both | Ibis operations
Mode | | only DuckDB has it | portable.mode(rows, 'column', by=['group'])
ExtractIsoYear | | only DuckDB has it | portable.iso_year(day)
ToJSONArray ToJSONMap | | only DuckDB has it | the fields of a Source, or portable.unnest_json(text)
ArrayMode | | only DuckDB has it | unnest(), and portable.mode(rows, 'column', by=['key'])
TimestampBucket | | only DuckDB has it | truncate('h'), and for each quarter of an hour
    instant.truncate('h') + (instant.minute() // 15 * 15).as_interval('m')
FindInSet | | only DuckDB has it | text.cases(('a', 0), ('b', 1), else_=-1)
RandomUUID RowID | | only DuckDB has it | a key, or hexdigest('md5') of it
BitAnd BitOr BitXor Kurtosis StringToTime TimeFromHMS TimestampFromYMDHMS TypeOf | | only DuckDB has
    it | other operations
"""
"""Operations | the condition that makes them wrong, below | why | what to use instead."""

_OTHER_TYPE = "a decimal that stands in it is of another type than it takes"


class Refusal(NamedTuple):
    """Operations that engines read differently, or do where the condition is true."""

    operations: tuple[type, ...]
    is_wrong: Condition
    why: str
    instead: str
    is_always: bool


def findings(expression: ir.Table) -> list[str]:
    """Return a sentence per operation that engines read differently: what, why, what instead.

    What depends on the rows is beyond it: whether a number is too large, or a computed start of
    `substr` is negative. Whether an order is total `order.ties` tells.
    """
    root = expression.op()
    if without := _without_type(root):
        return without
    found = {sentence for place in _places(root) for sentence in _wrong(place)}
    return sorted({*found, *misplaced(root)})


def _without_type(root: Any) -> list[str]:
    """Return a sentence per operation for which Ibis finds no type, which it looks for late."""
    found = []
    for node in root.find(ops.Value):
        try:
            exact_node(node)
        except ZeroDivisionError:
            found.append(f"{type(node).__name__}: nothing is divided by 0. Use whole.nullif(0).")
        except (IbisError, ValidationError) as error:
            why = str(error).partition("\n")[0] if isinstance(error, IbisError) else _OTHER_TYPE
            found.append(
                f"{type(node).__name__}: {why}. Use values of one type, such as decimals that a "
                "cast gives one size."
            )
    return sorted({*found})


def _wrong(place: Place) -> list[str]:
    """Return what is known to differ, else that an operation has not been compared."""
    known = [
        f"{_name(place.node)}: {rule.why}. Use {rule.instead}."
        for rule in _refusals_of(type(place.node))  # type: ignore[arg-type]  # a class has a hash
        if rule.is_wrong(place)
    ]
    if known or not isinstance(place.node, ops.Value | ops.Relation) or is_allowed(place.node):
        return known
    instead = instead_of(place.node) or (
        "operations of the page What you may write, or propose it as CONTRIBUTING.md says"
    )
    return [f"{described(place.node)} is not yet proven equal on all engines. Use {instead}."]


@cache
def _refusals_of(operation: type) -> list[Refusal]:
    return [rule for rule in REFUSED if issubclass(operation, rule.operations)]


def _places(root: Any) -> Iterator[Place]:
    todo, seen = [Place(root, None, frozenset())], set()
    while todo:
        place = todo.pop()
        if place in seen:
            continue
        seen.add(place)
        yield place
        node, gates = place.node, place.gates
        children, branches = _children(node)
        todo += [Place(result, node, gates | {*conjuncts([case])}) for case, result in branches]
        for child in children:
            todo.append(Place(child, node, gates if isinstance(child, ops.Value) else frozenset()))


def _children(node: Any) -> tuple[Iterable[Any], Iterable[tuple[Any, Any]]]:
    """Return what is always computed, and pairs of a case and what is computed only then."""
    if isinstance(node, ops.SearchedCase):
        return (*node.cases, node.default), zip(node.cases, node.results, strict=True)
    if isinstance(node, ops.IfElse):
        return (node.bool_expr, node.false_null_expr), [(node.bool_expr, node.true_expr)]
    if isinstance(node, ops.WindowBoundary):
        return (), ()  # its window judges it: of intervals Ibis casts a 0 to one
    if isinstance(node, ops.Cast | ops.TryCast):
        return (node.arg, *_casts_of_parts(node)), ()
    return node.__children__, ()


def _casts_of_parts(cast: ops.Cast | ops.TryCast) -> Iterator[ops.Value]:
    """Yield a cast for each part of a list, a struct or a map, as its cast computes one."""
    kind, to = true_type(cast.arg), cast.to
    if kind.is_struct() and to.is_struct():
        pairs = [(kind[name], to[name]) for name in to.names if name in kind]
    else:
        pairs = [*zip(parts_of(kind), parts_of(to), strict=False)]
    for part, other in pairs:
        if nullable(part) != nullable(other):
            element = ops.Argument(f"part of {cast.arg.name}", cast.arg.shape, part)
            yield type(cast)(element, other)


def _name(node: Any) -> str:
    kind, name = type(node).__name__, getattr(node, "name", "").replace("\n", " ")
    shown = name if name.startswith(kind) else f"{kind} {name}".rstrip()
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _refusals() -> Iterator[Refusal]:
    text = _TABLE.replace("REGEX", "RegexSearch RegexExtract RegexReplace RegexSplit")
    for line in text.replace("\n    ", " ").strip().splitlines():
        kinds, name, why, instead = (part.strip() for part in line.split("|"))
        operations = tuple(getattr(ops, kind) for kind in kinds.split())
        yield Refusal(operations, condition(name), why, instead, is_always=not name)


REFUSED = tuple(_refusals())
"""All of them, in the order of the table."""
