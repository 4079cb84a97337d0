"""One run, as an orchestrator calls it: plain values go in, plain values come out."""

from pathlib import Path
from typing import Any

import streampro
from streampro.viewing import PIPELINE


def refresh(target: str = "local", configs: str = "configs", **places: str) -> dict[str, Any]:
    """Return what a scheduler shows of a run: values that JSON has.

    Args:
        target: name of a file in the folder `configs`.
        configs: that folder.
        places: `raw` and `warehouse`, where they are others than the target's.

    Raises `streampro.DataError` where trying again is in vain, because the data is wrong, and
    `streampro.EngineError` where it may help.
    """
    found = streampro.load_target(target, Path(configs), **places)
    run = streampro.run(PIPELINE, found)
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "seconds": (run.finished_at - run.started_at).total_seconds(),
        "rows": {table.table: table.rows for table in run.tables},
        "warnings": {f"{each.table}: {each.rule}": each.rows for each in run.warnings},
    }
