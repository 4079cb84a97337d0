"""Raw text files on local disks, made ready for an engine by the reading rules."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streampro.errors import SourceError
from streampro.formats.csv import decoded, numbered_records, read_records
from streampro.formats.files import relative
from streampro.formats.lines import count_lines, exact_lines, numbered_lines
from streampro.modeling.source import Source

_BATCH = 10_000
_GLOB_SIGNS = frozenset("*?[")
"""An engine would take a path with one of them for a pattern, and read other files."""


@dataclass(frozen=True)
class Text:
    """The text of a source.

    `plain` are JSON-lines files that a fast reader may read as they are; `rewritten` is a parquet
    file with all the rest: `raw_line`, `source_file` and, of CSV, a column per field.
    """

    lines: int
    plain: tuple[Path, ...] = ()
    rewritten: Path | None = None
    invalid_utf8: int = 0


def read(source: Source, raw: Path, paths: list[Path], scratch: Path) -> Text:
    """Count the lines of files of a source and rewrite into `scratch` what needs it.

    Raises `SourceError` for a missing or unreadable file, column or an overlong line.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    rewritten = scratch.with_suffix(".parquet")
    if source.format == "csv":
        records = _Counted(row for path in paths for row in _csv_records(source, path, raw))
        _write(rewritten, [*source.fields, "raw_line", "source_file"], records)
        return Text(records.rows, rewritten=rewritten, invalid_utf8=records.flagged)
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
        return Text(total, plain)
    lines = _Counted(
        ((line, relative(path, raw)), invalid)
        for path in odd
        for line, invalid in exact_lines(path)
    )
    _write(rewritten, ["raw_line", "source_file"], lines)
    return Text(total, plain, rewritten, lines.flagged)


def locate(
    source: Source, raw: Path, wanted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, int, str]]:
    """Yield file, number and text of the first line with each of some texts; a record of CSV stands
    on the line on which it begins. The texts are given per file as their `digest`.
    """
    for name, digests in wanted.items():
        missing = {*digests}
        for number, text in _numbered(source, raw / name):
            if (found := digest(text)) in missing:
                yield name, number, text
                missing.remove(found)
                if not missing:
                    break


def digest(text: str) -> str:
    """Return what `hexdigest('md5')` says of a text on every engine."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _numbered(source: Source, path: Path) -> Iterator[tuple[int, str]]:
    if source.format == "json_lines":
        for number, text, _ in numbered_lines(path):
            yield number, text
        return
    with decoded(path.open("rb")) as lines:
        for number, (text,), _ in numbered_records(lines, (), str(path), source.secret):
            yield number, text


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
    try:
        with decoded(path.open("rb")) as lines:
            for row, invalid in read_records(lines, [*source.fields], str(path), source.secret):
                yield (*row, relative(path, raw)), invalid
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}. Nothing was published.") from error
