"""The entries of a Delta table's log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deltalake.fs import DeltaStorageHandler

from streampro.storage.place import FileStatus, Place

Action = dict[str, Any]
LOG = "_delta_log"


def entry(folder: Path, version: int) -> Path:
    """Return where the entry of a version of the table in a folder of a disk lies."""
    return folder / LOG / f"{version:020}.json"


def entries(folder: Place) -> list[FileStatus]:
    """Return the entries of the log of the table in a folder, by version. Raises `OSError`."""
    found = folder.files([f"{LOG}/*.json"])
    return [file for file in found if version_of(file).isdigit()]


def version_of(entry: FileStatus) -> str:
    """Return the version that an entry makes, as its name spells it."""
    return entry.path.rpartition("/")[2].removesuffix(".json")


def read(folder: Place, version: int) -> list[Action] | None:
    """Return the actions of a version's entry, None where there is none. Raises what `actions`
    raises.
    """
    path = entry(Path(), version)
    try:
        if folder.is_local:
            return actions(folder.path / path)
        with DeltaStorageHandler(folder.delta_uri).open_input_file(path.as_posix()) as file:
            return parsed(bytes(file.read()))
    except FileNotFoundError:
        return None


def history(folder: Place) -> Iterator[tuple[FileStatus, list[Action]]]:
    """Yield each entry of a log and its actions, by version.

    Raises `OSError` for one that cannot be read, `ValueError` for a damaged one.
    """
    found = entries(folder)
    read = folder.read_each([file.path for file in found])
    yield from zip(found, map(parsed, read), strict=True)


def actions(entry: Path) -> list[Action]:
    """Return the actions of an entry on a disk. Raises what `history` raises."""
    return parsed(entry.read_bytes())


def parsed(entry: bytes) -> list[Action]:
    """Return the actions of an entry. Raises `ValueError` for a damaged one."""
    return [json.loads(line) for line in entry.split(b"\n") if line.strip()]
