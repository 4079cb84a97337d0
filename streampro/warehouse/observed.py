"""What runs have seen of rows that nothing else keeps: a log of states by key, that only grows."""

from datetime import datetime

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.engines.protocol import Engine, fetched_rows
from streampro.errors import WarehouseError
from streampro.expressions.nulls import may_be_null
from streampro.modeling.model import GONE, Model
from streampro.names import named, ours
from streampro.warehouse import changes


def seen(model: Model, rows: ir.Table, at: datetime) -> ir.Table:
    """Return the rows that an observed model computes, as a run sees them that began `at`."""
    return rows.mutate(named({str(model.observed_at): _instant(at)}))


def kept(model: Model, stored: ir.Table) -> ir.Table:
    """Return what runs have seen with the columns of the contract; those that it has got since are
    null.
    """
    rows = {
        name: stored[name] if name in stored.columns else ibis.null(kind)
        for name, kind in may_be_null(model.spec.schema).items()
    }
    return stored.select(named(rows))


def now(model: Model, kept: ir.Table) -> ir.Table:
    """Return the rows of what was there when the last run looked."""
    of_key = ibis.window(group_by=[*model.seen_key], order_by=ibis.desc(str(model.observed_at)))
    newest = kept.filter(ibis.row_number().over(of_key) == 0)
    return newest.filter(~newest[GONE])


def told(model: Model, rows: ir.Table) -> ir.Table:
    """Return rows of an observed model without what runs add."""
    own = (model.observed_at, GONE)
    return rows.select([name for name in model.spec.schema if name not in own])


def news(model: Model, kept: ir.Table, rows: ir.Table, at: datetime) -> ir.Table:
    """Return the rows that a run adds which began `at` and found `rows`: of keys that were not
    there or said something else, and of those that are there no more, as they were last.
    """
    before, after = told(model, now(model, kept)), told(model, rows)
    gone, new, _, changed = changes.apart(before, after, model.seen_key)
    when = _instant(at)
    return ibis.union(
        *(
            found.mutate(named({str(model.observed_at): when, GONE: ibis.literal(is_gone)})).select(
                [*model.spec.schema]
            )
            for found, is_gone in ((new, False), (changed, False), (gone, True))
        )
    )


def refuse_another_order(engine: Engine, model: Model, kept: ir.Table, at: datetime) -> None:
    """Raise `WarehouseError` where an earlier run saw rows after one began that adds to them."""
    last = kept[str(model.observed_at)].max().name(ours("last"))
    [row] = fetched_rows(engine, kept.aggregate(last))
    if (newest := row[ours("last")]) and newest >= at:
        raise WarehouseError(
            f"the run began at {at:%Y-%m-%d %H:%M:%S.%f} UTC, but {model.table} has rows that a "
            f"run saw at {newest:%Y-%m-%d %H:%M:%S.%f} UTC. Nothing was published. Set the clock "
            "of this machine, or run again after that."
        )


def _instant(at: datetime) -> ir.Value:
    return ibis.literal(at, dt.Timestamp("UTC", 6))
