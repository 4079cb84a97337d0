"""Every raw file at hand is read, refused or mentioned, on every engine."""

from pathlib import Path

import pytest
from pipelines.shop import SHOP, mart, raw, staging, write_raw

from streampro.config import Target
from streampro.errors import EngineError
from streampro.execution.progress import Unwatched
from streampro.execution.runner import run
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench
from streampro.warehouse import ledger
from streampro.warehouse.ledger import Plan

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
        with pytest.raises(EngineError) as caught:
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
