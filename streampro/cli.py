"""The command line. Each command parses, calls one library function and prints.

Rows and answers go to stdout, progress and messages to stderr. Exit codes: 0 fine, 1 the data is
wrong, 2 the call or the configuration is wrong, 3 the engine or the storage failed. Modules are
imported inside the commands that use them, so that `--help` is fast.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from streampro.errors import ConfigError, StreamProError
from streampro.output import print_json, print_past_run, print_rows, print_run

if TYPE_CHECKING:
    from streampro.certificate import Certificate
    from streampro.config import Target
    from streampro.pipeline import Pipeline

DEFAULT_PIPELINE = "streampro.viewing:PIPELINE"

_DEMO_EVENTS = 20_000

_Command = Callable[..., Any]


def main() -> NoReturn:
    """Run the command line and exit; the one place where errors become messages and codes."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except StreamProError as error:
        if debug:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if debug:
            raise
        click.echo(f"error: {type(error).__name__}: {error}\nMore with --debug.", err=True)
        sys.exit(3)


def _options(*names: str) -> Callable[[_Command], _Command]:
    """Add the named options, and those that every command on a target has."""

    def add(command: _Command) -> _Command:
        for name in ("debug", *reversed(names), "target"):
            command = _OPTIONS[name](command)
        return command

    return add


_OPTIONS = {
    "select": click.option(
        "--select", metavar="MODELS", help="What to build: name, +name, name+, several by ,"
    ),
    "full_refresh": click.option(
        "--full-refresh", is_flag=True, help="Compute all of it anew, changed or not."
    ),
    "target": click.option(
        "--target",
        "target_name",
        envvar="STREAMPRO_TARGET",
        default="local",
        show_default=True,
        help="Configuration to use: configs/NAME.toml.",
    ),
    "raw": click.option("--raw", type=click.Path(), help="Folder of the raw files."),
    "warehouse": click.option("--warehouse", type=click.Path(), help="Where tables live."),
    "pipeline": click.option("--pipeline", metavar="MODULE:NAME", help="Pipeline to use."),
    "debug": click.option("--debug", is_flag=True, help="Show the traceback of an error."),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="streampro")
def cli() -> None:
    """Write every layer of a data pipeline once; run it exactly."""


@cli.command("run")
@_options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the run and the answers as JSON.")
def run_command(select: str | None, full_refresh: bool, as_json: bool, **options: Any) -> None:
    """Build what changed, audit it, publish it, show the answers."""
    from streampro.console import ProgressBars
    from streampro.runner import run

    target, pipeline = _load(**options)
    bars = ProgressBars()
    done = run(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    print_run(done, pipeline, target, as_json)


@cli.command()
@_options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(select: str | None, full_refresh: bool, as_json: bool, **options: Any) -> None:
    """Tell what a run would do and which answers would move, writing nothing."""
    from streampro.console import ProgressBars, show_plan
    from streampro.runner import plan

    target, pipeline = _load(**options)
    bars = ProgressBars()
    found = plan(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    if as_json:
        print_json(found.to_json())
    else:
        show_plan(found)


@cli.group(invoke_without_command=True)
@_options("pipeline")
@click.pass_context
def check(context: click.Context, /, **options: Any) -> None:
    """Compare every model with its contract, and refuse what engines compute differently.

    Needs neither engine nor data.
    """
    from streampro.errors import PipelineError

    if context.invoked_subcommand:
        return
    _, pipeline = _load(**options)
    if problems := [*pipeline.problems(), *pipeline.unportable()]:
        raise PipelineError("\n".join(problems))
    tables = len(pipeline.tables())
    click.echo(f"{pipeline.name}: {len(pipeline.models)} models, {tables} tables, all in order.")


@check.command("incremental")
@click.option("--parts", type=click.IntRange(2), default=4, show_default=True, help="Runs.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same parts.")
@_options("raw", "pipeline")
def check_incremental(parts: int, seed: int, **options: Any) -> None:
    """Read the raw folder in random parts and compare with one full run, row for row."""
    from streampro.console import ProgressBars
    from streampro.incremental import check_incremental

    target, pipeline = _load(**options)
    bars = ProgressBars()
    tried = check_incremental(pipeline, target, parts=parts, seed=seed, watcher=bars)
    click.echo(
        f"{tried.runs} incremental runs and a full run: {len(tried.tables)} tables, "
        f"{sum(table.left.rows for table in tried.tables):,} rows, all equal. Rows of all keys are "
        f"those of one half and of the other: {', '.join(tried.models) or 'no keyed model'}."
    )


@cli.command()
@click.argument("query")
@click.option("--run", "run_id", type=int, help="Run to ask, by its number; default: the newest.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)
@_options("warehouse")
def sql(query: str, run_id: int | None, form: str, **options: Any) -> None:
    """Ask the published tables, named layer.table, with DuckDB's SQL."""
    from streampro import query as library

    target = _load_target(**options)
    print_rows(library.sql(query, target, run_id), form)


@cli.command()
@click.argument("run_id", metavar="[RUN]", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all runs, or the one, as JSON.")
@_options("warehouse", "pipeline")
def history(run_id: int | None, as_json: bool, **options: Any) -> None:
    """List the published runs, the newest first, or tell all of one: RUN, by its number."""
    from streampro import history as library

    if run_id is not None:
        print_past_run(*_load(**options), run_id, as_json)
        return
    target = _load_target(**options)
    runs = library.runs(target.warehouse)[::-1]
    if as_json:
        print_json([run.to_json() for run in runs])
        return
    if not runs:
        click.echo(f"{target.warehouse} has no published run yet.", err=True)
        return
    from streampro.console import show_runs

    show_runs(str(target.warehouse), runs)


@cli.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the new run as JSON.")
@_options("warehouse", "pipeline")
def rollback(run_id: int, as_json: bool, **options: Any) -> None:
    """Publish the tables of RUN again, as a new run; nothing is removed.

    The next run goes on from there: it reads the files that came after RUN anew.
    """
    from streampro import retention
    from streampro.console import show_moves

    target, pipeline = _load(**options)
    done = retention.rollback(target, run_id, pipeline)
    if as_json:
        print_json(done.to_json())
        return
    show_moves(done.moves)
    click.echo(f"Run {done.run_id}: the tables are those of run {run_id}.")


@cli.command()
@click.option("--keep", metavar="N", type=int, required=True, help="Newest runs to keep readable.")
@click.option("--yes", is_flag=True, help="Remove the files; without it they are only listed.")
@_options("warehouse")
def clean(keep: int, yes: bool, **options: Any) -> None:
    """Remove the data files of tables that only older runs need.

    These runs stay in the history, but can no longer be asked or rolled back to.
    """
    from streampro import retention
    from streampro.console import show_cleaned

    found = retention.clean(_load_target(**options), keep, dry_run=not yes)
    if not found:
        click.echo("Nothing to remove.", err=True)
        return
    show_cleaned(found)
    done = "They are removed." if yes else "Nothing is removed yet; --yes removes them for good."
    click.echo(done, err=True)


@cli.command()
@click.option("--left", metavar="NAME", default="local", show_default=True, help="One target.")
@click.option(
    "--right", metavar="NAME", default="spark-local", show_default=True, help="The other target."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="parity.json",
    show_default=True,
    help="Where the certificate is written.",
)
@click.option(
    "--warehouse",
    type=click.Path(path_type=Path),
    help="Keep both warehouses here, as left and right; default: temporary ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate.")
@_OPTIONS["raw"]
@_OPTIONS["pipeline"]
@_OPTIONS["debug"]
def prove(
    left: str, right: str, out: Path, warehouse: Path | None, as_json: bool, **options: Any
) -> None:
    """Run two targets on the same bytes and compare every row of every table."""
    from streampro import parity
    from streampro.console import ProgressBars, show_certificate
    from streampro.errors import ParityError

    def show(certificate: "Certificate") -> None:
        if as_json:
            print_json(certificate.to_json())
        else:
            show_certificate(certificate, out)

    one, pipeline = _load(left, **options)
    other = _load_target(right, **options)
    bars = ProgressBars()
    try:
        found = parity.prove(pipeline, one, other, out=out, warehouse=warehouse, watcher=bars)
    except ParityError as error:
        show(error.certificate)
        raise
    show(found)


@cli.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--events", type=int, default=100_000, show_default=True, help="Lines to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--days", type=int, default=30, show_default=True, help="Days that they span.")
@click.option("--late", type=float, default=0.02, show_default=True, help="Share that is late.")
@click.option("--dirt", type=float, default=0.01, show_default=True, help="Share that is dirty.")
@click.option(
    "--layout",
    type=click.Choice(["flat", "nested", "mixed"]),
    default="mixed",
    show_default=True,
    help="Layout of the event lines.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def generate(out: Path, events: int, debug: bool, **shape: Any) -> None:
    """Write a raw folder of a made-up video platform, and truth.json with what was planted."""
    from streampro.console import ProgressBars
    from streampro.viewing.synthetic import generate

    with ProgressBars().count("events", events) as progress:
        generate(out, events=events, progress=progress, **shape)
    click.echo(f"Wrote {events:,} event lines to {out}.", err=True)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def demo(folder: Path, debug: bool) -> None:
    """Generate a small raw folder in an empty FOLDER (default: here), run, show the answers."""
    from streampro.console import ProgressBars
    from streampro.runner import run
    from streampro.viewing.synthetic import generate

    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder.resolve()} is not empty. Run the demo in an empty folder.")
    generate(folder / "raw", events=_DEMO_EVENTS)
    target, pipeline = _load("local", folder / "raw", folder / "warehouse", DEFAULT_PIPELINE)
    print_run(run(pipeline, target, watcher=ProgressBars()), pipeline, target, as_json=False)


def _load_target(
    target_name: str,
    raw: Path | None = None,
    warehouse: Path | None = None,
    pipeline: str | None = None,
    debug: bool = False,
) -> "Target":
    from streampro.config import load_target

    return load_target(target_name, raw=raw, warehouse=warehouse, pipeline=pipeline)


def _load(*args: Any, **options: Any) -> "tuple[Target, Pipeline]":
    """Return the target that the options describe, and its pipeline."""
    from pkgutil import resolve_name

    from streampro.pipeline import Pipeline

    target = _load_target(*args, **options)
    sys.path.insert(0, str(Path.cwd()))
    name = target.pipeline or DEFAULT_PIPELINE
    try:
        pipeline = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"there is no pipeline {name!r}: {error}.") from error
    if not isinstance(pipeline, Pipeline):
        raise ConfigError(f"{name} is no Pipeline but a {type(pipeline).__name__}.")
    return target, pipeline
