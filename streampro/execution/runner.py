"""Run a pipeline: stage what changed in order, audit it, and publish all of it at the end."""

import time
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from streampro.arguments import asks, refuse_limit
from streampro.config import Target
from streampro.destination import destination_of
from streampro.engines.checked import fingerprint, refuse_problems
from streampro.engines.compiled import model_of
from streampro.engines.protocol import Engine, fetched
from streampro.engines.registry import ENGINES, connect
from streampro.errors import (
    ConfigError,
    DataError,
    PipelineError,
    StreamProError,
)
from streampro.execution.decide import run_mode_of
from streampro.execution.inputs import Inputs, refuse_unknown_places
from streampro.execution.limits import refuse_lost_files
from streampro.execution.progress import Careful, Unwatched, Watcher
from streampro.execution.publish import StagedRun, incomplete, plan_of, publish
from streampro.execution.stage import Stage, StagedModel
from streampro.execution.state import State, unjudged
from streampro.exports.export import carry_out, refuse_misplaced
from streampro.formats.database.extracts import Extracts
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import judged
from streampro.modeling.sample import Sample
from streampro.modeling.selection import impaired
from streampro.storage import marks
from streampro.storage.place import place_of
from streampro.storage.versions import remembered
from streampro.warehouse import ledger
from streampro.warehouse.folders import extracted, main_of, scratch, writing
from streampro.warehouse.run import Plan, Run
from streampro.warehouse.snapshot import code_of, published_run


@asks
def run(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    exclude: str | None = None,
    full_refresh: bool = False,
    accept_lost_files: bool = False,
    keep_going: bool = False,
    sample: str | None = None,
    started_at: datetime | None = None,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Run:
    """Bring the selected models up to the target's raw folder, publish them, return the run.

    Only what new files, changed dimension rows or changed code can have altered is computed; the
    rows are those of a full run. All models are staged and audited before the first is published;
    the returned run is written last. Whatever fails before leaves the warehouse as it was. Where
    nothing is new nothing is written: what is returned has the number of the last run.

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
        select: models to build, as `name`, `tag:daily`, `owner:growth`, `layer:mart`,
            `source:raw_events`, `state:changed` (since the newest run, `state:changed@12` since
            run 12); `+name` with all it is built from, `name+` with all built from it; several
            separated by commas. Default: all.
        exclude: models that are left out of these, in the same words.
        full_refresh: compute all rows anew, changed or not.
        accept_lost_files: go on though more of the files that the last run read are gone than
            `Limits.lost_files_share` allows.
        keep_going: where a model fails, leave it out with what is built from it and what else reads
            its sources, and publish the rest, before `IncompleteRunError` is raised.
        sample: on a branch, the keys of which models are built, as `5%` or `5% of id`: models
            that are built from models see the rows of these keys only. What of a branch was built
            so is built of all rows by a run without it, and not merged before.
        started_at: when the run says that it began, and so when it saw what observed models keep;
            for tests, and for raw files of earlier days. Default: now.
        watcher: told of each step while the run works, such as the progress bars of the command
            line, `streampro.console.ProgressBars()`.
        session: a Spark session to work in; without one a Spark target starts its own.

    Raises `ConfigError` for a target without a raw folder and a warehouse of something else,
    `PipelineError` for all that `streampro check` refuses,
    `SourceError`, `ContractError` and `BooksError` for data, `WarehouseError` while another run
    is writing, `ExportError` where the run is published but not all that it exports is written,
    `EngineError` for the rest.
    """
    models = _checked(pipeline, target, select, exclude)
    chosen = _sample(pipeline, target, sample)
    asked = _Asked(models, full_refresh, accept_lost_files, keep_going, chosen, started_at)
    errors: dict[TableName, StreamProError] = {}
    progress = Careful(watcher or Unwatched())

    def work() -> Run:
        with (
            writing(target.warehouse),
            _staging_folder(target) as folder,
            extracted(pipeline.read(models), target) as extracts,
            connect(target, session, folder) as engine,
        ):
            with remembered():
                staged = _staged(pipeline, target, engine, extracts, asked, progress)
            errors.update(staged.errors)
            return publish(staged, progress)

    if target.openlineage is None:
        done = work()
    else:
        from streampro.execution.openlineage import reported

        done = reported(work, target.openlineage, pipeline, target, models)
    if done.fork is None:
        carry_out(pipeline, target, progress.step)
    if errors:
        raise incomplete(pipeline, done, errors, models)
    return done


@asks
def plan(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    exclude: str | None = None,
    full_refresh: bool = False,
    accept_lost_files: bool = False,
    sample: str | None = None,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Plan:
    """Return what `run` with the same arguments would do, writing nothing to the warehouse.

    Everything is computed and audited in a temporary folder: of the warehouse if it is there and
    can be written, else of `TMPDIR`, which on a cluster must be one that all machines share.

    ```python
    plan = streampro.plan(PIPELINE, target)
    for move in plan.moves:
        print(move.table, move.row, move.column, move.before, move.after)
    ```

    Args:
        pipeline: what would be built.
        target: as of `run`.
        select: as of `run`.
        exclude: as of `run`.
        full_refresh: as of `run`.
        accept_lost_files: as of `run`.
        sample: as of `run`.
        watcher: as of `run`.
        session: as of `run`.

    Raises what `run` raises.
    """
    models = _checked(pipeline, target, select, exclude)
    chosen = _sample(pipeline, target, sample)
    with (
        remembered(),
        scratch(target.warehouse) as folder,
        extracted(pipeline.read(models), target) as extracts,
        connect(target, session, folder) as engine,
    ):
        asked = _Asked(models, full_refresh, accept_lost_files, sample=chosen)
        progress = Careful(watcher or Unwatched())
        return plan_of(_staged(pipeline, target, engine, extracts, asked, progress))


@asks
def show(
    pipeline: Pipeline, target: Target, model: str, *, limit: int = 10, session: Any = None
) -> pa.Table:
    """Return the first rows, by key, that a model would have now, computed from the raw folder.

    Nothing is written, no table is read, and rules of contracts are not judged: this is to look at
    a model while it is written. Rows that a quarantine rejects are left out. On a branch models are
    of the sample of which its newest run has them; on main of all rows.

    ```python
    print(streampro.show(PIPELINE, target, "revenue", limit=5).to_pandas())
    ```

    Args:
        pipeline: whose model it is.
        target: as of `run`; its warehouse need not exist, but a branch must.
        model: `name` or `layer.name`.
        limit: how many rows.
        session: as of `run`.

    Raises what `plan` raises of the model and what it is built from, but for contracts and books,
    and `ConfigError` for a branch that has no run.
    """
    refuse_limit("show", limit)
    asked = model_of(pipeline, model)
    models = pipeline.built_from(asked.name)
    if judged := unjudged(pipeline, target) & {each.name for each in models}:
        refuse_problems(pipeline, target.engine, model=asked.name, judged=judged)
    refuse_unknown_places(pipeline, target, models)
    code = published_run(target).code if main_of(target.warehouse) else {}
    samples = Sample.of_models(code, pipeline)
    with (
        scratch(target.warehouse) as folder,
        extracted(pipeline.read(models), target) as extracts,
        connect(target, session, folder) as engine,
    ):
        tables = {
            source.name: engine.read_raw(source, extracts.whole(source, target)).table
            for source in pipeline.read(models)
        }
        for each in models:
            seen = {
                name: samples[each.name].rows(each, name, tables[name])
                for name in each.inputs
                if name in pipeline.models and each.name in samples
            }
            tables[each.name] = computed(pipeline, engine, each, tables | seen)
        rows = tables[asked.name]
        first = rows.order_by(*asked.spec.key or rows.columns).limit(limit)
        return fetched(engine, first)


def computed(
    pipeline: Pipeline, engine: Engine, model: Model, done: Mapping[str, ir.Table]
) -> ir.Table:
    """Return the rows of a model, computed once from all raw files and models that are done."""
    inputs = {name: done[name] for name in model.inputs}
    if not model.quarantine:
        return engine.stage(model.table, model(**inputs), model.contract).data
    lines = judged(model, model(**inputs), pipeline.source_of(model).secret)
    return engine.accepted(model, lines)


def _staging_folder(target: Target) -> AbstractContextManager[Path | None]:
    """Yield where an engine of this machine stages what it publishes elsewhere."""
    is_near = place_of(target.warehouse).is_local or not ENGINES[target.engine].stages_on_disk
    return nullcontext() if is_near else scratch(target.warehouse)


def _checked(
    pipeline: Pipeline, target: Target, select: str | None, exclude: str | None
) -> list[Model]:
    """Return the selected models, after refusing what can be told without data."""
    if pipeline.exports and not place_of(target.warehouse).is_reached:
        raise ConfigError(
            f"pipeline {pipeline.name!r} has exports, which are written from warehouses on disks "
            f"and in object stores; {target.warehouse} is neither. Nothing was published."
        )
    refuse_misplaced([destination_of(each.to) for each in pipeline.exports], target)
    if judged := unjudged(pipeline, target):
        refuse_problems(pipeline, target.engine, judged=judged)
    models = pipeline.select(select, exclude, code_of(target))
    refuse_unknown_places(pipeline, target, models)
    return models


@dataclass(frozen=True)
class _Asked:
    """What a run is asked for."""

    models: list[Model]
    full_refresh: bool
    accept_lost_files: bool
    keep_going: bool = False
    sample: Sample | None = None
    started_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.started_at and self.started_at.tzinfo is None:
            raise ConfigError(f"run(): started_at is {self.started_at}: an instant has a tzinfo.")
        observed = [model for model in self.models if model.observed_at]
        if self.sample and observed:
            raise ConfigError(
                f"{observed[0].table} keeps what runs have seen, and of a sample all else would be "
                f"gone. Leave it as it is: --exclude {' '.join(each.name for each in observed)}."
            )


def _sample(pipeline: Pipeline, target: Target, text: str | None) -> Sample | None:
    if text is None:
        return None
    if main_of(target.warehouse) is None:
        raise ConfigError("a sample is for branches, never for main: give --branch, too.")
    return Sample.of(text, pipeline)


def _staged(
    pipeline: Pipeline,
    target: Target,
    engine: Engine,
    extracts: Extracts,
    asked: _Asked,
    watcher: Watcher,
) -> StagedRun:
    """Decide how much of each model is computed, stage that, and hand all of it on."""
    started_at, models = (asked.started_at or datetime.now(UTC)).astimezone(UTC), asked.models
    holder = marks.holder(place_of(target.warehouse))
    forced = {model.name for model in models} if asked.full_refresh else set()
    last = ledger.last_of(target.warehouse)
    _refuse_another_pipeline(pipeline, target, last)
    state = State(pipeline, engine, target.warehouse, last, asked.sample)
    inputs = Inputs(pipeline, engine, target, extracts, models, last, watcher)
    for name, files in inputs.files.items() if not asked.accept_lost_files else ():
        refuse_lost_files(pipeline.sources[name], files)
    stage = Stage(pipeline, engine, state, inputs, forced, started_at)
    staged: list[StagedModel] = []
    seconds: dict[TableName, float] = {}
    errors: dict[TableName, StreamProError] = {}
    left_out: set[str] = set()
    with inputs.named_where_gone():
        _count_sources(models, state, inputs, forced)
        for model in models:
            if model.name in left_out:
                continue
            start = time.monotonic()
            run_mode = run_mode_of(model, state, inputs, forced)
            is_idle = run_mode.mode == "unchanged"
            try:
                with nullcontext() if is_idle else watcher.step(model.table, engine.progress):
                    staged.append(stage.stage(model, run_mode))
            except (DataError, PipelineError) as error:
                errors[model.table] = error
                left_out = impaired(pipeline, [table.name for table in errors])
                if not asked.keep_going or left_out >= {each.name for each in models}:
                    raise
                continue
            state.built |= staged[-1].tables
            for table, built in staged[-1].tables.items():
                took = time.monotonic() - start if table == model.table else 0.0
                seconds[table] = took
                watcher.staged(table, built.rows, took)
    if errors:
        staged = [each for each in staged if each.change.table.name not in left_out]
        models = [model for model in models if model.name not in left_out]
        state.leave_out(left_out)
        inputs.leave_out(left_out)
    return StagedRun(
        started_at,
        pipeline,
        target,
        engine,
        state,
        inputs,
        models,
        staged,
        seconds,
        errors,
        fingerprint(pipeline, target.engine),
        holder,
    )


def _count_sources(
    models: list[Model], state: State, inputs: Inputs, forced: Collection[str]
) -> None:
    """Count raw files first, so that one that cannot be read is reported before any work. Databases
    are let go where nothing is left to read of them.
    """
    later = []
    for model in models:
        if not all(name in inputs.files for name in model.inputs):
            later.append(model)
            continue
        mode = run_mode_of(model, state, inputs, forced).mode
        for name in model.inputs if mode != "unchanged" else ():
            inputs.counted(name, mode)
    if not any(source.is_in_database for source in state.pipeline.read(later)):
        inputs.extracts.close()


def _refuse_another_pipeline(pipeline: Pipeline, target: Target, last: Run | None) -> None:
    if last and last.pipeline != pipeline.name:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {last.pipeline!r}. "
            f"Give pipeline {pipeline.name!r} another with --warehouse."
        )
