"""`streampro report` and `streampro catalog`: the page of a run, and a site of all tables."""

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


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="catalog",
    show_default=True,
    help="Folder to write; what is there is replaced.",
)
@click.option("--serve", is_flag=True, help="Serve it to a browser on this machine until Ctrl-C.")
@options("warehouse", "branch", "pipeline")
def catalog(out: Path, serve: bool, **options: Any) -> None:
    """Write a site of all tables: columns, rules, runs, code and lineage; it needs no network."""
    from streampro.catalog.site import write_catalog

    target, pipeline = load(**options)
    run = write_catalog(pipeline, target, out)
    place = out / "index.html"
    told = (
        f"of run {run.run_id} to {place}" if run else f"of what is declared to {place}: no run yet"
    )
    click.echo(f"Wrote the catalog {told}.", err=True)
    if serve:
        from streampro.catalog.serve import address, served

        with served(out) as server:
            click.echo(f"Serving it at {address(server)} until Ctrl-C.", err=True)
            server.serve_forever()
