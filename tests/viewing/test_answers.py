"""The three questions, answered by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from streampro.viewing.answers import q1_engagement, q2_retention, q3_dropoff

TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)
HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)


def fact(user_id, number=1, watched=0, start=TEN, retained=False, **columns):
    first = number == 1
    row = {"user_id": user_id, "session_id": f"s{number}", "session_number": number}
    row |= {"session_start_ts": start, "session_end_ts": start, "event_count": 1}
    row |= {"total_watch_time_s": watched, "has_like": False, "has_heart": False}
    row |= {"reached_30s": watched >= 30, "dropoff_under_10s": watched < 10}
    row |= {"retained_within_3d": retained if first else None}
    row |= {"retention_deadline_ts": start + 72 * HOUR if first else None}
    return row | columns


def event(at):
    return {"event_ts": at, "user_id": "u", "session_id": "s", "event_name": "like"}


def test_engagement_counts_first_sessions_only(rows_of):
    facts = [
        fact("u1", watched=30),
        fact("u2", watched=29),
        fact("u2", 2, watched=500),
        fact("u3", watched=31),
    ]
    assert rows_of(q1_engagement, fact_user_session=facts) == [
        {"users": 3, "reached_users": 2, "reached_rate": 2 / 3}
    ]


def test_engagement_without_users_is_one_row_with_a_null_rate(rows_of):
    assert rows_of(q1_engagement, fact_user_session=[]) == [
        {"users": 0, "reached_users": 0, "reached_rate": None}
    ]


def test_retention_is_told_per_genre_of_the_first_session_and_null_is_a_genre(rows_of):
    facts = [
        fact("u1", first_genre="Drama", retained=True),
        fact("u2", first_genre="Drama"),
        fact("u2", 2, first_genre="News"),
        fact("u3", first_genre="Drama"),
        fact("u4", retained=True),
        fact("u5"),
    ]
    answer = rows_of(q2_retention, fact_user_session=facts, events=[event(TEN + 99 * HOUR)])
    assert {row["first_genre"]: list(row.items())[1:] for row in answer} == {
        "Drama": [
            ("users", 3),
            ("retained_users", 1),
            ("retention_rate", 1 / 3),
            ("observable_users", 3),
            ("observable_retained_users", 1),
            ("observable_retention_rate", 1 / 3),
            ("censored_users", 0),
        ],
        None: [
            ("users", 2),
            ("retained_users", 1),
            ("retention_rate", 0.5),
            ("observable_users", 2),
            ("observable_retained_users", 1),
            ("observable_retention_rate", 0.5),
            ("censored_users", 0),
        ],
    }


@pytest.mark.parametrize(
    ("horizon", "observable"),
    [
        (TEN + 72 * HOUR - MICROSECOND, 0),
        (TEN + 72 * HOUR, 1),
        (TEN + 72 * HOUR + MICROSECOND, 1),
    ],
)
def test_a_user_is_observable_when_the_deadline_is_not_after_the_horizon(
    rows_of, horizon, observable
):
    events = [event(TEN), event(horizon), event(TEN + HOUR)]
    [row] = rows_of(q2_retention, fact_user_session=[fact("u1")], events=events)
    counts = row["users"], row["observable_users"], row["censored_users"]
    assert counts == (1, observable, 1 - observable)


def test_the_fair_rate_leaves_out_users_whose_days_are_not_over(rows_of):
    late = TEN + 50 * HOUR
    facts = [
        fact("u1", retained=True),
        fact("u2"),
        fact("u3", retained=True, start=late),
        fact("u4", start=late),
        fact("u5", start=late),
    ]
    [row] = rows_of(q2_retention, fact_user_session=facts, events=[event(TEN + 72 * HOUR)])
    assert row == {
        "first_genre": None,
        "users": 5,
        "retained_users": 2,
        "retention_rate": 0.4,
        "observable_users": 2,
        "observable_retained_users": 1,
        "observable_retention_rate": 0.5,
        "censored_users": 3,
    }


def test_the_fair_rate_is_null_where_nobody_is_observable(rows_of):
    facts = [fact("u1", retained=True)]
    [row] = rows_of(q2_retention, fact_user_session=facts, events=[event(TEN)])
    assert row["retention_rate"] == 1.0
    assert row["observable_retention_rate"] is None
    assert (row["observable_retained_users"], row["censored_users"]) == (0, 1)


def test_retention_without_users_has_no_rows(rows_of):
    assert rows_of(q2_retention, fact_user_session=[], events=[]) == []


# Three users, six sessions (d marks a drop-off):
#   u1: iOS 5.1 d, iOS 5.1 -, iOS 5.2 d      N = 3, D = 2
#   u2: iOS 5.1 -, Android 5.1 d             N = 2, D = 1
#   u3: no system, 5.1 -                     N = 1, D = 0
SESSIONS = [
    fact("u1", 1, 9, device_os="iOS", app_version="5.1"),
    fact("u1", 2, 10, device_os="iOS", app_version="5.1"),
    fact("u1", 3, 0, device_os="iOS", app_version="5.2"),
    fact("u2", 1, 60, device_os="iOS", app_version="5.1"),
    fact("u2", 2, 3, device_os="Android", app_version="5.1"),
    fact("u3", 1, 30, device_os=None, app_version="5.1"),
]
GROUP = ("dimension", "device_os", "app_version")
BOTH = "device_os x app_version"
PRODUCTS = (
    *("sum_sessions_squared", "sum_dropoff_squared", "sum_sessions_dropoff"),
    *("sum_sessions_all_sessions", "sum_sessions_all_dropoff"),
    *("sum_dropoff_all_sessions", "sum_dropoff_all_dropoff"),
)


@pytest.fixture
def dropoff(rows_of):
    rows = rows_of(q3_dropoff, fact_user_session=SESSIONS)
    return {tuple(row[name] for name in GROUP): row for row in rows}


def test_drop_off_is_told_of_every_system_release_and_combination(dropoff):
    columns = ("sessions", "dropoff_sessions", "dropoff_rate", "users")
    assert {group: tuple(row[name] for name in columns) for group, row in dropoff.items()} == {
        ("device_os", "iOS", None): (4, 2, 0.5, 2),
        ("device_os", "Android", None): (1, 1, 1.0, 1),
        ("device_os", None, None): (1, 0, 0.0, 1),
        ("app_version", None, "5.1"): (5, 2, 0.4, 3),
        ("app_version", None, "5.2"): (1, 1, 1.0, 1),
        (BOTH, "iOS", "5.1"): (3, 1, 1 / 3, 2),
        (BOTH, "iOS", "5.2"): (1, 1, 1.0, 1),
        (BOTH, "Android", "5.1"): (1, 1, 1.0, 1),
        (BOTH, None, "5.1"): (1, 0, 0.0, 1),
    }


def test_drop_off_carries_the_sums_over_users_of_products_of_their_counts(dropoff):
    sums = {group: tuple(row[name] for name in PRODUCTS) for group, row in dropoff.items()}
    # iOS: u1 n=3 d=2, u2 n=1 d=0. nn=9+1, dd=4, nd=6, nN=9+2, nD=6+1, dN=6, dD=4
    assert sums["device_os", "iOS", None] == (10, 4, 6, 11, 7, 6, 4)
    # 5.1: u1 n=2 d=1, u2 n=2 d=1, u3 n=1 d=0. nn=4+4+1, dd=1+1, nd=2+2, nN=6+4+1, nD=4+2,
    # dN=3+2, dD=2+1
    assert sums["app_version", None, "5.1"] == (9, 2, 4, 11, 6, 5, 3)
    # iOS 5.1: u1 n=2 d=1, u2 n=1 d=0. nn=4+1, dd=1, nd=2, nN=6+2, nD=4+1, dN=3, dD=2
    assert sums[BOTH, "iOS", "5.1"] == (5, 1, 2, 8, 5, 3, 2)
    # no system: u3 n=1 d=0
    assert sums["device_os", None, None] == (1, 0, 0, 1, 0, 0, 0)


def test_drop_off_adds_what_users_do_in_several_releases_and_systems(rows_of):
    """No sum here is a largest value, and no product a sum."""
    done = [
        *(("u1", "iOS", "5.1", 3, 2), ("u1", "iOS", "5.2", 2, 1), ("u1", "Android", "5.1", 4, 3)),
        *(("u2", "iOS", "5.1", 2, 1), ("u2", "Android", "5.2", 1, 0)),
    ]
    facts = [
        fact(user, watched=5 if number < drops else 20, device_os=system, app_version=release)
        | {"session_id": f"{system} {release} {number}"}
        for user, system, release, sessions, drops in done
        for number in range(sessions)
    ]
    rows = rows_of(q3_dropoff, fact_user_session=facts)
    found = {(row["dimension"], row["device_os"], row["app_version"]): row for row in rows}
    columns = ("sessions", "dropoff_sessions", "users", *PRODUCTS)
    counts = {group: tuple(row[name] for name in columns) for group, row in found.items()}
    # N = 9, 3 and D = 6, 1
    # iOS: u1 n=5 d=3, u2 n=2 d=1. nn=25+4, dd=9+1, nd=15+2, nN=45+6, nD=30+2, dN=27+3, dD=18+1
    assert counts["device_os", "iOS", None] == (7, 4, 2, 29, 10, 17, 51, 32, 30, 19)
    # 5.1: u1 n=7 d=5, u2 n=2 d=1. nn=49+4, dd=25+1, nd=35+2, nN=63+6, nD=42+2, dN=45+3, dD=30+1
    assert counts["app_version", None, "5.1"] == (9, 6, 2, 53, 26, 37, 69, 44, 48, 31)
    # iOS 5.1: u1 n=3 d=2, u2 n=2 d=1. nn=9+4, dd=4+1, nd=6+2, nN=27+6, nD=18+2, dN=18+3, dD=12+1
    assert counts[BOTH, "iOS", "5.1"] == (5, 3, 2, 13, 5, 8, 33, 20, 21, 13)


def test_drop_off_carries_the_same_totals_on_every_row(dropoff):
    columns = (
        *("all_sessions", "all_dropoff_sessions", "all_users"),
        *("all_sum_sessions_squared", "all_sum_dropoff_squared", "all_sum_sessions_dropoff"),
    )
    # N = 3, 2, 1 and D = 2, 1, 0. NN=9+4+1, DD=4+1, ND=6+2
    assert {tuple(row[name] for name in columns) for row in dropoff.values()} == {
        (6, 3, 3, 14, 5, 8)
    }


def test_drop_off_without_sessions_has_no_rows(rows_of):
    assert rows_of(q3_dropoff, fact_user_session=[]) == []


@pytest.mark.slow
def test_without_an_accepted_event_tables_are_empty_and_engagement_is_one_row(warehouse):
    built = warehouse(["no event"])
    tables = built.tables()
    [engagement] = tables.pop("answers.q1_engagement")
    assert dict(engagement) == {"users": 0, "reached_users": 0, "reached_rate": None}
    assert {name for name, rows in tables.items() if rows} == {"staging.events_rejected"}
    assert len(tables) == 10
