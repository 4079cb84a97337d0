"""The environment of the process: its variables are the user's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


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
