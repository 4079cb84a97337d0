"""How a line is written: rows as JSON text, put together from ready pieces by Arrow kernels."""

from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streampro.viewing.synthetic.ids import account_ids, joined, session_ids, user_ids, video_ids
from streampro.viewing.synthetic.plan import LONGEST_WATCH_S, Plan
from streampro.viewing.synthetic.world import (
    BEGIN,
    COUNTRIES,
    DAY,
    DEVICES,
    MINUTE,
    NAMES,
    NETWORKS,
    SECOND,
    START,
    VERSIONS,
    Array,
)

Layout = Literal["flat", "nested", "mixed"]
# Whether a line is nested, for each value of bit 0 of its style.
LAYOUTS: dict[str, tuple[int, int]] = {"flat": (0, 0), "nested": (1, 1), "mixed": (0, 1)}
# Bit 1 of the style decides whether what is not there is null or left out; one value in
# TEXT_EVERY is written as text, by bits 2 to 6; one time in UNUSUAL_EVERY is written unusually, by
# bits 7 to 11; the bits above are the form of an unusual time.
TEXT_EVERY, UNUSUAL_EVERY = 32, 32

# How many values there are: every tenth of a second up to the longest.
TENTHS = 10 * (LONGEST_WATCH_S + 1)

# The usual spelling of a time, and where the date, the clock and the milliseconds stand in it.
USUAL = b'{"timestamp":"0000-00-00T00:00:00.000Z"'
DATE, CLOCK, MILLIS = slice(14, 24), slice(25, 33), slice(34, 37)
# Unusual spellings: what stands before the clock, minutes east of UTC, and the zone.
SPELLINGS = (
    *(("T", 120, "+02:00"), ("T", -330, "-0530"), (" ", 60, "+01")),
    *((" ", 0, ""), ("T", 0, ""), ("T", 0, "Z"), (" ", 0, "Z")),
)
# Bits of the form that write microseconds where milliseconds would do, and digits beyond them.
MICROSECONDS, BEYOND = 64, 128

# Sessions share this many addresses, which they take in strides of a number prime to it.
ADDRESSES, ADDRESS_STRIDE = 65_536, 40_503


class Words:
    """Pieces of a line: dictionaries of ready JSON text, which events point into by number."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.plan = plan
        self.nested = np.array(LAYOUTS[layout])
        users, sessions = np.arange(len(plan.device)), plan.sessions
        account, user = account_ids(users), user_ids(users)
        self.user = joined(',"account_id":"', account, '","user_id":"', user, '"')
        videos = joined(',"video_id":"', video_ids(np.arange(len(plan.genre) - 1)), '"')
        self.video = pa.concat_arrays([videos, pa.array([',"video_id":null', ""])])
        session = session_ids(sessions["number"], sessions["counted"])
        self.session = joined(',"session_id":"', session, '"')
        self.name = pa.array([f',"event_name":"{name}"' for name in NAMES])
        tenths = ("", *(f".{digit}" for digit in range(1, 10)))
        value = pa.array([f"{s}{tenth}" for s in range(LONGEST_WATCH_S + 1) for tenth in tenths])
        number, text = joined(',"value":', value), joined(',"value":"', value, '"')
        self.value = pa.concat_arrays([number, text, pa.array([',"value":null', ""])])
        self.client = pa.array(_clients())
        ips = [f"{81 + i % 100}.{i >> 8}.{i * 7 % 256}.{i * 13 % 251}" for i in range(ADDRESSES)]
        self.ip = pa.array(ips)
        ends = ('"}\n', '"}}\n')
        self.end = pa.array([f'","country":"{code}{end}' for end in ends for code in COUNTRIES])
        self.date = _letters([str(START.date() + timedelta(days=n)) for n in range(plan.days)])
        clock = [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(DAY // SECOND)]
        self.clock = _letters(clock)
        self.millis = _letters([f"{milli:03}" for milli in range(1000)])

    def lines(self, rows: Array) -> Any:
        """The rows as clean lines; layout and spelling follow from `style` alone."""
        plan, style, number = self.plan, rows["style"], rows["session"]
        user = plan.sessions["user"][number]
        version, network = plan.sessions["version"][number], plan.sessions["network"][number]
        nested, left_out = self.nested[style & 1], 1 - (style >> 1 & 1)
        client = len(DEVICES) * nested + plan.device[user]
        client = (client * len(VERSIONS) + version) * len(NETWORKS) + network
        video = np.where(rows["video"] >= 0, rows["video"], len(plan.genre) - 1 + left_out)
        as_text = np.where((style >> 2) % TEXT_EVERY == 0, TENTHS, 0)
        value = np.where(rows["tenths"] >= 0, rows["tenths"] + as_text, 2 * TENTHS + left_out)
        return joined(
            self._timestamps(rows["ts"], style >> 7),
            _taken(self.user, user),
            _taken(self.video, video),
            _taken(self.session, number),
            _taken(self.name, rows["name"]),
            _taken(self.value, value),
            _taken(self.client, client),
            _taken(self.ip, number.astype(np.int64) * ADDRESS_STRIDE % ADDRESSES),
            _taken(self.end, len(COUNTRIES) * nested + plan.country[user]),
        )

    def _timestamps(self, ts: Array, style: Array) -> Any:
        milli = ts // 1000
        second = milli // 1000
        text = np.empty((len(ts), len(USUAL)), np.uint8)
        text[:] = np.frombuffer(USUAL, np.uint8)
        text[:, DATE] = self.date[(ts - BEGIN) // DAY]
        text[:, CLOCK] = self.clock[second % len(self.clock)]
        text[:, MILLIS] = self.millis[milli % 1000]
        offsets = np.arange(0, text.size + 1, len(USUAL), dtype=np.int32)
        usual = pa.StringArray.from_buffers(len(ts), pa.py_buffer(offsets), pa.py_buffer(text))
        unusual = (style % UNUSUAL_EVERY == 0) | (ts % 1000 != 0)
        forms = (style[unusual] // UNUSUAL_EVERY).tolist()
        pairs = zip(ts[unusual].tolist(), forms, strict=True)
        spelled = [f'{{"timestamp":"{spelled_time(time, form)}"' for time, form in pairs]
        return pc.replace_with_mask(usual, pa.array(unusual), pa.array(spelled, pa.string()))


def spelled_time(ts: int, form: int) -> str:
    """A legal spelling of the time that keeps every digit it has."""
    between, offset, zone = SPELLINGS[form % len(SPELLINGS)]
    moment = datetime(1970, 1, 1) + timedelta(microseconds=ts, minutes=offset)
    if ts % MINUTE == 0:
        digits = "minutes"
    elif ts % SECOND == 0:
        digits = "seconds"
    else:
        digits = "microseconds" if ts % 1000 or form & MICROSECONDS else "milliseconds"
    beyond = "789" if digits == "microseconds" and form & BEYOND else ""
    return moment.isoformat(between, digits) + beyond + zone


def _clients() -> list[str]:
    """Every client and network as text, flat before nested, up to the address."""
    return [
        f',"device":"{name}","device_os":"{device.system}","app_version":"{version}",{network}'
        for network_type in ('"network_type":"{}","ip":"', '"network":{{"type":"{}","ip":"')
        for name, device in DEVICES.items()
        for version in VERSIONS
        for network in map(network_type.format, NETWORKS)
    ]


def _taken(words: Any, number: Array) -> Any:
    return words.take(pa.array(number))


def _letters(words: list[str]) -> Array:
    """One row of bytes per word; all words are of one length."""
    return np.array(words, "S").view(np.uint8).reshape(len(words), -1)
