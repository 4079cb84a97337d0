"""Run the shop pipeline and die on the way: `kill_driver.py RAW WAREHOUSE POINT NUMBER HOW ENGINE`.

POINT is what is about to happen, or has happened, for the NUMBERth time when the process kills
itself as the kernel would: no handler, no clean-up. HOW is `full` for a full refresh, or the
command that is at work instead of a run, or `members` for a run of that pipeline.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from pipelines.members import MEMBERS
from pipelines.shop import SHOP

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.engines.spark.engine import SparkEngine
from streampro.execution.runner import plan, run, show
from streampro.proofs.check_incremental import check_incremental
from streampro.proofs.prove import prove
from streampro.storage import delta
from streampro.storage.data_files import DataFile
from streampro.storage.place import Disk
from streampro.warehouse import ledger
from streampro.warehouse.branches import merge_branch
from streampro.warehouse.upkeep.repair import repair

ENGINES: dict[str, Any] = {"duckdb": DuckDBEngine, "spark": SparkEngine}


def die(owner: Any, name: str, number: int, *, after: bool) -> None:
    """Replace a function by one that kills the process at its call `number`."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def deadly(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def main(raw: str, warehouse: str, point: str, number: str, how: str, engine: str) -> None:
    when, _, what = point.partition(" ")
    places = {
        "stage": (ENGINES[engine], "stage"),
        "publish": (ENGINES[engine], "publish"),
        "move": (DataFile, "moved_to"),
        "ledger": (ledger, "append"),
        "aside": (Disk, "set_aside"),
        "write": (delta, "write"),
    }
    die(*places[what], int(number), after=when == "after")
    target = Target.model_validate(
        {"name": "test", "engine": engine, "raw": raw, "warehouse": warehouse}
    )
    commands: dict[str, Callable[[], object]] = {
        "plan": lambda: plan(SHOP, target, full_refresh=True),
        "show": lambda: show(SHOP, target, "revenue"),
        "check incremental": lambda: check_incremental(SHOP, target),
        "members": lambda: run(MEMBERS, target),
        "repair": lambda: repair(SHOP, target),
        "merge": lambda: merge_branch(target, "trial"),
        "prove": lambda: prove(SHOP, target, target.model_copy(update={"name": "other"})),
    }
    if how in commands:
        commands[how]()
    else:
        run(SHOP, target, full_refresh=how == "full")


if __name__ == "__main__":
    main(*sys.argv[1:])
