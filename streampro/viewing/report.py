"""The three questions as the report shows them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir

from streampro.portable import count_if
from streampro.report import (
    MOST_ROWS,
    Answers,
    Ask,
    Column,
    Figure,
    Question,
    Table,
    p_value_text,
    points_text,
)
from streampro.viewing import charts
from streampro.viewing.answers import OS, OS_BY_VERSION, VERSION
from streampro.viewing.mart import ENGAGED_AFTER_S
from streampro.viewing.stats import FEWEST_SESSIONS, Excess, Interval, Remainder, wilson
from streampro.viewing.summary import (
    Judged,
    abnormal_sentence,
    judged_values,
    left_sentence,
    named,
    ranked_genres,
    summarize,
    value_name,
    verdict,
)

Row = dict[str, Any]
THRESHOLDS_S = (5, 10, ENGAGED_AFTER_S, 60, 120)
_MOST_BARS = 20
_MOST_COLUMNS = 12
_MOST_LINES = 12
_CELL_WIDTH = 30
_GENRE_INTERVALS = {
    "95 % interval": ("retained", "users"),
    "95 % interval (3 days over)": ("retained (3 days over)", "3 days over"),
}
_VALUE_INTERVALS = {"95 % interval": ("dropoffs", "sessions")}
AS_ASKED, OVER = "all users, as asked", "users whose 3 days are over"

_WILSON = "The 95 % intervals are Wilson score intervals."


def questions(answers: Answers, ask: Ask) -> list[Question]:
    """Return the three questions with sentences as the console has them."""
    told = {title[:2]: (title, sentence) for title, sentence, _ in summarize(answers)}
    [curve] = ask(watch_curve)
    return [
        _engagement(*told["Q1"], curve),
        _retention(*told["Q2"], answers["q2_retention"]),
        _dropoff(told["Q3"][0], answers["q3_dropoff"]),
    ]


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


def _engagement(title: str, sentence: str, curve: Mapping[str, int]) -> Question:
    users = curve["users"]
    rows = [
        {"seconds": seconds, "users": users, "reached": curve[_reached(seconds)]}
        | _told(wilson(curve[_reached(seconds)], users))
        for seconds in THRESHOLDS_S
    ]
    drawn = [{**row, "is_asked": row["seconds"] == ENGAGED_AFTER_S} for row in rows]
    return Question(
        model="q1_engagement",
        title=title,
        answer=sentence,
        definition=(
            "A user's first session is the one that starts earliest. It counts if the values of "
            f"its watch_time events add up to at least {ENGAGED_AFTER_S} s; a first session "
            f"without such an event counts as 0 s. {_WILSON}"
        ),
        figures=(
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
                        Column("95 % interval", "interval"),
                    ),
                    rows,
                ),
            ),
        ),
    )


def _retention(title: str, sentence: str, answer: Sequence[Mapping[str, Any]]) -> Question:
    rows = [_genre(row) for row in ranked_genres(answer)]
    return Question(
        model="q2_retention",
        title=title,
        answer=sentence,
        definition=(
            "A user belongs to the genre of the first video of the first session, and came back "
            "if the next session starts at most 72 hours after the first one starts. As asked, "
            "all users count. But of a user whose first session was less than 72 hours before "
            "the newest event nobody can know yet; the fair comparison leaves these users out, "
            f"and ranks the genres. {_WILSON}"
        ),
        figures=(
            Figure(
                title="Users who came back within 3 days, by genre of the first video",
                chart=charts.pairs(_drawn_genres(rows[:_MOST_BARS]), (OVER, AS_ASKED))
                if rows
                else None,
                description="Per genre the share of users who came back, of all users and of "
                "those whose 3 days are over, ranked by the latter.",
                note="Open (censored): the first session was less than 72 hours before the newest "
                "event. " + _not_drawn(len(rows) - _MOST_BARS, "genres with the lowest shares"),
                table=Table(
                    (
                        Column("genre", "text", "Genre of the first video."),
                        Column("users", "count", "Users whose first session began with it."),
                        Column("came back", "share", "Of all of them: the question as asked."),
                        Column("95 % interval", "interval"),
                        Column("3 days over", "count", "Users whose 3 days are over."),
                        Column("open", "count", "Censored: their 3 days are not over."),
                        Column("came back (3 days over)", "share", "The fair comparison."),
                        Column("95 % interval (3 days over)", "interval"),
                    ),
                    _with_intervals(rows, _GENRE_INTERVALS),
                ),
            ),
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


def _drawn_genres(rows: Sequence[Row]) -> list[Row]:
    found = []
    for row in _with_intervals(rows, _GENRE_INTERVALS):
        name = {"name": row["genre"], "told": _people(row)}
        asked = {"share": row["came back"], "95 % interval": row["95 % interval"]}
        over = {
            "share": row["came back (3 days over)"],
            "95 % interval": row["95 % interval (3 days over)"],
        }
        found.append(_drawn(name | over | {"series": OVER}))
        found.append(_drawn(name | asked | {"series": AS_ASKED}))
    return [row for row in found if row["share"] is not None]


def _people(row: Row) -> str:
    return f"{row['users']:,} users, {row['open']:,} open"


def _dropoff(title: str, answer: Sequence[Mapping[str, Any]]) -> Question:
    ranked, left = judged_values(answer)
    pairs = sorted(ranked, key=_most_telling)
    rows = [_value(row, excess, left) for row, excess in pairs]
    by_dimension = {
        dimension: [row for row in rows if row["dimension"] == dimension]
        for dimension in (OS, VERSION, OS_BY_VERSION)
    }
    return Question(
        model="q3_dropoff",
        title=title,
        answer=abnormal_sentence(pairs),
        notes=(
            *(_finding(row) for row in rows if row["verdict"]),
            *(left_sentence(each) for each in left.values()),
        ),
        definition=(
            "A session drops off if less than 10 s are watched in it. The rest, with which a "
            "value is compared, is all other sessions. A value is abnormal if it has at least "
            f"{FEWEST_SESSIONS} sessions, a drop-off rate at least 5 percentage points above that "
            "of the rest, and an adjusted p below 0.05. p is the chance of such a difference "
            "where there is no effect: one-sided, clustered by user, as sessions of one user are "
            "alike, and adjusted for all values that are tested (Benjamini-Hochberg). "
            f"{_WILSON}"
        ),
        figures=(
            _bars("Drop-off by operating system", OS, by_dimension[OS]),
            _bars("Drop-off by app version", VERSION, by_dimension[VERSION]),
            _map(by_dimension[OS_BY_VERSION]),
        ),
    )


def _most_telling(pair: Judged) -> tuple[Any, ...]:
    """Sort the abnormal first, then what could be tested, each from the highest rate down, then
    the rest from the most sessions down.
    """
    row, excess = pair
    is_tested = excess.adjusted_p_value is not None
    weight = 0 if is_tested else row["sessions"]
    return len(row["dimension"]), not excess.is_abnormal, not is_tested, -weight


def _value(
    row: Mapping[str, Any],
    excess: Excess,
    left: Mapping[tuple[str, str | None], Remainder],
) -> Row:
    dimension = row["dimension"]
    names = {name: named(row[name]) for name in dimension.split(" x ")}
    return names | {
        "dimension": dimension,
        "value": value_name(row),
        "sessions": row["sessions"],
        "dropoffs": row["dropoff_sessions"],
        "under 10 s": row["dropoff_rate"],
        "points above the rest": excess.difference,
        "adjusted p": excess.adjusted_p_value,
        "verdict": verdict(excess, left.get((dimension, row.get(dimension)))) or None,
        "overall": row["all_dropoff_sessions"] / row["all_sessions"],
    }


def _finding(row: Row) -> str:
    return (
        f"{charts.ABNORMAL} {row['value']}: {row['under 10 s']:.1%} of {row['sessions']:,} "
        f"sessions, {points_text(row['points above the rest'])} against the rest, adjusted p "
        f"{p_value_text(row['adjusted p'])}."
    )


def _bars(title: str, dimension: str, rows: list[Row]) -> Figure:
    shown = _most_sessions(rows, "value", _MOST_BARS)
    kept = [row for row in rows if row["value"] in shown]
    drawn = [_drawn_value(row) for row in _with_intervals(kept, _VALUE_INTERVALS)]
    return Figure(
        title=title,
        chart=charts.bars(sorted(drawn, key=lambda row: -row["share"]), rows[0]["overall"])
        if rows
        else None,
        description=f"Share of sessions under 10 s per {dimension}, with 95 % intervals; "
        "abnormal ones are marked.",
        note=f"The dashed line is the rate of all sessions. {charts.ABNORMAL} marks abnormal "
        f"values; pale bars have fewer than {FEWEST_SESSIONS} sessions or one user, too few to "
        "judge. " + _not_drawn(len(rows) - len(drawn), "values with the fewest sessions"),
        table=_values_table(dimension, rows),
    )


def _map(rows: list[Row]) -> Figure:
    versions = _most_sessions(rows, VERSION, _MOST_COLUMNS)
    systems = _most_sessions(rows, OS, _MOST_LINES)
    drawn = [row for row in rows if row[VERSION] in versions and row[OS] in systems]
    cells = [
        _drawn_value(row) | {"column": row[VERSION], "line": row[OS]}
        for row in _with_intervals(drawn, _VALUE_INTERVALS)
    ]
    return Figure(
        title="Drop-off by operating system and app version",
        chart=charts.heat_map(cells, sorted(versions, key=_natural), systems) if rows else None,
        description="Share of sessions under 10 s per operating system and app version; "
        "abnormal ones have a frame.",
        note="A stronger colour is a higher share. A frame marks abnormal combinations; those "
        "too small to judge have no colour. "
        + _not_drawn(len(rows) - len(drawn), "combinations with the fewest sessions"),
        table=_values_table("combination", rows),
        least_width=100 + _CELL_WIDTH * len(versions),
    )


def _values_table(name: str, rows: Sequence[Row]) -> Table:
    return Table(
        (
            Column(name),
            Column("sessions", "count"),
            Column("under 10 s", "share", "Share of sessions in which less than 10 s are watched."),
            Column("95 % interval", "interval"),
            Column("points above the rest", "points", "Rate minus that of all other sessions."),
            Column("adjusted p", "p_value", "Null for what is too small to be tested."),
            Column("verdict", "mark"),
        ),
        _with_intervals([{name: row["value"]} | row for row in rows], _VALUE_INTERVALS),
    )


def _most_sessions(rows: Sequence[Row], name: str, number: int) -> list[str]:
    """Return the names with an abnormal row, then those with the most sessions."""
    sessions: dict[str, int] = {}
    for row in rows:
        sessions[row[name]] = sessions.get(row[name], 0) + row["sessions"]
    abnormal = {row[name] for row in rows if row["verdict"]}
    ranked = sorted(sessions, key=lambda each: (each not in abnormal, -sessions[each], each))
    return sorted(ranked[: max(number, len(abnormal))], key=lambda each: (-sessions[each], each))


def _drawn_value(row: Row) -> Row:
    against = points_text(row["points above the rest"])
    p_value = p_value_text(row["adjusted p"])
    told = {
        "name": row["value"],
        "told": f"{row['sessions']:,} sessions",
        "verdict": "" if row["verdict"] in (None, "abnormal") else row["verdict"],
        "share": row["under 10 s"],
        "95 % interval": row["95 % interval"],
        "is_abnormal": bool(row["verdict"]),
        "is_judged": row["adjusted p"] is not None,
        "effect": f"{against}\x1fp {p_value}",
    }
    return _drawn(told)


def _drawn(row: Row) -> Row:
    """Return a row for a chart: the ends of the interval, and its text for the tooltip."""
    interval = row.pop("95 % interval")
    if interval is None:
        return row
    low, high = interval
    return row | {"low": low, "high": high, "interval": f"{low:.1%} to {high:.1%}"}


def _with_intervals(rows: Sequence[Row], counts: Mapping[str, tuple[str, str]]) -> list[Row]:
    """Return rows with 95 % intervals by name, of the part and the whole that `counts` names.

    Those that the page does not hold have none, since scipy takes 0.3 ms for one.
    """
    held = [
        row | {name: _pair(wilson(row[part], row[whole])) for name, (part, whole) in counts.items()}
        for row in rows[:MOST_ROWS]
    ]
    return held + [row | dict.fromkeys(counts) for row in rows[MOST_ROWS:]]


def _told(interval: Interval) -> Row:
    pair = _pair(interval)
    ends = {} if pair is None else {"low": pair[0], "high": pair[1]}
    return {"share": interval.share, "95 % interval": pair} | ends


def _pair(interval: Interval) -> tuple[float, float] | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def _not_drawn(number: int, what: str) -> str:
    return f"Not drawn: the {number:,} {what}." if number > 0 else ""


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts 5.9 before 5.10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
