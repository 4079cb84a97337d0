"""The commands of `streampro`."""

import click

from streampro.cli.branch import branch
from streampro.cli.check import check, mutate, prove, replay, test
from streampro.cli.history import clean, diff, forget, history, repair, rollback, verify
from streampro.cli.lineage import explain, graph
from streampro.cli.report import catalog, report
from streampro.cli.run import plan, run_command, show
from streampro.cli.sql import export, sql, tables
from streampro.cli.start import demo, generate, init


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="streampro")
def cli() -> None:
    """Write every layer of a data pipeline once; run it exactly."""


for _command in (
    *(run_command, plan, show, check, test, mutate, prove, replay),
    *(sql, tables, export, explain, graph, report, catalog),
    *(history, diff, branch, verify, repair, rollback, clean, forget),
    *(init, generate, demo),
):
    cli.add_command(_command)
