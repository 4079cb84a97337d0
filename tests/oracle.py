"""What every table must hold, computed in plain Python from the written rules alone.

This module shares no code with the package and never imports it. Its rules are those of the
semantics document; where that is silent the choice is named beside the constant or function.
Rows are dicts in contract column order, in no particular row order.
"""

import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Books = dict[str, int]

USER_COLUMNS = ["user_id", "signup_date", "subscription_tier", "age_group", "gender"]
VIDEO_COLUMNS = ["video_id", "title", "genre", "duration_seconds"]
FIRST_OF_SESSION = ["account_id", "device", "device_os", "app_version", "network_type", "country"]

DIMENSIONS = {
    "device_os": ("device_os",),
    "app_version": ("app_version",),
    "device_os x app_version": ("device_os", "app_version"),
}
RETENTION = timedelta(hours=72)

# Every other character a reader might call white space is text and stays.
TRIMMED = " \t\r\n"

TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-5][0-9])"
    r"(?::([0-5][0-9])(?:\.([0-9]{1,9}))?)?"
    r"(?:Z|([+-])([01][0-9]|2[0-3])(?::?([0-5][0-9]))?)?"
)
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
EVENT_YEARS = range(1970, 2200)
SIGNUP_YEARS = range(1900, 2200)

INTEGER = re.compile(r"([+-]?)0*([0-9]+)")
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:e[+-]?[0-9]+)?")
INT64_END = 2**63
INT64_DIGITS = 19

# A complete value stands before a bracket that closes its object, or before the next key, or
# last. Whatever else mentions the key is masked to the end.
_GAP = r"[ \t\r\n\f\v]*"
_NAME = r"(?:[iI]|\\u00[46]9)(?:[pP]|\\u00[57]0)"
_TEXT = r"""(?:"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*')"""
_COMPLETE = (
    rf"""(?:"{_NAME}"|'{_NAME}'|(?P<open>[{{, ]){_NAME}){_GAP}:{_GAP}(?:{_TEXT}|[A-Za-z0-9_.+-]+)"""
    rf"""(?={_GAP}(?:,{_GAP}(?:{_TEXT}|[A-Za-z_][A-Za-z0-9_]*){_GAP}:"""
    rf"""|(?:,{_GAP})?(?:\Z|\}}[}}\] \t\r\n\f\v]*(?:,|\Z))))"""
)
_MENTION = (
    rf"""(?:(?P<bare>[{{, ])(?={_NAME}{_GAP}:)|["'\\]{{1,9}}|\\[bfnrt]|\\u[0-9A-Fa-f]{{4}}"""
    rf"""|[^A-Za-z0-9_"'\\]|\A){_NAME}(?![A-Za-z0-9_])(?=[\s\S]*[^"'\\}}\] \t\r\n\f\v])[\s\S]*"""
)
IP = re.compile(f"{_COMPLETE}|{_MENTION}")
MASKED_IP = r'\g<open>\g<bare>"ip":"***"'

# Eats escapes left to right, whole pairs first, so group 1 is set by a lone surrogate only.
ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|[\s\S])"
)

BLANK_CSV_LINE = re.compile(r"[ \t\r]*(?:\n|\Z)")
CSV_FIELD = re.compile(r'(?:"([^"]*(?:""[^"]*)*)(?:"|\Z))?([^,\n]*)(,|\n|\Z)')


@dataclass(frozen=True)
class Tables:
    """Every table of one full run, and the books of its three sources."""

    events: list[Row]
    events_rejected: list[Row]
    users: list[Row]
    users_rejected: list[Row]
    videos: list[Row]
    videos_rejected: list[Row]
    user_sessions: list[Row]
    fact_user_session: list[Row]
    q1_engagement: list[Row]
    q2_retention: list[Row]
    q3_dropoff: list[Row]
    books: dict[str, Books]


def read(raw: Path) -> Tables:
    """The tables a run over the raw folder must build.

    Raises FileNotFoundError for a missing file, ValueError for a missing column.
    """
    events, events_rejected, event_books = _events(raw)
    users, users_rejected, user_books = _dimension(raw / "users.csv", USER_COLUMNS)
    videos, videos_rejected, video_books = _dimension(raw / "videos.csv", VIDEO_COLUMNS)
    sessions = _user_sessions(events, users, videos)
    facts = _facts(sessions)
    horizon = max((event["event_ts"] for event in events), default=None)
    return Tables(
        events=events,
        events_rejected=events_rejected,
        users=users,
        users_rejected=users_rejected,
        videos=videos,
        videos_rejected=videos_rejected,
        user_sessions=sessions,
        fact_user_session=facts,
        q1_engagement=_engagement(facts),
        q2_retention=_retention(facts, horizon),
        q3_dropoff=_dropoff(facts),
        books={"events": event_books, "users": user_books, "videos": video_books},
    )


def _events(raw: Path) -> tuple[list[Row], list[Row], Books]:
    """Accepted events, rejected lines (one row a line, never merged) and their books."""
    books = {"lines": 0, "accepted": 0, "duplicates": 0, "rejected": 0}
    accepted: dict[tuple[Any, ...], Row] = {}
    rejected: list[Row] = []
    for path in _event_files(raw):
        source_file = path.relative_to(raw).as_posix()
        for line in _lines(path):
            books["lines"] += 1
            event = _event(line)
            if isinstance(event, str):
                books["rejected"] += 1
                rejected.append(_reject(event, _kept(line), source_file))
            elif tuple(event.values()) in accepted:
                books["duplicates"] += 1
            else:
                books["accepted"] += 1
                accepted[tuple(event.values())] = event
    return list(accepted.values()), rejected, books


def _event_files(raw: Path) -> list[Path]:
    patterns = ("events*.jsonl", "events*.jsonl.gz")
    files = [
        path
        for folder in (raw, raw / "events")
        for pattern in patterns
        for path in folder.glob(pattern)
        if path.is_file()
    ]
    if not files:
        raise FileNotFoundError(f"no events*.jsonl or events*.jsonl.gz in {raw} or {raw}/events")
    return sorted(files)


def _lines(path: Path) -> Iterator[str]:
    """The lines that are not blank, each without its LF and one CR before it."""
    for line in _file_text(path).split("\n"):
        if line.strip(TRIMMED):
            yield line.removesuffix("\r")


def _file_text(path: Path) -> str:
    """The file's text without a byte order mark; bytes that are not UTF-8 are U+FFFD."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return content.decode("utf-8", errors="replace").removeprefix("\ufeff")


def _kept(line: str) -> str:
    """What is kept of a rejected line: of one that is no text, length and digest."""
    if "\0" in line:
        digest = hashlib.md5(line.encode()).hexdigest()
        return f"text with NUL, {len(line)} characters, MD5 {digest}"
    return IP.sub(MASKED_IP, line)


def _event(line: str) -> Row | str:
    """The twelve typed columns of a line, or the first reason to reject it."""
    if "\0" in line:
        return "not_utf8_text"
    fields = _json_object(line)
    if fields is None:
        return "not_a_json_object"
    for column in ("user_id", "session_id", "event_name", "timestamp"):
        if _text(fields.get(column)) is None:
            return f"missing_{column}"
    event_ts = _instant(_text(fields["timestamp"]) or "")
    if event_ts is None:
        return "bad_timestamp"
    event_name = _text(fields["event_name"])
    value = _integer(fields.get("value"))
    if event_name == "watch_time" and value is not None and value < 0:
        return "negative_watch_time"
    network = fields.get("network")
    nested = network if isinstance(network, dict) else {}
    return {
        "event_ts": event_ts,
        "account_id": _text(fields.get("account_id")),
        "user_id": _text(fields["user_id"]),
        "video_id": _text(fields.get("video_id")),
        "session_id": _text(fields["session_id"]),
        "event_name": event_name,
        "value": value,
        "device": _text(fields.get("device")),
        "device_os": _text(fields.get("device_os")),
        "app_version": _text(fields.get("app_version")),
        "network_type": _text(fields.get("network_type")) or _text(nested.get("type")),
        "country": _text(fields.get("country")) or _text(nested.get("country")),
    }


class _NumberText(str):
    """A JSON number's text as written, exponents by a small e."""


def _json_object(line: str) -> dict[str, Any] | None:
    """The line's JSON object; None for anything else, NaN, Infinity and lone surrogates."""
    try:
        fields = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    if "\\u" in line and any(escape[1] for escape in ESCAPE.finditer(line)):
        return None
    return fields


def _first_of_each_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        fields.setdefault(key, value)
    return fields


def _refuse_constant(token: str) -> Any:
    raise ValueError(f"{token} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_of_each_key,
    parse_int=lambda token: _NumberText("0" if token == "-0" else token),
    parse_float=lambda token: _NumberText(token.lower()),
    parse_constant=_refuse_constant,
)


def _text(value: Any) -> str | None:
    """The trimmed text of a JSON scalar; None when null, no scalar or nothing is left."""
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip(TRIMMED) or None if isinstance(value, str) else None


def _instant(text: str) -> datetime | None:
    """The UTC instant of a timestamp; the year gate is on the year as written."""
    match = TIMESTAMP.fullmatch(text)
    if match is None or int(match[1]) not in EVENT_YEARS:
        return None
    year, month, day, hour, minute = map(int, match.groups()[:5])
    second, microsecond = int(match[6] or 0), int((match[7] or "")[:6].ljust(6, "0"))
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
    except ValueError:
        return None
    offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
    return local + offset if match[8] == "-" else local - offset


def _integer(value: Any) -> int | None:
    """The int64 of a JSON number or a text in the grammar, truncated toward zero."""
    text = value.strip(TRIMMED) if isinstance(value, str) else ""
    plain = INTEGER.fullmatch(text)
    if plain:
        exact = int(plain[1] + plain[2]) if len(plain[2]) <= INT64_DIGITS else INT64_END
        return exact if -INT64_END <= exact < INT64_END else None
    number = float(text) if NUMBER.fullmatch(text) else float("inf")
    return int(number) if -INT64_END <= number < INT64_END else None


def _date(text: str) -> date | None:
    match = DATE.fullmatch(text.strip(TRIMMED))
    if match is None or int(match[1]) not in SIGNUP_YEARS:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _dimension(path: Path, columns: list[str]) -> tuple[list[Row], list[Row], Books]:
    """One row per key (the first column), the rejected records and their books."""
    books = {"lines": 0, "accepted": 0, "duplicates": 0, "rejected": 0}
    accepted: list[Row] = []
    rejected: list[Row] = []
    smallest_raw: dict[str, dict[tuple[Any, ...], str]] = defaultdict(dict)
    for fields, raw_line in _csv_records(path, columns):
        books["lines"] += 1
        if "\0" in raw_line:
            books["rejected"] += 1
            rejected.append(_reject("not_utf8_text", _kept(raw_line), path.name))
            continue
        row = tuple(_csv_value(name, fields[name]) for name in columns)
        if row[0] is None:
            books["rejected"] += 1
            rejected.append(_reject(f"missing_{columns[0]}", raw_line, path.name))
            continue
        copies = smallest_raw[row[0]]
        if row in copies:
            books["duplicates"] += 1
        copies[row] = min(copies.get(row, raw_line), raw_line)
    for copies in smallest_raw.values():
        winner, *losers = sorted(copies, key=_nulls_last)
        books["accepted"] += 1
        accepted.append(dict(zip(columns, winner, strict=True)))
        for loser in losers:
            books["rejected"] += 1
            rejected.append(_reject("repeated_key", copies[loser], path.name))
    return accepted, rejected, books


def _csv_value(column: str, field: str) -> Any:
    if column == "signup_date":
        return _date(field)
    return _integer(field) if column == "duration_seconds" else _text(field)


def _csv_records(path: Path, columns: list[str]) -> Iterator[tuple[dict[str, str], str]]:
    """Each record's wanted fields as read, and its text rewritten with minimal quoting.

    Of a header name that repeats the first column counts; further fields are in the text only.
    """
    records = _csv_fields(_file_text(path))
    header = [name.strip(TRIMMED) for name in next(records, [])]
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(f"{path} misses the columns {missing}; it has {header}")
    position = {name: header.index(name) for name in columns}
    for fields in records:
        full = fields[: len(header)] + [""] * (len(header) - len(fields))
        yield {name: full[position[name]] for name in columns}, ",".join(map(_csv_quoted, fields))


def _csv_fields(text: str) -> Iterator[list[str]]:
    """The fields of each record. A lone CR is text, since records end at LF only.

    Written out because csv.reader fails on a lone CR and cannot tell a blank line from `""`.
    """
    record: list[str] = []
    position = 0
    while position < len(text) or record:
        blank = BLANK_CSV_LINE.match(text, position)
        if blank and not record:
            position = blank.end()
            continue
        match = CSV_FIELD.match(text, position)
        assert match is not None  # every alternative may be empty and the delimiter may be \Z
        quoted, plain, delimiter = match.groups(default="")
        if delimiter != ",":
            plain = plain.removesuffix("\r")
        record.append(quoted.replace('""', '"') + plain)
        position = match.end()
        if delimiter != ",":
            yield record
            record = []


def _csv_quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"' if re.search(r'[,"\r\n]', field) else field


def _nulls_last(row: tuple[Any, ...]) -> tuple[tuple[bool, Any], ...]:
    return tuple((value is None, value) for value in row)


def _reject(reason: str, raw_line: str, source_file: str) -> Row:
    return {"reject_reason": reason, "raw_line": raw_line, "source_file": source_file}


def _user_sessions(events: list[Row], users: list[Row], videos: list[Row]) -> list[Row]:
    """One row per (user_id, session_id)."""
    events_of: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for event in events:
        events_of[event["user_id"], event["session_id"]].append(event)
    user_of = {user["user_id"]: user for user in users}
    video_of = {video["video_id"]: video for video in videos}
    sessions = []
    for (user_id, session_id), members in events_of.items():
        first_video_id = _earliest(members, "video_id")
        user, video = user_of.get(user_id, {}), video_of.get(first_video_id, {})
        names = {event["event_name"] for event in members}
        watched = (event["value"] or 0 for event in members if event["event_name"] == "watch_time")
        session = {
            "user_id": user_id,
            "session_id": session_id,
            "session_start_ts": min(_instants(members, "session_start")),
            "session_end_ts": max(_instants(members, "session_end")),
            "event_count": len(members),
            "total_watch_time_s": sum(watched),
            "has_like": "like" in names,
            "has_heart": "heart" in names,
            **{column: _earliest(members, column) for column in FIRST_OF_SESSION},
            "first_video_id": first_video_id,
            "first_video_title": video.get("title"),
            "first_genre": video.get("genre"),
            "first_video_duration_s": video.get("duration_seconds"),
            **{column: user.get(column) for column in USER_COLUMNS[1:]},
        }
        sessions.append(session)
    for numbered in _by_user(sessions):
        for number, session in enumerate(numbered, start=1):
            session["session_number"] = number
    return sessions


def _instants(events: list[Row], event_name: str) -> list[datetime]:
    """The instants of the events so named, of all events where there are none."""
    named = [event["event_ts"] for event in events if event["event_name"] == event_name]
    return named or [event["event_ts"] for event in events]


def _earliest(events: list[Row], column: str) -> str | None:
    known = ((event["event_ts"], event[column]) for event in events if event[column] is not None)
    return min(known, default=(None, None))[1]


def _by_user(sessions: list[Row]) -> Iterable[list[Row]]:
    """Each user's sessions by (session_start_ts, session_id)."""
    sessions_of: dict[str, list[Row]] = defaultdict(list)
    for session in sorted(sessions, key=lambda row: (row["session_start_ts"], row["session_id"])):
        sessions_of[session["user_id"]].append(session)
    return sessions_of.values()


def _facts(sessions: list[Row]) -> list[Row]:
    facts = []
    for ordered in _by_user(sessions):
        for session, following in zip(ordered, [*ordered[1:], {}], strict=True):
            start, next_start = session["session_start_ts"], following.get("session_start_ts")
            is_first = session["session_number"] == 1
            retained = next_start is not None and next_start - start <= RETENTION
            fact = {
                **session,
                "reached_30s": session["total_watch_time_s"] >= 30,
                "dropoff_under_10s": session["total_watch_time_s"] < 10,
                "next_session_start_ts": next_start,
                "next_session_number": following.get("session_number"),
                "retained_within_3d": retained if is_first else None,
                "retention_deadline_ts": start + RETENTION if is_first else None,
            }
            facts.append(fact)
    return facts


def _engagement(facts: list[Row]) -> list[Row]:
    """One row, also when there is no user."""
    first = [fact for fact in facts if fact["session_number"] == 1]
    reached = sum(fact["reached_30s"] for fact in first)
    rate = _rate(reached, len(first))
    return [{"users": len(first), "reached_users": reached, "reached_rate": rate}]


def _retention(facts: list[Row], horizon: datetime | None) -> list[Row]:
    """One row per genre of first sessions, None being a genre of its own."""
    first_of: dict[str | None, list[Row]] = defaultdict(list)
    for fact in facts:
        if fact["session_number"] == 1:
            first_of[fact["first_genre"]].append(fact)
    answers = []
    for genre, first in first_of.items():
        observable = [fact for fact in first if fact["retention_deadline_ts"] <= horizon]
        retained = sum(fact["retained_within_3d"] for fact in first)
        observable_retained = sum(fact["retained_within_3d"] for fact in observable)
        answer = {
            "first_genre": genre,
            "users": len(first),
            "retained_users": retained,
            "retention_rate": _rate(retained, len(first)),
            "observable_users": len(observable),
            "observable_retained_users": observable_retained,
            "observable_retention_rate": _rate(observable_retained, len(observable)),
            "censored_users": len(first) - len(observable),
        }
        answers.append(answer)
    return answers


def _dropoff(facts: list[Row]) -> list[Row]:
    """One row per dimension and value.

    `n` and `d` count a user's sessions and drop-off sessions in the group, `all_n` and `all_d`
    in the whole mart; the cross sums run over the users of the group.
    """
    all_n, all_d = _sessions_per_user(facts)
    everyone = {
        "all_sessions": all_n.total(),
        "all_dropoff_sessions": all_d.total(),
        "all_users": len(all_n),
        "all_sum_sessions_squared": _product_sum(all_n, all_n),
        "all_sum_dropoff_squared": _product_sum(all_d, all_d),
        "all_sum_sessions_dropoff": _product_sum(all_n, all_d),
    }
    answers = []
    for dimension, columns in DIMENSIONS.items():
        groups: dict[tuple[str | None, ...], list[Row]] = defaultdict(list)
        for fact in facts:
            groups[tuple(fact[column] for column in columns)].append(fact)
        for values, members in groups.items():
            n, d = _sessions_per_user(members)
            answer = {
                "dimension": dimension,
                "device_os": None,
                "app_version": None,
                **dict(zip(columns, values, strict=True)),
                "sessions": n.total(),
                "dropoff_sessions": d.total(),
                "dropoff_rate": _rate(d.total(), n.total()),
                "users": len(n),
                "sum_sessions_squared": _product_sum(n, n),
                "sum_dropoff_squared": _product_sum(d, d),
                "sum_sessions_dropoff": _product_sum(n, d),
                "sum_sessions_all_sessions": _product_sum(n, all_n),
                "sum_sessions_all_dropoff": _product_sum(n, all_d),
                "sum_dropoff_all_sessions": _product_sum(d, all_n),
                "sum_dropoff_all_dropoff": _product_sum(d, all_d),
                **everyone,
            }
            answers.append(answer)
    return answers


def _sessions_per_user(facts: list[Row]) -> tuple[Counter[str], Counter[str]]:
    """Sessions and drop-off sessions per user."""
    sessions = Counter(fact["user_id"] for fact in facts)
    dropoffs = Counter(fact["user_id"] for fact in facts if fact["dropoff_under_10s"])
    return sessions, dropoffs


def _product_sum(left: Counter[str], right: Counter[str]) -> int:
    return sum(count * right[user_id] for user_id, count in left.items())


def _rate(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
