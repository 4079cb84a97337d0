"""What a person sees."""

import pytest

from examples.orders import PIPELINE
from streampro.console.answers import show_answers, show_question
from streampro.console.runs import show_moves
from streampro.report import Column, Question, Table
from streampro.warehouse.changes import Move


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("104250.75", "104250.80", "x 104250.75 -> 104250.80"),
        ("0.6242424242", "0.6310679612", "x 0.6242 -> 0.6311"),
        ("7", None, "x 7 -> -"),
        (
            "2024-05-01 00:00:00.123456",
            "5.1.2-beta.2",
            "x 2024-05-01 00:00:00.123456 -> 5.1.2-beta.2",
        ),
    ],
)
def test_moves_shorten_fractions_but_no_amount(
    before: str, after: str | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_moves([Move("answers.q", "k=a", "x", before, after)])
    assert told in capsys.readouterr().out


def test_answers_without_questions_are_shown_in_the_order_of_their_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    segments = {None: 0.5, "retail": 2 / 3, "": 1.0, "public": None}
    rows = [{"segment": name, "in_time_share": share} for name, share in segments.items()]
    show_answers({"paid_in_time": rows}, PIPELINE)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split() for line in shown[4:8]] == [
        ["1"],
        ["public"],
        ["retail", "0.666667"],
        ["0.5"],
    ]


def test_a_question_is_printed_with_its_summary_by_kind_of_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = ("text", "count", "number", "share", "interval", "points", "p_value", "mark")
    values = ("Oslo", 1234, 0.5, 0.126, (0.1, 0.25), -0.0311, 0.00005, "odd")
    rows = [dict(zip(kinds, values, strict=True)), dict.fromkeys(kinds)]
    table = Table(tuple(Column(kind, kind) for kind in kinds), rows)
    question = Question("q", "Is it?", "Yes.", "", table, lambda _: (), summary_note="But.")
    show_question(question)
    title, _, _, _, full, empty, _, caption = capsys.readouterr().out.splitlines()
    assert title.strip() == "Is it?"
    assert " ".join(full.split()) == "Oslo 1,234 0.5 12.6% 10.0% to 25.0% -3.1 5e-05 odd"
    assert empty.split() == ["-"] * 7
    assert caption.strip() == "Yes. But."
