"""Rows compared as a multiset."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from streampro.testing import assert_rows_equal


def differs(actual: list[dict[str, object]], expected: list[dict[str, object]]) -> str:
    with pytest.raises(pytest.fail.Exception) as failure:
        assert_rows_equal(actual, expected)
    return str(failure.value)


def test_order_of_rows_and_columns_does_not_matter() -> None:
    assert_rows_equal(
        [{"a": 1, "b": [2]}, {"b": None, "a": 3}], [{"b": None, "a": 3}, {"b": [2], "a": 1}]
    )


def test_columns_that_are_not_expected_are_not_compared() -> None:
    assert_rows_equal([{"a": 1, "b": 2}], [{"a": 1}])


def test_copies_count() -> None:
    told = differs([{"a": 1}, {"a": 1}], [{"a": 1}])
    assert told == "2 rows, expected 1.\nunexpected: {'a': 1}"


def test_decimals_are_equal_by_value() -> None:
    assert_rows_equal([{"a": Decimal("1.50")}], [{"a": Decimal("1.5")}])
    one, other = Decimal("9" * 36 + ".98"), Decimal("9" * 36 + ".99")
    assert f"missing: {{'a': {other!r}}}" in differs([{"a": one}], [{"a": other}])


def test_keys_of_maps_and_structs_have_no_order() -> None:
    assert_rows_equal(
        [{"a": {"x": 1, "y": [{"b": 2, "c": 3}]}}], [{"a": {"y": [{"c": 3, "b": 2}], "x": 1}}]
    )


def test_instants_are_equal_whatever_their_zone_is_called() -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert_rows_equal([{"a": noon.astimezone(ZoneInfo("UTC"))}], [{"a": noon}])
    assert_rows_equal([{"a": noon.astimezone(ZoneInfo("America/Lima"))}], [{"a": noon}])
    assert "missing:" in differs([{"a": noon.replace(tzinfo=None)}], [{"a": noon}])


def test_types_count() -> None:
    assert "missing: {'a': True}" in differs([{"a": 1}], [{"a": True}])


def test_no_expected_row_means_no_row() -> None:
    assert_rows_equal([], [])
    assert "unexpected: {'a': 1}" in differs([{"a": 1}], [])


def test_row_without_an_expected_column_fails_with_the_columns_that_it_has() -> None:
    told = differs([{"shop": 1, "day": 2}, {"shop": 1, "dya": 2}], [{"shop": 1, "day": 2}])
    assert told == "row 2 has no column day. Did you mean 'dya'? Its columns: shop, dya."
    assert differs([{}], [{"a": 1}]) == "row 1 has no column a. Its columns: none."


WRONG: dict[str, tuple[Any, Any, str]] = {
    "other columns": ([], [{"a": 1}, {"b": 1}], "the same columns: row 1 has a, row 2 has b."),
    "no column": ([{"a": 1}], [{}], "the same columns: row 1 has none, row 1 has none."),
    "no row": ([{"a": 1}], [3], "expected row 1 is 3: expected a dict of columns."),
    "no actual row": ([[1]], [{"a": 1}], "actual row 1 is [1]: expected a dict of columns."),
    "a row for rows": ({"a": 1}, [{"a": 1}], "actual is {'a': 1}: expected a list of rows."),
    "nothing": (None, [{"a": 1}], "actual is None: expected a list of rows."),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_compared_is_told(name: str) -> None:
    actual, expected, told = WRONG[name]
    with pytest.raises(ValueError, match=re.escape(told)):
        assert_rows_equal(actual, expected)
