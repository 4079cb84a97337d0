"""What `check` accepts of what anybody may write is equal on both engines, bit for bit.

`make fuzz N=20000` draws as many; what differs is printed as it was written.
"""

import os
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest
from fuzz.running import EXTREMES, STOPS, Engines, nasty
from fuzz.steps import step
from fuzz.walking import SCHEMA, Walk, Written
from hypothesis import settings

from streampro.engines.compiled import compiled_query
from streampro.engines.registry import ENGINES
from streampro.expressions.decimals import exact
from streampro.expressions.locality import correlated
from streampro.expressions.order import ties
from streampro.expressions.portability import findings
from streampro.expressions.types import in_microseconds, nullable, refusal

IS_THOROUGH = settings.default is settings.get_profile("thorough")
NUMBER = int(os.environ.get("FUZZ", "0")) or (3000 if IS_THOROUGH else 120)
SEED = int(os.environ.get("FUZZ_SEED", "0"))
BATCH = 40
"""Columns of a query."""
RELATIONS = 6
"""Of so many expressions one is a relation."""
DEPTH, STEPS = 5, 6
"""Of calls inside each other, and of relations above each other, at most."""
MOST_ROWS = 1_000
"""Of a relation: a list of all rows in each of many would fill the memory."""
ROWS = ibis.table(SCHEMA, name="rows")


class Kind(NamedTuple):
    """The query that is made of values by name, and how many of them may stand in one."""

    build: Callable[..., ir.Table]
    size: int


KINDS: dict[str, Kind] = {
    "value": Kind(lambda **values: ROWS.select("i", **values), BATCH),
    "unnest": Kind(lambda **values: ROWS.select("i", **values), 1),
    "aggregate": Kind(lambda **values: ROWS.group_by(g=ROWS.k).agg(**values), BATCH),
    "filter": Kind(lambda **v: ROWS.filter(*v.values()).select("i", **dict.fromkeys(v, ROWS.i)), 1),
    "group": Kind(lambda **values: ROWS.group_by(**values).agg(n=ROWS.count()), 1),
}


@pytest.fixture(scope="module", params=["usual", "extreme"])
def engines(request: pytest.FixtureRequest, spark: Any) -> Engines:
    changed = EXTREMES if request.param == "extreme" else None
    columns = {name: kind for name, kind in SCHEMA.items() if name != "i"}
    return Engines(spark, nasty(changed, columns))


def kind_of(random: Random, value: ir.Value) -> str:
    """Return the query that a value is to stand in."""
    if value.op().find(ops.Unnest):
        return "unnest"
    if Walk.is_aggregate(value):
        return random.choice(["aggregate", "aggregate", "value"])
    if random.randrange(30):
        return "value"
    return random.choice(["filter", "group"] if value.type().is_boolean() else ["group"])


def is_accepted(query: ir.Table, code: str) -> bool:
    """Say whether `check` accepts a model that returns this, of rows with a key `i`."""
    try:
        said = [*findings(query), *ties(query, {"rows": [("i",)]}), *correlated(query)]
        kinds = [] if said else exact(query).schema().values()
    except Exception as error:
        raise AssertionError(f"check has no answer to {code}") from error
    if not kinds or any(refusal(nullable(in_microseconds(kind)), "top") for kind in kinds):
        return False
    try:
        return all(compiled_query(engine, query) for engine in ENGINES)
    except Exception:  # what check tells in a sentence
        return False


def fills_memory(value: ir.Value) -> bool:
    """Say whether a text or a list may be made longer than a machine can hold."""
    made = (ops.ArrayRepeat, ops.LPad, ops.RPad, ops.Repeat)
    sizes = (getattr(each, "times", None) or each.length for each in value.op().find(made))
    return any(not isinstance(n, ops.Literal) or (n.value or 0) > MOST_ROWS for n in sizes)


def drawn(random: Random) -> Iterator[tuple[str, Written]]:
    """Yield values that are accepted, each with the query that it may stand in."""
    walk, seen = Walk(random, ROWS), set[str]()
    while True:
        depth = random.randint(1, DEPTH)
        written = walk.new(depth)
        if written.code in seen or fills_memory(written.value):
            continue
        seen.add(written.code)
        kind = kind_of(random, written.value)
        try:
            query = KINDS[kind].build(v=written.value)
        except Exception:  # Ibis takes no such value there
            continue
        if is_accepted(query, written.code):
            if kind != "unnest":
                walk.kept[depth].append(written)
            yield kind, written


def test_what_check_accepts_of_values_is_equal(engines: Engines) -> None:
    values = drawn(Random(SEED))
    waiting: dict[str, list[Written]] = {kind: [] for kind in KINDS}
    different: list[str] = []
    for number in range(NUMBER):
        kind, written = next(values)
        waiting[kind].append(written)
        for name, batch in waiting.items():
            if len(batch) == KINDS[name].size or number == NUMBER - 1:
                different += _different(engines, name, batch)
                batch.clear()
    assert not different, "\n\n".join(different)


def _different(engines: Engines, kind: str, batch: list[Written]) -> Iterator[str]:
    build, values = KINDS[kind].build, {f"v{n}": each.value for n, each in enumerate(batch)}
    for name in engines.differing(build, values):
        told = engines.told(build(**{name: values[name]}), name)
        yield f"{kind}: {batch[int(name[1:])].code}\n    {told[:3]}"


@pytest.mark.parametrize(
    "engines", ["usual", pytest.param("extreme", marks=pytest.mark.thorough)], indirect=True
)
def test_what_check_accepts_of_relations_is_equal(engines: Engines) -> None:
    """Rows, whatever their order. An engine may stop where another sees that it need not know."""
    random = Random(SEED)
    known, different = [(ROWS, list[str]())], list[str]()
    for _ in range(NUMBER // RELATIONS):
        rows, codes = _stepped(random, engines, known)
        one, other = (engines.attempt(run, rows) for run in engines.runs)
        if one != other and not (STOPS in (one, other) and dict in map(type, (one, other))):
            different.append("\n".join(codes))
        elif sum(not code.startswith("o: ") for code in codes) < STEPS:
            known.append((rows, codes))
    assert not different, "\n\n".join(different)


def _stepped(
    random: Random, engines: Engines, known: list[tuple[ir.Table, list[str]]]
) -> tuple[ir.Table, list[str]]:
    """Return a relation that is accepted, one step above one that is known, and its steps."""
    while True:
        rows, codes = random.choice(known)
        other, others = random.choice([known[0], random.choice(known)])
        written = step(random, rows, other)
        if written is None or not is_accepted(written.value, written.code):
            continue
        if engines.number_of(written.value) <= MOST_ROWS:
            return written.value, [*(f"o: {each}" for each in others), *codes, written.code]
