"""Answers as a person sees them on stdout."""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

from streampro.console.tables import Cells, show_table
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.question import Answers, Column, Question, Table

_NOTHING = "-"


def show_answers(answers: Answers, pipeline: Pipeline | None) -> None:
    """Print rows of answers by name, as sentences where the pipeline has them for exactly these,
    else as they are, in the order of their keys.
    """
    models = pipeline.answers() if pipeline else []
    if pipeline and pipeline.questions and {*answers} == {model.name for model in models}:
        for question in resolve_name(pipeline.questions)(answers):
            show_question(question)
        return
    keys = {model.name: model.spec.key for model in models}
    for name, rows in answers.items():
        key = keys.get(name, ())
        ordered = sorted(rows, key=lambda row: [(row[k] is None, row[k]) for k in key])
        show_table(name, [{n: _rounded(value) for n, value in row.items()} for row in ordered])


def show_question(question: Question) -> None:
    """Print a question, its answer and its summary."""
    caption = f"{question.answer} {question.summary_note}".strip()
    show_table(question.title, _cells(question.summary), caption)


def _cells(table: Table) -> Cells:
    return [
        {each.name: _text(row[each.name], each) for each in table.columns} for row in table.rows
    ]


def _text(value: Any, column: Column) -> str:
    if value is None:
        return "" if column.kind == "mark" else _NOTHING
    return _WRITTEN.get(column.kind, str)(value)


def _rounded(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


_WRITTEN: Mapping[str, Callable[[Any], str]] = {
    "count": lambda value: f"{value:,}",
    "number": lambda value: f"{value:,.6g}" if isinstance(value, float) else f"{value:,}",
    "share": lambda value: f"{value:.1%}",
    "interval": lambda ends: f"{ends[0]:.1%} to {ends[1]:.1%}",
    "points": lambda value: f"{100 * value:+z.1f}",
    "p_value": lambda value: f"{value:.2g}",
}
"""The text of a value by its kind; the page has its own in `report/cells.py`."""
