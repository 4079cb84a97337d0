"""Relations of random steps above each other, which keep the columns of the nasty table and its
key `i`.
"""

from collections.abc import Callable
from random import Random

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from fuzz.drawing import condition, key, operation

from streampro.expressions.portability.families import family_of

STEPS = 3
"""Above each other, at most."""


def relation(random: Random, rows: ir.Table) -> ir.Table:
    """Return a relation of one step to `STEPS` above another."""
    for _ in range(random.randint(1, STEPS)):
        rows = random.choice(ALL)(random, rows)
    return rows


def filtered(random: Random, rows: ir.Table) -> ir.Table:
    return rows.filter(some(random, rows))


def computed(random: Random, rows: ir.Table) -> ir.Table:
    """Return rows with other values in a column, of its type."""
    name = random.choice([each for each in rows.columns if each != "i"])
    kind = rows.schema()[name]
    made = operation(random, rows.op(), family_of(kind), 2, "values")
    fits = made is not None and made.dtype.copy(nullable=True) == kind.copy(nullable=True)
    return rows.mutate(**{name: made.to_expr()}) if made is not None and fits else rows


def joined(random: Random, rows: ir.Table) -> ir.Table:
    other = rows.filter(some(random, rows)).select("i", "n", "s").view()
    by = random.choice(["i", "n", "s"])
    kept = random.choice([rows.semi_join, rows.anti_join])(other, by)
    return kept.select(*rows.columns)


def beside(random: Random, rows: ir.Table) -> ir.Table:
    """Return rows with a column of others, of at most one each."""
    other = rows.filter(some(random, rows)).select(j="i", of_other="n")
    both = random.choice([rows.left_join, rows.inner_join])(other, rows.m == other.j)
    return both.mutate(n=ibis.coalesce(both.of_other, both.n)).drop("j", "of_other")


def largest(random: Random, rows: ir.Table) -> ir.Table:
    """Return a row of each group."""
    last = rows.group_by(g=key(random, rows.op(), 2)).agg(last=rows.i.max())
    return rows.semi_join(last, rows.i == last.last).select(*rows.columns)


def united(random: Random, rows: ir.Table) -> ir.Table:
    rows = rows.drop("ms") if "ms" in rows.columns else rows  # maps are not compared
    one, other = (rows.filter(some(random, rows)) for _ in range(2))
    return random.choice(
        [
            lambda: one.union(other).distinct(),
            lambda: one.union(other, distinct=True),
            lambda: one.intersect(other),
            lambda: one.difference(other),
        ]
    )()


def some(random: Random, rows: ir.Table) -> ir.BooleanValue:
    """Return a condition, every other one with a window."""
    if random.randrange(2):
        return condition(random, rows.op(), 1)
    made = None
    while made is None:
        made = operation(random, rows.op(), "boolean", 2, "values")
    found: ir.BooleanValue = ops.Or(made, ops.IsNull(made)).to_expr()
    return found


ALL: list[Callable[[Random, ir.Table], ir.Table]] = [
    filtered,
    computed,
    joined,
    beside,
    largest,
    united,
]
