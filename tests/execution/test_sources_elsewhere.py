"""Sources whose files are not in the raw folder: each counts its patterns from its own."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from pipelines.shop import SALES, SHOP, SHOPS, mart, staging, write_raw
from pipelines.shop.raw import raw_sales, raw_shops
from published import contents
from servers import Lake

import streampro
from streampro.config import Target
from streampro.errors import ConfigError, SourceError
from streampro.location import Location, Remote
from streampro.modeling.pipeline import Pipeline

pytestmark = pytest.mark.slow

LATER = '{"shop": "b", "day": "2024-05-09", "amount": "3"}\n{"shop": "b", "day": "never"}\n'


@pytest.fixture
def together(tmp_path: Path) -> Target:
    """A target with all files in one raw folder."""
    return Target(name="together", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "together")


def apart(tmp_path: Path, sales: Location, engine: str = "duckdb") -> Target:
    """A target that has the sales elsewhere, and the shops in the raw folder."""
    raw = tmp_path / "shops only"
    raw.mkdir()
    (raw / "shops.csv").write_text(SHOPS)
    return Target(
        name="apart",
        engine=engine,
        raw=raw,
        sources={"raw_sales": sales},
        warehouse=tmp_path / "apart",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "sales of others"
    found.mkdir()
    (found / "sales.jsonl").write_text(SALES)
    (found / "notes.txt").write_text("nobody minds")
    return found


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_rows_are_those_of_one_raw_folder(
    together: Target, folder: Path, tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    session = request.getfixturevalue("spark") if engine == "spark" else None
    target = apart(tmp_path, folder, engine)
    for more in ("", LATER):
        if more:
            (folder / "sales-2.jsonl").write_text(more)
            (Path(str(together.raw)) / "sales-2.jsonl").write_text(more)
        streampro.run(SHOP, together)
        done = streampro.run(SHOP, target, session=session)
        assert contents(target) == contents(together)
    [sales] = [change for change in done.changes if change.table.name == "sales"]
    assert sales.mode == "incremental"
    assert streampro.plan(SHOP, target, session=session).unread_files == ()


def test_commands_that_read_raw_lines_read_them_there(folder: Path, tmp_path: Path) -> None:
    target = apart(tmp_path, folder)
    streampro.run(SHOP, target)
    told = streampro.explain(SHOP, target, "staging.sales_rejected")
    assert {line.file for line in told.lines} == {"sales.jsonl"}
    assert streampro.show(SHOP, target, "revenue").num_rows == 2
    assert streampro.check_incremental(SHOP, target, parts=2).runs == 2
    done = streampro.forget(target, {"shop": "a"}, pipeline=SHOP)
    assert {(each.source, each.path) for each in done.raw or ()} == {
        ("raw_sales", "sales.jsonl"),
        ("raw_shops", "shops.csv"),
    }


def test_a_proof_reads_sources_in_a_store(
    lake: Lake, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    target = apart(tmp_path, lake.put(folder, "sales"))
    left, right = (
        target.model_copy(update={"name": name, "warehouse": tmp_path / name}) for name in "ab"
    )
    streampro.run(SHOP, left)  # the proof is made in its warehouse
    assert streampro.prove(SHOP, left, right).equal
    assert streampro.check_incremental(SHOP, left, parts=2).runs == 2
    moved = right.model_copy(update={"sources": {"raw_sales": folder}})
    with pytest.raises(ConfigError, match=r"'raw_sales' from s3://.*same bytes: say it in \[sour"):
        streampro.prove(SHOP, left, moved)
    far = left.model_copy(update={"engine": "spark", "sources": {"raw_sales": "hdfs://far/sales"}})
    with pytest.raises(ConfigError, match=r"'raw_sales' \(it has hdfs://far/sales\): say it in"):
        streampro.check_incremental(SHOP, far)


def test_a_folder_within_the_raw_folder_is_no_files_that_nobody_reads(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw")
    inner = raw / "from [shops]"
    inner.mkdir()
    (raw / "sales.jsonl").rename(inner / "sales.jsonl")
    (inner / "more.txt").touch()
    (raw / "odd.txt").touch()
    target = Target(
        name="t", raw=raw, sources={"raw_sales": inner}, warehouse=tmp_path / "warehouse"
    )
    assert streampro.plan(SHOP, target).unread_files == ("odd.txt",)


@pytest.mark.parametrize("own", [".", "a link", ".."])
def test_files_of_the_raw_folder_that_a_source_reads_by_another_way_are_read(
    tmp_path: Path, own: str
) -> None:
    raw = write_raw(tmp_path / "raw")
    (raw / "odd.txt").touch()
    (tmp_path / "a link").symlink_to(raw)
    module = ModuleType("sources")
    files = ("raw/sales*.jsonl",) if own == ".." else raw_sales.files
    module.raw_sales, module.raw_shops = replace(raw_sales, files=files), raw_shops
    place = tmp_path / own if own == "a link" else raw / own
    target = Target(
        name="t", raw=raw, sources={"raw_sales": place}, warehouse=tmp_path / "warehouse"
    )
    pipeline = Pipeline("shop", [module, staging, mart])
    assert streampro.plan(pipeline, target).unread_files == ("odd.txt",)


def test_files_of_one_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    target = apart(tmp_path, folder)
    streampro.run(SHOP, target)
    (folder / "sales.jsonl").write_text(SALES + LATER)
    assert "sales.jsonl of raw_sales changed" in streampro.plan(SHOP, target).lost_files


def test_no_raw_folder_is_needed_where_each_source_has_its_own(
    folder: Path, tmp_path: Path
) -> None:
    shops = write_raw(tmp_path / "shops")
    sources = {"raw_sales": folder, "raw_shops": shops}
    target = Target(name="t", sources=sources, warehouse=tmp_path / "warehouse")
    streampro.run(SHOP, target)
    only = target.model_copy(update={"sources": {"raw_shops": shops}})
    for asked in (streampro.run, streampro.plan, streampro.check_incremental):
        with pytest.raises(ConfigError, match="no raw folder"):
            asked(SHOP, only)


def test_a_source_that_the_pipeline_does_not_have_is_refused(folder: Path, tmp_path: Path) -> None:
    target = apart(tmp_path, folder)
    wrong = target.model_copy(update={"sources": {"raw_sale": folder}})
    with pytest.raises(ConfigError, match=r"'raw_sale'.*Did you mean 'raw_sales'"):
        streampro.run(SHOP, wrong)
    gone = target.model_copy(update={"sources": {"raw_sales": tmp_path / "nowhere"}})
    with pytest.raises(SourceError, match=r"'raw_sales': the raw folder .*nowhere does not exist"):
        streampro.run(SHOP, gone)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("warehouse/below", "is in the warehouse"),
        ("hdfs://host/sales", "DuckDB reaches local folders and"),
        ("s3:/lake/sales", "an address begins with s3://"),
        ("", "a folder must have a name"),
    ],
)
def test_a_place_that_cannot_be_is_refused_where_it_is_declared(place: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Target(name="t", sources={"raw_sales": place})


def test_files_say_places_by_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_SALES", "s3://bucket-of-no-other-test")
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "nightly.toml").write_text(
        'raw = "raw"\n[sources]\nraw_sales = "${OF_SALES}/sales"\nraw_shops = "~/shops"\n'
    )
    target = streampro.load_target("nightly", configs)
    assert target.raw_of("raw_sales") == Remote("s3://bucket-of-no-other-test/sales")
    assert target.raw_of("raw_shops") == Path.home() / "shops"
    assert target.raw_of("another") == Path("raw")
