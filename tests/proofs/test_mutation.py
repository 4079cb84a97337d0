"""Small changes of a model are made, and tests, rules and `check` are seen to notice them."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from click.testing import CliRunner
from copied import copied
from pipelines.shop import SHOP, write_raw

from streampro.cli.commands import cli
from streampro.config import Target
from streampro.errors import ConfigError
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import Model, model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.portable import earliest, strip
from streampro.proofs.diff import RowDifference
from streampro.proofs.mutation.mutants import mutants, mutated
from streampro.proofs.mutation.mutate import mutate
from streampro.proofs.mutation.rows import DataAtHand
from streampro.testing import Workbench

FOLDER = Path(__file__).parents[1]
ITEMS = ibis.schema({"id": "int64", "name": "string", "n": "int64"})


class Items(Contract):
    """One row per item."""

    id: dt.Int64 = column("Item.")
    name: str = column("Name.", nullable=True)
    n: dt.Int64 = column("Number.", nullable=True)


def made(transform: Callable[..., ir.Table]) -> Model:
    return model(contract=Items)(transform)


def changes(transform: Callable[..., ir.Table], *key: str) -> list[str]:
    inputs = {"items": ITEMS, "others": ITEMS}
    _, found = mutants(made(transform), inputs, {"items": [key]} if key else {})
    return [each.change.what for each in found]


def few(items: ir.Table) -> ir.Table:
    return items.filter((items.n <= 3) & items.name.notnull(), items.id != 7)


def first(items: ir.Table) -> ir.Table:
    window = ibis.window(group_by="name", order_by=["n", items.id.desc()])
    return items.mutate(n=items.n.lag().over(window).fill_null(0))


def joined(items: ir.Table, others: ir.Table) -> ir.Table:
    return items.left_join(others, "id").select("id", "name", "n")


def least(items: ir.Table) -> ir.Table:
    return items.group_by("id").aggregate(
        name=earliest(items.name, items.n), n=items.n.sum(where=items.n.isin([1, 2]))
    )


def named(items: ir.Table) -> ir.Table:
    name = ibis.cases((items.n.between(1, 2), "few"), (items.n > 2, strip(items.name)))
    return items.mutate(name=name).distinct().order_by("n", "id").limit(5)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (
            few,
            "<= becomes <, 3 becomes 4, NotNull becomes IsNull, != becomes ==, 7 becomes 8, "
            "filter dropped, filter dropped, filter dropped",
        ),
        (
            first,
            "Lag becomes Lead, order by n turned, order by id turned, order by id dropped, "
            "window by name dropped, what stands for null dropped, 0 becomes 1",
        ),
        (joined, "== becomes !=, left join becomes inner"),
        (
            least,
            "Min becomes Max, 1 dropped, 2 dropped, 1 becomes 2, 2 becomes 3, Sum becomes Max, "
            "where of Sum dropped",
        ),
        (
            named,
            "1 becomes 2, 2 becomes 3, > becomes >=, 2 becomes 3, strip(name) dropped, "
            "case 1 dropped, case 2 dropped, 'few' becomes 'fewx', Distinct dropped, "
            "order by n turned, order by id turned, order by id dropped, limit 5 becomes 6",
        ),
    ],
)
def test_changes_of_a_model_are_one_mistake_each(
    transform: Callable[..., ir.Table], expected: str
) -> None:
    assert ", ".join(changes(transform)) == expected


def test_aggregates_of_one_row_each_are_left_as_they_are() -> None:
    """Of one row the sum is the largest."""
    assert "Sum becomes Max" in changes(least, "name", "id")
    assert "Sum becomes Max" not in changes(least, "id")


def test_a_mutant_computes_of_what_it_is_called_with(engine: Workbench) -> None:
    _, found = mutants(made(few), {"items": ITEMS}, {})
    [kept] = [each for each in found if each.change.what == "<= becomes <"]
    rows = engine.table([{"id": n, "name": "a", "n": n} for n in range(2, 5)], Items)
    mutant = mutated(made(few), kept.change.number)
    for called in (mutant(rows), mutant(items=rows.filter(rows.id > 0))):
        assert engine.rows(called) == [{"id": 2, "name": "a", "n": 2}]


class People(Contract):
    """One row per person."""

    number: str = column("Number.")
    name: str = column("Name.", personal=True)

    class Config:
        unique = ["number"]


def test_values_of_persons_are_not_shown(engine: Workbench) -> None:
    def people(raw_people: ir.Table) -> ir.Table:
        return raw_people.select("number", "name").filter(raw_people.number > "1")

    fields = {"number": ("number",), "name": ("name",)}
    module = ModuleType("club")
    module.people = model(contract=People)(people)  # type: ignore[attr-defined]
    module.raw_people = Source(  # type: ignore[attr-defined]
        name="raw_people", files=("people.jsonl",), format="json_lines", fields=fields
    )
    club = Pipeline("club", [module])
    rows = engine.table([{"number": n, "name": "Anna"} for n in "012"], People)
    at_hand = DataAtHand(club, club.models["people"], engine.engine, {"raw_people": rows})
    _, found = mutants(club.models["people"], club.schemas(), club.keys())
    assert {
        each.change.what: at_hand.first_difference(
            mutated(club.models["people"], each.change.number)
        )
        for each in found
    } == {
        "> becomes >=": RowDifference(None, {"number": "1", "name": "(personal)"}),
        "'1' becomes '1x'": None,
        "filter dropped": RowDifference(None, {"number": "0", "name": "(personal)"}),
    }


REVENUE = """
import datetime

from pipelines.shop.mart import revenue
from pipelines.shop.staging import Sales, Shops


def test_amounts_of_a_shop_are_added(engine):
    day = datetime.date(2024, 5, 1)
    sales = [{"shop": "a", "day": day, "amount": amount} for amount in (3, 4)]
    tables = engine.table(sales, Sales), engine.table([{"shop": "a", "city": "Oslo"}], Shops)
    assert engine.rows(revenue(*tables)) == [{"shop": "a", "city": "Oslo", "sales": 2, "amount": 7}]


def test_of_something_else():
    pass
"""
RUN = """
import pytest
from pipelines.shop import SHOP, write_raw

from streampro import Target


@pytest.fixture(scope="module")
def rows(engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    target = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    return {item.table: item.rows for item in engine.run(SHOP, target).tables}


def test_lines_without_a_day_are_rejected(rows):
    assert rows["staging.sales_rejected"] == 2


def test_sales_are_told_once(rows):
    assert rows["staging.sales"] == 3
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write the tests of a project, and stand in its folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{FOLDER}:{FOLDER.parent}")

    def write(tests: str) -> Path:
        Path("test_shop.py").write_text(tests)
        return tmp_path

    return write


@pytest.mark.slow
def test_a_mutant_that_no_row_at_hand_tells_apart_survives(
    project: Callable[[str], Path], first_run: Target
) -> None:
    target = copied(first_run, project(REVENUE))
    score = mutate(SHOP, target, "revenue")
    test = "test_shop.py::test_amounts_of_a_shop_are_added[duckdb]"
    assert score.tests == (test,)
    assert [(each.change, each.killed_by) for each in score.mutants] == [
        ("Sum becomes Max", test),
        ("== becomes !=", test),
        ("left join becomes inner", None),
    ]
    [survivor] = score.survivors
    assert survivor.diff == ("- JoinLink[left, r1]", "+ JoinLink[inner, r1]")
    assert (survivor.row, score.data) == (None, "run 1")


@pytest.mark.slow
def test_survivors_are_shown_with_the_row_that_tells_them_apart(
    project: Callable[[str], Path],
) -> None:
    folder = project(RUN)
    places = ["--raw", str(write_raw(folder / "raw")), "--warehouse", str(folder / "warehouse")]
    words = ["mutate", "sales", "--pipeline", "pipelines.shop:SHOP", *places]
    shown = CliRunner().invoke(cli, [*words, "--tests", "test_shop.py -m 'not slow'", "--json"])
    assert shown.exit_code == 1
    assert str(shown.exception) == "3 mutants of staging.sales survived."
    found = json.loads(shown.stdout)
    names = ("test_lines_without_a_day_are_rejected", "test_sales_are_told_once")
    assert {*found["tests"]} == {f"test_shop.py::{name}[duckdb]" for name in names}
    survivors = [each for each in found["mutants"] if not each["killed_by"]]
    line = {"shop": "c", "day": None, "amount": None}
    assert {each["change"]: each["row"] for each in survivors} == {
        "case 1 dropped": None,
        "'no shop' becomes 'no shopx'": None,
        "'no day' becomes 'no dayx'": {
            "left": line | {"reject_reason": "no day"},
            "right": line | {"reject_reason": "no dayx"},
            "columns": ["reject_reason"],
        },
    }


@pytest.mark.slow
def test_tests_that_fail_of_the_model_as_it_is_judge_no_mutant(
    project: Callable[[str], Path], target: Target
) -> None:
    project(REVENUE.replace('"amount": 7', '"amount": 8'))
    with pytest.raises(ConfigError, match=r"test_amounts_of_a_shop_are_added.* fails of the model"):
        mutate(SHOP, target, "revenue")
    with pytest.raises(ConfigError, match=r"not found: .*no_test.py"):
        mutate(SHOP, target, "revenue", tests=["no_test.py"])


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", warehouse=tmp_path / "warehouse")


def test_a_limit_is_a_number_of_mutants(target: Target) -> None:
    with pytest.raises(ConfigError, match="limit is 0"):
        mutate(SHOP, target, "revenue", limit=0)
