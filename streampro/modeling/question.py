"""A question with its answer, figures and tables: what console, report and notebook render.

Pure data: figures are made where a page shows them, so printing an answer loads no drawing library.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from streampro.errors import CONTROLS
from streampro.notebook import html_table

if TYPE_CHECKING:
    import altair as alt
    import ibis.expr.types as ir
    import pyarrow as pa

Rows = Sequence[Mapping[str, Any]]
Answers = Mapping[str, Rows]
"""The rows of the models of layer `answers`, by model."""
Ask = Callable[[Callable[..., "ir.Table"]], list[dict[str, Any]]]
"""Returns the rows of an expression over published models, which its parameters name."""

Kind = Literal["text", "count", "number", "share", "interval", "points", "p_value", "mark"]
"""How a value is written and sorted: `share` and the pair of an `interval` as percent, `points` as
a difference of shares, `mark` as a short word that makes its row stand out."""
MOST_ROWS = 500
"""Rows of a table that the page holds; it says how many more there are."""
NOTHING = "\u2013"
"""What null is written as: a dash."""
_SMALLEST_P_VALUE = 0.0001


@dataclass(frozen=True)
class Column:
    """A column of a table; `name` is its header and the key of its values in the rows."""

    name: str
    kind: Kind = "text"
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of values by column name, the most telling first; null is shown as a dash."""

    columns: tuple[Column, ...]
    rows: Rows

    @property
    def shown(self) -> Rows:
        """The rows that the page holds."""
        return self.rows[:MOST_ROWS]

    @property
    def texts(self) -> list[dict[str, str]]:
        """The rows as console and notebook print them; the page writes values its own way."""
        return [
            {each.name: _text(row[each.name], each.kind) for each in self.columns}
            for row in self.rows
        ]


@dataclass(frozen=True)
class Figure:
    """A table and its picture.

    Attributes:
        title: what it shows.
        table: the numbers of the chart.
        chart: an Altair chart; null where there is nothing to draw. It is drawn as SVG, so
            a colour may be one of the page, which knows light and dark: `var(--ink)`, `--muted`,
            `--line`, `--card`, `--accent`, `--accent-2`, `--alert`. Give it `width="container"`.
        description: what a reader who cannot see the chart must know of it.
        note: how to read it, what it leaves out.
        least_width: pixels below which the chart scrolls instead of shrinking.
    """

    title: str
    table: Table
    chart: "alt.Chart | alt.LayerChart | None" = None
    description: str = ""
    note: str = ""
    least_width: int = 0


@dataclass(frozen=True)
class Question:
    """A question and all that a reader needs to believe its answer.

    Console and notebook print title, answer and summary; the report shows all but the summary.

    Attributes:
        model: the answer's model; its contract defines every column.
        title: the question.
        answer: one sentence.
        definition: what is counted, for somebody who knows nothing of it.
        summary: the numbers in a few rows.
        figures: returns the numbers and their pictures; called by the report only. It may ask for
            rows of other models than the answers. Import the drawing library inside it.
        notes: further sentences on the answer, in the report.
        summary_note: further sentences on the answer, below the summary.
    """

    model: str
    title: str
    answer: str
    definition: str
    summary: Table
    figures: Callable[[Ask], tuple[Figure, ...]]
    notes: tuple[str, ...] = ()
    summary_note: str = ""

    @property
    def caption(self) -> str:
        """All sentences that stand below the summary."""
        return f"{self.answer} {self.summary_note}".strip()

    def _repr_html_(self) -> str:
        return f"{html_table(self.title, self.summary.texts)}<p>{escape(self.caption)}</p>"


Questions = Callable[[Answers], list[Question]]
"""What `Pipeline(questions=...)` names."""


def plain_rows(table: "pa.Table") -> list[dict[str, Any]]:
    """Return rows as Python has them, values as `plain_values` does."""
    columns = map(plain_values, table.columns)
    rows = zip(*columns, strict=True) if table.columns else ((),) * len(table)
    return [dict(zip(table.column_names, row, strict=True)) for row in rows]


def plain_values(column: "pa.ChunkedArray") -> list[Any]:
    """Return values as Python has them: a map is a dict, or a list of pairs where lists or structs
    are keys of one.
    """
    from pyarrow.types import is_map, is_nested

    def parts(kind: "pa.DataType") -> Iterator["pa.DataType"]:
        yield kind
        for at in range(kind.num_fields) if is_nested(kind) else ():
            yield from parts(kind.field(at).type)

    has_odd_keys = any(is_map(each) and is_nested(each.key_type) for each in parts(column.type))
    found: list[Any] = column.to_pylist(maps_as_pydicts=None if has_odd_keys else "strict")
    return found


def value_text(value: Any) -> str:
    """Return a value as tables and CSV show it: a list, a struct or a map as JSON, bytes as
    hexadecimal digits, a decimal with all its digits.
    """
    if isinstance(value, list | tuple | dict):
        return json_text(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.hex() if isinstance(value, bytes) else str(value)


def json_text(value: Any, *, indent: int | None = None, ensure_ascii: bool = False) -> str:
    """Return a value as JSON, of which NaN and infinities are no part: they are null. Signs that
    a terminal obeys are escapes.
    """
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)
    return CONTROLS.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)


def _plain(value: Any) -> Any:
    """Return a value made of what JSON has; keys are texts."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _key(key): _plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    is_known = value is None or isinstance(value, str | int)
    return value if is_known else json_value(value)


def _key(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain)


def json_value(value: Any) -> Any:
    """Return what JSON has for a value that it does not know: its text, instants and days as
    ISO 8601, instants with microseconds and a Z.
    """
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value.isoformat() if hasattr(value, "isoformat") else value_text(value)


def share_text(share: float | None) -> str:
    """Return a share as percent."""
    return NOTHING if share is None else f"{share:.1%}"


def points_text(difference: float | None) -> str:
    """Return a difference of shares in percentage points."""
    return NOTHING if difference is None else f"{100 * difference:+z.1f} points"


def p_value_text(p_value: float | None) -> str:
    """Return a p-value with two digits; very small ones as a bound."""
    if p_value is None:
        return NOTHING
    return f"< {_SMALLEST_P_VALUE}" if p_value < _SMALLEST_P_VALUE else f"{p_value:.2g}"


def _text(value: Any, kind: Kind) -> str:
    if value is None:
        return "" if kind == "mark" else "-"
    return _TEXTS.get(kind, value_text)(value)


_TEXTS: Mapping[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,}",
    "number": lambda value: f"{value:,.6g}" if isinstance(value, float) else f"{value:,}",
    "share": lambda value: f"{value:.1%}",
    "interval": lambda ends: f"{ends[0]:.1%} to {ends[1]:.1%}",
    "points": lambda value: f"{100 * value:+z.1f}",
    "p_value": lambda value: f"{value:.2g}",
}
