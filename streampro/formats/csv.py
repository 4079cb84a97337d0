"""CSV records by RFC 4180: the same code reads them on every engine."""

import csv
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO, TextIOWrapper
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO, TextIO

from streampro.errors import SourceError, did_you_mean
from streampro.formats.format import LONGEST_LINE, Format, LocalText
from streampro.formats.packing import created, opened

if TYPE_CHECKING:
    from streampro.modeling.source import Source

_BLANK = " \t\r\n"
_MASK = "***"
_LONE_CR = "\ud800"
"""Stands for a CR within a record; no decoded text holds this lone surrogate."""


class Csv(Format):
    """CSV with a header row; a record may go over several lines."""

    name = "csv"
    revision = 1
    quote = b'"'
    may_be_empty = True  # the header alone is a table
    grows = True

    def wanted_path(self, name: str, path: Sequence[str]) -> str | None:
        """See `Format.wanted_path`: a column has no parts, and the name that the header gives."""
        if tuple(path) == (name,):
            return None
        return f"{(name,)!r}: a column of CSV has no parts, and is named as in the header"

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
        with opened(path) as file, decoded(file) as lines:
            for number, (text,), _ in numbered_records(lines, (), str(path), source.secret):
                yield number, text

    def deal(self, path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`: the header and a growing share of the records; the last is a copy."""
        with opened(path) as packed:
            text = packed.read().decode("utf-8", errors="surrogateescape")
        records = list(csv.reader(StringIO(text, newline="")))
        for number, place in enumerate(places[:-1], 1):
            share = max(1, int(len(records) * (number / len(places))))
            with (
                created(place) as binary,
                TextIOWrapper(binary, "utf-8", errors="surrogateescape", newline="") as file,
            ):
                csv.writer(file).writerows(records[:share])
        shutil.copy2(path, places[-1])


CSV = Csv()


def decoded(file: BinaryIO) -> TextIO:
    """Return the lines of a file for `read_records`, bytes that are not UTF-8 still escaped."""
    return TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def read_records(
    lines: Iterable[str], columns: Sequence[str], place: str, secret: Sequence[str] = ()
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield a row per record, the named columns and the raw line; and whether bytes of it were
    not UTF-8.

    The first record that is not blank is the header; `lines` are `decoded`. In the raw line
    columns named in `secret` are masked; all are, where a record has not as many fields as the
    header, so that nobody knows which is which. Raises `SourceError`, naming `place`, for a missing
    column, a secret one included, for one of `columns` that the header has twice, for lines that
    end in CR alone, and for text that breaks RFC 4180.
    """
    for _, row, invalid in numbered_records(lines, columns, place, secret):
        yield row, invalid


def numbered_records(
    lines: Iterable[str], columns: Sequence[str], place: str, secret: Sequence[str] = ()
) -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Yield the same with the number of the line on which each record begins, the first is 1."""
    csv.field_size_limit(min(LONGEST_LINE, sys.maxsize))
    records = _Numbered(lines)
    try:
        header = [title.strip(_BLANK) for title in _first(records)]
        _refuse_lone_cr(header, place)
        places = [_only_place(column, header, place) for column in columns]
        hidden = _hidden(header, secret, place)
        for record, line, invalid in _readable(records, len(header), hidden):
            yield records.begins, (*map(record.__getitem__, places), line), invalid
    except csv.Error as error:
        raise SourceError(
            f"{place}, line {records.reader.line_num} cannot be read as CSV (RFC 4180): {error}. "
            "Nothing was published."
        ) from error


def _records_of(source: "Source", path: Path, raw: Path) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield a row per record of a file, the source's fields, the raw line and the file; and
    whether bytes of it were not UTF-8.
    """
    name = path.relative_to(raw).as_posix()
    with opened(path) as file, decoded(file) as lines:
        for row, invalid in read_records(lines, [*source.fields], str(path), source.secret):
            yield (*row, name), invalid


class _Numbered:
    """The records of lines of CSV; `begins` is the line on which the last one begins."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.reader = csv.reader(_lone_cr_hidden(lines), strict=True)
        self.begins = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        self.begins = self.reader.line_num + 1
        return next(self.reader)


def _readable(
    records: Iterator[list[str]], width: int, hidden: frozenset[int]
) -> Iterator[tuple[list[str], str, bool]]:
    """Yield of every record that is not blank: `width` fields, its line, if bytes were replaced.

    In the line the fields at the places of `hidden` are masked.
    """
    rewrite = _Rewriter()
    for record in records:
        is_odd = len(record) != width
        if is_odd:
            if len(record) < 2 and not "".join(record).strip(_BLANK):
                continue
            record = (record + [""] * (width - len(record)))[:width]
        line = rewrite(record)
        if _LONE_CR in line:
            line, *record = (text.replace(_LONE_CR, "\r") for text in (line, *record))
        invalid = not line.isascii() and _has_escaped_bytes(line)
        if invalid:
            line, *record = (_replaced(text) for text in (line, *record))
        if hidden:
            shown = (_MASK if is_odd or n in hidden else text for n, text in enumerate(record))
            line = rewrite([*shown])
        yield record, line, invalid


def _first(records: Iterator[list[str]]) -> list[str]:
    """Return the first record that is not blank."""
    return next((record for record in records if "".join(record).strip(_BLANK)), [])


def _lone_cr_hidden(file: Iterable[str]) -> Iterator[str]:
    """Replace every CR that does not end a line: records end at LF, but `csv` sees an end in it."""
    for line in file:
        text = line.removesuffix("\n").removesuffix("\r")
        yield text.replace("\r", _LONE_CR) + line[len(text) :] if "\r" in text else line


def _has_escaped_bytes(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _replaced(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Rewriter:
    """Writes a record as one CSV line, quoting only what RFC 4180 says must be."""

    def __init__(self) -> None:
        self.line = ""
        self.writer = csv.writer(self, lineterminator="\r\n")

    def __call__(self, record: list[str]) -> str:
        line = ",".join(record)
        special = '"' in line or "\n" in line or "\r" in line
        if not special and line.count(",") == len(record) - 1:
            return line
        self.writer.writerow(record)
        return self.line

    def write(self, line: str) -> None:
        self.line = line.removesuffix("\r\n")


def _hidden(header: list[str], secret: Sequence[str], place: str) -> frozenset[int]:
    """Return where columns stand that are masked in lines, every one of that name."""
    for column in secret:
        _place(column, header, place)
    return frozenset(number for number, title in enumerate(header) if title in secret)


def _refuse_lone_cr(header: list[str], place: str) -> None:
    if any(_LONE_CR in title for title in header):
        raise SourceError(
            f"{place} has lines that end in CR alone, as old programs write them, so all of it is "
            "one line. Save it with LF or CR LF; nothing was published."
        )


def _only_place(column: str, header: list[str], place: str) -> int:
    found = _place(column, header, place)
    if (times := header.count(column)) > 1:
        raise SourceError(
            f"{place} has {times} columns {column!r}, and which one is meant is not known. "
            "Rename one; nothing was published."
        )
    return found


def _place(column: str, header: list[str], place: str) -> int:
    if column not in header:
        raise SourceError(
            f"{place} has no column {column!r}. {did_you_mean(column, header)}"
            f"Its columns: {', '.join(header) or 'none, the file is empty'}."
        )
    return header.index(column)
