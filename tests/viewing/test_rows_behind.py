"""The law of row lineage: what is computed of the rows that enter or decide is the same row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pytest

from streampro.expressions.rows import Contribution, contributions
from streampro.lineage.explain import explain
from streampro.storage import delta
from streampro.storage.place import Disk
from streampro.testing import Workbench, assert_rows_equal
from streampro.viewing import PIPELINE
from streampro.warehouse.published import sql

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
ASKED = {
    "user_sessions": lambda rows: rows.filter(rows.session_id == "s0000512"),
    "fact_user_session": lambda rows: rows.filter(rows.session_id == "s0000512"),
    "q1_engagement": lambda rows: rows,
    "q2_retention": lambda rows: rows.filter(rows.first_genre.isin(["Drama", "Gaming"])),
    "q3_dropoff": lambda rows: rows.filter(
        (rows.app_version == "5.2.0") & (rows.dimension == "device_os x app_version")
    ),
}
"""Some rows of every table that is not read from raw text."""


@pytest.fixture(scope="module")
def tables(engine: Workbench, warehouse_of: Callable[[Path], Any]) -> dict[str, ir.Table]:
    run = warehouse_of(SAMPLE)
    found = {}
    for name, model in PIPELINE.models.items():
        rows = run.target.warehouse / model.table.layer / model.name
        found[name] = engine.engine.load(delta.read(Disk(rows), 0), model.spec.schema)
    return found


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("name", ASKED)
def test_rows_are_those_of_the_rows_that_they_come_from(name, engine, tables):
    model = PIPELINE.models[name]
    inputs = {each: tables[each] for each in model.inputs}
    selected = ASKED[name](tables[name])
    columns = [each for each in selected.columns if not each.startswith("all_")]
    key = model.spec.key or selected.columns
    keep = engine.engine.cache
    found = contributions(model(**inputs), inputs, selected.select(*key), columns, keep)
    again = model(**{each: _parts(tables[each], found[each], engine) for each in inputs})
    stored = engine.rows(selected.select(*columns))
    keys = [{column: row[column] for column in key} for row in stored]
    computed = [
        row for row in engine.rows(again) if {column: row[column] for column in key} in keys
    ]
    assert stored
    assert_rows_equal(computed, stored)


@pytest.mark.thorough("spark")
def test_column_is_followed_to_fewer_rows_than_the_whole_row(engine, tables):
    """A drop-off rate counts the sessions of its group; the sums beside it look at all sessions
    of the group's users.
    """
    model, facts = PIPELINE.models["q3_dropoff"], tables["fact_user_session"]
    answer = tables["q3_dropoff"]
    row = answer.filter((answer.device_os == "Android") & (answer.app_version == "5.2.0"))
    key = row.select("dimension", "device_os", "app_version")
    of_group = (facts.device_os == "Android") & (facts.app_version == "5.2.0")
    group = facts.filter(of_group)
    of_users = facts.semi_join(group, "user_id")

    def behind(column: str) -> list[Any]:
        inputs = {"fact_user_session": facts}
        found = contributions(model(**inputs), inputs, key, [column], engine.engine.cache)
        return engine.rows(found["fact_user_session"].rows.select("user_id", "session_id"))

    assert_rows_equal(behind("dropoff_rate"), engine.rows(group.select("user_id", "session_id")))
    assert_rows_equal(
        behind("sum_dropoff_all_dropoff"), engine.rows(of_users.select("user_id", "session_id"))
    )


def test_rows_at_each_step_are_those_that_the_tables_count(sample_run):
    drama = "session_number = 1 and first_genre = 'Drama'"
    [counted] = sql(
        "select count(*) facts, sum(event_count)::bigint events, "
        "count(distinct first_video_id) videos, count(distinct user_id) users "
        f"from mart.fact_user_session where {drama}",
        sample_run.target,
    ).to_pylist()
    steps = explain(PIPELINE, sample_run.target, "q2_retention", "first_genre = 'Drama'").steps
    rows = {step.name: step.rows for step in steps}
    assert rows["mart.fact_user_session"] == counted["facts"] == counted["users"]
    assert rows["intermediate.user_sessions"] == counted["facts"]
    assert rows["staging.events"] == counted["events"]
    assert rows["staging.videos"] == counted["videos"]
    assert "staging.users" not in rows
    [events] = [step for step in steps if step.name == "staging.events"]
    assert events.decides_as_a_whole


def _parts(rows: ir.Table, part: Contribution, engine: Workbench) -> ir.Table:
    """Return what enters or decides; all of a table that only decides as a whole."""
    if part.rows is None:
        return rows
    return engine.engine.cache(
        part.rows.union(part.deciding) if part.deciding is not None else part.rows
    )
