"""The command line. Each command parses, calls one library function and prints.

Rows and answers go to stdout, progress and messages to stderr. Exit codes: 0 fine, 1 the data is
wrong, 2 the call or the configuration is wrong, 3 the engine or the storage failed. Modules are
imported inside the commands that use them, so that `--help` is fast.
"""

import os
import sys
from typing import NoReturn

import click

from streampro.cli.check import check, test
from streampro.cli.explain import explain
from streampro.cli.graph import graph
from streampro.cli.history import clean, forget, history, rollback
from streampro.cli.plan import plan, show
from streampro.cli.prove import prove
from streampro.cli.report import report
from streampro.cli.run import run_command
from streampro.cli.sql import sql, tables
from streampro.cli.start import demo, generate, init
from streampro.errors import ContractError, StreamProError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="streampro")
def cli() -> None:
    """Write every layer of a data pipeline once; run it exactly."""


for _command in (
    *(run_command, plan, show, check, test, prove),
    *(sql, tables, explain, graph, report),
    *(history, rollback, clean, forget),
    *(init, generate, demo),
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit; the one place where errors become messages and codes."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except StreamProError as error:
        if debug:
            raise
        _tell(error)
        sys.exit(error.exit_code)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # of a query of DuckDB
            _interrupted()
        if debug:
            raise
        click.echo(f"error: {type(error).__name__}: {error}\nMore with --debug.", err=True)
        sys.exit(3)


def _tell(error: StreamProError) -> None:
    """Print an error on stderr, the rows that it is about as a table."""
    if not isinstance(error, ContractError):
        click.echo(f"error: {error}", err=True)
        return
    from streampro.console.tables import show_table

    click.echo(f"error: {error.message}\n", err=True)
    show_table("", error.rows, err=True)


def _interrupted() -> NoReturn:
    click.echo("Interrupted.", err=True)
    sys.exit(130)
