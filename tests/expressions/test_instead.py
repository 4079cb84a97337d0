"""What is not yet proven is refused with something to write instead, which works on each engine."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from hashlib import md5
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from ibis import _

from streampro.expressions.portability import findings
from streampro.expressions.portability.instead import INSTEAD

KINDS = {
    "i": "int64",
    "n": "int64",
    "f": "float64",
    "text": "string",
    "day": "date",
    "at": "timestamp('UTC', 6)",
    "s": "struct<a: int64, b: string>",
    "m": "map<string, int64>",
    "list": "array<int64>",
}
T = ibis.table(KINDS, name="rows")
AT = datetime(2024, 2, 29, 13, 37, 59, 999999, tzinfo=UTC)
URL = "https://example.org/a/b?key=v&k=w"
GIVEN = pa.table(
    {
        "i": [0, 1, 2],
        "n": [3, 0, None],
        "f": [-7.5, 0.1, None],
        "text": [URL, "", None],
        "day": [date(2024, 2, 29), date(2024, 3, 6), None],
        "at": [AT, datetime(1969, 12, 31, tzinfo=UTC), None],
        "s": [{"a": 1, "b": "x"}, {"a": None, "b": "y"}, None],
        "m": [{"a": 1, "b": 2}, {}, None],
        "list": [[1], [], None],
    },
    schema=ibis.schema(KINDS).to_pyarrow(),
)


class Case(NamedTuple):
    """What is refused, what its refusal says to write, that, and what it gives."""

    refused: ir.Value
    said: str
    written: ir.Value
    rows: list[Any]


CASES = [
    Case(T.n.cast("uint8"), "int64", T.n.cast("int64"), [3, 0, None]),
    Case(T.day >= "2024-03-01", "date(2024", T.day >= date(2024, 3, 1), [False, True, None]),
    Case(
        T.day.isin(["2024-02-29"]),
        "date(2024",
        T.day.isin([date(2024, 2, 29)]),
        [True, False, None],
    ),
    Case(
        T.at > "2024-01-01",
        "datetime(2024",
        T.at > datetime(2024, 1, 1, tzinfo=UTC),
        [True, False, None],
    ),
    Case(T.day == T.at, "instant.date()", T.day == T.at.date(), [True, False, None]),
    Case(
        T.day < T.at,
        "day.cast",
        T.day.cast("timestamp('UTC', 6)") < T.at,
        [True, False, None],
    ),
    Case(
        T.s == T.s,
        "per field",
        (T.s.a == T.s.a) & (T.s.b == T.s.b),
        [True, None, None],
    ),
    Case(
        T.m == T.m,
        "keys()",
        (T.m.keys() == T.m.keys()) & (T.m.values() == T.m.values()),
        [True, True, None],
    ),
    Case(
        ibis.greatest(T.n, T.f),
        "as floats",
        ibis.greatest(T.n.cast("float64"), T.f),
        [3.0, 0.1, None],
    ),
    Case(T.f // 2, "floor()", (T.f / 2).floor(), [-4, 0, None]),
    Case(T.n.cast("boolean"), "x != 0", T.n != 0, [True, False, None]),
    Case(
        T.list.fill_null([]),
        "ibis.literal([], x.type())",
        T.list.fill_null(ibis.literal([], T.list.type())).length(),
        [1, 0, 0],
    ),
    Case(
        (T.at + T.n.cast("interval('h')")).date(),
        "as_interval('h')",
        (T.at + T.n.as_interval("h")).date(),
        [date(2024, 2, 29), date(1969, 12, 31), None],
    ),
    Case(
        T.at + ibis.interval(hours=3) * T.n,
        "as_interval('h')",
        (T.at + (3 * T.n).as_interval("h")).date(),
        [date(2024, 2, 29), date(1969, 12, 31), None],
    ),
    Case(
        T.at + (ibis.interval(months=1) + ibis.interval(days=1)),
        "one interval after the other",
        (T.at + ibis.interval(months=1) + ibis.interval(days=1)).date(),
        [date(2024, 3, 30), date(1970, 2, 1), None],
    ),
    Case(
        T.text.hashbytes("md5").cast("string"),
        "hexdigest",
        T.text.hexdigest("md5").substr(0, 4),
        [md5(URL.encode()).hexdigest()[:4], "d41d", None],
    ),
    Case(T.n.radians(), "math.pi / 180", (T.n * (math.pi / 180)).round(), [0, 0, None]),
    Case(T.n.degrees(), "180 / math.pi", (T.n * (180 / math.pi)).round(), [172, 0, None]),
    Case(
        T.at.millisecond(),
        "truncate('s')",
        T.at.delta(T.at.truncate("s"), unit="microsecond") // 1000,
        [999, 0, None],
    ),
    Case(
        T.text.protocol(),
        "re_extract",
        T.text.re_extract("^([a-z]+)://", 1),
        ["https", "", None],
    ),
    Case(
        T.text.host(),
        "re_extract",
        T.text.re_extract("^[a-z]+://([^/?#]+)", 1),
        ["example.org", "", None],
    ),
    Case(
        T.text.path(),
        "re_extract",
        T.text.re_extract("^[a-z]+://[^/?#]+([^?#]+)", 1),
        ["/a/b", "", None],
    ),
    Case(
        T.text.query("key"),
        "key=",
        T.text.re_extract("[?&]key=([^&#]+)", 1),
        ["v", "", None],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.said for case in CASES])
def test_what_a_refusal_says_to_write_is_accepted_and_agrees(
    case: Case, run: Callable[..., list[Any]]
) -> None:
    refused = findings(T.select("i", v=case.refused))
    assert any("not yet proven" in each and case.said in each for each in refused), refused
    written = T.select("i", v=case.written)
    assert findings(written) == []
    assert run(written, GIVEN) == case.rows


def test_numbers_are_unnested_in_a_table(run: Callable[..., list[Any]]) -> None:
    [said] = findings(ibis.range(2).unnest().name("number").as_table())
    assert "rows.mutate(number=ibis.range(10).unnest())" in said
    written = (
        T.filter(_.i == 0).mutate(number=ibis.range(2).unnest()).select(i="number", v="number")
    )
    assert findings(written) == []
    assert run(written, GIVEN) == [0, 1]


def test_every_line_is_said() -> None:
    said = {each for case in CASES for each in findings(T.select("i", v=case.refused))}
    said |= {*findings(ibis.range(2).unnest().name("number").as_table())}
    silent = [
        line.instead for line in INSTEAD if not any(f"Use {line.instead}." in each for each in said)
    ]
    assert silent == []
