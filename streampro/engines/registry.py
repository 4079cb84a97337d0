"""The engines: what each can do, and where its code is. An entry here and a folder are an engine.

Code is named, not imported, so that a command waits for no engine but its own.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

from streampro.errors import ConfigError

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from streampro.config import Target
    from streampro.engines.protocol import Engine, SqlEngine


@dataclass(frozen=True)
class Entry:
    """An engine. Its settings are the section of its name in `Target`.

    Attributes:
        engine: `module:class` of what implements `Engine`; called with a target, a session or
            None, and a scratch folder or None.
        compiler: `module:function` that returns what makes its SQL of an expression.
        needs: modules that must be installed for it.
        works_in_sessions: whether it can compute in a session of the caller's.
        answers_sql: whether it implements `SqlEngine`.
        stages_on_disk: whether what it stages is on a disk of this machine, wherever it publishes.
    """

    engine: str
    compiler: str
    needs: tuple[str, ...]
    works_in_sessions: bool = False
    answers_sql: bool = False
    stages_on_disk: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether all that it needs is there."""
        return all(find_spec(name) for name in self.needs)


ENGINES: dict[str, Entry] = {
    "duckdb": Entry(
        engine="streampro.engines.duckdb.engine:DuckDBEngine",
        compiler="streampro.engines.duckdb.compiler:compiler_of",
        needs=("duckdb",),
        answers_sql=True,
        stages_on_disk=True,
    ),
    "spark": Entry(
        engine="streampro.engines.spark.engine:SparkEngine",
        compiler="streampro.engines.spark.compiler:compiler_of",
        needs=("pyspark",),
        works_in_sessions=True,
    ),
}
"""By the name that targets, messages and the ledger have."""


def connect(target: "Target", session: Any = None, scratch: Path | None = None) -> "Engine":
    """Return the engine of a target; `session` is a Spark session to work in instead of a new one.

    What is staged goes to `scratch` instead of the warehouse, if it is given: then the engine
    leaves no trace there before it publishes.

    Raises `EngineError` when it cannot be started, `ConfigError` when it is not installed, and in
    a process that was forked from one in which an engine has worked.
    """
    from streampro.storage.native import refuse_fork

    refuse_fork()
    entry = ENGINES[target.engine]
    if session is not None and not entry.works_in_sessions:
        raise ConfigError(f"target {target.name!r} runs on {target.engine}, not in a session.")
    engine: Engine = resolve_name(entry.engine)(target, session, scratch)
    return engine


def connect_sql(target: "Target", scratch: Path) -> "SqlEngine":
    """Return the first engine that answers SQL over published tables, whoever wrote them."""
    from streampro.config import with_engine

    name = next(name for name, entry in ENGINES.items() if entry.answers_sql)
    return cast("SqlEngine", connect(with_engine(target, name), None, scratch))


def connect_reader(target: "Target", session: Any, scratch: Path) -> "Engine":
    """Return an engine that reads a warehouse, which needs no session, whoever wrote it, unless
    only that engine reaches it.
    """
    from streampro.storage.place import place_of

    if place_of(target.warehouse).is_reached:
        return connect_sql(target, scratch)
    return connect(target, session, scratch)


def compiled_query(engine: str, rows: "ir.Table") -> str:
    """Return the query that an engine computes an expression with; it need not be installed."""
    from streampro.engines.compilation.casts import physical_query

    return physical_query(resolve_name(ENGINES[engine].compiler)(), rows, pretty=True)
