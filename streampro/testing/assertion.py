"""Rows compared as a multiset."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

import pytest

from streampro.testing.rows import Row

_SHOWN = 5
_WIDE = Context(prec=76)
"""Has more digits than a column; Python's own rounds to 28."""


def assert_rows_equal(actual: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless both hold the same rows, each as often, in any order.

    Only the columns of the expected rows are compared; without expected rows there must be none.
    Values are equal if they are and have the same type: 1 is not True. Raises `ValueError` for
    expected rows that have different columns.
    """
    wanted = [dict(row) for row in expected]
    found = [dict(row) for row in actual]
    columns = [*wanted[0]] if wanted else sorted({name for row in found for name in row})
    if any(row.keys() != {*columns} for row in wanted):
        raise ValueError("expected rows must have the same columns.")
    left, right = _counted(found, columns), _counted(wanted, columns)
    if left == right:
        return
    lines = [f"{len(found)} rows, expected {len(wanted)}."]
    for what, rows in (("missing", right - left), ("unexpected", left - right)):
        lines += [f"{what}: {row}" for row in [*rows.elements()][:_SHOWN]]
    pytest.fail("\n".join(lines))


def _counted(rows: list[dict[str, Any]], columns: Sequence[str]) -> Counter[str]:
    return Counter(repr({name: _comparable(row[name]) for name in columns}) for row in rows)


def _comparable(value: Any) -> Any:
    """Return a decimal without closing zeros and an instant in UTC, also inside of a list or a
    struct: how they are written is no difference.
    """
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [*map(_comparable, value)]
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value.normalize(_WIDE) if isinstance(value, Decimal) else value
