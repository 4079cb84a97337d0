"""`streampro run`: build what changed and publish it."""

from typing import Any

import click

from streampro.cli.options import load, options
from streampro.console.output import print_run


@click.command("run")
@options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the run and the answers as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing unless it fails.")
def run_command(
    select: str | None, full_refresh: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Build what changed, audit it, publish it, show the answers."""
    from streampro.console.progress import ProgressBars
    from streampro.execution.runner import run

    if quiet and as_json:
        raise click.UsageError("--quiet does not go with --json.")
    target, pipeline = load(**options)
    bars = None if quiet else ProgressBars()
    done = run(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    if not quiet:
        print_run(done, pipeline, target, as_json)
