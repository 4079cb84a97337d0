"""A run that keeps going publishes what does not depend on a model that fails."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from pipelines.shop import add_sale, mart, raw, staging, write_raw
from published import contents

import streampro
from streampro import (
    Contract,
    ContractError,
    IncompleteRunError,
    Pipeline,
    Target,
    column,
    model,
    rule,
)
from streampro.portable import to_integer


class Amounts(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    amount: dt.Int64 = column("Amount.", nullable=True)

    class Config:
        unique = ["shop"]


class Small(Amounts):
    """One row per shop."""

    @rule("fail")
    def amount_is_small(cls, amounts: ir.Table) -> ir.BooleanValue:
        return amounts.amount < 10


def fine(revenue: ir.Table) -> ir.Table:
    return revenue.select("shop", "amount")


def broken(revenue: ir.Table) -> ir.Table:
    return revenue.select("shop", "amount")


def after(broken: ir.Table, fine: ir.Table) -> ir.Table:
    return fine.semi_join(broken, "shop")


def shop_with(contract: type[Contract]) -> Pipeline:
    """Return the shop with three models more, of which `broken` has the contract."""
    more: Any = ModuleType("more")
    for transform in (fine, broken, after):
        transform.__module__ = "more"
        declared = contract if transform is broken else Amounts
        setattr(more, transform.__name__, model(contract=declared)(transform))
    return Pipeline("shop", [raw, staging, mart, more])


@pytest.fixture
def target_of(tmp_path: Path) -> Callable[[str], Target]:
    write_raw(tmp_path / "raw")
    return lambda name: Target(name=name, raw=tmp_path / "raw", warehouse=tmp_path / name)


def test_rest_is_published_and_the_error_tells_of_both(target_of: Callable[[str], Target]) -> None:
    target = target_of("one")
    with pytest.raises(IncompleteRunError) as raised:
        streampro.run(shop_with(Small), target, keep_going=True)
    error = raised.value
    assert {"mart.revenue", "more.fine"} <= {item.table for item in error.run.tables}
    assert not {"more.broken", "more.after"} & {item.table for item in error.run.tables}
    assert ([*error.errors], error.left_out) == (["more.broken"], ["more.after"])
    said = str(error)
    assert "more.broken failed, and so more.after left out; run 1 has the rest." in said
    assert "amount_is_small" in said
    assert "Nothing was published" not in said
    assert isinstance(error.errors["more.broken"], ContractError)


def test_without_it_nothing_is_published(target_of: Callable[[str], Target]) -> None:
    with pytest.raises(ContractError, match="Nothing was published"):
        streampro.run(shop_with(Small), target_of("one"))
    assert streampro.runs(target_of("one")) == []


def test_where_all_fails_nothing_is_published(target_of: Callable[[str], Target]) -> None:
    streampro.run(shop_with(Amounts), target_of("one"))
    with pytest.raises(ContractError, match="Nothing was published"):
        streampro.run(shop_with(Small), target_of("one"), select="broken+", keep_going=True)
    assert len(streampro.runs(target_of("one"))) == 1


def test_what_was_left_out_catches_up(target_of: Callable[[str], Target]) -> None:
    """Runs that fail in part, and then one that does not, give the rows of a full run."""
    target = target_of("one")
    streampro.run(shop_with(Amounts), target)
    for number in range(2):
        add_sale(target, number)
        with pytest.raises(IncompleteRunError):
            streampro.run(shop_with(Small), target, keep_going=True)
    before = streampro.runs(target)[0]
    assert streampro.runs(target)[-1].version_of("more.broken") == before.version_of("more.broken")
    streampro.run(shop_with(Amounts), target)
    streampro.run(shop_with(Amounts), target_of("full"))
    assert contents(target) == contents(target_of("full"))


def unreadable(raw_sales: ir.Table) -> ir.Table:
    shops = raw_sales.select(shop=raw_sales.shop.fill_null(""), amount=to_integer(raw_sales.amount))
    return shops.group_by("shop").agg(amount=shops.amount.max())


def test_all_that_reads_the_source_of_what_fails_is_left_out(
    target_of: Callable[[str], Target],
) -> None:
    """As the files that a source has are known for all of its readers."""
    target = target_of("one")
    more: Any = ModuleType("more")
    unreadable.__module__ = "more"
    more.unreadable = model(contract=Small)(unreadable)
    pipeline = Pipeline("shop", [raw, staging, mart, more])
    with pytest.raises(IncompleteRunError) as raised:
        streampro.run(pipeline, target, keep_going=True)
    assert raised.value.left_out == ["staging.sales", "mart.revenue"]
    assert [item.table for item in raised.value.run.tables] == ["staging.shops"]
    assert {file.source for file in raised.value.run.inputs} == {"raw_shops"}
