"""Text made typed rows; what cannot be read is kept with a reason."""

from decimal import Decimal
from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import (
    REJECT_COLUMNS,
    UNREADABLE,
    Contract,
    Instant,
    column,
    model,
    one_row_per_key,
    rule,
)
from streampro.portable import strip, to_date, to_decimal, to_utc

Money = Annotated[dt.Decimal, 18, 2, True]
"""An amount of one order or payment, exact to the cent."""


class Orders(Contract):
    """One row per order. Orders never change, so a second, different line of one stops the run."""

    order_id: str = column("Order.")
    customer_id: str = column("Who ordered, null for guests.", nullable=True)
    ordered_at: Instant = column("When it was ordered.", unit="UTC", event_time=True)
    amount: Money = column("What is to be paid.", unit="EUR")

    class Config:
        unique = ["order_id"]

    @rule("quarantine")
    def amount_is_not_negative(cls, orders: ir.Table) -> ir.BooleanValue:
        """Nothing is to be paid for a free order."""
        return orders.amount >= 0


class Payments(Contract):
    """One row per distinct payment or refund: the bank sends some of them twice."""

    payment_id: str = column("Payment, as the bank numbers it.")
    order_id: str = column("Order that it belongs to.")
    kind: str = column("payment or refund.", isin=["payment", "refund"], severity="quarantine")
    amount: Money = column("What was paid, or paid back.", unit="EUR")
    paid_on: dt.Date = column("Day on which the bank books it.", event_time=True)

    class Config:
        unique = ["payment_id", "order_id", "kind", "amount", "paid_on"]

    @rule("quarantine")
    def amount_is_positive(cls, payments: ir.Table) -> ir.BooleanValue:
        """What is paid back is a refund, not a negative payment."""
        return payments.amount > 0


class Customers(Contract):
    """One row per customer."""

    customer_id: str = column("Customer.")
    segment: str = column("Kind of customer, null if not given.", nullable=True)
    customer_since: dt.Date = column("Day of the first contract.", nullable=True)
    credit_limit: Money = column(
        "Open amount up to which goods are sent, null if there is none.",
        unit="EUR",
        nullable=True,
        le=Decimal("1000000.00"),
        severity="warn",
    )

    class Config:
        unique = ["customer_id"]


@model(contract=Orders, incremental_by="order_id", quarantine=True)
def orders(raw_orders: ir.Table) -> ir.Table:
    """One row per line; the first reason that applies counts."""
    text = _stripped(raw_orders, "order_id", "customer_id", "ordered_at", "amount")
    typed = text.mutate(ordered_at=to_utc(text.ordered_at), amount=to_decimal(text.amount))
    reason = ibis.cases(
        (~typed.is_object, "not_a_json_object"),
        (typed.order_id.isnull(), "missing_order_id"),
        (typed.ordered_at.isnull(), "bad_ordered_at"),
        (typed.amount.isnull(), "bad_amount"),
    )
    return typed.mutate(reject_reason=reason).select(*Orders.to_schema().columns, *REJECT_COLUMNS)


@model(contract=Payments, incremental_by="order_id", quarantine=True)
def payments(raw_payments: ir.Table) -> ir.Table:
    """One row per line; the first reason that applies counts."""
    text = _stripped(raw_payments, "payment_id", "order_id", "kind", "amount", "paid_on")
    typed = text.mutate(amount=to_decimal(text.amount), paid_on=to_date(text.paid_on))
    reason = ibis.cases(
        (~typed.is_object, "not_a_json_object"),
        (typed.payment_id.isnull(), "missing_payment_id"),
        (typed.order_id.isnull(), "missing_order_id"),
        (typed.kind.isnull(), "missing_kind"),
        (typed.amount.isnull(), "bad_amount"),
        (typed.paid_on.isnull(), "bad_paid_on"),
    )
    return typed.mutate(reject_reason=reason).select(*Payments.to_schema().columns, *REJECT_COLUMNS)


@model(contract=Customers, quarantine=True)
def customers(raw_customers: ir.Table) -> ir.Table:
    """One row per record; of several of one customer the smallest counts."""
    text = _stripped(raw_customers, *Customers.to_schema().columns)
    since, limit = to_date(text.customer_since), to_decimal(text.credit_limit)
    is_unreadable = (text.customer_since.notnull() & since.isnull()) | (
        text.credit_limit.notnull() & limit.isnull()
    )
    typed = text.mutate(customer_since=since, credit_limit=limit, **{UNREADABLE: is_unreadable})
    return one_row_per_key(typed, "customer_id")


def _stripped(raw: ir.Table, *names: str) -> ir.Table:
    return raw.mutate(**{name: strip(raw[name]) for name in names})
