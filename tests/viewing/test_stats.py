from collections import Counter

import numpy as np
import pytest
from scipy.stats import false_discovery_control, t

from streampro.viewing.stats import (
    Excess,
    Interval,
    clustered,
    excesses,
    leads,
    remainders,
    wilson,
)


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


def sums(users, value):
    """Build a row of q3_dropoff from users, each as {value: (sessions, drop-offs)}."""
    totals, products = Counter(), Counter()
    for user in users:
        n, d = user.get(value, (0, 0))
        all_n, all_d = map(sum, zip(*user.values(), strict=True))
        totals.update(sessions=n, dropoff_sessions=d)
        totals.update(all_sessions=all_n, all_dropoff_sessions=all_d, all_users=1)
        products.update(sum_sessions_squared=n * n, sum_dropoff_squared=d * d)
        products.update(sum_sessions_dropoff=n * d)
        products.update(sum_sessions_all_sessions=n * all_n, sum_sessions_all_dropoff=n * all_d)
        products.update(sum_dropoff_all_sessions=d * all_n, sum_dropoff_all_dropoff=d * all_d)
        products.update(all_sum_sessions_squared=all_n * all_n)
        products.update(all_sum_dropoff_squared=all_d * all_d)
        products.update(all_sum_sessions_dropoff=all_n * all_d)
    return {**totals, **products}


def alone(users, value):
    """Judge one value as if it were the only one tested: its p-value is not adjusted."""
    [excess] = excesses([sums(users, value)])
    return excess


def draw(seed, taste, users=200):
    """Draw users of up to 6 sessions, half of them "a"; `taste` spreads their drop-off rates."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(users):
        rate = 0.3 + taste * rng.uniform(-1, 1)
        sizes = {"a": int(rng.integers(0, 4)), "b": int(rng.integers(1, 4))}
        found.append({v: (n, int(rng.binomial(n, rate))) for v, n in sizes.items() if n})
    return found


def sessions_of(users, value):
    """Lay out one row per session: its user, whether it is of the value, whether it drops off."""
    rows = [
        (number, each == value, place < d)
        for number, user in enumerate(users)
        for each, (n, d) in user.items()
        for place in range(n)
    ]
    return (np.array(column) for column in zip(*rows, strict=True))


def expected_p_value(users, value):
    """Work from single sessions and the matrix of who shares a user, not from sums of products."""
    user, inside, dropped = sessions_of(users, value)
    p, q, overall = dropped[inside].mean(), dropped[~inside].mean(), dropped.mean()
    weight = np.where(inside, 1 / inside.sum(), -1 / (~inside).sum())
    influence = np.bincount(user, weight * (dropped - np.where(inside, p, q)))
    linearised = (influence**2).sum() * len(users) / (len(users) - 1)
    same = user[:, None] == user[None, :]
    pairs = same & ~np.eye(len(user), dtype=bool)
    deviation = dropped - overall
    variance = overall * (1 - overall)
    correlation = np.clip(np.outer(deviation, deviation)[pairs].mean() / variance, 0, 1)
    covariance = variance * np.where(pairs, correlation, np.eye(len(user)))
    without_effect = weight @ covariance @ weight
    effective = min(
        side.sum() ** 2 / (np.bincount(user, side) ** 2).sum() for side in (inside, ~inside)
    )
    score = (p - q) / np.sqrt(max(linearised, without_effect))
    return t.sf(score, effective - 1), linearised > without_effect


class TestVariance:
    @pytest.mark.parametrize("taste", [0.0, 0.3])
    def test_equals_that_of_single_sessions(self, taste):
        binding = set()
        for seed in range(8):
            users = draw(seed, taste)
            expected, is_linearised = expected_p_value(users, "a")
            binding.add(is_linearised)
            assert alone(users, "a").adjusted_p_value == pytest.approx(expected, rel=1e-9)
        assert binding == {True, False}

    def test_takes_sessions_of_a_user_for_no_more_than_alike(self):
        """The mean product over pairs is 6 times the variance here; a correlation is at most 1."""
        users = [{"a": (40, 40)}] + [{"a": (1, 0)}] * 40 + [{"b": (1, 0)}] * 200
        expected, _ = expected_p_value(users, "a")
        assert alone(users, "a").adjusted_p_value == pytest.approx(expected)

    def test_published_example(self):
        """Rao and Scott 1992, Biometrics 48:577, table 1: survival in litters (Weil 1970).

        Pups that lived at 4 days and of them at 21; design effects 1.232495 and 3.952861. Rao and
        Scott correct for 16 litters of each group where StreamPro corrects for all 32.
        """
        control = [(13, 13), (12, 12), (9, 9), (9, 9), (8, 8), (8, 8), (13, 12), (12, 11)]
        control += [(10, 9), (10, 9), (9, 8), (13, 11), (5, 4), (7, 5), (10, 7), (10, 7)]
        treated = [(12, 12), (11, 11), (10, 10), (9, 9), (11, 10), (10, 9), (10, 9), (9, 8)]
        treated += [(9, 8), (5, 4), (9, 7), (7, 4), (10, 5), (6, 3), (10, 3), (7, 0)]
        litters = [{"control": (n, n - alive)} for n, alive in control]
        litters += [{"treated": (n, n - alive)} for n, alive in treated]
        variance = 1.232495 * (142 / 158) * (16 / 158) / 158
        variance += 3.952861 * (112 / 145) * (33 / 145) / 145
        score = (33 / 145 - 16 / 158) / (variance * (15 / 16) * (32 / 31)) ** 0.5
        [excess] = excesses([sums(litters, "treated")])
        assert excess.difference == pytest.approx(33 / 145 - 16 / 158)
        # Sums of squared litter sizes: 1,640 of 158 control pups, 1,369 of 145 treated pups.
        assert excess.adjusted_p_value == pytest.approx(
            t.sf(score, min(158**2 / 1640, 145**2 / 1369) - 1), rel=1e-6
        )

    def test_a_value_where_every_session_drops_off_has_some(self):
        """30 of 30 where 9 of 10 drop off: the chance is 0.9 ** 30 = 4 %, and p no smaller."""
        users = [{"a": (1, 1)}] * 30 + [{"b": (1, 1)}] * 9000 + [{"b": (1, 0)}] * 1000
        assert alone(users, "a").adjusted_p_value == pytest.approx(0.0387, abs=5e-4)

    def test_a_few_heavy_users_are_few(self):
        """Two users with 50 sessions each are two, whatever their 100 sessions say."""
        others = [{"b": (2, 0)}] * 800 + [{"b": (2, 2)}] * 100
        assert alone([{"a": (50, 25)}, {"a": (50, 26)}, *others], "a").adjusted_p_value > 0.1
        assert alone([{"a": (2, 1)}] * 50 + others, "a").adjusted_p_value < 1e-4

    def test_very_large_sums_are_exact_enough(self):
        users = draw(5, 0.1)
        row = {name: number * 10**12 for name, number in sums(users, "a").items()}
        score = t.isf(alone(users, "a").adjusted_p_value, 100)
        [excess] = excesses([row])
        assert excess.difference == alone(users, "a").difference
        assert excess.adjusted_p_value == (0.0 if score > 0 else 1.0)


class TestExcesses:
    def test_p_values_are_adjusted_over_all_values_of_all_dimensions(self):
        """Benjamini and Hochberg by hand: p times tests over rank, at most that of the next."""
        rows = [sums(draw(seed, 0.1), "a") | {"dimension": str(seed)} for seed in (3, 5, 7)]
        raw = [excesses([row])[0].adjusted_p_value for row in rows]
        first, second, third = sorted(raw)
        by_hand = {third: third}
        by_hand[second] = min(second * 3 / 2, third)
        by_hand[first] = min(first * 3, by_hand[second])
        found = [excess.adjusted_p_value for excess in excesses(rows)]
        assert found == pytest.approx([by_hand[p] for p in raw])

    def test_adjustment_of_a_published_example(self):
        """Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289, section 3.2: 4 of 15 at 5 %."""
        p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
        p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.000]
        adjusted = false_discovery_control(p)
        assert (adjusted < 0.05).tolist() == [True] * 4 + [False] * 11
        assert adjusted[3] == pytest.approx(0.0095 * 15 / 4)

    @pytest.mark.parametrize(("sessions", "is_tested"), [(29, False), (30, True)])
    def test_a_value_is_tested_from_30_sessions_on(self, sessions, is_tested):
        users = [{"big": (1, user % 10 == 0)} for user in range(300)]
        excess = alone(users + [{"small": (1, 1)}] * sessions, "small")
        assert excess.difference == 0.9
        assert (excess.adjusted_p_value is not None) == excess.is_abnormal == is_tested

    def test_a_value_that_is_not_tested_makes_no_other_less_significant(self):
        users = [{"big": (1, user % 10 == 0)} for user in range(300)] + [{"b": (1, 1)}] * 29
        assert excesses([sums(users, "big"), sums(users, "b")])[0] == alone(users, "big")

    @pytest.mark.slow
    @pytest.mark.parametrize(("percent", "is_abnormal"), [(14, False), (15, True)])
    def test_a_value_is_abnormal_from_5_points_above_the_rest_on(self, percent, is_abnormal):
        users = [{"a": (1, user % 100 < percent)} for user in range(20_000)]
        users += [{"b": (1, user % 100 < 10)} for user in range(20_000)]
        excess = alone(users, "a")
        assert excess.adjusted_p_value < 1e-20
        assert excess.is_abnormal == is_abnormal

    @pytest.mark.parametrize("value", ["a", "b"])
    def test_a_value_or_a_rest_of_one_user_is_not_tested(self, value):
        users = [{"a": (90, 80)}] + [{"b": (1, user % 10 == 0)} for user in range(300)]
        assert alone(users, value).adjusted_p_value is None
        assert not alone(users, value).is_abnormal

    def test_the_only_value_has_no_rest_to_differ_from(self):
        assert alone([{"a": (1, 1)}, {"a": (1, 0)}] * 20, "a") == Excess(None, None, False)

    @pytest.mark.parametrize("dropoffs", [0, 1])
    def test_where_all_sessions_are_alike_nothing_is_tested(self, dropoffs):
        users = [{"a": (1, dropoffs)}, {"b": (1, dropoffs)}] * 40
        assert alone(users, "a") == Excess(0.0, None, False)

    def test_users_alike_in_value_and_rest_say_that_there_is_no_difference(self):
        users = [{"a": (1, 1), "b": (1, 1)}, {"a": (1, 0), "b": (1, 0)}] * 20
        assert alone(users, "a") == Excess(0.0, 0.5, False)

    def test_no_rows_no_verdicts(self):
        assert excesses([]) == []


class TestClustered:
    @pytest.mark.parametrize("dropoffs", [0, 1, 7, 40])
    def test_sessions_of_a_user_each_have_wilson_s_interval(self, dropoffs):
        users = [{"a": (1, int(user < dropoffs))} for user in range(40)]
        found, wanted = clustered(sums(users, "a")), wilson(dropoffs, 40)
        assert (found.share, found.low, found.high) == pytest.approx(
            (wanted.share, wanted.low, wanted.high)
        )

    @pytest.mark.parametrize("dropoffs", [0, 3, 10])
    def test_sessions_that_are_alike_count_as_their_users(self, dropoffs):
        users = [{"a": (8, 8 * int(user < dropoffs))} for user in range(10)]
        found, wanted = clustered(sums(users, "a")), wilson(dropoffs, 10)
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))

    def test_sessions_that_differ_within_users_count_as_no_more_than_they_are(self):
        users = [{"a": (2, 1)}] * 20
        found, wanted = clustered(sums(users, "a")), wilson(20, 40)
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


class TestLeads:
    def test_each_other_is_compared_and_adjusted(self):
        """Fisher's exact test: 60 and 40 of 100 0.00706, 60 and 50 of 100 0.2008."""
        rows = [
            {"observable_users": 100, "observable_retained_users": back} for back in (60, 50, 40)
        ]
        assert leads(rows[0], rows[1:]) == pytest.approx([0.2008, 2 * 0.00706], abs=5e-4)
        assert leads(rows[0], []) == []


def told(system, version, sessions, dropoffs, is_abnormal=False, overall=(200, 40)):
    """Pair a row of q3_dropoff with its verdict; one that is left out of the row is null."""
    parts = {"device_os": system, "app_version": version}
    row = {name: None if part is ... else part for name, part in parts.items()}
    row["dimension"] = " x ".join(name for name, part in parts.items() if part is not ...)
    row |= {"sessions": sessions, "dropoff_sessions": dropoffs}
    row |= {"all_sessions": overall[0], "all_dropoff_sessions": overall[1]}
    n, d = (whole - part for whole, part in zip(overall, (sessions, dropoffs), strict=True))
    difference = dropoffs / sessions - d / n if n else None
    return row, Excess(difference, None, is_abnormal)


class TestRemainders:
    # Drop-offs of sessions   5.1     5.2     both
    #   Android               6/60   24/40   30/100
    #   iOS                   5/50    5/50   10/100
    #   both                 11/110  29/90   40/200
    MARGINS = [
        told("Android", ..., 100, 30, is_abnormal=True),
        told("iOS", ..., 100, 10),
        told(..., "5.1", 110, 11),
        told(..., "5.2", 90, 29, is_abnormal=True),
    ]

    def test_excess_is_told_without_the_abnormal_combination(self):
        told_rows = [
            *self.MARGINS,
            told("Android", "5.1", 60, 6),
            told("Android", "5.2", 40, 24, is_abnormal=True),
            told("iOS", "5.1", 50, 5),
            told("iOS", "5.2", 50, 5),
        ]
        system, version = remainders(*zip(*told_rows, strict=True))
        assert (system.dimension, system.value) == ("device_os", "Android")
        assert system.combinations == version.combinations == (("Android", "5.2"),)
        assert system.difference == pytest.approx(30 / 100 - 10 / 100)
        assert system.sessions_left == 60
        assert system.difference_left == pytest.approx(6 / 60 - 10 / 100)
        assert (version.dimension, version.value) == ("app_version", "5.2")
        assert version.difference == pytest.approx(29 / 90 - 11 / 110)
        assert version.sessions_left == 50
        assert version.difference_left == pytest.approx(5 / 50 - 11 / 110)
        assert system.is_explained
        assert version.is_explained

    def test_several_are_left_out_together_on_both_sides(self):
        told_rows = [
            *self.MARGINS,
            told("Android", "5.2", 40, 24, is_abnormal=True),
            told("iOS", "5.2", 50, 5, is_abnormal=True),
        ]
        found = {each.value: each for each in remainders(*zip(*told_rows, strict=True))}
        assert found.keys() == {"Android", "iOS", "5.2"}
        assert found["Android"].difference_left == pytest.approx(6 / 60 - 5 / 50)
        assert found["iOS"].difference_left == pytest.approx(5 / 50 - 6 / 60)
        assert found["5.2"].combinations == (("Android", "5.2"), ("iOS", "5.2"))

    def test_a_version_of_one_system_has_nothing_left(self):
        told_rows = [
            told(..., "9", 30, 20, is_abnormal=True),
            told("iOS", "9", 30, 20, is_abnormal=True),
        ]
        [version] = remainders(*zip(*told_rows, strict=True))
        assert (version.sessions_left, version.difference_left) == (0, None)
        assert version.is_explained

    def test_5_points_left_are_not_explained(self):
        told_rows = [
            told("Android", ..., 100, 25, overall=(200, 30)),
            told("Android", "5.2", 60, 21, is_abnormal=True, overall=(200, 30)),
        ]
        [system] = remainders(*zip(*told_rows, strict=True))
        assert system.difference_left == pytest.approx(4 / 40 - 5 / 100)
        assert not system.is_explained

    def test_the_unknown_system_is_a_system(self):
        told_rows = [
            told(None, ..., 50, 30, is_abnormal=True),
            told("iOS", ..., 150, 10),
            told(None, None, 40, 29, is_abnormal=True),
        ]
        [system] = remainders(*zip(*told_rows, strict=True))
        assert (system.value, system.combinations) == (None, ((None, None),))
        assert system.difference_left == pytest.approx(1 / 10 - 10 / 150)

    def test_without_an_abnormal_combination_there_is_nothing_to_tell(self):
        assert remainders(*zip(*self.MARGINS, strict=True)) == []
