"""The invented platform: its genres, devices and releases, and the rates planted in them."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Times are microseconds since 1970 in UTC.
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN = int(START.timestamp()) * SECOND

# A user is retained whose second session starts no later than this after the first.
RETENTION_WINDOW = 72 * HOUR


class Genre(NamedTuple):
    """Its share of the videos, and of the users it retains when it opens their first session."""

    share: float
    retained: float


class Device(NamedTuple):
    """Its operating system, and its share of the users."""

    system: str
    share: float


GENRES = {
    "Comedy": Genre(0.22, 0.38),
    "Gaming": Genre(0.18, 0.47),
    "Music": Genre(0.15, 0.30),
    "Drama": Genre(0.12, 0.55),
    "Sport": Genre(0.10, 0.26),
    "News": Genre(0.08, 0.15),
    "Food, Travel": Genre(0.07, 0.34),
    "Science": Genre(0.05, 0.43),
    "Telenovela Clásica": Genre(0.03, 0.20),
}
# The genre of a session without a video, or with one that videos.csv does not list.
UNKNOWN_GENRE = len(GENRES)
GENRE_NAMES = (*GENRES, "unknown")
RETAINED = np.array([*(genre.retained for genre in GENRES.values()), 0.30])

DEVICES = {
    "Pixel 8": Device("Android", 0.15),
    "Galaxy S23": Device("Android", 0.14),
    "Galaxy A14": Device("Android", 0.12),
    "Redmi Note 12": Device("Android", 0.09),
    "iPhone 15": Device("iOS", 0.13),
    "iPhone 12": Device("iOS", 0.10),
    "iPad Air": Device("iOS", 0.05),
    "Surface Pro": Device("Windows", 0.06),
    "ThinkPad T14": Device("Windows", 0.04),
    "MacBook Air": Device("macOS", 0.05),
    "Apple TV 4K": Device("tvOS", 0.03),
    "Fire TV Stick": Device("Fire OS", 0.04),
}
VERSIONS = ("4.8.0", "4.9.0", "5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0", "5.10.0")
NETWORKS = ("wifi", "4g", "5g", "ethernet")
COUNTRIES = ("DE", "US", "BR", "IN", "FR", "GB", "NG", "JP", "PL", "MX", "TR", "NO")

NAMES = (
    *("session_start", "video_start", "watch_time", "session_end"),
    *("like", "heart", "pause", "seek", "share", "search"),
)

# A session drops off below DROPOFF_S seconds watched; a first session reaches from REACH_S on.
DROPOFF_S, REACH_S = 10, 30
USUAL_DROPOFF, USUAL_REACH = 0.12, 0.65

# The release that was planted as bad: sessions of this version on this system drop off more often.
BAD_OS, BAD_VERSION, BAD_DROPOFF = "Android", "5.2.0", 0.45


def on_bad_release(device: Array, version: Array) -> Array:
    """Whether each session, of these numbers of device and version, ran the bad release."""
    systems = np.array([system for system, _ in DEVICES.values()])
    bad: Array = (systems[device] == BAD_OS) & (version == VERSIONS.index(BAD_VERSION))
    return bad
