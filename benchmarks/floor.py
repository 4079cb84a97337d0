"""The floor: the same three layers as handwritten DuckDB SQL, with nothing checked.

No rejects, no books, no audits, no Delta log, lenient casts. Each layer is written as zstd parquet
and read back, as a pipeline of separate steps would.

    python benchmarks/floor.py RAW OUT
"""

import sys
from pathlib import Path

import duckdb

_TEXT = (
    "timestamp",
    "account_id",
    "user_id",
    "video_id",
    "session_id",
    "event_name",
    "value",
    "device",
    "device_os",
    "app_version",
    "network_type",
    "country",
)

EVENTS = """
select distinct
    try_cast("timestamp" as timestamptz) as event_ts, account_id, user_id, video_id, session_id,
    event_name, try_cast(value as bigint) as value, device, device_os, app_version,
    coalesce(network_type, network.type) as network_type,
    coalesce(country, network.country) as country
from read_json('{raw}/events/*.jsonl', format = 'newline_delimited', ignore_errors = true,
    columns = {{{columns}, network: 'struct("type" varchar, country varchar)'}})
where user_id is not null and session_id is not null and event_name is not null
    and try_cast("timestamp" as timestamptz) is not null
"""

USERS = """
select distinct on (user_id)
    user_id, try_cast(signup_date as date) as signup_date, subscription_tier, age_group, gender
from read_csv('{raw}/users.csv', all_varchar = true) where user_id is not null
"""

VIDEOS = """
select distinct on (video_id)
    video_id, title, genre, try_cast(duration_seconds as bigint) as duration_seconds
from read_csv('{raw}/videos.csv', all_varchar = true) where video_id is not null
"""


def _earliest(column: str) -> str:
    return (
        f"arg_min({column}, {{{{t: event_ts, v: {column}}}}}) "
        f"filter ({column} is not null) as {column}"
    )


SESSIONS = f"""
with sessions as (
    select
        user_id, session_id,
        coalesce(min(event_ts) filter (event_name = 'session_start'), min(event_ts))
            as session_start_ts,
        coalesce(max(event_ts) filter (event_name = 'session_end'), max(event_ts))
            as session_end_ts,
        count(*) as event_count,
        coalesce(sum(value) filter (event_name = 'watch_time'), 0)::bigint as total_watch_time_s,
        bool_or(event_name = 'like') as has_like, bool_or(event_name = 'heart') as has_heart,
        {", ".join(map(_earliest, ("account_id", "device", "device_os", "app_version")))},
        {", ".join(map(_earliest, ("network_type", "country", "video_id")))}
    from '{{out}}/events.parquet' group by user_id, session_id
)
select
    s.* exclude (video_id), video_id as first_video_id, title as first_video_title,
    genre as first_genre, duration_seconds as first_video_duration_s,
    signup_date, subscription_tier, age_group, gender,
    row_number() over (partition by user_id order by session_start_ts, session_id)
        as session_number
from sessions s
left join '{{out}}/videos.parquet' using (video_id)
left join '{{out}}/users.parquet' using (user_id)
"""

FACTS = """
with following as (
    select
        *, total_watch_time_s >= 30 as reached_30s, total_watch_time_s < 10 as dropoff_under_10s,
        lead(session_start_ts) over by_user as next_session_start_ts,
        lead(session_number) over by_user as next_session_number
    from '{out}/sessions.parquet'
    window by_user as (partition by user_id order by session_number)
)
select
    *,
    case when session_number = 1 then coalesce(
        next_session_start_ts <= session_start_ts + interval 72 hours, false
    ) end as retained_within_3d,
    case when session_number = 1 then session_start_ts + interval 72 hours end
        as retention_deadline_ts
from following
"""

ANSWERS = (
    "select count(*), count(*) filter (reached_30s) from '{out}/facts.parquet' "
    "where session_number = 1",
    "select first_genre, count(*), count(*) filter (retained_within_3d), "
    "count(*) filter (retention_deadline_ts <= (select max(event_ts) from '{out}/events.parquet'))"
    " from '{out}/facts.parquet' where session_number = 1 group by all",
    "select device_os, app_version, count(*), count(*) filter (dropoff_under_10s) "
    "from '{out}/facts.parquet' group by grouping sets "
    "((device_os), (app_version), (device_os, app_version))",
)


def columns() -> str:
    """Return the fields of an event that stand at the top, as `read_json` takes them."""
    return ", ".join(f"\"{name}\": 'varchar'" for name in _TEXT)


def main(raw: Path, out: Path) -> None:
    """Write events, users, videos, sessions and facts, then print the answers."""
    out.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = false")
    layers = {
        "events": EVENTS,
        "users": USERS,
        "videos": VIDEOS,
        "sessions": SESSIONS,
        "facts": FACTS,
    }
    for name, sql in layers.items():
        query = sql.format(raw=raw, out=out, columns=columns())
        connection.execute(
            f"copy ({query}) to '{out}/{name}.parquet' (format parquet, compression zstd)"
        )
    for sql in ANSWERS:
        print(len(connection.execute(sql.format(out=out)).fetchall()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
