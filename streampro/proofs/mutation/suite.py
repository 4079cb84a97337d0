"""The tests of a project, run against mutants of a model: one process of pytest, which forks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import Any

from streampro.errors import ConfigError
from streampro.modeling.model import Model

ASKED = "STREAMPRO_MUTANTS"
"""The variable that tells the tests what `_asked` returns."""
_PLUGIN = "streampro.testing.mutation"
_LINES = 20
"""Of what pytest wrote, where it gave up."""


@dataclass(frozen=True)
class Tests:
    """The tests that use a model, and what they say of its mutants.

    Attributes:
        names: of the tests.
        verdicts: yields number and, where one failed, the test; null for a survivor.
    """

    names: tuple[str, ...]
    verdicts: Iterator[tuple[int, str | None]]


@contextmanager
def tests_of(
    model: Model, numbers: Sequence[int], given: Sequence[str], folder: Path
) -> Iterator[Tests]:
    """Yield what the tests of the working directory say of mutants, as they say it.

    Args:
        model: whose mutants they are.
        numbers: of the mutants.
        given: further arguments of pytest, such as paths.
        folder: a temporary one.

    Raises `ConfigError` where pytest is not installed or cannot collect the tests, and where a test
    fails of the model as it is.
    """
    if find_spec("pytest") is None:
        raise ConfigError("mutate runs the tests of the project, which needs pytest: install it.")
    reading, writing = os.pipe()
    output = folder / "pytest.txt"
    with (
        output.open("wb") as told,
        subprocess.Popen(
            [*_command(folder), *given],
            env=os.environ | {ASKED: json.dumps(_asked(model, numbers, writing))},
            stdout=told,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            pass_fds=(writing,),
        ) as process,
        os.fdopen(reading, encoding="utf-8") as lines,
    ):
        os.close(writing)
        try:
            said = (json.loads(line) for line in lines)
            first = _fit(next(said, None), output)
            verdicts = ((each["number"], each["failed"]) for each in said)
            yield Tests(tuple(first["tests"]), verdicts)
        finally:
            process.send_signal(SIGINT)  # which lets it end what it started


def _command(folder: Path) -> list[str]:
    is_spread = ["-n0"] if find_spec("xdist") else []
    where = ["-p", _PLUGIN, "-p", "no:cacheprovider", f"--basetemp={folder / 'tests'}"]
    return [sys.executable, "-m", "pytest", "--engines=duckdb", "--tb=line", *where, *is_spread]


def _asked(model: Model, numbers: Sequence[int], results: int) -> dict[str, Any]:
    """Return which mutants of which model are tried, and the descriptor that takes the verdicts."""
    return {
        "table": str(model.table),
        "module": model.transform.__module__,
        "numbers": [*numbers],
        "results": results,
    }


def _fit(first: dict[str, Any] | None, output: Path) -> dict[str, Any]:
    """Return what is said first, of the model as it is, where mutants can be told from it."""
    if first is None:
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
        told = "\n".join(lines[-_LINES:])
        raise ConfigError(f"pytest did not get as far as running tests:\n{told}")
    if first["failed"]:
        raise ConfigError(
            f"{first['failed']} fails of the model as it is. Mend the tests, or choose others."
        )
    return first
