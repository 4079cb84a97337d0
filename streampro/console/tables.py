"""Rows as a table on stdout. Rich draws it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streampro.modeling.question import parts_text

_PIPED_WIDTH = 160

Cells = Sequence[Mapping[str, Any]]


def show_table(title: str, rows: Cells, caption: str = "") -> None:
    """Print rows as a table; numbers are right-aligned."""
    table = Table(
        title=escape(title),
        caption=escape(caption),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for name in rows[0] if rows else ():
        numeric = all(_is_numeric(row[name]) for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    stdout().print(table)


def stdout() -> Console:
    """Return the console of stdout, wide enough for any table where it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    return parts_text(value) if isinstance(value, list | dict) else str(value)


def _is_numeric(value: Any) -> bool:
    if value in (None, "", "-"):
        return True
    try:
        float(str(value).replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True
