"""A published run computed again from the same raw files: equal, or what differs and why."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from streampro.arguments import asks
from streampro.config import Target, unheard
from streampro.errors import ConfigError, SourceError
from streampro.execution.progress import Unwatched, Watcher
from streampro.execution.runner import run
from streampro.formats.files import InputFile, find
from streampro.formats.registry import format_of
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.proofs.by_runs import AgainstItself, against_themselves
from streampro.proofs.diff import RunDifference, diff
from streampro.proofs.places import by_folder, refuse_out_of_reach
from streampro.storage.place import Place, place_of
from streampro.warehouse.folders import main_of, scratch
from streampro.warehouse.origin import origin_of
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import published_run, readable_run

_NAMED = 3
"""Files and models that a reason names."""


@dataclass(frozen=True)
class Replay:
    """A run and what came of it when it was computed again.

    Attributes:
        run_id: of the published run.
        difference: between what it published, left, and what came now.
        reasons: in what the two were not the same: raw files, code, commit, packages, engine, a
            sentence each; none where all of it is as it was.
        by_runs: tables that depend on when runs were, which one full run cannot give: what was
            published of them against their own expressions, over what runs had seen.
    """

    run_id: int
    difference: RunDifference
    reasons: tuple[str, ...]
    by_runs: tuple[AgainstItself, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether every table has the same rows."""
        return self.difference.is_equal and all(each.is_equal for each in self.by_runs)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"is_equal": self.is_equal, **asdict(self)}


@asks
def replay(
    pipeline: Pipeline,
    target: Target,
    run_id: int | None = None,
    *,
    limit: int = 3,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Replay:
    """Compute a run again, the newest by default, from the raw files that it knew, and compare.

    All of them are read by the code of now, as one full run in a temporary warehouse, which every
    run of all models of the same files and code must equal. Nothing is published.

    ```python
    done = streampro.replay(PIPELINE, target, 12)
    print(done.is_equal, done.reasons)
    ```

    Args:
        pipeline: whose run it was.
        target: where the warehouse and the raw folder are, and which engine computes.
        run_id: the number of the run.
        limit: how many rows of each table are among the examples.
        watcher: as of `run`.
        session: as of `run`.

    Raises `ConfigError` for a run that there is not, one of a branch, one of another pipeline, and
    one that read databases or Delta tables, of which no earlier state is kept; `WarehouseError` for
    one that was cleaned; `SourceError` where no file of a source is left; and what
    `run` raises.
    """
    then = published_run(target) if run_id is None else readable_run(target, run_id)
    sources = pipeline.read(pipeline.models.values())
    _refuse_what_is_not_kept(pipeline, target, then, sources)
    refuse_out_of_reach(sources, target)
    with scratch(target.warehouse) as folder:
        folders, lost = _brought_back(sources, target, then, folder)
        again = unheard(target, folder / "again").model_copy(update=folders)
        done = run(
            pipeline.without_exports().without_limits(),
            again,
            started_at=then.started_at,
            watcher=watcher or Unwatched(),
            session=session,
        )
        whole = diff(pipeline, target, again, left_run=then.run_id, limit=limit)
        named = replace(whole, right=f"run {then.run_id}, computed again")
        difference = _without(named, {*pipeline.by_runs(), *then.observed})
        by_runs = tuple(against_themselves(pipeline, target, then))
    return Replay(then.run_id, difference, tuple(_reasons(pipeline, then, done, lost)), by_runs)


def _without(found: RunDifference, tables: Collection[TableName]) -> RunDifference:
    return replace(
        found,
        tables=tuple(each for each in found.tables if each.table not in tables),
        moves=tuple(each for each in found.moves if each.table not in tables),
    )


def _refuse_what_is_not_kept(
    pipeline: Pipeline, target: Target, then: Run, sources: Sequence[Source]
) -> None:
    if main_of(target.warehouse):
        raise ConfigError("a run of a branch is not replayed: replay main, or merge it first.")
    if then.pipeline != pipeline.name:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {then.pipeline!r}. Name it with "
            "--pipeline."
        )
    for source in sources:
        if source.is_in_database or format_of(source).is_table:
            raise ConfigError(
                f"source {source.name!r} is a table that changes, and what it held at run "
                f"{then.run_id} is not kept: a run that read it cannot be replayed."
            )


def _brought_back(
    sources: Sequence[Source], target: Target, then: Run, folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """Bring the files that a run knew below a folder; return where they are, as settings of a
    target, and what became of the others. Raises `SourceError` where none of a source is left.
    """
    own: dict[str, Path] = {}
    raw, lost = target.raw, list[str]()
    for number, some in enumerate(by_folder(sources, target)):
        place, copied = place_of(target.raw_of(some[0].name) or Path()), folder / str(number)
        copied.mkdir()
        for source in some:
            now = {file.path: file for file in _found(source, place)}
            known = [file for file in then.inputs if file.source == source.name]
            there = [file for file in known if file.path in now]
            lost += [f"{file.path} vanished" for file in known if file.path not in now]
            lost += [f"{file.path} changed" for file in there if not file.is_still(now[file.path])]
            if known and not there:
                raise SourceError(
                    f"run {then.run_id} cannot be computed again: no file of source "
                    f"{source.name!r} is left. {_few(lost)}"
                )
            place.copy(there, copied) if not place.is_local else _linked(there, place.path, copied)
        if some[0].name in target.sources:
            own[some[0].name] = copied
        else:
            raw = copied
    return {"raw": raw, "sources": own}, lost


def _found(source: Source, place: Place) -> Sequence[InputFile]:
    try:
        return find(source, place)
    except SourceError:  # for none
        return ()


def _linked(files: Sequence[InputFile], raw: Path, folder: Path) -> None:
    for file in files:
        link = folder / file.path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(raw / file.path)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if names[_NAMED:] else ""
    return f"{', '.join(names[:_NAMED])}{more}."


def _reasons(pipeline: Pipeline, then: Run, now: Run, lost: Sequence[str]) -> Iterator[str]:
    if lost:
        yield f"raw files are not as they were: {_few(lost)}"
    old = [
        table
        for table, parents in then.lineage.items()
        if any(then.version_of(parent) != version for parent, version in parents.items())
    ]
    if old:
        yield f"the run left tables as an earlier one built them: {_few(old)}"
    other = [name for name, code in pipeline.code_hashes().items() if then.code.get(name) != code]
    gone = [name for name in then.code if name not in pipeline.models]
    if named := [*other, *gone]:
        yield f"models have other code: {_few(named)}"
    origin = origin_of(pipeline)
    if then.origin is None:
        yield f"run {then.run_id} did not keep its commit."
    else:
        if then.origin.commit != origin.commit:
            yield f"the run was of commit {then.origin.commit}, this is {origin.commit}."
        elif then.origin.changes != origin.changes:
            yield f"changes were not committed, then or now, on top of {origin.commit}."
        if then.origin.lock != origin.lock:
            yield "other packages are installed than then."
    packages = {*then.packages, *now.packages}
    yield from (
        f"{name} was {then.packages.get(name)}, and is {now.packages.get(name)}."
        for name in sorted(packages)
        if then.packages.get(name) != now.packages.get(name)
    )
    if then.engine != now.engine:
        yield f"the run was computed by {then.engine}, this by {now.engine}."
