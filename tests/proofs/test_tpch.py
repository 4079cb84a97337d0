"""The 22 queries of TPC-H, written once, give on each engine what DuckDB's own SQL gives."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pipelines.tpch import TPCH, answer, generated, raw as raw_files, staging, write_raw

from streampro.config import Target
from streampro.lineage.explain import explain
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench
from streampro.warehouse import published

pytestmark = pytest.mark.slow

QUERIES = [model.table for model in TPCH.models.values() if model.name.startswith("q")]


@pytest.fixture(scope="session")
def tables() -> duckdb.DuckDBPyConnection:
    return generated(scale=0.01)


@pytest.fixture(scope="session")
def raw(tables: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw(tables, tmp_path_factory.mktemp("tpch") / "raw")


def test_all_22_queries_are_accepted() -> None:
    assert sorted(table.name for table in QUERIES) == [f"q{n:02}" for n in range(1, 23)]
    assert TPCH.problems() == []
    assert TPCH.unportable() == []


@pytest.fixture(scope="session")
def target(engine: Workbench, raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """What a run has published."""
    found = Target(name="tpch", raw=raw, warehouse=tmp_path_factory.mktemp("tpch") / "warehouse")
    engine.run(TPCH, found)
    return found


@pytest.mark.thorough("spark")
def test_every_query_gives_what_the_sql_of_tpch_gives(
    target: Target, tables: duckdb.DuckDBPyConnection
) -> None:
    for table in QUERIES:
        found = published.sql(f"FROM {table}", target).to_pylist()
        expected = answer(tables, int(table.name.removeprefix("q")))
        assert comparable(row.values() for row in found) == comparable(expected), table


LATE = "o_orderpriority = '1-URGENT' AND o_orderdate >= '1993-07-01' AND o_orderdate < '1993-10-01'"
LATE += " AND l_orderkey = o_orderkey AND l_commitdate < l_receiptdate"


@pytest.mark.thorough("spark")
def test_rows_that_exist_beside_others_are_explained(
    target: Target, tables: duckdb.DuckDBPyConnection
) -> None:
    steps = explain(TPCH, target, "q04", "o_orderpriority = '1-URGENT'").steps
    found = {step.name: (step.rows, step.deciding, step.decides_as_a_whole) for step in steps}
    counts = tables.sql(
        f"SELECT count(DISTINCT o_orderkey), count(*) FROM orders, lineitem WHERE {LATE}"
    )
    orders, lines = counts.fetchone() or ()
    assert found["staging.orders"] == (orders, 0, False)
    assert found["staging.lineitem"] == (0, lines, False)


@pytest.mark.thorough("spark")
@pytest.mark.parametrize(
    "name",
    [
        "q18",
        "q20",
        "q22",
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("q16", "q21")),
    ],
)
def test_queries_with_subqueries_are_explained_to_raw_lines(target: Target, name: str) -> None:
    found = explain(TPCH, target, name)
    assert found.notes == ()
    assert found.lines


def as_sql(tables: duckdb.DuckDBPyConnection, folder: Path) -> Pipeline:
    """Return the pipeline whose queries are TPC-H's own texts, a file each."""
    lines = ["from pipelines.tpch import TPCH", "from streampro import sql_model"]
    for number, text in tables.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
        name = f"q{number:02}"
        (folder / f"{name}.sql").write_text(text)
        lines.append(f'{name} = sql_model("{name}.sql", contract=TPCH.models["{name}"].contract)')
    (folder / "queries.py").write_text("\n".join(lines))
    spec = spec_from_file_location("queries", folder / "queries.py")
    assert spec
    assert spec.loader
    queries = module_from_spec(spec)
    spec.loader.exec_module(queries)
    return Pipeline("tpch", [raw_files, staging, queries])


@pytest.mark.thorough("spark")
def test_the_texts_of_tpch_are_models(
    engine: Workbench, tables: duckdb.DuckDBPyConnection, raw: Path, tmp_path: Path
) -> None:
    pipeline = as_sql(tables, tmp_path)
    assert pipeline.problems() == []
    assert pipeline.unportable() == []
    target = Target(name="tpch", raw=raw, warehouse=tmp_path / "warehouse")
    engine.run(pipeline, target)
    for number in range(1, 23):
        found = published.sql(f"FROM queries.q{number:02}", target).to_pylist()
        assert comparable(row.values() for row in found) == comparable(answer(tables, number))


def comparable(rows: Any) -> list[tuple[str, ...]]:
    """Return rows in any order; of a float 12 digits, as DuckDB's mean and division differ."""
    return sorted(
        tuple(f"{value:.11e}" if isinstance(value, float) else str(value) for value in row)
        for row in rows
    )
