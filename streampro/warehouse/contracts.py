"""Published tables against their contracts as they are now, without a run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streampro.arguments import asks
from streampro.config import Target
from streampro.errors import ConfigError
from streampro.modeling.audit import ROW_COUNT, audit, breaking_rows, severity_of
from streampro.modeling.contract import Severity
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot, code_of, opened, published_run

_SAMPLE_ROWS = 5


@dataclass(frozen=True)
class Broken:
    """A rule that published rows break.

    Attributes:
        rows: how many rows break it.
        first: some of them; none of a reference, whose rows are counted only.
    """

    table: TableName
    rule: str
    severity: Severity
    rows: int
    first: tuple[Mapping[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@asks
def test(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    exclude: str | None = None,
    session: Any = None,
) -> list[Broken]:
    """Return the rules that the published tables break, those of the pipeline as it is now.

    Nothing is computed anew and nothing is written: a rule that was added today is judged over
    what the newest run published.

    ```python
    for broken in streampro.test(PIPELINE, target):
        print(broken.table, broken.rule, broken.rows, broken.first)
    ```

    Args:
        pipeline: whose contracts are meant.
        target: where the warehouse is.
        select: models to look at, as of `run`. Default: all.
        exclude: as of `run`.
        session: as of `run`, for a warehouse that is not on this machine.

    Raises `ConfigError` where nothing was published, for a table that was not, and for one that
    lacks a column of its contract.
    """
    models, run = pipeline.select(select, exclude, code_of(target)), published_run(target)
    for model in models:
        _refuse_unpublished(model, run)
    with opened(target, run, session) as snapshot:
        return [each for model in models for each in broken(pipeline, model, snapshot)]


def broken(pipeline: Pipeline, model: Model, snapshot: Snapshot) -> Iterator[Broken]:
    """Yield the rules of a model's contract that its published rows break.

    Raises `ConfigError` for a table that lacks a column of its contract.
    """
    rows = snapshot.table(model.table)
    if missing := [name for name in model.spec.schema if name not in rows.columns]:
        raise ConfigError(
            f"{model.table} was published before its contract had {', '.join(missing)}. "
            "Build it anew: streampro run."
        )
    names = (name for name in (model.name, *model.inputs) if name in pipeline.models)
    referred = (pipeline.models[name].table for name in names)
    inputs = {table.name: snapshot.table(table) for table in referred if table in snapshot.versions}
    [counts] = snapshot.rows(audit(model.contract, rows, inputs))
    counts.pop(ROW_COUNT)
    for rule, found in counts.items():
        if found:
            severity = severity_of(model.contract, rule)
            breaking = breaking_rows(model.contract, rows, [rule], inputs)
            in_order = breaking.order_by(*model.spec.key or rows.columns)
            first = tuple(snapshot.rows(in_order.limit(_SAMPLE_ROWS)))
            yield Broken(model.table, rule, severity, found, first)


def _refuse_unpublished(model: Model, run: Run) -> None:
    if run.version_of(model.table) is None:
        raise ConfigError(f"{model.table} was never published. Build it: streampro run.")
