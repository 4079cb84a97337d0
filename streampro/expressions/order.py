"""Whether the order of windows and limits leaves no two rows tied, proven from keys.

Rows that are tied stand in any order, another one on each engine and in each run. An order is total
if no two rows of a partition agree in its columns, or if those that do are equal in all columns:
then it does not matter which comes first.
"""

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.expressions.conditions import spelled_out, told_apart_by
from streampro.expressions.keys import (
    EXACT,
    Columns,
    Declared,
    Keys,
    KeysIn,
    Lines,
    is_of_its_row,
    keys_below,
    keys_in,
)

_ANALYTIC_WITH_TIES = (ops.MinRank, ops.DenseRank, ops.PercentRank, ops.CumeDist)
"""Rows that are tied have the same of these."""
_REDUCTIONS_IN_ORDER = (ops.ArrayCollect, ops.First, ops.GroupConcat, ops.Last)
_HOW_TO_GET_A_KEY = (
    "No key of these rows is known: declare one in the contract of an input (Config.unique), "
    "or make one by distinct or group_by"
)
_NUMBER_THEM = "Number the rows by row_number() over a total order, and filter by that"


def ties(
    expression: ir.Table, declared: Declared, lines: Lines = MappingProxyType({})
) -> list[str]:
    """Return a sentence per window and limit whose order may leave rows tied that differ.

    Args:
        expression: of a model.
        declared: the keys of its inputs by the name of their table.
        lines: its inputs whose rows are read from lines, and which columns say all others.
    """
    keys = keys_in(expression, declared, lines)
    relations = expression.op().find(ops.Relation)
    return sorted({said for relation in relations for said in _ties(relation, keys)})


def _ties(relation: Any, keys: KeysIn) -> Iterator[str]:
    if isinstance(relation, ops.Limit):
        yield from _ties_at_limit(relation, keys)
    for window in _windows(relation):
        if _needs_order(window):
            yield from _ties_in_window(window, relation, keys)


def _windows(relation: Any) -> Iterator[Any]:
    """Yield the windows among the values of a relation, and what stands there without one."""
    for value in _values(relation):
        framed = value.find(ops.WindowFunction, filter=ops.Value)
        inside = {window.func for window in framed}
        yield from framed
        bare = value.find(ops.Analytic, filter=ops.Value)
        yield from (each for each in bare if each not in inside)


def _values(relation: Any) -> Iterator[ops.Value]:
    yield from (child for child in relation.__children__ if isinstance(child, ops.Value))
    if isinstance(relation, ops.JoinChain):
        yield from (test for link in relation.rest for test in link.predicates)


def _needs_order(window: Any) -> bool:
    """Return whether what a window gives a row depends on how tied rows stand.

    Without bounds a frame is the whole partition, whatever the order; rows that are tied share
    a frame by range.
    """
    func = getattr(window, "func", window)
    if isinstance(func, ops.Analytic):
        return not isinstance(func, _ANALYTIC_WITH_TIES)
    if isinstance(func, _REDUCTIONS_IN_ORDER):
        return bool(window.order_by or window.start or window.end)
    return window.how == "rows" and bool(window.start or window.end)


def _ties_in_window(window: Any, relation: Any, keys: KeysIn) -> Iterator[str]:
    order = getattr(window, "order_by", ())
    partition = getattr(window, "group_by", ())
    func = type(getattr(window, "func", window)).__name__
    given = _told_apart_by([*partition, *(key.arg for key in order)])
    if not _is_total(given, relation, keys):
        where = f"{func} over {_partition(partition)}"
        yield f"{where}: {_tied(order, partition)}. {_advice(given, relation, keys)}."


def _ties_at_limit(limit: ops.Limit, keys: KeysIn) -> Iterator[str]:
    if not isinstance(limit.n, int | None) or limit.offset != 0:
        yield (
            "Limit: Spark takes no computed number of rows, and gives rows behind an offset "
            f"another column. {_NUMBER_THEM}."
        )
        return
    if limit.n is None or keys[limit.parent].identify(()):
        return
    name, found = f"Limit({limit.n})", _sort_below(limit)
    if not isinstance(found, ops.Sort):
        yield (
            f"{name}: {_lost(found)}, so the rows that stay are any rows. "
            "Use order_by with a total order right before it."
        )
        return
    order = found.keys
    given = _told_apart_by(key.arg for key in order)
    if not _is_total(given, found, keys):
        yield f"{name}: {_tied(order, ())}. {_advice(given, found, keys)}."


def _sort_below(limit: ops.Limit) -> ops.Relation:
    """Return the sort whose order a limit sees, or the operation behind which none is seen.

    Windows and subqueries leave the sort in a subquery, whose order no engine has to keep.
    """
    below = spelled_out(limit.parent)
    while isinstance(below, ops.Project | ops.Filter) and all(map(is_of_its_row, _values(below))):
        below = spelled_out(below.parent)
    return below


def _lost(relation: ops.Relation) -> str:
    if not relation.find_below(ops.Sort):
        return "it has no order"
    return f"the order below is lost behind {type(relation).__name__}"


def _is_total(given: Columns, relation: Any, keys: KeysIn) -> bool:
    """Return whether rows that agree in the given columns are one row, or equal in all columns."""
    below = keys_below(relation, keys)
    columns = _columns_below(relation)
    are_all = columns <= below.determined_by(given)
    return below.identify(given) or (
        are_all and all(isinstance(each.dtype, EXACT) for each in columns)
    )


def _told_apart_by(values: Iterable[ops.Value]) -> Columns:
    """Return the columns in which two rows differ only if they differ in one of the values."""
    found = map(told_apart_by, values)
    return frozenset(value for value in found if isinstance(value, ops.Field))


def _columns_below(relation: Any) -> Columns:
    sides = relation.tables if isinstance(relation, ops.JoinChain) else [relation.parent]
    return frozenset(field for side in sides for field in side.fields.values())


def _partition(partition: Iterable[ops.Value]) -> str:
    names = _names(partition)
    return f"a window by {names}" if names else "a window"


def _tied(order: Iterable[ops.SortKey], partition: Iterable[ops.Value]) -> str:
    names = _names(key.arg for key in order)
    if not names:
        return "it has no order, so its rows stand in any order"
    equal = ", ".join([*filter(None, [_names(partition)]), names])
    return f"order by {names} is not total: rows of equal {equal} stand in any order"


def _advice(given: Columns, relation: Any, keys: KeysIn) -> str:
    """Return what would make the order total: the key that lacks the fewest columns."""
    below = keys_below(relation, keys)
    determined = below.determined_by(given)
    if not below.unique:
        return _advice_without_key(given, below, _columns_below(relation)) or _HOW_TO_GET_A_KEY
    key = min(below.unique, key=lambda key: (len(key - determined), sorted(_sorted_names(key))))
    rows = _name_of_rows(relation)
    missing, whole = (", ".join(_sorted_names(each)) for each in (key - determined, key))
    return f"Add {missing} (a key of {rows} is ({whole}))"


def _advice_without_key(given: Columns, below: Keys, columns: Columns) -> str:
    """Return which columns say all others, as line and file do of rows read from lines, "" where
    there are none.
    """
    if not all(isinstance(each.dtype, EXACT) for each in columns):
        return ""
    ways = [x for x, _ in below.depends if columns <= below.determined_by(x | given)]
    if not ways:
        return ""
    way = min(ways, key=lambda way: (len(way - given), sorted(_sorted_names(way))))
    missing = ", ".join(_sorted_names(way - given))
    return f"Add {missing}: rows that agree in these are equal in all columns"


def _name_of_rows(relation: Any) -> str:
    below = getattr(relation, "parent", None)
    while isinstance(below, ops.Filter | ops.Sort):
        below = below.parent
    return below.name if isinstance(below, ops.PhysicalTable) else "these rows"


def _sorted_names(columns: Columns) -> list[str]:
    """Return the names of columns of one relation in its order."""
    names = {column.name for column in columns}
    ordered = dict.fromkeys(name for column in columns for name in column.rel.schema)
    return [name for name in ordered if name in names]


def _names(values: Iterable[ops.Value]) -> str:
    return ", ".join(value.name for value in values)
