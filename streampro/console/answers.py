"""Answers as a person sees them on stdout."""

from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Any

from streampro.console.tables import show_table
from streampro.modeling.model import ANSWERS
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.question import Answers, Question, Rows

_ROWS = 20
"""Rows of an answer that are shown."""
_ALL = "streampro sql --format csv"


def show_answers(answers: Answers, pipeline: Pipeline | None) -> None:
    """Print rows of answers by name, as sentences where the pipeline has them for exactly these,
    else as they are, in the order of their keys.
    """
    models = pipeline.answers() if pipeline else []
    if pipeline and pipeline.questions and {*answers} == {model.name for model in models}:
        for question in resolve_name(pipeline.questions)(answers):
            show_question(question)
        return
    known = {model.name: model for model in models}
    for name in sorted(answers, key=[*known, *answers].index):
        _show_rows(name, answers[name], known[name].spec.key if name in known else ())


def _show_rows(name: str, rows: Rows, key: Sequence[str]) -> None:
    """Print the first rows of an answer in the order of its key."""
    ordered = sorted(rows, key=lambda row: [(row[k] is None, row[k]) for k in key])
    shown = [{n: _rounded(value) for n, value in row.items()} for row in ordered[:_ROWS]]
    cut = f"{_ROWS} of {len(rows):,} rows. All of them: {_ALL} 'from {ANSWERS}.{name}'"
    show_table(name, shown, cut if len(rows) > _ROWS else "")


def show_question(question: Question) -> None:
    """Print a question, its answer and its summary."""
    show_table(question.title, question.summary.texts, question.caption)


def _rounded(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
