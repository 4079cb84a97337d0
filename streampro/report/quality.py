"""What a reader must know of the data before the answers: what was left out, late or odd."""

from collections.abc import Iterator, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from streampro.modeling.audit import audit, reference_rule
from streampro.modeling.model import REJECT_COLUMNS, Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import Books
from streampro.report.run_tables import RunTables
from streampro.warehouse.run import Run, Warned, whole_books as books_of

SAMPLES = 3
"""Lines that are shown of a reject reason."""
_LONGEST_SAMPLE = 300
"""Characters of such a line."""


def rejected_samples(rejected: ir.Table) -> ir.Table:
    """Return the first lines of each reject reason, by file and text; the same line once.

    Columns: `reject_reason`, `lines` with this reason, `source_file`, `text` (the line, cut to
    300 characters), `length` of the whole line.
    """
    lines = rejected.group_by(*REJECT_COLUMNS).aggregate(copies=rejected.count())
    in_order = ibis.window(group_by="reject_reason", order_by=["source_file", "raw_line"])
    of_reason = ibis.window(group_by="reject_reason")
    placed = lines.mutate(
        place=ibis.row_number().over(in_order), lines=lines.copies.sum().over(of_reason)
    )
    return (
        placed.filter(placed["place"] < SAMPLES)
        .order_by("reject_reason", "place")
        .select(
            "reject_reason",
            "lines",
            "source_file",
            text=placed.raw_line.substr(0, _LONGEST_SAMPLE),
            length=placed.raw_line.length(),
        )
    )


def event_span(rows: ir.Table, event_time: str) -> ir.Table:
    """Return one row: the `oldest` and the `newest` instant, null without rows."""
    return rows.aggregate(oldest=rows[event_time].min(), newest=rows[event_time].max())


def samples(tables: RunTables) -> list[dict[str, Any]]:
    """Return the rows of `rejected_samples` of every model, with the `table` that has them."""
    models = (model for model in tables.pipeline.models.values() if model.quarantine)
    return [
        {"table": model.rejected} | row
        for model in models
        if tables.has(model.rejected)
        for row in tables.rows(rejected_samples(tables.table(model.rejected)))
    ]


def freshness(tables: RunTables) -> list[dict[str, Any]]:
    """Return the `event_span` of every model with an event time, with its `table`."""
    spans = []
    for model in tables.pipeline.models.values():
        at = model.spec.event_time
        if at and tables.knows(model.name):
            [row] = tables.rows(event_span(tables.table(model.table), at))
            spans.append({"table": model.table} | row)
    return spans


def warnings(tables: RunTables) -> list[Warned]:
    """Count anew, in all rows of the tables, what breaks a rule of severity `warn`.

    The ledger knows it of the rows only that each run wrote.
    """
    return [
        warned for model in tables.pipeline.models.values() for warned in _warned(tables, model)
    ]


def _warned(tables: RunTables, model: Model) -> Iterator[Warned]:
    models = tables.pipeline.models
    referred = {n: models[n].table for n in (model.name, *model.inputs) if n in models}
    if not all(map(tables.knows, referred)):
        return
    names = [rule.name for rule in model.spec.rules if rule.severity == "warn"]
    names += [
        reference_rule(name, parent, key)
        for name, (parent, key) in model.spec.references.items()
        if parent in referred
    ]
    if not names:
        return
    inputs = {name: tables.table(table) for name, table in referred.items()}
    counts = audit(model.contract, tables.table(model.table), inputs)
    [broken] = tables.rows(counts.select(*names))
    yield from (Warned(model.table, name, broken[name]) for name in names if broken[name])


def ancestry(runs: Sequence[Run], run: Run) -> Iterator[Run]:
    """Yield a run and those that its tables go back to, the newest first.

    The run before a rollback to run N is run N.
    """
    by_number = {each.run_id: each for each in runs}
    current: Run | None = run
    while current:
        yield current
        current = by_number.get(current.rolled_back_to or current.run_id - 1)


def whole_books(runs: Sequence[Run], run: Run, pipeline: Pipeline) -> list[Books]:
    """Return the account of all lines that the tables of a run were built from.

    That is the sum over its ancestry since each source was last read as a whole.
    """
    models = [model for model in pipeline.models.values() if model.quarantine]
    reads = {model.table: {*model.inputs} & {*pipeline.sources} for model in models}
    totals = books_of(ancestry(runs, run), reads)
    return [totals[name] for name in pipeline.sources if name in totals]


def late_rows(runs: Sequence[Run], run: Run) -> list[dict[str, Any]]:
    """Return a row per run and table that compared new rows with stored ones, the newest first."""
    return [
        {
            "run": each.run_id,
            "finished": each.finished_at,
            "table": change.table,
            "new rows": change.added,
            "late rows": change.late,
            "latest by": change.late_by_s,
        }
        for each in ancestry(runs, run)
        for change in each.changes
        if change.late is not None
    ]
