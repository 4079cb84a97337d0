from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pipelines import kinds
from pipelines.kinds import KINDS, LINES
from pipelines.shop import SHOP, write_raw
from published import contents

from streampro import Target, run
from streampro.engines.duckdb.repeats import Seen
from streampro.modeling.pipeline import Pipeline
from streampro.viewing import PIPELINE

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
BOOKS = (3, 1, 2)
"""Lines of sales that are accepted, repeated and rejected."""


def chunks(values: "np.ndarray[tuple[int], np.dtype[np.uint64]]", size: int) -> list[pa.Array]:
    return [pa.chunked_array([values[i : i + size]]) for i in range(0, len(values), size)]


@pytest.mark.parametrize("size", [1, 7, 2048])
def test_what_is_not_told_to_be_seen_is_distinct_and_stands_for_all(size: int) -> None:
    dice = np.random.default_rng(0)
    distinct = dice.integers(0, 2**64, 3_000, np.uint64)
    values = dice.permutation(np.concatenate([distinct, distinct[:1_000], distinct[:1_000]]))
    seen = Seen(rows=2048)
    told = np.concatenate([seen(chunk).to_numpy(False) for chunk in chunks(values, size)])
    new = values[~told]
    assert len(np.unique(new)) == len(new)
    assert len(distinct) * 0.98 < len(new) <= len(distinct)
    assert len(seen.filters) > 1


def test_equal_low_or_high_halves_are_no_repeats_of_many() -> None:
    low = np.arange(2_000, dtype=np.uint64)
    for values in (low, low << np.uint64(32), low << np.uint64(50)):
        told = Seen()(pa.chunked_array([np.concatenate([values, values])])).to_numpy(False)
        assert (told[:2_000] | told[2_000:]).all()


@pytest.mark.slow
@pytest.mark.parametrize("told", [True, False, None], ids=["all", "every other", "as they are"])
def test_rows_do_not_depend_on_what_is_told_to_be_seen(
    told: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_hashes = Seen.__call__

    def more(self: Seen, hashes: pa.ChunkedArray) -> pa.Array:
        seen = of_hashes(self, hashes).to_numpy(False)
        if told is not None:
            seen = seen | told | (np.arange(len(seen)) % 2 == 0)
        return pa.array(seen)

    monkeypatch.setattr("streampro.engines.duckdb.engine._MANY_LINES", 0)
    monkeypatch.setattr(Seen, "__call__", more)
    raw, warehouse = write_raw(tmp_path / "raw"), tmp_path / "w"
    done = run(SHOP, Target(name="t", raw=raw, warehouse=warehouse))
    [books] = [each for each in done.books if each.source == "raw_sales"]
    assert (books.accepted, books.duplicates, books.rejected) == BOOKS
    rows = {str(each.table): each.rows for each in done.tables}
    assert (rows["staging.sales"], rows["staging.sales_rejected"]) == (BOOKS[0], BOOKS[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "pipeline",
    [pytest.param(PIPELINE, marks=pytest.mark.thorough), KINDS],
    ids=["sample", "every type"],
)
def test_many_lines_give_the_rows_that_few_do(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = SAMPLE if pipeline is PIPELINE else kinds.write_raw(tmp_path / "raw", first=LINES * 2)
    few, many = (Target(name="t", raw=raw, warehouse=tmp_path / name) for name in "fm")
    books = run(pipeline, few).books
    monkeypatch.setattr("streampro.engines.duckdb.engine._MANY_LINES", 0)
    assert run(pipeline, many).books == books
    assert contents(many) == contents(few)
