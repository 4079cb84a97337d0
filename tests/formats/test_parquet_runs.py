"""A pipeline over Parquet files: its books, what is new in a run, and the way down to a row."""

import datetime as d
from pathlib import Path
from types import ModuleType

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published import contents
from servers import Lake

import streampro
from streampro import Contract, Instant, Pipeline, Source, Target, column, model
from streampro.errors import SourceError
from streampro.lineage.explain import Line, Step
from streampro.location import Remote
from streampro.modeling.model import REJECT_COLUMNS
from streampro.testing import Workbench

pytestmark = pytest.mark.slow


class Sale(Contract):
    """One row per sale."""

    shop: str = column("Shop.")
    month: str = column("Month, as the folder tells it.")
    at: Instant = column("When.", unit="UTC")
    amount: dt.Int64 = column("Price.", nullable=True)

    class Config:
        unique = ["shop", "month", "at", "amount"]


class Revenue(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    amount: dt.Int64 = column("Sum of the prices.", nullable=True)

    class Config:
        unique = ["shop"]


def sales(raw_sales: ir.Table) -> ir.Table:
    at, shop = raw_sales["at"], raw_sales.shop
    reason = ibis.cases((shop.isnull(), "no shop"), (at.isnull(), "when"))
    rows = raw_sales.mutate(reject_reason=reason)
    return rows.select("shop", "month", "at", "amount", *REJECT_COLUMNS)


def revenue(sales: ir.Table) -> ir.Table:
    return sales.group_by("shop").aggregate(amount=sales.amount.sum())


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    raw, staging, mart = (ModuleType(name) for name in ("raw", "staging", "mart"))
    fields = {name: (name,) for name in ("shop", "at", "amount", "month", "card")}
    types = {"at": Instant, "amount": "int64"}
    raw.sales = Source(  # type: ignore[attr-defined]
        "raw_sales", ("**/sales*.parquet",), "parquet", fields, types=types, secret=("card",)
    )
    sales.__module__, revenue.__module__ = "staging", "mart"
    staging.sales = model(contract=Sale, incremental_by="shop", quarantine=True)(sales)  # type: ignore[attr-defined]
    mart.revenue = model(contract=Revenue, incremental_by="shop")(revenue)  # type: ignore[attr-defined]
    return Pipeline("parquet", [raw, staging, mart])


AT = d.datetime(2026, 1, 5, 10, tzinfo=d.UTC)


def write(raw: Path, name: str, *rows: tuple[str | None, d.datetime | None, int | None]) -> None:
    path = raw / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shops, instants, amounts = zip(*rows, strict=True)
    at = pa.array(instants, pa.timestamp("us", "UTC"))
    price = pa.array(amounts, pa.int32())
    table = pa.table({"amount": price, "at": at, "shop": shops, "card": ["4711"] * len(rows)})
    pq.write_table(table, path)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    raw = tmp_path / "raw"
    write(raw, "month=2026-01/sales.parquet", ("a", AT, 10), ("a", AT, 10), (None, AT, 1),
          ("a", AT + d.timedelta(microseconds=1), 5), ("b", AT, 7), ("b", None, None))  # fmt: skip
    return Target(name="test", raw=raw, warehouse=tmp_path / "w")


@pytest.mark.thorough("spark")
def test_rows_are_booked_and_new_files_are_added(
    pipeline: Pipeline, target: Target, engine: Workbench
) -> None:
    first = engine.run(pipeline, target)
    [books] = first.books
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (6, 3, 1, 2)
    assert books.reasons == {"no shop": 1, "when": 1}
    write(Path(str(target.raw)), "month=2026-02/sales.parquet", ("a", AT, 1), ("c", AT, 2))
    plan = engine.plan(pipeline, target)
    assert (plan.changes[0].mode, plan.changes[0].added) == ("incremental", 2)
    second = engine.run(pipeline, target)
    assert [(books.lines, books.accepted) for books in second.books] == [(2, 2)]
    query = "select reject_reason, raw_line, source_file from staging.sales_rejected order by 1"
    rejected = streampro.sql(query, target).to_pylist()
    sums = streampro.sql("from mart.revenue order by shop", target).to_pylist()
    assert rejected == [
        {"reject_reason": "no shop", "source_file": "month=2026-01/sales.parquet",
         "raw_line": '{"shop":null,"at":"2026-01-05 10:00:00+00","amount":1,"card":"***"}'},
        {"reject_reason": "when", "source_file": "month=2026-01/sales.parquet",
         "raw_line": '{"shop":"b","at":null,"amount":null,"card":"***"}'},
    ]  # fmt: skip
    assert sums == [
        {"shop": "a", "amount": 16},
        {"shop": "b", "amount": 7},
        {"shop": "c", "amount": 2},
    ]


def test_number_is_followed_to_rows_of_files(pipeline: Pipeline, target: Target) -> None:
    streampro.run(pipeline, target)
    found = streampro.explain(pipeline, target, "revenue.amount", "shop = 'a'")
    assert found.steps == (
        Step("mart.revenue", 1, 2),
        Step("staging.sales", 2, 3),
        Step("raw_sales", 3, 6, duplicates=1),
    )
    path = "month=2026-01/sales.parquet"
    text = '{"shop":"a","at":"2026-01-05 10:00:00#+00","amount":@,"card":"***"}'
    assert found.lines == tuple(
        Line("raw_sales", path, number, text.replace("#", part).replace("@", price))
        for number, part, price in ((1, "", "10"), (4, ".000001", "5"))
    )
    assert found.notes == ()
    forgotten = streampro.forget(target, {"shop": "b"}, pipeline=pipeline, dry_run=True)
    assert forgotten.raw is not None
    assert [(each.path, each.lines) for each in forgotten.raw] == [
        ("month=2026-01/sales.parquet", 2)
    ]


@pytest.mark.thorough
def test_files_of_a_store_are_read_as_those_of_a_disk(
    pipeline: Pipeline, target: Target, lake: Lake
) -> None:
    raw = Path(str(target.raw))
    there = Target(
        name="there", raw=lake.put(raw, "raw"), warehouse=Remote(f"{lake.url}/warehouse")
    )
    for mode in ("full", "incremental"):
        runs = [streampro.run(pipeline, each) for each in (target, there)]
        assert [run.kind for run in runs] == [mode] * 2
        assert runs[0].books == runs[1].books
        assert contents(there) == contents(target)
        if mode == "full":
            write(raw, "month=2026-02/sales.parquet", ("a", AT, 1), ("c", AT, 2))
            lake.put(raw / "month=2026-02", "raw/month=2026-02")
    wanted = streampro.explain(pipeline, target, "revenue.amount", "shop = 'a'")
    assert streampro.explain(pipeline, there, "revenue.amount", "shop = 'a'").lines == wanted.lines
    [here, far] = (
        streampro.forget(each, {"shop": "b"}, pipeline=pipeline) for each in (target, there)
    )
    assert far == here
    assert contents(there) == contents(target)
    assert not streampro.verify(pipeline, there).damages
    write(raw, "month=2026-02/sales.parquet", ("a", AT, 5))
    lake.put(raw / "month=2026-02", "raw/month=2026-02")
    [change, *_] = streampro.plan(pipeline, there).changes
    assert (change.mode, change.reason) == ("full", "month=2026-02/sales.parquet changed")


def test_file_written_anew_is_a_rebuild_and_one_that_changes_is_refused(
    pipeline: Pipeline, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    streampro.run(pipeline, target)
    raw = Path(str(target.raw))
    write(raw, "month=2026-01/sales.parquet", ("b", AT, 7))
    planned = streampro.plan(pipeline, target)
    assert planned.changes[0].reason == "month=2026-01/sales.parquet changed"
    assert planned.changes[0].mode == "full"
    monkeypatch.setattr("streampro.formats.files._is_still", lambda *_: False)
    with pytest.raises(
        SourceError, match=r"changed while it was read\. Write such files elsewhere"
    ):
        streampro.run(pipeline, target)


def test_files_dealt_out_make_the_tables_of_one_run(pipeline: Pipeline, target: Target) -> None:
    raw = Path(str(target.raw))
    many = [("abc"[n % 3], AT + d.timedelta(hours=n), n) for n in range(200)]
    write(raw, "month=2026-02/sales.parquet", *many)
    assert streampro.check_incremental(pipeline, target, parts=3).runs == 3
