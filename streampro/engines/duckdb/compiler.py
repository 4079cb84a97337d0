"""DuckDB's SQL of an expression, made without an engine."""

from typing import Any

import ibis.expr.datatypes as dt
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler

from streampro.engines.compiler import Agreeing, literals_beside_decimals


class Compiler(Agreeing, DuckDBCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Ibis's, but for what engines would read differently."""

    __slots__ = ()
    rewrites = (*DuckDBCompiler.rewrites, literals_beside_decimals)

    def visit_ApproxQuantile(self, op: Any, *, quantile: Any, **given: Any) -> Any:
        """Take the quantile as FLOAT: DuckDB takes no DOUBLE."""
        kind = dt.Array(dt.float32) if op.quantile.dtype.is_array() else dt.float32
        return super().visit_ApproxQuantile(op, quantile=self.cast(quantile, kind), **given)

    visit_ApproxMultiQuantile = visit_ApproxQuantile


def compiler_of() -> SQLGlotCompiler:
    """Return what makes DuckDB's SQL of an expression."""
    return Compiler()
