"""Gold: the fact table that every question is answered from."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Instant, column, model, rule
from streampro.viewing.intermediate import UserSessions

ENGAGED_AFTER_S = 30
DROPOFF_BELOW_S = 10
RETENTION_HOURS = 72


class FactUserSession(UserSessions):
    """One row per (user_id, session_id): a function of that user's events and of the dimension
    rows they join, of nothing else.
    """

    reached_30s: bool = column("total_watch_time_s >= 30.")
    dropoff_under_10s: bool = column("total_watch_time_s < 10.")
    next_session_start_ts: Instant = column(
        "Start of the user's next session, null for the last.", unit="UTC", nullable=True
    )
    next_session_number: dt.Int64 = column(
        "Number of the user's next session, null for the last.", nullable=True
    )
    retained_within_3d: bool = column(
        "Session 1: the next session starts at most 72 elapsed hours after this one starts "
        "(exactly 72 h counts), false where there is none. Null for later sessions.",
        nullable=True,
    )
    retention_deadline_ts: Instant = column(
        "Session 1: session_start_ts + 72 h. Null for later sessions.", unit="UTC", nullable=True
    )

    class Config:
        unique = ["user_id", "session_id"]

    @rule()
    def next_session_is_later(cls, facts: ir.Table) -> ir.BooleanValue:
        """Sessions are numbered in the order of their start."""
        return facts.next_session_start_ts >= facts.session_start_ts

    @rule()
    def retention_is_told_of_first_sessions_only(cls, facts: ir.Table) -> ir.BooleanValue:
        """`retained_within_3d` is null exactly where `session_number` is above 1."""
        return facts.retained_within_3d.notnull() == (facts.session_number == 1)


@model(contract=FactUserSession, incremental_by="user_id")
def fact_user_session(user_sessions: ir.Table) -> ir.Table:
    """One row per (user_id, session_id), with what the user did next."""
    sessions = user_sessions
    watched, start = sessions.total_watch_time_s, sessions.session_start_ts
    in_order = ibis.window(group_by="user_id", order_by="session_number")
    following = sessions.mutate(
        reached_30s=watched >= ENGAGED_AFTER_S,
        dropoff_under_10s=watched < DROPOFF_BELOW_S,
        next_session_start_ts=start.lead().over(in_order),
        next_session_number=sessions.session_number.lead().over(in_order),
        deadline=start + ibis.interval(hours=RETENTION_HOURS),
    )
    is_first = following.session_number == 1
    returned = following.next_session_start_ts <= following.deadline
    return following.mutate(
        retained_within_3d=ibis.cases((is_first, returned.fill_null(False))),
        retention_deadline_ts=ibis.cases((is_first, following.deadline)),
    ).select(*FactUserSession.to_schema().columns)
