"""What goes wrong around an incremental run: readers keep the old run, the next one completes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import pytest
from copied import copied
from deltalake import DeltaTable, write_deltalake
from hypothesis import settings
from killed import killed
from pipelines.shop import SHOP, write_raw
from warm_streampro import Commands

from streampro.config import Target
from streampro.errors import EngineError
from streampro.execution.runner import run
from streampro.warehouse import ledger, published

pytestmark = pytest.mark.slow

TABLES = ("staging.sales", "staging.sales_rejected", "staging.shops", "mart.revenue")
NEW = '{"shop": "b", "day": "2024-05-07", "amount": "3"}\n{"shop": "d"}\n'
STEPS = [("after stage", 4), ("after move", 2), ("before ledger", 1)]
FURTHER_STEPS = [
    ("duckdb", "after stage", 2),
    ("duckdb", "after move", 4),
    ("duckdb", "after publish", 2),
    ("spark", "after move", 2),
    ("spark", "before ledger", 1),
]
AS_ROOT = ("unshare", "--map-root-user", "--mount")
"""In a name space of its own, so that what is mounted there is gone with the process."""
FULL_DISK = """
import json, shutil, subprocess, sys
from pathlib import Path
from pipelines.shop import SHOP
from streampro.warehouse import ledger, published, snapshot
from streampro.config import Target
from streampro.errors import StreamProError
from streampro.execution.runner import run

raw, first, disk, tables, step = sys.argv[1:]
mount = ("mount", "-t", "tmpfs", "none", disk, "-o")
subprocess.run([*mount, "size=64m"], check=True)

def contents(target):
    lists = (f'(SELECT list(t ORDER BY t::VARCHAR) FROM {t} t) AS "{t}"' for t in tables.split())
    [found] = published.sql(f"SELECT {', '.join(lists)}", target).to_pylist()
    return found

def tried(target, pages):
    used = shutil.disk_usage(disk).used
    subprocess.run([*mount, f"remount,size={used + pages * 4096}"], check=True)
    try:
        run(SHOP, target)
        ended = "published"
    except StreamProError as error:
        ended = type(error).__name__
    old = contents(target)
    count = len(ledger.runs(target.warehouse))
    subprocess.run([*mount, "remount,size=64m"], check=True)
    run(SHOP, target)
    return {"ended": ended, "runs": count, "then": old, "next": contents(target)}

found = []
for pages in range(0, 400, int(step)):
    warehouse = Path(disk) / str(pages)
    shutil.copytree(first, warehouse)
    found.append(tried(Target(name="test", raw=Path(raw), warehouse=warehouse), pages))
    if found[-1]["ended"] == "published":
        break
    shutil.rmtree(warehouse)
print(json.dumps(found, default=str))
"""


def contents(target: Target) -> dict[str, list[dict[str, Any]]]:
    lists = (f'(SELECT list(t ORDER BY t::VARCHAR) FROM {name} t) AS "{name}"' for name in TABLES)
    [found] = published.sql(f"SELECT {', '.join(lists)}", target).to_pylist()
    return dict(found)


@pytest.fixture
def target(first_run: Target, tmp_path: Path) -> Target:
    """A warehouse after one run, and a new raw file."""
    found = copied(first_run, tmp_path)
    (tmp_path / "raw" / "sales 2.jsonl").write_text(NEW)
    return found


@pytest.fixture(scope="module")
def wanted(
    first_run: Target, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, Any]]]:
    """What a full run of the files at hand publishes."""
    folder = tmp_path_factory.mktemp("fresh")
    raw = write_raw(folder / "raw")
    (raw / "sales 2.jsonl").write_text(NEW)
    other = Target(name="fresh", raw=raw, warehouse=folder / "warehouse")
    run(SHOP, other)
    return contents(other)


@pytest.mark.parametrize(
    ("engine", "point", "number"),
    [
        *(("duckdb", *step) for step in STEPS),
        *(pytest.param(*step, marks=pytest.mark.thorough) for step in FURTHER_STEPS),
    ],
)
def test_incremental_run_that_is_killed_was_never_there(
    engine: Literal["duckdb", "spark"],
    point: str,
    number: int,
    target: Target,
    wanted: dict[str, Any],
    commands: Commands,
    request: pytest.FixtureRequest,
) -> None:
    target = target.model_copy(update={"engine": engine})
    old = contents(target)
    killed(commands, target, point, number)
    assert contents(target) == old
    session = request.getfixturevalue("spark") if engine == "spark" else None
    second = run(SHOP, target, session=session)
    assert {change.table: change.mode for change in second.changes}["mart.revenue"] == "incremental"
    assert contents(target) == wanted
    assert [*(target.warehouse / "_streampro" / "staging").glob("*")] == []


def test_full_disk_leaves_the_old_run_wherever_it_strikes(
    target: Target, wanted: dict[str, Any], tmp_path: Path
) -> None:
    """On a tmpfs with room for more and more pages, until there is enough for the run."""
    is_thorough = settings.default is settings.get_profile("thorough")
    old = contents(target)
    (disk := tmp_path / "disk").mkdir()
    if subprocess.run([*AS_ROOT, *f"mount -t tmpfs none {disk}".split()], check=False).returncode:
        pytest.skip("no right to mount a tmpfs")
    step = 2 if is_thorough else 4
    inputs = (target.raw, target.warehouse, disk, " ".join(TABLES), str(step))
    done = subprocess.run(
        [*AS_ROOT, sys.executable, "-c", FULL_DISK, *inputs],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    *failed, last = json.loads(done.stdout)
    assert len(failed) > 5
    assert {each["ended"] for each in failed} <= {"EngineError", "WarehouseError"}
    for each in failed:
        assert (each["runs"], each["then"]) == (1, as_json(old))
        assert each["next"] == as_json(wanted)
    assert (last["ended"], last["then"]) == ("published", as_json(wanted))


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


@pytest.mark.parametrize(
    "table",
    [
        "staging.sales",
        "mart.revenue",
        *(
            pytest.param(table, marks=pytest.mark.thorough)
            for table in ("staging.sales_rejected", "staging.shops")
        ),
    ],
)
def test_missing_data_file_is_mended_by_a_full_refresh(
    table: str, target: Target, wanted: dict[str, Any]
) -> None:
    for path in (target.warehouse / Path(*table.split("."))).glob("*.parquet"):
        path.unlink()
    shops = Path(str(target.raw)) / "shops.csv"
    shops.unlink()
    shops.write_text("shop,city\na,Oslo\nb,Rome\n\n")
    name = table.partition(".")[2]
    with pytest.raises(EngineError, match=rf"{name} cannot be .*1 of its data files .*--full-ref"):
        run(SHOP, target)
    assert len(ledger.runs(target.warehouse)) == 1
    run(SHOP, target, full_refresh=True)
    assert contents(target) == wanted


def test_leftovers_of_a_kill_are_removed_but_not_what_a_run_pins(
    target: Target, wanted: dict[str, Any], commands: Commands
) -> None:
    """Killed after its row was written, then overwritten by another tool."""
    killed(commands, target, "after ledger", 1)
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
    assert len(ledger.runs(target.warehouse)) == 1
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
    assert (second.run_id, ledger.newest(target.warehouse)) == (2, second)
    assert contents(target) == wanted
