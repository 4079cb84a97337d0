"""What a session tells of engagement and of the user's return."""

from datetime import UTC, datetime, timedelta

import pytest

from streampro.modeling.spec import spec_of
from streampro.viewing.intermediate import UserSessions, user_sessions
from streampro.viewing.mart import fact_user_session

TEN = datetime(2026, 3, 28, 10, tzinfo=UTC)
HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)


def session(number, start=TEN, watched=0, user_id="u1", **columns):
    row = {"user_id": user_id, "session_id": f"s{number}", "session_number": number}
    row |= {"session_start_ts": start, "session_end_ts": start, "event_count": 1}
    row |= {"total_watch_time_s": watched, "has_like": False, "has_heart": False}
    return row | columns


def picked(rows, *columns):
    return {
        (row["user_id"], row["session_number"]): tuple(row[name] for name in columns)
        for row in rows
    }


def test_every_column_of_the_session_is_kept(rows_of):
    given = session(1, device_os="iOS", first_genre="Drama", has_like=True, account_id="a1")
    [row] = rows_of(fact_user_session, user_sessions=[given])
    kept = [*spec_of(UserSessions).schema]
    assert list(row)[: len(kept)] == kept
    assert {name: row[name] for name in kept} == dict.fromkeys(kept) | given


@pytest.mark.parametrize(
    ("watched", "reached", "dropped"),
    [(0, False, True), (9, False, True), (10, False, False), (29, False, False), (30, True, False)],
)
def test_30_s_are_reached_from_30_and_10_s_are_a_drop_off_below_10(
    rows_of, watched, reached, dropped
):
    [row] = rows_of(fact_user_session, user_sessions=[session(1, watched=watched)])
    assert (row["reached_30s"], row["dropoff_under_10s"]) == (reached, dropped)


def test_the_next_session_is_that_of_the_same_user_and_the_last_has_none(rows_of):
    sessions = [
        session(1, TEN),
        session(2, TEN + 5 * HOUR),
        session(3, TEN + 90 * HOUR),
        session(1, TEN + HOUR, user_id="u2"),
        session(2, TEN + 2 * HOUR, user_id="u2"),
    ]
    rows = rows_of(fact_user_session, user_sessions=sessions)
    assert picked(rows, "next_session_start_ts", "next_session_number") == {
        ("u1", 1): (TEN + 5 * HOUR, 2),
        ("u1", 2): (TEN + 90 * HOUR, 3),
        ("u1", 3): (None, None),
        ("u2", 1): (TEN + 2 * HOUR, 2),
        ("u2", 2): (None, None),
    }


@pytest.mark.parametrize(
    ("gap", "retained"),
    [
        (timedelta(0), True),
        (71 * HOUR, True),
        (72 * HOUR - MICROSECOND, True),
        (72 * HOUR, True),
        (72 * HOUR + MICROSECOND, False),
        (73 * HOUR, False),
        (30 * 24 * HOUR, False),
    ],
)
def test_a_second_session_at_most_72_elapsed_hours_later_is_retention(rows_of, gap, retained):
    sessions = [session(1), session(2, TEN + gap)]
    rows = rows_of(fact_user_session, user_sessions=sessions)
    assert picked(rows, "retained_within_3d") == {("u1", 1): (retained,), ("u1", 2): (None,)}


def test_a_session_on_the_third_calendar_day_may_be_too_late(rows_of):
    start = datetime(2026, 3, 28, 0, 30, tzinfo=UTC)
    sessions = [session(1, start), session(2, datetime(2026, 3, 31, 0, 31, tzinfo=UTC))]
    rows = rows_of(fact_user_session, user_sessions=sessions)
    assert picked(rows, "retained_within_3d")["u1", 1] == (False,)


def test_who_never_comes_back_is_not_retained(rows_of):
    rows = rows_of(fact_user_session, user_sessions=[session(1)])
    assert picked(rows, "retained_within_3d") == {("u1", 1): (False,)}


def test_retention_and_its_deadline_are_told_of_first_sessions_only(rows_of):
    sessions = [session(1), session(2, TEN + 100 * HOUR), session(3, TEN + 101 * HOUR)]
    rows = rows_of(fact_user_session, user_sessions=sessions)
    assert picked(rows, "retained_within_3d", "retention_deadline_ts") == {
        ("u1", 1): (False, TEN + 72 * HOUR),
        ("u1", 2): (None, None),
        ("u1", 3): (None, None),
    }


def test_a_user_is_told_the_same_whatever_others_do(rows_of):
    own = [session(1, watched=9), session(2, TEN + 72 * HOUR, watched=30)]
    others = [session(1, TEN + 999 * HOUR, user_id="u0"), session(1, TEN - HOUR, user_id="u2")]
    alone = rows_of(fact_user_session, user_sessions=own)
    among = rows_of(fact_user_session, user_sessions=others + own)
    both = sorted(alone, key=lambda row: row["session_number"])
    assert both == [row for row in _sorted(among) if row["user_id"] == "u1"]


def _sorted(rows):
    return sorted(rows, key=lambda row: (row["user_id"], row["session_number"]))


def test_sessions_that_start_together_follow_each_other_at_once(rows_of):
    events = [
        {"event_ts": TEN, "user_id": "u1", "session_id": name, "event_name": "like"}
        for name in ("b", "a")
    ]
    sessions = rows_of(user_sessions, events=events, users=[], videos=[])
    rows = _sorted(rows_of(fact_user_session, user_sessions=sessions))
    columns = ("session_id", "next_session_start_ts", "next_session_number", "retained_within_3d")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("a", TEN, 2, True),
        ("b", None, None, None),
    ]
