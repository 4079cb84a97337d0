"""Commands on earlier runs."""

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streampro.cli.options import load, once, open_target, options
from streampro.console.output import after, print_json, print_past_run, with_exports
from streampro.errors import ConfigError, DataError, number_of

if TYPE_CHECKING:
    from streampro.config import Target

_LISTED = 30


@click.command()
@click.argument("run_id", metavar="[RUN]", type=int, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print all runs, or the one, as JSON.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(1),
    help=f"How many runs are listed; default: {_LISTED}, as JSON all.",
)
@options("warehouse", "branch", "pipeline")
def history(run_id: int | None, as_json: bool, limit: int | None, **options: Any) -> None:
    """List the published runs, the newest first, or tell all of one: RUN, by its number."""
    from streampro.warehouse import ledger as library

    if run_id is not None:
        print_past_run(*load(**options), run_id, as_json)
        return
    target = open_target(**options)
    runs = library.runs(target, limit or (None if as_json else _LISTED))[::-1]
    if as_json:
        print_json(with_exports(target, runs))
        return
    if not runs:
        click.echo(f"{target.warehouse} has no published run yet.", err=True)
        return
    from streampro.console.runs import show_runs

    show_runs(str(target.warehouse), runs)
    if older := runs[-1].run_id - 1:
        click.echo(f"{number_of(older, 'older run')}: streampro history --limit N.", err=True)


@click.command()
@click.argument("runs", metavar="[RUNS]", required=False)
@click.option("--with-target", metavar="NAME", help="Compare with the newest run of this target.")
@click.option(
    "--with-warehouse", type=click.Path(path_type=Path), help="Compare with this warehouse."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "html"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
@click.option("--limit", metavar="N", type=click.IntRange(0), default=3, help="Rows as examples.")
@options("select", "exclude", "warehouse", "pipeline")
def diff(
    runs: str | None,
    with_target: str | None,
    with_warehouse: Path | None,
    form: str,
    limit: int,
    select: str | None,
    exclude: str | None,
    **options: Any,
) -> None:
    """Tell how two published runs differ: RUNS as `3..5`, `3` for 3 and the newest, `main..NAME`
    for the newest of main and of a branch, by default the newest and the one before; or the newest
    run here and in another warehouse.

    Columns, and rows that are added, removed or changed, by the keys of contracts. Exits with 1 if
    anything differs.
    """
    from streampro.console import differences
    from streampro.proofs import diff as library

    target, pipeline = load(**options)
    (left, left_run), (right, right_run) = _sides(runs, target)
    if with_target or with_warehouse:
        if (left, right) != (target, target):
            raise click.UsageError(f"{runs!r} names a branch; the other warehouse is one, too.")
        right = open_target(
            with_target or options["target_name"],
            warehouse=with_warehouse,
            pipeline=options["pipeline"],
        )
    found = library.diff(
        pipeline,
        left,
        None if right == target == left else right,
        left_run=left_run,
        right_run=right_run,
        select=select,
        exclude=exclude,
        limit=limit,
    )
    if form == "json":
        print_json(found.to_json())
    elif form == "text":
        differences.show_difference(found)
    else:
        page = differences.markdown(found) if form == "markdown" else differences.html(found)
        click.echo(page, nl=False)
    if not found.is_equal:
        raise click.exceptions.Exit(1)


def _sides(
    runs: str | None, target: "Target"
) -> tuple[tuple["Target", int | None], tuple["Target", int | None]]:
    """Return which runs are meant: those of main by number, or the newest of main or a branch."""
    left, dots, right = (runs or "").partition("..")
    if dots and not left:
        raise click.UsageError(f"{runs!r} names no two runs: write 3..5, 3, or main..NAME.")
    return _side(left, target), _side(right, target)


def _side(named: str, target: "Target") -> tuple["Target", int | None]:
    from streampro.warehouse.branches import MAIN, on_branch

    if named in ("", MAIN):
        return target, None
    return (target, int(named)) if named.isdecimal() else (on_branch(target, named), None)


@click.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the new run as JSON.")
@options("warehouse", "pipeline")
def rollback(run_id: int, as_json: bool, **options: Any) -> None:
    """Publish the tables of RUN again, as a new run; nothing is removed.

    The next run goes on from there: it reads the files that came after RUN anew.
    """
    from streampro.console.runs import show_moves
    from streampro.warehouse.upkeep import retention

    target, pipeline = load(**options)
    done = retention.rollback(target, run_id, pipeline)
    with after(f"Run {done.run_id} is published"):
        if as_json:
            print_json(done.to_json())
            return
        show_moves(done.moves)
        click.echo(f"Run {done.run_id}: the tables are those of run {run_id}.")
        for table in done.observed:
            click.echo(f"{table}: what later runs have seen is no longer in it, nor seen again.")


@click.command()
@click.option("--run", "run_id", metavar="N", type=int, help="Look at this run only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@options("warehouse", "branch", "pipeline")
def verify(run_id: int | None, as_json: bool, **options: Any) -> None:
    """Compare the files of the published runs with what was written: digests, rows, keys.

    Exits with 1 if something differs.
    """
    from streampro.console.runs import show_verified
    from streampro.warehouse.upkeep import verify as library

    target, pipeline = load(**options)
    found = library.verify(pipeline, target, run_id=run_id)
    if as_json:
        print_json(found.to_json())
    else:
        show_verified(found)
    if found.damages:
        raise DataError(
            f"{target.warehouse} is damaged in {number_of(len(found.damages), 'place')}. "
            f"{found.advice}"
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@options("warehouse", "pipeline")
def repair(as_json: bool, **options: Any) -> None:
    """Bring a damaged warehouse to where runs can go on from it. Nothing is removed."""
    from streampro.console.runs import show_repaired
    from streampro.warehouse.upkeep import repair as library

    target, pipeline = load(**options)
    done = library.repair(pipeline, target)
    with after(f"{target.warehouse} is repaired"):
        if as_json:
            print_json(asdict(done))
        else:
            show_repaired(done)


@click.command()
@click.option("--keep", metavar="N", type=int, required=True, help="Newest runs to keep readable.")
@click.option("--yes", is_flag=True, help="Remove the files; without it they are only listed.")
@options("warehouse")
def clean(keep: int, yes: bool, **options: Any) -> None:
    """Remove the data files of tables, and the entries of their logs, that only older runs need.

    These runs stay in the history, but can no longer be asked or rolled back to.
    """
    from streampro.console.runs import show_cleaned
    from streampro.warehouse.upkeep import retention

    found = retention.clean(open_target(**options), keep, dry_run=not yes)
    if not found:
        click.echo("Nothing to remove.", err=True)
        return
    with after("The files are removed") if yes else nullcontext():
        show_cleaned(found)
    done = "They are removed." if yes else "Nothing is removed yet; --yes removes them for good."
    click.echo(done, err=True)


@click.command()
@click.option(
    "--key",
    metavar="COLUMN=VALUE",
    required=True,
    multiple=True,
    callback=once,
    help="What to forget: user=42.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing, tell what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@options("raw", "warehouse", "pipeline")
def forget(key: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Take the rows with a key out of every table, of older versions too, for good.

    Raw files are not changed; those that still hold the key are named, and so are columns of other
    names that hold the same text: then the exit code is 1.
    """
    from streampro.console.runs import show_forgotten
    from streampro.warehouse.upkeep import forget as library

    column, separator, value = key.partition("=")
    if not separator:
        raise ConfigError(f"--key {key!r} names no column: write COLUMN=VALUE.")
    target, pipeline = load(**options)
    done = library.forget(target, {column: value}, pipeline=pipeline, dry_run=dry_run)
    with nullcontext() if dry_run else after(f"{key} is forgotten"):
        if as_json:
            print_json(asdict(done))
        else:
            show_forgotten(done, key, dry_run)
    if done.raw or done.elsewhere:
        raise click.exceptions.Exit(1)
