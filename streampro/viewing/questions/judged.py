"""Values of Q3 as judged: what each is called, whether it is abnormal, and what is left of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streampro.report import p_value_text, points_text
from streampro.viewing.answers import DIMENSIONS, OS, VERSION
from streampro.viewing.stats import Excess, Remainder, Rows, excesses, remainders
from streampro.viewing.values import ABNORMAL, named, null_last

_RANKS = {dimension: rank for rank, dimension in enumerate(DIMENSIONS)}


@dataclass(frozen=True)
class Judged:
    """A row of `q3_dropoff` and how it compares with all other sessions.

    Attributes:
        remainder: what is left of its excess without its abnormal combinations, if it has some.
    """

    row: Mapping[str, Any]
    excess: Excess
    remainder: Remainder | None

    @property
    def dimension(self) -> str:
        """What the row is a value of."""
        return str(self.row["dimension"])

    @property
    def rank(self) -> int:
        """Place of the dimension among all of them."""
        return _RANKS[self.dimension]

    @property
    def names(self) -> dict[str, str]:
        """What is shown of each column that names the row."""
        return {column: named(self.row[column]) for column in DIMENSIONS[self.dimension]}

    @property
    def name(self) -> str:
        """What the row is of: `Android`, `5.2.0`, `Android 5.2.0`."""
        return " ".join(self.names.values())

    @property
    def is_abnormal(self) -> bool:
        """The drop-off rate lies above that of all other sessions, not by chance, and not only
        through abnormal combinations.
        """
        return self.excess.is_abnormal and not self.is_explained

    @property
    def is_explained(self) -> bool:
        """Without its abnormal combinations it does not stand out."""
        return bool(self.remainder and self.remainder.is_explained)

    @property
    def only_by(self) -> str | None:
        """The combination through which alone it stands out, if that is so."""
        if not (self.excess.is_abnormal and self.remainder and self.is_explained):
            return None
        return f"only by {_combinations(self.remainder)}"

    @property
    def verdict(self) -> str | None:
        """Whether the value is abnormal itself."""
        return "abnormal" if self.is_abnormal else None


def judged_values(rows: Rows) -> list[Judged]:
    """Return the rows of `q3_dropoff` judged, by dimension from the highest rate down.

    Ties: the most sessions first, then by name, null last.
    """
    ranked = sorted(rows, key=_value_rank)
    judged = excesses(ranked)
    left: dict[tuple[Any, ...], Remainder] = {
        (each.dimension, each.value): each for each in remainders(ranked, judged)
    }
    return [
        Judged(row, excess, left.get(_value(row)))
        for row, excess in zip(ranked, judged, strict=True)
    ]


def abnormal_sentence(values: Iterable[Judged]) -> str:
    """Return which values are abnormal, and which are not without one of them."""
    values = [*values]
    abnormal = [each.name for each in values if each.is_abnormal]
    if not abnormal:
        return "None is abnormal."
    rests = [(each, each.remainder) for each in values if each.remainder]
    bad = {(rest.dimension, rest.value) for each, rest in rests if each.is_abnormal}
    left = [(each, rest.combinations) for each, rest in rests if _is_due_to_it(rest, bad)]
    if not left:
        return f"Abnormal: {', '.join(abnormal)}."
    causes = {combinations for _, combinations in left}
    without = "it" if len(causes) == 1 else "them"
    found = _none([each for each, _ in left])
    return f"Abnormal: {', '.join(abnormal)}; without {without} {found}."


def _is_due_to_it(rest: Remainder, bad: Collection[tuple[str, str | None]]) -> bool:
    """Tell whether a value has one abnormal combination and is not abnormal without it, where not
    the other value of the combination is abnormal itself.
    """
    if not (rest.is_explained and rest.sessions_left):
        return False
    [(system, version)] = rest.combinations
    other = (VERSION, version) if rest.dimension == OS else (OS, system)
    return other not in bad


def _none(values: Sequence[Judged]) -> str:
    """Return that no value stands out: `neither Android nor 5.2.0 stands out`."""
    names = [each.name for each in values]
    if len(names) == 1:
        return f"{names[0]} does not stand out"
    if len(names) == 2:
        return f"neither {names[0]} nor {names[1]} stands out"
    return f"none of {', '.join(names)} stands out"


def findings(values: Iterable[Judged]) -> list[str]:
    """Return a sentence per abnormal value, with its rate, effect and p."""
    return [
        f"{ABNORMAL} {each.name}: {each.row['dropoff_rate']:.1%} of {each.row['sessions']:,} "
        f"sessions, {points_text(each.excess.difference)} against the rest, adjusted p "
        f"{p_value_text(each.excess.adjusted_p_value)}."
        for each in values
        if each.is_abnormal
    ]


def left_sentences(values: Iterable[Judged]) -> list[str]:
    """Return a sentence per value with an abnormal combination, on what is left without it."""
    return [_left_sentence(each.remainder) for each in values if each.remainder]


def _left_sentence(remainder: Remainder) -> str:
    """Return a sentence: `Android: +4.0 points above the rest, +0.2 without Android 5.2.0.`"""
    name, without = named(remainder.value), _combinations(remainder)
    if remainder.sessions_left == 0:
        return f"{name} has no sessions outside {without}."
    excess, left = _points(remainder.difference), _points(remainder.difference_left)
    return f"{name}: {excess} points above the rest, {left} without {without}."


def _value_rank(row: Mapping[str, Any]) -> tuple[Any, ...]:
    names = (*null_last(row[OS]), *null_last(row[VERSION]))
    return _RANKS[row["dimension"]], -row["dropoff_rate"], -row["sessions"], *names


def _value(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the dimension of a row and the one value or the two that name it."""
    return row["dimension"], *(row[column] for column in DIMENSIONS[row["dimension"]])


def _combinations(remainder: Remainder) -> str:
    first, *more = remainder.combinations
    return "the abnormal combinations" if more else " ".join(map(named, first))


def _points(difference: float | None) -> str:
    return "-" if difference is None else f"{100 * difference:+z.1f}"
