"""The SQL that an engine gets for a model."""

from pathlib import Path

import pytest

import streampro
from streampro.config import Target
from streampro.engines.compiled import compiled
from streampro.errors import ConfigError
from streampro.execution.runner import run
from streampro.testing import Workbench, assert_rows_equal
from streampro.viewing import PIPELINE

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
BUILT_FROM_TABLES = [name for name, m in PIPELINE.models.items() if not m.quarantine]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    target = Target(name="test", raw=SAMPLE, warehouse=tmp_path_factory.mktemp("compiled"))
    run(PIPELINE, target)
    return target


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_compiled_sql_gives_the_rows_that_are_published(engine: Workbench, target: Target) -> None:
    if engine.name == "spark":
        session = streampro.spark_session(target, engine.session)
        for name in BUILT_FROM_TABLES:
            table = PIPELINE.models[name].table
            computed = session.sql(compiled(PIPELINE, name, "spark"))
            assert computed.exceptAll(session.table(str(table))).isEmpty()
            assert session.table(str(table)).exceptAll(computed).isEmpty()
        return
    for name in BUILT_FROM_TABLES:
        published = streampro.sql(f"from {PIPELINE.models[name].table}", target)
        computed = streampro.sql(compiled(PIPELINE, name, "duckdb"), target)
        assert computed.schema.equals(published.schema)
        assert_rows_equal(computed.to_pylist(), published.to_pylist())


@pytest.mark.slow
def test_compiled_sql_of_a_staging_model_reads_the_source_and_masks_secrets() -> None:
    for engine, quote in (("duckdb", '"'), ("spark", "`")):
        query = compiled(PIPELINE, "staging.events", engine)
        assert f"FROM {quote}raw_events{quote}" in query
        assert '"ip":"***"' in query


@pytest.mark.parametrize(
    ("model", "engine", "error"),
    [
        ("event", "duckdb", "no model 'event'. Did you mean 'events'?"),
        (
            "mart.user_session",
            "duckdb",
            "no model 'mart.user_session'. Did you mean 'user_sessions'?",
        ),
        (
            "events_rejected",
            "duckdb",
            "staging.events_rejected has no query of its own: it is split from that of 'events'.",
        ),
        ("staging.events_rejected", "spark", "Ask for events."),
        ("events", "polars", "there is no engine 'polars'; duckdb, spark."),
    ],
)
def test_unknown_model_or_engine_is_refused(model: str, engine: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(PIPELINE, model, engine)
    assert error in str(caught.value)
