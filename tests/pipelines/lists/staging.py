from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import REJECT_COLUMNS, Contract, column, model
from streampro.portable import to_decimal


class Items(Contract):
    """One row per item of an event."""

    event: str = column("Event.")
    position: dt.Int64 = column("Place of the item in the event, from 0.")
    sku: str = column("What it is.")
    price: Annotated[dt.Decimal, 9, 2] = column("Price.", nullable=True)

    class Config:
        unique = ["event", "position"]


class Orders(Contract):
    """One row per order."""

    order: str = column("Order.")
    tags: dt.Array[dt.String] = column("Tags.", nullable=True)
    size: dt.Struct({"w": dt.int64, "h": dt.float64}) = column("Size.", nullable=True)  # type: ignore[valid-type]

    class Config:
        unique = ["order"]


@model(contract=Items, incremental_by="event", quarantine=True)
def items(raw_items: ir.Table) -> ir.Table:
    reason = ibis.cases(
        (~raw_items.is_object, "not_a_json_object"),
        (~raw_items.is_element, "not_an_item"),
        (raw_items.sku.isnull(), "missing_sku"),
    )
    typed = raw_items.mutate(price=to_decimal(raw_items.price, 9, 2), reject_reason=reason)
    return typed.select("event", "position", "sku", "price", *REJECT_COLUMNS)


@model(contract=Orders, incremental_by="order", quarantine=True)
def orders(raw_orders: ir.Table) -> ir.Table:
    reason = ibis.cases(
        (~raw_orders.is_object, "not_a_json_object"), (raw_orders.order.isnull(), "missing_order")
    )
    typed = raw_orders.mutate(reject_reason=reason)
    return typed.select("order", "tags", "size", "is_unreadable", *REJECT_COLUMNS)
