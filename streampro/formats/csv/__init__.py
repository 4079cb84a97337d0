"""CSV by RFC 4180, or in the dialect that a source declares."""

import codecs
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, BinaryIO

from streampro.formats.csv.dialect import BLANK, Dialect, dialect_of
from streampro.formats.csv.records import read_records, says_delimiter, with_byte_order
from streampro.formats.format import Format, LocalText
from streampro.formats.packing import created, opened

if TYPE_CHECKING:
    from streampro.modeling.source import Source

_CHUNK = 256 * 1024


class Csv(Format):
    """CSV with a row of titles, or a header in its dialect; a record may go over several lines."""

    name = "csv"
    revision = 3
    may_be_empty = True  # the header alone is a table
    grows = True

    def wanted_path(self, name: str, path: Sequence[str]) -> str | None:
        """See `Format.wanted_path`: a column has no parts, and the name that the header gives."""
        if tuple(path) == (name,):
            return None
        return f"{(name,)!r}: a column of CSV has no parts, and is named as in the header"

    def wanted_dialect(self, source: "Source") -> str | None:
        """See `Format.wanted_dialect`: its header has all columns that are read or secret."""
        header = dialect_of(source).header
        missing = [
            name for name in (*source.fields, *source.secret) if header and name not in header
        ]
        return f"one whose header has {missing[0]!r}" if missing else None

    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """See `Format.secret_fields`: columns have the names that the header gives them."""
        return tuple(name for name in source.fields if name in source.secret)

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: all records are rewritten, as they are split."""
        from streampro.formats.rewrite import rewrite

        records = (record for path in paths for record in _records_of(source, path, raw))
        return rewrite(scratch, [*source.fields, "raw_line", "source_file"], records)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`."""
        with opened(path) as file:
            for number, (text,), _ in read_records(
                file, dialect_of(source), (), str(path), source.secret
            ):
                yield number, text

    def whole_records(self, source: "Source", file: BinaryIO) -> Iterator[bytes]:
        """See `Format.whole_records`."""
        return _whole_records(file, dialect_of(source))

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`: the header and a growing share of the records; the last is a copy."""
        with opened(path) as packed:
            records = [*self.whole_records(source, packed)]
        for number, place in enumerate(places[:-1], 1):
            share = max(1, int(len(records) * (number / len(places))))
            with created(place) as file:
                file.writelines(records[:share])
        shutil.copy2(path, places[-1])


CSV = Csv()


def _records_of(source: "Source", path: Path, raw: Path) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Yield a row per record of a file, the source's fields, the raw line and the file; and
    whether bytes of it were replaced.
    """
    name, columns = path.relative_to(raw).as_posix(), [*source.fields]
    with opened(path) as file:
        for _, row, invalid in read_records(
            file, dialect_of(source), columns, str(path), source.secret
        ):
            yield (*row, name), invalid


def _whole_records(file: BinaryIO, dialect: Dialect) -> Iterator[bytes]:
    """Yield the bytes of every record of an unpacked file that ends with its line, after those of
    the lines before it that are no records.
    """
    held, is_quoted, passed = list[bytes](), False, dialect.skip
    codec, lines = _byte_lines(file, dialect.codec)
    end, quote, comment = "\n".encode(codec), dialect.quote, dialect.comment
    for number, line in enumerate(lines):
        text = line.decode(codec, "replace")
        if not number:
            text = text.removeprefix("\ufeff")
            passed = max(passed, says_delimiter(text, dialect))
        held.append(line)
        is_comment = bool(comment) and text.startswith(comment or "")
        is_blank = dialect.delimiter not in text and not text.strip(BLANK)
        if not is_quoted and (number < passed or is_comment or is_blank):
            continue
        is_quoted ^= quote is not None and text.count(quote) % 2 == 1
        if not is_quoted and line.endswith(end):
            yield b"".join(held)
            held = []


def _byte_lines(file: BinaryIO, codec: str) -> tuple[str, Iterator[bytes]]:
    """Return the codec of a file, with the byte order that it says, and its lines."""
    head = file.read(len(codecs.BOM_UTF32))
    codec = with_byte_order(codec, head)
    return codec, _split(head, file, "\n".encode(codec))


def _split(head: bytes, file: BinaryIO, end: bytes) -> Iterator[bytes]:
    """Yield the first bytes and the rest of a file in lines, whose end stands at a multiple of its
    length.
    """
    held, width = b"", len(end)
    for chunk in chain((head,), iter(partial(file.read, _CHUNK), b"")):
        looked, begins = max(0, len(held) - width + 1), 0
        held += chunk
        while (at := held.find(end, looked)) >= 0:
            looked = at + 1
            if at % width == begins % width:
                looked = at + width
                yield held[begins:looked]
                begins = looked
        held = held[begins:]
    if held:
        yield held
