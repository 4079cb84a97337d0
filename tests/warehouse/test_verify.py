"""What is not as it was written is found, whatever was done to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from copied import copied
from pipelines.shop import SHOP, add_sale, mart, write_raw

import streampro
from streampro.cli.commands import cli
from streampro.config import Target
from streampro.errors import ConfigError, DataError, WarehouseError
from streampro.location import Remote
from streampro.storage import data_files, integrity, merge
from streampro.storage.place import Disk, place_of
from streampro.testing import Workbench
from streampro.warehouse.snapshot import published_run

pytestmark = pytest.mark.slow

Damaging = Callable[[Path], None]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture(scope="session")  # tests of other modules may run between those of this one
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("first")
    made = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    streampro.run(SHOP, made)
    return made


@pytest.fixture
def ran(first_run: Target, tmp_path: Path) -> Target:
    """A warehouse after one run."""
    return copied(first_run, tmp_path)


def published_files(target: Target, table: str = "*/*") -> list[Path]:
    folder = Path(str(target.warehouse))
    return sorted(
        path for path in folder.glob(f"{table}/*.parquet") if "_streampro" not in path.parts
    )


def found(target: Target, run_id: int | None = None) -> list[tuple[int, str, str]]:
    damages = streampro.verify(SHOP, target, run_id=run_id).damages
    return [(each.run_id, str(each.table), each.what) for each in damages]


@pytest.mark.thorough("spark")
def test_what_engines_publish_is_as_it_was_written(engine: Workbench, target: Target) -> None:
    engine.run(SHOP, target)
    add_sale(target, 1)
    engine.run(SHOP, target)
    verified = streampro.verify(SHOP, target)
    assert (verified.runs, verified.incomplete, verified.damages) == ((2, 1), (), ())
    files = published_files(target)
    assert all(data_files.is_as_written(path) for path in files)
    lists = len([*(Path(str(target.warehouse)) / "_streampro" / "files").glob("*.parquet")])
    assert verified.files == len(files) + lists


def test_any_flipped_bit_is_found(ran: Target) -> None:
    random = Random(7)
    for path in published_files(ran) * 3:
        whole = path.read_bytes()
        spoiled, place = bytearray(whole), random.randrange(len(whole))
        spoiled[place] ^= 1 << random.randrange(8)
        path.write_bytes(spoiled)
        [(run_id, table, what)] = found(ran)
        assert (run_id, table) == (1, ".".join(path.parent.parts[-2:]))
        assert what == f"{path.name}: it does not hold what was written: its digest differs"
        path.write_bytes(whole)
    assert found(ran) == []


def test_whoever_fails_on_an_altered_file_names_it(ran: Target, tmp_path: Path) -> None:
    [path] = published_files(ran, "mart/revenue")
    path.write_bytes(b"PAR1" + bytes(path.stat().st_size - 8) + b"PAR1")
    said = rf"mart/revenue: {path.name} does not hold what was written.*--full-refresh"
    for ask in (
        lambda: streampro.sql("select * from mart.revenue", ran),
        lambda: streampro.export("mart.revenue", ran, to=str(tmp_path / "revenue.csv")),
        lambda: streampro.explain(SHOP, ran, "revenue"),
        lambda: streampro.test(SHOP, ran),
    ):
        with pytest.raises(WarehouseError, match=said):
            ask()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_rows(path: Path) -> None:
    """Write another good file in its place."""
    pq.write_table(pq.read_table(path).slice(1), path)


@pytest.mark.parametrize(
    ("damaging", "what"),
    [
        (Path.unlink, "it is missing"),
        (truncate, "bytes, but"),
        (empty, "it has 0 bytes, but"),
        (replace_rows, "bytes, but"),
    ],
)
def test_lost_and_changed_files_are_found(ran: Target, damaging: Damaging, what: str) -> None:
    [path] = published_files(ran, "mart/revenue")
    damaging(path)
    [(_, table, said)] = found(ran)
    assert table == "mart.revenue"
    assert said.startswith(path.name)
    assert what in said


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('\\"numRecords\\": ', '\\"numRecords\\": 1', "rows, but its log says"),
        ('\\"numRecords\\": ', '\\"numRecords\\": x', "rows, but its log says None"),
        (
            '\\"maxValues\\": {\\"amount\\": ',
            '\\"maxValues\\": {\\"amount\\": 1',
            "another maximum",
        ),
        ('"path":"part', '"path":"qart', "it is missing"),
        ('"size":', '"size":1', "bytes, but"),
    ],
)
def test_changed_log_is_found(ran: Target, old: str, new: str, what: str) -> None:
    entry = Path(str(ran.warehouse)) / "mart" / "revenue" / "_delta_log" / f"{0:020}.json"
    text = entry.read_text()
    assert old in text
    entry.write_text(text.replace(old, new, 1))
    told = found(ran)
    assert {table for _, table, _ in told} == {"mart.revenue"}
    assert what in " ".join(said for _, _, said in told)


def test_broken_key_is_found_where_every_file_is_whole(target: Target) -> None:
    class Unkeyed(mart.Revenue):
        class Config:
            unique = ["shop", "sales"]

    def twice(sales: ir.Table, shops: ir.Table) -> ir.Table:
        rows = mart.revenue.transform(sales, shops)
        return rows.union(rows.mutate(sales=rows.sales + 1))

    loose = SHOP.without_limits()
    made = replace(mart.revenue, contract=Unkeyed, transform=twice, incremental_by=None)
    loose.models = {**SHOP.models, "revenue": made}
    streampro.run(loose, target)
    assert found(target) == [(1, "mart.revenue", "key (shop) is repeated, in 2 rows")]


def test_runs_that_were_cleaned_are_told_and_are_no_damage(ran: Target) -> None:
    add_sale(ran, 1)
    streampro.run(SHOP, ran)
    streampro.clean(ran, keep=1, dry_run=False)
    verified = streampro.verify(SHOP, ran)
    assert (verified.runs, verified.incomplete, verified.damages) == ((2,), (1,), ())
    assert {what.rpartition(": ")[2] for _, _, what in found(ran, run_id=1)} == {"it is missing"}


def test_files_from_before_there_were_digests_are_read(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_files, "with_digest", lambda name, _: name)
    streampro.run(SHOP, target)
    assert found(target) == []
    [path] = published_files(target, "mart/revenue")
    spoiled = bytearray(path.read_bytes())
    spoiled[5:9] = b"\xff" * 4
    path.write_bytes(spoiled)
    [(_, _, what)] = found(target)
    assert "it cannot be read" in what


REWRITES: dict[str, tuple[str, Callable[[Target], object]]] = {
    "new rows of a source": ("staging/sales", lambda target: streampro.run(SHOP, target)),
    "new rows of a key": ("mart/revenue", lambda target: streampro.run(SHOP, target)),
    "rows to forget": (
        "staging/sales",
        lambda target: streampro.forget(target, {"shop": "a"}, pipeline=SHOP),
    ),
    "many small files": (
        "staging/sales",
        lambda target: merge.merged(
            place_of(target.warehouse) / "staging/sales",
            0,
            pa.schema([]),
            place_of(target.warehouse) / "new",
            "token",
        ),
    ),
}
"""What writes rows of a table anew, and which table."""


@pytest.mark.parametrize("rewrite", REWRITES)
def test_rows_of_an_altered_file_are_never_written_anew(
    rewrite: str, ran: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their new file would have a digest that is right, and nobody would ever know."""
    table, write = REWRITES[rewrite]
    monkeypatch.setattr(merge, "MOST_SMALL_FILES", 1)
    add_sale(ran, 2)
    [path] = published_files(ran, table)
    whole = path.read_bytes()
    path.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    with pytest.raises(WarehouseError, match=f"{path.name} does not hold what was written"):
        write(ran)
    assert published_run(ran).run_id == 1
    assert published_files(ran, table) == [path]
    streampro.run(SHOP, ran, full_refresh=True)
    assert found(ran, 2) == []


def test_forgetting_names_files_anew_by_what_they_hold(ran: Target) -> None:
    streampro.forget(ran, {"shop": "a"}, pipeline=SHOP)
    assert found(ran) == []
    assert all(data_files.is_as_written(path) for path in published_files(ran))


def test_command_exits_with_1_and_says_what_mends(ran: Target, tmp_path: Path) -> None:
    def asked(*options: str) -> Result:
        place = ("--warehouse", str(ran.warehouse), "--pipeline", "pipelines.shop:SHOP")
        return CliRunner().invoke(cli, ["verify", *place, *options])

    assert asked().stdout.endswith(": all as written.\n")
    streampro.run(SHOP, ran, full_refresh=True)
    for version, advice in ((0, "streampro clean"), (1, "--full-refresh")):
        [file] = integrity.logged_files(
            Disk(Path(str(ran.warehouse)) / "mart" / "revenue"), version
        )
        truncate(file.place.path)
        told = asked()
        assert file.name in told.stdout
        assert isinstance(told.exception, DataError)
        assert advice in str(told.exception)
    assert len(json.loads(asked("--json").stdout)["damages"]) == 2


def test_what_only_an_engine_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match="on disks and in object stores; hdfs://a/b is neither"):
        streampro.verify(SHOP, Target(name="far", engine="spark", warehouse=Remote("hdfs://a/b")))
