"""Helpers that mean the same on every engine, on values worked out by hand."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.portable import (
    earliest,
    mask_json_value,
    ratio,
    strip,
    to_date,
    to_decimal,
    to_integer,
    to_utc,
)

CON = ibis.duckdb.connect()


def each(helper: Callable[[ir.Column], ir.Value], values: Sequence[str | None]) -> list[Any]:
    """Return the helper's result per value, computed on a table with all of them."""
    data = pa.table({"i": range(len(values)), "x": pa.array(values, pa.string())})
    table = CON.create_table("texts", data, overwrite=True)
    found = table.select("i", y=helper(table.x)).order_by("i")
    return list(CON.to_pyarrow(found)["y"].to_pylist())


def check(helper: Callable[[Any], Any], expected: dict[str, Any]) -> None:
    """All values in one table, so that no value's oddity may spoil another's."""
    found = dict(zip(expected, each(helper, list(expected)), strict=True))
    assert found == expected
    assert each(helper, [None]) == [None]


def test_strip_removes_exactly_four_characters() -> None:
    check(
        strip,
        {
            "a": "a",
            " a ": "a",
            "\t\r\n a b \n\r\t": "a b",
            "a\n\nb\n": "a\n\nb",
            "": None,
            " ": None,
            "\r\n\t ": None,
            "\u00a0a\u00a0": "\u00a0a\u00a0",
            "\u2003": "\u2003",
            "\u000ba\u000c": "\u000ba\u000c",
            "\ufeffa": "\ufeffa",
            "!": "!",
            "\u0001 ": "\u0001",
            " \u00e9": "\u00e9",
        },
    )


def test_to_integer() -> None:
    check(
        to_integer,
        {
            "0": 0,
            "-0": 0,
            "+5": 5,
            "007": 7,
            "9223372036854775807": 2**63 - 1,
            "-9223372036854775808": -(2**63),
            "9223372036854775808": None,
            "-9223372036854775809": None,
            "0000000000000000000000000000012": 12,
            "1.9": 1,
            "-1.9": -1,
            ".5": 0,
            "-.5": 0,
            "+.5e1": 5,
            "1e3": 1000,
            "1e+3": 1000,
            "15e-1": 1,
            "1e-400": 0,
            "1e400": None,
            "-1e400": None,
            "1e18": 10**18,
            "9223372036854775807.0": None,
            "-9223372036854775808.0": -(2**63),
            "": None,
            "1.": None,
            ".": None,
            "e5": None,
            "1e": None,
            "1E3": None,
            "+-1": None,
            " 1": None,
            "1 ": None,
            "1\n": None,
            "1_000": None,
            "1,000": None,
            "0x10": None,
            "nan": None,
            "NaN": None,
            "inf": None,
            "Infinity": None,
            "true": None,
            "\uff11": None,
            "\u0661": None,
        },
    )


def test_to_decimal_rounds_nothing() -> None:
    check(
        lambda text: to_decimal(text).cast("string"),
        {
            "0": "0.00",
            "-0.00": "0.00",
            "+5": "5.00",
            ".5": "0.50",
            "-.05": "-0.05",
            "007.10": "7.10",
            "1.5000": "1.50",
            "1.505": None,
            "9999999999999999.99": "9999999999999999.99",
            "-9999999999999999.99": "-9999999999999999.99",
            "10000000000000000": None,
            "000010000000000000.00": "10000000000000.00",
            "1e2": None,
            "1.": None,
            ".": None,
            "": None,
            "-": None,
            " 1": None,
            "1\n": None,
            "1,50": None,
            "1_0": None,
            "NaN": None,
            "\u0661": None,
        },
    )


def test_to_decimal_of_other_sizes() -> None:
    whole = "9" * 36 + ".99"
    check(lambda text: to_decimal(text, 38, 2), {whole: Decimal(whole), "1" + whole: None})
    check(lambda text: to_decimal(text, 3, 3), {"0.125": Decimal("0.125"), "1.125": None})
    check(lambda text: to_decimal(text, 3, 0), {"999": Decimal(999), "7.00": 7, "7.5": None})


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]  # open number of parts


def test_to_utc() -> None:
    check(
        to_utc,
        {
            "2024-05-01T12:30:15Z": utc(2024, 5, 1, 12, 30, 15),
            "2024-05-01T12:30:15": utc(2024, 5, 1, 12, 30, 15),
            "2024-05-01 12:30": utc(2024, 5, 1, 12, 30),
            "2024-05-01 12:30Z": utc(2024, 5, 1, 12, 30),
            "2024-05-01T12:30:15.1Z": utc(2024, 5, 1, 12, 30, 15, 100000),
            "2024-05-01T12:30:15.999999999Z": utc(2024, 5, 1, 12, 30, 15, 999999),
            "2024-05-01 12:30:15.999999999": utc(2024, 5, 1, 12, 30, 15, 999999),
            "2024-05-01T12:30:15.1234567+00:00": utc(2024, 5, 1, 12, 30, 15, 123456),
            "2024-05-01T00:30:00+01:00": utc(2024, 4, 30, 23, 30),
            "2024-05-01T00:30:00+0530": utc(2024, 4, 30, 19),
            "2024-05-01T12:30-05": utc(2024, 5, 1, 17, 30),
            "2024-05-01T12:30-00:30": utc(2024, 5, 1, 13),
            "1970-01-01T00:00:00+01:00": utc(1969, 12, 31, 23),
            "2199-12-31T23:59:59-23:59": utc(2200, 1, 1, 23, 58, 59),
            "2024-02-29T23:59:59.9+23:59": utc(2024, 2, 29, 0, 0, 59, 900000),
            "2023-02-29T00:00:00Z": None,
            "2023-02-29T00:00:00+01:00": None,
            "2024-04-31 12:30": None,
            "1969-12-31T23:59:59Z": None,
            "2200-01-01T00:00:00Z": None,
            "2024-05-01T24:00:00Z": None,
            "2024-05-01T23:60:00Z": None,
            "2024-05-01T23:59:60Z": None,
            "2024-05-01T23:59:60+01:00": None,
            "2024-05-01T12:30:15+24:00": None,
            "2024-05-01T12:30:15+01:60": None,
            "2024-05-01T12:30:15.Z": None,
            "2024-05-01T12:30:15.1234567890Z": None,
            "2024-05-01T12Z": None,
            "2024-05-01": None,
            "2024-05-01t12:30:15Z": None,
            "2024-05-01T12:30:15z": None,
            "2024-05-01T12:30:15 Z": None,
            "2024-05-01T12:30:15Z\n": None,
            "2024-5-1T12:30:15Z": None,
            "1714566615": None,
            "now": None,
            "": None,
        },
    )


def test_to_date() -> None:
    check(
        to_date,
        {
            "2024-02-29": date(2024, 2, 29),
            "1900-01-01": date(1900, 1, 1),
            "2199-12-31": date(2199, 12, 31),
            "1900-02-29": None,
            "2023-02-29": None,
            "2024-04-31": None,
            "1899-12-31": None,
            "2200-01-01": None,
            "2024-00-10": None,
            "2024-13-10": None,
            "2024-1-1": None,
            "2024-01-01T00:00": None,
            " 2024-01-01": None,
            "2024/01/01": None,
            "epoch": None,
            "": None,
        },
    )


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(2, "b"), (1, "c"), (3, "a")], "c"),
        ([(1, None), (2, "b")], "b"),
        ([(1, "z"), (1, "y"), (1, None)], "y"),
        ([(1, None), (2, None)], None),
        ([], None),
    ],
)
def test_earliest(pairs: list[tuple[int, str | None]], expected: str | None) -> None:
    data = pa.table(
        {
            "at": pa.array([at for at, _ in pairs], pa.int64()),
            "value": pa.array([value for _, value in pairs], pa.string()),
        }
    )
    rows = CON.create_table("pairs", data, overwrite=True)
    found = rows.aggregate(first=earliest(rows.value, rows["at"]))
    assert CON.to_pyarrow(found).to_pylist() == [{"first": expected}]


def test_ratio_is_a_float_and_null_without_a_whole() -> None:
    data = pa.table({"part": [1, 0, 3, 0], "whole": [4, 4, 0, 0]})
    rows = CON.create_table("parts", data, overwrite=True)
    found = rows.select(share=ratio(rows.part, rows.whole))
    assert str(found.schema()["share"]) == "float64"
    assert CON.to_pyarrow(found)["share"].to_pylist() == [0.25, 0.0, None, None]


MASKED = {
    '{"ip": "1.2.3.4", "x": 1}': '{"ip":"***", "x": 1}',
    '{"IP" : 5}': '{"ip":"***"}',
    "{'ip': 'a', 'b': 1}": '{"ip":"***", \'b\': 1}',
    "{ip:1.2.3.4}": '{"ip":"***"}',
    '{"ip": null, "b": 1}': '{"ip":"***", "b": 1}',
    '{"ip": ""}': '{"ip":"***"}',
    '{"ip":"a\\"b","x":1}': '{"ip":"***","x":1}',
    '{"a":1,"ip":[1, 2],"b":2}': '{"a":1,"ip":"***"',
    '{"ip":{"v4":"1.2.3.4"},"b":2}': '{"ip":"***"',
    '{"\\u0069P":"1.2.3.4","b":2}': '{"ip":"***","b":2}',
    '{"ip":"1.2.3': '{"ip":"***"',
    '{"ip":"a","n":{"ip":"b"}}': '{"ip":"***","n":{"ip":"***"}}',
    '{"zip":"x","my_ip":"y","ips":"z"}': '{"zip":"x","my_ip":"y","ips":"z"}',
    '["ip"]': '["ip"]',
    '{"ip":"x",}': '{"ip":"***",}',
    '{"ip":"x","caf\\u00e9":1}': '{"ip":"***","caf\\u00e9":1}',
    '{"ip":"x","ip":"y","b":2}': '{"ip":"***","ip":"***","b":2}',
    '{"n":{"ip":"x"},"ip":"y"}': '{"n":{"ip":"***"},"ip":"***"}',
    "{a: 1, ip: 2, b: 3}": '{a: 1, "ip":"***", b: 3}',
    '{"text":"a zip: 1, a ship"}': '{"text":"a zip: 1, a ship"}',
    '{"description":"x","zip": 4 5 6}': '{"description":"x","zip": 4 5 6}',
    '{"text":"my ip is 5","b":2}': '{"text":"my"ip":"***"',
    '{"a":"ip"}': '{"a":"ip"}',
    "plain text": "plain text",
}


def test_mask_json_value() -> None:
    check(lambda text: mask_json_value(text, "ip"), MASKED)


@pytest.mark.parametrize(
    "text",
    [
        '{"ip":{"old":{"v4":"9.9.9.9"},"new":"1.2.3.4"}}',
        '{"ip":[["9.9.9.9"],"1.2.3.4"]}',
        '{"ip":{"note":"}","v4":"1.2.3.4"}}',
        '{"ip":["]","1.2.3.4"]}',
        '{"\\u0069p":"1.2.3.4"}',
        '{"ip":"1.2.3.4\\',
        "{'ip':'1.2.3.4",
        '{"ip":\n"1.2.3.4"}',
        '{"ip": 0 1.2.3.4 0, "x": 1}',
        '{"ip": 0, 1.2.3.4}',
        '{"ip": 0, x 1.2.3.4: 0}',
        '{"ip":"a" "1.2.3.4"}',
        '{"ip":"a""1.2.3.4"}',
        "{'ip':'a''1.2.3.4'}",
        '{"ip":"a":"1.2.3.4"}',
        '{"ip":"a","1.2.3.4"}',
        '{"ip":"a","1.2.3.4","b":2}',
        '{"ip":"a","1.2.3.4',
        '{"ip":"***" 1.2.3.4}',
        '{"ip":,"1.2.3.4"}',
        '{"ip":}"1.2.3.4"',
        '{"ip":"a"}1.2.3.4","b":2}',
        '{"ip":\u201c0 1.2.3.4\u201d}',
        "{\u201cip\u201d: \u201c1.2.3.4\u201d}",
        '{"ip ":"1.2.3.4"}',
        '{" ip":"1.2.3.4"}',
        '{"\\tip\\u0020":"1.2.3.4"}',
        '{"\\u0020ip":"1.2.3.4"}',
        '{"\ufeffip":"1.2.3.4"}',
        '{"ip\ufffd":"1.2.3.4"}',
        '{"ip"\ufffd:"1.2.3.4"}',
        '{"ip"\u00a0:"1.2.3.4"}',
        '{"ip"\x00:"1.2.3.4"}',
        '{"ip"/**/:"1.2.3.4"}',
        '{"ip" = "1.2.3.4"}',
        "{'ip' => '1.2.3.4'}",
        '["ip","1.2.3.4"]',
        "ip,1.2.3.4",
        "<ip>1.2.3.4</ip>",
        "&quot;ip&quot;:&quot;1.2.3.4&quot;",
        '{"ip":"' + "\\n" * 51 + '1.2.3.4"}',
        '"{\\"ip\\":\\"a\\",\\"ip\\":\\"1.2.3.4\\"}"',
    ],
)
def test_no_part_of_a_masked_value_is_left(text: str) -> None:
    [masked] = each(lambda value: mask_json_value(value, "ip"), [text])
    assert "1.2.3.4" not in masked
