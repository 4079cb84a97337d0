"""Rows as a table on stdout, in its width. Rich draws it."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import fill
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from streampro.errors import one_line, printable
from streampro.modeling.question import value_text

_PIPED_WIDTH = 160
"""Where nothing says how wide the output is read."""
_ANY_WIDTH = 1_000_000
_GAP = 2
"""Spaces between columns."""
_WORD = re.compile(r"^\s+\S+|\S+", re.MULTILINE)

Cells = Sequence[Mapping[str, Any]]


def show_table(title: str, rows: Cells, caption: str = "", *, err: bool = False) -> None:
    """Print rows as a table, a line a row; numbers are right-aligned.

    Words are never broken: where the columns do not fit side by side, each row is a block with a
    line a column.
    """
    table = _side_by_side(rows, console_of(err=err).width) if rows else Text("no rows")
    heading = [Text(printable(title), style="bold")] if title else []
    ending = [Text(printable(caption))] if caption else []
    for each in (*heading, *([table] if table else _blocks(rows)), *ending):
        _say(each, err=err)
        _write("", err=err)


def say(text: str, *, err: bool = False) -> None:
    """Print prose of ours, in a terminal broken between words to its width; signs that a terminal
    would obey are shown as escapes.
    """
    console, lines = console_of(err=err), printable(text).split("\n")
    if console.is_terminal:
        lines = [_broken(line, console.width) for line in lines]
    _write("\n".join(lines), err=err)


def few(texts: Sequence[str], number: int) -> str:
    """Return the first texts as one, and how many more there are."""
    more = f", and {len(texts) - number} more" if len(texts) > number else ""
    return ", ".join(texts[:number]) + more


def _broken(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return fill(
        line,
        max(width, 2 * len(indent) + 1),
        subsequent_indent=indent,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def console_of(*, err: bool = False) -> Console:
    """Return the console of an output: as wide as `COLUMNS` or the terminal says."""
    console = Console(stderr=err)
    if console.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return console
    return Console(stderr=err, width=_PIPED_WIDTH)


def _side_by_side(rows: Cells, width: int) -> Table | None:
    """Return a table with a line a row, None where its words need more than the width."""
    cells = [[_cell(name) for name in rows[0]], *([*map(_cell, row.values())] for row in rows)]
    widths = _widths([*zip(*cells, strict=True)], width)
    if widths is None:
        return None
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name, header, wide in zip(rows[0], cells[0], widths, strict=True):
        numeric = all(_is_numeric(row[name]) for row in rows)
        table.add_column(header, justify="right" if numeric else "left", width=wide)
    for each in cells[1:]:
        table.add_row(*each)
    return table


def _widths(columns: Sequence[Sequence[Text]], width: int) -> list[int] | None:
    """Return how wide each column is: at least as its longest word; what is then left goes to
    values before headers, and where little is missing first.
    """
    widths = [_widest(word for each in cells for word in _words(each)) for cells in columns]
    left = width - sum(widths) - _GAP * (len(columns) - 1)
    if left < 0:
        return None
    values = [_widest(line for each in cells[1:] for line in _lines(each)) for cells in columns]
    headers = [_widest(_lines(cells[0])) for cells in columns]
    for wanted in (values, headers):
        missing = [max(0, want - wide) for want, wide in zip(wanted, widths, strict=True)]
        for place in sorted(range(len(columns)), key=missing.__getitem__):
            more = min(missing[place], left)
            widths[place], left = widths[place] + more, left - more
    return widths


def _words(text: Text) -> list[str]:
    """Return what is not broken: words, the first of a line with the spaces before it."""
    return _WORD.findall(text.plain)


def _lines(text: Text) -> list[str]:
    return text.plain.split("\n")


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=1)


def _blocks(rows: Cells) -> Iterable[Table]:
    """Yield a grid per row: the names of its columns beside their values."""
    for row in rows:
        grid = Table.grid(padding=(0, 2, 0, 0))
        cells = [(_cell(name), _cell(value)) for name, value in row.items()]
        grid.add_column(no_wrap=True)
        grid.add_column(min_width=_widest(word for _, value in cells for word in _words(value)))
        for name, value in cells:
            grid.add_row(name, value)
        yield grid


def _say(shown: RenderableType, *, err: bool) -> None:
    """Print something as wide as its longest words need, without spaces at the ends of lines."""
    console = console_of(err=err)
    console.width = max(console.width, _least_width(console, shown))
    with console.capture() as captured:
        console.print(shown, crop=False, overflow="crop")
    lines = captured.get().split("\n")[:-1]
    _write("\n".join(line.rstrip() for line in lines), err=err)


def _write(text: str, *, err: bool = False) -> None:
    (sys.stderr if err else sys.stdout).write(f"{text}\n")


def _least_width(console: Console, shown: RenderableType) -> int:
    options = console.options.update(width=_ANY_WIDTH)
    return Measurement.get(console, options, shown).minimum


def _cell(value: Any) -> Text:
    return Text("\n".join(map(one_line, _text(value).split("\n"))), overflow="crop")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    return value_text(value)


def _is_numeric(value: Any) -> bool:
    if value in (None, "", "-"):
        return True
    try:
        float(str(value).replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True
