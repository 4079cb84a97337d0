"""The generator tells the truth: an independent reader finds what truth.json says."""

import csv
import dataclasses
import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streampro.errors import ConfigError
from streampro.viewing.synthetic import generate

TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d)?(\.\d{1,9})?"
    r"(Z|[+-]\d\d(?::?\d\d)?)?"
)
NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?")
TEXTS = ("user_id", "session_id", "event_name", "timestamp", "account_id", "video_id")
TEXTS += ("device", "device_os", "app_version", "network_type", "country")
REQUIRED = TEXTS[:4]


def trimmed(value: Any) -> str | None:
    text = json.dumps(value) if isinstance(value, (bool, int, float)) else value
    return (text or "").strip(" \t\r\n") or None


def instant(text: str) -> datetime | None:
    match = TIMESTAMP.fullmatch(text)
    if not match:
        return None
    day, minute, second, fraction, zone = match.groups()
    digits = ((fraction or ".") + "000000")[:7]
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{digits}{zone or 'Z'}")
    except ValueError:
        return None
    return moment.astimezone(UTC) if 1970 <= moment.year <= 2199 else None


def whole(value: Any) -> int | None:
    if isinstance(value, bool) or not NUMBER.fullmatch(str(value)):
        return None
    number = int(float(value))
    return number if -(2**63) <= number < 2**63 else None


def read_line(line: str) -> tuple[Any, ...] | str:
    """The typed row, or the reason for which the line is rejected."""
    try:
        event = json.loads(line)
    except ValueError:
        return "not_a_json_object"
    if not isinstance(event, dict):
        return "not_a_json_object"
    network = event.get("network") or {}
    event = {"network_type": network.get("type"), "country": network.get("country")} | event
    row = {key: trimmed(event.get(key)) for key in TEXTS}
    for key in REQUIRED:
        if row[key] is None:
            return f"missing_{key}"
    moment, value = instant(str(row["timestamp"])), whole(event.get("value"))
    if moment is None:
        return "bad_timestamp"
    if row["event_name"] == "watch_time" and value is not None and value < 0:
        return "negative_watch_time"
    return tuple((row | {"timestamp": moment, "value": value}).values())


def lines_of(raw: Path) -> list[tuple[str, str]]:
    return [
        (path.name, line)
        for path in sorted((raw / "events").iterdir())
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]


def rows_of(path: Path, key: str) -> list[dict[str, str | None]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: trimmed(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def digest(raw: Path) -> str:
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate(folder, events=30_000, days=8, late=0.1, dirt=0.1)
    return folder


@pytest.fixture(scope="module")
def truth(raw: Path) -> Any:
    return json.loads((raw / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def accepted(raw: Path) -> set[tuple[Any, ...]]:
    return {row for _, line in lines_of(raw) if not isinstance(row := read_line(line), str)}


@pytest.mark.slow
def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(tmp_path / name, events=2000, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert (tmp_path / "a/users.csv").read_bytes() != (tmp_path / "c/users.csv").read_bytes()


@pytest.mark.parametrize(("events", "days"), [(1, 1), (10, 365), (1000, 1), (5003, 2)])
@pytest.mark.parametrize("dirt", [0, 0.3, 1])
def test_every_size_has_exactly_the_lines_asked_for(
    tmp_path: Path, events: int, days: int, dirt: float
) -> None:
    seen: list[int] = []
    truth = generate(tmp_path, events=events, days=days, dirt=dirt, late=0.5, progress=seen.append)
    assert len(lines_of(tmp_path)) == truth.events["lines"] == seen[-1] == events
    assert json.loads((tmp_path / "truth.json").read_text("utf-8")) == dataclasses.asdict(truth)


@pytest.mark.slow
def test_an_independent_reader_counts_what_the_truth_says(raw: Path, truth: Any) -> None:
    read = [read_line(line) for _, line in lines_of(raw)]
    rows = Counter(row for row in read if not isinstance(row, str))
    assert truth["events"] == {
        "lines": len(read),
        "accepted": len(rows),
        "duplicates": rows.total() - len(rows),
        "rejected": Counter(row for row in read if isinstance(row, str)),
        "warnings": 0,
    }
    assert len(truth["events"]["rejected"]) == 7
    assert truth["user_count"] == len({row[0] for row in rows})
    assert truth["session_count"] == len({row[:2] for row in rows})


@pytest.mark.parametrize(
    ("table", "key", "typed", "parse"),
    [("users", "user_id", "signup_date", date.fromisoformat),
     ("videos", "video_id", "duration_seconds", int)],
)  # fmt: skip
def test_an_independent_reader_counts_the_dimensions(
    raw: Path, truth: Any, table: str, key: str, typed: str, parse: Any
) -> None:
    rows = rows_of(raw / f"{table}.csv", key)
    unreadable = 0
    for row in rows:
        try:
            parse(row[typed])
        except ValueError:
            row[typed], unreadable = None, unreadable + 1
    keyed = [tuple(row.values()) for row in rows if row[key]]
    keys = {row[0] for row in keyed}
    assert truth[table] == {
        "lines": len(rows),
        "accepted": len(keys),
        "duplicates": len(keyed) - len(set(keyed)),
        "rejected": {
            f"missing_{key}": len(rows) - len(keyed),
            "repeated_key": len(set(keyed)) - len(keys),
        },
        "warnings": unreadable,
    }
    assert min(truth[table]["duplicates"], unreadable, *truth[table]["rejected"].values()) > 0


def test_outcomes_follow_from_the_lines(raw: Path, truth: Any, accepted: Any) -> None:
    genres = {row["video_id"]: row["genre"] for row in rows_of(raw / "videos.csv", "video_id")}
    sessions = defaultdict(list)
    for row in accepted:
        sessions[row[:2]].append(row)
    users: dict[str, list[Any]] = defaultdict(list)
    watched = {}
    for key, events in sessions.items():
        videos = [row[5] for row in sorted(events, key=lambda row: row[3]) if row[5]]
        start = min(row[3] for row in events if row[2] == "session_start")
        watched[key] = sum(row[-1] or 0 for row in events if row[2] == "watch_time")
        users[key[0]].append((start, key, genres.get(videos[0]) if videos else None))
    horizon, wait = max(row[3] for row in accepted), timedelta(hours=72)
    retention: dict[str, Counter[str]] = defaultdict(Counter)
    reached = 0
    for history in users.values():
        (start, key, genre), *later = sorted(history)
        retained = bool(later) and min(later)[0] - start <= wait
        observable = start + wait <= horizon
        retention[genre or "unknown"].update(
            users=1,
            retained_users=retained,
            observable_users=observable,
            observable_retained_users=retained and observable,
        )
        reached += watched[key] >= 30
    for planted in truth["retention"].values():
        planted.pop("planted")
    assert truth["retention"] == retention
    assert truth["reach"] == {"planted": 0.65, "users": len(users), "reached_users": reached}
    bad = {row[:2] for row in accepted if row[7:9] == ("Android", "5.2.0")}
    drops = {key for key, seconds in watched.items() if seconds < 10}
    release = truth["bad_release"]
    assert (release["sessions"], release["dropoff_sessions"]) == (len(bad), len(bad & drops))
    assert release["other_dropoff_sessions"] == len(drops - bad)


@pytest.mark.slow
def test_late_lines_stand_in_a_file_of_a_later_date(raw: Path, truth: Any) -> None:
    late = 0
    for name, line in lines_of(raw):
        row = read_line(line)
        if not isinstance(row, str):
            delay = date.fromisoformat(name[7:17]) - row[3].date()
            assert timedelta(0) <= delay <= timedelta(days=3)
            late += bool(delay)
    assert late == truth["late_lines"] > 1000


def test_without_dirt_and_lateness_every_line_is_accepted_distinct_and_on_time(
    tmp_path: Path,
) -> None:
    truth = generate(tmp_path, events=5000, days=3, dirt=0, late=0)
    named = [(name, read_line(line)) for name, line in lines_of(tmp_path)]
    assert len({row for _, row in named if not isinstance(row, str)}) == 5000
    assert all(name == f"events-{row[3]:%Y-%m-%d}.jsonl" for name, row in named if row)
    assert truth.late_lines == 0
    for books in (truth.events, truth.users, truth.videos):
        assert books["lines"] == books["accepted"]


@pytest.mark.parametrize(("layout", "share"), [("flat", 0), ("nested", 1), ("mixed", 0.5)])
def test_layout_is_the_share_of_nested_lines(tmp_path: Path, layout: Any, share: float) -> None:
    generate(tmp_path, events=4000, dirt=0, layout=layout)
    events = [json.loads(line) for _, line in lines_of(tmp_path)]
    assert sum("network" in event for event in events) / 4000 == pytest.approx(share, abs=0.05)
    assert all(("network" in event) != ("network_type" in event) for event in events)


def test_session_ids_are_unique_per_user_only(accepted: Any) -> None:
    assert len({row[1] for row in accepted}) < len({row[:2] for row in accepted})


def test_some_users_and_videos_of_events_have_no_row(raw: Path, accepted: Any) -> None:
    for table, key, place in (("users", "user_id", 0), ("videos", "video_id", 5)):
        known = {row[key] for row in rows_of(raw / f"{table}.csv", key)}
        assert {row[place] for row in accepted if row[place]} - known


@pytest.mark.slow
def test_planted_rates_show(tmp_path: Path) -> None:
    truth = generate(tmp_path, events=150_000)
    rate = {
        genre: found["observable_retained_users"] / found["observable_users"]
        for genre, found in truth.retention.items()
    }
    assert rate["News"] < rate["Music"] < rate["Gaming"] < rate["Drama"]
    assert rate["Drama"] == pytest.approx(0.55, abs=0.06)
    bad = truth.bad_release
    assert bad["dropoff_sessions"] / bad["sessions"] == pytest.approx(0.45, abs=0.05)
    assert bad["other_dropoff_sessions"] / bad["other_sessions"] == pytest.approx(0.12, abs=0.02)
    assert truth.reach["reached_users"] / truth.reach["users"] == pytest.approx(0.64, abs=0.04)


@pytest.mark.parametrize(
    "wrong",
    [{"events": 0}, {"events": -5}, {"seed": -1}, {"days": 0}, {"days": 366}, {"late": 1.1},
     {"dirt": -0.1}, {"dirt": float("nan")}, {"layout": "deep"}],
    ids=str,
)  # fmt: skip
def test_an_argument_out_of_range_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        generate(tmp_path / "raw", **{"events": 10, **wrong})
    assert not (tmp_path / "raw").exists()


def test_a_folder_with_files_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        generate(tmp_path, events=10)
