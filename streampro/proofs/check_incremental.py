"""The two laws of incremental runs, tried on somebody's own pipeline and raw files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ibis.expr.types as ir

from streampro import addresses
from streampro.arguments import asks
from streampro.config import Target, unheard
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import IncrementalError
from streampro.execution.progress import Unwatched, Watcher
from streampro.execution.runner import run
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.by_runs import AgainstItself, against_themselves
from streampro.proofs.certificate import ComparedTable
from streampro.proofs.compare import Comparison
from streampro.proofs.deal import deal, tables_beside
from streampro.proofs.places import at_hand, by_folder, refuse_out_of_reach
from streampro.proofs.prove import compared_tables
from streampro.warehouse import changes
from streampro.warehouse.folders import extracted, scratch
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot


@dataclass(frozen=True)
class Trial:
    """What was tried: `runs` incremental ones against a full one, `models` in two halves; tables
    that depend on when runs were against their own expressions, over what these runs have seen.
    """

    runs: int
    tables: tuple[ComparedTable, ...]
    models: tuple[str, ...]
    by_runs: tuple[AgainstItself, ...] = ()


@asks
def check_incremental(
    pipeline: Pipeline,
    target: Target,
    *,
    parts: int = 4,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Trial:
    """Try on a target's raw folder that incremental runs give the rows of a full run.

    Its lines are dealt out to `parts` at random (late, repeated, out of order; CSV files grow),
    which are read one after the other; the result is compared with one full run, row for row.
    Then the law that a keyed model declares is tried: the rows of all keys are those of one half
    of the keys and of the other. All of it happens in temporary warehouses.

    Raises `IncrementalError` with the first differing rows, and what `run` raises.
    """
    sources = pipeline.read(pipeline.models.values())
    refuse_out_of_reach(sources, target)
    watcher, pipeline = watcher or Unwatched(), pipeline.without_exports().without_limits()
    with scratch(target.warehouse) as folder, extracted(sources, target) as extracts:
        (folder / "raw").mkdir()
        here = at_hand(sources, target, folder / "copied")
        databases = dict.fromkeys(
            target.databases, addresses.extracted(tables_beside(folder / "raw"))
        )
        own = {name: folder / f"source {n}" for n, name in enumerate(target.sources)}
        for each in own.values():
            each.mkdir()
        trial = {"raw": folder / "raw", "sources": own, "databases": databases}
        grown = unheard(target, folder / "left").model_copy(update=trial)
        runs: list[Run] = []
        lie = {source.name: Path(extracts.whole(source, here)) for source in sources}
        dealt = (
            deal(some, lie, own.get(some[0].name, folder / "raw"), parts, seed)
            for some in by_folder(sources, target)
        )
        for _ in zip(*dealt, strict=True):
            with watcher.step(f"incremental run {len(runs) + 1}", lambda: None):
                runs.append(run(pipeline, grown))
        whole = grown.model_copy(update={"warehouse": folder / "right"})
        with watcher.step("full run", lambda: None):
            full = run(pipeline, whole)
        with Comparison(target) as comparison:
            sides = (pipeline, runs[-1], full, folder, comparison, watcher)
            tables = tuple(compared_tables(*sides, without=pipeline.by_runs()))
        by_runs = tuple(against_themselves(pipeline, grown, runs[-1]))
        _refuse_differences(tables, runs, by_runs)
        return Trial(len(runs), tables, tuple(_try_halves(pipeline, whole, full)), by_runs)


def _refuse_differences(
    tables: Sequence[ComparedTable], runs: Sequence[Run], by_runs: Sequence[AgainstItself]
) -> None:
    if odd := [each for each in by_runs if not each.is_equal]:
        raise IncrementalError("\n".join(map(str, odd)))
    wrong = [table for table in tables if not table.equal]
    if wrong:
        raise IncrementalError(
            f"{len(runs)} incremental runs (left) and a full run (right) of the same files "
            f"differ in {len(wrong)} of {len(tables)} tables:\n" + "\n".join(map(str, wrong))
        )


def _try_halves(pipeline: Pipeline, target: Target, full: Run) -> list[str]:
    tried = []
    with scratch(target.warehouse) as folder, connect(target, scratch=folder) as engine:
        snapshot = Snapshot(target.warehouse, full, engine)
        for model in pipeline.models.values():
            if model.incremental_by and {*model.inputs} <= {*pipeline.models}:
                _try_half(engine, pipeline, model, snapshot)
                tried.append(model.name)
    return tried


def _try_half(engine: Engine, pipeline: Pipeline, model: Model, snapshot: Snapshot) -> None:
    by = model.incremental_by
    assert by
    inputs = {name: _read(snapshot, pipeline.models[name]) for name in model.inputs}
    halves = (
        model(**{name: _half(rows, model.key_of(name), is_first) for name, rows in inputs.items()})
        for is_first in (True, False)
    )
    one, other = (engine.stage(model.table, rows, model.contract).data for rows in halves)
    differing = changes.difference(_read(snapshot, model), one.union(other))
    for row in engine.fetch(differing.limit(1)).to_pylist():
        raise IncrementalError(
            f"model {model.name} is declared incremental by {by!r}, but the rows of half of its "
            f"values and those of the others are not all its rows. First differing row: {row}"
        )


def _read(snapshot: Snapshot, model: Model) -> ir.Table:
    return snapshot.table(model.table).select(*model.spec.columns)


def _half(rows: ir.Table, by: str, is_first: bool) -> ir.Table:
    if by not in rows.columns:
        return rows
    belongs = rows[by].cast("string").hexdigest("md5") < "8"
    return rows.filter(belongs if is_first else ~belongs)
