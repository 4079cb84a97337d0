"""The examples for schedulers, run as far as that goes without Airflow and Dagster: their files
are read with stand-ins for the decorators, and the decorated functions are called.
"""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock
from warm_streampro import Commands

import streampro

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "orchestration"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a target `nightly` on the sample, and the examples importable."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "nightly.toml").write_text(
        f'raw = "{ROOT}/data/sample"\nwarehouse = "warehouse"\n', encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    for name in ("refresh", "airflow_dag", "dagster_definitions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def break_data(project: Path) -> None:
    (project / "raw").mkdir()
    (project / "configs" / "nightly.toml").write_text('raw = "raw"\n', encoding="utf-8")


def test_page_shows_the_files() -> None:
    page = (ROOT / "docs" / "guide" / "orchestration.md").read_text(encoding="utf-8")
    shown = dict(
        re.findall(r'^```\w+ title="([^"/]+)"\n(.*?)^```$', page, re.DOTALL | re.MULTILINE)
    )
    assert shown == {file.name: file.read_text(encoding="utf-8") for file in EXAMPLES.glob("*.*")}


def test_refresh_returns_what_json_has(project: Path) -> None:
    refresh = importlib.import_module("refresh").refresh
    told = refresh("nightly")
    assert json.loads(json.dumps(told)) == told
    assert (told["run_id"], told["kind"]) == (1, "full")
    assert told["rows"]["answers.q1_engagement"] == 1
    assert refresh("nightly", warehouse=str(project / "else"))["run_id"] == 1
    assert refresh("nightly")["kind"] == "unchanged"


class GivenUpError(Exception):
    """Stands for the exceptions by which schedulers are told not to try again."""

    def __init__(self, message: str, **options: Any) -> None:
        super().__init__(message)
        self.options = options


def test_airflow_runs_the_task_and_gives_up_on_wrong_data(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned: list[Any] = []
    sdk = ModuleType("airflow.sdk")
    sdk.dag = lambda **_: lambda function: function
    sdk.task = lambda **_: lambda function: lambda *args: returned.append(function(*args))
    exceptions = ModuleType("airflow.sdk.exceptions")
    exceptions.AirflowFailException = GivenUpError
    for module in (ModuleType("airflow"), sdk, exceptions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    module = importlib.import_module("airflow_dag")
    assert [told["run_id"] for told in returned] == [1]
    break_data(project)
    with pytest.raises(GivenUpError, match="has no file"):
        module.viewing()


def test_dagster_materializes_the_asset_and_gives_up_on_wrong_data(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dagster = ModuleType("dagster")
    dagster.asset = lambda **_: lambda function: function
    dagster.AssetSelection = SimpleNamespace(assets=lambda *assets: assets)
    for name in ("RetryPolicy", "Definitions", "ScheduleDefinition", "MaterializeResult"):
        setattr(dagster, name, SimpleNamespace)
    dagster.Failure = GivenUpError
    monkeypatch.setitem(sys.modules, "dagster", dagster)
    module = importlib.import_module("dagster_definitions")
    assert module.viewing().metadata["run_id"] == 1
    break_data(project)
    with pytest.raises(GivenUpError) as caught:
        module.viewing()
    assert caught.value.options == {"allow_retries": False}
    assert isinstance(caught.value.__cause__, streampro.SourceError)


def nightly(commands: Commands, project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    commands.start("fork")
    path = f"{commands.folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", EXAMPLES / "nightly.sh", "--target", "nightly", *options],
        cwd=project,
        env=os.environ | {"PATH": path, "RETRY_AFTER_S": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_cron_hears_nothing_of_a_run_that_succeeds(project: Path, commands: Commands) -> None:
    done = nightly(commands, project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(streampro.runs(project / "warehouse")) == 1


def test_cron_hears_once_of_wrong_data_and_twice_of_a_warehouse_in_use(
    project: Path, commands: Commands
) -> None:
    (project / "warehouse" / "_streampro").mkdir(parents=True)
    with FileLock(project / "warehouse" / "_streampro" / "lock"):
        done = nightly(commands, project)
        assert (done.returncode, done.stderr.count("error: another run is writing")) == (3, 2)
    break_data(project)
    done = nightly(commands, project)
    assert (done.returncode, done.stderr.count("error: raw has no file")) == (1, 1)
    done = nightly(commands, project, "--no-such-option")
    assert done.returncode == 2
