"""The events of a plan as rows that are not yet text, in the order a collector received them."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from streampro.viewing.synthetic.dirt import COPIES, DEFECTS
from streampro.viewing.synthetic.plan import LONGEST_DELAY, Plan, late_due
from streampro.viewing.synthetic.world import DAY, NAMES, SECOND, Array

# Sessions drawn at a time: bounds memory.
SLICE_SESSIONS = 25_000

OPENS, PLAYS, WATCHES, CLOSES, LIKES, HEARTS, PAUSES, SEEKS, SHARES, SEARCHES = range(len(NAMES))
# What happens inside a session, as often as it stands here.
INNER = np.repeat([WATCHES, LIKES, HEARTS, PAUSES, SEEKS, SHARES], [9, 2, 1, 3, 2, 1])

# The place in a session from which on the next video plays: from the first to before the second.
NEXT_VIDEO_PLACES = (4, 16)
# Shortest time between two events, and the mean of the exponential time beyond it.
LEAST_GAP_MS, MORE_GAP_MS = 200, 4000.0
# Share of events whose time has microseconds below the millisecond.
FINE_TIMES = 0.005
# Share of watch_time events whose seconds may have a decimal, which readers cut off.
DECIMAL_SECONDS = 0.4
# Each watch_time event weighs so much, from the first to before the second, in sharing seconds.
WATCH_WEIGHTS = (1, 100)
# Mean seconds until an event is delivered, and until a copy of it is.
MEAN_JITTER_S, MEAN_RESEND_S = 0.3, 30.0
# Share of copies that are delivered late although their original was not.
LATE_COPIES = 0.2

# An event. `due` is when it is delivered, `video` and `tenths` of seconds watched are -1 for none,
# `style` decides how it is spelled, `defect` is its place in DEFECTS.
ROW = np.dtype(
    {
        "names": ("due", "ts", "session", "video", "tenths", "style", "name", "defect", "late"),
        "formats": ("i8", "i8", "i4", "i4", "i4", "u4", "i1", "i1", "?"),
    },
    align=True,
)


def deliveries(
    rng: Generator, plan: Plan, copies: int, oddities: int, late: bool
) -> Iterator[Array]:
    """Rows in the order of their delivery; what is due after the start of the next slice waits.

    The copies and oddities asked for are spread evenly; copies are delivered late only if `late`.
    """
    starts = plan.sessions["start"]
    done, total = 0, int(plan.sessions["events"].sum())
    waiting = np.empty(0, ROW)
    for low in range(0, len(starts), SLICE_SESSIONS):
        high = min(low + SLICE_SESSIONS, len(starts))
        rows = _drawn(rng, plan, low, high)
        n_copies, n_odd = (
            n * (done + len(rows)) // total - n * done // total for n in (copies, oddities)
        )
        done += len(rows)
        odd = rng.permutation(len(rows))[:n_odd]
        rows["defect"][odd] = rng.integers(1 + len(COPIES), len(DEFECTS), n_odd)
        waiting = np.concatenate([waiting, rows, _copied(rng, plan, rows, n_copies, late)])
        waiting = waiting[np.argsort(waiting["due"], kind="stable")]
        limit = starts[high] if high < len(starts) else plan.end
        ready = int(np.searchsorted(waiting["due"], limit))
        yield waiting[:ready]
        waiting = waiting[ready:]


def _drawn(rng: Generator, plan: Plan, low: int, high: int) -> Array:
    """The clean events of the sessions `low` to `high`, each session's at distinct times."""
    size = plan.sessions["events"][low:high]
    first = np.cumsum(size) - size
    number = np.repeat(np.arange(low, high), size)
    session = np.repeat(plan.sessions[low:high], size)
    place = np.arange(len(number)) - np.repeat(first, size)
    switch = np.repeat(rng.integers(*NEXT_VIDEO_PLACES, high - low), size)
    rows = np.zeros(len(number), ROW)
    rows["session"], rows["name"] = number, _names(rng, session, place, switch)
    watches = rows["name"] == WATCHES
    watched_s = _watched_s(rng, watches, first, session["watch_s"])
    decimal = rng.random(len(rows)) < DECIMAL_SECONDS
    decimals = np.where(decimal, rng.integers(0, 10, len(rows)), 0)
    rows["tenths"] = np.where(watches, 10 * watched_s + decimals, -1)
    rows["ts"] = session["start"] + _passed(rng, watched_s, first, size)
    video = np.where(place >= switch, session["next_video"], session["video"])
    # Every other session names its video from the second event on only.
    shown = (place > 0) | (number % 2 == 0) | (session["events"] == 1)
    rows["video"] = np.where(shown & (session["video"] >= 0), video, -1)
    rows["style"] = _styles(rng, len(rows))
    rows["late"] = session["due"] > 0
    on_time = _same_day(rng, rows["ts"], MEAN_JITTER_S)
    rows["due"] = np.where(rows["late"], session["due"], on_time)
    return rows


def _names(rng: Generator, session: Array, place: Array, switch: Array) -> Array:
    """What happens at each place of a session; the second video starts at `switch`."""
    name = INNER[rng.integers(0, len(INNER), len(session))]
    name[(place == 1) | (place == switch)] = PLAYS
    name[place == 2] = WATCHES
    name[session["video"] < 0] = SEARCHES
    name[(place == session["events"] - 1) & (place >= 3)] = CLOSES
    name[place == 0] = OPENS
    return name


def _watched_s(rng: Generator, watches: Array, first: Array, seconds: Array) -> Array:
    """Whole seconds per event; the watch_time events share the session's seconds."""
    weight = np.cumsum(np.where(watches, rng.integers(*WATCH_WEIGHTS, len(watches)), 0))
    size = np.diff(np.append(first, len(watches)))
    before = np.repeat(weight[first], size)
    total = np.repeat(weight[first + size - 1], size) - before
    passed = seconds * (weight - before) // np.maximum(total, 1)
    watched: Array = np.diff(passed, prepend=0)
    watched[first] = 0
    return watched


def _passed(rng: Generator, watched_s: Array, first: Array, size: Array) -> Array:
    """Microseconds since the start of the session, a few of them not whole milliseconds."""
    count = len(watched_s)
    gap_ms = LEAST_GAP_MS + rng.exponential(MORE_GAP_MS, count).astype(np.int64) + 1000 * watched_s
    total_ms = np.cumsum(gap_ms)
    fine = np.where(rng.random(count) < FINE_TIMES, rng.integers(1, 1000, count), 0)
    fine[first] = 0
    passed: Array = 1000 * (total_ms - np.repeat(total_ms[first], size)) + fine
    return passed


def _copied(rng: Generator, plan: Plan, rows: Array, count: int, late: bool) -> Array:
    """Copies of some rows, to repeat or to spoil, which arrive soon after or on a later day."""
    copies = rows[rng.integers(0, len(rows), count)]
    copies["defect"] = 1 + rng.choice(len(COPIES), count, p=list(COPIES.values()))
    same = copies["defect"] == DEFECTS.index("same")
    copies["style"] = np.where(same, copies["style"], _styles(rng, count))
    soon = _same_day(rng, copies["due"], MEAN_RESEND_S)
    due = late_due(rng, copies["due"], copies["ts"] + LONGEST_DELAY, plan.end)
    again = (due > 0) & (rng.random(count) < LATE_COPIES) & late
    copies["due"] = np.where(again, due, soon)
    copies["late"] |= again
    return copies


def _styles(rng: Generator, count: int) -> Array:
    return rng.integers(0, 2**32, count, np.uint32)


def _same_day(rng: Generator, time: Array, mean_s: float) -> Array:
    """The time after an exponential delay, which ends with the day."""
    delay = rng.exponential(mean_s * SECOND, len(time)).astype(np.int64)
    delayed: Array = np.minimum(time + delay, time - time % DAY + DAY - 1)
    return delayed
