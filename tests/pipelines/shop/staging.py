import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import REJECT_COLUMNS, model
from streampro.portable import to_date, to_integer


class Sales(Contract):
    """One row per distinct sale."""

    shop: str = column("Shop.")
    day: dt.Date = column("Day.")
    amount: dt.Int64 = column("Price.", nullable=True)

    class Config:
        unique = ["shop", "day", "amount"]


class Shops(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    city: str = column("City.", nullable=True)

    class Config:
        unique = ["shop"]


@model(contract=Sales, incremental_by="shop", quarantine=True)
def sales(raw_sales: ir.Table) -> ir.Table:
    typed = raw_sales.mutate(day=to_date(raw_sales.day), amount=to_integer(raw_sales.amount))
    reason = ibis.cases((typed.shop.isnull(), "no shop"), (typed.day.isnull(), "no day"))
    return typed.mutate(reject_reason=reason).select("shop", "day", "amount", *REJECT_COLUMNS)


@model(contract=Shops)
def shops(raw_shops: ir.Table) -> ir.Table:
    return raw_shops.filter(raw_shops.shop.notnull()).select("shop", "city")
