"""Files wherever Spark reads and writes them, through Hadoop's `FileSystem`."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from streampro.config import Location, Remote
from streampro.errors import EngineError
from streampro.formats.files import HIDDEN, InputFile, no_file
from streampro.modeling.source import Source

_USUAL_FOOTER = 64 * 1024


class Files:
    """The file systems that a Spark session reaches."""

    def __init__(self, spark: Any) -> None:
        self.jvm = spark._jvm
        self.configuration = spark._jsc.hadoopConfiguration()

    def uri(self, place: Location) -> str:
        """Return a place in full, with its file system and no character replaced."""
        path = self._path(place)
        return str(self._system(path).makeQualified(path).toString())

    def path(self, place: Location) -> str:
        """Return a place within its file system, no character replaced."""
        return str(self._path(place).toUri().getPath())

    def find(self, source: Source, raw: Remote) -> tuple[InputFile, ...]:
        """Return the files of a source in a fixed order. Raises `SourceError` if there are none."""
        root = self.path(raw).rstrip("/")
        found = {
            InputFile(
                source.name,
                status.getPath().toUri().getPath().removeprefix(f"{root}/"),
                status.getLen(),
                status.getModificationTime() * 1_000_000,
                self._etag(status),
            )
            for pattern in source.files
            for status in self._matching(raw, pattern)
            if status.isFile() and not status.getPath().getName().startswith(HIDDEN)
        }
        if not found:
            raise no_file(source, raw)
        return tuple(sorted(found, key=lambda file: file.path))

    def exists(self, place: Location) -> bool:
        """Tell whether there is a file or folder."""
        path = self._path(place)
        return bool(self._system(path).exists(path))

    def written(self, folder: Location) -> Iterator[tuple[Location, int, pq.FileMetaData]]:
        """Yield path, size and footer of the parquet files that Spark wrote below a folder."""
        top = self._path(folder)
        system = self._system(top)
        found = system.listFiles(top, True)
        while found.hasNext():
            status = found.next()
            path, size = status.getPath(), status.getLen()
            if path.getName().endswith(".parquet"):
                below = self._below(top, path)
                yield folder / below, size, self._footer(system, path, size)

    def move(self, source: Location, destination: Location) -> None:
        """Move a file within a file system. Raises `EngineError` when that fails."""
        old, new = self._path(source), self._path(destination)
        system = self._system(new)
        system.mkdirs(new.getParent())
        if not system.rename(old, new):
            raise EngineError(f"{source} cannot be moved to {destination}.")

    def remove(self, folder: Location) -> None:
        """Remove a folder with all it holds, if it is there."""
        path = self._path(folder)
        self._system(path).delete(path, True)

    def _etag(self, status: Any) -> str | None:
        """Return how an object store names the content of a file, None where nothing does."""
        has_etag = self.jvm.java.lang.Class.forName("org.apache.hadoop.fs.EtagSource")
        return status.getEtag() if has_etag.isInstance(status) else None

    def _below(self, folder: Any, path: Any) -> str:
        start = str(folder.toUri().getPath()).rstrip("/") + "/"
        return str(path.toUri().getPath()).removeprefix(start)

    def _footer(self, system: Any, path: Any, size: int) -> pq.FileMetaData:
        """Read the footer alone: its length stands in the four bytes before the last four."""
        end = self._tail(system, path, size, min(size, _USUAL_FOOTER))
        needed = int.from_bytes(end[-8:-4], "little") + 8
        if needed > len(end):
            end = self._tail(system, path, size, needed)
        return pq.read_metadata(BytesIO(end))

    def _tail(self, system: Any, path: Any, size: int, length: int) -> bytes:
        stream = system.open(path)
        try:
            stream.seek(size - length)
            return bytes(self.jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def _matching(self, folder: Location, pattern: str) -> list[Any]:
        path = self._path(Remote(f"{escaped(self.uri(folder))}/{pattern}"))
        return list(self._system(path).globStatus(path) or ())

    def _system(self, path: Any) -> Any:
        return path.getFileSystem(self.configuration)

    def _path(self, place: Location) -> Any:
        full = f"file:{place.absolute()}" if isinstance(place, Path) else str(place)
        return self.jvm.org.apache.hadoop.fs.Path(full)


def escaped(path: str) -> str:
    """Return a path that Hadoop does not take for a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
