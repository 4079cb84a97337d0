"""What a pipeline exports after a run, and `streampro export`."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pipelines.shop import TABLES, add_sale, mart, raw, staging, write_raw

import streampro
from streampro import Export
from streampro.cli import cli
from streampro.config import Target
from streampro.errors import ConfigError, ExportError, PipelineError
from streampro.exports.record import exports
from streampro.location import Remote
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def shop(*to: str, table: str = "mart.revenue") -> Pipeline:
    return Pipeline("shop", [raw, staging, mart], exports=[Export(table, each) for each in to])


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def done(target: Target) -> list[tuple[int, str, int]]:
    return [(each.run_id, Path(each.to).name, each.rows) for each in exports(target.warehouse)]


@pytest.mark.slow
def test_what_a_run_changed_is_exported(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    pipeline = shop("${OUT}/revenue.csv")
    streampro.run(pipeline, target)
    path = tmp_path / "out" / "revenue.csv"
    first = read(path)
    assert len(first) == 2
    assert done(target) == [(1, "revenue.csv", 2)]
    assert exports(target.warehouse)[0].to == "${OUT}/revenue.csv"
    streampro.run(pipeline, target)  # nothing is new
    assert done(target) == [(1, "revenue.csv", 2)]
    path.unlink()
    streampro.run(pipeline, target)
    assert read(path) == first
    add_sale(target, 2)
    streampro.run(pipeline, target)
    assert done(target) == [(1, "revenue.csv", 2)] * 2 + [(2, "revenue.csv", 2)]
    assert read(path) != first
    told = CliRunner().invoke(cli, ["history", "--json", "--warehouse", str(target.warehouse)])
    newest, oldest = json.loads(told.stdout)
    assert [each["run_id"] for each in newest["exports"]] == [2]
    assert [each["to"] for each in oldest["exports"]] == ["${OUT}/revenue.csv"] * 2


@pytest.mark.slow
def test_export_that_fails_is_tried_again_alone(target: Target, tmp_path: Path) -> None:
    wall = tmp_path / "wall"
    wall.write_text("no folder")
    pipeline = shop(str(tmp_path / "one.csv"), str(wall / "two.csv"), str(tmp_path / "three.json"))
    with pytest.raises(ExportError) as caught:
        streampro.run(pipeline, target)
    assert str(caught.value) == (
        "run 1 is published, but 1 of 3 exports failed, which the next run tries again: "
        f"mart.revenue to {wall}/two.csv: {wall}/two.csv cannot be written: File exists"
    )
    assert (caught.value.exit_code, caught.value.run.run_id) == (3, 1)
    assert done(target) == [(1, "one.csv", 2), (1, "three.json", 2)]
    wall.unlink()
    assert streampro.run(pipeline, target).run_id == 1
    assert done(target)[2:] == [(1, "two.csv", 2)]


@pytest.mark.slow
def test_command_writes_a_run_and_says_so(target: Target, tmp_path: Path) -> None:
    streampro.run(shop(), target)
    add_sale(target, 2)
    streampro.run(shop(), target)
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    of = ["--warehouse", str(target.warehouse)]
    for more in (["--to", str(old), "--run", "1"], ["--to", str(new)]):
        told = CliRunner().invoke(cli, ["export", "mart.revenue", *more, *of])
        assert not told.exception, told.output
    assert told.stdout == f"2 rows of mart.revenue as of run 2: {new}\n"
    assert read(old) != read(new)
    assert done(target) == [(1, "old.csv", 2), (2, "new.csv", 2)]
    wrong = {
        ("mart.revenu", str(new)): "run 2 has no table 'mart.revenu'. Did you mean 'mart.revenue'?",
        ("revenue", str(new)): "run 2 has no table 'revenue'. Did you mean",
        ("mart.revenue", "${NOT_SET_AT_ALL}.csv"): "uses ${NOT_SET_AT_ALL}, which is not set",
        ("mart.revenue", "rows.txt"): "to is 'rows.txt', but must be a file on this machine",
        ("mart.revenue", "postgres://a:b1234@c/d"): "'to' holds a password",
    }
    for (table, to), said in wrong.items():
        told = CliRunner().invoke(cli, ["export", table, "--to", to, *of])
        assert isinstance(told.exception, ConfigError)
        assert said in str(told.exception)
        assert "b1234" not in str(told.exception)


def test_export_of_no_table_is_refused() -> None:
    with pytest.raises(PipelineError) as caught:
        shop("revenue.csv", table="mart.revenu")
    assert str(caught.value) == (
        "pipeline 'shop' exports 'mart.revenu', which it does not have. Did you mean "
        f"'mart.revenue'? Tables: {', '.join(TABLES)}."
    )
    with pytest.raises(PipelineError, match=r"exports twice to 'revenue\.csv'"):
        shop("revenue.csv", "revenue.csv")


@pytest.mark.slow
def test_exports_that_runs_would_read_or_lose_are_refused_first(target: Target) -> None:
    raw_folder, warehouse = Path(str(target.raw)), Path(str(target.warehouse))
    for to, told in (
        ((str(raw_folder / "a.csv"),), "is in the raw folder"),
        ((str(warehouse / "mart" / "a.csv"),), "is in the warehouse"),
        (("a.csv", "./a.csv"), "are one file"),
    ):
        with pytest.raises(ConfigError, match=told):
            streampro.run(shop(*to), target)
        assert not warehouse.exists()
    streampro.run(shop(), target)
    with pytest.raises(ConfigError, match="is in the raw folder"):
        streampro.export("mart.revenue", target, str(raw_folder / "b.csv"))


def test_exports_of_a_store_are_refused_before_it_is_written(target: Target) -> None:
    there = target.model_copy(update={"engine": "spark", "warehouse": Remote("hdfs://host/w")})
    with pytest.raises(ConfigError, match="has exports, which are written from warehouses on"):
        streampro.run(shop("revenue.csv"), there)


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_warehouse_of_each_engine_is_exported_and_tests_export_nothing(
    engine: Workbench, tmp_path: Path
) -> None:
    own = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / engine.name)
    declared = tmp_path / "declared.csv"
    engine.run(shop(str(declared)), own)
    assert not declared.exists()
    for table in TABLES:
        streampro.export(table, own, to=str(tmp_path / f"{table}.jsonl"))
    assert [*map(json.loads, (tmp_path / "mart.revenue.jsonl").read_text().splitlines())] == [
        {"shop": "a", "city": "Oslo", "sales": 2, "amount": 15},
        {"shop": "b", "city": "Rome", "sales": 1, "amount": 7},
    ]
