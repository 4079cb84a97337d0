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

if TYPE_CHECKING:
    from streampro.certificate import Certificate
    from streampro.config import Target
    from streampro.history import Run
    from streampro.pipeline import Pipeline

DEFAULT_PIPELINE = "streampro.viewing:PIPELINE"

_DEMO_EVENTS = 20_000
_TABLE_ROWS = 200
"""Rows that `sql` shows as a table; the other formats have no limit."""

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
@click.option("--select", metavar="MODELS", help="What to build: name, +name, name+, several by ,")
@click.option("--json", "as_json", is_flag=True, help="Print the run and the answers as JSON.")
@_options("raw", "warehouse", "pipeline")
def run_command(select: str | None, as_json: bool, **options: Any) -> None:
    """Build the models, audit them, publish them, show the answers."""
    from streampro.console import ProgressBars
    from streampro.runner import run

    target, pipeline = _load(**options)
    _show(run(pipeline, target, select=select, watcher=ProgressBars()), pipeline, target, as_json)


@cli.command()
@_options("pipeline")
def check(**options: Any) -> None:
    """Compare every model with its contract, and refuse what engines compute differently.

    Needs neither engine nor data.
    """
    from streampro.errors import PipelineError

    _, pipeline = _load(**options)
    if problems := [*pipeline.problems(), *pipeline.unportable()]:
        raise PipelineError("\n".join(problems))
    tables = len(pipeline.tables())
    click.echo(f"{pipeline.name}: {len(pipeline.models)} models, {tables} tables, all in order.")


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
    _print_rows(library.sql(query, target, run_id), form)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print all runs as JSON.")
@_options("warehouse")
def history(as_json: bool, **options: Any) -> None:
    """List the published runs, the newest first."""
    from streampro import history as library

    target = _load_target(**options)
    runs = library.runs(target.warehouse)[::-1]
    if as_json:
        _print_json([run.to_json() for run in runs])
        return
    if not runs:
        click.echo(f"{target.warehouse} has no published run yet.", err=True)
        return
    from streampro.console import show_table

    show_table(
        str(target.warehouse),
        [
            {
                "run": run.run_id,
                "started": run.started_at,
                "seconds": f"{(run.finished_at - run.started_at).total_seconds():.1f}",
                "target": run.target,
                "engine": run.engine,
                "tables built": sum(item.seconds is not None for item in run.tables),
                "lines": f"{sum(account.lines for account in run.books):,}",
                "duplicates": f"{sum(account.duplicates for account in run.books):,}",
                "rejected": f"{sum(account.rejected for account in run.books):,}",
                "warnings": len(run.warnings),
            }
            for run in runs
        ],
    )


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
    from streampro.console import ProgressBars
    from streampro.errors import ParityError

    one, pipeline = _load(left, **options)
    other = _load_target(right, **options)
    bars = ProgressBars()
    try:
        found = parity.prove(pipeline, one, other, out=out, warehouse=warehouse, watcher=bars)
    except ParityError as error:
        _show_certificate(error.certificate, out, as_json)
        raise
    _show_certificate(found, out, as_json)


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
    _show(run(pipeline, target, watcher=ProgressBars()), pipeline, target, as_json=False)


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


def _show(run: "Run", pipeline: "Pipeline", target: "Target", as_json: bool) -> None:
    """Print a run and the answers as it published them."""
    from pkgutil import resolve_name

    from streampro.query import read_tables

    built = {item.table for item in run.tables if item.seconds is not None}
    tables = [model.table for model in pipeline.answers() if str(model.table) in built]
    answers = {table.name: rows for table, rows in read_tables(run, tables, target).items()}
    if as_json:
        _print_json({"run": run.to_json(), "answers": answers})
        return
    from streampro.console import show_run, show_table

    show_run(run)
    if pipeline.summary and len(answers) == len(pipeline.answers()):
        for question, sentence, rows in resolve_name(pipeline.summary)(answers):
            show_table(question, rows, caption=sentence)
    else:
        for name, rows in answers.items():
            show_table(name, rows)


def _show_certificate(found: "Certificate", out: Path, as_json: bool) -> None:
    if as_json:
        _print_json(found.to_json())
        return
    from streampro.console import show_table

    left, right = (f"{side.target} ({side.engine})" for side in (found.left, found.right))
    verdict = "equal" if found.equal else "different"
    show_table(
        f"{left} and {right}: {verdict}",
        [
            {
                "table": item.table,
                "rows": f"{item.left.rows:,}",
                "rows right": f"{item.right.rows:,}",
                "digest": item.left.digest,
                "digest right": "the same" if item.left == item.right else item.right.digest,
                "verdict": "equal" if item.equal else "different",
            }
            for item in found.tables
        ],
        caption=f"Inputs {found.inputs_sha256}, {len(found.inputs)} files. Certificate: {out}",
    )


def _print_rows(table: Any, form: str) -> None:
    if form == "csv":
        from pyarrow import csv

        csv.write_csv(table, sys.stdout.buffer)
    elif form == "parquet":
        if sys.stdout.isatty():
            raise ConfigError("parquet is binary: send it to a file, as in `... > rows.parquet`.")
        from pyarrow import parquet

        parquet.write_table(table, sys.stdout.buffer)
    elif form == "json":
        _print_json(table.to_pylist())
    else:
        from streampro.console import show_table

        show_table("", table.slice(0, _TABLE_ROWS).to_pylist())
        if len(table) > _TABLE_ROWS:
            click.echo(
                f"{_TABLE_ROWS} of {len(table):,} rows are shown; --format csv has them all.",
                err=True,
            )


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_json_value))


def _json_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
