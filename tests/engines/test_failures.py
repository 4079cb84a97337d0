"""What Spark says of a failure, in the words that help."""

import pytest

from streampro.engines.spark.failures import cause_of

WORKER = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "worker.py", line 1, in <module>
    import pyarrow
{raised}

\tat org.apache.spark.api.python.BasePythonRunner.handlePythonException(PythonRunner.scala:1)
"""
TWICE = (
    "KeyError: 'a'\n\nDuring handling of it:\n\nTraceback (most recent call last):\n  File x\n{}"
)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("first\n\tat java\nCaused by: a\n\tat java\nCaused by: b", "first (b)"),
        ("An error occurred while calling o1.x.\n: java.E: why", "java.E: why"),
        (
            WORKER.format(raised="ModuleNotFoundError: No module named 'pyarrow'"),
            "a Python worker raised ModuleNotFoundError: No module named 'pyarrow'. "
            "Set PYSPARK_PYTHON to a Python that has the packages of this one.",
        ),
        (
            WORKER.format(raised=TWICE.format("ValueError: b")),
            "a Python worker raised ValueError: b",
        ),
    ],
)
def test_the_cause_of_a_failure_is_one_line(said: str, cause: str) -> None:
    assert cause_of(Exception(said)) == cause
