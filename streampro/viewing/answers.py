"""The three questions, answered from the mart and the data horizon (the largest event_ts)."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, column, model, rule
from streampro.portable import count_if, ratio

OS, VERSION = "device_os", "app_version"
OS_BY_VERSION = f"{OS} x {VERSION}"
DIMENSIONS = {OS: (OS,), VERSION: (VERSION,), OS_BY_VERSION: (OS, VERSION)}
"""What a row of `q3_dropoff` is a value of, and the columns that name the value."""


class Q1Engagement(Contract):
    """One row: what share of new users watches at least 30 s in their first session."""

    users: dt.Int64 = column("Users with a first session.", unit="users", ge=0)
    reached_users: dt.Int64 = column("Of them, who reached 30 s in it.", unit="users", ge=0)
    reached_rate: dt.Float64 = column(
        "reached_users / users, null without users.", unit="share", nullable=True, ge=0, le=1
    )

    @rule()
    def reached_users_are_users(cls, answer: ir.Table) -> ir.BooleanValue:
        """A part is at most the whole."""
        return answer.reached_users <= answer.users


class Q2Retention(Contract):
    """One row per genre of the first video of the first session; null is a group of its own."""

    first_genre: str = column("Genre, null where unknown.", nullable=True)
    users: dt.Int64 = column("Users whose first session began with it.", unit="users", gt=0)
    retained_users: dt.Int64 = column("Of them, who came back within 72 h.", unit="users", ge=0)
    retention_rate: dt.Float64 = column(
        "retained_users / users: the question as asked.", unit="share", ge=0, le=1
    )
    observable_users: dt.Int64 = column(
        "Users whose retention_deadline_ts is not after the data horizon.", unit="users", ge=0
    )
    observable_retained_users: dt.Int64 = column(
        "Of them, who came back within 72 h.", unit="users", ge=0
    )
    observable_retention_rate: dt.Float64 = column(
        "observable_retained_users / observable_users: the fair comparison, null without such "
        "users.",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )
    censored_users: dt.Int64 = column(
        "Users whose 3 days are not over: users - observable_users.", unit="users", ge=0
    )

    class Config:
        unique = ["first_genre"]


class Q3Dropoff(Contract):
    """One row per value of device_os, of app_version and of the two together.

    Beside the counts stand the integer sums over users that a variance clustered by user needs.
    For a user, n and d are their sessions and drop-offs in the row's group, N and D those of all.
    """

    dimension: str = column("What the row is a value of.", isin=[*DIMENSIONS])
    device_os: str = column("Operating system, null where unknown or not part.", nullable=True)
    app_version: str = column("Release, null where unknown or not part.", nullable=True)
    sessions: dt.Int64 = column("Sessions of the group.", unit="sessions", gt=0)
    dropoff_sessions: dt.Int64 = column("Of them, under 10 s.", unit="sessions", ge=0)
    dropoff_rate: dt.Float64 = column("dropoff_sessions / sessions.", unit="share", ge=0, le=1)
    users: dt.Int64 = column("Users with a session in the group.", unit="users", gt=0)
    sum_sessions_squared: dt.Int64 = column("Sum over users of n * n.")
    sum_dropoff_squared: dt.Int64 = column("Sum over users of d * d.")
    sum_sessions_dropoff: dt.Int64 = column("Sum over users of n * d.")
    sum_sessions_all_sessions: dt.Int64 = column("Sum over users of n * N.")
    sum_sessions_all_dropoff: dt.Int64 = column("Sum over users of n * D.")
    sum_dropoff_all_sessions: dt.Int64 = column("Sum over users of d * N.")
    sum_dropoff_all_dropoff: dt.Int64 = column("Sum over users of d * D.")
    all_sessions: dt.Int64 = column("All sessions.", unit="sessions")
    all_dropoff_sessions: dt.Int64 = column("All drop-offs.", unit="sessions")
    all_users: dt.Int64 = column("All users.", unit="users")
    all_sum_sessions_squared: dt.Int64 = column("Sum over all users of N * N.")
    all_sum_dropoff_squared: dt.Int64 = column("Sum over all users of D * D.")
    all_sum_sessions_dropoff: dt.Int64 = column("Sum over all users of N * D.")

    class Config:
        unique = ["dimension", "device_os", "app_version"]


@model(contract=Q1Engagement)
def q1_engagement(fact_user_session: ir.Table) -> ir.Table:
    """One row, also without users."""
    firsts = fact_user_session.filter(fact_user_session.session_number == 1)
    counts = firsts.aggregate(users=firsts.count(), reached_users=count_if(firsts.reached_30s))
    return counts.mutate(reached_rate=ratio(counts.reached_users, counts.users))


@model(contract=Q2Retention)
def q2_retention(fact_user_session: ir.Table, events: ir.Table) -> ir.Table:
    """One row per first_genre of the users' first sessions."""
    horizon = events.aggregate(horizon=events.event_ts.max())
    firsts = fact_user_session.filter(fact_user_session.session_number == 1).cross_join(horizon)
    observable = firsts.retention_deadline_ts <= firsts.horizon
    retained = firsts.retained_within_3d
    counts = firsts.group_by("first_genre").aggregate(
        users=firsts.count(),
        retained_users=count_if(retained),
        observable_users=count_if(observable),
        observable_retained_users=count_if(observable & retained),
        censored_users=count_if(~observable),
    )
    return counts.mutate(
        retention_rate=ratio(counts.retained_users, counts.users),
        observable_retention_rate=ratio(counts.observable_retained_users, counts.observable_users),
    ).select(*Q2Retention.to_schema().columns)


@model(contract=Q3Dropoff)
def q3_dropoff(fact_user_session: ir.Table) -> ir.Table:
    """One row per dimension and value."""
    facts = fact_user_session
    per_user = facts.group_by("user_id", OS, VERSION).aggregate(
        n=facts.count(), d=count_if(facts.dropoff_under_10s)
    )
    users = per_user.group_by("user_id").aggregate(all_n=per_user.n.sum(), all_d=per_user.d.sum())
    totals = users.aggregate(
        all_sessions=users.all_n.sum(),
        all_dropoff_sessions=users.all_d.sum(),
        all_users=users.count(),
        all_sum_sessions_squared=(users.all_n * users.all_n).sum(),
        all_sum_dropoff_squared=(users.all_d * users.all_d).sum(),
        all_sum_sessions_dropoff=(users.all_n * users.all_d).sum(),
    )
    groups = ibis.union(*(_per_value(per_user, users, dimension) for dimension in DIMENSIONS))
    return groups.cross_join(totals).select(*Q3Dropoff.to_schema().columns)


def _per_value(per_user: ir.Table, users: ir.Table, dimension: str) -> ir.Table:
    """Return the counts and sums of one dimension; columns that are no part of it are null."""
    absent = [name for name in (OS, VERSION) if name not in DIMENSIONS[dimension]]
    values = per_user.mutate(**{name: ibis.null("string") for name in absent})
    in_group = values.group_by(OS, VERSION, "user_id").aggregate(n=values.n.sum(), d=values.d.sum())
    rows = in_group.join(users, "user_id")
    n, d, all_n, all_d = rows.n, rows.d, rows.all_n, rows.all_d
    sums = rows.group_by(OS, VERSION).aggregate(
        sessions=n.sum(),
        dropoff_sessions=d.sum(),
        users=rows.count(),
        sum_sessions_squared=(n * n).sum(),
        sum_dropoff_squared=(d * d).sum(),
        sum_sessions_dropoff=(n * d).sum(),
        sum_sessions_all_sessions=(n * all_n).sum(),
        sum_sessions_all_dropoff=(n * all_d).sum(),
        sum_dropoff_all_sessions=(d * all_n).sum(),
        sum_dropoff_all_dropoff=(d * all_d).sum(),
    )
    return sums.mutate(
        dimension=ibis.literal(dimension),
        dropoff_rate=ratio(sums.dropoff_sessions, sums.sessions),
    )
