"""Rows compared as a multiset."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

import ibis.expr.types as ir
import pytest

from streampro.errors import did_you_mean
from streampro.testing.rows import Row

_SHOWN = 5
_WIDE = Context(prec=76)
"""Has more digits than a column; Python's own rounds to 28."""


def assert_rows_equal(actual: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless both hold the same rows, each as often, in any order.

    Only the columns of the expected rows are compared; without expected rows there must be none.
    Values are equal if they are and have the same type: 1 is not True. A row without an expected
    column fails, and is told with the columns that it has. Raises `ValueError` for expected rows
    that have different columns or none, and for what is no row.
    """
    wanted, found = _rows("expected", expected), _rows("actual", actual)
    columns = [*wanted[0]] if wanted else sorted({name for row in found for name in row})
    for number, row in enumerate(wanted, 1):
        if row.keys() != {*columns} or not row:
            raise ValueError(
                f"expected rows must have the same columns: row 1 has {_listed(columns)}, "
                f"row {number} has {_listed(row)}."
            )
    for number, row in enumerate(found if wanted else (), 1):
        if missing := [name for name in columns if name not in row]:
            hint = did_you_mean(str(missing[0]), [*map(str, row)])
            pytest.fail(
                f"row {number} has no column {_listed(missing)}. {hint}Its columns: {_listed(row)}."
            )
    left, right = _counted(found, columns), _counted(wanted, columns)
    if left == right:
        return
    lines = [f"{len(found)} rows, expected {len(wanted)}."]
    for what, rows in (("missing", right - left), ("unexpected", left - right)):
        lines += [f"{what}: {row}" for row in [*rows.elements()][:_SHOWN]]
    pytest.fail("\n".join(lines))


def _rows(name: str, rows: Iterable[Row]) -> list[dict[str, Any]]:
    if isinstance(rows, ir.Expr):
        raise ValueError(f"{name} is an expression, not its rows: engine.rows(...) computes them.")
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise ValueError(f"{name} is {rows!r}: expected a list of rows.")
    given = [*rows]
    for number, row in enumerate(given, 1):
        if not isinstance(row, Mapping):
            raise ValueError(f"{name} row {number} is {row!r}: expected a dict of columns.")
    return [dict(row) for row in given]


def _listed(columns: Iterable[Any]) -> str:
    return ", ".join(map(str, columns)) or "none"


def _counted(rows: list[dict[str, Any]], columns: Sequence[str]) -> Counter[str]:
    return Counter(repr({name: _comparable(row[name]) for name in columns}) for row in rows)


def _comparable(value: Any) -> Any:
    """Return a decimal without closing zeros, an instant in UTC, and keys in order, also inside of
    a list or a struct: how they are written is no difference.
    """
    if isinstance(value, dict):
        return {name: _comparable(value[name]) for name in sorted(value, key=repr)}
    if isinstance(value, list):
        return [*map(_comparable, value)]
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value.normalize(_WIDE) if isinstance(value, Decimal) else value
