"""Measure what small runs cost and leave after many of them.

    python benchmarks/growth.py --runs 300
    python benchmarks/growth.py --runs 48 --one-process
    python benchmarks/growth.py --runs 10000 --unchanged

A full run reads 60,000 events of `streampro generate`; each run after it reads 200 more, in a file
of its own. Whole processes, as `run.py` measures them, then the commands of a reader; or one
process that does all runs, with the memory that it holds after them; or one that publishes most of
them as they would be if no table had changed, cleans every hundred, and does a real run now and
then.
"""

import argparse
import gc
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from run import DATA, Cost, adopt_orphans, measure

import streampro
from streampro.viewing import PIPELINE
from streampro.warehouse import ledger

_EVENTS, _BATCH = 60_000, 200
_REAL, _KEPT, _CLEANED_EVERY = 10, 30, 100
"""Runs that compute, runs that stay readable, and how often others are cleaned."""
_RUN = ("run", "--quiet", "--raw", "raw")
_CLEAN = ("clean", "--keep", "1")
_READERS = (("history",), ("sql", "select count(*) from staging.events"))


def main() -> None:
    """Print the cost of some of the runs, of readers, and the size of the warehouse."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--one-process", action="store_true")
    parser.add_argument("--unchanged", action="store_true")
    arguments = parser.parse_args()
    adopt_orphans()
    batches = _REAL + 1 if arguments.unchanged else arguments.runs
    lines = generated(DATA / "growth", _EVENTS + batches * _BATCH)
    if arguments.unchanged:
        publish(lines, arguments.runs)
    elif arguments.one_process:
        hold(lines, arguments.runs)
    else:
        grow(lines, arguments.runs)


def grow(lines: Sequence[bytes], runs: int) -> None:
    """Do so many runs in a process each."""
    for number in dealt(lines, runs):
        cost = spent(*_RUN)
        if number <= 2 or number % max(1, runs // 10) == 0:
            told("run 1, full" if number == 1 else f"run {number}", cost)
    told("nothing new", spent(*_RUN))
    for command in (*_READERS, _CLEAN, (*_CLEAN, "--yes")):
        told(" ".join(command), spent(*command))


def hold(lines: Sequence[bytes], runs: int) -> None:
    """Do so many runs in this process."""
    target = streampro.Target(name="growth", raw=Path("raw"), warehouse=Path("w"))
    for number in dealt(lines, runs):
        start = time.process_time()
        streampro.run(PIPELINE, target)
        if number <= 2 or number % max(1, runs // 10) == 0:
            gc.collect()
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            held = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
            print(f"run {number:5} {time.process_time() - start:6.2f} CPU s {held:7.0f} MB held")


def publish(lines: Sequence[bytes], runs: int) -> None:
    """Publish so many runs, of which some compute anything; print what these and readers take."""
    target = streampro.Target(name="growth", raw=Path("raw"), warehouse=Path("w"))
    done, each = 0, runs // _REAL
    for number in dealt(lines, _REAL + 1):
        start = time.process_time()
        last = streampro.run(PIPELINE, target)
        computing, done = time.process_time() - start, last.run_id
        if number > 1:
            asked = {
                "runs": lambda: streampro.runs(target),
                "sql": lambda: streampro.sql("select count(*) from staging.events", target),
                "clean": lambda: streampro.clean(target, _KEPT, dry_run=False),
            }
            costs = {name: _cpu_s(ask) for name, ask in asked.items()}
            told = ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items())
            sizes = [*sizes_below(Path("w"))]
            print(
                f"run {done:6}: {computing:.2f} CPU s; {told}; {len(sizes):,} files, "
                f"{sum(sizes) / 1e6:.1f} MB",
                flush=True,
            )
        while number > 1 and done < each * (number - 1):
            last = ledger.append(target.warehouse, replace(last, run_id=done + 1))
            done += 1
            if done % _CLEANED_EVERY == 0:
                streampro.clean(target, _KEPT, dry_run=False)


def _cpu_s(ask: Callable[[], object]) -> float:
    start = time.process_time()
    ask()
    return time.process_time() - start


def generated(work: Path, events: int) -> list[bytes]:
    """Make a folder with a raw folder of users and videos, go there, and return lines of events."""
    shutil.rmtree(work, ignore_errors=True)
    whole = work / "whole"
    generate = [sys.executable, "-m", "streampro", "generate", str(whole)]
    subprocess.run([*generate, "--events", str(events)], check=True)
    (work / "raw" / "events").mkdir(parents=True)
    for name in ("users.csv", "videos.csv"):
        shutil.copy(whole / name, work / "raw" / name)
    os.chdir(work)
    files = sorted((whole / "events").iterdir())
    return [line for path in files for line in path.read_bytes().splitlines(keepends=True)]


def dealt(lines: Sequence[bytes], runs: int) -> Iterator[int]:
    """Yield the number of each run when the file that it adds is there."""
    end = 0
    for number in range(1, runs + 1):
        start, end = end, end + (_BATCH if end else _EVENTS)
        path = Path("raw", "events", f"events-{number}.jsonl")
        path.write_bytes(b"".join(lines[start:end]))
        yield number


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
