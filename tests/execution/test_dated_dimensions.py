"""Versions of a dimension from dated rows: exact for any split into files and runs."""

from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from hypothesis import settings
from published import contents

import streampro
from streampro import (
    REJECT_COLUMNS,
    Contract,
    Instant,
    Pipeline,
    Source,
    Target,
    column,
    model,
    portable,
)
from streampro.testing import Workbench

pytestmark = pytest.mark.slow


class Prices(Contract):
    """One row per product and instant."""

    product: str = column("Product.")
    changed_at: Instant = column("Since when.")
    price: dt.Int64 = column("Price.", unit="cents", ge=0)

    class Config:
        unique = ["product", "changed_at", "price"]


class PriceVersions(Contract):
    """One row per product and price that it had."""

    product: str = column("Product.")
    price: dt.Int64 = column("Price.", unit="cents", ge=0)
    valid_from: Instant = column("Since when, inclusive.")
    valid_to: Instant = column("Until when, exclusive; null for what holds.", nullable=True)
    is_current: bool = column("Whether it holds.")

    class Config:
        unique = ["product", "valid_from"]


def prices(raw_prices: ir.Table) -> ir.Table:
    changed_at = portable.to_utc(raw_prices.changed_at)
    price = portable.to_integer(raw_prices.price)
    is_odd = raw_prices["product"].isnull() | changed_at.isnull() | price.isnull()
    return raw_prices.select(
        raw_prices["product"],
        changed_at=changed_at,
        price=price,
        reject_reason=ibis.cases((is_odd, "unreadable")),
        raw_line=raw_prices.raw_line,
        source_file=raw_prices.source_file,
    ).select("product", "changed_at", "price", *REJECT_COLUMNS)


def price_versions(prices: ir.Table) -> ir.Table:
    return portable.versions_of(prices, key="product", at="changed_at")


def pipeline() -> Pipeline:
    module: Any = ModuleType("staging")
    module.raw_prices = Source(
        name="raw_prices",
        files=("prices*.csv",),
        format="csv",
        fields={name: (name,) for name in ("product", "changed_at", "price")},
    )
    prices.__module__ = price_versions.__module__ = module.__name__
    module.prices = model(contract=Prices, quarantine=True, incremental_by="product")(prices)
    module.price_versions = model(contract=PriceVersions, incremental_by="product")(price_versions)
    return Pipeline("prices", [module])


FILES = {
    "1": "a,2026-01-01T00:00:00Z,10\nb,2026-01-01T00:00:00Z,5\n",
    "2": "a,2026-01-05T00:00:00Z,10\na,2026-01-03T00:00:00Z,12\n",
    "3": "a,2026-01-04T00:00:00Z,12\nb,2026-01-01T00:00:00Z,7\nb,2025-12-31T00:00:00Z,7\n",
}


@pytest.mark.thorough("spark")
def test_files_in_any_order_give_the_versions_of_a_full_run(
    engine: Workbench, tmp_path: Path
) -> None:
    """A late row divides the version that it falls into, or joins two."""
    found = []
    orders = [*permutations(FILES)]
    if engine.name == "spark" or settings.default is not settings.get_profile("thorough"):
        orders = [("3", "1", "2"), ("2", "3", "1")][: 1 if engine.name == "spark" else 2]
    for number, order in enumerate(orders):
        raw = tmp_path / f"raw-{number}"
        raw.mkdir()
        target = Target(name="test", engine=engine.name, raw=raw, warehouse=tmp_path / f"w{number}")
        for name in order:
            (raw / f"prices-{name}.csv").write_text("product,changed_at,price\n" + FILES[name])
            done = engine.run(pipeline(), target)
        assert [each.mode for each in done.changes] == ["incremental"] * 2
        found.append(contents(target)["staging.price_versions"])
    full = Target(name="full", raw=raw, warehouse=tmp_path / "full")
    streampro.run(pipeline(), full)
    wanted = contents(full)["staging.price_versions"]
    assert found == [wanted] * len(orders)
    assert len(wanted) == 4
