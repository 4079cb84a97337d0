"""`streampro prove`: two engines compute the same rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streampro.cli import completion
from streampro.cli.options import OPTIONS, load, open_target
from streampro.console.output import after, print_json

if TYPE_CHECKING:
    from streampro.proofs.certificate import Certificate


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
