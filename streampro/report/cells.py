"""The cells of the page's tables: the text of a value, and what its column is sorted by."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from streampro.modeling.question import NOTHING, Kind, p_value_text, share_text, value_text


def written(value: Any, kind: Kind) -> str:
    """Return a value as the page writes it."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(value, list | dict | bytes):
        return value_text(value)
    return _WRITTEN.get(kind, str)(value)


def sortable(value: Any, kind: Kind) -> str:
    """Return the text by which a column sorts: a number's digits, empty for null."""
    if value is None:
        return ""
    if kind == "interval":
        return repr(value[0])
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _interval_text(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {interval[1]:.1%}"


_WRITTEN: Mapping[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,}",
    "number": lambda value: f"{value:,.6g}" if isinstance(value, float) else f"{value:,}",
    "share": share_text,
    "interval": _interval_text,
    "points": lambda value: f"{100 * value:+z.1f}",
    "p_value": p_value_text,
}
