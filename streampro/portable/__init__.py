"""Ibis helpers with one meaning on every engine, for what Ibis alone leaves to the engine."""

import functools
import operator
import re
import sys
from datetime import UTC, datetime
from itertools import chain
from typing import Literal

import ibis
import ibis.expr.types as ir

from streampro.portable.zones import local_date as local_date, local_hour as local_hour

_SPACE = r"[ \t\r\n]"
_JSON_SPACE = r" \t\r\n\f\x0b"
_GAP = f"[{_JSON_SPACE}]*"
_QUOTES = ('"', "'")
_WORD = "A-Za-z0-9_"
_DATE = r"(19[7-9][0-9]|2[01][0-9][0-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_MINUTE = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_SECOND = r":[0-5][0-9](\.[0-9]{1,9})?"
_OFFSET = r"[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?"
_NUMBER = r"[+-]?([0-9]+(\.[0-9]+)?|\.[0-9]+)(e[+-]?[0-9]+)?"
_INT64_BOUND = 2.0**63
_LARGEST_FLOAT = sys.float_info.max
_FIRST_SECOND, _END_SECOND = (
    round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1900, 2200)
)
_LOW_HALF = 2**32 - 1
_LARGEST_HIGH_HALF = 2**31 - 1
LARGEST_INT64 = 2**63 - 1

_ALPHABETS = (range(0x41, 0x5B), range(0xC0, 0x180), range(0x370, 0x400), range(0x400, 0x530))
_CAPITALS = "".join(
    capital
    for capital in map(chr, chain(*_ALPHABETS))
    if len(capital.lower()) == 1 and capital.lower().upper() == capital != capital.lower()
)
_SMALL = _CAPITALS.lower()


def strip(text: ir.StringValue) -> ir.StringValue:
    """Return `text` without leading and trailing space, tab, CR and LF; null if nothing is left.

    Exactly these four characters; other Unicode space is kept. Only rows that may need it pay
    for the pattern, so the common case costs two comparisons.
    """
    suspect = functools.reduce(operator.or_, [text.endswith(end) for end in " \t\r\n"], text < "!")
    trimmed = text.re_replace(rf"^{_SPACE}+|{_SPACE}+\z", "").nullif("")
    return ibis.cases((suspect, trimmed), else_=text)


def to_integer(text: ir.StringValue) -> ir.IntegerValue:
    """Return the number that `text` spells, truncated toward zero, as int64; null for other text.

    Grammar: `[+-]?(digits[.digits] | .digits)[e[+-]digits]`. Integers up to int64 are exact;
    with a fraction or an exponent the number is read in double precision. Null outside int64.
    """
    digits = text.re_search(r"^[+-]?[0-9]+\z")
    number = text.re_search(rf"^{_NUMBER}\z")
    real = text.try_cast("float64")
    whole = ibis.ifelse(real < 0, real.ceil(), real.floor())
    fits = (real >= -_INT64_BOUND) & (real < _INT64_BOUND)
    truncated = ibis.cases((fits, whole.cast("int64")))
    return ibis.cases((digits, text.try_cast("int64")), (number, truncated))


def to_float(text: ir.StringValue) -> ir.FloatingValue:
    """Return the float64 next to the number that `text` spells; null for other text.

    Grammar: that of `to_integer`. Null beyond the largest float, so the result is never infinite.
    """
    number = text.re_search(rf"^{_NUMBER}\z")
    real = ibis.cases((number, text.try_cast("float64")))
    return ibis.cases((real.abs() <= _LARGEST_FLOAT, real))


def to_boolean(text: ir.StringValue) -> ir.BooleanValue:
    """Return whether `text` is `true` or `false`, in letters of any case; null for other text."""
    is_true = text.re_search(r"^[tT][rR][uU][eE]\z")
    return ibis.cases((is_true, True), (text.re_search(r"^[fF][aA][lL][sS][eE]\z"), False))


def lower(text: ir.StringValue) -> ir.StringValue:
    """Return `text` in small letters: those of the Latin, Greek and Cyrillic alphabets that are
    one letter in both cases. Others, such as `\u0130` and `\u1e9e`, are kept.
    """
    return text.translate(_CAPITALS, _SMALL)


def upper(text: ir.StringValue) -> ir.StringValue:
    """Return `text` in capital letters: those of the Latin, Greek and Cyrillic alphabets that are
    one letter in both cases. Others, such as `\u00df`, are kept, and so is a last small sigma.
    """
    return text.translate(_SMALL, _CAPITALS)


def split_part(text: ir.StringValue, delimiter: str, index: int) -> ir.StringValue:
    """Return the part of `text` at `index`, from 0, between delimiters; null where there is none.

    The delimiter is taken as it is, not as a pattern. Raises `ValueError` for an empty one and for
    a negative index.
    """
    if not delimiter or index < 0:
        raise ValueError(
            f"no part {index} between {delimiter!r}: it needs a delimiter, and 0 or up."
        )
    parts = text.re_split(re.escape(delimiter))
    return ibis.cases((parts.length() > index, parts[index]))


def from_epoch(number: ir.IntegerValue, unit: Literal["s", "ms", "us", "ns"]) -> ir.TimestampValue:
    """Return the instant so many seconds, milli-, micro- or nanoseconds after 1970 began in UTC.

    Nanoseconds are cut to microseconds, downward. Null outside the years 1900-2199.
    """
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    real = number >= _FIRST_SECOND * per_second
    real &= number < min(_END_SECOND * per_second, 2**63 - 1)
    steps, step = (number // 1_000, "us") if unit == "ns" else (number, unit)
    began = ibis.literal(datetime(1970, 1, 1, tzinfo=UTC), "timestamp('UTC', 6)")
    return ibis.cases((real, began + steps.as_interval(step)))


def iso_year(day: ir.DateValue | ir.TimestampValue) -> ir.IntegerValue:
    """Return the year to which the week of a day belongs by ISO 8601: that of its Thursday."""
    date = day.date() if day.type().is_timestamp() else day
    thursday = date + (3 - date.day_of_week.index()).as_interval("D")
    return thursday.year().cast("int64")


def iso_week(day: ir.DateValue | ir.TimestampValue) -> ir.IntegerValue:
    """Return the week of a day by ISO 8601, 1-53: weeks begin on Monday, the first of a year has
    its first Thursday.
    """
    return day.week_of_year().cast("int64")


def to_decimal(text: ir.StringValue, precision: int = 18, scale: int = 2) -> ir.DecimalValue:
    """Return the number that `text` spells, exactly, as decimal(precision, scale); null for others.

    Grammar: `[+-]?(digits[.digits] | .digits)`, no exponent. Nothing is rounded: a number with more
    than `scale` digits behind the point or more than `precision - scale` before it is null, unless
    the surplus ones are zeros. `-0` is 0.
    """
    whole = rf"0*[0-9]{{1,{precision - scale}}}" if precision > scale else "0+"
    fraction = rf"\.[0-9]{{1,{scale}}}0*" if scale else r"\.0+"
    exact = text.re_search(rf"^[+-]?({whole}({fraction})?|{fraction})\z")
    return ibis.cases((exact, text.try_cast(f"decimal({precision}, {scale})")))


def to_utc(text: ir.StringValue) -> ir.TimestampValue:
    """Return the instant that `text` spells, in microseconds UTC; null for other text.

    Grammar: `YYYY-MM-DD[T or space]HH:MM[:SS[.1-9 digits]][Z | +-HH | +-HHMM | +-HH:MM]`, a real
    calendar date, written year 1970-2199, hours 00-23, minutes and seconds 00-59 (no leap
    seconds), offset up to 23:59. No offset means UTC. Digits past microseconds are cut.
    """
    common = text.re_search(rf"^{_DATE}T{_MINUTE}{_SECOND}Z\z")
    legal = text.re_search(rf"^{_DATE}[T ]{_MINUTE}({_SECOND})?(Z|{_OFFSET})?\z")
    return ibis.cases(
        (common, text.try_cast("timestamp('UTC', 6)")),
        (legal, _to_utc_with_offset(text)),
    )


def to_date(text: ir.StringValue) -> ir.DateValue:
    """Return the date that `text` spells as YYYY-MM-DD, years 1900-2199; null for other text."""
    legal = text.re_search(r"^(19|2[01])[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\z")
    return ibis.cases((legal, text.try_cast("date")))


def earliest(value: ir.Value, by: ir.Value) -> ir.Value:
    """Return, as an aggregate, the `value` that is not null with the smallest `by`.

    Ties: the smallest value. Rows without `by` do not count. Null where no row is left.
    """
    return _beside(value, by).min(where=value.notnull() & by.notnull())["value"]


def latest(value: ir.Value, by: ir.Value) -> ir.Value:
    """Return, as an aggregate, the `value` that is not null with the largest `by`.

    Ties: the largest value. Rows without `by` do not count. Null where no row is left.
    """
    return _beside(value, by).max(where=value.notnull() & by.notnull())["value"]


def count_if(condition: ir.BooleanColumn) -> ir.IntegerScalar:
    """Return, as an aggregate, the number of rows where `condition` is true; 0 without rows."""
    return ibis.coalesce(condition.sum(), 0)


def bounded_sum(numbers: ir.IntegerColumn, where: ir.BooleanValue) -> ir.IntegerScalar:
    """Return, as an aggregate, the sum of integers from 0 up; int64's largest if it is more.

    0 where there is nothing to add. Halves of 32 bits are added apart, because a sum that is too
    large stops one engine and is widened by the other.
    """
    low = ibis.coalesce((numbers & _LOW_HALF).sum(where=where), 0)
    high = ibis.coalesce((numbers >> 32).sum(where=where), 0) + (low >> 32)
    total = ibis.least(high, _LARGEST_HIGH_HALF) * 2**32 + (low & _LOW_HALF)
    return ibis.ifelse(high > _LARGEST_HIGH_HALF, LARGEST_INT64, total)


def ratio(part: ir.NumericValue | float, whole: ir.NumericValue | float) -> ir.FloatingValue:
    """Return `part / whole` as float64; null where `whole` is 0. Decimals are read as the nearest
    float first.
    """
    return _undivided(part) / _undivided(whole).nullif(0)


def mask_json_value(text: ir.StringValue, key: str) -> ir.StringValue:
    """Return `text` with key and value replaced by `"key":"***"` wherever the JSON `key` stands.

    Works on broken JSON too, and rather masks too much. Only a value that is plainly complete is
    masked alone: a text, number or word, and then a bracket that closes the object, a comma and
    the next key, or nothing more. Any other mention of the key, also inside a text, is masked to
    the end of `text`, with the quotes or the character before it: lists, objects, unfinished
    values, odd separators, texts with more than 50 escapes. A mention that only quotes and
    brackets follow is left.

    A mention is the key as a word, in any case, also spelled with escapes. Words are made of ASCII
    letters, digits and `_`: for the key `ip` neither `zip` nor `my_ip` is one, `ip-address` is.
    """
    letters = "".join(_spellings(letter) for letter in key)
    mask = f'"{key}":"***"'
    for start in "{, ":
        text = text.re_replace(f"[{start}]{letters}{_GAP}:", f'{start}"{key}":')
    name = "|".join(f"{q}{letters}{q}" for q in _QUOTES)
    value = "|".join([*(_unfinished(q, "0,50") + q for q in _QUOTES), f"[{_WORD}.+-]+"])
    text = text.re_replace(f"(?s)(?:{name}){_GAP}:{_GAP}(?:{value})", mask)
    start = rf"""(?:["'\\]{{1,9}}|\\[bfnrt]|\\u[0-9A-Fa-f]{{4}}|[^{_WORD}"'\\]|^)"""
    closing = rf"""{_JSON_SPACE}"'\\}}\]"""
    end = f"(?:[{closing}]+[^{closing}]|[^{closing}{_WORD}]).*"
    masked = f"{re.escape(mask)}(?:{_unlike_the_end_of_a_value()})?"
    return text.re_replace(f"(?s){masked}|{start}{letters}{end}", mask)


def _beside(value: ir.Value, by: ir.Value) -> ir.StructValue:
    """Return a value beside what orders it, so that the least or greatest has both."""
    return ibis.struct({"by": by, "value": value})


def _undivided(number: ir.NumericValue | float) -> ir.NumericValue:
    """Return a decimal as the float64 next to it, by way of its text: engines cast large ones
    differently. Other numbers are returned as they are.
    """
    number = number if isinstance(number, ir.Value) else ibis.literal(number)
    if not number.type().is_decimal():
        return number
    text = number.cast("string")
    is_number = text.re_search(r"^-?[0-9]+(\.[0-9]+)?\z")
    return ibis.cases((is_number, text.try_cast("float64")))


def _spellings(letter: str) -> str:
    """Return a pattern of a letter in both cases, as it is or as a JSON escape."""
    cases = sorted(case for case in {letter, letter.lower(), letter.upper()} if len(case) == 1)
    codes = ["".join(f"[{d}{d.upper()}]" for d in f"{ord(case):04x}") for case in cases]
    return "(?:" + "|".join([*map(re.escape, cases), *(r"\\u" + code for code in codes)]) + ")"


def _unfinished(quote: str, escapes: str) -> str:
    """Return a pattern of a quoted text without its closing quote.

    Escapes are counted: Java recurses once per round of a group, so an open repetition over a long
    text would overflow its stack.
    """
    return rf"{quote}[^{quote}\\]*(?:\\.[^{quote}\\]*){{{escapes}}}"


def _unlike_the_end_of_a_value() -> str:
    """Return a pattern of all that follows a value, to the end, unless that shows it complete.

    Complete: brackets that close, up to a comma or the end; a comma and a key with a colon. The
    pattern says what is not, because RE2 cannot look ahead, and because engines spell differently
    how a replacement puts a group back.
    """
    rest = rf"[^:{_JSON_SPACE}].*"
    no_keys = [
        rf"""[^"'}}A-Za-z_{_JSON_SPACE}].*""",
        rf"[A-Za-z_][{_WORD}]*(?:[^:{_WORD}{_JSON_SPACE}].*|[{_JSON_SPACE}]+{rest}|{_GAP}\z)",
        *(rf"{_unfinished(q, '0,9')}(?:\\?\z|{q}{_GAP}(?:{rest}|\z))" for q in _QUOTES),
        *(f"{_unfinished(q, '10')}.*" for q in _QUOTES),
    ]
    after_comma = f"{_GAP}(?:{'|'.join(no_keys)})"
    after_bracket = rf"[}}\]{_JSON_SPACE}]*[^}}\],{_JSON_SPACE}].*"
    return rf"{_GAP}(?:[^,}}{_JSON_SPACE}].*|,{after_comma}|(?:,{_GAP})?\}}{after_bracket})"


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
    return local.try_cast("timestamp('UTC', 6)") - east.as_interval("m")
