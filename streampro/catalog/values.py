"""What the columns of a published table hold: how much is null, and a few of the values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from streampro.modeling.model import TableName
from streampro.names import named, ours
from streampro.report.run_tables import RunTables, most_frequent

_EXAMPLES = 3
"""Values that are shown of a column."""
_LONGEST = 40
"""Letters of a value that are shown."""
_LEAST, _GREATEST = ours("least_{name}"), ours("greatest_{name}")


@dataclass(frozen=True)
class Example:
    """A value as a text, and the rows that have it."""

    text: str
    rows: int


@dataclass(frozen=True)
class Values:
    """What a column holds.

    Attributes:
        null_share: share of the rows in which it is null; null where there are no rows.
        span: the least and the greatest number, day or instant.
        examples: the most frequent texts or booleans, of those that are as frequent the smallest.
    """

    null_share: float | None
    span: tuple[Any, Any] | None = None
    examples: Sequence[Example] = ()


def values(
    tables: RunTables, table: TableName, columns: Sequence[str], shown: Sequence[str]
) -> dict[str, Values]:
    """Return what columns of a table hold; values of those that are `shown` and have no parts. It
    takes two queries.
    """
    rows, total = tables.table(table), tables.snapshot.row_count(table)
    spans = [name for name in shown if _is_measured(rows[name])]
    bounds = {_LEAST.format(name=name): rows[name].min() for name in spans}
    bounds |= {_GREATEST.format(name=name): rows[name].max() for name in spans}
    nulls = {name: rows[name].isnull().sum() for name in columns}
    [row] = tables.rows(rows.aggregate(named(nulls | bounds)))
    examples = _examples(tables, rows, [name for name in shown if _is_word(rows[name])])
    return {
        name: Values(
            row[name] / total if total else None,
            (row[_LEAST.format(name=name)], row[_GREATEST.format(name=name)])
            if name in spans and row[_LEAST.format(name=name)] is not None
            else None,
            [each for column, each in examples if column == name],
        )
        for name in columns
    }


def _is_measured(value: ir.Value) -> bool:
    kind = value.type()
    return bool((kind.is_numeric() and not kind.is_boolean()) or kind.is_temporal())


def _is_word(value: ir.Value) -> bool:
    return bool(value.type().is_string() or value.type().is_boolean())


def _examples(
    tables: RunTables, rows: ir.Table, columns: Sequence[str]
) -> list[tuple[str, Example]]:
    """Return the most frequent values of columns, and of which column each is."""
    if not columns:
        return []
    found = tables.rows(ibis.union(*(_frequent(rows, name) for name in columns)))
    in_order = sorted(found, key=lambda row: (-row["rows"], row["text"]))
    return [(row["column"], Example(_cut(row["text"]), row["rows"])) for row in in_order]


def _frequent(rows: ir.Table, name: str) -> ir.Table:
    """Return the most frequent values of a column, as texts, and the rows that have each."""
    best = most_frequent(rows, name, _EXAMPLES)
    value: Any = best["value"]
    text = value.substr(0, _LONGEST + 1) if value.type().is_string() else value.cast("string")
    return best.select("rows", column=ibis.literal(name), text=text)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"
