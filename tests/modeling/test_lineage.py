"""Column lineage of whole pipelines, and the law that makes it exact."""

import itertools
import random
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from pipelines.shop import SHOP

from streampro.engines.duckdb.compiler import compiler_of
from streampro.errors import ConfigError
from streampro.expressions.columns import ROWS, ColumnRef
from streampro.modeling.columns.lineage import Lineage, Origin
from streampro.viewing import PIPELINE

VIEWING = Lineage(PIPELINE)


def told(lineage: Lineage, name: str) -> dict[str, str]:
    """Return what a column comes from by how, names of columns apart by spaces."""
    origins = lineage.origins(lineage.column(name))
    by_how = itertools.groupby(sorted(origins, key=lambda o: (o.how, o.column)), lambda o: o.how)
    return {how: " ".join(str(origin.column) for origin in some) for how, some in by_how}


JOINED = "events.event_ts events.session_id events.user_id events.video_id"
TRUTHS: dict[str, dict[str, str]] = {
    "user_sessions.user_id": {
        "copied": "events.user_id",
        "decides": "events.event_ts events.session_id events.video_id users.user_id "
        "videos.video_id",
    },
    "user_sessions.session_start_ts": {
        "computed": "events.event_ts",
        "decides": "events.event_name events.session_id events.user_id events.video_id "
        "users.user_id videos.video_id",
    },
    "user_sessions.event_count": {
        "computed": "events.*",
        "decides": f"{JOINED} users.user_id videos.video_id",
    },
    "user_sessions.total_watch_time_s": {
        "computed": "events.value",
        "decides": "events.event_name events.event_ts events.session_id events.user_id "
        "events.video_id users.user_id videos.video_id",
    },
    "user_sessions.device_os": {
        "copied": "events.device_os",
        "decides": f"{JOINED} users.user_id videos.video_id",
    },
    "user_sessions.first_genre": {
        "copied": "videos.genre",
        "decides": f"{JOINED} users.user_id videos.video_id",
    },
    "user_sessions.gender": {
        "copied": "users.gender",
        "decides": f"{JOINED} users.user_id videos.video_id",
    },
    "fact_user_session.reached_30s": {"computed": "user_sessions.total_watch_time_s"},
    "fact_user_session.next_session_start_ts": {
        "copied": "user_sessions.session_start_ts",
        "decides": "user_sessions.session_number user_sessions.user_id",
    },
    "fact_user_session.retained_within_3d": {
        "computed": "user_sessions.session_start_ts",
        "decides": "user_sessions.session_number user_sessions.user_id",
    },
    "q1_engagement.users": {
        "computed": "fact_user_session.*",
        "decides": "fact_user_session.session_number",
    },
    "q1_engagement.reached_rate": {
        "computed": "fact_user_session.* fact_user_session.reached_30s",
        "decides": "fact_user_session.session_number",
    },
    "q2_retention.users": {
        "computed": "fact_user_session.*",
        "decides": "fact_user_session.first_genre fact_user_session.session_number",
    },
    "q2_retention.observable_users": {
        "computed": "events.event_ts fact_user_session.retention_deadline_ts",
        "decides": "fact_user_session.first_genre fact_user_session.session_number",
    },
    "q3_dropoff.all_users": {
        "computed": "fact_user_session.*",
        "decides": "fact_user_session.app_version fact_user_session.device_os "
        "fact_user_session.user_id",
    },
    "q3_dropoff.sum_dropoff_squared": {
        "computed": "fact_user_session.dropoff_under_10s",
        "decides": "fact_user_session.app_version fact_user_session.device_os "
        "fact_user_session.user_id",
    },
    "events_rejected.raw_line": {
        "copied": "raw_events.raw_line",
        "decides": "raw_events.event_name raw_events.is_object raw_events.session_id "
        "raw_events.timestamp raw_events.user_id raw_events.value",
    },
    "events_rejected.reject_reason": {
        "decides": "raw_events.event_name raw_events.is_object raw_events.raw_line "
        "raw_events.session_id raw_events.timestamp raw_events.user_id raw_events.value",
    },
}


@pytest.mark.parametrize(("column", "origins"), TRUTHS.items(), ids=TRUTHS)
def test_columns_of_the_viewing_pipeline(column: str, origins: dict[str, str]) -> None:
    assert told(VIEWING, column) == origins


def test_accepted_rows_are_decided_by_what_rejects_them_and_by_all_their_columns() -> None:
    lineage = Lineage(SHOP)
    assert told(lineage, "sales.amount") == {
        "computed": "raw_sales.amount",
        "decides": "raw_sales.day raw_sales.raw_line raw_sales.shop",
    }
    assert told(lineage, "shops.city") == {
        "copied": "raw_shops.city",
        "decides": "raw_shops.shop",
    }


def test_fields_of_sources_are_told_over_all_tables_between() -> None:
    found = VIEWING.fields(VIEWING.column("mart.fact_user_session.retained_within_3d"))
    values = [str(origin.column) for origin in found if origin.how != "decides"]
    assert values == ["raw_events.timestamp"]
    found = VIEWING.fields(VIEWING.column("q3_dropoff.app_version"))
    values = [(str(each.column), each.how) for each in found if each.how != "decides"]
    assert values == [("raw_events.app_version", "computed")]


def test_upstream_ends_at_the_fields_of_sources() -> None:
    lineage = Lineage(SHOP)
    found = lineage.upstream(lineage.column("mart.revenue.city"))
    assert [str(column) for column in found] == [
        "revenue.city",
        "shops.city",
        "sales.shop",
        "shops.shop",
        "raw_shops.city",
        "raw_shops.shop",
        "raw_sales.shop",
        "raw_sales.day",
        "raw_sales.raw_line",
        "raw_sales.amount",
    ]
    assert found[ColumnRef("shops", "city")] == (
        Origin(ColumnRef("raw_shops", "city"), "copied"),
        Origin(ColumnRef("raw_shops", "shop"), "decides"),
    )
    assert found[ColumnRef("raw_shops", "city")] == ()


def test_counted_rows_are_those_that_the_table_has() -> None:
    lineage = Lineage(SHOP)
    assert Origin(ColumnRef("sales", ROWS), "computed") in lineage.origins(
        lineage.column("revenue.sales")
    )
    decides = [str(each.column) for each in lineage.origins(ColumnRef("sales", ROWS))]
    assert sorted(decides) == [
        "raw_sales.amount",
        "raw_sales.day",
        "raw_sales.raw_line",
        "raw_sales.shop",
    ]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("revenue.sale", "revenue has no column 'sale'. Did you mean 'sales'? Its columns: shop"),
        ("mart.revenu.sales", "no table 'mart.revenu'. Did you mean 'mart.revenue'? A column is"),
        ("sale", "pipeline 'shop' has no table 'sale'. Did you mean 'sales'? A column is given"),
        ("revenue", "revenue is a table. A column is given as table.column: revenue.shop, revenu"),
        ("mart.revenue", "mart.revenue is a table. A column is given as table.column: mart.rev"),
        ("raw_shops", "raw_shops is a source. A column is given as table.column: raw_shops.sho"),
    ],
)
def test_unknown_column_is_refused_with_the_one_that_may_be_meant(name: str, error: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(error)):
        Lineage(SHOP).column(name)


def test_column_of_a_table_and_field_of_a_source_are_shown_in_full() -> None:
    assert VIEWING.shown(VIEWING.column("events.value")) == "staging.events.value"
    assert VIEWING.shown(VIEWING.column("raw_events.value")) == "raw_events.value"
    rejected = VIEWING.column("staging.events_rejected.raw_line")
    assert VIEWING.shown(rejected) == "staging.events_rejected.raw_line"


TEXTS: dict[str, list[str | None]] = {
    "timestamp": [f"2024-01-0{day}T00:00:00Z" for day in (1, 2, 3, 4)] + ["soon"],
    "event_name": ["watch_time", "session_start", "session_end", "like", "heart", None],
    "value": ["1", "20", "-1", "x"],
    "signup_date": ["2024-01-01", "2024-01-02", "x"],
    "duration_seconds": ["1", "2", "x"],
}
FEW: list[str | None] = ["a", "b", "a", "b", None]
NUMBERS = {"session_number": [1, 1, 1, 2]}
DAYS = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 7)]
ROUNDS, ROUNDS_OF_ALL, CHANGES = 60, 3, 3
"""The first rounds change every column, later ones those that have not changed all they can."""


def values(name: str, kind: dt.DataType) -> list[Any]:
    """Return the values that a column of made-up rows may have."""
    if kind.is_string():
        return TEXTS.get(name, FEW)
    if kind.is_timestamp():
        return DAYS
    if kind.is_date():
        return [date(2024, 1, 1), date(2024, 1, 2)]
    return [True, True, False] if kind.is_boolean() else NUMBERS.get(name, [1, 2, 3, 40])


class Bench:
    """A model's expression on DuckDB, over rows that are made up and changed."""

    def __init__(self, expression: ir.Table, seed: int) -> None:
        connection = ibis.duckdb.connect()
        connection.compiler = compiler_of()
        self.columns = expression.columns
        self.sql = connection.compile(expression)
        self.duckdb = connection.con
        self.duckdb.execute("SET threads = 1")
        tables = expression.op().find(ops.UnboundTable)
        self.inputs = {table.name: table.schema for table in tables}
        self.random = random.Random(seed)
        self.rows = {name: self.made_up(schema) for name, schema in self.inputs.items()}
        for name in self.inputs:
            self.load(name, self.rows[name])

    def made_up(self, schema: ibis.Schema) -> list[dict[str, Any]]:
        """Return a few rows or more, of few values, some of them twice."""
        few = self.random.choice([2, 8])
        rows = [
            {name: self.random.choice(values(name, kind)) for name, kind in schema.items()}
            for _ in range(few)
        ]
        return rows + [dict(self.random.choice(rows)) for _ in range(few // 2)]

    def load(self, name: str, rows: list[dict[str, Any]]) -> None:
        fields = [(field.name, field.type) for field in self.inputs[name].to_pyarrow()]
        self.duckdb.register(name, pa.Table.from_pylist(rows, pa.schema(fields)))

    def result(self) -> dict[str, list[str]]:
        """Return the values of every column, sorted."""
        rows = self.duckdb.execute(self.sql).fetchall()
        return {name: sorted(repr(row[i]) for row in rows) for i, name in enumerate(self.columns)}

    def changes(self, asked: set[ColumnRef]) -> Iterator[tuple[ColumnRef, str]]:
        """Change one value of one input column after the other, of those asked for; yield it with
        every column of the result that then has other values.
        """
        before = self.result()
        for table, schema in self.inputs.items():
            for name, kind in schema.items():
                if ColumnRef(table, name) not in asked:
                    continue
                for _ in range(CHANGES):
                    self.load(table, self.with_one_other(table, name, kind))
                    after = self.result()
                    yield from (
                        (ColumnRef(table, name), column)
                        for column in self.columns
                        if after[column] != before[column]
                    )
                self.load(table, self.rows[table])

    def with_one_other(self, table: str, name: str, kind: dt.DataType) -> list[dict[str, Any]]:
        rows = [dict(row) for row in self.rows[table]]
        row = self.random.choice(rows)
        row[name] = self.random.choice([new for new in values(name, kind) if new != row[name]])
        return rows


@pytest.mark.slow
@pytest.mark.parametrize("table", VIEWING.tables)
def test_a_changed_value_changes_the_columns_that_name_it_and_no_other(table: str) -> None:
    """Whatever changes is named, and whatever is named as part of a value can change it."""
    expression = VIEWING.tables[table]
    named = {
        (origin.column, column): origin.how
        for column in expression.columns
        for origin in VIEWING.origins(ColumnRef(table, column))
    }
    parts = {pair for pair, how in named.items() if how != "decides" and pair[0].column != ROWS}
    seen: set[tuple[ColumnRef, str]] = set()
    for seed in range(ROUNDS):
        bench = Bench(expression, seed)
        inputs = {ColumnRef(each, name) for each, schema in bench.inputs.items() for name in schema}
        missing = {column for column, _ in parts - seen}
        seen |= set(bench.changes(inputs if seed < ROUNDS_OF_ALL else missing))
        assert seen <= named.keys()
        if parts <= seen and seed >= ROUNDS_OF_ALL - 1:
            return
    assert parts - seen == set()
