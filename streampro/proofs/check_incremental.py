"""The two laws of incremental runs, tried on somebody's own pipeline and raw files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import ibis.expr.types as ir

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import ConfigError, IncrementalError
from streampro.execution.progress import Unwatched, Watcher
from streampro.execution.runner import run
from streampro.modeling.model import Model
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.certificate import ComparedTable
from streampro.proofs.compare import Comparison
from streampro.proofs.deal import deal
from streampro.proofs.prove import compared_tables
from streampro.warehouse import changes
from streampro.warehouse.ledger import Run


@dataclass(frozen=True)
class Trial:
    """What was tried: `runs` incremental ones against a full one, `models` in two halves."""

    runs: int
    tables: tuple[ComparedTable, ...]
    models: tuple[str, ...]


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
    if not isinstance(target.raw, Path):
        raise ConfigError(f"target {target.name!r} has no raw folder on this machine: --raw DIR.")
    watcher = watcher or Unwatched()
    with TemporaryDirectory(prefix="streampro-check-") as scratch:
        folder = Path(scratch)
        grown = target.model_copy(
            update={"raw": folder / "raw", "warehouse": folder / "left", "openlineage": None},
        )
        read = {name for model in pipeline.models.values() for name in model.inputs}
        sources = [source for name, source in pipeline.sources.items() if name in read]
        runs: list[Run] = []
        for _ in deal(sources, target.raw, folder / "raw", parts, seed):
            with watcher.step(f"incremental run {len(runs) + 1}", lambda: None):
                runs.append(run(pipeline, grown))
        whole = grown.model_copy(update={"warehouse": folder / "right"})
        with watcher.step("full run", lambda: None):
            full = run(pipeline, whole)
        with Comparison(target) as comparison:
            tables = tuple(compared_tables(pipeline, runs[-1], full, folder, comparison, watcher))
        _refuse_differences(tables, runs)
        return Trial(len(runs), tables, tuple(_try_halves(pipeline, whole, full)))


def _refuse_differences(tables: Sequence[ComparedTable], runs: Sequence[Run]) -> None:
    wrong = [table for table in tables if not table.equal]
    if wrong:
        raise IncrementalError(
            f"{len(runs)} incremental runs (left) and a full run (right) of the same files "
            f"differ in {len(wrong)} of {len(tables)} tables:\n" + "\n".join(map(str, wrong))
        )


def _try_halves(pipeline: Pipeline, target: Target, full: Run) -> list[str]:
    tried = []
    with TemporaryDirectory() as scratch, connect(target, scratch=Path(scratch)) as engine:
        for model in pipeline.models.values():
            if model.incremental_by and {*model.inputs} <= {*pipeline.models}:
                _try_half(engine, pipeline, model, full)
                tried.append(model.name)
    return tried


def _try_half(engine: Engine, pipeline: Pipeline, model: Model, full: Run) -> None:
    by = model.incremental_by
    assert by
    inputs = {name: _read(engine, pipeline.models[name], full) for name in model.inputs}
    halves = (
        model(**{name: _half(rows, by, is_first) for name, rows in inputs.items()})
        for is_first in (True, False)
    )
    one, other = (engine.stage(model.table, rows, model.contract).data for rows in halves)
    differing = changes.difference(_read(engine, model, full), one.union(other))
    for row in engine.fetch(differing.limit(1)).to_pylist():
        raise IncrementalError(
            f"model {model.name} is declared incremental by {by!r}, but the rows of half of its "
            f"values and those of the others are not all its rows. First differing row: {row}"
        )


def _read(engine: Engine, model: Model, full: Run) -> ir.Table:
    version = full.version_of(model.table)
    assert version is not None
    rows = engine.read(model.table, version)
    return rows.select(*model.spec.columns)


def _half(rows: ir.Table, by: str, is_first: bool) -> ir.Table:
    if by not in rows.columns:
        return rows
    belongs = rows[by].cast("string").hexdigest("md5") < "8"
    return rows.filter(belongs if is_first else ~belongs)
