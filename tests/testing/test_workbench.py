"""Rows that a test gives become a table as they are, or are refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import pytest
from pipelines.shop import mart

from streampro.testing import Workbench, assert_rows_equal
from streampro.testing.rows import arrow_table

NAN = float("nan")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


KINDS = ibis.schema(
    {
        "number": "int64",
        "small": "int8",
        "ratio": "float64",
        "single": "float32",
        "price": "decimal(5, 2)",
        "is_open": "boolean",
        "text": "string",
        "blob": "binary",
        "day": "date",
        "at": "timestamp('UTC', 6)",
        "tags": "array<string>",
        "counts": "map<string, int64>",
        "place": "struct<city: string, zip: int64>",
    }
)


def test_rows_become_a_table_and_rows_again(engine: Workbench) -> None:
    rows = engine.rows(engine.table([{"shop": "a"}, {"city": "Ulm"}], mart.revenue))
    assert_rows_equal(rows, [{"shop": "a", "city": None}, {"shop": None, "city": "Ulm"}])


@pytest.mark.parametrize("passes_over_zones", [True, False])
def test_instants_are_the_same_in_whatever_zone_they_are_given(
    passes_over_zones: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if passes_over_zones:  # as where a project imports pandera itself
        monkeypatch.setenv("PYARROW_IGNORE_TIMEZONE", "1")
    in_berlin = datetime(2026, 6, 1, 14, tzinfo=ZoneInfo("Europe/Berlin"))
    for at in (in_berlin, in_berlin.astimezone(timezone(timedelta(hours=-5)))):
        schema = ibis.schema({"at": KINDS["at"], "list": "array<timestamp('UTC', 6)>"})
        [row] = arrow_table([{"at": at, "list": [at]}], schema).to_pylist()
        assert [row["at"], *row["list"]] == [datetime(2026, 6, 1, 12, tzinfo=UTC)] * 2


def test_unknown_column_is_refused(engine: Workbench) -> None:
    with pytest.raises(ValueError, match="no column shp"):
        engine.table([{"shp": "a"}], mart.revenue)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("number", 2**63 - 1),
        ("ratio", 3),
        ("ratio", float("inf")),
        ("single", 0.5),
        ("price", Decimal("123.450")),
        ("price", 7),
        ("at", NOON),
        ("tags", ["a", None]),
        ("place", {"city": "Ulm", "zip": None}),
    ],
)
def test_values_that_a_type_holds_are_kept(name: str, value: Any) -> None:
    [row] = arrow_table([{name: value}], KINDS).to_pylist()
    assert row == {**dict.fromkeys(KINDS), name: value}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("number", 1.0, "column 'number': 1.0 (float), expected int64: an int from -9223"),
        ("number", 1.5, "column 'number': 1.5 (float)"),
        ("number", "1", "column 'number': '1' (str)"),
        ("number", True, "column 'number': True (bool)"),
        ("number", NAN, "column 'number': nan (float)"),
        ("number", 2**63, "column 'number': 9223372036854775808 (int)"),
        ("number", Decimal(1), "column 'number': Decimal('1') (Decimal)"),
        ("small", 128, "column 'small': 128 (int), expected int8: an int from -128 to 127"),
        ("ratio", NAN, "column 'ratio': nan (float), expected float64: a float, or an int up to"),
        ("ratio", 2**53 + 1, "column 'ratio': 9007199254740993 (int)"),
        ("ratio", False, "column 'ratio': False (bool)"),
        ("single", 0.1, "column 'single': 0.1 (float), expected float32"),
        ("single", 1e300, "column 'single': 1e+300 (float)"),
        ("price", Decimal("1.234"), "column 'price': Decimal('1.234') (Decimal), expected decimal"),
        ("price", Decimal("1234.5"), "column 'price': Decimal('1234.5')"),
        ("price", Decimal("NaN"), "column 'price': Decimal('NaN')"),
        ("price", 1.5, "column 'price': 1.5 (float)"),
        ("is_open", 1, "column 'is_open': 1 (int), expected boolean: True or False"),
        ("text", 1, "column 'text': 1 (int), expected string"),
        ("text", b"a", "column 'text': b'a' (bytes)"),
        ("text", "\ud800", r"column 'text': '\ud800' (str)"),
        ("blob", "a", "column 'blob': 'a' (str)"),
        ("day", NOON, "column 'day': datetime.datetime(2026, 1, 5, 12, 0"),
        ("day", "2026-01-05", "column 'day': '2026-01-05' (str), expected date"),
        ("at", NOON.replace(tzinfo=None), "expected timestamp('UTC', 6): a datetime with a time"),
        ("at", date(2026, 1, 5), "column 'at': datetime.date(2026, 1, 5) (date)"),
        ("at", 5, "column 'at': 5 (int)"),
        ("tags", "ab", "column 'tags': 'ab' (str)"),
        ("tags", ["a", 1], "column 'tags'[2]: 1 (int), expected string"),
        ("counts", {"a": 1.0}, "column 'counts'['a']: 1.0 (float)"),
        ("counts", {1: 1}, "column 'counts'[1] as a key: 1 (int)"),
        ("place", {"town": "Ulm"}, "column 'place': {'town': 'Ulm'} (dict)"),
        ("place", {"zip": "89073"}, "column 'place'.zip: '89073' (str), expected int64"),
        ("nubmer", 1, "'nubmer': the contract has no column nubmer. Did you mean 'number'?"),
    ],
)
def test_values_that_a_type_would_change_are_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # all of it is compared below
        arrow_table([{}, {name: value}], KINDS)
    assert str(refused.value).startswith("row 2, ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"key": None}, "row 2, column 'key': None (NoneType), expected int64, never null: an int"),
        ({"key": 1.0}, "row 2, column 'key': 1.0 (float), expected int64, never null: an int from"),
        ({"names": ["a", None]}, "row 2, column 'names'[2]: None (NoneType), expected string, "),
        ({"names": [1]}, "row 2, column 'names'[1]: 1 (int), expected string, never null: a str."),
    ],
)
def test_null_is_refused_where_there_may_be_none(row: dict[str, Any], said: str) -> None:
    schema = ibis.schema({"key": "!int64", "names": "array<!string>", "note": "string"})
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # all of it is compared below
        arrow_table([{"key": 1, "note": None}, row], schema)
    assert str(refused.value).startswith(said)


def test_columns_that_a_row_leaves_out_are_null_also_where_a_contract_has_none() -> None:
    schema = ibis.schema({"key": "!int64", "note": "string"})
    assert arrow_table([{"note": "a"}], schema).to_pylist() == [{"key": None, "note": "a"}]


@pytest.mark.parametrize("contract", [dict, "revenue", None, mart])
def test_what_is_no_contract_is_refused(engine: Workbench, contract: Any) -> None:
    with pytest.raises(TypeError, match="must be a Contract or a model, not "):
        engine.table([{}], contract)


@pytest.mark.parametrize("rows", [None, 1, "abc", {"key": 1}])
def test_what_is_no_list_of_rows_is_refused(engine: Workbench, rows: Any) -> None:
    with pytest.raises(TypeError, match="must be a list of dicts, a row each, not "):
        engine.table(rows, mart.revenue)


def test_row_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1, \(1,\): expected a dict of columns"):
        arrow_table([(1,)], KINDS)  # type: ignore[list-item]
