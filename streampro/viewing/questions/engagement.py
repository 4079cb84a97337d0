"""Q1: which share of new users watches 30 s in the first session?"""

import ibis.expr.types as ir

from streampro.portable import count_if
from streampro.report import Ask, Column, Figure, Question, Table, share_text
from streampro.viewing.mart import ENGAGED_AFTER_S
from streampro.viewing.stats import Interval, Rows, wilson
from streampro.viewing.values import INTERVAL, Row, ends

THRESHOLDS_S = (5, 10, ENGAGED_AFTER_S, 60, 120)


def question(rows: Rows) -> Question:
    """Return Q1, answered by the row of `q1_engagement`."""
    [row] = rows
    reached = wilson(row["reached_users"], row["users"])
    return Question(
        model="q1_engagement",
        title="Q1  Which share of new users watches 30 s in the first session?",
        answer=f"{share_text(reached.share)} of {row['users']:,} users "
        f"({INTERVAL}: {reached.low:.1%} to {reached.high:.1%})."
        if row["users"]
        else "Nobody has a session yet.",
        definition=(
            "A user's first session is the one that starts earliest. It counts if the values of "
            f"its watch_time events add up to at least {ENGAGED_AFTER_S} s; a first session "
            "without such an event counts as 0 s. The 95 % intervals are Wilson score intervals."
        ),
        summary=Table(
            (
                Column("users", "count"),
                Column("reached 30 s", "count"),
                Column("share", "share"),
                Column(INTERVAL, "interval"),
            ),
            [
                {
                    "users": row["users"],
                    "reached 30 s": row["reached_users"],
                    "share": reached.share,
                    INTERVAL: ends(reached),
                }
            ],
        ),
        figures=figures,
    )


def figures(ask: Ask) -> tuple[Figure]:
    """Return how many first sessions reach each of five thresholds."""
    from streampro.viewing import charts

    [curve] = ask(watch_curve)
    users = curve["users"]
    rows = [
        {"seconds": seconds, "users": users, "reached": curve[_reached(seconds)]}
        | _with_ends(wilson(curve[_reached(seconds)], users))
        for seconds in THRESHOLDS_S
    ]
    drawn = [{**row, "is_asked": row["seconds"] == ENGAGED_AFTER_S} for row in rows]
    return (
        Figure(
            title="First sessions that reach 5, 10, 30, 60 and 120 s",
            chart=charts.curve(drawn) if users else None,
            description="Share of first sessions by the seconds that were watched at least.",
            note="The question asks for 30 s. The band and the vertical lines are the 95 % "
            "intervals.",
            table=Table(
                (
                    Column("seconds", "count", "Seconds watched in the session, at least."),
                    Column("users", "count", "Users with a first session."),
                    Column("reached", "count", "Of them, who watched that long in it."),
                    Column("share", "share", "reached / users"),
                    Column(INTERVAL, "interval"),
                ),
                rows,
            ),
        ),
    )


def watch_curve(fact_user_session: ir.Table) -> ir.Table:
    """Return one row: `users` with a first session, and as `reached_<n>s` those of them who
    watched at least n seconds in it.
    """
    facts = fact_user_session
    firsts = facts.filter(facts.session_number == 1)
    return firsts.aggregate(
        users=firsts.count(),
        **{_reached(s): count_if(firsts.total_watch_time_s >= s) for s in THRESHOLDS_S},
    )


def _reached(seconds: int) -> str:
    return f"reached_{seconds}s"


def _with_ends(interval: Interval) -> Row:
    pair = ends(interval)
    low_and_high = {} if pair is None else {"low": pair[0], "high": pair[1]}
    return {"share": interval.share, INTERVAL: pair} | low_and_high
