"""What `check` accepts is equal on both engines: random expressions on nasty values, bit for bit.

`make fuzz N=20000` draws as many; what differs is shrunk and printed as a test to paste.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import hypothesis.strategies as st
import ibis.expr.types as ir
import pytest
from fuzz.drawing import aggregate, row_value, window
from fuzz.running import EXTREMES, Engines, nasty, unbound
from fuzz.shrinking import as_test, smallest
from hypothesis import HealthCheck, Phase, given, seed, settings

from streampro.expressions.order import ties
from streampro.expressions.portability import findings

NUMBER = int(os.environ.get("FUZZ", "0")) or (
    4000 if settings.default is settings.get_profile("thorough") else 400
)
BATCH = 60
"""Columns of a query."""
ROWS = unbound()
BASE = ROWS.op()
KINDS: dict[str, tuple[Callable[..., ir.Table], st.SearchStrategy[ir.Value]]] = {
    "values": (lambda **values: ROWS.select("i", **values), row_value(BASE, 5)),
    "aggregates": (ROWS.group_by(g=ROWS.k).aggregate, aggregate(BASE, 4)),
    "windows": (lambda **values: ROWS.select("i", **values), window(BASE, 4)),
}


@pytest.fixture(scope="module", params=["usual", "extreme"])
def engines(request: pytest.FixtureRequest, spark: Any) -> Engines:
    return Engines(spark, nasty(EXTREMES if request.param == "extreme" else None))


def drawn(strategy: st.SearchStrategy[ir.Value], number: int) -> list[ir.Value]:
    values: list[ir.Value] = []

    @seed(int(os.environ.get("FUZZ_SEED", "0")))
    @settings(
        max_examples=number,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: ir.Value) -> None:
        values.append(value)

    draw()
    return values


def accepted(build: Callable[..., ir.Table], values: list[ir.Value]) -> list[ir.Value]:
    return [value for value in values if is_accepted(build(v=value))]


def is_accepted(query: ir.Table) -> bool:
    return not [*findings(query), *ties(query, {"rows": [("i",)]})]


def batches(values: list[ir.Value]) -> Iterator[Mapping[str, ir.Value]]:
    for first in range(0, len(values), BATCH):
        part = values[first : first + BATCH]
        yield {f"v{number}": value for number, value in enumerate(part)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_check_accepts_is_equal(kind: str, engines: Engines) -> None:
    build, strategy = KINDS[kind]
    values = accepted(build, drawn(strategy, NUMBER // 2 if kind == "values" else NUMBER // 4))
    assert values
    different = [
        as_test(smallest(engines, build, part[name]))
        for part in batches(values)
        for name in engines.differing(build, part)
    ]
    assert not different, "\n\n".join(dict.fromkeys(different))
