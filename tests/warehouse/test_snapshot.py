"""The SQL that an engine gets for a model."""

from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest

import streampro
from streampro.config import Target
from streampro.engines.compiled import compiled, compiled_everywhere
from streampro.errors import ConfigError
from streampro.execution.runner import run
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.pipeline import Pipeline
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


def test_an_engine_that_makes_no_sql_of_a_model_says_why() -> None:
    class Middle(Contract):
        """One row."""

        middle: dt.Float64 = column("Kurtosis of the hours.", nullable=True)

    def middle(raw_events: ir.Table) -> ir.Table:
        hours = raw_events.raw_line.length()
        return raw_events.aggregate(middle=hours.kurtosis())

    middle.__module__ = "mart"
    module: Any = ModuleType("mart")
    module.middle, module.source = model(contract=Middle)(middle), PIPELINE.sources["raw_events"]
    found = compiled_everywhere(Pipeline("kurtosis", [module]), "middle")
    assert found["spark"] == "-- Kurtosis: spark has no such operation. Use others."
    assert "KURTOSIS" in found["duckdb"].upper()
    assert compiled_everywhere(PIPELINE, "q1_engagement") == {
        engine: compiled(PIPELINE, "q1_engagement", engine) for engine in ("duckdb", "spark")
    }
