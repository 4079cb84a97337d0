"""Measure StreamPro against the floor: whole processes, cold starts, in turn, medians.

    python benchmarks/run.py --events 10000000

CPU seconds are user + system of the finished process and its threads; memory is its peak resident
set. Both read the same raw folder, generated once with seed 0 and kept under `.benchmarks/`.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parent / ".benchmarks"


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: list[str]) -> Cost:
    """Run a command to its end and return its cost. Raises `RuntimeError` when it fails."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed with exit code {process.returncode}")
    return Cost(
        cpu_s=usage.ru_utime + usage.ru_stime,
        wall_s=time.monotonic() - start,
        peak_mb=usage.ru_maxrss / 1024,
    )


def contenders(raw: Path, memory_limit: str | None) -> dict[str, list[str]]:
    """Return the commands to compare; each writes into a fresh folder."""
    streampro = [sys.executable, "-m", "streampro", "run", "--raw", str(raw)]
    streampro += ["--warehouse", str(DATA / "out"), "--json"]
    if memory_limit:
        configs = DATA / "configs"
        configs.mkdir(exist_ok=True)
        (configs / "small.toml").write_text(f'[duckdb]\nmemory_limit = "{memory_limit}"\n')
        streampro += ["--target", "small"]
    return {
        "floor": [sys.executable, str(HERE / "floor.py"), str(raw), str(DATA / "out")],
        "streampro": streampro,
    }


def main() -> None:
    """Alternate the two and print medians and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-limit", help="of StreamPro's DuckDB; the floor keeps its own")
    arguments = parser.parse_args()
    raw = DATA / f"raw-{arguments.events}"
    DATA.mkdir(exist_ok=True)
    if not (raw / "truth.json").exists():
        shutil.rmtree(raw, ignore_errors=True)
        generate = [sys.executable, "-m", "streampro", "generate", str(raw)]
        subprocess.run([*generate, "--events", str(arguments.events)], check=True)
    costs: dict[str, list[Cost]] = {}
    os.chdir(DATA)
    for _ in range(arguments.rounds):
        for name, command in contenders(raw, arguments.memory_limit).items():
            shutil.rmtree(DATA / "out", ignore_errors=True)
            costs.setdefault(name, []).append(measure(command))
            print(name, costs[name][-1], flush=True)
    print(f"\n{arguments.events:,} events, {os.cpu_count()} cores, {platform.python_version()}")
    for name, runs in costs.items():
        cpu = statistics.median(run.cpu_s for run in runs)
        wall = statistics.median(run.wall_s for run in runs)
        peak = statistics.median(run.peak_mb for run in runs)
        print(f"{name:10} {cpu:7.1f} CPU s {wall:7.1f} s {peak:8,.0f} MB")
    pairs = zip(costs["streampro"], costs["floor"], strict=True)
    ratio = statistics.median(ours.cpu_s / floor.cpu_s for ours, floor in pairs)
    print(f"streampro / floor, median of the pairs: {ratio:.2f} x CPU")


if __name__ == "__main__":
    main()
