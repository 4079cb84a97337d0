import pytest

from streampro.viewing.summary import summarize

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


@pytest.fixture
def dropoff():
    def tell(*rows):
        answers = {"q1_engagement": [NOBODY], "q2_retention": [], "q3_dropoff": list(rows)}
        _, sentence, table = summarize(answers)[2]
        return sentence, {cells["value"]: cells[""] for cells in table}

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
        "Abnormal: Android, 5.2, Android 5.2. "
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


def test_nothing_abnormal_is_said(dropoff):
    assert dropoff(row("app_version", None, "5.1", 2000, 250))[0] == "None is abnormal."


def test_what_rounds_to_nothing_has_no_minus(dropoff):
    # Without 2,001 of 10,000 on Android 5.2: 999 of 10,000 are left, 2,000 of 20,000 elsewhere.
    sentence, _ = dropoff(
        row("device_os", "Android", None, 20_000, 3_000, 40_000, 5_000),
        row(BOTH, "Android", "5.2", 10_000, 2_001, 40_000, 5_000),
    )
    assert "Android: +5.0 points above the rest, +0.0 without Android 5.2." in sentence
