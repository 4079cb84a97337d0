"""Seeds with the names and types that the shop speaks of."""

from typing import Annotated

import ibis.expr.datatypes as dt

from streampro import Contract, column, sql_model

Money = Annotated[dt.Decimal, 16, 2, True]
"""What one payment brings, exact to the cent."""
STATUSES = ["placed", "shipped", "completed", "return_pending", "returned"]
METHODS = ["credit_card", "coupon", "bank_transfer", "gift_card"]


class StgCustomers(Contract):
    """One row per customer."""

    customer_id: dt.Int64 = column("Customer.")
    first_name: str = column("First name.", personal=True)
    last_name: str = column("First letter of the last name.", personal=True)

    class Config:
        unique = ["customer_id"]


class StgOrders(Contract):
    """One row per order."""

    order_id: dt.Int64 = column("Order.")
    customer_id: dt.Int64 = column("Who ordered.")
    order_date: dt.Date = column("Day of the order, UTC.", event_time=True)
    status: str = column("How far it is.", isin=STATUSES, severity="quarantine")

    class Config:
        unique = ["order_id"]


class StgPayments(Contract):
    """One row per payment; an order may have several, or none."""

    payment_id: dt.Int64 = column("Payment.")
    order_id: dt.Int64 = column("What is paid.")
    payment_method: str = column("How it is paid.", isin=METHODS, severity="quarantine")
    amount: Money = column("What is paid.", unit="USD", ge=0)

    class Config:
        unique = ["payment_id"]


stg_customers = sql_model(
    "stg_customers.sql", contract=StgCustomers, incremental_by="customer_id", quarantine=True
)
stg_orders = sql_model(
    "stg_orders.sql", contract=StgOrders, incremental_by="order_id", quarantine=True
)
stg_payments = sql_model(
    "stg_payments.sql", contract=StgPayments, incremental_by="payment_id", quarantine=True
)
