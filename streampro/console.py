"""What a person sees: tables on stdout, progress on stderr. Rich draws it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from streampro.certificate import Certificate
from streampro.changes import Change, Move
from streampro.contract import key_of
from streampro.history import Plan, Run, Warned
from streampro.pipeline import Pipeline, TableName
from streampro.quarantine import Books
from streampro.retention import Cleaned

_SILENT_FOR_S = 1.0
_POLL_EVERY_S = 0.1
_PIPED_WIDTH = 160
_FILES = 20
_MOVES = 20
_COLUMNS = 4
"""Lines of a plan that are shown."""

Cells = Sequence[Mapping[str, Any]]


class ProgressBars:
    """A bar for every step that takes over a second; nothing where stderr is not a terminal."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    @contextmanager
    def step(self, what: str, progress: Callable[[], float | None]) -> Iterator[None]:
        """See `Watcher.step`."""
        if not self.console.is_terminal:
            yield
            return
        done = threading.Event()
        thread = threading.Thread(target=self._draw, args=(what, progress, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """See `Watcher.staged`."""
        if self.console.is_terminal and seconds >= _SILENT_FOR_S:
            self.console.print(f"{table!s:32} {rows:>12,} rows {seconds:>7.1f} s", style="dim")

    def count(self, what: str, total: int) -> "Counter":
        """Return a bar that counts things up to `total`; use it as a context manager."""
        return Counter(self.console, what, total)

    def _draw(self, what: str, progress: Callable[[], float | None], done: threading.Event) -> None:
        if done.wait(_SILENT_FOR_S):
            return
        columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(what, total=None)
            while not done.wait(_POLL_EVERY_S):
                if (share := progress()) is not None:
                    bars.update(task, completed=share, total=1.0)


class Counter:
    """A bar with a count, drawn where stderr is a terminal."""

    def __init__(self, console: Console, what: str, total: int) -> None:
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bars.add_task(what, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self.bars.start()
        return lambda completed: self.bars.update(self.task, completed=completed)

    def __exit__(self, *_: object) -> None:
        self.bars.stop()


def show_run(run: Run) -> None:
    """Print what a run built, the books of its sources and its warnings."""
    built = [item for item in run.tables if item.seconds is not None]
    seconds = (run.finished_at - run.started_at).total_seconds()
    rejected = {item.table: item.rows for item in built if item.table.endswith("_rejected")}
    if not built:
        told = "nothing that the tables are built from changed"
        _stdout().print(f"Run {run.run_id}: {told} ({seconds:.1f} s)", highlight=False)
        return
    show_table(
        f"Run {run.run_id}: {len(built)} tables in {seconds:.1f} s",
        [
            {
                "table": item.table,
                "rows": f"{item.rows:,}",
                "rejected": f"{rejected[item.table + '_rejected']:,}"
                if item.table + "_rejected" in rejected
                else "",
                "seconds": f"{item.seconds:.2f}",
                "version": item.version,
            }
            for item in built
            if item.table not in rejected
        ],
    )
    if run.run_id > 1 and built:
        show_changes(run.changes, run.moves)
    show_books(run.books, run.warnings)


def show_books(books: Sequence[Books], warnings: Sequence[Warned]) -> None:
    """Print the account of every source that was read, and the warnings."""
    if not books:
        return
    show_table(
        "Books: lines = accepted + duplicates + rejected",
        [
            {
                "source": account.source,
                "lines": f"{account.lines:,}",
                "accepted": f"{account.accepted:,}",
                "duplicates": f"{account.duplicates:,}",
                "rejected": f"{account.rejected:,}",
                "reasons": _counts(account.reasons),
                "warnings": _counts(account.warnings),
            }
            for account in books
        ],
    )
    for warned in warnings:
        _stdout().print(f"warning: {warned.table}: {escape(warned.rule)}: {warned.rows:,} rows")


def show_plan(plan: Plan) -> None:
    """Print what a run would read, build and move."""
    files = [*(f"new: {file.path}" for file in plan.new_files), *plan.lost_files]
    for told in files[:_FILES]:
        _stdout().print(escape(told))
    if len(files) > _FILES:
        _stdout().print(f"... and {len(files) - _FILES} more files")
    show_changes(plan.changes, plan.moves)
    show_books(plan.books, plan.warnings)


def show_changes(changes: Sequence[Change], moves: Sequence[Move]) -> None:
    """Print what becomes of every table, and which answers move."""
    show_table(
        "Tables",
        [
            {
                "table": change.table,
                "mode": change.mode,
                "because": change.reason,
                "keys": _count(change.keys),
                "added": _count(change.added),
                "removed": _count(change.removed),
                "changed": _count(change.changed),
                "changed columns": _counts(change.columns),
                "late": _late(change),
            }
            for change in changes
        ],
    )
    show_moves(moves)


def show_moves(moves: Sequence[Move]) -> None:
    """Print the values of answers that move, a line per row of an answer."""
    rows: dict[tuple[str, str], list[str]] = {}
    for move in moves:
        told = f"{move.column} {_short(move.before)} -> {_short(move.after)}"
        rows.setdefault((move.table, move.row), []).append(told)
    if rows:
        show_table(
            "Answers that move",
            [
                {"answer": table, "row": row, "moves": _few(told, _COLUMNS)}
                for (table, row), told in [*rows.items()][:_MOVES]
            ],
            f"{len(rows) - _MOVES:,} more rows: --json has them." if len(rows) > _MOVES else "",
        )


def show_runs(title: str, runs: Sequence[Run]) -> None:
    """Print a line per run."""
    show_table(
        title,
        [
            {
                "run": run.run_id,
                "started": run.started_at,
                "kind": run.kind,
                "seconds": f"{(run.finished_at - run.started_at).total_seconds():.1f}",
                "target": run.target,
                "engine": run.engine,
                "tables built": sum(item.seconds is not None for item in run.tables),
                "lines": f"{sum(account.lines for account in run.books):,}",
                "duplicates": f"{sum(account.duplicates for account in run.books):,}",
                "rejected": f"{sum(account.rejected for account in run.books):,}",
                "warnings": len(run.warnings),
            }
            for run in runs
        ],
    )


def show_past_run(run: Run) -> None:
    """Print all that the ledger tells of a run."""
    show_runs(f"Run {run.run_id}, pipeline {run.pipeline}", [run])
    show_table(
        f"Published, built from {len(run.inputs):,} files",
        [
            {
                "table": item.table,
                "version": item.version,
                "rows": f"{item.rows:,}",
                "seconds": None if item.seconds is None else f"{item.seconds:.2f}",
            }
            for item in run.tables
        ],
    )
    if run.changes:
        show_changes(run.changes, run.moves)
    else:
        show_moves(run.moves)
    show_books(run.books, run.warnings)


def show_answers(answers: Mapping[str, Cells], pipeline: Pipeline | None) -> None:
    """Print rows of answers by name, as sentences where the pipeline has them for exactly these,
    else as they are, in the order of their keys.
    """
    if pipeline and pipeline.summary and {*answers} == {model.name for model in pipeline.answers()}:
        for question, sentence, rows in resolve_name(pipeline.summary)(answers):
            show_table(question, rows, caption=sentence)
        return
    keys = {model.name: key_of(model.contract) for model in pipeline.answers()} if pipeline else {}
    for name, rows in answers.items():
        key = keys.get(name, ())
        ordered = sorted(rows, key=lambda row: [(row[k] is None, row[k]) for k in key])
        show_table(name, [{n: _rounded(value) for n, value in row.items()} for row in ordered])


def show_cleaned(found: Sequence[Cleaned]) -> None:
    """Print what is removed, or would be, of each table."""
    show_table(
        "Data files that no kept run needs",
        [
            {
                "table": each.table,
                "files": f"{len(each.files):,}",
                "bytes": f"{each.size_bytes:,}",
            }
            for each in found
        ],
    )


def show_certificate(found: Certificate, out: Path) -> None:
    """Print what a proof found of every table; `out` is where the certificate was written."""
    left, right = (f"{side.target} ({side.engine})" for side in (found.left, found.right))
    verdict = "equal" if found.equal else "different"
    show_table(
        f"{left} and {right}: {verdict}",
        [
            {
                "table": item.table,
                "rows": f"{item.left.rows:,}",
                "rows right": f"{item.right.rows:,}",
                "digest": item.left.digest,
                "digest right": "the same" if item.left == item.right else item.right.digest,
                "verdict": "equal" if item.equal else "different",
            }
            for item in found.tables
        ],
        caption=f"Inputs {found.inputs_sha256}, {len(found.inputs)} files. Certificate: {out}",
    )


def show_table(title: str, rows: Cells, caption: str = "") -> None:
    """Print rows as a table; numbers are right-aligned."""
    table = Table(
        title=escape(title),
        caption=escape(caption),
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for name in rows[0] if rows else ():
        numeric = all(_is_numeric(row[name]) for row in rows)
        table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    _stdout().print(table)


def _stdout() -> Console:
    """Return the console of stdout, wide enough for any table where it is not a terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def _rounded(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def _is_numeric(value: Any) -> bool:
    if value in (None, "", "-"):
        return True
    try:
        float(str(value).replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True


def _short(value: str | None) -> str:
    """Return four digits of a value if it has more behind the point, else all, as of an amount of
    money; `-` where there is none.
    """
    if value is None:
        return "-"
    try:
        return f"{float(value):.4g}" if len(value.partition(".")[2]) > 4 else value
    except ValueError:
        return value


def _few(told: Sequence[str], number: int) -> str:
    more = f", and {len(told) - number} more" if len(told) > number else ""
    return ", ".join(told[:number]) + more


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _late(change: Change) -> str:
    if not change.late or change.late_by_s is None:
        return ""
    return f"{change.late:,} rows, up to {timedelta(seconds=round(change.late_by_s))}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
