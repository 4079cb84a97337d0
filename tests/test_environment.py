"""What a user set for the process stays, and does no harm."""

import warnings
from pathlib import Path

import ibis

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine


def test_warnings_that_are_errors_stop_no_engine(tmp_path: Path) -> None:
    """As of `PYTHONWARNINGS=error`; Ibis calls DuckDB and pandas by old names."""
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with DuckDBEngine(target) as engine:
            rows = engine.ibis.create_table("rows", ibis.literal("a").name("x").as_table())
            assert rows.execute().to_dict("list") == {"x": ["a"]}
            assert engine.fetch(rows).to_pylist() == [{"x": "a"}]
