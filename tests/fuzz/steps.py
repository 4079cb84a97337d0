"""Steps from a relation to another as anybody may write them, as Python code on a table `t` and
another `o`.
"""

from functools import partial
from random import Random

import ibis.expr.types as ir
from fuzz.walking import LITERALS, TYPES, Drawn, Walk, Written, written

_STEPS = """
t.filter({condition})
t.filter({condition}, {condition})
t.mutate(v={value})
t.mutate(n={value})
t.mutate(v={value}, w={value})
t.select('i', v={value})
t.select({some}, v={value}, w={value})
t.order_by({order}).limit({small}, offset={small})
t.order_by({order}).head(3)
t.order_by({order})
t.distinct()
t.distinct(on={some}, keep={keep!r})
t.select({some}).distinct()
t.select({some})
t.group_by({some}).agg(v={value}, i=t['i'].max())
t.group_by({value}).agg(i=t['i'].min(), w={value})
t.group_by(g={value}).agg(i=t.count())
t.group_by({some}).having({condition}).agg(i=t['i'].max())
t.group_by({some}).mutate(v={value})
t.group_by({some}).order_by({order}).mutate(v={value})
t.agg(v={value}, i=t.count())
t.aggregate([{value}], by={some}, having=[{condition}])
t.drop({name!r})
t.rename(v={name!r})
t.fill_null({literal})
t.fill_null({{{name!r}: {literal}}})
t.drop_null({some}, how={any!r})
t.drop_null()
t.unnest({name!r})
t.unnest({name!r}, offset='at_', keep_empty={flag})
t.unpack({name!r})
t[{name!r}].value_counts()
t[{name!r}].topk(3)
t.cast({{{name!r}: {type}}})
t.try_cast({{{name!r}: {type}}})
t.{join}({other}, {on})
t.{join}({other}, {on}).select('i', v={value})
t.join({other}, {on}, how={how!r}, rname='r_{{name}}')
t.join({other}, {on}, lname='l_{{name}}', rname='')
t.union(t.filter({condition}), distinct={flag})
t.select({some}).union(t.select({some}))
t.intersect(t.filter({condition}), distinct={flag})
t.difference(t.filter({condition}), distinct={flag})
t.filter(t[{name!r}].isin(o.{column}))
t.filter(t[{name!r}].notin(o.filter(o.b).{column}))
t.filter((o.{column} == t[{name!r}]).any())
t.filter(~(o.{column} == {value}).any())
t.mutate(v={value} + o.{column}.max().as_scalar())
t.mutate(v={value}.as_scalar(), w={value}.as_scalar())
t.mutate(v=t.agg(v={value}).as_scalar(), w=t.agg(v={value}).v.as_scalar())
t.cross_join(t.agg(u={value})).mutate(v=t.agg(u=t[{name!r}].max()).as_scalar())
(lambda r: t.cross_join(r).mutate(v=r.as_scalar()))(t.agg(u={value}))
(lambda r: t.join(r, ['i']).filter(t['i'].isin(r.i)))(t.filter({condition}))
t.pivot_longer({some}, names_to='at_', values_to='v')
t.pivot_wider(id_cols=['i'], names_from='b', values_from={name!r}, values_agg={agg!r}, names=[True])
t.relocate({name!r}, before='i')
t.view()
t.select(ibis.selectors.numeric())
t.mutate(ibis.selectors.across(ibis.selectors.of_type('string'), ibis._.length()))
t.nunique().as_table()
t.count().as_table()
{value}.as_table()
t.info()
t.limit(3)
t.mutate(v=ibis.row_number().over(group_by={some}, order_by={order})).filter(ibis._.v == 0)
"""
_JOINS = ["inner", "left", "right", "outer", "semi", "anti", "cross", "asof", "any_left"]
_OTHERS = ["o", "o.filter(o.m > 0)", "o.select('i', 'n', 's', 'k')", "t.view()"]
_ON = """
{some}
['i']
['k', {condition}]
[('i', 'n')]
[]
[t['i'] == o.m]
[{value} == o.{column}]
[t['i'] > o.n, {condition}]
[{condition}]
"""


def step(random: Random, rows: ir.Table, other: ir.Table) -> Written | None:
    """Return a relation one step above another; None where Ibis does not take what was drawn."""
    walk = Walk(random, rows)
    walk.names["o"] = other.view()
    return written(_drawn(random, walk).code(random, _STEPS), walk.names, ir.Table)


def _drawn(random: Random, walk: Walk) -> Drawn:
    choices: dict[str, list[object]] = {
        "name": [*walk.table.columns],
        "column": [*walk.names["o"].columns],
        "type": [*TYPES],
        "other": [*_OTHERS],
        "join": [f"{how}_join" for how in _JOINS],
        "how": ["inner", "left", "right", "outer", "semi", "anti"],
        "keep": ["first", "last", None],
        "any": ["any", "all"],
        "agg": ["max", "min", "sum", "count"],
        "flag": [True, False],
        "small": [0, 1, 2, 5],
    }
    drawn = Drawn(
        {word: partial(random.choice, each) for word, each in choices.items()}
        | {
            "value": lambda: walk.value(random.randint(1, 2)).code,
            "condition": lambda: walk.of("boolean", 2),
            "literal": lambda: walk.of(random.choice([*LITERALS]), 0),
            "some": walk.some,
            "order": walk.order,
            "on": lambda: drawn.code(random, _ON),
        }
    )
    return drawn
