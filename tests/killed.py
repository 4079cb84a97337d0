"""Runs of the shop pipeline that are killed on the way, each in a process of its own."""

import signal
import subprocess

from warm_streampro import Commands

from streampro.config import Target


def killed(
    commands: Commands, target: Target, point: str, number: int, how: str = "incremental"
) -> None:
    """Run, or let another command work, and die at a point: see `kill_driver.py`."""
    commands.start("fork")
    inputs = [*map(str, (target.raw, target.warehouse, point, number, how, target.engine))]
    done = subprocess.run(
        [commands.folder / "python-script"],
        input=f"from kill_driver import main\nmain(*{inputs!r})\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 256 - signal.SIGKILL, done.stderr
