"""The raw files of a source, as a run finds them."""

from dataclasses import dataclass
from pathlib import Path

from streampro.config import Location
from streampro.errors import SourceError
from streampro.modeling.source import Source

HIDDEN = ("_", ".")
"""How names begin that Spark passes over, so that every engine does."""


@dataclass(frozen=True)
class InputFile:
    """A raw file of a source as a run found it. `path` is relative to the raw folder.

    `etag` is what an object store calls this content of the file; null elsewhere.
    """

    source: str
    path: str
    size: int
    modified_ns: int
    etag: str | None = None

    def is_still(self, found: "InputFile") -> bool:
        """Tell whether a file was not written anew since: by its etag where both have one, so
        that a copy of the same content is the same file; else by size and modification time.
        """
        if self.etag and found.etag:
            return (self.size, self.etag) == (found.size, found.etag)
        return (self.size, self.modified_ns) == (found.size, found.modified_ns)


def find(source: Source, raw: Path) -> list[Path]:
    """Return the files of a source in a fixed order, hidden ones left out.

    Raises `SourceError` if there are none.
    """
    if not raw.is_dir():
        raise SourceError(f"the raw folder {raw} does not exist or is not a folder.")
    found = {
        path
        for pattern in source.files
        for path in raw.glob(pattern)
        if path.is_file() and not path.name.startswith(HIDDEN)
    }
    if not found:
        raise no_file(source, raw)
    return sorted(found)


def no_file(source: Source, raw: Location) -> SourceError:
    """Return the error for a source of which a raw folder has no file."""
    return SourceError(f"{raw} has no file {' or '.join(source.files)} for source {source.name!r}.")


def input_files(source: Source, raw: Path) -> tuple[InputFile, ...]:
    """Return the files of a source as they are now. Raises `SourceError` if there are none."""
    return tuple(_fingerprint(source, path, raw) for path in find(source, raw))


def relative(path: Path, raw: Path) -> str:
    """Return the path of a file below the raw folder."""
    return path.relative_to(raw).as_posix()


def _fingerprint(source: Source, path: Path, raw: Path) -> InputFile:
    try:
        stat = path.stat()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. Nothing was published.") from error
    return InputFile(source.name, relative(path, raw), stat.st_size, stat.st_mtime_ns)
