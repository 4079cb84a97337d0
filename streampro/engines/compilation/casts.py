"""What is stored: what an engine computes wider or narrower is stored as its Ibis type says, and
NaN as null.
"""

from functools import cache
from typing import Any

import ibis.expr.types as ir
import sqlglot as sg
from ibis.backends.sql.compilers.base import SQLGlotCompiler

from streampro.expressions.decimals import exact
from streampro.expressions.types import as_stored


def physical_query(compiler: SQLGlotCompiler, rows: ir.Table, *, pretty: bool = False) -> str:
    """Return the query of an expression, every column cast to the type that it has.

    The cast is for what Ibis leaves out because it believes the type: a sum of integers is HUGEINT
    on DuckDB, which parquet has not, and a row number is INT on Spark. See also `as_stored`.
    """
    schema, rows = exact(rows).schema(), as_stored(rows)
    names = {name: _quoted(name, compiler.dialect) for name in rows.columns}
    casts = [
        f"CAST({names[name]} AS {compiler.type_mapper.to_string(kind)}) AS {names[name]}"
        for name, kind in schema.items()
    ]
    query = compiler.to_sqlglot(rows).sql(
        dialect=compiler.dialect, pretty=pretty, unsupported_level=sg.ErrorLevel.RAISE
    )
    line, tab = ("\n", "\n  ") if pretty else (" ", " ")
    columns = f",{tab}".join(casts)
    return f"SELECT{tab}{columns}{line}FROM ({line}{query}{line})"


@cache
def _quoted(name: str, dialect: Any) -> str:
    """Return an identifier in SQL; SQLGlot takes long for each."""
    return sg.to_identifier(name, quoted=True).sql(dialect)
