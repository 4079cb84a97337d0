"""What came over from dbt: rows worked out by hand, and by Python from the same files."""

import csv
import shutil
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.jaffle_shop import PIPELINE
from streampro import Target, check_incremental, diff, prove, run, sql, write_catalog
from streampro.testing import Workbench, assert_rows_equal

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data"
METHODS = ("credit_card", "coupon", "bank_transfer", "gift_card")

AMOUNTS = [f"{method}_amount" for method in METHODS]


def records(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Target:
    target = Target(name="test", raw=DATA, warehouse=tmp_path_factory.mktemp("jaffle") / "w")
    run(PIPELINE, target)
    return target


def rows(query: str, target: Target) -> list[dict[str, Any]]:
    return sql(query, target).to_pylist()


def test_orders_with_no_and_with_several_payments(published: Target) -> None:
    """Order 3 was never paid; 39 is 7.00 + 1.00 + 30.95, and 58 is 12.00 + 25.00 + 10.95."""
    found = rows("from marts.orders where order_id in (3, 39, 58) order by order_id", published)
    amounts = [[str(each[name]) for name in (*AMOUNTS, "amount")] for each in found]
    assert amounts == [
        ["0.00", "0.00", "0.00", "0.00", "0.00"],
        ["1.00", "0.00", "0.00", "37.95", "38.95"],
        ["25.00", "22.95", "0.00", "0.00", "47.95"],
    ]


def test_a_customer_has_all_orders_and_one_without_any_is_there(published: Target) -> None:
    """Customer 23 ordered five times and paid for three: 28.00, 18.50 and 6.95."""
    found = rows("from marts.customers where customer_id in (2, 23)", published)
    assert_rows_equal(
        found,
        [
            {"customer_id": 2, "first_order": None, "most_recent_order": None}
            | {"number_of_orders": 0, "lifetime_value": Decimal("0.00")},
            {"customer_id": 23, "first_order": date(2026, 1, 6)}
            | {"most_recent_order": date(2026, 4, 3)}
            | {"number_of_orders": 5, "lifetime_value": Decimal("53.45")},
        ],
    )


def test_every_row_is_what_python_makes_of_the_files(published: Target) -> None:
    paid: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(METHODS, 0))
    for each in records("raw_payments"):
        paid[each["order_id"]][each["payment_method"]] += int(each["amount"])
    orders = records("raw_orders")
    found = rows("from marts.orders", published)
    assert {each["id"] for each in orders} - {*paid}, "all orders are paid"
    assert_rows_equal(
        found,
        [
            {
                "order_id": int(each["id"]),
                "customer_id": int(each["user_id"]),
                "order_date": date.fromisoformat(each["order_date"]),
                "status": each["status"],
                "amount": Decimal(sum(paid[each["id"]].values())) / 100,
            }
            | {f"{name}_amount": Decimal(paid[each["id"]][name]) / 100 for name in METHODS}
            for each in orders
        ],
    )
    of_customer: dict[str, list[dict[str, str]]] = defaultdict(list)
    for each in orders:
        of_customer[each["user_id"]].append(each)
    assert_rows_equal(
        rows("from marts.customers", published),
        [
            {
                "customer_id": int(each["id"]),
                "first_name": each["first_name"],
                "number_of_orders": len(own := of_customer[each["id"]]),
                "lifetime_value": Decimal(sum(sum(paid[o["id"]].values()) for o in own)) / 100,
                "first_order": min(
                    (date.fromisoformat(o["order_date"]) for o in own), default=None
                ),
            }
            for each in records("raw_customers")
        ],
    )


def test_engines_compute_the_same(engine: Workbench, tmp_path: Path) -> None:
    left = Target(name="left", raw=DATA)
    right = Target(name="right", engine=engine.name, raw=DATA)
    certificate = prove(PIPELINE, left, right, warehouse=tmp_path)
    assert certificate.equal
    assert {each.table: each.left.rows for each in certificate.tables if each.left.rows} == {
        "staging.stg_customers": 100,
        "staging.stg_orders": 100,
        "staging.stg_payments": 105,
        "marts.orders": 100,
        "marts.customers": 100,
    }


def test_files_in_parts_give_the_rows_of_a_full_run() -> None:
    tried = check_incremental(PIPELINE, Target(name="test", raw=DATA), parts=2, seed=1)
    assert {"orders", "customers"} <= {*tried.models}


def test_after_a_file_changed_a_run_gives_the_rows_of_a_full_run(tmp_path: Path) -> None:
    """A payment more, one less, one of another amount, and one that nobody can read."""
    raw = Path(shutil.copytree(DATA, tmp_path / "raw"))
    one, other = (Target(name="t", raw=raw, warehouse=tmp_path / name) for name in "ab")
    run(PIPELINE, one)
    titles, first, second, *rest = (raw / "raw_payments.csv").read_text().splitlines()
    assert (first, second) == ("1,1,gift_card,2795", "2,2,coupon,550")
    changed = [titles, "1,1,gift_card,2796", *rest, "106,3,coupon,100", "107,3,cheque,100"]
    (raw / "raw_payments.csv").write_text("\n".join(changed) + "\n")
    done = run(PIPELINE, one)
    run(PIPELINE, other)
    assert diff(PIPELINE, one, other).is_equal
    found = rows("select amount from marts.orders where order_id < 4 order by order_id", one)
    assert [str(each["amount"]) for each in found] == ["27.96", "0.00", "1.00"]
    [books] = [each for each in done.books if each.source == "raw_payments"]
    assert sum(books.reasons.values()) == 1


def test_the_catalog_has_every_table(published: Target, tmp_path: Path) -> None:
    write_catalog(PIPELINE, published, tmp_path / "site")
    pages = {path.stem for path in (tmp_path / "site" / "tables").iterdir()}
    assert pages == {str(table) for table in PIPELINE.tables()}
    text = (tmp_path / "site" / "tables" / "marts.orders.html").read_text(encoding="utf-8")
    assert "left join order_payments" in text
