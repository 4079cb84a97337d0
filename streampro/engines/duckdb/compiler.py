"""DuckDB's SQL of an expression, made without an engine."""

from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.compilers.duckdb import compiler


def compiler_of() -> SQLGlotCompiler:
    """Return what makes DuckDB's SQL of an expression."""
    return compiler
