import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column, rule
from streampro.modeling.model import model


class Revenue(Contract):
    """One row per shop that sold something."""

    shop: str = column("Shop.", references="shops.shop")
    city: str = column("Its city, null where unknown.", nullable=True)
    sales: dt.Int64 = column("Sales.", unit="sales", gt=0)
    amount: dt.Int64 = column("Sum of the prices.", nullable=True, ge=0)

    class Config:
        unique = ["shop"]

    @rule("warn")
    def amount_is_usual(cls, revenue: ir.Table) -> ir.BooleanValue:
        return revenue.amount < 1000


@model(contract=Revenue, incremental_by="shop")
def revenue(sales: ir.Table, shops: ir.Table) -> ir.Table:
    sums = sales.group_by("shop").aggregate(sales=sales.count(), amount=sales.amount.sum())
    joined = sums.left_join(shops, "shop")
    return joined.select("shop", "city", "sales", "amount")
