"""Which rows of its inputs the rows of a model come from, read off its expression.

A row of an input *enters* where, by the expression, a selected row is computed from it: through
projections and filters the row itself; through an aggregate all rows of its group; through a join
the rows of both sides that were joined; through a union the rows of each side. A row *decides* if
it enters no value, but has a say in one, or in which rows there are: it shares a window with a row
that enters, or stands on the other side of a semi join. Of what has the same say in every row (a
scalar subquery, one row joined to all, the right side of an anti join, the rows below a limit) only
the input is named.

Pure Ibis, no engine. An operation that is not known is refused, so nothing is told wrongly.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
from ibis.common.exceptions import IbisError

from streampro.errors import PipelineError
from streampro.expressions.conditions import (
    Cache,
    Condition,
    Match,
    fields_of,
    is_rowwise,
    match,
    moved,
    narrowed,
    renamed,
    replaced,
    spelled_out,
    values_of,
    where_any,
)
from streampro.expressions.python import RowsOfKeys
from streampro.expressions.rows.joins import Join, above_plain_join, names_of, with_semi_joins
from streampro.names import named


@dataclass(frozen=True)
class Contribution:
    """What an input gave to selected rows.

    Attributes:
        rows: its rows that enter; null if none can.
        columns: its columns that enter or decide.
        deciding: further rows that only decide.
        decides_as_a_whole: whether the table also has the same say in every row.
    """

    rows: ir.Table | None
    columns: frozenset[str]
    deciding: ir.Table | None
    decides_as_a_whole: bool


@dataclass(frozen=True)
class _Asked:
    """The rows of a relation that meet all conditions; of these the columns, and maybe how many."""

    conditions: tuple[Condition, ...]
    columns: frozenset[str]
    counts: bool = False
    enters: bool = True


def contributions(
    rows: ir.Table,
    inputs: Mapping[str, ir.Table],
    selected: ir.Table,
    columns: Iterable[str],
    cache: Cache,
) -> dict[str, Contribution]:
    """Return per input what it gave to some columns of the selected rows of an expression.

    Args:
        rows: the expression.
        inputs: what it is an expression of.
        selected: tells its rows by some of its columns, such as the key, nulls equal.
        columns: the columns of `rows` whose origin is asked.
        cache: computes rows once.

    Raises `PipelineError` for an operation that is not known, or whose rows cannot be told.
    """
    relation = rows.op()
    try:
        chosen = match(selected, [ops.Field(relation, name) for name in selected.columns], cache)
        walk = _Walk({table.op(): name for name, table in inputs.items()}, cache)
        walk.follow(relation, _Asked((chosen,), frozenset(columns)))
        return {name: walk.found(table.op()) for name, table in inputs.items()}
    except IbisError as error:
        raise PipelineError(
            f"the rows behind this expression cannot be told: {error}. "
            "Explain the tables that it is built from instead."
        ) from error


class _Walk:
    """Goes down the tree and notes what is asked of each input."""

    def __init__(self, inputs: Mapping[ops.Relation, str], cache: Cache) -> None:
        self.inputs = inputs
        self.cache = cache
        self.asked: dict[ops.Relation, list[_Asked]] = {relation: [] for relation in inputs}
        self.whole: set[ops.Relation] = set()

    def found(self, relation: ops.Relation) -> Contribution:
        asked = self.asked[relation]
        enters = [each.conditions for each in asked if each.enters]
        decides = [each.conditions for each in asked if not each.enters]
        return Contribution(
            rows=where_any(relation, enters) if enters else None,
            columns=frozenset().union(*(each.columns for each in asked)),
            deciding=where_any(relation, decides, enters) if decides else None,
            decides_as_a_whole=relation in self.whole,
        )

    def follow(self, relation: ops.Relation, asked: _Asked) -> None:
        """Note what is asked of an input; pass on what is asked of anything else."""
        if relation in self.inputs:
            self.asked[relation].append(asked)
            return
        plain = spelled_out(relation)
        asked = replace(asked, conditions=_moved(asked, relation, plain.fields))
        relation = plain
        for kinds, step in _STEPS:
            if isinstance(relation, kinds):
                step(self, relation, asked)
                return
        raise PipelineError(
            f"the rows behind {type(relation).__name__} cannot be told: no rule says which rows "
            "of its parent enter. Explain the tables that it is built from instead."
        )

    def project(self, relation: Any, asked: _Asked) -> None:
        used = [relation.values[name] for name in asked.columns]
        self._below(relation.parent, _moved(asked, relation, relation.values), used, asked)

    def filter(self, relation: ops.Filter, asked: _Asked) -> None:
        above = with_semi_joins(relation)
        if above != relation:
            conditions = _moved(asked, relation, above.fields)
            self.follow(above, replace(asked, conditions=conditions))
            return
        parent = relation.parent
        used = [*(ops.Field(parent, name) for name in asked.columns), *relation.predicates]
        conditions = (*_moved(asked, relation, parent.fields), *relation.predicates)
        self._below(parent, conditions, used, asked)

    def same(self, relation: Any, asked: _Asked) -> None:
        """The rows are those of the parent."""
        conditions = _moved(asked, relation, relation.parent.fields)
        self.follow(relation.parent, replace(asked, conditions=conditions))

    def distinct(self, relation: ops.Distinct, asked: _Asked) -> None:
        self.same(relation, replace(asked, columns=frozenset(relation.schema), counts=False))

    def limit(self, relation: ops.Limit, asked: _Asked) -> None:
        """Which rows are cut off is known only of whole rows, and by all of them together."""
        rows = self._match(relation, relation.parent, asked.conditions)
        self.follow(relation.parent, replace(asked, conditions=(rows,)))
        self._name_whole(relation.parent)

    def unnest(self, relation: ops.TableUnnest, asked: _Asked) -> None:
        """The rows with the lists are those that agree with the selected in all other columns."""
        made = {relation.column_name, relation.offset}
        others = {name: field for name, field in relation.parent.fields.items() if name not in made}
        conditions: list[Condition] = []
        if others:
            rows = ir.Table(narrowed(relation, asked.conditions)).select(*others)
            conditions.append(match(rows, [*others.values()], self.cache))
        used = [others.get(name, relation.column) for name in asked.columns]
        self._below(relation.parent, conditions, used, asked)

    def aggregate(self, relation: ops.Aggregate, asked: _Asked) -> None:
        groups = {ops.Field(relation, name): value for name, value in relation.groups.items()}
        of_groups = [c for c in asked.conditions if fields_of(values_of(c)) <= groups.keys()]
        if len(of_groups) < len(asked.conditions):
            rows = ir.Table(narrowed(relation, asked.conditions))
            rows = rows.select(*relation.groups) if groups else rows
            of_groups.append(match(rows, [*groups], self.cache))
        metrics = [relation.metrics[name] for name in asked.columns if name in relation.metrics]
        self._below(
            relation.parent,
            [replaced(condition, groups) for condition in of_groups],
            [*relation.groups.values(), *metrics],
            replace(asked, counts=False),
        )

    def python(self, relation: RowsOfKeys, asked: _Asked) -> None:
        """All rows of the keys are given to the function."""
        keys = ir.Table(narrowed(relation, asked.conditions)).select(relation.by)
        rows = match(keys, [ops.Field(relation.parent, relation.by)], self.cache)
        columns = frozenset(relation.parent.schema)
        self.follow(relation.parent, _Asked((rows,), columns, enters=asked.enters))

    def union(self, relation: ops.Union, asked: _Asked) -> None:
        if relation.distinct:
            asked = replace(asked, columns=frozenset(relation.schema), counts=False)
        for side in (relation.left, relation.right):
            self.follow(side, replace(asked, conditions=_moved(asked, relation, side.fields)))

    def intersection(self, relation: ops.Intersection, asked: _Asked) -> None:
        columns = frozenset(relation.schema)
        for side in (relation.left, relation.right):
            rows = self._match(relation, side, asked.conditions)
            self.follow(side, _Asked((rows,), columns, enters=asked.enters))

    def difference(self, relation: ops.Difference, asked: _Asked) -> None:
        rows = self._match(relation, relation.left, asked.conditions)
        columns = frozenset(relation.schema)
        self.follow(relation.left, _Asked((rows,), columns, enters=asked.enters))
        self._name_whole(relation.right)

    def join(self, relation: ops.JoinChain, asked: _Asked) -> None:
        if not all(isinstance(value, ops.Field) for value in relation.values.values()):
            above = above_plain_join(relation)
            conditions = _moved(asked, relation, above.fields)
            self.follow(above, replace(asked, conditions=conditions))
            return
        conditions = _moved(asked, relation, relation.values)
        used = [relation.values[name] for name in asked.columns]
        join = Join(relation, conditions, used, asked.counts, self.cache)
        for side in relation.tables:
            if join.is_named_only(side):
                self._name_whole(side.parent)
            elif join.has_a_say(side):
                enters = asked.enters and side in join.entering
                self.follow(
                    side.parent,
                    _Asked(join.conditions_on(side), join.used_of(side), asked.counts, enters),
                )

    def _below(
        self,
        parent: ops.Relation,
        conditions: Sequence[Condition],
        used: Sequence[ops.Value],
        asked: _Asked,
    ) -> None:
        """Ask a parent for the rows that meet conditions, and of these for what `used` uses."""
        for value in used:
            for query in value.find(ops.Subquery, filter=ops.Value):
                self._name_subquery(query)
        across = [c for c in conditions if not all(map(is_rowwise, values_of(c)))]
        if across:
            rows = self._match(parent, parent, conditions)
            conditions = [*(c for c in conditions if c not in across), rows]
        self.follow(
            parent,
            replace(
                asked,
                conditions=tuple(conditions),
                columns=names_of(fields_of(used)),
                counts=asked.counts or any(v.find(ops.CountStar, filter=ops.Value) for v in used),
            ),
        )
        for partition, columns in _windows(used).items():
            chosen = ir.Table(narrowed(parent, conditions))
            keys = {f"key_{place}": value for place, value in enumerate(partition)}
            again = renamed(parent, chosen.op())
            parts = {name: moved(value, again).to_expr() for name, value in keys.items()}
            shared = match(chosen.select(named(parts)) if parts else chosen, partition, self.cache)
            self.follow(parent, _Asked((shared,), columns, enters=False))

    def _match(
        self, relation: ops.Relation, side: ops.Relation, conditions: Sequence[Condition]
    ) -> Match:
        """Return the condition on a side that a row is a selected row of the relation."""
        rows = ir.Table(narrowed(relation, conditions))
        fields = [ops.Field(side, name) for name in relation.schema]
        return match(rows, fields, self.cache)

    def _name_subquery(self, query: ops.Subquery) -> None:
        if isinstance(query, ops.ExistsSubquery):
            raise PipelineError(
                "the rows behind an exists-subquery cannot be told. Write it as a semi join."
            )
        self._name_whole(query.rel)

    def _name_whole(self, relation: ops.Relation) -> None:
        self.whole |= {node for node in relation.find(ops.Relation) if node in self.inputs}


def _moved(
    asked: _Asked, relation: ops.Relation, values: Mapping[str, ops.Value]
) -> tuple[Condition, ...]:
    """Return the conditions on what the columns of a relation are computed from."""
    columns = {ops.Field(relation, name): values[name] for name in relation.schema}
    return tuple(replaced(condition, columns) for condition in asked.conditions)


def _windows(values: Iterable[ops.Value]) -> dict[tuple[ops.Value, ...], frozenset[str]]:
    """Return the partitions of windows in values, with the columns that are looked at in each."""
    found: dict[tuple[ops.Value, ...], frozenset[str]] = {}
    for value in values:
        framed = value.find(ops.WindowFunction, filter=ops.Value)
        inside = {node.func for node in framed}
        bare = [n for n in value.find(ops.Analytic, filter=ops.Value) if n not in inside]
        for window in (*framed, *bare):
            partition = tuple(getattr(window, "group_by", ()))
            columns = names_of(fields_of([window]))
            found[partition] = found.get(partition, frozenset()) | columns
    return found


_STEPS: Sequence[tuple[Any, Callable[[_Walk, Any, _Asked], None]]] = (
    (ops.Project, _Walk.project),
    (ops.Filter, _Walk.filter),
    (ops.Aggregate, _Walk.aggregate),
    (ops.JoinChain, _Walk.join),
    (ops.Union, _Walk.union),
    (ops.Intersection, _Walk.intersection),
    (ops.Difference, _Walk.difference),
    (ops.Distinct, _Walk.distinct),
    (ops.Limit, _Walk.limit),
    (ops.TableUnnest, _Walk.unnest),
    (RowsOfKeys, _Walk.python),
    ((ops.Sort, ops.Reference, ops.AliasedRelation), _Walk.same),
)
