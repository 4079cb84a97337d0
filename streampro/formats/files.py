"""The raw files of a source, as a run finds them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streampro.errors import EngineError, SourceError

if TYPE_CHECKING:
    from streampro.modeling.source import Source
    from streampro.storage.place import Place


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


def find(source: "Source", raw: "Place") -> tuple[InputFile, ...]:
    """Return the files of a source as they are now, in a fixed order, hidden ones left out.

    Raises `SourceError` if there are none, `EngineError` for a link to nowhere and for what may
    not be read.
    """
    try:
        if raw.is_local and not raw.path.is_dir():
            raise SourceError(f"the raw folder {raw} does not exist or is not a folder.")
        files = raw.files(source.files)
    except OSError as error:
        raise EngineError(
            f"source {source.name!r}: {error.filename} cannot be read: {error.strerror}. "
            "Nothing was published."
        ) from error
    if not files:
        raise SourceError(
            f"{raw} has no file {' or '.join(source.files)} for source {source.name!r}."
        )
    return tuple(
        InputFile(source.name, file.path, file.size, file.modified_ns, file.etag) for file in files
    )
