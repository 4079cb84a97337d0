"""`streampro graph`: what is built from what."""

from pathlib import Path
from typing import Any

import click

from streampro.cli.options import load, options
from streampro.errors import ConfigError


@click.command()
@click.option("--column", metavar="TABLE.COLUMN", help="What its values are made from.")
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
        try:
            out.write_text(f"{shown}\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{out} cannot be written: {error}") from error
        click.echo(f"Wrote {out}.", err=True)
