"""How much of a model a run must compute; never less than what may have changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from streampro.errors import PipelineError, number_of
from streampro.execution.inputs import Inputs
from streampro.execution.state import ChangedRows, State
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import Model
from streampro.warehouse.changes import Mode


@dataclass(frozen=True)
class RunMode:
    """How much of a model is computed, and why not less; rows of `changed_inputs` tell its keys."""

    mode: Mode
    reason: str
    changed_inputs: Mapping[str, ChangedRows] = field(default_factory=dict)


def run_mode_of(model: Model, state: State, inputs: Inputs, forced: Collection[str]) -> RunMode:
    """Return what a run must do for a model, given what it did for the models before.

    Raises `PipelineError` for a contract that lost a column or changed its type; a full refresh
    that was asked for allows it, but for tables that keep what runs have seen.
    """
    if state.is_observed(model):
        return _observed(model, state, forced)
    if model.name in forced:
        return RunMode("full", "a full refresh was asked for")
    if state.published(model.table) is None:
        return RunMode("full", "it was never built")
    if not state.is_same_code(model):
        _refuse_to_break_readers(model, state)
        return RunMode("full", "its expression or its contract changed")
    if lost := [each for files in inputs.of(model) for each in files.lost]:
        return RunMode("full", f"{lost[0]}{_and_more(lost)}")
    new = [file for files in inputs.of(model) for file in files.new]
    changed = state.changed_inputs(model)
    files = [number_of(len(new), "new file")] if new else []
    reason = ", ".join([*files, *(f"{name} changed" for name in changed)])
    if not reason:
        return RunMode("unchanged", "nothing it is built from changed")
    if model.incremental_by is None:
        return RunMode("full", reason)
    if inputs.of(model):
        is_possible = model.quarantine and not changed
        return RunMode("incremental" if is_possible else "full", reason)
    if nullable := state.nullable_keys(model):
        return RunMode("full", f"{reason}; {nullable[0]} may be null")
    for name, each in changed.items():
        if each.rows is None:
            return RunMode("full", f"{name} was rebuilt")
        if (key := model.key_of(name)) not in each.rows.columns:
            return RunMode("full", f"{name} changed and has no {key}")
    return RunMode("incremental", reason, changed)


def _observed(model: Model, state: State, forced: Collection[str]) -> RunMode:
    """Return what a run must do for a table that keeps what runs have seen: add to it."""
    _refuse_to_lose(model, state)
    changed = [f"{name} changed" for name in state.changed_inputs(model)]
    if model.name in forced:
        changed = ["a full refresh was asked for"]
    elif not state.is_same_code(model):
        changed = ["its expression or its contract changed"]
    if not changed:
        return RunMode("unchanged", "nothing it is built from changed")
    return RunMode("incremental", f"{', '.join(changed)}; what runs have seen stays")


def _refuse_to_lose(model: Model, state: State) -> None:
    start = f"{model.table} keeps what runs have seen, of which there is no other copy,"
    advice = (
        f"Nothing was published. Give the model another name: {model.table} then stays beside it, "
        "as it is."
    )
    if model.observed_at is None:
        raise PipelineError(f"{start} and its model is no longer observed. {advice}")
    if state.is_same_code(model):
        return
    was, now = state.published_rows(model).schema(), model.spec.schema
    wrong = _breaks(model, state)
    wrong += [
        f"{n} is new and may not be null" for n in now if n not in was and not now[n].nullable
    ]
    if wrong:
        raise PipelineError(
            f"{start} and has other columns than its contract: {'; '.join(wrong)}. {advice} Or "
            "keep the columns as they are, and let new ones be null in what was seen before."
        )


def _breaks(model: Model, state: State) -> list[str]:
    """Return what readers of a table would miss in its contract."""
    was, now = state.published_rows(model).schema(), model.spec.schema
    breaks = [f"{name} ({kind}) is gone" for name, kind in was.items() if name not in now]
    return breaks + [
        f"{name} is {now[name]}, but was {kind}"
        for name, kind in was.items()
        if name in now and may_be_null(now)[name] != may_be_null(was)[name]
    ]


def _refuse_to_break_readers(model: Model, state: State) -> None:
    if breaks := _breaks(model, state):
        raise PipelineError(
            f"{model.table} as published has other columns than its contract: {'; '.join(breaks)}. "
            "Queries of its readers may break. Nothing was published. To allow it: "
            f"streampro run --full-refresh --select {model.name}+"
        )


def _and_more(lost: list[str]) -> str:
    return f" and {number_of(len(lost) - 1, 'more file')}" if len(lost) > 1 else ""
