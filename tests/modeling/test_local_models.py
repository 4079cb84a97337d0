"""`incremental_by` is a claim that `check` demands the proof of, or finds by itself."""

from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from click.testing import CliRunner
from pipelines.shop import raw, staging
from pipelines.tpch import TPCH

from streampro.cli.commands import cli
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import Model, model
from streampro.modeling.pipeline import Pipeline


class Ranked(Contract):
    """One row per shop."""

    shop: str = column("Shop.")
    sales: dt.Int64 = column("Sales.")
    place: dt.Int64 = column("Its place among all.")

    class Config:
        unique = ["shop"]


def pipeline_of(transform: Any, **declared: Any) -> Pipeline:
    layer = ModuleType("mart")
    transform.__module__ = "mart"
    made: Model = model(contract=Ranked, **declared)(transform)
    layer.ranked = made  # type: ignore[attr-defined]
    return Pipeline("shop", [raw, staging, layer])


def ranked(sales: ir.Table) -> ir.Table:
    sums = sales.group_by("shop").agg(sales=sales.count())
    return sums.mutate(place=ibis.row_number().over(order_by=[ibis.desc("sales"), "shop"]))


def alone(sales: ir.Table) -> ir.Table:
    return sales.group_by("shop").agg(sales=sales.count(), place=sales.amount.max().fill_null(0))


def test_a_false_claim_is_refused_with_what_breaks_it() -> None:
    assert pipeline_of(ranked, incremental_by="shop").unportable() == [
        "mart.ranked: incremental_by: it is not proven that rows of one shop follow from input "
        "rows of the same alone: RowNumber over a window by nothing, not by the key. Compute them "
        "so, or take incremental_by out."
    ]
    assert pipeline_of(alone, incremental_by="shop").unportable() == []


def test_a_claim_without_proof_is_allowed_with_a_reason() -> None:
    allowed = {"incremental_by": "a place is told anew every night by --full-refresh"}
    made = pipeline_of(ranked, incremental_by="shop", allow=allowed)
    assert made.unportable() == []
    [told] = pipeline_of(alone, incremental_by="shop", allow=allowed).unportable()
    assert "allows 'incremental_by', but nothing of that name is refused" in told


def test_auto_is_what_is_proven() -> None:
    made = pipeline_of(alone, incremental_by="auto")
    assert made.models["alone"].incremental_by == "shop"
    claimed = pipeline_of(alone, incremental_by="shop")
    assert made.code_hashes() == claimed.code_hashes()
    assert pipeline_of(ranked, incremental_by="auto").models["ranked"].incremental_by is None


def test_what_could_be_incremental_is_told() -> None:
    assert pipeline_of(alone).could_be_incremental() == {"alone": "shop"}
    assert pipeline_of(ranked).could_be_incremental() == {}
    assert TPCH.could_be_incremental()["region"] == "r_regionkey"


@pytest.mark.slow
def test_check_tells_it() -> None:
    done = CliRunner().invoke(cli, ["check", "--pipeline", "pipelines.tpch:TPCH"])
    [told] = [each for each in done.output.splitlines() if each.startswith("Proven")]
    assert told.startswith("Proven, so these could be incremental: staging.region by r_regionkey, ")
    assert told.count(" by ") == min(20, len(TPCH.could_be_incremental()))
