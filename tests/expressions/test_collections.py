"""Lists, maps and quantiles mean on both engines what plain Python works out, on nasty values."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro import portable
from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
NAN = math.nan
LISTS = [[], [1, None, 2, 1], [None], [2, 1, 1], None, [None, None, 3]]
OTHERS = [[1], [1, None], [], [1, 1, 3], [1], [None]]
FLOATS = [[0.0, NAN], [-0.0, 1.0, None], [NAN, NAN], [], None, [0.0, -0.0, NAN, NAN]]
NESTED = [[[1], [2, 3]], [[1], None, []], [None], [], None, [[None], [], [1, None]]]
TIMES = [0, 2, -1, 3, 2, None]
MAPS = [[("b", 1), ("a", None)], [], None, [("", 5)], [("é", 7), ("Z", 2**62)], [("a", 0)]]
LATER = [[("c", 1), ("a", 9)], [("é", None)], [], None, [("é", 1)], [("a", None)]]
KEYS = ["a", "b", "a", None, "é", ""]
NUMBERED = [[(2, "x"), (-1, None)], [], None, [(0, "")], [(2**62, "z")], [(1, "q")]]
SCHEMA = ibis.schema(
    {
        "i": "int64",
        "xs": "array<int64>",
        "ys": "array<int64>",
        "fs": "array<float64>",
        "nested": "array<array<int64>>",
        "n": "int64",
        "m": "map<string, int64>",
        "later": "map<string, int64>",
        "key": "string",
        "numbered": "map<int64, string>",
    }
)
T = ibis.table(SCHEMA, name="rows")
VALUES = [range(6), LISTS, OTHERS, FLOATS, NESTED, TIMES, MAPS, LATER, KEYS, NUMBERED]
ROWS = pa.table(
    {
        name: pa.array(values, SCHEMA[name].to_pyarrow())
        for name, values in zip(SCHEMA, VALUES, strict=True)
    }
)


def each(of: Callable[..., Any], *columns: list[Any]) -> list[Any]:
    """Return what Python makes of each row, null of null."""
    return [None if None in row else of(*row) for row in zip(*columns, strict=True)]


def got(of: Callable[[dict[Any, Any]], Any]) -> list[Any]:
    return [None if found is None else of(dict(found)) for found in MAPS]


def merged(left: Any, right: Any) -> list[Any]:
    return sorted((dict(left) | dict(right)).items())


def in_order(found: Any) -> list[Any]:
    return [value for _, value in sorted(found)]


MEANT: dict[str, tuple[ir.Value, list[Any]]] = {
    "unique": (T.xs.unique(), each(lambda xs: [*dict.fromkeys(xs)], LISTS)),
    "union": (T.xs.union(T.ys), each(lambda xs, ys: [*dict.fromkeys(xs + ys)], LISTS, OTHERS)),
    "intersect": (
        T.xs.intersect(T.ys),
        each(lambda xs, ys: [x for x in dict.fromkeys(xs) if x in ys], LISTS, OTHERS),
    ),
    "intersect in a map": (
        T.nested.map(lambda xs: xs.intersect(T.ys).length()),
        [[1, 0], [1, None, 0], [None], [], None, [1, 0, 1]],
    ),
    "NaN and -0.0 once": (T.fs.unique().length(), [2, 3, 1, 0, None, 2]),
    "NaN and -0.0 shared": (
        T.fs.intersect(ibis.array([NAN, 0.0])).length(),
        [2, 1, 1, 0, None, 2],
    ),
    "flatten": (
        T.nested.flatten(),
        each(lambda nested: [x for xs in nested if xs is not None for x in xs], NESTED),
    ),
    "flatten of splits": (
        ibis.array([T.key, "b,c"]).map(lambda text: text.split(",")).flatten(),
        [[*([key] if key is not None else []), "b", "c"] for key in KEYS],
    ),
    "repeat": (T.xs.repeat(T.n), each(lambda xs, n: xs * n, LISTS, TIMES)),
    "repeat of lists": (T.nested.repeat(2), each(lambda nested: nested * 2, NESTED)),
    "zip": (
        T.xs.zip(T.ys).map(lambda pair: pair["f2"]),
        each(lambda xs, ys: ys + [None] * (len(xs) - len(ys)), LISTS, OTHERS),
    ),
    "slice of lists": (T.nested[:1].length(), each(lambda nested: len(nested[:1]), NESTED)),
    "concat of lists": (T.nested.concat(T.nested), each(lambda nested: nested * 2, NESTED)),
    "range": (ibis.range(T.n), each(lambda n: [*range(n)], TIMES)),
    "range of days": (
        ibis.range(
            ibis.literal(datetime(2024, 2, 28, tzinfo=UTC)) + T.n.as_interval("D"),
            ibis.literal(datetime(2024, 3, 1, tzinfo=UTC)),
            ibis.interval(days=1),
        ).map(lambda at: at.day()),
        [[28, 29], [], [27, 28, 29], [], [], None],
    ),
    "keys": (T.m.keys(), each(lambda m: sorted(dict(m)), MAPS)),
    "values": (T.m.values(), each(in_order, MAPS)),
    "values of numbers": (T.numbered.values(), each(in_order, NUMBERED)),
    "length": (T.m.length() - 3, each(lambda m: len(m) - 3, MAPS)),
    "get": (T.m["a"], got(lambda m: m.get("a"))),
    "get or": (T.m.get("a", -1), got(lambda m: m.get("a", -1))),
    "get or of a column": (T.m.get(T.key, T.n), [None, 2, None, 3, 7, None]),
    "contains": (T.m.contains(T.key), each(lambda m, key: key in dict(m), MAPS, KEYS)),
    "merge": ((T.m + T.later).keys(), each(lambda a, b: [k for k, _ in merged(a, b)], MAPS, LATER)),
    "merged values": (
        (T.m + T.later).values(),
        each(lambda a, b: [value for _, value in merged(a, b)], MAPS, LATER),
    ),
    "made": (
        ibis.map(T.m.keys(), T.m.keys().map(lambda key: key + "!"))["a"],
        got(lambda m: "a!" if "a" in m else None),
    ),
    "made of literals": (ibis.map({"b": 1, "a": 2}).keys(), [["a", "b"]] * 6),
    "empty": (ibis.literal({}, "map<string, int64>").length() + T.i, [*range(6)]),
    "chosen": (ibis.ifelse(T.n > 1, T.m, T.later).length(), [2, 0, 0, 1, 2, 1]),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_lists_and_maps_mean(name: str, on_duckdb: Run, on_spark: Run) -> None:
    value, wanted = MEANT[name]
    query = T.select("i", v=value)
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted


@pytest.mark.parametrize("keys", [["a", "a"], ["a", None]])
def test_a_key_that_is_null_or_there_twice_stops(keys: list[str | None], run: Run) -> None:
    query = T.select(v=ibis.map(ibis.array([*keys, T.key])[0:2], ibis.array([1, 2])))
    assert findings(query) == []
    with pytest.raises(Exception, match=r"(?i)map.key"):
        run(query, ROWS)


SHARES = [0.0, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 1.0]
DAYS = [date(2024, 1, day) for day in (9, 3, 3, 7, 1, 30, 12, 8, 8, 4)]
SORTED: dict[str, list[Any]] = {
    "date": [*DAYS, None],
    "timestamp('UTC', 6)": [datetime(2024, 1, 1, 0, 0, 0, n, UTC) for n in (5, 3, 1)],
    "string": ["é", "z", "Z", None, "", "a"],
}


def first_not_below(share: float, values: list[Any]) -> Any:
    given = sorted(value for value in values if value is not None)
    place = Fraction(share).limit_denominator(1000) * len(given)
    return given[max(math.ceil(place), 1) - 1]


@pytest.mark.parametrize("kind", SORTED)
def test_a_quantile_of_what_is_no_number_is_one_of_the_values(
    kind: str, on_duckdb: Run, on_spark: Run
) -> None:
    values = SORTED[kind]
    t = ibis.table({"x": kind}, name="rows")
    rows = pa.table({"x": pa.array(values, t.x.type().to_pyarrow())})
    for query, wanted in [
        (t.agg(v=t.x.quantile(SHARES)), [first_not_below(share, values) for share in SHARES]),
        (t.agg(v=t.x.median()), first_not_below(0.5, values)),
        (t.agg(v=t.x.quantile(0.5, where=t.x.isnull())), None),
    ]:
        assert findings(query) == []
        assert on_duckdb(query, rows) == on_spark(query, rows) == [wanted]


def test_a_quantile_computes_only_what_counts(on_duckdb: Run, on_spark: Run) -> None:
    day = ibis.date(T.n + 2024, 1, T.n)
    query = T.agg(v=day.quantile([0.0, 1.0], where=T.n > 1))
    assert findings(query) == []
    wanted = [[date(2026, 1, 2), date(2027, 1, 3)]]
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted


def test_a_quantile_of_decimals_is_that_of_the_nearest_floats(
    on_duckdb: Run, on_spark: Run
) -> None:
    values = [Decimal(each) for each in ("9007199254740993.01", "0.01", "-5.50", "7.00")]
    t = ibis.table({"x": "decimal(18, 2)"}, name="rows")
    rows = pa.table({"x": pa.array([*values, None], pa.decimal128(18, 2))})
    query = t.agg(v=t.x.quantile([0.0, 0.5, 1.0]).concat(ibis.array([t.x.median() * 2])))
    assert findings(query) == []
    wanted = [-5.5, 0.01 + (7.0 - 0.01) * 0.5, float(values[0]), (0.01 + (7.0 - 0.01) * 0.5) * 2]
    assert on_duckdb(query, rows) == on_spark(query, rows) == [wanted]


def test_quantiles_of_decimals_are_floats_to_what_looks_for_a_decimal() -> None:
    t = ibis.table({"x": "decimal(18, 2)"}, name="rows")
    quantiles = t.mutate(q=t.x.quantile([0.0, 0.5]).over(ibis.window()))
    for query in (
        quantiles.select(v=quantiles.q.contains(quantiles.x)),
        t.select(v=t.x.quantile([0.0, 0.5]).over(ibis.window()).remove(t.x)),
    ):
        assert any("with a value of another type" in said for said in findings(query))


def test_a_condition_with_or_is_one(on_duckdb: Run, on_spark: Run) -> None:
    query = T.agg(v=T.n.collect(where=(T.i == 4) | (T.n.fill_null(-9) < 0)).sort())
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == [[-1, 2]]


def as_struct(m: Any) -> Any:
    return ibis.struct({"keys": m.keys(), "values": m.values()})


PARTS = T.select("i", part=T.xs.unnest())
INSTEAD: dict[str, tuple[ir.Table, list[Any]]] = {
    "a map as a key": (
        T.group_by(key=as_struct(T.m)).agg(i=T.i.max(), v=T.count()).select("i", "v"),
        [1] * 6,
    ),
    "modes": (
        portable.mode(PARTS, "part", by=["i"]).select("i", v="part"),
        [1, None, 1, 3],
    ),
    "a calendar of months": (
        T.select(
            "i",
            v=ibis.range(T.n).map(
                lambda each: (
                    ibis.literal(datetime(2024, 1, 31, tzinfo=UTC)) + each.as_interval("M")
                ).day()
            ),
        ),
        [[], [31, 29], [], [31, 29, 31], [31, 29], None],
    ),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_what_refusals_say_to_write_instead(name: str, on_duckdb: Run, on_spark: Run) -> None:
    query, wanted = INSTEAD[name]
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted
