"""What a user set for the process stays, and does no harm; what a signal ends, and what not."""

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import ibis
import pytest
from stopped import hears_a_signal_at

from streampro import environment
from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.environment import interrupt, replacing, temporary_folder, undisturbed
from streampro.errors import EngineError
from streampro.warehouse.folders import scratch


def test_warnings_that_are_errors_stop_no_engine(tmp_path: Path) -> None:
    """As of `PYTHONWARNINGS=error`; Ibis calls DuckDB and pandas by old names."""
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with DuckDBEngine(target) as engine:
            rows = engine.ibis.create_table("rows", ibis.literal("a").name("x").as_table())
            assert rows.execute().to_dict("list") == {"x": ["a"]}
            assert engine.fetch(rows).to_pylist() == [{"x": "a"}]


@pytest.mark.slow
def test_a_query_that_would_take_years_is_broken_off(tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    with DuckDBEngine(target) as engine:
        engine.query("create table t as select range as x from range(3000)")
        timer = threading.Timer(1, interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(EngineError, match="INTERRUPT"):
            engine.query("select count(*) from t a, t b, t c, t d where a.x + b.x > c.x + d.x")
        assert time.monotonic() - began < 30
        timer.join()
        assert engine.query("select 1 as x").to_pylist() == [{"x": 1}]


def work(done: list[str], signals: int) -> None:
    with undisturbed():
        for _ in range(signals):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("all")
    done.append("more")


@pytest.mark.parametrize(
    ("signals", "patience_s", "wanted"),
    [(0, 9, ["all", "more"]), (1, 9, ["all"]), (3, 9, ["all"]), (1, 0, ["all"]), (2, 0, [])],
)
def test_signals_wait_for_what_is_done_as_one_but_for_a_later_one_when_it_takes_long(
    signals: int, patience_s: int, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(environment, "_PATIENCE_S", patience_s)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work(done, signals)
    except KeyboardInterrupt:
        done.append("interrupted")
    finally:
        heard_by = signal.signal(signal.SIGINT, before)
    assert done == [*wanted, *(["interrupted"] if signals else [])]
    assert heard_by is signal.default_int_handler


def test_a_thread_that_hears_no_signals_works_undisturbed() -> None:
    done: list[str] = []
    thread = threading.Thread(target=work, args=(done, 0))
    thread.start()
    thread.join()
    assert done == ["all", "more"]


@pytest.mark.parametrize("step", ["mkdir", "chmod", "rmdir"])
def test_a_signal_while_a_temporary_folder_is_made_or_removed_leaves_none(
    step: str, tmp_path: Path
) -> None:
    (tmp_path / "_streampro").mkdir()
    for made, below in (
        (lambda: scratch(tmp_path), "_streampro/*"),
        (lambda: temporary_folder(tmp_path / "site"), ".site*"),
    ):

        def command(made: Callable[[], AbstractContextManager[Path]] = made) -> None:
            with made() as folder:
                (folder / "rows").touch()
                folder.chmod(0o700)

        hears_a_signal_at(os, step, command)
        assert [*tmp_path.glob(below)] == []


def test_a_file_is_replaced_once_it_is_written_whole(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    link.symlink_to(file)
    with pytest.raises(UnicodeEncodeError), replacing(file) as place:
        place.write_text("a part of the ne\udc80")
    assert {*tmp_path.iterdir()} == {file, link}
    assert file.read_text() == "old"
    with replacing(link) as place:
        place.write_text("new")
        assert file.read_text() == "old"
    assert (file.read_text(), link.is_symlink()) == ("new", True)


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as place:
        place.write_text("told")
    assert os.read(reader, 10) == b"told"
    os.close(reader)
    assert pipe.is_fifo()
