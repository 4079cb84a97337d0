"""Values of SQL as values of Ibis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
from sqlglot import exp

from streampro import portable
from streampro.errors import StreamProError
from streampro.expressions.decimals import in_one_type, true_type
from streampro.modeling.sql import functions
from streampro.modeling.sql.literals import (
    day_of,
    is_spelt,
    number,
    number_of,
    plain_of,
    when_of,
)
from streampro.modeling.sql.names import OUTSIDE, RefusedError, is_known, one_line, refuse_more
from streampro.modeling.sql.order import first_of_each, frame_of, sort_key
from streampro.modeling.sql.words import GATHERED, TRANSLATED

_CLOCKS = (exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime)


class Values:
    """What expressions are on rows.

    Args:
        rows: whose columns they know.
        outside: the rows around a subquery, whose columns they know too.
        given: what some expressions are, such as aggregates that are columns already.
        table_of: the rows of a subquery.
        are_groups: whether only what is given is known of the rows.
    """

    def __init__(
        self,
        rows: ir.Table,
        outside: ir.Table | None = None,
        given: Mapping[exp.Expr, ir.Value] | None = None,
        table_of: Callable[[exp.Expr], ir.Table] | None = None,
        are_groups: bool = False,
    ) -> None:
        self.rows, self.outside, self.table_of = rows, outside, table_of
        self.given, self.are_groups = given, are_groups

    def __call__(self, node: exp.Expr) -> ir.Value:
        """Return what an expression is. Raises `RefusedError` for what is not known here."""
        if self.given and node in self.given:
            return self.given[node]
        if (found := number_of(node)) is not None:
            return self._made(node, lambda: number(found))
        if (day := day_of(node)) is not None:
            return ibis.literal(day)
        translate = next((each for kind, each in TRANSLATED if isinstance(node, kind)), None)
        if translate is not None:
            return self._made(node, lambda: translate(self, node))
        if entry := functions.FUNCTIONS.get(type(node)):
            return self._made(node, lambda: self._called(node, *entry))
        if type(node) in functions.AGGREGATES or isinstance(node, exp.Count | exp.Filter):
            raise RefusedError(node, "an aggregate cannot stand here")
        clock = isinstance(node, _CLOCKS) or node.name.lower() in ("now", "today")
        why = "models know no clock: the same rows at any time" if clock else "not known here"
        raise RefusedError(node, f"{node.sql('duckdb')}: {why}")

    def _made(self, node: exp.Expr, make: Callable[[], ir.Value]) -> ir.Value:
        """Return a value; what Ibis does not take is told with its place."""
        try:
            return make()
        except (RefusedError, StreamProError, RecursionError):
            raise
        except Exception as error:
            raise RefusedError(node, f"{node.sql('duckdb')}: {one_line(error)}") from error

    def column(self, node: exp.Column) -> ir.Value:
        if not is_known(node):
            raise RefusedError(node, f"no column {node.sql('duckdb')}")
        if self.are_groups:
            raise RefusedError(node, f"{node.name} is neither in GROUP BY nor in an aggregate")
        if node.table != OUTSIDE:
            return self.rows[node.name]
        assert self.outside is not None
        return self.outside[node.name]

    def test(self, node: exp.Expr) -> ir.Value:
        """Return a condition."""
        found = self(node)
        if not found.type().is_boolean():
            raise RefusedError(node, f"{node.sql('duckdb')} is no condition")
        return found

    def sides_of_in(self, node: Any) -> tuple[ir.Value, ir.Value]:
        """Return the value and the column of an IN with a query."""
        query = node.args["query"]
        if self.table_of is None:
            raise RefusedError(query, "a subquery cannot stand here")
        table = self.table_of(query)
        if len(table.columns) != 1:
            raise RefusedError(query, "IN takes a query of one column")
        return self(node.this), table[table.columns[0]]

    def is_in(self, node: Any) -> ir.Value:
        """Return whether a value is in a query, false where SQL does not know."""
        value, column = self.sides_of_in(node)
        return value.isin(column)

    def pair(self, one: exp.Expr, other: exp.Expr) -> tuple[ir.Value, ir.Value]:
        """Return two values that are compared or computed with; what one spells is of the type of
        the other, and a decimal beside a float is the float next to it.
        """
        if is_spelt(one) and not is_spelt(other):
            second, first = self.pair(other, one)
            return first, second
        first = self(one)
        second = self.beside(first, other)
        one_type, other_type = true_type(first.op()), true_type(second.op())
        if one_type.is_decimal() and other_type.is_floating() and not is_spelt(other):
            return portable.ratio(first, 1), second
        if one_type.is_floating() and other_type.is_decimal():
            return first, portable.ratio(second, 1)
        return in_one_type(first, second)

    def beside(self, value: ir.Value, node: exp.Expr) -> ir.Value:
        """Return an expression; what it spells is of the type of a value."""
        if (found := number_of(node)) is not None:
            return number(found)
        spelt = when_of(node, value.type())
        return self(node) if spelt is None else spelt

    def aggregate(self, node: exp.Expr) -> ir.Value:
        """Return an aggregate of rows."""
        test = None
        if isinstance(node, exp.Filter):
            node, test = node.this, self(node.expression.this)
        if isinstance(node, exp.Count):
            return self._made(node, lambda: self._count(node, test))
        if gather := GATHERED.get(type(node)):
            return self._made(node, lambda: gather(self, node, test))
        entry = functions.AGGREGATES.get(type(node))
        if entry is None or isinstance(node.this, exp.Distinct | exp.Order):
            why = functions.INSTEAD.get(type(node), "this aggregate is not known here")
            raise RefusedError(node, f"{node.sql('duckdb')}: {why}")
        names, function = entry
        values = [self.counted(part, test) for part in _arguments(node, names)]
        return self._made(node, lambda: function(*values))

    def counted(self, node: exp.Expr, test: ir.Value | None) -> ir.Value:
        """Return what an aggregate takes of rows, null of those that do not meet a condition."""
        value = self(node)
        return value if test is None else ibis.cases((test, value))

    def _count(self, node: exp.Count, test: ir.Value | None) -> ir.Value:
        counted = node.this
        if isinstance(counted, exp.Star):
            return self.rows.count(where=test)
        if isinstance(counted, exp.Distinct) and len(counted.expressions) == 1:
            return self(counted.expressions[0]).nunique(where=test)
        if node.expressions or isinstance(counted, exp.Distinct):
            raise RefusedError(node, "count one value, or rows by count(*)")
        if number_of(counted) is not None:
            return self.rows.count(where=test)
        return self(counted).count(where=test)

    def _called(
        self, node: exp.Expr, names: Sequence[str], function: Callable[..., ir.Value]
    ) -> ir.Value:
        parts = _arguments(node, names)
        values: list[Any] = [self(part) for part in parts[:1]]
        for part in parts[1:]:
            plain = None if isinstance(node, exp.Coalesce | exp.Concat) else plain_of(part)
            values.append(self.beside(values[0], part) if plain is None else plain)
        return function(*values)

    def window(self, node: exp.Window) -> ir.Value:
        """Return a function over a window."""
        function, order = node.this, node.args.get("order")
        if isinstance(function, exp.IgnoreNulls | exp.RespectNulls):
            raise RefusedError(node, "all nulls count here")
        if node.args.get("spec") is not None and order is None:
            raise RefusedError(node, "a frame stands behind ORDER BY")
        framed = function.this if isinstance(function, exp.Filter) else function
        is_framed = isinstance(framed, functions.FRAMED) and order is not None
        frame: Mapping[str, Any] = frame_of(node) if is_framed else {}
        window = ibis.window(
            group_by=[self(each) for each in node.args.get("partition_by") or ()],
            order_by=first_of_each(
                sort_key(self(each.this), each) for each in (order.expressions if order else ())
            ),
            **frame,
        )
        if rank := functions.RANKS.get(type(function)):
            return rank().over(window) + 1
        if isinstance(function, exp.Ntile):
            return ibis.ntile(int(function.name)).over(window) + 1
        if entry := functions.ANALYTICS.get(type(function)):
            return self._called(function, *entry).over(window)
        return self.aggregate(function).over(window)


def _arguments(node: exp.Expr, names: Sequence[str]) -> list[exp.Expr]:
    """Return the arguments of a function, in order, those that are given. Raises `RefusedError`
    where there are more.
    """
    refuse_more(node, names)
    parts: list[exp.Expr] = []
    for name in names:
        given = node.args.get(name)
        parts += given if isinstance(given, list) else [given] if given is not None else []
    return parts
