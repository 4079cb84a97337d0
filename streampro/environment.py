"""The environment of the process: its variables are the user's, and so is what warnings do and
what a signal ends.
"""

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

OF_IBIS = (
    ("fetch_arrow_table", DeprecationWarning),  # Ibis 12 calls DuckDB's old name
    ("The 'future.infer_string'", Warning),  # and asks pandas 3 for a retired option
)
"""How warnings begin that a user can do nothing about, and their classes."""
_PATIENCE_S = 3.0
"""So long a signal may be meant for what is ending already, such as a second Ctrl-C."""
COMPUTING: WeakSet[Any] = WeakSet()
"""What may compute for long outside of Python, such as connections of DuckDB; each is broken off by
its `interrupt`.
"""


def interrupt() -> None:
    """Break off what is computed outside of Python, from whatever thread."""
    for each in [*COMPUTING]:
        with suppress(Exception):  # it may be closed
            each.interrupt()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let signals wait until what is done here is done, such as removing a folder, of which a part
    would be left. One that comes `_PATIENCE_S` after the first does not wait. Engines must not
    compute here: they hear the first.
    """
    handlers: dict[int, Any] = {}
    heard: list[int] = []
    ends_s = 0.0

    def hear(number: int, _: object) -> None:
        nonlocal ends_s
        heard.append(number)
        if len(heard) == 1:
            ends_s = time.monotonic() + _PATIENCE_S
        elif time.monotonic() >= ends_s:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        while handlers:
            signal.signal(*handlers.popitem())

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            if callable(handler := signal.getsignal(number)):
                handlers[number] = handler
                signal.signal(number, hear)
    try:
        yield
    finally:
        restore()
        for each in heard:
            signal.raise_signal(each)


@contextmanager
def temporary_folder(beside: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder, hidden beside another one if that is named, and remove it."""
    from shutil import rmtree
    from tempfile import mkdtemp

    with ExitStack() as held:
        with undisturbed():
            where = (f".{beside.name}-", beside.parent) if beside else (None, None)
            folder = Path(mkdtemp(None, *where))
            held.callback(undisturbed()(rmtree), folder)
        yield folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a place beside a file, and put what is there then in place of it: nobody sees a part of
    it, and what was there stays where it is not all written. What is no file, such as a pipe, is
    yielded itself.
    """
    from uuid import uuid4

    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()  # a link stays one
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        yield beside
        with beside.open("rb") as written:
            os.fsync(written.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def pass_over_warnings() -> None:
    """Let no warning of what we call become an error where a user makes errors of warnings."""
    for start, kind in OF_IBIS:
        warnings.filterwarnings("ignore", start, kind)


@contextmanager
def kept_environment() -> Iterator[None]:
    """Put all environment variables back to what they were."""
    before = {**os.environ}
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
