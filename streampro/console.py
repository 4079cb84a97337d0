"""What a person sees: tables on stdout, progress on stderr. Rich draws it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from streampro.history import Run
from streampro.pipeline import TableName

_SILENT_FOR_S = 1.0
_POLL_EVERY_S = 0.1
_PIPED_WIDTH = 160

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
            for account in run.books
        ],
    )
    for warned in run.warnings:
        _stdout().print(f"warning: {warned.table}: {escape(warned.rule)}: {warned.rows:,} rows")


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


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
