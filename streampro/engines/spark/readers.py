"""Raw text on any file system that Spark reads, made strings by the reading rules."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streampro.engines.spark import workers
from streampro.engines.spark.files import escaped
from streampro.formats import json_lines
from streampro.formats.csv import LONGEST_LINE, overlong
from streampro.modeling.source import Source


@dataclass(frozen=True)
class Counted:
    """What one pass over the lines of a source says of them."""

    lines: int
    invalid_utf8: int


def lines(spark: Any, files: Sequence[str], root: str) -> Any:
    """Return `value`, `raw_line` and `source_file` per line of text files that is not blank.

    `root` is the folder below which files are named, with its file system.
    """
    text = spark.read.text([escaped(path) for path in files], lineSep="\n")
    kept = text.where(r"value >= '!' OR trim(BOTH ' \t\r\n' FROM value) <> ''")
    valid = kept.selectExpr(
        "value", "make_valid_utf8(value) AS line", f"{_below(root)} AS source_file"
    )
    without_cr = r"if(endswith(line, '\r'), left(line, length(line) - 1), line)"
    return valid.selectExpr("value", f"{without_cr} AS raw_line", "source_file")


def count(source: Source, table: Any) -> Counted:
    """Count lines in a pass of their own. Raises `SourceError` for a line over the limit."""
    [found] = table.selectExpr(
        "count(*) AS lines",
        "count_if(NOT is_valid_utf8(value)) AS invalid",
        "max(octet_length(value)) AS longest",
        "max_by(source_file, octet_length(value)) AS file",
    ).collect()
    if (found.longest or 0) > LONGEST_LINE:
        raise overlong(f"{found.file}: a line of source {source.name!r}")
    return Counted(found.lines, found.invalid)


def parsed(source: Source, table: Any) -> Any:
    """Return lines parsed into text: a string per field, `raw_line`, `source_file`, `is_object`.

    Workers run the query that reads JSON on DuckDB.
    """
    query = json_lines.json_query(source, json_lines.LINES)
    read = functools.partial(workers.read_json_lines, query=query)
    schema = ", ".join(f"`{name}` {kind}" for name, kind in source.schema.items())
    return table.select("raw_line", "source_file").mapInArrow(read, schema)


def read_records(spark: Any, source: Source, files: Sequence[str], root: str) -> Any:
    """Return CSV records: a string per field, `raw_line`, `source_file`, and `is_invalid_utf8`.

    Workers run the code that reads CSV on DuckDB; each file is read whole, by one of them.
    """
    schema = ", ".join(f"`{name}` {kind}" for name, kind in source.schema.items())
    found = spark.read.format("binaryFile").load([escaped(path) for path in files])
    named = found.selectExpr(f"{_below(root)} AS source_file", "content")
    fields = [*source.fields]
    read = functools.partial(workers.read_csv, columns=fields, secret=source.secret)
    return named.mapInArrow(read, f"{schema}, is_invalid_utf8 boolean")


def _below(root: str) -> str:
    """Return the SQL of a file's path below a folder, which is given with its file system."""
    path = "_metadata.file_path"
    decoded = f"try_url_decode(replace({path}, '+', '%2B'))"
    path = f"if(contains({path}, '%'), {decoded}, {path})"
    system = re.match(r"[A-Za-z0-9+.-]+:(//[^/]*)?", root)
    start = system.end() if system else 0
    folder = f"{root[start:].rstrip('/')}/"
    return f"substr({path}, locate({literal(folder)}, {path}, {start + 1}) + {len(folder)})"


def literal(value: str) -> str:
    """Return the SQL of a text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
