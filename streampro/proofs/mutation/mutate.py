"""The mutation score of a model: which small mistakes in it its tests and rules would notice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from streampro.arguments import asks
from streampro.config import Target
from streampro.engines.checked import problems_of, refuse_problems
from streampro.engines.compiled import model_of
from streampro.errors import ConfigError
from streampro.execution.progress import Careful, Unwatched, Watcher
from streampro.lineage.brackets import formula_difference
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.diff import RowDifference
from streampro.proofs.mutation.mutants import mutants, mutated
from streampro.proofs.mutation.rows import data_at_hand
from streampro.proofs.mutation.suite import tests_of
from streampro.warehouse.folders import scratch


@dataclass(frozen=True)
class Mutant:
    """A small change of a model.

    Attributes:
        number: its place among the changes of the model.
        change: what it is, in words.
        diff: the lines of the formula that it changes, `-` before and `+` after.
        killed_by: the test that fails, or the rule of the contract that breaks, or why `check`
            refuses it; null for a survivor.
        row: of a survivor the first row, by key, of the data at hand in which it differs: the
            model's on the left, its own on the right; null where no row at hand does.
    """

    number: int
    change: str
    diff: tuple[str, ...]
    killed_by: str | None = None
    row: RowDifference | None = None


@dataclass(frozen=True)
class MutationScore:
    """Which mutants of a model its tests and rules kill.

    Attributes:
        model: the table.
        tests: those that use the model.
        data: where the rows of survivors come from; an empty text where none were needed.
        mutants: all that were tried.
    """

    model: TableName
    tests: tuple[str, ...]
    data: str
    mutants: tuple[Mutant, ...]

    @property
    def killed(self) -> tuple[Mutant, ...]:
        """The mutants that something notices."""
        return tuple(each for each in self.mutants if each.killed_by is not None)

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """The mutants that nothing notices."""
        return tuple(each for each in self.mutants if each.killed_by is None)

    @property
    def share(self) -> float:
        """The share of mutants that are killed, 1 where there are none."""
        return len(self.killed) / len(self.mutants) if self.mutants else 1.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        counted = {"killed": len(self.killed), "share": self.share}
        return {**counted, **asdict(self)}


@asks
def mutate(
    pipeline: Pipeline,
    target: Target,
    model: str,
    *,
    tests: Sequence[str] = (),
    limit: int | None = None,
    watcher: Watcher | None = None,
) -> MutationScore:
    """Change a model a little, many times, and tell which changes its tests and rules notice.

    ```python
    score = streampro.mutate(PIPELINE, target, "revenue", tests=["tests/test_mart.py"])
    for survivor in score.survivors:
        print(survivor.change, survivor.diff, survivor.row)
    ```

    Each mutant has one change: a comparison, a literal, a filter, the kind of a join, what stands
    for null, an aggregate, an order. What functions of `streampro.portable` compute inside is left
    alone. The tests of the working directory that use the model run on DuckDB, each mutant in a
    process of its own, until one fails. What no test notices is put to `check`, and then to the
    rules of the contract, on the data at hand: what the newest run published, or the raw folder.
    Nothing is written.

    Args:
        pipeline: whose model it is.
        target: where the data at hand are.
        model: `name` or `layer.name`.
        tests: which tests, as arguments of pytest: paths, `-m`, `-k`. Default: all of the project.
        limit: how many mutants, the first ones. Default: all.
        watcher: told of each step while it works, as of `run`.

    Raises `ConfigError` for an unknown model, where pytest is not installed, collects no tests, or
    a test fails of the model as it is; `PipelineError` for what `check` refuses.
    """
    if limit is not None and limit < 1:
        raise ConfigError(
            f"mutate(): limit is {limit}, but must be a number of mutants, from 1 up."
        )
    asked = model_of(pipeline, model)
    refuse_problems(pipeline)
    rows, made = mutants(asked, pipeline.schemas(), pipeline.keys())
    found = {
        each.change.number: Mutant(
            each.change.number, each.change.what, formula_difference(rows, each.rows)
        )
        for each in made[:limit]
    }
    watcher = Careful(watcher or Unwatched())
    done = 0
    with (
        scratch(target.warehouse) as folder,
        watcher.step(f"tests of {len(found)} mutants", lambda: done / max(1, len(found))),
        tests_of(asked, [*found], tests, Path(folder)) as told,
    ):
        for number, failed in told.verdicts:
            found[number] = replace(found[number], killed_by=failed)
            done += 1
    score = MutationScore(asked.table, told.names, "", tuple(found.values()))
    with watcher.step("rows of survivors", lambda: None):
        return _with_rows(pipeline, target, score)


def _with_rows(pipeline: Pipeline, target: Target, score: MutationScore) -> MutationScore:
    """Return a score in which survivors are put to `check`, and to the data at hand."""
    model = pipeline.models[score.model.name]
    found = {each.number: each for each in score.mutants}
    for each in score.survivors:
        problems = problems_of(pipeline.with_model(mutated(model, each.number)))
        if problems:
            found[each.number] = replace(each, killed_by=f"check: {problems[0]}")
    score = replace(score, mutants=tuple(found.values()))
    if not score.survivors:
        return score
    with data_at_hand(pipeline, target, model) as (data, told):
        for each in score.survivors:
            mutant = mutated(model, each.number)
            if data is None:
                continue
            if broken := data.breaks(mutant):
                found[each.number] = replace(each, killed_by=f"rule: {broken}")
            else:
                found[each.number] = replace(each, row=data.first_difference(mutant))
    return replace(score, data=told, mutants=tuple(found.values()))
