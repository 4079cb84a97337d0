"""`streampro explain`: from a number down to its raw lines."""

from typing import Any

import click

from streampro.cli.options import load, options
from streampro.console.output import print_json
from streampro.errors import DataError


@click.command()
@click.argument("model")
@click.option("--where", metavar="SQL", help="Which rows, a condition on columns; default: all.")
@click.option("--run", "run_id", type=int, help="Run to ask, by its number; default: the newest.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Rows, and raw lines of each source, to show.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@options("raw", "warehouse", "pipeline")
def explain(
    model: str, where: str | None, run_id: int | None, limit: int, as_json: bool, **options: Any
) -> None:
    """Follow rows of MODEL, a table or one column as table.column, down to their raw lines."""
    from streampro.console.explanation import show_explanation
    from streampro.lineage import explain as library

    target, pipeline = load(**options)
    found = library.explain(pipeline, target, model, where, run_id=run_id, limit=limit)
    if as_json:
        print_json(found.to_json())
        return
    if where is not None and not found.rows:
        raise DataError(f"no row of {found.table}, run {found.run_id}, meets --where {where!r}.")
    show_explanation(found)
