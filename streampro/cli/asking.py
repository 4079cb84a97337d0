"""Commands that ask the published tables, or the pipeline itself."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from streampro.cli.options import load, open_target, options
from streampro.errors import ConfigError
from streampro.output import print_json, print_rows


@click.command()
@click.argument("query", required=False)
@click.option("--run", "run_id", type=int, help="Run to ask, by its number; default: the newest.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="How to print the result.",
)
@click.option("--compiled", "model", metavar="MODEL", help="Print the SQL that computes a model.")
@click.option(
    "--engine",
    type=click.Choice(["duckdb", "spark"]),
    help="With --compiled: whose SQL; default: that of the target.",
)
@options("warehouse", "pipeline")
def sql(
    query: str | None,
    run_id: int | None,
    form: str,
    model: str | None,
    engine: str | None,
    **options: Any,
) -> None:
    """Ask the published tables, named layer.table, with DuckDB's SQL.

    With --compiled print the SQL that an engine gets for a model instead; it is not started.
    """
    from streampro import query as library

    _refuse_misfits(model, query)
    if model is not None:
        target, pipeline = load(**options)
        click.echo(library.compiled(pipeline, model, engine or target.engine))
    else:
        print_rows(library.sql(query or "", open_target(**options), run_id), form)


def _refuse_misfits(model: str | None, query: str | None) -> None:
    """Refuse a call that would have to pass over a part of what was given."""
    if (model is None) == (query is None):
        raise click.UsageError("give either a QUERY or --compiled MODEL.")
    context = click.get_current_context()
    for option in ("run_id", "form") if model is not None else ("engine",):
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            [name] = (each.opts[0] for each in context.command.params if each.name == option)
            raise click.UsageError(f"{name} does not go with {'--compiled' if model else 'QUERY'}.")


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
    from streampro import graph as library

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
    from streampro import explanation as library
    from streampro.console_explanation import show_explanation

    target, pipeline = load(**options)
    found = library.explain(pipeline, target, model, where, run_id=run_id, limit=limit)
    if as_json:
        print_json(found.to_json())
        return
    show_explanation(found)


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="File to write.",
)
@click.option("--run", "run_id", type=int, help="Run to tell of, by its number; default: newest.")
@options("warehouse", "pipeline")
def report(out: Path, run_id: int | None, **options: Any) -> None:
    """Write a page with the answers, the data's quality and their origin; it needs no network."""
    from streampro.report import write_report

    target, pipeline = load(**options)
    run = write_report(pipeline, target, out, run_id)
    click.echo(f"Wrote the report of run {run.run_id} to {out}.", err=True)
