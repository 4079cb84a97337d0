"""Statistics on the small answer tables: intervals and tests, from scipy.

**Shares** (Q1, Q2) stand with their 95 % Wilson score interval. Those of Q3 are of sessions, which
are alike within a user: theirs is Wilson's with as many sessions as count.

**The lead** (Q2). The leading genre is compared with every other one, user by user; p is adjusted
for their number.

**Abnormal drop-off** (Q3). Each value of device_os, of app_version and of the two together is
compared with the rest, which is all other sessions. It is abnormal if its drop-off rate is at
least 5 points above that of the rest, with at least 30 sessions and a one-sided p below 0.05 after
adjustment for all the values that were tested. How p comes about, and why so:

- Sessions of one user are alike, and a user may have sessions in the value and in the rest. So the
  variance is that of two ratios over a sample of users, not of sessions: the sum of the squared
  influences of all users (linearisation of a ratio of cluster totals, Cochran 1977, Sampling
  Techniques, 3rd ed., sections 3.12 and 6.3; Rao and Scott 1992, Biometrics 48:577). It comes from
  the integer sums that `q3_dropoff` publishes; no row of a user is read.
- Where few users decide, these squares can be small by chance: if all 30 sessions of a value drop
  off, they are zero. So the variance is at least the one that holds without any effect, if all
  users are as alike in themselves as they are found to be over the whole data.
- A value of many sessions may hang on a handful of users. So p is a tail of Student's t, with as
  many degrees of freedom as the smaller side has effective users (n squared over the sum of
  squares of a user's sessions, Kish 1965), less one. A side of one user cannot be tested.
- The question is one, so its three dimensions are one family: p is adjusted over all tested values
  of all dimensions at once (Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289).

On made-up data without any effect, some value is then flagged in 0.1 to 3.3 % of the data sets,
for drop-off rates from 12 to 80 %, sessions of a user independent or alike, equal users or heavy
ones, and values that users keep or change (1,500 data sets of each kind; the tests repeat 250).
With a normal tail, without the lower bound and adjusted dimension by dimension, it is 3 to 69 %.

**What is left**. A bad release on one system lifts the rate of the system and of the release too.
`remainders` says how much of their excess is left without the abnormal combinations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

import scipy

from streampro.viewing.answers import DIMENSIONS, OS, OS_BY_VERSION, VERSION

CONFIDENCE = 0.95
FALSE_DISCOVERY_RATE = 0.05
FEWEST_SESSIONS = 30
SMALLEST_EXCESS = 0.05
"""Share points by which a drop-off rate must lie above the rest to be called abnormal."""
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % Wilson score interval (Wilson 1927); null without observations."""

    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Excess:
    """How far the drop-off rate of a value lies above that of all other sessions.

    Attributes:
        difference: rate of the value minus rate of the rest, in shares; null without a rest.
        adjusted_p_value: one-sided, clustered by user, adjusted over all tested values of the
            question; null if not tested: below 30 sessions, or a value or rest of one user.
        is_abnormal: adjusted p below 0.05 and at least 5 points above the rest.
    """

    difference: float | None
    adjusted_p_value: float | None
    is_abnormal: bool


@dataclass(frozen=True)
class Remainder:
    """What is left of the excess of an OS or a version without its abnormal combinations.

    Attributes:
        dimension: `device_os` or `app_version`.
        value: the OS or the version; null is the unknown one.
        combinations: its abnormal combinations, each as (OS, version).
        difference: rate of the value minus rate of all other sessions, in shares, as in `Excess`.
        sessions_left: sessions of the value outside its abnormal combinations.
        difference_left: their rate minus the rate of the sessions of all other values that are in
            no abnormal combination either, in shares; null if one of the two has no session.
            A point estimate: the published sums hold no variance for it.
    """

    dimension: str
    value: str | None
    combinations: tuple[tuple[str | None, str | None], ...]
    difference: float | None
    sessions_left: int
    difference_left: float | None

    @property
    def is_explained(self) -> bool:
        """It has one abnormal combination, and what is left without that would not be abnormal: no
        session, or less than 5 points. What is bad in several combinations is bad itself.
        """
        left = self.difference_left
        is_small = self.sessions_left == 0 or (left is not None and left < SMALLEST_EXCESS)
        return len(self.combinations) == 1 and is_small


def wilson(part: int, whole: int) -> Interval:
    """Return `part / whole` with its Wilson score interval."""
    if whole == 0:
        return Interval(None, None, None)
    interval = scipy.stats.binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(part / whole, float(interval.low), float(interval.high))


def clustered(row: Mapping[str, Any]) -> Interval:
    """Return the drop-off rate of a row of `q3_dropoff` with its interval, clustered by user.

    It is Wilson's with as many sessions as count (Korn and Graubard 1998, Survey Methodology
    24:193): the sessions over the factor by which their variance exceeds that of independent ones,
    never more than there are, and effective users where all sessions are alike.
    """
    side = _Sides.of(row)
    p = side.d / side.n
    squares = side.dd - 2 * p * side.nd + p * p * side.nn
    independent = side.n * p * (1 - p)
    factor = squares / independent if independent else side.nn / side.n
    n = side.n / max(factor, 1.0)
    middle = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    reach = _Z / (1 + _Z**2 / n) * sqrt(p * (1 - p) / n + _Z**2 / (4 * n * n))
    return Interval(p, max(0.0, middle - reach), min(1.0, middle + reach))


def leads(first: Mapping[str, Any], others: Rows) -> list[float]:
    """Return per other genre the p of the lead of the first one, of users whose 3 days are over.

    Two-sided, by Fisher's exact test of two shares, adjusted over all of them, as the first one is
    the first of all (Benjamini and Hochberg 1995). Every user is in one genre.
    """
    tables = [[_came_back(first), _came_back(other)] for other in others]
    p_values = [float(scipy.stats.fisher_exact(table).pvalue) for table in tables]
    return (
        [float(each) for each in scipy.stats.false_discovery_control(p_values)] if p_values else []
    )


def _came_back(row: Mapping[str, Any]) -> tuple[int, int]:
    retained = row["observable_retained_users"]
    return retained, row["observable_users"] - retained


def excesses(rows: Rows) -> list[Excess]:
    """Compare each row of `q3_dropoff` with all other sessions.

    Takes the rows of all dimensions at once, because p-values are adjusted over all of them.
    """
    sides = [_Sides.of(row) for row in rows]
    tested = [i for i, side in enumerate(sides) if side.n >= FEWEST_SESSIONS and side.are_testable]
    scores = [sides[i].score for i in tested]
    p_values = scipy.stats.t.sf(scores, [sides[i].degrees_of_freedom for i in tested])
    adjusted = scipy.stats.false_discovery_control(p_values) if tested else []
    by_place = dict(zip(tested, map(float, adjusted), strict=True))
    return [_judge(side, by_place.get(i)) for i, side in enumerate(sides)]


def remainders(rows: Rows, judged: Sequence[Excess]) -> list[Remainder]:
    """Return what is left of each OS and version that has an abnormal combination.

    `judged` are the `excesses` of the same rows of `q3_dropoff`; the order is that of the rows.
    """
    bad = [
        row
        for row, excess in zip(rows, judged, strict=True)
        if excess.is_abnormal and row["dimension"] == OS_BY_VERSION
    ]
    return [
        _remainder(row, excess.difference, bad)
        for row, excess in zip(rows, judged, strict=True)
        if row["dimension"] != OS_BY_VERSION and any(_holds(row, each) for each in bad)
    ]


class _Sides(NamedTuple):
    """A value and its rest: sessions n and m, drop-offs d and e, and sums over users of products.

    `nm` is the sum over users of their sessions in the value times those in the rest, and so on.
    """

    n: int
    d: int
    m: int
    e: int
    nn: int
    nd: int
    dd: int
    mm: int
    me: int
    ee: int
    nm: int
    ne: int
    dm: int
    de: int
    users: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "_Sides":
        """Return the sides of a row of `q3_dropoff`; the rest is all less the value."""
        n, d = row["sessions"], row["dropoff_sessions"]
        nn, nd, dd = (
            row[f"sum_{name}"]
            for name in ("sessions_squared", "sessions_dropoff", "dropoff_squared")
        )
        nm, ne = row["sum_sessions_all_sessions"] - nn, row["sum_sessions_all_dropoff"] - nd
        dm, de = row["sum_dropoff_all_sessions"] - nd, row["sum_dropoff_all_dropoff"] - dd
        m, e = row["all_sessions"] - n, row["all_dropoff_sessions"] - d
        mm = row["all_sum_sessions_squared"] - nn - 2 * nm
        me = row["all_sum_sessions_dropoff"] - nd - ne - dm
        ee = row["all_sum_dropoff_squared"] - dd - 2 * de
        return cls(n, d, m, e, nn, nd, dd, mm, me, ee, nm, ne, dm, de, row["all_users"])

    @property
    def difference(self) -> float:
        return _difference(self.d, self.n, self.e, self.m)

    @property
    def are_testable(self) -> bool:
        """Both sides have two users or more, and some session drops off and some does not."""
        n, m, drops = self.n, self.m, self.d + self.e
        return n * n > self.nn and m * m > self.mm and 0 < drops < n + m

    @property
    def degrees_of_freedom(self) -> float:
        return min(self.n**2 / self.nn, self.m**2 / self.mm) - 1

    @property
    def score(self) -> float:
        """The difference in standard errors; without any variance there is no difference."""
        variance = max(self._variance(), self._variance_without_effect())
        return self.difference / sqrt(variance) if variance > 0 else 0.0

    def _variance(self) -> float:
        """Return the variance of the difference by linearisation.

        The influence of a user is `(d - p n) / all n - (e - q m) / all m` with the rates p and q.
        """
        n, m = self.n, self.m
        p, q = self.d / n, self.e / m
        inside = self.dd - 2 * p * self.nd + p * p * self.nn
        outside = self.ee - 2 * q * self.me + q * q * self.mm
        across = self.de - q * self.dm - p * self.ne + p * q * self.nm
        squares = inside / n**2 + outside / m**2 - 2 * across / (n * m)
        return squares * self.users / (self.users - 1)

    def _variance_without_effect(self) -> float:
        """Return the variance of the difference if every session drops off alike.

        Any two sessions of a user then have the same correlation. It is estimated from all users,
        by the mean product of the deviations of two sessions, and kept within 0 and 1.
        """
        n, m = self.n, self.m
        p = (self.d + self.e) / (n + m)
        pairs = self.nn + 2 * self.nm + self.mm - (n + m)
        drops = self.dd + 2 * self.de + self.ee
        both = self.nd + self.ne + self.dm + self.me
        deviations = drops - 2 * p * both + p * p * (pairs + n + m)
        variance = p * (1 - p)
        correlation = (deviations / variance - (n + m)) / pairs if pairs else 0.0
        alike = min(max(correlation, 0.0), 1.0)
        same_user = self.nn / n**2 + self.mm / m**2 - 2 * self.nm / (n * m)
        return variance * ((1 - alike) * (1 / n + 1 / m) + alike * same_user)


def _judge(sides: _Sides, p_value: float | None) -> Excess:
    if sides.m == 0:
        return Excess(None, None, is_abnormal=False)
    is_abnormal = (
        p_value is not None
        and p_value < FALSE_DISCOVERY_RATE
        and sides.difference >= SMALLEST_EXCESS
    )
    return Excess(sides.difference, p_value, is_abnormal)


def _holds(row: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    """Return whether a combination is one of the OS or version that a row stands for."""
    return all(row[name] == combination[name] for name in DIMENSIONS[row["dimension"]])


def _remainder(row: Mapping[str, Any], difference: float | None, bad: Rows) -> Remainder:
    [column] = DIMENSIONS[row["dimension"]]
    own = [each for each in bad if _holds(row, each)]
    others = [each for each in bad if not _holds(row, each)]
    n, d = _counts_without(row["sessions"], row["dropoff_sessions"], own)
    m, e = _counts_without(
        row["all_sessions"] - row["sessions"],
        row["all_dropoff_sessions"] - row["dropoff_sessions"],
        others,
    )
    return Remainder(
        dimension=row["dimension"],
        value=row[column],
        combinations=tuple((each[OS], each[VERSION]) for each in own),
        difference=difference,
        sessions_left=n,
        difference_left=_difference(d, n, e, m) if n and m else None,
    )


def _difference(part: int, whole: int, other_part: int, other_whole: int) -> float:
    """Return the first share minus the second, so that 3/20 - 2/20 is 0.05 and no less."""
    return float(Fraction(part, whole) - Fraction(other_part, other_whole))


def _counts_without(sessions: int, dropoffs: int, combinations: Rows) -> tuple[int, int]:
    return (
        sessions - sum(each["sessions"] for each in combinations),
        dropoffs - sum(each["dropoff_sessions"] for each in combinations),
    )
