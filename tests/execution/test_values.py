"""A value that stops a computation is the data's fault, whichever engine computes."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest

import streampro
from streampro import Contract, Source, column, model, rule
from streampro.modeling.pipeline import Pipeline
from streampro.portable import to_integer, to_utc
from streampro.testing import Workbench
from streampro.warehouse.ledger import runs

raw_numbers = Source(
    name="raw_numbers",
    files=("numbers.jsonl",),
    format="json_lines",
    fields={name: (name,) for name in ("n", "at")},
)
LINE = '{"n": 9223372036854775807, "at": "2199-12-31 00:00"}'


class Total(Contract):
    """One row."""

    value: dt.Int64 = column("What is computed.", nullable=True)


def pipeline_of(
    value: Callable[[ir.Table], ir.Column],
    reduction: str = "max",
    contract: type[Contract] = Total,
) -> Pipeline:
    def total(raw_numbers: ir.Table) -> ir.Table:
        return raw_numbers.aggregate(value=getattr(value(raw_numbers), reduction)())

    total.__module__ = "staging"
    module = ModuleType("staging")
    module.__dict__.update(raw_numbers=raw_numbers, total=model(contract=contract)(total))
    return Pipeline("numbers", [module])


OUT_OF_RANGE = {
    "sum of two integers": lambda raw: to_integer(raw.n) + 1,
    "product": lambda raw: to_integer(raw.n) * 2,
    "length of a range": lambda raw: ibis.range(0, to_integer(raw.n) // 2000).length(),
    "cast to a small integer": lambda raw: to_integer(raw.n).cast("int16").cast("int64"),
}


BEYOND_THE_CALENDAR = {
    "a constant": lambda raw: to_utc(raw.at) + ibis.interval(days=2 * 10**8),
    "a constant of a further calendar": lambda raw: to_utc(raw.at) + ibis.interval(years=9000),
    "the year 10318": lambda raw: to_utc(raw.at) + (to_integer(raw.n) // 36).as_interval("us"),
    "no engine's year": lambda raw: to_utc(raw.at) - to_integer(raw.n).as_interval("s"),
    "no integer": lambda raw: to_utc(raw.at) - (-to_integer(raw.n) - 1).as_interval("us"),
    "days": lambda raw: to_utc(raw.at).date() - (to_integer(raw.n) // 10**13).as_interval("D"),
    "months": lambda raw: to_utc(raw.at).date() + (to_integer(raw.n) // 10**13).as_interval("M"),
}


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_instants_and_dates_beyond_the_calendar_are_null(engine: Workbench, tmp_path: Path) -> None:
    (tmp_path / "numbers.jsonl").write_text(f"{LINE}\n")
    target = streampro.Target(name="test", raw=tmp_path, warehouse=tmp_path / "w")
    engine.run(
        pipeline_of(
            lambda raw: sum(
                ibis.ifelse(of(raw).isnull(), 1, 0) for of in BEYOND_THE_CALENDAR.values()
            )
        ),
        target,
    )
    [row] = streampro.sql("SELECT value FROM staging.total", target).to_pylist()
    assert row == {"value": len(BEYOND_THE_CALENDAR)}


@pytest.mark.parametrize(
    "name",
    [
        "sum of two integers",
        "length of a range",
        pytest.param("product", marks=pytest.mark.thorough("spark")),
        pytest.param("cast to a small integer", marks=pytest.mark.thorough("spark")),
    ],
)
def test_a_value_out_of_range_is_an_error_of_the_data(
    name: str, engine: Workbench, tmp_path: Path
) -> None:
    (tmp_path / "numbers.jsonl").write_text(f"{LINE}\n")
    target = streampro.Target(name="test", raw=tmp_path, warehouse=tmp_path / "w")
    pipeline = pipeline_of(OUT_OF_RANGE[name])
    with pytest.raises(streampro.ComputationError, match="total cannot be computed: ") as told:
        engine.run(pipeline, target)
    assert told.value.exit_code == 1
    assert "try_" not in str(told.value), "no advice that a model cannot follow"
    assert "spark.sql" not in str(told.value)
    assert runs(target) == []


def test_a_rule_that_a_value_stops_is_named(engine: Workbench, tmp_path: Path) -> None:
    class Ruled(Total):
        """One row."""

        @rule("warn")
        def is_usual(cls, total: ir.Table) -> ir.BooleanValue:
            return total.value >= 0

        @rule("warn")
        def is_odd(cls, total: ir.Table) -> ir.BooleanValue:
            return (total.value + 1) % 2 == 1

    (tmp_path / "numbers.jsonl").write_text(f"{LINE}\n")
    with pytest.raises(
        streampro.ComputationError, match=r"^rule 'is_odd' of staging\.total: the query failed: "
    ):
        engine.run(
            pipeline_of(lambda raw: to_integer(raw.n), contract=Ruled),
            streampro.Target(name="test", raw=tmp_path, warehouse=tmp_path / "w"),
        )


def test_a_sum_that_no_integer_holds_is_an_error_of_the_data(
    engine: Workbench, tmp_path: Path
) -> None:
    (tmp_path / "numbers.jsonl").write_text(f"{LINE}\n{LINE.replace('9223', '9222')}\n")
    with pytest.raises(streampro.ComputationError):
        engine.run(
            pipeline_of(lambda raw: to_integer(raw.n), "sum"),
            streampro.Target(name="test", raw=tmp_path, warehouse=tmp_path / "w"),
        )
