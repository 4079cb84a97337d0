"""Where a value of other rows may not stand: engines take no subquery in a function of elements."""

from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot.expressions as sge

from streampro.errors import PipelineError


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
