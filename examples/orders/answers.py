"""Who pays in time, and what is open. The horizon is the newest day of an order or a payment."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from examples.orders.intermediate import Sum
from streampro import Contract, column, model, rule
from streampro.portable import count_if, ratio


class PaidInTime(Contract):
    """One row per segment; null is a group of its own: guests and unknown customers."""

    segment: str = column("Segment of the customer, null where unknown.", nullable=True)
    orders: dt.Int64 = column("Orders.", unit="orders", gt=0)
    due_orders: dt.Int64 = column("Orders whose 7 days are over.", unit="orders", ge=0)
    due_orders_in_time: dt.Int64 = column("Of them, paid in full in time.", unit="orders", ge=0)
    in_time_share: dt.Float64 = column(
        "due_orders_in_time / due_orders, null without due orders.",
        unit="share",
        nullable=True,
        ge=0,
        le=1,
    )

    class Config:
        unique = ["segment"]


class MonthlyRevenue(Contract):
    """One row per month in which something was ordered."""

    ordered_month: dt.Date = column("First day of the month.")
    orders: dt.Int64 = column("Orders.", unit="orders", gt=0)
    ordered: Sum = column("Sum of the orders.", unit="EUR")
    paid: Sum = column("Sum of what was paid for them.", unit="EUR")
    refunded: Sum = column("Sum of what was paid back.", unit="EUR")
    open_amount: Sum = column("Sum of what is open.", unit="EUR")
    open_share: dt.Float64 = column(
        "open_amount / ordered, null where all orders are free.", unit="share", nullable=True
    )

    class Config:
        unique = ["ordered_month"]

    @rule()
    def balance_is_exact(cls, months: ir.Table) -> ir.BooleanValue:
        """Every cent is somewhere."""
        return months.ordered + months.refunded == months.paid + months.open_amount


@model(contract=PaidInTime)
def paid_in_time(fact_order: ir.Table, payments: ir.Table) -> ir.Table:
    """One row per segment."""
    days = ibis.union(fact_order.select(day="ordered_on"), payments.select(day="paid_on"))
    orders = fact_order.cross_join(days.aggregate(horizon=days.day.max()))
    is_due = orders.due_on < orders.horizon
    counts = orders.group_by("segment").aggregate(
        orders=orders.count(),
        due_orders=count_if(is_due),
        due_orders_in_time=count_if(is_due & orders.is_paid_in_time),
    )
    return counts.mutate(in_time_share=ratio(counts.due_orders_in_time, counts.due_orders))


@model(contract=MonthlyRevenue)
def monthly_revenue(fact_order: ir.Table) -> ir.Table:
    """One row per month."""
    sums = fact_order.group_by("ordered_month").aggregate(
        orders=fact_order.count(),
        ordered=fact_order.amount.sum(),
        paid=fact_order.paid.sum(),
        refunded=fact_order.refunded.sum(),
        open_amount=fact_order.open_amount.sum(),
    )
    return sums.mutate(open_share=ratio(sums.open_amount, sums.ordered))
