"""What to write instead of an operation that is not yet proven equal on all engines."""

from typing import Any, NamedTuple

import ibis.expr.operations as ops

from streampro.expressions.portability.allowed import families_of

_TABLE = r"""
Comparison Between InValues NullIf Coalesce IfElse SearchedCase | date text |
    date(2024, 1, 31) for its text
Comparison Between InValues NullIf Coalesce IfElse SearchedCase | instant text |
    datetime(2024, 1, 31, tzinfo=UTC) for its text
Comparison Between InValues NullIf Coalesce IfElse SearchedCase | date instant |
    instant.date(), or day.cast("timestamp('UTC', 6)")
Comparison | struct | a comparison per field
Comparison | map | a comparison of keys() and of values()
Least Greatest Array | integer float | integers as floats: x.cast('float64')
FloorDivide | float | (x / y.nullif(0)).floor()
Cast TryCast | integer boolean | x != 0
Cast TryCast | integer other | a type with a sign, such as int64
Coalesce NullIf | list other | an empty list that has a type: ibis.literal([], x.type())
Cast TryCast | interval | n.as_interval('h')
IntervalMultiply | | (n * 3).as_interval('h')
IntervalAdd IntervalSubtract | | one interval after the other: instant + hours + minutes
HashBytes | | hexdigest('md5') or hexdigest('sha256')
Radians | | x * (math.pi / 180)
Degrees | | x * (180 / math.pi)
ExtractMillisecond | | instant.delta(instant.truncate('s'), unit='microsecond') // 1000
ExtractProtocol | | text.re_extract('^([a-z]+)://', 1)
ExtractHost | | text.re_extract('^[a-z]+://([^/?#]+)', 1)
ExtractPath | | text.re_extract('^[a-z]+://[^/?#]+([^?#]+)', 1)
ExtractQuery | | text.re_extract('[?&]key=([^&#]+)', 1)
DummyTable | | a table: rows.mutate(number=ibis.range(10).unnest())
"""
"""Operations | families of types that are all among those of its arguments and its result | what
to write."""


class _Line(NamedTuple):
    operations: tuple[type, ...]
    families: frozenset[str]
    instead: str


def _lines() -> tuple[_Line, ...]:
    found = []
    for line in _TABLE.replace("\n    ", " ").strip().splitlines():
        kinds, families, instead = (part.strip() for part in line.split("|"))
        operations = tuple(getattr(ops, kind) for kind in kinds.split())
        found.append(_Line(operations, frozenset(families.split()), instead))
    return tuple(found)


INSTEAD = _lines()


def instead_of(node: Any) -> str | None:
    """Return what to write instead of an operation, None where nothing is known."""
    families = families_of(node)
    known = (
        line.instead
        for line in INSTEAD
        if isinstance(node, line.operations) and line.families <= families
    )
    return next(known, None)
