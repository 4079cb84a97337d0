"""What the shop asks about: its orders and its customers."""

from typing import Annotated

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from examples.jaffle_shop.staging import STATUSES
from streampro import Contract, column, rule, sql_model

Sum = Annotated[dt.Decimal, 38, 2, True]
"""A sum of payments, exact to the cent."""


class Orders(Contract):
    """One row per order."""

    order_id: dt.Int64 = column("Order.")
    customer_id: dt.Int64 = column("Who ordered.", references="stg_customers.customer_id")
    customer: str = column(
        "Name of who ordered, null where nobody is known.", nullable=True, personal=True
    )
    order_date: dt.Date = column("Day of the order, UTC.", event_time=True)
    status: str = column("How far it is.", isin=STATUSES)
    credit_card_amount: Sum = column("Paid by credit card.", unit="USD")
    coupon_amount: Sum = column("Paid by coupon.", unit="USD")
    bank_transfer_amount: Sum = column("Paid by bank transfer.", unit="USD")
    gift_card_amount: Sum = column("Paid by gift card.", unit="USD")
    amount: Sum = column("All that was paid, 0 where nothing was.", unit="USD")

    class Config:
        unique = ["order_id"]

    @rule()
    def every_cent_has_a_method(cls, orders: ir.Table) -> ir.BooleanValue:
        """What is paid is paid in one of the four ways."""
        cards = orders.credit_card_amount + orders.gift_card_amount
        return orders.amount == cards + orders.coupon_amount + orders.bank_transfer_amount


class Customers(Contract):
    """One row per customer."""

    customer_id: dt.Int64 = column("Customer.")
    first_name: str = column("First name.", personal=True)
    last_name: str = column("First letter of the last name.", personal=True)
    first_order: dt.Date = column("Day of the first order, null without any.", nullable=True)
    most_recent_order: dt.Date = column("Day of the last one, null without any.", nullable=True)
    number_of_orders: dt.Int64 = column("Orders.", unit="orders", ge=0)
    lifetime_value: Sum = column("What was paid for all of them.", unit="USD", ge=0)

    class Config:
        unique = ["customer_id"]


orders = sql_model("orders.sql", contract=Orders, incremental_by="order_id")
customers = sql_model("customers.sql", contract=Customers, incremental_by="customer_id")
