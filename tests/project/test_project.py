"""A new project runs and is tested at once."""

import json
import os
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streampro.cli import cli
from streampro.errors import ConfigError
from streampro.project import create, requirement_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def make(what: str, project: Path) -> str:
    """Return what `make` prints, in the environment of this test instead of one of its own."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    given = {"PYTHONPATH": paths, "PYTEST_ADDOPTS": "--engines duckdb"}
    done = subprocess.run(
        ["make", what, f"BIN={Path(sys.executable).parent}"],
        cwd=project,
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_new_project_runs_beside_files_with_names_of_libraries_and_its_tests_pass(
    tmp_path: Path,
) -> None:
    project = create("sensors", tmp_path)
    names = ("duckdb", "rich", "pandas", "deltalake", "json", "click", "pydantic")
    hiding = [project / f"{name}.py" for name in names]
    for path in hiding:
        path.write_text("raise RuntimeError('not the library')")
    told = make("run", project)
    for path in hiding:
        path.unlink()
    for reason in ("bad_celsius 1,", "bad_measured_at 1,", "sensor_is_not_broken 1"):
        assert reason in told
    assert "cellar  2026-01-05         2     8.5      9.0" in told
    told = make("test", project)
    assert "sensors: 2 models, 3 tables, all in order." in told
    assert "3 passed in" in told
    assert not (project / ".venv").exists()
    assert ".venv/" in (project / ".gitignore").read_text().split()


def test_command_says_in_three_lines_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(cli, ["init", "shop"], catch_exceptions=False).stdout.splitlines()
    assert [line.partition("  ")[0] for line in told] == ["cd shop", "make run", "make test"]
    assert (tmp_path / "shop" / "Makefile").is_file()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("My-Shop", "no name"),
        ("9lives", "no name"),
        ("_shop", "no name"),
        ("shop_", "no name"),
        ("über", "no name"),
        ("../shop", "no name"),
        ("", "no name"),
        ("class", "no name"),
        ("tests", "folder of every project"),
        ("warehouse", "folder of every project"),
        ("json", "package already"),
        ("streampro", "package already"),
    ],
)
def test_unfit_name_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{why}.* such as 'my_sensors'"):
        create(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    (project / "mine").touch()
    with pytest.raises(ConfigError, match="shop is not empty"):
        create("shop", tmp_path)
    assert [path.name for path in project.iterdir()] == ["mine"]
    (project / "mine").unlink()
    assert (create("shop", tmp_path) / "shop" / "pipeline.py").is_file()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "streampro==1.2"),
        ({"url": "file:///a/b", "dir_info": {"editable": True}}, "streampro @ file:///a/b"),
        ({"url": "file:///a/b-1.whl", "archive_info": {}}, "streampro @ file:///a/b-1.whl"),
        (
            {"url": "https://a/b.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "streampro @ git+https://a/b.git@c0ffee",
        ),
    ],
)
def test_project_asks_for_the_streampro_that_made_it(
    origin: dict[str, Any] | None, expected: str, tmp_path: Path
) -> None:
    folder = tmp_path / "streampro-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: streampro\nVersion: 1.2\n")
    if origin:
        (folder / "direct_url.json").write_text(json.dumps(origin))
    assert requirement_of(Distribution.at(folder)) == expected
