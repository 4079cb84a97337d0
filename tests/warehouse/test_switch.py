"""One warehouse, two engines: either reads, replaces and appends what the other published."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pipelines.shop import SALES, SHOP, TABLES, write_raw
from published import Contents, contents

from streampro.config import Target
from streampro.engines.registry import connect
from streampro.execution.runner import run
from streampro.warehouse.run import Run

RAW = [
    {},
    {"sales": SALES + '{"shop": "c", "day": "2024-05-09", "amount": "2000"}\n{"shop": "\xe9"}\n'},
    {"sales": SALES[: len(SALES) // 2], "shops": 'shop,city\na,"Os, lo"\nd,\n'},
]
"""The raw folder of three runs: growing, and losing lines."""
REVENUE = SHOP.models["revenue"].table


def protocols(warehouse: Path) -> set[tuple[int, int]]:
    tables = [DeltaTable(warehouse / Path(*name.split("."))) for name in TABLES]
    found = [table.protocol() for table in [*tables, DeltaTable(warehouse / "_streampro" / "runs")]]
    return {(each.min_reader_version, each.min_writer_version) for each in found}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Run, Contents]]:
    """What DuckDB makes of each raw folder in a warehouse of its own."""
    found = []
    for files in RAW:
        folder = tmp_path_factory.mktemp("fresh")
        target = Target(
            name="fresh", raw=write_raw(folder / "raw", **files), warehouse=folder / "w"
        )
        found.append((run(SHOP, target), contents(target)))
    return found


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("first", ["duckdb", "spark"])
def test_engines_take_turns_on_one_warehouse(
    first: str, tmp_path: Path, spark: Any, fresh: list[tuple[Run, Contents]]
) -> None:
    second = {"duckdb": "spark", "spark": "duckdb"}[first]
    for number, name in enumerate((first, second, first)):
        raw = write_raw(tmp_path / "raw", **RAW[number])
        target = Target(name=name, engine=name, raw=raw, warehouse=tmp_path / "w")
        session = spark if name == "spark" else None
        done = run(SHOP, target, session=session, full_refresh=True)
        alone, wanted = fresh[number]
        assert (done.run_id, done.engine) == (number + 1, name)
        assert {item.version for item in done.tables} == {number}
        assert (done.books, done.warnings) == (alone.books, alone.warnings)
        assert contents(target) == wanted
        for old in range(number):
            assert contents(target, run_id=old + 1) == fresh[old][1]
    assert protocols(tmp_path / "w") == {(1, 2)}
    with connect(Target(name="x", engine="spark", warehouse=tmp_path / "w"), spark) as engine:
        for version, (_, wanted) in enumerate(fresh):
            rows = engine.fetch(engine.read(REVENUE, version)).to_pylist()
            assert sorted(rows, key=lambda row: row["shop"]) == wanted["mart.revenue"]


@pytest.mark.thorough
@pytest.mark.parametrize("publisher", ["duckdb", "spark"])
def test_others_append_with_their_own_tools_and_the_next_run_replaces(
    publisher: str, tmp_path: Path, spark: Any, fresh: list[tuple[Run, Contents]]
) -> None:
    target = Target(
        name=publisher, engine=publisher, raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w"
    )
    session = spark if publisher == "spark" else None
    run(SHOP, target, session=session)
    folder = tmp_path / "w" / "mart" / "revenue"
    wanted = contents(target)["mart.revenue"]
    for number, append in enumerate((by_delta_spark, by_deltalake), start=1):
        append(spark, folder, f"new {number}")
        wanted = [*wanted, {"shop": f"new {number}", "city": "X", "sales": 1, "amount": None}]
        for engine in ("duckdb", "spark"):
            assert read_by(engine, target, number, spark) == wanted
    assert contents(target) == fresh[0][1], "readers of a run do not see what others appended"
    assert protocols(tmp_path / "w") == {(1, 2)}
    again = run(SHOP, target, session=session, full_refresh=True)
    assert again.version_of(REVENUE) == 3
    assert contents(target) == fresh[0][1]


def by_delta_spark(spark: Any, folder: Path, shop: str) -> None:
    rows = spark.sql(f"select '{shop}' shop, 'X' city, 1L sales, cast(null as bigint) amount")
    rows.write.format("delta").mode("append").save(str(folder))


def by_deltalake(spark: Any, folder: Path, shop: str) -> None:
    table = DeltaTable(folder)
    row = {"shop": shop, "city": "X", "sales": 1, "amount": None}
    write_deltalake(
        table, pa.Table.from_pylist([row], pa.schema(table.schema().to_arrow())), mode="append"
    )


def read_by(engine: str, target: Target, version: int, spark: Any) -> list[dict[str, Any]]:
    reader = target.model_copy(update={"engine": engine, "name": engine})
    with connect(reader, spark if engine == "spark" else None) as found:
        rows = found.fetch(found.read(REVENUE, version)).to_pylist()
    return sorted(rows, key=lambda row: row["shop"])
