"""Orders as they are asked about."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from examples.orders.intermediate import Sum
from examples.orders.staging import Money
from streampro import Contract, column, model, rule

DAYS_TO_PAY = 7


class FactOrder(Contract):
    """One row per known order."""

    order_id: str = column("Order.")
    customer_id: str = column(
        "Who ordered, null for guests.", nullable=True, references="customers.customer_id"
    )
    segment: str = column("Segment of the customer, null where unknown.", nullable=True)
    ordered_on: dt.Date = column("Day of the order, UTC.")
    ordered_month: dt.Date = column("First day of that month.")
    amount: Money = column("What is to be paid.", unit="EUR", ge=0)
    paid: Sum = column("Sum of the payments.", unit="EUR")
    refunded: Sum = column("Sum of the refunds.", unit="EUR")
    open_amount: Sum = column(
        "amount - paid + refunded; below 0 where more was paid than was to be.", unit="EUR"
    )
    paid_in_full_on: dt.Date = column("First day on which all was paid.", nullable=True)
    due_on: dt.Date = column("Last day to pay in time: ordered_on + 7 days.")
    is_paid_in_time: bool = column("paid_in_full_on <= due_on, false where not paid in full.")

    class Config:
        unique = ["order_id"]

    @rule()
    def balance_is_exact(cls, orders: ir.Table) -> ir.BooleanValue:
        """Every cent is somewhere."""
        return orders.amount + orders.refunded == orders.paid + orders.open_amount

    @rule("warn")
    def nothing_is_overpaid(cls, orders: ir.Table) -> ir.BooleanValue:
        """Else money is to be paid back."""
        return orders.open_amount >= 0


@model(contract=FactOrder, incremental_by="order_id")
def fact_order(order_balances: ir.Table, customers: ir.Table) -> ir.Table:
    """One row per order; the customer may be missing."""
    known = order_balances.filter(
        order_balances.ordered_at.notnull(), order_balances.amount.notnull()
    )
    rows = known.left_join(customers, "customer_id")
    ordered_on = rows.ordered_at.date()
    due_on = ordered_on + ibis.interval(days=DAYS_TO_PAY)
    return rows.mutate(
        ordered_on=ordered_on,
        ordered_month=ordered_on.truncate("M"),
        open_amount=rows.amount - rows.paid + rows.refunded,
        due_on=due_on,
        is_paid_in_time=(rows.paid_in_full_on <= due_on).fill_null(False),
    ).select(*FactOrder.to_schema().columns)
