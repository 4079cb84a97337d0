"""Runs a query on each engine, its SQL made by our compilers."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.engines.duckdb.compiler import compiler_of as duckdb_compiler
from streampro.engines.spark.compiler import compiler_of as spark_compiler
from streampro.engines.spark.functions import register


@pytest.fixture(scope="session")
def on_spark(spark: Any) -> Callable[[ir.Table, pa.Table], list[Any]]:
    register(spark)
    backend = ibis.pyspark.connect(spark)
    backend.compiler = spark_compiler()

    def run(expression: ir.Table, rows: pa.Table) -> list[Any]:
        spark.conf.set("spark.sql.mapKeyDedupPolicy", "EXCEPTION")  # Ibis has set it otherwise
        spark.createDataFrame(rows).createOrReplaceTempView("rows")
        return plain(spark.sql(str(backend.compile(expression))).toArrow())

    return run


@pytest.fixture(scope="session")
def on_duckdb() -> Callable[[ir.Table, pa.Table], list[Any]]:
    backend = ibis.duckdb.connect()
    backend.compiler = duckdb_compiler()

    def run(expression: ir.Table, rows: pa.Table) -> list[Any]:
        backend.create_table("rows", rows, overwrite=True)
        return plain(backend.con.sql(str(backend.compile(expression))).to_arrow_table())

    return run


@pytest.fixture(params=["on_duckdb", "on_spark"])
def run(request: pytest.FixtureRequest) -> Callable[[ir.Table, pa.Table], list[Any]]:
    """Run on each engine in turn."""
    chosen: Callable[[ir.Table, pa.Table], list[Any]] = request.getfixturevalue(request.param)
    return chosen


def plain(found: pa.Table) -> list[Any]:
    """Return the values of `v`, or the rows, in the order of `i` where they are numbered."""
    rows = sorted(found.to_pylist(), key=lambda row: row.get("i", 0))
    return [row.get("v", row) for row in rows]
