"""The shop pipeline with a model of Python: the best sale of each shop."""

import sys

import ibis.expr.datatypes as dt
import pyarrow as pa
from pipelines.shop import mart, raw, staging

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.pipeline import Pipeline


class Best(Contract):
    """One row per shop with a price."""

    shop: str = column("Shop.")
    amount: dt.Int64 = column("Highest price.")

    class Config:
        unique = ["shop"]


def highest(amounts: list[int | None]) -> list[int]:
    known = [each for each in amounts if each is not None]
    return [max(known)] if known else []


@model(contract=Best, python=True, by="shop")
def best(sales: pa.Table) -> pa.Table:
    found = highest(sales.column("amount").to_pylist())
    return pa.table(
        {"shop": sales.column("shop")[: len(found)], "amount": pa.array(found, pa.int64())}
    )


PYTHON_SHOP = Pipeline("shop", [raw, staging, mart, sys.modules[__name__]])
