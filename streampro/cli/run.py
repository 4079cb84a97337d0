"""`streampro run`, `plan`, `show`: build what changed and publish it, or tell what it would be."""

from typing import Any

import click

from streampro.cli import completion
from streampro.cli.options import FORMAT, load, options, say_what_is_assumed
from streampro.console.output import print_json, print_rows, print_run
from streampro.errors import ExportError, IncompleteRunError


@click.command("run")
@options(
    *("select", "exclude", "full_refresh", "accept_lost_files", "sample"),
    *("raw", "warehouse", "branch", "pipeline"),
)
@click.option(
    "--keep-going",
    is_flag=True,
    help="Where a model fails, publish what does not depend on it, and exit with 1.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run and the answers as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing unless it fails.")
def run_command(
    select: str | None,
    exclude: str | None,
    full_refresh: bool,
    accept_lost_files: bool,
    sample: str | None,
    keep_going: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Build what changed, audit it, publish it, show the answers."""
    from streampro.console.progress import ProgressBars
    from streampro.execution.runner import run

    if quiet and as_json:
        raise click.UsageError("--quiet does not go with --json.")
    target, pipeline = load(**options)
    if not quiet:
        say_what_is_assumed(target, **options)
    bars = None if quiet else ProgressBars()
    try:
        done = run(
            pipeline,
            target,
            select=select,
            exclude=exclude,
            full_refresh=full_refresh,
            accept_lost_files=accept_lost_files,
            sample=sample,
            keep_going=keep_going,
            watcher=bars,
        )
    except (ExportError, IncompleteRunError) as error:
        if not quiet:
            print_run(error.run, pipeline, target, as_json)
        raise
    if not quiet:
        print_run(done, pipeline, target, as_json)


@click.command()
@options(
    *("select", "exclude", "full_refresh", "accept_lost_files", "sample"),
    *("raw", "warehouse", "branch", "pipeline"),
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    select: str | None,
    exclude: str | None,
    full_refresh: bool,
    accept_lost_files: bool,
    sample: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Tell what a run would do and which answers would move, writing nothing."""
    from streampro.console.progress import ProgressBars
    from streampro.console.runs import show_plan
    from streampro.execution.runner import plan

    target, pipeline = load(**options)
    bars = ProgressBars()
    found = plan(
        pipeline,
        target,
        select=select,
        exclude=exclude,
        full_refresh=full_refresh,
        accept_lost_files=accept_lost_files,
        sample=sample,
        watcher=bars,
    )
    if as_json:
        print_json(found.to_json())
    else:
        show_plan(found)


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), default=10, show_default=True, help="Rows."
)
@FORMAT
@options("raw", "warehouse", "branch", "pipeline")
def show(model: str, limit: int, form: str, **options: Any) -> None:
    """Compute MODEL from the raw files and show its first rows, by key; nothing is written.

    Rules of contracts are not judged: this is to look at a model while it is written. Of a branch
    that was built of a sample it has the rows of that.
    """
    from streampro.execution import runner

    target, pipeline = load(**options)
    print_rows(runner.show(pipeline, target, model, limit=limit), form)
