"""Run a pipeline: stage what changed in order, audit it, and publish all of it at the end."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import ConfigError, PipelineError
from streampro.execution.build import Build
from streampro.execution.progress import Unwatched, Watcher
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.secrets import leaks
from streampro.warehouse import ledger
from streampro.warehouse.ledger import Plan, Run


def run(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Run:
    """Bring the selected models up to the target's raw folder, publish them, return the run.

    Only what new files, changed dimension rows or changed code can have altered is computed; the
    rows are those of a full run. All models are staged and audited before the first is published;
    the returned run is written last. Whatever fails before leaves the warehouse as it was.

    ```python
    target = streampro.load_target("local", raw="raw", warehouse="warehouse")
    run = streampro.run(PIPELINE, target)
    print(run.run_id, {item.table: item.rows for item in run.tables})
    ```

    Nothing is printed, and when this returns or raises, connections, files and the lock of the
    warehouse are let go. Runs of different warehouses may work at the same time in threads of one
    process; of one warehouse one at a time.

    Args:
        pipeline: what to build.
        target: where the raw files and the warehouse are, and which engine computes.
        select: models to build, as `name`, `+name` with all it is built from, `name+` with all
            built from it, several separated by commas. Default: all.
        full_refresh: compute all rows anew, changed or not.
        watcher: told of each step while the run works, such as the progress bars of the command
            line, `streampro.console.ProgressBars()`.
        session: a Spark session to work in; without one a Spark target starts its own.

    Raises `ConfigError` for a target without a raw folder and a warehouse of something else,
    `PipelineError` for expressions that differ from their contracts or would store a secret,
    `SourceError`, `ContractError` and `BooksError` for data, `WarehouseError` while another run
    is writing, `EngineError` for the rest.
    """
    models = _checked(pipeline, target, select)

    def work() -> Run:
        with ledger.writing(target.warehouse), connect(target, session) as engine:
            return _built(pipeline, target, engine, models, full_refresh, watcher).publish()

    if target.openlineage is None:
        return work()
    from streampro.execution.openlineage import told

    return told(work, target.openlineage, pipeline, target, models)


def plan(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Plan:
    """Return what `run` with the same arguments would do, writing nothing to the warehouse.

    Everything is computed and audited, in a temporary folder (`TMPDIR`), which on a cluster must
    be one that all machines share.

    ```python
    plan = streampro.plan(PIPELINE, target)
    for move in plan.moves:
        print(move.table, move.row, move.column, move.before, move.after)
    ```

    Args:
        pipeline: what would be built.
        target: as of `run`.
        select: as of `run`.
        full_refresh: as of `run`.
        watcher: as of `run`.
        session: as of `run`.

    Raises what `run` raises.
    """
    models = _checked(pipeline, target, select)
    with (
        TemporaryDirectory(prefix="streampro-plan-") as scratch,
        connect(target, session, Path(scratch)) as engine,
    ):
        return _built(pipeline, target, engine, models, full_refresh, watcher).plan()


def _checked(pipeline: Pipeline, target: Target, select: str | None) -> list[Model]:
    """Return the selected models, after refusing what can be told without data."""
    if problems := pipeline.problems() or leaks(pipeline):
        raise PipelineError("\n".join(problems))
    if target.raw is None:
        raise ConfigError("no raw folder: give --raw DIR or set `raw` in the target's file.")
    return pipeline.select(select)


def _built(
    pipeline: Pipeline,
    target: Target,
    engine: Engine,
    models: list[Model],
    full_refresh: bool,
    watcher: Watcher | None,
) -> Build:
    forced = {model.name for model in models} if full_refresh else set()
    assert target.raw is not None
    build = Build(pipeline, target, engine, target.raw, models, forced, watcher or Unwatched())
    build.count_sources()
    for model in models:
        build.stage(model)
    return build
