"""`streampro report`: the page of a run."""

from pathlib import Path
from typing import Any

import click

from streampro.cli.options import load, options


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="File to write.",
)
@click.option("--run", "run_id", type=int, help="Run to tell of, by its number; default: newest.")
@options("warehouse", "branch", "pipeline")
def report(out: Path, run_id: int | None, **options: Any) -> None:
    """Write a page with the answers, the data's quality and their origin; it needs no network."""
    from streampro.report import write_report

    target, pipeline = load(**options)
    run = write_report(pipeline, target, out, run_id)
    click.echo(f"Wrote the report of run {run.run_id} to {out}.", err=True)
