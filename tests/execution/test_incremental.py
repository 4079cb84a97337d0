"""An incremental run gives the rows of a full run, and computes no more than it must."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import pytest
from copied import copied
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pipelines.shop import SALES, SHOP, TABLES, mart, raw, staging, write_raw
from published import Contents, contents

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.errors import ConfigError, EngineError, PipelineError
from streampro.execution.runner import plan, run
from streampro.modeling.contract import column, rule as rule_of_rows
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench
from streampro.warehouse import ledger, published
from streampro.warehouse.changes import Change
from streampro.warehouse.run import Run
from streampro.warehouse.upkeep.retention import rollback

pytestmark = pytest.mark.slow

ANY_LINES = SHOP.without_limits()
"""A file may be odd from end to end."""


def sale(shop: str, amount: int, day: str = "2024-05-03") -> str:
    return json.dumps({"shop": shop, "day": day, "amount": str(amount)}) + "\n"


def versions(found: Run) -> dict[str, int]:
    return {item.table: item.version for item in found.tables}


def change_of(found: Any, table: str) -> Change:
    return next(change for change in found.changes if change.table == table)


def modes(found: Any) -> dict[str, str]:
    return {change.table: change.mode for change in found.changes}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture
def ran(first_run: Target, tmp_path: Path) -> Target:
    """A warehouse after one run."""
    return copied(first_run, tmp_path)


def add(target: Target, name: str, text: str) -> None:
    path = Path(str(target.raw)) / name
    path.unlink(missing_ok=True)  # it may be a link
    path.write_text(text)


def times(target: Target) -> dict[Path, int]:
    files = (path for path in target.warehouse.rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in files}


def fresh(target: Target, pipeline: Pipeline = SHOP) -> Contents:
    """What a full run on DuckDB makes of the files at hand in a warehouse of its own."""
    number = len([*target.warehouse.parent.iterdir()])
    other = target.model_copy(update={"warehouse": target.warehouse.parent / f"fresh {number}"})
    run(pipeline, other)
    return contents(other)


# What is computed


def test_new_file_adds_its_rows_and_replaces_those_of_its_keys(
    engine: Workbench, target: Target
) -> None:
    first = engine.run(SHOP, target)
    add(target, "sales 2.jsonl", sale("b", 3) + sale("d", 9) + sale("a", 10, "2024-05-01") + "x\n")
    second = engine.run(SHOP, target)
    assert modes(second) == {
        "staging.sales": "incremental",
        "staging.shops": "unchanged",
        "mart.revenue": "incremental",
    }
    assert versions(second) == versions(first) | {
        "staging.sales": 1,
        "staging.sales_rejected": 1,
        "mart.revenue": 1,
    }
    [books] = second.books
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (4, 2, 1, 1)
    assert change_of(second, "staging.sales").added == 2
    revenue = change_of(second, "mart.revenue")
    assert (revenue.keys, revenue.added, revenue.removed, revenue.changed) == (2, 1, 0, 1)
    assert revenue.columns == {"sales": 1, "amount": 1}
    assert {item.table: item.rows for item in second.tables} == {
        "staging.sales": 5,
        "staging.sales_rejected": 3,
        "staging.shops": 2,
        "mart.revenue": 3,
    }
    assert contents(target) == fresh(target)
    assert contents(target, run_id=1)["mart.revenue"] == [
        {"shop": "a", "city": "Oslo", "sales": 2, "amount": 15},
        {"shop": "b", "city": "Rome", "sales": 1, "amount": 7},
    ]


def test_same_files_again_change_nothing(ran: Target) -> None:
    [first] = ledger.runs(ran.warehouse)
    second = run(SHOP, ran)
    assert set(modes(second).values()) == {"unchanged"}
    assert (versions(second), second.books) == (versions(first), ())
    assert (second.code, second.inputs) == (first.code, first.inputs)


def test_file_that_repeats_stored_rows_changes_no_model(ran: Target) -> None:
    [first] = ledger.runs(ran.warehouse)
    add(ran, "sales 2.jsonl", sale("b", 7, "2024-05-01") * 2)
    second = run(SHOP, ran)
    assert change_of(second, "staging.sales").added == 0
    assert modes(second)["mart.revenue"] == "unchanged"
    [books] = second.books
    assert (books.lines, books.accepted, books.duplicates) == (2, 0, 2)
    assert versions(second) == versions(first)
    assert contents(ran) == fresh(ran)


@pytest.mark.parametrize("what", ["changed", "vanished"])
def test_file_that_is_not_what_it_was_means_a_rebuild(target: Target, what: str) -> None:
    add(target, "sales 2.jsonl", sale("b", 3))
    run(SHOP, target)
    path = Path(str(target.raw)) / "sales 2.jsonl"
    path.unlink() if what == "vanished" else path.write_text(sale("b", 4))
    second = run(SHOP, target, accept_lost_files=True)
    told = change_of(second, "staging.sales")
    assert (told.mode, told.reason) == ("full", f"sales 2.jsonl {what}")
    assert change_of(second, "mart.revenue").reason == "sales was rebuilt"
    assert contents(target) == fresh(target)


def test_file_of_another_time_is_another_file(target: Target) -> None:
    run(SHOP, target)
    path = Path(str(target.raw)) / "sales.jsonl"
    os.utime(path, ns=(0, 0))
    assert change_of(run(SHOP, target), "staging.sales").reason == "sales.jsonl changed"


@pytest.mark.thorough("spark")
def test_changed_dimension_row_touches_its_key_only(engine: Workbench, target: Target) -> None:
    engine.run(SHOP, target)
    add(target, "shops.csv", "shop,city\nb,Ulm\na,Oslo\n")
    second = engine.run(SHOP, target)
    assert modes(second)["staging.sales"] == "unchanged"
    told = change_of(second, "mart.revenue")
    assert (told.mode, told.reason, told.keys) == ("incremental", "shops changed", 1)
    assert (told.changed, told.columns) == (1, {"city": 1})
    assert contents(target) == fresh(target)


@pytest.mark.thorough("spark")
def test_dimension_file_with_the_same_rows_changes_nothing(
    engine: Workbench, target: Target
) -> None:
    first = engine.run(SHOP, target)
    add(target, "shops.csv", "city,shop\nRome,b\nOslo,a\n")
    second = engine.run(SHOP, target)
    assert modes(second) == {
        "staging.sales": "unchanged",
        "staging.shops": "full",
        "mart.revenue": "unchanged",
    }
    assert versions(second) == versions(first)


def test_new_rows_and_changed_dimension_rows_together(ran: Target) -> None:
    add(ran, "sales 2.jsonl", sale("a", 3))
    add(ran, "shops.csv", "shop,city\na,Oslo\nb,Ulm\nc,Bern\n")
    assert change_of(run(SHOP, ran), "mart.revenue").keys == 3
    assert contents(ran) == fresh(ran)


def shop_with(**models: Model) -> Pipeline:
    """The shop pipeline with some models replaced."""
    changed = Pipeline("shop", [raw, staging, mart])
    changed.models.update(models)
    return changed


def test_changed_expression_means_a_rebuild_of_it_and_of_what_follows(ran: Target) -> None:
    def sales(raw_sales: Any) -> Any:
        rows = staging.sales(raw_sales)
        return rows.mutate(amount=rows.amount + 1)

    other = shop_with(sales=replace(staging.sales, transform=sales))
    second = run(other, ran)
    assert change_of(second, "staging.sales").reason == "its expression or its contract changed"
    assert modes(second)["mart.revenue"] == "full"
    assert modes(second)["staging.shops"] == "unchanged"
    assert contents(ran) == fresh(ran, other)


def test_changed_contract_means_a_rebuild(ran: Target) -> None:
    class Revenue(mart.Revenue):
        @rule_of_rows("warn")
        def amount_is_small(cls, revenue: Any) -> Any:
            return revenue.amount < 8

    [first] = ledger.runs(ran.warehouse)
    second = run(shop_with(revenue=replace(mart.revenue, contract=Revenue)), ran)
    assert change_of(second, "mart.revenue").mode == "full"
    assert len(second.warnings) == len(first.warnings) + 1


@pytest.mark.parametrize(
    "declared",
    [
        {"severity": "fail"},
        {"description": "Another text."},
    ],
    ids=["severity of a rule", "description of a column"],
)
def test_contract_that_says_something_else_is_another_one(
    ran: Target, declared: dict[str, str]
) -> None:
    class Revenue(mart.Revenue):
        amount: dt.Int64 = column(
            declared.get("description", "Sum of the prices."), nullable=True, ge=0
        )

        @rule_of_rows(declared.get("severity", "warn"))  # type: ignore[arg-type]  # any text
        def amount_is_usual(cls, revenue: Any) -> Any:
            return revenue.amount < 1000

    second = run(shop_with(revenue=replace(mart.revenue, contract=Revenue)), ran)
    assert change_of(second, "mart.revenue").mode == "full"


def test_order_of_nulls_is_part_of_an_expression(target: Target) -> None:
    def ranked(nulls_first: bool) -> Any:
        def revenue(sales: Any, shops: Any) -> Any:
            rows = mart.revenue(sales, shops)
            order = ibis.asc("city", nulls_first=nulls_first)
            rank = ibis.row_number().over(group_by="shop", order_by=[order]) + 1
            return rows.mutate(sales=rank).select(*rows.columns)

        return shop_with(revenue=replace(mart.revenue, transform=revenue))

    run(ranked(False), target)
    assert change_of(run(ranked(True), target), "mart.revenue").mode == "full"


def test_keyed_model_that_reads_a_source_is_computed_anew(target: Target) -> None:
    def revenue(sales: Any, raw_shops: Any) -> Any:
        return mart.revenue(sales, raw_shops.select("shop", "city"))

    other = Pipeline("shop", [raw, staging, mart])
    keyed = replace(mart.revenue, transform=revenue, inputs=("sales", "raw_shops"))
    other.models.update(revenue=keyed)
    del other.models["shops"]
    run(other, target, select="sales,revenue")
    add(target, "sales 2.jsonl", sale("b", 3))
    second = run(other, target, select="sales,revenue")
    assert change_of(second, "mart.revenue").mode == "full"
    [shop] = published.sql("select * from mart.revenue where shop = 'b'", target).to_pylist()
    assert shop == {"shop": "b", "city": "Rome", "sales": 2, "amount": 10}


def test_key_that_may_be_null_in_an_input_touches_every_key(target: Target) -> None:
    class Shops(staging.Shops):
        shop: str = column("Shop, null for what holds of all.", nullable=True)

    def shops(raw_shops: Any) -> Any:
        return raw_shops.select(shop=raw_shops.shop.nullif("*"), city=raw_shops.city)

    def revenue(sales: Any, shops: Any) -> Any:
        rows = mart.revenue(sales, shops.filter(shops.shop.notnull()))
        default = shops.filter(shops.shop.isnull()).select(default=shops.city)
        joined = rows.cross_join(default)
        return joined.mutate(city=joined.city.fill_null(joined.default)).select(*rows.columns)

    other = shop_with(
        shops=replace(staging.shops, contract=Shops, transform=shops),
        revenue=replace(mart.revenue, transform=revenue),
    )
    add(target, "shops.csv", "shop,city\na,Oslo\n*,Bonn\n")
    run(other, target)
    add(target, "sales 2.jsonl", sale("b", 3))
    second = run(other, target)
    assert change_of(second, "mart.revenue").reason == "sales changed; shops.shop may be null"
    assert contents(target) == fresh(target, other)


def test_staging_model_whose_other_input_changed_is_computed_anew(target: Target) -> None:
    def sales(raw_sales: Any, shops: Any) -> Any:
        return staging.sales(raw_sales)

    class Sales(staging.Sales):
        shop: str = column("Shop.", references="shops.shop")

    other = Pipeline("shop", [raw, staging, mart])
    checked = replace(staging.sales, contract=Sales, transform=sales, inputs=("raw_sales", "shops"))
    other.models = {"shops": staging.shops, "sales": checked, "revenue": mart.revenue}
    run(other, target)
    add(target, "shops.csv", "shop,city\na,Oslo\n")
    second = run(other, target)
    assert change_of(second, "staging.sales").mode == "full"
    assert [warned.rule for warned in second.warnings if warned.table == "staging.sales"] == [
        "orphan shop: not in shops.shop"
    ]


def test_references_are_looked_up_in_the_whole_table(target: Target) -> None:
    class Revenue(mart.Revenue):
        city: str = column("City, which sells too.", nullable=True, references="sales.shop")

    other = shop_with(revenue=replace(mart.revenue, contract=Revenue))
    add(target, "shops.csv", "shop,city\na,b\nb,a\n")
    assert run(other, target).warnings == ()
    add(target, "sales 2.jsonl", sale("b", 3))
    assert run(other, target).warnings == ()


def test_columns_that_were_never_published_are_told(ran: Target) -> None:
    class Shops(staging.Shops):
        land: str = column("Land.", nullable=True)

    def shops(raw_shops: Any) -> Any:
        return staging.shops(raw_shops).mutate(land=ibis.literal("N"))

    other = shop_with(shops=replace(staging.shops, contract=Shops, transform=shops))
    with pytest.raises(ConfigError, match=r"before its contract had land\. Select it too: --sel"):
        run(other, ran, select="revenue", full_refresh=True)


def test_full_refresh_of_a_model_is_followed_by_its_readers(ran: Target) -> None:
    [first] = ledger.runs(ran.warehouse)
    second = run(SHOP, ran, select="sales", full_refresh=True)
    assert modes(second) == {"staging.sales": "full"}
    assert versions(second)["mart.revenue"] == versions(first)["mart.revenue"]
    third = run(SHOP, ran)
    assert change_of(third, "mart.revenue").reason == "sales was rebuilt"


def test_model_that_a_run_left_out_catches_up(ran: Target) -> None:
    add(ran, "sales 2.jsonl", sale("b", 3))
    add(ran, "shops.csv", "shop,city\na,Oslo\nb,Ulm\n")
    run(SHOP, ran, select="sales,shops")
    assert modes(run(SHOP, ran)) == {
        "staging.sales": "unchanged",
        "staging.shops": "unchanged",
        "mart.revenue": "full",
    }
    assert contents(ran) == fresh(ran)


def test_empty_new_file_is_no_error(ran: Target) -> None:
    add(ran, "sales 2.jsonl", "\n")
    [books] = run(SHOP, ran).books
    assert books.lines == 0
    assert contents(ran) == fresh(ran)


def test_commits_of_others_are_not_taken_over(ran: Target) -> None:
    for table in ("staging/sales", "mart/revenue"):
        folder = ran.warehouse / table
        rows = DeltaTable(folder)
        write_deltalake(folder, rows.to_pyarrow_table(), mode="append")
    add(ran, "sales 2.jsonl", sale("b", 3))
    second = run(SHOP, ran)
    assert versions(second)["staging.sales"] == 2
    assert contents(ran) == fresh(ran)


@pytest.mark.parametrize("full_refresh", [False, True])
def test_commit_of_another_in_the_middle_of_ours_is_not_taken_over(
    ran: Target, full_refresh: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = contents(ran)["staging.sales"]
    transact = DeltaTable.create_write_transaction
    others: list[Path] = []

    def after_another(table: DeltaTable, *args: Any, **options: Any) -> None:
        folder = ran.warehouse / "staging" / "sales"
        if not others and Path(table.table_uri.removeprefix("file://")) == folder:
            others.append(folder)
            write_deltalake(folder, DeltaTable(folder).to_pyarrow_table(), mode="append")
        transact(table, *args, **options)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", after_another)
    add(ran, "sales 2.jsonl", sale("b", 3))
    second = run(SHOP, ran, full_refresh=full_refresh)
    assert others
    assert versions(second)["staging.sales"] == 2
    assert len(contents(ran)["staging.sales"]) == len(rows) + 1
    assert contents(ran) == fresh(ran)


@pytest.mark.thorough
def test_engines_take_turns(spark: Any, target: Target) -> None:
    for number, name in enumerate(("duckdb", "spark", "duckdb", "spark")):
        add(target, f"sales {number}.jsonl", sale("b", number) + sale("c", 1) + "x\n")
        mine = target.model_copy(update={"engine": name})
        done = run(SHOP, mine, session=spark if name == "spark" else None)
        assert modes(done)["mart.revenue"] == ("incremental" if number else "full")
    assert contents(target) == fresh(target)


# What is refused


def test_model_that_makes_rows_of_other_keys_is_refused(target: Target) -> None:
    def revenue(sales: Any, shops: Any) -> Any:
        rows = mart.revenue(sales, shops)
        everyone = rows.aggregate(amount=rows.amount.sum(), sales=rows.sales.sum())
        total = everyone.mutate(shop=ibis.literal("all"), city=ibis.null("string"))
        return rows.union(total.select(*rows.columns))

    claimed = {"incremental_by": "a claim that is not so"}
    other = shop_with(revenue=replace(mart.revenue, transform=revenue, allow=claimed))
    run(other, target)
    before = contents(target)
    add(target, "sales 2.jsonl", sale("b", 3))
    with pytest.raises(
        PipelineError, match=r"revenue is declared incremental by 'shop', but .* 1 "
    ):
        run(other, target)
    assert contents(target) == before


def test_staging_model_that_looks_at_other_rows_cannot_be_incremental() -> None:
    def sales(raw_sales: Any) -> Any:
        rows = staging.sales(raw_sales)
        return rows.filter(ibis.row_number().over(group_by="shop", order_by="day") == 0)

    [told] = shop_with(sales=replace(staging.sales, transform=sales)).problems()
    assert told == (
        "staging.sales is incremental by shop, so every row must follow from one line alone; it "
        "uses WindowFunction."
    )


def test_rule_of_an_incremental_model_must_look_at_one_row() -> None:
    class Sales(staging.Sales):
        @rule_of_rows("quarantine")
        def is_not_the_greatest(cls, sales: Any) -> Any:
            return sales.amount < sales.view().amount.max().as_scalar()

    told = shop_with(sales=replace(staging.sales, contract=Sales)).problems()
    assert "is_not_the_greatest uses ScalarSubquery." in told[-1]
    assert told[-1].startswith("staging.sales is incremental by shop, so its rules must look at ")


def test_half_of_the_readers_of_a_source_cannot_be_built_alone(target: Target) -> None:
    other = shop_with(more=replace(staging.shops, table=TableName("staging", "more")))
    with pytest.raises(ConfigError, match="source 'raw_shops' is also read by more, which must"):
        run(other, target, select="shops")
    run(other, target, select="+shops")
    assert {*modes(run(other, target, select="+shops"))} == {"staging.shops", "staging.more"}


# Columns that come and go


class WithTax(mart.Revenue):
    tax: dt.Int64 = column("Tax.", nullable=True)


def revenue_with_tax(sales: Any, shops: Any) -> Any:
    rows = mart.revenue(sales, shops)
    return rows.mutate(tax=rows.amount // 10)


@pytest.mark.thorough("spark")
def test_new_column_is_filled_by_the_rebuild(engine: Workbench, target: Target) -> None:
    engine.run(SHOP, target)
    other = shop_with(revenue=replace(mart.revenue, contract=WithTax, transform=revenue_with_tax))
    second = engine.run(other, target)
    assert {name for name, mode in modes(second).items() if mode != "unchanged"} == {"mart.revenue"}
    assert [row["tax"] for row in contents(target)["mart.revenue"]] == [1, 0]
    assert "tax" not in contents(target, run_id=1)["mart.revenue"][0]


def test_lost_column_is_refused_with_the_command_that_allows_it(target: Target) -> None:
    other = shop_with(revenue=replace(mart.revenue, contract=WithTax, transform=revenue_with_tax))
    run(other, target)
    with pytest.raises(PipelineError) as caught:
        run(SHOP, target)
    assert str(caught.value) == (
        "mart.revenue as published has other columns than its contract: tax (int64) is gone. "
        "Queries of its readers may break. Nothing was published. To allow it: "
        "streampro run --full-refresh --select revenue+"
    )
    run(SHOP, target, select="revenue+", full_refresh=True)
    assert contents(target) == fresh(target)


def test_column_of_another_type_is_refused(target: Target) -> None:
    class TaxAsText(mart.Revenue):
        tax: str = column("Tax.", nullable=True)

    def as_text(sales: Any, shops: Any) -> Any:
        rows = revenue_with_tax(sales, shops)
        return rows.mutate(tax=rows.tax.cast("string"))

    other = replace(mart.revenue, contract=WithTax, transform=revenue_with_tax)
    run(shop_with(revenue=other), target)
    with pytest.raises(PipelineError, match="tax is string, but was int64"):
        run(shop_with(revenue=replace(other, contract=TaxAsText, transform=as_text)), target)


# What is told before


@pytest.mark.thorough("spark")
def test_plan_says_what_the_run_then_does_and_writes_nothing(
    engine: Workbench, target: Target
) -> None:
    engine.run(SHOP, target)
    add(target, "sales 2.jsonl", sale("b", 3) + "x\n")
    before = times(target)
    planned = engine.plan(SHOP, target)
    assert times(target) == before
    assert [file.path for file in planned.new_files] == ["sales 2.jsonl"]
    done = engine.run(SHOP, target)
    assert (planned.changes, planned.moves, planned.books) == (done.changes, done.moves, done.books)
    assert ledger.newest(target.warehouse) == done


def test_plan_of_a_first_run_makes_no_warehouse(target: Target) -> None:
    assert set(modes(plan(SHOP, target)).values()) == {"full"}
    assert not target.warehouse.exists()


# The law

lines = st.builds(
    sale,
    st.sampled_from("abcd"),
    st.integers(0, 3),
    st.sampled_from(["2024-05-01", "2024-04-30", "soon"]),
)
files = st.lists(lines, max_size=4).map("".join)
shops = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["Oslo", "Rome", ""]), min_size=1)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens to the files, and whatever happens to a run, a run equals a full one."""

    def __init__(self, engine: Workbench, folder: Path) -> None:
        super().__init__()
        number = len([*folder.iterdir()])
        self.engine = engine
        self.target = Target(
            name="test", raw=write_raw(folder / f"raw {number}"), warehouse=folder / f"w {number}"
        )
        self.count = 0

    @property
    def folder(self) -> Path:
        return Path(str(self.target.raw))

    def check(self) -> None:
        self.engine.run(ANY_LINES, self.target, accept_lost_files=True)
        assert contents(self.target) == fresh(self.target, ANY_LINES)

    @initialize()
    def first_run(self) -> None:
        self.engine.run(ANY_LINES, self.target)

    @rule(text=files)
    def add_file(self, text: str) -> None:
        self.count += 1
        add(self.target, f"sales {self.count}.jsonl", text)
        self.check()

    @rule()
    def repeat_file(self) -> None:
        self.count += 1
        add(self.target, f"sales {self.count}.jsonl", (self.folder / "sales.jsonl").read_text())
        self.check()

    @rule(found=shops)
    def change_dimension(self, found: dict[str, str]) -> None:
        rows = "".join(f"{shop},{city}\n" for shop, city in found.items())
        add(self.target, "shops.csv", "shop,city\n" + rows)
        self.check()

    @rule(text=files)
    def change_file(self, text: str) -> None:
        add(self.target, "sales.jsonl", SALES + text)
        self.check()

    @rule()
    def remove_file(self) -> None:
        for path in sorted(self.folder.glob("sales ?*.jsonl"))[:1]:
            path.unlink()
        self.check()

    @rule(text=files, at=st.integers(1, 4))
    def break_off(self, text: str, at: int) -> None:
        self.count += 1
        add(self.target, f"sales {self.count}.jsonl", text)
        before = contents(self.target)
        kind: type[Engine] = type(self.engine.engine)
        publish, calls = kind.publish, []

        def fail(*args: Any) -> int:
            calls.append(args)
            if len(calls) == at:
                raise EngineError("broken off")
            return publish(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kind, "publish", fail)
            try:
                self.engine.run(ANY_LINES, self.target)
            except EngineError:
                assert contents(self.target) == before
        self.check()

    @rule(text=files, part=st.sampled_from(["sales", "shops", "revenue", "sales,shops"]))
    def build_a_part(self, text: str, part: str) -> None:
        self.count += 1
        add(self.target, f"sales {self.count}.jsonl", text)
        add(self.target, "shops.csv", f"shop,city\na,Ulm {self.count}\nb,Rome\n")
        self.engine.run(ANY_LINES, self.target, select=part)
        self.check()

    @rule(text=files)
    def go_back(self, text: str) -> None:
        runs = ledger.runs(self.target.warehouse)
        if len(runs) > 1:
            before = contents(self.target, runs[-2].run_id)
            if runs[-1].rolled_back_to != runs[-2].run_id:
                rollback(self.target, runs[-2].run_id)
                assert contents(self.target) == before
        self.count += 1
        add(self.target, f"sales {self.count}.jsonl", text)
        self.check()

    @rule(table=st.sampled_from(TABLES), mode=st.sampled_from(["append", "overwrite"]))
    def write_as_another(self, table: str, mode: str) -> None:
        folder = self.target.warehouse / Path(*table.split("."))
        write_deltalake(folder, DeltaTable(folder).to_pyarrow_table(), mode=mode)
        self.check()

    @rule(part=st.sampled_from(["sales", "shops", "revenue", None]))
    def refresh(self, part: str | None) -> None:
        self.engine.run(ANY_LINES, self.target, select=part, full_refresh=True)
        self.check()


@pytest.mark.thorough("spark")
def test_any_order_of_files_and_faults_gives_the_rows_of_a_full_run(
    engine: Workbench, tmp_path: Path
) -> None:
    is_slow = engine.name == "spark"
    is_thorough = settings.default is settings.get_profile("thorough")
    run_state_machine_as_test(
        lambda: AnyOrder(engine, tmp_path),
        settings=settings(
            max_examples=max(1, settings().max_examples // (25 if is_slow else 8)),
            stateful_step_count=8 if is_thorough and not is_slow else 5,
            deadline=None,
            suppress_health_check=[*HealthCheck],
            database=None,
        ),
    )
