"""Tables of a FROM, joined."""

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.types as ir
from sqlglot import exp

from streampro.modeling.sql.names import Name, RefusedError, Rows, conjuncts, in_rows, known, unused
from streampro.modeling.sql.values import Values
from streampro.names import named

_HOW = {"": "inner", "INNER": "inner", "LEFT": "left", "RIGHT": "right", "FULL": "outer"}
_ALONE = {"SEMI": "semi", "ANTI": "anti"}


def is_crossed(join: exp.Join) -> bool:
    """Tell whether tables stand beside each other without a condition."""
    says = any(join.args.get(each) for each in ("on", "using", "side", "method"))
    return not says and join.kind in ("", "CROSS")


def joins_of(node: exp.Select) -> list[exp.Join]:
    """Return the joins of FROM, which are taken from the left to the right. A comma would come
    last, which makes a difference before a RIGHT JOIN only.
    """
    joins: list[exp.Join] = node.args.get("joins") or []
    commas = [each for each in joins if is_crossed(each) and not each.kind]
    if commas and any(map(leaves_right_rows, joins)):
        raise RefusedError(commas[0], "a comma beside a RIGHT or FULL JOIN: write CROSS JOIN")
    return joins


def leaves_right_rows(join: exp.Join) -> bool:
    """Tell whether rows of the right side stay that nothing on the left is joined with."""
    return join.side in ("RIGHT", "FULL")


def joined(one: Rows, other: Rows, join: exp.Join) -> Rows:
    """Return the rows of a JOIN."""
    how = _ALONE.get(join.kind) or _HOW.get(join.side or join.kind)
    using = [each.name for each in join.args.get("using") or ()]
    if how is None or join.args.get("method"):
        raise RefusedError(join, "this kind of JOIN is not known here")
    other = apart(one, other)
    on = [_test(one, other, each) for each in conjuncts(join.args.get("on"))]
    shared = [_sides(one, other, join, name) for name in using]
    on += [one.table[first] == other.table[second] for first, second in shared]
    table = one.table.join(other.table, on, how=how)
    if how in _ALONE.values():
        return Rows(table, one.names)
    second_sides = {second for _, second in shared}
    names = (*one.names, *(_repeated(each, second_sides) for each in other.names))
    return _whole(Rows(table, names), shared) if leaves_right_rows(join) else Rows(table, names)


def _sides(one: Rows, other: Rows, join: exp.Join, name: str) -> tuple[str, str]:
    """Return the columns that a name in USING stands for."""
    first, second = (rows.find(exp.column(name)) for rows in (one, other))
    if first is None or second is None:
        raise RefusedError(join, f"USING: both sides must have a column {name}")
    return first, second


def _repeated(name: Name, columns: Container[str]) -> Name:
    """Return a name that is found with its table only, if it stands for one of some columns."""
    return replace(name, is_repeated=True) if name.actual in columns else name


def _whole(rows: Rows, shared: Sequence[tuple[str, str]]) -> Rows:
    """Return joined rows of which either side may be missing, with what USING names as it is on the
    side that is there.
    """
    table, found = rows.table, list[Name]()
    both = dict(shared)
    new = dict(zip(both, unused([*both], table.columns), strict=True))
    table = table.mutate(
        named({new[one]: ibis.coalesce(table[one], table[other]) for one, other in shared})
    )
    for each in rows.names:
        if each.actual in both and not each.is_repeated:
            found.append(Name("", each.column, new[each.actual]))
        found.append(_repeated(each, both))
    return Rows(table, (*found,))


def crossed(rows: Rows, others: list[Rows], tests: list[exp.Expr]) -> tuple[Rows, list[exp.Expr]]:
    """Return rows joined with tables that stand behind commas, and the conditions that are left.

    A table is joined by the conditions that compare it with what is joined already, the first of
    such tables first.
    """
    others = [*others]
    while others:
        candidates = [(each, _comparing(rows, each, tests)) for each in others]
        near, on = next((each for each in candidates if each[1]), candidates[0])
        others = [each for each in others if each is not near]
        other = apart(rows, near)
        predicates = [_test(rows, other, each) for each in on]
        both = (rows.table, other.table)
        table = both[0].join(both[1], predicates) if on else both[0].cross_join(both[1])
        rows = Rows(table, rows.names + other.names)
        tests = [each for each in tests if each not in on]
    return rows, tests


def unnested(rows: Rows, node: exp.Unnest) -> Rows:
    """Return rows as often as a list of theirs has elements, with one of these each."""
    columns = node.alias_column_names
    if len(node.expressions) != 1 or len(columns) != 1 or node.args.get("offset"):
        raise RefusedError(node, "an unnest is of one list, with names: unnest(list) AS t(element)")
    [actual] = unused(["element"], rows.table.columns)
    table = ir.Table(rows.table.op())  # a join is one table from here on
    items: Any = Values(table)(known(node.expressions[0], in_rows(rows)))
    table = table.mutate(named({actual: items.unnest()}))
    return Rows(table, (*rows.names, Name(node.alias, columns[0], actual)))


def apart(one: Rows, other: Rows) -> Rows:
    """Return rows as a relation of their own, whose columns have no name that the other has."""
    own = other.table.columns
    actual = dict(zip(own, unused(own, one.table.columns), strict=True))
    table = other.table.view()
    table = table.select(named({new: table[name] for name, new in actual.items()}))
    names = (
        Name(each.table, each.column, actual[each.actual], each.is_repeated) for each in other.names
    )
    return Rows(table, tuple(names))


def _test(one: Rows, other: Rows, test: exp.Expr) -> ir.Value:
    """Return a condition on two sides."""
    sides = _unlike(one, other), in_rows(one), in_rows(other, outside=True)
    return Values(one.table, other.table).test(known(test, *sides))


def _unlike(one: Rows, other: Rows) -> Callable[[exp.Column], None]:
    """Return what refuses a column that both sides have."""

    def find(column: exp.Column) -> None:
        if one.find(column) is not None and other.find(column) is not None:
            why = f"both sides have a column {column.name}: name the table"
            raise RefusedError(column, why)

    return find


def _comparing(one: Rows, other: Rows, tests: list[exp.Expr]) -> list[exp.Expr]:
    """Return the conditions that say that a column of one equals a column of the other."""
    return [each for each in tests if isinstance(each, exp.EQ) and _compares(each, one, other)]


def _compares(test: exp.EQ, one: Rows, other: Rows) -> bool:
    columns = [each.unnest() for each in (test.this, test.expression)]
    if not all(isinstance(each, exp.Column) for each in columns):
        return False
    try:
        found = [(one.find(each) is not None, other.find(each) is not None) for each in columns]
    except RefusedError:  # it is told where the condition is read
        return False
    return sorted(found) == [(False, True), (True, False)]
