"""A pipeline over tables of databases: orders with books, customers without, a sum of both."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, Instant, Pipeline, Source, column, model
from streampro.modeling.model import REJECT_COLUMNS, UNREADABLE

ORDERS = {name: (name,) for name in ("id", "customer", "price", "at", "note")}
TYPES = {"id": "int64", "customer": "int64", "price": "decimal(12, 2)", "at": Instant}


class Order(Contract):
    """One row per order."""

    id: dt.Int64 = column("Order.")
    customer: dt.Int64 = column("Who ordered.", nullable=True)
    price: dt.Decimal(12, 2) = column("Price.", nullable=True)  # type: ignore[valid-type]  # as pandera spells it
    at: Instant = column("When.", unit="UTC", nullable=True)
    note: str = column("Note.", nullable=True)

    class Config:
        unique = ["id"]


class Customer(Contract):
    """One row per customer."""

    id: dt.Int64 = column("Customer.")
    name: str = column("Name.", nullable=True)

    class Config:
        unique = ["id"]


class Spent(Contract):
    """One row per customer who ordered."""

    customer: dt.Int64 = column("Customer.")
    name: str = column("Name.", nullable=True)
    orders: dt.Int64 = column("Orders.")

    class Config:
        unique = ["customer"]


def orders(raw_orders: ir.Table) -> ir.Table:
    reason = ibis.cases((raw_orders.id.isnull(), "no id"), (raw_orders[UNREADABLE], "unreadable"))
    rows = raw_orders.mutate(reject_reason=reason)
    return rows.select("id", "customer", "price", "at", "note", *REJECT_COLUMNS, UNREADABLE)


def customers(raw_customers: ir.Table) -> ir.Table:
    return raw_customers.filter(raw_customers.id.notnull()).select("id", "name")


def spent(orders: ir.Table, customers: ir.Table) -> ir.Table:
    known = orders.filter(orders.customer.notnull())
    counted = known.group_by("customer").aggregate(orders=known.count())
    named = counted.join(customers, counted.customer == customers.id)
    return named.select("customer", "name", "orders")


def pipeline_of(
    prefix: str = "", *, more: Sequence[str] = (), append_only: bool = False, **options: Any
) -> Pipeline:
    """Return the pipeline, of tables whose names begin with a prefix, such as a schema; orders may
    lie in more of them.
    """
    raw, staging, mart = (ModuleType(name) for name in ("raw", "staging", "mart"))
    raw.orders = Source(  # type: ignore[attr-defined]  # a module made here
        "raw_orders",
        (f"shop/{prefix}orders", *more),
        "database",
        ORDERS,
        types=TYPES,
        key=("id",),
        append_only_by="id" if append_only else None,
        **options,
    )
    raw.customers = Source(  # type: ignore[attr-defined]
        "raw_customers",
        (f"shop/{prefix}customers",),
        "database",
        {"id": ("id",), "name": ("name",)},
        types={"id": "int64"},
        key=("id",),
    )
    orders.__module__ = customers.__module__ = "staging"
    spent.__module__ = "mart"
    staging.orders = model(contract=Order, incremental_by="id", quarantine=True)(orders)  # type: ignore[attr-defined]
    staging.customers = model(contract=Customer)(customers)  # type: ignore[attr-defined]
    mart.spent = model(contract=Spent)(spent)  # type: ignore[attr-defined]
    return Pipeline("shop", [raw, staging, mart])
