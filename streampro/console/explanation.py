"""An explanation as a person sees it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from streampro.console.tables import show_table
from streampro.errors import number_of
from streampro.expressions.columns import ROWS
from streampro.lineage.explain import Explanation, Meaning
from streampro.lineage.trace import Step
from streampro.modeling.lineage import Origin

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


def show_explanation(found: Explanation) -> None:
    """Print where rows of a table come from."""
    asked = f"{found.table}.{found.column}" if found.column else found.table
    where = f" where {found.where}" if found.where is not None else ""
    click.echo(f"{asked}{where}, run {found.run_id}\n")
    click.echo("\n".join(found.definition) + "\n")
    _show_rows(found)
    _show_meanings(found.columns)
    click.echo("How it is computed\n")
    click.echo("\n".join(_cut(f"    {line}") for line in found.expression.splitlines()) + "\n")
    _show_lineage(found)
    _show_steps(found.steps)
    _show_lines(found)
    for note in found.notes:
        click.echo(note, err=True)


def _show_rows(found: Explanation) -> None:
    selected, shown = found.steps[0].rows, len(found.rows)
    title = f"{number_of(selected, 'row')}" + (f", the first {shown}" if selected > shown else "")
    rows: Sequence[Mapping[str, Any]] = found.rows
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


def _show_lineage(found: Explanation) -> None:
    if found.column:
        rows = [
            {
                "column": name,
                "comes from": _few([_told(each) for each in origins if each.how != "decides"]),
                "decided by": _few([_told(each) for each in origins if each.how == "decides"]),
            }
            for name, origins in found.lineage.items()
        ]
    else:
        rows = [
            {
                "column": each.column,
                "comes from": _origins(found.lineage[f"{found.name}.{each.column}"]),
                "raw fields": _few([*_fields(f"{found.name}.{each.column}", found)]),
            }
            for each in found.columns
        ]
    show_table("Where it comes from", rows)


def _origins(origins: Sequence[Origin]) -> str:
    """Return what a value comes from, or what decides it where that is all."""
    values = [_told(each) for each in origins if each.how != "decides"]
    return _few(values) if values else f"decided by {_few([_told(each) for each in origins])}"


def _fields(name: str, found: Explanation) -> Iterator[str]:
    """Yield the fields of sources that the values of a column come from."""
    seen, todo = {name}, [name]
    while todo:
        for each in found.lineage[todo.pop(0)]:
            origin = str(each.column)
            if each.how != "decides" and origin not in seen:
                seen.add(origin)
                if origin in found.lineage:
                    todo.append(origin)
                elif each.column.column != ROWS:
                    yield origin


def _told(origin: Origin) -> str:
    if origin.column.column == ROWS:
        return f"rows of {origin.column.table}"
    return f"{origin.column}" + (" (copied)" if origin.how == "copied" else "")


def _few(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


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
                "also decide": _say(each),
            }
            for each in steps
        ],
        caption=" ".join(legend),
    )


def _say(step: Step) -> str:
    more = [f"{step.deciding:,} more"] if step.deciding else []
    return " and ".join([*more, *(["every row"] if step.decides_as_a_whole else [])])


def _cut(line: str) -> str:
    return line if len(line) <= _LONG else f"{line[: _LONG - 4]} ..."


def _show_lines(found: Explanation) -> None:
    sources = dict.fromkeys(line.source for line in found.lines)
    for source in sources:
        click.echo(f"\nRaw lines of {source}, for example")
        for line in (each for each in found.lines if each.source == source):
            click.echo(f"\n  {line.file}:{line.number}\n    {line.text}")
