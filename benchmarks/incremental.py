"""Measure what a small batch costs beside a full run of the same pipeline.

    python benchmarks/incremental.py --events 10000000

The newest 2.1 % of the generated lines (2 % of sessions are up to 3 days late) are held back. A
full run reads the rest; then come a run without new files, a batch of 1 %, and eleven of 0.1 %,
the last ten to see whether costs grow. Whole processes, as `run.py` measures them.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from run import DATA, Cost, adopt_orphans, measure

_SMALL_BATCHES = 11


def main() -> None:
    """Print the cost of each run and its share of the full run's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    events = parser.parse_args().events
    whole, work = DATA / f"raw-{events}", DATA / "incremental"
    adopt_orphans()
    if not (whole / "truth.json").exists():
        generate = [sys.executable, "-m", "streampro", "generate", str(whole)]
        subprocess.run([*generate, "--events", str(events)], check=True)
    shutil.rmtree(work, ignore_errors=True)
    batches = hold_back(whole, work / "raw", [events // 100] + [events // 1000] * _SMALL_BATCHES)
    os.chdir(work)
    full = told("full", run(work), None)
    told("nothing new", run(work), full)
    for number, lines in enumerate(batches):
        (work / "raw" / "events" / f"events-batch-{number}.jsonl").write_bytes(b"".join(lines))
        told(f"{len(lines):,} lines", run(work), full)


def hold_back(whole: Path, raw: Path, sizes: list[int]) -> list[list[bytes]]:
    """Link a raw folder without its last lines; return these in batches."""
    (raw / "events").mkdir(parents=True)
    for name in ("users.csv", "videos.csv"):
        (raw / name).symlink_to(whole / name)
    *files, last = sorted((whole / "events").iterdir())
    for path in files:
        (raw / "events" / path.name).symlink_to(path)
    lines = last.read_bytes().splitlines(keepends=True)
    kept = len(lines) - sum(sizes)
    (raw / "events" / last.name).write_bytes(b"".join(lines[:kept]))
    batches = []
    for size in sizes:
        batches.append(lines[kept : kept + size])
        kept += size
    return batches


def run(work: Path) -> Cost:
    """Run StreamPro on the raw folder as it is."""
    places = ["--raw", str(work / "raw"), "--warehouse", str(work / "warehouse")]
    return measure([sys.executable, "-m", "streampro", "run", *places, "--json"])


def told(what: str, cost: Cost, full: Cost | None) -> Cost:
    """Print a cost and return it."""
    share = f"{cost.cpu_s / full.cpu_s:.2f} of the full run" if full else ""
    print(
        f"{what:14} {cost.cpu_s:6.1f} CPU s {cost.wall_s:6.1f} s {cost.peak_mb:7,.0f} MB  {share}"
    )
    return cost


if __name__ == "__main__":
    main()
