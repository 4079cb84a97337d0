"""What stands beside an unnest is of the rows that have the lists, not of their elements."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
ROWS = ibis.table({"i": "int64", "n": "int64", "xs": "array<int64>"}, name="rows")
GIVEN = pa.table({"i": [1, 2, 3], "n": [10, 20, 60], "xs": [[7, 8, 9], [], [5]]})
X = ROWS.xs.unnest()
OTHER = ROWS.view()


def found(run: Run, query: ir.Table) -> list[tuple[Any, ...]]:
    assert findings(query) == []
    return sorted(tuple(row.values()) for row in run(query, GIVEN))


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (ibis.row_number().over(order_by=ROWS.i), [0, 0, 0, 2]),
        (ROWS.n.cumsum(order_by=ROWS.i), [10, 10, 10, 90]),
        (ROWS.n - ROWS.n.mean(), [-20.0, -20.0, -20.0, 30.0]),
        (ibis.ifelse(ROWS.n == ROWS.n.max(), "most", "less"), ["less"] * 3 + ["most"]),
        (ROWS.n.lead().over(order_by=ROWS.i), [20, 20, 20, None]),
    ],
)
def test_window_is_over_the_rows_that_have_the_lists(
    of: ir.Value, expected: list[Any], run: Run
) -> None:
    query = ROWS.select("i", of=of, x=X)
    beside = [(1, 7), (1, 8), (1, 9), (3, 5)]
    wanted = [(i, value, x) for (i, x), value in zip(beside, expected, strict=True)]
    assert found(run, query) == wanted


def test_also_beside_a_join(run: Run) -> None:
    """The joined rows are those of i = 1, 2 and 3, each with itself."""
    joined = ROWS.join(OTHER, ROWS.i == OTHER.i)
    rank = ibis.row_number().over(order_by=OTHER.i)
    total = OTHER.n.sum().over(order_by=OTHER.i) + ROWS.n
    query = joined.select(ROWS.i, rank=rank, total=total, x=X)
    assert found(run, query) == [(1, 0, 100, 7), (1, 0, 100, 8), (1, 0, 100, 9), (3, 2, 150, 5)]


def test_windows_after_an_unnest_are_over_the_elements(run: Run) -> None:
    query = ROWS.select("i", x=X).mutate(number=ibis.row_number().over(order_by=["i", "x"]))
    assert found(run, query) == [(1, 7, 0), (1, 8, 1), (1, 9, 2), (3, 5, 3)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ROWS.join(OTHER, "i").select(ROWS.i, x=X, y=OTHER.xs.unnest()), "of two in one select"),
        (ROWS.join(OTHER, "i").select(ROWS.i, y=ROWS.n.sum()), "Use mutate() to make it"),
        (ROWS.join(OTHER, "i").select(ROWS.i, x=X + 1), "cannot stand in the select of a join"),
    ],
)
def test_select_of_a_join_is_judged_as_any_other(query: ir.Table, said: str) -> None:
    assert any(said in each for each in findings(query))
