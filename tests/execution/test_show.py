"""The rows that a model would have now, and what is published by the contracts of now."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from pipelines.shop import SHOP, staging, write_raw
from pipelines.shop.mart import Revenue
from pipelines.shop.staging import Sales

import streampro
from streampro import ConfigError, Contract, Model, Pipeline, PipelineError, Target, column, rule
from streampro.engines.checked import refuse_problems
from streampro.engines.registry import ENGINES
from streampro.execution.state import unjudged
from streampro.testing import Workbench

pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path: Path, engine: Workbench) -> Target:
    raw = write_raw(tmp_path / "raw")
    return Target(name="test", engine=engine.name, raw=raw, warehouse=tmp_path / "warehouse")


@pytest.mark.thorough("spark")
def test_shows_what_a_run_would_publish_and_writes_nothing(
    target: Target, engine: Workbench
) -> None:
    shown = streampro.show(SHOP, target, "revenue", session=engine.session)
    rows = [
        {"shop": "a", "city": "Oslo", "sales": 2, "amount": 15},
        {"shop": "b", "city": "Rome", "sales": 1, "amount": 7},
    ]
    assert shown.to_pylist() == rows
    limited = streampro.show(SHOP, target, "mart.revenue", limit=1, session=engine.session)
    assert limited.to_pylist() == rows[:1]
    assert not Path(str(target.warehouse)).exists()


@pytest.mark.thorough("spark")
def test_shows_rows_that_a_run_would_not_publish(target: Target, engine: Workbench) -> None:
    line = '{"shop": "d", "day": "2024-05-01", "amount": "-1"}\n'
    (Path(str(target.raw)) / "sales9.jsonl").write_text(line, encoding="utf-8")
    shown = streampro.show(SHOP, target, "revenue", session=engine.session)
    assert shown.to_pylist()[-1] == {"shop": "d", "city": None, "sales": 1, "amount": -1}


def test_shows_accepted_rows_of_a_quarantine(target: Target, engine: Workbench) -> None:
    shown = streampro.show(SHOP, target, "sales", session=engine.session)
    assert [(row["shop"], row["amount"]) for row in shown.to_pylist()] == [
        ("a", 10),
        ("a", 5),
        ("b", 7),
    ]


@pytest.mark.thorough("spark")
def test_show_of_an_unknown_model_names_the_known(target: Target) -> None:
    with pytest.raises(ConfigError, match=r"no model 'revenu'\. Did you mean 'revenue'\?"):
        streampro.show(SHOP, target, "revenu")


def column_too_few(raw_sales: ir.Table) -> ir.Table:
    return staging.sales.transform(raw_sales).drop("amount")


def secret_line(raw_sales: ir.Table) -> ir.Table:
    sales = staging.sales.transform(raw_sales)
    return sales.mutate(shop=sales.raw_line)


def unequal(raw_sales: ir.Table) -> ir.Table:
    sales = staging.sales.transform(raw_sales)
    return sales.mutate(shop=sales.shop.reverse())


class Same(Sales):
    """A rule that engines judge differently."""

    @rule("warn")
    def shop_is_the_same_backwards(cls, sales: ir.Table) -> ir.BooleanValue:
        return sales.shop.reverse() == sales.shop


FLAWS: dict[str, dict[str, Any]] = {
    "lacks amount": {"transform": column_too_few},
    "would hold the secret": {"transform": secret_line},
    "staging.sales: Reverse": {"transform": unequal},
    "^staging.sales: Reverse": {"contract": Same},
    "allows 'Sum', but nothing": {"allow": {"Sum": "because"}},
}


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("told", FLAWS)
@pytest.mark.parametrize("asked", ["sales", "revenue"])
def test_show_refuses_what_check_refuses_of_a_model_and_what_it_is_built_from(
    asked: str, told: str, target: Target
) -> None:
    flawed = SHOP.with_model(replace(SHOP.models["sales"], **FLAWS[told]))
    with pytest.raises(PipelineError, match=told) as checked:
        refuse_problems(flawed)
    with pytest.raises(PipelineError) as shown:
        streampro.show(flawed, target, asked)
    said = str(checked.value).splitlines()
    if asked == "sales":
        said = [each for each in said if not each.startswith("mart.revenue")]
    assert str(shown.value).splitlines() == said


@pytest.mark.thorough("spark")
def test_show_asks_nothing_of_what_a_model_is_not_built_from(
    target: Target, engine: Workbench
) -> None:
    def unfinished(sales: ir.Table, shops: ir.Table) -> ir.Table:
        raise NotImplementedError

    begun = SHOP.with_model(replace(SHOP.models["sales"], transform=unequal))
    begun.models["revenue"] = replace(SHOP.models["revenue"], transform=unfinished)
    shown = streampro.show(begun, target, "shops", session=engine.session)
    assert [row["city"] for row in shown.to_pylist()] == ["Oslo", "Rome"]


@pytest.mark.thorough("spark")
def test_show_refuses_what_was_published_otherwise(target: Target, engine: Workbench) -> None:
    engine.run(SHOP, target)
    for told, changes in FLAWS.items():
        flawed = SHOP.with_model(replace(SHOP.models["sales"], **changes))
        with pytest.raises(PipelineError, match=told):
            streampro.show(flawed, target, "revenue")


@pytest.mark.thorough("spark")
def test_show_judges_not_again_what_was_published(
    target: Target, engine: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(SHOP, target)
    shown = streampro.show(SHOP, target, "shops", session=engine.session)
    with monkeypatch.context() as patch:
        patch.delattr("streampro.execution.runner.refuse_problems")
        assert streampro.show(SHOP, target, "shops", session=engine.session) == shown
    ledger = Path(str(target.warehouse)) / "_streampro/runs/_delta_log"
    (ledger / "00000000000000000000.json").write_text("{", encoding="utf-8")
    assert streampro.show(SHOP, target, "shops", session=engine.session) == shown


@pytest.mark.thorough("spark")
def test_what_is_judged_again_is_what_changed_and_what_is_built_from_it(
    target: Target, engine: Workbench
) -> None:
    models = SHOP.models
    assert unjudged(SHOP, target) == {*models}
    engine.run(SHOP, target)
    assert unjudged(SHOP, target) == set()
    contract = SHOP.with_model(replace(models["revenue"], contract=Small))
    assert unjudged(contract, target) == {"revenue"}
    code = SHOP.with_model(replace(models["sales"], transform=unequal))
    assert unjudged(code, target) == {"sales", "revenue"}
    allowance = SHOP.with_model(replace(models["sales"], allow={"Sum": "because"}))
    assert unjudged(allowance, target) == {"sales", "revenue"}
    other = next(name for name in ENGINES if name != target.engine)
    assert unjudged(SHOP, target.model_copy(update={"engine": other})) == {*models}


class Small(Revenue):
    """Rules that the published rows of the shop break."""

    sales: dt.Int64 = column("Sales.", unit="sales", le=1)
    amount: dt.Int64 = column("Sum of the prices.", nullable=True, le=10, severity="warn")


class Wider(Revenue):
    """A column that was not published."""

    day: dt.Date = column("Day.", nullable=True)


def judged_by(contract: type[Contract], monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Return the shop with another contract of `mart.revenue`, after it was published."""
    changed: Model = SHOP.models["revenue"]
    swapped = Model(changed.table, changed.transform, contract, changed.inputs)
    monkeypatch.setitem(SHOP.models, "revenue", swapped)
    return SHOP


@pytest.mark.thorough("spark")
def test_published_rows_are_judged_by_the_contract_of_now(
    target: Target, engine: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(SHOP, target)
    assert streampro.test(SHOP, target, session=engine.session) == []
    shop = judged_by(Small, monkeypatch)
    broken = streampro.test(shop, target, session=engine.session)
    row = {"shop": "a", "city": "Oslo", "sales": 2, "amount": 15}
    assert [(each.rule, each.severity, each.rows, each.first) for each in broken] == [
        ("sales less_than_or_equal_to(1)", "fail", 1, (row,)),
        ("amount less_than_or_equal_to(10)", "warn", 1, (row,)),
    ]
    assert [run.run_id for run in streampro.runs(target)] == [1]


@pytest.mark.thorough("spark")
def test_a_column_that_was_not_published_cannot_be_judged(
    target: Target, engine: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(SHOP, target)
    shop = judged_by(Wider, monkeypatch)
    with pytest.raises(ConfigError, match=r"mart\.revenue was published before .* had day"):
        streampro.test(shop, target, session=engine.session)
    monkeypatch.undo()
    elsewhere = target.model_copy(update={"warehouse": Path("nowhere")})
    with pytest.raises(ConfigError, match="no published run"):
        streampro.test(SHOP, elsewhere)
