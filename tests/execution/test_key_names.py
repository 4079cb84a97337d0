"""A model is incremental by keys that its inputs call otherwise."""

import random
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pipelines.tpch import generated, mart, raw, staging as all_of_staging, write_raw

from streampro.config import Target
from streampro.errors import PipelineError
from streampro.execution.runner import run
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.check_incremental import check_incremental
from streampro.testing import Workbench
from streampro.warehouse import published

DEALT = ("orders", "lineitem")
staging = ModuleType(all_of_staging.__name__)
vars(staging).update({name: vars(all_of_staging)[name] for name in DEALT})
ORDERS = Pipeline("orders", [raw, staging, mart])


@pytest.fixture(scope="session")  # tests of other modules may run between those of this one
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sixth of the orders of a small scale, below which keys of TPC-H repeat."""
    tables = generated(scale=0.01)
    tables.execute("DELETE FROM lineitem WHERE l_orderkey > 10000")
    tables.execute("DELETE FROM orders WHERE o_orderkey > 10000")
    return write_raw(tables, tmp_path_factory.mktemp("tpch") / "raw")


def deal(whole: Path, folder: Path, part: int, parts: int) -> None:
    """Add to a folder the files of a part: some lines of orders and of lineitem, in any order."""
    folder.mkdir(exist_ok=True)
    for path in whole.glob("*.csv"):
        if path.stem not in DEALT and part == 0:
            (folder / path.name).write_bytes(path.read_bytes())
        if path.stem in DEALT:
            header, *lines = path.read_text().splitlines(keepends=True)
            random.Random(7).shuffle(lines)
            taken = lines[:: parts + 1] if part == 0 else lines[part :: parts * 20]
            (folder / f"{path.stem}-{part}.csv").write_text(header + "".join(taken))


def revenues(target: Target) -> list[dict[str, Any]]:
    return published.sql("FROM mart.order_revenue ORDER BY ALL", target).to_pylist()


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_incremental_runs_give_the_rows_of_a_full_run(
    engine: Workbench, whole: Path, tmp_path: Path
) -> None:
    grown = Target(name="grown", raw=tmp_path / "raw", warehouse=tmp_path / "grown")
    for part in range(3):
        deal(whole, tmp_path / "raw", part, parts=3)
        last = engine.run(ORDERS, grown) if part else run(ORDERS, grown)
    change = next(each for each in last.changes if each.table == "mart.order_revenue")
    assert change.mode == "incremental"
    assert 0 < (change.keys or 0) < len(revenues(grown)) / 2
    again = grown.model_copy(update={"warehouse": tmp_path / "full"})
    run(ORDERS, again)
    assert revenues(grown) == revenues(again)


@pytest.mark.slow
def test_halves_of_the_keys_are_the_whole(whole: Path, tmp_path: Path) -> None:
    target = Target(name="test", raw=whole, warehouse=tmp_path / "warehouse")
    assert check_incremental(ORDERS, target, parts=2).models == ("order_revenue",)


@pytest.mark.parametrize(
    ("key_in", "said"),
    [
        ({"lines": "l_orderkey"}, "'lines' is no model that it takes. Did you mean 'lineitem'?"),
        ({"lineitem": "l_order"}, "lineitem has no such column. Did you mean 'l_orderkey'?"),
        ({"lineitem": "l_shipmode"}, "lineitem.l_shipmode is string and order_revenue.o_orderkey"),
    ],
)
def test_key_that_is_none_is_refused(key_in: dict[str, str], said: str) -> None:
    module = ModuleType(mart.__name__)
    vars(module).update(order_revenue=replace(mart.order_revenue, key_in=key_in))
    with pytest.raises(PipelineError, match=said):
        Pipeline("orders", [raw, staging, module])


def test_keys_need_a_model_that_is_incremental() -> None:
    module = ModuleType(mart.__name__)
    vars(module).update(order_revenue=replace(mart.order_revenue, incremental_by=None))
    with pytest.raises(PipelineError, match="only models with incremental_by"):
        Pipeline("orders", [raw, staging, module])


@pytest.mark.slow
def test_other_keys_are_other_code() -> None:
    module = ModuleType(mart.__name__)
    key_in = {"lineitem": "l_partkey"}
    vars(module).update(order_revenue=replace(mart.order_revenue, key_in=key_in))
    other = Pipeline("orders", [raw, staging, module]).code_hashes()
    assert other["order_revenue"] != ORDERS.code_hashes()["order_revenue"]
