"""`streampro explain` and `streampro graph`: where rows and columns come from."""

from pathlib import Path
from typing import Any

import click

from streampro.cli import completion
from streampro.cli.options import load, options
from streampro.console.output import print_json
from streampro.environment import replacing
from streampro.errors import DataError, writes


@click.command()
@click.argument("model", shell_complete=completion.columns)
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
@options("raw", "warehouse", "branch", "pipeline")
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


@click.command()
@click.option(
    "--column",
    metavar="TABLE.COLUMN",
    shell_complete=completion.columns,
    help="What its values are made from.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "html"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; default: print."
)
@options("pipeline")
def graph(column: str | None, form: str, out: Path | None, **options: Any) -> None:
    """Show which tables are built from which, or what a column is made from, down to raw fields."""
    from streampro.lineage import graph as library

    _, pipeline = load(**options)
    shown = getattr(library, form)(pipeline, column)
    if out is None:
        click.echo(shown)
    else:
        with writes(out), replacing(out) as place:
            place.write_text(f"{shown}\n", encoding="utf-8")
        click.echo(f"Wrote {out}.", err=True)
