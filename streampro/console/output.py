"""What commands print on stdout: rows, and runs with their answers, for people or programs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import click

from streampro.errors import ConfigError, EngineError, WarehouseError, printable
from streampro.modeling.question import plain_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streampro.config import Target
    from streampro.modeling.pipeline import Pipeline
    from streampro.warehouse.run import Run

_TABLE_ROWS = 200
"""Rows that are shown as a table; the other formats have no limit."""


@contextmanager
def after(done: str) -> Iterator[None]:
    """Print what a command did that cannot be undone. Where printing fails, on a full disk or by
    a mistake in the questions, the error is an `EngineError` that says what is done nevertheless.
    """
    try:
        yield
        sys.stdout.flush()
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise EngineError(f"{done}, but cannot be shown: {why}") from error


def print_rows(table: Any, form: str) -> None:
    """Print an Arrow table as `csv`, `parquet`, `json` or, cut to its first rows, `table`."""
    if form == "csv":
        _print_csv(table)
    elif form == "parquet":
        if sys.stdout.isatty():
            raise ConfigError("parquet is binary: send it to a file, as in `... > rows.parquet`.")
        from pyarrow import ArrowNotImplementedError, parquet

        try:
            parquet.write_table(table, sys.stdout.buffer)
        except ArrowNotImplementedError as error:
            raise ConfigError(f"cast what parquet has no type for: {error}.") from error
    elif form == "json":
        print_json(plain_rows(table))
    else:
        from streampro.console.tables import show_table

        show_table("", plain_rows(table.slice(0, _TABLE_ROWS)))
        if len(table) > _TABLE_ROWS:
            click.echo(
                f"{_TABLE_ROWS} of {len(table):,} rows are shown; --format csv has them all.",
                err=True,
            )


def _print_csv(table: Any) -> None:
    """Print CSV: to a file or a program as it is, to a terminal with its control signs shown."""
    from pyarrow import csv

    from streampro.exports.texts import with_texts

    if not sys.stdout.isatty():
        csv.write_csv(with_texts(table), sys.stdout.buffer)
        return
    written = BytesIO()
    csv.write_csv(with_texts(table), written)
    sys.stdout.write(printable(written.getvalue().decode()))


def print_json(value: Any) -> None:
    """Print JSON, in ASCII where stdout is not UTF-8; instants and days as ISO 8601."""
    from streampro.modeling.question import json_text

    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json_text(value, indent=2, ensure_ascii=not is_utf8) + "\n")


def print_run(run: "Run", pipeline: "Pipeline", target: "Target", as_json: bool) -> None:
    """Print a run and the answers as it published them; one line if it had nothing to do.

    For people it is enough to be told on stderr that it cannot be shown; a program gets the error.
    """
    try:
        with after(f"Run {run.run_id} is published"):
            _print_run(run, pipeline, target, as_json)
    except EngineError as error:
        if as_json:
            raise
        click.echo(printable(str(error)), err=True)


def with_exports(target: "Target", runs: "Sequence[Run]") -> list[dict[str, Any]]:
    """Return runs as JSON values, each with what was exported of it."""
    from dataclasses import asdict

    from streampro.exports.record import exports

    done = [asdict(each) for each in exports(target.warehouse)]
    return [
        run.to_json() | {"exports": [each for each in done if each["run_id"] == run.run_id]}
        for run in runs
    ]


def _print_run(run: "Run", pipeline: "Pipeline", target: "Target", as_json: bool) -> None:
    from streampro.warehouse.snapshot import Snapshot

    built = {change.table for change in run.changes}
    snapshot = Snapshot(target.warehouse, run)
    tables = [model.table for model in pipeline.answers() if model.table in built]
    answers = {table.name: snapshot.small_table(table) for table in tables}
    if as_json:
        print_json({"run": run.to_json(), "answers": answers})
        return
    from streampro.console.answers import show_answers
    from streampro.console.runs import show_run

    show_run(run)
    if any(item.seconds is not None for item in run.tables):
        show_answers(answers, pipeline)


def print_past_run(target: "Target", pipeline: "Pipeline", run_id: int, as_json: bool) -> None:
    """Print all that is known of a run, and the answers as it published them."""
    from streampro.warehouse import snapshot

    run = snapshot.published_run(target, run_id)
    found = snapshot.answers(target, run)
    answers = None if found is None else {table.name: rows for table, rows in found.items()}
    [told] = with_exports(target, [run])
    if as_json:
        print_json({"run": told, "answers": answers})
        return
    from streampro.console.answers import show_answers
    from streampro.console.runs import show_past_run

    show_past_run(run, told["exports"])
    if answers is None:
        try:
            snapshot.readable_run(target, run_id)
        except WarehouseError as error:
            click.echo(f"Its answers cannot be read: {error}", err=True)
        return
    code = pipeline.code_hashes()
    is_same = all(run.code.get(model.name) == code[model.name] for model in pipeline.answers())
    show_answers(answers, pipeline if is_same else None)
