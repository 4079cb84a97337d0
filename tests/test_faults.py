"""What goes wrong around an incremental run: readers keep the old run, the next one completes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from pipelines.shop import SHOP, write_raw

from streampro import history, query
from streampro.config import Target
from streampro.errors import EngineError
from streampro.runner import run

TABLES = ("staging.sales", "staging.sales_rejected", "staging.shops", "mart.revenue")
DRIVER = Path(__file__).with_name("kill_driver.py")
NEW = '{"shop": "b", "day": "2024-05-07", "amount": "3"}\n{"shop": "d"}\n'
STEPS = [
    ("after stage", 2),
    ("after stage", 4),
    ("after move", 2),
    ("after move", 4),
    ("after publish", 2),
    ("before ledger", 1),
]
LIMITED = """
import resource, signal, sys
from pathlib import Path
from pipelines.shop import SHOP
from streampro.config import Target
from streampro.runner import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
raw, warehouse, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    run(SHOP, Target(name="test", raw=Path(raw), warehouse=Path(warehouse)))
except Exception as error:
    print(type(error).__name__)
"""


def contents(target: Target) -> dict[str, list[dict[str, Any]]]:
    lists = (f'(SELECT list(t ORDER BY t::VARCHAR) FROM {name} t) AS "{name}"' for name in TABLES)
    [found] = query.sql(f"SELECT {', '.join(lists)}", target).to_pylist()
    return dict(found)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """A warehouse after one run, and a new raw file."""
    found = Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")
    run(SHOP, found)
    (tmp_path / "raw" / "sales 2.jsonl").write_text(NEW)
    return found


@pytest.fixture
def wanted(target: Target, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """What a full run of the files at hand publishes."""
    other = target.model_copy(update={"warehouse": tmp_path / "fresh"})
    run(SHOP, other)
    return contents(other)


@pytest.mark.parametrize(("point", "number"), STEPS)
def test_incremental_run_that_is_killed_was_never_there(
    point: str, number: int, target: Target, wanted: dict[str, Any]
) -> None:
    old = contents(target)
    done = subprocess.run(
        [sys.executable, DRIVER, str(target.raw), str(target.warehouse), point, str(number), ""],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert contents(target) == old
    second = run(SHOP, target)
    assert {change.table: change.mode for change in second.changes}["mart.revenue"] == "incremental"
    assert contents(target) == wanted
    assert [*(target.warehouse / "_streampro" / "staging").glob("*")] == []


@pytest.mark.parametrize("limit", [0, 1000, 2500, 5000])
def test_disk_without_room_leaves_the_old_run(
    limit: int, target: Target, wanted: dict[str, Any]
) -> None:
    """No file may grow beyond a few bytes, as on a full disk; the later files are the longer."""
    old = contents(target)
    place = (str(target.raw), str(target.warehouse), str(limit))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *place],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.stdout.strip() in ("EngineError", "WarehouseError")
    assert contents(target) == old
    run(SHOP, target)
    assert contents(target) == wanted


@pytest.mark.parametrize("table", TABLES)
def test_missing_data_file_is_mended_by_a_full_refresh(
    table: str, target: Target, wanted: dict[str, Any]
) -> None:
    for path in (target.warehouse / Path(*table.split("."))).glob("*.parquet"):
        path.unlink()
    (Path(str(target.raw)) / "shops.csv").write_text("shop,city\na,Oslo\nb,Rome\n\n")
    name = table.partition(".")[2]
    with pytest.raises(EngineError, match=rf"{name} cannot be .*1 of its data files .*--full-ref"):
        run(SHOP, target)
    assert len(history.runs(target.warehouse)) == 1
    run(SHOP, target, full_refresh=True)
    assert contents(target) == wanted


def test_leftovers_of_a_kill_are_removed_but_not_what_a_run_pins(
    target: Target, wanted: dict[str, Any]
) -> None:
    """Killed after its row was written, then overwritten by another tool."""
    driver = [sys.executable, DRIVER, str(target.raw), str(target.warehouse), "after ledger", "1"]
    subprocess.run([*driver, ""], capture_output=True, check=False)
    pinned = contents(target)
    folder = target.warehouse / "mart" / "revenue"
    write_deltalake(folder, DeltaTable(folder).to_pyarrow_table(), mode="overwrite")
    run(SHOP, target)
    assert contents(target) == pinned == wanted


def test_damaged_log_is_told_and_nothing_is_published(target: Target) -> None:
    [entry] = (target.warehouse / "staging" / "sales" / "_delta_log").glob("*.json")
    text = entry.read_text()
    entry.write_text(text[: len(text) // 2])
    with pytest.raises(EngineError, match=r"version 0 of .*sales cannot be read"):
        run(SHOP, target)
    assert len(history.runs(target.warehouse)) == 1
    entry.write_text(text)
    assert run(SHOP, target).run_id == 2


def test_clock_that_was_set_back_changes_no_order(
    target: Target, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    [log] = (target.warehouse / "_streampro" / "runs" / "_delta_log").glob("*0.json")
    later = [json.loads(line) for line in log.read_text().splitlines()]
    for action in later:
        if "commitInfo" in action:
            action["commitInfo"]["timestamp"] += 10**12
    log.write_text("\n".join(map(json.dumps, later)))
    second = run(SHOP, target)
    assert (second.run_id, history.newest(target.warehouse)) == (2, second)
    assert contents(target) == wanted
