"""Conditions and values that look at other rows, as joins."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir
from sqlglot import exp

from streampro.modeling.sql.names import (
    RefusedError,
    Rows,
    aggregates_in,
    columns_in,
    conjuncts,
    in_rows,
    is_known,
    known,
    unused,
)
from streampro.modeling.sql.values import Values
from streampro.names import named

if TYPE_CHECKING:
    from streampro.modeling.sql.relations import Query

Given = Mapping[exp.Expr, ir.Value]


def kept(
    query: "Query", rows: Rows, tests: Sequence[exp.Expr], given: Given | None = None
) -> tuple[Rows, Given]:
    """Return the rows for which all conditions are true, and what is given on them."""
    given = given or {}
    plain = [each for each in tests if not [*_queries_in(each)]]
    if plain:
        values = query.values(rows, given)
        rows, given = moved(rows.table.filter(*(values.test(each) for each in plain)), rows, given)
    for each in tests:
        if each in plain:
            continue
        found = each.unnest()
        is_not = isinstance(found, exp.Not)
        inner = found.this.unnest() if is_not else found
        if isinstance(inner, exp.Exists):
            beside = _beside(query, rows, inner.this, [], "anti" if is_not else "semi")
            rows, given = moved(beside, rows, given)
        elif isinstance(inner, exp.In) and not is_not and _is_correlated(query, rows, inner):
            rows, given = moved(
                _beside(query, rows, inner.args["query"], [inner], "semi"), rows, given
            )
        else:
            rows, given = attached(query, rows, [each], given)
            values = query.values(rows, given)
            is_in = isinstance(inner, exp.In) and not is_not and inner.args.get("query")
            test = values.is_in(inner) if is_in else values.test(each)
            rows, given = moved(rows.table.filter(test), rows, given)
    return rows, given


def attached(
    query: "Query", rows: Rows, parts: Sequence[exp.Expr], given: Given | None = None
) -> tuple[Rows, Given]:
    """Return rows beside which stand the aggregates of subqueries that look at each of them, what
    these subqueries are there, and what is given.
    """
    given, made = given or {}, dict[exp.Expr, tuple[exp.Expr, dict[exp.Expr, str]]]()
    for node in dict.fromkeys(each for part in parts for each in _values_in(part, given)):
        select = query.inside(rows).select(node)
        inner, compared = select.beside() if select else (None, [])
        if select is None or inner is None or not compared:
            continue
        item = select.only_aggregate(inner)
        keys = [_equal_sides(each, inner, rows) for each in compared]
        own, aggregates = Values(inner.table), [*dict.fromkeys(aggregates_in(item))]
        wanted = ["key"] * len(keys) + ["part"] * len(aggregates)
        free = unused(wanted, rows.table.columns)
        by = [own(key).name(name) for (key, _), name in zip(keys, free, strict=False)]
        names = dict(zip(aggregates, free[len(keys) :], strict=True))
        made_of = {name: own.aggregate(each) for each, name in names.items()}
        sums = inner.table.aggregate(named(made_of), by=by)
        outer = Values(rows.table, rows.table)
        on = [outer(key) == sums[each.get_name()] for (_, key), each in zip(keys, by, strict=True)]
        rows, given = moved(rows.table.left_join(sums, on), rows, given)
        made[node] = item, names
    if not made:
        return rows, given
    called, values = unused(["value"] * len(made), rows.table.columns), []
    for item, names in made.values():
        sums_of = {each: _of_none(each, rows.table[name]) for each, name in names.items()}
        values.append(Values(rows.table, given=sums_of)(item))
    table = rows.table.mutate(named(dict(zip(called, values, strict=True))))
    rows, given = moved(table, rows, given)
    return rows, {**given, **{node: table[name] for node, name in zip(made, called, strict=True)}}


def _of_none(aggregate: exp.Expr, value: ir.Value) -> ir.Value:
    """Return an aggregate of a group that may not be there: of no rows a count is 0."""
    function = aggregate.this if isinstance(aggregate, exp.Filter) else aggregate
    return ibis.coalesce(value, 0) if isinstance(function, exp.Count | exp.CountIf) else value


def _beside(query: "Query", rows: Rows, node: exp.Expr, equal: list[exp.In], how: str) -> ir.Table:
    """Return the rows that a subquery has rows for, or those that it has none for."""
    select = query.inside(rows).select(node)
    if select is None or select.is_more_than_rows:
        raise RefusedError(node, "EXISTS and IN look at rows, not at groups, of a SELECT here")
    if equal and len(select.node.expressions) != 1:
        raise RefusedError(node, "IN takes a query of one column")
    inner, compared = select.beside()
    inner = replace(inner, table=inner.table.view())
    sides = in_rows(inner), in_rows(rows, outside=True)
    values = Values(inner.table, rows.table)
    on = [values(known(each, *sides)) for each in compared]
    for each in equal:
        item = known(select.node.expressions[0].unalias(), in_rows(inner))
        on.append(values(item) == Values(rows.table)(each.this))
    if not on:
        raise RefusedError(node, "EXISTS compares with a column that stands outside")
    return rows.table.join(inner.table, on, how=how)


def _equal_sides(test: exp.Expr, inner: Rows, rows: Rows) -> tuple[exp.Expr, exp.Expr]:
    """Return the side of a comparison that is of the subquery, and the one that is outside."""
    if isinstance(test, exp.EQ):
        for own, other in ((test.this, test.expression), (test.expression, test.this)):
            outside = known(other, in_rows(rows, outside=True))
            is_apart = all(map(is_known, own.find_all(exp.Column))) and not any(
                is_known(each) for each in other.find_all(exp.Column)
            )
            if is_apart and all(map(is_known, outside.find_all(exp.Column))):
                return own, outside
    raise RefusedError(
        test, "a subquery for a value is compared with what stands outside by = only"
    )


def _is_correlated(query: "Query", rows: Rows, node: exp.In) -> bool:
    select = query.inside(rows).select(node.args["query"]) if node.args.get("query") else None
    return bool(select and not select.is_more_than_rows and select.beside()[1])


def moved(table: ir.Table, rows: Rows, given: Given) -> tuple[Rows, Given]:
    """Return rows, and what is given on them, as another table has them."""
    table = ir.Table(table.op())  # a join is one table from here on
    return replace(rows, table=table), {
        node: table[value.get_name()] for node, value in given.items()
    }


def _queries_in(node: exp.Expr, given: Given | None = None) -> Iterator[exp.Expr]:
    """Yield the outermost subqueries in an expression, but for those in what is given."""
    done = given or {}
    for each in node.walk(prune=lambda part: isinstance(part, exp.Query) or part in done):
        if isinstance(each, exp.Query) and each not in done:
            yield each


def _values_in(node: exp.Expr, given: Given) -> Iterator[exp.Expr]:
    """Yield those that stand for a value."""
    for each in _queries_in(node, given):
        if isinstance(each, exp.Subquery) and not isinstance(each.parent, exp.In | exp.Exists):
            yield each


def write_out_tests(query: exp.Expr) -> None:
    """Write EXISTS as a number of rows where it is part of a value or of a condition; what is equal
    to ANY of some rows as IN, and what is unequal to ALL of them as no IN.
    """
    for some in [*query.find_all(exp.Any, exp.All)]:
        test, rows = some.parent, some.this.unnest()
        is_in = isinstance(test, exp.EQ if isinstance(some, exp.Any) else exp.NEQ)
        if test and is_in and some is test.expression and isinstance(rows, exp.Query):
            found = exp.In(this=test.this, query=exp.Subquery(this=rows))
            test.replace(found if isinstance(test, exp.EQ) else exp.Not(this=found))
    alone = {id(each) for select in query.find_all(exp.Select) for each in _tested(select)}
    for each in reversed([*query.find_all(exp.Exists)]):  # the inner ones first
        if id(each) not in alone and isinstance(each.this, exp.Select):
            number = each.this.copy()
            number.set("expressions", [exp.Count(this=exp.Star())])
            is_some = exp.GT(this=exp.Subquery(this=number), expression=exp.Literal.number(0))
            each.replace(exp.paren(is_some))


def _tested(select: exp.Select) -> Iterator[exp.Expr]:
    """Yield the EXISTS, or NOT EXISTS, that are conditions of their own."""
    parts = (select.args.get(name) for name in ("where", "having", "qualify"))
    for test in chain.from_iterable(conjuncts(part.this) for part in parts if part):
        inner = test.this.unnest() if isinstance(test, exp.Not) else test
        if isinstance(inner, exp.Exists):
            yield inner


def refers_outside(test: exp.Expr, outside: Rows | None) -> bool:
    """Tell whether a condition looks at a column that stands outside."""
    return any(outside and outside.find(each) for each in columns_in(test))
