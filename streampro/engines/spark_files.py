"""Files wherever Spark reads and writes them, through Hadoop's `FileSystem`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from streampro.config import Location, Remote
from streampro.engine import InputFile
from streampro.engines.text import HIDDEN, no_file
from streampro.errors import EngineError
from streampro.pipeline import Source


@dataclass(frozen=True)
class Added:
    """A file as the log of a Delta table added it; `stats` is JSON."""

    path: Location
    size: int
    stats: str


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

    def added(self, folder: Location) -> Iterator[Added]:
        """Yield the files of a table that was written once."""
        path = self._path(folder / "_delta_log" / f"{0:020}.json")
        stream = self._system(path).open(path)
        try:
            log = self.jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
        finally:
            stream.close()
        for line in filter(None, log.split("\n")):
            if add := json.loads(line).get("add"):
                yield Added(folder / unquote(add["path"]), add["size"], add["stats"])

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
