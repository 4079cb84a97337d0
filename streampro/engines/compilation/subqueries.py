"""Values of other rows, which are subqueries in SQL: how they name their tables, and where none
may stand.
"""

from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot as sg
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import STAR

from streampro.errors import PipelineError


def apart(rows: Any) -> Any:
    """Return rows that a query within another reads, always as a query, and with names of its own
    for its tables: Spark takes the key in `t0.counts[t0.name]` for a column of the rows outside
    where these are named `t0`, too.
    """
    is_query = isinstance(rows, sge.Subquery)
    query = rows.copy() if is_query else sg.select(STAR).from_(rows).subquery()
    within = query.this
    named = [each.this for each in within.find_all(sge.TableAlias) if each.this]
    names = {each.name for each in named}
    read = (each.args["table"] for each in within.find_all(sge.Column) if each.table in names)
    for each in [*named, *read]:
        each.set("this", f"{each.name}_")
    return query


def outside_of_lists(rows: ir.Table, query: Any) -> Any:
    """Return the SQL of rows. Raises `PipelineError` where a subquery stands in a function of
    elements, which rewrites use, too.
    """
    if rows.op().find(ops.Subquery) and any(map(_is_within_list, query.find_all(sge.Query))):
        raise PipelineError(
            "a value of other rows stands in an operation on a list or in a quantile. Join it to "
            "the rows first: rows.cross_join(others.agg(largest=others.x.max()))"
        )
    return query


def _is_within_list(query: Any) -> bool:
    """Tell whether a query stands in a function of elements of the query around it."""
    place = query.parent
    while place is not None and not isinstance(place, sge.Select):
        takes_elements = any(isinstance(each, sge.Lambda) for each in place.iter_expressions())
        if takes_elements or isinstance(place, sge.Lambda | sge.ArraySort):
            return True
        place = place.parent
    return False
