"""Dates and instants."""

from datetime import UTC, datetime
from typing import Literal

import ibis
import ibis.expr.types as ir

from streampro.errors import PipelineError, did_you_mean

_DATE = r"(19[7-9][0-9]|2[01][0-9][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MINUTE = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_SECOND = r":[0-5][0-9](\.[0-9]{1,9})?"
_OFFSET = r"[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
_COMMON = rf"^{_DATE}T{_MINUTE}{_SECOND}Z\z"
_LEGAL = rf"^{_DATE}[T ]{_MINUTE}({_SECOND})?(Z|{_OFFSET})?\z"
_LEGAL_DATE = r"^(19|2[01])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\z"
SPELLINGS = frozenset({_COMMON, _LEGAL, _LEGAL_DATE})
"""Patterns of the texts of dates and instants, which every engine reads alike."""
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_FIRST_SECOND, _END_SECOND = (
    round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1900, 2200)
)


def to_utc(text: ir.StringValue) -> ir.TimestampValue:
    """Return the instant that `text` spells, in microseconds UTC; null for other text.

    Grammar: `YYYY-MM-DD[T or space]HH:MM[:SS[.1-9 digits]][Z | +-HH | +-HHMM | +-HH:MM]`, a real
    calendar date, written year 1970-2199, hours 00-23, minutes and seconds 00-59 (no leap
    seconds), offset up to 23:59. No offset means UTC. Digits past microseconds are cut.
    """
    return ibis.cases(
        (text.re_search(_COMMON), text.try_cast("timestamp('UTC', 6)")),
        (text.re_search(_LEGAL), _to_utc_with_offset(text)),
    )


def to_date(text: ir.StringValue) -> ir.DateValue:
    """Return the date that `text` spells as YYYY-MM-DD, years 1900-2199; null for other text."""
    return ibis.cases((text.re_search(_LEGAL_DATE), text.try_cast("date")))


def from_epoch(number: ir.IntegerValue, unit: Literal["s", "ms", "us", "ns"]) -> ir.TimestampValue:
    """Return the instant so many seconds, milli-, micro- or nanoseconds after 1970 began in UTC.

    Nanoseconds are cut to microseconds, downward. Null outside the years 1900-2199. Raises
    `PipelineError` for another unit and for what is no integer.
    """
    if unit not in _PER_SECOND:
        hint = did_you_mean(unit, [*_PER_SECOND])
        raise PipelineError(f"portable.from_epoch: there is no unit {unit!r}. {hint}".strip())
    if not number.type().is_integer():
        raise PipelineError(f"portable.from_epoch: {number.type()} is no integer. Use to_integer.")
    per_second = _PER_SECOND[unit]
    real = number >= _FIRST_SECOND * per_second
    real &= number < min(_END_SECOND * per_second, 2**63 - 1)
    steps, step = (number // 1_000, "us") if unit == "ns" else (number, unit)
    began = ibis.literal(datetime(1970, 1, 1, tzinfo=UTC), "timestamp('UTC', 6)")
    return ibis.cases((real, began + steps.as_interval(step)))


def iso_year(day: ir.DateValue | ir.TimestampValue) -> ir.IntegerValue:
    """Return the year to which the week of a day belongs by ISO 8601: that of its Thursday."""
    date = day.date() if day.type().is_timestamp() else day
    thursday = date + (3 - date.day_of_week.index()).cast("int16").as_interval("D")
    return thursday.year().cast("int64")


def iso_week(day: ir.DateValue | ir.TimestampValue) -> ir.IntegerValue:
    """Return the week of a day by ISO 8601, 1-53: weeks begin on Monday, the first of a year has
    its first Thursday.
    """
    return day.week_of_year().cast("int64")


def _to_utc_with_offset(text: ir.StringValue) -> ir.TimestampValue:
    seconds = text.re_extract(r"^[0-9T :-]{16}:([0-9]{2}(\.[0-9]{1,6})?)", 1)
    local = (
        text.substr(0, 10)
        + ibis.literal("T")
        + text.substr(11, 5)
        + ibis.literal(":")
        + seconds.nullif("").fill_null("00")
        + ibis.literal("Z")
    )
    offset = text.substr(16).re_extract(r"[+-][0-9:]+\z", 0).replace(":", "")
    minutes = offset.substr(1, 2).try_cast("int64").fill_null(0) * 60 + offset.substr(
        3, 2
    ).try_cast("int64").fill_null(0)
    east = ibis.ifelse(offset.startswith("-"), -minutes, minutes)
    return local.try_cast("timestamp('UTC', 6)") - east.cast("int16").as_interval("m")
