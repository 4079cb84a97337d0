"""TPC-H's queries 1 to 11, each a model as one first writes it, but for what `check` asks for: a
total order before a limit, `portable.ratio` for a division, the type of a year.
"""

from datetime import date
from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from pipelines.tpch.staging import Money

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.portable import ratio

Revenue = Annotated[dt.Decimal, 38, 4, True]
Total = Annotated[dt.Decimal, 38, 2, True]
Charge = Annotated[dt.Decimal, 38, 6, True]


class Q01(Contract):
    """One row per flag and status of lines."""

    l_returnflag: str = column("Flag.")
    l_linestatus: str = column("Status.")
    sum_qty: Total = column("Quantity.")
    sum_base_price: Total = column("Price.")
    sum_disc_price: Revenue = column("Price less discount.")
    sum_charge: Charge = column("Price less discount, with tax.")
    avg_qty: dt.Float64 = column("Mean quantity.", nullable=True)
    avg_price: dt.Float64 = column("Mean price.", nullable=True)
    avg_disc: dt.Float64 = column("Mean discount.", nullable=True)
    count_order: dt.Int64 = column("Lines.")

    class Config:
        unique = ["l_returnflag", "l_linestatus"]


@model(contract=Q01)
def q01(lineitem: ir.Table) -> ir.Table:
    shipped = lineitem.filter(lineitem.l_shipdate <= date(1998, 9, 2))
    price = shipped.l_extendedprice * (1 - shipped.l_discount)
    return (
        shipped.group_by("l_returnflag", "l_linestatus")
        .aggregate(
            sum_qty=shipped.l_quantity.sum(),
            sum_base_price=shipped.l_extendedprice.sum(),
            sum_disc_price=price.sum(),
            sum_charge=(price * (1 + shipped.l_tax)).sum(),
            avg_qty=shipped.l_quantity.mean(),
            avg_price=shipped.l_extendedprice.mean(),
            avg_disc=shipped.l_discount.mean(),
            count_order=shipped.count(),
        )
        .order_by("l_returnflag", "l_linestatus")
    )


class Q02(Contract):
    """One row per part and supplier in Europe that sells it at the least cost, the 100 richest."""

    s_acctbal: Money = column("Balance.")
    s_name: str = column("Supplier.")
    n_name: str = column("Nation.")
    p_partkey: dt.Int64 = column("Part.")
    p_mfgr: str = column("Who makes it.")
    s_address: str = column("Address.")
    s_phone: str = column("Phone.")
    s_comment: str = column("Comment.")


@model(contract=Q02)
def q02(
    part: ir.Table, supplier: ir.Table, partsupp: ir.Table, nation: ir.Table, region: ir.Table
) -> ir.Table:
    offers = (
        partsupp.join(supplier, partsupp.ps_suppkey == supplier.s_suppkey)
        .join(nation, supplier.s_nationkey == nation.n_nationkey)
        .join(region, nation.n_regionkey == region.r_regionkey)
        .filter(lambda t: t.r_name == "EUROPE")
    )
    least = offers.group_by("ps_partkey").aggregate(least_cost=offers.ps_supplycost.min())
    return (
        part.filter((part.p_size == 15) & part.p_type.like("%BRASS"))
        .join(offers, part.p_partkey == offers.ps_partkey)
        .join(least, "ps_partkey")
        .filter(lambda t: t.ps_supplycost == t.least_cost)
        .order_by(ibis.desc("s_acctbal"), "n_name", "s_name", "p_partkey", "s_suppkey")
        .limit(100)
        .select(*Q02.to_schema().columns)
    )


class Q03(Contract):
    """One row per order, the ten of most revenue that are not shipped."""

    l_orderkey: dt.Int64 = column("Order.")
    revenue: Revenue = column("Revenue.")
    o_orderdate: dt.Date = column("Its day.")
    o_shippriority: dt.Int64 = column("Its priority.")

    class Config:
        unique = ["l_orderkey"]


@model(contract=Q03)
def q03(customer: ir.Table, orders: ir.Table, lineitem: ir.Table) -> ir.Table:
    day = date(1995, 3, 15)
    lines = (
        customer.filter(customer.c_mktsegment == "BUILDING")
        .join(orders, customer.c_custkey == orders.o_custkey)
        .join(lineitem, orders.o_orderkey == lineitem.l_orderkey)
        .filter(lambda t: (t.o_orderdate < day) & (t.l_shipdate > day))
    )
    return (
        lines.group_by("l_orderkey", "o_orderdate", "o_shippriority")
        .aggregate(revenue=(lines.l_extendedprice * (1 - lines.l_discount)).sum())
        .select("l_orderkey", "revenue", "o_orderdate", "o_shippriority")
        .order_by(ibis.desc("revenue"), "o_orderdate", "l_orderkey", "o_shippriority")
        .limit(10)
    )


class Q04(Contract):
    """One row per priority of orders that came late."""

    o_orderpriority: str = column("Priority.")
    order_count: dt.Int64 = column("Orders.")

    class Config:
        unique = ["o_orderpriority"]


@model(contract=Q04)
def q04(orders: ir.Table, lineitem: ir.Table) -> ir.Table:
    is_late = (lineitem.l_orderkey == orders.o_orderkey) & (
        lineitem.l_commitdate < lineitem.l_receiptdate
    )
    placed = orders.filter(
        orders.o_orderdate >= date(1993, 7, 1),
        orders.o_orderdate < date(1993, 10, 1),
        is_late.any(),
    )
    counts = placed.group_by("o_orderpriority").aggregate(order_count=placed.count())
    return counts.order_by("o_orderpriority")


class Q05(Contract):
    """One row per nation of Asia whose suppliers sell to their own."""

    n_name: str = column("Nation.")
    revenue: Revenue = column("Revenue.")

    class Config:
        unique = ["n_name"]


@model(contract=Q05)
def q05(
    customer: ir.Table,
    orders: ir.Table,
    lineitem: ir.Table,
    supplier: ir.Table,
    nation: ir.Table,
    region: ir.Table,
) -> ir.Table:
    lines = (
        customer.join(orders, customer.c_custkey == orders.o_custkey)
        .join(lineitem, orders.o_orderkey == lineitem.l_orderkey)
        .join(
            supplier,
            [
                lineitem.l_suppkey == supplier.s_suppkey,
                customer.c_nationkey == supplier.s_nationkey,
            ],
        )
        .join(nation, supplier.s_nationkey == nation.n_nationkey)
        .join(region, nation.n_regionkey == region.r_regionkey)
        .filter(lambda t: t.r_name == "ASIA")
        .filter(lambda t: (t.o_orderdate >= date(1994, 1, 1)) & (t.o_orderdate < date(1995, 1, 1)))
    )
    sums = lines.group_by("n_name").aggregate(
        revenue=(lines.l_extendedprice * (1 - lines.l_discount)).sum()
    )
    return sums.order_by(ibis.desc("revenue"))


class Q06(Contract):
    """One row: what some discounts cost."""

    revenue: Revenue = column("Revenue.", nullable=True)


@model(contract=Q06)
def q06(lineitem: ir.Table) -> ir.Table:
    lines = lineitem.filter(
        lineitem.l_shipdate >= date(1994, 1, 1),
        lineitem.l_shipdate < date(1995, 1, 1),
        lineitem.l_discount.between(0.05, 0.07),
        lineitem.l_quantity < 24,
    )
    return lines.aggregate(revenue=(lines.l_extendedprice * lines.l_discount).sum())


class Q07(Contract):
    """One row per pair of nations and year."""

    supp_nation: str = column("Nation of the supplier.")
    cust_nation: str = column("Nation of the customer.")
    l_year: dt.Int64 = column("Year.")
    revenue: Revenue = column("Revenue.")

    class Config:
        unique = ["supp_nation", "cust_nation", "l_year"]


@model(contract=Q07)
def q07(
    supplier: ir.Table, lineitem: ir.Table, orders: ir.Table, customer: ir.Table, nation: ir.Table
) -> ir.Table:
    sellers = supplier.join(nation, supplier.s_nationkey == nation.n_nationkey).select(
        "s_suppkey", supp_nation="n_name"
    )
    buyers = customer.join(nation, customer.c_nationkey == nation.n_nationkey).select(
        "c_custkey", cust_nation="n_name"
    )
    shipping = (
        lineitem.filter(lineitem.l_shipdate.between(date(1995, 1, 1), date(1996, 12, 31)))
        .join(sellers, lineitem.l_suppkey == sellers.s_suppkey)
        .join(orders, lineitem.l_orderkey == orders.o_orderkey)
        .join(buyers, orders.o_custkey == buyers.c_custkey)
        .filter(
            lambda t: (
                ((t.supp_nation == "FRANCE") & (t.cust_nation == "GERMANY"))
                | ((t.supp_nation == "GERMANY") & (t.cust_nation == "FRANCE"))
            )
        )
        .mutate(
            l_year=lambda t: t.l_shipdate.year().cast("int64"),
            volume=lambda t: t.l_extendedprice * (1 - t.l_discount),
        )
    )
    return (
        shipping.group_by("supp_nation", "cust_nation", "l_year")
        .aggregate(revenue=shipping.volume.sum())
        .order_by("supp_nation", "cust_nation", "l_year")
    )


class Q08(Contract):
    """One row per year."""

    o_year: dt.Int64 = column("Year.")
    mkt_share: dt.Float64 = column("Share of Brazil.", nullable=True)

    class Config:
        unique = ["o_year"]


@model(contract=Q08)
def q08(
    part: ir.Table,
    supplier: ir.Table,
    lineitem: ir.Table,
    orders: ir.Table,
    customer: ir.Table,
    nation: ir.Table,
    region: ir.Table,
) -> ir.Table:
    sellers = supplier.join(nation, supplier.s_nationkey == nation.n_nationkey).select(
        "s_suppkey", nation="n_name"
    )
    buyers = (
        customer.join(nation, customer.c_nationkey == nation.n_nationkey)
        .join(region, nation.n_regionkey == region.r_regionkey)
        .filter(lambda t: t.r_name == "AMERICA")
        .select("c_custkey")
    )
    volumes = (
        part.filter(part.p_type == "ECONOMY ANODIZED STEEL")
        .join(lineitem, part.p_partkey == lineitem.l_partkey)
        .join(sellers, lineitem.l_suppkey == sellers.s_suppkey)
        .join(orders, lineitem.l_orderkey == orders.o_orderkey)
        .join(buyers, orders.o_custkey == buyers.c_custkey)
        .filter(lambda t: t.o_orderdate.between(date(1995, 1, 1), date(1996, 12, 31)))
        .select(
            "nation",
            o_year=lambda t: t.o_orderdate.year().cast("int64"),
            volume=lambda t: t.l_extendedprice * (1 - t.l_discount),
        )
    )
    brazil = ibis.ifelse(volumes.nation == "BRAZIL", volumes.volume, 0)
    return (
        volumes.group_by("o_year")
        .aggregate(mkt_share=ratio(brazil.sum(), volumes.volume.sum()))
        .order_by("o_year")
    )


class Q09(Contract):
    """One row per nation and year."""

    nation: str = column("Nation.")
    o_year: dt.Int64 = column("Year.")
    sum_profit: Revenue = column("Profit.")

    class Config:
        unique = ["nation", "o_year"]


@model(contract=Q09)
def q09(
    part: ir.Table,
    supplier: ir.Table,
    lineitem: ir.Table,
    partsupp: ir.Table,
    orders: ir.Table,
    nation: ir.Table,
) -> ir.Table:
    lines = (
        lineitem.join(supplier, lineitem.l_suppkey == supplier.s_suppkey)
        .join(
            partsupp,
            [
                lineitem.l_suppkey == partsupp.ps_suppkey,
                lineitem.l_partkey == partsupp.ps_partkey,
            ],
        )
        .join(part, lineitem.l_partkey == part.p_partkey)
        .join(orders, lineitem.l_orderkey == orders.o_orderkey)
        .join(nation, supplier.s_nationkey == nation.n_nationkey)
        .filter(lambda t: t.p_name.like("%green%"))
    )
    profit = lines.select(
        nation=lines.n_name,
        o_year=lines.o_orderdate.year().cast("int64"),
        amount=lines.l_extendedprice * (1 - lines.l_discount)
        - lines.ps_supplycost * lines.l_quantity,
    )
    return (
        profit.group_by("nation", "o_year")
        .aggregate(sum_profit=profit.amount.sum())
        .order_by("nation", ibis.desc("o_year"))
    )


class Q10(Contract):
    """One row per customer, the twenty that returned most."""

    c_custkey: dt.Int64 = column("Customer.")
    c_name: str = column("Name.")
    revenue: Revenue = column("Revenue.")
    c_acctbal: Money = column("Balance.")
    n_name: str = column("Nation.")
    c_address: str = column("Address.")
    c_phone: str = column("Phone.")
    c_comment: str = column("Comment.")

    class Config:
        unique = ["c_custkey"]


@model(contract=Q10)
def q10(customer: ir.Table, orders: ir.Table, lineitem: ir.Table, nation: ir.Table) -> ir.Table:
    lines = (
        customer.join(orders, customer.c_custkey == orders.o_custkey)
        .join(lineitem, orders.o_orderkey == lineitem.l_orderkey)
        .join(nation, customer.c_nationkey == nation.n_nationkey)
        .filter(lambda t: (t.o_orderdate >= date(1993, 10, 1)) & (t.o_orderdate < date(1994, 1, 1)))
        .filter(lambda t: t.l_returnflag == "R")
    )
    buyer = ("c_custkey", "c_name", "c_acctbal", "c_phone", "n_name", "c_address", "c_comment")
    return (
        lines.group_by(buyer)
        .aggregate(revenue=(lines.l_extendedprice * (1 - lines.l_discount)).sum())
        .select(*Q10.to_schema().columns)
        .order_by(ibis.desc("revenue"), *buyer)
        .limit(20)
    )


class Q11(Contract):
    """One row per part whose stock in Germany is worth more than a share of all."""

    ps_partkey: dt.Int64 = column("Part.")
    value: Total = column("Worth.")

    class Config:
        unique = ["ps_partkey"]


@model(contract=Q11)
def q11(partsupp: ir.Table, supplier: ir.Table, nation: ir.Table) -> ir.Table:
    stock = (
        partsupp.join(supplier, partsupp.ps_suppkey == supplier.s_suppkey)
        .join(nation, supplier.s_nationkey == nation.n_nationkey)
        .filter(lambda t: t.n_name == "GERMANY")
        .mutate(worth=lambda t: t.ps_supplycost * t.ps_availqty)
    )
    values = stock.group_by("ps_partkey").aggregate(value=stock.worth.sum())
    return values.filter(values.value > stock.worth.sum().as_scalar() * 0.0001).order_by(
        ibis.desc("value")
    )
