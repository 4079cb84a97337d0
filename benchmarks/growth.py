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

from run import DATA, Cost, adopt_orphans, measure

_EVENTS, _BATCH = 60_000, 200
_RUN = ("run", "--quiet", "--raw", "raw")
_CLEAN = ("clean", "--keep", "1")
_READERS = (("history",), ("sql", "select count(*) from staging.events"))


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
    told("run 1, full", spent(*_RUN))
    for number in range(2, runs + 1):
        start = _EVENTS + (number - 2) * _BATCH
        (folder / f"events-{number}.jsonl").write_bytes(b"".join(lines[start : start + _BATCH]))
        cost = spent(*_RUN)
        if number == 2 or number % max(1, runs // 10) == 0:
            told(f"run {number}", cost)
    told("nothing new", spent(*_RUN))
    for command in (*_READERS, _CLEAN, (*_CLEAN, "--yes")):
        told(" ".join(command), spent(*command))


def spent(*command: str) -> Cost:
    """Return what a command on the warehouse takes."""
    return measure([sys.executable, "-m", "streampro", *command, "--warehouse", "w"])


def told(what: str, cost: Cost) -> None:
    """Print a cost and what the warehouse weighs then."""
    sizes = [*sizes_below(Path("w"))]
    print(f"{what:40} {cost.cpu_s:6.2f} CPU s {len(sizes):7,} files {sum(sizes) / 1e6:9.1f} MB")


def sizes_below(folder: Path) -> Iterator[int]:
    """Yield the bytes of every file below a folder."""
    return (path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
