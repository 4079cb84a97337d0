"""Which keys are derived, and the law that they are keys of whatever rows are computed."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import ibis
import ibis.backends.duckdb
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from streampro.expressions.keys import Keys, keys_in, keys_of

orders = ibis.table(
    {"order_id": "!int64", "customer": "string", "kind": "string", "paid": "boolean"},
    name="orders",
)
lines = ibis.table({"order_id": "!int64", "line": "!int64", "sku": "string"}, name="lines")
customers = ibis.table({"customer": "!string", "tier": "string"}, name="customers")
floats = ibis.table({"order_id": "!float64", "note": "string"}, name="floats")
log = ibis.table({"text": "string", "words": "array<string>"}, name="log")
DECLARED = {
    "orders": [("order_id",)],
    "lines": [("order_id", "line")],
    "customers": [("customer",)],
    "floats": [("order_id",)],
}
by_kind = ibis.window(group_by="kind", order_by="customer")
tagged = orders.select("order_id", tags=ibis.range(0, orders.order_id))
per_kind = orders.group_by("kind").aggregate(n=orders.count())

KEYS: dict[str, tuple[ir.Table, list[str]]] = {
    # inputs
    "that of a contract": (lines, ["order_id line"]),
    "none without one": (log, []),
    # columns
    "renamed": (orders.select(id="order_id", k="kind"), ["id"]),
    "twice": (orders.select(a="order_id", b="order_id"), ["a", "b"]),
    "dropped": (lines.drop("line"), []),
    "wider": (orders.select(id=orders.order_id.cast("int64").cast("string")), ["id"]),
    "narrower": (orders.select(id=orders.order_id.try_cast("int8")), []),
    "counted from 1": (orders.select(id=orders.order_id + 1), ["id"]),
    "computed": (orders.select(id=orders.order_id % 7), []),
    "null filled": (orders.fill_null({"order_id": 0}), []),
    "another filled": (orders.fill_null({"kind": "?"}), ["order_id"]),
    "numbered in a window": (
        orders.mutate(n=ibis.row_number().over(by_kind) + 1).select("kind", "n"),
        ["kind n"],
    ),
    "numbered over all": (log.mutate(n=ibis.row_number().over(order_by="text")), ["n"]),
    "ranked": (log.mutate(n=ibis.dense_rank().over(order_by="text")), []),
    "unnested": (orders.mutate(x=ibis.range(0, orders.order_id).unnest()), []),
    "unnested table": (log.distinct().unnest("words"), []),
    "elements with their place": (tagged.unnest("tags", offset="n"), ["order_id n"]),
    "elements with their place, empty lists kept": (
        tagged.unnest("tags", offset="n", keep_empty=True).drop("tags"),
        ["order_id n"],
    ),
    "elements that were the key": (log.distinct().unnest("words", offset="n"), []),
    # rows
    "filtered": (orders.filter(orders.kind != "a"), ["order_id"]),
    "there in another table": (
        orders.filter((customers.tier == orders.kind).any()),
        ["order_id"],
    ),
    "one value left": (lines.filter(lines.line == 1), ["order_id"]),
    "one boolean left": (
        orders.group_by("kind", "paid").aggregate(n=orders.count()).filter(~ibis._.paid),
        ["kind"],
    ),
    "null left": (lines.group_by("line", "sku").aggregate().filter(ibis._.sku.isnull()), ["line"]),
    "one of two values left": (
        lines.filter((lines.line == 1) | (lines.line == 2)),
        ["order_id line"],
    ),
    "a float for a whole number": (lines.filter(lines.line == 1.0), ["order_id line"]),
    "first of its window": (
        orders.filter(ibis.row_number().over(by_kind) == 0),
        ["order_id", "kind"],
    ),
    "first of its window, numbered before": (
        log.mutate(n=ibis.row_number().over(group_by="text", order_by="words")).filter(
            ibis._.n == 0
        ),
        ["text"],
    ),
    "sorted and cut": (orders.order_by("kind").limit(5), ["order_id"]),
    "one row": (log.order_by("text").limit(1), [""]),
    "not null": (orders.drop_null(["kind"]), ["order_id"]),
    "distinct": (log.distinct(), ["text words"]),
    "distinct with a key": (lines.distinct(), ["order_id line"]),
    # groups
    "grouped": (per_kind, ["kind"]),
    "grouped without": (orders.aggregate(n=orders.count()), [""]),
    "grouped by the key and more": (
        orders.group_by("kind", "order_id").aggregate(n=orders.count()),
        ["order_id"],
    ),
    "grouped by what is computed": (
        orders.group_by("order_id", rest=orders.order_id % 2).aggregate(n=orders.count()),
        ["order_id"],
    ),
    "grouped by a constant": (
        log.mutate(of=ibis.literal("log")).group_by("of", "text").aggregate(n=ibis._.count()),
        ["text"],
    ),
    "part of the groups": (
        orders.group_by("kind", "customer").aggregate(n=orders.count()).select("kind", "n"),
        [],
    ),
    # joins
    "inner join": (orders.join(lines, "order_id"), ["order_id line"]),
    "inner join with one row each": (
        lines.join(orders, "order_id").select("line", "order_id", "kind"),
        ["line order_id"],
    ),
    "inner join, the other side's column": (
        lines.join(orders, "order_id").select("line", id=orders.order_id),
        ["line id"],
    ),
    "inner join on the key of neither": (
        orders.join(lines, orders.kind == lines.sku).select(
            "order_id", "line", other=lines.order_id
        ),
        ["order_id line other"],
    ),
    "compared as floats": (
        floats.join(orders, floats.order_id == orders.order_id).select("note", a=floats.order_id),
        [],
    ),
    "left join with at most one row": (
        orders.left_join(customers, "customer").drop("customer_right"),
        ["order_id"],
    ),
    "left join with an expression": (
        lines.left_join(orders, lines.line + 1 == orders.order_id).select(lines, "kind"),
        ["order_id line"],
    ),
    "left join with several rows": (
        orders.left_join(lines, "order_id").drop("order_id_right"),
        ["order_id line"],
    ),
    "left join, the key of the right side": (
        lines.left_join(orders, "order_id").select(id=orders.order_id, kind=orders.kind),
        [],
    ),
    "left join on more than equality": (
        orders.left_join(customers, ["customer", orders.kind < customers.tier]).drop(
            "customer_right"
        ),
        ["order_id"],
    ),
    "left join on less than equality": (
        orders.left_join(customers, orders.customer < customers.customer).select(
            "order_id", "tier"
        ),
        [],
    ),
    "right join": (
        lines.right_join(orders, "order_id").select("line", id=orders.order_id),
        ["line id"],
    ),
    "outer join": (orders.outer_join(customers, "customer"), []),
    "cross join": (orders.cross_join(per_kind.select(k="kind")), ["order_id k"]),
    "beside a total": (orders.cross_join(lines.aggregate(m=lines.line.max())), ["order_id"]),
    "semi join": (orders.semi_join(lines, "order_id"), ["order_id"]),
    "anti join": (lines.anti_join(orders, "order_id"), ["order_id line"]),
    "chain": (
        lines.join(orders, "order_id")
        .left_join(customers, "customer")
        .select("line", "sku", "tier", id=lines.order_id),
        ["line id"],
    ),
    "grouped behind a join": (
        lines.join(orders, "order_id").group_by("order_id", "kind").aggregate(n=ibis._.count()),
        ["order_id"],
    ),
    "grouped behind a left join, where null may stand for a row": (
        lines.left_join(customers, [("sku", "tier")])
        .group_by("customer", "tier")
        .aggregate(n=ibis._.count()),
        ["customer tier"],
    ),
    # sets
    "union": (orders.union(orders), []),
    "distinct union": (per_kind.union(per_kind, distinct=True), ["kind n"]),
    "intersection": (lines.intersect(lines.distinct()), ["order_id line"]),
    "difference": (lines.difference(lines), ["order_id line"]),
    "view": (orders.view(), ["order_id"]),
}


@pytest.mark.parametrize("name", KEYS)
def test_keys_are_derived(name: str) -> None:
    expression, expected = KEYS[name]
    assert [" ".join(key) for key in keys_of(expression, DECLARED)] == expected


def test_key_of_columns_that_are_gone_is_not_declared() -> None:
    assert keys_of(orders, {"orders": [("number",)]}) == []


def test_line_and_file_say_all_that_is_read_from_them() -> None:
    raw = ibis.table(dict.fromkeys(("x", "raw_line", "source_file"), "string"), name="raw")
    groups = raw.mutate(y=raw.x.length()).distinct()
    assert keys_of(groups, {}) == [("x", "raw_line", "source_file")]
    [key] = keys_in(groups, {}, {"raw": ("raw_line", "source_file")})[groups.op()].unique
    assert names_of(key) == ["raw_line", "source_file"]


def test_many_ways_to_tell_rows_apart_are_followed_a_few_at_a_time() -> None:
    """Each join doubles the ways in which a row can be told."""
    found = orders.select("order_id")
    for number in range(12):
        other = orders.select(**{f"id_{number}": "order_id"})
        found = found.join(other, found.order_id == other[f"id_{number}"])
    assert len(keys_of(found, DECLARED)) == 3


Row = dict[str, Any]
Step = Callable[[ir.Table, ir.Table], ir.Table]
IS_THOROUGH = settings.default is settings.get_profile("thorough")
VALUES = ["a", "b", "c"]
SCHEMA = ibis.schema(dict.fromkeys(VALUES, "int64"))
PLAIN = ibis.table(ibis.schema({"id": "int64"} | dict(SCHEMA)), name="plain")
KEYED = ibis.table(SCHEMA, name="keyed")
LAW = {"plain": [("id",)], "keyed": [("a", "b")]}

SMALL = st.sampled_from([0, 1, 2, None])
ROW = st.fixed_dictionaries(dict.fromkeys(VALUES, SMALL))
PLAIN_ROWS = st.lists(ROW, max_size=6).map(lambda rows: [{"id": n} | r for n, r in enumerate(rows)])
KEYED_ROWS = st.lists(ROW, max_size=7, unique_by=lambda row: (row["a"], row["b"]))

NUMBERED = ibis.row_number().over(ibis.window(group_by="a", order_by=["b", "c"]))


def _of_group(*names: str) -> Step:
    def group(t: ir.Table, _: ir.Table) -> ir.Table:
        rest = {name: t[name].max() for name in VALUES if name not in names}
        return t.group_by(*names).aggregate(**rest) if names else t.aggregate(**rest)

    return group


STEPS: dict[str, Step] = {
    "swap": lambda t, _: t.select(a=t.b, b=t.a, c=t.c),
    "copy": lambda t, _: t.select(a=t.a, b=t.a, c=t.c),
    "shift": lambda t, _: t.mutate(a=1 - (t.a - 1).cast("int64"), b=t.b + 1),
    "constant": lambda t, _: t.mutate(b=ibis.literal(1, "int64")),
    "compute": lambda t, _: t.mutate(c=t.a + t.b, b=t.b % 2),
    "fill null": lambda t, _: t.fill_null({"a": 1}),
    "drop null": lambda t, _: t.drop_null(["a", "b"]),
    "one value": lambda t, _: t.filter(t.a == 1),
    "only null": lambda t, _: t.filter(t.b.isnull()),
    "two alike": lambda t, _: t.filter((t.a == t.b) & (t.c < 2)),
    "two alike or null": lambda t, _: t.filter(t.a.identical_to(t.c)),
    "either value": lambda t, _: t.filter((t.a == 1) | (t.a == 0)),
    "number": lambda t, _: t.mutate(c=NUMBERED + 1),
    "number all": lambda t, _: t.mutate(c=ibis.row_number().over(order_by=VALUES)),
    "number of remainders": lambda t, _: t.mutate(
        c=ibis.row_number().over(group_by=t.a % 2, order_by=VALUES)
    ),
    "row before": lambda t, _: t.mutate(c=t.a.lag().over(order_by="b")),
    "rank": lambda t, _: t.mutate(c=ibis.dense_rank().over(group_by="a", order_by="b")),
    "first of its group": lambda t, _: t.filter(NUMBERED == 0),
    "second of its group": lambda t, _: t.mutate(c=NUMBERED).filter(lambda rows: rows.c == 1),
    "group by a": _of_group("a"),
    "group by a and b": _of_group("a", "b"),
    "group by all": _of_group(*VALUES),
    "one row": _of_group(),
    "distinct": lambda t, _: t.distinct(),
    "sort": lambda t, _: t.order_by("c"),
    "limit": lambda t, _: t.order_by(*VALUES).limit(2),
    "first": lambda t, _: t.order_by(*VALUES).limit(1),
    "unnest": lambda t, _: t.mutate(c=ibis.range(0, t.c).unnest()),
    "union": lambda t, u: t.union(u),
    "distinct union": lambda t, u: t.union(u, distinct=True),
    "intersection": lambda t, u: t.intersect(u),
    "all of the intersection": lambda t, u: t.intersect(u, distinct=False),
    "difference": lambda t, u: t.difference(u),
    "all of the difference": lambda t, u: t.difference(u, distinct=False),
    "itself": lambda t, u: u,
}
ON: dict[str, Callable[[ir.Table, ir.Table], Any]] = {
    "a": lambda t, u: [t.a == u.a2],
    "a and b": lambda t, u: [t.a == u.a2, t.b == u.b2],
    "a and b or null": lambda t, u: [t.a.identical_to(u.a2), t.b.identical_to(u.b2)],
    "b or null and less": lambda t, u: [t.b.identical_to(u.b2), t.c < u.c2],
    "crosswise": lambda t, u: [t.a == u.b2, t.c == u.a2],
    "an expression": lambda t, u: [t.a % 2 == u.a2, t.c + t.a == u.b2],
    "its expression": lambda t, u: [t.a == u.a2 % 2, t.b + 1 == u.b2 + 1],
    "a value": lambda t, u: [u.a2 == 1, t.b == u.b2],
    "less": lambda t, u: [t.a < u.a2],
}
KEPT = {
    "left side": ["a", "b", "c"],
    "right side": ["a2", "b2", "c2"],
    "both": ["a", "b2", "c"],
    "mixed": ["a2", "b", "c2"],
}


def _all_of_join(t: ir.Table, other: ir.Table, how: str, on: str) -> ir.Table:
    u = other.rename(a2="a", b2="b", c2="c")
    return t.join(u, ON[on](t, u) if how != "cross" else [], how=how)


def _joined(how: str, on: str, kept: str) -> Step:
    names = VALUES if how in ("semi", "anti") else KEPT[kept]
    columns = dict(zip(VALUES, names, strict=True))
    return lambda t, other: _all_of_join(t, other, how, on).order_by("a").select(**columns)


HOW = ["inner", "left", "right", "outer", "cross", "semi", "anti"]
JOIN = st.builds(_joined, *(st.sampled_from([*names]) for names in (HOW, ON, KEPT)))
STEP = st.sampled_from([*STEPS.values()])
ANY_STEPS = st.lists(STEP | JOIN, min_size=1, max_size=4)
START = st.sampled_from([PLAIN.select(*VALUES), PLAIN.select("id", "b", "c").rename(a="id"), KEYED])


@pytest.fixture(scope="module")
def engine() -> Iterator[ibis.backends.duckdb.Backend]:
    found = ibis.duckdb.connect()
    yield found
    found.disconnect()


def load(engine: ibis.backends.duckdb.Backend, table: ir.Table, rows: list[Row]) -> None:
    schema = table.schema().to_pyarrow()
    engine.create_table(table.get_name(), pa.Table.from_pylist(rows, schema), overwrite=True)


def check(engine: ibis.backends.duckdb.Backend, relation: ops.Relation, keys: Keys) -> None:
    """Assert that all that is known of the columns of a relation holds of its rows."""
    if not keys.unique and not keys.depends:
        return
    rows = engine.con.sql(str(engine.compile(ir.Table(relation)))).fetchall()
    place = {name: number for number, name in enumerate(relation.schema)}
    for key in keys.unique:
        values = {tuple(row[place[column.name]] for column in key) for row in rows}
        assert len(values) == len(rows), (names_of(key), ir.Table(relation))
    for x, ys in keys.depends:
        pairs = {tuple(row[place[c.name]] for c in (*x, *ys)) for row in rows}
        lefts = {pair[: len(x)] for pair in pairs}
        assert len(lefts) == len(pairs), (names_of(x), names_of(ys), ir.Table(relation))


def names_of(columns: Any) -> list[str]:
    return sorted(column.name for column in columns)


NASTY = [
    {"a": a, "b": b, "c": c}
    for a, b, c in (
        (0, 0, 0),
        (0, 1, 0),
        (1, 1, 2),
        (1, None, 1),
        (None, 1, 1),
        (None, None, 0),
        (2, 2, None),
        (3, None, 1),
        (4, 4, 4),
    )
]
"""Rows with nulls in the key; some are equal in a part of it, some match nothing."""
SIDES = {
    "plain": PLAIN.select(*VALUES),
    "key in a": PLAIN.select("id", "b", "c").rename(a="id"),
    "key in two": KEYED,
    "key in b": KEYED.filter(KEYED.a == 1),
    "groups": KEYED.group_by("b").aggregate(a=KEYED.a.max(), c=KEYED.c.min()).select(*VALUES),
    "constant": KEYED.mutate(c=ibis.literal(1, "int64")),
    "one row": KEYED.aggregate(a=KEYED.a.max(), b=KEYED.b.min(), c=KEYED.c.max()),
}


@pytest.fixture
def nasty(engine: ibis.backends.duckdb.Backend) -> ibis.backends.duckdb.Backend:
    load(engine, PLAIN, [{"id": number} | row for number, row in enumerate((*NASTY, *NASTY[1:4]))])
    load(engine, KEYED, NASTY)
    return engine


@pytest.mark.parametrize("name", STEPS)
def test_keys_of_a_step_are_keys(name: str, nasty: ibis.backends.duckdb.Backend) -> None:
    others = [SIDES[name] for name in ("plain", "key in two", "key in b")]
    for side, other in itertools.product(SIDES.values(), others):
        found = STEPS[name](side, other).cast(SCHEMA)
        check(nasty, found.op(), keys_in(found, LAW)[found.op()])


@pytest.mark.slow
@pytest.mark.parametrize("how", HOW)
def test_keys_of_joins_are_keys(how: str, nasty: ibis.backends.duckdb.Backend) -> None:
    many = [*ON] if IS_THOROUGH else [*ON][1::3]
    tests = many if how in ("inner", "left", "right") else ["a"]
    right_sides = [SIDES[name] for name in ("key in a", "key in two", "groups", "one row")]
    for left, right, on in itertools.product(SIDES.values(), right_sides, tests):
        join = _all_of_join(left, right, how, on)
        check(nasty, join.op(), keys_in(join, LAW)[join.op()])


@pytest.mark.slow
@settings(
    max_examples=settings().max_examples * (6 if IS_THOROUGH else 2),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    plain=PLAIN_ROWS,
    keyed=KEYED_ROWS,
    start=START,
    start_of_other=START,
    steps=ANY_STEPS,
    steps_of_other=st.lists(STEP | JOIN, max_size=2),
)
def test_rows_of_equal_key_are_one_row(
    engine: ibis.backends.duckdb.Backend,
    plain: list[Row],
    keyed: list[Row],
    start: ir.Table,
    start_of_other: ir.Table,
    steps: list[Step],
    steps_of_other: list[Step],
) -> None:
    """Of every relation on the way, and what is said to be determined is."""
    load(engine, PLAIN, plain)
    load(engine, KEYED, keyed)
    found, other = start, start_of_other
    for step in steps_of_other:
        other = step(other, start_of_other).cast(SCHEMA)
    for step in steps:
        found = step(found, other).cast(SCHEMA)
    for relation, keys in keys_in(found, LAW).items():
        if isinstance(relation, ops.Relation) and not isinstance(relation, ops.Reference):
            check(engine, relation, keys)
