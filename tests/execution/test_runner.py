"""A run publishes all or nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pytest
from filelock import FileLock
from pipelines.shop import SALES, SHOP, write_raw

from streampro.config import Target
from streampro.errors import (
    BooksError,
    ConfigError,
    ContractError,
    PipelineError,
    SourceError,
    WarehouseError,
)
from streampro.execution.runner import run
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse import ledger, published
from streampro.warehouse.folders import writing
from streampro.warehouse.run import PublishedTable, Run, Warned
from streampro.warehouse.upkeep.retention import clean

TABLES = ("staging.sales", "staging.sales_rejected", "staging.shops", "mart.revenue")
REVENUE = [
    {"shop": "a", "city": "Oslo", "sales": 2, "amount": 15},
    {"shop": "b", "city": "Rome", "sales": 1, "amount": 7},
]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def revenue(target: Target, run_id: int | None = None) -> list[dict[str, Any]]:
    return published.sql("FROM mart.revenue ORDER BY shop", target, run_id).to_pylist()


def rows_of(target: Target, table: str) -> list[dict[str, Any]]:
    return published.sql(f"FROM {table} ORDER BY ALL", target).to_pylist()


def versions(found: Run) -> dict[str, int]:
    return {item.table: item.version for item in found.tables}


def published_files(target: Target) -> set[str]:
    """Every file that a reader could meet: data, Delta logs and the ledger, not the lock."""
    return {
        str(path.relative_to(target.warehouse))
        for path in target.warehouse.rglob("*")
        if path.is_file() and path.name != "lock"
    }


def sold(shop: str, amount: int) -> str:
    return json.dumps({"shop": shop, "day": "2024-05-03", "amount": str(amount)}) + "\n"


@pytest.mark.slow
def test_a_path_may_climb(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are those of the log, however the warehouse is spelled."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for warehouse in (Path("../climbed"), tmp_path / "here" / ".." / "other"):
        climbing = target.model_copy(update={"raw": Path("../raw"), "warehouse": warehouse})
        assert [run(SHOP, climbing).kind for _ in range(2)] == ["full", "unchanged"]
        assert revenue(climbing) == REVENUE
        (tmp_path / "raw" / "sales2.jsonl").write_text(sold("a", 1), encoding="utf-8")
        assert run(SHOP, climbing).kind == "incremental"
        assert [row["amount"] for row in revenue(climbing)] == [16, 7]
        (tmp_path / "raw" / "sales2.jsonl").unlink()
        clean(climbing, keep=1, dry_run=False)
        assert [row["amount"] for row in revenue(climbing)] == [16, 7]


@pytest.mark.slow
def test_run_publishes_every_table(target: Target) -> None:
    done = run(SHOP, target)
    assert versions(done) == dict.fromkeys(TABLES, 0)
    assert {item.table: item.rows for item in done.tables} == {
        "staging.sales": 3,
        "staging.sales_rejected": 2,
        "staging.shops": 2,
        "mart.revenue": 2,
    }
    assert revenue(target) == REVENUE
    assert (
        rows_of(target, "staging.sales_rejected")
        == [
            {
                "reject_reason": "no day",
                "raw_line": '{"shop": "c", "day": "soon", "card":"***"}',
                "source_file": "sales.jsonl",
            }
        ]
        * 2
    )


@pytest.mark.slow
def test_secret_stands_nowhere_in_the_warehouse(target: Target) -> None:
    run(SHOP, target)
    assert rows_of(target, "staging.sales_rejected")
    assert not [
        path
        for path in target.warehouse.rglob("*")
        if path.is_file() and b"4711-0815-2342" in path.read_bytes()
    ]


@pytest.mark.slow
def test_run_row_tells_inputs_code_packages_books_and_tables(target: Target) -> None:
    before = datetime.now(UTC)
    done = run(SHOP, target)
    assert target.raw is not None
    assert ledger.runs(target.warehouse) == [done]
    assert (done.run_id, done.pipeline, done.target, done.engine) == (1, "shop", "test", "duckdb")
    assert before <= done.started_at <= done.finished_at <= datetime.now(UTC)
    files = {item.path: (item.size, item.modified_ns) for item in done.inputs}
    assert files == {
        name: ((target.raw / name).stat().st_size, (target.raw / name).stat().st_mtime_ns)
        for name in ("sales.jsonl", "shops.csv")
    }
    assert set(done.code) == {"sales", "shops", "revenue"}
    assert done.packages["ibis-framework"] == ibis.__version__
    assert all(item.seconds is not None and item.seconds >= 0 for item in done.tables)
    [books] = done.books
    assert (books.source, books.lines) == ("raw_sales", 6)
    assert (books.accepted, books.duplicates, books.rejected) == (3, 1, 2)
    assert books.reasons == {"no day": 2}
    assert json.loads(json.dumps(done.to_json()))["run_id"] == 1


@pytest.mark.slow
def test_full_refresh_gives_the_same_rows_and_new_versions(target: Target) -> None:
    first = run(SHOP, target)
    rows = {table: rows_of(target, table) for table in TABLES}
    second = run(SHOP, target, full_refresh=True)
    assert {table: rows_of(target, table) for table in TABLES} == rows
    assert (second.run_id, versions(second)) == (2, dict.fromkeys(TABLES, 1))
    assert second.code == first.code
    assert [found.run_id for found in ledger.runs(target.warehouse)] == [1, 2]


@pytest.mark.slow
def test_older_run_can_still_be_asked(target: Target) -> None:
    run(SHOP, target)
    write_raw(target.raw, SALES + sold("a", 100))
    run(SHOP, target)
    assert revenue(target)[0]["amount"] == 115
    assert revenue(target, run_id=1) == REVENUE
    with pytest.raises(ConfigError, match=r"no run 3; the runs are 1 to 2\."):
        revenue(target, run_id=3)


@pytest.mark.slow
def test_failed_audit_publishes_nothing(target: Target) -> None:
    run(SHOP, target)
    before = published_files(target)
    write_raw(target.raw, SALES + sold("c", -50) + sold("d", -60))
    with pytest.raises(ContractError) as caught:
        run(SHOP, target)
    first, *samples = str(caught.value).splitlines()
    assert first == (
        "mart.revenue broke 1 rule: amount greater_than_or_equal_to(0) in 2 rows. "
        "Nothing was published; the table stays at version 0. First rows:"
    )
    assert sorted(samples) == [
        "  {'shop': 'c', 'city': None, 'sales': 1, 'amount': -50}",
        "  {'shop': 'd', 'city': None, 'sales': 1, 'amount': -60}",
    ]
    assert published_files(target) == before
    assert len(ledger.runs(target.warehouse)) == 1
    assert revenue(target) == REVENUE


def test_failed_audit_of_a_first_run_says_that_the_table_does_not_exist(target: Target) -> None:
    write_raw(target.raw, shops="shop,city\na,Oslo\na,Rome\n,Bonn\n")
    with pytest.raises(ContractError) as caught:
        run(SHOP, target)
    first, *samples = str(caught.value).splitlines()
    assert first == (
        "staging.shops broke 1 rule: key (shop) is repeated in 1 rows. "
        "Nothing was published; the table does not exist yet. First rows:"
    )
    assert sorted(samples) == [
        "  {'shop': 'a', 'city': 'Oslo'}",
        "  {'shop': 'a', 'city': 'Rome'}",
    ]
    assert published_files(target) == set()
    with pytest.raises(ConfigError, match="no published run yet"):
        revenue(target)


@pytest.mark.slow
def test_warning_is_recorded_and_published(target: Target) -> None:
    write_raw(target.raw, sold("a", 2000) + sold("x", 1))
    done = run(SHOP, target)
    assert set(done.warnings) == {
        Warned("mart.revenue", "amount_is_usual", 1),
        Warned("mart.revenue", "orphan shop: not in shops.shop", 1),
    }
    assert [row["amount"] for row in revenue(target)] == [2000, 1]


@pytest.mark.slow
def test_unreadable_bytes_are_a_warning_of_the_books(target: Target) -> None:
    assert target.raw is not None
    with (target.raw / "sales.jsonl").open("ab") as file:
        file.write(b'{"shop": "\xff", "day": "2024-05-01"}\n')
    [books] = run(SHOP, target).books
    assert (books.lines, books.warnings) == (7, {"invalid_utf8": 1})
    assert "\ufffd" in [row["shop"] for row in rows_of(target, "staging.sales")]


@pytest.mark.slow
def test_selection_builds_a_part_and_keeps_the_other_versions(target: Target) -> None:
    first = run(SHOP, target)
    write_raw(target.raw, SALES + sold("b", 3))
    second = run(SHOP, target, select="sales")
    changed = {"staging.sales": 1, "staging.sales_rejected": 1}
    assert versions(second) == versions(first) | changed
    assert [item.path for item in second.inputs] == ["shops.csv", "sales.jsonl"]
    kept = {item.table: item for item in second.tables}["mart.revenue"]
    assert kept == PublishedTable("mart.revenue", 0, 2)
    assert revenue(target) == REVENUE
    run(SHOP, target, select="revenue")
    assert revenue(target)[1] == {"shop": "b", "city": "Rome", "sales": 2, "amount": 10}


def test_selection_without_its_inputs_says_what_to_select(target: Target) -> None:
    with pytest.raises(ConfigError) as caught:
        run(SHOP, target, select="revenue")
    assert str(caught.value) == (
        "mart.revenue is built from staging.sales, which was never published. "
        "Select it too: --select +revenue."
    )
    assert published_files(target) == set()


def test_selection_of_nothing_is_refused(target: Target) -> None:
    with pytest.raises(PipelineError):
        run(SHOP, target, select=" , ")


@pytest.mark.slow
def test_second_writer_is_refused(target: Target) -> None:
    run(SHOP, target)
    with (
        FileLock(target.warehouse / "_streampro" / "lock"),
        pytest.raises(WarehouseError, match=r"another run is writing to .*Wait for it to end"),
    ):
        run(SHOP, target)
    assert run(SHOP, target, full_refresh=True).run_id == 2


@pytest.mark.slow
def test_readers_are_served_while_another_writes(target: Target) -> None:
    run(SHOP, target)
    with writing(target.warehouse):
        assert revenue(target) == REVENUE


def test_folder_with_other_files_is_refused_and_left_alone(target: Target) -> None:
    target.warehouse.mkdir()
    (target.warehouse / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files and is no StreamPro warehouse"):
        run(SHOP, target)
    assert [path.name for path in target.warehouse.iterdir()] == ["thesis.txt"]


def test_warehouse_that_is_a_file_is_refused(target: Target) -> None:
    target.warehouse.write_text("mine")
    with pytest.raises(ConfigError, match="there can be no warehouse"):
        run(SHOP, target)
    assert target.warehouse.read_text() == "mine"


def test_raw_folder_is_needed(target: Target) -> None:
    with pytest.raises(ConfigError, match="no raw folder: give --raw DIR"):
        run(SHOP, target.model_copy(update={"raw": None}))


def test_missing_source_file_publishes_nothing(target: Target) -> None:
    assert target.raw is not None
    (target.raw / "shops.csv").unlink()
    with pytest.raises(SourceError, match=r"has no file shops\.csv for source 'raw_shops'"):
        run(SHOP, target)
    assert published_files(target) == set()


def test_expressions_that_differ_from_their_contract_are_refused_before_any_work(
    target: Target,
) -> None:
    from pipelines.shop import mart, raw, staging

    wrong = Pipeline("wrong", [raw, staging, mart])
    wrong.models["shops"] = type(wrong.models["shops"])(
        table=TableName("staging", "shops"),
        transform=lambda raw_shops: raw_shops.select("shop"),
        contract=staging.Shops,
        inputs=("raw_shops",),
    )
    with pytest.raises(PipelineError, match=r"staging\.shops lacks city\."):
        run(wrong, target)
    assert not target.warehouse.exists()


@pytest.mark.slow
def test_lines_that_vanish_inside_a_transform_are_caught_by_the_books(target: Target) -> None:
    from pipelines.shop import raw, staging

    def sales(raw_sales: Any) -> Any:
        rows = staging.sales(raw_sales)
        return rows.filter(rows.shop != "b")

    leaky = Pipeline("leaky", [raw, staging])
    leaky.models["sales"] = type(staging.sales)(
        table=TableName("staging", "sales"),
        transform=sales,
        contract=staging.Sales,
        inputs=("raw_sales",),
        quarantine=True,
    )
    with pytest.raises(BooksError) as caught:
        run(leaky, target)
    assert str(caught.value) == (
        "the books of raw_sales do not balance: 6 lines, but 2 accepted + 1 duplicates + "
        "2 rejected = 5. Nothing was published. If a file grew while it was read, run again."
    )
    assert published_files(target) == set()


@pytest.mark.slow
def test_failed_publication_leaves_readers_and_no_stray_files(target: Target) -> None:
    run(SHOP, target)
    log = target.warehouse / "mart" / "revenue" / "_delta_log"
    log.rename(log.with_name("aside"))
    log.write_text("no folder")
    with pytest.raises(WarehouseError, match="the table cannot be published"):
        run(SHOP, target, full_refresh=True)
    log.unlink()
    log.with_name("aside").rename(log)
    assert revenue(target) == REVENUE
    assert run(SHOP, target, full_refresh=True).run_id == 2
    data = {path.name for path in (target.warehouse / "mart" / "revenue").glob("*.parquet")}
    assert len(data) == 2, "a file that no version names"


@pytest.mark.slow
@pytest.mark.parametrize("folder", [".", "raw/", "raw[1]", "it's", "r\u00e4w", "day=1"])
def test_source_file_is_relative_to_any_raw_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    raw = write_raw(Path(folder))
    target = Target(name="test", raw=raw, warehouse=Path("warehouse"))
    run(SHOP, target, select="sales")
    files = published.sql("SELECT DISTINCT source_file FROM staging.sales_rejected", target)
    assert files.to_pylist() == [{"source_file": "sales.jsonl"}]
