"""Native libraries: their threads do not survive a fork, and their panics are errors of ours."""

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

from streampro.errors import ConfigError, EngineError

_Called = TypeVar("_Called", bound=Callable[..., Any])
_used_in: list[int] = []


def refuse_fork() -> None:
    """Raise `ConfigError` in a process forked from one in which engines or tables were used.

    Their threads are not there, so a run would wait for them for ever.
    """
    _used_in[:] = _used_in or [os.getpid()]
    if _used_in[0] != os.getpid():
        raise ConfigError(
            f"this process was forked from {_used_in[0]} after that had used StreamPro, whose "
            "threads are not here. Start processes anew: "
            'multiprocessing.get_context("spawn"), or a subprocess; or fork before the first use.'
        )


def native(function: _Called) -> _Called:
    """Return a function whose panics are raised as `EngineError`, and which is not called where
    `refuse_fork` raises.
    """

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        refuse_fork()
        try:
            return function(*args, **options)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # which is no Exception
                raise
            raise EngineError(f"a native library panicked: {error}") from error

    return called  # type: ignore[return-value]  # it has the type of what it wraps
