"""Measure what small runs cost and leave after many of them.

    python benchmarks/growth.py --runs 300

A full run reads 60,000 events of `streampro generate`; each run after it reads 200 more, in a file
of its own. Whole processes, as `run.py` measures them; then the commands of a reader.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from run import DATA, adopt_orphans, measure

_EVENTS, _BATCH = 60_000, 200
_COMMANDS = (("history",), ("sql", "select count(*) from staging.events"), ("clean", "--keep", "1"))


def main() -> None:
    """Print the cost of some of the runs, of readers, and the size of the warehouse."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=300)
    runs = parser.parse_args().runs
    adopt_orphans()
    work = DATA / "growth"
    shutil.rmtree(work, ignore_errors=True)
    whole = work / "whole"
    events = _EVENTS + runs * _BATCH
    generate = [sys.executable, "-m", "streampro", "generate", str(whole)]
    subprocess.run([*generate, "--events", str(events)], check=True)
    lines = [
        line
        for path in sorted((whole / "events").iterdir())
        for line in path.read_bytes().splitlines(keepends=True)
    ]
    folder = work / "raw" / "events"
    folder.mkdir(parents=True)
    for name in ("users.csv", "videos.csv"):
        shutil.copy(whole / name, work / "raw" / name)
    os.chdir(work)
    (folder / "events-1.jsonl").write_bytes(b"".join(lines[:_EVENTS]))
    told("run 1, full", "run", "--quiet", "--raw", "raw")
    for number in range(2, runs + 1):
        start = _EVENTS + (number - 2) * _BATCH
        (folder / f"events-{number}.jsonl").write_bytes(b"".join(lines[start : start + _BATCH]))
        if number == 2 or number % max(1, runs // 10) == 0:
            told(f"run {number}", "run", "--quiet", "--raw", "raw")
        else:
            command = [sys.executable, "-m", "streampro", "run", "--quiet", "--raw", "raw"]
            subprocess.run([*command, "--warehouse", "w"], check=True)
    told("nothing new", "run", "--quiet", "--raw", "raw")
    for command in _COMMANDS:
        told(" ".join(command), *command)
    told("clean --keep 1 --yes", "clean", "--keep", "1", "--yes")


def told(what: str, *command: str) -> None:
    """Run a command and print its cost and what the warehouse weighs then."""
    cost = measure([sys.executable, "-m", "streampro", *command, "--warehouse", "w"])
    sizes = [*sizes_below(Path("w"))]
    print(f"{what:40} {cost.cpu_s:6.2f} CPU s {len(sizes):7,} files {sum(sizes) / 1e6:9.1f} MB")


def sizes_below(folder: Path) -> Iterator[int]:
    """Yield the bytes of every file below a folder."""
    return (path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
