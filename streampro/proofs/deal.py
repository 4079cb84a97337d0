"""A raw folder dealt out at random, so that it can be read in parts."""

import csv
import gzip
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import IO, Any, cast

from streampro.formats.csv import LONGEST_LINE
from streampro.formats.files import find
from streampro.modeling.source import Source
from streampro.storage.place import place_of

_REPEATED = 0.02
"""Share of the lines that stand a second time in some part."""


def deal(sources: list[Source], raw: Path, folder: Path, parts: int, seed: int) -> Iterator[None]:
    """Let a folder grow into one with all lines of a raw folder, in steps; yield after each.

    Every line of JSON goes to a random part, so that lines come late and out of order, and some
    come twice; the first line of each file, and a file whose pattern allows no second name, is in
    the first part. CSV files grow, so that they change; in the end they are the raw folder's own.
    Same seed, same parts.
    """
    dice = random.Random(seed)
    dealt = folder.with_name(f"{folder.name} dealt")
    growing = []
    for source in sources:
        for file in find(source, place_of(raw)):
            path, place = raw / file.path, Path(file.path)
            if source.format == "csv":
                growing.append(place)
            elif _may_be_called(source, _named(place, 0)):
                _deal_lines(path, dealt, place, parts, dice)
            else:
                _copy(path, dealt / "0" / place)
    for part in range(parts):
        for path in sorted((dealt / str(part)).rglob("*")):
            if path.is_file():
                _copy(path, folder / path.relative_to(dealt / str(part)))
        for place in growing:
            _grow(raw / place, folder / place, (part + 1) / parts)
        yield


def _deal_lines(path: Path, dealt: Path, place: Path, parts: int, dice: random.Random) -> None:
    with ExitStack() as stack:
        files = [
            stack.enter_context(_opened(dealt / str(part) / _named(place, part), "wb"))
            for part in range(parts)
        ]
        lines = stack.enter_context(_opened(path, "rb"))
        is_first = True
        while line := lines.readline(LONGEST_LINE):
            whole = line if line.endswith(b"\n") else line + b"\n"
            for _ in range(2 if dice.random() < _REPEATED else 1):
                files[0 if is_first else dice.randrange(parts)].write(whole)
            is_first = is_first and not line.strip()


def _grow(path: Path, place: Path, share: float) -> None:
    """Write the header and a share of the records of a CSV file, in the end the file itself."""
    if share == 1:
        _copy(path, place)
        return
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    records = list(csv.reader(StringIO(text, newline="")))
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows(records[: max(1, int(len(records) * share))])


def _may_be_called(source: Source, place: Path) -> bool:
    return any(place.match(pattern) for pattern in source.files)


def _named(place: Path, part: int) -> Path:
    """Return the name of a part of a file: events.jsonl.gz becomes events-0.jsonl.gz."""
    stem, dot, suffix = place.name.partition(".")
    return place.with_name(f"{stem}-{part}{dot}{suffix}")


def _opened(path: Path, mode: str) -> IO[Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return cast(IO[Any], gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode))


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, place)
