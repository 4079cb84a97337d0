"""Which raw formats there are."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from streampro.errors import PipelineError, did_you_mean
from streampro.formats.csv import CSV
from streampro.formats.database import DATABASE
from streampro.formats.delta import DELTA
from streampro.formats.format import RAW_COLUMNS, Format
from streampro.formats.json.documents import JSON_DOCUMENTS
from streampro.formats.json_lines import JSON_LINES
from streampro.formats.parquet import PARQUET

if TYPE_CHECKING:
    from streampro.modeling.source import Source

FORMATS: dict[str, Format] = {
    each.name: each for each in (JSON_LINES, JSON_DOCUMENTS, CSV, PARQUET, DELTA, DATABASE)
}
_ALSO = {
    **dict.fromkeys(("jsonl", "ndjson", "jsonlines", "json-lines", "ldjson"), JSON_LINES.name),
    **dict.fromkeys(("tsv", "text", "txt"), CSV.name),
    **dict.fromkeys(("postgres", "postgresql", "sqlite", "mysql", "mariadb", "sql"), DATABASE.name),
}
"""What others call these formats, or files of them."""
_Reader = TypeVar("_Reader")


def format_of(source: "Source") -> Format:
    """Return the format of a source. Raises `PipelineError` for an unknown one."""
    if source.format not in FORMATS:
        raise PipelineError(
            f"source {source.name!r} has the unknown format {source.format!r}. "
            f"{_meant(source.format)}Formats: {', '.join(FORMATS)}."
        )
    return FORMATS[source.format]


def _meant(word: str) -> str:
    """Return `"Did you mean 'x'? "` for the format that a word may stand for."""
    known = {name: name for name in FORMATS} | _ALSO
    same = [name for also, name in known.items() if also.casefold() == word.casefold()]
    return f"Did you mean {same[0]!r}? " if same else did_you_mean(word, [*FORMATS])


def reader_of(source: "Source", readers: Mapping[str, _Reader], engine: str) -> _Reader:
    """Return an engine's reader of a source. Raises `PipelineError` if it has none."""
    if source.format not in readers:
        raise PipelineError(
            f"source {source.name!r}: {engine} does not read {source.format!r}. "
            f"It reads {', '.join(readers)}."
        )
    return readers[source.format]


def given_columns(source: "Source") -> set[str]:
    """Return the names of columns that StreamPro gives, so that no field may have them."""
    return {*RAW_COLUMNS, "is_invalid_utf8", *format_of(source).own_columns(source)}
