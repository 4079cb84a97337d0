"""What a run costs and leaves does not grow with the number of runs before it."""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pipelines.shop import SHOP, TABLES, add_sale, write_raw
from published import contents

from streampro.config import Target
from streampro.errors import ConfigError, OvertakenError, WarehouseError
from streampro.execution.runner import run
from streampro.storage import merge
from streampro.storage.leftovers import Surplus
from streampro.storage.place import Place
from streampro.testing import Workbench
from streampro.warehouse import ledger, snapshot
from streampro.warehouse.branches import on_branch
from streampro.warehouse.known_files import KnownFiles
from streampro.warehouse.run import Run
from streampro.warehouse.upkeep.retention import clean, rollback

pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def fresh(target: Target) -> dict[str, Any]:
    number = len([*target.warehouse.parent.iterdir()])
    other = target.model_copy(update={"warehouse": target.warehouse.with_name(f"fresh {number}")})
    run(SHOP, other)
    return contents(other)


def written(target: Target) -> dict[str, str]:
    files = (path for path in target.warehouse.rglob("*") if path.is_file())
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def data_files(target: Target, table: str) -> list[str]:
    return DeltaTable(target.warehouse / Path(*table.split("."))).file_uris()


@pytest.mark.thorough("spark")
def test_run_with_nothing_new_writes_nothing(engine: Workbench, target: Target) -> None:
    first = engine.run(SHOP, target)
    before = written(target)
    again = engine.run(SHOP, target)
    assert (again.run_id, again.kind, again.tables) == (
        1,
        "unchanged",
        tuple(replace(item, seconds=None) for item in first.tables),
    )
    assert written(target) == before
    assert ledger.runs(target.warehouse) == [first]


@pytest.mark.thorough("spark")
def test_small_files_become_one_and_no_row_changes(
    engine: Workbench, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MOST_SMALL_FILES", 3)
    run(SHOP, target)
    for number in range(5):
        add_sale(target, number)
        engine.run(SHOP, target) if number in (1, 4) else run(SHOP, target)
        for table in TABLES[:2]:
            assert len(data_files(target, table)) <= 3
    assert contents(target) == fresh(target)
    sales = [len(contents(target, run_id)["staging.sales"]) for run_id in range(1, 7)]
    assert sales == [*range(sales[0], sales[0] + 6)], "older runs are as they were"
    rollback(target, 3)
    add_sale(target, 9)
    engine.run(SHOP, target)
    assert contents(target) == fresh(target)


def test_merged_file_has_statistics_of_the_columns_that_may_have_them(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "MOST_SMALL_FILES", 2)
    run(SHOP, target)
    add_sale(target, 0)
    run(SHOP, target)
    plain = DeltaTable(target.warehouse / "staging" / "sales").get_add_actions(flatten=True)
    add_sale(target, 1)
    run(SHOP, target)
    merged = DeltaTable(target.warehouse / "staging" / "sales").get_add_actions(flatten=True)
    assert merged.schema.names == plain.schema.names
    assert sorted(merged["num_records"].to_pylist()) == [1, sum(plain["num_records"].to_pylist())]


def test_known_files_are_kept_once(target: Target) -> None:
    first = run(SHOP, target)
    add_sale(target, 1)
    second = run(SHOP, target)
    assert (first.files_version, second.files_version) == (0, 1)
    assert {file.path for file in second.inputs} - {file.path for file in first.inputs} == {
        "sales-1.jsonl"
    }
    log = target.warehouse / "_streampro" / "files" / "_delta_log" / f"{1:020}.json"
    [added] = (line for line in log.read_text().splitlines() if '"add"' in line)
    assert json.loads(json.loads(added)["add"]["stats"])["numRecords"] == 1
    third = run(SHOP, target, full_refresh=True)
    assert (third.run_id, third.files_version) == (3, 1)
    Path(str(target.raw), "sales-1.jsonl").unlink()
    fourth = run(SHOP, target, accept_lost_files=True)
    assert {file.path for file in fourth.inputs} == {file.path for file in first.inputs}
    assert [len(each.inputs) for each in ledger.runs(target.warehouse)] == [2, 3, 3, 2]


def test_files_that_a_broken_run_noted_are_new_to_the_next(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(SHOP, target)
    add_sale(target, 1)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(SHOP, target)
    add_sale(target, 2)
    done = run(SHOP, target)
    assert (done.run_id, done.kind) == (2, "incremental")
    assert contents(target) == fresh(target)
    assert isinstance(done.inputs, KnownFiles)
    assert len(done.inputs) == 4


def test_of_two_runs_from_one_state_one_is_published(target: Target) -> None:
    first = run(SHOP, target)
    add_sale(target, 1)
    second = run(SHOP, target)
    for overtaken in (first, second):
        with pytest.raises(OvertakenError, match=r"another run was published .* meanwhile"):
            ledger.append(target.warehouse, overtaken)
    assert [each.run_id for each in ledger.runs(target.warehouse)] == [1, 2]


def test_newest_run_is_found_without_the_others(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(SHOP, target)
    add_sale(target, 1)
    second = run(SHOP, target)
    oldest = DeltaTable(target.warehouse / "_streampro" / "runs", version=0).file_uris()
    [gone] = oldest
    Path(gone.removeprefix("file://")).unlink()
    assert ledger.newest(target.warehouse) == second
    add_sale(target, 2)
    assert run(SHOP, target).run_id == 3


def test_who_asks_for_little_reads_few_rows_of_the_ledger(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        run(SHOP, target)
        add_sale(target, number)
    decoded: list[int] = []

    def counted(place: Place, rows: pa.Table) -> list[Run]:
        decoded.append(rows.num_rows)
        return runs_of(place, rows)

    runs_of = ledger.runs_of
    monkeypatch.setattr(ledger, "runs_of", counted)
    assert [each.run_id for each in ledger.runs(target, newest=2)] == [3, 4]
    assert [each.run_id for each in ledger.runs(target, newest=9)] == [1, 2, 3, 4]
    assert {row["name"]: row["run"] for row in snapshot.tables(target)} == {
        "sales": 4,
        "sales_rejected": 4,
        "shops": 1,
        "revenue": 4,
    }
    decoded.clear()
    clean(target, keep=1, dry_run=False)
    assert max(decoded) == 1
    with pytest.raises(ConfigError, match="it must be 1 or more"):
        ledger.runs(target, newest=0)


def test_published_code_is_not_looked_at_again(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streampro.execution import runner

    run(SHOP, target)
    monkeypatch.setattr(runner, "refuse_problems", lambda *_, **__: pytest.fail("it was looked at"))
    assert run(SHOP, target).kind == "unchanged"
    monkeypatch.undo()
    asked: list[object] = []
    monkeypatch.setattr(runner, "refuse_problems", lambda *_, judged: asked.append(judged))
    allowing = replace(SHOP.models["revenue"], allow={"Sum": "because"})
    other = SHOP.without_limits()
    other.models = {**SHOP.models, "revenue": allowing}
    run(other, target)
    assert asked == [{"revenue"}]


def test_cleaned_runs_are_told_without_their_files_and_cannot_be_gone_back_to(
    target: Target,
) -> None:
    run(SHOP, target)
    add_sale(target, 1)
    run(SHOP, target)
    Path(str(target.raw), "sales-1.jsonl").unlink()
    run(SHOP, target, accept_lost_files=True)
    known = target.warehouse / "_streampro" / "files"
    before = {*known.glob("*.parquet")}
    removed = clean(target, keep=1, dry_run=False)
    assert "_streampro.files" in [each.table for each in removed]
    assert len(before - {*known.glob("*.parquet")}) == 2
    first, second, third = ledger.runs(target.warehouse)
    assert (first.to_json()["inputs"], second.to_json()["inputs"]) == (None, None)
    assert len(third.to_json()["inputs"]) == 2
    with pytest.raises(WarehouseError, match="run 1 was cleaned"):
        rollback(target, 1)
    add_sale(target, 2)
    run(SHOP, target)
    assert contents(target) == fresh(target)


@pytest.mark.thorough("spark")
def test_runs_clean_where_the_target_says_so(engine: Workbench, target: Target) -> None:
    """Every third run; so three to five stay readable."""
    keeping = target.model_copy(update={"keep_runs": 3})
    oldest = []
    for number in range(9):
        add_sale(target, number)
        done = engine.run(SHOP, keeping) if number in (2, 8) else run(SHOP, keeping)
        assert run(SHOP, keeping).run_id == done.run_id, "nothing new"
        kept = [each for each in ledger.runs(target.warehouse) if is_readable(target, each.run_id)]
        oldest.append(kept[0].run_id)
        assert [each.run_id for each in kept] == [*range(oldest[-1], done.run_id + 1)]
    assert oldest == [1, 1, 1, 1, 1, 4, 4, 4, 7]
    assert contents(target) == fresh(target)


def test_runs_on_branches_clean_nothing(target: Target) -> None:
    keeping = target.model_copy(update={"keep_runs": 1})
    run(SHOP, keeping)
    add_sale(target, 1)
    tables = {path: digest for path, digest in written(target).items() if "/staging/" in path}
    run(SHOP, on_branch(keeping, "other"))
    assert tables.items() <= written(target).items()
    add_sale(target, 2)
    run(SHOP, keeping)
    assert contents(on_branch(target, "other")), "clean keeps what branches read"


def test_a_run_is_published_where_it_cannot_clean(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = target.model_copy(update={"keep_runs": 1})
    run(SHOP, keeping)
    add_sale(target, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Surplus, "remove", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        with pytest.raises(WarehouseError, match=r"^run 2 is published\. .*no room"):
            run(SHOP, keeping)
    assert [is_readable(target, number) for number in (1, 2)] == [True, True]
    add_sale(target, 2)
    run(SHOP, keeping)
    assert [is_readable(target, number) for number in (1, 2, 3)] == [False, False, True]


def is_readable(target: Target, run_id: int) -> bool:
    try:
        return bool(contents(target, run_id))
    except WarehouseError:
        return False
