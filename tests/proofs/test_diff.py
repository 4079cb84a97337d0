"""How two published runs differ."""

import json
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import SHOP, add_sale, answers, mart, raw, staging, write_raw

import streampro
from streampro import ConfigError, Pipeline, Target
from streampro.console.differences import html, markdown
from streampro.proofs.diff import RunDifference, TableDifference

pytestmark = pytest.mark.slow

WITH_ANSWER = Pipeline("shop", [raw, staging, mart, answers])


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w")


def by_name(found: RunDifference) -> dict[str, TableDifference]:
    return {str(each.table): each for each in found.tables}


def change(target: Target, name: str, text: str) -> None:
    (Path(str(target.raw)) / name).write_text(text)


def test_rows_are_told_apart_by_key_and_by_column(target: Target) -> None:
    streampro.run(SHOP, target)
    change(target, "shops.csv", "shop,city\na,Bergen\nd,Rome\n")
    add_sale(target, 0)
    streampro.run(SHOP, target)
    found = streampro.diff(SHOP, target)
    assert (found.left, found.right) == (
        f"run 1 of {target.warehouse}",
        f"run 2 of {target.warehouse}",
    )
    shops = by_name(found)["staging.shops"]
    assert (shops.added, shops.removed, shops.changed, shops.columns) == (1, 1, 1, {"city": 1})
    assert [(row.left, row.right) for row in shops.first] == [
        ({"shop": "a", "city": "Oslo"}, {"shop": "a", "city": "Bergen"}),
        ({"shop": "b", "city": "Rome"}, None),
        (None, {"shop": "d", "city": "Rome"}),
    ]
    revenue = by_name(found)["mart.revenue"]
    assert (revenue.left_rows, revenue.right_rows) == (2, 2)
    assert (revenue.changed, revenue.columns) == (2, {"city": 2, "sales": 1})
    assert not found.is_equal
    back = by_name(streampro.diff(SHOP, target, left_run=2, right_run=1))["staging.shops"]
    assert (back.added, back.removed, back.changed) == (1, 1, 1)


def test_rows_without_a_key_are_added_and_removed(target: Target) -> None:
    streampro.run(SHOP, target)
    add_sale(target, 1)
    streampro.run(SHOP, target)
    rejected = by_name(streampro.diff(SHOP, target))["staging.sales_rejected"]
    assert (rejected.added, rejected.removed, rejected.changed) == (1, 0, 0)
    [row] = rejected.first
    assert row.left is None
    assert row.right
    assert row.right["source_file"] == "sales-1.jsonl"


def test_what_did_not_change_is_equal(target: Target, tmp_path: Path) -> None:
    streampro.run(SHOP, target)
    other = target.model_copy(update={"warehouse": tmp_path / "other"})
    streampro.run(SHOP, other)
    found = streampro.diff(SHOP, target, other)
    assert found.is_equal
    assert {*by_name(found)} == {*map(str, SHOP.tables())}
    assert markdown(found).endswith("4 tables, none differs.\n")


def test_tables_and_columns_of_one_side_are_told(target: Target, tmp_path: Path) -> None:
    streampro.run(WITH_ANSWER, target)
    other = target.model_copy(update={"warehouse": tmp_path / "other"})
    streampro.run(SHOP, other)
    found = by_name(streampro.diff(WITH_ANSWER, target, other))["answers.cities"]
    assert (found.left_rows, found.right_rows, found.is_equal) == (2, None, False)


def test_selected_tables_only_are_compared(target: Target) -> None:
    streampro.run(SHOP, target)
    add_sale(target, 0)
    streampro.run(SHOP, target)
    found = streampro.diff(SHOP, target, select="layer:staging", exclude="sales")
    assert [*by_name(found)] == ["staging.shops"]
    assert found.is_equal


def test_runs_that_there_are_not_are_refused(target: Target) -> None:
    with pytest.raises(ConfigError, match="has no published run yet"):
        streampro.diff(SHOP, target)
    streampro.run(SHOP, target)
    with pytest.raises(ConfigError, match="has one run, which differs from no other"):
        streampro.diff(SHOP, target)
    with pytest.raises(ConfigError, match="has no run 7"):
        streampro.diff(SHOP, target, left_run=1, right_run=7)


def test_nothing_in_the_data_is_markup(target: Target) -> None:
    streampro.run(SHOP, target)
    change(target, "shops.csv", 'shop,city\na,"<b>|x|_y_ `z`"\nb,Rome\n')
    streampro.run(SHOP, target)
    found = streampro.diff(SHOP, target)
    text = markdown(found)
    assert "&lt;b>\\|x\\|\\_y\\_ \\`z\\`" in text
    rows = [line for line in text.splitlines() if line.startswith("| shop=")]
    assert all(line.replace("\\|", "").count("|") == 5 for line in rows)
    page = html(found)
    assert "<b>" not in page
    assert "&lt;b&gt;|x|_y_ `z`" in page


def test_values_of_persons_are_not_shown(target: Target) -> None:
    """Of a column that is marked, and of what is copied from it."""

    class Shops(staging.Shops):
        shop: str = streampro.column("Shop.")
        city: str = streampro.column("City.", nullable=True, personal=True)

    def shops(raw_shops: Any) -> Any:
        return raw_shops.filter(raw_shops.shop.notnull()).select("shop", "city")

    module: Any = type(raw)("staging")
    shops.__module__ = "staging"
    module.sales, module.shops = staging.sales, streampro.model(contract=Shops)(shops)
    pipeline = Pipeline("shop", [raw, module, mart])
    streampro.run(pipeline, target)
    change(target, "shops.csv", "shop,city\na,Bergen\nb,Rome\n")
    streampro.run(pipeline, target)
    found = streampro.diff(pipeline, target)
    assert by_name(found)["staging.shops"].changed == 1
    assert "Bergen" not in json.dumps(found.to_json(), default=str)
    assert "(personal)" in markdown(found)
