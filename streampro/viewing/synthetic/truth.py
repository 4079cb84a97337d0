"""What was planted: how every line is read, and what the sessions amount to."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from streampro.viewing.synthetic.dirt import COPIES, DEFECTS, DUPLICATES, ODDITIES, REASONS
from streampro.viewing.synthetic.plan import Plan
from streampro.viewing.synthetic.world import (
    BAD_DROPOFF,
    BAD_OS,
    BAD_VERSION,
    DROPOFF_S,
    GENRE_NAMES,
    REACH_S,
    RETAINED,
    RETENTION_WINDOW,
    USUAL_DROPOFF,
    USUAL_REACH,
    Array,
    on_bad_release,
)


class Books(TypedDict):
    """How one source is read: lines = accepted + duplicates + all rejected.

    `warnings` counts the dates and numbers of a CSV that cannot be read and become null.
    """

    lines: int
    accepted: int
    duplicates: int
    rejected: dict[str, int]
    warnings: int


@dataclass(frozen=True)
class Truth:
    """What the raw folder holds, as a correct pipeline reads it.

    `late_lines` are readable lines (accepted or duplicate) that were delivered late: with two days
    or more they stand in a file of a later date than their own. `retention`, `reach` (of first
    sessions) and `bad_release` give the planted rate beside the counts that came out; observable
    users are those whose 72 hours end no later than the last event.
    """

    arguments: dict[str, Any]
    events: Books
    users: Books
    videos: Books
    late_lines: int
    user_count: int
    session_count: int
    retention: dict[str, dict[str, float]]
    reach: dict[str, float]
    bad_release: dict[str, Any]


class EventTally:
    """Counts of the defects and late lines in the event files, and the time of the last event."""

    def __init__(self) -> None:
        self.planted = np.zeros(len(DEFECTS), np.int64)
        self.late_lines = 0
        self.last_ts = 0

    def add(self, rows: Array) -> None:
        """Count the rows."""
        self.planted += np.bincount(rows["defect"], minlength=len(DEFECTS))
        readable = np.array([defect in ("", *DUPLICATES, *ODDITIES) for defect in DEFECTS])
        self.late_lines += int((rows["late"] & readable[rows["defect"]]).sum())
        self.last_ts = max(self.last_ts, int(rows["ts"].max(initial=0)))

    def books(self) -> Books:
        """How the lines counted so far are read."""
        planted = dict(zip(DEFECTS, self.planted.tolist(), strict=True))
        rejected: Counter[str] = Counter()
        for defect in COPIES.keys() - DUPLICATES:
            rejected[REASONS.get(defect, defect)] += planted[defect]
        return {
            "lines": sum(planted.values()),
            "accepted": sum(planted[defect] for defect in ("", *ODDITIES)),
            "duplicates": sum(planted[defect] for defect in DUPLICATES),
            "rejected": {reason: n for reason, n in sorted(rejected.items()) if n},
            "warnings": 0,
        }


def retention(plan: Plan, last_ts: int) -> dict[str, dict[str, float]]:
    """Users by the genre of their first video: all, retained, observable at `last_ts`, and both."""
    first, second = (plan.sessions[plan.sessions["ordinal"] == n] for n in (0, 1))
    begins, returns, genre = np.zeros((3, len(plan.device)), np.int64)
    begins[first["user"]] = first["start"]
    returns[second["user"]] = second["start"]
    genre[first["user"]] = plan.genre[first["video"]]
    retained = (returns > 0) & (returns - begins <= RETENTION_WINDOW)
    observable = begins + RETENTION_WINDOW <= last_ts
    return {
        name: {
            "planted": float(RETAINED[number]),
            "users": int(own.sum()),
            "retained_users": int((own & retained).sum()),
            "observable_users": int((own & observable).sum()),
            "observable_retained_users": int((own & observable & retained).sum()),
        }
        for number, name in enumerate(GENRE_NAMES)
        if (own := genre == number).any()
    }


def reach(plan: Plan) -> dict[str, float]:
    """Users, and those whose first session reached 30 seconds."""
    first = plan.sessions["ordinal"] == 0
    return {
        "planted": USUAL_REACH,
        "users": int(first.sum()),
        "reached_users": int((first & (plan.sessions["watch_s"] >= REACH_S)).sum()),
    }


def bad_release(plan: Plan) -> dict[str, Any]:
    """Sessions and drop-offs on the bad release, and on all others."""
    bad = on_bad_release(plan.device[plan.sessions["user"]], plan.sessions["version"])
    drops = plan.sessions["watch_s"] < DROPOFF_S
    return {
        "device_os": BAD_OS,
        "app_version": BAD_VERSION,
        "planted": BAD_DROPOFF,
        "planted_elsewhere": USUAL_DROPOFF,
        "sessions": int(bad.sum()),
        "dropoff_sessions": int((bad & drops).sum()),
        "other_sessions": int((~bad).sum()),
        "other_dropoff_sessions": int((~bad & drops).sum()),
    }
