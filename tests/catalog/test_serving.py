"""`streampro catalog` as it is called, and its site as a browser on this machine gets it."""

import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

COMMAND = (sys.executable, "-m", "streampro", "catalog", "--pipeline", "pipelines.club:CLUB")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tests}:{tests.parent}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_it_is_written_without_a_run_and_says_where(here: Path) -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
    told = "Wrote the catalog of what is declared to catalog/index.html: no run yet.\n"
    assert (done.stdout, done.stderr.splitlines()[-1] + "\n") == ("", told)
    assert (here / "catalog" / "index.html").is_file()
    assert sorted(path.name for path in here.iterdir()) == ["catalog"]


@pytest.mark.slow
def test_a_folder_of_somebody_else_is_a_wrong_call(here: Path) -> None:
    (here / "notes.txt").touch()
    done = subprocess.run([*COMMAND, "--out", "."], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: . holds something that `streampro catalog` did not write" in done.stderr


@pytest.mark.slow
def test_it_is_served_until_it_is_interrupted(here: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # tests may run below nohup
    )
    assert process.stderr
    with process:
        told = next(line for line in process.stderr if line.startswith("Serving"))
        found = re.fullmatch(r"Serving it at (http://127\.0\.0\.1:\d+/) until Ctrl-C\.\n", told)
        assert found
        with urlopen(f"{found[1]}tables/mart.cities.html") as page:
            assert b"One row per city" in page.read()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{found[1]}%2e%2e/secret")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "Interrupted.\n"
    assert process.returncode == 130
