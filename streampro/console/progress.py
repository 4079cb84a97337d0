"""Progress on stderr: a bar for every step that takes a while. Rich draws it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streampro.console.tables import say
from streampro.errors import one_line
from streampro.modeling.model import TableName

_SILENT_FOR_S = 1.0
_POLL_EVERY_S = 0.1


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

    def notice(self, text: str) -> None:
        """See `Watcher.notice`: a line, on a terminal or not."""
        say(one_line(f"note: {text}"), err=True)

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
