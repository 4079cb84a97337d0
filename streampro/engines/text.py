"""Raw text files on local disks, made ready for an engine by the reading rules."""

import csv
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streampro.config import did_you_mean
from streampro.engine import InputFile
from streampro.engines.census import LONGEST_LINE, count_lines, exact_lines
from streampro.errors import SourceError
from streampro.pipeline import Source

_BATCH = 10_000
_BLANK = " \t\r\n"
_GLOB_SIGNS = frozenset("*?[")
"""An engine would take a path with one of them for a pattern, and read other files."""
_LONE_CR = "\ud800"
"""Stands for a CR within a record; no decoded text holds this lone surrogate."""


@dataclass(frozen=True)
class Text:
    """The text of a source.

    `plain` are JSON-lines files that a fast reader may read as they are; `rewritten` is a parquet
    file with all the rest: `raw_line`, `source_file` and, of CSV, a column per field.
    """

    files: tuple[InputFile, ...]
    lines: int
    plain: tuple[Path, ...] = ()
    rewritten: Path | None = None
    invalid_utf8: int = 0


def find(source: Source, raw: Path) -> list[Path]:
    """Return the files of a source in a fixed order. Raises `SourceError` if there are none."""
    if not raw.is_dir():
        raise SourceError(f"the raw folder {raw} does not exist or is not a folder.")
    found = {path for pattern in source.files for path in raw.glob(pattern) if path.is_file()}
    if not found:
        raise SourceError(
            f"{raw} has no file {' or '.join(source.files)} for source {source.name!r}."
        )
    return sorted(found)


def read(source: Source, raw: Path, scratch: Path) -> Text:
    """Count the lines of a source and rewrite into `scratch` what needs it.

    Raises `SourceError` for a missing or unreadable file, column or an overlong line.
    """
    paths = find(source, raw)
    files = tuple(_fingerprint(source, path, raw) for path in paths)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    rewritten = scratch.with_suffix(".parquet")
    if source.format == "csv":
        records = _Counted(row for path in paths for row in _csv_records(source, path, raw))
        _write(rewritten, [*source.fields, "raw_line", "source_file"], records)
        return Text(files, records.rows, rewritten=rewritten, invalid_utf8=records.flagged)
    with ThreadPoolExecutor() as pool:
        census = list(pool.map(count_lines, paths))
    plain = tuple(
        path
        for path, counted in zip(paths, census, strict=True)
        if counted.plain and not _GLOB_SIGNS & set(str(path))
    )
    total = sum(counted.lines for counted in census)
    odd = [path for path in paths if path not in plain]
    if not odd:
        return Text(files, total, plain)
    lines = _Counted(
        ((line, _relative(path, raw)), invalid)
        for path in odd
        for line, invalid in exact_lines(path)
    )
    _write(rewritten, ["raw_line", "source_file"], lines)
    return Text(files, total, plain, rewritten, lines.flagged)


class _Counted:
    """Iterates over the rows of (row, flag) pairs and counts both."""

    def __init__(self, pairs: Iterable[tuple[tuple[str | None, ...], bool]]) -> None:
        self.pairs = pairs
        self.rows = 0
        self.flagged = 0

    def __iter__(self) -> Iterator[tuple[str | None, ...]]:
        for row, flag in self.pairs:
            self.rows += 1
            self.flagged += flag
            yield row


def _fingerprint(source: Source, path: Path, raw: Path) -> InputFile:
    stat = path.stat()
    return InputFile(source.name, _relative(path, raw), stat.st_size, stat.st_mtime_ns)


def _relative(path: Path, raw: Path) -> str:
    return path.relative_to(raw).as_posix()


def _write(path: Path, columns: list[str], rows: Iterable[tuple[str | None, ...]]) -> None:
    schema = pa.schema([(name, pa.string()) for name in columns])
    iterator = iter(rows)
    with pq.ParquetWriter(path, schema, compression="lz4") as writer:
        while batch := list(islice(iterator, _BATCH)):
            arrays = [pa.array(values, pa.string()) for values in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _csv_records(
    source: Source, path: Path, raw: Path
) -> Iterator[tuple[tuple[str | None, ...], bool]]:
    """Yield a row per record, the source's fields, the raw line and the file; and whether bytes
    of it were not UTF-8.
    """
    csv.field_size_limit(min(LONGEST_LINE, sys.maxsize))
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            records = csv.reader(_lone_cr_hidden(file), strict=True)
            header = [title.strip(_BLANK) for title in _first(records)]
            places = [_place(column, header, path) for column in source.fields]
            for record, line, invalid in _readable(records, len(header)):
                fields = map(record.__getitem__, places)
                yield (*fields, line, _relative(path, raw)), invalid
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. Nothing was published.") from error
    except csv.Error as error:
        raise SourceError(
            f"{path}, line {records.line_num} cannot be read as CSV (RFC 4180): {error}. "
            "Nothing was published."
        ) from error


def _readable(records: Iterator[list[str]], width: int) -> Iterator[tuple[list[str], str, bool]]:
    """Yield of every record that is not blank: `width` fields, its line, if bytes were replaced."""
    rewrite = _Rewriter()
    for record in records:
        if len(record) != width:
            if len(record) < 2 and not "".join(record).strip(_BLANK):
                continue
            record = (record + [""] * (width - len(record)))[:width]
        line = rewrite(record)
        if _LONE_CR in line:
            line, *record = (text.replace(_LONE_CR, "\r") for text in (line, *record))
        invalid = not line.isascii() and _has_escaped_bytes(line)
        if invalid:
            line, *record = (_replaced(text) for text in (line, *record))
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


def _place(column: str, header: list[str], path: Path) -> int:
    if column not in header:
        raise SourceError(
            f"{path} has no column {column!r}. {did_you_mean(column, header)}"
            f"Its columns: {', '.join(header) or 'none, the file is empty'}."
        )
    return header.index(column)
