"""Commands that ask the published tables."""

from typing import Any

import click

from streampro.cli.options import open_target, options
from streampro.output import print_rows


@click.command()
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
@options("warehouse")
def sql(query: str, run_id: int | None, form: str, **options: Any) -> None:
    """Ask the published tables, named layer.table, with DuckDB's SQL."""
    from streampro import query as library

    target = open_target(**options)
    print_rows(library.sql(query, target, run_id), form)
