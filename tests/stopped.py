"""Commands that die in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command die after so many files that it put in place or removed."""
    left = iter(range(steps))
    replace, unlink = Path.replace, Path.unlink

    def dying(work: Callable[..., Any]) -> Callable[..., Any]:
        def step(path: Path, *args: Any, **options: Any) -> Any:
            if "filelock" not in str(path) and path.name != "lock" and next(left, None) is None:
                raise KeyboardInterrupt
            return work(path, *args, **options)

        return step

    monkeypatch.setattr(Path, "replace", dying(replace))
    monkeypatch.setattr(Path, "unlink", dying(unlink))
