"""Every place that a user may name works, or is refused before any work."""

import os
import sys
from pathlib import Path

import pytest
from pipelines.shop import SALES, SHOP, mart, staging, write_raw
from pipelines.shop.raw import raw_shops

import streampro
from streampro.cli import main
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.testing import Workbench

ODD = [
    *(
        "a b",
        "a ",
        "a#b",
        "a=b",
        "a'b",
        'a"b',
        "n\u0303 ñ日😀",
        "a+b",
        "a&b",
        "a;b",
        "a,b",
        "{a,b}",
    ),
    *("$a", "_a", ".a", "-a", "!a", "a:b", "a<b>", "a`b", "a@b"),
]
"""What works wherever it stands."""
PATTERNS = ["a%20b", "[ab]", "a*", "a?", "a|b", "a^b", "a\\b", "a\nb", "a\tb", "a\x7fb"]
"""What works in a raw folder only: Delta readers would read another folder."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def published(raw: str, warehouse: str) -> list[str]:
    """Run twice; return the files that rejected lines are from."""
    target = streampro.load_target("local", raw=raw, warehouse=warehouse)
    streampro.run(SHOP, target)
    assert streampro.run(SHOP, target).kind == "unchanged"
    with streampro.published(target) as tables:
        assert len(tables.sql("from mart.revenue")) == 2
        found = tables.sql("select distinct source_file from staging.sales_rejected").to_pylist()
    return [row["source_file"] for row in found]


@pytest.mark.slow
@pytest.mark.parametrize("name", PATTERNS)
def test_raw_folders_and_files_of_any_name_are_read(name: str, folder: Path) -> None:
    raw = write_raw(folder / name)
    (raw / "sales.jsonl").rename(raw / f"sales{name}.jsonl")
    assert published(name, "warehouse") == [f"sales{name}.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "warehouse"), [*zip(ODD, [*ODD[1:], ODD[0]], strict=True)])
def test_raw_folders_files_and_warehouses_of_odd_names_work(
    name: str, warehouse: str, folder: Path
) -> None:
    raw = write_raw(folder / name)
    (raw / "sales.jsonl").rename(raw / f"sales{name}.jsonl")
    assert published(name, warehouse) == [f"sales{name}.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raw", "warehouse"),
    [
        ("raw", "new/warehouse"),
        ("./raw/../raw", "./warehouse/../other"),
        ("~/raw", "~/warehouse"),
        ("link", "linked"),
        ("raw", "raw/warehouse"),
        ("./s3:raw", "./memory:warehouse"),
        ("./file:raw", "./file:warehouse"),
    ],
)
def test_ways_to_name_a_folder(raw: str, warehouse: str, folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "real").mkdir()
    write_raw(folder / "raw")
    write_raw(folder / "home" / "raw")
    write_raw(folder / "s3:raw")
    write_raw(folder / "file:raw")
    (folder / "link").symlink_to("raw")
    (folder / "linked").symlink_to("real")
    assert published(raw, warehouse) == ["sales.jsonl"]
    assert not (folder / "~").exists()


@pytest.mark.parametrize(
    ("raw", "warehouse", "error", "said"),
    [
        *(("raw", name, streampro.ConfigError, "must not contain") for name in PATTERNS),
        ("", "w", streampro.ConfigError, "raw: .*must have a name"),
        ("raw", " ", streampro.ConfigError, "warehouse: .*must have a name"),
        ("a\0b", "w", streampro.ConfigError, "NUL"),
        ("a\udcff", "w", streampro.ConfigError, "UTF-8"),
        ("raw", "a\0b", streampro.ConfigError, "NUL"),
        ("file:///raw", "w", streampro.ConfigError, "not file:///raw: write /raw"),
        ("raw", "file:/w", streampro.ConfigError, "not file:/w: write /w"),
        ("raw", "file:w", streampro.ConfigError, "begins with file://; .* is written ./file:w"),
        ("raw", "memory:w", streampro.ConfigError, "begins with memory://"),
        ("raw", "s3:w", streampro.ConfigError, "begins with s3://"),
        ("http:raw", "w", streampro.ConfigError, "begins with http://"),
        ("raw", Path("s3://w"), streampro.ConfigError, "is given as a text"),
        ("a" * 300, "w", streampro.SourceError, "File name too long"),
        ("raw", "a" * 300, streampro.ConfigError, "no warehouse a+: File name too long"),
        ("file", "w", streampro.SourceError, "is not a folder"),
        ("file/raw", "w", streampro.SourceError, "is not a folder"),
        ("none", "w", streampro.SourceError, "does not exist"),
        ("raw", "file", streampro.ConfigError, "there can be no warehouse file: "),
        ("raw", "file/w", streampro.ConfigError, "there can be no warehouse file/w: "),
        ("raw", "dangling", streampro.ConfigError, "there can be no warehouse dangling: "),
        ("raw", "/sys/warehouse", streampro.WarehouseError, "cannot be written"),
        (".", "w", streampro.SourceError, "has no file"),
        ("raw", "raw", streampro.ConfigError, "raw folder raw is in the warehouse raw, so runs"),
        ("w/raw", "w", streampro.ConfigError, "raw folder w/raw is in the warehouse w, so runs"),
        ("w/../raw", "raw", streampro.ConfigError, "is in the warehouse raw, so runs would read"),
        ("link/more", "raw", streampro.ConfigError, "is in the warehouse raw, so runs would read"),
        ("none", "raw", streampro.ConfigError, "holds other files"),
    ],
)
def test_places_that_cannot_work_are_refused(
    raw: str, warehouse: str | Path, error: type[Exception], said: str, folder: Path
) -> None:
    write_raw(folder / "raw")
    (folder / "w").mkdir()
    write_raw(folder / "w" / "raw") if raw == "w/raw" else None
    (folder / "file").touch()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "link").symlink_to("raw")
    before = {*folder.rglob("*")}
    with pytest.raises(error, match=said):
        streampro.run(SHOP, streampro.load_target("local", raw=raw, warehouse=warehouse))
    assert not [*folder.rglob("*.parquet")]
    if error is streampro.ConfigError:
        assert {*folder.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.thorough("spark")
@pytest.mark.parametrize("fate", ["accepted", "rejected"])
def test_lines_are_told_apart_below_a_folder_that_is_called_as_ours(
    engine: Workbench, folder: Path, fate: str
) -> None:
    place = folder / f"streampro_fate={fate}"
    place.mkdir()
    raw, warehouse = write_raw(place / "raw"), place / "_streampro" / "w"
    done = engine.run(SHOP, streampro.Target(name="odd", raw=raw, warehouse=warehouse))
    [books] = [each for each in done.books if each.source == "raw_sales"]
    rows = {str(each.table): each.rows for each in done.tables}
    assert (books.accepted, books.rejected) == (3, 2)
    assert (rows["staging.sales"], rows["staging.sales_rejected"]) == (3, 2)


def test_asking_a_warehouse_of_such_a_name_is_refused_too(folder: Path) -> None:
    with pytest.raises(streampro.ConfigError, match="must not contain"):
        streampro.sql("select 1", streampro.load_target("local", warehouse="a^b"))


def test_files_of_a_name_that_is_not_utf8_are_refused(folder: Path) -> None:
    raw = write_raw(folder / "raw")
    (raw / "sales.jsonl").rename(raw / os.fsdecode(b"sales\xe9.jsonl"))
    with pytest.raises(
        streampro.SourceError, match=r"'sales\\udce9.jsonl', whose name is not UTF-8"
    ):
        streampro.run(SHOP, streampro.load_target("local", raw="raw", warehouse="w"))


@pytest.mark.slow
def test_a_file_of_such_a_name_that_no_source_reads_is_told(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_raw(folder / "raw")
    (raw / os.fsdecode(b"caf\xe9")).mkdir()
    (raw / os.fsdecode(b"caf\xe9") / os.fsdecode(b"not\xe9.txt")).touch()
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for command in (["run"], ["plan", "--json"], ["check", "incremental"]):
        pipeline = ["--pipeline", "pipelines.shop:SHOP"]
        monkeypatch.setattr(sys, "argv", ["streampro", *command, "--raw", "raw", *pipeline])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        assert (end.value.code, err.count("Traceback")) == (0, 0), err
        if command[0] != "check":
            assert r"caf\udce9/not\udce9.txt" in err
    assert isinstance(out, str)


@pytest.mark.slow
def test_a_warehouse_below_the_raw_folder_is_not_read(folder: Path) -> None:
    everything = Source(
        name="raw_sales",
        files=("**/*.json*",),
        format="json_lines",
        fields={"shop": ("shop",), "day": ("day",), "amount": ("amount",)},
        secret=("card",),
    )
    raw = type(staging)("raw")
    raw.__dict__.update(raw_sales=everything, raw_shops=raw_shops)
    pipeline = Pipeline("shop", [raw, staging, mart])
    write_raw(folder / "raw")
    target = streampro.load_target("local", raw="raw", warehouse="raw/warehouse")
    first = streampro.run(pipeline, target)
    assert [file.path for file in first.inputs] == ["sales.jsonl", "shops.csv"]
    assert streampro.run(pipeline, target).kind == "unchanged"


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_odd_letters_mean_the_same_on_every_engine(engine: Workbench, folder: Path) -> None:
    name = " ".join(each for each in ODD if ":" not in each)
    raw = write_raw(folder / f"raw {name}")
    (raw / "sales.jsonl").rename(raw / f"sales{name}.jsonl")
    (raw / "sales%20[1]?*.jsonl").write_text(SALES)
    target = streampro.Target(name="test", raw=raw, warehouse=folder / f"warehouse {name}")
    engine.run(SHOP, target)
    assert engine.run(SHOP, target).kind == "unchanged"
    files = streampro.sql("select source_file from staging.sales_rejected", target).to_pylist()
    assert {row["source_file"] for row in files} == {f"sales{name}.jsonl", "sales%20[1]?*.jsonl"}
    (raw / "sales:2.jsonl").write_text(SALES)
    if engine.name == "spark":
        with pytest.raises(streampro.SourceError, match=r"'sales:2\.jsonl': Spark reads no such"):
            engine.run(SHOP, target)
    else:
        assert engine.run(SHOP, target).kind == "incremental"
