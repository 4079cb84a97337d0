"""The order of rows: what a LIMIT leaves of them, and the frames of windows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
from sqlglot import exp

from streampro.modeling.sql.functions import UNITS
from streampro.modeling.sql.literals import number_of, span_of
from streampro.modeling.sql.names import RefusedError, refuse_more, unused, windows_in

_UNBOUNDED = "UNBOUNDED"
_FRAMES = "frames are ROWS BETWEEN two numbers of rows, or RANGE BETWEEN two numbers or intervals"
Items = Sequence[tuple[str, exp.Expr]]


def by_place(node: exp.Expr, items: Items) -> exp.Expr | None:
    """Return the item of a SELECT that a number names, from 1."""
    place = number_of(node)
    if place is None:
        return None
    if place != int(place) or not 1 <= place <= len(items):
        raise RefusedError(node, f"there is no column {place}")
    return items[int(place) - 1][1]


def order_keys(
    order: exp.Order, items: Items, read: Callable[[exp.Expr], exp.Expr]
) -> Iterator[exp.Ordered]:
    """Yield what rows are ordered by: columns by their place or name, else as `read`."""
    called = {name.lower(): item for name, item in items}
    for each in order.expressions:
        key, column = each.copy(), each.this
        is_name = isinstance(column, exp.Column) and not column.table
        item = called.get(column.name.lower()) if is_name else None
        key.set("this", (by_place(column, items) or item or read(column)).copy())
        yield key


def sort_key(value: ir.Value, node: exp.Ordered) -> ir.Value:
    """Return a value as what rows are ordered by; DuckDB has nulls last, both ways."""
    is_first = bool(node.args.get("nulls_first"))
    if node.args.get("desc"):
        return value.desc(nulls_first=is_first)
    return value.asc(nulls_first=is_first)


def first_of_each(keys: Iterable[ir.Value]) -> list[ir.Value]:
    """Return keys without those of a value that is one before: Ibis would order by the last."""
    found: dict[ops.Value, ir.Value] = {}
    for key in keys:
        found.setdefault(key.op().arg, key)
    return [*found.values()]


def first(table: ir.Table, node: exp.Expr, keys: Sequence[ir.Value]) -> ir.Table:
    """Return the rows that LIMIT and OFFSET leave. Where the keys leave rows tied, the columns
    decide, in their order.
    """
    limit, offset = (node.args.get(each) for each in ("limit", "offset"))
    if limit is None and offset is None:
        return table
    most, order = _rows_of(limit), [*keys, *(table[name].asc() for name in table.columns)]
    if offset is None:
        return table.order_by(first_of_each(order)).limit(most)
    passed, [place] = _rows_of(offset) or 0, unused(["place"], table.columns)
    numbered = table.mutate(ibis.row_number().over(order_by=first_of_each(order)).name(place))
    number = numbered[place]
    is_kept = number >= passed if most is None else number.between(passed, passed + most - 1)
    return numbered.filter(is_kept).drop(place)


def _rows_of(limit: exp.Expr | None) -> int | None:
    """Return the number that a LIMIT or an OFFSET says."""
    if limit is None:
        return None
    refuse_more(limit, ["expression"])
    number = number_of(limit.expression) if isinstance(limit, exp.Limit | exp.Offset) else None
    if number is None or number != int(number):
        raise RefusedError(limit, f"{limit.key.upper()} is a whole number")
    return int(number)


def write_out_windows(query: exp.Expr) -> None:
    """Write the windows that have names into the places of a query that name them."""
    for select in query.find_all(exp.Select):
        windows: dict[str, exp.Window] = {}
        for each in select.args.get("windows") or ():
            _write_out(each, windows)
            windows[each.name.lower()] = each
        select.set("windows", None)
        for window in [*chain.from_iterable(map(windows_in, select.iter_expressions()))]:
            _write_out(window, windows)


def _write_out(window: exp.Window, windows: Mapping[str, exp.Window]) -> None:
    name = window.args.get("alias")
    if name is None:
        return
    if name.name.lower() not in windows:
        raise RefusedError(name, f"no window {name.name}")
    for part, given in windows[name.name.lower()].args.items():
        if part in ("partition_by", "order", "spec") and given:
            if window.args.get(part):
                raise RefusedError(name, f"window {name.name} says that itself")
            copies = [each.copy() for each in given] if isinstance(given, list) else given.copy()
            window.set(part, copies)
    window.set("alias", None)


def frame_of(node: exp.Window) -> dict[str, tuple[Any, Any]]:
    """Return the first and the last row of a frame, as seen from each row, as rows or as a range of
    the key: where the order is total, as it must be, RANGE from or to the current row is ROWS.
    """
    spec = node.args.get("spec")
    if spec is None:
        return {"rows": (None, 0)}
    start, end = spec.args.get("start"), spec.args.get("end") or "CURRENT ROW"
    bounds = (
        _bound(node, start, spec.args.get("start_side")),
        _bound(node, end, spec.args.get("end_side")),
    )
    kind, is_of_times = spec.args.get("kind"), any(isinstance(each, ir.Value) for each in bounds)
    known = ("RANGE",) if is_of_times else ("ROWS", "RANGE")
    if kind not in known or spec.args.get("exclude"):
        raise RefusedError(node, _FRAMES)
    are_rows = kind == "ROWS" or (not is_of_times and {*bounds} <= {None, 0})
    return {"rows" if are_rows else "range": bounds}


def _bound(node: exp.Window, bound: Any, side: str | None) -> Any:
    if bound == "CURRENT ROW":
        return 0
    if bound == _UNBOUNDED:
        return None
    if isinstance(bound, exp.Interval):
        length, unit = span_of(bound)
        return ibis.interval(-length if side == "PRECEDING" else length, UNITS[unit])
    rows = number_of(bound) if isinstance(bound, exp.Expr) else None
    if rows is None:
        raise RefusedError(node, _FRAMES)
    return -int(rows) if side == "PRECEDING" else int(rows)
