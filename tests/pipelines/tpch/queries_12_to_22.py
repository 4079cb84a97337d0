"""TPC-H's queries 12 to 22, each a model as one first writes it, but for what `check` asks for: a
total order before a limit, `portable.ratio` for a division and for a decimal beside a float.
"""

from datetime import date

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from pipelines.tpch.queries_1_to_11 import Revenue, Total
from pipelines.tpch.staging import Money

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.portable import ratio

CODES = ["13", "31", "23", "29", "30", "18", "17"]


class Q12(Contract):
    """One row per way of shipping."""

    l_shipmode: str = column("Way.")
    high_line_count: dt.Int64 = column("Urgent lines.")
    low_line_count: dt.Int64 = column("Other lines.")

    class Config:
        unique = ["l_shipmode"]


@model(contract=Q12)
def q12(orders: ir.Table, lineitem: ir.Table) -> ir.Table:
    late = orders.join(lineitem, orders.o_orderkey == lineitem.l_orderkey).filter(
        lambda t: (
            t.l_shipmode.isin(["MAIL", "SHIP"])
            & (t.l_commitdate < t.l_receiptdate)
            & (t.l_shipdate < t.l_commitdate)
            & (t.l_receiptdate >= date(1994, 1, 1))
            & (t.l_receiptdate < date(1995, 1, 1))
        )
    )
    is_urgent = late.o_orderpriority.isin(["1-URGENT", "2-HIGH"])
    return (
        late.group_by("l_shipmode")
        .aggregate(
            high_line_count=is_urgent.ifelse(1, 0).sum(),
            low_line_count=is_urgent.ifelse(0, 1).sum(),
        )
        .order_by("l_shipmode")
    )


class Q13(Contract):
    """One row per number of orders."""

    c_count: dt.Int64 = column("Orders.")
    custdist: dt.Int64 = column("Customers with so many.")

    class Config:
        unique = ["c_count"]


@model(contract=Q13)
def q13(customer: ir.Table, orders: ir.Table) -> ir.Table:
    placed = customer.left_join(
        orders,
        [
            customer.c_custkey == orders.o_custkey,
            ~orders.o_comment.like("%special%requests%"),
        ],
    )
    counts = placed.group_by("c_custkey").aggregate(c_count=placed.o_orderkey.count())
    return (
        counts.group_by("c_count")
        .aggregate(custdist=counts.count())
        .order_by(ibis.desc("custdist"), ibis.desc("c_count"))
    )


class Q14(Contract):
    """One row: the share of promoted parts."""

    promo_revenue: dt.Float64 = column("Share.", unit="%", nullable=True)


@model(contract=Q14)
def q14(lineitem: ir.Table, part: ir.Table) -> ir.Table:
    sold = lineitem.join(part, lineitem.l_partkey == part.p_partkey).filter(
        lambda t: (t.l_shipdate >= date(1995, 9, 1)) & (t.l_shipdate < date(1995, 10, 1))
    )
    revenue = sold.l_extendedprice * (1 - sold.l_discount)
    promoted = ibis.cases((sold.p_type.like("PROMO%"), revenue), else_=0)
    return sold.aggregate(promo_revenue=ratio(100.00 * promoted.sum(), revenue.sum()))


class Q15(Contract):
    """One row per supplier of most revenue."""

    s_suppkey: dt.Int64 = column("Supplier.")
    s_name: str = column("Name.")
    s_address: str = column("Address.")
    s_phone: str = column("Phone.")
    total_revenue: Revenue = column("Revenue.")

    class Config:
        unique = ["s_suppkey"]


@model(contract=Q15)
def q15(supplier: ir.Table, lineitem: ir.Table) -> ir.Table:
    lines = lineitem.filter(
        lineitem.l_shipdate >= date(1996, 1, 1), lineitem.l_shipdate < date(1996, 4, 1)
    )
    revenue = lines.group_by(supplier_no="l_suppkey").aggregate(
        total_revenue=(lines.l_extendedprice * (1 - lines.l_discount)).sum()
    )
    return (
        supplier.join(revenue, supplier.s_suppkey == revenue.supplier_no)
        .filter(lambda t: t.total_revenue == revenue.total_revenue.max())
        .select("s_suppkey", "s_name", "s_address", "s_phone", "total_revenue")
        .order_by("s_suppkey")
    )


class Q16(Contract):
    """One row per brand, type and size of parts."""

    p_brand: str = column("Brand.")
    p_type: str = column("Type.")
    p_size: dt.Int64 = column("Size.")
    supplier_cnt: dt.Int64 = column("Suppliers.")

    class Config:
        unique = ["p_brand", "p_type", "p_size"]


@model(contract=Q16)
def q16(partsupp: ir.Table, part: ir.Table, supplier: ir.Table) -> ir.Table:
    complained = supplier.filter(supplier.s_comment.like("%Customer%Complaints%"))
    offers = partsupp.join(part, partsupp.ps_partkey == part.p_partkey).filter(
        lambda t: (
            (t.p_brand != "Brand#45")
            & ~t.p_type.like("MEDIUM POLISHED%")
            & t.p_size.isin([49, 14, 23, 45, 19, 3, 36, 9])
            & t.ps_suppkey.notin(complained.s_suppkey)
        )
    )
    return (
        offers.group_by("p_brand", "p_type", "p_size")
        .aggregate(supplier_cnt=offers.ps_suppkey.nunique())
        .order_by(ibis.desc("supplier_cnt"), "p_brand", "p_type", "p_size")
    )


class Q17(Contract):
    """One row: what small orders bring in a year."""

    avg_yearly: dt.Float64 = column("Revenue.", nullable=True)


@model(contract=Q17)
def q17(lineitem: ir.Table, part: ir.Table) -> ir.Table:
    usual = lineitem.group_by("l_partkey").aggregate(usual=0.2 * lineitem.l_quantity.mean())
    small = (
        lineitem.join(part, lineitem.l_partkey == part.p_partkey)
        .join(usual, "l_partkey")
        .filter(lambda t: (t.p_brand == "Brand#23") & (t.p_container == "MED BOX"))
        .filter(lambda t: ratio(t.l_quantity, 1) < t.usual)
    )
    return small.aggregate(avg_yearly=ratio(small.l_extendedprice.sum(), 7.0))


class Q18(Contract):
    """One row per large order, the 100 dearest."""

    c_name: str = column("Customer's name.")
    c_custkey: dt.Int64 = column("Customer.")
    o_orderkey: dt.Int64 = column("Order.")
    o_orderdate: dt.Date = column("Its day.")
    o_totalprice: Money = column("Its price.")
    quantity: Total = column("Quantity.")

    class Config:
        unique = ["o_orderkey"]


@model(contract=Q18)
def q18(customer: ir.Table, orders: ir.Table, lineitem: ir.Table) -> ir.Table:
    large = (
        lineitem.group_by("l_orderkey")
        .aggregate(quantity=lineitem.l_quantity.sum())
        .filter(lambda t: t.quantity > 300)
    )
    lines = (
        customer.join(orders, customer.c_custkey == orders.o_custkey)
        .join(lineitem, orders.o_orderkey == lineitem.l_orderkey)
        .filter(lambda t: t.o_orderkey.isin(large.l_orderkey))
    )
    return (
        lines.group_by("c_name", "c_custkey", "o_orderkey", "o_orderdate", "o_totalprice")
        .aggregate(quantity=lines.l_quantity.sum())
        .order_by(ibis.desc("o_totalprice"), "o_orderdate", "o_orderkey", "c_custkey", "c_name")
        .limit(100)
    )


class Q19(Contract):
    """One row: what some parts bring."""

    revenue: Revenue = column("Revenue.", nullable=True)


@model(contract=Q19)
def q19(lineitem: ir.Table, part: ir.Table) -> ir.Table:
    sold = lineitem.join(part, lineitem.l_partkey == part.p_partkey).filter(
        lambda t: t.l_shipmode.isin(["AIR", "AIR REG"]) & (t.l_shipinstruct == "DELIVER IN PERSON")
    )

    def of(brand: str, size: str, containers: list[str], least: int, largest: int) -> ir.Value:
        return (
            (sold.p_brand == brand)
            & sold.p_container.isin([f"{size} {each}" for each in containers])
            & sold.l_quantity.between(least, least + 10)
            & sold.p_size.between(1, largest)
        )

    chosen = sold.filter(
        of("Brand#12", "SM", ["CASE", "BOX", "PACK", "PKG"], 1, 5)
        | of("Brand#23", "MED", ["BAG", "BOX", "PKG", "PACK"], 10, 10)
        | of("Brand#34", "LG", ["CASE", "BOX", "PACK", "PKG"], 20, 15)
    )
    return chosen.aggregate(revenue=(chosen.l_extendedprice * (1 - chosen.l_discount)).sum())


class Q20(Contract):
    """One row per supplier with more than it needs."""

    s_name: str = column("Supplier.")
    s_address: str = column("Address.")


@model(contract=Q20)
def q20(
    supplier: ir.Table, nation: ir.Table, partsupp: ir.Table, part: ir.Table, lineitem: ir.Table
) -> ir.Table:
    forest = part.filter(part.p_name.like("forest%"))
    shipped = lineitem.filter(
        lineitem.l_shipdate >= date(1994, 1, 1), lineitem.l_shipdate < date(1995, 1, 1)
    )
    sold = shipped.group_by("l_partkey", "l_suppkey").aggregate(quantity=shipped.l_quantity.sum())
    surplus = (
        partsupp.filter(partsupp.ps_partkey.isin(forest.p_partkey))
        .join(
            sold,
            [partsupp.ps_partkey == sold.l_partkey, partsupp.ps_suppkey == sold.l_suppkey],
        )
        .filter(lambda t: t.ps_availqty > 0.5 * t.quantity)
    )
    return (
        supplier.join(nation, supplier.s_nationkey == nation.n_nationkey)
        .filter(lambda t: (t.n_name == "CANADA") & t.s_suppkey.isin(surplus.ps_suppkey))
        .select("s_name", "s_address")
        .order_by("s_name")
    )


class Q21(Contract):
    """One row per supplier that alone kept orders waiting, the 100 that kept most."""

    s_name: str = column("Supplier.")
    numwait: dt.Int64 = column("Orders.")

    class Config:
        unique = ["s_name"]


@model(contract=Q21)
def q21(supplier: ir.Table, lineitem: ir.Table, orders: ir.Table, nation: ir.Table) -> ir.Table:
    late = (
        supplier.join(lineitem, supplier.s_suppkey == lineitem.l_suppkey)
        .join(orders, lineitem.l_orderkey == orders.o_orderkey)
        .join(nation, supplier.s_nationkey == nation.n_nationkey)
        .filter(lambda t: (t.o_orderstatus == "F") & (t.l_receiptdate > t.l_commitdate))
        .filter(lambda t: t.n_name == "SAUDI ARABIA")
    )
    other = lineitem.view()
    is_other = (other.l_orderkey == late.l_orderkey) & (other.l_suppkey != late.l_suppkey)
    is_late = other.l_receiptdate > other.l_commitdate
    waiting = late.filter(is_other.any(), ~(is_other & is_late).any())
    return (
        waiting.group_by("s_name")
        .aggregate(numwait=waiting.count())
        .order_by(ibis.desc("numwait"), "s_name")
        .limit(100)
    )


class Q22(Contract):
    """One row per code of countries."""

    cntrycode: str = column("Code.")
    numcust: dt.Int64 = column("Customers who have money and no orders.")
    totacctbal: Total = column("Their money.")

    class Config:
        unique = ["cntrycode"]


@model(contract=Q22)
def q22(customer: ir.Table, orders: ir.Table) -> ir.Table:
    coded = customer.mutate(cntrycode=customer.c_phone.substr(0, 2))
    chosen = coded.filter(coded.cntrycode.isin(CODES))
    usual = chosen.filter(chosen.c_acctbal > 0.00).c_acctbal.mean()
    has_ordered = (orders.o_custkey == chosen.c_custkey).any()
    idle = chosen.filter(ratio(chosen.c_acctbal, 1) > usual, ~has_ordered)
    return (
        idle.group_by("cntrycode")
        .aggregate(numcust=idle.count(), totacctbal=idle.c_acctbal.sum())
        .order_by("cntrycode")
    )
