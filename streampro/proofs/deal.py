"""A raw folder dealt out at random, so that it can be read in parts."""

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from streampro.formats.files import find
from streampro.formats.registry import format_of
from streampro.modeling.source import Source
from streampro.storage.place import Found, place_of


def deal(
    sources: Sequence[Source],
    raw: Mapping[str, Path],
    folder: Path,
    parts: int,
    seed: int,
) -> Iterator[None]:
    """Let a folder grow into one with all lines of the raw folders of sources, in steps; yield
    after each. The extracts of databases grow in the folder that `tables_beside` tells.

    Every line of JSON goes to a random part, so that lines come late and out of order, and some
    come twice; the first line of each file, and a file whose pattern allows no second name, is in
    the first part. Files of a format that `grows`, as CSV, change; in the end they are the raw
    folder's own. So do tables of databases. Same seed, same parts.
    """
    dice = random.Random(seed)
    dealt = [folder.with_name(f"{folder.name} dealt") / str(part) for part in range(parts)]
    tables = tables_beside(folder)
    dealt_tables = [tables.with_name(f"{tables.name} dealt") / str(part) for part in range(parts)]
    for source in sources:
        form, lies = format_of(source), raw[source.name]
        found = find(source, place_of(lies))
        if form.is_database:
            for file in found:
                form.deal(source, lies / form.stored_as(source, file.path), dealt_tables, dice)
            continue
        if form.is_table:
            held: list[Found] = [*place_of(lies).files(form.logs(source)), *found]
            for each in held:
                _copy(lies / each.path, dealt[0] / each.path)
            continue
        for file in found:
            _deal_file(source, lies, Path(file.path), dealt, dice)
    for number in range(parts):
        for part, grown in ((dealt[number], folder), (dealt_tables[number], tables)):
            for path in sorted(part.rglob("*")):
                if path.is_file():
                    _copy(path, grown / path.relative_to(part))
        yield


def tables_beside(folder: Path) -> Path:
    """Return the folder of extracts that belongs to a raw folder."""
    return folder.with_name(f"{folder.name} tables")


def _deal_file(
    source: Source, raw: Path, name: Path, dealt: list[Path], dice: random.Random
) -> None:
    grows = format_of(source).grows
    if not grows and not _may_be_called(source, _named(name, 0)):
        _copy(raw / name, dealt[0] / name)
        return
    places = [part / (name if grows else _named(name, n)) for n, part in enumerate(dealt)]
    for each in places:
        each.parent.mkdir(parents=True, exist_ok=True)
    format_of(source).deal(source, raw / name, places, dice)


def _may_be_called(source: Source, place: Path) -> bool:
    return any(place.match(pattern) for pattern in source.files)


def _named(place: Path, part: int) -> Path:
    """Return the name of a part of a file: events.jsonl.gz becomes events-0.jsonl.gz."""
    stem, dot, suffix = place.name.partition(".")
    return place.with_name(f"{stem}-{part}{dot}{suffix}")


def _copy(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, place)
