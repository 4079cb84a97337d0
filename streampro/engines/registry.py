"""Which engine a target has, and how it is started."""

from pathlib import Path
from typing import Any

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.errors import ConfigError


def connect(target: Target, session: Any = None, scratch: Path | None = None) -> Engine:
    """Return the engine of a target; `session` is a Spark session to work in instead of a new one.

    What is staged goes to `scratch` instead of the warehouse, if it is given: then the engine
    leaves no trace there, and cannot publish.

    Raises `EngineError` when it cannot be started, `ConfigError` when it is not installed.
    """
    if target.engine == "spark":
        from streampro.engines.spark.engine import SparkEngine

        return SparkEngine(target, session, scratch)
    if session is not None:
        raise ConfigError(f"target {target.name!r} runs on {target.engine}, not in a session.")
    from streampro.engines.duckdb.engine import DuckDBEngine

    return DuckDBEngine(target, scratch)
