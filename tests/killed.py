"""Runs of the shop pipeline that are killed on the way, each in a process of its own."""

import signal
import subprocess
from pathlib import Path

from warm_streampro import Commands

from streampro.config import Target

DRIVER = Path(__file__).with_name("kill_driver.py")


def killed(
    commands: Commands, target: Target, point: str, number: int, how: str = "incremental"
) -> None:
    """Run, or let another command work, and die at a point: see `kill_driver.py`."""
    commands.start("fork")
    inputs = map(str, (target.raw, target.warehouse, point, number, how, target.engine))
    done = subprocess.run(
        [commands.folder / "python-script", *inputs],
        input=DRIVER.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 256 - signal.SIGKILL, done.stderr
