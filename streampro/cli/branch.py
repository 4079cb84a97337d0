"""`streampro branch`: chains of runs beside those of main."""

from typing import Any

import click

from streampro.cli import completion
from streampro.cli.options import load, open_target, options
from streampro.console.output import after, print_json


@click.group()
def branch() -> None:
    """List branches, publish one as main's next run, or drop one.

    `streampro run --branch NAME` makes a branch.
    """


@branch.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the branches as JSON.")
@options("warehouse")
def list_command(as_json: bool, **options: Any) -> None:
    """List the branches: newest run, where they begin, and what they have of their own."""
    from streampro.console.runs import show_branches
    from streampro.warehouse.branches import branches

    target = open_target(**options)
    found = branches(target)
    if as_json:
        print_json([each.to_json() for each in found])
    elif found:
        show_branches(found)
    else:
        click.echo(f"{target.warehouse} has no branch.", err=True)


@branch.command()
@click.argument("name", shell_complete=completion.branches)
@options("warehouse")
def drop(name: str, **options: Any) -> None:
    """Remove branch NAME with all that it has of its own; main stays as it is."""
    from streampro.warehouse.branches import drop_branch

    drop_branch(open_target(**options), name)
    click.echo(f"Branch {name} is removed.", err=True)


@branch.command()
@click.argument("name", shell_complete=completion.branches)
@click.option("--json", "as_json", is_flag=True, help="Print the new run as JSON.")
@options("warehouse", "pipeline")
def merge(name: str, as_json: bool, **options: Any) -> None:
    """Publish the tables of branch NAME as a new run of main, and remove the branch.

    Nothing is computed. Refused where main has been published since the branch began.
    """
    from streampro.console.runs import show_moves
    from streampro.warehouse.branches import merge_branch

    target, pipeline = load(**options)
    done = merge_branch(target, name, pipeline)
    with after(f"Run {done.run_id} is published"):
        if as_json:
            print_json(done.to_json())
            return
        show_moves(done.moves)
        click.echo(f"Run {done.run_id}: the tables are those of branch {name}.")
