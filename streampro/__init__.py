"""StreamPro: every layer of a data pipeline written once as an Ibis expression, checked by a
contract, published as Delta tables.

```python
import streampro
from streampro.viewing import PIPELINE

target = streampro.load_target("local", raw="data/sample", warehouse="warehouse")
run = streampro.run(PIPELINE, target)
rows = streampro.sql("select * from answers.q1_engagement", target).to_pylist()
```

Names are imported on first use, so that the command line starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streampro.certificate import Certificate
    from streampro.config import Target, load_target
    from streampro.contract import Contract, Instant, column, rule
    from streampro.errors import (
        BooksError,
        ConfigError,
        ContractError,
        DataError,
        EngineError,
        IncrementalError,
        ParityError,
        PipelineError,
        SourceError,
        StreamProError,
        WarehouseError,
    )
    from streampro.explanation import Explanation, explain
    from streampro.history import Plan, Run, runs
    from streampro.incremental import check_incremental
    from streampro.parity import prove
    from streampro.pipeline import (
        DUPLICATE,
        REJECT_COLUMNS,
        UNREADABLE,
        Model,
        Pipeline,
        Source,
        model,
    )
    from streampro.quarantine import one_row_per_key
    from streampro.query import Published, published, spark_session, sql
    from streampro.report.page import write_report
    from streampro.retention import Cleaned, clean, rollback
    from streampro.runner import plan, run
    from streampro.watcher import Watcher

_HOME = {
    "certificate": ("Certificate",),
    "config": ("Target", "load_target"),
    "contract": ("Contract", "Instant", "column", "rule"),
    "errors": (
        "BooksError",
        "ConfigError",
        "ContractError",
        "DataError",
        "EngineError",
        "IncrementalError",
        "ParityError",
        "PipelineError",
        "SourceError",
        "StreamProError",
        "WarehouseError",
    ),
    "explanation": ("Explanation", "explain"),
    "history": ("Plan", "Run", "runs"),
    "incremental": ("check_incremental",),
    "parity": ("prove",),
    "pipeline": (
        "DUPLICATE",
        "REJECT_COLUMNS",
        "UNREADABLE",
        "Model",
        "Pipeline",
        "Source",
        "model",
    ),
    "quarantine": ("one_row_per_key",),
    "query": ("Published", "published", "spark_session", "sql"),
    "report": ("write_report",),
    "retention": ("Cleaned", "clean", "rollback"),
    "runner": ("plan", "run"),
    "watcher": ("Watcher",),
}

__all__ = [  # noqa: RUF022  (in the order of the modules they live in)
    "Certificate",
    "Target",
    "load_target",
    "Contract",
    "Instant",
    "column",
    "rule",
    "BooksError",
    "ConfigError",
    "ContractError",
    "DataError",
    "EngineError",
    "IncrementalError",
    "ParityError",
    "PipelineError",
    "SourceError",
    "StreamProError",
    "WarehouseError",
    "Explanation",
    "explain",
    "Plan",
    "Run",
    "runs",
    "check_incremental",
    "prove",
    "DUPLICATE",
    "REJECT_COLUMNS",
    "UNREADABLE",
    "Model",
    "Pipeline",
    "Source",
    "model",
    "one_row_per_key",
    "Published",
    "published",
    "spark_session",
    "sql",
    "write_report",
    "Cleaned",
    "clean",
    "rollback",
    "plan",
    "run",
    "Watcher",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"streampro.{module}"), name)
    raise AttributeError(f"module 'streampro' has no attribute {name!r}")
