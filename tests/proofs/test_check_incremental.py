"""The laws of incremental runs are tried on a user's own files, and a broken one is told."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pytest
from pipelines.shop import SALES, SHOP, mart, raw, staging, write_raw

from streampro.config import Target
from streampro.errors import ConfigError, IncrementalError
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.check_incremental import check_incremental
from streampro.proofs.deal import deal

CLAIMED = {"incremental_by": "a claim that is not so"}
MANY = SALES + "".join(
    f'{{"shop": "{"abcd"[i % 4]}", "day": "2024-05-{i % 28 + 1:02}", "amount": "{i}"}}\n'
    for i in range(60)
)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    folder = write_raw(tmp_path / "raw", MANY, "shop,city\na,Oslo\nb,Rome\nc,Ulm\nd,\n")
    return Target(name="test", raw=folder, warehouse=tmp_path / "warehouse")


def lines(folder: Path) -> Counter[bytes]:
    files = folder.glob("*.jsonl")
    return Counter(line for path in files for line in path.read_bytes().splitlines())


def test_parts_together_are_the_whole_with_some_lines_twice(target: Target, tmp_path: Path) -> None:
    assert isinstance(target.raw, Path)
    sources = [raw.raw_sales, raw.raw_shops]
    grown, names = tmp_path / "grown", [source.name for source in sources]
    seen = [
        (lines(grown), (grown / "shops.csv").read_text())
        for _ in deal(sources, dict.fromkeys(names, target.raw), grown, parts=3, seed=1)
    ]
    whole = lines(target.raw)
    assert len(seen) == 3
    assert seen[0][0] < seen[1][0] < seen[2][0]
    assert {*seen[2][0]} == {*whole}
    assert whole <= seen[2][0]
    assert [text.count("\n") for _, text in seen] == [1, 3, 5]
    assert seen[2][1] == (target.raw / "shops.csv").read_text()


def test_same_seed_deals_the_same_parts(target: Target, tmp_path: Path) -> None:
    assert isinstance(target.raw, Path)
    for name in ("one", "two"):
        next(deal([raw.raw_sales], {"raw_sales": target.raw}, tmp_path / name, parts=3, seed=5))
    assert lines(tmp_path / "one") == lines(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(each, marks=pytest.mark.thorough) for each in range(1, 6))]
)
def test_few_lines_are_enough(target: Target, seed: int) -> None:
    write_raw(Path(str(target.raw)), MANY.splitlines()[2] + "\n" + MANY.splitlines()[3] + "\n")
    assert check_incremental(SHOP, target, parts=3, seed=seed).runs == 3


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("name", ["duckdb", "spark"])
def test_incremental_runs_equal_a_full_run(name: str, target: Target, spark: Any) -> None:
    tried = check_incremental(SHOP, target.model_copy(update={"engine": name}), parts=2, seed=2)
    assert (tried.runs, tried.models) == (2, ("revenue",))
    assert [table.equal for table in tried.tables] == [True] * 4
    assert not target.warehouse.exists()


@pytest.mark.slow
def test_model_that_looks_beyond_its_key_is_told_with_the_row(target: Target) -> None:
    def revenue(sales: Any, shops: Any) -> Any:
        rows = mart.revenue(sales, shops)
        rank = ibis.row_number().over(order_by=["shop"]) + 1
        return rows.mutate(sales=rank).select(*rows.columns)

    wrong = Pipeline("shop", [raw, staging, mart])
    wrong.models["revenue"] = replace(mart.revenue, transform=revenue, allow=CLAIMED)
    one_sale_each = '{{"shop": "{:02}", "day": "2024-05-01", "amount": "1"}}\n'
    write_raw(Path(str(target.raw)), "".join(map(one_sale_each.format, range(30))))
    with pytest.raises(IncrementalError) as caught:
        check_incremental(wrong, target, parts=2)
    assert "2 incremental runs (left) and a full run (right)" in str(caught.value)
    assert "differ in 1 of 4 tables:\nmart.revenue: rows only on the left" in str(caught.value)


@pytest.mark.slow
def test_half_of_the_keys_is_tried_where_no_run_tells(target: Target) -> None:
    """Every part holds every shop, so each run computes all keys; the law is broken though."""

    def revenue(sales: Any, shops: Any) -> Any:
        rows = mart.revenue(sales, shops)
        return rows.mutate(sales=rows.count().as_scalar()).select(*rows.columns)

    wrong = Pipeline("shop", [raw, staging, mart])
    wrong.models["revenue"] = replace(mart.revenue, transform=revenue, allow=CLAIMED)
    with pytest.raises(IncrementalError, match="of half of its values and those of the others"):
        check_incremental(wrong, target, parts=2)


def test_remote_raw_folder_is_refused(target: Target) -> None:
    with pytest.raises(ConfigError, match="no raw folder on this machine"):
        check_incremental(SHOP, target.model_copy(update={"raw": None}))
