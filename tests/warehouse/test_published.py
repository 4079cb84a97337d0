"""A run's tables, open to Ibis and SQL."""

from pathlib import Path

import duckdb
import pytest
from pipelines.shop import SHOP, write_raw

import streampro
from streampro import ConfigError, Target


@pytest.fixture
def target(tmp_path: Path) -> Target:
    found = Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w")
    streampro.run(SHOP, found)
    return found


def publish_another_sale(target: Target) -> None:
    (Path(str(target.raw)) / "sales2.jsonl").write_text(
        '{"shop": "b", "day": "2024-05-03", "amount": "3"}\n', encoding="utf-8"
    )
    streampro.run(SHOP, target)


def test_ibis_and_sql_ask_the_same_tables(target: Target) -> None:
    with streampro.published(target) as tables:
        revenue = tables.table("mart.revenue")
        expression = revenue.filter(revenue.amount > 10).select("shop", "amount")
        expected = [{"shop": "a", "amount": 15}]
        assert expression.to_pyarrow().to_pylist() == expected
        assert tables.sql(
            "select shop, amount from mart.revenue where amount > 10"
        ).to_pylist() == (expected)


def test_tables_of_two_layers_can_be_joined(target: Target) -> None:
    with streampro.published(target) as tables:
        revenue, shops = tables.table("mart.revenue"), tables.table("staging.shops")
        joined = revenue.join(shops, "shop").order_by("shop").select("shop", "city_right")
        assert [tuple(row.values()) for row in joined.to_pyarrow().to_pylist()] == [
            ("a", "Oslo"),
            ("b", "Rome"),
        ]


@pytest.mark.slow
def test_a_run_published_meanwhile_changes_nothing(target: Target) -> None:
    with streampro.published(target) as tables:
        publish_another_sale(target)
        assert tables.run.run_id == 1
        assert tables.table("mart.revenue").amount.sum().to_pyarrow().as_py() == 22
    with streampro.published(target) as tables:
        assert tables.run.run_id == 2
        assert tables.table("mart.revenue").amount.sum().to_pyarrow().as_py() == 25
    with streampro.published(target, run_id=1) as tables:
        assert tables.table("mart.revenue").amount.sum().to_pyarrow().as_py() == 22


def test_unknown_table_is_told_with_what_there_is(target: Target) -> None:
    with streampro.published(target) as tables, pytest.raises(ConfigError) as caught:
        tables.table("mart.revenues")
    assert str(caught.value) == (
        "run 1 has no table 'mart.revenues'. Did you mean 'mart.revenue'? "
        "Its tables: staging.sales, staging.sales_rejected, staging.shops, mart.revenue."
    )


def test_expressions_cannot_be_executed_after_close(target: Target) -> None:
    tables = streampro.published(target)
    revenue = tables.table("mart.revenue")
    tables.close()
    tables.close()
    with pytest.raises(duckdb.ConnectionException):
        revenue.to_pyarrow()


def test_nothing_to_ask_before_the_first_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no published run yet"):
        streampro.published(Target(name="test", warehouse=tmp_path))


def test_closed_tables_say_so(target: Target) -> None:
    with streampro.published(target) as tables:
        pass
    for ask in (lambda: tables.sql("select 1"), lambda: tables.table("mart.revenue")):
        with pytest.raises(ConfigError, match="are closed; open them again"):
            ask()
