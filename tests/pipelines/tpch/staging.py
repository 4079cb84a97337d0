"""The eight tables of TPC-H, typed: keys are integers, money and rates decimal(15, 2)."""

from functools import reduce
from operator import or_
from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import REJECT_COLUMNS, model
from streampro.modeling.spec import spec_of
from streampro.portable import to_date, to_decimal, to_integer

Money = Annotated[dt.Decimal, 15, 2, True]


def _typed(raw: ir.Table, contract: type[Contract]) -> ir.Table:
    schema = spec_of(contract).schema
    read = {name: _read(raw[name], kind) for name, kind in schema.items()}
    unread = reduce(or_, [value.isnull() for value in read.values()])
    typed = raw.mutate(reject_reason=ibis.cases((unread, "unread")), **read)
    return typed.select(*schema, *REJECT_COLUMNS)


def _read(text: ir.StringValue, kind: dt.DataType) -> ir.Value:
    if kind.is_decimal():
        return to_decimal(text, 15, 2)
    return to_integer(text) if kind.is_integer() else to_date(text) if kind.is_date() else text


class Region(Contract):
    """One row per region."""

    r_regionkey: dt.Int64 = column("Region.")
    r_name: str = column("Its name.")

    class Config:
        unique = ["r_regionkey"]


class Nation(Contract):
    """One row per nation."""

    n_nationkey: dt.Int64 = column("Nation.")
    n_name: str = column("Its name.")
    n_regionkey: dt.Int64 = column("Its region.")

    class Config:
        unique = ["n_nationkey"]


class Supplier(Contract):
    """One row per supplier."""

    s_suppkey: dt.Int64 = column("Supplier.")
    s_name: str = column("Its name.")
    s_address: str = column("Where it is.")
    s_nationkey: dt.Int64 = column("Its nation.")
    s_phone: str = column("Its phone.")
    s_acctbal: Money = column("Its balance.")
    s_comment: str = column("What is said of it.")

    class Config:
        unique = ["s_suppkey"]


class Customer(Contract):
    """One row per customer."""

    c_custkey: dt.Int64 = column("Customer.")
    c_name: str = column("Its name.")
    c_address: str = column("Where it is.")
    c_nationkey: dt.Int64 = column("Its nation.")
    c_phone: str = column("Its phone.")
    c_acctbal: Money = column("Its balance.")
    c_mktsegment: str = column("Its market.")
    c_comment: str = column("What is said of it.")

    class Config:
        unique = ["c_custkey"]


class Part(Contract):
    """One row per part."""

    p_partkey: dt.Int64 = column("Part.")
    p_name: str = column("Its name.")
    p_mfgr: str = column("Who makes it.")
    p_brand: str = column("Its brand.")
    p_type: str = column("Its type.")
    p_size: dt.Int64 = column("Its size.")
    p_container: str = column("What it comes in.")

    class Config:
        unique = ["p_partkey"]


class Partsupp(Contract):
    """One row per part and supplier of it."""

    ps_partkey: dt.Int64 = column("Part.")
    ps_suppkey: dt.Int64 = column("Supplier.")
    ps_availqty: dt.Int64 = column("How many there are.")
    ps_supplycost: Money = column("What one costs.")

    class Config:
        unique = ["ps_partkey", "ps_suppkey"]


class Orders(Contract):
    """One row per order."""

    o_orderkey: dt.Int64 = column("Order.")
    o_custkey: dt.Int64 = column("Who ordered.")
    o_orderstatus: str = column("F is fulfilled.")
    o_totalprice: Money = column("What is to be paid.")
    o_orderdate: dt.Date = column("When it was placed.")
    o_orderpriority: str = column("How urgent it is.")
    o_shippriority: dt.Int64 = column("How urgent its shipping is.")
    o_comment: str = column("What is said of it.")

    class Config:
        unique = ["o_orderkey"]


class Lineitem(Contract):
    """One row per line of an order."""

    l_orderkey: dt.Int64 = column("Order.")
    l_partkey: dt.Int64 = column("Part.")
    l_suppkey: dt.Int64 = column("Supplier.")
    l_linenumber: dt.Int64 = column("Line.")
    l_quantity: Money = column("How many.")
    l_extendedprice: Money = column("Price of all of them.")
    l_discount: Money = column("Share of the price that is not paid.")
    l_tax: Money = column("Share of the price that is paid on top.")
    l_returnflag: str = column("R is returned.")
    l_linestatus: str = column("O is open.")
    l_shipdate: dt.Date = column("When it was shipped.")
    l_commitdate: dt.Date = column("When it should arrive.")
    l_receiptdate: dt.Date = column("When it arrived.")
    l_shipinstruct: str = column("How to hand it over.")
    l_shipmode: str = column("How it is shipped.")

    class Config:
        unique = ["l_orderkey", "l_linenumber"]


@model(contract=Region, quarantine=True)
def region(raw_region: ir.Table) -> ir.Table:
    return _typed(raw_region, Region)


@model(contract=Nation, quarantine=True)
def nation(raw_nation: ir.Table) -> ir.Table:
    return _typed(raw_nation, Nation)


@model(contract=Supplier, quarantine=True)
def supplier(raw_supplier: ir.Table) -> ir.Table:
    return _typed(raw_supplier, Supplier)


@model(contract=Customer, quarantine=True)
def customer(raw_customer: ir.Table) -> ir.Table:
    return _typed(raw_customer, Customer)


@model(contract=Part, quarantine=True)
def part(raw_part: ir.Table) -> ir.Table:
    return _typed(raw_part, Part)


@model(contract=Partsupp, quarantine=True)
def partsupp(raw_partsupp: ir.Table) -> ir.Table:
    return _typed(raw_partsupp, Partsupp)


@model(contract=Orders, quarantine=True, incremental_by="o_orderkey")
def orders(raw_orders: ir.Table) -> ir.Table:
    return _typed(raw_orders, Orders)


@model(contract=Lineitem, quarantine=True, incremental_by="l_orderkey")
def lineitem(raw_lineitem: ir.Table) -> ir.Table:
    return _typed(raw_lineitem, Lineitem)
