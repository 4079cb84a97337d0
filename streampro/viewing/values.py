"""How values stand where answers are shown: their names, intervals and marks."""

from collections.abc import Mapping, Sequence
from typing import Any

from streampro.report import MOST_ROWS
from streampro.viewing.stats import Interval, wilson

Row = dict[str, Any]
INTERVAL = "95 % interval"
ABNORMAL = "▲"
"""Stands before the name of an abnormal value."""
UNKNOWN = "unknown"


def named(value: str | None) -> str:
    """Return a value as it is shown: null as `unknown`, in quotes what could be taken for it.

    Different values have different names.
    """
    if value is None:
        return UNKNOWN
    return f'"{value}"' if value.strip('"') in ("", UNKNOWN) else value


def null_last(name: str | None) -> tuple[bool, str]:
    """Return what sorts by name, null after all names."""
    return name is None, name or ""


def ends(interval: Interval) -> tuple[float, float] | None:
    """Return both ends of an interval, null without observations."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def with_intervals(rows: Sequence[Row], counts: Mapping[str, tuple[str, str]]) -> list[Row]:
    """Return rows with 95 % intervals by name, of the part and the whole that `counts` names.

    Those that the page does not hold have none, since scipy takes 0.3 ms for one.
    """
    held = [
        row | {name: ends(wilson(row[part], row[whole])) for name, (part, whole) in counts.items()}
        for row in rows[:MOST_ROWS]
    ]
    return held + [row | dict.fromkeys(counts) for row in rows[MOST_ROWS:]]


def chart_row(row: Row) -> Row:
    """Return a row for a chart: the ends of its interval, and their text for the tooltip."""
    rest = {name: value for name, value in row.items() if name != INTERVAL}
    if row[INTERVAL] is None:
        return rest
    low, high = row[INTERVAL]
    return rest | {"low": low, "high": high, "interval": f"{low:.1%} to {high:.1%}"}


def not_drawn(number: int, what: str) -> str:
    """Return a sentence on what a chart leaves out, empty where that is nothing."""
    return f"Not drawn: the {number:,} {what}." if number > 0 else ""
