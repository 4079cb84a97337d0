"""A run that is killed at any point leaves the last one readable, and the next one completes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from stat import S_IFDIR
from typing import Any

import pytest
from killed import killed
from pipelines.shop import SALES, SHOP, TABLES, write_raw
from published import contents
from warm_streampro import Commands

from streampro.config import Target
from streampro.errors import ConfigError
from streampro.execution.runner import run
from streampro.warehouse import ledger

pytestmark = pytest.mark.slow

MORE = SALES + '{"shop": "b", "day": "2024-05-09", "amount": "100"}\n{"shop": "z"}\n'

BEFORE_THE_RUN_IS_PUBLISHED = [
    ("after stage", 3),
    ("after move", 1),
    ("after publish", 4),
    ("before ledger", 1),
    *(
        pytest.param(*step, marks=pytest.mark.thorough)
        for step in (("before publish", 1), ("after publish", 1), ("after move", 4))
    ),
]


def stray_files(warehouse: Path) -> Iterator[str]:
    """Yield data files that no version of their table names, and all that is staged."""
    for folder in [warehouse / Path(*table.split(".")) for table in TABLES]:
        named = {
            json.loads(line)["add"]["path"]
            for entry in (folder / "_delta_log").glob("*.json")
            for line in entry.read_text(encoding="utf-8").splitlines()
            if "add" in json.loads(line)
        }
        yield from (path.name for path in folder.rglob("*.parquet") if path.name not in named)
    yield from (path.name for path in (warehouse / "_streampro" / "staging").glob("*"))


@pytest.fixture
def empty(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("first")
    raw = write_raw(folder / "raw")
    target = Target(name="test", raw=raw, warehouse=folder / "warehouse")
    run(SHOP, target)
    return target


@pytest.fixture
def target(empty: Target, first_run: Target) -> Target:
    """A warehouse after one run."""
    shutil.copytree(first_run.warehouse, empty.warehouse)
    return empty


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What a warehouse holds that saw the newer raw files only."""
    folder = tmp_path_factory.mktemp("fresh")
    raw = write_raw(folder / "raw", MORE)
    target = Target(name="fresh", raw=raw, warehouse=folder / "warehouse")
    run(SHOP, target)
    return contents(target)


@pytest.mark.parametrize(("point", "number"), BEFORE_THE_RUN_IS_PUBLISHED)
def test_killed_run_was_never_there(
    point: str,
    number: int,
    target: Target,
    fresh: dict[str, list[dict[str, Any]]],
    commands: Commands,
) -> None:
    old = contents(target)
    assert target.raw is not None
    write_raw(target.raw, MORE)
    killed(commands, target, point, number, "full")
    assert contents(target) == old
    assert len(ledger.runs(target.warehouse)) == 1
    assert run(SHOP, target).run_id == 2
    assert contents(target) == fresh
    assert list(stray_files(target.warehouse)) == []
    assert contents(target, run_id=1) == old


def test_run_that_is_killed_after_its_row_was_there(
    target: Target, fresh: dict[str, list[dict[str, Any]]], commands: Commands
) -> None:
    assert target.raw is not None
    write_raw(target.raw, MORE)
    killed(commands, target, "after ledger", 1, "full")
    assert contents(target) == fresh
    assert len(ledger.runs(target.warehouse)) == 2
    assert run(SHOP, target).run_id == 2
    assert contents(target) == fresh
    assert list(stray_files(target.warehouse)) == []


@pytest.mark.parametrize(
    ("point", "number"),
    [pytest.param("after move", 1, marks=pytest.mark.thorough), ("after publish", 2)],
)
def test_first_run_that_is_killed_leaves_nothing_published(
    point: str,
    number: int,
    empty: Target,
    fresh: dict[str, list[dict[str, Any]]],
    commands: Commands,
) -> None:
    assert empty.raw is not None
    write_raw(empty.raw, MORE)
    killed(commands, empty, point, number, "full")
    with pytest.raises(ConfigError, match="no published run yet"):
        contents(empty)
    assert run(SHOP, empty).run_id == 1
    assert contents(empty) == fresh
    assert list(stray_files(empty.warehouse)) == []


@pytest.mark.parametrize("command", ["plan", "show", "check incremental", "prove"])
def test_raw_lines_of_a_command_that_is_killed_are_private_and_gone_with_the_next_one(
    command: str, target: Target, commands: Commands
) -> None:
    old = contents(target)
    killed(commands, target, "after stage", 2, command)
    left = target.warehouse / "_streampro" / "scratch"
    [folder] = left.iterdir()
    assert {oct(each.stat().st_mode) for each in (left, folder)} == {oct(S_IFDIR | 0o700)}
    assert [*folder.rglob("*.parquet")] != []
    assert contents(target) == old
    assert not left.exists()


def test_runs_that_are_killed_again_and_again_leave_nothing_behind(
    target: Target, fresh: dict[str, list[dict[str, Any]]], commands: Commands
) -> None:
    old = contents(target)
    assert target.raw is not None
    write_raw(target.raw, MORE)
    for point, number in [("after publish", 3), ("after move", 2)]:
        killed(commands, target, point, number, "full")
        assert contents(target) == old
    run(SHOP, target)
    assert contents(target) == fresh
    assert list(stray_files(target.warehouse)) == []
