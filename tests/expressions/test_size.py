"""The SQL of a value grows by as much with each step, whatever a rewrite writes several times."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.engines.registry import ENGINES, compiled_query

Run = Callable[[ir.Table, pa.Table], list[Any]]
Step = Callable[[Any, ir.Table], Any]
SCHEMA = {"i": "int64", "n": "int64", "m": "int64", "s": "string", "xs": "array<int64>"}
GIVEN = [
    (0, 10**18, 3, "Straße", [*range(30)]),
    (1, -(10**18) - 7, -2, "", [None, *range(20)]),
    (2, None, 2, None, None),
    (3, -1, None, "a", []),
    (4, 2**62, 7, "ab\u20ac\U0001f600cd" * 4, [1, 1, None, 2, None]),
]
ROWS = ibis.table(SCHEMA, "rows")
COLUMNS = dict(zip(SCHEMA, zip(*GIVEN, strict=True), strict=True))
TABLE = pa.table(COLUMNS, schema=ibis.schema(SCHEMA).to_pyarrow())
FEW, MANY = 4, 8
"""Steps at once."""


def steps(step: Step, value: Any, rows: ir.Table, number: int) -> Any:
    return reduce(lambda made, _: step(made, rows), range(number), value)


STEPS: dict[str, tuple[str, Step]] = {
    "slice": ("xs", lambda xs, _: xs[1:]),
    "union": ("xs", lambda xs, t: xs.union(t.xs[:2])),
    "intersect": ("xs", lambda xs, t: xs.intersect(t.xs)),
    "sort": ("xs", lambda xs, _: xs.sort()[:-1]),
    "floor division": ("n", lambda n, _: n // 7),
    "floor division by a column": ("n", lambda n, t: n // t.m),
    "padding": ("s", lambda s, t: s.lpad(9, "x").rpad(t.m + 9, "y")),
    "text": ("s", lambda s, t: s.substr(t.m, 5)),
    "interval": ("n", lambda n, _: (ibis.date(2024, 1, 31) + (n % 99).as_interval("M")).day()),
    "rounding": ("n", lambda n, _: (n + 7).round(-1).cast("int64")),
    "power": ("n", lambda n, _: ((n % 100) ** 3).cast("int64")),
}


@pytest.mark.parametrize("name", STEPS)
def test_many_steps_are_a_few_again_and_again(name: str, run: Run) -> None:
    column, step = STEPS[name]
    found = run(ROWS.select("i", v=steps(step, ROWS[column], ROWS, MANY)), TABLE)
    expected = TABLE
    for _ in range(MANY // FEW):
        values = run(ROWS.select("i", v=steps(step, ROWS[column], ROWS, FEW)), expected)
        place = expected.column_names.index(column)
        expected = expected.set_column(place, column, pa.array(values, expected[column].type))
    assert found == expected[column].to_pylist()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", STEPS)
def test_sql_grows_by_as_much_with_each_step(name: str, engine: str) -> None:
    column, step = STEPS[name]
    made = (ROWS.select(v=steps(step, ROWS[column], ROWS, number)) for number in (6, 10, 14))
    sizes = ["".join(compiled_query(engine, each).split()) for each in made]
    few, some, many = map(len, sizes)
    assert many - some < 1.5 * (some - few)


def halves(value: Any, number: int = MANY) -> Any:
    return reduce(lambda made, _: made // 2, range(number), value)


def test_steps_stand_wherever_a_value_does(run: Run) -> None:
    """In aggregates and of them, in windows and of them, in keys, conditions and joins."""
    given = pa.table({"i": [*range(6)], "k": [0, 0, 256, 257, 512, -1]})
    rows = ibis.table({"i": "int64", "k": "int64"}, "rows")
    whole = [0, 0, 1, 1, 2, -1]
    assert run(rows.select("i", v=halves(rows.k)), given) == whole
    assert run(rows.agg(v=halves(rows.k).sum()), given) == [3]
    assert run(rows.agg(v=halves(rows.k.sum())), given) == [4]
    ordered = ibis.window(order_by=rows.i, rows=(None, 0))
    assert run(rows.select("i", v=halves(rows.k).sum().over(ordered)), given) == [0, 0, 1, 2, 4, 3]
    assert run(rows.select("i", v=halves(rows.k.sum().over(ordered))), given) == [0, 0, 1, 2, 4, 4]
    by_key = rows.group_by(i=halves(rows.k)).agg(v=rows.count())
    assert run(by_key, given) == [1, 2, 2, 1]
    assert run(rows.filter(halves(rows.k) == 1).select("i", v=rows.k), given) == [256, 257]
    other = rows.view()
    pairs = rows.join(other, halves(rows.k) == other.i).select(rows.i, v=other.i)
    assert run(pairs, given) == [0, 0, 1, 1, 2]


def test_a_large_value_of_other_rows_is_written_as_often_as_it_stands(run: Run) -> None:
    """Spark takes no subquery in a list."""
    middle = ROWS.view().m.median().as_scalar()
    whole = middle.round()
    assert run(ROWS.select("i", v=whole), TABLE) == [3] * 5
    assert run(ROWS.select("i", v=((whole + ROWS.i) ** 2).cast("int64")), TABLE) == [
        *(9, 16, 25, 36, 49)
    ]


def test_what_is_too_large_is_refused() -> None:
    """What Ibis itself writes several times grows with a power of the steps."""
    text = reduce(lambda made, _: made.capitalize(), range(12), ROWS.s)
    with pytest.raises(Exception, match="more than 200,000 parts"):
        compiled_query("duckdb", ROWS.select(v=text))
