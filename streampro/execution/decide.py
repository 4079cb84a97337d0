"""How much of a model a run must compute; never less than what may have changed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from streampro.errors import PipelineError, number_of
from streampro.execution.inputs import Inputs
from streampro.execution.state import Moved, State
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import Model
from streampro.warehouse.changes import Mode


@dataclass(frozen=True)
class Decision:
    """What is to be done, and why not less. `moved` are the inputs whose rows tell the keys."""

    mode: Mode
    reason: str
    moved: Mapping[str, Moved] = field(default_factory=dict)


def decide(model: Model, state: State, inputs: Inputs, forced: Collection[str]) -> Decision:
    """Return what a run must do for a model, given what it did for the models before.

    Raises `PipelineError` for a contract that lost a column or changed its type; a full refresh
    that was asked for allows it.
    """
    if model.name in forced:
        return Decision("full", "a full refresh was asked for")
    if state.published(model.table) is None:
        return Decision("full", "it was never built")
    if not state.is_same_code(model):
        _refuse_to_break_readers(model, state)
        return Decision("full", "its expression or its contract changed")
    if lost := [told for files in inputs.of(model) for told in files.lost]:
        return Decision("full", f"{lost[0]}{_and_more(lost)}")
    new = [file for files in inputs.of(model) for file in files.new]
    moved = state.moved_inputs(model)
    told = [number_of(len(new), "new file")] if new else []
    reason = ", ".join([*told, *(f"{name} changed" for name in moved)])
    if not reason:
        return Decision("unchanged", "nothing it is built from changed")
    if model.incremental_by is None:
        return Decision("full", reason)
    if inputs.of(model):
        is_possible = model.quarantine and not moved
        return Decision("incremental" if is_possible else "full", reason)
    if nullable := state.nullable_keys(model):
        return Decision("full", f"{reason}; {nullable[0]} may be null")
    for name, each in moved.items():
        if each.rows is None:
            return Decision("full", f"{name} was rebuilt")
        if model.incremental_by not in each.rows.columns:
            return Decision("full", f"{name} changed and has no {model.incremental_by}")
    return Decision("incremental", reason, moved)


def _refuse_to_break_readers(model: Model, state: State) -> None:
    was, now = state.published_rows(model).schema(), model.spec.schema
    told = [f"{name} ({kind}) is gone" for name, kind in was.items() if name not in now]
    told += [
        f"{name} is {now[name]}, but was {kind}"
        for name, kind in was.items()
        if name in now and may_be_null(now)[name] != may_be_null(was)[name]
    ]
    if told:
        raise PipelineError(
            f"{model.table} as published has other columns than its contract: {'; '.join(told)}. "
            "Queries of its readers may break. Nothing was published. To allow it: "
            f"streampro run --full-refresh --select {model.name}+"
        )


def _and_more(told: list[str]) -> str:
    return f" and {number_of(len(told) - 1, 'more file')}" if len(told) > 1 else ""
