"""Raw files on any file system that Spark reads, made strings, a reader per format."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from streampro.engines.spark import workers
from streampro.engines.spark.compiler import compiler_of
from streampro.engines.spark.files import SparkPlace, escaped
from streampro.formats.csv.dialect import dialect_of
from streampro.formats.csv.records import read_records
from streampro.formats.files import InputFile
from streampro.formats.format import LONGEST_LINE, overlong
from streampro.formats.json import query
from streampro.formats.packing import GZIP, SUFFIX, packing_of
from streampro.formats.parquet.footers import Footer, footer_of
from streampro.formats.parquet.parts import parts_of
from streampro.formats.registry import format_of
from streampro.modeling.source import Source

_AT_ONCE = 16
"""Files that are looked at together: in a store each takes a while."""


@dataclass(frozen=True)
class RawFiles:
    """The files of a source with the place of each, the folder below which they are named, with
    its file system, and a folder of their own in which a reader may write.
    """

    files: Sequence[InputFile]
    places: Sequence[SparkPlace]
    root: str
    scratch: str

    @property
    def uris(self) -> list[str]:
        """What Spark is told to read them by."""
        return [escaped(place.uri) for place in self.places]


@dataclass(frozen=True)
class Reading:
    """A data frame with the columns of a source, and the records of each file as a job has counted
    them; `holding` as in `Raw`.
    """

    rows: Any
    by_file: Mapping[str, int]
    invalid_utf8: int = 0
    holding: int | None = None


Reader = Callable[[Any, Source, RawFiles], Reading]
"""Takes a Spark session, a source and its files."""


def read_json_lines(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Count lines in a pass of their own, and let workers parse them in another.

    Raises `SourceError` for a line over the limit.
    """
    lines = _lines(spark, raw)
    measured = lines.selectExpr(
        "source_file", "NOT is_valid_utf8(value) AS is_invalid", "octet_length(value) AS length"
    )
    counts = _counts(measured, "max(length) AS longest")
    if longest := [count.source_file for count in counts if count.longest > LONGEST_LINE]:
        raise overlong(f"{min(longest)}: a line of source {source.name!r}")
    if source.rows:
        split = functools.partial(workers.split_json_lines, rows=source.rows)
        texts = lines.selectExpr(
            "raw_line", "source_file", "NOT is_valid_utf8(value) AS is_invalid"
        )
        return _parsed(spark, source, texts.mapInArrow(split, _records(source)), raw.scratch)
    rows = _parse(source, lines.select("raw_line", "source_file"))
    return _reading(rows, counts)


def read_json(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Let workers split documents into records; each file is read whole, by one of them."""
    split = functools.partial(workers.split_json_documents, rows=source.rows)
    records = _whole(spark, raw.root, raw.uris).mapInArrow(split, _records(source))
    return _parsed(spark, source, records, raw.scratch)


def read_csv(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Split files into records once, into the scratch folder, for they are both counted and read.

    Workers run the code that reads CSV on DuckDB; each file is read whole, by one of them.
    """
    dialect, columns = dialect_of(source), [*source.fields]
    for file in raw.files:
        if not file.size:  # Spark passes over it
            next(read_records(BytesIO(), dialect, columns, file.path, source.secret), None)
    read = functools.partial(
        workers.read_csv, dialect=dialect, columns=columns, secret=source.secret
    )
    whole = _whole(spark, raw.root, raw.uris)
    records = whole.mapInArrow(read, f"{_columns(source)}, is_invalid_utf8 boolean")
    records.write.parquet(raw.scratch)
    rows = spark.read.parquet(escaped(raw.scratch))
    counts = _counts(rows.withColumnRenamed("is_invalid_utf8", "is_invalid"))
    return _reading(rows.drop("is_invalid_utf8"), counts)


def read_parquet(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Let workers read each file whole, by the query that DuckDB runs: on a disk where it lies,
    from elsewhere by its bytes.
    """
    return _typed(spark, source, raw)


def read_delta(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Read the files of a table, which may be none; it has its columns by its log."""
    return _typed(spark, source, raw, may_miss=True)


def read_database(spark: Any, source: Source, raw: RawFiles) -> Reading:
    """Read extracts, which have the columns of the source."""
    paths = [Path(str(place.path)) for place in raw.places]
    text = format_of(source).local_text(source, Path(raw.root), paths, Path(raw.scratch))
    if not paths:
        return Reading(spark.createDataFrame([], _columns(source)), {})
    return Reading(spark.read.schema(_columns(source)).parquet(*raw.uris), text.by_file)


READERS: Mapping[str, Reader] = {
    "json_lines": read_json_lines,
    "json": read_json,
    "csv": read_csv,
    "parquet": read_parquet,
    "delta": read_delta,
    "database": read_database,
}
"""How each format is read here."""


def literal(value: str) -> str:
    """Return the SQL of a text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """Return the SQL of a column's name."""
    return "`" + name.replace("`", "``") + "`"


def _parsed(spark: Any, source: Source, records: Any, scratch: str) -> Reading:
    """Write records once into the scratch folder, for they are both counted and parsed."""
    records.write.parquet(scratch)
    kept = spark.read.parquet(escaped(scratch))
    if not source.rows:
        return _reading(_parse(source, kept), _counts(kept))
    rows = "sum(if(elements IS NULL, 1, size(elements))) AS records"
    counts = _counts(kept, rows, "count_if(position = 0) AS holding", counted="lines")
    return replace(
        _reading(_parse(source, kept), counts), holding=sum(count.holding for count in counts)
    )


def _parse(source: Source, records: Any) -> Any:
    """Return the rows that the query of DuckDB makes of records."""
    read = functools.partial(workers.parse_json, query=query.json_query(source, query.LINES))
    return records.mapInArrow(read, _columns(source))


def _records(source: Source) -> str:
    """Return the columns of `records.batches`, as Spark spells them."""
    columns = "raw_line string, source_file string, position bigint, is_invalid boolean"
    return columns + (", line_digest string, elements array<string>" if source.rows else "")


def _counts(records: Any, *further: str, counted: str = "records") -> list[Any]:
    """Return a row per file: its `source_file`, `records` and those that are `invalid`."""
    asked = (f"count(*) AS {counted}", "count_if(is_invalid) AS invalid", *further)
    sql = f"SELECT source_file, {', '.join(asked)} FROM {{records}} GROUP BY source_file"
    return list(records.sparkSession.sql(sql, records=records).collect())


def _reading(rows: Any, counts: Sequence[Any]) -> Reading:
    by_file = {count.source_file: count.records for count in counts}
    return Reading(rows, by_file, sum(count.invalid for count in counts))


def _lines(spark: Any, raw: RawFiles) -> Any:
    """Return `value`, `raw_line` and `source_file` per line of text files that is not blank."""
    uris = raw.uris
    odd = _odd(raw, uris)
    text = _text(spark, raw.root, [uri for uri in uris if uri not in odd])
    if odd:
        whole = _whole(spark, raw.root, sorted(odd))
        lines = whole.mapInArrow(workers.read_lines, "value binary, source_file string")
        rest = lines.selectExpr("CAST(value AS string) AS value", "source_file")
        text = text.unionAll(rest) if text else rest
    kept = text.where(r"value >= '!' OR trim(BOTH ' \t\r\n' FROM value) <> ''")
    valid = kept.selectExpr("value", "make_valid_utf8(value) AS line", "source_file")
    without_cr = r"if(endswith(line, '\r'), left(line, length(line) - 1), line)"
    return valid.selectExpr("value", f"{without_cr} AS raw_line", "source_file")


def _text(spark: Any, root: str, uris: Sequence[str]) -> Any:
    """Return `value` and `source_file` per line of files that Spark reads by the rules."""
    if not uris:
        return None
    text = spark.read.text([*uris], lineSep="\n")
    return text.selectExpr("value", f"{_below(root)} AS source_file")


def _whole(spark: Any, root: str, uris: Sequence[str]) -> Any:
    """Return `source_file` and `content` per file."""
    whole = spark.read.format("binaryFile").load([*uris])
    return whole.selectExpr(f"{_below(root)} AS source_file", "content")


def _odd(raw: RawFiles, uris: Sequence[str]) -> set[str]:
    """Return the URIs of files that Spark would unpack wrongly or not at all.

    It goes by the name, and by gzip up to the last byte: that is zero where zeros are added, and
    in most small files. Raises `SourceError` for other packings than gzip.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ends = pool.map(lambda place, file: place.ends(file.size), raw.places, raw.files)
        looked_at = [*zip(uris, raw.files, ends, strict=True)]
    named = {
        Path(file.path).suffix: place for place, file in zip(raw.places, raw.files, strict=True)
    }
    unpacks = {suffix: place.is_unpacked() for suffix, place in named.items()}
    odd = set()
    for uri, file, (head, last) in looked_at:
        suffix = Path(file.path).suffix
        is_gzip = packing_of(head, file.path) == GZIP
        is_usual = suffix == SUFFIX and last != b"\0" if is_gzip else not unpacks[suffix]
        odd |= set() if is_usual else {uri}
    return odd


def _typed(spark: Any, source: Source, raw: RawFiles, may_miss: bool = False) -> Reading:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        footers = [*pool.map(_footer, raw.files, raw.places)]
    places = {file.path: place for file, place in zip(raw.files, raw.places, strict=True)}
    rows = None
    for part in parts_of(source, footers, may_miss):
        place = places[part.files[0]]
        folder = str(place.path).removesuffix(f"/{part.files[0]}") if place.is_local else None
        files = _whole(spark, raw.root, [escaped(places[name].uri) for name in part.files])
        read = functools.partial(workers.read_parquet, part=part, folder=folder)
        named = files.select("source_file") if folder else files
        found = named.mapInArrow(read, _columns(source))
        rows = rows.unionAll(found) if rows else found
    if rows is None:
        rows = spark.createDataFrame([], _columns(source))
    return Reading(rows, {footer.name: footer.rows for footer in footers})


def _footer(file: InputFile, place: SparkPlace) -> Footer:
    return footer_of(file.path, file.size, functools.partial(place.tail, file.size))


def _columns(source: Source) -> str:
    words = compiler_of().type_mapper
    return ", ".join(
        f"{identifier(name)} {words.to_string(kind)}" for name, kind in source.schema.items()
    )


def _below(root: str) -> str:
    """Return the SQL of a file's path below a folder, which is given with its file system."""
    path = "_metadata.file_path"
    decoded = f"try_url_decode(replace({path}, '+', '%2B'))"
    path = f"if(contains({path}, '%'), {decoded}, {path})"
    system = re.match(r"[A-Za-z0-9+.-]+:(//[^/]*)?", root)
    start = system.end() if system else 0
    folder = f"{root[start:].rstrip('/')}/"
    return f"substr({path}, locate({literal(folder)}, {path}, {start + 1}) + {len(folder)})"
