"""`streampro sql`, `tables`, `export`: ask the published tables, list them, write one elsewhere."""

from typing import Any

import click
from click.core import ParameterSource

from streampro.cli import completion
from streampro.cli.options import FORMAT, load, open_target, options
from streampro.console.output import after, print_json, print_rows
from streampro.engines.registry import ENGINES
from streampro.errors import number_of


@click.command()
@click.argument("query", required=False)
@click.option("--run", "run_id", type=int, help="Run to ask, by its number; default: the newest.")
@FORMAT
@click.option("--allow-files", is_flag=True, help="Let QUERY read other files than the tables.")
@click.option(
    "--compiled",
    "model",
    metavar="MODEL",
    shell_complete=completion.models,
    help="Print the SQL that computes a model.",
)
@click.option(
    "--engine",
    type=click.Choice([*ENGINES]),
    help="With --compiled: whose SQL; default: that of the target.",
)
@options("warehouse", "branch", "pipeline")
def sql(
    query: str | None,
    run_id: int | None,
    form: str,
    allow_files: bool,
    model: str | None,
    engine: str | None,
    **options: Any,
) -> None:
    """Ask the published tables, named layer.table, with DuckDB's SQL. A query only reads.

    With --compiled print the SQL that an engine gets for a model instead; it is not started.
    """
    from streampro.engines.compiled import compiled
    from streampro.warehouse import published

    _refuse_misfits(model, query)
    if model is not None:
        target, pipeline = load(**options)
        click.echo(compiled(pipeline, model, engine or target.engine))
    else:
        target = open_target(**options)
        print_rows(published.sql(query or "", target, run_id, allow_files=allow_files), form)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the tables as JSON.")
@options("warehouse", "branch")
def tables(as_json: bool, **options: Any) -> None:
    """List the published tables: layer, name, rows, version, and the run that published it."""
    from streampro.console.tables import show_table
    from streampro.warehouse import snapshot

    rows = snapshot.tables(open_target(**options))
    if as_json:
        print_json(rows)
    else:
        show_table("", [{**row, "rows": f"{row['rows']:,}"} for row in rows])


@click.command()
@click.argument("table", shell_complete=completion.tables)
@click.option(
    "--to", required=True, metavar="FILE|URL", help="Where to; what is there is replaced."
)
@click.option("--run", "run_id", type=int, help="Run to write, by its number; default: the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@options("warehouse")
def export(table: str, to: str, run_id: int | None, as_json: bool, **options: Any) -> None:
    """Write all rows of TABLE, layer.table, to a file or a database.

    A file ends in .csv, .csv.gz, .parquet, .jsonl, .jsonl.gz, .json or .xlsx; a URL is
    'postgresql://me:${PGPASSWORD}@host/database', where ${NAME} is a variable of the environment.
    """
    from dataclasses import asdict

    from streampro.exports import export as library

    done = library.export(table, open_target(**options), to, run_id)
    with after(f"{done.table} is written to {to}"):
        if as_json:
            print_json(asdict(done))
        else:
            rows = number_of(done.rows, "row").replace(str(done.rows), f"{done.rows:,}", 1)
            click.echo(f"{rows} of {done.table} as of run {done.run_id}: {to}")


def _refuse_misfits(model: str | None, query: str | None) -> None:
    """Refuse a call that would have to pass over a part of what was given."""
    if (model is None) == (query is None):
        raise click.UsageError("give either a QUERY or --compiled MODEL.")
    context = click.get_current_context()
    for option in ("run_id", "form", "allow_files") if model is not None else ("engine",):
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            [name] = (each.opts[0] for each in context.command.params if each.name == option)
            raise click.UsageError(f"{name} does not go with {'--compiled' if model else 'QUERY'}.")
