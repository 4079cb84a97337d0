"""Every raw file at hand is read, refused or mentioned, on every engine."""

import gzip
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path
from threading import Timer
from types import ModuleType
from typing import Any

import pytest
from pipelines.shop import SHOP, mart, raw, staging, write_raw

from streampro.config import Target
from streampro.errors import EngineError, SourceError
from streampro.execution.progress import Progress, Unwatched
from streampro.execution.runner import run
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench
from streampro.warehouse import ledger
from streampro.warehouse.published import sql
from streampro.warehouse.run import Plan

pytestmark = pytest.mark.slow

SALE = '{"shop": "b", "day": "2024-05-07", "amount": "3"}\n'


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def write(target: Target, name: str, data: bytes | str) -> Path:
    path = Path(str(target.raw)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


class Listener(Unwatched):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.mark.thorough("spark")
def test_files_that_no_source_reads_are_counted_and_named(
    engine: Workbench, target: Target
) -> None:
    for name in ("sales.json", "SALES.JSONL", "day/sales.jsonl", "_sales.jsonl", "b/c.csv"):
        write(target, name, SALE)
    inside = target.model_copy(update={"warehouse": Path(str(target.raw)) / "warehouse"})
    for attempt in (engine.run, engine.run, engine.plan):
        watcher = Listener()
        done = attempt(SHOP, inside, watcher=watcher)
        assert watcher.notices == [
            f"no source reads 4 files below {target.raw}: "
            "SALES.JSONL, b/c.csv, day/sales.jsonl, and 1 more"
        ]
    assert isinstance(done, Plan)
    assert done.unread_files == ("SALES.JSONL", "b/c.csv", "day/sales.jsonl", "sales.json")


def test_files_that_a_pipeline_leaves_unread_on_purpose_are_not_told(target: Target) -> None:
    write(target, "notes/a.txt", "")
    write(target, "b.txt", "")
    watcher = Listener()
    pipeline = Pipeline("shop", [raw, staging, mart], unread=["notes/*"])
    run(pipeline, target, watcher=watcher)
    assert watcher.notices == [f"no source reads 1 file below {target.raw}: b.txt"]


def test_files_of_a_source_that_no_model_takes_are_told(target: Target) -> None:
    write(target, "b.txt", "")
    idle: Any = ModuleType("idle")
    idle.raw_notes = replace(raw.raw_sales, name="raw_notes", files=("*.txt",))
    watcher = Listener()
    run(Pipeline("shop", [raw, idle, staging, mart]), target, watcher=watcher)
    assert watcher.notices == [
        f"no source reads 1 file below {target.raw}: b.txt (no model takes source raw_notes)"
    ]


class Writer(Unwatched):
    """Writes to a file when a step of a run begins."""

    def __init__(self, step: str, path: Path, data: bytes) -> None:
        self.begins, self.path, self.data = step, path, data

    def step(self, what: str, progress: Progress) -> AbstractContextManager[None]:
        if what == self.begins:
            with self.path.open("ab") as file:
                file.write(self.data)
            self.begins = ""
        return nullcontext()


class SlowWriter(Writer):
    """Writes a little later."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[None]:
        if what == self.begins:
            Timer(0.1, super().step, (what, progress)).start()
        return nullcontext()


def as_sold(shop: str) -> bytes:
    return b'{"shop": "%s", "day": "2024-05-07", "amount": "3"}\n' % shop.encode()


def sold(target: Target) -> list[str]:
    found = sql("SELECT shop FROM staging.sales WHERE day = '2024-05-07' ORDER BY 1", target)
    return [row["shop"] for row in found.to_pylist()]


GROWING = {
    "begun line": (as_sold("d") + as_sold("e")[:20], as_sold("e")[20:], ["d"]),
    "whole line": (as_sold("d"), as_sold("e"), ["d"]),
    "no line yet": (as_sold("d")[:9], as_sold("d")[9:], []),
    "odd file": (b"\xef\xbb\xbf" + as_sold("d") + as_sold("e")[:-1], b"\n", ["d"]),
    "whole member": (gzip.compress(as_sold("d")), gzip.compress(as_sold("e"))[:12], ["d"]),
    "begun member": (
        gzip.compress(as_sold("d")) + gzip.compress(as_sold("e"))[:12],
        gzip.compress(as_sold("e"))[12:],
        ["d"],
    ),
}
STEPS = ("count raw_sales", "staging.sales")


@pytest.mark.thorough("spark")
@pytest.mark.parametrize(
    ("case", "step"),
    # half a member in a file that rests until it is counted is refused
    [each for each in product(GROWING, STEPS) if each != ("begun member", "staging.sales")],
)
def test_file_that_grows_is_read_as_it_was_when_the_run_began(
    engine: Workbench, target: Target, case: str, step: str
) -> None:
    name, (then, later, shops) = "sales-2.jsonl", GROWING[case]
    path = write(target, name, then)
    done = engine.run(SHOP, target, watcher=Writer(step, path, later))
    assert sold(target) == shops
    [books] = [books for books in done.books if books.source == "raw_sales"]
    assert (books.lines, books.rejected) == (6 + len(shops), 2)
    [file] = [file for file in done.inputs if file.path == name]
    assert file.size == len(then)


def test_csv_whose_last_record_is_being_written_is_read_to_the_record_before(
    target: Target,
) -> None:
    """It looks damaged, until it is seen that it grows."""
    path = write(target, "shops.csv", b'shop,city\na,Oslo\nb,"Ro')
    done = run(SHOP, target, watcher=SlowWriter("count raw_shops", path, b'me"\n'))
    found = sql("SELECT city FROM staging.shops ORDER BY 1", target).to_pylist()
    assert [row["city"] for row in found] == ["Oslo"]
    assert done.run_id == 1


@pytest.mark.thorough("spark")
def test_file_that_grew_is_read_anew_by_the_next_run(engine: Workbench, target: Target) -> None:
    path = write(target, "sales-2.jsonl", as_sold("d")[:9])
    engine.run(SHOP, target, watcher=Writer("staging.sales", path, as_sold("d")[9:]))
    done = engine.run(SHOP, target)
    [change] = [change for change in done.changes if change.table == "staging.sales"]
    assert (change.mode, change.reason) == ("full", "sales-2.jsonl changed")
    assert sold(target) == ["d"]


@pytest.mark.thorough("spark")
def test_last_line_of_a_file_that_rests_needs_no_end(engine: Workbench, target: Target) -> None:
    write(target, "sales-2.jsonl", as_sold("d") + as_sold("e")[:-1])
    engine.run(SHOP, target)
    assert sold(target) == ["d", "e"]


@pytest.mark.thorough("spark")
def test_csv_that_grows_is_cut_behind_a_whole_record(engine: Workbench, target: Target) -> None:
    path = write(target, "shops.csv", 'shop,city\na,"Os""lo"\nb,"Ro\nm')
    engine.run(SHOP, target, watcher=Writer("count raw_shops", path, b'e"\n'))
    [row] = sql("SELECT shop, city FROM staging.shops", target).to_pylist()
    assert row == {"shop": "a", "city": 'Os"lo'}


@pytest.mark.thorough("spark")
def test_file_of_the_same_size_and_time_is_read_anew(engine: Workbench, target: Target) -> None:
    path = write(target, "sales-2.jsonl", as_sold("d"))
    engine.run(SHOP, target)
    then = path.stat()
    path.write_bytes(as_sold("e"))
    os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns) == (then.st_size, then.st_mtime_ns)
    engine.run(SHOP, target)
    assert sold(target) == ["e"]


class Remover(Unwatched):
    """Removes a file when a step of a run begins."""

    def __init__(self, step: str, path: Path) -> None:
        self.begins, self.path = step, path

    def step(self, what: str, progress: Progress) -> AbstractContextManager[None]:
        if what == self.begins:
            self.path.unlink()
        return nullcontext()


@pytest.mark.parametrize(
    ("source", "step"),
    [
        ("raw_sales", "count raw_sales"),
        ("raw_sales", "staging.sales"),
        ("raw_shops", "count raw_shops"),
    ],
)
def test_file_that_goes_away_while_it_is_read_is_named(
    engine: Workbench, target: Target, source: str, step: str
) -> None:
    path = (
        write(target, "sales-2.jsonl", SALE)
        if source == "raw_sales"
        else (Path(str(target.raw)) / "shops.csv")
    )
    with pytest.raises(EngineError) as caught:
        engine.run(SHOP, target, watcher=Remover(step, path))
    assert str(caught.value) == (
        f"source {source!r}: {path.name} vanished while it was read. "
        "Nothing was published; run again."
    )
    assert ledger.runs(target.warehouse) == []


@pytest.mark.thorough("spark")
def test_link_whose_target_goes_away_stops_the_run(
    engine: Workbench, target: Target, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "mounted.jsonl"
    elsewhere.write_text(SALE)
    link = Path(str(target.raw)) / "sales-2.jsonl"
    link.symlink_to(elsewhere)
    first = engine.run(SHOP, target)
    elsewhere.unlink()
    for attempt in (engine.plan, engine.run):
        with pytest.raises(SourceError) as caught:
            attempt(SHOP, target)
        assert str(caught.value) == (
            f"source 'raw_sales': {link} cannot be read: it is a link to nowhere ({elsewhere}). "
            "Nothing was published."
        )
    assert ledger.runs(target.warehouse) == [first]
    elsewhere.write_text(SALE)
    again = engine.run(SHOP, target)
    assert {each.table: each.rows for each in again.tables} == {
        each.table: each.rows for each in first.tables
    }
