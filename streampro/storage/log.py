"""The log of a Delta table: an entry per version, and checkpoints that sum up all before them.

A log tells of the versions from 0 on, or, where older entries are gone, from a checkpoint on.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.fs import DeltaStorageHandler

from streampro.storage.place import FileStatus, Place

Action = dict[str, Any]
LOG = "_delta_log"
_VERSION = re.compile(r"\.?(\d{20})\.")
"""How the name of each file of a log begins that is of a version; hidden ones are check sums."""
_ENTRY, _CHECKPOINT = re.compile(r"\d{20}\.json"), re.compile(r"\d{20}\.checkpoint\.parquet")


@dataclass(frozen=True)
class Record:
    """What a file of a log says: the entry of a version, or a checkpoint, which has a `schema`."""

    file: FileStatus
    version: int
    actions: list[Action]
    schema: pa.Schema | None = None

    @classmethod
    def of(cls, file: FileStatus, content: bytes) -> Self:
        """Return the record that a file of a log is. Raises `ValueError` for a damaged one."""
        version = version_of(file)
        if not is_checkpoint(file):
            return cls(file, version, parsed(content))
        rows = pq.read_table(BytesIO(content))
        said = (_given(row) for row in rows.to_pylist(maps_as_pydicts="strict"))
        return cls(file, version, [row for row in said if row], _unparsed(rows.schema))

    def saying(self, actions: list[Action]) -> Self:
        """Return the record with other actions."""
        return replace(self, actions=actions)

    def write(self, path: Path) -> None:
        """Write the file anew, elsewhere. Raises `OSError`."""
        if self.schema is not None:
            pq.write_table(pa.Table.from_pylist(self.actions, schema=self.schema), path)
            return
        lines = (
            json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in self.actions
        )
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@dataclass(frozen=True)
class Log:
    """The entries and checkpoints of the log of the table in a folder, by version; checkpoints of
    several files are none of ours.
    """

    folder: Place
    entries: Sequence[FileStatus]
    checkpoints: Sequence[FileStatus]

    @cached_property
    def begins(self) -> int | None:
        """The first version from which on the log tells of all up to the newest: 0, or that of a
        checkpoint; None where entries are missing after the last checkpoint, and without entries.
        """
        versions = {version_of(file) for file in self.entries}
        if not versions:
            return None
        first = max(versions)
        while first - 1 in versions:
            first -= 1
        told = (version_of(file) for file in self.checkpoints)
        return 0 if first == 0 else min((each for each in told if each >= first - 1), default=None)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing between its entries, and before the first of them."""
        versions = [version_of(file) for file in self.entries]
        is_unbroken = (
            versions == [*range(versions[0], versions[0] + len(versions))] if versions else True
        )
        return is_unbroken and (self.begins is not None or not versions)

    @property
    def beginning(self) -> Sequence[FileStatus]:
        """The checkpoint at which it begins, if it does not begin with the table."""
        return [each for each in self.checkpoints if self.begins == version_of(each) != 0]

    def records(self, files: Sequence[FileStatus]) -> Iterator[Record]:
        """Yield what some of the files say. Raises `OSError` for one that cannot be read,
        `ValueError` for a damaged one.
        """
        read = self.folder.read_each([file.path for file in files])
        yield from map(Record.of, files, read)


def log_of(folder: Place) -> Log:
    """Return the log of the table in a folder. Raises `OSError`."""
    found = folder.files([f"{LOG}/*.json", f"{LOG}/*.checkpoint.parquet"])
    entries = [file for file in found if _ENTRY.fullmatch(_name(file))]
    return Log(folder, entries, [file for file in found if is_checkpoint(file)])


def is_checkpoint(file: FileStatus) -> bool:
    """Tell whether a file of a log sums up all entries up to its version."""
    return bool(_CHECKPOINT.fullmatch(_name(file)))


def version_of(file: FileStatus) -> int:
    """Return the version that a file of a log is of: of several the first, -1 for one of none."""
    named = _VERSION.match(_name(file))
    return int(named[1]) if named else -1


def entry(folder: Path, version: int) -> Path:
    """Return where the entry of a version of the table in a folder of a disk lies."""
    return folder / LOG / f"{version:020}.json"


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


def actions(entry: Path) -> list[Action]:
    """Return the actions of an entry on a disk. Raises `OSError` for one that cannot be read,
    `ValueError` for a damaged one.
    """
    return parsed(entry.read_bytes())


def parsed(entry: bytes) -> list[Action]:
    """Return the actions of an entry. Raises `ValueError` for a damaged one."""
    return [json.loads(line) for line in entry.split(b"\n") if line.strip()]


def _name(file: FileStatus) -> str:
    return file.path.rpartition("/")[2]


def _given(row: Action) -> Action:
    """Return what a row of a checkpoint says as an entry says it: without what is null."""
    return {
        kind: {name: value for name, value in said.items() if value is not None}
        for kind, said in row.items()
        if said is not None
    }


def _unparsed(schema: pa.Schema) -> pa.Schema:
    """Return the columns of a checkpoint without those that say once more what a text says."""
    return pa.schema(
        [
            field.with_type(
                pa.struct([each for each in field.type if not each.name.endswith("_parsed")])
            )
            if pa.types.is_struct(field.type)
            else field
            for field in schema
        ]
    )
