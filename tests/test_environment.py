"""What a user set for the process stays, and does no harm."""

import threading
import time
import warnings
from pathlib import Path

import ibis
import pytest

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.environment import interrupt
from streampro.errors import EngineError


def test_warnings_that_are_errors_stop_no_engine(tmp_path: Path) -> None:
    """As of `PYTHONWARNINGS=error`; Ibis calls DuckDB and pandas by old names."""
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with DuckDBEngine(target) as engine:
            rows = engine.ibis.create_table("rows", ibis.literal("a").name("x").as_table())
            assert rows.execute().to_dict("list") == {"x": ["a"]}
            assert engine.fetch(rows).to_pylist() == [{"x": "a"}]


@pytest.mark.slow
def test_a_query_that_would_take_years_is_broken_off(tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    with DuckDBEngine(target) as engine:
        engine.query("create table t as select range as x from range(3000)")
        timer = threading.Timer(1, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(EngineError, match="INTERRUPT"):
            engine.query("select count(*) from t a, t b, t c, t d where a.x + b.x > c.x + d.x")
        assert time.monotonic() - began < 30
        timer.join()
        assert engine.query("select 1 as x").to_pylist() == [{"x": 1}]
