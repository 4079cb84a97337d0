"""Dates and hours of a time zone, whose history is that of the package `tzdata` on every engine."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from streampro.errors import ConfigError, did_you_mean

_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def local_date(instant: ir.TimestampValue, zone: str) -> ir.DateValue:
    """Return the date that clocks of a zone such as `Europe/Berlin` show at an instant.

    The zone's history is that of the pinned package `tzdata`, years 1900-2199; before and after,
    the offset of the first or last of these years holds. Raises `ConfigError` for an unknown zone.
    """
    return _local(instant, zone).date()


def local_hour(instant: ir.TimestampValue, zone: str) -> ir.IntegerValue:
    """Return the hour, 0-23, that clocks of a zone show at an instant; see `local_date`."""
    return _local(instant, zone).hour().cast("int64")


def _local(instant: ir.TimestampValue, zone: str) -> ir.TimestampValue:
    """Return an instant whose UTC is what clocks of the zone show."""
    return instant + _offset(instant, offsets(zone)).cast("int32").as_interval("s")


def _offset(instant: ir.TimestampValue, periods: Sequence[tuple[datetime, int]]) -> ir.IntegerValue:
    """Return the offset of the last period that has begun, by halves: few comparisons a row."""
    if len(periods) == 1:
        return ibis.literal(periods[0][1], "int64")
    middle = len(periods) // 2
    is_before = instant < ibis.literal(periods[middle][0])
    return ibis.ifelse(
        is_before, _offset(instant, periods[:middle]), _offset(instant, periods[middle:])
    )


@cache
def offsets(zone: str) -> tuple[tuple[datetime, int], ...]:
    """Return when each offset of a zone begins, and the offset in seconds east of UTC.

    Raises `ConfigError` for an unknown zone.
    """
    clock = _zone(zone)
    periods = [(_FIRST, _seconds(_FIRST, clock))]
    day = _FIRST
    while day < _LAST:
        after = day + timedelta(days=1)
        if _seconds(after, clock) != periods[-1][1]:
            begins = _change(day, after, clock)
            periods.append((begins, _seconds(begins, clock)))
        day = after
    return tuple(periods)


def _change(before: datetime, after: datetime, clock: ZoneInfo) -> datetime:
    """Return the first second of the offset that holds after a day in which it changed once."""
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _seconds(middle, clock) == _seconds(before, clock):
            before = middle
        else:
            after = middle
    return after


def _seconds(instant: datetime, clock: ZoneInfo) -> int:
    offset = instant.astimezone(clock).utcoffset()
    return round((offset or timedelta()).total_seconds())


def _zone(name: str) -> ZoneInfo:
    folder = files("tzdata.zoneinfo")
    known = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    if name not in known:
        raise ConfigError(f"there is no time zone {name!r}. {did_you_mean(name, known)}".strip())
    with folder.joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
