"""What is computed across rows may stand where both engines take it, and anywhere as a column."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro import portable
from streampro.engines.registry import ENGINES, compiled_query
from streampro.errors import PipelineError
from streampro.expressions.locality import correlated
from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
T = ibis.table({"i": "int64", "g": "int64", "x": "int64", "l": "array<int64>"}, name="rows")
ROWS = pa.table(
    {"i": [1, 2, 3], "g": [1, 1, 2], "x": [5, None, 7], "l": [[1, 2], [3], None]},
    schema=T.schema().to_pyarrow(),
)
RUNNING = ibis.window(group_by="g", order_by="i")
WHOLE = ibis.window(group_by="g")
U = T.view()

MISPLACED: dict[str, Callable[[], ir.Table]] = {
    "a window in a window": lambda: T.select("i", v=T.x.sum().over(RUNNING).max().over(WHOLE)),
    "a shift of a window": lambda: T.select("i", v=T.x.sum().over(RUNNING).lag().over(RUNNING)),
    "a window by a window": lambda: T.select(
        "i", v=T.x.sum().over(ibis.window(group_by=T.x.rank().over(RUNNING)))
    ),
    "a window ordered by a window": lambda: T.select(
        "i", v=T.x.sum().over(ibis.window(group_by="g", order_by=[T.x.lag().over(RUNNING), "i"]))
    ),
    "a window in an aggregate": lambda: T.group_by("g").agg(v=T.x.sum().over(RUNNING).max()),
    "a window in a condition": lambda: T.group_by("g").agg(
        v=T.x.sum(where=T.x.rank().over(RUNNING) == 0)
    ),
    "an aggregate in an aggregate": lambda: T.agg(v=(T.x - T.x.max()).sum()),
    "a column that bounds an aggregate": lambda: T.agg(v=T.x.max().clip(upper=T.g)),
    "a column beside a key": lambda: T.group_by("g").agg(v=T.x.max().clip(T.i, T.g)),
    "an aggregate in an order": lambda: T.order_by([T.x.sum(), "i"]).limit(1).select("i"),
    "a window in an order": lambda: (
        T.order_by([T.x.rank().over(RUNNING), "i"]).limit(1).select("i")
    ),
    "an aggregate in a group key": lambda: T.group_by(k=T.x - T.x.max()).agg(n=T.count()),
    "a window in a group key": lambda: T.group_by(k=T.x.rank().over(RUNNING)).agg(n=T.count()),
    "an aggregate in a join": lambda: T.join(U, T.x.max() == U.x).select("i"),
    "an unnest in an expression": lambda: T.select("i", v=T.l.unnest() + 1),
    "an unnest in a branch": lambda: T.select("i", v=ibis.ifelse(T.x > 1, T.l.unnest(), 0)),
    "an unnest in a filter": lambda: T.filter(T.l.unnest() > 1).select("i"),
    "an unnest in an aggregate": lambda: T.agg(v=T.l.unnest().sum()),
    "an unnest in a group key": lambda: T.group_by(k=T.l.unnest()).agg(n=T.count()),
    "an unnest in a window": lambda: T.select("i", v=T.l.unnest().sum().over(WHOLE)),
    "an unnest in an order": lambda: T.order_by(T.l.unnest(), "i").limit(1).select("i"),
    "an unnest in a join": lambda: T.join(U, T.l.unnest() == U.x).select("i"),
    "two unnests": lambda: T.select("i", v=T.l.unnest(), w=T.l.unnest()),
}
PART = T.mutate(part=T.l.unnest())
SUM = T.mutate(total=T.x.sum().over(RUNNING))
REST = T.mutate(rest=T.x - T.x.max())
COLUMN_FIRST: dict[str, tuple[ir.Table, list[dict[str, Any]]]] = {
    "a window in a window": (
        SUM.select("i", found=SUM.total.max().over(WHOLE)),
        [{"i": 1, "found": 5}, {"i": 2, "found": 5}, {"i": 3, "found": 7}],
    ),
    "a window by a window": (
        SUM.select("i", found=SUM.x.sum().over(ibis.window(group_by="total"))),
        [{"i": 1, "found": 5}, {"i": 2, "found": 5}, {"i": 3, "found": 7}],
    ),
    "a window in an aggregate": (
        SUM.group_by("g").agg(found=SUM.total.sum()),
        [{"g": 1, "found": 10}, {"g": 2, "found": 7}],
    ),
    "an aggregate in an aggregate": (REST.agg(found=REST.rest.sum()), [{"found": -2}]),
    "a window in an order": (SUM.order_by("total", "i").limit(1).select("i"), [{"i": 1}]),
    "an aggregate in a group key": (
        REST.group_by("rest").agg(n=REST.count()),
        [{"rest": None, "n": 1}, {"rest": -2, "n": 1}, {"rest": 0, "n": 1}],
    ),
    "an unnest in an expression": (
        PART.select("i", found=PART.part + 1),
        [{"i": 1, "found": 2}, {"i": 1, "found": 3}, {"i": 2, "found": 4}],
    ),
    "an unnest in a filter": (
        PART.filter(PART.part > 1).select("i", "part"),
        [{"i": 1, "part": 2}, {"i": 2, "part": 3}],
    ),
    "an unnest in an aggregate": (PART.agg(found=PART.part.sum()), [{"found": 6}]),
    "an unnest in a window": (
        PART.select("part", found=PART.part.sum().over(WHOLE)),
        [{"part": 1, "found": 6}, {"part": 2, "found": 6}, {"part": 3, "found": 6}],
    ),
    "two unnests": (
        PART.select("part", more=PART.l.unnest()),
        [
            {"part": 1, "more": 1},
            {"part": 1, "more": 2},
            {"part": 2, "more": 1},
            {"part": 2, "more": 2},
            {"part": 3, "more": 3},
        ],
    ),
    "a key that bounds an aggregate": (
        T.group_by("g").agg(found=T.x.max().clip(upper=T.g)),
        [{"g": 1, "found": 1}, {"g": 2, "found": 2}],
    ),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_what_engines_do_not_take_alike_is_refused(name: str) -> None:
    [said] = findings(MISPLACED[name]())
    assert "mutate()" in said


@pytest.mark.parametrize(
    "value",
    [
        T.l.map(lambda e: e.max(where=T.g > 1)),
        T.l.map(lambda e: T.x.max(where=T.x > e)),
        T.l.filter(lambda e: e > e.max().over(group_by=T.g)),
        T.l.map(lambda e: e.lag().over(order_by=T.i)),
        T.l.map(lambda e: T.x.max().over(group_by=e)),
    ],
)
def test_elements_of_a_list_are_no_rows(value: ir.Value) -> None:
    assert any("Use unnest()" in said for said in findings(T.select("i", v=value)))


def test_a_function_of_elements_may_take_what_is_computed_across_rows(
    on_duckdb: Run, on_spark: Run
) -> None:
    query = T.select("i", v=T.l.map(lambda e: e + T.x.max().over(WHOLE)))
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == [[6, 7], [8], None]


@pytest.mark.parametrize("parts", [0, -1])
def test_a_window_of_no_parts_is_refused(parts: int) -> None:
    rows = T.select("i", v=ibis.ntile(parts).over(RUNNING))
    assert findings(rows) == ["NTile: no engine makes fewer parts than one."]


@pytest.mark.parametrize(
    "window",
    [
        ibis.window(order_by="x", range=(-2, 0)),
        ibis.window(order_by=["i", "j"], range=(-2, 0)),
        ibis.window(range=(-2, 0)),
        ibis.window(order_by="i", range=(-ibis.interval(days=1), 0)),
        ibis.window(order_by="at", range=(-ibis.interval(months=1), 0)),
        ibis.window(order_by="at", range=(-2, 0)),
        ibis.window(order_by="day", range=(-ibis.interval(hours=1), 0)),
    ],
    ids=["text", "two keys", "no key", "days of numbers", "months", "instants", "hours of days"],
)
def test_a_range_that_engines_do_not_take_is_refused(window: Any) -> None:
    kinds = {"i": "int64", "j": "int64", "x": "string", "at": "timestamp('UTC', 6)", "day": "date"}
    rows = ibis.table(kinds, name="t")
    [said] = findings(rows.select("i", v=rows.count().over(window)))
    assert "a range has one key" in said


@pytest.mark.parametrize(
    "rows",
    [
        T.left_join(U.select(j="i"), [T.i == 1, T.g.isin(U.x)]).select("i"),
        T.left_join(U.select(j="i"), T.g == U.x.max().as_scalar()).select("i"),
        T.order_by([T.g.isin(U.x), "i"]).limit(1).select("i"),
        T.select("i", v=ibis.array([T.g.isin(U.x)])),
        T.select("i", v=T.l.map(lambda each: each + U.x.max().as_scalar())),
        T.select("i", v=T.l.filter(lambda each: each.isin(U.x))),
    ],
    ids=["join", "join by one value", "order", "list", "map", "filter"],
)
def test_a_subquery_is_refused_where_an_engine_does_not_take_it(rows: ir.Table) -> None:
    assert any("a subquery cannot stand in" in each for each in findings(rows))


LISTED = U.x.collect().sort().as_scalar()


@pytest.mark.parametrize(
    "value",
    [
        LISTED.sort(),
        LISTED.unique(),
        LISTED.sums(),
        LISTED.union([1]),
        LISTED.repeat(2),
        T.l.remove(U.x.max().as_scalar()).sort(),
        T.x.median(where=U.x.max().as_scalar() > 1).over(WHOLE),
        (T.x + U.x.max().as_scalar()).quantile(0.25).over(WHOLE),
    ],
    ids=["sort", "unique", "sum", "union", "repeat", "remove", "condition", "quantile"],
)
def test_a_subquery_is_refused_where_a_rewrite_puts_it_into_a_list(value: ir.Value) -> None:
    rows = T.select("i", v=value)
    assert findings(rows) == []
    with pytest.raises(PipelineError, match=r"rows\.cross_join"):
        [*map(partial(compiled_query, rows=rows), ENGINES)]


def test_a_value_of_other_rows_is_joined_to_the_rows(on_duckdb: Run, on_spark: Run) -> None:
    rows = T.cross_join(U.agg(xs=U.x.collect().sort()))
    found = rows.select("i", found=rows.xs.union(rows.l).sort())
    expected = [
        {"i": 1, "found": [1, 2, 5, 7]},
        {"i": 2, "found": [3, 5, 7]},
        {"i": 3, "found": None},
    ]
    assert findings(found) == []
    for run in (on_duckdb, on_spark):
        assert _in_order(run(found, ROWS)) == _in_order(expected)


def test_an_operation_without_a_type_is_refused() -> None:
    rows = ibis.table({"x": "decimal(9, 4)"}, name="t")
    both = ibis.array([rows.x]).concat(ibis.array([Decimal("0.55555")]))
    assert any("a cast gives one size" in each for each in findings(rows.select(v=both)))


def test_an_operation_that_takes_no_decimal_is_refused() -> None:
    """A bound makes a decimal of an integer, which Ibis does not know."""
    bounded = T.x.clip(Decimal("0.05"))
    assert any(each.startswith("BitwiseAnd: ") for each in findings(T.select(v=bounded & 3)))


def test_a_value_of_other_rows_is_not_that_of_a_window_around_it(
    on_duckdb: Run, on_spark: Run
) -> None:
    all_of_x = portable.bounded_sum(U.x, U.i > 0).as_scalar()
    rows = T.select("i", found=(T.i + all_of_x).max().over(RUNNING))
    expected = [{"i": 1, "found": 14}, {"i": 2, "found": 14}, {"i": 3, "found": 15}]
    assert findings(rows) == []
    for run in (on_duckdb, on_spark):
        assert _in_order(run(rows, ROWS)) == _in_order(expected)


def test_a_remainder_of_nothing_is_refused() -> None:
    """Ibis divides bounds of types, where it does not know them before."""
    rows = ibis.table({"x": "decimal(9, 4)"}, name="t")
    said = findings(rows.agg(v=rows.x.median().floor().mod(0)))
    assert any("nullif(0)" in each for each in said)


def test_a_unit_that_is_a_column_is_refused() -> None:
    rows = ibis.table({"i": "int64", "d": "date", "at": "timestamp('UTC', 6)", "s": "string"})
    for value in (rows.d.delta(rows.d, unit=rows.s), rows.at.delta(rows.at, unit=rows.s)):
        assert any("boundaries crossed" in each for each in findings(rows.select("i", v=value)))


ROWS_FOR_A_VALUE: dict[str, tuple[ir.Table, bool]] = {
    "column": (T.select("i", v=T.x.as_scalar()), False),
    "filtered": (T.select("i", v=U.filter(U.i == 1).x.as_scalar()), False),
    "per group": (T.select("i", v=U.group_by("g").agg(n=U.x.max()).n.as_scalar()), False),
    "aggregate": (T.select("i", v=U.x.max().as_scalar()), True),
    "of an aggregate": (T.select("i", v=U.agg(n=U.x.max()).mutate(m="n").m.as_scalar()), True),
    "first": (T.select("i", v=U.order_by("i").limit(1).x.as_scalar()), True),
}


@pytest.mark.parametrize("name", ROWS_FOR_A_VALUE)
def test_rows_that_may_be_many_are_no_value(name: str) -> None:
    rows, is_value = ROWS_FOR_A_VALUE[name]
    assert (findings(rows) == []) is is_value


def test_a_share_that_is_null_is_refused() -> None:
    [said] = findings(T.aggregate(v=T.x.quantile([None, 0.5])))
    assert "a share from 0 to 1" in said


@pytest.mark.parametrize("join", ["any_left_join", "any_inner_join"])
def test_a_join_to_any_row_is_refused(join: str) -> None:
    other = T.view().select(j="i")
    [said] = findings(getattr(T, join)(other, T.i == other.j).select("i", v="j"))
    assert "none takes any row" in said


def test_what_is_refused_differs(on_duckdb: Run, on_spark: Run) -> None:
    alike = [
        name
        for name, build in MISPLACED.items()
        if (rows := _computed(on_duckdb, build())) is not None
        and rows == _computed(on_spark, build())
    ]
    assert alike == []


@pytest.mark.parametrize("name", COLUMN_FIRST)
def test_a_column_of_its_own_may_stand_anywhere(name: str, on_duckdb: Run, on_spark: Run) -> None:
    query, rows = COLUMN_FIRST[name]
    assert findings(query) == []
    assert _in_order(on_duckdb(query, ROWS)) == _in_order(on_spark(query, ROWS)) == _in_order(rows)


def test_filters_and_columns_take_aggregates_and_windows(on_duckdb: Run, on_spark: Run) -> None:
    query = T.filter(T.x >= T.x.mean()).mutate(v=T.x.rank().over(RUNNING)).select("i", "v")
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == [0]


KEPT: dict[str, tuple[ir.Table, list[int]]] = {
    "beside a column": (T.filter(T.i == T.i.max().over(WHOLE)), [2, 3]),
    "beside another condition": (T.filter(T.i > 1, T.i == T.i.min().over(WHOLE)), [3]),
    "in one condition with another": (T.filter((T.i > 1) & (T.i == T.i.min().over(WHOLE))), [3]),
    "after another filter": (
        T.filter(T.i > 1).pipe(lambda t: t.filter(t.i == t.i.min().over(WHOLE))),
        [2, 3],
    ),
    "beside a subquery": (T.filter(T.x.isin(U.x), T.i == T.i.max().over(WHOLE)), [3]),
    "beside any": (
        T.mutate(last=T.i.max().over(WHOLE)).pipe(
            lambda t: t.filter((U.x == t.x).any(), t.i == t["last"])
        ),
        [3],
    ),
    "twice": (
        T.filter(T.i.max().over(WHOLE) < 3).pipe(lambda t: t.filter(t.i == t.i.max().over(WHOLE))),
        [2],
    ),
    "beside a column of the name that SQLGlot gives": (
        T.mutate(_w=T.i).filter(lambda t: t["_w"] == t.i.max().over(WHOLE)),
        [2, 3],
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_window_in_a_filter_is_over_the_rows_that_are_filtered(
    name: str, on_duckdb: Run, on_spark: Run
) -> None:
    kept, wanted = KEPT[name]
    query = kept.select("i", v="i")
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted


def test_a_window_beside_any_is_refused() -> None:
    [said] = findings(T.filter((U.x == T.x).any(), T.i == T.i.max().over(WHOLE)))
    assert "beside any()" in said
    assert "mutate()" in said


def test_a_window_of_the_rows_outside_is_refused() -> None:
    rows = T.filter(~(U.x == T.x.rank()).any())
    [said] = {*findings(rows)}
    assert "a window of other rows" in said


SORTED: dict[str, ir.Table] = {
    "projected": T.order_by("i").select(v="g").distinct(),
    "filtered": T.order_by("i").filter(T.g == 1).select(v="g").distinct(),
    "twice": T.order_by("i").order_by("x").select("g", "i").select(v="g").distinct(),
    "as a union": T.select(v="g").order_by("v").union(T.select(v="g"), distinct=True),
    "of a limit": T.order_by("i").limit(2).select(v="g").distinct(),
}


@pytest.mark.parametrize("name", SORTED)
def test_rows_are_as_different_as_unsorted(name: str, run: Run) -> None:
    """Spark's SQL sorts by no key but one of the columns."""
    wanted = [1] if name in ("filtered", "of a limit") else [1, 2]
    assert findings(SORTED[name]) == []
    assert sorted(run(SORTED[name], ROWS)) == wanted


OUTSIDE: dict[str, ir.Table] = {
    "of another table": T.mutate(v=U.filter(U.x < T.x).count().as_scalar()),
    "of a filter of the same": T.mutate(
        v=T.filter(T.x > 0).view().pipe(lambda u: u.filter(u.g == T.g).x.sum()).as_scalar()
    ),
    "in a join": T.mutate(
        v=U.inner_join(T.view(), "g").filter(lambda both: both.x < T.x).count().as_scalar()
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_subquery_that_looks_at_the_row_outside_is_refused(name: str) -> None:
    [said] = correlated(OUTSIDE[name])
    assert "Join an aggregate" in said


def test_an_aggregate_is_joined_instead(on_duckdb: Run, on_spark: Run) -> None:
    sums = T.group_by("g").agg(v=T.x.sum())
    query = T.left_join(sums, "g").select("i", "v")
    assert findings(query) == correlated(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == [5, 5, 7]


def test_a_subquery_for_a_value_may_stand_twice(on_duckdb: Run, on_spark: Run) -> None:
    largest = T.x.max().as_scalar()
    query = T.filter(T.x < largest).select("i", v=largest, w=largest)
    assert findings(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS)


MOST = T.agg(m=T.x.max())
SOME = U.filter(U.g == 1)
ON_TABLES_READ_TWICE: dict[str, tuple[ir.Table, list[int | None]]] = {
    "window": (T.filter(T.i.isin(T.i.count().over(RUNNING))).select(v="i"), [1, 2]),
    "value": (T.cross_join(MOST).select("i", v=lambda t: t.m + MOST.as_scalar()), [14, 14, 14]),
    "values": (T.select("i", v=MOST.as_scalar() - MOST.m.as_scalar()), [0, 0, 0]),
    "isin": (T.join(SOME, "i").filter(ibis._.x.isin(SOME.x)).select("i", v="x"), [5]),
    "any": (T.join(SOME, "i").pipe(lambda t: t.filter((SOME.i > t.i).any())).select(v="i"), [1]),
}
"""Subqueries on a table that stands in the query around them, too."""


@pytest.mark.parametrize("name", ON_TABLES_READ_TWICE)
def test_a_subquery_may_read_what_is_read_around_it(
    name: str, on_duckdb: Run, on_spark: Run
) -> None:
    query, wanted = ON_TABLES_READ_TWICE[name]
    assert findings(query) == correlated(query) == []
    assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted


def test_a_subquery_may_look_up_a_key(on_duckdb: Run, on_spark: Run) -> None:
    """Where both tables have one name, Spark takes the key of the row outside."""
    table = ibis.table({"i": "int64", "k": "string", "m": "map<string, int64>"}, name="rows")
    rows = [{"i": 1, "k": "a", "m": [("a", 5)]}, {"i": 2, "k": "b", "m": [("a", 9)]}]
    query = table.select("i", v=table.m[table.k].max().as_scalar())
    assert findings(query) == correlated(query) == []
    for run in (on_duckdb, on_spark):
        assert run(query, pa.Table.from_pylist(rows, table.schema().to_pyarrow())) == [5, 5]


def test_a_subquery_may_have_another_within_that_looks_at_it() -> None:
    known = U.filter(T.view().pipe(lambda t: (t.g == U.g).any()))
    assert correlated(T.mutate(v=known.x.sum().as_scalar())) == []


def test_an_aggregate_is_over_the_rows_of_the_table_that_it_stands_in(
    on_duckdb: Run, on_spark: Run
) -> None:
    """Ibis takes the field of the table below for that of the filter; `as_scalar` asks for all."""
    some = T.filter(T.g == 1)
    for aggregate, wanted in ((T.x.sum(), [5, 5]), (T.x.sum().as_scalar(), [12, 12])):
        query = some.mutate(v=aggregate).select("i", "v")
        assert findings(query) == correlated(query) == []
        assert on_duckdb(query, ROWS) == on_spark(query, ROWS) == wanted


def _computed(run: Run, query: ir.Table) -> list[str] | None:
    try:
        return _in_order(run(query, ROWS))
    except Exception:  # of either engine
        return None


def _in_order(rows: list[Any]) -> list[str]:
    return sorted(map(repr, rows))
