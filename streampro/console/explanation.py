"""An explanation as a person sees it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from streampro.console.tables import few, say, show_table
from streampro.errors import number_of, one_line
from streampro.expressions.columns import ROWS
from streampro.lineage.explain import Explanation, Meaning
from streampro.lineage.trace import Step
from streampro.modeling.columns.lineage import Origin

_WIDE = 8
"""Rows of more columns are shown with a line per column."""
_NAMED = 6
"""Columns that are named in one cell."""
_LONG = 160
"""Characters of a line of an expression that are shown."""
_MORE_DECIDE = (
    "More rows decide, but enter no value: they share a window with a row that does, or are the "
    "other side of a semi join. They are not followed."
)
_EVERY_ROW_DECIDES = (
    "Every row decides by what is the same for all, such as a total, or in what a limit keeps."
)


def show_explanation(explanation: Explanation) -> None:
    """Print where rows of a table come from."""
    asked = f"{explanation.table}.{explanation.column}" if explanation.column else explanation.table
    where = f" where {explanation.where}" if explanation.where is not None else ""
    say(f"{asked}{where}, run {explanation.run_id}\n")
    say("\n".join(explanation.definition) + "\n")
    _show_rows(explanation)
    _show_meanings(explanation.columns)
    click.echo("How it is computed\n")
    click.echo(
        "\n".join(_cut(f"    {line}") for line in explanation.expression.splitlines()) + "\n"
    )
    _show_lineage(explanation)
    _show_steps(explanation.steps)
    _show_lines(explanation)
    for note in explanation.notes:
        say(note, err=True)


def _show_rows(explanation: Explanation) -> None:
    selected, shown = explanation.steps[0].rows, len(explanation.rows)
    title = f"{number_of(selected, 'row')}" + (f", the first {shown}" if selected > shown else "")
    rows: Sequence[Mapping[str, Any]] = explanation.rows
    if rows and len(rows[0]) > _WIDE:
        rows = [
            {"column": name} | {f"row {place}": row[name] for place, row in enumerate(rows, 1)}
            for name in rows[0]
        ]
    show_table(title, rows)


def _show_meanings(columns: Sequence[Meaning]) -> None:
    show_table(
        "What it means",
        [
            {
                "column": each.column,
                "type": each.type,
                "unit": each.unit or "",
                "meaning": each.description,
            }
            for each in columns
        ],
    )


def _show_lineage(explanation: Explanation) -> None:
    if explanation.column:
        rows = [
            {
                "column": name,
                "comes from": few(
                    [_origin_text(each) for each in origins if each.how != "decides"], _NAMED
                ),
                "decided by": few(
                    [_origin_text(each) for each in origins if each.how == "decides"], _NAMED
                ),
            }
            for name, origins in explanation.lineage.items()
        ]
    else:
        rows = [
            {
                "column": each.column,
                "comes from": _origins(explanation.lineage[f"{explanation.name}.{each.column}"]),
                "raw fields": few(
                    [*_fields(f"{explanation.name}.{each.column}", explanation)], _NAMED
                ),
            }
            for each in explanation.columns
        ]
    show_table("Where it comes from", rows)


def _origins(origins: Sequence[Origin]) -> str:
    """Return what a value comes from, or what decides it where that is all."""
    values = [_origin_text(each) for each in origins if each.how != "decides"]
    return (
        few(values, _NAMED)
        if values
        else f"decided by {few([_origin_text(each) for each in origins], _NAMED)}"
    )


def _fields(name: str, explanation: Explanation) -> Iterator[str]:
    """Yield the fields of sources that the values of a column come from."""
    seen, todo = {name}, [name]
    while todo:
        for each in explanation.lineage[todo.pop(0)]:
            origin = str(each.column)
            if each.how != "decides" and origin not in seen:
                seen.add(origin)
                if origin in explanation.lineage:
                    todo.append(origin)
                elif each.column.column != ROWS:
                    yield origin


def _origin_text(origin: Origin) -> str:
    if origin.column.column == ROWS:
        return f"rows of {origin.column.table}"
    return f"{origin.column}" + (" (copied)" if origin.how == "copied" else "")


def _show_steps(steps: Sequence[Step]) -> None:
    legend = [_MORE_DECIDE] if any(each.deciding for each in steps) else []
    legend += [_EVERY_ROW_DECIDES] if any(each.decides_as_a_whole for each in steps) else []
    show_table(
        "Rows at each step",
        [
            {
                "step": each.name,
                "rows": f"{each.rows:,}",
                "of": f"{each.total:,}",
                "duplicates among them": f"{each.duplicates:,}" if each.duplicates else "",
                "also decide": _deciding_text(each),
            }
            for each in steps
        ],
        caption=" ".join(legend),
    )


def _deciding_text(step: Step) -> str:
    more = [f"{step.deciding:,} more"] if step.deciding else []
    return " and ".join([*more, *(["every row"] if step.decides_as_a_whole else [])])


def _cut(line: str) -> str:
    return line if len(line) <= _LONG else f"{line[: _LONG - 4]} ..."


def _show_lines(explanation: Explanation) -> None:
    sources = dict.fromkeys(line.source for line in explanation.lines)
    for source in sources:
        click.echo(f"\nRaw lines of {source}, for example")
        for line in (each for each in explanation.lines if each.source == source):
            element = "" if line.element is None else f", element {line.element}"
            place = f":{line.number}{element}" if line.row is None else f" {line.row}"
            say(f"\n  {one_line(line.file)}{place}\n    {line.text}")
