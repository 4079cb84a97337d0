"""The 22 queries of TPC-H as a pipeline, and DuckDB's own rows and answers for them."""

from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_tpch
from pipelines.tpch import queries_1_to_11, queries_12_to_22, raw, staging

from streampro.modeling.pipeline import Pipeline

TPCH = Pipeline("tpch", [raw, staging, queries_1_to_11, queries_12_to_22])


def generated(scale: float) -> duckdb.DuckDBPyConnection:
    """Return a connection to the eight tables, made for a scale; it knows the queries too."""
    extensions = Path(duckdb_extension_tpch.__file__).parent / "extensions"
    [extension] = extensions.glob("*/tpch.duckdb_extension")
    connection = duckdb.connect()
    connection.execute(f"LOAD '{extension}'")
    connection.execute(f"CALL dbgen(sf = {scale})")
    return connection


def write_raw(connection: duckdb.DuckDBPyConnection, folder: Path) -> Path:
    """Write the tables as CSV files and return their folder."""
    folder.mkdir(exist_ok=True)
    for (table,) in connection.execute("SHOW TABLES").fetchall():
        connection.execute(f"COPY {table} TO '{folder / table}.csv' (FORMAT csv, HEADER)")
    return folder


def answer(connection: duckdb.DuckDBPyConnection, number: int) -> list[tuple[Any, ...]]:
    """Return what DuckDB's SQL of a query gives."""
    return connection.execute(f"PRAGMA tpch({number})").fetchall()
