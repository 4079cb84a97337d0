"""Temporary folders are private, stand where a warehouse is, and stay while their process lives."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from pipelines.shop import SHOP, write_raw

from streampro.cli.options import open_target
from streampro.config import Target
from streampro.execution.runner import plan, run
from streampro.warehouse.folders import scratch, sweep


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders lie that no warehouse has."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder / f"streampro-{os.geteuid()}"


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    """Something that looks like one."""
    folder = tmp_path / "warehouse"
    (folder / "_streampro").mkdir(parents=True)
    return folder


def dead(base: Path, name: str = "dead") -> Path:
    """A folder whose process is no more."""
    folder = base / name
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "lines.parquet").write_text("raw")
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_is_private_below_the_warehouse_and_leaves_nothing(warehouse: Path) -> None:
    base = warehouse / "_streampro" / "scratch"
    with scratch(warehouse) as folder:
        assert folder.parent == base
        assert (mode(base), mode(folder)) == (0o700, 0o700)
    assert [*(warehouse / "_streampro").iterdir()] == []


def test_folder_is_elsewhere_where_no_warehouse_can_be_written(
    warehouse: Path, elsewhere: Path
) -> None:
    (warehouse / "_streampro" / "scratch").touch()
    for place in (warehouse, warehouse / "new"):
        with scratch(place) as folder:
            assert folder.parent == elsewhere
            assert (mode(elsewhere), mode(folder)) == (0o700, 0o700)
        assert not elsewhere.exists()


@pytest.mark.slow
def test_folder_of_a_living_process_stays(warehouse: Path) -> None:
    with scratch(warehouse) as one, scratch(warehouse) as other:
        gone = dead(one.parent)
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from streampro.warehouse.folders import *; "
             "from pathlib import Path; sweep(Path(sys.argv[1]))", warehouse],
            check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert (one.is_dir(), other.is_dir(), gone.exists()) == (True, True, False)


def test_folder_that_was_killed_before_its_lock_was_there_is_removed(
    warehouse: Path, elsewhere: Path
) -> None:
    folders = [dead(warehouse / "_streampro" / "scratch"), dead(elsewhere, "new")]
    for folder in folders:
        (folder / "lock").unlink()
    sweep(warehouse)
    assert not any(folder.exists() for folder in folders)


@pytest.mark.slow
def test_whatever_starts_on_a_warehouse_sweeps_it(tmp_path: Path) -> None:
    raw, warehouse = write_raw(tmp_path / "raw"), tmp_path / "warehouse"
    target = Target(name="test", raw=raw, warehouse=warehouse)
    for start in (
        lambda: run(SHOP, target),
        lambda: plan(SHOP, target),
        lambda: open_target("local", warehouse=warehouse),
    ):
        folder = dead(warehouse / "_streampro" / "scratch")
        start()
        assert not folder.exists()
