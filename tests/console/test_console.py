"""What a person sees."""

from collections import Counter
from contextlib import redirect_stdout
from datetime import date
from io import StringIO
from typing import Any

import pytest
from hypothesis import given, strategies as st

from examples.orders import PIPELINE
from streampro.console.answers import show_answers, show_question
from streampro.console.runs import show_moves
from streampro.console.tables import show_table
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


def test_a_row_that_is_shown_as_a_list_has_a_line_for_each_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {f"column_{number}": "" for number in range(40)} | {"none": None, "text": "x\u2028y"}
    show_table("", [row])
    lines = capsys.readouterr().out.split("\n")
    assert [line.split(maxsplit=1)[0] for line in lines if line.strip()] == [*row]


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


ROWS = [
    {"name": "Oslo", "visitors": 1_234, "note": "a city, and the sea in front of it"},
    {"name": "Trondheim", "visitors": 7, "note": None},
]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (
            80,
            """
name       visitors  note
───────────────────────────────────────────────────────
Oslo           1234  a city, and the sea in front of it
Trondheim         7
""",
        ),
        (
            40,
            """
name       visitors  note
────────────────────────────────────────
Oslo           1234  a city, and the sea
                     in front of it
Trondheim         7
""",
        ),
        (
            22,
            """
name      Oslo
visitors  1234
note      a city, and
          the sea in
          front of it

name      Trondheim
visitors  7
note
""",
        ),
    ],
)
def test_words_of_a_table_stay_whole_at_every_width(
    width: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    show_table("", ROWS)
    assert capsys.readouterr().out == f"{shown[1:]}\n"


@given(
    st.lists(
        st.fixed_dictionaries({"k": st.text("abc 1é世", max_size=30), "other": st.integers()}),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 90),
)
def test_no_word_is_lost_or_cut(rows: list[dict[str, Any]], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.setenv("COLUMNS", str(width))
        show_table("a title", rows, "and a caption")
    shown = out.getvalue().split()
    for row in rows:
        assert Counter(f"{row['k']} {row['other']}".split()) <= Counter(shown)


def test_what_a_terminal_would_obey_is_shown_as_an_escape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table("", [{"text\x1b[2J": "red \x1b[31m\x07 nul \x00 csi \x9b tab\t"}])
    out = capsys.readouterr().out
    assert r"text\x1b[2J" in out
    assert r"red \x1b[31m\x07 nul \x00 csi \x9b tab\t" in out


def test_answers_are_shown_as_declared_and_cut_to_20_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    months = [{"ordered_month": date(2000 + n, 1, 1), "orders": n} for n in reversed(range(30))]
    show_answers({"monthly_revenue": months, "paid_in_time": []}, PIPELINE)
    first, _, second = capsys.readouterr().out.partition("monthly_revenue")
    assert first.split() == ["paid_in_time", "no", "rows"]
    assert "2019-01-01" in second
    assert "2020-01-01" not in second
    assert "20 of 30 rows. All of them: streampro sql" in second


def test_a_question_is_printed_with_its_summary_by_kind_of_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = ("text", "count", "number", "share", "interval", "points", "p_value", "mark")
    values = ("Oslo", 1234, 0.5, 0.126, (0.1, 0.25), -0.0311, 0.00005, "odd")
    rows = [dict(zip(kinds, values, strict=True)), dict.fromkeys(kinds)]
    table = Table(tuple(Column(kind, kind) for kind in kinds), rows)
    question = Question("q", "Is it?", "Yes.", "", table, lambda _: (), summary_note="But.")
    show_question(question)
    title, _, _, _, full, empty, _, caption, _ = capsys.readouterr().out.splitlines()
    assert title.strip() == "Is it?"
    assert " ".join(full.split()) == "Oslo 1,234 0.5 12.6% 10.0% to 25.0% -3.1 5e-05 odd"
    assert empty.split() == ["-"] * 7
    assert caption.strip() == "Yes. But."
