"""`streampro plan` and `streampro show`: what a run would do, what a model would have."""

from typing import Any

import click

from streampro.cli.options import FORMAT, load, options
from streampro.console.output import print_json, print_rows


@click.command()
@options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(select: str | None, full_refresh: bool, as_json: bool, **options: Any) -> None:
    """Tell what a run would do and which answers would move, writing nothing."""
    from streampro.console.progress import ProgressBars
    from streampro.console.runs import show_plan
    from streampro.execution.runner import plan

    target, pipeline = load(**options)
    bars = ProgressBars()
    found = plan(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    if as_json:
        print_json(found.to_json())
    else:
        show_plan(found)


@click.command()
@click.argument("model")
@click.option(
    "--limit", metavar="N", type=click.IntRange(0), default=10, show_default=True, help="Rows."
)
@FORMAT
@options("raw", "pipeline")
def show(model: str, limit: int, form: str, **options: Any) -> None:
    """Compute MODEL from the raw files and show its first rows, by key; nothing is written.

    Rules of contracts are not judged: this is to look at a model while it is written.
    """
    from streampro.execution import runner

    target, pipeline = load(**options)
    print_rows(runner.show(pipeline, target, model, limit=limit), form)
