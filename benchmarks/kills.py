"""Kill runs at random times and see that nothing is lost, doubled or mixed.

    python benchmarks/kills.py --kills 200

Every round adds a file of new, late and repeated lines (now and then a changed dimension file),
starts `streampro run` in a process of its own and sends it SIGKILL after a random time. Then the
readers must see the run before or the one after, whole. In the end one run is left to finish, and
every table must equal a full run in another warehouse.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from streampro.config import Target
from streampro.execution.runner import run
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate
from streampro.warehouse import ledger
from streampro.warehouse.published import sql

_LONGEST_S = {"duckdb": 6.0, "spark": 40.0}
"""A run on these files takes three to five seconds, with the start of Python; on Spark 25 to 40."""


def main() -> None:
    """Kill and check."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=_LONGEST_S, default="duckdb")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        generate(folder / "all", events=20_000, seed=options.seed, days=8, late=0.1, dirt=0.05)
        lines = [
            line
            for path in sorted((folder / "all" / "events").glob("*.jsonl"))
            for line in path.read_bytes().splitlines(keepends=True)
        ]
        (folder / "raw" / "events").mkdir(parents=True)
        shutil.copy(folder / "all" / "users.csv", folder / "raw")
        shutil.copy(folder / "all" / "videos.csv", folder / "raw")
        (folder / "configs").mkdir()
        (folder / "configs" / "local.toml").write_text(f'engine = "{options.engine}"\n')
        target = Target(
            name="local", engine=options.engine, raw=folder / "raw", warehouse=folder / "w"
        )
        (folder / "raw" / "events" / "events-0.jsonl").write_bytes(b"".join(lines[:2000]))
        run(PIPELINE, target)
        killed = published = 0
        for number in range(1, options.kills + 1):
            before = seen(target)
            name = f"events-{number}.jsonl"
            (folder / "raw" / "events" / name).write_bytes(b"".join(dice.sample(lines, 100)))
            if dice.random() < 0.1:
                change(folder / "raw" / "users.csv", dice)
            ended = start_and_kill(target, dice.uniform(0, _LONGEST_S[options.engine]))
            killed += ended == -signal.SIGKILL
            after = seen(target)
            published += after[0] > before[0]
            assert after[0] > before[0] or after == before, f"kill {number} left a mix"
        run(PIPELINE, target)
        whole = target.model_copy(update={"warehouse": folder / "whole"})
        run(PIPELINE, whole)
        mine, wanted = seen(target)[1], seen(whole)[1]
        assert mine == wanted, "tables differ from a full run"
        strays = [*(folder / "w" / "_streampro" / "staging").glob("*")]
        assert not strays, strays
    print(
        f"{killed} of {options.kills} runs were killed, {published} were published before the "
        f"signal or by it; {len(wanted)} tables, {sum(n for n, _ in wanted.values()):,} rows, "
        "equal to a full run; nothing left behind."
    )


def start_and_kill(target: Target, after_s: float) -> int:
    """Start a run, kill it after a time, and return how it ended."""
    places = ("--raw", str(target.raw), "--warehouse", str(target.warehouse))
    process = subprocess.Popen(
        [sys.executable, "-m", "streampro", "run", "--json", *places],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=Path(str(target.raw)).parent,
    )
    time.sleep(after_s)
    process.kill()
    _, told = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), told.decode()
    return process.returncode


def seen(target: Target) -> tuple[int, dict[str, tuple[int, str]]]:
    """Return the newest run and per table its rows and an order-free digest of them."""
    newest = ledger.newest(target.warehouse)
    assert newest
    queries = ", ".join(
        f"(SELECT {{'n': count(*), 'd': sum(hash(t::VARCHAR))::VARCHAR}} FROM {item.table} t) "
        f'AS "{item.table}"'
        for item in newest.tables
    )
    [found] = sql(f"SELECT {queries}", target).to_pylist()
    return newest.run_id, {table: (each["n"], each["d"]) for table, each in found.items()}


def change(path: Path, dice: random.Random) -> None:
    """Give one user another tier."""
    lines = path.read_text().splitlines()
    number = dice.randrange(1, len(lines))
    cells = lines[number].split(",")
    cells[2] = dice.choice(["free", "basic", "premium"])
    path.write_text("\n".join([*lines[:number], ",".join(cells), *lines[number + 1 :]]) + "\n")


if __name__ == "__main__":
    main()
