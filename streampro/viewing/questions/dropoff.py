"""Q3: which device OS or app version has abnormal drop-off?"""

import re
from collections.abc import Sequence
from typing import Any

from streampro.report import Ask, Column, Figure, Question, Table, p_value_text, points_text
from streampro.viewing.answers import OS, OS_BY_VERSION, VERSION
from streampro.viewing.questions.judged import (
    Judged,
    abnormal_sentence,
    findings,
    judged_values,
    left_sentences,
)
from streampro.viewing.stats import FEWEST_SESSIONS, Rows, clustered
from streampro.viewing.values import (
    ABNORMAL,
    INTERVAL,
    Row,
    chart_row,
    ends,
    not_drawn,
)

_SUMMARY_COMBINATIONS = 5
_MOST_BARS = 20
_MOST_COLUMNS = 12
_MOST_LINES = 12
_CELL_WIDTH = 30


def question(rows: Rows) -> Question:
    """Return Q3, answered by the rows of `q3_dropoff`."""
    values = judged_values(rows)
    left = left_sentences(values)
    shown = _in_summary(values)

    def figures(_: Ask) -> tuple[Figure, ...]:
        return _figures(values)

    return Question(
        model="q3_dropoff",
        title="Q3  Which device OS or app version has abnormal drop-off?",
        answer=abnormal_sentence(values),
        definition=(
            "A session drops off if less than 10 s are watched in it. The rest, with which a "
            "value is compared, is all other sessions. A value is abnormal if it has at least "
            f"{FEWEST_SESSIONS} sessions, a drop-off rate at least 5 percentage points above that "
            "of the rest, and an adjusted p below 0.05. p is the chance of such a difference "
            "where there is no effect: one-sided, clustered by user, as sessions of one user are "
            "alike, and adjusted for all values that are tested (Benjamini-Hochberg). "
            "What stands out only through an abnormal combination is not abnormal itself. "
            "The 95 % intervals are Wilson score intervals of sessions clustered by user."
        ),
        summary=Table(
            (
                Column("dimension"),
                Column("value"),
                Column("sessions", "count"),
                Column("under 10 s", "share"),
                Column(INTERVAL, "interval"),
                Column("points above the rest", "points"),
                Column("adjusted p", "p_value"),
                Column("", "mark"),
            ),
            [_summary_row(each) for each in shown],
        ),
        figures=figures,
        notes=(*findings(values), *left),
        summary_note=" ".join([*left, *_hidden_sentence(len(values) - len(shown))]),
    )


def _in_summary(values: Sequence[Judged]) -> list[Judged]:
    """Return every OS and version, the combinations with the highest rates, the abnormal ones."""
    combinations = [each for each in values if each.dimension == OS_BY_VERSION]
    return [each for each in values if each.dimension != OS_BY_VERSION] + [
        each
        for place, each in enumerate(combinations)
        if place < _SUMMARY_COMBINATIONS or each.is_abnormal
    ]


def _hidden_sentence(hidden: int) -> list[str]:
    if hidden == 0:
        return []
    if hidden == 1:
        return ["The combination with the lowest rate is not shown."]
    return [f"The {hidden:,} combinations with the lowest rates are not shown."]


def _summary_row(value: Judged) -> Row:
    row = value.row
    return {
        "dimension": value.dimension,
        "value": value.name,
        "sessions": row["sessions"],
        "under 10 s": row["dropoff_rate"],
        INTERVAL: ends(clustered(row)),
        "points above the rest": value.excess.difference,
        "adjusted p": value.excess.adjusted_p_value,
        "": value.verdict or value.only_by,
    }


def _figures(values: Sequence[Judged]) -> tuple[Figure, ...]:
    from streampro.viewing import charts

    ranked = sorted(values, key=_most_telling)

    def rows(dimension: str) -> list[Row]:
        return [_value(each) for each in ranked if each.dimension == dimension]

    drawn = [_drawn(rows(OS)), _drawn(rows(VERSION))]
    limit = charts.limit_of([_chart_row(row) for each in drawn for row in each])
    return (
        _bars("Drop-off by operating system", OS, rows(OS), limit),
        _bars("Drop-off by app version", VERSION, rows(VERSION), limit),
        _map(rows(OS_BY_VERSION)),
    )


def _most_telling(value: Judged) -> tuple[Any, ...]:
    """Sort the abnormal first, then what could be tested, each from the highest rate down, then
    the rest from the most sessions down.
    """
    is_tested = value.excess.adjusted_p_value is not None
    weight = 0 if is_tested else value.row["sessions"]
    return value.rank, not value.is_abnormal, not is_tested, -weight


def _value(value: Judged) -> Row:
    row = value.row
    return value.names | {
        "dimension": value.dimension,
        "value": value.name,
        "sessions": row["sessions"],
        "dropoffs": row["dropoff_sessions"],
        "under 10 s": row["dropoff_rate"],
        "points above the rest": value.excess.difference,
        "adjusted p": value.excess.adjusted_p_value,
        "verdict": value.verdict,
        "only by": value.only_by,
        INTERVAL: ends(clustered(row)),
        "is_abnormal": value.is_abnormal,
        "overall": row["all_dropoff_sessions"] / row["all_sessions"],
    }


def _drawn(rows: list[Row]) -> list[Row]:
    shown = _most_sessions(rows, "value", _MOST_BARS)
    return [row for row in rows if row["value"] in shown]


def _bars(title: str, dimension: str, rows: list[Row], limit: float) -> Figure:
    from streampro.viewing import charts

    drawn = [_chart_row(row) for row in _drawn(rows)]
    only_by = "".join(f"{r['value']} stands out {r['only by']}. " for r in rows if r["only by"])
    return Figure(
        title=title,
        chart=charts.bars(sorted(drawn, key=lambda row: -row["share"]), rows[0]["overall"], limit)
        if rows
        else None,
        description=f"Share of sessions under 10 s per {dimension}, with 95 % intervals; "
        "abnormal ones are marked.",
        note=f"The dashed line is the rate of all sessions. {ABNORMAL} marks abnormal "
        f"values; pale bars have fewer than {FEWEST_SESSIONS} sessions or one user, too few to "
        "judge. " + only_by + not_drawn(len(rows) - len(drawn), "values with the fewest sessions"),
        table=_table(dimension, rows),
    )


def _map(rows: list[Row]) -> Figure:
    from streampro.viewing import charts

    versions = _most_sessions(rows, VERSION, _MOST_COLUMNS)
    systems = _most_sessions(rows, OS, _MOST_LINES)
    drawn = [row for row in rows if row[VERSION] in versions and row[OS] in systems]
    cells = [_chart_row(row) | {"column": row[VERSION], "line": row[OS]} for row in drawn]
    return Figure(
        title="Drop-off by operating system and app version",
        chart=charts.heat_map(cells, sorted(versions, key=_natural), systems) if rows else None,
        description="Share of sessions under 10 s per operating system and app version; "
        "abnormal ones have a frame.",
        note="A stronger colour is a higher share. A frame marks abnormal combinations; those "
        "too small to judge have no colour, and n tells their sessions. "
        + not_drawn(len(rows) - len(drawn), "combinations with the fewest sessions"),
        table=_table("combination", rows),
        least_width=100 + _CELL_WIDTH * len(versions),
    )


def _table(name: str, rows: Sequence[Row]) -> Table:
    return Table(
        (
            Column(name),
            Column("sessions", "count"),
            Column("under 10 s", "share", "Share of sessions in which less than 10 s are watched."),
            Column(INTERVAL, "interval"),
            Column("points above the rest", "points", "Rate minus that of all other sessions."),
            Column("adjusted p", "p_value", "Null for what is too small to be tested."),
            Column("verdict", "mark"),
        ),
        [{name: row["value"]} | row for row in rows],
    )


def _most_sessions(rows: Sequence[Row], name: str, number: int) -> list[str]:
    """Return the names with an abnormal row, then those with the most sessions."""
    sessions: dict[str, int] = {}
    for row in rows:
        sessions[row[name]] = sessions.get(row[name], 0) + row["sessions"]
    abnormal = {row[name] for row in rows if row["is_abnormal"]}
    ranked = sorted(sessions, key=lambda each: (each not in abnormal, -sessions[each], each))
    return sorted(ranked[: max(number, len(abnormal))], key=lambda each: (-sessions[each], each))


def _chart_row(row: Row) -> Row:
    effect = points_text(row["points above the rest"])
    return chart_row(
        {
            "name": row["value"],
            "told": f"{row['sessions']:,} sessions",
            "few": f"{row['under 10 s']:.0%}\x1fn={row['sessions']:,}",
            "share": row["under 10 s"],
            INTERVAL: row[INTERVAL],
            "is_abnormal": row["is_abnormal"],
            "is_judged": row["adjusted p"] is not None,
            "effect": f"{effect}\x1fp {p_value_text(row['adjusted p'])}",
        }
    )


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts 5.9 before 5.10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
