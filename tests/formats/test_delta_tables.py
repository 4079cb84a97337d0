"""Delta tables of others as sources: what is added is read, what is not read right is refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pipelines.shop import SHOP, add_sale, write_raw
from published import contents
from servers import Lake

import streampro
from streampro import Contract, Pipeline, Source, Target, column, model
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import SourceError
from streampro.execution.progress import Unwatched
from streampro.location import Remote
from streampro.modeling.model import REJECT_COLUMNS
from streampro.storage import delta
from streampro.testing import Workbench

pytestmark = pytest.mark.slow


class Order(Contract):
    """One row per order."""

    id: dt.Int64 = column("Order.")
    month: str = column("Month.", nullable=True)
    note: str = column("Note, of newer versions only.", nullable=True)

    class Config:
        unique = ["id", "month", "note"]


def orders(raw_orders: ir.Table) -> ir.Table:
    reason = raw_orders.id.isnull().ifelse("no id", None)
    return raw_orders.mutate(reject_reason=reason).select("id", "month", "note", *REJECT_COLUMNS)


def source(*fields: str, table: str = "orders", **options: Any) -> Source:
    return Source("raw_orders", (table,), "delta", {name: (name,) for name in fields}, **options)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    raw, staging = ModuleType("raw"), ModuleType("staging")
    raw.orders = source("id", "month", "note", types={"id": "int64"})  # type: ignore[attr-defined]  # a module made here
    orders.__module__ = "staging"
    staging.orders = model(contract=Order, incremental_by="id", quarantine=True)(orders)  # type: ignore[attr-defined]
    return Pipeline("delta", [raw, staging])


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "raw").mkdir()
    return Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "w")


def write(target: Target, *ids: int | None, mode: Any = "append", **more: list[str]) -> None:
    columns = {"id": pa.array(ids, pa.int64()), "month": ["2026/01", None] * (len(ids) // 2)}
    write_deltalake(
        f"{target.raw}/orders",
        pa.table(columns | more),
        mode=mode,
        partition_by=["month"],
        schema_mode="merge" if mode == "append" else "overwrite",
    )


@pytest.mark.thorough("spark")
def test_versions_that_add_files_are_incremental_and_others_a_rebuild(
    pipeline: Pipeline, target: Target, engine: Workbench
) -> None:
    table = Path(str(target.raw)) / "orders"

    def planned_and_run() -> tuple[str, str, int]:
        planned = engine.plan(pipeline, target).changes[0]
        found = engine.run(pipeline, target)
        ids = streampro.sql("select id from staging.orders order by all", target)
        stored = pa.table({"id": DeltaTable(table).to_pyarrow_table()["id"]}).sort_by("id")
        assert ids["id"].to_pylist() == [each for each in stored["id"].to_pylist() if each]
        versions = [file.version for file in found.inputs]
        return planned.mode, planned.reason, max((each or 0 for each in versions), default=0)

    write(target, 1, 2, 3, None, note=["x"] * 4)
    assert planned_and_run() == ("full", "it was never built", 0)
    write(target, 4, 5, more=["x", "y"])
    assert planned_and_run() == ("incremental", "2 new files", 1)
    DeltaTable(table).alter.set_table_properties({"delta.appendOnly": "false"})
    assert planned_and_run() == ("unchanged", "nothing it is built from changed", 2)
    shutil.copytree(table, copy := table.with_name("copy"))
    shutil.rmtree(table)
    copy.rename(table)  # the same table, though every file of it is a new one on the disk
    assert planned_and_run()[0] == "unchanged"
    DeltaTable(table).delete("id = 3")
    mode, reason, version = planned_and_run()
    assert (mode, version) == ("full", 3)
    assert reason.startswith("orders/month=2026%2F01/")
    assert reason.endswith("left the table")
    DeltaTable(table).optimize.compact()
    assert planned_and_run()[0] == "full"
    DeltaTable(table).vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert planned_and_run()[0] == "unchanged"
    write(target, 7, 8, mode="overwrite", note=["x", "y"])
    assert planned_and_run()[0] == "full"
    DeltaTable(table).delete()
    assert planned_and_run()[0] == "full"


@pytest.mark.thorough
def test_table_in_a_store_is_read_as_one_on_a_disk(
    pipeline: Pipeline, target: Target, lake: Lake
) -> None:
    there = Target(
        name="there", raw=Remote(f"{lake.url}/raw"), warehouse=Remote(f"{lake.url}/warehouse")
    )

    def modes() -> list[tuple[str, int]]:
        found = [streampro.run(pipeline, each) for each in (target, there)]
        assert contents(there).keys() == contents(target).keys()
        query = "select id, month, note from staging.orders order by all"
        assert streampro.sql(query, there) == streampro.sql(query, target)
        return [(run.changes[0].mode, len(run.inputs)) for run in found]

    for ids, mode in (((1, 2, 3, None), "full"), ((4, 5), "incremental")):
        for each in (target, there):
            write(each, *ids, note=["x"] * len(ids))
        assert modes() == [(mode, 2 if mode == "full" else 4)] * 2
    [line] = streampro.explain(pipeline, there, "orders", "id = 2").lines
    assert line.file.startswith("orders/month=")
    assert streampro.check_incremental(pipeline, there, parts=2).runs == 2
    for each in (target, there):
        DeltaTable(f"{each.raw}/orders").delete("id = 3")
    assert {mode for mode, _ in modes()} == {"full"}
    scratch = Path(str(target.raw)).with_name("scratch")
    with (
        connect(there, scratch=scratch) as engine,
        pytest.raises(SourceError, match=r"none below s3://.* cannot be read as a Delta table"),
    ):
        engine.read_raw(source("id", table="none"), Remote(f"{lake.url}/raw"))


def test_row_is_followed_to_a_file_of_the_table(pipeline: Pipeline, target: Target) -> None:
    write(target, 1, 2, 3, 4, note=["x"] * 4)
    streampro.run(pipeline, target)
    [line] = streampro.explain(pipeline, target, "orders", "id = 3").lines
    assert line.file.startswith("orders/month=2026%2F01/")
    assert (line.number, line.text) == (2, '{"id":3,"note":"x"}')
    assert streampro.check_incremental(pipeline, target, parts=2).runs == 2
    unread = Path(str(target.raw)) / "orders" / "more.txt"
    unread.write_text("x")
    assert streampro.run(pipeline, target).run_id == 1


class Noticed(Unwatched):
    """Keeps what a run finds odd."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        self.texts.append(text)


def test_what_lies_in_the_folder_of_a_table_is_not_told_as_unread(
    pipeline: Pipeline, target: Target
) -> None:
    """Of Spark there are checksums beside all files, of logs hints at checkpoints."""
    for number in range(2):
        write(target, 2 * number, 2 * number + 1, note=["x"] * 2)
    folder = Path(str(target.raw)) / "orders"
    (folder / ".part-0.parquet.crc").write_text("x")
    (folder / "_delta_log" / ".00000000000000000001.json.crc").write_text("x")
    (folder / "_delta_log" / "_last_checkpoint.old").write_text("x")
    (folder.parent / "_other").mkdir()
    (folder.parent / "other.txt").write_text("x")
    noticed = Noticed()
    streampro.run(pipeline, target, watcher=noticed)
    [told] = [text for text in noticed.texts if "no source reads" in text]
    assert told.startswith(f"no source reads 1 file below {target.raw}: other.txt")


class Best(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    amount: dt.Int64 = column("Amount.")

    class Config:
        unique = ["shop"]


def best(raw_revenue: ir.Table) -> ir.Table:
    known = raw_revenue.shop.notnull() & raw_revenue.amount.notnull()
    return raw_revenue.filter(known).select("shop", "amount")


def of_warehouse(table: str) -> Pipeline:
    raw, staging = ModuleType("raw"), ModuleType("staging")
    raw.revenue = Source(  # type: ignore[attr-defined]
        "raw_revenue",
        (table,),
        "delta",
        {name: (name,) for name in ("shop", "amount")},
        types={"amount": "int64"},
    )
    best.__module__ = "staging"
    staging.best = model(contract=Best)(best)  # type: ignore[attr-defined]
    return Pipeline("best", [raw, staging])


@pytest.mark.thorough("spark")
def test_table_of_a_warehouse_is_read_as_its_newest_run_has_it(
    target: Target, engine: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = delta._KEEPS_ITS_LOG | {"delta.checkpointInterval": "2"}
    monkeypatch.setattr(delta, "_KEEPS_ITS_LOG", kept)
    warehouse = Path(str(target.raw)) / "shops"
    shops = Target(name="shops", raw=write_raw(tmp_path / "sales"), warehouse=warehouse)
    pipeline = of_warehouse("shops/mart/revenue")

    def amounts(of: Target, table: str) -> list[dict[str, Any]]:
        query = f"select shop, amount from {table} order by all"
        return streampro.sql(query, of).to_pylist()

    streampro.run(SHOP, shops)
    first = engine.run(pipeline, target, watcher=(noticed := Noticed()))
    assert noticed.texts == []
    assert amounts(target, "staging.best") == amounts(shops, "mart.revenue")
    assert [file.version for file in first.inputs] == [0]
    more = pa.table({"shop": ["x"], "city": ["X"], "sales": [1], "amount": [1]})
    write_deltalake(warehouse / "mart" / "revenue", more, mode="append")
    assert engine.run(pipeline, target).run_id == 1, "no run of that warehouse published it"
    add_sale(shops, 1)
    streampro.run(SHOP, shops)
    assert engine.run(pipeline, target).run_id == 2
    assert amounts(target, "staging.best") == amounts(shops, "mart.revenue")
    add_sale(shops, 2)
    streampro.run(SHOP, shops)
    streampro.clean(shops, keep=1, dry_run=False)
    for log in ("mart/revenue", "_streampro/runs"):
        assert not (warehouse / log / "_delta_log" / f"{0:020}.json").exists()
    [change] = engine.run(pipeline, target).changes
    assert "left the table" in change.reason, "though the log no longer tells of it"
    assert amounts(target, "staging.best") == amounts(shops, "mart.revenue")
    assert streampro.check_incremental(pipeline, target, parts=2).runs == 2
    lines = streampro.explain(pipeline, target, "best", "shop = 'a'").lines
    assert {line.file.rpartition("/")[0] for line in lines} == {"shops/mart/revenue"}
    for wrong, hint in (("shops/mart/revenues", "mart.revenue"), ("shops/marts/revenue", "")):
        with pytest.raises(SourceError, match=f"run 3 of that warehouse has no table.*{hint}"):
            engine.run(of_warehouse(wrong), target.model_copy(update={"warehouse": tmp_path / "2"}))


@pytest.mark.parametrize(
    ("make", "fields", "told"),
    [
        (lambda raw: (raw / "orders").mkdir(), ("id",), "orders below .* cannot be read as a Delt"),
        (lambda raw: None, ("id",), "orders below .* cannot be read as a Delta table: "),
        (
            lambda raw: write_deltalake(raw / "orders", pa.table({"idd": [1]})),
            ("id",),
            "orders, a Delta table in version 0, has no column 'id', the place of field 'id'. "
            "Did you mean 'idd'",
        ),
        (
            lambda raw: write_deltalake(raw / "orders", pa.table({"id": [1]})),
            ("id",),
            "column 'id' is int64, which does not convert exactly to text",
        ),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_refused(
    make: Any, fields: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    make(tmp_path)
    target = Target(name="test", warehouse=tmp_path / "w")
    with connect(target) as engine, pytest.raises(SourceError, match=told):
        engine.read_raw(source(*fields), tmp_path)


@pytest.fixture(scope="module")
def engines(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    warehouse = tmp_path_factory.mktemp("engines")
    target = Target(name="spark", engine="spark", warehouse=warehouse / "spark")
    with (
        connect(Target(name="duckdb", warehouse=warehouse / "duckdb")) as left,
        connect(target, spark) as right,
    ):
        yield [left, right]


@pytest.mark.thorough
def test_features_of_spark_are_read_right_or_refused(
    engines: list[Engine], spark: Any, tmp_path: Path
) -> None:
    def made(name: str, *properties: str) -> str:
        rows = spark.range(6).selectExpr("CAST(id AS int) AS id", "CAST(id % 2 AS string) AS kind")
        rows.coalesce(1).write.format("delta").save(f"{tmp_path}/{name}")
        table = f"delta.`{tmp_path}/{name}`"
        for each in properties:
            spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({each})")
        return table

    vectors = "'delta.enableDeletionVectors' = 'true'"
    made("without", vectors)
    deleted, purged = made("deleted", vectors), made("purged", vectors)
    for table in (deleted, purged):
        spark.sql(f"DELETE FROM {table} WHERE id = 3")
    spark.sql(f"REORG TABLE {purged} APPLY (PURGE)")
    mapped = made("mapped")
    spark.sql(
        f"ALTER TABLE {mapped} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', "
        "'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')"
    )
    widened = made("widened", "'delta.enableTypeWidening' = 'true'")
    spark.sql(f"ALTER TABLE {widened} ALTER COLUMN id TYPE bigint")
    spark.sql(f"INSERT INTO {widened} VALUES (9000000000, 'x')")
    checkpoints = made("checkpoints", "'delta.checkpointPolicy' = 'v2'",
                       "'delta.checkpointInterval' = '1'")  # fmt: skip
    spark.sql(f"INSERT INTO {checkpoints} VALUES (6, 'x')")
    spark.sql(f"CREATE TABLE delta.`{tmp_path}/clone` SHALLOW CLONE delta.`{tmp_path}/without`")

    def read(name: str) -> list[list[int]]:
        of = source("id", "kind", table=name, types={"id": "int64"})
        found = (engine.fetch(engine.read_raw(of, tmp_path).table) for engine in engines)
        return [sorted(rows["id"].to_pylist()) for rows in found]

    assert read("without") == [[*range(6)]] * 2
    assert read("purged") == [[0, 1, 2, 4, 5]] * 2
    assert read("widened") == [[*range(6), 9_000_000_000]] * 2
    assert read("checkpoints") == [[*range(7)]] * 2
    for name, told in {
        "deleted": "a Delta table with deletion vectors in version 2, so its rows are not",
        "mapped": "a Delta table with column mapping (name) in version 1",
        "clone": "clone has files of another table",
    }.items():
        with pytest.raises(SourceError) as caught:
            read(name)
        assert told in str(caught.value)
