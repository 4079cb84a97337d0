"""Orders that may leave rows tied are refused, and tell what is missing; the others give the same
rows however the rows of their inputs stand.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import ibis
import ibis.backends.duckdb
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from streampro.expressions.order import ties

Row = dict[str, Any]
Backend = ibis.backends.duckdb.Backend

orders = ibis.table(
    {"order_id": "int64", "kind": "string", "amount": "int64", "weight": "float64"}, name="orders"
)
log = ibis.table({"text": "string", "level": "int64"}, name="log")
prices = ibis.table({"kind": "string", "day": "int64", "price": "int64"}, name="prices")
DECLARED = {"orders": [("order_id",)], "prices": [("kind", "day")]}
ROWS: dict[str, list[Row]] = {
    "orders": [
        {"order_id": 1, "kind": "a", "amount": 5, "weight": 0.5},
        {"order_id": 2, "kind": "a", "amount": 7, "weight": 0.5},
        {"order_id": 3, "kind": "b", "amount": 5, "weight": 1.0},
        {"order_id": 4, "kind": "b", "amount": 9, "weight": 1.0},
        {"order_id": 5, "kind": None, "amount": 5, "weight": 2.0},
        {"order_id": 6, "kind": None, "amount": 8, "weight": 2.0},
    ],
    "log": [
        {"text": "x", "level": 1},
        {"text": "x", "level": 1},
        {"text": "y", "level": 1},
        {"text": "y", "level": 2},
        {"text": None, "level": None},
        {"text": None, "level": 3},
    ],
    "prices": [
        {"kind": "a", "day": 1, "price": 10},
        {"kind": "a", "day": 2, "price": 11},
        {"kind": "b", "day": 1, "price": 20},
        {"kind": None, "day": 1, "price": 30},
    ],
}

sums = orders.group_by("kind", "amount").aggregate(n=orders.count())
priced = orders.join(prices, "kind")
valued = orders.left_join(prices.filter(prices.day == 1), "kind").drop("kind_right")


def over(value: ir.Value, *order: Any, **window: Any) -> ir.Table:
    """Return orders with a value over a window."""
    return orders.mutate(v=value.over(order_by=[*order], **window))


def cumulated(value: ir.Value, *order: Any) -> ir.Table:
    return orders.mutate(v=value.over(ibis.cumulative_window(order_by=[*order])))


number = ibis.row_number()
ACCEPTED: dict[str, ir.Table] = {
    "key": over(number, "order_id"),
    "key after ties": over(number, ibis.desc("kind", nulls_first=True), "order_id"),
    "rest of the key in a partition": prices.mutate(v=number.over(group_by="kind", order_by="day")),
    "key in the partition": over(number, group_by="order_id"),
    "one to one with the key": over(number, orders.order_id.cast("string")),
    "counted from 1": over(number, orders.order_id + 1),
    "renamed key": orders.select(number="order_id").mutate(v=number.over(order_by="number")),
    "lag": over(orders.amount.lag(), "order_id"),
    "ntile": over(ibis.ntile(2), "amount", "order_id"),
    "list": over(orders.amount.collect(), "order_id"),
    "cumulative sum": cumulated(orders.amount.sum(), "order_id"),
    "ranks, equal for ties": over(ibis.rank(), "kind").mutate(
        w=ibis.dense_rank().over(order_by="amount"), x=orders.amount.cume_dist()
    ),
    "sum of a partition": over(orders.amount.sum(), group_by="kind"),
    "sum of a partition in an order": over(orders.amount.sum(), "amount", group_by="kind"),
    "sum by range, equal for ties": orders.mutate(
        v=orders.order_id.sum().over(range=(None, 0), order_by="amount")
    ),
    "groups": sums.mutate(v=number.over(group_by="kind", order_by="amount")),
    "distinct rows": log.distinct().mutate(v=number.over(order_by=["text", "level"])),
    "rows equal in all columns": log.mutate(v=number.over(order_by=["level", "text"])),
    "limit of rows equal in all columns": log.order_by("text", "level").limit(1),
    "numbered by another window": log.distinct()
    .mutate(n=number.over(group_by="text", order_by="level"))
    .mutate(v=ibis._.level.lag().over(group_by="text", order_by="n")),
    "one value of the rest of the key": prices.filter(prices.day == 1).mutate(
        v=number.over(order_by="kind")
    ),
    "join": priced.mutate(v=number.over(order_by=["order_id", "day"])),
    "join, the other side's column": priced.select("day", number="order_id").mutate(
        v=number.over(order_by=["number", "day"])
    ),
    "left join with at most one row": valued.mutate(v=number.over(order_by="order_id")),
    "window in a filter": orders.filter(number.over(group_by="kind", order_by="order_id") == 0),
    "limit": orders.order_by("kind", "order_id").limit(3),
    "limit behind a filter and a projection": orders.order_by("order_id")
    .filter(orders.amount > 5)
    .select("kind", more=orders.amount + 1)
    .limit(2),
    "limit of one row": orders.aggregate(n=orders.count()).limit(1),
    "no limit": orders.limit(None),
    "limit in a subquery": orders.mutate(v=orders.order_by("order_id").limit(1).kind.as_scalar()),
}


class Refused(NamedTuple):
    """An expression and what is said of it. `by` says between what the results differ: the rows
    and the same rows in reverse order on DuckDB, or the engines; of few rows, some do by luck not.
    """

    expression: ir.Table
    said: str
    by: str = "order"


TIED = "RowNumber over a window: order by {0} is not total: rows of equal {0} stand in any order. "
ADD = "Add order_id (a key of orders is (order_id))."
NO_KEY = "No key of these rows is known: declare one in the contract of an input (Config.unique), "
NO_KEY += "or make one by distinct or group_by."
ANY = "Use order_by with a total order right before it."
REFUSED: dict[str, Refused] = {
    "ties": Refused(over(number, "kind"), TIED.format("kind") + ADD),
    "ties in a partition": Refused(
        over(orders.order_id.lag(), "weight", group_by="kind"),
        "Lag over a window by kind: order by weight is not total: rows of equal kind, weight "
        f"stand in any order. {ADD}",
    ),
    "several ties": Refused(over(number, "kind", "weight"), TIED.format("kind, weight") + ADD),
    "no order": Refused(
        orders.mutate(v=number),
        f"RowNumber over a window: it has no order, so its rows stand in any order. {ADD}",
    ),
    "no key": Refused(
        log.select("level", v=number.over(order_by="text")), TIED.format("text") + NO_KEY
    ),
    "part of a key": Refused(
        prices.mutate(v=number.over(order_by="kind")),
        TIED.format("kind") + "Add day (a key of prices is (kind, day)).",
    ),
    "not one to one with the key": Refused(
        over(number, orders.order_id % 2), TIED.format("Modulus(order_id, 2)") + ADD
    ),
    "groups": Refused(
        sums.mutate(v=number.over(order_by="amount")),
        TIED.format("amount") + "Add kind (a key of these rows is (kind, amount)).",
        "engines",
    ),
    "join with several rows": Refused(
        priced.mutate(v=number.over(order_by="order_id")),
        TIED.format("order_id") + "Add day (a key of these rows is (order_id, day)).",
    ),
    "union of keys": Refused(
        orders.union(orders.mutate(amount=orders.amount + 1)).mutate(
            v=number.over(order_by="kind")
        ),
        TIED.format("kind") + NO_KEY,
    ),
    "lead": Refused(
        over(orders.amount.lead(), "kind"),
        "Lead over a window: order by kind is not total: rows of equal kind stand in any order. "
        + ADD,
    ),
    "ntile": Refused(over(ibis.ntile(2), "weight").filter(ibis._.order_id < 6), "NTile over"),
    "first": Refused(over(orders.amount.first(), "kind"), "First over a window: order by kind"),
    "last": Refused(over(orders.amount.last(), "kind"), "Last over a window: order by kind"),
    "nth": Refused(over(orders.amount.nth(1), "kind"), "NthValue over a window: order by kind"),
    "list": Refused(over(orders.amount.collect(), "kind"), "ArrayCollect over a window: order by"),
    "text": Refused(
        over(orders.amount.cast("string").group_concat(), "kind"), "GroupConcat over a window"
    ),
    "cumulative sum": Refused(
        cumulated(orders.amount.sum(), "kind"), "Sum over a window: order by kind is not total"
    ),
    "cumulative minimum": Refused(
        cumulated(orders.amount.min(), ibis.desc("kind")), "Min over a window: order by kind"
    ),
    "cumulative sum without an order": Refused(
        orders.mutate(v=orders.amount.cumsum()), "Sum over a window: it has no order"
    ),
    "window in a filter": Refused(
        orders.filter(number.over(order_by="kind") == 0), TIED.format("kind") + ADD
    ),
    "limit": Refused(
        orders.order_by("kind").limit(1),
        f"Limit(1): order by kind is not total: rows of equal kind stand in any order. {ADD}",
    ),
    "limit behind a projection": Refused(
        orders.order_by("kind").select("order_id").limit(1), "Limit(1): order by kind is not"
    ),
    "limit behind a filter": Refused(
        orders.order_by("kind").filter(orders.amount > 4).limit(1), "Limit(1): order by kind is not"
    ),
    "limit behind distinct": Refused(
        orders.order_by("order_id").select("kind").distinct().limit(1),
        "Limit(1): the order below is lost behind Distinct, so the rows that stay are any rows. "
        + ANY,
        "luck",
    ),
    "limit behind a group": Refused(
        orders.order_by("order_id").group_by("kind").aggregate().limit(1),
        "Limit(1): the order below is lost behind Aggregate",
        "engines",
    ),
    "limit behind a window": Refused(
        orders.order_by("order_id").mutate(v=number.over(order_by=ibis.desc("order_id"))).limit(1),
        "Limit(1): the order below is lost behind Project",
        "luck",
    ),
    "limit without an order": Refused(
        orders.head(1), f"Limit(1): it has no order, so the rows that stay are any rows. {ANY}"
    ),
    "most frequent": Refused(
        orders.kind.topk(1),
        "Limit(1): order by kind_count is not total: rows of equal kind_count stand in any order. "
        "Add kind (a key of these rows is (kind)).",
        "engines",
    ),
    "limit in a subquery": Refused(
        orders.mutate(v=orders.order_by("kind").limit(1).order_id.as_scalar()),
        "Limit(1): order by kind",
    ),
    "offset": Refused(
        orders.order_by("order_id").limit(1, offset=2),
        "Limit: Spark takes no computed number of rows, and gives rows behind an offset another "
        "column. Number the rows by row_number() over a total order, and filter by that.",
        "engines",
    ),
    "computed limit": Refused(
        orders.order_by("order_id").limit(orders.count() // 2), "Limit: Spark takes no", "engines"
    ),
}


def plain(found: pa.Table) -> list[str]:
    """Return rows as texts, in an order of their own; sums of integers are of different types."""
    rows = [
        {k: int(v) if isinstance(v, Decimal) else v for k, v in row.items()}
        for row in found.to_pylist()
    ]
    return sorted(map(repr, rows))


@pytest.fixture(scope="module")
def duckdb() -> Iterator[Backend]:
    found = ibis.duckdb.connect()
    yield found
    found.disconnect()


@pytest.fixture
def on_duckdb(duckdb: Backend) -> Callable[..., list[str]]:
    def run(expression: ir.Table, *, rows: dict[str, list[Row]], step: int = 1) -> list[str]:
        for table in expression.op().find(ops.UnboundTable):
            given = pa.Table.from_pylist(rows[table.name][::step], table.schema.to_pyarrow())
            duckdb.create_table(table.name, given, overwrite=True)
        return plain(duckdb.con.sql(str(duckdb.compile(expression))).to_arrow_table())

    return run


@pytest.fixture(scope="session")
def on_spark(spark: Any) -> Callable[[ir.Table], list[str]]:
    backend = ibis.pyspark.connect(spark)
    for table in (orders, log, prices):
        rows = pa.Table.from_pylist(ROWS[table.get_name()], table.schema().to_pyarrow())
        spark.createDataFrame(rows).createOrReplaceTempView(table.get_name())

    def run(expression: ir.Table) -> list[str]:
        try:
            return plain(spark.sql(str(backend.compile(expression))).toArrow())
        except Exception as error:
            return [type(error).__name__]

    return run


@pytest.mark.parametrize("name", ACCEPTED)
def test_total_order_is_accepted_and_gives_the_same_rows(
    name: str, on_duckdb: Callable[..., list[str]]
) -> None:
    assert ties(ACCEPTED[name], DECLARED) == []
    there, back = (on_duckdb(ACCEPTED[name], rows=ROWS, step=step) for step in (1, -1))
    assert there == back


@pytest.mark.parametrize("name", REFUSED)
def test_order_with_ties_is_refused_with_what_is_missing(name: str) -> None:
    [said] = ties(REFUSED[name].expression, DECLARED)
    assert said.startswith(REFUSED[name].said)


@pytest.mark.parametrize("name", [name for name in REFUSED if REFUSED[name].by == "order"])
def test_order_with_ties_gives_other_rows(name: str, on_duckdb: Callable[..., list[str]]) -> None:
    expression = REFUSED[name].expression
    assert on_duckdb(expression, rows=ROWS) != on_duckdb(expression, rows=ROWS, step=-1)


@pytest.mark.parametrize("name", [name for name in REFUSED if REFUSED[name].by == "engines"])
def test_lost_order_gives_other_rows_on_spark(
    name: str, on_duckdb: Callable[..., list[str]], on_spark: Callable[..., list[str]]
) -> None:
    expression = REFUSED[name].expression
    assert on_duckdb(expression, rows=ROWS) != on_spark(expression)


@pytest.mark.parametrize("name", ACCEPTED)
def test_total_order_gives_the_same_rows_on_spark(
    name: str, on_duckdb: Callable[..., list[str]], on_spark: Callable[..., list[str]]
) -> None:
    assert on_duckdb(ACCEPTED[name], rows=ROWS) == on_spark(ACCEPTED[name])


def test_order_of_lines_is_told_the_columns_that_say_all_of_them() -> None:
    lines = ibis.table({"kind": "string", "raw_line": "string", "source_file": "string"}, name="l")
    by_kind = lines.mutate(v=number.over(order_by="kind"))
    [said] = ties(by_kind, {}, {"l": ("source_file", "raw_line")})
    assert said == TIED.format("kind") + (
        "Add raw_line, source_file: rows that agree in these are equal in all columns."
    )
    by_line = lines.mutate(v=number.over(order_by=["kind", "raw_line", "source_file"]))
    assert ties(by_line, {}, {"l": ("source_file", "raw_line")}) == []
    [said] = ties(by_kind, {})
    assert said == TIED.format("kind") + NO_KEY


def test_float_among_all_columns_is_no_proof() -> None:
    """0.0 and -0.0 are tied, but not the same."""
    found = ties(orders.drop("order_id").order_by("kind", "amount", "weight").limit(1), DECLARED)
    assert found == [
        "Limit(1): order by kind, amount, weight is not total: rows of equal kind, amount, weight "
        f"stand in any order. {NO_KEY}"
    ]


VALUES = st.sampled_from([0, 1, None])
COLUMNS = ["kind", "day", "price"]
RELATIONS: dict[str, Callable[[ir.Table], ir.Table]] = {
    "itself": lambda t: t,
    "one kind": lambda t: t.filter(t.kind == "a"),
    "one day": lambda t: t.filter(t.day == 1),
    "first of its day": lambda t: t.filter(number.over(group_by="day", order_by="kind") == 0),
    "largest": lambda t: t.group_by("day").aggregate(kind=t.kind.max(), price=t.price.max()),
    "other columns": lambda t: t.select("kind", day="price", price="day"),
    "distinct": lambda t: t.drop("kind").distinct().mutate(kind=ibis.literal("a")),
    "twice": lambda t: t.union(t),
    "with the price of its kind": lambda t: t.left_join(
        t.view().filter(lambda u: u.day == 1).select(k="kind", p="price"), [("kind", "k")]
    ).select("kind", "day", price="p"),
    "with all of its day": lambda t: t.join(
        t.view().select(k="kind", d="day"), [("day", "d")]
    ).select("day", "price", kind="k"),
}
ENDS: dict[str, Callable[[ir.Table, list[str], list[str]], ir.Table]] = {
    "number": lambda t, by, of: t.mutate(v=number.over(group_by=of, order_by=by)),
    "lag": lambda t, by, of: t.mutate(v=t.price.lag().over(group_by=of, order_by=by)),
    "sum": lambda t, by, of: t.mutate(
        v=t.price.sum().over(ibis.cumulative_window(group_by=of, order_by=by))
    ),
    "limit": lambda t, by, of: t.order_by(sorted({*by, *of, "day"})).limit(2),
    "part of a limit": lambda t, by, of: (
        t.order_by(sorted({*by, *of, "day"})).select("price").limit(1)
    ),
}
SOME = st.lists(st.sampled_from(COLUMNS), unique=True)


@pytest.mark.slow
@settings(
    max_examples=settings().max_examples * 4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(["a", "b", None]), "day": VALUES, "price": VALUES}
        ),
        min_size=2,
        unique_by=lambda row: (row["kind"], row["day"]),
    ),
    relations=st.lists(st.sampled_from([*RELATIONS]), max_size=2),
    end=st.sampled_from([*ENDS]),
    by=SOME,
    of=SOME,
)
def test_accepted_order_gives_the_same_rows(
    on_duckdb: Callable[..., list[str]],
    rows: list[Row],
    relations: list[str],
    end: str,
    by: list[str],
    of: list[str],
) -> None:
    found: ir.Table = prices
    for name in relations:
        found = RELATIONS[name](found).select(*COLUMNS)
    found = ENDS[end](found, by, of)
    if ties(found, DECLARED) == []:
        given = {"prices": rows}
        assert on_duckdb(found, rows=given) == on_duckdb(found, rows=given, step=-1)
