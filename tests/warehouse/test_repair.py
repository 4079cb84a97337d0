"""Whatever a warehouse loses, a command brings it back to where runs go on; none are mixed."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner
from copied import copied
from hypothesis import settings
from killed import killed
from pipelines.shop import SHOP, add_sale, write_raw
from published import Contents, contents
from warm_streampro import Commands

import streampro
from streampro.cli.commands import cli
from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.location import Remote

pytestmark = pytest.mark.slow

OWN = "_streampro"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A warehouse of three runs, each with one more file."""
    folder = tmp_path_factory.mktemp("built")
    made = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    for number in range(3):
        add_sale(made, number)
        streampro.run(SHOP, made)
    return made


@pytest.fixture
def target(built: Target, tmp_path: Path) -> Target:
    return copied(built, tmp_path)


@pytest.fixture(scope="module")
def before(built: Target) -> dict[int, Contents]:
    """What each of the three runs published."""
    return {run_id: contents(built, run_id) for run_id in (1, 2, 3)}


@pytest.fixture(scope="module")
def fresh(built: Target, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What a warehouse without a past has after one more file."""
    target = copied(built, tmp_path_factory.mktemp("fresh") / "copy")
    add_sale(target, 7)
    other = target.model_copy(update={"warehouse": folder(target).with_name("fresh")})
    streampro.run(SHOP, other)
    return contents(other)


def folder(target: Target, *names: str) -> Path:
    return Path(str(target.warehouse)).joinpath(*names)


def log(target: Target, *names: str) -> list[Path]:
    return sorted(folder(target, *names, "_delta_log").glob("*.json"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def goes_on(target: Target, fresh: Contents) -> None:
    """A run after one more file has what a fresh warehouse has."""
    add_sale(target, 7)
    streampro.run(SHOP, target)
    assert contents(target) == fresh


def test_warehouse_in_order_stays_as_it_is(target: Target) -> None:
    before = {path: path.read_bytes() for path in folder(target).rglob("*") if path.is_file()}
    done = streampro.repair(SHOP, target)
    assert (done.runs, done.rebuilt, done.set_aside) == ((1, 2, 3), (), ())
    after = {path: path.read_bytes() for path in folder(target).rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("number", "damaging"),
    [(0, cut), (1, Path.unlink), pytest.param(2, cut, marks=pytest.mark.thorough)],
)
def test_lost_file_of_the_ledger_loses_no_data(
    number: int,
    damaging: Callable[[Path], None],
    target: Target,
    before: dict[int, Contents],
    fresh: Contents,
) -> None:
    names = [
        action["add"]["path"]
        for line in log(target, OWN, "runs")[number].read_text().splitlines()
        if "add" in (action := json.loads(line))
    ]
    damaging(folder(target, OWN, "runs", *names))
    with pytest.raises(WarehouseError, match="streampro repair"):
        streampro.runs(target)
    done = streampro.repair(SHOP, target)
    assert (done.runs, done.rebuilt) == ((1, 2, 3), (number + 1,))
    assert {run_id: contents(target, run_id) for run_id in (1, 2, 3)} == before
    assert [run.run_id for run in streampro.runs(target)] == [1, 2, 3]
    goes_on(target, fresh)


@pytest.mark.parametrize(
    ("number", "damaging"),
    [pytest.param(0, cut, marks=pytest.mark.thorough), (0, Path.unlink), (2, cut)],
)
def test_lost_entry_of_the_ledger_s_log_loses_nothing(
    number: int,
    damaging: Callable[[Path], None],
    target: Target,
    before: dict[int, Contents],
    fresh: Contents,
) -> None:
    runs = streampro.runs(target)
    damaging(log(target, OWN, "runs")[number])
    streampro.repair(SHOP, target)
    assert streampro.runs(target) == runs
    assert {run_id: contents(target, run_id) for run_id in (1, 2, 3)} == before
    goes_on(target, fresh)


def test_run_whose_entry_is_gone_was_never_published(
    target: Target, before: dict[int, Contents], fresh: Contents
) -> None:
    log(target, OWN, "runs")[-1].unlink()
    assert contents(target) == before[2]
    goes_on(target, fresh)
    assert [run.run_id for run in streampro.runs(target)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("before write", 1),
        ("after write", 1),
        ("before aside", 1),
        ("after aside", 1),
        ("before write", 2),
        ("after write", 2),
    ],
)
def test_repair_that_is_killed_is_no_empty_warehouse_and_can_be_called_again(
    point: str,
    number: int,
    target: Target,
    before: dict[int, Contents],
    fresh: Contents,
    commands: Commands,
) -> None:
    log(target, OWN, "runs")[0].unlink()
    killed(commands, target, point, number, "repair")
    if (point, number) != ("after write", 2):
        with pytest.raises(WarehouseError, match="streampro repair"):
            streampro.run(SHOP, target)
        with pytest.raises(WarehouseError, match="streampro repair"):
            streampro.runs(target)
    assert streampro.repair(SHOP, target).runs == (1, 2, 3)
    assert {run_id: contents(target, run_id) for run_id in (1, 2, 3)} == before
    assert streampro.verify(SHOP, target).damages == ()
    goes_on(target, fresh)


def test_lost_ledger_is_begun_anew(target: Target, fresh: Contents) -> None:
    for path in (*log(target, OWN, "runs"), *folder(target, OWN, "runs").glob("*.parquet")):
        cut(path)
    assert streampro.repair(SHOP, target).runs == ()
    goes_on(target, fresh)


def test_lost_list_of_raw_files_is_made_anew(
    target: Target, before: dict[int, Contents], fresh: Contents
) -> None:
    for path in folder(target, OWN, "files").glob("*.parquet"):
        cut(path)
    with pytest.raises(WarehouseError):
        streampro.run(SHOP, target)
    assert streampro.repair(SHOP, target).set_aside == (
        "_streampro/damaged/_streampro/runs-1",
        "_streampro/damaged/_streampro/files-1",
    )
    assert {run_id: contents(target, run_id) for run_id in (1, 2, 3)} == before
    goes_on(target, fresh)


@pytest.mark.parametrize("number", [0, 2])
def test_lost_entry_of_a_table_s_log_is_mended_and_mixes_no_runs(
    number: int, target: Target, before: dict[int, Contents], fresh: Contents
) -> None:
    log(target, "mart", "revenue")[number].unlink()
    streampro.repair(SHOP, target)
    streampro.run(SHOP, target, full_refresh=True)
    goes_on(target, fresh)
    for run_id, rows in before.items():
        with suppress(WarehouseError):
            assert contents(target, run_id) == rows


def test_version_written_again_under_its_number_is_not_taken_for_the_old_one(
    target: Target,
) -> None:
    log(target, "mart", "revenue")[-1].unlink()
    done = streampro.run(SHOP, target, full_refresh=True)
    third = next(run for run in streampro.runs(target) if run.run_id == 3)
    revenue = SHOP.models["revenue"].table
    assert done.version_of(revenue) == third.version_of(revenue)
    with pytest.raises(WarehouseError, match="run 3 was cleaned"):
        contents(target, 3)
    verified = streampro.verify(SHOP, target)
    assert (verified.incomplete, verified.damages) == ((3,), ())


def mend(target: Target, command: str) -> None:
    """Do what a message says, and what that says."""
    if command == "streampro repair":
        if streampro.repair(SHOP, target).set_aside:
            streampro.run(SHOP, target, full_refresh=True)
        return
    try:
        streampro.run(SHOP, target, full_refresh=True)
    except WarehouseError as error:
        assert "streampro repair" in str(error)  # noqa: PT017
        mend(target, "streampro repair")


def test_any_damage_is_mended_by_what_the_message_says(target: Target) -> None:
    """Files of a warehouse are cut, emptied, lost or changed, one after the other."""
    random, last = Random(3), contents(target)
    is_thorough = settings.default is settings.get_profile("thorough")
    found = (path for path in folder(target).rglob("*") if path.is_file())
    files = sorted(found, key=lambda path: (path.parent, path.suffix, path.stat().st_mtime_ns))
    chosen = random.sample([path for path in files if path.name != "lock"], 14)
    for path in chosen if is_thorough else chosen[:5]:
        if not path.is_file():
            continue
        [cut, Path.unlink, lambda path: path.write_bytes(b"")][random.randrange(3)](path)
        for _ in range(3):
            try:
                assert contents(target) == last
                streampro.run(SHOP, target)
                break
            except WarehouseError as error:
                for command in re.findall(r"streampro repair|run --full-refresh", str(error)):
                    mend(target, command)
        assert contents(target) == last


def test_command_tells_what_it_did_and_what_comes_next(target: Target) -> None:
    place = ("--warehouse", str(target.warehouse), "--pipeline", "pipelines.shop:SHOP")
    said = CliRunner().invoke(cli, ["repair", *place]).stdout
    assert said == "Ledger, lists of raw files and logs can be read: 3 runs.\n"
    cut(log(target, "mart", "revenue")[0])
    said = CliRunner().invoke(cli, ["repair", *place]).stdout
    assert "set aside: _streampro/damaged/mart/revenue-1\n" in said
    assert "streampro run --full-refresh" in said
    done = json.loads(CliRunner().invoke(cli, ["repair", *place, "--json"]).stdout)
    assert done == {"runs": [1, 2, 3], "rebuilt": [], "set_aside": [], "lost": []}


def test_what_only_an_engine_reaches_is_refused() -> None:
    with pytest.raises(ConfigError, match="on disks and in object stores; hdfs://a/b is neither"):
        streampro.repair(SHOP, Target(name="far", engine="spark", warehouse=Remote("hdfs://a/b")))


def test_what_is_no_warehouse_is_refused_and_none_is_made(target: Target, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with pytest.raises(ConfigError, match="nowhere is no warehouse"):
        streampro.repair(SHOP, target.model_copy(update={"warehouse": nowhere}))
    assert not nowhere.exists()
