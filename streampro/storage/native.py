"""Native libraries: their threads do not survive a fork, their panics are errors of ours, and what
they say is told in one line.
"""

import functools
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

from streampro.errors import ConfigError, EngineError

_Called = TypeVar("_Called", bound=Callable[..., Any])
_used_in: list[int] = []
_COLOUR = re.compile("\x1b\\[[0-9;]*m")
_DETAILS = re.compile(
    r"\n\n(?:Debug source|stack backtrace)|\nBacktrace|\s+0: <unknown>|\s+0: \S+::\S+",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"<\?xml.*?<Code>([^<]*)</Code>(?:.*?<Message>([^<]*)</Message>)?.*", re.DOTALL
)
"""What stores answer, of which people need a code and a sentence."""
_REFUSED = re.compile(
    "NoSuchBucket|ContainerNotFound|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch"
    "|AuthenticationFailed|AuthorizationFailure|40[13] (?:Unauthorized|Forbidden)"
)
"""What a store says of a bucket that is not there, and of who may not look into it."""
_ARROW = "\u21b3"
"""Stands before each further cause."""


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


def reason(error: BaseException) -> str:
    """Return what a native library says is wrong, in one line without colours and traces."""
    text = _ANSWER.sub(r"\1: \2", _COLOUR.sub("", _DETAILS.split(str(error))[0]))
    causes = [" ".join(each.split()) for each in text.split(_ARROW)]
    return ": ".join(each for each in causes if each) or type(error).__name__


def of_store(what: str, error: BaseException) -> ConfigError | EngineError:
    """Return the error for what a store refuses, which only who configures it can change, or for
    one that does not answer.
    """
    kind = ConfigError if _REFUSED.search(str(error)) else EngineError
    return kind(f"{what}: {reason(error)}")


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
