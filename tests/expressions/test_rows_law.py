"""The law of row lineage, of random expressions: what is computed of only the rows that are told,
and of a table as a whole where it decides so, has the selected row again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.expressions.rows import contributions

IS_THOROUGH = settings.default is settings.get_profile("thorough")
Row = dict[str, Any]
Step = Callable[[ir.Table, ir.Table], ir.Table]

SCHEMA = ibis.schema({"id": "int64", "a": "int64", "b": "string", "c": "int64"})
VALUES = ["a", "b", "c"]
IN_ORDER = ibis.window(group_by="b", order_by=["a", "c"])
"""Rows that it leaves tied are equal."""

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.sampled_from([1, 2, 3, None]),
            "b": st.sampled_from(["x", "y", None]),
            "c": st.sampled_from([0, 2, 5, None]),
        }
    ),
    max_size=6,
).map(lambda rows: [{"id": number} | row for number, row in enumerate(rows)])


def _renamed(rows: ir.Table) -> ir.Table:
    return rows.rename(a2="a", b2="b", c2="c")


def _joined(how: str) -> Step:
    def join(t: ir.Table, other: ir.Table) -> ir.Table:
        u = _renamed(other)
        both = t.join(u, [("a", "a2")], how=how)
        return both.select(a=both.a, b=both.b2, c=both.c)

    return join


def _ranked(t: ir.Table, _: ir.Table) -> ir.Table:
    ranked = t.mutate(place=ibis.dense_rank().over(IN_ORDER))
    return ranked.filter(ranked.place == 0).drop("place")


def _counted(t: ir.Table, _: ir.Table) -> ir.Table:
    counted = t.mutate(n=t.count().over(ibis.window(group_by="a")))
    return counted.filter(counted.n > 1).select(*VALUES)


def _beside_another(t: ir.Table, u: ir.Table) -> ir.Table:
    return t.filter(t.c >= 0, ((u.a2 == t.a) & (u.c2 != t.c) & (u.c2 > 0)).any())


STEPS: dict[str, Step] = {
    "filter": lambda t, _: t.filter(t.a > 1),
    "filter by a total": lambda t, _: t.filter(t.c == t.c.max().as_scalar()),
    "filter by a window": lambda t, _: t.filter(t.count().over(ibis.window(group_by="b")) > 1),
    "compute": lambda t, _: t.mutate(a=t.c, c=ibis.coalesce(t.c, t.a)),
    "fill null": lambda t, _: t.fill_null({"c": 1}),
    "drop null": lambda t, _: t.drop_null(["a", "b"], how="all"),
    "group": lambda t, _: t.group_by("b").aggregate(a=t.a.max(), c=t.count()).select(*VALUES),
    "group by two": lambda t, _: t.group_by("a", "b").aggregate(c=t.c.sum()).select(*VALUES),
    "one row": lambda t, _: t.aggregate(a=t.a.max(), b=t.b.min(), c=t.count()),
    "distinct": lambda t, _: t.distinct(),
    "limit": lambda t, _: t.order_by(*VALUES).limit(2),
    "rank": lambda t, _: t.mutate(c=ibis.dense_rank().over(IN_ORDER)),
    "first of its group": _ranked,
    "not alone": _counted,
    "largest of its group": lambda t, _: t.mutate(c=t.c.max().over(ibis.window(group_by="b"))),
    "union": lambda t, u: t.union(u),
    "distinct union": lambda t, u: t.union(u, distinct=True),
    "intersect": lambda t, u: t.intersect(u),
    "difference": lambda t, u: t.difference(u),
    "inner join": _joined("inner"),
    "left join": _joined("left"),
    "outer join": _joined("outer"),
    "semi join": lambda t, u: t.semi_join(_renamed(u), [("a", "a2")]),
    "anti join": lambda t, u: t.anti_join(_renamed(u), [("a", "a2")]),
    "exists": lambda t, u: t.filter((_renamed(u).a2 == t.a).any()),
    "exists another": lambda t, u: _beside_another(t, _renamed(u)),
    "exists of its own": lambda t, _: _beside_another(t, _renamed(t.view())),
    "exists not": lambda t, u: t.filter(~(_renamed(u).a2 == t.a).any()),
    "is in": lambda t, u: t.filter((t.c > 0) & t.a.isin(_renamed(u).a2)),
    "is not in": lambda t, u: t.filter(t.a.notin(_renamed(u).filter(lambda r: r.c2 > 1).c2)),
    "beside a total": lambda t, u: t.cross_join(u.aggregate(c2=u.c.max())).select("a", "b", c="c2"),
}

STEP = st.sampled_from([*STEPS])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    warehouse: Path = tmp_path_factory.mktemp("law")
    with DuckDBEngine(Target(name="law", warehouse=warehouse)) as found:
        yield found


@pytest.mark.slow
@settings(
    max_examples=settings().max_examples * (2 if IS_THOROUGH else 1),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    given_s=ROWS,
    given_t=ROWS,
    steps=st.lists(STEP, min_size=1, max_size=4),
    steps_of_other=st.lists(STEP, max_size=2),
    place=st.integers(0, 5),
)
def test_selected_row_follows_from_the_rows_that_are_told(
    engine: DuckDBEngine,
    given_s: list[Row],
    given_t: list[Row],
    steps: list[str],
    steps_of_other: list[str],
    place: int,
) -> None:
    has_outer = "outer join" in (*steps, *steps_of_other)
    assume(not (has_outer and any(step.startswith("exists") for step in steps)))  # DuckDB cannot

    def load(rows: list[Row], schema: ibis.Schema = SCHEMA) -> ir.Table:
        return engine.load(pa.Table.from_pylist(rows, schema.to_pyarrow()), schema)

    def computed(s: ir.Table, t: ir.Table) -> ir.Table:
        """The result of all steps, of `s` and of what other steps make of `t`."""
        found, other = s.select(*VALUES), t.select(*VALUES)
        for name in steps_of_other:
            other = STEPS[name](other, t.select(*VALUES))
        for name in steps:
            found = STEPS[name](found, other)
        return found.select(*VALUES)

    def told(name: str) -> list[Row]:
        part = found[name]
        parts = [rows for rows in (part.rows, part.deciding) if rows is not None]
        ids = [row["id"] for rows in parts for row in engine.fetch(rows).to_pylist()]
        assert len(ids) == len({*ids})
        return [row for row in given[name] if part.decides_as_a_whole or row["id"] in ids]

    given = {"s": given_s, "t": given_t}
    inputs = {name: load(rows) for name, rows in given.items()}
    rows = computed(**inputs)
    if not (results := engine.fetch(rows).to_pylist()):
        return
    row = results[place % len(results)]
    nullable = {name: kind.copy(nullable=True) for name, kind in rows.schema().items()}
    found = contributions(rows, inputs, load([row], ibis.schema(nullable)), VALUES, engine.cache)
    again = computed(**{name: load(told(name)) for name in given})
    assert row in engine.fetch(again).to_pylist()
