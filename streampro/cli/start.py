"""Commands that make something to start from."""

from pathlib import Path
from typing import Any

import click

from streampro.cli.options import DEFAULT_PIPELINE, load
from streampro.console.output import after, print_run
from streampro.errors import ConfigError, writes

_DEMO_EVENTS = 20_000


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--events", type=int, default=100_000, show_default=True, help="Lines to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--days", type=int, default=30, show_default=True, help="Days that they span.")
@click.option("--late", type=float, default=0.02, show_default=True, help="Share that is late.")
@click.option("--dirt", type=float, default=0.01, show_default=True, help="Share that is dirty.")
@click.option(
    "--layout",
    type=click.Choice(["flat", "nested", "mixed"]),
    default="mixed",
    show_default=True,
    help="Layout of the event lines.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def generate(out: Path, events: int, debug: bool, **shape: Any) -> None:
    """Write a raw folder of a made-up video platform, and truth.json with what was planted."""
    from streampro.console.progress import ProgressBars
    from streampro.viewing.synthetic import generate

    with writes(out), ProgressBars().count("events", events) as progress:
        generate(out, events=events, progress=progress, **shape)
    click.echo(f"Wrote {events:,} event lines to {out}.", err=True)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def demo(folder: Path, debug: bool) -> None:
    """Generate a small raw folder in an empty FOLDER (default: here), run, show the answers."""
    from streampro.console.progress import ProgressBars
    from streampro.execution.runner import run
    from streampro.viewing.synthetic import generate

    with writes(folder):
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder.resolve()} is not empty. Run the demo in an empty folder.")
        generate(folder / "raw", events=_DEMO_EVENTS)
    target, pipeline = load("local", folder / "raw", folder / "warehouse", DEFAULT_PIPELINE)
    print_run(run(pipeline, target, watcher=ProgressBars()), pipeline, target, as_json=False)


@click.command()
@click.argument("name")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def init(name: str, debug: bool) -> None:
    """Make a folder NAME with a new project: a small pipeline, its tests and a Makefile."""
    from streampro.project import create

    project = create(name)
    with after(f"The project {project} is made"):
        click.echo(f"cd {project}")
        click.echo("make run     # builds the tables of data/sample and prints the answers")
        click.echo("make test    # runs the tests of the models on every engine that is installed")
