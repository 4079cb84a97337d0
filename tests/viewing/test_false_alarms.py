"""What Q3 flags in many made-up data sets, without any effect and with one bad release."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import settings
from scipy.stats import binomtest

from streampro.viewing.answers import OS, OS_BY_VERSION, VERSION, Q3Dropoff, q3_dropoff
from streampro.viewing.stats import excesses, remainders
from streampro.viewing.synthetic import generate

pytestmark = pytest.mark.slow

DRAWS = 250 if settings.default is settings.get_profile("thorough") else 100
"""Data sets per world."""
BAD = ("OS 0", "4.0")


@dataclass(frozen=True)
class World:
    """How sessions come about.

    `rate` is the drop-off rate and `likeness` the correlation of two sessions of a user. Sessions
    per user are 1 and a negative binomial number around `more`, spread by `unequal`; `heavy` users
    have 60 to 200. A user keeps one OS, and a version too where `versions_change` is false; else
    the version moves with time, or is drawn per session, as is then the OS.
    """

    users: int = 800
    rate: float = 0.12
    likeness: float = 0.3
    more: float = 3.0
    unequal: float = 1.0
    heavy: int = 0
    systems: tuple[float, ...] = (0.5, 0.25, 0.12, 0.08, 0.03, 0.02)
    versions: int = 8
    by: str = "time"
    bad_rate: float | None = None


WORLDS = {
    "usual": World(),
    "sessions of a user are independent": World(likeness=0.0),
    "users keep their version": World(by="user", likeness=0.5),
    "OS and version change with every session": World(by="session", likeness=0.5),
    "few users": World(users=100, more=9.0),
    "a few heavy users": World(heavy=10),
    "very unequal users who keep their version": World(
        users=400, more=7.0, unequal=4.0, by="user", likeness=0.5
    ),
    "many values": World(users=1500, systems=(0.1,) * 10, versions=20),
    "every second session drops off": World(rate=0.5),
    "most sessions drop off": World(rate=0.8, likeness=0.6),
    "two systems, one of them rare": World(users=300, systems=(0.96, 0.04), rate=0.6),
    "few values": World(systems=(0.5, 0.5), versions=3, rate=0.5),
}


def draw(world, rng):
    """Draw sessions as columns: user, OS, version, whether it drops off."""
    mean = world.more * rng.gamma(1 / world.unequal, world.unequal, world.users)
    per_user = 1 + rng.poisson(mean)
    per_user[: world.heavy] = rng.integers(60, 200, world.heavy)
    user = np.repeat(np.arange(world.users), per_user)
    shares = np.array(world.systems) / sum(world.systems)
    popular = 0.6 ** np.arange(world.versions)
    popular /= popular.sum()
    system = rng.choice(len(shares), world.users, p=shares)[user]
    if world.by == "time":
        first, lag = rng.random(world.users) ** 1.5, rng.geometric(0.6, world.users) - 1
        at = first[user] + (1 - first[user]) * rng.random(len(user))
        version = np.maximum(2 + (at * (world.versions - 2)).astype(int) - lag[user], 0)
    elif world.by == "user":
        version = rng.choice(world.versions, world.users, p=popular)[user]
    else:
        system = rng.choice(len(shares), len(user), p=shares)
        version = rng.choice(world.versions, len(user), p=popular)
    rate = np.full(world.users, world.rate)
    if world.likeness:
        spread = (1 - world.likeness) / world.likeness
        rate = rng.beta(world.rate * spread, (1 - world.rate) * spread, world.users)
    chance = rate[user]
    if world.bad_rate is not None:
        more = (world.bad_rate - world.rate) / (1 - world.rate)
        chance = np.where((system == 0) & (version == 4), chance + (1 - chance) * more, chance)
    return user, system, version, rng.random(len(user)) < chance


def answer(user, system, version, drops):
    """Compute the rows of q3_dropoff by numpy."""
    shape = user.max() + 1, system.max() + 1, version.max() + 1
    cell = np.ravel_multi_index((user, system, version), shape)
    n, d = (
        np.bincount(cell, weight, np.prod(shape)).astype(np.int64).reshape(shape)
        for weight in (None, drops)
    )
    all_n, all_d = n.sum((1, 2)), d.sum((1, 2))
    totals = {
        "all_sessions": all_n.sum(),
        "all_dropoff_sessions": all_d.sum(),
        "all_users": (all_n > 0).sum(),
        "all_sum_sessions_squared": all_n @ all_n,
        "all_sum_dropoff_squared": all_d @ all_d,
        "all_sum_sessions_dropoff": all_n @ all_d,
    }
    rows = []
    for dimension, absent in ((OS, (2,)), (VERSION, (1,)), (OS_BY_VERSION, ())):
        names = [
            (None if 1 in absent else f"OS {s}", None if 2 in absent else f"{v}.0")
            for s in range(1 if 1 in absent else shape[1])
            for v in range(1 if 2 in absent else shape[2])
        ]
        in_n, in_d = (each.sum(absent).reshape(shape[0], -1) for each in (n, d))
        columns = {
            "sessions": in_n.sum(0),
            "dropoff_sessions": in_d.sum(0),
            "users": (in_n > 0).sum(0),
            "sum_sessions_squared": (in_n**2).sum(0),
            "sum_dropoff_squared": (in_d**2).sum(0),
            "sum_sessions_dropoff": (in_n * in_d).sum(0),
            "sum_sessions_all_sessions": all_n @ in_n,
            "sum_sessions_all_dropoff": all_d @ in_n,
            "sum_dropoff_all_sessions": all_n @ in_d,
            "sum_dropoff_all_dropoff": all_d @ in_d,
        }
        rows += [
            {"dimension": dimension, "device_os": names[i][0], "app_version": names[i][1]}
            | {name: int(column[i]) for name, column in columns.items()}
            | {name: int(total) for name, total in totals.items()}
            for i in range(len(names))
            if columns["sessions"][i]
        ]
    return rows


def draws(world, seed, count=DRAWS):
    rng = np.random.default_rng(seed)
    return (draw(world, rng) for _ in range(count))


def flags_any(rows):
    return any(excess.is_abnormal for excess in excesses(rows))


@pytest.fixture(scope="session")
def alarms():
    """How many data sets without any effect have a flagged value, per world."""
    return {
        name: sum(flags_any(answer(*sessions)) for sessions in draws(world, seed))
        for seed, (name, world) in enumerate(WORLDS.items())
    }


@pytest.mark.parametrize("world", WORLDS)
def test_without_an_effect_at_most_5_percent_of_data_sets_have_a_flag(alarms, world):
    assert alarms[world] <= 0.05 * DRAWS


def test_the_rate_over_all_worlds_is_surely_below_5_percent(alarms):
    drawn = DRAWS * len(WORLDS)
    assert binomtest(sum(alarms.values()), drawn, 0.05, alternative="less").pvalue < 1e-6


def test_the_simulation_finds_out_who_takes_sessions_for_users():
    """The same sessions, each as if it were a user of its own, have flags far too often."""
    world = WORLDS["very unequal users who keep their version"]
    found = sum(
        flags_any(answer(np.arange(len(user)), *rest)) for user, *rest in draws(world, 6, 20)
    )
    assert found > 10


def test_the_simulated_rows_are_those_of_the_model(rows_of):
    user, system, version, drops = draw(World(users=150), np.random.default_rng(1))
    facts = [
        {"user_id": f"u{u}", "device_os": f"OS {s}", "app_version": f"{v}.0"}
        | {"session_id": str(place), "dropoff_under_10s": bool(drop)}
        for place, (u, s, v, drop) in enumerate(zip(user, system, version, drops, strict=True))
    ]
    names = [name for name in Q3Dropoff.to_schema().columns if name != "dropoff_rate"]
    modelled = [
        {name: row[name] for name in names} for row in rows_of(q3_dropoff, fact_user_session=facts)
    ]
    simulated = answer(user, system, version, drops)
    assert len(simulated) > 30
    assert sorted(modelled, key=str) == sorted(
        ({name: row[name] for name in names} for row in simulated), key=str
    )


@pytest.mark.parametrize(
    "name",
    ["usual", "sessions of a user are independent", "OS and version change with every session",
     "a few heavy users"],
)  # fmt: skip
def test_a_bad_release_is_the_one_combination_that_is_flagged(name):
    """And what is left of its OS and of its version without it is nothing on average."""
    world = replace(WORLDS[name], users=1500, bad_rate=0.45)
    exact, left = 0, []
    for sessions in draws(world, 3, 50):
        rows = answer(*sessions)
        judged = excesses(rows)
        combinations = [
            (row["device_os"], row["app_version"])
            for row, excess in zip(rows, judged, strict=True)
            if excess.is_abnormal and row["dimension"] == OS_BY_VERSION
        ]
        exact += combinations == [BAD]
        left += [
            [each.difference, each.difference_left]
            for each in remainders(rows, judged)
            if BAD in each.combinations
        ]
    assert exact >= 0.95 * 50
    excess, excess_left = np.mean(left, axis=0)
    assert excess > 0.05
    assert abs(excess_left) < 0.01


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(each, marks=pytest.mark.thorough) for each in (1, 2))]
)
def test_the_planted_release_is_the_one_combination_that_is_flagged(warehouse, tmp_path, seed):
    planted = generate(tmp_path / "raw", events=20_000, seed=seed).bad_release
    rows = warehouse(raw=tmp_path / "raw").rows("answers.q3_dropoff")
    judged = excesses(rows)
    [(row, excess)] = [
        (row, excess)
        for row, excess in zip(rows, judged, strict=True)
        if excess.is_abnormal and row["dimension"] == OS_BY_VERSION
    ]
    counts = ("device_os", "app_version", "sessions", "dropoff_sessions")
    assert [row[name] for name in counts] == [planted[name] for name in counts]
    others = planted["other_dropoff_sessions"] / planted["other_sessions"]
    assert excess.difference == pytest.approx(
        planted["dropoff_sessions"] / planted["sessions"] - others
    )
    found = {each.value: each for each in remainders(rows, judged)}
    assert found.keys() == {planted["device_os"], planted["app_version"]}
    for each in found.values():
        assert each.is_explained
        assert each.difference_left < 0.03 < each.difference
