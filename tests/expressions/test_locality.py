"""What is proven to be local is: of inputs of some keys it makes its own rows of these keys."""

from collections.abc import Callable
from random import Random

import duckdb
import hypothesis.strategies as st
import ibis
import ibis.expr.types as ir
import pytest
from hypothesis import given, settings

from streampro.engines.compilation.casts import physical_query
from streampro.engines.duckdb import parts
from streampro.engines.duckdb.compiler import compiler_of
from streampro.expressions.locality import why_not_local

VISITS = ibis.table({"who": "int64", "day": "int64", "n": "int64"}, name="visits")
USERS = ibis.table({"who": "int64", "city": "int64"}, name="users")
DAYS = ibis.table({"day": "int64", "m": "int64"}, name="days")
KEYS = {"visits": "who", "users": "who"}
V, U, D = VISITS, USERS, DAYS
BY_USER = ibis.window(group_by="who", order_by="n")
BY_DAY = ibis.window(group_by="day", order_by="n")

EITHER = V.outer_join(U, "who")

LOCAL: dict[str, ir.Table] = {
    "the rows": V,
    "columns of a row": V.mutate(n=V.n + 1).filter(V.day > 1),
    "a sum by the key": V.group_by("who").agg(n=V.n.sum()),
    "a sum by the key and more": V.group_by("who", "day").agg(n=V.n.sum()),
    "a window by the key": V.mutate(v=V.n.sum().over(BY_USER)),
    "a window by more than the key": V.mutate(
        v=V.n.sum().over(ibis.window(group_by=["day", "who"]))
    ),
    "a filter by a window by the key": V.filter(V.n == V.n.max().over(ibis.window(group_by="who"))),
    "a join by the key": V.join(U, "who"),
    "a join by the key and more": V.join(U, [V.who == U.who, V.n > U.city]),
    "a left join by the key": V.left_join(U, "who").select("who", "n", "city"),
    "a right join by the key": V.right_join(U, V.who == U.who).select(who=U.who, n=V.n),
    "a join with rows without a key": V.join(D, "day"),
    "a left join with rows without a key": V.left_join(D, "day").select("who", "m"),
    "rows without a key joined to those with one": D.right_join(V, D.day == V.day).select(
        "who", "m"
    ),
    "rows beside each other": V.cross_join(D.select(other="m")),
    "rows that have users": V.semi_join(U, "who"),
    "rows that have no user": V.anti_join(U, "who"),
    "rows that have days": V.anti_join(D, "day"),
    "rows among those of users": V.filter(V.who.isin(U.who)),
    "rows with an equal key": V.filter((U.who == V.who).any()),
    "rows among days": V.filter(V.day.isin(D.day), V.n > D.m.max()),
    "distinct rows": V.select("who", "day").distinct(),
    "both": V.select("who").union(U.select("who")),
    "one without the other": V.select("who").difference(U.select("who")),
    "rows of both": V.select("who").intersect(U.select("who")),
    "another name": V.select(who=V.who.cast("int64"), b="n"),
    "the name of an equal column": (
        V.rename(other="who").join(U, [ibis._.other == U.who]).select(who="other", city="city")
    ),
    "the key of an outer join": (
        EITHER.select(who=ibis.coalesce(EITHER.who, EITHER.who_right), n="n", city="city")
    ),
    "the key of an outer join, after a filter": (
        EITHER.filter(EITHER.city.isnull() | (EITHER.n > 1))
        .mutate(who=ibis.coalesce(ibis._.who_right, ibis._.who))
        .group_by("who")
        .agg(n=ibis._.n.sum())
    ),
    "elements": V.select("who", each=ibis.array([V.n, V.day]).unnest()),
}
NOT_LOCAL: dict[str, tuple[ir.Table, str]] = {
    "a sum by another column": (
        V.group_by("day").agg(who=V.who.max()),
        "it groups by day, not by the key",
    ),
    "a sum": (V.agg(who=V.who.max()), "it groups by nothing, not by the key"),
    "a window by another column": (
        V.mutate(v=V.n.sum().over(BY_DAY)),
        "Sum over a window by day, not by the key",
    ),
    "a rank among all": (
        V.mutate(v=ibis.row_number().over(order_by="n")),
        "RowNumber over a window by nothing, not by the key",
    ),
    "a filter by a window": (
        V.filter(V.n == V.n.max().over(BY_DAY)),
        "Max over a window by day, not by the key",
    ),
    "a filter by an aggregate": (V.filter(V.n == V.n.max()), "ScalarSubquery looks at rows of"),
    "a share of all": (V.mutate(v=V.n / V.n.sum()), "Sum over a window by nothing"),
    "a subquery over keys": (
        V.filter(V.n > U.city.max()),
        "ScalarSubquery looks at rows of other keys",
    ),
    "rows among those of any user": (
        V.filter(V.n.isin(U.city)),
        "InSubquery looks at rows of other keys",
    ),
    "rows equal in another column": (
        V.filter((U.city == V.n).any()),
        "ExistsSubquery looks at rows of other keys",
    ),
    "an equality within a subquery": (
        V.filter(V.who.isin(U.filter(U.who == V.day).city)),
        "InSubquery looks at rows of other keys",
    ),
    "a column that only the rows outside have": (
        V.filter((U.who == V.n).any()),
        "ExistsSubquery looks at rows of other keys",
    ),
    "an aggregate beside the equality": (
        V.filter(((U.who == V.who) & (U.city == U.city.max().as_scalar())).any()),
        "ExistsSubquery looks at rows of other keys",
    ),
    "a rank over an outer join": (
        EITHER.select(who=ibis.coalesce(EITHER.who, EITHER.who_right), r=EITHER.n.lag()),
        "Lag over",
    ),
    "a join by another column": (
        V.join(U, [V.n == U.city]).select("who", "city"),
        "a join (inner) of rows of different keys",
    ),
    "a join with a day": (
        V.join(V.view().select("day", m="n"), "day").select("who", "m"),
        "a selection of columns leaves out the key",
    ),
    "an outer join": (
        V.outer_join(U, "who").select("who", "n"),
        "a selection of columns leaves out the key",
    ),
    "an outer join by another column": (
        V.outer_join(D, "day").select("who", "n"),
        "a join (outer) may leave rows of either side alone",
    ),
    "days without visits": (
        D.left_join(V, "day").select("who", "m"),
        "a join (left) keeps rows that have no key",
    ),
    "days that have visits": (
        D.semi_join(V, "day").select(who="day"),
        "a join (semi) keeps rows that have no key",
    ),
    "the first rows": (V.order_by("n").limit(3), "Limit takes rows of all keys"),
    "rows of days": (
        V.select("who").union(D.select(who="day")),
        "Union with rows that have no key",
    ),
    "days less users": (
        D.select(who="day").difference(V.select("who")),
        "Difference with rows that have no key",
    ),
    "keys in different columns": (
        V.select("who", x="n").union(V.select(who="n", x="who")),
        "Union of rows with keys in different columns",
    ),
    "a changed key": (V.mutate(who=V.who + 1), "a selection of columns leaves out the key"),
    "another column as the key": (
        V.select(who="n", x="who"),
        "who is not the key of its inputs, which x is",
    ),
    "no key": (D.select(who="day"), "who is not the key of its inputs"),
}


@pytest.mark.parametrize("name", LOCAL)
def test_what_follows_from_the_rows_of_its_key_is_proven(name: str) -> None:
    assert why_not_local(LOCAL[name], "who", KEYS) == ""
    Tables(Random(0)).refute(LOCAL[name], {1, 3})


@pytest.mark.parametrize("name", NOT_LOCAL)
def test_what_stands_in_the_way_is_told(name: str) -> None:
    rows, said = NOT_LOCAL[name]
    assert why_not_local(rows, "who", KEYS).startswith(said)


def test_inputs_without_the_key_prove_nothing() -> None:
    assert why_not_local(V, "who", {}) == "none of its inputs has the key"


class Tables:
    """Inputs of a few rows, of all keys and of some."""

    def __init__(self, random: Random, keys: tuple[int | None, ...] = (0, 1, 2, 3)) -> None:
        self.connection = duckdb.connect()
        for table in (VISITS, USERS, DAYS):
            rows = [
                tuple(
                    random.choice(keys if name == "who" else (0, 1, 2, None))
                    for name in table.columns
                )
                for _ in range(random.choice([0, 3, 12]))
            ]
            columns = ", ".join(f"{name} BIGINT" for name in table.columns)
            self.connection.execute(f"CREATE TABLE {table.get_name()} ({columns})")
            if rows:
                marks = ", ".join("?" for _ in table.columns)
                self.connection.executemany(
                    f"INSERT INTO {table.get_name()} VALUES ({marks})", rows
                )

    def rows(self, query: ir.Table) -> list[str]:
        found = self.connection.execute(physical_query(compiler_of(), query)).fetchall()
        return sorted(map(repr, found))

    def refute(self, rows: ir.Table, keys: set[int]) -> None:
        """Fail unless rows of some keys are those that are made of inputs of these keys."""
        wanted = self.rows(rows.filter(rows.who.isin(keys)))
        chosen = ", ".join(map(str, keys)) or "NULL"
        for name in KEYS:
            self.connection.execute(
                f"DELETE FROM {name} WHERE NOT coalesce(who IN ({chosen}), false)"
            )
        assert self.rows(rows) == wanted

    def part(self, rows: ir.Table, part: int, number: int) -> list[str]:
        """Return what is made of the input rows of a part of the keys."""
        self.connection.execute("BEGIN")
        for name in KEYS:
            of_part = parts.one_of(f"FROM {name}", "who", part, number)
            self.connection.execute(f"CREATE TABLE of_part AS {of_part}")
            self.connection.execute(f"DROP TABLE {name}")
            self.connection.execute(f"ALTER TABLE of_part RENAME TO {name}")
        found = self.rows(rows)
        self.connection.execute("ROLLBACK")
        return found


STEPS: list[Callable[[Random, ir.Table], ir.Table]] = [
    lambda random, t: t.filter(t.n > random.choice([0, 1])),
    lambda random, t: t.mutate(n=t.n + t.day.fill_null(0)),
    lambda random, t: t.mutate(n=t.n.sum().over(_window(random))),
    lambda random, t: t.filter(t.n == t.n.max().over(_window(random))),
    lambda random, t: t.filter(t.n >= t.n.min()) if random.random() < 0.3 else t,
    lambda random, t: _grouped(random, t),
    lambda random, t: _joined(random, t, V.select("who", "day", other="n")),
    lambda random, t: _joined(random, t, U.select("who", day="city", other="city")),
    lambda random, t: _joined(random, t, D.select(who="day", day="day", other="m")),
    lambda random, t: t.union(
        random.choice([t, V, D.select(who="day", day="m", n="m").cast(t.schema())])
    ),
    lambda random, t: t.difference(random.choice([V, t.filter(t.n > 1)])),
    lambda random, t: t.distinct(),
    lambda random, t: t.mutate(who=random.choice([t.who, t.day, t.who + 1]).fill_null(0)),
    lambda random, t: t.filter(random.choice([t.who, t.n]).isin(random.choice([U.who, D.day]))),
    lambda random, t: t.filter(t.who.notnull()),
]
"""Each makes rows with the columns of visits of such."""


def _window(random: Random) -> ibis.expr.builders.WindowBuilder:
    by = random.choice([["who"], ["who", "day"], ["day"], []])
    return ibis.window(group_by=by)


def _grouped(random: Random, t: ir.Table) -> ir.Table:
    by = random.choice([["who"], ["who", "day"], ["day"]])
    rest = {name: t[name].max() for name in ("who", "day") if name not in by}
    return t.group_by(by).agg(n=t.n.sum(), **rest).select("who", "day", "n")


def _joined(random: Random, t: ir.Table, other: ir.Table) -> ir.Table:
    by = random.choice(["who", "who", "day"])
    how = random.choice(["inner", "left", "right", "semi", "anti", "outer"])
    t, other = t.view(), other.view().rename(w="who", d="day")
    both = t.join(other, t[by] == other[by[0]], how=how)
    if how in ("semi", "anti"):
        return both
    who = random.choice([both.who, both.w])
    who = ibis.coalesce(both.who, both.w) if how == "outer" else who
    return both.select(who=who, day=random.choice([both.day, both.d]), n=both.other)


def drawn(random: Random) -> ir.Table:
    rows = VISITS
    for _ in range(random.randint(1, 4)):
        rows = random.choice(STEPS)(random, rows)
    return rows


@settings(max_examples=settings().max_examples * 8)
@given(st.randoms(use_true_random=False))
def test_whatever_is_proven_holds(random: Random) -> None:
    rows = drawn(random)
    if why_not_local(rows, "who", KEYS) == "":
        Tables(random).refute(rows, {*random.sample(range(4), random.randint(0, 3))})


@settings(max_examples=settings().max_examples * 8)
@given(st.randoms(use_true_random=False))
def test_parts_of_the_keys_are_the_whole_also_where_a_key_is_null(random: Random) -> None:
    rows = drawn(random)
    if why_not_local(rows, "who", KEYS) == "":
        tables = Tables(random, (0, 1, 2, 3, None))
        found = [row for part in range(3) for row in tables.part(rows, part, 3)]
        assert sorted(found) == tables.rows(rows)


def test_enough_is_proven() -> None:
    random, proven = Random(0), 0
    for _ in range(200):
        rows = drawn(random)
        proven += why_not_local(rows, "who", KEYS) == ""
    assert 40 < proven < 160
