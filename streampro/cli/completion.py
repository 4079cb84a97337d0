"""What a shell completes: targets, models and columns of the project at hand."""

from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from os import devnull
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streampro.config import Target
    from streampro.modeling.pipeline import Pipeline

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def targets(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the targets that begin with what is typed."""
    from streampro.config import known_targets

    return [name for name in known_targets() if name.startswith(typed)]


def branches(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the branches of the target's warehouse that begin with what is typed."""
    from streampro.errors import StreamProError
    from streampro.warehouse.folders import branches

    try:
        return _starting(typed, branches(_target(context).warehouse))
    except (StreamProError, OSError):  # then there is nothing to complete
        return []


def models(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the models whose name, or name with its layer, begins with what is typed."""
    pipeline = _pipeline(context)
    return _models(typed, pipeline) if pipeline else []


def selected(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the same, and words like `tag:daily`, for the last of several, with a `+` before."""
    from streampro.modeling.selection import words

    before, comma, last = typed.rpartition(",")
    plus = "+" if last.startswith("+") else ""
    pipeline = _pipeline(context)
    if pipeline is None:
        return []
    named = [f"{method}:{word}" for method, each in words(pipeline).items() for word in each]
    known = _starting(word := last.removeprefix("+"), [*named, "state:changed"])
    return [f"{before}{comma}{plus}{name}" for name in (*_models(word, pipeline), *known)]


def columns(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return models, or with `model.` typed the columns of one."""
    pipeline = _pipeline(context)
    if pipeline is None:
        return []
    named = [
        f"{name}.{column}"
        for model in pipeline.models.values()
        for name in (model.name, model.table)
        if typed.startswith(f"{name}.")
        for column in model.spec.schema
    ]
    return _starting(typed, named) if named else _models(typed, pipeline)


def tables(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Return the published tables, `layer.table`, that begin with what is typed."""
    from streampro.errors import StreamProError
    from streampro.warehouse.snapshot import published_run

    try:
        newest = published_run(_target(context))
        return _starting(typed, [str(item.table) for item in newest.tables])
    except (StreamProError, OSError):  # then there is nothing to complete
        return []


def _models(typed: str, pipeline: "Pipeline") -> list[str]:
    tables = [str(model.table) for model in pipeline.models.values()]
    return _starting(typed, tables if "." in typed else pipeline.models)


def _starting(typed: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(typed)]


def _target(context: click.Context) -> "Target":
    """Return the target that the words typed so far mean."""
    from streampro.cli.options import open_target

    named = {name: context.params.get(name) for name in ("target_name", "warehouse")}
    return open_target(named["target_name"] or "local", warehouse=named["warehouse"])


def _pipeline(context: click.Context) -> "Pipeline | None":
    """Return the pipeline that the words typed so far mean, None where it cannot be imported."""
    from streampro.cli.options import load

    named = {name: context.params.get(name) for name in ("target_name", "pipeline")}
    with Path(devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
            return load(named["target_name"] or "local", pipeline=named["pipeline"])[1]
        except Exception:  # whatever a user's module raises: then there is nothing to complete
            return None
