"""Bronze: raw text trimmed, typed and de-duplicated; what cannot be read is kept with a reason."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import REJECT_COLUMNS, UNREADABLE, Contract, Instant, column, model, one_row_per_key
from streampro.portable import strip, to_date, to_integer, to_utc
from streampro.viewing.raw import EVENT_FIELDS


class Event(Contract):
    """What is known of an event."""

    event_ts: Instant = column("When the event happened.", unit="UTC", event_time=True)
    account_id: str = column("Account, null if not given.", nullable=True)
    user_id: str = column("User.")
    video_id: str = column("Video, null if the event has none.", nullable=True)
    session_id: str = column("Session, unique within its user.")
    event_name: str = column("What happened: session_start, watch_time, like, ...")
    value: dt.Int64 = column(
        "Number that belongs to the event, cut to an integer; of watch_time the seconds watched; "
        "null if there is none or it cannot be read.",
        unit="s for watch_time",
        nullable=True,
    )
    device: str = column("Device, null if not given.", nullable=True)
    device_os: str = column("Operating system, null if not given.", nullable=True)
    app_version: str = column("Release of the app, null if not given.", nullable=True)
    network_type: str = column("Kind of network, null if not given.", nullable=True)
    country: str = column("Country, null if not given.", nullable=True)


class Events(Event):
    """One row per distinct event: rows equal in all columns are one row."""

    class Config:
        unique = [*Event.to_schema().columns]


class Users(Contract):
    """One row per user of users.csv."""

    user_id: str = column("User.")
    signup_date: dt.Date = column("Day of the sign-up, null if unreadable.", nullable=True)
    subscription_tier: str = column("Tier, null if not given.", nullable=True)
    age_group: str = column("Age group, null if not given.", nullable=True)
    gender: str = column("Gender, null if not given.", nullable=True)

    class Config:
        unique = ["user_id"]


class Videos(Contract):
    """One row per video of videos.csv."""

    video_id: str = column("Video.")
    title: str = column("Title, null if not given.", nullable=True)
    genre: str = column("Genre, null if not given.", nullable=True)
    duration_seconds: dt.Int64 = column(
        "Length of the video, null if unreadable.", unit="s", nullable=True
    )

    class Config:
        unique = ["video_id"]


@model(contract=Events, incremental_by="user_id", quarantine=True)
def events(raw_events: ir.Table) -> ir.Table:
    """One row per line. Flat fields win over nested ones; the first reason that applies counts."""
    flat = {name: strip(raw_events[name]) for name in EVENT_FIELDS}
    nested = {
        "network_type": strip(raw_events.nested_network_type),
        "country": strip(raw_events.nested_country),
    }
    either = {name: ibis.coalesce(flat[name], value) for name, value in nested.items()}
    text = raw_events.mutate(**flat | either)
    typed = text.mutate(event_ts=to_utc(text.timestamp), value=to_integer(text.value))
    reason = ibis.cases(
        (~typed.is_object, "not_a_json_object"),
        (typed.user_id.isnull(), "missing_user_id"),
        (typed.session_id.isnull(), "missing_session_id"),
        (typed.event_name.isnull(), "missing_event_name"),
        (typed.timestamp.isnull(), "missing_timestamp"),
        (typed.event_ts.isnull(), "bad_timestamp"),
        ((typed.event_name == "watch_time") & (typed.value < 0), "negative_watch_time"),
    )
    return typed.mutate(reject_reason=reason).select(*Events.to_schema().columns, *REJECT_COLUMNS)


@model(contract=Users, quarantine=True)
def users(raw_users: ir.Table) -> ir.Table:
    """One row per record of users.csv."""
    text = raw_users.mutate(**{name: strip(raw_users[name]) for name in Users.to_schema().columns})
    return one_row_per_key(_typed(text, signup_date=to_date(text.signup_date)), "user_id")


@model(contract=Videos, quarantine=True)
def videos(raw_videos: ir.Table) -> ir.Table:
    """One row per record of videos.csv."""
    text = raw_videos.mutate(
        **{name: strip(raw_videos[name]) for name in Videos.to_schema().columns}
    )
    return one_row_per_key(
        _typed(text, duration_seconds=to_integer(text.duration_seconds)), "video_id"
    )


def _typed(text: ir.Table, **value: ir.Value) -> ir.Table:
    """Replace a text by its value and mark rows where there was a text that could not be read."""
    [(name, read)] = value.items()
    return text.mutate(**value, **{UNREADABLE: text[name].notnull() & read.isnull()})
