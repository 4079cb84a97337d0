"""Measure what many small files cost.

    python benchmarks/files.py --files 20000

The same events of `streampro generate` in one file and in files of ten: a full run of each, then
runs with nothing new, and a reader before and after them. Whole processes, as `run.py` measures
them.
"""

import argparse
import shutil
from pathlib import Path

from growth import generated, sizes_below, spent, told
from run import DATA, adopt_orphans

_EVENTS_PER_FILE = 10
_IDLE_RUNS = 40
_RUN = ("run", "--quiet", "--raw", "raw")
_SQL = ("sql", "select count(*) from staging.events")


def main() -> None:
    """Print the cost of both, and what is left by runs with nothing new."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=20_000)
    files = parser.parse_args().files
    adopt_orphans()
    lines = generated(DATA / "files", files * _EVENTS_PER_FILE)
    whole = Path("raw", "events", "events.jsonl")
    whole.write_bytes(b"".join(lines))
    told("one file, full", spent(*_RUN))
    whole.unlink()
    shutil.rmtree("w")
    for number in range(files):
        of_file = lines[number * _EVENTS_PER_FILE : (number + 1) * _EVENTS_PER_FILE]
        Path("raw", "events", f"events-{number}.jsonl").write_bytes(b"".join(of_file))
    told(f"{files:,} files, full", spent(*_RUN))
    told("sql", spent(*_SQL))
    before = sum(sizes_below(Path("w")))
    for _ in range(_IDLE_RUNS):
        cost = spent(*_RUN)
    told(f"the last of {_IDLE_RUNS} runs with nothing new", cost)
    told("sql", spent(*_SQL))
    print(f"these runs wrote {sum(sizes_below(Path('w'))) - before} bytes")


if __name__ == "__main__":
    main()
