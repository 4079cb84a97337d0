"""Models of Python: rows of one key in, rows out, the same on both engines."""

import functools
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pipelines.shop import add_sale, mart, raw, staging, write_raw
from published import contents

from streampro import Instant
from streampro.config import Target
from streampro.engines.checked import problems_of
from streampro.engines.grouped import grouped
from streampro.errors import ContractError, PipelineError
from streampro.execution.runner import run
from streampro.expressions.columns import ColumnRef
from streampro.expressions.python import frame_of
from streampro.lineage.explain import explain
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench

pytestmark = pytest.mark.slow

LINES = """\
{"shop": "a", "day": "2024-05-02", "amount": "5"}
{"shop": "b", "day": "2024-05-01", "amount": "7"}
{"shop": "a", "day": "2024-05-01", "amount": "10"}
{"shop": "a", "day": "2024-05-03"}
{"shop": "b", "day": "2024-05-01", "amount": "8"}
"""


class Streak(Contract):
    """One row per shop and day on which more was sold than ever before."""

    shop: str = column("Shop.")
    day: dt.Date = column("Day.")
    best: dt.Int64 = column("What was sold.")

    class Config:
        unique = ["shop", "day"]


def bests(days: list[Any], amounts: list[Any]) -> list[int]:
    """Numbers of the rows that are better than all before."""
    best, found = -1, []
    for number, amount in enumerate(amounts):
        if amount is not None and amount > best:
            best = amount
            found.append(number)
    return found


@model(contract=Streak, python=True, by="shop")
def records(sales: pa.Table) -> pa.Table:
    days, amounts = (sales.column(name).to_pylist() for name in ("day", "amount"))
    last = {days[each]: each for each in bests(days, amounts)}
    return sales.take([*last.values()]).rename_columns(["shop", "day", "best"])


@model(contract=Streak, python=True, by="shop")
def of_pandas(sales: pd.DataFrame) -> pd.DataFrame:
    rows = sales[sales["amount"].notna()]
    best = rows[rows["amount"] == rows["amount"].max()].head(1)
    return best.rename(columns={"amount": "best"})


@model(contract=Streak, python=True, by="shop")
def of_polars(sales: pl.DataFrame) -> pl.DataFrame:
    rows = sales.drop_nulls("amount").sort("amount", descending=True).head(1)
    return rows.rename({"amount": "best"})


def pipeline(*models: Any) -> Pipeline:
    """The shop pipeline with models more."""
    more = ModuleType("more")
    for each in models:
        setattr(more, each.name, each)
    return Pipeline("shop", [raw, staging, mart, more])


RECORDS = pipeline(records, of_pandas, of_polars)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(
        name="test", raw=write_raw(tmp_path / "raw", LINES), warehouse=tmp_path / "warehouse"
    )


def rows_of(target: Target, table: str) -> list[tuple[Any, ...]]:
    return [tuple(map(str, row.values())) for row in contents(target)[table]]


def test_rows_of_a_key_come_together_and_sorted(engine: Workbench, target: Target) -> None:
    engine.run(RECORDS, target)
    for each in (records, of_pandas, of_polars):
        assert rows_of(target, each.table) == [
            ("a", "2024-05-01", "10"),
            ("b", "2024-05-01", "8"),
        ]


@pytest.mark.thorough("spark")
def test_only_keys_that_changed_are_computed_again(
    engine: Workbench, target: Target, tmp_path: Path
) -> None:
    engine.run(RECORDS, target)
    add_sale(target, 11)
    done = engine.run(RECORDS, target)
    changed = {change.table: (change.mode, change.keys) for change in done.changes}
    assert changed[records.table] == ("incremental", 1)
    fresh = target.model_copy(update={"warehouse": tmp_path / "fresh"})
    run(RECORDS, fresh)
    assert contents(target) == contents(fresh)


def test_check_is_in_order_and_lineage_goes_through(target: Target) -> None:
    assert problems_of(RECORDS, "duckdb", "spark") == []
    origins = Lineage(RECORDS).origins(ColumnRef("records", "best"))
    assert {(each.column.column, each.how) for each in origins} >= {
        ("amount", "computed"),
        ("day", "computed"),
    }
    [shop, *_] = Lineage(RECORDS).origins(ColumnRef("records", "shop"))
    assert (shop.column.column, shop.how) == ("shop", "copied")
    run(RECORDS, target)
    found = explain(RECORDS, target, "records", "shop = 'b'")
    assert sorted(line.number for line in found.lines) == [2, 5]


def test_a_model_of_python_is_tested_as_any_other(engine: Workbench) -> None:
    sales = engine.table([{"shop": "a", "day": date(2024, 5, 2), "amount": 3}], staging.Sales)
    assert [row["best"] for row in engine.rows(records(sales))] == [3]


class Bag(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    text: str = column("All that was given, in its order.")

    class Config:
        unique = ["shop"]


class Lists(Contract):
    """One row per shop and day."""

    shop: str = column("Shop.")
    day: dt.Date = column("Day.")
    days: dt.Array[dt.Date] = column("Days.")
    half: dt.Float64 = column("Half of what was sold.", nullable=True)

    class Config:
        unique = ["shop", "day", "half"]


@model(contract=Lists, incremental_by="shop")
def lists(sales: ir.Table) -> ir.Table:
    days = ibis.array([sales.day, sales.day])
    half = sales.amount.cast("float64") / 2.0
    return sales.select("shop", "day", days=days, half=half).distinct()


@model(contract=Bag, python=True, by="shop")
def bags(lists: pa.Table) -> pa.Table:
    [shop, *_] = lists.column("shop").to_pylist()
    return pa.table({"shop": [shop], "text": [str(lists.drop_columns("shop").to_pylist())]})


@pytest.mark.thorough("spark")
def test_rows_with_lists_come_sorted_too(engine: Workbench, target: Target) -> None:
    engine.run(pipeline(lists, bags), target)
    [bag, _] = contents(target)[bags.table]
    dates = [f"datetime.date(2024, 5, {day})" for day in (1, 2, 3)]
    assert bag["text"] == "[{}]".format(
        ", ".join(
            f"{{'day': {day}, 'days': [{day}, {day}], 'half': {half}}}"
            for day, half in zip(dates, (5.0, 2.5, None), strict=True)
        )
    )


def wrong(name: str, function: Callable[..., Any]) -> Pipeline:
    function.__name__, function.__module__ = name, __name__
    return pipeline(model(contract=Streak, python=True, by="shop")(function))


def renamed(sales: pa.Table) -> pa.Table:
    return sales.rename_columns(["shop", "day", "best"]).drop_null()


CALLS = count()


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda sales: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda sales: sales, "it returns the columns shop, day, amount; its contract says shop"),
        (
            lambda sales: renamed(sales).append_column("x", [[1] * renamed(sales).num_rows]),
            "it returns the columns",
        ),
        (lambda sales: None, "it returns NoneType, but must return a table of Arrow"),
        (
            lambda sales: renamed(sales).set_column(0, "shop", [["z"] * renamed(sales).num_rows]),
            "of the rows of one shop it makes rows of another",
        ),
        (
            lambda sales: renamed(sales).set_column(2, "best", [[0.5] * renamed(sales).num_rows]),
            "its best is double, which is no int64",
        ),
        (
            lambda sales: renamed(sales).set_column(
                2, "best", [[next(CALLS)] * renamed(sales).num_rows]
            ),
            "of the same rows it made others when it was called again",
        ),
    ],
)
def test_what_a_function_must_not_do(
    function: Callable[..., Any], why: str, engine: Workbench, target: Target
) -> None:
    with pytest.raises(PipelineError, match=why) as error:
        engine.run(wrong("bad", function), target)
    assert "bad" in str(error.value)


class Typed(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    number: dt.Int64 = column("Number.", nullable=True)
    share: dt.Float64 = column("Share.", nullable=True)
    day: dt.Date = column("Day.", nullable=True)
    at: Instant = column("Instant.", nullable=True)
    price: Annotated[dt.Decimal, 5, 1] = column("Price.", nullable=True)

    class Config:
        unique = ["shop"]


def typed(**values: Any) -> Pipeline:
    """A model of Python that returns these values, null in the other columns."""
    VALUES.update({"function": values})
    return pipeline(model(contract=Typed, python=True, by="shop")(one_of_values))


VALUES: dict[str, dict[str, Any]] = {}


def one_of_values(sales: pa.Table) -> pa.Table:
    columns = {
        name: VALUES["function"].get(name, pa.nulls(1))
        for name in ("number", "share", "day", "at", "price")
    }
    return pa.table({"shop": sales.column("shop")[:1], **columns})


UTC_NOON = pa.array([datetime(2024, 5, 1, 12, tzinfo=UTC)], pa.timestamp("us", "UTC"))


@pytest.mark.parametrize(
    "values",
    [
        {"number": ["007"]},
        {"number": [0.5]},
        {"share": [Decimal("1234567890123456789.12")]},
        {"day": [datetime(2024, 1, 1, 23, 59)]},
        {"at": [datetime(2024, 1, 1)]},
        {"at": [date(2024, 1, 1)]},
        {"price": [Decimal("0.16789")]},
        {"price": [0.16789]},
    ],
)
def test_a_value_that_would_become_another_is_refused(
    values: dict[str, Any], target: Target
) -> None:
    with pytest.raises(PipelineError, match=r"would lose a part|which is no "):
        run(typed(**values), target)


def test_values_that_fit_are_cast_and_nan_is_null(target: Target) -> None:
    fine = typed(
        number=pa.array([7], pa.int8()),
        share=[float("nan")],
        day=[datetime(2024, 1, 1)],
        at=UTC_NOON.cast(pa.timestamp("s", "UTC")),
        price=[Decimal("0.5")],
    )
    run(fine, target)
    add_sale(target, 1)
    assert run(fine, target).kind == "incremental"
    [row, _] = contents(target)[f"{Typed.__module__}.one_of_values"]
    assert (row["number"], row["share"], row["day"]) == (7, None, date(2024, 1, 1))
    assert (row["at"], row["price"]) == (UTC_NOON[0].as_py(), Decimal("0.5"))


@pytest.mark.thorough("spark")
def test_null_where_none_may_be_breaks_the_contract(engine: Workbench, target: Target) -> None:
    def unknown(sales: pa.Table) -> pa.Table:
        return pa.table({"shop": sales["shop"][:1], "day": sales["day"][:1], "best": pa.nulls(1)})

    with pytest.raises(ContractError, match="best is null in 2 rows"):
        engine.run(wrong("unknown", unknown), target)


@model(contract=Streak, python=True, by="shop")
def again(records: pa.Table) -> pa.Table:
    return records


def test_a_model_of_python_above_another_is_tested_too(engine: Workbench) -> None:
    sales = engine.table([{"shop": "a", "day": date(2024, 5, 2), "amount": 3}], staging.Sales)
    assert [row["best"] for row in engine.rows(again(records(sales)))] == [3]


def test_many_keys_are_handed_on_together(target: Target) -> None:
    batches = pa.table({"shop": [f"{n:06}" for n in range(2000)]}).to_batches(300)
    schema = pa.schema([("shop", pa.string())])
    found = [*grouped(batches, "shop", lambda rows: rows, "arrow", schema, schema, True)]
    assert [batch.num_rows for batch in found] == [2000]


def closing() -> Callable[..., Any]:
    number = 3
    return lambda sales: sales.slice(number)


def by_name(*, sales: pa.Table) -> None: ...


def of_lists(sales: list[Any]) -> None: ...


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (closing(), "closes over values"),
        (functools.wraps(bests)(lambda *rows: rows), "is wrapped"),
        (by_name, "is given one table, by place"),
        (of_lists, "takes builtins.list, but rows come as"),
    ],
)
def test_functions_that_cannot_be_told_or_given_rows(
    function: Callable[..., Any], why: str
) -> None:
    with pytest.raises(PipelineError, match=why):
        wrong("odd", function)


@pytest.mark.parametrize("written", ["pd.DataFrame", "'pandas.DataFrame'", "pl.DataFrame"])
def test_annotations_may_be_texts(written: str) -> None:
    def function(sales: Any) -> Any: ...

    function.__annotations__["sales"] = written
    assert frame_of(function) == ("polars" if "pl." in written else "pandas")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"python": True}, "needs the key of the rows"),
        ({"by": "shop"}, "goes with python=True"),
        ({"python": True, "by": "shop", "quarantine": True}, "does not go with quarantine"),
    ],
)
def test_declarations_that_say_half(options: dict[str, Any], why: str) -> None:
    with pytest.raises(PipelineError, match=why):
        model(contract=Streak, **options)


def of_two(sales: pa.Table, shops: pa.Table) -> None: ...


def of_a_source(raw_sales: pa.Table) -> None: ...


def of_sales(sales: pa.Table) -> None: ...


def of_shops(shops: pa.Table) -> None: ...


@pytest.mark.parametrize(
    ("function", "by", "why"),
    [
        (of_two, "shop", "is given one table, by place"),
        (of_a_source, "shop", "takes one model, not raw_sales"),
        (of_sales, "shp", "incremental by 'shp', which is no column of it. Did you mean 'shop'"),
        (of_shops, "day", "'day', which is no column of shops"),
    ],
)
def test_models_of_python_that_do_not_fit(function: Callable[..., Any], by: str, why: str) -> None:
    with pytest.raises(PipelineError, match=why):
        pipeline(model(contract=Streak, python=True, by=by)(function))


def test_other_code_of_the_function_is_other_code_of_the_model() -> None:
    one, other = (wrong("same", each).code_hashes()["same"] for each in (renamed, of_sales))
    assert one != other
    assert one == wrong("same", renamed).code_hashes()["same"]
