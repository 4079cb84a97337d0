"""The 22 queries of TPC-H, written once, give on each engine what DuckDB's own SQL gives."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipelines.tpch import TPCH, answer, generated, write_raw

from streampro.config import Target
from streampro.testing import Workbench
from streampro.warehouse import snapshot

QUERIES = [model.table for model in TPCH.models.values() if model.name.startswith("q")]


@pytest.fixture(scope="module")
def tables() -> duckdb.DuckDBPyConnection:
    return generated(scale=0.01)


@pytest.fixture(scope="module")
def raw(tables: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw(tables, tmp_path_factory.mktemp("tpch") / "raw")


def test_all_22_queries_are_accepted() -> None:
    assert sorted(table.name for table in QUERIES) == [f"q{n:02}" for n in range(1, 23)]
    assert TPCH.problems() == []
    assert TPCH.unportable() == []


def test_every_query_gives_what_the_sql_of_tpch_gives(
    engine: Workbench, tables: duckdb.DuckDBPyConnection, raw: Path, tmp_path: Path
) -> None:
    target = Target(name="tpch", raw=raw, warehouse=tmp_path / "warehouse")
    engine.run(TPCH, target)
    for table in QUERIES:
        found = snapshot.sql(f"FROM {table}", target).to_pylist()
        expected = answer(tables, int(table.name.removeprefix("q")))
        assert comparable(row.values() for row in found) == comparable(expected), table


def comparable(rows: Any) -> list[tuple[str, ...]]:
    """Return rows in any order; of a float 12 digits, as DuckDB's mean and division differ."""
    return sorted(
        tuple(f"{value:.11e}" if isinstance(value, float) else str(value) for value in row)
        for row in rows
    )
