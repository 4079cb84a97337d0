"""Damage a warehouse at random and count what becomes of it.

    python benchmarks/faults.py --faults 1000 --seed 0

Three runs of the demonstration data; then, again and again, a file of the warehouse (data, logs,
ledger, list of raw files) is lost, cut, emptied, or has a bit flipped. All tables are read, the
pipeline runs, and what a message names is done, until both work again. After each fault every table
is compared with what it was. Outcomes:

    unharmed      everything was read and equal, at once
    mended        an error named a command, that command was enough
    verified      a flipped bit that only `streampro verify` told, then mended by a full refresh
    no way back   an error without a command, or one that did not help
    silent        other rows than before, told by nobody
"""

import argparse
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from run import DATA

import streampro
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate

_EVENTS, _RUNS, _TRIES = 2_000, 3, 4
_COMMAND = re.compile(r"streampro repair|run --full-refresh")
Contents = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Print how many faults had which outcome, and what was silent or had no way back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random, outcomes = Random(options.seed), Counter[str]()
    target = built(DATA / "faults")
    whole = contents(target)
    for number in range(options.faults):
        path = random.choice(files_of(target))
        fault = random.choice((lose, cut, empty, flip))
        what = f"{fault.__name__} {path.relative_to(folder(target))}"
        fault(path, random)
        outcome = outcome_of(target, whole)
        outcomes[outcome] += 1
        if outcome in ("silent", "no way back"):
            print(f"{number}: {outcome}: {what}", flush=True)
            target = built(DATA / "faults")
    print(", ".join(f"{outcome}: {count}" for outcome, count in outcomes.most_common()))


def built(place: Path) -> streampro.Target:
    """Return a target whose warehouse has a run per part of the events."""
    shutil.rmtree(place, ignore_errors=True)
    generate(place / "raw", events=_EVENTS)
    events = sorted((place / "raw" / "events").iterdir())
    target = streampro.Target(name="faults", raw=place / "raw", warehouse=place / "warehouse")
    later = place / "later"
    later.mkdir()
    for path in events[1:]:
        path.rename(later / path.name)
    parts = [events[1 + number :: _RUNS - 1] for number in range(_RUNS - 1)]
    streampro.run(PIPELINE, target)
    for part in parts:
        for path in part:
            (later / path.name).rename(path)
        streampro.run(PIPELINE, target)
    return target


def outcome_of(target: streampro.Target, whole: Contents) -> str:
    """Read, run and mend until both work, and tell what that took."""
    outcome = "unharmed"
    for _ in range(_TRIES):
        try:
            streampro.run(PIPELINE, target)
            is_same = contents(target) == whole
        except streampro.StreamProError as error:
            outcome = "mended"
            if not mend(target, str(error)):
                break
        else:
            if not streampro.verify(PIPELINE, target, run_id=newest(target)).damages:
                return outcome if is_same else "silent"
            outcome = "verified"
            mend(target, "run --full-refresh")
    return "no way back"


def mend(target: streampro.Target, message: str) -> bool:
    """Do what a message names; tell whether it named anything."""
    commands = _COMMAND.findall(message)
    for command in commands:
        try:
            if command == "streampro repair":
                is_lost = bool(streampro.repair(PIPELINE, target).set_aside)
            if command != "streampro repair" or is_lost:
                streampro.run(PIPELINE, target, full_refresh=True)
        except streampro.StreamProError as error:
            if command != "streampro repair":
                mend(target, " ".join({*_COMMAND.findall(str(error))} - {command}))
    return bool(commands)


def contents(target: streampro.Target) -> Contents:
    """Return all rows of all tables, sorted."""
    with streampro.published(target) as tables:
        names = [item.table for item in tables.run.tables]
        queries = {name: f"select * from {name} order by all" for name in names}
        return {name: tables.sql(query).to_pylist() for name, query in queries.items()}


def newest(target: streampro.Target) -> int:
    """Return the number of the run that readers see."""
    return streampro.runs(target)[-1].run_id


def folder(target: streampro.Target) -> Path:
    """Return the folder of the warehouse."""
    return Path(str(target.warehouse))


def files_of(target: streampro.Target) -> list[Path]:
    """Return what can be damaged."""
    found = (path for path in folder(target).rglob("*") if path.is_file() and path.name != "lock")
    return sorted(path for path in found if "damaged" not in path.parts)


def lose(path: Path, _: Random) -> None:
    """Remove a file."""
    path.unlink()


def empty(path: Path, _: Random) -> None:
    """Leave nothing in a file."""
    path.write_bytes(b"")


def cut(path: Path, random: Random) -> None:
    """Leave the first bytes of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: random.randrange(len(whole) + 1)])


def flip(path: Path, random: Random) -> None:
    """Turn one bit of a file."""
    spoiled = bytearray(path.read_bytes())
    if spoiled:
        spoiled[random.randrange(len(spoiled))] ^= 1 << random.randrange(8)
        path.write_bytes(spoiled)


Fault = Callable[[Path, Random], None]

if __name__ == "__main__":
    main()
