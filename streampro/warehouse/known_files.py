"""The raw files that runs know: a Delta table beside the ledger, of which each run pins a version.

A run that finds more files adds these; one that finds the same pins the same version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from functools import cached_property
from typing import overload

import pyarrow as pa

from streampro.errors import WarehouseError, advised
from streampro.formats.files import InputFile
from streampro.storage import delta
from streampro.storage.place import Place
from streampro.storage.versions import remembered

REPAIR = "Mend the warehouse: streampro repair."
"""What to do where one of our own tables cannot be read."""
_TYPES = dict.fromkeys(("size", "modified_ns", "changed_ns", "version"), pa.int64())
_SCHEMA = pa.schema(
    [(field.name, _TYPES.get(field.name, pa.string())) for field in fields(InputFile)]
)


class KnownFiles(Sequence[InputFile]):
    """The raw files of a run, read when they are first looked at; equal to any sequence of them.

    What looks at them raises `WarehouseError` where a table of a cleaned run is gone, and where
    there are not as many as `expected`.
    """

    def __init__(self, folder: Place, version: int, expected: int | None = None) -> None:
        self.folder = folder
        self.version = version
        self.expected = expected

    @cached_property
    def _files(self) -> tuple[InputFile, ...]:
        with advised(REPAIR):
            rows = delta.read(self.folder, self.version)
            found = rows.to_pylist() if rows else []
            if self.expected not in (None, len(found)):
                raise WarehouseError(
                    f"version {self.version} of {self.folder} cannot be read: it has "
                    f"{len(found):,} files, not {self.expected:,}."
                )
        return tuple(InputFile(**row) for row in found)

    @overload
    def __getitem__(self, index: int) -> InputFile: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[InputFile]: ...
    def __getitem__(self, index: int | slice) -> InputFile | Sequence[InputFile]:
        return self._files[index]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[InputFile]:
        return iter(self._files)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, KnownFiles) and self.folder == other.folder:
            return self.version == other.version or self._files == other._files
        return isinstance(other, Sequence) and self._files == tuple(other)

    def __hash__(self) -> int:
        return hash(self._files)

    def __repr__(self) -> str:
        return repr(self._files)


@remembered()
def kept(folder: Place, last: Sequence[InputFile], found: Sequence[InputFile]) -> KnownFiles:
    """Return the files that are found, kept where the last run's are: nothing is written for the
    same ones, and for more of them only these. Raises `WarehouseError` when it cannot be written.
    """
    if not isinstance(last, KnownFiles) or last.folder != folder:
        return KnownFiles(folder, delta.write(folder, _rows(found)), len(found))
    known, at_hand = _facts(last), _facts(found)
    if known == at_hand:
        return last
    if not known.items() <= at_hand.items() or last.version != delta.newest_version(folder):
        return KnownFiles(folder, delta.write(folder, _rows(found)), len(found))
    new = [file for file in found if (file.source, file.path) not in known]
    return KnownFiles(folder, delta.write(folder, _rows(new), last.version), len(found))


def are_same(some: Sequence[InputFile], others: Sequence[InputFile]) -> bool:
    """Tell whether two runs know the same files, in whatever order."""
    return _facts(some) == _facts(others)


def _facts(files: Sequence[InputFile]) -> dict[tuple[str, str], tuple[object, ...]]:
    """Return all that is known of each file, by source and path."""
    return {
        (file.source, file.path): (file.size, file.modified_ns, file.etag, file.changed_ns)
        for file in files
    }


def _rows(files: Sequence[InputFile]) -> pa.Table:
    return pa.Table.from_pylist([asdict(file) for file in files], schema=_SCHEMA)
