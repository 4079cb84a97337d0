import re
import subprocess
import sys
from pathlib import Path

import click

from streampro.cli import cli
from streampro.graph import mermaid
from streampro.viewing import PIPELINE

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_table_design_is_that_of_the_contracts():
    command = [sys.executable, ROOT / "tools" / "tables.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run `make readme`"


def test_names_every_command():
    for name in cli.commands:
        assert f"streampro {name}" in README


def test_shows_no_command_or_option_that_does_not_exist():
    for line in re.findall(r"^streampro .*", README, flags=re.MULTILINE):
        call = line.partition("#")[0]
        _, name, *more = call.split()
        command = cli.commands[name]
        if isinstance(command, click.Group) and more and more[0] in command.commands:
            command = command.commands[more[0]]
        options = {name for option in command.params for name in option.opts}
        assert set(re.findall(r"--[\w-]+", call)) <= options


def test_the_example_model_passes_check(tmp_path):
    [example] = re.findall(r"```python\n(import ibis.*?)```", README, flags=re.DOTALL)
    (tmp_path / "geography.py").write_text(example)
    (tmp_path / "mine.py").write_text(
        "from streampro import Pipeline\n"
        "from streampro.viewing import answers, intermediate, mart, raw, staging\n"
        "import geography\n"
        "PIPELINE = Pipeline(\n"
        "    'mine', [raw, staging, intermediate, mart, answers, geography]\n"
        ")\n"
    )
    command = [sys.executable, "-m", "streampro", "run", "--pipeline", "mine:PIPELINE"]
    command += ["--raw", ROOT / "data" / "sample", "--warehouse", "w"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "geography.sessions_per_country" in ran.stdout


def test_flowchart_is_the_one_that_graph_draws():
    [drawn] = re.findall(r"```mermaid\n(.*?)\n```", README, flags=re.DOTALL)
    assert drawn == mermaid(PIPELINE)
