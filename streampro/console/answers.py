"""Answers as a person sees them on stdout."""

from pkgutil import resolve_name
from typing import Any

from streampro.console.tables import show_table
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.question import Answers, Question


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
    show_table(question.title, question.summary.texts, question.caption)


def _rounded(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
