"""The dimension files beside the events: users.csv, videos.csv and devices.csv."""

import csv
from pathlib import Path

import numpy as np
from numpy.random import Generator

from streampro.viewing.synthetic.dirt import padded
from streampro.viewing.synthetic.ids import user_ids, video_ids
from streampro.viewing.synthetic.plan import Plan
from streampro.viewing.synthetic.truth import Books
from streampro.viewing.synthetic.world import BEGIN, DAY, DEVICES, GENRE_NAMES, UNKNOWN_GENRE

USER_COLUMNS = ("user_id", "signup_date", "subscription_tier", "age_group", "gender")
VIDEO_COLUMNS = ("video_id", "title", "genre", "duration_seconds")
DEVICE_COLUMNS = ("device", "device_model", "os_version")
TIERS = ("free", "free", "basic", "premium", "")
AGES = ("13-17", "18-24", "25-34", "35-44", "45-54", "55+", "")
GENDERS = ("female", "male", "other", "")
TITLES = ("Episode {}", "Café {}", "Top {}, ranked", 'The "Real" {}', "Part {}\nUncut", "旅 {}")

# Users with events and without a row: the first, and how often one follows.
FIRST_UNKNOWN, UNKNOWN_EVERY = 7, 200
# For so many users with events there is one with a row and no event.
IDLE_EVERY = 50
# Days from sign-up to the first session are geometric, with this chance per day.
FIRST_SESSION_P = 0.005
# Seconds a video lasts beyond the least are log-normal, with this mu and sigma, up to the longest.
LEAST_VIDEO_S, VIDEO_MU, VIDEO_SIGMA, LONGEST_VIDEO_S = 5, 5.5, 1.0, 7_200
# Dates and numbers that cannot be read.
UNREADABLE = ("n/a", "2025-02-30", "31.12.2025", "4:30")
# Kinds of dirt in a file, each with the same number of rows.
KINDS = 5


def write_dimensions(out: Path, rng: Generator, plan: Plan, dirt: float) -> tuple[Books, Books]:
    """How users.csv and videos.csv, which this writes to `out` beside devices.csv, are read."""
    devices = [[name, f"{name} ({device.system})", "1.0"] for name, device in DEVICES.items()]
    _write_csv(out / "devices.csv", DEVICE_COLUMNS, devices)
    users, user_books = _soiled(rng, _users(rng, plan), dirt, USER_COLUMNS, typed=1, free=3)
    _write_csv(out / "users.csv", USER_COLUMNS, users)
    videos, video_books = _soiled(rng, _videos(rng, plan), dirt, VIDEO_COLUMNS, typed=3, free=1)
    _write_csv(out / "videos.csv", VIDEO_COLUMNS, videos)
    return user_books, video_books


def _users(rng: Generator, plan: Plan) -> list[list[str]]:
    """A row per known user, and some of users who never watched."""
    first = plan.sessions[plan.sessions["ordinal"] == 0]
    users = len(plan.device)
    number = np.arange(users + users // IDLE_EVERY + 1)
    sign_up = np.full(len(number), BEGIN // DAY)
    sign_up[first["user"]] = first["start"] // DAY
    sign_up -= rng.geometric(FIRST_SESSION_P, len(number))
    dates = np.datetime_as_string(sign_up.astype("datetime64[D]")).tolist()
    traits = [rng.choice(words, len(number)).tolist() for words in (TIERS, AGES, GENDERS)]
    rows = zip(user_ids(number).to_pylist(), dates, *traits, strict=True)
    known = (number % UNKNOWN_EVERY != FIRST_UNKNOWN) | (number >= users)
    return [list(row) for row, listed in zip(rows, known.tolist(), strict=True) if listed]


def _videos(rng: Generator, plan: Plan) -> list[list[str]]:
    """A row per video whose genre is known."""
    seconds = LEAST_VIDEO_S + rng.lognormal(VIDEO_MU, VIDEO_SIGMA, len(plan.genre))
    seconds = np.minimum(seconds, LONGEST_VIDEO_S).astype(int)
    listed = np.flatnonzero(plan.genre != UNKNOWN_GENRE)
    genres, ids = plan.genre[listed].tolist(), video_ids(listed).to_pylist()
    places = zip(listed.tolist(), ids, genres, seconds[listed].tolist(), strict=True)
    return [
        [video_id, TITLES[i % len(TITLES)].format(i), GENRE_NAMES[genre], str(duration)]
        for i, video_id, genre, duration in places
    ]


def _soiled(
    rng: Generator,
    rows: list[list[str]],
    dirt: float,
    columns: tuple[str, ...],
    *,
    typed: int,
    free: int,
) -> tuple[list[list[str]], Books]:
    """The rows with dirt of each kind, every kind on other keys, and how they are read.

    `typed` is the place of the column that must parse, `free` that of a column of text; the key
    is the first. Rows are padded, unreadable, repeated, repeated with another text, or added
    without a key.
    """
    per = min(max(1, round(len(rows) * dirt / KINDS)), len(rows)) if dirt else 0
    picked = [rows[i] for i in rng.permutation(len(rows))[: 4 * per].tolist()]
    to_pad, unreadable, again, differing = (picked[n * per : (n + 1) * per] for n in range(4))
    extra = [[("", "  ")[n % 2], *rows[n][1:]] for n in range(per)]
    extra += [[padded(row[0], n), *row[1:]] for n, row in enumerate(again)]
    extra += [[*row[:free], f"{row[free]} +", *row[free + 1 :]] for row in differing]
    for n, row in enumerate(to_pad):
        row[:] = [padded(cell, n) for cell in row]
    for n, row in enumerate(unreadable):
        row[typed] = UNREADABLE[n % len(UNREADABLE)]
    place = np.append(np.arange(len(rows)), rng.integers(0, len(rows), len(extra)))
    everything = rows + extra
    mixed = [everything[i] for i in np.argsort(place, kind="stable").tolist()]
    rejected = {f"missing_{columns[0]}": per, "repeated_key": len(differing)}
    return mixed, {
        "lines": len(mixed),
        "accepted": len(rows),
        "duplicates": len(again),
        "rejected": {reason: n for reason, n in rejected.items() if n},
        "warnings": len(unreadable),
    }


def _write_csv(path: Path, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
