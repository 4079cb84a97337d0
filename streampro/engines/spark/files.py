"""Files wherever Spark reads and writes them: through Hadoop's `FileSystem`, or on a disk that this
process shares with a Spark elsewhere.
"""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from streampro.errors import ConfigError, EngineError
from streampro.formats.packing import HEAD
from streampro.formats.parquet.footers import last_bytes
from streampro.location import Location, is_remote
from streampro.storage.place import Disk, FileStatus, Place, place_of
from streampro.storage.place.matching import any_depth_below, fits, left_over

_USUAL_FOOTER = 64 * 1024
_LOOKED_AT = 10_000
"""Files of a store that are looked at to tell which are not read."""

_UNPACKED = frozenset((".bz2", ".deflate", ".gz", ".lz4", ".snappy", ".zst"))
"""The ends of names by which Hadoop unpacks files, unless it is told of further ones."""


class SparkPlace(Place):
    """A place that Spark reads and writes."""

    @abstractmethod
    def ends(self, size: int) -> tuple[bytes, bytes]:
        """Return the first bytes of a file of a size, by which its packing is told, and its last
        one.
        """

    @abstractmethod
    def tail(self, size: int, length: int) -> bytes:
        """Return the last bytes of a file of a size."""

    @abstractmethod
    def is_unpacked(self) -> bool:
        """Tell whether Spark unpacks a file of this name."""

    @abstractmethod
    def written(self) -> Iterator[tuple[Self, int, pq.FileMetaData]]:
        """Yield place, size and footer of the parquet files that Spark wrote below the folder."""


@dataclass(frozen=True)
class _Classes:
    """What is called in Java."""

    path: Any
    codecs: Any
    read: Any
    has_etag: Any


@lru_cache(maxsize=1)
def _classes(jvm: Any) -> _Classes:
    """Return what is called, looked up once: Java looks for a class of the name of every package
    on the way in all of Spark's jars.
    """
    hadoop = jvm.org.apache.hadoop
    return _Classes(
        path=hadoop.fs.Path,
        codecs=hadoop.io.compress.CompressionCodecFactory,
        read=jvm.org.apache.commons.io.IOUtils.toByteArray,
        has_etag=jvm.java.lang.Class.forName("org.apache.hadoop.fs.EtagSource"),
    )


class Files:
    """The file systems that a Spark session reaches, through Hadoop."""

    def __init__(self, spark: Any) -> None:
        self.configuration = spark._jsc.hadoopConfiguration()
        self.java = _classes(spark._jvm)

    def place(self, location: Location) -> "HadoopPlace":
        """Return a location as Spark reaches it."""
        return HadoopPlace(self, place_of(location))

    def path(self, text: str) -> Any:
        """Return Hadoop's path of a text."""
        return self.java.path(text)

    def system(self, path: Any) -> Any:
        """Return the file system of one of Hadoop's paths."""
        return path.getFileSystem(self.configuration)

    def etag(self, status: Any) -> str | None:
        """Return how an object store names the content of a file, None where nothing does."""
        return status.getEtag() if self.java.has_etag.isInstance(status) else None

    def footer(self, status: Any) -> pq.FileMetaData:
        """Read the footer of a parquet file: its length stands in the four bytes before the last
        four.
        """
        size = status.getLen()
        end = self._tail(status, min(size, _USUAL_FOOTER))
        needed = int.from_bytes(end[-8:-4], "little") + 8
        return pq.read_metadata(BytesIO(end if needed <= len(end) else self._tail(status, needed)))

    def has_codec(self, path: Any) -> bool:
        """Tell whether Hadoop unpacks a file of this name."""
        return self.java.codecs(self.configuration).getCodec(path) is not None

    def _tail(self, status: Any, length: int) -> bytes:
        stream = self.system(status.getPath()).open(status.getPath())
        try:
            stream.seek(status.getLen() - length)
            return bytes(self.java.read(stream))
        finally:
            stream.close()


@dataclass(frozen=True)
class HadoopPlace(SparkPlace):
    """A place that Spark reaches: on a disk, or in whatever store its session knows."""

    reached_by: Files
    place: Place

    @property
    def is_local(self) -> bool:  # type: ignore[override]  # known of a place when it is made
        """Whether it is on a disk of this machine."""
        return self.place.is_local

    @property
    def path(self) -> Path:
        return self.place.path

    @property
    def uri(self) -> str:
        """The location in full, with its file system and no character replaced."""
        return str(self._system.makeQualified(self._path).toString())

    @property
    def delta_uri(self) -> str:
        return self.place.delta_uri

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.reached_by, self.place / name)

    def __str__(self) -> str:
        return str(self.place)

    def files(self, patterns: Iterable[str]) -> list[FileStatus]:
        if self.is_local:
            return self.place.files(patterns)
        root = self._plain
        found = {
            FileStatus(
                path,
                status.getLen(),
                status.getModificationTime() * 1_000_000,
                self.reached_by.etag(status),
            )
            for pattern in patterns
            for status in self._matching(pattern)
            for path in (status.getPath().toUri().getPath().removeprefix(f"{root}/"),)
            if status.isFile() and fits(path, pattern)
        }
        return sorted(found, key=lambda file: file.path)

    def unmatched(self, patterns: Iterable[str], but: Place) -> Iterator[str]:
        """See `Place.unmatched`. In a store only the first files are looked at."""
        if self.is_local:
            return self.place.unmatched(patterns, but)
        root = f"{self._plain}/"
        below = (str(each.getPath().toUri().getPath()) for each in self._files_below())
        paths = (
            path.removeprefix(root)
            for path in islice(below, _LOOKED_AT)
            if not isinstance(but, HadoopPlace) or not path.startswith(f"{but._plain}/")
        )
        return left_over(paths, patterns)

    def exists(self) -> bool:
        return bool(self._system.exists(self._path))

    def make(self) -> None:
        self.place.make()

    def move(self, destination: Self) -> None:
        """See `Place.move`. Raises `EngineError` when that fails."""
        new = destination._path
        self._system.mkdirs(new.getParent())
        if not self._system.rename(self._path, new):
            raise EngineError(f"{self} cannot be moved to {destination}.")

    def remove(self) -> None:
        self._system.delete(self._path, True)

    def lock(self) -> AbstractContextManager[None]:
        return self.place.lock()

    def ends(self, size: int) -> tuple[bytes, bytes]:
        stream = self._system.open(self._path)
        read = self.reached_by.java.read
        try:
            head = bytes(read(stream, min(size, HEAD)))
            stream.seek(max(0, size - 1))
            return head, bytes(read(stream, min(size, 1)))
        finally:
            stream.close()

    def tail(self, size: int, length: int) -> bytes:
        if self.is_local:
            return last_bytes(self.path, size, length)
        stream = self._system.open(self._path)
        try:
            stream.seek(size - length)
            return bytes(self.reached_by.java.read(stream))
        finally:
            stream.close()

    def is_unpacked(self) -> bool:
        return self.reached_by.has_codec(self._path)

    def written(self) -> Iterator[tuple[Self, int, pq.FileMetaData]]:
        start = f"{self._plain}/"
        for status in self._files_below():
            path = str(status.getPath().toUri().getPath())
            if path.endswith(".parquet"):
                below = self / path.removeprefix(start)
                yield below, status.getLen(), self.reached_by.footer(status)

    @property
    def _plain(self) -> str:
        """The path without its file system."""
        return str(self._path.toUri().getPath()).rstrip("/")

    @property
    def _path(self) -> Any:
        full = f"file:{self.path.absolute()}" if self.is_local else str(self)
        return self.reached_by.path(full)

    @property
    def _system(self) -> Any:
        return self.reached_by.system(self._path)

    def _matching(self, pattern: str) -> Iterable[Any]:
        """Return what may match a pattern: to Hadoop `**` is one folder, and braces are choices."""
        top = any_depth_below(pattern)
        if top is None:
            braces = re.sub(r"([{}])", r"\\\1", pattern)
            path = self.reached_by.path(f"{escaped(self.uri)}/{braces}")
            return list(self._system.globStatus(path) or ())
        folder = self / top if top else self
        return folder._files_below() if folder.exists() else ()

    def _files_below(self) -> Iterator[Any]:
        found = self._system.listFiles(self._path, True)
        while found.hasNext():
            yield found.next()


class SharedDisk(Disk, SparkPlace):
    """A place on a disk that both this process and Spark, elsewhere, have under one path."""

    @property
    def uri(self) -> str:
        """The location in full, with its file system and no character replaced, as of Hadoop."""
        return f"file:{self.path}"

    def ends(self, size: int) -> tuple[bytes, bytes]:
        with self.path.open("rb") as file:
            head = file.read(min(size, HEAD))
            file.seek(max(0, size - 1))
            return head, file.read(min(size, 1))

    def tail(self, size: int, length: int) -> bytes:
        return last_bytes(self.path, size, length)

    def is_unpacked(self) -> bool:
        return self.path.suffix in _UNPACKED

    def written(self) -> Iterator[tuple[Self, int, pq.FileMetaData]]:
        for path in sorted(self.path.rglob("*.parquet")):
            if not path.name.startswith((".", "_")):
                yield type(self)(path), path.stat().st_size, pq.read_metadata(path)


class SharedDisks:
    """The folders that this process and the server have under one path."""

    def place(self, location: Location) -> SharedDisk:
        """Return a folder. Raises `ConfigError` for a store."""
        if is_remote(location):
            raise ConfigError(
                f"{location}: by Spark Connect, files are reached on a disk that this machine "
                "and Spark share. Name a folder there, or run with spark-submit."
            )
        return SharedDisk(Path(location))


def escaped(path: str) -> str:
    """Return a path that Hadoop does not take for a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
