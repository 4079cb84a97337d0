"""Packed files: their first bytes tell how they are packed, not their names.

What `gzip -t` takes is read; what other programs pack, what is no text at all, and lines of JSON
that end in CR alone, are refused by name.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from streampro.errors import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

GZIP = "gzip"
HEAD = 1024
"""First bytes of a file that tell how it is packed, and of gzip also what is packed."""
_FIRST_BYTES = {
    GZIP: rb"\x1f\x8b",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",
    "compress": rb"\x1f[\x9d\xa0]",
    "lz4": rb"(\x04\x22M|\x02!L)\x18",
    "lzip": rb"LZIP\x01",
    "lzma": rb"\]\0\0",
    "lzop": rb"\x89LZO\0",
    "rar": rb"Rar!\x1a\x07",
    "snappy": rb"\xff\x06\x00\x00sNaPpY",
    "xz": rb"\xfd7zXZ\x00",
    "zip": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2aM\x18",
    "7-Zip": rb"7z\xbc\xaf\x27\x1c",
    "tar": rb".{257}ustar[\0 ]",
    "zlib": rb"x[\x01\x5e\x9c\xda](?=.{0,64}[\0-\x08\x0e-\x1a])",
}
_NO_TEXT = {
    "Arrow": rb"ARROW1\0\0",
    "Avro": rb"Obj\x01",
    "Excel": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "GIF": rb"GIF8[79]a(?=.{0,8}[\0-\x08])",
    "HDF5": rb"\x89HDF\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "NumPy": rb"\x93NUMPY",
    "ORC": rb"ORC(?=.{0,64}[\0-\x08])",
    "Parquet": rb"PAR1[\0-\x08\x0e-\x1f]",
    "PDF": rb"%PDF-\d",
    "pickle": rb"\x80[\x02-\x05](?=.{0,16}[\0-\x08])",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "SQLite": rb"SQLite format 3\0",
}
"""First bytes of files that hold no lines; those of a newer Excel are a zip."""
JOINED = r"[}\]][ \t]*\r[ \t\r]*[{\[]"
"""What stands between lines of JSON that end in CR alone: no JSON has such a pair of brackets."""
SUFFIX = ".gz"
_MARK = b"\x1f\x8b"
"""First bytes of a gzip file: with fewer nobody can tell what a file is."""
_CHUNK = 64 * 1024
_BUFFER = 256 * 1024
_WITH_HEADER = 31
"""Tells zlib to read the header of a gzip member, and to check its sums."""
_WITH_NAME = b"\x08"
"""The one flag of a gzip header that every fast reader knows: a file's name follows."""


class Unpacked(BufferedReader):
    """The unpacked bytes of a gzip file, one member after the other, each with its check sum."""

    def __init__(self, file: BinaryIO, is_cut: bool = False) -> None:
        self._members = _Members(file, is_cut)
        super().__init__(self._members, _BUFFER)

    @property
    def is_usual(self) -> bool:
        """Whether every reader of gzip knows what was read so far: no padding, no odd headers."""
        return self._members.is_usual


def packing_of(head: bytes, name: str) -> str | None:
    """Return how a text file is packed, of which `head` are the first bytes: `gzip`, or None.

    A file without a byte is not packed, whatever its name says. Raises `SourceError` for every
    other packing, also within gzip, for what is no text, and for what `.gz` is said of without
    being it.
    """
    kind = _kind(head, _FIRST_BYTES)
    if kind is None and head and name.lower().endswith(SUFFIX):
        raise _unreadable(name, "its name says gzip, but its first bytes do not")
    _refuse_other(head, kind if kind != GZIP else None, name)
    if kind == GZIP and (packed := _first_unpacked(head)):
        _refuse_other(packed, _kind(packed, _FIRST_BYTES), name, ", within gzip")
    return kind


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a raw file and yield what it holds, unpacked.

    Raises `SourceError` for a file that cannot be read or unpacked.
    """
    with readable(str(path)), path.open("rb") as file:
        yield unpacked(file, str(path))


@contextmanager
def beginning(path: Path, size: int) -> Iterator[BinaryIO]:
    """Open a raw file and yield what its first bytes hold, as far as they can be unpacked.

    Raises `SourceError` for a file that cannot be read or unpacked.
    """
    with readable(str(path)), path.open("rb") as file:
        bounded = BufferedReader(_Bounded(file, size))
        head = bounded.peek(HEAD)[:HEAD]
        is_packed = (
            packing_of(head, str(path)) if len(head) >= len(_MARK) else _MARK.startswith(head)
        )
        yield cast(
            BinaryIO, Unpacked(cast(BinaryIO, bounded), is_cut=True) if is_packed else bounded
        )


def created(path: Path) -> BinaryIO:
    """Return a new file to write to, packed by gzip if its name says so."""
    opener = gzip.open if path.name.lower().endswith(SUFFIX) else open
    return cast(BinaryIO, opener(path, "wb"))


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raise `SourceError` for what cannot be read or unpacked of a file."""
    try:
        yield
    except (OSError, EOFError) as error:
        raise _unreadable(name, str(error)) from error
    except zlib.error as error:
        raise _unreadable(name, str(error).rpartition(": ")[2]) from error


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """Return a file at its beginning, unpacked if it is packed. Raises what `packing_of` raises."""
    head = file.read(HEAD)
    file.seek(0)
    return cast(BinaryIO, Unpacked(file)) if packing_of(head, name) else file


def _refuse_other(head: bytes, packing: str | None, name: str, where: str = "") -> None:
    """Raise `SourceError` for a packing, and for first bytes that are of no text."""
    if packing:
        raise SourceError(
            f"{name} cannot be read: it is packed by {packing}{where}, as its first bytes say. "
            "Unpack it, or pack it by gzip. Nothing was published."
        )
    if re.search(JOINED.encode(), head.partition(b"\n")[0]):
        raise in_one_line(name)
    if kind := _kind(head, _NO_TEXT):
        hint = "Name the format of its source" if kind == "Parquet" else "Write its rows as lines"
        raise SourceError(
            f"{name} cannot be read: it is a file of {kind}{where}, as its first bytes say, and "
            f"holds no lines. {hint}, or leave it out of `files`. Nothing was published."
        )


def in_one_line(place: str) -> SourceError:
    """Return the error for a file without a line end that counts."""
    return SourceError(
        f"{place} has lines that end in CR alone, as old programs write them, so all of it is one "
        "line. Save it with LF or CR LF; nothing was published."
    )


def _kind(head: bytes, kinds: Mapping[str, bytes]) -> str | None:
    found = (kind for kind, start in kinds.items() if re.match(start, head, re.DOTALL))
    return next(found, None)


def _first_unpacked(head: bytes) -> bytes:
    """Return what the first bytes of a gzip file hold, nothing where they are spoiled."""
    try:
        return zlib.decompressobj(_WITH_HEADER).decompress(head, HEAD)
    except zlib.error:
        return b""


def _unreadable(name: str, reason: str) -> SourceError:
    return SourceError(f"{name} cannot be read: {reason}. Nothing was published.")


class _Members(RawIOBase):
    """Unpacks gzip members one after the other; zeros may stand behind each. The last may be
    unfinished where `is_cut`.
    """

    def __init__(self, file: BinaryIO, is_cut: bool) -> None:
        self.file = file
        self.is_cut = is_cut
        self.packed = b""
        self.member: zlib._Decompress | None = None
        self.is_first = True
        self.is_usual = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer).cast("B")
        data = self._next(len(room))
        room[: len(data)] = data
        return len(data)

    def _next(self, limit: int) -> bytes:
        """Return the next bytes, none at the end."""
        while self.member or self._begin():
            if data := self._unpack(limit):
                return data
        return b""

    def _unpack(self, limit: int) -> bytes:
        """Return bytes of the member at hand, none where it ends or more is needed."""
        assert self.member
        if not (self.packed or self._more()):
            if not self.is_cut:
                raise EOFError("it ends in the middle of a gzip member")
            self.member = None
            return b""
        data = self.member.decompress(self.packed, limit)
        self.packed = self.member.unconsumed_tail
        if self.member.eof:
            self.packed, self.member = self.member.unused_data, None
        return data

    def _begin(self) -> bool:
        """Begin the next member; return whether there is one."""
        self._pass_over_zeros()
        if len(self.packed) < HEAD:
            self._more()
        if not self.packed or (self.is_cut and len(self.packed) < len(_MARK)):
            return False
        if not self.packed.startswith(_MARK):
            raise EOFError("behind its last gzip member stands something else")
        self.is_usual &= self.packed[3:4] in (b"\0", _WITH_NAME)
        self.member, self.is_first = zlib.decompressobj(_WITH_HEADER), False
        return True

    def _more(self) -> bool:
        """Read more of the file; return whether there is more."""
        more = self.file.read(_CHUNK)
        self.packed += more
        return bool(more)

    def _pass_over_zeros(self) -> None:
        while not self.is_first:
            self.packed or self._more()
            kept = self.packed.lstrip(b"\0")
            self.is_usual &= len(kept) == len(self.packed)
            was_all_zeros = bool(self.packed) and not kept
            self.packed = kept
            if not was_all_zeros:
                break


class _Bounded(RawIOBase):
    """The first bytes of a file, however long it has become."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer).cast("B")[: self.left]
        data = self.file.read(len(room))
        room[: len(data)] = data
        self.left -= len(data)
        return len(data)
