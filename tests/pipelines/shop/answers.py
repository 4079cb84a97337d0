"""What some tests add to the shop pipeline: an answer."""

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.portable import ratio


class Cities(Contract):
    """One row per city, null where it is unknown."""

    city: str = column("City.", nullable=True)
    shops: dt.Int64 = column("Shops.", unit="shops")
    known: dt.Float64 = column("Share of sales with a price.", unit="share", nullable=True)

    class Config:
        unique = ["city"]


@model(contract=Cities)
def cities(revenue: ir.Table) -> ir.Table:
    return revenue.group_by("city").aggregate(
        shops=revenue.count(), known=ratio(revenue.amount.count(), revenue.count())
    )
