"""What the three questions say in sentences and in their summaries."""

import subprocess
import sys
from itertools import permutations

import pytest

from streampro.viewing.questions import questions
from streampro.viewing.values import named

NOBODY = {"users": 0, "reached_users": 0, "reached_rate": None}
BOTH = "device_os x app_version"


def row(dimension, system, version, n, d, all_n=4000, all_d=500):
    """Build a row of q3_dropoff in which every session has a user of its own."""
    squares = {"sum_sessions_squared": n, "sum_sessions_all_sessions": n}
    squares |= {f"sum_{name}": d for name in ("dropoff_squared", "sessions_dropoff")}
    squares |= {f"sum_dropoff_all_{name}": d for name in ("sessions", "dropoff")}
    squares |= {"sum_sessions_all_dropoff": d, "all_sum_sessions_squared": all_n}
    squares |= {f"all_sum_{name}": all_d for name in ("dropoff_squared", "sessions_dropoff")}
    counts = {"sessions": n, "dropoff_sessions": d, "dropoff_rate": d / n, "users": n}
    counts |= {"all_sessions": all_n, "all_dropoff_sessions": all_d, "all_users": all_n}
    names = {"dimension": dimension, "device_os": system, "app_version": version}
    return names | counts | squares


def genre(name, users, observable=0, retained=0):
    """Build a row of q2_retention in which only observable users came back."""
    return {
        "first_genre": name,
        "users": users,
        "retained_users": retained,
        "retention_rate": retained / users,
        "observable_users": observable,
        "observable_retained_users": retained,
        "observable_retention_rate": retained / observable if observable else None,
        "censored_users": users - observable,
    }


def retention(*rows):
    answers = {"q1_engagement": [NOBODY], "q2_retention": list(rows), "q3_dropoff": []}
    found = questions(answers)[1]
    return found.caption, [row["first genre"] for row in found.summary.texts]


@pytest.fixture
def dropoff():
    def tell(*rows):
        answers = {"q1_engagement": [NOBODY], "q2_retention": [], "q3_dropoff": list(rows)}
        found = questions(answers)[2]
        return found.caption, {row["value"]: row[""] for row in found.summary.texts}

    return tell


# Drop-offs of sessions    5.1        5.2        both
#   Android             100/1000   200/1000   300/2000
#   iOS                 100/1000   100/1000   200/2000
#   both                200/2000   300/2000   500/4000
ROWS = [
    row("device_os", "Android", None, 2000, 300),
    row("device_os", "iOS", None, 2000, 200),
    row("app_version", None, "5.1", 2000, 200),
    row("app_version", None, "5.2", 2000, 300),
    row(BOTH, "Android", "5.1", 1000, 100),
    row(BOTH, "Android", "5.2", 1000, 200),
    row(BOTH, "iOS", "5.1", 1000, 100),
    row(BOTH, "iOS", "5.2", 1000, 100),
]


def test_system_and_version_of_an_abnormal_combination_are_explained_by_it(dropoff):
    sentence, marks = dropoff(*ROWS)
    assert sentence == (
        "Abnormal: Android 5.2; without it neither Android nor 5.2 stands out. "
        "Android: +5.0 points above the rest, +0.0 without Android 5.2. "
        "5.2: +5.0 points above the rest, +0.0 without Android 5.2."
    )
    assert marks["Android"] == marks["5.2"] == "only by Android 5.2"
    assert marks["Android 5.2"] == "abnormal"
    assert marks["iOS"] == marks["5.1"] == marks["iOS 5.2"] == ""


def test_a_version_that_only_one_system_has_is_the_combination(dropoff):
    sentence, marks = dropoff(
        row("app_version", None, "9", 1000, 300), row(BOTH, None, "9", 1000, 300)
    )
    assert "9 has no sessions outside unknown 9." in sentence
    assert marks == {"9": "only by unknown 9", "unknown 9": "abnormal"}


def test_several_abnormal_combinations_are_not_listed_again(dropoff):
    sentence, _ = dropoff(
        row("app_version", None, "9", 1000, 250),
        row(BOTH, "iOS", "9", 400, 120),
        row(BOTH, "tvOS", "9", 400, 120),
    )
    # 10 of the 200 other sessions of 9; 250 of the 3,000 sessions of other versions.
    assert "9: +16.7 points above the rest, -3.3 without the abnormal combinations." in sentence


def test_a_version_that_is_bad_on_every_system_is_abnormal_itself(dropoff):
    """And systems that never stood out are not said to stand out no more."""
    systems, versions = ("Android", "iOS", "Windows"), ("1", "2", "3")
    dropped = {"1": 100, "2": 100, "3": 500}
    every = [
        row(BOTH, system, v, 1000, dropped[v], 9000, 2100) for system in systems for v in versions
    ]
    of_versions = [row("app_version", None, v, 3000, 3 * dropped[v], 9000, 2100) for v in versions]
    of_systems = [row("device_os", system, None, 3000, 700, 9000, 2100) for system in systems]
    sentence, marks = dropoff(*of_systems, *of_versions, *every)
    assert sentence.startswith("Abnormal: 3, Android 3, Windows 3, iOS 3. ")
    assert marks["3"] == "abnormal"
    assert marks["Android"] == marks["iOS"] == marks["1"] == ""


def test_nothing_abnormal_is_said(dropoff):
    assert dropoff(row("app_version", None, "5.1", 2000, 250))[0] == "None is abnormal."


def test_what_rounds_to_nothing_has_no_minus(dropoff):
    # Without 2,001 of 10,000 on Android 5.2: 999 of 10,000 are left, 2,000 of 20,000 elsewhere.
    sentence, _ = dropoff(
        row("device_os", "Android", None, 20_000, 3_000, 40_000, 5_000),
        row(BOTH, "Android", "5.2", 10_000, 2_001, 40_000, 5_000),
    )
    assert "Android: +5.0 points above the rest, +0.0 without Android 5.2." in sentence


def test_best_genre_leads_with_the_users_it_is_told_of():
    sentence, _ = retention(genre("A", 9, 8, 3), genre("B", 1300, 1200, 600))
    assert sentence == (
        "B leads: 50.0% of the 1,200 users whose 3 days are over came back. "
        "Its lead over A (37.5% of 8) may be chance (adjusted p 0.73)."
    )
    sentence, _ = retention(genre("A", 1, 1, 1))
    assert sentence == "A leads: 100.0% of the 1 user whose 3 days are over came back."


def test_a_lead_is_more_than_chance_if_few_such_leads_were():
    # Fisher's exact test, two-sided: 60 of 100 and 40 of 100 give 0.0071, adjusted for 2 others.
    rows = [genre("A", 100, 100, 60), genre("B", 100, 100, 40), genre("C", 100, 100, 40)]
    assert retention(*rows)[0] == (
        "A leads: 60.0% of the 100 users whose 3 days are over came back. "
        "Its lead over B (40.0% of 100) is more than chance (adjusted p 0.0071)."
    )


def test_genres_that_share_the_best_rate_lead_together_in_any_order_of_rows():
    rows = [genre("Tiny", 1, 1, 1), genre("Big", 9, 4, 4), genre(None, 9, 2, 2), genre("Z", 9, 9)]
    for given in permutations(rows):
        assert retention(*given) == (
            "Big, unknown and Tiny lead: 100.0% of their 7 users whose 3 days are over came back.",
            ["Big", "unknown", "Tiny", "Z"],
        )


def test_genres_alike_are_in_order_of_their_names_the_unknown_last():
    rows = [genre(None, 9, 9, 3), genre("zoo", 9, 9, 3), genre("Ads", 9, 9, 3)]
    assert retention(*rows)[1] == ["Ads", "zoo", "unknown"]


def test_genres_of_which_nothing_is_known_yet_come_after_those_to_which_nobody_came_back():
    sentence, genres = retention(genre("New", 50), genre("A", 10, 10), genre("B", 5, 5))
    assert sentence == "Nobody came back of the 15 users whose 3 days are over."
    assert genres == ["A", "B", "New"]
    assert retention(genre("New", 50))[0] == "No user's 3 days are over yet."


def test_order_of_rows_does_not_change_what_is_said_of_dropoff(dropoff):
    alike = [row("device_os", name, None, 2000, 200) for name in ("b", "a", None)]
    large = row("device_os", "c", None, 4000, 400, 8000, 1000)
    _, marks = dropoff(*alike, large)
    assert list(marks) == ["c", "a", "b", "unknown"]
    said = dropoff(*ROWS)
    assert dropoff(*ROWS[::-1]) == said
    assert list(dropoff(*ROWS[::-1])[1]) == list(said[1])


def test_only_the_worst_combinations_and_the_abnormal_ones_are_shown(dropoff):
    usual = [row(BOTH, "iOS", f"{n}", 29, 20 + n, 40_000, 5_000) for n in range(6)]
    sentence, marks = dropoff(*usual, row(BOTH, "Android", "9", 1000, 300, 40_000, 5_000))
    assert list(marks) == ["iOS 5", "iOS 4", "iOS 3", "iOS 2", "iOS 1", "Android 9"]
    assert sentence.endswith("The combination with the lowest rate is not shown.")


class Alone(dict):
    """A row that may not be compared: of each with each, 20,000 combinations took seconds."""

    __hash__ = None

    def __eq__(self, other):
        raise AssertionError("rows were compared")


def test_combinations_are_not_compared_with_each_other(dropoff):
    rows = [Alone(row(BOTH, "iOS", f"{n}", 29, 3, 10**6, 10**5)) for n in range(2_000)]
    sentence, marks = dropoff(*rows)
    assert sentence.endswith("The 1,995 combinations with the lowest rates are not shown.")
    assert len(marks) == 5


def test_a_value_called_unknown_is_not_the_unknown_one(dropoff):
    _, marks = dropoff(
        row(BOTH, None, "9", 1000, 100),
        row(BOTH, "unknown", "9", 1000, 90),
        row(BOTH, '"unknown"', "9", 1000, 80),
        row(BOTH, "", "9", 1000, 70),
    )
    assert list(marks) == ["unknown 9", '"unknown" 9', '""unknown"" 9', '"" 9']
    assert retention(genre(None, 5, 4, 2), genre("unknown", 5, 4, 1))[1] == ["unknown", '"unknown"']


def test_names_of_different_values_differ():
    values = [None, "unknown", '"unknown"', '""unknown""', "", '"', '""', "Unknown", "x", '"x"']
    assert len({named(value) for value in values}) == len(values)


@pytest.mark.slow
def test_are_answered_without_a_drawing_library():
    """The console prints them after every run; charts are the report's."""
    code = (
        "import sys; from streampro.viewing.questions import questions; "
        "print(questions({'q1_engagement': [{'users': 0, 'reached_users': 0}], "
        "'q2_retention': [], 'q3_dropoff': []})[0].answer, "
        "[name for name in ('altair', 'vl_convert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Nobody has a session yet. []\n"
