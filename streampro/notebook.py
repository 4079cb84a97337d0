"""What a notebook shows of a run or a plan in place of its text."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_LEFT = 'style="text-align: left"'


def html_table(caption: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the same columns as an HTML table; text is escaped, null is empty."""
    head = "".join(f"<th {_LEFT}>{escape(name)}</th>" for name in (rows[0] if rows else ()))
    body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
    return (
        f'<table><caption style="white-space: nowrap; text-align: left">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: Any) -> str:
    if isinstance(value, int):
        return f'<td style="text-align: right">{value:,}</td>'
    return f"<td {_LEFT}>{'' if value is None else escape(str(value))}</td>"
