"""Progress of a run, as whoever watches it is shown."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from streampro.modeling.model import TableName

_LOG = logging.getLogger("streampro")
Progress = Callable[[], float | None]


class Watcher(Protocol):
    """Someone who is shown a run while it works."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """Surround a step; `progress` returns its finished share from any thread, null unknown."""

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """Hear that a table was staged and audited."""

    def notice(self, text: str) -> None:
        """Hear of something odd that does not stop the run."""


class Careful:
    """Hands all on to a watcher; what that raises is a warning in the log `streampro`, and changes
    nothing of the run.
    """

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    @contextmanager
    def step(self, what: str, progress: Progress) -> Iterator[None]:
        """See `Watcher.step`."""
        step, is_entered = None, False
        with _harmless():
            step = self.watcher.step(what, progress)
            step.__enter__()
            is_entered = True
        try:
            yield
        finally:
            if step and is_entered:
                with _harmless():
                    step.__exit__(*sys.exc_info())

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """See `Watcher.staged`."""
        with _harmless():
            self.watcher.staged(table, rows, seconds)

    def notice(self, text: str) -> None:
        """See `Watcher.notice`."""
        with _harmless():
            self.watcher.notice(text)


@contextmanager
def _harmless() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _LOG.warning("the watcher of a run failed: %s: %s", type(error).__name__, error)


class Unwatched:
    """Shows nothing."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """See `Watcher.step`."""
        return nullcontext()

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """See `Watcher.staged`."""

    def notice(self, text: str) -> None:
        """See `Watcher.notice`."""
