"""What is told of models and their rules where rows may be tied, from keys of other models too."""

from dataclasses import replace
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from pipelines.shop import SHOP, mart, raw, staging

from examples.orders import PIPELINE as ORDERS
from streampro.modeling.contract import Contract, column, rule
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.viewing import PIPELINE as VIEWING

ADD_SHOP = "Add shop (a key of {} is (shop))."


class Placed(Contract):
    """A shop and its place."""

    shop: str = column("Shop.")
    place: dt.Int64 = column("Its place.")

    class Config:
        unique = ["shop"]


def shop_with(**models: Model) -> Pipeline:
    changed = Pipeline("shop", [raw, staging, mart])
    changed.models.update(models)
    return changed


def placed(place: ir.IntegerValue) -> Model:
    """Return a model `placed` of shops and a place."""

    def transform(revenue: Any) -> Any:
        return revenue.select("shop", place=place)

    return Model(TableName("mart", "placed"), transform, Placed, ("revenue",))


def followed() -> Model:
    """Return a model of the place that follows each place."""

    def transform(placed: Any) -> Any:
        return placed.select("shop", place=placed.place.lead().over(order_by="place"))

    return Model(TableName("mart", "followed"), transform, Placed, ("placed",))


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", [SHOP, VIEWING, ORDERS], ids=lambda each: each.name)
def test_orders_of_these_pipelines_are_total(pipeline: Pipeline) -> None:
    assert pipeline.unportable() == []


def test_order_with_ties_is_told_with_the_model() -> None:
    by_city = ibis.row_number().over(order_by="city")
    assert shop_with(placed=placed(by_city)).unportable() == [
        "mart.placed: RowNumber over a window: order by city is not total: rows of equal city "
        "stand in any order. " + ADD_SHOP.format("revenue")
    ]


def test_key_that_follows_from_another_model_makes_an_order_total() -> None:
    by_city_and_shop = ibis.row_number().over(order_by=["city", "shop"]) + 1
    assert shop_with(placed=placed(by_city_and_shop), followed=followed()).unportable() == []


def test_what_is_no_key_of_another_model_is_told() -> None:
    by_city = ibis.dense_rank().over(order_by="city")
    [told] = shop_with(placed=placed(by_city), followed=followed()).unportable()
    assert told.startswith("mart.followed: Lead over a window: order by place is not total")
    assert told.endswith(ADD_SHOP.format("placed"))


def test_order_with_ties_in_a_rule_is_told() -> None:
    class Revenue(mart.Revenue):
        @rule("warn")
        def is_early(cls, revenue: ir.Table) -> ir.BooleanValue:
            return ibis.row_number().over(order_by=revenue.city) < 9

        class Config:
            unique = ["shop"]

    [told] = shop_with(revenue=replace(mart.revenue, contract=Revenue)).unportable()
    assert told.startswith("mart.revenue: RowNumber over a window: order by city is not total")
    assert told.endswith(ADD_SHOP.format("revenue"))


def test_lines_have_no_key_before_they_are_accepted() -> None:
    class Sales(staging.Sales):
        @rule("quarantine")
        def is_early(cls, sales: ir.Table) -> ir.BooleanValue:
            return ibis.row_number().over(order_by=[sales.shop, sales.day, sales.amount]) < 9

        class Config:
            unique = ["shop", "day", "amount"]

    [told] = shop_with(sales=replace(staging.sales, contract=Sales)).unportable()
    assert told.startswith("staging.sales: RowNumber over a window: order by shop, day, amount is")
    assert "No key of these rows is known" in told
