"""What is known of a raw format, whatever the engine that reads it.

A new format is a module beside this one with a `Format` of its own, its entry in
`registry.FORMATS`, and a reader per engine: an entry in `READERS` of
`engines/<engine>/readers.py`. Nothing else asks which format a source has.

Spark's Python workers import these modules, and have neither ibis nor pydantic: at import time
they need the standard library only.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from streampro.errors import SourceError
from streampro.names import wanted_pattern

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source
    from streampro.storage.place import FileStatus, Place

RAW_COLUMNS = ("raw_line", "source_file")
"""Every record's text, and the file it stands in, relative to the raw folder."""
LONGEST_LINE = 16 * 1024 * 1024
"""Bytes of the longest line that is read; a longer one is an error, not a rejected line."""


@dataclass(frozen=True)
class LocalText:
    """Files of a source on a local disk, counted in plain Python and ready for a fast reader.

    `plain` are files that such a reader reads by the rules as they are, `packed` those that it
    does when it unpacks them by gzip; `rewritten` is a parquet file with the records of all the
    others: their columns as text. `lines` counts what is not blank, also `by_file`,
    `invalid_utf8` in how many of them bytes were replaced by U+FFFD. Of a source with `rows` the
    elements of its lists are counted so, and `holding` the lines that hold them.
    """

    lines: int
    plain: tuple[Path, ...] = ()
    packed: tuple[Path, ...] = ()
    rewritten: Path | None = None
    invalid_utf8: int = 0
    by_file: Mapping[str, int] = field(default_factory=dict)
    holding: int | None = None


@dataclass(frozen=True)
class Placed:
    """A row where it stands in its file.

    Attributes:
        number: the line on which it begins, the first is 1.
        key: by what it is known, see `Format.known_by`.
        text: its `raw_line`.
        element: its place in a list, from 0; null where it stands in none.
        row: its key in a table of a database, such as `id=5`; null elsewhere, and without a key.
    """

    number: int
    key: str
    text: str
    element: int | None = None
    row: str | None = None


class Format(ABC):
    """How raw files of one kind become rows.

    Attributes:
        name: what `Source.format` says.
        revision: raise it with every change after which a file is read as other rows. It is part
            of the code hash of the models that read such a source, so they are then built anew.
            `tests/formats/test_format.py` fails for a change without it.
        may_be_empty: whether files of a source without one record are an answer, not a fault.
        grows: whether records are added to a file of its kind by writing the file anew, and not
            by a further file.
        is_table: whether `Source.files` names tables, which tell their files themselves.
        is_database: whether these are in databases, so that nothing is in the raw folder.
        gone: what is said of a file that is no more there.
        is_whole: whether a file is only read as a whole: of one that changes meanwhile nothing is.
        holds_lists: whether a source may have `rows`.
        joined: what stands in a line, as a regular expression, that is several ones with CR alone
            between them; None where no line tells.
    """

    name: ClassVar[str]
    revision: ClassVar[int] = 0
    may_be_empty: ClassVar[bool]
    grows: ClassVar[bool]
    is_table: ClassVar[bool] = False
    is_database: ClassVar[bool] = False
    gone: ClassVar[str] = "vanished"
    is_whole: ClassVar[bool] = False
    holds_lists: ClassVar[bool] = False
    joined: ClassVar[str | None] = None

    def columns(self, source: "Source") -> "dict[str, str | dt.DataType]":
        """Return names and types of the table that a transform receives."""
        raw = dict.fromkeys(RAW_COLUMNS, "string")
        return source.kinds | raw | dict(self.own_columns(source))

    def own_columns(self, source: "Source") -> Mapping[str, str]:
        """Return names and types of columns that it adds to fields and raw columns."""
        return {}

    def tells_readable(self, source: "Source") -> str | None:
        """Return the one of them that is false for a record of which nothing can be read, None
        where every record can.
        """
        return None

    def known_by(self, source: "Source") -> Sequence[str]:
        """Return the columns that tell a row from others of its file, and what `Placed.key` has:
        the MD5 of the text, or what stands there instead, and the place in a list.
        """
        return ("raw_line",)

    def refused_type(self, kind: "dt.DataType") -> str | None:
        """Return why a field is not read as a type, None if it is; by default it is text."""
        return None if kind.is_string() else f"{self.name} is read as text: cast it in a model"

    def found(self, source: "Source", raw: "Place") -> "Sequence[FileStatus]":
        """Return the files of a source as they are now; by default those that match its patterns.

        Raises `OSError` for what cannot be looked at.
        """
        return raw.files(source.files)

    def patterns(self, source: "Source") -> Sequence[str]:
        """Return the glob patterns of what belongs to a source below the raw folder."""
        return source.files

    def logs(self, source: "Source") -> Sequence[str]:
        """Return the glob patterns of the files that tell which are those of a source; none where
        its folders do.
        """
        return ()

    def wanted_file(self, file: str) -> str | None:
        """Return what one of `Source.files` must be, None if it can be looked for."""
        return wanted_pattern(file)

    def stored_as(self, source: "Source", path: str) -> str:
        """Return where below the folder of a source a file of it is."""
        return path

    def wanted_path(self, name: str, path: Sequence[str]) -> str | None:
        """Return what the path of a field must be, None if it can be read; each is, by default."""
        return None

    def wanted_dialect(self, source: "Source") -> str | None:
        """Return what the dialect of a source must be, None if it is right."""
        return None if source.dialect is None else "left out: it is for format 'csv'"

    @abstractmethod
    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """Return the fields whose values are those of a secret, or stand within one."""

    @abstractmethod
    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """Count the records of files of a source, and rewrite into `scratch` what needs it.

        Raises `SourceError` for a missing or unreadable file, column or an overlong line.
        """

    @abstractmethod
    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """Yield of every record the number of the line on which it begins, the first is 1, and
        its `raw_line`.
        """

    def whole_records(self, source: "Source", file: BinaryIO) -> Iterator[bytes]:
        """Yield the bytes of every record of an unpacked file that ends with its line; each line
        is one, by default.
        """
        held = b""
        while line := file.readline(LONGEST_LINE):
            held += line
            if line.endswith(b"\n"):
                yield held
                held = b""

    def placed(self, source: "Source", path: Path) -> Iterator[Placed]:
        """Yield the rows of a file."""
        for number, text in self.numbered(source, path):
            yield Placed(number, digest(text), text)

    @abstractmethod
    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """Deal the records of a file out to new files, whose folders are there.

        If the format `grows`, each holds more than the one before and the last one everything.
        Else each record stands in a random one of them, some in two.
        """


def digest(text: str) -> str:
    """Return what `hexdigest('md5')` says of a text on every engine."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def overlong(line: str) -> SourceError:
    """Return the error for a line beyond `LONGEST_LINE`; `line` says which."""
    return SourceError(
        f"{line} is longer than {LONGEST_LINE // 1024**2} MiB. Split or remove it, or save the "
        "file with LF if its lines end in CR alone; nothing was published."
    )
