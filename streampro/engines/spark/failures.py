"""Errors of Spark, of its Java and of a server, as errors of ours."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from streampro.errors import (
    ComputationError,
    EngineError,
    PipelineError,
    SourceError,
    StreamProError,
)

_REPORTED = re.compile(r"streampro\.errors\.(SourceError|PipelineError): (.*)")
"""How a worker's error comes back."""
_KINDS = {"SourceError": SourceError, "PipelineError": PipelineError}
_UNREADABLE = re.compile(r"FAILED_READ_FILE|PATH_NOT_FOUND|\bZipException|\bEOFException")
_OF_A_VALUE = re.compile(
    r"SQLSTATE: 22\w{3}|COLLECTION_SIZE_LIMIT_EXCEEDED|\bArithmeticException|\bDateTimeException"
)
"""The class of SQL's states for values that cannot be computed with, and what has another state or
none.
"""
_ADVICE = re.compile(
    r" Use [`']try_\w+[`'] [^.]*? and return NULL instead\.(?= |$)"
    r"| If necessary set \S+ to \S+ to bypass this error(, and return NULL instead)?\.(?= |$)"
)
"""What cannot be followed: models have no `try_add`, and how Spark computes is not to be set."""
_RAISED = re.compile(r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)*(\S.*)", re.MULTILINE)
"""What a Python worker raised, behind where it did."""
_PYTHON = "Set PYSPARK_PYTHON to a Python that has the packages of this one."
_CALLED = re.compile(r"^An error occurred while calling .*\n: ")
"""Stands before an error that Java raised."""


@contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn errors of Spark into ours: of the data where a file or a value is to blame, else of the
    engine.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        if reported := _REPORTED.search(str(error)):
            raise _KINDS[reported[1]](reported[2]) from error
        raise _kind(error)(f"{what}: {cause_of(error)}") from error


def _kind(error: Exception) -> type[StreamProError]:
    said = f"{type(error).__name__}: {error}"
    if _UNREADABLE.search(said):
        return SourceError
    return ComputationError if _OF_A_VALUE.search(said) else EngineError


def cause_of(error: Exception) -> str:
    """Return the first line of an error and the last of its causes; of a Python worker what it
    raised.
    """
    from pyspark.errors import RetriesExceeded

    if isinstance(error, RetriesExceeded):
        return "the server of Spark Connect does not answer any more"
    text = _ADVICE.sub("", _CALLED.sub("", str(error).strip()))
    if raised := _RAISED.findall(text):
        is_missing = raised[-1].startswith(("ModuleNotFoundError", "ImportError"))
        return f"a Python worker raised {raised[-1]}" + (f". {_PYTHON}" if is_missing else "")
    first, *more = text.splitlines() or [type(error).__name__]
    causes = [line.removeprefix("Caused by: ") for line in more if line.startswith("Caused by: ")]
    return f"{first} ({causes[-1]})" if causes else first
