"""Which rows of the sides of a join stand in the selected rows of the join. Pure Ibis."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.errors import PipelineError
from streampro.expressions.conditions import (
    Cache,
    Condition,
    conjuncts,
    fields_of,
    is_rowwise,
    match,
    moved,
    narrowed,
    renamed,
    replaced,
    values_of,
    where,
)
from streampro.names import named, ours

_JOINS = ("inner", "left", "right", "outer", "cross", "semi", "anti")
_THERE = ours("there")
"""Tells rows of a join's side from the nulls that stand where it has none."""


class Join:
    """A join chain under conditions on its rows; its values are plain columns."""

    def __init__(
        self,
        chain: ops.JoinChain,
        conditions: Sequence[Condition],
        used: Sequence[ops.Value],
        counts: bool,
        cache: Cache,
    ) -> None:
        self.chain = chain
        self.conditions = tuple(conditions)
        self.cache = cache
        self.how = {chain.first: "first"} | {link.table: link.how for link in chain.rest}
        if unknown := {*self.how.values()} - {"first", *_JOINS}:
            raise PipelineError(
                f"the rows behind a join of kind {min(unknown)!r} cannot be told: no rule says "
                "which rows of its sides enter. Explain the tables that it is built from instead."
            )
        self.used = fields_of(used)
        self.entering = self._entering(counts)

    def has_a_say(self, side: ops.Relation) -> bool:
        """Whether rows of a side enter, or decide which rows the join has."""
        return side in self.entering or not (self.how[side] == "left" or self._is_constant(side))

    def is_named_only(self, side: ops.Relation) -> bool:
        """Whether the same say in every row is all that a side has."""
        is_used = side in self.entering or self._filters(side)
        return self.how[side] == "anti" or (self._is_constant(side) and is_used)

    def used_of(self, side: ops.Relation) -> frozenset[str]:
        """Return the columns of a side that are asked, or by which its rows are joined."""
        links = fields_of(test for link in self.chain.rest for test in link.predicates)
        return names_of(field for field in self.used | links if field.rel == side)

    def conditions_on(self, side: ops.Relation) -> tuple[Condition, ...]:
        """Return the conditions that the rows of a side meet which stand in selected rows.

        Of the others' columns only those matter by which rows are joined or selected.
        """
        down = {ops.Field(side, name): value for name, value in side.parent.fields.items()}
        if side == self.chain.first and self._keeps_every_first_row():
            return tuple(replaced(condition, down) for condition in self.conditions)
        names = self._deciding[side]
        place = self._place(side)
        there = self._joined.filter(self._joined[_column(place, _THERE)])
        rows = there.select(named({n: there[_column(place, n)] for n in names})) if names else there
        return (match(rows, [side.parent.fields[name] for name in names], self.cache),)

    def _entering(self, counts: bool) -> set[ops.Relation]:
        """Return the sides whose rows enter: the first, those of which a column is used, and
        those by whose columns such a side is joined; all that add rows where these are counted.
        """
        sides = {self.chain.first} | {field.rel for field in self.used}
        if counts:
            sides |= {
                each
                for each, how in self.how.items()
                if not _is_one_row(each) and how not in ("semi", "anti")
            }
        for link in reversed(self.chain.rest):
            if link.table in sides:
                sides |= {field.rel for field in fields_of(link.predicates)}
        return sides

    def _keeps_every_first_row(self) -> bool:
        """Whether a row of the first table is in the join in any case, and alone is selected."""
        kept = all(
            link.how == "left" or (link.how == "cross" and _is_one_row(link.table))
            for link in self.chain.rest
        )
        return kept and self._own(self.chain.first) == [*self.conditions]

    def _is_constant(self, side: ops.Relation) -> bool:
        """Whether a side is one row of the same values beside every row of the others."""
        return _is_one_row(side) and not _is_one_row(self.chain.first)

    def _filters(self, side: ops.Relation) -> bool:
        """Whether rows of others are left out by the columns of a side."""
        tests = (test for link in self.chain.rest if link.how != "left" for test in link.predicates)
        return side in {field.rel for field in fields_of(tests)}

    def _own(self, side: ops.Relation) -> list[Condition]:
        return [
            condition
            for condition in self.conditions
            if {field.rel for field in fields_of(values_of(condition))} == {side}
        ]

    @cached_property
    def _deciding(self) -> dict[ops.Relation, list[str]]:
        """Return per side the columns by which its rows are joined or selected."""
        tests = [test for link in self.chain.rest for test in link.predicates]
        fields = fields_of([*tests, *(v for c in self.conditions for v in values_of(c))])
        return {
            side: sorted(names_of(field for field in fields if field.rel == side))
            for side in self.chain.tables
        }

    @cached_property
    def _joined(self) -> ir.Table:
        """Return the selected rows of the join, with the columns by which they are that."""
        sides = {side: self._narrowed(side) for side in self.chain.tables}
        fields: dict[ops.Node, ops.Node] = {}
        for old, new in sides.items():
            fields |= renamed(old, new)
        links = [
            ops.JoinLink(
                "inner" if link.how == "semi" else link.how,
                sides[link.table],
                [moved(test, fields) for test in link.predicates],
            )
            for link in self.chain.rest
        ]
        values = {
            _column(self._place(side), name): ops.Field(new, name)
            for side, new in sides.items()
            if self.how[side] != "anti"
            for name in (*self._deciding[side], _THERE)
        }
        plain = ops.JoinChain(sides[self.chain.first], links, values)
        columns = {
            field: ops.Field(plain, _column(self._place(field.rel), field.name))
            for field in fields_of(v for c in self.conditions for v in values_of(c))
        }
        return self.cache(where(plain, [replaced(each, columns) for each in self.conditions]))

    def _narrowed(self, side: ops.Relation) -> ops.Relation:
        """Return a side with a column that is never null, without rows that cannot be selected."""
        down = {ops.Field(side, name): value for name, value in side.parent.fields.items()}
        own = [] if self._may_be_missing(side) else self._own(side)
        rows = narrowed(side.parent, [replaced(condition, down) for condition in own])
        marked = ir.Table(rows).mutate(ibis.literal(True).name(_THERE))
        return ops.JoinReference(marked.op(), self._place(side))

    def _may_be_missing(self, side: ops.Relation) -> bool:
        later = self.chain.rest[self._place(side) :]
        is_filled = self.how[side] in ("left", "outer", "anti")
        return is_filled or any(link.how in ("right", "outer") for link in later)

    def _place(self, side: ops.Relation) -> int:
        return [*self.how].index(side)


def above_plain_join(chain: ops.JoinChain) -> ops.Project:
    """Return a join chain that computes values as a projection of one that hands on columns."""
    fields = fields_of(chain.values.values())
    names = {
        field: _column(chain.tables.index(field.rel), field.name)
        for field in sorted(fields, key=lambda field: (field.rel.identifier, field.name))
    }
    plain = chain.copy(values={name: field for field, name in names.items()})
    columns = {chain: plain} | {field: ops.Field(plain, name) for field, name in names.items()}
    values = {name: moved(value, columns) for name, value in chain.values.items()}
    return ops.Project(plain, values)


def with_semi_joins(relation: ops.Filter) -> ops.Relation:
    """Return a filter, of whose subqueries those that ask for a row beside each of its own are semi
    joins, and anti joins where they ask for none.
    """
    tests = [*conjuncts(relation.predicates)]
    asked = [(test, _link(test, relation.parent)) for test in tests]
    plain = [test for test, link in asked if link is None]
    found = ops.Filter(relation.parent, plain) if plain else relation.parent
    for how, rows, predicates in (link for _, link in asked if link is not None):
        first, other = ops.JoinReference(found, 0), ops.JoinReference(rows, 1)
        fields = {**renamed(relation.parent, first), **renamed(rows, other)}
        link = ops.JoinLink(how, other, [moved(test, fields) for test in predicates])
        found = ops.JoinChain(first, [link], first.fields)
    return relation if plain == tests else found


def _link(test: ops.Value, outer: ops.Relation) -> tuple[str, ops.Relation, list[ops.Value]] | None:
    """Return kind, rows and predicates of the join that a test is; None if it is no join."""
    if isinstance(test, ops.InSubquery):
        return (
            "semi",
            test.rel,
            [ops.Equals(test.needle, ops.Field(test.rel, test.rel.schema.names[0]))],
        )
    is_negated = isinstance(test, ops.Not)
    query = test.arg if is_negated else test
    if not (isinstance(query, ops.ExistsSubquery) and isinstance(query.rel, ops.Filter)):
        return None
    inner = query.rel.parent
    tests = [*conjuncts(query.rel.predicates)]
    links = [each for each in tests if outer in {field.rel for field in fields_of([each])}]
    own = [moved(each, {}) for each in tests if each not in links]
    rows = ops.Filter(inner, own) if own else inner
    down = renamed(inner, rows)
    is_elsewhere = any({field.rel for field in fields_of(own)} - {inner})
    if not links or is_elsewhere:
        return None
    return "anti" if is_negated else "semi", rows, [moved(each, down) for each in links]


def _is_one_row(relation: Any) -> bool:
    if isinstance(relation, ops.Aggregate):
        return not relation.groups
    if isinstance(relation, ops.Project) and not all(map(is_rowwise, relation.values.values())):
        return False
    if isinstance(relation, ops.Project | ops.Reference | ops.DropColumns | ops.Sort):
        return _is_one_row(relation.parent)
    return False


def names_of(fields: Iterable[ops.Field]) -> frozenset[str]:
    """Return the names of columns."""
    return frozenset(field.name for field in fields)


def _column(place: int, name: str) -> str:
    return f"side_{place}_{name}"
