"""The raw files of a source, as a run finds them."""

import errno
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from streampro.errors import EngineError, SourceError
from streampro.formats.packing import beginning, created
from streampro.formats.registry import format_of
from streampro.names import WAREHOUSE, is_utf8

if TYPE_CHECKING:
    from streampro.modeling.source import Source
    from streampro.storage.place import Place


@dataclass(frozen=True)
class InputFile:
    """A raw file of a source as a run found it. `path` is relative to the raw folder.

    `etag` is what an object store calls this content of the file, or the name of a Delta table's,
    which is never written anew; null elsewhere. `changed_ns` is when a disk last changed anything
    of the file, which nobody can set; null in stores, and in ledgers of releases before 0.2.
    `version` is that of the Delta table in which a run found it, null for what is no file of one.
    """

    source: str
    path: str
    size: int
    modified_ns: int
    etag: str | None = None
    changed_ns: int | None = field(default=None, compare=False)
    version: int | None = field(default=None, compare=False)

    def is_still(self, found: "InputFile") -> bool:
        """Tell whether a file was not written anew since: by its etag where both have one, so
        that a copy of the same content is the same file; else by size and modification time, and
        by `changed_ns` where both have it.
        """
        if self.etag and found.etag:
            return (self.size, self.etag) == (found.size, found.etag)
        if None not in (self.changed_ns, found.changed_ns) and self.changed_ns != found.changed_ns:
            return False
        return (self.size, self.modified_ns) == (found.size, found.modified_ns)


def on_disk(sources: Iterable["Source"], raw: "Place", copy: "Place") -> Path:
    """Return a folder of this machine with the files of sources: the raw folder, or that of `copy`
    with a copy of what is in a store; of tables the log first, then the files of that version.
    Raises what `find` raises.
    """
    if raw.is_local:
        return raw.path
    for source in sources:
        logs = raw.files(format_of(source).logs(source))
        raw.copy(logs, copy.path)
        raw.copy(find(source, copy if logs else raw), copy.path)
    return copy.path


def changed(files: Iterable[InputFile], raw: Path) -> set[str]:
    """Return the paths of files on a disk that changed since they were found. One that is gone is
    not among them: whoever reads it will say so.
    """
    return {file.path for file in files if not _is_still(file, raw / file.path)}


def freeze(source: "Source", files: Iterable[InputFile], raw: Path, folder: Path) -> None:
    """Copy changing files on a disk into a folder, each up to the size with which it was found and
    to the end of its last whole record.

    Raises `SourceError` for one that cannot be read, or only as a whole.
    """
    form = format_of(source)
    for file in files:
        if form.is_whole:
            raise SourceError(
                f"{raw / file.path} changed while it was read. Write such files elsewhere, move "
                "them here when they are whole, and run again; nothing was published."
            )
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with created(place) as copy, beginning(raw / file.path, file.size) as text:
            copy.writelines(form.whole_records(source, text))


def _is_still(file: InputFile, path: Path) -> bool:
    try:
        stat = path.stat()
    except OSError:
        return True
    now = replace(
        file, size=stat.st_size, modified_ns=stat.st_mtime_ns, changed_ns=stat.st_ctime_ns
    )
    return file.is_still(now)


def find(source: "Source", raw: "Place") -> tuple[InputFile, ...]:
    """Return the files of a source as they are now, in a fixed order, hidden ones left out, and
    those of a warehouse below the raw folder.

    Raises `SourceError` if there are none, for one whose name no table can hold, for a link to
    nowhere and what is neither a file nor a folder, `EngineError` for what may not be read.
    """
    _refuse_no_folder(source, raw)
    try:
        files = list(format_of(source).found(source, raw))
        if raw.is_local and not format_of(source).is_table:
            files = [file for file in files if not _is_published(raw, file.path)]
    except OSError as error:
        kind = SourceError if _leads_nowhere(error) else EngineError
        raise kind(
            f"source {source.name!r}: {error.filename} cannot be read: {error.strerror}. "
            "Nothing was published."
        ) from error
    if not files and not format_of(source).is_table:
        raise SourceError(
            f"{raw} has no file {' or '.join(source.files)} for source {source.name!r}."
        )
    for file in files:
        if not is_utf8(file.path):
            raise SourceError(
                f"{raw} has a file {file.path!r}, whose name is not UTF-8: rename it."
            )
    return tuple(InputFile(source.name, **asdict(file)) for file in files)


def _refuse_no_folder(source: "Source", raw: "Place") -> None:
    """Raise `SourceError` unless the raw folder of a source, on a disk, is there."""
    try:
        is_there = not raw.is_local or raw.path.is_dir()
    except OSError as error:
        raise SourceError(
            f"source {source.name!r}: the raw folder {raw} cannot be read: {error.strerror}."
        ) from error
    if not is_there:
        raise SourceError(
            f"source {source.name!r}: the raw folder {raw} does not exist or is not a folder."
        )


def _leads_nowhere(error: OSError) -> bool:
    """Tell whether there is nothing to read where one looked, however often one looks."""
    is_link = error.errno == errno.ENOENT and Path(error.filename or "").is_symlink()
    return is_link or error.errno in (errno.EINVAL, errno.ELOOP, errno.ENOTDIR)


def _is_published(raw: "Place", path: str) -> bool:
    """Tell whether a file below the raw folder is one of a warehouse there."""
    return any((raw.path / each / WAREHOUSE).is_dir() for each in [*PurePath(path).parents][:-1])
