"""What versions of a dimension are, for any order and repetition of its dated rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

import hypothesis.strategies as st
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import given

from streampro import PipelineError, portable
from streampro.expressions.keys import keys_of
from streampro.expressions.order import ties
from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
SCHEMA = ibis.schema(
    {"k": "string", "at": "timestamp('UTC', 6)", "price": "int64", "name": "string"}
)
ROWS = ibis.table(SCHEMA, name="rows")
VERSIONS = portable.versions_of(ROWS, key="k", at="at")
DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Told(NamedTuple):
    """What a row says of a thing."""

    k: str | None
    at: datetime | None
    price: int | None
    name: str | None


def on(day: int) -> datetime:
    return DAY + timedelta(days=day)


def table(rows: Sequence[Told]) -> pa.Table:
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA}
    return pa.table(columns, SCHEMA.to_pyarrow())


def largest(row: Told) -> tuple[tuple[bool, Any], ...]:
    """Return what rows of one instant are compared by: null is smallest."""
    return tuple((value is not None, value or type(value)()) for value in row[2:])


def expected(rows: Sequence[Told]) -> list[dict[str, Any]]:
    """Return the versions, by plain Python."""
    known = sorted({row for row in rows if row.k is not None and row.at is not None}, key=str)
    by_time = sorted(known, key=lambda row: (row.k, row.at))
    found: list[dict[str, Any]] = []
    for _, instants in groupby(by_time, key=lambda row: (row.k, row.at)):
        row = max(instants, key=largest)
        last = found[-1] if found and found[-1]["k"] == row.k else None
        if last and (last["price"], last["name"]) == (row.price, row.name):
            continue
        if last:
            last |= {"valid_to": row.at, "is_current": False}
        found.append(
            {"k": row.k, "price": row.price, "name": row.name, "valid_from": row.at}
            | {"valid_to": None, "is_current": True}
        )
    return found


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["k"], row["valid_from"]))


HAND = [
    Told("a", on(1), 10, "x"),
    Told("a", on(2), 10, "x"),
    Told("a", on(3), 12, "x"),
    Told("a", on(4), 10, "x"),
    Told("b", on(1), None, None),
    Told("b", on(1), 7, None),
    Told("b", on(2), None, None),
    Told(None, on(1), 1, "x"),
    Told("c", None, 1, "x"),
]


@pytest.mark.parametrize("order", [1, -1])
def test_a_version_lasts_until_something_else_is_said(
    order: int, on_duckdb: Run, on_spark: Run
) -> None:
    """What is said again changes nothing, what comes again later is a version of its own."""
    wanted = [
        ("a", 10, on(1), on(3)),
        ("a", 12, on(3), on(4)),
        ("a", 10, on(4), None),
        ("b", 7, on(1), on(2)),
        ("b", None, on(2), None),
    ]
    for engine in (on_duckdb, on_spark):
        found = in_order(engine(VERSIONS, table([*HAND, *HAND][::order])))
        assert [
            (row["k"], row["price"], row["valid_from"], row["valid_to"]) for row in found
        ] == wanted
        assert all(row["is_current"] == (row["valid_to"] is None) for row in found)
        assert found == expected(HAND)


@given(
    st.lists(
        st.builds(
            Told,
            st.sampled_from(["a", "b", None]),
            st.sampled_from([None, *map(on, range(5))]),
            st.sampled_from([None, 0, 1, -1]),
            st.sampled_from([None, "", "x"]),
        ),
        max_size=12,
    )
)
def test_versions_are_those_of_any_rows(on_duckdb: Run, rows: list[Told]) -> None:
    assert in_order(on_duckdb(VERSIONS, table(rows))) == expected(rows)


def test_check_accepts_it_and_knows_its_key() -> None:
    assert findings(VERSIONS) == [*ties(VERSIONS, {"rows": []})] == []
    assert ("k", "valid_from") in keys_of(VERSIONS, {"rows": []})


def test_key_may_have_several_columns_and_nothing_else_be_told(on_duckdb: Run) -> None:
    rows = table([Told("a", on(1), 1, "x"), Told("a", on(2), 1, "x"), Told("a", on(2), 2, "x")])
    query = portable.versions_of(ROWS.drop("name"), key=["k", "price"], at="at")
    found = sorted((row["k"], row["price"], row["valid_from"]) for row in on_duckdb(query, rows))
    assert found == [("a", 1, on(1)), ("a", 2, on(2))]


@pytest.mark.parametrize(
    ("rows", "at", "said"),
    [
        (ROWS, "att", "there is no column 'att'. Did you mean 'at'? Columns: k, at, price, name."),
        (ROWS.rename(valid_to="name"), "at", "the rows have valid_to already. Rename it first."),
    ],
)
def test_columns_that_do_not_fit_are_refused(rows: ir.Table, at: str, said: str) -> None:
    with pytest.raises(PipelineError) as raised:
        portable.versions_of(rows, key="k", at=at)
    assert str(raised.value) == f"portable.versions_of: {said}"
