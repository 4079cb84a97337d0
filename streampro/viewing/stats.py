"""Statistics on the small answer tables: intervals and tests, from scipy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from scipy.stats import binomtest, false_discovery_control, norm

CONFIDENCE = 0.95
FALSE_DISCOVERY_RATE = 0.05
FEWEST_SESSIONS = 30
SMALLEST_EXCESS = 0.05
"""Share points by which a drop-off rate must lie above the rest to be called abnormal."""


@dataclass(frozen=True)
class Interval:
    """A share with its 95 % Wilson score interval (Wilson 1927); null without observations."""

    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Excess:
    """How far the drop-off rate of a group lies above that of all other sessions.

    Attributes:
        difference: rate of the group minus rate of the rest, in shares; null without a rest.
        adjusted_p_value: one-sided, from a variance clustered by user, Benjamini-Hochberg adjusted
            over the groups of the dimension with at least 30 sessions; null for smaller ones.
        is_abnormal: adjusted p below 0.05 and at least 5 points above the rest.
    """

    difference: float | None
    adjusted_p_value: float | None
    is_abnormal: bool


def wilson(part: int, whole: int) -> Interval:
    """Return `part / whole` with its Wilson score interval."""
    if whole == 0:
        return Interval(None, None, None)
    interval = binomtest(part, whole).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(part / whole, float(interval.low), float(interval.high))


def excesses(groups: Sequence[Mapping[str, Any]]) -> list[Excess]:
    """Compare each row of `q3_dropoff`, all of one dimension, with all other sessions."""
    tests = [_against_rest(group) for group in groups]
    tested = [i for i, group in enumerate(groups) if group["sessions"] >= FEWEST_SESSIONS]
    adjusted = false_discovery_control([tests[i][1] for i in tested]) if tested else []
    p_values = dict(zip(tested, map(float, adjusted), strict=True))
    return [
        Excess(
            difference,
            p_values.get(i),
            is_abnormal=difference is not None
            and difference >= SMALLEST_EXCESS
            and p_values.get(i, 1.0) < FALSE_DISCOVERY_RATE,
        )
        for i, (difference, _) in enumerate(tests)
    ]


def _against_rest(group: Mapping[str, Any]) -> tuple[float | None, float]:
    """Return the difference of the rates and its one-sided p-value.

    With n, d a user's sessions and drop-offs in the group and N, D overall, the difference of the
    two ratio estimates has the influence, per user,
    `(d - p1 n) / n1 - ((D - d) - p0 (N - n)) / n0`; the variance is the sum of its squares
    (linearisation of a ratio under cluster sampling, Cochran 1977, ch. 6 and 9), times G/(G-1)
    for G users.
    """
    n1, d1 = group["sessions"], group["dropoff_sessions"]
    n0, d0 = group["all_sessions"] - n1, group["all_dropoff_sessions"] - d1
    users = group["all_users"]
    if n0 == 0 or users < 2:
        return None, 1.0
    p1, p0 = d1 / n1, d0 / n0
    nn, dd, nd = (
        group[name]
        for name in ("sum_sessions_squared", "sum_dropoff_squared", "sum_sessions_dropoff")
    )
    n_all, n_dall, d_all, d_dall = (
        group[f"sum_{a}_all_{b}"] for a in ("sessions", "dropoff") for b in ("sessions", "dropoff")
    )
    rest_nn = group["all_sum_sessions_squared"] - 2 * n_all + nn
    rest_dd = group["all_sum_dropoff_squared"] - 2 * d_dall + dd
    rest_nd = group["all_sum_sessions_dropoff"] - n_dall - d_all + nd
    inside = dd - 2 * p1 * nd + p1 * p1 * nn
    outside = rest_dd - 2 * p0 * rest_nd + p0 * p0 * rest_nn
    across = (d_dall - dd) - p0 * (d_all - nd) - p1 * (n_dall - nd) + p1 * p0 * (n_all - nn)
    variance = inside / n1**2 + outside / n0**2 - 2 * across / (n1 * n0)
    difference = p1 - p0
    if variance <= 0:
        return difference, 1.0
    z = difference / sqrt(variance * users / (users - 1))
    return difference, float(norm.sf(z))
