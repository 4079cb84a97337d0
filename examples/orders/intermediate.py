"""Orders beside what was paid for them."""

from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from examples.orders.staging import Money
from streampro import Contract, Instant, column, model, rule

Sum = Annotated[dt.Decimal, 38, 2, True]
"""A sum of amounts, exact to the cent."""
NO_SUM = ibis.literal(0, "decimal(38, 2)")


class OrderBalances(Contract):
    """One row per order, and per payment's order that is not known (yet)."""

    order_id: str = column("Order.", references="orders.order_id")
    customer_id: str = column("Who ordered, null for guests or unknown orders.", nullable=True)
    ordered_at: Instant = column("When, null for unknown orders.", unit="UTC", nullable=True)
    amount: Money = column(
        "What is to be paid, null for unknown orders.", unit="EUR", nullable=True
    )
    payments: dt.Int64 = column("Payments and refunds, each counted once.", unit="payments", ge=0)
    paid: Sum = column("Sum of the payments.", unit="EUR", ge=0)
    refunded: Sum = column("Sum of the refunds.", unit="EUR", ge=0)
    paid_in_full_on: dt.Date = column(
        "First day at whose end payments less refunds reached the amount, null before that.",
        nullable=True,
    )
    conflicts: dt.Int64 = column(
        "Payments that the bank sent again with another content: the smallest row of each counts.",
        unit="payments",
        le=0,
        severity="warn",
    )

    class Config:
        unique = ["order_id"]

    @rule()
    def known_orders_are_whole(cls, balances: ir.Table) -> ir.BooleanValue:
        """Instant and amount of an order come together."""
        return balances.ordered_at.isnull() == balances.amount.isnull()

    @rule("warn")
    def no_more_is_refunded_than_paid(cls, balances: ir.Table) -> ir.BooleanValue:
        """Else a refund came before its payment, or there was none."""
        return balances.refunded <= balances.paid


@model(contract=OrderBalances, incremental_by="order_id")
def order_balances(orders: ir.Table, payments: ir.Table) -> ir.Table:
    """One row per order_id of either input."""
    counted = _counted_once(payments)
    is_payment = counted.kind == "payment"
    sums = counted.group_by("order_id").aggregate(
        payments=counted.count(),
        paid=ibis.coalesce(counted.amount.sum(where=is_payment), NO_SUM),
        refunded=ibis.coalesce(counted.amount.sum(where=~is_payment), NO_SUM),
        conflicts=counted.conflicts.sum(),
    )
    full = _paid_in_full(orders, counted)
    known = orders.outer_join(sums, "order_id", rname="{name}_of_payments")
    found = known.mutate(order_id=ibis.coalesce(known.order_id, known.order_id_of_payments))
    joined = found.left_join(full, "order_id")
    return joined.mutate(
        payments=joined.payments.fill_null(0),
        paid=joined.paid.fill_null(NO_SUM),
        refunded=joined.refunded.fill_null(NO_SUM),
        conflicts=joined.conflicts.fill_null(0),
    ).select(*OrderBalances.to_schema().columns)


def _counted_once(payments: ir.Table) -> ir.Table:
    """Return a row per payment of an order, the smallest (columns in order), and whether there are
    `conflicts`: others of its number.
    """
    of_one = ibis.window(
        group_by=["order_id", "payment_id"], order_by=["paid_on", "kind", "amount"]
    )
    ranked = payments.mutate(
        rank=ibis.row_number().over(of_one),
        conflicts=payments.count().over(ibis.window(group_by=["order_id", "payment_id"])) - 1,
    )
    return ranked.filter(ranked["rank"] == 0)


def _paid_in_full(orders: ir.Table, counted: ir.Table) -> ir.Table:
    """Return per order the first day at whose end the amount was reached."""
    signed = ibis.ifelse(counted.kind == "payment", counted.amount, -counted.amount)
    days = counted.group_by("order_id", "paid_on").aggregate(net=signed.sum())
    until = ibis.cumulative_window(group_by="order_id", order_by="paid_on")
    reached = days.mutate(balance=days.net.sum().over(until)).join(orders, "order_id")
    full = reached.filter(reached.balance >= reached.amount)
    return full.group_by("order_id").aggregate(paid_in_full_on=full.paid_on.min())
