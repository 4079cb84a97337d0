"""A fault that is put back is found: without any one method of our compilers, expressions that
`check` accepts differ, and the fuzzer draws one of them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from random import Random
from typing import Any, NamedTuple

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pytest
from fuzz.drawing import (
    ATTEMPTS,
    computed_from,
    in_order,
    of_entry,
    over,
    row_value,
    window,
)
from fuzz.running import EXTREMES, Engines, nasty, unbound
from fuzz.test_fuzz import KINDS, is_accepted

from streampro.engines.compilation.compiler import Agreeing
from streampro.engines.duckdb.compiler import Compiler as DuckDB
from streampro.engines.spark.compiler import Compiler as Spark
from streampro.expressions.portability.allowed import ALLOWED

BATCH = 30
BATCHES = 20
DEPTH = 3
ROWS = unbound()
DRAWN: dict[str, Callable[..., ir.Value]] = {
    "node": row_value,
    "DefaultLiteral": row_value,
    "Field": row_value,
    "WindowFunction": window,
}
"""What is met in all that is drawn; of the others the operation itself is drawn outermost."""
OPERATIONS = {
    "NonNullLiteral": ("Divide", "Multiply", "TimestampAdd"),
    "Exact": ("Add", "Subtract", "Multiply", "Modulus"),
}
UNSEEN = {
    "compilation.InSubquery": "stands in relations",
    "compilation.Repeat": "differs for numbers of letters that would fill the memory",
    "compilation.LagLead": "one in hundreds has an int32 and a default beyond it",
    "compilation.TimestampRange": "would fill the memory",
    "duckdb.ApproxQuantile": "is refused, but where a model allows for one engine",
    "duckdb.TimestampTruncate": "one in hundreds is compared with another day than the first",
    "duckdb.JsonElements": "stands in relations",
    "duckdb.Sum": "one engine may stop at a sum of 38 digits where the other adds in another order",
    "duckdb.StringConcat": "one in thousands is a null that stands beside a default",
    "duckdb.MapMerge": "maps of literals have types of their own",
    "spark.ArrayIndex": "counts from the end behind a length that few draw",
    "spark.CountStar": "differs where there are no rows",
    "spark.JsonElements": "stands in relations",
}
"""Methods that have a case elsewhere, as the fuzzer does not draw what they are for."""


class Rewrite(NamedTuple):
    """A method of a compiler and the operations that it is called for."""

    compiler: type
    operations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.compiler.__module__.split('.')[-2]}.{self.operations[0]}"


def rewrites() -> Iterator[Rewrite]:
    for compiler in (Agreeing, DuckDB, Spark):
        names: dict[Any, list[str]] = {}
        for name, method in vars(compiler).items():
            if name.startswith("visit_") and method.__module__ == compiler.__module__:
                names.setdefault(method, []).append(name.removeprefix("visit_"))
        yield from (Rewrite(compiler, tuple(each)) for each in names.values())


REWRITES = {str(each): each for each in rewrites()}


def drawn(names: Sequence[str], random: Random) -> Iterator[tuple[str, ir.Value]]:
    """Yield values with an operation and the kind of query that each stands in, without end."""
    rows = ROWS.op()
    if draw := DRAWN.get(names[0]):
        while True:
            yield "windows" if draw is window else "values", draw(random, rows, 2 * DEPTH)
    wanted = OPERATIONS.get(names[0], names)
    entries = [
        entry
        for of_name in ALLOWED.values()
        for entry in of_name
        if entry.operation.__name__ in wanted
    ]
    while entries:
        made = of_entry(random, rows, random.choice(entries), random.randint(1, DEPTH))
        if made is None:
            continue
        is_analytic = isinstance(made, ops.Analytic)
        if is_analytic or (isinstance(made, ops.Reduction) and random.randrange(4) == 0):
            yield "windows", alone_or_within(random, over(random, rows, made))
        elif isinstance(made, ops.Reduction):
            yield "aggregates", alone_or_within(random, in_order(made))
        else:
            yield "values", alone_or_within(random, made)


def alone_or_within(random: Random, made: ops.Value) -> ir.Value:
    """Return a value, or one in which it stands."""

    def part(kind: dt.DataType) -> ops.Value:
        return made if kind == made.dtype else ops.Literal(None, kind)

    for _ in range(random.choice([0, ATTEMPTS])):
        within = computed_from(random, ROWS.op(), part)
        if within and made in within.find(type(made)):
            return within.to_expr()
    return made.to_expr()


@pytest.fixture(scope="module")
def engines(spark: Any) -> list[Engines]:
    return [Engines(spark, nasty(changed)) for changed in (None, EXTREMES)]


def test_every_method_is_known() -> None:
    assert UNSEEN.keys() <= REWRITES.keys()


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(REWRITES.keys() - UNSEEN.keys()))
def test_what_a_method_is_for_is_found_without_it(
    name: str, engines: list[Engines], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite = REWRITES[name]
    for operation in rewrite.operations:
        monkeypatch.delattr(rewrite.compiler, f"visit_{operation}")
    values = drawn(rewrite.operations, Random(0))
    for number in range(BATCHES):
        by_kind: dict[str, dict[str, ir.Value]] = {}
        for name, (kind, value) in enumerate(islice(values, BATCH)):
            if is_accepted(KINDS[kind].build(ROWS, v=value)):
                by_kind.setdefault(kind, {})[f"v{name}"] = value
        for kind, part in by_kind.items():
            build = partial(KINDS[kind].build, ROWS)
            if next(engines[number % 2].differing(build, part), None):
                return
    pytest.fail("nothing differs")
