"""Logs that `clean` has shortened: what is kept is read, gone on from, forgotten and mended."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pipelines.shop import SALES, SHOP, SHOPS, add_sale, write_raw
from published import ANNA, contents, holding, without_anna
from servers import Lake
from stopped import dies_after, numbers_of_steps

import streampro
from streampro.config import Target
from streampro.errors import WarehouseError
from streampro.storage import delta, leftovers
from streampro.storage.place import Disk
from streampro.testing import Workbench
from streampro.warehouse import ledger, snapshot
from streampro.warehouse.upkeep.forget import forget
from streampro.warehouse.upkeep.retention import clean, rollback

pytestmark = pytest.mark.slow

HERS = f'{{"shop": "{ANNA}", "day": "2024-05-01", "amount": "10"}}\n{{"shop": "{ANNA}", "bro\n'
EVERY = 3
"""Versions from one checkpoint to the next."""


def grow(target: Target, numbers: range) -> None:
    """Publish a run per number, each after one more file."""
    for number in numbers:
        add_sale(target, number)
        streampro.run(SHOP, target)


@contextmanager
def checkpoints_are_near() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        kept = delta._KEEPS_ITS_LOG | {"delta.checkpointInterval": str(EVERY)}
        patch.setattr(delta, "_KEEPS_ITS_LOG", kept)
        yield


@pytest.fixture(scope="session")  # tests of other modules may run between those of this one
def built(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("built") / "first"
    folder.mkdir()
    made = Target(name="test", raw=folder / "raw", warehouse=folder / "warehouse")
    write_raw(folder / "raw", SALES + HERS, SHOPS + f"{ANNA},Ulm\n")
    with checkpoints_are_near():
        grow(made, range(8))
    return made


@pytest.fixture
def target(built: Target, tmp_path: Path) -> Iterator[Target]:
    """A warehouse of eight runs."""
    assert built.raw is not None
    before = {*Path(built.raw).iterdir()}
    with checkpoints_are_near():
        yield copy(built, tmp_path / "copy")
    for path in {*Path(built.raw).iterdir()} - before:
        path.unlink()


def copy(of: Target, folder: Path) -> Target:
    """Copy a warehouse; copies of raw files would be new ones."""
    shutil.copytree(of.warehouse, folder / "warehouse")
    return of.model_copy(update={"warehouse": folder / "warehouse"})


def logs(target: Target) -> dict[str, list[str]]:
    """Return the files of each table's log."""
    found = target.warehouse.glob("*/*/_delta_log")
    return {
        str(log.parent.relative_to(target.warehouse)): sorted(file.name for file in log.iterdir())
        for log in found
    }


def weight(target: Target) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in target.warehouse.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def fresh(target: Target) -> dict[str, Any]:
    other = target.model_copy(update={"warehouse": target.warehouse.with_name("fresh")})
    shutil.rmtree(other.warehouse, ignore_errors=True)
    streampro.run(SHOP, other)
    return contents(other)


def test_what_is_left_does_not_grow_with_the_runs_before(target: Target) -> None:
    left = []
    for numbers in (range(8, 10), range(10, 15)):
        grow(target, numbers)
        before, told = weight(target), clean(target, keep=2)
        assert clean(target, keep=2, dry_run=False) == told
        assert (len({f for each in told for f in each.files}), sum(e.size_bytes for e in told)) == (
            before[0] - weight(target)[0],
            before[1] - weight(target)[1],
        )
        left.append(sum(map(len, logs(target).values())))
        for files in logs(target).values():
            assert len([file for file in files if file.endswith("json")]) <= EVERY + 2
            assert len([file for file in files if file.endswith("parquet")]) <= 2
        assert clean(target, keep=2) == []
    assert abs(left[1] - left[0]) <= EVERY * len(logs(target)), "an interval more or less"
    assert [run.run_id for run in ledger.runs(target.warehouse)] == [*range(1, 16)]


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("keep", [4, pytest.param(1, marks=pytest.mark.thorough)])
def test_kept_runs_are_read_and_gone_on_from(keep: int, target: Target, engine: Workbench) -> None:
    kept = range(9 - keep, 9)
    wanted = {run_id: contents(target, run_id) for run_id in kept}
    own = target.model_copy(update={"engine": engine.name})

    def read(run_id: int) -> None:
        run = snapshot.published_run(target, run_id)
        with snapshot.opened(own, run, engine.session) as tables:
            for item in run.tables:
                rows = tables.table(item.table).count().as_table()
                assert [*tables.rows(rows)[0].values()] == [item.rows]
        for item in run.tables:
            folder = target.warehouse / item.table.layer / item.table.name
            assert DeltaTable(folder, version=item.version).to_pyarrow_table().num_rows == item.rows

    read(8)  # so that Spark knows the logs as they were
    clean(target, keep, dry_run=False)
    assert {run_id: contents(target, run_id) for run_id in kept} == wanted
    for run_id in kept:
        read(run_id)
    assert logs(target)["staging/shops"] == [f"{0:020}.json"]
    with pytest.raises(WarehouseError, match=rf"run 2 was cleaned.*can be read is {9 - keep}\."):
        rollback(target, 2)
    found = streampro.verify(SHOP, target)
    assert (found.damages, found.runs) == ((), tuple(reversed(kept)))
    clean(target, keep=8, dry_run=False)
    add_sale(target, 50)
    assert engine.run(SHOP, target).kind == "incremental"
    assert contents(target) == fresh(target)
    if keep > 1:
        rollback(target, 7)
        assert contents(target) == wanted[7]
        engine.run(SHOP, target)
        assert contents(target) == fresh(target)


def test_killed_at_any_step_kept_runs_are_readable_and_the_next_clean_completes(
    target: Target, tmp_path: Path
) -> None:
    wanted = {run_id: contents(target, run_id) for run_id in (7, 8)}
    whole = copy(target, tmp_path / "whole")
    clean(whole, keep=2, dry_run=False)
    for number in numbers_of_steps(300, 25):
        mine = copy(target, tmp_path / f"{number}")
        if not dies_after(number, partial(clean, mine, keep=2, dry_run=False)):
            break
        assert {run_id: contents(mine, run_id) for run_id in (7, 8)} == wanted, number
        assert not streampro.verify(SHOP, mine).damages
        for log in mine.warehouse.glob("*/*/_delta_log"):
            table = DeltaTable(log.parent)
            entries = [int(file.stem) for file in log.glob("*.json")]
            for version in {*range(table.version())} & {*entries}:
                rows = sorted(DeltaTable(log.parent, version=version).file_uris())
                before = DeltaTable(
                    target.warehouse / log.parent.relative_to(mine.warehouse), version=version
                )
                assert [Path(row).name for row in rows] == [
                    Path(row).name for row in sorted(before.file_uris())
                ], "what is told is told whole"
        with suppress(WarehouseError):  # what was to be removed cannot be kept any more
            clean(mine, keep=8, dry_run=False)
        clean(mine, keep=2, dry_run=False)
        assert logs(mine) == logs(whole)
        shutil.rmtree(mine.warehouse.parent)
    assert 30 < number < 299


@pytest.mark.thorough
def test_key_is_in_no_byte_of_what_checkpoints_tell(target: Target, tmp_path: Path) -> None:
    clean(target, keep=2, dry_run=False)
    [checkpoint] = (target.warehouse / "staging/sales/_delta_log").glob("*.parquet")
    assert str(checkpoint.relative_to(target.warehouse)) in holding(target.warehouse, "zz-anna")
    wanted = {run_id: without_anna(contents(target, run_id)) for run_id in (7, 8)}
    for number in numbers_of_steps(300, 17):
        mine = copy(target, tmp_path / f"{number}")
        if not dies_after(number, partial(forget, mine, {"shop": ANNA})):
            break
        assert {n: without_anna(contents(mine, n)) for n in (7, 8)} == wanted, number
        forget(mine, {"shop": ANNA})
        assert {n: contents(mine, n) for n in (7, 8)} == wanted
        assert holding(mine.warehouse, "zz-anna") == [], number
        shutil.rmtree(mine.warehouse.parent)
    assert 30 < number < 299
    assert holding(mine.warehouse, "zz-anna") == []
    assert {run_id: contents(mine, run_id) for run_id in (7, 8)} == wanted
    assert not streampro.verify(SHOP, mine).damages
    assert streampro.run(SHOP, mine).kind == "unchanged"
    shutil.copytree(Path(str(mine.raw)), tmp_path / "raw")
    mine = mine.model_copy(update={"raw": write_raw(tmp_path / "raw")})
    streampro.run(SHOP, mine)
    assert contents(mine) == fresh(mine)
    grow(mine, range(10, 14))
    assert "staging.sales" in {each.table for each in clean(mine, keep=1, dry_run=False)}
    assert holding(mine.warehouse, "zz-anna") == []
    assert contents(mine) == fresh(mine)


def test_files_that_only_a_checkpoint_names_go_when_nothing_needs_them(target: Target) -> None:
    clean(target, keep=1, dry_run=False)
    sales = target.warehouse / "staging" / "sales"
    before = {*sales.glob("*.parquet")}
    streampro.run(SHOP, target, full_refresh=True)
    clean(target, keep=1, dry_run=False)
    assert not before & {*sales.glob("*.parquet")}
    assert contents(target) == fresh(target)


def test_lost_ledger_of_shortened_logs_is_rebuilt_and_mixes_no_runs(target: Target) -> None:
    clean(target, keep=2, dry_run=False)
    wanted = {run_id: contents(target, run_id) for run_id in (7, 8)}
    assert streampro.repair(SHOP, target).rebuilt == ()
    for path in (target.warehouse / "_streampro" / "runs").glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-20])
    done = streampro.repair(SHOP, target)
    assert (done.runs, len(done.rebuilt)) == ((*range(1, 9),), 8)
    assert {run_id: contents(target, run_id) for run_id in (7, 8)} == wanted
    for run_id in range(1, 5):
        with pytest.raises(WarehouseError, match=f"run {run_id} was cleaned"):
            rollback(target, run_id)
    assert not streampro.verify(SHOP, target).damages
    grow(target, range(8, 9))
    assert contents(target) == fresh(target)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("empty", "mart/revenue"),
        ("cut", "_streampro/runs"),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in product(("empty", "cut", "lost"), ("_streampro/files", "staging/sales"))
        ),
    ],
)
def test_damaged_beginning_is_told_and_mended(how: str, what: str, target: Target) -> None:
    wanted = contents(target)
    clean(target, keep=1, dry_run=False)
    [checkpoint] = (target.warehouse / what / "_delta_log").glob("*.parquet")
    content = checkpoint.read_bytes()
    if how == "lost":
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(content[:-20] if how == "cut" else b"")
    with pytest.raises(WarehouseError, match=r"streampro (repair|run --full-refresh)"):
        contents(target) if what != "_streampro/files" else streampro.run(SHOP, target)
    streampro.repair(SHOP, target)
    streampro.run(SHOP, target, full_refresh=True)
    assert contents(target) == wanted
    add_sale(target, 9)
    streampro.run(SHOP, target)
    assert contents(target) == fresh(target)


def test_lost_entry_after_the_beginning_is_noticed(target: Target) -> None:
    clean(target, keep=1, dry_run=False)
    newest = max((target.warehouse / "mart/revenue/_delta_log").glob("*.json"))
    newest.write_bytes(b"")
    with pytest.raises(WarehouseError, match=r"its log is empty\. `streampro repair` sets it"):
        delta.newest_version(Disk(target.warehouse / "mart" / "revenue"))


def test_log_of_which_entries_are_missing_is_not_written_anew(target: Target) -> None:
    log = target.warehouse / "staging/sales/_delta_log"
    (log / f"{1:020}.json").unlink()
    with pytest.raises(WarehouseError, match=r"entries of the log are missing.*streampro clean"):
        forget(target, {"shop": ANNA})
    clean(target, keep=2, dry_run=False)
    forget(target, {"shop": ANNA})
    assert holding(target.warehouse, "zz-anna") == []


@pytest.mark.thorough
def test_log_in_a_store_is_shortened_an_hour_after(
    lake: Lake, target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warehouse = lake.put(target.warehouse, "w")
    there = target.model_copy(update={"warehouse": warehouse})
    add_sale(target, 8)
    streampro.run(SHOP, there)
    told = [file for each in clean(there, keep=2) for file in each.files]
    assert not any("_delta_log" in file for file in told), "somebody may be about to commit"
    monkeypatch.setattr(leftovers, "_GRACE_NS", 0)
    told = clean(there, keep=2)
    assert any("sales/_delta_log" in file for each in told for file in each.files)
    assert clean(there, keep=2, dry_run=False) == told
    assert clean(there, keep=2) == []
    assert streampro.verify(SHOP, there).runs == (9, 8)
    wanted = without_anna(contents(there, 8))
    forget(there, {"shop": ANNA})
    lake.take("w", tmp_path / "taken")
    assert holding(tmp_path / "taken", "zz-anna") == []
    assert contents(there, 8) == wanted
    add_sale(target, 9)
    assert streampro.run(SHOP, there).kind == "incremental"
