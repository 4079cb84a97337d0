"""`streampro check`, `check incremental`, `test`, `mutate`, `prove`: is all in order, would tests
notice if not, and is it the same on two engines.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streampro.cli import completion
from streampro.cli.options import OPTIONS, load, open_target, options, say_what_is_assumed
from streampro.console.output import after, print_json
from streampro.errors import DataError, number_of

if TYPE_CHECKING:
    from streampro.proofs.certificate import Certificate

_NAMED = 20
"""Models that are told by name."""


@click.group(invoke_without_command=True)
@options("pipeline")
@click.pass_context
def check(context: click.Context, /, **options: Any) -> None:
    """Compare every model with its contract, and refuse what engines compute differently and
    what would store a secret.

    Needs neither engine nor data.
    """
    from streampro.console.tables import few
    from streampro.engines.checked import refuse_problems

    if context.invoked_subcommand:
        return
    target, pipeline = load(**options)
    say_what_is_assumed(target, **options)
    refuse_problems(pipeline)
    models = number_of(len(pipeline.models), "model")
    tables = number_of(len(pipeline.tables()), "table")
    click.echo(f"{pipeline.name}: {models}, {tables}, all in order.")
    if could := pipeline.could_be_incremental():
        keys = [f"{pipeline.models[name].table} by {by}" for name, by in could.items()]
        click.echo(f"Proven, so these could be incremental: {few(keys, _NAMED)}.")
    allowances = (each for model in pipeline.models.values() for each in model.allowances)
    for told in (*allowances, *pipeline.by_runs().values()):
        click.echo(told)


@check.command("incremental")
@click.option("--parts", type=click.IntRange(2), default=4, show_default=True, help="Runs.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same parts.")
@options("raw", "pipeline")
def check_incremental(parts: int, seed: int, **options: Any) -> None:
    """Read the raw folder in random parts and compare with one full run, row for row."""
    from streampro.console.progress import ProgressBars
    from streampro.proofs.check_incremental import check_incremental

    target, pipeline = load(**options)
    bars = ProgressBars()
    tried = check_incremental(pipeline, target, parts=parts, seed=seed, watcher=bars)
    click.echo(
        f"{tried.runs} incremental runs and a full run: {len(tried.tables)} tables, "
        f"{sum(table.left.rows for table in tried.tables):,} rows, all equal. Rows of all keys are "
        f"those of one half and of the other: {', '.join(tried.models) or 'no keyed model'}."
    )
    for each in tried.by_runs:
        click.echo(str(each))


@click.command()
@OPTIONS["select"]
@OPTIONS["exclude"]
@click.option("--json", "as_json", is_flag=True, help="Print the broken rules as JSON.")
@options("warehouse", "branch", "pipeline")
def test(select: str | None, exclude: str | None, as_json: bool, **options: Any) -> None:
    """Judge what is published by the contracts as they are now, without building anything.

    Exits with 1 if a rule is broken that is no warning.
    """
    from streampro.console.runs import show_broken
    from streampro.warehouse import contracts
    from streampro.warehouse.snapshot import code_of

    target, pipeline = load(**options)
    broken = contracts.test(pipeline, target, select=select, exclude=exclude)
    if as_json:
        print_json([each.to_json() for each in broken])
    else:
        show_broken(broken)
    if failed := [each for each in broken if each.severity != "warn"]:
        raise DataError(f"{number_of(len(failed), 'rule')} broken, in published tables.")
    if not as_json:
        judged = pipeline.select(select, exclude, code_of(target))
        order = "no rule but warnings broken" if broken else "all in order"
        click.echo(f"{number_of(len(judged), 'table')}, {order}.")


@click.command()
@click.argument("run_id", metavar="[RUN]", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print what came as JSON.")
@options("raw", "warehouse", "pipeline")
def replay(run_id: int | None, as_json: bool, **options: Any) -> None:
    """Compute RUN, by default the newest, again from the raw files that it knew, and compare.

    Nothing is published. Exits with 1 if a row differs, and says why it may.
    """
    from streampro.console.differences import show_replay
    from streampro.console.progress import ProgressBars
    from streampro.proofs import replay as library

    target, pipeline = load(**options)
    done = library.replay(pipeline, target, run_id, watcher=ProgressBars())
    if as_json:
        print_json(done.to_json())
    else:
        show_replay(done)
    if not done.is_equal:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("model", shell_complete=completion.models)
@click.option(
    "--tests",
    multiple=True,
    metavar="TESTS",
    help="Which tests, as pytest takes them: paths, -m, -k. Default: all of the project.",
)
@click.option("--limit", type=click.IntRange(1), help="Try the first mutants only.")
@click.option("--json", "as_json", is_flag=True, help="Print all mutants as JSON.")
@options("raw", "warehouse", "branch", "pipeline")
def mutate(
    model: str, tests: tuple[str, ...], limit: int | None, as_json: bool, **options: Any
) -> None:
    """Change MODEL a little, many times, and tell which changes no test and no rule notices.

    Exits with 1 if a mutant survives.
    """
    from streampro.console.differences import show_score
    from streampro.console.progress import ProgressBars
    from streampro.proofs.mutation import mutate as library

    target, pipeline = load(**options)
    words = [word for each in tests for word in shlex.split(each)]
    bars = ProgressBars()
    score = library.mutate(pipeline, target, model, tests=words, limit=limit, watcher=bars)
    if as_json:
        print_json(score.to_json())
    else:
        show_score(score)
    if score.survivors:
        raise DataError(f"{number_of(len(score.survivors), 'mutant')} of {score.model} survived.")


@click.command()
@click.option(
    "--left",
    metavar="NAME",
    shell_complete=completion.targets,
    default="local",
    show_default=True,
    help="One target.",
)
@click.option(
    "--right",
    metavar="NAME",
    shell_complete=completion.targets,
    default="spark-local",
    show_default=True,
    help="The other target.",
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
@OPTIONS["select"]
@OPTIONS["exclude"]
@OPTIONS["raw"]
@OPTIONS["pipeline"]
@OPTIONS["debug"]
def prove(
    left: str,
    right: str,
    out: Path,
    warehouse: Path | None,
    as_json: bool,
    select: str | None,
    exclude: str | None,
    **options: Any,
) -> None:
    """Run two targets on the same bytes and compare every row of every table.

    With --select both sides build the selected models and what these are built from, and the
    tables of the selected ones are compared.
    """
    from streampro.console.progress import ProgressBars
    from streampro.console.runs import show_certificate
    from streampro.errors import ParityError
    from streampro.proofs import prove

    def show(certificate: "Certificate") -> None:
        if as_json:
            print_json(certificate.to_json())
        else:
            show_certificate(certificate, out)

    one, pipeline = load(left, **options)
    other = open_target(right, **options)
    bars = ProgressBars()
    try:
        found = prove.prove(
            pipeline,
            one,
            other,
            select=select,
            exclude=exclude,
            out=out,
            warehouse=warehouse,
            watcher=bars,
        )
    except ParityError as error:
        show(error.certificate)
        raise
    with after(f"{out} is written"):
        show(found)
