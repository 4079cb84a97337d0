"""Raw files on a local disk as queries of DuckDB, a reader per format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from streampro.formats.format import LocalText
from streampro.formats.json.query import json_query
from streampro.formats.json.typed import identifier, quoted
from streampro.formats.lines import SEPARATOR
from streampro.formats.parquet.footers import local_footers
from streampro.formats.parquet.parts import FILE, no_rows, parts_of, rows_of
from streampro.formats.registry import format_of
from streampro.modeling.source import Source

_READ_LINES = (
    "SELECT line AS raw_line, filename FROM read_csv({files}, columns = {{'line': 'VARCHAR'}}, "
    "compression = '{packing}', filename = true, hive_partitioning = false, header = false, "
    "auto_detect = false, delim = {separator}, quote = '', escape = '', null_padding = true, "
    "strict_mode = false) "
    "WHERE CASE WHEN line >= '!' THEN true ELSE trim(line, ' \t\r\n') <> '' END"
)
"""`new_line` is left unset: setting it breaks CRLF files. `strict_mode = false` is what lets a
file mix line ends. CASE, unlike AND and OR, evaluates a branch on its rows only."""


@dataclass(frozen=True)
class Reading:
    """A query with the columns of a source, and the records of each file as they were counted
    before; `holding` as in `Raw`.
    """

    query: str
    by_file: Mapping[str, int]
    invalid_utf8: int = 0
    holding: int | None = None


Reader = Callable[[Source, Path, Sequence[Path], Path], Reading]
"""Takes a source, the raw folder, files in it, and a place where a file of its own may lie: a new
one each time, for DuckDB caches files by path."""


def read_json_lines(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Read plain files by DuckDB's fastest reader of lines, and parse what all of them hold."""
    text = format_of(source).local_text(source, raw, paths, scratch)
    if source.rows:
        return _split(source, text)
    parts = [
        _named_lines(raw, files, packing)
        for files, packing in ((text.plain, "none"), (text.packed, "gzip"))
        if files
    ]
    if text.rewritten:
        parts.append(f"SELECT raw_line, source_file FROM {parquet([text.rewritten])}")
    return _reading(json_query(source, f"({' UNION ALL '.join(parts)})"), text)


def read_json(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Parse the records of documents, which Python has split."""
    return _split(source, format_of(source).local_text(source, raw, paths, scratch))


def read_rewritten(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Read a format whose records Python has split into columns."""
    text = format_of(source).local_text(source, raw, paths, scratch)
    return _reading(f"SELECT * FROM {parquet([text.rewritten])}", text)


def read_parquet(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Read files as they are, those with the same columns at once."""
    return _typed(source, raw, paths)


def read_delta(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Read the files of a table, which may be none; it has its columns by its log."""
    return _typed(source, raw, paths, may_miss=True)


def read_database(source: Source, raw: Path, paths: Sequence[Path], scratch: Path) -> Reading:
    """Read extracts, which have the columns of the source."""
    text = format_of(source).local_text(source, raw, paths, scratch)
    if not paths:
        return Reading(no_rows(source), {})
    names = ", ".join(map(identifier, source.schema))
    return _reading(f"SELECT {names} FROM {parquet(text.plain)}", text)


READERS: Mapping[str, Reader] = {
    "json_lines": read_json_lines,
    "json": read_json,
    "csv": read_rewritten,
    "parquet": read_parquet,
    "delta": read_delta,
    "database": read_database,
}
"""How each format is read here."""


def parquet(paths: Sequence[object]) -> str:
    """Return the SQL of the rows of parquet files; None among them is left out."""
    return f"read_parquet({listed([path for path in paths if path])}, hive_partitioning = false)"


def listed(paths: Sequence[object]) -> str:
    """Return the SQL of a list of paths."""
    return f"[{', '.join(map(quoted, paths))}]"


def _typed(source: Source, raw: Path, paths: Sequence[Path], may_miss: bool = False) -> Reading:
    footers = local_footers(raw, paths)
    raw = raw.absolute()  # DuckDB takes `~data` for a folder beside the home
    start = len(str(raw / "x"))
    queries = [
        part.query(rows_of([raw / file for file in part.files]), f"substr({FILE}, {start})")
        for part in parts_of(source, footers, may_miss)
    ]
    query = " UNION ALL ".join(queries or [no_rows(source)])
    return Reading(query, {each.name: each.rows for each in footers})


def _named_lines(raw: Path, files: Sequence[Path], packing: str) -> str:
    """Return the query of the lines of files that a fast reader reads, which begin with `raw`."""
    places = [each.absolute() for each in files]
    lines = _READ_LINES.format(files=listed(places), separator=quoted(SEPARATOR), packing=packing)
    name = len(str(raw.absolute() / "x"))
    return f"SELECT raw_line, substr(filename, {name}) AS source_file FROM ({lines})"


def _reading(query: str, text: LocalText) -> Reading:
    return Reading(query, text.by_file, text.invalid_utf8, text.holding)


def _split(source: Source, text: LocalText) -> Reading:
    return _reading(json_query(source, parquet([text.rewritten])), text)
