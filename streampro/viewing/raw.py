"""The raw files of the video platform. `devices.csv` is shipped with them and deliberately not
loaded: events carry `device` and `device_os`, the only device facts that a question needs.
"""

from streampro import Source

EVENT_FIELDS = (
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
"""Flat fields of an event line. A new one that a session carries has three places: here its name,
in `staging.Event` what it means, in `intermediate.UserSessions` what it is of a session.
"""

raw_events = Source(
    name="raw_events",
    files=("events*.jsonl", "events*.jsonl.gz", "events/events*.jsonl", "events/events*.jsonl.gz"),
    format="json_lines",
    fields={name: (name,) for name in EVENT_FIELDS}
    | {"nested_network_type": ("network", "type"), "nested_country": ("network", "country")},
    secret=("ip",),
)

raw_users = Source(
    name="raw_users",
    files=("users.csv",),
    format="csv",
    fields={
        name: (name,)
        for name in ("user_id", "signup_date", "subscription_tier", "age_group", "gender")
    },
)

raw_videos = Source(
    name="raw_videos",
    files=("videos.csv",),
    format="csv",
    fields={name: (name,) for name in ("video_id", "title", "genre", "duration_seconds")},
)
