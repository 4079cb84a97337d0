"""Physical types: what an engine computes wider or narrower is stored as its Ibis type says."""

import ibis.expr.types as ir
import sqlglot as sg
from ibis.backends.sql import SQLBackend


def physical_query(backend: SQLBackend, rows: ir.Table) -> str:
    """Return the query of an expression, every column cast to the type that Ibis says it has.

    The cast is for what Ibis leaves out because it believes the type: a sum of integers is HUGEINT
    on DuckDB, which parquet has not, and a row number is INT on Spark.
    """
    types = backend.compiler.type_mapper
    names = {
        name: sg.to_identifier(name, quoted=True).sql(backend.dialect) for name in rows.columns
    }
    columns = ", ".join(
        f"CAST({names[name]} AS {types.to_string(kind)}) AS {names[name]}"
        for name, kind in rows.schema().items()
    )
    return f"SELECT {columns} FROM ({backend.compile(rows)})"
