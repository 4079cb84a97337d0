import math
import random
from collections import Counter

import pytest

from streampro.viewing.stats import Interval, excesses, wilson


class TestWilson:
    def test_published_examples(self):
        """Newcombe 1998, Statistics in Medicine 17:857, table I, method 3."""
        for part, whole, low, high in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ]:
            interval = wilson(part, whole)
            assert interval.low == pytest.approx(low, abs=5e-5)
            assert interval.high == pytest.approx(high, abs=5e-5)

    def test_nothing_observed_is_null(self):
        assert wilson(0, 0) == Interval(None, None, None)


def sums(sessions, group):
    """Build a row of q3_dropoff from (user, group, is_dropoff) triples."""
    n, d, big_n, big_d = Counter(), Counter(), Counter(), Counter()
    for user, where, dropped in sessions:
        big_n[user] += 1
        big_d[user] += dropped
        if where == group:
            n[user] += 1
            d[user] += dropped
    return {
        "sessions": n.total(),
        "dropoff_sessions": d.total(),
        "sum_sessions_squared": sum(x * x for x in n.values()),
        "sum_dropoff_squared": sum(x * x for x in d.values()),
        "sum_sessions_dropoff": sum(n[u] * d[u] for u in n),
        "sum_sessions_all_sessions": sum(n[u] * big_n[u] for u in n),
        "sum_sessions_all_dropoff": sum(n[u] * big_d[u] for u in n),
        "sum_dropoff_all_sessions": sum(d[u] * big_n[u] for u in n),
        "sum_dropoff_all_dropoff": sum(d[u] * big_d[u] for u in n),
        "all_sessions": big_n.total(),
        "all_dropoff_sessions": big_d.total(),
        "all_users": len(big_n),
        "all_sum_sessions_squared": sum(x * x for x in big_n.values()),
        "all_sum_dropoff_squared": sum(x * x for x in big_d.values()),
        "all_sum_sessions_dropoff": sum(big_n[u] * big_d[u] for u in big_n),
    }


def draw(seed, rates, users=400, per_user=3, luck=0.0):
    """Draw sessions: a user's taste moves all their rates by up to `luck`; one group a session."""
    source = random.Random(seed)
    sessions = []
    for user in range(users):
        taste = source.uniform(-luck, luck)
        home = source.choice(list(rates))
        for _ in range(source.randint(1, per_user)):
            group = home if source.random() < 0.8 else source.choice(list(rates))
            sessions.append((user, group, source.random() < rates[group] + taste))
    return sessions


def judge(sessions):
    groups = sorted({group for _, group, _ in sessions})
    judged = excesses([sums(sessions, group) for group in groups])
    return dict(zip(groups, judged, strict=True))


def test_variance_equals_the_influence_of_every_user():
    sessions = draw(1, {"a": 0.2, "b": 0.1, "c": 0.1}, luck=0.1)
    row = sums(sessions, "a")
    n1, n0 = row["sessions"], row["all_sessions"] - row["sessions"]
    p1 = row["dropoff_sessions"] / n1
    p0 = (row["all_dropoff_sessions"] - row["dropoff_sessions"]) / n0
    influence = Counter()
    for user, group, dropped in sessions:
        influence[user] += (dropped - p1) / n1 if group == "a" else -(dropped - p0) / n0
    users = row["all_users"]
    variance = sum(x * x for x in influence.values()) * users / (users - 1)
    z = (p1 - p0) / math.sqrt(variance)
    [alone] = excesses([row])
    assert alone.difference == p1 - p0
    assert alone.adjusted_p_value == pytest.approx(0.5 * math.erfc(z / math.sqrt(2)))


def test_planted_group_is_abnormal_and_no_other():
    judged = judge(draw(2, {"bad": 0.45, "b": 0.12, "c": 0.12, "d": 0.12}))
    assert [group for group, excess in judged.items() if excess.is_abnormal] == ["bad"]


def test_no_effect_is_rarely_called_abnormal():
    rates = dict.fromkeys("abcd", 0.3)
    flagged = sum(
        any(excess.is_abnormal for excess in judge(draw(seed, rates, luck=0.3)).values())
        for seed in range(200)
    )
    assert flagged <= 200 * 0.05 + 2 * math.sqrt(200 * 0.05 * 0.95)


def test_groups_under_30_sessions_are_not_tested():
    sessions = [(user, "big", user % 10 == 0) for user in range(300)]
    sessions += [(1000 + user, "small", True) for user in range(29)]
    judged = judge(sessions)
    assert judged["small"].adjusted_p_value is None
    assert not judged["small"].is_abnormal


def test_less_than_5_points_above_the_rest_is_not_abnormal():
    sessions = [(user, "a", user % 100 < 14) for user in range(20_000)]
    sessions += [(100_000 + user, "b", user % 100 < 10) for user in range(20_000)]
    judged = judge(sessions)
    assert judged["a"].adjusted_p_value < 1e-20
    assert not judged["a"].is_abnormal


def test_the_only_value_has_no_rest_to_differ_from():
    [alone] = excesses([sums([(1, "a", True), (2, "a", False)] * 20, "a")])
    assert alone.difference is None
    assert not alone.is_abnormal


def test_no_groups_no_verdicts():
    assert excesses([]) == []
