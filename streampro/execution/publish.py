"""What was staged becomes a published run, or the plan of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

from streampro.config import Target
from streampro.engines.checked import Fingerprint
from streampro.engines.protocol import Engine
from streampro.errors import ContractError, IncompleteRunError, StreamProError
from streampro.execution.inputs import Inputs
from streampro.execution.progress import Watcher
from streampro.execution.stage import StagedModel
from streampro.execution.state import State
from streampro.formats.files import InputFile
from streampro.modeling.columns.secrets import personal_columns
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.selection import impaired
from streampro.warehouse import known_files, ledger
from streampro.warehouse.origin import origin_of
from streampro.warehouse.run import Plan, PublishedTable, Run
from streampro.warehouse.upkeep.retention import keep_newest

_PACKAGES = ("streampro", "ibis-framework", "deltalake", "pyarrow", "pandera")


@dataclass(frozen=True)
class StagedRun:
    """All that a run staged, audited and reconciled.

    Attributes:
        models: those that the run was asked for.
        staged: what it made of each of them, in the same order.
        seconds: how long each table took that was computed.
        errors: of models that failed where the run was to keep going, and that are not among
            `models`.
        checked: what was looked at before it, of which it refused nothing.
        holder: of the ledger, when the run began.
    """

    started_at: datetime
    pipeline: Pipeline
    target: Target
    engine: Engine
    state: State
    inputs: Inputs
    models: Sequence[Model]
    staged: Sequence[StagedModel]
    seconds: Mapping[TableName, float]
    errors: Mapping[TableName, StreamProError]
    checked: Fingerprint
    holder: str


def plan_of(run: StagedRun) -> Plan:
    """Return what would be published."""
    files, by_runs = run.inputs.files.values(), run.pipeline.by_runs()
    return Plan(
        allowances=tuple(each for model in run.models for each in model.allowances),
        new_files=tuple(file for each in files for file in each.new),
        lost_files=tuple(lost for each in files for lost in each.lost),
        books=tuple(each.books for each in run.staged if each.books),
        warnings=tuple(warning for each in run.staged for warning in each.warnings),
        changes=tuple(each.change for each in run.staged),
        moves=tuple(move for each in run.staged for move in each.moves),
        unread_files=run.inputs.unread,
        limits={
            name: str(run.pipeline.sources[name].limits)
            for name in dict.fromkeys(name for name, _ in run.inputs.raw)
        },
        by_runs=tuple(by_runs[m.table] for m in run.models if m.table in by_runs),
    )


def publish(run: StagedRun, watcher: Watcher) -> Run:
    """Publish everything that was staged, then the run itself, and return it.

    Where nothing is new nothing is written: what is returned has the number of the last run.
    """
    last = run.state.last
    number = last.run_id + 1 if last else 1
    added = {*last.added} if last else set()
    existing = {*run.pipeline.tables(), *(last.observed if last else ())}
    tables = {
        item.table: replace(item, seconds=None)
        for item in (last.tables if last else ())
        if item.table in existing
    }
    made = {table: each for table, each in run.state.built.items() if not each.is_as_before}
    inputs = run.inputs.ledger()
    done = _ledger_row(run, number, tables, inputs)
    if number > 1 and last and not made and _is_as(last, done):
        return replace(done, run_id=last.run_id)
    origin = origin_of(run.pipeline)  # before the first commit: it takes a moment
    with watcher.step("publish", lambda: None):
        personal = personal_columns(run.pipeline) if made else {}
        for table, built in made.items():
            hidden = personal.get(table, frozenset())
            first = last.first_own(table) if last else 0
            is_main_added_to = built.onto is not None and built.onto < first
            onto = None if built.onto is None or is_main_added_to else built.onto - first
            version = first + run.engine.publish(built.parts, number, onto, hidden)
            tables[table] = PublishedTable(table, version, built.rows, run.seconds.get(table, 0.0))
            if built.onto is None:
                added.discard(table)
            elif is_main_added_to:
                added.add(table)
        files = ledger.files(run.target.warehouse, last, inputs)
        tokens = {**(last.tokens if last else {}), **dict.fromkeys(made, run.engine.token)}
        done = replace(
            _ledger_row(run, number, tables, files),
            files_version=files.version,
            files_count=len(inputs),
            tokens={table: token for table, token in tokens.items() if table in tables},
            added=tuple(sorted(added & {*tables})),
            origin=origin,
        )
        done = ledger.append(run.target.warehouse, done, run.holder)
    keep_newest(run.target, done, watcher.step)
    return done


def incomplete(
    pipeline: Pipeline,
    done: Run,
    errors: Mapping[TableName, StreamProError],
    models: Sequence[Model],
) -> IncompleteRunError:
    """Return the error of a run that was published without the models that failed."""
    missing = impaired(pipeline, [table.name for table in errors])
    without = [each.table for each in models if each.name in missing and each.table not in errors]
    so = f", and so {', '.join(without)} left out" if without else ""
    said = f"{', '.join(errors)} failed{so}; run {done.run_id} has the rest."
    told = {table: _of_one_table(error) for table, error in errors.items()}
    return IncompleteRunError(said, done, told, without)


def _of_one_table(error: StreamProError) -> StreamProError:
    """Let an error say of its table what it says of the run."""
    of_all, of_one = "Nothing was published", "Nothing of it was published"
    error.args = (str(error).replace(of_all, of_one),)
    if isinstance(error, ContractError):
        error.message = error.message.replace(of_all, of_one)
    return error


def _is_as(last: Run, done: Run) -> bool:
    """Tell whether a run that made no table leaves everything else as the last one did, too."""
    tables = tuple(replace(item, seconds=None) for item in last.tables)
    kept = (last.code, last.lineage, last.packages["streampro"])
    return (
        (tables, *kept) == (done.tables, done.code, done.lineage, done.packages["streampro"])
        and bool(last.judged)
        and known_files.are_same(last.inputs, done.inputs)
    )


def _ledger_row(
    run: StagedRun,
    number: int,
    tables: Mapping[TableName, PublishedTable],
    inputs: Sequence[InputFile],
) -> Run:
    last, models, plan = run.state.last, run.pipeline.models, plan_of(run)
    code = {name: code for name, code in (last.code if last else {}).items() if name in models}
    built = [each.change.table for each in run.staged if each.change.mode != "unchanged"]
    observed = {model.table for model in models.values() if model.observed_at}
    observed |= {*(last.observed if last else ())}
    lineage = {table: of for table, of in (last.lineage if last else {}).items() if table in tables}
    for model in run.models:
        parents = (models[name].table for name in model.inputs if name in models)
        lineage[model.table] = {p: tables[p].version for p in parents if p in tables}
    return Run(
        run_id=number,
        started_at=run.started_at,
        finished_at=datetime.now(UTC),
        pipeline=run.pipeline.name,
        target=run.target.name,
        engine=run.engine.name,
        packages={name: version(name) for name in _PACKAGES} | dict(run.engine.packages),
        code=code | {m.name: run.state.code(m) for m in run.models if m.table in built},
        inputs=inputs,
        books=plan.books,
        tables=tuple(tables.values()),
        warnings=plan.warnings,
        lineage=lineage,
        changes=plan.changes,
        moves=plan.moves,
        checked=run.checked.surroundings,
        judged=run.checked.models,
        fork=last.fork if last else None,
        added=last.added if last else (),
        observed=tuple(sorted(observed & {*tables})),
    )
