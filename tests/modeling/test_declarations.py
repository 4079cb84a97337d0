"""Declarations and calls are checked when they are made, with what was meant."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.types as ir
import pytest

import streampro
from streampro import Contract, Instant, Pipeline, Source, column, model, rule
from streampro.config import Target
from streampro.errors import ConfigError, PipelineError
from streampro.viewing import PIPELINE

TARGET = Target(name="test", raw=Path("raw"), warehouse=Path("warehouse"))


def problems_of(of_model: dict[str, Any] | None = None, **columns: Any) -> list[str]:
    """Return what is wrong with a pipeline of one plain model with a contract of these columns."""
    hints = {name: Instant if name.endswith("_ts") else str for name in columns}
    contract = type("Rows", (Contract,), {"__annotations__": hints, **columns})

    def rows(raw: ir.Table) -> ir.Table:
        return raw.select("a")

    rows.__module__ = "staging"
    module = ModuleType("staging")
    module.raw = Source(name="raw", files=("*",), format="csv", fields={"a": ("a",)})  # type: ignore[attr-defined]
    module.rows = model(contract=contract, **of_model or {})(rows)  # type: ignore[attr-defined]
    return Pipeline("declared", [module]).problems()


A = column("A.", nullable=True)
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "severity": (
        lambda: column("A.", severity="error"),  # type: ignore[arg-type]
        "severity is 'error', but must be 'fail', 'quarantine' or 'warn'",
    ),
    "severity of a rule": (lambda: rule("failed"), r"rule\(\): severity is 'failed'.* mean 'fail'"),  # type: ignore[arg-type]
    "unit": (lambda: column("A.", unit=3), "unit is 3, but must be a text"),  # type: ignore[arg-type]
    "nullable": (lambda: column("A.", nullable="yes"), "nullable is 'yes', but must be True or"),  # type: ignore[arg-type]
    "description": (lambda: column(None), "description is None, but must be a text"),  # type: ignore[arg-type]
    "nothing is legal": (lambda: column("A.", isin=[]), "isin is empty"),
    "reference without a column": (lambda: column("A.", references="users"), "'products.product'"),
    "orphans of nothing": (lambda: column("A.", orphans="fail"), "without references"),
    "incremental by": (lambda: model(contract=Contract, incremental_by=3), "incremental_by is 3"),  # type: ignore[arg-type]
    "quarantine": (lambda: model(contract=Contract, quarantine="yes"), "must be True or False"),  # type: ignore[arg-type]
    "name of a pipeline": (lambda: Pipeline(3, []), "name is 3"),  # type: ignore[arg-type]
    "a module alone": (lambda: Pipeline("p", ModuleType("staging")), "must be an instance of"),  # type: ignore[arg-type]
    "name of a module": (lambda: Pipeline("p", ["staging"]), "must be an instance of module"),  # type: ignore[list-item]
    "quarantine of a table": (
        lambda: problems_of(a=column("A.", nullable=True, ge="b", severity="quarantine")),
        r"a greater_than_or_equal_to\(b\): severity 'quarantine' is for models with quarantine",
    ),
    "quarantine of orphans of a table": (
        lambda: problems_of(a=column("A.", references="rows.a", orphans="quarantine")),
        "rows does not take rows, as its orphans must not pass",
    ),
    "event time of a text": (lambda: problems_of(a=column("A.", event_time=True)), "an instant or"),
    "two event times": (
        lambda: problems_of(
            a=A, b_ts=column("B.", event_time=True), c_ts=column("C.", event_time=True)
        ),
        "said of b_ts, c_ts, but must be of one column",
    ),
    "incremental by no column": (
        lambda: problems_of({"incremental_by": "b"}, a=A),
        "incremental by 'b', which is no column of it",
    ),
}
CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "run": (lambda: streampro.run(PIPELINE, "local"), "target is 'local', but must be a Target"),  # type: ignore[arg-type]
    "swapped": (lambda: streampro.run(TARGET, PIPELINE), "pipeline is a Target, but must be a"),  # type: ignore[arg-type]
    "plan": (lambda: streampro.plan(PIPELINE, Path("raw")), "target is a "),  # type: ignore[arg-type]
    "sql": (lambda: streampro.sql("select 1", "local"), "target is 'local'"),  # type: ignore[arg-type]
    "published": (lambda: streampro.published("local"), "target is 'local'"),  # type: ignore[arg-type]
    "explain": (lambda: streampro.explain(PIPELINE, TARGET, 3), "model is 3, but must be a text"),  # type: ignore[arg-type]
    "prove": (lambda: streampro.prove(PIPELINE, TARGET, "spark"), "'spark', but must be a Target"),  # type: ignore[arg-type]
    "clean": (lambda: streampro.clean(TARGET, "2"), "keep is '2', but must be a whole number"),  # type: ignore[arg-type]
    "clean all": (lambda: streampro.clean(TARGET, True), "keep is True, but must be a whole"),
    "unknown": (
        lambda: streampro.run(PIPELINE, TARGET, refresh=True),  # type: ignore[call-arg]
        r"run\(\) has no argument 'refresh'. Did you mean 'full_refresh'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_declaration_is_refused_at_once(name: str) -> None:
    declare, said = WRONG[name]
    with pytest.raises(PipelineError, match=said):
        declare()


@pytest.mark.parametrize("name", CALLS)
def test_wrong_call_is_refused_at_once(name: str) -> None:
    call, said = CALLS[name]
    with pytest.raises(ConfigError, match=said):
        call()


def test_right_declarations_are_taken() -> None:
    assert problems_of(a=column("A.", nullable=True, isin=("x", "y"), severity="warn")) == []
