"""Commands that die in between, or hear a signal."""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings


def numbers_of_steps(most: int, every: int) -> Iterable[int]:
    """Return after how many steps a command dies: all below `most` where tests are thorough."""
    is_thorough = settings.default is settings.get_profile("thorough")
    return range(0, most, 1 if is_thorough else every)


def dies_after(steps: int, command: Callable[[], object]) -> bool:
    """Call a command and tell whether it died after so many steps; else it has come to its end."""
    with pytest.MonkeyPatch.context() as patched:
        _let_die(steps, patched)
        try:
            command()
        except KeyboardInterrupt:
            return True
    return False


def hears_a_signal_at(
    owner: Any, name: str, command: Callable[[], object], signals: int = 1
) -> None:
    """Call a command that Ctrl-C interrupts, once or more, when it first calls a function."""
    original = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        patched.undo()
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        return original(*args, **options)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run below nohup
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(owner, name, call)
            with pytest.raises(KeyboardInterrupt):
                command()
    finally:
        signal.signal(signal.SIGINT, before)


def _let_die(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
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
