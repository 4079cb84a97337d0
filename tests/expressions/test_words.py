"""Words of `portable` against plain Python, on both engines, and accepted by `check`."""

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro import portable
from streampro.errors import ConfigError, PipelineError
from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
RANDOM = random.Random(7)
DIGITS = [
    f"{RANDOM.choice(['', '-', '+'])}{RANDOM.randrange(10**25) / 10 ** RANDOM.randrange(30)}"
    for _ in range(400)
] + [
    f"{RANDOM.randrange(10**24)}.{RANDOM.randrange(10**9)}e{RANDOM.randrange(-330, 300)}"
    for _ in range(600)
]
FLOATS = ["1", "-0", "1.5", ".5", "1e3", "1e400", "-1e400", "1e-400", "5e-324", "2.5e-324"]
FLOATS += ["1.7976931348623157e308", "1.7976931348623159e308", "0.1", "1_0", "nan", "inf", "0x1"]
FLOATS += ["", " 1", "1E3", "1.", None, *DIGITS]
BOOLEANS = ["true", "TRUE", "True", "false", "fAlse", "t", "1", "yes", "", " true", "true\n", None]
TEXTS = ["Straße", "ÉCOLE", "ΑΣ", "İstanbul", "ЖУК", "ǅ", "ẞ", "aÿŸ", "ab1_", "", "e\u0301", None]
PARTS = ["a.b.c", "a", "", "..", "a.", "[x].[y]", None]
SECONDS = [0, 1, -1, 86_399, 1_700_000_000, -2_208_988_800, -2_208_988_801]
SECONDS += [7_258_118_399, 7_258_118_400, 2**62, -(2**63), None]
START = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = [
    "Europe/Berlin",
    "Asia/Kathmandu",
    "UTC",
    *(
        pytest.param(each, marks=pytest.mark.thorough)
        for each in ("America/New_York", "Australia/Lord_Howe")
    ),
]


def as_float(text: str | None) -> float | None:
    if text is None or not text or text[0] not in "+-.0123456789" or text[-1] not in "0123456789":
        return None
    if set(text) - set("0123456789.e+-"):
        return None
    number = float(text)
    return number if abs(number) < float("inf") else None


def as_boolean(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get((text or "").lower() if text != "true\n" else "")


def one_to_one(letter: str, change: Callable[[str], str]) -> str:
    changed = change(letter)
    alphabets = (range(0x41, 0x7B), range(0xC0, 0x180), range(0x370, 0x530))
    is_known = any(ord(each) in alphabet for each in (letter, changed[0]) for alphabet in alphabets)
    lower, upper = letter.lower(), letter.upper()
    is_pair = len(lower) == len(upper) == 1 and lower.upper() == upper and upper.lower() == lower
    return changed if is_known and is_pair else letter


def from_epoch(number: int | None, per_second: int) -> datetime | None:
    if number is None:
        return None
    seconds, rest = divmod(number, per_second)
    if not -2_208_988_800 <= seconds < 7_258_118_400:
        return None
    return START + timedelta(seconds=seconds, microseconds=rest * 1_000_000 // per_second)


def cased(change: Callable[[str], str]) -> Callable[[str | None], str | None]:
    return lambda x: x if x is None else "".join(one_to_one(each, change) for each in x)


def part(index: int) -> Callable[[str | None], str | None]:
    return lambda x: None if x is None else dict(enumerate(x.split("."))).get(index)


WORDS: dict[str, tuple[str, list[Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "to_float": ("string", FLOATS, portable.to_float, as_float),
    "to_boolean": ("string", BOOLEANS, portable.to_boolean, as_boolean),
    "lower": ("string", TEXTS, portable.lower, cased(str.lower)),
    "upper": ("string", TEXTS, portable.upper, cased(str.upper)),
    "split_part 0": ("string", PARTS, lambda x: portable.split_part(x, ".", 0), part(0)),
    "split_part 2": ("string", PARTS, lambda x: portable.split_part(x, ".", 2), part(2)),
    **{
        f"from_epoch {unit}": (
            "int64",
            [each if each is None or abs(each) > 2**61 else each * per for each in SECONDS]
            + [per * 1_600_000_000 + 7, -per - 3],
            lambda x, unit=unit: portable.from_epoch(x, unit),
            lambda x, per=per: from_epoch(x, per),
        )
        for unit, per in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items()
    },
}
DAYS = [date(1999, 12, 28) + timedelta(days=each) for each in range(0, 11_000, 1)]
CALENDAR: dict[str, tuple[Callable[[Any], Any], Callable[[date], int]]] = {
    "iso_year": (portable.iso_year, lambda x: x.isocalendar().year),
    "iso_week": (portable.iso_week, lambda x: x.isocalendar().week),
}


def computed(run: Run, kind: str, values: list[Any], word: Callable[[Any], Any]) -> list[Any]:
    table = ibis.table({"i": "int64", "x": kind}, name="rows")
    query = table.select("i", v=word(table.x))
    assert findings(query) == []
    column = pa.array(values, ibis.dtype(kind).to_pyarrow())
    return run(query, pa.table({"i": range(len(values)), "x": column}))


@pytest.mark.parametrize("name", WORDS)
def test_word_is_what_python_says(name: str, run: Run) -> None:
    kind, values, word, oracle = WORDS[name]
    assert computed(run, kind, values, word) == [oracle(each) for each in values]


@pytest.mark.parametrize("name", CALENDAR)
def test_week_is_that_of_iso_8601(name: str, run: Run) -> None:
    word, oracle = CALENDAR[name]
    assert computed(run, "date", DAYS, word) == [oracle(each) for each in DAYS]


def around_changes(zone: str) -> list[datetime]:
    changes = [begin for begin, _ in portable.zones.offsets(zone)]
    steps = [timedelta(0), timedelta(microseconds=-1), timedelta(hours=-1), timedelta(days=40)]
    return [change + step for change in changes[1:] for step in steps] + [changes[0]]


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_local_time_is_that_of_the_zone_at_every_change(zone: str, run: Run) -> None:
    instants = around_changes(zone)
    local = [each.astimezone(ZoneInfo(zone)) for each in instants]
    hours = computed(run, "timestamp('UTC', 6)", instants, lambda x: portable.local_hour(x, zone))
    days = computed(run, "timestamp('UTC', 6)", instants, lambda x: portable.local_date(x, zone))
    assert hours == [each.hour for each in local]
    assert days == [each.date() for each in local]


def test_unknown_zone_is_refused_with_what_was_meant() -> None:
    instant = ibis.table({"x": "timestamp('UTC', 6)"}, name="rows").x
    with pytest.raises(ConfigError, match=r"no time zone 'Europe/Berln'.*Europe/Berlin"):
        portable.local_date(instant, "Europe/Berln")


@pytest.mark.parametrize(("delimiter", "index"), [("", 0), (",", -1)])
def test_part_that_cannot_be_is_refused(delimiter: str, index: int) -> None:
    text = ibis.table({"x": "string"}, name="rows").x
    with pytest.raises(PipelineError, match="needs a delimiter"):
        portable.split_part(text, delimiter, index)


@pytest.mark.parametrize("delimiter", ["|", "a-b", " ", "\n", "[", "^", "\\", "é#", "&&", "$"])
def test_delimiter_is_no_pattern(delimiter: str, run: Run) -> None:
    texts = [f"x{delimiter}y{delimiter}", "x", delimiter * 2]
    found = computed(run, "string", texts, lambda x: portable.split_part(x, delimiter, 1))
    assert found == ["y", None, ""]


def test_latest_takes_the_largest_value_of_a_tie(run: Run) -> None:
    table = ibis.table({"i": "int64", "x": "string", "at": "int64"}, name="rows")
    query = table.aggregate(v=portable.latest(table.x, table.at))
    assert findings(query) == []
    rows = {"x": ["a", "c", "b", None, "z"], "at": [1, 2, 2, 3, None]}
    assert run(query, pa.table({"i": range(5), **rows})) == ["c"]
