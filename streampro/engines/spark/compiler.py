"""Spark's SQL of an expression, made without an engine; PySpark need not be installed."""

import ibis
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.config import Config

from streampro.engines.compiler import Agreeing, literals_beside_decimals


class _Options(Config):  # type: ignore[misc]  # Ibis has no types here
    """What Ibis knows only when PySpark is imported, and asks to compile a float."""

    treat_nan_as_null: bool = False


class Compiler(Agreeing, PySparkCompiler):  # type: ignore[misc]  # Ibis has no types here
    """Ibis's, but for what engines would read differently."""

    __slots__ = ()
    rewrites = (*PySparkCompiler.rewrites, literals_beside_decimals)


def compiler_of() -> SQLGlotCompiler:
    """Return what makes Spark's SQL of an expression."""
    if ibis.options.pyspark is None:
        ibis.options.pyspark = _Options()
    return Compiler()
