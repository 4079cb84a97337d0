"""The answers in a form to read: a question, a sentence, a small table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streampro.viewing.answers import OS, OS_BY_VERSION, VERSION
from streampro.viewing.stats import Excess, Interval, Remainder, excesses, remainders, wilson

Rows = Sequence[Mapping[str, Any]]
Judged = tuple[Mapping[str, Any], Excess]
_UNKNOWN = "unknown"
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


def named(value: str | None) -> str:
    """Return a value as it is shown: null as `unknown`, in quotes what could be taken for it."""
    if value is None:
        return _UNKNOWN
    return f'"{value}"' if value.strip('"') in ("", _UNKNOWN) else value


def value_name(row: Mapping[str, Any]) -> str:
    """Return what a row of `q3_dropoff` is of: `Android`, `5.2.0`, `Android 5.2.0`."""
    return " ".join(named(row[name]) for name in row["dimension"].split(" x "))


def ranked_genres(rows: Rows) -> list[Mapping[str, Any]]:
    """Return the rows of `q2_retention` from the highest rate of users whose 3 days are over down.

    Genres without such users come last. Ties: the most users first, then by name, null last.
    """
    return sorted(rows, key=_genre_rank)


def judged_values(
    rows: Rows,
) -> tuple[list[Judged], dict[tuple[str, str | None], Remainder]]:
    """Return the rows of `q3_dropoff` judged, and by dimension and value what is left of some.

    Both are by dimension from the highest rate down. Ties: the most sessions first, then by name,
    null last.
    """
    ranked = sorted(rows, key=_value_rank)
    judged = excesses(ranked)
    left = {(each.dimension, each.value): each for each in remainders(ranked, judged)}
    return list(zip(ranked, judged, strict=True)), left


def abnormal_sentence(pairs: Iterable[Judged]) -> str:
    """Return which values of `q3_dropoff` are abnormal."""
    abnormal = [value_name(row) for row, excess in pairs if excess.is_abnormal]
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
    name, without = named(remainder.value), _combinations(remainder)
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
    ranked = ranked_genres(rows)
    table = []
    for row in ranked:
        fair = wilson(row["observable_retained_users"], row["observable_users"])
        table.append(
            {
                "first genre": named(row["first_genre"]),
                "users": f"{row['users']:,}",
                "came back": _share(row["retention_rate"]),
                "3 days over": f"{row['observable_users']:,}",
                "of them came back": _share(fair.share),
                "95 % interval": _between(fair),
            }
        )
    return "Q2  Which genres bring users back within 3 days?", _leading(ranked), table


def _leading(ranked: Rows) -> str:
    """Return which genres have the highest rate, and of how many users that is told."""
    observable = [row for row in ranked if row["observable_users"]]
    if not observable:
        return "No user's 3 days are over yet."
    best = observable[0]["observable_retention_rate"]
    if best == 0:
        return f"Nobody came back of {_over(observable)}."
    first, *more = [row for row in observable if row["observable_retention_rate"] == best]
    if not more:
        return f"{named(first['first_genre'])} leads: {_share(best)} of {_over([first])} came back."
    *names, last = (named(row["first_genre"]) for row in (first, *more))
    told = f"{_share(best)} of {_over([first, *more], 'their')} came back."
    return f"{', '.join(names)} and {last} lead: {told}"


def _over(rows: Rows, whose: str = "the") -> str:
    users = sum(row["observable_users"] for row in rows)
    return f"{whose} {users:,} {'user' if users == 1 else 'users'} whose 3 days are over"


def _genre_rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    rate = row["observable_retention_rate"]
    return rate is None, -(rate or 0), -row["users"], *_null_last(row["first_genre"])


def _dropoff(rows: Rows) -> tuple[str, str, list[dict[str, str]]]:
    pairs, left = judged_values(rows)
    values = [pair for pair in pairs if pair[0]["dimension"] != OS_BY_VERSION]
    combinations = [pair for pair in pairs if pair[0]["dimension"] == OS_BY_VERSION]
    shown = [
        (row, excess)
        for place, (row, excess) in enumerate(combinations)
        if place < _SHOWN_COMBINATIONS or excess.is_abnormal
    ]
    table = [
        {
            "dimension": row["dimension"],
            "value": value_name(row),
            "sessions": f"{row['sessions']:,}",
            "under 10 s": _share(row["dropoff_rate"]),
            "95 % interval": _between(wilson(row["dropoff_sessions"], row["sessions"])),
            "points above the rest": _points(excess.difference),
            "adjusted p": _p_value(excess.adjusted_p_value),
            "": verdict(excess, left.get((row["dimension"], row.get(row["dimension"])))),
        }
        for row, excess in values + shown
    ]
    sentences = [abnormal_sentence(pairs), *map(left_sentence, left.values())]
    if hidden := len(combinations) - len(shown):
        sentences.append(
            "The combination with the lowest rate is not shown."
            if hidden == 1
            else f"The {hidden:,} combinations with the lowest rates are not shown."
        )
    question = "Q3  Which device OS or app version has abnormal drop-off?"
    return question, " ".join(sentences), table


def _value_rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (*_null_last(row[OS]), *_null_last(row[VERSION]))
    return len(row["dimension"]), -row["dropoff_rate"], -row["sessions"], *names


def _null_last(name: str | None) -> tuple[bool, str]:
    return name is None, name or ""


def _combinations(remainder: Remainder) -> str:
    [first, *more] = remainder.combinations
    return "the abnormal combinations" if more else " ".join(map(named, first))


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
