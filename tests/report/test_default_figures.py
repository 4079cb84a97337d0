"""What the report shows of a pipeline that asks no question of its own."""

from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from pipelines.shop import SHOP, raw, staging, write_raw

from streampro import Contract, Pipeline, Target, column, model, run
from streampro.modeling.question import Question
from streampro.report.defaults import default_questions
from streampro.report.page import write_report
from streampro.report.run_tables import RunTables
from streampro.warehouse.snapshot import opened

pytestmark = pytest.mark.slow

LINES = "".join(
    f'{{"shop": "{shop}", "day": "2024-05-0{day}", "amount": "{day * 10}"}}\n'
    for shop, day in [("a", 1), ("a", 2), ("b", 1), ("b", 3), ("c", 3)]
)


class Visit(Contract):
    """One row per sale."""

    shop: str = column("Shop.")
    day: dt.Date = column("Day.")
    is_large: dt.Boolean = column("It is above 15.", nullable=True)
    is_known: dt.Boolean = column("Nobody knows.", nullable=True)
    paid: dt.Int64 = column("Price.", unit="EUR", nullable=True)
    kind: str = column("Kind of shop.", nullable=True)
    owner: str = column("Who has it.", personal=True)

    class Config:
        unique = ["shop", "day"]


@model(contract=Visit)
def visits(sales: ir.Table) -> ir.Table:
    return sales.select(
        "shop",
        "day",
        is_large=sales.amount > 15,
        is_known=ibis.literal(None, "boolean"),
        paid=sales.amount,
        kind=ibis.ifelse(sales.shop == "a", "corner", "mall"),
        owner=ibis.literal("Anna"),
    )


def watched() -> Pipeline:
    more = ModuleType("more")
    more.visits = visits  # type: ignore[attr-defined]  # a module made here
    return Pipeline("shop", [raw, staging, more])


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, list[Question]]:
    folder = tmp_path_factory.mktemp("asked")
    target = Target(name="t", raw=write_raw(folder / "raw", LINES), warehouse=folder / "w")
    done = run(watched(), target)
    with opened(target, done) as snapshot:
        return target, [*default_questions(RunTables(snapshot, watched()))]


def figures_of(questions: list[Question], model: str) -> dict[str, list[dict[str, Any]]]:
    [question] = [each for each in questions if each.model == model]
    return {
        figure.title: [dict(row) for row in figure.table.rows]
        for figure in question.figures(lambda _: [])
    }


def test_statements_times_and_values_of_a_table_are_drawn(
    asked: tuple[Target, list[Question]],
) -> None:
    found = figures_of(asked[1], "visits")
    [share] = found.pop("How often it is true")
    low, high = share.pop("interval")
    assert share == {"statement": "is_large", "rows": 5, "share": 0.6}
    assert (round(low, 4), round(high, 4)) == (0.2307, 0.8824)  # Wilson, 3 of 5
    assert {title: [*map(tuple, map(dict.values, rows))] for title, rows in found.items()} == {
        "rows per day of day": [(_day(1), 2), (_day(2), 1), (_day(3), 2)],
        "paid per day of day, EUR": [(_day(1), 20), (_day(2), 20), (_day(3), 60)],
        "Most frequent kind": [("mall", 3), ("corner", 2)],
    }


def _day(number: int) -> Any:
    from datetime import date

    return date(2024, 5, number)


def test_tables_that_others_read_are_left_out(asked: tuple[Target, list[Question]]) -> None:
    assert {each.model for each in asked[1]} <= {"visits", "shops"}


def test_the_page_has_them_and_no_person(
    asked: tuple[Target, list[Question]], tmp_path: Path
) -> None:
    write_report(watched(), asked[0], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "How often it is true" in page
    assert "Anna" not in page


def test_a_pipeline_with_nothing_to_draw_has_a_report(tmp_path: Path) -> None:
    target = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w")
    run(SHOP, target)
    write_report(SHOP, target, tmp_path / "report.html")
