"""Staged rows against their contract, before anything is published."""

from collections.abc import Mapping

import ibis.expr.types as ir

from streampro.engines.protocol import Engine
from streampro.errors import ComputationError, ContractError, EngineError, number_of
from streampro.modeling.audit import ROW_COUNT, audit, breaking_rows, severity_of
from streampro.modeling.model import Model
from streampro.modeling.question import plain_rows
from streampro.warehouse.run import Warned

_SAMPLE_ROWS = 5


def audited(
    engine: Engine,
    model: Model,
    rows: ir.Table,
    inputs: Mapping[str, ir.Table],
    published: int | None,
) -> list[Warned]:
    """Return the warnings about rows of a model; `published` is its version for the message.

    Raises `ContractError` for rows that break a rule of another severity.
    """
    query = audit(model.contract, rows, inputs, is_distinct=model.quarantine)
    try:
        [counts] = engine.fetch(query).to_pylist()
    except (ComputationError, EngineError) as error:
        is_of_a_rule = isinstance(error, ComputationError)
        what = _uncomputable_in(engine, query) if is_of_a_rule else "the rules"
        raise type(error)(f"{what} of {model.table}: {error}") from error
    counts.pop(ROW_COUNT)
    broken = {rule: found for rule, found in counts.items() if found}
    fatal = {r: n for r, n in broken.items() if severity_of(model.contract, r) != "warn"}
    if fatal:
        samples = breaking_rows(model.contract, rows, [*fatal], inputs).limit(_SAMPLE_ROWS)
        breaking = plain_rows(engine.fetch(samples))
        raise ContractError(_verdict(model, fatal, published), breaking)
    return [Warned(model.table, rule, found) for rule, found in broken.items()]


def _uncomputable_in(engine: Engine, query: ir.Table) -> str:
    """Return which of the rules an engine cannot compute, asked one by one."""
    for rule in query.columns:
        try:
            engine.fetch(query.select(rule))
        except ComputationError:
            return f"rule {rule!r}"
    return "the rules"


def _verdict(model: Model, broken: dict[str, int], published: int | None) -> str:
    state = "does not exist yet" if published is None else f"stays at version {published}"
    rules = ", ".join(f"{rule} in {rows} rows" for rule, rows in broken.items())
    return (
        f"{model.table} broke {number_of(len(broken), 'rule')}: {rules}. "
        f"Nothing was published; the table {state}. "
        "First rows:"
    )
