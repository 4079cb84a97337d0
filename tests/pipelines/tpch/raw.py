"""The eight tables of TPC-H as CSV files."""

from streampro.modeling.source import Source


def _table(name: str, prefix: str, *columns: str) -> Source:
    fields = {f"{prefix}_{column}": (f"{prefix}_{column}",) for column in columns}
    files = (f"{name}.csv", f"{name}-*.csv")
    return Source(name=f"raw_{name}", files=files, format="csv", fields=fields)


raw_region = _table("region", "r", "regionkey", "name")
raw_nation = _table("nation", "n", "nationkey", "name", "regionkey")
raw_supplier = _table(
    "supplier", "s", "suppkey", "name", "address", "nationkey", "phone", "acctbal", "comment"
)
raw_customer = _table(
    "customer",
    "c",
    *("custkey", "name", "address", "nationkey", "phone", "acctbal", "mktsegment", "comment"),
)
raw_part = _table("part", "p", "partkey", "name", "mfgr", "brand", "type", "size", "container")
raw_partsupp = _table("partsupp", "ps", "partkey", "suppkey", "availqty", "supplycost")
raw_orders = _table(
    "orders",
    "o",
    *("orderkey", "custkey", "orderstatus", "totalprice", "orderdate", "orderpriority"),
    *("shippriority", "comment"),
)
raw_lineitem = _table(
    "lineitem",
    "l",
    *("orderkey", "partkey", "suppkey", "linenumber", "quantity", "extendedprice", "discount"),
    *("tax", "returnflag", "linestatus", "shipdate", "commitdate", "receiptdate"),
    *("shipinstruct", "shipmode"),
)
