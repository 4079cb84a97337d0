"""`streampro plan`: what a run would do."""

from typing import Any

import click

from streampro.cli.options import load, options
from streampro.console.output import print_json


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
