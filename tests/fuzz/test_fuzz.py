"""What `check` accepts is equal on both engines: random expressions on nasty values, bit for bit.

`make fuzz N=20000` draws as many; what differs is shrunk and printed as a test to paste.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from random import Random
from typing import Any, NamedTuple

import hypothesis.strategies as st
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest
from fuzz.drawing import aggregate, condition, key, row_value, window
from fuzz.relations import relation
from fuzz.running import EXTREMES, STOPS, Engines, nasty, shapes
from fuzz.shrinking import as_test, smallest
from hypothesis import HealthCheck, Phase, given, seed, settings

from streampro.expressions.order import ties
from streampro.expressions.portability import findings

NUMBER = int(os.environ.get("FUZZ", "0")) or (
    4000 if settings.default is settings.get_profile("thorough") else 200
)
BATCH = 60
"""Columns of a query."""
FEW = 10
MANY = 0.02
"""Kinds with more than this share of all are computed in batches, others one by one."""
ALWAYS = 0.1
"""Kinds with more than this share are computed of every relation."""
RELATIONS = {"usual": 30, "extreme": 50}
"""Of so many expressions one is a relation of random steps, with `FEW` values above it."""
SHAPES = shapes()
SET_OPERATIONS = {"union": ibis.union, "intersect": ibis.intersect, "difference": ibis.difference}


Draw = Callable[[Random], ir.Value]


class Kind(NamedTuple):
    """What is drawn on a relation, how often, and the query that is made of values by name."""

    draw: Callable[..., ir.Value]
    share: float
    build: Callable[..., ir.Table]


def compared(rows: ir.Table, operation: Any, **values: ir.Value) -> ir.Table:
    """Return a set operation of one value and of the same where another column is not null."""
    [(name, value)] = values.items()
    both = rows.select(**{name: value})
    return operation(both, rows.filter(rows.m > 0).select(**{name: value}), distinct=True)


KINDS: dict[str, Kind] = {
    "values": Kind(partial(row_value, depth=6), 0.4, lambda rows, **v: rows.select("i", **v)),
    "aggregates": Kind(
        partial(aggregate, depth=5), 0.23, lambda rows, **v: rows.group_by(g=rows.k).agg(**v)
    ),
    "totals": Kind(partial(aggregate, depth=4), 0.05, lambda rows, **v: rows.agg(**v)),
    "windows": Kind(partial(window, depth=5), 0.25, lambda rows, **v: rows.select("i", **v)),
    "filters": Kind(
        partial(condition, depth=2),
        0.02,
        lambda rows, **v: rows.filter(*v.values()).select("i", **dict.fromkeys(v, rows.i)),
    ),
    "groups": Kind(
        partial(key, depth=4), 0.02, lambda rows, **v: rows.group_by(**v).agg(n=rows.count())
    ),
    **{
        name: Kind(
            partial(key, depth=2),
            0.01,
            partial(lambda each, rows, **v: compared(rows, each, **v), operation),
        )
        for name, operation in SET_OPERATIONS.items()
    },
}


SETTINGS = [("extreme", "plain"), *(("usual", shape) for shape in SHAPES)]
"""Values and the shape of the relation."""
SHARES = {"plain": 0.5, "extreme": 0.25}
"""Of the expressions of a kind; other relations have an eighth each."""


def cases() -> Iterator[Any]:
    """Yield every kind in every setting. Of other relations than the plain one, kinds that are few
    are left to the profile `thorough`, as random relations have filters, groups and set operations
    below them; and one set operation shows which extreme values are equal.
    """
    for (name, kind), (values, shape) in product(KINDS.items(), SETTINGS):
        is_plain = shape == "plain"
        is_few = kind.share < ALWAYS and not is_plain
        repeats = values == "extreme" and name in {"union", "difference"}
        marks = [pytest.mark.thorough] if is_few or repeats else []
        yield pytest.param(name, values, shape, marks=marks)


@pytest.fixture(scope="module")
def engines(request: pytest.FixtureRequest, spark: Any) -> Engines:
    return Engines(spark, nasty(EXTREMES if request.param == "extreme" else None))


def drawn(draw: Draw, number: int) -> list[ir.Value]:
    """Return as many different values, by a seed of Hypothesis each."""
    values: dict[ops.Node, ir.Value] = {}

    @seed(int(os.environ.get("FUZZ_SEED", "0")))
    @settings(
        max_examples=2 * number,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def drawing(random: Random) -> None:
        if len(values) < number:
            value = draw(random)
            values[value.op()] = value

    drawing()
    return [*values.values()]


def is_accepted(query: ir.Table) -> bool:
    return not [*findings(query), *ties(query, {"rows": [("i",)]})]


def batches(kind: str, values: list[ir.Value]) -> Iterator[Mapping[str, ir.Value]]:
    size = BATCH if KINDS[kind].share > MANY else 1
    for first in range(0, len(values), size):
        part = values[first : first + size]
        yield {f"v{number}": value for number, value in enumerate(part)}


@pytest.mark.parametrize(("kind", "engines", "shape"), [*cases()], indirect=["engines"])
def test_what_check_accepts_is_equal(
    kind: str, shape: str, engines: Engines, request: pytest.FixtureRequest
) -> None:
    rows = SHAPES[shape]
    build = partial(KINDS[kind].build, rows)
    share = SHARES.get(request.node.callspec.params["engines"], SHARES.get(shape, 0.125))
    number = max(2, round(NUMBER * KINDS[kind].share * share))
    values = [
        value
        for value in drawn(partial(KINDS[kind].draw, relation=rows.op()), number)
        if is_accepted(build(v=value))
    ]
    assert len(values) * 2 > number or number < 3 * FEW or shape != "plain"
    different = [
        as_test(smallest(engines, build, part[name]))
        for part in batches(kind, values)
        for name in engines.differing(build, part)
    ]
    assert not different, "\n\n".join(dict.fromkeys(different))


@pytest.mark.parametrize(
    ("engines", "every"), [*RELATIONS.items()], ids=[*RELATIONS], indirect=["engines"]
)
def test_values_of_any_relation_are_equal(
    engines: Engines, every: int, request: pytest.FixtureRequest
) -> None:
    """Of relations that are made of random steps, a few values each. Of extreme values a step may
    stop an engine where the other sees that it need not know them.
    """
    may_stop = "extreme" in request.node.name
    random = Random(int(os.environ.get("FUZZ_SEED", "0")))
    different: list[str] = []
    accepted = 0
    for _ in range(max(2, NUMBER // every)):
        rows = relation(random, SHAPES["plain"])
        draw = random.choice([row_value, window])
        values = {f"v{number}": draw(random, rows.op(), 3) for number in range(FEW)}

        def build(rows: ir.Table = rows, **values: ir.Value) -> ir.Table:
            return rows.select("i", **values)

        chosen = {name: each for name, each in values.items() if is_accepted(build(v=each))}
        accepted += len(chosen)
        if not chosen:
            continue
        for name in engines.differing(build, chosen):
            query = build(**{name: chosen[name]})
            told = engines.told(query, name)
            if not (may_stop and any(STOPS in pair for pair in told)):
                different.append(f"{ibis.to_sql(query)}\n{told[:3]}")
                break
    assert accepted
    assert not different, "\n\n".join(dict.fromkeys(different))
