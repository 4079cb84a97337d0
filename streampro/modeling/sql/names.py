"""What a name in a text of SQL stands for, and where the text is wrong."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count

import ibis.expr.types as ir
from sqlglot import exp

OUTSIDE = "\0outside"
"""The table, so to speak, of a column that stands outside of a subquery."""
_KNOWN = "known"


class RefusedError(Exception):
    """A part of a text of SQL that is no expression here, and why."""

    def __init__(self, node: exp.Expr, why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why


@dataclass(frozen=True)
class Name:
    """A column that a FROM has: of which table, what it is called there, and in the joined rows.

    What a USING joins is found once without the name of a table.
    """

    table: str
    column: str
    actual: str
    is_repeated: bool = False


@dataclass(frozen=True)
class Rows:
    """Joined rows, and the names under which their columns are found; groups of them have none."""

    table: ir.Table
    names: tuple[Name, ...]
    are_groups: bool = False

    def find(self, column: exp.Column) -> str | None:
        """Return the column that a name stands for; None if there is none. Case does not count."""
        found = {
            each.actual
            for each in self.names
            if each.column.lower() == column.name.lower()
            and (
                column.table.lower() == each.table.lower() if column.table else not each.is_repeated
            )
        }
        if len(found) > 1:
            raise RefusedError(
                column, f"several tables have a column {column.name}: name the table"
            )
        return next(iter(found), None)

    def name_of(self, column: exp.Column) -> str:
        """Return what a column is called in its table."""
        actual = self.find(column)
        return next((each.column for each in self.names if each.actual == actual), column.name)

    def of(self, table: str | None) -> list[Name]:
        """Return the columns of a table, or of all."""
        if table is None:
            return [each for each in self.names if not each.is_repeated]
        return [each for each in self.names if each.table.lower() == table.lower()]


def columns_in(node: exp.Expr) -> Iterator[exp.Column]:
    """Yield the columns in an expression that are in no subquery."""
    for each in node.walk(prune=lambda part: isinstance(part, exp.Query)):
        if isinstance(each, exp.Column) and not is_known(each):
            yield each


def is_known(column: exp.Column) -> bool:
    """Tell whether a column was found."""
    return bool(column.meta.get(_KNOWN))


def known(node: exp.Expr, *found_in: Callable[[exp.Column], exp.Expr | None]) -> exp.Expr:
    """Return an expression with what its columns stand for, by the first that knows them."""
    node = node.copy()
    for column in [*columns_in(node)]:
        new = next((each for find in found_in if (each := find(column)) is not None), None)
        if new is None:
            continue
        if column is node:
            node = new
        else:
            column.replace(new)
    return node


def in_rows(rows: Rows, outside: bool = False) -> Callable[[exp.Column], exp.Expr | None]:
    """Return what finds columns of rows; equal columns are equal expressions then."""

    def find(column: exp.Column) -> exp.Expr | None:
        found = _split(rows, column)
        if found is None:
            return None
        actual, fields = found
        name = exp.Identifier(this=actual, quoted=True)
        name.meta.update(column.this.meta)
        table = exp.Identifier(this=OUTSIDE, quoted=True) if outside else None
        made = exp.Column(this=name, table=table)
        made.meta[_KNOWN] = True
        return exp.Dot.build([made, *fields]) if fields else made

    return find


def _split(rows: Rows, column: exp.Column) -> tuple[str, list[exp.Expr]] | None:
    """Return the column that the first words of a name stand for, and the fields of it that the
    others name; None if there is none.
    """
    words = column.parts
    for size in (2, 1):
        first = exp.Column(**dict(zip(("this", "table"), reversed(words[:size]), strict=False)))
        if size <= len(words) and (actual := rows.find(first)) is not None:
            return actual, [*words[size:]]
    return None


def among(aliases: Mapping[str, exp.Expr]) -> Callable[[exp.Column], exp.Expr | None]:
    """Return what finds the names that a SELECT gives."""

    def find(column: exp.Column) -> exp.Expr | None:
        made = None if column.table else aliases.get(column.name.lower())
        return None if made is None else exp.paren(made.copy())

    return find


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """Return the conditions that all must be true; what each alternative of an OR says is one of
    them.
    """
    if node is None:
        return []
    node = node.unnest()
    if isinstance(node, exp.And):
        return conjuncts(node.this) + conjuncts(node.expression)
    if not isinstance(node, exp.Or):
        return [node]
    one, other = (conjuncts(each) for each in (node.this, node.expression))
    return [each for each in one if each in other] + [node]


def place_in(text: str, node: exp.Expr) -> tuple[int, int] | None:
    """Return line and column of a part of a text, both from 1; of what has no place of its own,
    those of what it stands in.
    """
    starts = [each.meta["start"] for each in node.walk() if "start" in each.meta]
    if not starts:
        return None if node.parent is None else place_in(text, node.parent)
    before = text[: min(starts)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def aggregates_in(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the aggregates in an expression, but for those over windows and in subqueries."""
    if isinstance(node, exp.Query):
        return
    if isinstance(node, exp.Window):
        function = node.this
        filtered = isinstance(function, exp.Filter)
        parts = [*(function.this if filtered else function).iter_expressions()]
        parts += [function.expression] if filtered else []
        parts += [part for part in node.iter_expressions() if part is not function]
        yield from chain.from_iterable(map(aggregates_in, parts))
    elif isinstance(node, exp.Filter | exp.WithinGroup | exp.AggFunc):
        yield node
    else:
        for each in node.iter_expressions():
            yield from aggregates_in(each)


def windows_in(node: exp.Expr) -> Iterator[exp.Window]:
    """Yield the functions over windows in an expression, but for those in subqueries."""
    for each in node.walk(prune=lambda part: isinstance(part, exp.Query)):
        if isinstance(each, exp.Window):
            yield each


def unused(wanted: Sequence[str], taken: Iterable[str]) -> list[str]:
    """Return names like the wanted ones that are neither taken nor equal, whatever their case."""
    seen, found = {name.lower() for name in taken}, []
    for name in wanted:
        numbered = (f"{name}_{number}" for number in count(2))
        new = next(each for each in chain([name], numbered) if each.lower() not in seen)
        seen.add(new.lower())
        found.append(new)
    return found


def refuse_more(node: exp.Expr, known: Iterable[str]) -> None:
    """Raise `RefusedError` for a part of an expression that is not among those that are known."""
    for name, value in node.args.items():
        parts = value if isinstance(value, list) else [value]
        if name not in known and any(isinstance(each, exp.Expr) for each in parts):
            raise RefusedError(node, f"{node.sql('duckdb')}: {name} is not known here")


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split())


def refuse_many_rows(node: exp.Expr) -> None:
    """Raise `RefusedError` for a subquery that is no aggregate of all its rows."""
    parts = ("group", "having", "distinct", "limit", "offset", "qualify")
    is_one = isinstance(node, exp.Select) and len(node.expressions) == 1
    if not is_one or any(node.args.get(each) for each in parts):
        raise RefusedError(node, "a subquery for a value is one aggregate")
    if not [*aggregates_in(node.expressions[0])]:
        raise RefusedError(node, "a subquery for a value is one aggregate")
