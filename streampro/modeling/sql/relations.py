"""Queries of SQL as tables of Ibis."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

import ibis.expr.types as ir
from sqlglot import exp

from streampro.modeling.sql.joins import (
    crossed,
    is_crossed,
    joined,
    joins_of,
    leaves_right_rows,
    unnested,
)
from streampro.modeling.sql.names import (
    Name,
    RefusedError,
    Rows,
    aggregates_in,
    among,
    conjuncts,
    in_rows,
    known,
    refuse_many_rows,
    refuse_more,
    unused,
    windows_in,
)
from streampro.modeling.sql.order import by_place, first, order_keys, sort_key
from streampro.modeling.sql.subqueries import (
    Given,
    attached,
    kept,
    moved,
    refers_outside,
)
from streampro.modeling.sql.values import Values
from streampro.names import named, repeated

_CLAUSES = {
    *("with_", "expressions", "from_", "joins", "where", "group", "having", "qualify", "distinct"),
    *("order", "limit", "offset", "operation_modifiers", "kind"),
}
"""What a SELECT may have here."""


class Query:
    """A query whose tables are known.

    Args:
        tables: by name, in small letters.
        outside: the rows around a subquery.
    """

    def __init__(self, tables: Mapping[str, ir.Table], outside: Rows | None = None) -> None:
        self.tables, self.outside = tables, outside

    def table(self, node: exp.Expr, unnamed: Sequence[str] = ()) -> ir.Table:
        """Return the rows of a query; columns without a name are called as in `unnamed`, by their
        place. Raises `RefusedError` for what is not known here.
        """
        inner = Query(self._with(node), self.outside)
        if isinstance(node, exp.Subquery):
            return inner._limited(inner.table(node.this, unnamed), node)
        if isinstance(node, exp.SetOperation):
            return inner._limited(inner._combined(node, unnamed), node)
        if isinstance(node, exp.Select):
            return Select(inner, node, unnamed).table()
        raise RefusedError(node, "a model is a query: SELECT ...")

    def _with(self, node: exp.Expr) -> dict[str, ir.Table]:
        tables, found = dict(self.tables), node.args.get("with_")
        if found is None:
            return tables
        if found.args.get("recursive"):
            raise RefusedError(found, "a recursive WITH is not known here")
        for each in found.expressions:
            table = Query(tables).table(each.this)
            tables[each.alias.lower()] = _renamed(table, each)
        return tables

    def _combined(self, node: exp.SetOperation, unnamed: Sequence[str]) -> ir.Table:
        one, other = self.table(node.this, unnamed), self.table(node.expression, unnamed)
        if node.args.get("by_name") or len(one.columns) != len(other.columns):
            raise RefusedError(node, "both sides have the same columns in the same order")
        other = other.select(named({name: other[at] for at, name in enumerate(one.columns)}))
        one, other = _alike(one, other), _alike(other, one)
        is_distinct = bool(node.args.get("distinct"))
        if isinstance(node, exp.Intersect) and isinstance(node.this, exp.Union | exp.Except):
            why = "INTERSECT binds before UNION and EXCEPT: write brackets"
            raise RefusedError(node.expression, why)
        if isinstance(node, exp.Union):
            return one.union(other, distinct=is_distinct)
        if not is_distinct:
            raise RefusedError(node, "INTERSECT ALL and EXCEPT ALL are not known here")
        return one.intersect(other) if isinstance(node, exp.Intersect) else one.difference(other)

    def _limited(self, table: ir.Table, node: exp.Expr) -> ir.Table:
        """Return the rows that a LIMIT behind a set operation or brackets leaves."""
        rows = Rows(table, tuple(Name("", name, name) for name in table.columns))
        items = [(name, known(exp.column(name), in_rows(rows))) for name in table.columns]
        order = node.args.get("order")
        keys = order_keys(order, items, lambda part: known(part, in_rows(rows))) if order else ()
        return first(table, node, [sort_key(Values(table)(each.this), each) for each in keys])

    def inside(self, rows: Rows) -> "Query":
        """Return the query that a subquery of these rows is."""
        return Query(self.tables, rows)

    def select(self, node: exp.Expr) -> "Select | None":
        """Return the SELECT that a subquery is, None if it is more than that."""
        found = node.unnest() if isinstance(node, exp.Subquery) else node
        if not isinstance(found, exp.Select) or found.args.get("with_"):
            return None
        return Select(self, found)

    def values(self, rows: Rows, given: Given) -> Values:
        return Values(rows.table, given=given, table_of=self.table, are_groups=rows.are_groups)

    def rows_of(self, node: exp.Expr) -> Rows:
        """Return the rows of a part of a FROM."""
        if isinstance(node, exp.Table):
            return self._named(node)
        if isinstance(node, exp.Subquery):
            refuse_more(node, ("this", "alias", "with_", "joins"))
            table = _renamed(self.table(node.this), node)
            return Rows(table, tuple(Name(node.alias, name, name) for name in table.columns))
        raise RefusedError(
            node, f"FROM {node.sql('duckdb')}: tables and queries in brackets are known"
        )

    def _named(self, node: exp.Table) -> Rows:
        extra = {name for name, value in node.args.items() if value} - {"this", "alias", "joins"}
        if extra or not isinstance(node.this, exp.Identifier):
            raise RefusedError(
                node, f"{node.sql('duckdb')}: a table is named by one word, without a layer"
            )
        table = self.tables.get(node.name.lower())
        if table is None:
            raise RefusedError(node, f"no table {node.name}")
        table = _renamed(table, node)
        alias = node.alias or node.name
        return Rows(table, tuple(Name(alias, name, name) for name in table.columns))


class Select:
    """One SELECT."""

    def __init__(self, query: Query, node: exp.Select, unnamed: Sequence[str] = ()) -> None:
        self.query, self.node, self.unnamed = query, node, unnamed
        for name, value in node.args.items():
            if value and name not in _CLAUSES:
                part = value[0] if isinstance(value, list) else value
                where = part if isinstance(part, exp.Expr) else node
                raise RefusedError(where, f"{name.upper()} is not known here")
        if node.args.get("kind"):
            raise RefusedError(node, f"SELECT AS {node.args['kind']} is not known here")

    @property
    def is_more_than_rows(self) -> bool:
        """Whether it is more than rows of FROM that conditions leave."""
        parts = ("group", "having", "qualify", "limit", "offset")
        is_grouped = any(map(list, map(aggregates_in, self.node.expressions)))
        return is_grouped or any(self.node.args.get(each) for each in parts)

    def table(self) -> ir.Table:
        """Return its rows. Raises `RefusedError` where it looks at rows around it."""
        rows, compared = self.beside()
        if compared:
            raise RefusedError(
                compared[0], "this looks at a column that stands outside of the subquery"
            )
        return self._selected(rows)

    def beside(self) -> tuple[Rows, list[exp.Expr]]:
        """Return the rows of FROM that the conditions of WHERE leave which look at nothing outside,
        and the other conditions.
        """
        rows, rest = self._from(self._part("where"))
        aliases = self._aliases(rows)
        tests = [known(each, in_rows(rows), among(aliases)) for each in rest]
        if window := next(chain.from_iterable(map(windows_in, tests)), None):
            raise RefusedError(window, "WHERE comes before windows: use QUALIFY")
        compared = [each for each in tests if refers_outside(each, self.query.outside)]
        own = [each for each in tests if each not in compared]
        return kept(self.query, rows, own)[0], compared

    def only_aggregate(self, rows: Rows) -> exp.Expr:
        """Return the one value of a subquery that is an aggregate of all its rows."""
        refuse_many_rows(self.node)
        return known(self.node.expressions[0].unalias(), in_rows(rows))

    def _part(self, name: str) -> list[exp.Expr]:
        """Return the conditions of WHERE, HAVING or QUALIFY."""
        part = self.node.args.get(name)
        return conjuncts(part.this if part else None)

    def _from(self, tests: list[exp.Expr]) -> tuple[Rows, list[exp.Expr]]:
        """Return the joined tables, and the conditions that are not part of a join."""
        found = self.node.args.get("from_")
        if found is None:
            raise RefusedError(self.node, "FROM is missing: a model is made of tables")
        rows, waiting, joins = self.query.rows_of(found.this), list[Rows](), joins_of(self.node)
        for join in joins:
            is_list = isinstance(join.this, exp.Unnest)
            if is_crossed(join) and not is_list:
                waiting.append(self.query.rows_of(join.this))
                continue
            rows, rest = crossed(rows, waiting, tests)
            tests, waiting = tests if any(map(leaves_right_rows, joins)) else rest, []
            if is_crossed(join):
                rows = unnested(rows, join.this)
            else:
                rows = joined(rows, self.query.rows_of(join.this), join)
        rows, tests = crossed(rows, waiting, tests)
        return moved(rows.table, rows, {})[0], tests

    def _selected(self, rows: Rows) -> ir.Table:
        """Return what the SELECT makes of its rows."""
        node, aliases = self.node, self._aliases(rows)
        items = [*self._items(rows, aliases)]

        def read(part: exp.Expr) -> exp.Expr:
            return known(part, in_rows(rows), among(aliases))

        having, qualify = (
            [read(each) for each in self._part(name)] for name in ("having", "qualify")
        )
        is_cut = node.args.get("limit") or node.args.get("offset")
        order = node.args.get("order") if is_cut else None
        keys = [*order_keys(order, items, read)] if order else []
        by = self._group_keys(items, read)
        parts = [*(item for _, item in items), *having, *qualify, *keys]
        aggregates = [*dict.fromkeys(chain.from_iterable(map(aggregates_in, parts)))]
        given: Given = {}
        if by or aggregates or node.args.get("group"):
            rows, given = self._aggregated(rows, by, aggregates, items)
        elif having:
            raise RefusedError(having[0], "HAVING stands behind GROUP BY: use WHERE")
        rows, given = kept(self.query, rows, having, given)
        rows, given = attached(self.query, rows, [*(item for _, item in items), *keys], given)
        if qualify:
            shown = [*(item for _, item in items), *keys, *qualify]
            rows, given = self._windowed(rows, shown, given)
            rows, given = kept(self.query, rows, qualify, given)
        return self._projected(rows, items, keys, given)

    def _windowed(self, rows: Rows, parts: list[exp.Expr], given: Given) -> tuple[Rows, Given]:
        """Return rows with the windows of expressions, which look at all rows, as columns."""
        windows = [*dict.fromkeys(each for part in parts for each in windows_in(part))]
        names = unused(["window"] * len(windows), rows.table.columns)
        values = self.query.values(rows, given)
        table = rows.table.mutate(named(dict(zip(names, map(values, windows), strict=True))))
        rows, given = moved(table, rows, given)
        return rows, {**given, **{w: table[name] for w, name in zip(windows, names, strict=True)}}

    def _aliases(self, rows: Rows) -> dict[str, exp.Expr]:
        """Return what the names that it gives stand for, in small letters: of columns, and of what
        has a name before.
        """
        found: dict[str, exp.Expr] = {}
        for each in self.node.expressions:
            if isinstance(each, exp.Alias):
                found[each.alias.lower()] = known(each.this, in_rows(rows), among(found))
        return found

    def _items(self, rows: Rows, aliases: Mapping[str, exp.Expr]) -> Iterator[tuple[str, exp.Expr]]:
        """Yield names and expressions of the columns, by what they stand for."""
        for at, each in enumerate(self.node.expressions):
            if isinstance(each, exp.Star) or (
                isinstance(each.this, exp.Star) and isinstance(each, exp.Column)
            ):
                yield from _all(rows, each)
                continue
            name = each.alias if isinstance(each, exp.Alias) else ""
            name = rows.name_of(each) if isinstance(each, exp.Column) else name
            unnamed = self.unnamed[at] if at < len(self.unnamed) else f"column_{at + 1}"
            if isinstance(each, exp.Alias):
                yield name, aliases[name.lower()]
            else:
                yield name or unnamed, known(each, in_rows(rows), among(aliases))

    def _group_keys(
        self,
        items: list[tuple[str, exp.Expr]],
        read: Callable[[exp.Expr], exp.Expr],
    ) -> list[exp.Expr]:
        group = self.node.args.get("group")
        if group is None:
            return []
        extra = {name for name, value in group.args.items() if value} - {"expressions", "all"}
        if extra:
            raise RefusedError(group, f"GROUP BY {extra.pop().upper()} is not known here")
        if group.args.get("all"):
            rest = [item for _, item in items if not [*aggregates_in(item)]]
            return [item for item in rest if item.find(exp.Column)]
        return [by_place(each, items) or read(each) for each in group.expressions]

    def _aggregated(
        self,
        rows: Rows,
        by: list[exp.Expr],
        aggregates: list[exp.Expr],
        items: list[tuple[str, exp.Expr]],
    ) -> tuple[Rows, Given]:
        by = [*dict.fromkeys(each.unnest() for each in by)]
        rows, given = attached(self.query, rows, [*by, *aggregates])
        values = self.query.values(rows, given)
        called = {item.unnest(): name for name, item in reversed(items)}
        parts = [*by, *aggregates]
        own = unused([called.get(each, "part") for each in parts], ())
        names = dict(zip(parts, own, strict=True))
        keys = {names[each]: values(each) for each in by}
        made = {names[each]: values.aggregate(each) for each in aggregates}
        if keys and not made:
            table = rows.table.select(named(keys)).distinct()
        else:
            table = rows.table.aggregate(named(made), by=named(keys))
        return Rows(table, (), True), {node: table[name] for node, name in names.items()}

    def _projected(
        self,
        rows: Rows,
        items: list[tuple[str, exp.Expr]],
        keys: list[exp.Ordered],
        given: Given,
    ) -> ir.Table:
        names = [name for name, _ in items]
        if same := repeated(name.lower() for name in names):
            raise RefusedError(self.node, f"two columns are called {same}")
        distinct = self.node.args.get("distinct")
        if distinct and distinct.args.get("on"):
            why = "DISTINCT ON takes any row: use QUALIFY row_number() OVER (...) = 1"
            raise RefusedError(distinct, why)
        values = self.query.values(rows, given)
        columns = {name: _widened(values(item)) for name, item in items}
        own = {item: name for name, item in items}
        others = [each.this for each in keys if each.this not in own]
        hidden = own | dict(zip(others, unused(["key"] * len(others), names), strict=True))
        beside = {hidden[each]: values(each) for each in others}
        if distinct and beside:
            raise RefusedError(keys[0], "what DISTINCT rows are ordered by is one of their columns")
        table = rows.table.select(named(columns | beside))
        table = table.distinct() if distinct else table
        order = [sort_key(table[hidden[each.this]], each) for each in keys]
        return first(table, self.node, order).select(*names)


def _all(rows: Rows, node: exp.Expr) -> Iterator[tuple[str, exp.Expr]]:
    """Yield the columns that a star stands for."""
    table = node.table if isinstance(node, exp.Column) else None
    star, found = node.this if table else node, rows.of(table)
    if not found:
        raise RefusedError(node, f"no table {table}")
    refuse_more(star, ("except_", "replace"))
    excluded, replacements = (star.args.get(each) or [] for each in ("except_", "replace"))
    left_out = {each.name.lower() for each in excluded}
    replaced = {each.alias.lower(): each.this for each in replacements}
    names = {each.column.lower() for each in found}
    for each in (*excluded, *replacements):
        is_qualified = isinstance(each, exp.Column) and each.table
        if is_qualified or not {each.alias_or_name.lower()} <= names:
            raise RefusedError(each, f"no column {each.sql('duckdb')} among those of *")
    for each in found:
        name = each.column.lower()
        if name not in left_out:
            column = replaced.get(name) or exp.column(each.column, each.table, quoted=True)
            yield each.column, known(column, in_rows(rows))


def _renamed(table: ir.Table, node: exp.Expr) -> ir.Table:
    """Return rows with the names that an alias gives to columns."""
    alias = node.args.get("alias")
    if alias is None or not alias.args.get("columns"):
        return table
    names = [each.name for each in alias.args["columns"]]
    if len(names) > len(table.columns):
        raise RefusedError(node, f"{alias.name} has {len(table.columns)} columns")
    given = dict(zip(table.columns, names, strict=False))
    return table.select(named({given.get(n, n): table[n] for n in table.columns}))


def _widened(value: ir.Value) -> ir.Value:
    """Return integers as int64, as tables have them."""
    kind = value.type()
    return value.cast("int64") if kind.is_integer() and not kind.is_int64() else value


def _alike(one: ir.Table, other: ir.Table) -> ir.Table:
    """Return rows whose columns of nulls have the types that the other side has."""
    changed = {
        name: one[name].cast(other[name].type())
        for name in one.columns
        if one[name].type().is_null() and not other[name].type().is_null()
    }
    return one.mutate(named(changed)) if changed else one
