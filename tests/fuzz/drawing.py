"""Expressions of random operations, drawn from the list of what may be written."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import product
from random import Random
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.expressions.portability.allowed import ALLOWED, Argument, Entry
from streampro.expressions.portability.families import family_of
from streampro.expressions.types import holds

COLUMNS: dict[str, str] = {
    "b": "boolean",
    "n": "int64",
    "m": "int64",
    "k": "int32",
    "h": "int16",
    "t": "int8",
    "x": "float64",
    "y": "float64",
    "p": "decimal(12, 2)",
    "q": "decimal(18, 4)",
    "r": "decimal(38, 10)",
    "s": "string",
    "w": "string",
    "d": "date",
    "at": "timestamp('UTC', 6)",
    "due": "timestamp('UTC', 6)",
    "ns": "array<int64>",
    "ws": "array<string>",
    "fs": "array<float64>",
    "bs": "array<boolean>",
    "ls": "array<array<int64>>",
    "ps": "struct<a: int64, b: string>",
    "ms": "map<string, int64>",
}
"""Of the nasty table, beside the key `i`."""
TYPES: dict[str, dt.DataType] = {
    "boolean": dt.boolean,
    "integer": dt.int64,
    "float": dt.float64,
    "decimal": dt.Decimal(12, 2),
    "text": dt.string,
    "date": dt.date,
    "instant": dt.Timestamp("UTC", 6),
}
CASTS: dict[str, list[dt.DataType]] = {
    "integer": [dt.int64, dt.int32, dt.int16, dt.int8],
    "decimal": [dt.Decimal(12, 2), dt.Decimal(5, 1), dt.Decimal(38, 0), dt.Decimal(38, 20)],
    "instant": [dt.Timestamp("UTC", 6), dt.Timestamp("UTC"), dt.Timestamp("UTC", 3)],
}
"""What a value may be cast to, where there is more than one type of a family."""
FAMILIES = (*TYPES, "list", "nested", "struct", "map")
LITERALS: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, 1, 2, 3, 7, 60, -1, 1000, 2**40],
    "float": [0.0, 0.5, 1.0, 60.0, 0.1, -2.5, 0.001, 1e10],
    "decimal": [Decimal("0.05"), Decimal("1.00"), Decimal("-3.50")],
    "text": ["", "a", "ab", "é", "Z", " "],
    "date": [date(2024, 2, 29), date(2023, 12, 31), date(1970, 1, 1)],
    "instant": [datetime(2024, 2, 29, 23, 59, 59, 999999, UTC), datetime(1970, 1, 1, tzinfo=UTC)],
    "null": [None],
}
NESTED: dict[str, list[ops.Literal]] = {
    "list": [
        ops.Literal((), dt.dtype("array<int64>")),
        ops.Literal((3, None, 1), dt.dtype("array<int64>")),
        ops.Literal(("é", "a"), dt.dtype("array<string>")),
    ],
    "nested": [ops.Literal(((), (1, 2)), dt.dtype("array<array<int64>>"))],
    "struct": [ops.Literal({"a": 1, "b": "é"}, dt.dtype(COLUMNS["ps"]))],
    "map": [
        ops.Literal({}, dt.dtype("map<string, int64>")),
        ops.Literal({"a": 3, "é": None}, dt.dtype("map<string, int64>")),
    ],
}
INTERVALS = [
    *(ops.Literal(number, dt.Interval(unit)) for number in (1, 3, 72) for unit in "DhM"),
    ops.Literal(4_000_000, dt.Interval("D")),
    ops.Literal(99_999_999_999_999, dt.Interval("ms")),
    ops.Literal(9_007_199_254_740_993, dt.Interval("us")),
]
_PATTERNS = ["[0-9]+", "^a", r"[a-z]\z", "(a)(b)?", "[^a]", "a|b", "(?s).", r"\A[0-9]+\z"]
_UNITS = ["Y", "Q", "M", "W", "D"]
OPTIONS: dict[tuple[str, str], list[Any]] = {
    ("*", "how"): ["sample", "pop"],
    ("*", "include_null"): [False],
    ("*", "distinct"): [False, True],
    ("*", "order_by"): [()],
    ("*", "escape"): [None],
    ("StructField", "field"): ["a", "b"],
    ("DateTruncate", "unit"): _UNITS,
    ("TimestampTruncate", "unit"): [*_UNITS, "h", "m", "s", "ms", "us"],
    ("IntervalFromInteger", "unit"): ["Y", "M", "W", "D", "h", "m", "s", "ms", "us"],
    ("HexDigest", "how"): ["md5", "sha256"],
}
"""What stands in the arguments of an operation that are no values."""
DIVISIONS = ("Divide", "FloorDivide", "Modulus")
WORDS: dict[tuple[str, str], list[Any]] = {
    ("*", "pattern"): _PATTERNS,
    ("DateFromYMD", "year"): [2024, 2023, 1970, 0, 10_000],
    ("DateFromYMD", "month"): [1, 2, 12, 13, 0],
    ("DateFromYMD", "day"): [1, 28, 29, 31, 0],
    ("StringReplace", "pattern"): ["a", "é", " ", ""],
    ("StringSQLLike", "pattern"): ["a%", "%é_", "_", ""],
    ("RegexReplace", "replacement"): ["", "-", "é"],
    ("*", "delimiter"): [",", " ", "a", "ab"],
    ("*", "pad"): ["0", " ", "é"],
    ("Strftime", "format_str"): ["%Y-%m-%d", "%Y%m%d %H:%M:%S.%f", "%d.%m.%Y"],
    ("DateDelta", "part"): ["day", "week", "month"],
    ("TimestampDelta", "part"): ["microsecond", "day", "week", "second"],
    ("*", "quantile"): [0.0, 0.1, 0.25, 0.5, 0.9, 1.0],
    ("*", "sep"): [",", ""],
    ("*", "digits"): [0, 1, 2, -1],
    ("*", "times"): [0, 1, 3, -1],
    ("*", "length"): [0, 1, 5, -1],
    ("*", "buckets"): [1, 2, 3],
    ("*", "offset"): [0, 1, 2],
    ("*", "index"): [0, 1, 2],
    ("*", "from_str"): ["abc", "é"],
    ("*", "to_str"): ["xyz", "e"],
    ("IntegerRange", "start"): [0, 2, -1],
    ("IntegerRange", "stop"): [0, 3, -4],
    ("IntegerRange", "step"): [1, 2, -1, 0],
    ("RegexExtract", "index"): [0, 1, 2],
    ("Power", "right"): [0, 1, 2, 3],
    **{(name, "right"): [1, 3, 60, -7] for name in DIVISIONS},
    ("BitwiseLeftShift", "right"): [0, 1, 5],
    ("BitwiseRightShift", "right"): [0, 1, 5, 63, 64],
}
"""Literals that mean something in an argument."""
SMALL = {
    *(("Repeat", 1), ("LPad", 1), ("RPad", 1), ("IntervalFromInteger", 0)),
    *(("ArrayRepeat", 1), ("IntegerRange", 0), ("IntegerRange", 1)),
}
"""Arguments that are drawn between -2 and 9 only: texts and lists would fill the memory, and of
numbers of months beyond all calendars it depends on the plan of a query whether they are computed.
"""
_STRUCTURE = {
    *("Field", "Literal", "Alias", "SortKey", "Argument", "WindowFunction", "WindowBoundary"),
    *("ExistsSubquery", "ScalarSubquery", "InSubquery", "Unnest", "ArrayMap", "ArrayFilter"),
    *("JsonElements", "TimestampRange"),
}
"""Operations that are drawn in ways of their own, stand in relations, or fill the memory."""
ATTEMPTS = 8
"""To make an operation of what is drawn for it, before another takes its place."""


def is_across_rows(operation: type) -> bool:
    return issubclass(operation, ops.Reduction | ops.Analytic)


@cache
def producers(family: str, kind: str) -> tuple[Entry, ...]:
    """Return the entries whose result is of a family, of `values`, `aggregates` or `analytics`."""
    of = {"aggregates": ops.Reduction, "analytics": ops.Analytic}
    return tuple(
        entry
        for entries in ALLOWED.values()
        for entry in entries
        if entry.operation.__name__ not in _STRUCTURE
        and (
            not is_across_rows(entry.operation)
            if kind == "values"
            else issubclass(entry.operation, of[kind])
        )
        and family in _results(entry)
    )


@cache
def _results(entry: Entry) -> set[str]:
    """Return the families of what an entry makes of plain columns."""
    if entry.operation is ops.CountStar:
        return {"integer"}
    row = ibis.table({"i": "int64"} | COLUMNS, name="rows").op()
    of: dict[str, list[ops.Value]] = {}
    for name in row.schema:
        of.setdefault(family_of(row.schema[name]), []).append(ops.Field(row, name))
    made = set()
    for families in product(*(_drawable(argument) for argument in entry.arguments)):
        choices = [
            of[family]
            if family in of and not argument.is_literal
            else [literal_of(entry, at, family)]
            for at, (argument, family) in enumerate(zip(entry.arguments, families, strict=True))
        ]
        for arguments in product(*choices):
            parts = [
                [value] * 2 if argument.times == "*" else [value]
                for value, argument in zip(arguments, entry.arguments, strict=True)
            ]
            made |= {family_of(node.dtype) for node in _built(entry, parts, None)}
    return made


def _drawable(argument: Argument) -> list[str]:
    return [each for each in argument.families if each in {*FAMILIES, "null", "interval"}]


def literal_of(entry: Entry, at: int, family: str, choose: Callable[..., Any] | None = None) -> Any:
    """Return a literal for an argument of an entry."""
    names = _value_names(entry.operation)
    name = names[min(at, len(names) - 1)] if names else ""
    operation = entry.operation.__name__
    given = WORDS.get((operation, name)) or WORDS.get(("*", name))
    fits = [each for each in given or () if family_of(ibis.literal(each).type()) == family]
    choices = fits or LITERALS.get(family) or [None]
    value = choose(choices) if choose else choices[0]
    if family == "interval":
        return INTERVALS[0]
    if operation == "MultiQuantile" and family == "list":
        return ops.Literal((0.25, 0.5), dt.Array(dt.float64))
    if family in NESTED:
        return choose(NESTED[family]) if choose else NESTED[family][0]
    kind = dt.null if family == "null" else TYPES[family]
    return ops.Literal(value, kind)


def _value_names(operation: type) -> list[str]:
    skipped = {"where", "order_by"} if issubclass(operation, ops.Reduction) else set()
    options = {name for kind, name in OPTIONS if kind in ("*", operation.__name__)}
    return [name for name in operation.__signature__.parameters if name not in skipped | options]


def _built(*given: Any) -> list[ops.Value]:
    """Return the operation of an entry with these arguments, nothing if Ibis refuses them."""
    try:
        made = list(_attempted(*given))
        return [each for each in made if each.dtype]
    except Exception:
        return []


def _attempted(
    entry: Entry, parts: list[list[Any]], choose: Callable[..., Any] | None, where: Any = None
) -> Iterator[ops.Value]:
    operation = entry.operation
    name = operation.__name__
    given: dict[str, Any] = {}
    for option in operation.__signature__.parameters:
        if choices := OPTIONS.get((name, option)) or OPTIONS.get(("*", option)):
            given[option] = choose(choices) if choose else choices[0]
    if issubclass(operation, ops.Reduction):
        given["where"] = where
    names = [each for each in _value_names(operation) if each not in given]
    flat = [part for each in parts for part in each]
    if name in ("Cast", "TryCast"):
        families = entry.result or ()
        known = [each for each in families if each in TYPES]
        wanted = [kind for each in known for kind in CASTS.get(each, [TYPES[each]])]
        yield operation(flat[0], (choose or (lambda them: them[0]))(wanted))
    elif name in ("SearchedCase", "SimpleCase"):
        yield _case(name, parts)
    elif name == "StructColumn":
        yield ops.StructColumn([*"abcd"[: len(flat)]], flat)
    elif len(names) == 1 and any(argument.times == "*" for argument in entry.arguments):
        yield operation(tuple(flat))
    elif any(argument.times == "*" for argument in entry.arguments):
        yield operation(parts[0][0], tuple(parts[1]))
    else:
        values = [
            None if not part or (of.times == "?" and part[0].dtype.is_null()) else part[0]
            for part, of in zip(parts, entry.arguments, strict=True)
        ]
        yield operation(**dict(zip(names, values, strict=False)), **given)


def _case(name: str, parts: list[list[Any]]) -> ops.Value:
    tests, results = parts
    if name == "SearchedCase":
        tests = [each if each.dtype.is_boolean() else ops.NotNull(each) for each in tests]
        number = min(len(tests), len(results) - 1)
        return ops.SearchedCase(tests[:number], results[:number], results[-1])
    number = min(len(tests) - 1, len(results) - 1)
    return ops.SimpleCase(tests[0], tests[1 : number + 1], results[:number], results[-1])


def value(random: Random, relation: ops.Relation, family: str, depth: int) -> ops.Value:
    """Return a value of a row, of a family, out of so many operations above each other."""
    made = operation(random, relation, family, depth, "values") if depth else None
    return made or leaf(random, relation, family)


def leaf(random: Random, relation: ops.Relation, family: str) -> ops.Value:
    names = [name for name, kind in relation.schema.items() if family_of(kind) == family]
    if names and random.randrange(4):
        return ops.Field(relation, random.choice(names))
    if family in TYPES:
        return ops.Literal(random.choice([*LITERALS[family], None]), TYPES[family])
    if family == "interval":
        return random.choice(INTERVALS)
    return random.choice(NESTED[family])


def operation(
    random: Random, relation: ops.Relation, family: str, depth: int, kind: str
) -> ops.Value | None:
    """Return an operation of a family and a kind, each as likely as another; None where there is
    none, or none can be made of what was drawn.
    """
    choices: dict[str, list[Entry]] = {}
    for entry in producers(family, kind):
        choices.setdefault(entry.operation.__name__, []).append(entry)
    for _ in range(ATTEMPTS if choices else 0):
        entry = random.choice(choices[random.choice([*choices])])
        made = of_entry(random, relation, entry, depth)
        if made is not None and family_of(made.dtype) == family and _can_be_stored(made.dtype):
            return made
    return None


def _can_be_stored(kind: dt.DataType) -> bool:
    """Tell whether the type of each part is known; of lists and structs of nulls it is not."""
    return not holds(kind, dt.DataType.is_null)


def of_entry(random: Random, relation: ops.Relation, entry: Entry, depth: int) -> ops.Value | None:
    """Return the operation of an entry; None where none can be made of what was drawn."""
    parts = [
        _part(random, relation, entry, at, argument, depth - 1)
        for at, argument in enumerate(entry.arguments)
    ]
    where = None
    if issubclass(entry.operation, ops.Reduction) and random.randrange(2):
        where = value(random, relation, "boolean", min(depth - 1, 1))
    if entry.operation is ops.CountStar:
        return ops.CountStar(relation, where)
    made = _built(entry, _defined(entry, parts, random), random.choice, where)
    return _guarded(made[0]) if made else None


def _guarded(made: ops.Value) -> ops.Value:
    if not isinstance(made, ops.Sqrt):
        return made
    is_defined = ops.GreaterEqual(made.arg, ops.Literal(0, dt.int64))
    return ops.SearchedCase([is_defined], [made], ops.Literal(None, dt.float64))


def _defined(entry: Entry, parts: list[list[ops.Value]], random: Random) -> list[list[ops.Value]]:
    """Return arguments for which an operation is defined, of those that it would be refused for."""
    name = entry.operation.__name__
    if name in DIVISIONS:
        whole, [by] = parts
        literal = literal_of(entry, 1, "integer", random.choice)
        return [whole, [random.choice([literal, ops.NullIf(by, ops.Literal(0, dt.int64))])]]
    if name == "Quantile":
        return [parts[0], [literal_of(entry, 1, "float", random.choice)]]
    return parts


def _part(
    random: Random, relation: ops.Relation, entry: Entry, at: int, argument: Argument, depth: int
) -> list[ops.Value]:
    """Return what stands in one argument; alternatives of many are of one family."""
    least, most = {"": (1, 1), "?": (0, 1), "*": (1, 3)}[argument.times]
    family = random.choice(_drawable(argument))

    def one() -> ops.Value:
        is_told = entry.operation is ops.DateFromYMD and random.randrange(2)
        if argument.is_literal or family == "null" or is_told:
            return literal_of(entry, at, family, random.choice)
        made = value(random, relation, family, random.randint(0, max(depth, 0)))
        is_small = (entry.operation.__name__, at) in SMALL
        if not is_small:
            return made
        return literal_of(entry, at, family, random.choice) if random.randrange(2) else small(made)

    return [one() for _ in range(random.randint(least, most))]


def small(number: ops.Value) -> ops.Value:
    return ops.Clip(number, ops.Literal(-2, dt.int64), ops.Literal(9, dt.int64))


def row_value(random: Random, relation: ops.Relation, depth: int) -> ir.Value:
    """Return a value that follows from a row alone."""
    made = None
    while made is None:
        made = _any(random, relation, FAMILIES, depth, "values")
    return made.to_expr()


def key(random: Random, relation: ops.Relation, depth: int) -> ir.Value:
    """Return a value that rows can be grouped by."""
    made = None
    while made is None:
        made = _any(random, relation, [*TYPES], depth, "values")
    return made.to_expr()


def aggregate(random: Random, relation: ops.Relation, depth: int) -> ir.Value:
    """Return an aggregate, or a value that is computed from some."""

    def one(families: Sequence[str]) -> ops.Value | None:
        made = _any(random, relation, families, depth, "aggregates")
        return made and in_order(made)

    return _alone_or_computed_from(random, relation, one).to_expr()


def in_order(aggregate: ops.Value) -> ops.Value:
    """Return an aggregate; what is collected has no order but one by its values."""
    return ops.ArraySort(aggregate) if isinstance(aggregate, ops.ArrayCollect) else aggregate


def window(random: Random, relation: ops.Relation, depth: int) -> ir.Value:
    """Return a function over a window, or a value that is computed from some."""

    def one(families: Sequence[str]) -> ops.Value | None:
        kind = random.choice(["aggregates", "analytics"])
        made = _any(random, relation, families, depth, kind)
        return made and over(random, relation, made)

    return _alone_or_computed_from(random, relation, one).to_expr()


def over(random: Random, relation: ops.Relation, function: ops.Value) -> ops.Value:
    """Return a function over a window whose order is total by the key `i`."""
    names = [name for name, kind in relation.schema.items() if family_of(kind) in TYPES]
    keys = [*random.sample(names, random.randint(0, 2)), "i"]
    is_whole = isinstance(function, ops.Reduction) and random.randrange(2)
    by = random.choice(["", "b", "k"])
    return ops.WindowFunction(
        function,
        group_by=[ops.Field(relation, by)] if by else [],
        order_by=[] if is_whole else [_sort_key(random, relation, key) for key in keys],
    )


def _sort_key(random: Random, relation: ops.Relation, name: str) -> ops.SortKey:
    column = ops.Field(relation, name)
    return ops.SortKey(column, bool(random.randrange(2)), bool(random.randrange(2)))


def _alone_or_computed_from(
    random: Random, relation: ops.Relation, one: Callable[[Sequence[str]], ops.Value | None]
) -> ops.Value:
    while True:
        if random.randrange(2):
            made = one(FAMILIES)
        else:
            made = computed_from(random, relation, lambda kind: one([family_of(kind)]))
        if made is not None:
            return made


def condition(random: Random, relation: ops.Relation, depth: int) -> ir.Value:
    """Return a condition in which functions over windows stand beside columns."""

    def one(kind: dt.DataType) -> ops.Value | None:
        family = family_of(kind)
        made = operation(
            random, relation, family, depth, random.choice(["aggregates", "analytics"])
        )
        if made is None or random.randrange(3) == 0:
            return leaf(random, relation, family)
        return over(random, relation, made)

    made = None
    while made is None or not made.find(ops.WindowFunction, ops.Value):
        made = computed_from(random, relation, one, ["boolean"])
    return made.to_expr()


def computed_from(
    random: Random,
    relation: ops.Relation,
    one: Callable[[dt.DataType], ops.Value | None],
    families: Sequence[str] = FAMILIES,
) -> ops.Value | None:
    """Return a value in which others stand, one of a type each, where columns would; None where
    they do not fit.
    """
    made = _any(random, relation, families, 2, "values")
    columns = (
        sorted(made.find(ops.Field, ops.Value), key=lambda field: str(field.name)) if made else []
    )
    others = {column: one(column.dtype) for column in columns}
    if not made or not others or not all(others.values()):
        return None
    try:
        computed = made.replace(others, ops.Value)
    except Exception:
        return None
    return computed if family_of(computed.dtype) == family_of(made.dtype) else None


def _any(
    random: Random,
    relation: ops.Relation,
    families: Sequence[str],
    depth: int,
    kind: str,
) -> ops.Value | None:
    """Return an operation of any of the families; None where there is none of them."""
    for _ in range(ATTEMPTS):
        family = random.choice(families)
        made = operation(random, relation, family, random.randint(1, depth), kind)
        if made is not None:
            return made
    return None
