"""Places: a folder or a file on a disk or in a store, whoever reaches it.

`place_of` is the only one to ask of what kind a location is; all else asks the place.
"""

import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, Self

from filelock import FileLock

from streampro.errors import EngineError
from streampro.location import STORES, WEB, Location, Remote, is_remote, scheme_of
from streampro.modeling.model import TableName
from streampro.storage.place.matching import matching, unmatched


@dataclass(frozen=True)
class FileStatus:
    """A file below a place: its path from there, bytes, time of the last change, its etag where a
    store tells one, where a disk tells it the time at which anything of it changed, and of a Delta
    table's file the version in which it was found.
    """

    path: str
    size: int
    modified_ns: int
    etag: str | None = None
    changed_ns: int | None = None
    version: int | None = None


class Found(Protocol):
    """A file as it was found below a place."""

    @property
    def path(self) -> str:
        """Its path from there."""

    @property
    def etag(self) -> str | None:
        """See `FileStatus`."""

    @property
    def version(self) -> int | None:
        """See `FileStatus`."""


class Place(ABC):
    """A folder or a file; its text is what messages show."""

    is_local: bool
    """Whether it is on a disk of this machine; then `path` is its path."""
    is_reached = True
    """Whether this process reaches it, and not only an engine."""
    is_lockable = False
    """Whether `lock` keeps other writers out."""

    @abstractmethod
    def __truediv__(self, name: str) -> Self:
        """Return what has this name in the folder."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the location."""

    @property
    def uri(self) -> str:
        """What an engine is told."""
        return str(self)

    @property
    def delta_uri(self) -> str:
        """What Delta readers of this process are told."""
        return self.uri

    @property
    @abstractmethod
    def path(self) -> Path:
        """The path on this machine. Raises `EngineError` where there is none."""

    def table(self, table: TableName) -> Self:
        """Return the folder of a table in a warehouse."""
        return self / table.layer / table.name

    @abstractmethod
    def files(self, patterns: Iterable[str]) -> list[FileStatus]:
        """Return the files below the folder that match a pattern, by path, hidden ones left out.

        Raises `OSError` for what cannot be looked at.
        """

    def data_files(self, table: str, columns: Mapping[str, str]) -> tuple[FileStatus, ...]:
        """Return the files of the newest version of a Delta table in a folder below this one, of
        which `columns` are read, fields by their columns. Raises `SourceError` for one whose rows
        are not those of its files.
        """
        from streampro.storage.tables import newest

        return newest(self, table, columns).files

    @abstractmethod
    def unmatched(self, patterns: Iterable[str], but: "Place") -> Iterator[str]:
        """Yield the paths of what is below the folder and fits no pattern; the folder `but` left
        out, and hidden files that no pattern would find were they not hidden.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether there is a file or folder."""

    @abstractmethod
    def make(self) -> None:
        """Make the folder, where folders are made."""

    @abstractmethod
    def move(self, destination: Self) -> None:
        """Move the file to another place of the same disk or store, or from a disk to a store."""

    def link(self, destination: Self) -> None:
        """Let the file also be at another place of the same disk or store: on a disk without a byte
        more where that can be, in a store as a copy that the store makes.
        """
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def take(self, file: Path) -> None:
        """Move a file of a disk to this place. Raises `EngineError` where only an engine can."""
        raise EngineError(f"{self} is reached by the engine of the run only.")

    @abstractmethod
    def remove(self) -> None:
        """Remove the folder with all that it holds, if it is there."""

    def copy(self, files: Sequence["Found"], folder: Path) -> None:
        """Copy files below this place into a folder of this machine, as they were found.

        Raises `EngineError` for one that has changed since or cannot be read, and where only an
        engine can.
        """
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def read_each(self, names: Sequence[str]) -> Iterator[bytes]:
        """Yield what files below this place hold, in this order. Raises `OSError` for one that is
        not there or cannot be read, and `EngineError` for a store that does not answer.
        """
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def at_hand(self, folder: Path) -> AbstractContextManager[Path]:
        """Yield where this file is on this machine: itself, or a copy in a folder, which is removed
        then. Raises what `read_each` raises.
        """
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def put(self, file: Path, like: Self, etag: str | None = None) -> str | None:
        """Move a file of a disk to this place, whole and to stay, with the time of another file
        where that can be told; return its etag in a store.

        Raises `OvertakenError` unless what is there has `etag`, where one is given.
        """
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def discard(self, names: Sequence[str]) -> None:
        """Remove files below this place that are there, in this order or together."""
        raise EngineError(f"{self} is reached by the engine of the run only.")

    def set_aside(self, destination: Self) -> None:
        """Move the folder to where none is. Killed in between it leaves files in both."""
        raise EngineError(f"{self} is reached by the engine of the run only.")

    @abstractmethod
    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock file at this place. Raises `TimeoutError` while somebody else does."""


@dataclass(frozen=True)
class Disk(Place):
    """A place on a disk of this machine."""

    location: Path
    is_local = True
    is_lockable = True

    @property
    def path(self) -> Path:
        """See `Place.path`. It is absolute: to PyArrow and delta-rs `a:b` is an address."""
        return self.location.absolute()

    @property
    def uri(self) -> str:
        return str(self.path)

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.location / name)

    def __str__(self) -> str:
        return str(self.location)

    def files(self, patterns: Iterable[str]) -> list[FileStatus]:
        return [
            FileStatus(
                path.relative_to(self.path).as_posix(),
                stat.st_size,
                stat.st_mtime_ns,
                changed_ns=stat.st_ctime_ns,
            )
            for path, stat in matching(self.path, patterns)
        ]

    def unmatched(self, patterns: Iterable[str], but: Place) -> Iterator[str]:
        nowhere = self.path / "_"  # hidden, so never looked at
        return unmatched(self.path, patterns, but.path if but.is_local else nowhere)

    def exists(self) -> bool:
        return self.path.exists()

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def move(self, destination: Place) -> None:
        destination.take(self.path)

    def link(self, destination: Self) -> None:
        destination.path.unlink(missing_ok=True)
        try:
            destination.path.hardlink_to(self.path)
        except OSError:  # not all file systems have links
            shutil.copy2(self.path, destination.path)

    def take(self, file: Path) -> None:
        file.replace(self.path)

    def remove(self) -> None:
        if self.path.is_dir():
            shutil.rmtree(self.path)

    def read_each(self, names: Sequence[str]) -> Iterator[bytes]:
        return ((self.path / name).read_bytes() for name in names)

    @contextmanager
    def at_hand(self, folder: Path) -> Iterator[Path]:
        yield self.path

    def put(self, file: Path, like: Self, etag: str | None = None) -> None:
        shutil.copystat(like.path, file)
        with file.open("rb") as content:
            os.fsync(content.fileno())
        file.replace(self.path)

    def discard(self, names: Sequence[str]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)

    def set_aside(self, destination: Self) -> None:
        destination.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.rename(destination.path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        with FileLock(self.path, timeout=0):
            yield


@dataclass(frozen=True)
class Elsewhere(Place):
    """A place that only an engine reaches, but for Delta tables, which every Delta reader does."""

    url: Remote
    is_local = False
    is_reached = False

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.url / name)

    def __str__(self) -> str:
        return str(self.url)

    @property
    def path(self) -> NoReturn:
        raise EngineError(f"{self} is not on this machine.")

    def files(self, patterns: Iterable[str]) -> NoReturn:
        raise self._out_of_reach()

    def unmatched(self, patterns: Iterable[str], but: Place) -> NoReturn:
        raise self._out_of_reach()

    def exists(self) -> NoReturn:
        raise self._out_of_reach()

    def make(self) -> None:
        """Stores know no folders."""

    def move(self, destination: Self) -> NoReturn:
        raise self._out_of_reach()

    def remove(self) -> NoReturn:
        raise self._out_of_reach()

    def lock(self) -> AbstractContextManager[None]:
        """Hold nothing: that one run writes at a time is the scheduler's duty."""
        return nullcontext()

    def _out_of_reach(self) -> EngineError:
        return EngineError(f"the files of {self} are reached by the engine of the run only.")


def place_of(location: Location) -> Place:
    """Return the place of a location: a disk of this machine, an object store, or elsewhere."""
    if not is_remote(location):
        return Disk(Path(location))
    if scheme_of(str(location)) not in (*STORES, *WEB):
        return Elsewhere(Remote(location))
    from streampro.storage.place.store import ObjectPlace

    return ObjectPlace(Remote(location))
