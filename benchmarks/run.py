"""Measure StreamPro against the floor: whole processes, cold starts, in turn, medians.

    python benchmarks/run.py --events 10000000
    python benchmarks/run.py --events 10000000 --engine spark
    python benchmarks/run.py --events 10000000 --dbt .benchmarks/dbt/bin/dbt

CPU seconds are user + system of the whole tree of processes. Spark's Java may end after the Python
that started it; this process therefore adopts orphans (Linux, `PR_SET_CHILD_SUBREAPER`) and waits
until every one of them has ended, so the kernel's own account of each is summed and nothing is
sampled. Wall time lasts until the last of them. Memory is the peak of the tree's resident sets
together, sampled ten times a second, or the kernel's own peak of one process if that is more.
Both read the same raw folder, generated once with seed 0 and kept under `.benchmarks/`.
"""

import argparse
import contextlib
import ctypes
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parent / ".benchmarks"
SPARK = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "4",
}
"""Settings of both contenders."""
_SET_CHILD_SUBREAPER = 36
"""From `linux/prctl.h`."""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def measure(command: list[str]) -> Cost:
    """Run a command until it and all its descendants have ended, and return what they took.

    Raises `RuntimeError` when it fails.
    """
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    cpu_s, peak_kb, ended = 0.0, 0, threading.Event()
    peaks: list[int] = []
    sampler = threading.Thread(target=_sample, args=(ended, peaks))
    sampler.start()
    while True:
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        cpu_s += usage.ru_utime + usage.ru_stime
        peak_kb = max(peak_kb, usage.ru_maxrss)
        if pid == process.pid:
            process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - start
    ended.set()
    sampler.join()
    if process.returncode:
        raise RuntimeError(f"{command} failed with exit code {process.returncode}")
    return Cost(cpu_s=cpu_s, wall_s=wall_s, peak_mb=max(peak_kb, *peaks) / 1024)


def adopt_orphans() -> None:
    """Make descendants whose parent ends children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this system cannot adopt orphaned processes")


def _sample(ended: threading.Event, peaks: list[int]) -> None:
    """Note the resident memory of all descendants, in kB, until told to end.

    A process between fork and exec shows the memory of its parent, so equal accounts count once.
    """
    page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
    while not ended.wait(0.1):
        accounts = set(map(_memory, _descendants(os.getpid())))
        peaks.append(sum(int(account.split()[1]) for account in accounts) * page_kb)


def _descendants(pid: int) -> list[int]:
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def _memory(pid: int) -> str:
    """Return the kernel's account of a process in pages: total, resident, ..."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/statm").read_text() or "0 0"
    return "0 0"


def contenders(
    raw: Path, engine: str, memory_limit: str | None, dbt: Path | None
) -> dict[str, list[str]]:
    """Return the commands to compare; each writes into a fresh folder."""
    out = str(DATA / "out")
    streampro = [sys.executable, "-m", "streampro", "run", "--raw", str(raw)]
    streampro += ["--warehouse", out, "--json"]
    floor = [sys.executable, str(HERE / "floor.py"), str(raw), out]
    configs = DATA / "configs"
    configs.mkdir(exist_ok=True)
    if engine == "spark":
        master, *settings = SPARK.items()
        lines = ['engine = "spark"', "[spark]", f'master = "{master[1]}"', "[spark.settings]"]
        lines += [f'"{name}" = "{value}"' for name, value in settings]
        (configs / "bench-spark.toml").write_text("\n".join(lines))
        streampro += ["--target", "bench-spark"]
        floor = [sys.executable, str(HERE / "spark_floor.py"), str(raw), out]
        floor += [f"{name}={value}" for name, value in SPARK.items()]
    elif memory_limit:
        (configs / "small.toml").write_text(f'[duckdb]\nmemory_limit = "{memory_limit}"\n')
        streampro += ["--target", "small"]
    found = {"floor": floor, "streampro": streampro}
    if dbt:
        project = [sys.executable, str(HERE / "dbt_project.py")]
        found["dbt"] = [*project, str(raw), out, str(dbt.absolute())]
    return found


def main() -> None:
    """Alternate the two and print medians and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=("duckdb", "spark"), default="duckdb")
    parser.add_argument("--dbt", type=Path, help="the command of a dbt-duckdb to run, too")
    parser.add_argument("--memory-limit", help="of StreamPro's DuckDB; the floor keeps its own")
    arguments = parser.parse_args()
    raw = DATA / f"raw-{arguments.events}"
    DATA.mkdir(exist_ok=True)
    adopt_orphans()
    if not (raw / "truth.json").exists():
        shutil.rmtree(raw, ignore_errors=True)
        generate = [sys.executable, "-m", "streampro", "generate", str(raw)]
        subprocess.run([*generate, "--events", str(arguments.events)], check=True)
    commands = contenders(raw, arguments.engine, arguments.memory_limit, arguments.dbt)
    costs: dict[str, list[Cost]] = {}
    os.chdir(DATA)
    for _ in range(arguments.rounds):
        for name, command in commands.items():
            shutil.rmtree(DATA / "out", ignore_errors=True)
            costs.setdefault(name, []).append(measure(command))
            print(name, costs[name][-1], flush=True)
    print(f"\n{arguments.events:,} events, {os.cpu_count()} cores, {platform.python_version()}")
    for name, runs in costs.items():
        cpu = statistics.median(run.cpu_s for run in runs)
        wall = statistics.median(run.wall_s for run in runs)
        peak = statistics.median(run.peak_mb for run in runs)
        print(f"{name:10} {cpu:7.1f} CPU s {wall:7.1f} s {peak:8,.0f} MB")
    ours = costs.pop("streampro")
    for name, others in costs.items():
        pairs = list(zip(ours, others, strict=True))
        cpu = statistics.median(one.cpu_s / other.cpu_s for one, other in pairs)
        wall = statistics.median(one.wall_s / other.wall_s for one, other in pairs)
        print(f"streampro / {name}, median of the pairs: {cpu:.2f} x CPU, {wall:.2f} x wall")


if __name__ == "__main__":
    main()
