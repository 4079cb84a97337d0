"""Rules of the orders pipeline, on rows worked out by hand, on every engine that is installed."""

import json
import shutil
from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples.orders import PIPELINE
from examples.orders.answers import monthly_revenue, paid_in_time
from examples.orders.intermediate import order_balances
from examples.orders.mart import fact_order
from examples.orders.staging import customers, orders, payments
from streampro import Certificate, ContractError, Target, check_incremental, prove, run, sql
from streampro.testing import Workbench, assert_rows_equal

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[1] / "data"
CENT = Decimal("0.01")
NO_AMOUNTS = ('"1e2"', "1e2", '"1,50"', "1.005", '"10000000000000000"', "null", '"NaN"', "true")
AMOUNTS = ("0.1", '"9999999999999999.99"', "-0.0", '" 7.50 "', "1.500")
"""As JSON spells them."""


def order(amount: str, order_id: str = "o", **more: Any) -> dict[str, Any]:
    at = datetime(2026, 1, 30, 23, 59, tzinfo=UTC)
    return {"order_id": order_id, "ordered_at": at, "amount": Decimal(amount)} | more


def payment(amount: str, day: str, payment_id: str = "p", **more: Any) -> dict[str, Any]:
    given = {"order_id": "o", "kind": "payment", "paid_on": date.fromisoformat(day)}
    return {"payment_id": payment_id, "amount": Decimal(amount)} | given | more


def balance(
    engine: Workbench, ordered: list[dict[str, Any]], paid: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    tables = {"orders": engine.table(ordered, orders), "payments": engine.table(paid, payments)}
    return engine.rows(order_balances(**tables))


def test_thirds_of_an_amount_pay_it_to_the_cent(engine: Workbench) -> None:
    parts = [
        payment("33.33", "2026-02-01", "a"),
        payment("33.33", "2026-02-02", "b"),
        payment("33.34", "2026-02-05", "c"),
    ]
    [row] = balance(engine, [order("100.00")], parts)
    assert (row["paid"], row["paid_in_full_on"]) == (Decimal("100.00"), date(2026, 2, 5))
    [row] = balance(engine, [order("100.01")], parts)
    assert (row["paid"], row["paid_in_full_on"]) == (Decimal("100.00"), None)


def test_refund_of_the_same_day_delays_full_payment(engine: Workbench) -> None:
    paid = [
        payment("10.00", "2026-02-01", "a"),
        payment("0.01", "2026-02-01", "b", kind="refund"),
        payment("0.01", "2026-02-03", "c"),
    ]
    [row] = balance(engine, [order("10.00")], paid)
    assert (row["refunded"], row["paid_in_full_on"]) == (CENT, date(2026, 2, 3))


def test_of_a_payment_that_is_sent_again_with_another_amount_the_smallest_counts(
    engine: Workbench,
) -> None:
    paid = [payment("99.00", "2026-02-02"), payment("9.00", "2026-02-02")]
    [row] = balance(engine, [order("9.00")], paid)
    assert (row["payments"], row["paid"], row["conflicts"]) == (1, Decimal("9.00"), 1)


def test_payment_of_an_unknown_order_waits_for_it(engine: Workbench) -> None:
    [row] = balance(engine, [], [payment("5.00", "2026-02-02")])
    assert (row["order_id"], row["amount"], row["paid"]) == ("o", None, Decimal("5.00"))
    facts = engine.table([row], order_balances)
    found = fact_order(order_balances=facts, customers=engine.table([], customers))
    assert engine.rows(found) == []


@pytest.mark.parametrize(("day", "in_time"), [(6, True), (7, False)])
def test_seventh_day_after_the_order_is_in_time(engine: Workbench, day: int, in_time: bool) -> None:
    row = order("5.00") | {
        "paid": Decimal("5.00"),
        "refunded": Decimal("0.00"),
        "paid_in_full_on": date(2026, 2, day),
        "customer_id": "c",
    }
    known = engine.table([{"customer_id": "c", "segment": "retail"}], customers)
    found = fact_order(order_balances=engine.table([row], order_balances), customers=known)
    assert_rows_equal(
        engine.rows(found),
        [
            {
                "segment": "retail",
                "ordered_on": date(2026, 1, 30),
                "ordered_month": date(2026, 1, 1),
                "due_on": date(2026, 2, 6),
                "is_paid_in_time": in_time,
                "open_amount": Decimal("0.00"),
            }
        ],
    )


def test_orders_that_are_not_due_are_not_judged(engine: Workbench) -> None:
    fact = {"segment": "retail", "ordered_on": date(2026, 1, 1), "due_on": date(2026, 1, 8)}
    late = {"segment": "retail", "ordered_on": date(2026, 1, 9), "due_on": date(2026, 1, 16)}
    facts = engine.table(
        [fact | {"is_paid_in_time": True}, late | {"is_paid_in_time": False}], fact_order
    )
    found = paid_in_time(fact_order=facts, payments=engine.table([], payments))
    assert_rows_equal(
        engine.rows(found),
        [
            {
                "segment": "retail",
                "orders": 2,
                "due_orders": 1,
                "due_orders_in_time": 1,
                "in_time_share": 1.0,
            }
        ],
    )


def test_sums_beyond_the_digits_of_one_amount_are_exact(engine: Workbench) -> None:
    largest = Decimal("9999999999999999.99")
    fact = {"ordered_month": date(2026, 1, 1), "amount": largest}
    paid = {"paid": 3 * largest, "refunded": CENT, "open_amount": CENT - 2 * largest}
    found = engine.rows(monthly_revenue(fact_order=engine.table([fact | paid] * 100, fact_order)))
    assert_rows_equal(
        found,
        [
            {
                "ordered": Decimal("999999999999999999.00"),
                "paid": Decimal("2999999999999999997.00"),
                "refunded": Decimal("1.00"),
                "open_amount": Decimal("-1999999999999999997.00"),
            }
        ],
    )


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, and amounts in every spelling, ordered in April."""
    folder = Path(shutil.copytree(DATA, tmp_path_factory.mktemp("orders") / "raw"))
    lines = [
        f'{{"order_id":"x{number}","ordered_at":"2026-04-01T00:00Z","amount":{amount}}}\n'
        for number, amount in enumerate([*NO_AMOUNTS, *AMOUNTS])
    ]
    (folder / "orders-2026-04.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def proved(
    engine: Workbench, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Certificate, Target]:
    """The proof that the engine computes the rows of DuckDB, and the warehouse that it made."""
    folder = tmp_path_factory.mktemp("proved")
    left = Target(name="left", raw=raw)
    right = Target(name="right", engine=engine.name, raw=raw)
    found = prove(PIPELINE, left, right, warehouse=folder)
    return found, Target(name="right", warehouse=folder / "right")


def test_engine_computes_the_rows_of_duckdb(proved: tuple[Certificate, Target]) -> None:
    certificate, _ = proved
    assert certificate.equal
    assert sum(table.left.rows for table in certificate.tables) > 200


def test_sample_is_accounted_for_to_the_cent(raw: Path, proved: tuple[Certificate, Target]) -> None:
    """Against sums in plain Python."""
    _, target = proved
    april = "date '2026-04-01'"
    found = sql(f"from answers.monthly_revenue where ordered_month < {april}", target).to_pylist()
    assert_rows_equal(found, _months(raw))


@pytest.mark.thorough("spark")
def test_amounts_that_are_no_amounts_are_not_guessed(proved: tuple[Certificate, Target]) -> None:
    certificate, target = proved
    [books] = [account for account in certificate.right.books if account.source == "raw_orders"]
    assert books.reasons["bad_amount"] == 1 + len(NO_AMOUNTS)
    found = sql(
        "select amount from staging.orders where order_id like 'x%' "
        "order by cast(order_id[2:] as int)",
        target,
    )
    expected = ["0.10", "9999999999999999.99", "0.00", "7.50", "1.50"]
    assert [str(row["amount"]) for row in found.to_pylist()] == expected


def test_books_tell_what_was_rejected_and_why(proved: tuple[Certificate, Target]) -> None:
    certificate, target = proved
    assert {account.source: account.reasons for account in certificate.right.books} == {
        "raw_orders": {
            "amount_is_not_negative": 1,
            "bad_amount": 1 + len(NO_AMOUNTS),
            "bad_ordered_at": 1,
            "not_a_json_object": 1,
        },
        "raw_payments": {
            "amount_is_positive": 1,
            "bad_amount": 1,
            "kind isin(['payment', 'refund'])": 1,
        },
        "raw_customers": {"missing_customer_id": 1, "repeated_key": 1},
    }
    assert {(warned.table, warned.rule) for warned in certificate.right.warnings} == {
        ("staging.customers", "credit_limit less_than_or_equal_to(1000000.00)"),
        ("intermediate.order_balances", "conflicts less_than_or_equal_to(0)"),
        ("intermediate.order_balances", "orphan order_id: not in orders.order_id"),
        ("mart.fact_order", "orphan customer_id: not in customers.customer_id"),
    }
    kept = sql("select raw_line from staging.payments_rejected", target).to_pylist()
    assert len(kept) == 3
    assert not [row for row in kept if "NO93" in row["raw_line"]]


def test_credit_limits_are_read_from_csv_to_the_cent(proved: tuple[Certificate, Target]) -> None:
    _, target = proved
    limits = "select credit_limit, customer_since from staging.customers where customer_id in "
    assert_rows_equal(
        sql(f"{limits} ('c02', 'c06', 'c07')", target).to_pylist(),
        [
            {"credit_limit": Decimal("250.50"), "customer_since": date(2022, 11, 15)},
            {"credit_limit": Decimal("100.00"), "customer_since": None},
            {"credit_limit": None, "customer_since": date(2024, 1, 2)},
        ],
    )


def test_files_in_parts_give_the_rows_of_a_full_run(raw: Path) -> None:
    tried = check_incremental(PIPELINE, Target(name="test", raw=raw), parts=2, seed=2)
    assert tried.models == ("order_balances", "fact_order")


def test_two_different_orders_of_one_number_stop_the_run(raw: Path, tmp_path: Path) -> None:
    grown = Path(shutil.copytree(raw, tmp_path / "raw"))
    first = _lines(grown, "orders")[0]
    (grown / "orders-again.jsonl").write_text(json.dumps(first | {"amount": "1.00"}) + "\n")
    with pytest.raises(ContractError, match=r"key \(order_id\) is repeated in 1 rows"):
        run(PIPELINE, Target(name="test", raw=grown, warehouse=tmp_path / "w"))


def test_late_payments_change_their_orders_only(raw: Path, tmp_path: Path) -> None:
    grown = Path(shutil.copytree(raw, tmp_path / "raw"))
    target = Target(name="test", raw=grown, warehouse=tmp_path / "w")
    run(PIPELINE, target)
    late = {"payment_id": "p1", "order_id": "o003", "kind": "payment", "amount": "0.50"}
    (grown / "payments-late.jsonl").write_text(json.dumps(late | {"paid_on": "2026-01-09"}) + "\n")
    done = run(PIPELINE, target)
    changes = {change.table: change for change in done.changes}
    assert changes["staging.payments"].late == 1
    assert changes["mart.fact_order"].columns == {"paid": 1, "open_amount": 1}
    moved = {(move.row, move.column): move for move in done.moves}
    paid = moved["ordered_month=2026-01-01", "paid"]
    assert Decimal(str(paid.after)) - Decimal(str(paid.before)) == Decimal("0.50")


def _months(raw: Path) -> list[dict[str, Any]]:
    """Return what plain Python makes of the sample: a row per month."""
    rejected = ("o901", "o902", "o903")
    rows = [
        row
        for row in _lines(raw, "orders")
        if row["order_id"] not in rejected and row["order_id"][0] == "o"
    ]
    month_of = {row["order_id"]: date.fromisoformat(row["ordered_at"][:7] + "-01") for row in rows}
    sums: dict[date, dict[str, Any]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        sums[month_of[row["order_id"]]]["ordered"] += Decimal(str(row["amount"]))
    of_number: dict[tuple[str, str], tuple[str, str, Decimal]] = {}
    for row in _lines(raw, "payments"):
        if row["payment_id"] not in ("p9001", "p9002", "p9003") and row["order_id"] in month_of:
            number = row["order_id"], row["payment_id"]
            content = row["paid_on"], row["kind"], Decimal(row["amount"])
            of_number[number] = min(content, of_number.get(number, content))
    for (order_id, _), (_, kind, amount) in of_number.items():
        sums[month_of[order_id]]["paid" if kind == "payment" else "refunded"] += amount
    return [
        {
            "ordered_month": month,
            "ordered": each["ordered"],
            "paid": each["paid"],
            "refunded": each["refunded"],
            "open_amount": each["ordered"] - each["paid"] + each["refunded"],
        }
        for month, each in sums.items()
    ]


def _lines(raw: Path, name: str) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(raw.glob(f"{name}-*.jsonl"))]
    lines = [line for text in texts for line in text.splitlines() if line.endswith("}")]
    return [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
