"""Sums and products of several are computed in the order that they are written in."""

from collections.abc import Callable
from operator import add, mul
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

Run = Callable[[ir.Table, pa.Table], list[Any]]
Combine = Callable[[Any, Any], Any]
GIVEN = [(0.1, 0.2, 0.3), (1e-8, 3.3, 7.7), (0.7, 0.1, 0.3), (-0.0, 1.0, -2.5), (1e308, 10.0, 0.1)]
COLUMNS = zip(*((number, *row) for number, row in enumerate(GIVEN)), strict=True)
ROWS = pa.table(dict(zip("iabc", COLUMNS, strict=True)))


def orders(combine: Combine, a: Any, b: Any, c: Any) -> list[Any]:
    return [combine(a, combine(b, c)), combine(b, combine(a, c)), combine(combine(a, b), c)]


@pytest.mark.parametrize("combine", [add, mul], ids=["sum", "product"])
def test_one_order_is_not_taken_for_another(combine: Combine, run: Run) -> None:
    rows = ibis.table(ibis.Schema.from_pyarrow(ROWS.schema), "rows")
    values = orders(combine, rows.a, rows.b, rows.c)
    query = rows.select("i", v=ibis.array(values))
    assert run(query, ROWS) == [orders(combine, *row) for row in GIVEN]


@pytest.mark.parametrize("combine", [add, mul], ids=["sum", "product"])
def test_nor_where_a_part_is_computed_before(combine: Combine, run: Run) -> None:
    rows = ibis.table(ibis.Schema.from_pyarrow(ROWS.schema), "rows")
    before = rows.mutate(p=combine(rows.b, rows.c), q=combine(rows.a, rows.c))
    values = [combine(before.a, before.p), combine(before.b, before.q)]
    query = before.select("i", v=ibis.array(values))
    assert run(query, ROWS) == [orders(combine, *row)[:2] for row in GIVEN]


def test_nor_where_integers_are_beyond_their_type_on_the_way(run: Run) -> None:
    """What stops on one engine stops on the other."""
    rows = ibis.table({"i": "int64", "a": "int64", "b": "int64", "c": "int64"}, "rows")
    given = pa.table({"i": [0], "a": [0], "b": [2**62], "c": [4]})
    whole = rows.select("i", v=ibis.array([rows.b * (rows.a * rows.c), rows.c * (rows.a * rows.b)]))
    assert run(whole, given) == [[0, 0]]
    beyond = rows.select("i", v=rows.b * (rows.a * rows.c), w=rows.a * (rows.b * rows.c))
    with pytest.raises(Exception, match=r"(?i)overflow|out of range"):
        run(beyond, given)
