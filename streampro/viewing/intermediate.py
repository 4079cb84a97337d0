"""Silver: sessions."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, Instant, column, model, rule
from streampro.portable import bounded_sum, earliest
from streampro.viewing.staging import Events

_KEY = ["user_id", "session_id"]


class UserSessions(Contract):
    """One row per (user_id, session_id)."""

    user_id: str = column("User.", references="users.user_id")
    session_id: str = column("Session, unique within its user.")
    session_start_ts: Instant = column(
        "Earliest session_start event, else the earliest event.", unit="UTC"
    )
    session_end_ts: Instant = column("Latest session_end event, else the latest event.", unit="UTC")
    event_count: dt.Int64 = column("Events of the session.", unit="events", gt=0)
    total_watch_time_s: dt.Int64 = column(
        "Sum of the values of watch_time events, 0 where there are none; int64's largest where "
        "dirty values add up to more.",
        unit="s",
        ge=0,
    )
    has_like: bool = column("Some event is a like.")
    has_heart: bool = column("Some event is a heart.")
    account_id: str = column("Account of the earliest event that has one.", nullable=True)
    device: str = column("Device of the earliest event that has one.", nullable=True)
    device_os: str = column("Operating system of the earliest event that has one.", nullable=True)
    app_version: str = column("Release of the earliest event that has one.", nullable=True)
    network_type: str = column("Network of the earliest event that has one.", nullable=True)
    country: str = column("Country of the earliest event that has one.", nullable=True)
    first_video_id: str = column(
        "Video of the earliest event that has one.", nullable=True, references="videos.video_id"
    )
    first_video_title: str = column("Its title, null where unknown.", nullable=True)
    first_genre: str = column("Its genre, null where unknown.", nullable=True)
    first_video_duration_s: dt.Int64 = column(
        "Its length, null where unknown.", unit="s", nullable=True
    )
    signup_date: dt.Date = column("Day the user signed up, null where unknown.", nullable=True)
    subscription_tier: str = column("Tier of the user, null where unknown.", nullable=True)
    age_group: str = column("Age group of the user, null where unknown.", nullable=True)
    gender: str = column("Gender of the user, null where unknown.", nullable=True)
    session_number: dt.Int64 = column("1, 2, ... per user by (session_start_ts, session_id).", ge=1)

    class Config:
        unique = _KEY

    @rule("warn")
    def session_ends_after_it_starts(cls, sessions: ir.Table) -> ir.BooleanValue:
        """Clocks of devices differ, so this may happen; it is worth a look where it is frequent."""
        return sessions.session_start_ts <= sessions.session_end_ts


_OF_EARLIEST_EVENT = [
    name
    for name in UserSessions.to_schema().columns
    if name in Events.to_schema().columns and name not in _KEY
]
"""Columns of a session that bear the name of an event's: the value of its earliest event."""


@model(contract=UserSessions, incremental_by="user_id")
def user_sessions(events: ir.Table, users: ir.Table, videos: ir.Table) -> ir.Table:
    """One row per (user_id, session_id). Users and videos may be unknown: their columns are null.

    "Of the earliest event" means the earliest event where the value is not null; ties take the
    smallest value.
    """
    name, at = events.event_name, events.event_ts
    sessions = events.group_by(*_KEY).aggregate(
        session_start_ts=ibis.coalesce(at.min(where=name == "session_start"), at.min()),
        session_end_ts=ibis.coalesce(at.max(where=name == "session_end"), at.max()),
        event_count=events.count(),
        total_watch_time_s=bounded_sum(events.value, where=name == "watch_time"),
        has_like=(name == "like").any(),
        has_heart=(name == "heart").any(),
        **{column: earliest(events[column], at) for column in _OF_EARLIEST_EVENT},
        first_video_id=earliest(events.video_id, at),
    )
    first_videos = videos.select(
        first_video_id="video_id",
        first_video_title="title",
        first_genre="genre",
        first_video_duration_s="duration_seconds",
    )
    in_order = ibis.window(group_by="user_id", order_by=["session_start_ts", "session_id"])
    return (
        sessions.left_join(first_videos, "first_video_id")
        .drop("first_video_id_right")
        .left_join(users, "user_id")
        .drop("user_id_right")
        .mutate(session_number=ibis.row_number().over(in_order) + 1)
        .select(*UserSessions.to_schema().columns)
    )
