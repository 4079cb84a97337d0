"""Dirt and legal oddities: which there are, and how a clean line is spoiled with one."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

from streampro.viewing.synthetic.spelling import spelled_time
from streampro.viewing.synthetic.world import Array

# Copies of a clean line, with their shares. Two kinds are duplicates; the others are rejected, for
# the reason they are named after or the one in REASONS.
COPIES = {
    "same": 0.25,
    "respelled": 0.15,
    "truncated": 0.08,
    "prose": 0.04,
    "array": 0.04,
    "missing_user_id": 0.08,
    "missing_session_id": 0.06,
    "missing_event_name": 0.06,
    "missing_timestamp": 0.06,
    "bad_timestamp": 0.12,
    "negative_watch_time": 0.06,
}
DUPLICATES = ("same", "respelled")
REASONS = dict.fromkeys(("truncated", "prose", "array"), "not_a_json_object")
# Changes that leave the meaning, or cost only the value of an event that is no watch_time.
ODDITIES = ("padded", "odd_value", "crlf", "blank_before", "bare_number")
# What a row can carry, by number; the first is none.
DEFECTS = ("", *COPIES, *ODDITIES)
# Share of dirty lines that are copies; the others are oddities.
COPY_SHARE = 0.7

# Columns without which a line is rejected, and what counts as nothing in them.
REQUIRED = ("user_id", "session_id", "event_name", "timestamp")
NOTHING = (None, "", "  ", "\t ")
# Blanks that readers strip; texts that are no JSON object.
PADDINGS = (" {}", "{} ", "\t{} ", "  {}\t")
PROSE = ("GET /v1/collect 502", "null", "--", '"restart"', "{]")
# A truncated line keeps at least this many characters.
SHORTEST_STUMP = 10
# Values that are no timestamp, no number, and below zero.
BAD_TIMESTAMPS: tuple[str | int, ...] = (
    *("2026-01-05", 1767225600, "1767225600123", "soon", "05.01.2026 10:00"),
    *("2026-01-05T24:00:00Z", "2026-02-30T10:00:00Z", "1969-12-31T23:59:59Z"),
    *("2026-01-05t10:00:00z", "2026-01-05T10:00:00 Z"),
)
NOT_NUMBERS = ("abc", "NaN", "Infinity", "0x1F", "1_000", "", True, False, 2**63, 1e300)
NEGATIVE = (-1, -30.5, "-12", -4000)
# Salts choose among the ways to spoil a line and lie below this.
SALTS = 2**30


def spoiled(lines: Any, rows: Array, rng: Generator) -> Any:
    """The lines with the defects of their rows put in."""
    marked = rows["defect"] > DEFECTS.index("same")
    picked, mask = rows[marked], pa.array(marked)
    salts = rng.integers(0, SALTS, len(picked)).tolist()
    texts = lines.filter(mask).to_pylist()
    times, defects = picked["ts"].tolist(), picked["defect"].tolist()
    quads = zip(texts, times, defects, salts, strict=True)
    new = [_spoiled_line(text[:-1], ts, DEFECTS[defect], salt) for text, ts, defect, salt in quads]
    return pc.replace_with_mask(lines, mask, pa.array(new, pa.string()))


def padded(text: str, salt: int) -> str:
    """The text with blanks around it, which readers strip."""
    return PADDINGS[salt % len(PADDINGS)].format(text)


def _spoiled_line(line: str, ts: int, defect: str, salt: int) -> str:
    match defect:
        case "truncated":
            return line[: SHORTEST_STUMP + salt % (len(line) - SHORTEST_STUMP)] + "\n"
        case "prose":
            return PROSE[salt % len(PROSE)] + "\n"
        case "array":
            return ("[" + line + "]\n", "[]\n")[salt % 2]
        case "crlf":
            return line + "\r\n"
        case "blank_before":
            return ("\n", "\r\n")[salt % 2] + line + "\n"
    event = _spoiled_event(json.loads(line), ts, defect, salt)
    return json.dumps(event, separators=((",", ":"), None)[salt % 2]) + "\n"


def _spoiled_event(event: dict[str, Any], ts: int, defect: str, salt: int) -> dict[str, Any]:
    match defect:
        case "respelled":
            event["timestamp"] = spelled_time(ts, salt)
            return dict(reversed(event.items()))
        case "bad_timestamp":
            event["timestamp"] = BAD_TIMESTAMPS[salt % len(BAD_TIMESTAMPS)]
        case "negative_watch_time":
            event |= {"event_name": "watch_time", "value": NEGATIVE[salt % len(NEGATIVE)]}
        case "odd_value" if event["event_name"] == "watch_time":
            event["value"] = f"+{event['value']}e+0"
        case "odd_value":
            event["value"] = NOT_NUMBERS[salt % len(NOT_NUMBERS)]
        case "bare_number" if event["session_id"].isdigit():
            event["session_id"] = int(event["session_id"])
        case "padded" | "bare_number":
            key = REQUIRED[salt % len(REQUIRED)]
            event[key] = padded(event[key], salt // len(REQUIRED))
        case _ if salt % 3:
            event[defect.removeprefix("missing_")] = NOTHING[salt % len(NOTHING)]
        case _:
            del event[defect.removeprefix("missing_")]
    return event
