"""Physical types: what an engine computes wider or narrower is stored as its Ibis type says."""

import ibis
import ibis.backends.sql.compilers as compilers
import ibis.expr.types as ir
import sqlglot as sg
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.config import Config

COMPILERS: dict[str, SQLGlotCompiler] = {
    "duckdb": compilers.duckdb.compiler,
    "spark": compilers.pyspark.compiler,
}
"""What makes an engine's SQL of an expression, without the engine."""


class _SparkOptions(Config):  # type: ignore[misc]  # Ibis has no types here
    """What Ibis knows only when PySpark is imported, and asks to compile a float."""

    treat_nan_as_null: bool = False


def compiled_query(engine: str, rows: ir.Table) -> str:
    """Return the query that an engine computes an expression with; it need not be installed."""
    if engine == "spark" and ibis.options.pyspark is None:
        ibis.options.pyspark = _SparkOptions()
    return physical_query(COMPILERS[engine], rows, pretty=True)


def physical_query(compiler: SQLGlotCompiler, rows: ir.Table, *, pretty: bool = False) -> str:
    """Return the query of an expression, every column cast to the type that Ibis says it has.

    The cast is for what Ibis leaves out because it believes the type: a sum of integers is HUGEINT
    on DuckDB, which parquet has not, and a row number is INT on Spark.
    """
    names = {
        name: sg.to_identifier(name, quoted=True).sql(compiler.dialect) for name in rows.columns
    }
    casts = [
        f"CAST({names[name]} AS {compiler.type_mapper.to_string(kind)}) AS {names[name]}"
        for name, kind in rows.schema().items()
    ]
    query = compiler.to_sqlglot(rows).sql(
        dialect=compiler.dialect, pretty=pretty, unsupported_level=sg.ErrorLevel.RAISE
    )
    line, tab = ("\n", "\n  ") if pretty else (" ", " ")
    columns = f",{tab}".join(casts)
    return f"SELECT{tab}{columns}{line}FROM ({line}{query}{line})"
