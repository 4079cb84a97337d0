"""How the events of a session become one row."""

from datetime import UTC, date, datetime, timedelta

import pytest

from streampro.viewing.intermediate import user_sessions

TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)


def event(second, event_name="seek", **columns):
    at = TEN + timedelta(seconds=second)
    row = {"event_ts": at, "user_id": "u1", "session_id": "s1", "event_name": event_name}
    return row | columns


@pytest.fixture
def sessions_of(rows_of):
    def call(*events, users=(), videos=()):
        return rows_of(user_sessions, events=[*events], users=[*users], videos=[*videos])

    return call


def test_a_session_is_one_row_with_every_column_in_contract_order(sessions_of):
    device = {"device": "Pixel 8", "device_os": "Android", "app_version": "5.2.0"}
    place = {"account_id": "a1", "network_type": "wifi", "country": "DE"}
    [row] = sessions_of(
        event(0, "session_start", **device, **place),
        event(5, "watch_time", video_id="v1", value=40),
        event(9, "like"),
        event(60, "session_end"),
        users=[
            {
                "user_id": "u1",
                "signup_date": date(2025, 3, 1),
                "subscription_tier": "free",
                "age_group": "18-24",
                "gender": "f",
            }
        ],
        videos=[{"video_id": "v1", "title": "A film", "genre": "Drama", "duration_seconds": 90}],
    )
    assert list(row.items()) == [
        ("user_id", "u1"),
        ("session_id", "s1"),
        ("session_start_ts", TEN),
        ("session_end_ts", TEN + timedelta(seconds=60)),
        ("event_count", 4),
        ("total_watch_time_s", 40),
        ("has_like", True),
        ("has_heart", False),
        ("account_id", "a1"),
        ("device", "Pixel 8"),
        ("device_os", "Android"),
        ("app_version", "5.2.0"),
        ("network_type", "wifi"),
        ("country", "DE"),
        ("first_video_id", "v1"),
        ("first_video_title", "A film"),
        ("first_genre", "Drama"),
        ("first_video_duration_s", 90),
        ("signup_date", date(2025, 3, 1)),
        ("subscription_tier", "free"),
        ("age_group", "18-24"),
        ("gender", "f"),
        ("session_number", 1),
    ]


def test_the_key_is_user_and_session_together(sessions_of):
    rows = sessions_of(
        event(0),
        event(1),
        event(0, session_id="s2"),
        event(0, user_id="u2"),
        event(3, user_id="u2", event_name="like"),
    )
    found = {(row["user_id"], row["session_id"]): row["event_count"] for row in rows}
    assert found == {("u1", "s1"): 2, ("u1", "s2"): 1, ("u2", "s1"): 2}


@pytest.mark.parametrize(
    ("events", "start", "end"),
    [
        ([event(0), event(9)], 0, 9),
        ([event(0), event(3, "session_start"), event(5, "session_start"), event(9)], 3, 9),
        ([event(0), event(3, "session_end"), event(5, "session_end"), event(9)], 0, 5),
        ([event(3, "session_start"), event(0), event(9), event(7, "session_end")], 3, 7),
        ([event(5, "session_start"), event(2, "session_end")], 5, 2),
        ([event(5, "session_start")], 5, 5),
        ([event(5, "session_end")], 5, 5),
        ([event(0), event(3, "Session_Start"), event(5, "session_end "), event(9)], 0, 9),
    ],
)
def test_start_and_end_are_those_of_their_events_else_of_all(sessions_of, events, start, end):
    [row] = sessions_of(*events)
    bounds = row["session_start_ts"], row["session_end_ts"]
    assert bounds == (TEN + timedelta(seconds=start), TEN + timedelta(seconds=end))


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([event(0, "watch_time", value=12), event(1, "watch_time", value=20)], 32),
        ([event(0, "watch_time", value=12), event(1, "watch_time")], 12),
        ([event(0, "watch_time")], 0),
        ([event(0, "watch_time", value=0)], 0),
        ([event(0, "seek", value=12), event(1, "like", value=5)], 0),
        ([event(0, "watch_time", value=12), event(1, "seek", value=-100)], 12),
    ],
)
def test_watch_time_is_the_sum_over_watch_time_events_and_null_counts_0(
    sessions_of, events, seconds
):
    [row] = sessions_of(*events)
    assert row["total_watch_time_s"] == seconds


@pytest.mark.parametrize(
    ("names", "likes", "hearts"),
    [
        (["seek"], False, False),
        (["like", "like"], True, False),
        (["seek", "heart"], False, True),
        (["heart", "like"], True, True),
        (["likes", "Like", "unheart"], False, False),
    ],
)
def test_has_like_and_has_heart_mean_an_event_of_that_name(sessions_of, names, likes, hearts):
    [row] = sessions_of(*(event(second, name) for second, name in enumerate(names)))
    assert (row["has_like"], row["has_heart"]) == (likes, hearts)


@pytest.mark.parametrize(
    "column",
    [
        *("account_id", "device", "device_os", "app_version", "network_type", "country"),
        "first_video_id",
    ],
)
def test_a_column_is_that_of_the_earliest_event_that_has_one_and_ties_take_the_smallest(
    sessions_of, column
):
    name = column.removeprefix("first_")
    rows = sessions_of(
        event(0, session_id="later null"),
        event(1, session_id="later null", **{name: "b"}),
        event(2, session_id="later null", **{name: "a"}),
        event(5, session_id="tie", **{name: "c"}),
        event(5, session_id="tie", **{name: "b"}),
        event(5, session_id="tie"),
        event(6, session_id="tie", **{name: "a"}),
        event(0, session_id="code points", **{name: "é"}),
        event(0, session_id="code points", **{name: "z"}),
        event(0, session_id="code points", **{name: "Z"}),
        event(0, session_id="none"),
    )
    assert {row["session_id"]: row[column] for row in rows} == {
        "later null": "b",
        "tie": "b",
        "code points": "Z",
        "none": None,
    }


def test_columns_of_the_earliest_event_are_chosen_one_by_one(sessions_of):
    [row] = sessions_of(
        event(0, device="Pixel 8"),
        event(1, device="iPad", device_os="iOS"),
        event(2, device="Fire TV", device_os="Fire OS", video_id="v9"),
    )
    chosen = row["device"], row["device_os"], row["first_video_id"], row["country"]
    assert chosen == ("Pixel 8", "iOS", "v9", None)


def test_an_unknown_user_or_video_leaves_null(sessions_of):
    rows = sessions_of(
        event(0, session_id="unknown", user_id="u9", video_id="v9"),
        event(0, session_id="no video"),
        event(0, session_id="known", video_id="v1"),
        users=[{"user_id": "u1", "subscription_tier": "free"}],
        videos=[{"video_id": "v1", "genre": "Drama"}, {"video_id": "v2", "genre": "News"}],
    )
    columns = ("first_video_id", "first_genre", "subscription_tier", "gender")
    assert {row["session_id"]: tuple(row[name] for name in columns) for row in rows} == {
        "unknown": ("v9", None, None, None),
        "no video": (None, None, "free", None),
        "known": ("v1", "Drama", "free", None),
    }


def test_users_and_videos_without_events_make_no_session(sessions_of):
    assert sessions_of(users=[{"user_id": "u1"}], videos=[{"video_id": "v1"}]) == []


def test_sessions_are_numbered_per_user_by_start_and_session_id(sessions_of):
    rows = sessions_of(
        event(50, session_id="a"),
        event(0, session_id="c"),
        event(20, session_id="s10"),
        event(20, session_id="s9"),
        event(99, user_id="u2", session_id="z"),
    )
    assert {(row["user_id"], row["session_id"]): row["session_number"] for row in rows} == {
        ("u1", "c"): 1,
        ("u1", "s10"): 2,
        ("u1", "s9"): 3,
        ("u1", "a"): 4,
        ("u2", "z"): 1,
    }


def test_sessions_are_numbered_by_their_start_event_not_by_their_first(sessions_of):
    rows = sessions_of(
        event(0, session_id="a"),
        event(30, "session_start", session_id="a"),
        event(20, "session_start", session_id="b"),
    )
    assert {row["session_id"]: row["session_number"] for row in rows} == {"b": 1, "a": 2}


def test_a_sum_of_watch_time_beyond_int64_stays_at_its_largest_value(sessions_of):
    [row] = sessions_of(
        event(1, "watch_time", value=2**63 - 1), event(2, "watch_time", value=2**63 - 2)
    )
    assert row["total_watch_time_s"] == 2**63 - 1
