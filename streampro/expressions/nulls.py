"""Where null enters a column, read off the expression, without engine or data."""

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.expressions.python import RowsOfKeys
from streampro.expressions.types import nullable

_KEEPS_NULL = (ops.Alias, ops.Cast)
_HAS_NO_ROW_AT_THE_EDGE = (ops.Lag, ops.Lead)
_FILLS_LEFT = ("right", "outer")
_FILLS_RIGHT = ("left", "outer", "asof")


def may_be_null(schema: ibis.Schema) -> ibis.Schema:
    """Return a schema in which all may be null, to compare or to tell types alone."""
    return ibis.schema({name: nullable(kind) for name, kind in schema.items()})


def origin_of_null(table: ir.Table, column: str) -> str | None:
    """Return in words why a column may be null, None where nothing certain can be said.

    Certain are values handed on unchanged: from an input column that may be null, or from the side
    of a join that may be missing; `lead` and `lag`; and a case without else. Values computed
    otherwise are left to the audit, which counts the nulls of the real rows.
    """
    return _origin_in_relation(table.op(), column)


def _origin_in_relation(relation: ops.Relation, column: str) -> str | None:
    if isinstance(relation, ops.PhysicalTable):
        if relation.schema[column].nullable:
            return f"{relation.name}.{column} may be null"
        return None
    if isinstance(relation, RowsOfKeys):
        return None
    if isinstance(relation, ops.Filter) and any(
        field.name == column for test in relation.predicates for field in test.find(ops.Field)
    ):
        return None
    if isinstance(relation, ops.JoinChain):
        return _origin_in_join(relation, column)
    if isinstance(relation, ops.Set):
        return _origin_in_relation(relation.left, column) or _origin_in_relation(
            relation.right, column
        )
    return _origin(relation.values[column])


def _origin(value: ops.Value) -> str | None:
    if isinstance(value, ops.Field):
        return _origin_in_relation(value.rel, value.name)
    if isinstance(value, _KEEPS_NULL):
        return _origin(value.arg)
    if isinstance(value, ops.WindowFunction):
        return _origin(value.func)
    if isinstance(value, _HAS_NO_ROW_AT_THE_EDGE) and value.default is None:
        return f"{type(value).__name__.lower()} has no row at the edge of its window"
    if isinstance(value, ops.SearchedCase | ops.SimpleCase):
        results = (*value.results, value.default)
        if any(isinstance(result, ops.Literal) and result.value is None for result in results):
            return "its cases leave some rows null"
    return None


def _origin_in_join(chain: ops.JoinChain, column: str) -> str | None:
    field = chain.values[column]
    if not isinstance(field, ops.Field):
        return _origin(field)
    sides = [(chain.first, False), *((link.table, link.how in _FILLS_RIGHT) for link in chain.rest)]
    for side, may_miss in sides:
        if field.rel == side:
            if may_miss or any(link.how in _FILLS_LEFT for link in chain.rest):
                return "its side of the join may be missing"
            if _is_compared(chain, field):
                return None
            return _origin_in_relation(side.parent, field.name)
    return None


def _is_compared(chain: ops.JoinChain, field: ops.Field) -> bool:
    """Tell whether an inner join compares the field: null matches nothing."""
    return any(
        field in test.find(ops.Field)
        for link in chain.rest
        if link.how in ("inner", "semi")
        for test in link.predicates
    )
