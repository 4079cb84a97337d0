"""A branch is a chain of runs of its own, which nobody else sees until it is merged."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import obstore
import pytest
from copied import copied
from hypothesis import HealthCheck, given, settings, strategies as st
from killed import killed
from pipelines.shop import SHOP, add_sale, answers, mart, raw, staging, write_raw
from published import contents
from servers import Lake
from stopped import hears_a_signal_at
from warm_streampro import Commands

from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.execution.runner import plan, run, show
from streampro.lineage.explain import explain
from streampro.location import Remote
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import delta
from streampro.testing import Workbench
from streampro.warehouse import ledger
from streampro.warehouse.branches import branches, drop_branch, merge_branch, on_branch
from streampro.warehouse.published import sql
from streampro.warehouse.upkeep.forget import forget
from streampro.warehouse.upkeep.repair import repair
from streampro.warehouse.upkeep.retention import clean, rollback
from streampro.warehouse.upkeep.verify import verify

pytestmark = pytest.mark.slow

REVENUE = TableName.of("mart.revenue")


def revenues(factor: int) -> Pipeline:
    """The shop pipeline with so many times the revenue."""

    def revenue(sales: ir.Table, shops: ir.Table) -> ir.Table:
        found = mart.revenue(sales=sales, shops=shops)
        return found.mutate(amount=found.amount * factor)

    changed = Pipeline("shop", [raw, staging, mart])
    changed.models["revenue"] = replace(mart.revenue, transform=revenue)
    return changed


DOUBLED = revenues(2)
WITH_ANSWER = Pipeline("shop", [raw, staging, mart, answers])


@pytest.fixture
def main(first_run: Target, tmp_path: Path) -> Target:
    return copied(first_run, tmp_path)


@pytest.fixture
def branch(main: Target) -> Target:
    return on_branch(main, "trial")


def fresh(target: Target, pipeline: Pipeline, folder: Path) -> Any:
    """What a full run makes of the files at hand in a warehouse of its own."""
    other = target.model_copy(update={"raw": target.raw, "warehouse": folder})
    run(pipeline, other)
    return contents(other)


def modes(run_: Any) -> dict[str, str]:
    return {change.table: change.mode for change in run_.changes}


def files_of(target: Target) -> dict[Path, int]:
    """The files of main, without what branches have."""
    folder = Path(str(target.warehouse))
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "branches" not in path.parts
    }


@pytest.mark.thorough("spark")
def test_only_what_changed_is_built_and_main_does_not_notice(
    engine: Workbench, main: Target, branch: Target, tmp_path: Path
) -> None:
    before, files = contents(main), files_of(main)
    done = engine.run(DOUBLED, branch)
    assert (done.run_id, done.fork and done.fork.run_id) == (1, 1)
    assert modes(done) == {
        "staging.sales": "unchanged",
        "staging.shops": "unchanged",
        "mart.revenue": "full",
    }
    assert contents(branch) == fresh(main, DOUBLED, tmp_path / "fresh")
    assert (contents(main), files_of(main)) == (before, files)
    own = Path(str(branch.warehouse))
    assert [path.name for path in own.glob("[a-z]*/*")] == ["revenue"]


def test_new_lines_are_added_to_what_main_has_at_no_cost_of_a_copy(
    engine: Workbench, main: Target, branch: Target, tmp_path: Path
) -> None:
    engine.run(DOUBLED, branch)
    for number in (2, 3):
        add_sale(main, number)
        done = engine.run(DOUBLED, branch)
        assert done.kind == "incremental"
        assert contents(branch) == fresh(main, DOUBLED, tmp_path / f"fresh {number}")
        assert {*done.added} == {"staging.sales", "staging.sales_rejected"}
    sales = Path(str(branch.warehouse)) / "staging" / "sales"
    assert len([*sales.glob("*.parquet")]) == 2
    assert [row["n"] for row in sql("select count(*) n from staging.sales", main).to_pylist()] == [
        3
    ]
    assert verify(DOUBLED, branch).damages == ()
    again = engine.run(DOUBLED, branch, full_refresh=True)
    assert again.added == ()
    assert contents(branch) == fresh(main, DOUBLED, tmp_path / "again")


@pytest.mark.thorough("spark")
def test_merge_publishes_what_the_branch_has_and_removes_it(
    engine: Workbench, main: Target, branch: Target, tmp_path: Path
) -> None:
    add_sale(main, 2)
    engine.run(DOUBLED, branch)
    wanted = contents(branch)
    done = merge_branch(main, "trial", DOUBLED)
    assert (done.run_id, done.kind, done.fork, done.added) == (2, "merge of trial", None, ())
    assert contents(main) == wanted == fresh(main, DOUBLED, tmp_path / "fresh")
    assert contents(main, 1) != wanted
    assert branches(main) == []
    assert verify(DOUBLED, main).damages == ()
    assert {*modes(engine.run(DOUBLED, main)).values()} == {"unchanged"}
    add_sale(main, 3)
    assert {*modes(engine.run(DOUBLED, main)).values()} == {"incremental", "unchanged"}
    assert contents(main) == fresh(main, DOUBLED, tmp_path / "after")


def test_a_branch_of_which_main_has_moved_on_is_not_merged(main: Target, branch: Target) -> None:
    run(DOUBLED, branch)
    other = on_branch(main, "other")
    run(SHOP, other)
    wanted = contents(branch)
    add_sale(main, 2)
    run(SHOP, main)
    now = contents(main)
    with pytest.raises(ConfigError, match=r"begins at run 1 .* run 2 has been published since"):
        merge_branch(main, "trial")
    assert contents(main) == now
    assert contents(branch) == wanted
    assert [(each.name, each.is_behind, each.tables) for each in branches(main)] == [
        ("other", True, ()),
        ("trial", True, ("mart.revenue",)),
    ]
    drop_branch(main, "trial")
    run(DOUBLED, branch)
    assert merge_branch(main, "trial").run_id == 3


def test_plan_of_a_branch_that_is_not_there_writes_nothing(main: Target, branch: Target) -> None:
    files = files_of(main)
    found = plan(DOUBLED, branch)
    assert modes(found)["mart.revenue"] == "full"
    assert (files_of(main), branches(main)) == (files, [])
    with pytest.raises(ConfigError, match="no branch 'trial'"):
        contents(branch)


def test_a_branch_on_which_nothing_changed_reads_all_of_main(main: Target, branch: Target) -> None:
    done = run(SHOP, branch)
    assert {*modes(done).values()} == {"unchanged"}
    assert contents(branch) == contents(main)
    [found] = branches(main)
    assert (found.tables, found.size_bytes, found.begins_at, found.is_behind) == ((), 0, 1, False)


def test_clean_keeps_what_a_branch_reads(main: Target, branch: Target) -> None:
    run(SHOP, branch)
    wanted = contents(branch)
    for number in (2, 3, 4):
        add_sale(main, number)
        run(SHOP, main, full_refresh=True)
    clean(main, 1, dry_run=False)
    assert contents(branch) == wanted
    with pytest.raises(WarehouseError, match="was cleaned"):
        contents(main, 2)
    drop_branch(main, "trial")
    assert clean(main, 1, dry_run=False)
    with pytest.raises(WarehouseError, match="was cleaned"):
        contents(main, 1)


def test_clean_and_rollback_work_on_a_branch(main: Target, branch: Target) -> None:
    run(DOUBLED, branch)
    first = contents(branch)
    add_sale(main, 2)
    run(DOUBLED, branch)
    rollback(branch, 1)
    assert contents(branch) == first
    run(DOUBLED, branch)
    wanted = contents(branch)
    clean(branch, 1, dry_run=False)
    assert contents(branch) == wanted
    with pytest.raises(WarehouseError, match="was cleaned"):
        contents(branch, 2)


def test_what_works_on_main_alone_says_so(main: Target, branch: Target) -> None:
    run(SHOP, branch)
    with pytest.raises(ConfigError, match="branches have rows of their own: trial"):
        forget(main, {"shop": "a"})
    for command in (lambda: forget(branch, {"shop": "a"}), lambda: repair(SHOP, branch)):
        with pytest.raises(ConfigError, match="on main, not on branch 'trial'"):
            command()
    with pytest.raises(ConfigError, match="is a branch, which has no branches"):
        on_branch(branch, "twig")


@pytest.mark.parametrize("name", ["main", "3", "", "a/b", "../up", "-x", ".x", "a b", "x" * 65])
def test_names_that_no_branch_may_have(name: str, main: Target) -> None:
    with pytest.raises(ConfigError, match="no branch can be named"):
        on_branch(main, name)


def test_a_branch_of_nothing_is_refused(tmp_path: Path) -> None:
    target = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")
    with pytest.raises(ConfigError, match="no published run yet, at which branch 'trial'"):
        run(SHOP, on_branch(target, "trial"))


def test_damage_of_a_table_that_a_branch_reads_of_main_is_told(
    main: Target, branch: Target
) -> None:
    run(DOUBLED, branch)
    for path in Path(str(main.warehouse)).glob("staging/sales/*.parquet"):
        path.unlink()
    with pytest.raises(WarehouseError, match=r"staging/sales cannot be read.*damaged"):
        sql("from staging.sales", branch)
    assert [each.table for each in verify(DOUBLED, branch).damages] == ["staging.sales"]


@pytest.mark.parametrize(
    ("point", "number"), [("before move", 2), ("after move", 2), ("before ledger", 1)]
)
def test_a_merge_that_is_killed_leaves_main_and_the_branch(
    point: str, number: int, main: Target, branch: Target, commands: Commands
) -> None:
    add_sale(main, 2)
    run(DOUBLED, branch)
    before, wanted = contents(main), contents(branch)
    killed(commands, main, point, number, "merge")
    assert (contents(main), contents(branch)) == (before, wanted)
    assert merge_branch(main, "trial").run_id == 2
    assert contents(main) == wanted
    assert verify(DOUBLED, main).damages == ()


def test_a_merge_that_is_stopped_leaves_no_file_that_no_log_names(
    main: Target, branch: Target, commands: Commands
) -> None:
    run(DOUBLED, branch)
    before = files_of(main).keys()
    hears_a_signal_at(delta, "_commit_exactly", lambda: merge_branch(main, "trial"))
    assert files_of(main).keys() == before
    killed(commands, main, "after move", 1, "merge")
    assert files_of(main).keys() > before
    assert run(SHOP, main).kind == "unchanged"
    assert files_of(main).keys() == before
    assert merge_branch(main, "trial").run_id == 2


def test_a_merge_that_is_killed_when_it_was_published_is_done(
    main: Target, branch: Target, commands: Commands
) -> None:
    run(DOUBLED, branch)
    wanted = contents(branch)
    killed(commands, main, "after ledger", 1, "merge")
    assert contents(main) == wanted
    assert [each.is_behind for each in branches(main)] == [True]
    drop_branch(main, "trial")
    assert contents(main) == wanted


def test_a_signal_leaves_no_part_of_a_branch_that_is_merged_or_dropped(
    main: Target, branch: Target
) -> None:
    run(DOUBLED, branch)
    wanted = contents(branch)
    hears_a_signal_at(ledger, "append", lambda: merge_branch(main, "trial"))
    assert contents(main) == wanted
    assert not Path(str(branch.warehouse)).exists()
    run(revenues(3), branch)
    hears_a_signal_at(os, "rmdir", lambda: drop_branch(main, "trial"), signals=2)
    assert not Path(str(branch.warehouse)).exists()
    assert contents(main) == wanted


def test_branches_in_a_store_are_read_merged_and_cleaned_as_on_a_disk(
    lake: Lake, tmp_path: Path
) -> None:
    here = Target(name="here", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")
    raw_there = lake.put(tmp_path / "raw", "raw")
    there = here.model_copy(update={"raw": raw_there, "warehouse": Remote(f"{lake.url}/w")})
    for target in (here, there):
        run(SHOP, target)
    add_sale(here, 2)
    obstore.put(lake.store, "raw/sales-2.jsonl", (tmp_path / "raw/sales-2.jsonl").read_bytes())
    for target in (here, there):
        run(DOUBLED, on_branch(target, "trial"))
    wanted = contents(on_branch(here, "trial"))
    assert contents(on_branch(there, "trial")) == wanted
    assert [(each.name, each.is_behind) for each in branches(there)] == [("trial", False)]
    assert verify(DOUBLED, on_branch(there, "trial")).damages == ()
    clean(there, 1, dry_run=False)
    assert merge_branch(there, "trial", DOUBLED).run_id == 2
    assert contents(there) == wanted
    assert branches(there) == []
    run(SHOP, on_branch(there, "other"))
    drop_branch(there, "other")
    assert branches(there) == []


def chosen(shop: str, percent: int) -> bool:
    return int(hashlib.md5(shop.encode()).hexdigest()[:8], 16) < percent * 16**8 // 100


@pytest.mark.thorough("spark")
def test_a_sample_has_all_rows_of_some_keys(engine: Workbench, main: Target) -> None:
    shops = [f"shop {number}" for number in range(40)]
    lines = [
        f'{{"shop": "{shop}", "day": "2024-05-0{n}", "amount": "{n}"}}\n'
        for shop in shops
        for n in (1, 2)
    ]
    (Path(str(main.raw)) / "sales-many.jsonl").write_text("".join(lines))
    engine.run(SHOP, main)
    branch = on_branch(main, "trial")
    engine.run(DOUBLED, branch, sample="30%")
    whole = on_branch(main, "whole")
    run(DOUBLED, whole)
    wanted = [row for row in contents(whole)["mart.revenue"] if chosen(row["shop"], 30)]
    found = contents(branch)
    assert 3 < len(wanted) < 25
    assert found["mart.revenue"] == wanted
    assert found["staging.sales"] == contents(main)["staging.sales"]
    add_sale(main, 2)
    (Path(str(main.raw)) / "sales-more.jsonl").write_text(
        lines[0].replace("05-01", "06-01") + lines[-1].replace("05-02", "06-01")
    )
    done = engine.run(DOUBLED, branch, sample="30% of shop")
    assert modes(done)["mart.revenue"] == "incremental"
    run(DOUBLED, whole)
    wanted = [row for row in contents(whole)["mart.revenue"] if chosen(row["shop"], 30)]
    assert contents(branch)["mart.revenue"] == wanted
    with pytest.raises(ConfigError, match="has revenue of a sample only"):
        merge_branch(main, "trial")
    assert modes(engine.run(DOUBLED, branch))["mart.revenue"] == "full"
    assert contents(branch) == contents(whole)


@pytest.mark.thorough("spark")
def test_show_has_the_rows_of_the_next_run_of_the_same_sample(
    engine: Workbench, main: Target, branch: Target
) -> None:
    lines = '{"shop": "shop %d", "day": "2024-05-01", "amount": "1"}\n'
    (Path(str(main.raw)) / "sales-many.jsonl").write_text("".join(lines % n for n in range(40)))
    engine.run(WITH_ANSWER, main)
    engine.run(WITH_ANSWER, branch, sample="30% of shop", select="revenue+", full_refresh=True)
    add_sale(main, 2)

    def shown(target: Target, model: str) -> Any:
        found = show(WITH_ANSWER, target, model, limit=99, session=engine.session)
        return found.to_pylist()

    before = {name: shown(branch, name) for name in ("revenue", "cities", "sales")}
    assert all(chosen(row["shop"], 30) for row in before["revenue"])
    assert len(shown(main, "revenue")) == 42 > len(before["revenue"]) + 20
    engine.run(WITH_ANSWER, branch, sample="30% of shop")
    query = "from mart.revenue order by shop"
    assert before["revenue"] == sql(query, branch).to_pylist()
    assert before["cities"] == sql("from answers.cities order by city", branch).to_pylist()
    assert before["sales"] == shown(main, "sales")
    engine.run(WITH_ANSWER, branch)
    assert shown(branch, "revenue") == shown(main, "revenue")


def test_rows_of_a_sample_are_followed_to_the_lines_of_its_keys(
    main: Target, branch: Target
) -> None:
    lines = '{"shop": "shop %d", "day": "2024-05-01", "amount": "1"}\n'
    (Path(str(main.raw)) / "sales-many.jsonl").write_text("".join(lines % n for n in range(40)))
    run(WITH_ANSWER, main)
    run(WITH_ANSWER, branch, sample="30% of shop", select="revenue+", full_refresh=True)
    shops = {row["shop"] for row in contents(branch)["mart.revenue"]}
    sales = contents(main)["staging.sales"]
    of_them = [row for row in sales if row["shop"] in shops]
    for table in ("revenue", "cities"):
        steps = {step.name: step for step in explain(WITH_ANSWER, branch, table).steps}
        found = steps["staging.sales"]
        assert (found.rows, found.total) == (len(of_them), len(sales)), table
    shop = min(each for each in shops if each.startswith("shop "))
    one = explain(WITH_ANSWER, branch, "revenue", f"shop = '{shop}'")
    assert [line.text for line in one.lines if line.source == "raw_sales"] == [
        f'{{"shop": "{shop}", "day": "2024-05-01", "amount": "1"}}'
    ]


def test_what_is_built_of_a_sample_is_one_too(main: Target, branch: Target) -> None:
    run(WITH_ANSWER, main)
    run(WITH_ANSWER, branch, sample="20% of shop", select="revenue", full_refresh=True)
    run(WITH_ANSWER, branch, select="cities")
    run(WITH_ANSWER, branch, select="revenue")
    with pytest.raises(ConfigError, match="has cities of a sample only"):
        merge_branch(main, "trial")
    run(WITH_ANSWER, branch)
    merge_branch(main, "trial")
    assert contents(main) == contents(main, 2)


def test_a_first_run_that_is_killed_leaves_a_branch_that_can_be_dropped(
    main: Target, branch: Target, commands: Commands
) -> None:
    killed(commands, branch, "before ledger", 1, "full")
    [found] = branches(main)
    assert (found.name, found.run_id, found.begins_at) == ("trial", 0, None)
    with pytest.raises(ConfigError, match="branches have rows of their own: trial"):
        forget(main, {"shop": "a"})
    with pytest.raises(WarehouseError, match="the first run on branch 'trial' has not ended"):
        clean(main, 1)
    with pytest.raises(ConfigError, match="branch 'trial' has no run yet"):
        contents(branch)
    drop_branch(main, "trial")
    assert branches(main) == []
    assert not Path(str(branch.warehouse)).exists()


def test_a_merge_that_is_refused_writes_nothing(main: Target, branch: Target) -> None:
    run(DOUBLED, branch)
    files = files_of(main)
    other = Pipeline("other", [raw, staging, mart])
    with pytest.raises(ConfigError, match="of pipeline 'shop', not of 'other'"):
        merge_branch(main, "trial", other)
    for path in Path(str(branch.warehouse)).glob("mart/revenue/*.parquet"):
        path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(WarehouseError):
        merge_branch(main, "trial", DOUBLED)
    assert files_of(main) == files


def test_books_of_a_merge_count_each_line_once(main: Target, branch: Target) -> None:
    for factor in (2, 3):
        run(revenues(factor), branch, full_refresh=True)
    add_sale(main, 2)
    run(revenues(3), branch)
    done = merge_branch(main, "trial", revenues(3))
    [books] = done.books
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (8, 4, 1, 3)
    assert {change.table: change.mode for change in done.changes}["mart.revenue"] == "full"
    assert rollback(main, 1).kind == "rollback to 1"
    assert rollback(main, 2).kind == "rollback to 2"


def test_advice_on_a_branch_is_for_the_branch(main: Target, branch: Target) -> None:
    run(DOUBLED, branch)
    for path in Path(str(branch.warehouse)).glob("mart/revenue/*.parquet"):
        path.unlink()
    with pytest.raises(WarehouseError, match="streampro run --branch trial --full-refresh"):
        sql("from mart.revenue", branch)


def test_what_did_not_change_is_not_sampled(main: Target, branch: Target) -> None:
    done = run(SHOP, branch, sample="50%")
    assert {*modes(done).values()} == {"unchanged"}
    assert contents(branch) == contents(main)
    merge_branch(main, "trial")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *[(each, "says no sample") for each in ("", "5", "0%", "100%", "x% of shop", "5% shop")],
        ("5% of shpo", "no table has a column 'shpo'. Did you mean 'shop'"),
        ("5% of day", "samples are of texts or integers; day is date"),
    ],
)
def test_samples_that_there_are_not(text: str, why: str, branch: Target) -> None:
    with pytest.raises(ConfigError, match=why):
        plan(SHOP, branch, sample=text)


def test_main_is_never_of_a_sample(main: Target) -> None:
    with pytest.raises(ConfigError, match="never for main"):
        run(SHOP, main, sample="5%")


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["main", "a", "b", "c"]), st.sampled_from(["run", "refresh"])),
        st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["merge", "drop"])),
        st.just(("main", "sale")),
    ),
    min_size=4,
    max_size=9,
)


@pytest.mark.thorough
@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(steps)
def test_main_is_always_one_of_its_runs_and_each_branch_a_full_run_of_its_code(
    first_run: Target, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("law")
    main = copied(first_run, folder)
    code = {"main": SHOP, "a": revenues(2), "b": revenues(3), "c": SHOP}
    wanted = {"main": contents(main)}
    begins = dict.fromkeys("abc", 0)
    for number, (name, what) in enumerate(steps):
        target = main if name == "main" else on_branch(main, name)
        newest = ledger.newest(main.warehouse)
        assert newest
        if what == "sale":
            add_sale(main, number)
        elif what in ("run", "refresh"):
            run(code[name], target, full_refresh=what == "refresh")
            if name not in wanted:
                begins[name] = newest.run_id
            wanted[name] = fresh(main, code[name], folder / f"fresh {number}")
        elif name in wanted and what == "drop":
            drop_branch(main, name)
            del wanted[name]
        elif name in wanted and begins[name] == newest.run_id:
            merge_branch(main, name)
            wanted["main"] = wanted.pop(name)
            code["main"] = code[name]
        elif name in wanted:
            with pytest.raises(ConfigError, match="has been published since"):
                merge_branch(main, name)
        for each, rows in wanted.items():
            assert contents(main if each == "main" else on_branch(main, each)) == rows
