"""Decimals have on both engines the digits that Python's have, and the type that these need."""

from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.expressions.decimals import exact
from streampro.expressions.portability import findings
from streampro.testing import Workbench, assert_rows_equal

D = Decimal
LARGE = [D("9999999999999.99"), D("-9999999999999.99"), D("0.01"), D(0), None]
"""The limits of decimal(15, 2)."""
INT64 = [2**63 - 1, -(2**63), 1, 0, None]


class Case(NamedTuple):
    """An operation on columns x and y, written for Ibis and for Python alike, and its type."""

    x: tuple[str, list[Any]]
    y: tuple[str, list[Any]]
    of: Callable[[Any, Any], Any]
    kind: str


def limits(precision: int, scale: int) -> tuple[str, list[Any]]:
    largest = D(10**precision - 1).scaleb(-scale, Context(prec=80))
    return f"decimal({precision}, {scale})", [
        largest,
        largest.copy_negate(),
        D(1).scaleb(-scale),
        D(0),
        None,
    ]


def few(kind: str, *values: str) -> tuple[str, list[Any]]:
    return kind, [*map(D, values), None]


MONEY, CENT, RATE = limits(15, 2), limits(10, 2), limits(4, 2)
WIDE = few("decimal(38, 4)", "99999999999999999999.9999", "-0.0001", "7.5")
LONG = few("decimal(38, 10)", f"-{'1234567890' * 2}12345678.1234567891", "1E-10", "-1E-10", "0")
PRICES = few("decimal(15, 2)", "104949.50", "-0.05", "9999999999.99")
CASES = {
    "product": Case(MONEY, MONEY, lambda x, y: x * y, "decimal(30, 4)"),
    "product of 18 digits": Case(
        limits(18, 2), limits(18, 2), lambda x, y: x * y, "decimal(36, 4)"
    ),
    "product of 37 digits": Case(
        limits(18, 10), limits(19, 10), lambda x, y: x * y, "decimal(37, 20)"
    ),
    "product of more digits": Case(
        WIDE, few("decimal(38, 2)", "9.99", "0.01", "-2"), lambda x, y: x * y, "decimal(38, 6)"
    ),
    "price": Case(MONEY, RATE, lambda x, y: x * (1 - y) * (1 + y), "decimal(25, 6)"),
    "charge": Case(
        PRICES,
        few("decimal(15, 2)", "0.05", "0.10", "0.99"),
        lambda x, y: x * (1 - y) * (1 + y),
        "decimal(38, 6)",
    ),
    "product of three": Case(CENT, CENT, lambda x, y: x * y * y, "decimal(30, 6)"),
    "product with an integer": Case(("int64", INT64), MONEY, lambda x, y: x * y, "decimal(34, 2)"),
    "product with numbers": Case(MONEY, MONEY, lambda x, y: -2 * x * D("1.19"), "decimal(19, 4)"),
    "product beside zero": Case(MONEY, MONEY, lambda x, y: x * D("0.0010"), "decimal(18, 5)"),
    "sum": Case(limits(18, 2), limits(18, 2), lambda x, y: x + y, "decimal(19, 2)"),
    "sum of two scales": Case(CENT, limits(15, 4), lambda x, y: x + y, "decimal(16, 4)"),
    "difference": Case(limits(37, 10), limits(37, 10), lambda x, y: x - y, "decimal(38, 10)"),
    "sum of 38 digits": Case(
        few("decimal(38, 10)", "9" * 27 + ".9999999999"),
        few("decimal(38, 10)", "0.0000000001"),
        lambda x, y: x + y,
        "decimal(38, 10)",
    ),
    "sum with an integer": Case(("int64", INT64), MONEY, lambda x, y: x - y, "decimal(22, 2)"),
    "one less": Case(MONEY, MONEY, lambda x, y: 1 - y, "decimal(16, 2)"),
    "remainder": Case(
        few("decimal(15, 2)", "-7.75", "7.75", "9999999999999.99"),
        few("decimal(15, 2)", "2.50", "-0.02", "3"),
        lambda x, y: x % (y if isinstance(y, D) or y is None else y.nullif(0)),
        "decimal(15, 2)",
    ),
    "comparison": Case(CENT, limits(15, 4), lambda x, y: x < y, "boolean"),
    "comparison of products": Case(MONEY, MONEY, lambda x, y: x * y > x * D("0.0001"), "boolean"),
    "comparison with a finer number": Case(MONEY, MONEY, lambda x, y: x >= D("0.011"), "boolean"),
    "comparison with an integer": Case(("int64", INT64), MONEY, lambda x, y: y <= x, "boolean"),
    "comparison with a number of few digits": Case(
        few("decimal(38, 0)", "9" * 38, "999", "1000"),
        MONEY,
        lambda x, y: x >= D("1E+3"),
        "boolean",
    ),
    "sum with a number of few digits": Case(
        MONEY, MONEY, lambda x, y: x + D("1E+3"), "decimal(16, 2)"
    ),
    "negative": Case(MONEY, MONEY, lambda x, y: -(x * y), "decimal(30, 4)"),
    "negative of 38 digits": Case(LONG, CENT, lambda x, y: -x, "decimal(38, 10)"),
    "distance of 38 digits": Case(
        LONG, CENT, lambda x, y: x.abs() if isinstance(x, ir.Value) else abs(x), "decimal(38, 10)"
    ),
}


def table_of(case: Case) -> tuple[ir.Table, pa.Table]:
    """Return the unbound table of all pairs of values, numbered by `i`, and its rows."""
    pairs = [(x, y) for x in case.x[1] for y in case.y[1]]
    schema = ibis.schema({"i": "int64", "x": case.x[0], "y": case.y[0]})
    columns = [range(len(pairs)), *zip(*pairs, strict=True)]
    arrays = [pa.array(c, schema[n].to_pyarrow()) for n, c in zip(schema, columns, strict=True)]
    return ibis.table(schema, name="rows"), pa.table(arrays, names=list(schema))


@pytest.mark.parametrize("name", CASES)
def test_arithmetic_is_exact(
    name: str, on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> None:
    case = CASES[name]
    table, rows = table_of(case)
    query = table.select("i", v=case.of(table.x, table.y))
    assert findings(query) == []
    assert str(exact(query).schema()["v"]) == case.kind
    with localcontext(prec=100):
        expected = [computed(case, row["x"], row["y"]) for row in rows.to_pylist()]
    assert on_duckdb(query, rows) == expected
    assert on_spark(query, rows) == expected


def computed(case: Case, x: Any, y: Any) -> Any:
    try:
        return case.of(x, y)
    except TypeError:  # Python computes nothing with None, SQL null
        return None


def on_both(
    query: ir.Table, rows: pa.Table, on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> list[Any]:
    found = on_duckdb(query, rows)
    assert findings(query) == []
    assert found == on_spark(query, rows)
    return list(found)


X = [D("9999999999999.99"), D("0.05"), D("0.07"), D("-2.50"), None]
CHOICES: dict[str, tuple[Callable[[ir.Table], ir.Value], str, list[Any]]] = {
    "literals with a point are decimals": (
        lambda t: t.x.between(0.05, 0.07),
        "boolean",
        [False, True, True, False, None],
    ),
    "a literal of a decimal needs no type": (
        lambda t: t.x == D("0.05"),
        "boolean",
        [False, True, False, False, None],
    ),
    "one of several": (lambda t: t.x.isin([0.05, 1]), "boolean", [False, True, False, False, None]),
    "a product or zero": (
        lambda t: ibis.ifelse(t.x > 0, t.x * t.x, 0),
        "decimal(30, 4)",
        [D("99999999999999800000000000.0001"), D("0.0025"), D("0.0049"), D(0), D(0)],
    ),
    "the largest": (
        lambda t: ibis.greatest(t.x * D("0.5"), t.x, 0.001),
        "decimal(16, 3)",
        [*X[:3], D("0.001"), D("0.001")],
    ),
    "null for null": (
        lambda t: (t.x * 2).fill_null(0.125),
        "decimal(17, 3)",
        [2 * X[0], D("0.1"), D("0.14"), D(-5), D("0.125")],
    ),
    "rounded to more digits than it has": (lambda t: t.x.round(4), "decimal(15, 2)", X),
    "rounded": (
        lambda t: t.x.round(1),
        "decimal(15, 1)",
        [D("10000000000000.0"), D("0.1"), D("0.1"), D("-2.5"), None],
    ),
    "cast to fewer digits": (
        lambda t: (t.x * D("0.5")).cast("decimal(17, 2)"),
        "decimal(17, 2)",
        [D("5000000000000.00"), D("0.03"), D("0.04"), D("-1.25"), None],
    ),
    "as text": (
        lambda t: (t.x * D("1.5")).cast("string"),
        "string",
        ["14999999999999.985", "0.075", "0.105", "-3.750", None],
    ),
    "a sum of fewer digits": (
        lambda t: ibis.ifelse(t.x > 1, t.x, t.x.round(1).sum().over(ibis.window())),
        "decimal(38, 2)",
        [X[0], *[D("9999999999997.70")] * 4],
    ),
    "compared with a sum of fewer digits": (
        lambda t: t.x.round(1).sum().over(ibis.window()) + D("2.29") == t.x,
        "boolean",
        [True, False, False, False, None],
    ),
    "mean over a window": (
        lambda t: t.x.mean().over(ibis.window(order_by="i", preceding=1, following=0)),
        "float64",
        [9999999999999.99, 5000000000000.02, 0.06, -1.215, -2.5],
    ),
}


@pytest.mark.parametrize("name", CHOICES)
def test_what_is_chosen_has_room_for_all(
    name: str, on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> None:
    of, kind, expected = CHOICES[name]
    schema = ibis.schema({"i": "int64", "x": "decimal(15, 2)"})
    rows = pa.table({"i": range(5), "x": pa.array(X, pa.decimal128(15, 2))})
    table = ibis.table(schema, name="rows")
    query = table.select("i", v=of(table))
    assert str(exact(query).schema()["v"]) == kind
    assert on_both(query, rows, on_duckdb, on_spark) == expected


AGGREGATES: dict[str, tuple[Callable[[ir.Table], ir.Value], str, Any]] = {
    "sum": (lambda t: t.x.sum(), "decimal(38, 2)", D("9999999999997.61")),
    "sum of products": (
        lambda t: (t.x * (1 - t.x)).sum(),
        "decimal(38, 4)",
        D("-99999999999989800000000008.6475"),
    ),
    "part of a sum": (lambda t: t.x.sum() * 0.0001, "decimal(38, 6)", D("999999999.999761")),
    "compared sums": (lambda t: t.x.sum() > t.x.sum() * 0.0001, "boolean", True),
    "sum and sum": (lambda t: t.x.sum() + t.x.min(), "decimal(38, 2)", D("9999999999995.11")),
    "mean": (lambda t: t.x.mean(), "float64", 9999999999997.61 / 4),
    "mean of some": (lambda t: t.x.mean(where=t.x < 1), "float64", -2.38 / 3),
    "mean of none": (lambda t: t.x.mean(where=t.x < -9), "float64", None),
    "part of a mean": (lambda t: 0.2 * t.x.mean(where=t.x < 1), "float64", 0.2 * (-2.38 / 3)),
    "mean of products": (lambda t: (t.x * 3).mean(where=t.x < 0), "float64", -7.5),
}


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_are_exact(
    name: str, on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> None:
    of, kind, expected = AGGREGATES[name]
    rows = pa.table({"x": pa.array(X, pa.decimal128(15, 2))})
    query = ibis.table({"x": "decimal(15, 2)"}, name="rows").aggregate(v=of)
    assert str(exact(query).schema()["v"]) == kind
    assert on_both(query, rows, on_duckdb, on_spark) == [expected]


def test_sides_of_a_union_take_one_type(
    on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> None:
    table = ibis.table({"i": "int64", "x": "decimal(15, 2)"}, name="rows")
    query = table.select("i", v=table.x * table.x).union(table.select(i=table.i + 1, v=table.x))
    rows = pa.table({"i": [0], "x": pa.array([D("0.05")], pa.decimal128(15, 2))})
    assert str(exact(query).schema()["v"]) == "decimal(30, 4)"
    assert on_both(query, rows, on_duckdb, on_spark) == [D("0.0025"), D("0.05")]


@pytest.mark.parametrize(
    ("one", "other", "kind", "expected"),
    [
        (lambda x: x.mean(), lambda x: x.max(), "float64", [0.05, 0.05]),
        (lambda x: x.max(), lambda x: x.median(), "float64", [0.05, 0.05]),
        (
            lambda x: ibis.array([x.max()]),
            lambda x: ibis.array([x.max() * x.max()]),
            "array<decimal(30, 4)>",
            [[D("0.0500")], [D("0.0025")]],
        ),
    ],
)
def test_sides_of_a_union_that_hold_other_decimals_take_one_type(
    one: Callable[[Any], Any],
    other: Callable[[Any], Any],
    kind: str,
    expected: list[Any],
    on_duckdb: Callable[..., Any],
    on_spark: Callable[..., Any],
) -> None:
    table = ibis.table({"i": "int64", "x": "decimal(15, 2)"}, name="rows")
    sides = [
        table.aggregate(i=table.i.min() + n, v=of(table.x)) for n, of in enumerate((one, other))
    ]
    query = sides[0].union(sides[1])
    rows = pa.table({"i": [0], "x": pa.array([D("0.05")], pa.decimal128(15, 2))})
    assert str(exact(query).schema()["v"]) == kind
    assert on_both(query, rows, on_duckdb, on_spark) == expected


@pytest.mark.parametrize(
    "of",
    [
        lambda t: t.x * t.x,
        lambda t: t.x + t.x,
        lambda t: t.x - t.x.cast("decimal(38, 6)"),
        lambda t: t.x > t.x * D("0.0001"),
    ],
)
def test_what_38_digits_cannot_hold_stops_both_engines(
    of: Callable[[ir.Table], Any], on_duckdb: Callable[..., Any], on_spark: Callable[..., Any]
) -> None:
    table = ibis.table({"i": "int64", "x": "decimal(38, 2)"}, name="rows")
    rows = pa.table({"i": [0], "x": pa.array([D("9" * 36 + ".99")], pa.decimal128(38, 2))})
    query = table.select("i", v=of(table))
    assert findings(query) == []
    for run in (on_duckdb, on_spark):
        with pytest.raises(Exception, match=r"(?i)overflow|cannot be represented|out of range"):
            run(query, rows)


@pytest.mark.parametrize("name", CASES)
def test_types_stay_when_they_are_exact(name: str) -> None:
    table, _ = table_of(CASES[name])
    once = exact(table.select(v=CASES[name].of(table.x, table.y)))
    assert exact(once).equals(once)


def test_engines_store_and_fetch_all_digits(engine: Workbench) -> None:
    kind = pa.decimal128(15, 2)
    amounts = engine.engine.load(
        pa.table({"x": pa.array([D("0.05"), D("9999999999999.99")], kind)}),
        ibis.schema({"x": "decimal(15, 2)"}),
    )
    expected = [{"v": D("0.0025")}, {"v": D("99999999999999800000000000.0001")}]
    squares = amounts.select(v=amounts.x * amounts.x)
    assert_rows_equal(engine.rows(squares), expected)
    stored = engine.engine.cache(squares)
    assert str(stored.schema()["v"]) == "decimal(30, 4)"
    assert_rows_equal(engine.rows(stored), expected)
    assert_rows_equal(
        engine.rows(stored.aggregate(v=stored.v.mean(where=stored.v < 1))), [{"v": 0.0025}]
    )


def test_a_mean_of_decimals_beside_decimals_of_two_types_is_refused() -> None:
    """A mean is a float, and beside floats Ibis knows no type of two decimals."""
    rows = ibis.table({"p": "decimal(12, 2)", "h": "int16", "n": "int64"}, name="rows")
    wide = (rows.n + rows.h.try_cast("decimal(5, 1)")).max()
    one = ibis.literal(Decimal("1.00"), "decimal(12, 2)")
    for value in (ibis.least(one, rows.p.mean(), wide), ibis.coalesce(rows.p.mean(), one, wide)):
        told = findings(rows.aggregate(v=ibis.greatest(value, rows.p.max())))
        assert [each for each in told if "a decimal that meets a float" in each]
