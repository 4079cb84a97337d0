"""Records of CSV in any dialect: the same code reads them on every engine."""

import codecs
import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from typing import Any, BinaryIO, cast

from streampro.errors import SourceError, did_you_mean
from streampro.formats.csv.dialect import BLANK, PLAIN, Dialect, seems, split_into
from streampro.formats.format import LONGEST_LINE
from streampro.formats.packing import in_one_line
from streampro.names import MASK

_LONE_CR = "\ud800"
_INVALID = "\ud801"
"""Stand for a CR within a record, and for bytes that the encoding does not have, until a record is
split; no decoded text holds these lone surrogates."""
_MARKED = "streampro.marked"
codecs.register_error(_MARKED, lambda error: (_INVALID, cast(UnicodeDecodeError, error).end))

_UTF_8, UTF_16, UTF_32 = "utf-8", "utf-16", "utf-32"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: UTF_32,
    codecs.BOM_UTF32_BE: UTF_32,
    codecs.BOM_UTF8: _UTF_8,
    codecs.BOM_UTF16_LE: UTF_16,
    codecs.BOM_UTF16_BE: UTF_16,
}
"""The longer ones first: one begins as another does."""
_SAID_DELIMITER = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE | re.DOTALL)
_LOOKED_AT = 20
"""Lines among which titles are looked for, to tell where they stand."""


def read_records(
    file: BinaryIO, dialect: Dialect, columns: Sequence[str], place: str, secret: Sequence[str] = ()
) -> Iterator[tuple[int, tuple[Any, ...], bool]]:
    """Yield per record of an unpacked file the number of the line on which it begins, the first is
    1; a row, the named columns and the raw line; and whether bytes of it were not of the encoding.

    Without a header in the dialect the first record that is not blank is the header. In the raw
    line columns named in `secret` are masked; all are, where a record has not as many fields as
    the header, so that nobody knows which is which. Raises `SourceError`, naming `place`, for a
    missing column, a secret one included, for one of `columns` that the header has twice, and for
    what is not written in the dialect: the error says in which it seems to be.
    """
    csv.field_size_limit(min(LONGEST_LINE, sys.maxsize))
    with _decoded(file, dialect, place) as text:
        lines, passed = _begun(text, dialect, place)
        records = _Records(lines, dialect, passed)
        header = _Header(records, dialect, columns, secret, place)
        try:
            titles = header.read()
            again = titles if len(titles) > 1 and not dialect.header else None
            for record, line, invalid in _readable(records, header, dialect):
                if record == again:
                    header.refuse_again()
                yield records.begins, (*map(record.__getitem__, header.places), line), invalid
        except csv.Error as error:
            raise SourceError(
                f"{place}, line {records.number} cannot be read as CSV "
                f"({'RFC 4180' if dialect == PLAIN else repr(dialect)}): {error}. "
                f"{header.advice()}Nothing was published."
            ) from error


def _decoded(file: BinaryIO, dialect: Dialect, place: str) -> TextIOWrapper:
    """Return the lines of a file, bytes that its encoding does not have replaced by `_INVALID`.

    Raises `SourceError` if it begins with the byte order mark of another encoding.
    """
    peeked = file if isinstance(file, BufferedReader) else BufferedReader(cast(Any, file))
    head = peeked.peek(4)[:4]
    codec = with_byte_order(dialect.codec, head)
    found = next((mark for mark in _BYTE_ORDER_MARKS if head.startswith(mark)), None)
    own = "\ufeff".encode(codec, "replace")
    if found and not (head.startswith(own) and codec.startswith("utf")):
        raise _looks_like(
            f"{place} begins with the byte order mark of {_BYTE_ORDER_MARKS[found].upper()}, but "
            f"is read as {dialect.encoding}",
            replace(dialect, encoding=_BYTE_ORDER_MARKS[found]),
        )
    return TextIOWrapper(peeked, encoding=codec, errors=_MARKED, newline="\n")


def with_byte_order(codec: str, head: bytes) -> str:
    """Return the codec of a file with the byte order that its first bytes say."""
    if codec not in (UTF_16, UTF_32):
        return codec
    is_big = head.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    return f"{codec}-{'be' if is_big else 'le'}"


def _begun(lines: Iterator[str], dialect: Dialect, place: str) -> tuple[Iterator[str], int]:
    """Return the lines behind those that are passed over, and how many these are."""
    first = next(lines, "")
    if "\0" in first and not dialect.codec.startswith((UTF_16, UTF_32)):
        raise _looks_like(
            f"{place} has NUL bytes in its first line, as text in UTF-16 has",
            replace(dialect, encoding=UTF_16),
        )
    first = first.removeprefix("\ufeff")
    said = _SAID_DELIMITER.fullmatch(first)
    if said and said[1] not in (dialect.delimiter, dialect.quote) and not dialect.skip:
        raise _looks_like(
            f"{place} begins with {said[0].strip(BLANK)!r}, as spreadsheets write it, but is read "
            f"with the delimiter {dialect.delimiter!r}",
            replace(dialect, delimiter=said[1]),
        )
    passed = max(dialect.skip, says_delimiter(first, dialect))
    behind = chain((first,), lines) if first else lines
    return islice(behind, passed, None) if passed else behind, passed


def says_delimiter(line: str, dialect: Dialect) -> bool:
    """Tell whether a first line says the delimiter and nothing else."""
    said = _SAID_DELIMITER.fullmatch(line)
    return bool(said) and said[1] == dialect.delimiter if said else False


def _looks_like(what: str, meant: Dialect) -> SourceError:
    return SourceError(f"{what}. Write dialect={meant!r}; nothing was published.")


class _Records:
    """The records of lines of CSV.

    Attributes:
        number: of the last line that was read.
        begins: the line on which the last record begins.
        line: its text, as far as it stands on that line.
        is_plain: whether it is the whole record, and no sign of it stands for another.
    """

    def __init__(self, lines: Iterator[str], dialect: Dialect, passed: int) -> None:
        self.lines = lines
        self.dialect = dialect
        self.number = passed
        self.begins = 0
        self.line = ""
        self.is_plain = False
        self.held = ""
        self.iterator: Iterator[list[str]] = self._records()

    def __iter__(self) -> Iterator[list[str]]:
        return self.iterator

    def is_blank(self, record: list[str]) -> bool:
        """Tell whether a record of one field is a blank line, in which nothing is quoted."""
        is_empty = not "".join(record).strip(BLANK)
        return is_empty and (self.dialect.quote or _LONE_CR) not in self.line

    def put_back(self, record: list[str]) -> None:
        """Let the last record come once more."""
        self.iterator = chain((record,), self.iterator)

    def _records(self) -> Iterator[list[str]]:
        delimiter, comment = self.dialect.delimiter, self.dialect.comment
        quote = self.dialect.quote or _LONE_CR
        reader = csv.reader(self._fed(), strict=True, **self.dialect.options)
        for line in self.lines:
            self.begins = self.number = self.number + 1
            if comment and line.startswith(comment):
                continue
            text = line[:-1] if line.endswith("\n") else line
            if "\r" in text:
                text = text[:-1] if len(text) < len(line) and text.endswith("\r") else text
                self.is_plain = "\r" not in text
            else:
                self.is_plain = True
            self.line = text
            if self.is_plain and quote not in text and len(text) <= LONGEST_LINE:
                yield text.split(delimiter)
            else:
                self.is_plain, self.held = False, line
                yield next(reader)

    def _fed(self) -> Iterator[str]:
        """Yield the line at hand, and those that `csv` asks for because the record goes on. Every
        CR that does not end a line is replaced: `csv` sees an end in it.
        """
        while True:
            line, self.held = self.held, ""
            if not line:
                if not (line := next(self.lines, "")):
                    return
                self.number += 1
            text = line.removesuffix("\n").removesuffix("\r")
            yield text.replace("\r", _LONE_CR) + line[len(text) :] if "\r" in text else line


def _readable(
    records: _Records, header: "_Header", dialect: Dialect
) -> Iterator[tuple[Sequence[Any], str, bool]]:
    """Yield of every record that is not blank: a field for each of the header, its line, if bytes
    were replaced. Fields that it lacks are null, all of one with a NUL, which is no text.

    In the line the fields at the hidden places of the header are masked. Raises `SourceError` for a
    record that is several.
    """
    width, hidden = len(header.names), header.hidden
    rewrite = _Rewriter(dialect)
    for record in records:
        is_odd = len(record) != width
        if len(record) < 2 and records.is_blank(record):
            continue
        line = records.line if records.is_plain else rewrite(record)
        invalid = False
        if not line.isascii():
            if _LONE_CR in line:
                if is_odd and _are_records(line.split(_LONE_CR), width, dialect):
                    raise in_one_line(f"{header.place}, line {records.begins}")
                line, *record = (text.replace(_LONE_CR, "\r") for text in (line, *record))
            invalid = _INVALID in line
            if invalid:
                line, *record = (text.replace(_INVALID, "\ufffd") for text in (line, *record))
        if "\0" in line:
            yield [None] * width, line, invalid  # of the line only a digest is ever kept
            continue
        if hidden:
            shown = (MASK if is_odd or n in hidden else text for n, text in enumerate(record))
            line = rewrite([*shown])
        fields = [*record, *[None] * (width - len(record))][:width] if is_odd else record
        yield fields, line, invalid


def _are_records(texts: Sequence[str], width: int, dialect: Dialect) -> bool:
    """Tell whether texts between CRs have the fields of a record each, and not together only."""
    found = [text.count(dialect.delimiter) + 1 for text in texts if text.strip(BLANK)]
    return width > 1 and len(found) > 1 and {*found} == {width}


def _first(records: _Records, most: int) -> list[str]:
    """Return the first record that is not blank; one with more than `most` fields is none."""
    return next((each for each in records if len(each) > most or "".join(each).strip(BLANK)), [])


class _Rewriter:
    """Writes a record as one line, quoting only what the dialect says must be."""

    def __init__(self, dialect: Dialect) -> None:
        self.line = ""
        self.dialect = dialect
        self.writer = csv.writer(self, lineterminator="\r\n", **dialect.options)

    def __call__(self, record: list[str]) -> str:
        delimiter, quote = self.dialect.delimiter, self.dialect.quote
        line = delimiter.join(record)
        if quote is None:
            return line
        special = quote in line or "\n" in line or "\r" in line
        if not special and line.count(delimiter) == len(record) - 1:
            return line
        self.writer.writerow(record)
        return self.line

    def write(self, line: str) -> None:
        self.line = line.removesuffix("\r\n")


class _Header:
    """The columns of a file, by its titles or by the dialect.

    Attributes:
        places: where the columns stand that are wanted.
        hidden: where those stand that are masked in lines, every one of a secret's name.
    """

    def __init__(
        self,
        records: _Records,
        dialect: Dialect,
        columns: Sequence[str],
        secret: Sequence[str],
        place: str,
    ) -> None:
        self.records = records
        self.dialect = dialect
        self.columns = columns
        self.secret = secret
        self.place = place
        self.names: list[str] = []
        self.ends = 0
        self.places: list[int] = []
        self.hidden: frozenset[int] = frozenset()

    def read(self) -> list[str]:
        """Return the titles as they are written, and know where the columns stand."""
        first = _first(self.records, 1 if self.dialect.header else sys.maxsize)
        titles = [*self.dialect.header] if self.dialect.header else first
        if self.dialect.header and first:
            self._refuse_unlike(first)
            self.records.put_back(first)
        names = [title.strip(BLANK) for title in titles]
        if any(_LONE_CR in name for name in names):
            raise in_one_line(self.place)
        self.names = [name.replace(_INVALID, "\ufffd") for name in names]
        self.places = [self._only_place(column) for column in self.columns]
        for column in self.secret:
            self._place(column)
        self.hidden = frozenset(n for n, name in enumerate(self.names) if name in self.secret)
        self.ends = self.records.number
        return titles

    def refuse_again(self) -> None:
        """Raise `SourceError` for titles that stand in the middle of a file."""
        named = replace(self.dialect, header=tuple(self.names), skip=self.ends)
        raise SourceError(
            f"{self.place}, line {self.records.begins} holds the titles once more, as where files "
            f"were joined. Remove it; if it is a record, write dialect={named!r}. "
            "Nothing was published."
        )

    def advice(self) -> str:
        """Return in which dialect the columns seem to stand, with a space behind; empty if in none
        or if they are known.
        """
        records, dialect = self.records, self.dialect
        if self.ends or not (self.columns or self.secret):
            return ""
        is_wide = dialect.codec.startswith((UTF_16, UTF_32))
        if is_wide and b"\0" not in records.line.encode("utf-16-le", "replace"):
            return f"It does not look like {dialect.encoding}: name its encoding in the dialect. "
        behind = enumerate(records.lines, records.number + 1)
        lines = islice(chain(((records.begins, records.line),), behind), _LOOKED_AT)
        if seen := seems(lines, dialect, {*self.columns, *self.secret}):
            what, meant = seen
            return f"It looks as if {what}: write dialect={meant!r}. "
        if _INVALID in records.line:
            meant = replace(dialect, encoding="cp1252")
            return (
                f"Its titles hold bytes that are not {dialect.encoding}: name its encoding, such "
                f"as dialect={meant!r}. "
            )
        return ""

    def _refuse_unlike(self, first: list[str]) -> None:
        """Raise `SourceError` for a first record that does not fit the header of the dialect."""
        header = [*(self.dialect.header or ())]
        if [field.strip(BLANK) for field in first] == header:
            passed = replace(self.dialect, skip=self.records.number)
            raise SourceError(
                f"{self.place} begins with the titles that the dialect names: write "
                f"dialect={replace(self.dialect, header=None)!r}, or dialect={passed!r}. Nothing "
                "was published."
            )
        if len(first) != len(header):
            raise SourceError(
                f"{self.place}, line {self.records.begins}: the first record has {len(first)} "
                f"fields, but the header of the dialect names {len(header)}. "
                f"{self._split_otherwise(len(header))}Nothing was published."
            )

    def _split_otherwise(self, width: int) -> str:
        """Return by which delimiter a first record has as many fields as the header."""
        for meant in split_into(self.records.line, self.dialect, width):
            return f"It looks as if {self.dialect.differs(meant)}: write dialect={meant!r}. "
        return ""

    def _only_place(self, column: str) -> int:
        found = self._place(column)
        if (times := self.names.count(column)) > 1:
            raise SourceError(
                f"{self.place} has {times} columns {column!r}, and which one is meant is not "
                "known. Rename one; nothing was published."
            )
        return found

    def _place(self, column: str) -> int:
        if column not in self.names:
            shown = ", ".join(self.names) or "none, the file is empty"
            raise SourceError(
                f"{self.place} has no column {column!r}. {did_you_mean(column, self.names)}"
                f"Its columns: {shown}. {self.advice()}".rstrip()
            )
        return self.names.index(column)
