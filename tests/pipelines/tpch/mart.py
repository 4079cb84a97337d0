"""A table that follows order by order, from two whose keys have different names."""

from typing import Annotated

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model


class OrderRevenue(Contract):
    """One row per order that has lines."""

    o_orderkey: dt.Int64 = column("Order.")
    o_orderdate: dt.Date = column("Its day.")
    lines: dt.Int64 = column("Its lines.")
    revenue: Annotated[dt.Decimal, 38, 4, True] = column("What is to be paid, without tax.")

    class Config:
        unique = ["o_orderkey"]


@model(
    contract=OrderRevenue,
    incremental_by="o_orderkey",
    key_in={"lineitem": "l_orderkey"},
)
def order_revenue(orders: ir.Table, lineitem: ir.Table) -> ir.Table:
    price = lineitem.l_extendedprice * (1 - lineitem.l_discount)
    sums = lineitem.group_by(o_orderkey="l_orderkey").aggregate(
        lines=lineitem.count(), revenue=price.sum()
    )
    return orders.join(sums, "o_orderkey").select("o_orderkey", "o_orderdate", "lines", "revenue")
