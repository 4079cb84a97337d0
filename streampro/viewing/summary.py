"""The answers in a form to read: a question, a sentence, a small table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streampro.viewing.answers import OS_BY_VERSION
from streampro.viewing.stats import Excess, Interval, Remainder, excesses, remainders, wilson

Rows = Sequence[Mapping[str, Any]]
UNKNOWN = "unknown"
_SHOWN_COMBINATIONS = 5


def summarize(answers: Mapping[str, Rows]) -> list[tuple[str, str, list[dict[str, str]]]]:
    """Return per question its text, its answer in a sentence, and rows of printable cells.

    `answers` holds the rows of the three answer tables by model name.
    """
    return [
        _engagement(answers["q1_engagement"]),
        _retention(answers["q2_retention"]),
        _dropoff(answers["q3_dropoff"]),
    ]


def abnormal_sentence(pairs: Iterable[tuple[Mapping[str, Any], Excess]]) -> str:
    """Return which values of `q3_dropoff` are abnormal."""
    abnormal = [_value(row) for row, excess in pairs if excess.is_abnormal]
    return f"Abnormal: {', '.join(abnormal)}." if abnormal else "None is abnormal."


def verdict(excess: Excess, remainder: Remainder | None) -> str:
    """Return whether a value is abnormal, and if only by its combinations, by which."""
    if not excess.is_abnormal:
        return ""
    if remainder and remainder.is_explained:
        return f"only by {_combinations(remainder)}"
    return "abnormal"


def left_sentence(remainder: Remainder) -> str:
    """Return a sentence: `Android: +4.0 points above the rest, +0.2 without Android 5.2.0.`"""
    name, without = remainder.value or UNKNOWN, _combinations(remainder)
    if remainder.sessions_left == 0:
        return f"{name} has no sessions outside {without}."
    excess, left = _points(remainder.difference), _points(remainder.difference_left)
    return f"{name}: {excess} points above the rest, {left} without {without}."


def _engagement(rows: Rows) -> tuple[str, str, list[dict[str, str]]]:
    [row] = rows
    reached = wilson(row["reached_users"], row["users"])
    sentence = (
        f"{_share(reached.share)} of {row['users']:,} users."
        if row["users"]
        else "Nobody has a session yet."
    )
    cells = {
        "users": f"{row['users']:,}",
        "reached 30 s": f"{row['reached_users']:,}",
        "share": _share(reached.share),
        "95 % interval": _between(reached),
    }
    return "Q1  Which share of new users watches 30 s in the first session?", sentence, [cells]


def _retention(rows: Rows) -> tuple[str, str, list[dict[str, str]]]:
    ranked = sorted(rows, key=lambda row: -(row["observable_retention_rate"] or 0))
    table = []
    for row in ranked:
        fair = wilson(row["observable_retained_users"], row["observable_users"])
        table.append(
            {
                "first genre": row["first_genre"] or UNKNOWN,
                "users": f"{row['users']:,}",
                "came back": _share(row["retention_rate"]),
                "3 days over": f"{row['observable_users']:,}",
                "of them came back": _share(fair.share),
                "95 % interval": _between(fair),
            }
        )
    sentence = (
        f"{table[0]['first genre']} leads: {table[0]['of them came back']} of the users whose "
        "3 days are over came back."
        if table and ranked[0]["observable_users"]
        else "No user's 3 days are over yet."
    )
    return "Q2  Which genres bring users back within 3 days?", sentence, table


def _dropoff(rows: Rows) -> tuple[str, str, list[dict[str, str]]]:
    judged = excesses(rows)
    left = {(each.dimension, each.value): each for each in remainders(rows, judged)}
    pairs = sorted(
        zip(rows, judged, strict=True),
        key=lambda pair: (len(pair[0]["dimension"]), -pair[0]["dropoff_rate"]),
    )
    combinations = [pair for pair in pairs if pair[0]["dimension"] == OS_BY_VERSION]
    hidden = [row for row, excess in combinations[_SHOWN_COMBINATIONS:] if not excess.is_abnormal]
    table = [
        {
            "dimension": row["dimension"],
            "value": _value(row),
            "sessions": f"{row['sessions']:,}",
            "under 10 s": _share(row["dropoff_rate"]),
            "95 % interval": _between(wilson(row["dropoff_sessions"], row["sessions"])),
            "points above the rest": _points(excess.difference),
            "adjusted p": _p_value(excess.adjusted_p_value),
            "": verdict(excess, left.get((row["dimension"], row.get(row["dimension"])))),
        }
        for row, excess in pairs
        if row not in hidden
    ]
    sentences = [abnormal_sentence(pairs), *map(left_sentence, left.values())]
    if hidden:
        sentences.append(f"The {len(hidden)} combinations with the lowest rates are not shown.")
    question = "Q3  Which device OS or app version has abnormal drop-off?"
    return question, " ".join(sentences), table


def _combinations(remainder: Remainder) -> str:
    [first, *more] = remainder.combinations
    return "the abnormal combinations" if more else " ".join(part or UNKNOWN for part in first)


def _value(row: Mapping[str, Any]) -> str:
    names = row["dimension"].split(" x ")
    return " ".join(row[name] or UNKNOWN for name in names)


def _points(difference: float | None) -> str:
    return "-" if difference is None else f"{100 * difference:+z.1f}"


def _p_value(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _between(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "-"
    return f"{interval.low:.1%} to {interval.high:.1%}"
