"""What commands have in common: options, and the target and pipeline that these describe."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streampro.cli import completion
from streampro.errors import ConfigError, PipelineError, blamed

if TYPE_CHECKING:
    from streampro.config import Target
    from streampro.modeling.pipeline import Pipeline

DEFAULT_PIPELINE = "streampro.viewing:PIPELINE"

_Command = Callable[..., Any]


def options(*names: str) -> Callable[[_Command], _Command]:
    """Add the named options, and those that every command on a target has."""

    def add(command: _Command) -> _Command:
        for name in ("debug", *reversed(names), "target"):
            command = OPTIONS[name](command)
        return command

    return add


def _joined(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> str | None:
    """Return the words of an option, also where it stands several times."""
    return ",".join(given) if given else None


def _models(name: str, told: str) -> Callable[[_Command], _Command]:
    return click.option(
        name,
        multiple=True,
        callback=_joined,
        metavar="MODELS",
        shell_complete=completion.selected,
        help=told,
    )


OPTIONS = {
    "select": _models(
        "--select", "Which models: name, tag:x, layer:x, source:x, state:changed, +name, name+, ..."
    ),
    "exclude": _models("--exclude", "Which models not, in the same words."),
    "full_refresh": click.option(
        "--full-refresh", is_flag=True, help="Compute all of it anew, changed or not."
    ),
    "accept_lost_files": click.option(
        "--accept-lost-files",
        is_flag=True,
        help="Go on though more known raw files are gone than the source allows.",
    ),
    "target": click.option(
        "--target",
        "target_name",
        envvar="STREAMPRO_TARGET",
        shell_complete=completion.targets,
        default="local",
        show_default=True,
        help="Configuration to use: configs/NAME.toml.",
    ),
    "raw": click.option("--raw", type=click.Path(), help="Folder of the raw files."),
    "warehouse": click.option("--warehouse", type=click.Path(), help="Where tables live."),
    "branch": click.option(
        "--branch",
        metavar="NAME",
        shell_complete=completion.branches,
        help="Work on a branch, which begins at main's newest run.",
    ),
    "sample": click.option(
        "--sample",
        metavar="SHARE",
        help="On a branch: build models of some keys only, as '5%' or '5% of id'.",
    ),
    "pipeline": click.option("--pipeline", metavar="MODULE:NAME", help="Pipeline to use."),
    "debug": click.option("--debug", is_flag=True, help="Show the traceback of an error."),
}


FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)


def once(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> str | None:
    """Return the value of an option that may stand once: of several the last would count."""
    if len(given) > 1:
        raise click.UsageError(f"{parameter.opts[0]} is given {len(given)} times.", context)
    return given[0] if given else None


def open_target(
    target_name: str,
    raw: Path | None = None,
    warehouse: Path | None = None,
    pipeline: str | None = None,
    branch: str | None = None,
    debug: bool = False,
) -> "Target":
    """Return the target of a configuration, or a branch of it; `raw`, `warehouse` and `pipeline`
    override it. What commands that were killed left of temporary folders is removed.
    """
    from streampro.config import load_target
    from streampro.warehouse.folders import sweep

    target = load_target(target_name, raw=raw, warehouse=warehouse, pipeline=pipeline)
    if branch is not None:
        from streampro.warehouse.branches import on_branch

        target = on_branch(target, branch)
    sweep(target.warehouse)
    return target


def say_what_is_assumed(
    target: "Target", pipeline: str | None = None, warehouse: Path | None = None, **_: Any
) -> None:
    """Tell on stderr what is taken where there is no project and no option says otherwise."""
    from streampro.config import CONFIGS

    if CONFIGS.is_dir() or (pipeline and warehouse):
        return
    taken = [f"target {target.name!r} with engine {target.engine!r}"]
    taken += [] if pipeline else [f"pipeline {DEFAULT_PIPELINE!r}"]
    taken += [] if warehouse else [f"warehouse {str(target.warehouse)!r}"]
    click.echo(
        f"There is no folder {str(CONFIGS)!r} here; taken are {', '.join(taken)}. "
        "`streampro init NAME` makes a project.",
        err=True,
    )


def load(*args: Any, **options: Any) -> "tuple[Target, Pipeline]":
    """Return the target that the options describe, and its pipeline.

    Raises `ConfigError` where there is no such pipeline, `PipelineError` where importing it fails.
    """
    from pkgutil import resolve_name

    from streampro.modeling.pipeline import Pipeline

    target = open_target(*args, **options)
    here = str(Path.cwd())
    sys.path.insert(0, here)
    name = target.pipeline or DEFAULT_PIPELINE
    try:
        with blamed(""):
            pipeline = resolve_name(name)
    except PipelineError as error:
        cause = error.__cause__
        if error.place or not isinstance(cause, ImportError | AttributeError | ValueError):
            raise
        raise ConfigError(f"there is no pipeline {name!r}: {cause}.") from cause
    finally:
        sys.path.remove(here)
        sys.path.append(here)  # where no file of the project hides a library that is imported later
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(f"{name} is no Pipeline but a {type(pipeline).__name__}.")
    return target, pipeline
