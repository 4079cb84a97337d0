"""The environment of the process: its variables are the user's, and so is what warnings do and
what a signal ends.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

OF_IBIS = (
    ("fetch_arrow_table", DeprecationWarning),  # Ibis 12 calls DuckDB's old name
    ("The 'future.infer_string'", Warning),  # and asks pandas 3 for a retired option
)
"""How warnings begin that a user can do nothing about, and their classes."""
COMPUTING: WeakSet[Any] = WeakSet()
"""What may compute for long outside of Python, such as connections of DuckDB; each is broken off by
its `interrupt`.
"""


def interrupt() -> None:
    """Break off what is computed outside of Python, from whatever thread."""
    for each in [*COMPUTING]:
        with suppress(Exception):  # it may be closed
            each.interrupt()


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
