"""Progress of a run, as whoever watches it is shown."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from streampro.modeling.model import TableName

Progress = Callable[[], float | None]


class Watcher(Protocol):
    """Someone who is shown a run while it works."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """Surround a step; `progress` returns its finished share from any thread, null unknown."""

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """Hear that a table was staged and audited."""

    def notice(self, text: str) -> None:
        """Hear of something odd that does not stop the run."""


class Unwatched:
    """Shows nothing."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """See `Watcher.step`."""
        return nullcontext()

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """See `Watcher.staged`."""

    def notice(self, text: str) -> None:
        """See `Watcher.notice`."""
