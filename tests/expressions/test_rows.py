"""From which rows a row comes. Rows are told by their `id`."""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from ibis.common.exceptions import IntegrityError

from streampro.errors import PipelineError
from streampro.expressions.rows import Contribution, contributions
from streampro.testing import Workbench, assert_rows_equal

pytestmark = pytest.mark.thorough("spark")
"""What is told of an expression is told without an engine."""
Row = dict[str, Any]

SALES = [
    {"id": 1, "shop": "a", "amount": 10},
    {"id": 2, "shop": "a", "amount": 20},
    {"id": 3, "shop": "b", "amount": 10},
    {"id": 4, "shop": None, "amount": 5},
    {"id": 5, "shop": None, "amount": None},
    {"id": 6, "shop": "c", "amount": 7},
]
SHOPS = [
    {"id": 1, "name": "a", "city": "Oslo"},
    {"id": 2, "name": "b", "city": None},
    {"id": 3, "name": None, "city": None},
]


def loaded(bench: Workbench, rows: list[Row]) -> ir.Table:
    kinds = dict.fromkeys(rows[0], "string") | {"id": "int64"}
    kinds |= {"amount": "int64"} if "amount" in kinds else {}
    schema = ibis.schema(kinds)
    return bench.engine.load(pa.Table.from_pylist(rows, schema.to_pyarrow()), schema)


@pytest.fixture
def sales(engine: Workbench) -> ir.Table:
    return loaded(engine, SALES)


@pytest.fixture
def shops(engine: Workbench) -> ir.Table:
    return loaded(engine, SHOPS)


@pytest.fixture
def origin(engine: Workbench) -> Callable[..., dict[str, Contribution]]:
    """Ask for the origin of the rows that are equal to given ones in the columns of these."""

    def ask(
        rows: ir.Table, selected: list[Row], columns: list[str] | None = None, **inputs: ir.Table
    ) -> dict[str, Contribution]:
        kinds = {name: rows.schema()[name].copy(nullable=True) for name in selected[0]}
        schema = ibis.schema(kinds)
        chosen = engine.engine.load(pa.Table.from_pylist(selected, schema.to_pyarrow()), schema)
        keep = engine.engine.cache
        return contributions(rows, inputs, chosen, columns or rows.columns, keep)

    return ask


@pytest.fixture
def ids(engine: Workbench) -> Callable[[ir.Table | None], list[int] | None]:
    def fetch(rows: ir.Table | None) -> list[int] | None:
        return None if rows is None else sorted(row["id"] for row in engine.rows(rows))

    return fetch


def test_projected_row_comes_from_the_row_it_is_computed_from(origin, ids, sales):
    doubled = sales.select(twice=sales.amount * 2)
    assert ids(origin(doubled, [{"twice": 20}], sales=sales)["sales"].rows) == [1, 3]


def test_null_is_equal_to_null(origin, ids, sales):
    doubled = sales.select("shop", twice=sales.amount * 2)
    found = origin(doubled, [{"shop": None, "twice": None}], sales=sales)
    assert ids(found["sales"].rows) == [5]


def test_filtered_row_comes_from_a_row_that_passes(origin, ids, sales):
    large = sales.filter(sales.amount > 10).select("shop")
    assert ids(origin(large, [{"shop": "a"}], sales=sales)["sales"].rows) == [2]


def test_row_that_is_not_there_comes_from_none(origin, ids, sales):
    large = sales.filter(sales.amount > 10)
    assert ids(origin(large, [{"shop": "b"}], sales=sales)["sales"].rows) == []


def test_group_comes_from_all_its_rows(origin, ids, sales):
    sums = sales.group_by("shop").aggregate(total=sales.amount.sum())
    assert ids(origin(sums, [{"shop": "a"}], sales=sales)["sales"].rows) == [1, 2]
    assert ids(origin(sums, [{"shop": None}, {"shop": "b"}], sales=sales)["sales"].rows) == [
        3,
        4,
        5,
    ]


def test_group_is_found_by_a_value_computed_of_it(origin, ids, sales):
    sums = sales.group_by("shop").aggregate(total=sales.amount.sum())
    labelled = sums.filter(sums.total > 5).mutate(label=sums.total + 1)
    assert ids(origin(labelled, [{"label": 11}], sales=sales)["sales"].rows) == [3]
    assert ids(origin(labelled, [{"label": 6}], sales=sales)["sales"].rows) == []


def test_group_of_a_computed_key(origin, ids, sales):
    sizes = sales.group_by(is_large=sales.amount >= 10).aggregate(n=sales.count())
    assert ids(origin(sizes, [{"is_large": True}], sales=sales)["sales"].rows) == [1, 2, 3]


def test_one_row_of_all_comes_from_all(origin, ids, sales):
    total = sales.aggregate(total=sales.amount.sum(), n=sales.count())
    assert ids(origin(total, [{"total": 52}], sales=sales)["sales"].rows) == [1, 2, 3, 4, 5, 6]
    assert ids(origin(total, [{"total": 1}], sales=sales)["sales"].rows) == []


def test_joined_row_comes_from_both_sides(origin, ids, sales, shops):
    joined = sales.join(shops, sales.shop == shops.name).select(sales.id, "city")
    found = origin(joined, [{"id": 2}, {"id": 3}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [2, 3]
    assert ids(found["shops"].rows) == [1, 2]


def test_row_without_a_partner_comes_from_the_left_alone(origin, ids, sales, shops):
    joined = sales.left_join(shops, sales.shop == shops.name).select(sales.id, "city")
    found = origin(joined, [{"id": 4}, {"id": 6}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [4, 6]
    assert ids(found["shops"].rows) == []


def test_null_of_a_partner_is_not_a_missing_partner(origin, ids, sales, shops):
    joined = sales.left_join(shops, sales.shop == shops.name).select(sales.id, "city")
    found = origin(joined, [{"city": None}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [3, 4, 5, 6]
    assert ids(found["shops"].rows) == [2]


def test_left_joined_table_of_which_nothing_is_asked_has_no_say(origin, ids, sales, shops):
    joined = sales.left_join(shops, sales.shop == shops.name).select(
        "amount", "city", sale=sales.id
    )
    found = origin(joined, [{"sale": 1}], ["amount"], sales=sales, shops=shops)
    assert found["shops"] == Contribution(None, frozenset(), None, False)
    counted = joined.group_by("sale").aggregate(n=joined.count())
    assert ids(origin(counted, [{"sale": 1}], sales=sales, shops=shops)["shops"].rows) == [1]


def test_outer_and_right_joins_have_rows_of_either_side(origin, ids, sales, shops):
    same = sales.shop == shops.name
    for joined in (sales.outer_join(shops, same), sales.right_join(shops, same)):
        rows = joined.select("amount", place=shops.id)
        found = origin(rows, [{"place": 3}, {"place": 2}], sales=sales, shops=shops)
        assert ids(found["sales"].rows) == [3]
        assert ids(found["shops"].rows) == [2, 3]


def test_semi_join_decides_which_rows_there_are(origin, ids, sales, shops):
    known = sales.semi_join(shops, sales.shop == shops.name)
    found = origin(known, [{"id": 1}, {"id": 4}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [1]
    assert found["shops"].rows is None
    assert ids(found["shops"].deciding) == [1]


def test_rows_that_exist_beside_it_decide(origin, ids, sales, shops):
    known = sales.filter(((shops.name == sales.shop) & shops.city.notnull()).any())
    found = origin(known, [{"id": 1}, {"id": 3}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [1]
    assert (found["shops"].rows, ids(found["shops"].deciding)) == (None, [1])
    assert found["shops"].columns == {"name", "city"}


def test_other_rows_of_the_same_table_decide(origin, ids, sales):
    other = sales.view()
    shared = sales.filter(((other.shop == sales.shop) & (other.id != sales.id)).any())
    found = origin(shared, [{"id": 1}], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([1], [2])


def test_what_must_not_exist_decides_as_a_whole(origin, ids, sales, shops):
    unknown = sales.filter(sales.amount < 20, ~(shops.name == sales.shop).any())
    found = origin(unknown, [{"id": 1}, {"id": 4}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [4]
    assert (found["shops"].rows, found["shops"].decides_as_a_whole) == (None, True)


def test_rows_that_a_value_is_in_decide(origin, ids, sales, shops):
    known = sales.filter(sales.shop.isin(shops.name))
    found = origin(known, [{"id": 3}], sales=sales, shops=shops)
    assert (ids(found["sales"].rows), ids(found["shops"].deciding)) == ([3], [2])


def test_other_side_of_a_semi_join_is_not_counted(origin, ids, sales, shops):
    known = sales.semi_join(shops, sales.shop == shops.name).aggregate(n=lambda t: t.count())
    found = origin(known, [{"n": 3}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [1, 2, 3]
    assert (found["shops"].rows, ids(found["shops"].deciding)) == (None, [1, 2])


def test_anti_join_decides_as_a_whole(origin, ids, sales, shops):
    unknown = sales.anti_join(shops, sales.shop == shops.name)
    found = origin(unknown, [{"id": 1}, {"id": 4}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [4]
    assert (found["shops"].rows, found["shops"].decides_as_a_whole) == (None, True)


def test_one_row_joined_to_all_decides_as_a_whole(origin, ids, sales, shops):
    last = sales.aggregate(largest=sales.amount.max())
    joined = shops.cross_join(last).mutate(share=ibis._.largest * 2).select("name", "share")
    found = origin(joined, [{"name": "a"}], sales=sales, shops=shops)
    assert ids(found["shops"].rows) == [1]
    assert (found["sales"].rows, found["sales"].decides_as_a_whole) == (None, True)
    unasked = origin(joined, [{"name": "a"}], ["name"], sales=sales, shops=shops)
    assert not unasked["sales"].decides_as_a_whole


def test_one_row_that_leaves_out_others_decides_as_a_whole(origin, ids, sales, shops):
    last = sales.aggregate(last=sales.id.max() - 4)
    for known in (shops.semi_join(last, shops.id == last.last), shops.join(last, [("id", "last")])):
        found = origin(known, [{"id": 2}], ["city"], sales=sales, shops=shops)
        assert ids(found["shops"].rows) == [2]
        assert (found["sales"].rows, found["sales"].decides_as_a_whole) == (None, True)


def test_scalar_subquery_decides_as_a_whole(origin, ids, sales, shops):
    marked = shops.mutate(largest=sales.amount.max().as_scalar())
    found = origin(marked, [{"id": 2}], sales=sales, shops=shops)
    assert ids(found["shops"].rows) == [2]
    assert (found["sales"].rows, found["sales"].decides_as_a_whole) == (None, True)


def test_product_of_single_rows_comes_from_both(origin, ids, sales, shops):
    both = sales.aggregate(n=sales.count()).cross_join(shops.aggregate(m=shops.count()))
    found = origin(both.select("n", "m"), [{"n": 6}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [1, 2, 3, 4, 5, 6]
    assert ids(found["shops"].rows) == [1, 2, 3]


def test_union_follows_each_branch(origin, ids, sales):
    high, low = sales.filter(sales.amount >= 20), sales.filter(sales.amount < 8)
    both = high.mutate(kind=ibis.literal("high")).union(low.mutate(kind=ibis.literal("low")))
    assert ids(origin(both, [{"kind": "low"}], sales=sales)["sales"].rows) == [4, 6]
    assert ids(origin(both, [{"kind": "low"}, {"kind": "high"}], sales=sales)["sales"].rows) == [
        2,
        4,
        6,
    ]


def test_distinct_row_comes_from_all_equal_ones(origin, ids, sales):
    shops = sales.select("shop").distinct()
    assert ids(origin(shops, [{"shop": None}], sales=sales)["sales"].rows) == [4, 5]


def test_intersection_comes_from_both_and_difference_from_the_first(origin, ids, sales, shops):
    sold, known = sales.select("shop"), shops.select(shop="name")
    found = origin(sold.intersect(known), [{"shop": "a"}, {"shop": "c"}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [1, 2]
    assert ids(found["shops"].rows) == [1]
    found = origin(sold.difference(known), [{"shop": "a"}, {"shop": "c"}], sales=sales, shops=shops)
    assert ids(found["sales"].rows) == [6]
    assert (found["shops"].rows, found["shops"].decides_as_a_whole) == (None, True)


def test_rows_cut_off_by_a_limit_do_not_enter_but_all_rows_decide(origin, ids, sales, shops):
    best = sales.order_by(sales.amount.desc(), "id").limit(2).select("amount", "shop")
    found = origin(best, [{"amount": 10}], sales=sales)["sales"]
    assert (ids(found.rows), found.decides_as_a_whole) == ([1], True)
    beside = shops.join(best, shops.name == best.shop).select("city", "amount")
    found = origin(beside, [{"city": "Oslo"}], ["city"], sales=sales, shops=shops)
    assert found["sales"].decides_as_a_whole
    assert not found["shops"].decides_as_a_whole


def test_window_rows_decide(origin, ids, sales):
    in_order = ibis.window(group_by="shop", order_by="id")
    ranked = sales.mutate(place=ibis.row_number().over(in_order))
    found = origin(ranked, [{"id": 2}], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([2], [1])
    found = origin(ranked, [{"id": 2}], ["amount"], sales=sales)["sales"]
    assert (ids(found.rows), found.deciding) == ([2], None)


def test_window_without_groups_is_decided_by_all_rows(origin, ids, sales):
    shares = sales.mutate(share=sales.amount.max().over(ibis.window()))
    found = origin(shares, [{"id": 2}], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([2], [1, 3, 4, 5, 6])


def test_row_is_found_by_what_a_window_says_of_it(origin, ids, sales):
    in_order = ibis.window(group_by="shop", order_by="id")
    ranked = sales.mutate(place=ibis.row_number().over(in_order))
    second = ranked.filter(ranked.place == 1).select("shop", "place")
    found = origin(second, [{"place": 1}, {"place": 0}], ["shop"], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([2, 5], [1, 4])


def test_group_is_found_by_its_place_among_the_groups(origin, ids, sales):
    sums = sales.group_by("shop").aggregate(total=sales.amount.sum())
    placed = sums.mutate(place=ibis.row_number().over(order_by=[ibis.desc("total"), "shop"]))
    second = placed.filter(placed.place == 1).select("shop", "total")
    found = origin(second, [{"shop": "b"}], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([3], [1, 2, 4, 5, 6])


@pytest.mark.slow
def test_joined_row_is_found_by_its_place_among_the_joined(origin, ids, sales, shops):
    joined = sales.join(shops, sales.shop == shops.name).select("amount", "city", sale=sales.id)
    placed = joined.mutate(place=ibis.row_number().over(order_by=ibis.desc("sale")))
    last = placed.filter(placed.place == 0).select("sale", "city")
    found = origin(last, [{"sale": 3}], sales=sales, shops=shops)
    assert (ids(found["sales"].rows), ids(found["sales"].deciding)) == ([3], [1, 2])
    assert (ids(found["shops"].rows), ids(found["shops"].deciding)) == ([2], [1])


def test_projected_row_is_found_by_how_many_share_its_window(origin, ids, sales):
    named = sales.select(name=sales.shop.upper(), price=sales.amount + 1)
    counted = named.mutate(n=named.count().over(ibis.window(group_by="name")))
    alone = counted.filter(counted.n == 1).select("name")
    found = origin(alone, [{"name": "B"}, {"name": "A"}], sales=sales)["sales"]
    assert ids(found.rows) == [3]
    twice = counted.filter(counted.n > 1).select("name", "price")
    found = origin(twice, [{"price": 11}], sales=sales)["sales"]
    assert (ids(found.rows), ids(found.deciding)) == ([1], [2])


@pytest.mark.parametrize("how", ["any", "all"])
def test_one_row_of_all_that_is_not_null_comes_from_all(origin, ids, sales, how):
    total = sales.aggregate(total=sales.amount.sum()).drop_null(["total"], how=how)
    assert ids(origin(total, [{"total": 52}], sales=sales)["sales"].rows) == [1, 2, 3, 4, 5, 6]


def test_one_row_of_all_that_is_filtered_out_comes_from_none(origin, ids, sales):
    total = sales.aggregate(n=sales.count())
    place = ibis.row_number().over(order_by="n")
    kept = total.filter(total.n > 9).mutate(place=place)
    assert ids(origin(kept, [{"place": 0}], sales=sales)["sales"].rows) == []


def test_what_ibis_refuses_on_the_way_is_told(origin, sales, monkeypatch):
    def refuse(*_: object) -> None:
        raise IntegrityError("they belong to another relation")

    monkeypatch.setattr("streampro.expressions.rows.narrowed", refuse)
    top = sales.order_by("id").limit(2)
    with pytest.raises(PipelineError, match="cannot be told: they belong to another relation"):
        origin(top, [{"id": 1}], sales=sales)


def test_unnested_row_comes_from_the_row_of_its_list(origin, ids, sales):
    words = sales.select("id", word=sales.shop.split(" ").unnest())
    assert ids(origin(words, [{"word": "a"}], sales=sales)["sales"].rows) == [1, 2]


@pytest.mark.parametrize("given", [{}, {"offset": "place"}, {"keep_empty": True}])
def test_row_of_an_unnested_table_comes_from_the_row_of_its_list(origin, ids, sales, given):
    words = sales.select("id", "amount", word=sales.shop.split(" ")).unnest("word", **given)
    found = origin(words, [{"word": "a"}], sales=sales)["sales"]
    assert ids(found.rows) == [1, 2]
    assert "shop" in found.columns


def test_rows_of_an_unnested_list_alone_come_from_all(origin, ids, sales):
    words = sales.select(word=sales.shop.split(" ")).unnest("word")
    assert ids(origin(words, [{"word": "a"}], sales=sales)["sales"].rows) == [1, 2, 3, 4, 5, 6]


def test_self_join_asks_one_table_twice(origin, ids, sales):
    other = sales.view()
    pairs = sales.join(other, (sales.shop == other.shop) & (sales.id < other.id)).select(
        first=sales.id, second=other.id
    )
    assert ids(origin(pairs, [{"second": 2}], sales=sales)["sales"].rows) == [1, 2]


def test_shorthands_mean_what_they_stand_for(origin, ids, sales):
    filled = sales.fill_null({"shop": "none"}).drop_null("amount").drop("amount")
    assert ids(origin(filled, [{"shop": "none"}], sales=sales)["sales"].rows) == [4]
    wholly = sales.select("id", "shop", "amount").drop_null(["shop", "amount"], how="all")
    found = origin(wholly, [{"shop": None}], sales=sales)["sales"]
    assert ids(found.rows) == [4]


def test_join_that_computes_windows(origin, ids, sales, shops):
    joined = sales.left_join(shops, sales.shop == shops.name)
    ranked = joined.select(
        "amount",
        sale=sales.id,
        place=ibis.row_number().over(ibis.window(group_by=shops.city, order_by=shops.id)),
    )
    found = origin(ranked, [{"sale": 2}], sales=sales, shops=shops)
    assert (ids(found["sales"].rows), ids(found["sales"].deciding)) == ([2], [1])


def test_unknown_operation_is_refused(origin, sales):
    with pytest.raises(PipelineError, match="Sample"):
        origin(sales.sample(0.5), [{"id": 1}], sales=sales)
    other = sales.view()
    is_alone = ~(sales.id == other.id).any() | (sales.amount > 5)
    with pytest.raises(PipelineError, match="exists"):
        origin(sales.filter(is_alone), [{"id": 1}], sales=sales)


@pytest.mark.slow
def test_what_is_computed_of_the_contributing_rows_alone_is_the_same(engine, origin, sales, shops):
    def report(sales: ir.Table, shops: ir.Table) -> ir.Table:
        sums = sales.group_by("shop").aggregate(n=sales.count(), total=sales.amount.sum())
        joined = sums.left_join(shops, sums.shop == shops.name)
        return joined.select("shop", "n", "total", "city")

    rows = report(sales, shops)
    for row in engine.rows(rows):
        found = origin(rows, [{"shop": row["shop"]}], sales=sales, shops=shops)
        again = report(found["sales"].rows, found["shops"].rows)
        assert_rows_equal(engine.rows(again), [row])
