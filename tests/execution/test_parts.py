"""A keyed model is computed in parts of its keys where its inputs are large, and nobody sees it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pipelines.python_shop import PYTHON_SHOP
from pipelines.shop import mart, raw, staging, write_raw
from published import contents

from streampro.config import DuckDBSettings, Target
from streampro.engines.duckdb import parts
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.execution.runner import run
from streampro.modeling.contract import column
from streampro.modeling.pipeline import Pipeline
from streampro.viewing import PIPELINE as VIEWING

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
WHO = ["a", "b", None, "a", "c"]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def files(target: Target, table: str) -> int:
    return len(DeltaTable(target.warehouse / Path(*table.split("."))).file_uris())


def test_rows_are_those_of_one_part_also_of_models_in_python(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(PYTHON_SHOP, target)
    assert files(target, "mart.revenue") == 1
    monkeypatch.setattr(parts, "_MOST_BYTES", 30)
    apart = target.model_copy(update={"warehouse": target.warehouse.with_name("apart")})
    run(PYTHON_SHOP, apart)
    assert files(apart, "mart.revenue") > 1
    assert contents(apart) == contents(target)


@pytest.mark.slow
def test_little_memory_gives_the_same_rows(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_BYTES_OF_A_VALUE", 4000)  # as if there were many
    whole = target.model_copy(update={"raw": SAMPLE})
    run(VIEWING, whole)
    assert files(whole, "intermediate.user_sessions") == 1
    little = DuckDBSettings(memory_limit="150MB", threads=2)
    place = target.warehouse.with_name("little")
    apart = whole.model_copy(update={"warehouse": place, "duckdb": little})
    run(VIEWING, apart)
    assert files(apart, "intermediate.user_sessions") > 1
    assert contents(apart) == contents(whole)


def with_total(sales: ir.Table, shops: ir.Table) -> ir.Table:
    """The revenue of each shop, and of all."""
    rows = mart.revenue(sales, shops.filter(shops.shop.notnull()))
    everyone = rows.aggregate(amount=rows.amount.sum(), sales=rows.sales.sum())
    total = everyone.mutate(shop=ibis.literal("all"), city=ibis.null("string"))
    return rows.union(total.select(*rows.columns))


class Shops(staging.Shops):
    shop: str = column("Shop, null for what holds of all.", nullable=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"allow": {"incremental_by": "a claim that is not so"}, "contract": staging.Shops},
        {"allow": {}, "contract": Shops},
    ],
)
def test_what_has_no_proof_is_computed_at_once(
    target: Target, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    monkeypatch.setattr(parts, "_MOST_BYTES", 30)
    pipeline = Pipeline("shop", [raw, staging, mart])
    pipeline.models["shops"] = replace(staging.shops, contract=changed["contract"])
    pipeline.models["revenue"] = replace(mart.revenue, transform=with_total, allow=changed["allow"])
    run(pipeline, target)
    assert files(target, "mart.revenue") == 1
    assert len([row for row in contents(target)["mart.revenue"] if row["shop"] == "all"]) == 1


@pytest.fixture
def engine(target: Target, monkeypatch: pytest.MonkeyPatch) -> DuckDBEngine:
    monkeypatch.setattr(parts, "_MOST_BYTES", 100)
    return DuckDBEngine(target)


def loaded(engine: DuckDBEngine, who: pa.Array) -> ibis.Table:
    rows = pa.table({"who": who, "n": range(len(who))})
    return engine.load(rows, ibis.Schema.from_pyarrow(rows.schema))


def test_each_key_is_in_one_part_and_what_has_none_in_all(engine: DuckDBEngine) -> None:
    texts, other = loaded(engine, pa.array(WHO)), loaded(engine, pa.array(WHO)).select("n")
    found = engine.parts({"texts": texts, "other": other}, {"texts": "who", "other": "who"})
    assert len(found) == 2
    keys = [{*engine.fetch(part["texts"]).column("who").to_pylist()} for part in found]
    assert Counter(who for part in keys for who in part) == dict.fromkeys(WHO, 1)
    rows = [row for part in found for row in engine.fetch(part["texts"]).column("n").to_pylist()]
    assert sorted(rows) == [*range(len(WHO))]
    assert all(part["other"] is other for part in found)


def test_keys_of_one_type_are_in_one_part_in_every_input(engine: DuckDBEngine) -> None:
    inputs = {name: loaded(engine, pa.array(WHO)) for name in ("one", "other")}
    for part in engine.parts(inputs, dict.fromkeys(inputs, "who")):
        one, other = (sorted(engine.fetch(rows).column("n").to_pylist()) for rows in part.values())
        assert one == other


@pytest.mark.parametrize("other", [pa.int32(), pa.string(), pa.float64()])
def test_keys_of_other_types_are_in_no_parts(engine: DuckDBEngine, other: pa.DataType) -> None:
    """Equal ones of other types have other hashes."""
    numbers = pa.array([1, 2, 3, 4, 5])
    inputs = {"one": loaded(engine, numbers), "other": loaded(engine, numbers.cast(other))}
    assert engine.parts(inputs, dict.fromkeys(inputs, "who")) == [inputs]


def test_inputs_without_a_key_are_in_no_parts(engine: DuckDBEngine) -> None:
    inputs = {"one": loaded(engine, pa.array(WHO))}
    assert engine.parts(inputs, {}) == [inputs]
    assert engine.parts(inputs, {"one": "other"}) == [inputs]
