"""Commands that build tables, or check that they would be right."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streampro.cli.options import OPTIONS, load, open_target, options
from streampro.output import print_json, print_run

if TYPE_CHECKING:
    from streampro.certificate import Certificate


@click.command("run")
@options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the run and the answers as JSON.")
def run_command(select: str | None, full_refresh: bool, as_json: bool, **options: Any) -> None:
    """Build what changed, audit it, publish it, show the answers."""
    from streampro.console import ProgressBars
    from streampro.runner import run

    target, pipeline = load(**options)
    bars = ProgressBars()
    done = run(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    print_run(done, pipeline, target, as_json)


@click.command()
@options("select", "full_refresh", "raw", "warehouse", "pipeline")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(select: str | None, full_refresh: bool, as_json: bool, **options: Any) -> None:
    """Tell what a run would do and which answers would move, writing nothing."""
    from streampro.console import ProgressBars, show_plan
    from streampro.runner import plan

    target, pipeline = load(**options)
    bars = ProgressBars()
    found = plan(pipeline, target, select=select, full_refresh=full_refresh, watcher=bars)
    if as_json:
        print_json(found.to_json())
    else:
        show_plan(found)


@click.group(invoke_without_command=True)
@options("pipeline")
@click.pass_context
def check(context: click.Context, /, **options: Any) -> None:
    """Compare every model with its contract, and refuse what engines compute differently and
    what would store a secret.

    Needs neither engine nor data.
    """
    from streampro.errors import PipelineError
    from streampro.privacy import leaks

    if context.invoked_subcommand:
        return
    _, pipeline = load(**options)
    if problems := [*(pipeline.problems() or leaks(pipeline)), *pipeline.unportable()]:
        raise PipelineError("\n".join(problems))
    tables = len(pipeline.tables())
    click.echo(f"{pipeline.name}: {len(pipeline.models)} models, {tables} tables, all in order.")


@check.command("incremental")
@click.option("--parts", type=click.IntRange(2), default=4, show_default=True, help="Runs.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same parts.")
@options("raw", "pipeline")
def check_incremental(parts: int, seed: int, **options: Any) -> None:
    """Read the raw folder in random parts and compare with one full run, row for row."""
    from streampro.console import ProgressBars
    from streampro.incremental import check_incremental

    target, pipeline = load(**options)
    bars = ProgressBars()
    tried = check_incremental(pipeline, target, parts=parts, seed=seed, watcher=bars)
    click.echo(
        f"{tried.runs} incremental runs and a full run: {len(tried.tables)} tables, "
        f"{sum(table.left.rows for table in tried.tables):,} rows, all equal. Rows of all keys are "
        f"those of one half and of the other: {', '.join(tried.models) or 'no keyed model'}."
    )


@click.command()
@click.option("--left", metavar="NAME", default="local", show_default=True, help="One target.")
@click.option(
    "--right", metavar="NAME", default="spark-local", show_default=True, help="The other target."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="parity.json",
    show_default=True,
    help="Where the certificate is written.",
)
@click.option(
    "--warehouse",
    type=click.Path(path_type=Path),
    help="Keep both warehouses here, as left and right; default: temporary ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate.")
@OPTIONS["raw"]
@OPTIONS["pipeline"]
@OPTIONS["debug"]
def prove(
    left: str, right: str, out: Path, warehouse: Path | None, as_json: bool, **options: Any
) -> None:
    """Run two targets on the same bytes and compare every row of every table."""
    from streampro import parity
    from streampro.console import ProgressBars, show_certificate
    from streampro.errors import ParityError

    def show(certificate: "Certificate") -> None:
        if as_json:
            print_json(certificate.to_json())
        else:
            show_certificate(certificate, out)

    one, pipeline = load(left, **options)
    other = open_target(right, **options)
    bars = ProgressBars()
    try:
        found = parity.prove(pipeline, one, other, out=out, warehouse=warehouse, watcher=bars)
    except ParityError as error:
        show(error.certificate)
        raise
    show(found)
