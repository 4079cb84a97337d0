"""Verify, repair, clean, forget and rollback of a warehouse in an object store: as on a disk."""

from collections.abc import Callable
from contextvars import Context
from functools import partial
from pathlib import Path
from typing import Any

import obstore
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from killed import killed
from pipelines.shop import SALES, SHOP, SHOPS, write_raw
from published import ANNA, contents, without_anna
from servers import Lake
from warm_streampro import Commands

import streampro
from streampro.cli.commands import cli
from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.errors import EngineError, OvertakenError, WarehouseError
from streampro.location import Remote
from streampro.storage import leftovers, marks, rewrite
from streampro.warehouse import ledger
from streampro.warehouse.upkeep import retention
from streampro.warehouse.upkeep.forget import forget

HERS = f'{{"shop": "{ANNA}", "day": "2024-05-01", "amount": "10"}}\n{{"shop": "{ANNA}", "bro\n'
LATER = f'{{"shop": "a", "day": "2024-06-01", "amount": "1"}}\n{{"shop": "{ANNA}", "day": "x"}}\n'


@pytest.fixture
def here(tmp_path: Path) -> Target:
    raw = write_raw(tmp_path / "raw", SALES + HERS, SHOPS + f"{ANNA},Ulm\n")
    return Target(name="here", raw=raw, warehouse=tmp_path / "warehouse")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first test has put into its store, for those after it."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def there(lake: Lake, here: Target, kept: Path) -> Target:
    """A warehouse of two runs. Raw files of the same content are the same files in a store."""
    made = Target(name="there", raw=Remote(f"{lake.url}/raw"), warehouse=Remote(f"{lake.url}/w"))
    if (kept / "w").exists():
        lake.put(kept / "raw", "raw")
        lake.put(kept / "w", "w")
        return made
    lake.put(Path(str(here.raw)), "raw")
    streampro.run(SHOP, made)
    add(lake, "sales-later.jsonl", LATER)
    streampro.run(SHOP, made)
    lake.take("raw", kept / "raw")
    lake.take("w", kept / "w")
    return made


def add(lake: Lake, name: str, text: str = LATER) -> None:
    obstore.put(lake.store, f"raw/{name}", text.encode())


def names(lake: Lake, begins: str = "w/") -> set[str]:
    found = {each["path"] for page in obstore.list(lake.store) for each in page}
    return {name for name in found if name.startswith(begins)}


def content(lake: Lake, name: str) -> bytes:
    return bytes(obstore.get(lake.store, name).bytes())


def holding(lake: Lake, tmp_path: Path) -> list[str]:
    """Return the objects of the warehouse in which the key stands, also inside parquet."""
    found, copy = [], tmp_path / "copy"
    for name in sorted(names(lake)):
        copy.write_bytes(text := content(lake, name))
        rows = str(pq.ParquetFile(copy).read().to_pylist()) if name.endswith("parquet") else ""
        if "zz-anna" in rows or b"zz-anna" in text:
            found.append(name)
    return found


def on_the_way(
    patch: pytest.MonkeyPatch, owner: Any, name: str, work: Callable[[], object]
) -> None:
    """Let somebody else do something just before a function is called for the first time, knowing
    nothing of what was looked at before.
    """
    original, began = getattr(owner, name), []

    def late(*args: Any, **options: Any) -> Any:
        if not began:
            began.append(True)
            Context().run(work)
        return original(*args, **options)

    patch.setattr(owner, name, late)


def stop(*_: Any) -> None:
    raise KeyboardInterrupt


def asked(there: Target, *command: str) -> Any:
    place = ["--warehouse", str(there.warehouse), "--pipeline", "pipelines.shop:SHOP"]
    return CliRunner().invoke(cli, [*command, *place])


@pytest.mark.thorough
def test_verify_finds_what_a_store_lost(lake: Lake, there: Target) -> None:
    found = streampro.verify(SHOP, there)
    assert (found.runs, found.damages) == ((2, 1), ())
    lake.spoil("cut", 3, r"^GET .*parquet")
    assert streampro.verify(SHOP, there) == found
    [cents, *_] = sorted(each for each in names(lake, "w/mart/revenue") if "part-" in each)
    spoilt = bytearray(content(lake, cents))
    spoilt[20] ^= 1
    obstore.put(lake.store, cents, bytes(spoilt))
    [damage, *_] = streampro.verify(SHOP, there).damages
    assert (str(damage.table), "its digest differs" in damage.what) == ("mart.revenue", True)
    obstore.delete(lake.store, cents)
    assert any(
        "is missing" in each.what
        for each in streampro.verify(SHOP, there, run_id=damage.run_id).damages
    )


def test_clean_removes_what_no_kept_run_needs(lake: Lake, there: Target) -> None:
    before = contents(there)
    told = streampro.clean(there, keep=1)
    lake.spoil("busy", 2, "^POST .*delete")
    assert streampro.clean(there, keep=1, dry_run=False) == told
    assert {str(each.table) for each in told} >= {"mart.revenue"}
    assert not {f"w/{file}" for each in told for file in each.files} & names(lake)
    assert contents(there) == before
    assert streampro.verify(SHOP, there).incomplete == (1,)
    assert streampro.clean(there, keep=1) == []
    with pytest.raises(WarehouseError, match=r"run 1 was cleaned.*oldest that can be read is 2"):
        retention.rollback(there, 1)
    add(lake, "sales-3.jsonl")
    assert streampro.run(SHOP, there).kind == "incremental"


@pytest.mark.thorough
def test_clean_that_a_store_fails_is_told_and_done_again(lake: Lake, there: Target) -> None:
    before, told = contents(there), streampro.clean(there, keep=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leftovers, "_GRACE_NS", 0)
        lake.spoil("busy", 500, "^POST .*delete")
        with pytest.raises(EngineError, match=r"503.*Kept runs are complete; clean again"):
            streampro.clean(there, keep=1, dry_run=False)
    lake.spoil("none", 0)
    assert contents(there) == before
    assert streampro.clean(there, keep=1, dry_run=False) == told


@pytest.mark.thorough
def test_clean_keeps_what_a_run_at_work_publishes(lake: Lake, there: Target) -> None:
    """Neither what it committed nor what others committed over it is removed."""
    for number in (3, 4):
        add(lake, f"sales-{number}.jsonl")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(leftovers, "_GRACE_NS", 0)
            clean = partial(streampro.clean, there, keep=1, dry_run=False)
            on_the_way(patch, ledger, "append", clean)
            on_the_way(patch, ledger, "files", clean)
            assert streampro.run(SHOP, there).run_id == number
        assert not streampro.verify(SHOP, there, run_id=number).damages


def test_clean_and_two_runs_at_once(lake: Lake, there: Target) -> None:
    """A run that another one overtook in its tables, not yet in the ledger, is published whole."""
    add(lake, "sales-3.jsonl")

    def other() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "append", stop)
            with pytest.raises(KeyboardInterrupt):
                streampro.run(SHOP, there)
        streampro.clean(there, keep=1, dry_run=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leftovers, "_GRACE_NS", 0)
        on_the_way(patch, ledger, "append", other)
        assert streampro.run(SHOP, there).run_id == 3
    assert not streampro.verify(SHOP, there, run_id=3).damages
    streampro.run(SHOP, there, full_refresh=True)
    left = streampro.clean(there, keep=1, dry_run=False)
    assert "staging.sales" in {str(each.table) for each in left}
    assert len(names(lake, "w/staging/sales/part-")) == 1, "nothing of the other one is left"


@pytest.mark.slow
@pytest.mark.thorough
def test_clean_removes_what_killed_runs_left(
    lake: Lake, there: Target, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    streampro.clean(there, keep=1, dry_run=False)
    foreign = {"w/mart/revenue/theirs.parquet", "w/mart/revenue/part-of.parquet", "w/other/x"}
    for name in foreign:
        obstore.put(lake.store, name, b"theirs")
    before = names(lake)
    add(lake, "sales-3.jsonl")
    killed(commands, there, "after move", 1)
    [left] = {name for name in names(lake) - before if name.endswith("parquet")}
    obstore.put(lake.store, "w/_streampro/staging/0123456789ab/mart/t-1/part-0.parquet", b"staged")
    monkeypatch.setattr(leftovers, "_GRACE_NS", 0)
    assert streampro.clean(there, keep=1) == [], "a run may yet publish it"
    assert streampro.run(SHOP, there).run_id == 3
    removed = streampro.clean(there, keep=2, dry_run=False)
    assert {f"w/{file}" for each in removed for file in each.files} == {
        left,
        "w/_streampro/staging/0123456789ab/mart/t-1/part-0.parquet",
    }
    assert names(lake) >= foreign
    assert streampro.verify(SHOP, there).runs == (3, 2)


@pytest.mark.thorough
def test_rollback_and_clean_at_once_mix_nothing(there: Target) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clean = partial(streampro.clean, there, keep=1, dry_run=False)
        on_the_way(patch, ledger, "append", clean)
        with pytest.raises(WarehouseError, match="run 1 was cleaned"):
            retention.rollback(there, 1)
    assert [run.run_id for run in streampro.runs(there)] == [1, 2]


@pytest.mark.parametrize(
    "kind",
    ["none", *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("cut", "unheard"))],
)
def test_forget_takes_a_key_out_of_every_object(
    kind: str, lake: Lake, there: Target, tmp_path: Path
) -> None:
    before = {run: contents(there, run) for run in (1, 2)}
    told = forget(there, {"shop": ANNA}, pipeline=SHOP, dry_run=True)
    lake.spoil(kind, 4, "^(PUT|POST) ")
    done = forget(there, {"shop": ANNA}, pipeline=SHOP)
    assert done == told
    assert [(each.path, each.lines) for each in done.raw or ()] == [
        ("sales-later.jsonl", 1),
        ("sales.jsonl", 2),
        ("shops.csv", 1),
    ]
    assert holding(lake, tmp_path) == []
    assert {run: contents(there, run) for run in (1, 2)} == {
        run: without_anna(tables) for run, tables in before.items()
    }
    assert not streampro.verify(SHOP, there).damages
    assert streampro.run(SHOP, there).kind == "unchanged"


@pytest.mark.thorough
def test_forget_that_a_store_stops_is_completed_before_the_next_run(
    lake: Lake, there: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {run: contents(there, run) for run in (1, 2)}
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "_with_successors", stop)
        with pytest.raises(KeyboardInterrupt):
            forget(there, {"shop": ANNA}, pipeline=SHOP)
    for run, tables in before.items():
        assert without_anna(contents(there, run)) == without_anna(tables)
    add(lake, "sales-3.jsonl", SALES)
    for command in (
        partial(streampro.run, SHOP, there),
        partial(retention.rollback, there, 1),
        partial(streampro.clean, there, keep=1, dry_run=False),
    ):
        with pytest.raises(WarehouseError, match=r"forget. in s3://.* has not ended.*again"):
            command()
    forget(there, {"shop": ANNA})
    assert holding(lake, tmp_path) == []
    assert streampro.run(SHOP, there).run_id == 3


@pytest.mark.thorough
def test_run_that_read_what_was_forgotten_is_not_published(
    lake: Lake, there: Target, tmp_path: Path
) -> None:
    add(lake, "sales-3.jsonl", SALES)
    with pytest.MonkeyPatch.context() as patch:
        on_the_way(patch, DuckDBEngine, "publish", partial(forget, there, {"shop": ANNA}))
        with pytest.raises(OvertakenError, match=r"written anew meanwhile.*run again"):
            streampro.run(SHOP, there)
    assert contents(there) == without_anna(contents(there))
    forget(there, {"shop": ANNA})
    assert holding(lake, tmp_path) == []


@pytest.mark.thorough
def test_forget_that_a_run_overtakes_changes_nothing(lake: Lake, there: Target) -> None:
    add(lake, "sales-3.jsonl", SALES)
    with pytest.MonkeyPatch.context() as patch:
        on_the_way(patch, marks, "held", partial(streampro.run, SHOP, there))
        with pytest.raises(OvertakenError, match=r"another command wrote to .* run again"):
            forget(there, {"shop": ANNA})
    assert "zz-anna" in str(contents(there))
    assert not streampro.verify(SHOP, there).damages


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("what", ["spoilt", "file", "entry", "ledger", "table", "files"])
def test_repair_brings_a_store_back(what: str, lake: Lake, there: Target) -> None:
    before = contents(there)
    before_1 = contents(there, 1)
    entries = sorted(names(lake, "w/_streampro/runs/_delta_log"))
    if what == "file":
        obstore.delete(lake.store, sorted(names(lake, "w/_streampro/runs/part-"))[0])
    elif what == "entry":
        obstore.put(lake.store, entries[0], content(lake, entries[0])[:-20])
    elif what == "ledger":
        obstore.delete(lake.store, sorted(names(lake, "w/_streampro/runs")))
    elif what == "table":
        obstore.delete(lake.store, sorted(names(lake, "w/mart/revenue/_delta_log")))
    elif what == "spoilt":
        for name in names(lake, "w/_streampro/files/part-"):
            whole = content(lake, name)
            obstore.put(lake.store, name, whole[:4] + bytes(len(whole) - 8) + whole[-4:])
        with pytest.raises(WarehouseError, match="Mend the warehouse: streampro repair"):
            streampro.run(SHOP, there)
    else:
        obstore.delete(lake.store, sorted(names(lake, "w/_streampro/files/part-")))
    done = asked(there, "repair")
    assert done.exit_code == 0, done.output
    assert [run.run_id for run in streampro.runs(there)] == ([1, 2] if what != "ledger" else [])
    if what in ("file", "entry", "files", "spoilt"):
        assert contents(there) == before
        assert contents(there, 1) == before_1
        assert any("_streampro/damaged" in name for name in names(lake))
    add(lake, "sales-3.jsonl", SALES)
    streampro.run(SHOP, there, full_refresh=what == "table")
    fresh = there.model_copy(update={"warehouse": Remote(f"{lake.url}/fresh")})
    streampro.run(SHOP, fresh)
    assert contents(there) == contents(fresh)


@pytest.mark.thorough
def test_commands_say_and_return_what_they_do_on_a_disk(here: Target, there: Target) -> None:
    (Path(str(here.raw)) / "sales-later.jsonl").unlink(missing_ok=True)
    streampro.run(SHOP, here)
    (Path(str(here.raw)) / "sales-later.jsonl").write_text(LATER)
    streampro.run(SHOP, here)
    for command in (
        ("verify",),
        ("repair",),
        ("clean", "--keep", "1"),
        ("forget", "--key", f"shop={ANNA}", "--dry-run"),
        ("clean", "--keep", "1", "--yes"),
        ("verify",),
    ):
        disk, store = asked(here, *command), asked(there, *command)
        said = store.output.replace(str(there.warehouse), str(here.warehouse))
        assert (store.exit_code, len(said.splitlines())) == (
            disk.exit_code,
            len(disk.output.splitlines()),
        ), (command, store.output, disk.output)
