"""What moves between two states of a table."""

from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pytest

from streampro.modeling.contract import Contract, column
from streampro.testing import Workbench
from streampro.warehouse import changes
from streampro.warehouse.changes import Move

SCHEMA = {"k": "string", "n": "int64", "t": "string"}


@pytest.fixture(scope="module")
def con() -> Any:
    return ibis.duckdb.connect()


def table(rows: list[tuple[Any, ...]]) -> Any:
    return ibis.memtable([dict(zip(SCHEMA, row, strict=True)) for row in rows], schema=SCHEMA)


def fetched(con: Any, rows: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (tuple(row.values()) for row in con.to_pyarrow(rows).to_pylist()), key=lambda row: repr(row)
    )


class Days(Contract):
    day: dt.Date = column("Day.", event_time=True)


BEFORE = [("a", 1, "x"), ("b", 2, None), ("c", None, "z"), ("d", 4, "w")]
AFTER = [("b", 3, "y"), ("c", None, "z"), ("d", 5, "w"), ("e", 1, None)]


def test_counts_tell_added_removed_and_changed_rows_and_columns(con: Any) -> None:
    [row] = con.to_pyarrow(changes.counts(table(BEFORE), table(AFTER), ["k"])).to_pylist()
    assert changes.counted(row) == {
        "added": 1,
        "removed": 1,
        "changed": 2,
        "columns": {"n": 2, "t": 1},
    }


def test_counts_of_nothing(con: Any) -> None:
    [row] = con.to_pyarrow(changes.counts(table([]), table([]), ["k"])).to_pylist()
    assert changes.counted(row) == {"added": 0, "removed": 0, "changed": 0, "columns": {}}


def test_null_is_a_key_like_any_other(con: Any) -> None:
    query = changes.counts(table([(None, 1, "x")]), table([(None, 2, "x")]), ["k"])
    [row] = con.to_pyarrow(query).to_pylist()
    counted = changes.counted(row)
    assert (counted["changed"], counted["columns"]) == (1, {"n": 1})


def test_difference_counts_copies(con: Any) -> None:
    before = table([("a", 1, None), ("a", 1, None), ("b", 2, "y")])
    after = table([("a", 1, None), ("b", 2, "y"), ("b", 2, "y")])
    assert fetched(con, changes.difference(before, after)) == [("a", 1, None), ("b", 2, "y")]


def test_stored_rows_are_known_also_where_they_hold_nulls(con: Any) -> None:
    rows, stored = table([("a", None, "x"), ("a", 1, None)]), table([("a", None, "x")])
    assert fetched(con, changes.unknown(rows, stored)) == [("a", 1, None)]
    assert fetched(con, changes.known(rows, stored)) == [("a", None, "x")]


def test_keys_are_distinct(con: Any) -> None:
    found = changes.keys_of([table(BEFORE), table(AFTER)], "k")
    assert [key for (key,) in fetched(con, found)] == ["a", "b", "c", "d", "e"]


def test_late_is_what_is_before_the_newest_stored(con: Any) -> None:
    def at(*hours: int) -> Any:
        rows = [{"at": datetime(2026, 1, 5, hour, tzinfo=UTC)} for hour in hours]
        return ibis.memtable(rows, schema={"at": "timestamp('UTC', 6)"})

    [row] = con.to_pyarrow(changes.lateness(at(3, 9, 10, 11), at(1, 10), "at")).to_pylist()
    assert row == {"late": 2, "late_by_us": 7 * 3600 * 1_000_000}


def test_a_late_day_is_late_by_whole_days(engine: Workbench) -> None:
    def on(*days: int) -> Any:
        return engine.table([{"day": date(2026, 1, day)} for day in days], Days)

    [row] = engine.rows(changes.lateness(on(1, 9, 10, 11), on(2, 10), "day"))
    assert row == {"late": 2, "late_by_us": 9 * 24 * 3600 * 1_000_000}


def test_moves_are_values_that_differ_in_the_order_of_rows() -> None:
    before = [{"k": "b", "n": 1, "t": None}, {"k": "a", "n": 1, "t": "x"}]
    after = [{"k": "c", "n": 2, "t": None}, {"k": "b", "n": 1, "t": "y"}]
    assert changes.moves("answers.q", ["k"], before, after) == [
        Move("answers.q", "k=a", "n", "1", None),
        Move("answers.q", "k=a", "t", "x", None),
        Move("answers.q", "k=b", "t", None, "y"),
        Move("answers.q", "k=c", "n", None, "2"),
    ]
