"""Run a pipeline: stage what changed in order, audit it, and publish all of it at the end."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streampro import history
from streampro.build import Build
from streampro.config import Target
from streampro.engine import Engine, connect
from streampro.errors import ConfigError, PipelineError
from streampro.history import Plan, Run
from streampro.pipeline import Model, Pipeline
from streampro.privacy import leaks
from streampro.watcher import Unwatched, Watcher


def run(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    full_refresh: bool = False,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Run:
    """Bring the selected models (all by default) up to the target's raw folder and publish them.

    Only what new files, changed dimension rows or changed code can have altered is computed; the
    rows are those of a full run. `full_refresh` computes all of it anew. All models are staged and
    audited before the first is published; the returned run is written last. Whatever fails before
    leaves the warehouse as it was. `session` is a Spark session to work in; without one a Spark
    target starts its own.

    Raises `PipelineError` for expressions that differ from their contracts or would store a secret,
    `SourceError`, `ContractError` and `BooksError` for data, `EngineError` for the rest.
    """
    models = _checked(pipeline, target, select)
    with history.writing(target.warehouse), connect(target, session) as engine:
        return _built(pipeline, target, engine, models, full_refresh, watcher).publish()


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
    be one that all machines share. Raises what `run` raises.
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
