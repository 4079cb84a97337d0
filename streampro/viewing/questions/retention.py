"""Q2: which genres bring users back within 3 days?"""

from collections.abc import Mapping, Sequence
from typing import Any

from streampro.report import Ask, Column, Figure, Question, Table, p_value_text, share_text
from streampro.viewing.stats import FALSE_DISCOVERY_RATE, Rows, leads, wilson
from streampro.viewing.values import (
    INTERVAL,
    Row,
    chart_row,
    ends,
    named,
    not_drawn,
    null_last,
    with_intervals,
)

AS_ASKED, OVER = "all users, as asked", "users whose 3 days are over"
_INTERVAL_OVER = f"{INTERVAL} (3 days over)"
_INTERVALS = {
    INTERVAL: ("retained", "users"),
    _INTERVAL_OVER: ("retained (3 days over)", "3 days over"),
}
_MOST_GENRES = 20
"""Genres that the chart draws."""


def question(rows: Rows) -> Question:
    """Return Q2, answered by the rows of `q2_retention`."""
    ranked = sorted(rows, key=_genre_rank)

    def figures(_: Ask) -> tuple[Figure]:
        return (_figure([_genre(row) for row in ranked]),)

    return Question(
        model="q2_retention",
        title="Q2  Which genres bring users back within 3 days?",
        answer=_leading(ranked),
        definition=(
            "A user belongs to the genre of the first video of the first session, and came back "
            "if the next session starts at most 72 hours after the first one starts. As asked, "
            "all users count. But of a user whose first session was less than 72 hours before "
            "the newest event nobody can know yet; the fair comparison leaves these users out, "
            "and ranks the genres. The 95 % intervals are Wilson score intervals. The lead is "
            "tested user by user (Fisher's exact test of two shares, two-sided, adjusted for all "
            "genres that the first one is compared with)."
        ),
        summary=Table(
            (
                Column("first genre"),
                Column("users", "count"),
                Column("came back", "share"),
                Column("3 days over", "count"),
                Column("of them came back", "share"),
                Column(INTERVAL, "interval"),
            ),
            [_summary_row(row) for row in ranked],
        ),
        figures=figures,
    )


def _genre_rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Sort by the rate of users whose 3 days are over, the highest first.

    Genres without such users come last. Ties: the most users first, then by name, null last.
    """
    rate = row["observable_retention_rate"]
    return rate is None, -(rate or 0), -row["users"], *null_last(row["first_genre"])


def _leading(ranked: Rows) -> str:
    """Return which genres have the highest rate, and of how many users."""
    observable = [row for row in ranked if row["observable_users"]]
    if not observable:
        return "No user's 3 days are over yet."
    best = observable[0]["observable_retention_rate"]
    if best == 0:
        return f"Nobody came back of {_over(observable)}."
    share = share_text(best)
    first, *more = [row for row in observable if row["observable_retention_rate"] == best]
    if not more:
        came = f"{named(first['first_genre'])} leads: {share} of {_over([first])} came back."
        return f"{came} {_lead(first, observable[1:])}".strip()
    *names, last = (named(row["first_genre"]) for row in (first, *more))
    of_users = _over([first, *more], "their")
    return f"{', '.join(names)} and {last} lead: {share} of {of_users} came back."


def _lead(first: Mapping[str, Any], others: Rows) -> str:
    """Return whether the lead over the next genre is more than chance, "" without a next one."""
    if not others:
        return ""
    p_value, second = leads(first, others)[0], others[0]
    verdict = "is more than chance" if p_value < FALSE_DISCOVERY_RATE else "may be chance"
    return (
        f"Its lead over {named(second['first_genre'])} "
        f"({share_text(second['observable_retention_rate'])} of {second['observable_users']:,}) "
        f"{verdict} (adjusted p {p_value_text(p_value)})."
    )


def _over(rows: Rows, whose: str = "the") -> str:
    users = sum(row["observable_users"] for row in rows)
    return f"{whose} {users:,} {'user' if users == 1 else 'users'} whose 3 days are over"


def _summary_row(row: Mapping[str, Any]) -> Row:
    fair = wilson(row["observable_retained_users"], row["observable_users"])
    return {
        "first genre": named(row["first_genre"]),
        "users": row["users"],
        "came back": row["retention_rate"],
        "3 days over": row["observable_users"],
        "of them came back": fair.share,
        INTERVAL: ends(fair),
    }


def _figure(rows: Sequence[Row]) -> Figure:
    from streampro.viewing import charts

    chart_rows = _chart_rows(rows[:_MOST_GENRES])
    return Figure(
        title="Users who came back within 3 days, by genre of the first video",
        chart=charts.pairs(chart_rows, (OVER, AS_ASKED)) if rows else None,
        description="Per genre the share of users who came back, of all users and of "
        "those whose 3 days are over, ranked by the latter.",
        note="Open (censored): the first session was less than 72 hours before the newest "
        "event. " + not_drawn(len(rows) - _MOST_GENRES, "genres with the lowest shares"),
        table=Table(
            (
                Column("genre", "text", "Genre of the first video."),
                Column("users", "count", "Users whose first session began with it."),
                Column("came back", "share", "Of all of them: the question as asked."),
                Column(INTERVAL, "interval"),
                Column("3 days over", "count", "Users whose 3 days are over."),
                Column("open", "count", "Censored: their 3 days are not over."),
                Column("came back (3 days over)", "share", "The fair comparison."),
                Column(_INTERVAL_OVER, "interval"),
            ),
            with_intervals(rows, _INTERVALS),
        ),
    )


def _genre(row: Mapping[str, Any]) -> Row:
    return {
        "genre": named(row["first_genre"]),
        "users": row["users"],
        "retained": row["retained_users"],
        "came back": row["retention_rate"],
        "3 days over": row["observable_users"],
        "open": row["censored_users"],
        "retained (3 days over)": row["observable_retained_users"],
        "came back (3 days over)": row["observable_retention_rate"],
    }


def _chart_rows(rows: Sequence[Row]) -> list[Row]:
    """Return two rows per genre, one per series; a share that nobody can know has none."""
    drawn = []
    for row in with_intervals(rows, _INTERVALS):
        users = f"{row['users']:,} users, {row['open']:,} open"
        genre = {"name": row["genre"], "told": users}
        over = {"share": row["came back (3 days over)"], INTERVAL: row[_INTERVAL_OVER]}
        asked = {"share": row["came back"], INTERVAL: row[INTERVAL]}
        drawn.append(chart_row(genre | over | {"series": OVER}))
        drawn.append(chart_row(genre | asked | {"series": AS_ASKED}))
    return [row for row in drawn if row["share"] is not None]
