"""What a person sees."""

import pytest

from examples.orders import PIPELINE
from streampro.console.runs import show_answers, show_moves
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


def test_answers_without_a_summary_are_shown_in_the_order_of_their_keys(
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
