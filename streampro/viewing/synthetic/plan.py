"""The platform's users, videos and sessions over the whole window, as compact arrays."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.random import Generator

from streampro.viewing.synthetic.world import (
    BAD_DROPOFF,
    BEGIN,
    COUNTRIES,
    DAY,
    DEVICES,
    DROPOFF_S,
    GENRES,
    HOUR,
    MINUTE,
    NETWORKS,
    REACH_S,
    RETAINED,
    RETENTION_WINDOW,
    UNKNOWN_GENRE,
    USUAL_DROPOFF,
    USUAL_REACH,
    VERSIONS,
    Array,
    on_bad_release,
)

# A session starts at least this long before the window ends, so that its events lie inside.
LONGEST_SESSION = 3 * HOUR
# A late line arrives no later than this after the start of its session, or after its own time.
LONGEST_DELAY = 3 * DAY

# The catalogue grows with the number of events, between a fewest and a most.
EVENTS_PER_VIDEO, FEWEST_VIDEOS, MOST_VIDEOS = 600, 12, 20_000
# Videos missing from videos.csv: the first, and how often one follows.
FIRST_UNLISTED, UNLISTED_EVERY = 11, 97
# The power draws picks towards the first videos; a small share of sessions has no video.
POPULARITY_POWER, NO_VIDEO = 1.8, 0.015

# First guess at the users needed for the events, doubled until it is enough.
EVENTS_PER_USER, SPARE_USERS = 48, 4
# Events per session: the fewest, and the mean of the Poisson number beyond them.
FEWEST_EVENTS, MORE_EVENTS = 4, 4.0
# Only sessions with a third event have a watch_time event to carry seconds.
FEWEST_EVENTS_TO_WATCH = 3

# Share of users not retained who never come again; the others have 1 / P more sessions on average.
ONE_SESSION_ONLY, MORE_SESSIONS_P = 0.4, 0.2
# Hours between sessions: the least, and the mean of the exponential wait beyond it.
LEAST_WAIT_H, MORE_WAIT_H = 3, 36.0
# The same before the second session of a user who is not retained: safely beyond 72 hours.
LEAST_ABSENCE_H, MORE_ABSENCE_H = 73, 60.0
# Hours before a retained user's second session: from the least over a span, beta-distributed.
LEAST_RETURN_H, RETURN_SPAN_H, RETURN_BETA = 2, 69, (1.2, 2.5)
# Share of retained users who return after exactly 72 hours, which is still in time.
ON_THE_LIMIT = 0.01
# Users arrive early in the window rather than late; a share of them starts on whole minutes.
ARRIVAL_POWER, ON_THE_MINUTE = 1.5, 0.05

# Releases already out at the start, less one; the chance that a user runs the newest of a day.
FIRST_NEWEST, UP_TO_DATE_P = 2, 0.6
# Share of sessions on the user's usual network, one of the first USUAL_NETWORKS.
ON_USUAL_NETWORK, USUAL_NETWORKS = 0.6, 3
# Share of users whose session ids count 1, 2, ...
COUNTED_SESSIONS = 0.33
# Seconds watched beyond a drop-off are log-normal, with this sigma and up to the longest.
WATCH_SIGMA, LONGEST_WATCH_S = 1.3, 7_110

# A session. `ordinal` is 0 for its user's first, `video` and `next_video` are -1 for none, `due` is
# when a late session arrives and 0 for one that is not late, `number` gives the id: the ordinal
# from 1 where `counted`, else a number of its own.
SESSION = np.dtype(
    {
        "names": (
            *("start", "due", "user", "ordinal", "number", "events", "watch_s"),
            *("video", "next_video", "version", "network", "counted"),
        ),
        "formats": (*("i8", "i8", "i4", "i4", "i4", "i4", "i4"), *("i4", "i4", "i1", "i1", "?")),
    },
    align=True,
)


@dataclass(frozen=True)
class Plan:
    """Numbers of device and country per user, of the genre per video, and sessions by start.

    The last place of `genre` stands for no video, so that video -1 finds it. A video is listed in
    videos.csv if its genre is known.
    """

    days: int
    device: Array
    country: Array
    genre: Array
    sessions: Array

    @property
    def end(self) -> int:
        """The first moment after the window."""
        return BEGIN + self.days * DAY


def planned(rng: Generator, events: int, days: int, late: float) -> Plan:
    """A plan whose sessions hold exactly `events` events, a share `late` of them arriving late."""
    end = BEGIN + days * DAY
    genre = _genres(rng, min(max(events // EVENTS_PER_VIDEO, FEWEST_VIDEOS), MOST_VIDEOS))
    sessions = _histories(rng, genre, events, end)
    user, start, count = sessions["user"], sessions["start"], len(sessions)
    users = int(user[-1]) + 1
    device = rng.choice(len(DEVICES), users, p=[share for _, share in DEVICES.values()])
    sessions["version"] = _versions(rng, user, (start - BEGIN) / (end - BEGIN))
    bad = on_bad_release(device[user], sessions["version"])
    watched_s = _watched_s(rng, bad, sessions["video"] >= 0)
    sessions["watch_s"] = np.where(sessions["events"] < FEWEST_EVENTS_TO_WATCH, 0, watched_s)
    usual = rng.random(count) < ON_USUAL_NETWORK
    other = rng.integers(0, len(NETWORKS), count)
    sessions["network"] = np.where(usual, user % USUAL_NETWORKS, other)
    due = late_due(rng, start + LONGEST_SESSION, start + LONGEST_DELAY, end)
    sessions["due"] = np.where(rng.random(count) < late, due, 0)
    order = np.argsort(start, kind="stable")
    sessions = sessions[order]
    country = rng.integers(0, len(COUNTRIES), users, np.int8)
    sessions["next_video"] = _picked_videos(rng, count, len(genre) - 1)
    sessions["counted"] = (rng.random(users) < COUNTED_SESSIONS)[sessions["user"]]
    sessions["number"] = np.where(sessions["counted"], sessions["ordinal"] + 1, order)
    return Plan(days, device, country, genre, sessions)


def late_due(rng: Generator, after: Array, until: Array, end: int) -> Array:
    """A time of late delivery, on a day after `after` if the window has several; 0 if none is left.

    It comes before `until` and before `end`, the end of the window.
    """
    earliest = after - after % DAY + DAY if end - BEGIN > DAY else after
    latest = np.minimum(until, end - 1)
    due = earliest + (rng.random(len(after)) * (latest - earliest)).astype(np.int64)
    return np.where(earliest < latest, due, 0)


def _genres(rng: Generator, videos: int) -> Array:
    """The genre of each video, and in a last place that of no video."""
    genre = rng.choice(len(GENRES), videos + 1, p=[share for share, _ in GENRES.values()])
    genre[FIRST_UNLISTED::UNLISTED_EVERY] = UNKNOWN_GENRE
    genre[-1] = UNKNOWN_GENRE
    return genre


def _histories(rng: Generator, genre: Array, events: int, end: int) -> Array:
    """Sessions user by user; the last user is cut short where the events are spent."""
    users, videos, ends = events // EVENTS_PER_USER + SPARE_USERS, len(genre) - 1, np.zeros(1)
    while ends[-1] < events:
        users *= 2
        opening = _picked_videos(rng, users, videos)
        sessions = _sessions(rng, RETAINED[genre[opening]], end)
        sessions["events"] = FEWEST_EVENTS + rng.poisson(MORE_EVENTS, len(sessions))
        ends = np.cumsum(sessions["events"])
    last = int(np.searchsorted(ends, events))
    sessions = sessions[: last + 1]
    sessions["events"][-1] -= ends[last] - events
    sessions["video"] = _picked_videos(rng, len(sessions), videos)
    opens = sessions["ordinal"] == 0
    sessions["video"][opens] = opening[: opens.sum()]
    return sessions


def _picked_videos(rng: Generator, count: int, videos: int) -> Array:
    """Video numbers, a few of them popular; -1 is a session without a video."""
    picked = (rng.random(count) ** POPULARITY_POWER * videos).astype(np.int32)
    picked[rng.random(count) < NO_VIDEO] = -1
    return picked


def _sessions(rng: Generator, retained: Array, end: int) -> Array:
    """User, ordinal and start of each session inside the window, for users with these chances."""
    users = len(retained)
    returns = rng.random(users) < retained
    once = ~returns & (rng.random(users) < ONE_SESSION_ONLY)
    size = 1 + np.where(once, 0, rng.geometric(MORE_SESSIONS_P, users))
    user = np.repeat(np.arange(users), size)
    first = np.cumsum(size) - size
    ordinal = np.arange(len(user)) - first[user]
    gap = _gaps(rng, returns, user, ordinal)
    window_ms = (end - BEGIN - LONGEST_SESSION) // 1000
    gap[first] = (rng.random(users) ** ARRIVAL_POWER * window_ms).astype(np.int64) * 1000
    on_the_minute = (rng.random(users) < ON_THE_MINUTE)[user]
    gap[on_the_minute] -= gap[on_the_minute] % MINUTE
    total = np.cumsum(gap)
    start = BEGIN + total - (total - gap)[first][user]
    kept = start < end - LONGEST_SESSION
    sessions = np.zeros(int(kept.sum()), SESSION)
    sessions["user"], sessions["ordinal"], sessions["start"] = (
        user[kept],
        ordinal[kept],
        start[kept],
    )
    return sessions


def _gaps(rng: Generator, returns: Array, user: Array, ordinal: Array) -> Array:
    """Time since the user's session before, in whole milliseconds; of no meaning for a first."""
    users = len(returns)
    hours = LEAST_WAIT_H + rng.exponential(MORE_WAIT_H, len(user))
    on_the_limit = rng.random(users) < ON_THE_LIMIT
    within = LEAST_RETURN_H + RETURN_SPAN_H * rng.beta(*RETURN_BETA, users)
    soon = np.where(on_the_limit, RETENTION_WINDOW / HOUR, within)
    absent = LEAST_ABSENCE_H + rng.exponential(MORE_ABSENCE_H, users)
    hours[ordinal == 1] = np.where(returns, soon, absent)[user[ordinal == 1]]
    gaps: Array = (hours * (HOUR // 1000)).astype(np.int64) * 1000
    return gaps


def _versions(rng: Generator, user: Array, elapsed: Array) -> Array:
    """Versions follow one another; each user lags behind the newest by a number of releases."""
    newest = FIRST_NEWEST + (elapsed * (len(VERSIONS) - FIRST_NEWEST)).astype(np.int64)
    lag = rng.geometric(UP_TO_DATE_P, int(user[-1]) + 1) - 1
    version: Array = np.maximum(newest - lag[user], 0)
    return version


def _watched_s(rng: Generator, bad: Array, has_video: Array) -> Array:
    """Seconds watched per session: none without a video, else a drop-off or log-normal.

    A session without a video is a drop-off too, so those with one drop off by that much less.
    """
    count = len(bad)
    without = 1 - has_video.mean()
    rate = np.where(bad, BAD_DROPOFF, USUAL_DROPOFF)
    with_video = max(1 - without, 1e-9)  # never zero, to divide by
    drops = rng.random(count) < (rate - without) / with_video
    reach = USUAL_REACH / (1 - USUAL_DROPOFF)
    mu = np.log(REACH_S - DROPOFF_S) - WATCH_SIGMA * NormalDist().inv_cdf(1 - reach)
    beyond = np.minimum(rng.lognormal(mu, WATCH_SIGMA, count), LONGEST_WATCH_S - DROPOFF_S)
    short = rng.integers(0, DROPOFF_S, count)
    return np.where(has_video, np.where(drops, short, DROPOFF_S + beyond), 0)
