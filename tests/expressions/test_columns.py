"""What each operation does to lineage. `t` has a, b, n (an integer) and l (a list), `u` a and d."""

from collections.abc import Callable

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest

from streampro.errors import PipelineError
from streampro.expressions.columns import ROWS, rows_of
from streampro.portable import bounded_sum, earliest, ratio

T = ibis.table({"a": "string", "b": "string", "n": "int64", "l": "array<int64>"}, name="t")
U = ibis.table({"a": "string", "d": "string"}, name="u")


def told(table: ir.Table, column: str | None = None) -> str:
    """Return the origins of a column (without one: of which rows there are) on one line, the rows
    of tables left out where they only decide.
    """
    rows = rows_of("model", table)
    found = rows.which if column is None else rows.columns[column]
    return ", ".join(
        f"{how} {origin}"
        for origin, how in sorted(found.items(), key=lambda item: (item[1], item[0]))
        if origin.column != ROWS or how != "decides"
    )


VALUES: dict[str, tuple[ir.Value, str]] = {
    "a column is copied": (T.a, "copied t.a"),
    "a function computes": (T.a.upper(), "computed t.a"),
    "a comparison computes": ((T.a == T.b), "computed t.a, computed t.b"),
    "a cast computes": (T.n.cast("string"), "computed t.n"),
    "a literal comes from nowhere": (ibis.literal(1), ""),
    "a case hands on its results, its conditions decide": (
        ibis.cases((T.n > 1, T.a), else_=T.b.upper()),
        "computed t.b, copied t.a, decides t.n",
    ),
    "a case of one value too": (
        T.n.cases((1, T.a), else_="x"),
        "copied t.a, decides t.n",
    ),
    "if-else too": (
        ibis.ifelse(T.a == "x", T.b, T.n.cast("string")),
        "computed t.n, copied t.b, decides t.a",
    ),
    "computed is told before copied and decides": (
        ibis.cases((T.a > "x", T.a.upper()), else_=T.a),
        "computed t.a",
    ),
    "the first that is not null is copied": (ibis.coalesce(T.a, T.b), "copied t.a, copied t.b"),
    "a computed case": (ibis.ifelse(T.n > 1, T.a, "x").upper(), "computed t.a, decides t.n"),
    "a ratio": (ratio(T.n, T.n), "computed t.n"),
    "the row before is copied, the window decides": (
        T.a.lag().over(group_by=T.b, order_by=T.n),
        "copied t.a, decides t.b, decides t.n",
    ),
    "a row number has no value of its own": (
        ibis.row_number().over(group_by=T.b, order_by=T.n),
        "decides t.b, decides t.n",
    ),
    "a sum over a window computes": (T.n.sum().over(group_by=T.b), "computed t.n, decides t.b"),
    "a field of a struct is what was put there": (
        ibis.struct({"x": T.a, "y": T.b})["x"],
        "copied t.a",
    ),
    "elements of a list compute": (T.l.map(lambda x: x + T.n)[0], "computed t.l, computed t.n"),
    "a subquery computes, its filter decides": (
        T.n + U.filter(U.d == "x").count().as_scalar(),
        "computed t.n, computed u.*, decides u.d",
    ),
    "a value in a subquery computes": (
        T.a.isin(U.filter(U.a == "x").d),
        "computed t.a, computed u.d, decides u.a",
    ),
}


@pytest.mark.parametrize(("value", "expected"), VALUES.values(), ids=VALUES)
def test_value(value: ir.Value, expected: str) -> None:
    assert told(T.select(x=value), "x") == expected


METRICS: dict[str, tuple[ir.Value, str]] = {
    "a sum computes, where decides": (T.n.sum(where=T.a == "x"), "computed t.n, decides t.a"),
    "a bounded sum": (bounded_sum(T.n, T.a == "x"), "computed t.n, decides t.a"),
    "a count counts rows": (T.count(), "computed t.*"),
    "a filtered count": (T.count(where=T.a == "x"), "computed t.*, decides t.a"),
    "a count of values computes": (T.a.count(), "computed t.a"),
    "a value is copied from the row of the smallest": (
        T.a.argmin(T.n),
        "copied t.a, decides t.n",
    ),
    "the earliest value is copied": (earliest(T.a, T.n), "copied t.a, decides t.n"),
    "any other field of a struct computes": (
        ibis.struct({"x": T.a, "y": T.b}).first(order_by=T.n)["x"],
        "computed t.a, computed t.b, decides t.n",
    ),
    "the first in an order": (T.a.first(order_by=T.n), "copied t.a, decides t.n"),
    "a list of values computes": (T.a.collect(order_by=T.n), "computed t.a, decides t.n"),
    "distinct rows are counted": (
        T.nunique(),
        "computed t.*, computed t.a, computed t.b, computed t.l, computed t.n",
    ),
}


@pytest.mark.parametrize(("metric", "expected"), METRICS.values(), ids=METRICS)
def test_aggregate(metric: ir.Value, expected: str) -> None:
    grouped = T.group_by(g=T.b.lower()).aggregate(x=metric)
    assert told(grouped, "x") == expected
    assert told(grouped) == "decides t.b"
    assert told(grouped, "g") == "computed t.b"


def test_aggregate_of_all_rows_is_one_row_whatever_they_are() -> None:
    largest = T.filter(T.a == "x").aggregate(most=T.n.max())
    assert told(largest) == ""
    assert told(largest, "most") == "computed t.n, decides t.a"
    beside = U.cross_join(largest).group_by("d").aggregate(rows=lambda joined: joined.count())
    assert told(beside, "rows") == "computed u.*"
    assert told(beside) == "decides u.d"


V = U.rename(a="d", d="a")

RELATIONS: dict[str, tuple[ir.Table, str, str]] = {
    "all rows": (T, "copied t.a", ""),
    "a filter": (T.filter(T.n > 1), "copied t.a", "decides t.n"),
    "a filter by a subquery": (
        T.filter(T.n.isin(U.a.length())),
        "copied t.a",
        "decides t.n, decides u.a",
    ),
    "a filter by whether rows exist": (
        T.filter((U.a == T.b).any()),
        "copied t.a",
        "decides t.b, decides u.a",
    ),
    "an order decides nothing": (T.order_by("n"), "copied t.a", ""),
    "an order decides what a limit cuts": (
        T.order_by("n").select("a").limit(1),
        "copied t.a",
        "decides t.n",
    ),
    "distinct rows": (T.select("a", "n").distinct(), "copied t.a", "decides t.a, decides t.n"),
    "rows without null": (T.drop_null(["n"]), "copied t.a", "decides t.n"),
    "rows without any null": (
        T.select("a", "n").drop_null(),
        "copied t.a",
        "decides t.a, decides t.n",
    ),
    "null filled": (T.fill_null({"a": "x"}), "computed t.a", ""),
    "null of another column filled": (T.fill_null({"b": "x"}), "copied t.a", ""),
    "other names": (T.rename(z="a").mutate(a="z").drop("z"), "copied t.a", ""),
    "a list made rows in a column": (
        T.select("a", x=T.l.unnest()),
        "copied t.a",
        "decides t.l",
    ),
    "a list made rows": (T.unnest("l"), "copied t.a", "decides t.l"),
    "the left of a join": (
        T.left_join(U, T.b == U.d),
        "copied t.a",
        "decides t.b, decides u.d",
    ),
    "the right of a join": (
        U.left_join(T.drop("l"), U.d == T.b).select(a="a_right"),
        "copied t.a",
        "decides t.b, decides u.d",
    ),
    "a key that an outer join merges": (
        T.outer_join(U, T.a == U.a).select(a=ibis.coalesce(T.a, U.a)),
        "copied t.a, copied u.a",
        "decides t.a, decides u.a",
    ),
    "a table joined with itself": (
        T.join(view := T.view(), T.b == view.a).select(a=view.n.cast("string")),
        "computed t.n",
        "decides t.a, decides t.b",
    ),
    "rows that have a partner": (
        T.semi_join(U, T.b == U.d),
        "copied t.a",
        "decides t.b, decides u.d",
    ),
    "every row with every row": (T.cross_join(U.select("d")), "copied t.a", ""),
    "one table under the other": (U.union(V), "copied u.a, copied u.d", ""),
    "the same, made distinct": (
        U.union(V, distinct=True),
        "copied u.a, copied u.d",
        "decides u.a, decides u.d",
    ),
    "rows that another table has not": (
        U.select("a").difference(T.select("a")),
        "copied u.a",
        "decides t.a, decides u.a",
    ),
    "rows that both tables have": (
        U.select("a").intersect(T.select("a")),
        "copied t.a, copied u.a",
        "decides t.a, decides u.a",
    ),
    "rows written out": (ibis.memtable({"a": ["x"]}), "", ""),
}


@pytest.mark.parametrize(("table", "value", "which"), RELATIONS.values(), ids=RELATIONS)
def test_relation(table: ir.Table, value: str, which: str) -> None:
    assert told(table, "a") == value
    assert told(table) == which


def test_every_table_decides_by_its_rows() -> None:
    which = rows_of("model", T.cross_join(U.select("d"))).which
    assert [str(column) for column in which] == ["t.*", "u.*"]


def _sql_of_one_engine() -> ir.Table:
    return ops.SQLStringView(T.op(), "select 1", ibis.schema({"a": "string"})).to_expr()


def _of_a_connection() -> ir.Table:
    return ibis.duckdb.connect().sql("select 'x' as a")


@pytest.mark.parametrize("table", [_sql_of_one_engine, _of_a_connection])
def test_unknown_operation_is_refused(table: Callable[[], ir.Table]) -> None:
    with pytest.raises(PipelineError, match=r"model m uses the operation SQL.*not known"):
        rows_of("m", table().filter(lambda rows: rows.a == "x"))
