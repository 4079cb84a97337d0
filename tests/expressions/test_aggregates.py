"""Aggregates of `portable` give on both engines what plain Python works out."""

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro import portable
from streampro.errors import PipelineError
from streampro.expressions.portability import findings

Run = Callable[..., list[Any]]
BIG = 2**62
INTEGERS = [[], [None], [1, 2, None], [7], [BIG, BIG - 1], [-BIG, BIG, 3], [10**17, 1, 1, 1]]
AMOUNTS = [[], ["0.10"] * 3, ["9007199254740993.01", "0.01", None], ["-1.00", "1.00"]]
FLOATS = [
    ([], None),
    ([None], None),
    ([0.1] * 10 + [None], 1.0),
    ([1.0, 1e12, -1e12], 1.0),
    ([0.125], 0.13),
    ([-0.125, 0.125], 0.0),
    ([2.5, -0.004], 2.5),
    ([1.0, float("nan")], None),
    ([1.0, float("inf"), float("-inf")], None),
    ([9.3e16], None),
    ([9.1e16] * 3, 2.73e17),
]


def rows_of(kind: str, values: list[Any]) -> tuple[ir.Table, pa.Table]:
    schema = ibis.schema({"i": "int64", "x": kind})
    held = pa.array(values, schema["x"].to_pyarrow())
    return ibis.table(schema, name="rows"), pa.table({"i": range(len(values)), "x": held})


def check(
    kind: str,
    batches: list[list[Any]],
    of: Callable[[ir.Column], ir.Value],
    wanted: list[Any],
    engines: tuple[Run, ...],
) -> None:
    """Batches are groups of one table, so that each engine is asked once."""
    pairs = [(group, value) for group, batch in enumerate(batches) for value in batch]
    t, rows = rows_of(kind, [value for _, value in pairs])
    rows = rows.set_column(0, "i", pa.array([group for group, _ in pairs], pa.int64()))
    query = t.group_by("i").aggregate(v=of(t.x))
    assert findings(query) == []
    expected = [want for batch, want in zip(batches, wanted, strict=True) if batch]
    for run in engines:
        assert run(query, rows) == expected


def test_latest(on_duckdb: Run, on_spark: Run) -> None:
    """Ties, values that are null, rows without an order, groups without rows."""
    t = ibis.table({"i": "int64", "at": "int64", "x": "string"}, name="rows")
    given = [(1, 5, "z"), (1, 5, "y"), (1, 4, "zz"), (1, 9, None), (1, None, "zzz")]
    given += [(2, None, "q"), (3, 6, None), (4, -1, "é"), (4, -1, "e")]
    rows = pa.table(dict(zip(("i", "at", "x"), map(list, zip(*given, strict=True)), strict=True)))
    query = t.group_by("i").aggregate(v=portable.latest(t.x, t["at"]))
    assert findings(query) == []
    assert on_duckdb(query, rows) == on_spark(query, rows) == ["z", None, None, "é"]


def mean_of(values: list[Any]) -> float | None:
    left = [Fraction(value) for value in values if value is not None]
    return float(sum(left)) / len(left) if left else None


def test_mean_of_integers(on_duckdb: Run, on_spark: Run) -> None:
    wanted = [mean_of(batch) for batch in INTEGERS]
    check("int64", INTEGERS, portable.mean, wanted, (on_duckdb, on_spark))


def test_mean_of_decimals(on_duckdb: Run, on_spark: Run) -> None:
    batches = [[each and Decimal(each) for each in batch] for batch in AMOUNTS]
    wanted = [mean_of(batch) for batch in batches]
    check("decimal(18, 2)", batches, portable.mean, wanted, (on_duckdb, on_spark))


def test_mean_of_floats(on_duckdb: Run, on_spark: Run) -> None:
    batches = [[0.1, 0.2, None], [1e12, -1e12, 1.0, 2.0], [None], [1.0, float("nan")], [0.0000004]]
    check("float64", batches, portable.mean, [0.15, 0.75, None, None, 0.0], (on_duckdb, on_spark))


def test_sum_floats_whatever_the_order(on_duckdb: Run, on_spark: Run) -> None:
    random.seed(7)
    many = [random.uniform(-1e9, 1e9) for _ in range(500)]
    total = sum(Decimal(str(round(abs(x * 100.0)))) * (1 if x > 0 else -1) for x in many)
    batches = [batch for batch, _ in FLOATS] + [many, many[::-1]]
    wanted = [want for _, want in FLOATS] + [float(total) / 100] * 2

    def of(x: ir.Column) -> ir.Value:
        return portable.sum_floats(x, 2)

    check("float64", batches, of, wanted, (on_duckdb, on_spark))


def test_mode_per_group(on_duckdb: Run, on_spark: Run) -> None:
    random.seed(3)
    given = [
        (g, random.choice([None, "a", "b", "é", "Z", ""])) for g in range(40) for _ in range(9)
    ]
    given += [(40, None), (41, "b"), (41, "a"), (42, None), (42, None), (42, "x")]
    t = ibis.table({"i": "int64", "v": "string"}, name="rows")
    rows = pa.table({"i": [g for g, _ in given], "v": [x for _, x in given]})
    query = portable.mode(t, "v", by=["i"])
    assert findings(query) == []
    wanted = []
    for group in range(43):
        counts = Counter(x for g, x in given if g == group and x is not None)
        wanted.append(min(counts, key=lambda x: (-counts[x], x.encode()), default=None))
    assert on_duckdb(query, rows) == on_spark(query, rows) == wanted


def test_mode_of_all_rows(on_duckdb: Run, on_spark: Run) -> None:
    t, rows = rows_of("int64", [5, 3, 3, 5, None, None, None])
    query = portable.mode(t, "x").select(v="x")
    assert findings(query) == []
    assert on_duckdb(query, rows) == on_spark(query, rows) == [3]


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda t: portable.mode(t, "x"), "x is a float"),
        (lambda t: portable.sum_floats(t.x, 16), "digits is 16"),
    ],
)
def test_what_has_no_one_meaning_is_refused(of: Callable[[ir.Table], Any], told: str) -> None:
    with pytest.raises(PipelineError, match=told):
        of(rows_of("float64", [])[0])
