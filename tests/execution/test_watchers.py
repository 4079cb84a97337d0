"""Who only watches a run, or shares a process with one, does it no harm."""

import logging
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import SHOP, write_raw

import streampro
from streampro import ConfigError, EngineError, Target
from streampro.storage.native import native

pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


class Failing:
    """A watcher that fails at a point."""

    def __init__(self, point: str) -> None:
        self.point = point

    def step(self, what: str, progress: object) -> "Failing":
        return self._at("step", self)

    def staged(self, *_: object) -> None:
        self._at("staged", None)

    def __enter__(self) -> None:
        self._at("enter", None)

    def __exit__(self, *_: object) -> None:
        self._at("exit", None)

    def _at(self, point: str, value: Any) -> Any:
        if point == self.point:
            raise RuntimeError("the screen is gone")
        return value


@pytest.mark.parametrize("point", ["step", "enter", "exit", "staged"])
def test_a_watcher_that_fails_is_a_warning(
    point: str, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "streampro"):
        assert streampro.run(SHOP, target, watcher=Failing(point)).run_id == 1
    assert "the watcher of a run failed: RuntimeError: the screen is gone" in caplog.messages


class PanicException(BaseException):
    """As `pyo3_runtime.PanicException`, which cannot be imported."""


def test_a_panic_is_an_error_with_its_cause() -> None:
    @native
    def panics() -> None:
        raise PanicException("index out of bounds")

    with pytest.raises(EngineError, match="panicked: index out of bounds") as caught:
        panics()
    assert isinstance(caught.value.__cause__, PanicException)


def ask_in_child(target: Target, told: Any) -> None:
    for call in (
        lambda: streampro.run(SHOP, target),
        lambda: streampro.sql("select 1", target),
        lambda: streampro.show(SHOP, target, "revenue"),
    ):
        try:
            call()
        except ConfigError as error:
            told.put(str(error))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_says_what_to_do(target: Target) -> None:
    streampro.run(SHOP, target)
    forking = multiprocessing.get_context("fork")
    told = forking.SimpleQueue()
    child = forking.Process(target=ask_in_child, args=(target, told))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    for _ in range(3):
        assert 'Start processes anew: multiprocessing.get_context("spawn")' in told.get()
