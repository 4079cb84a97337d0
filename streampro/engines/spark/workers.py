"""What Spark's Python workers run: it needs duckdb and pyarrow there, and of StreamPro no module
that needs more.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from tempfile import NamedTemporaryFile
from typing import Any

from streampro.errors import SourceError
from streampro.formats.csv.dialect import Dialect
from streampro.formats.csv.records import read_records
from streampro.formats.format import LONGEST_LINE, overlong
from streampro.formats.json.documents import texts_of
from streampro.formats.json.query import LINES
from streampro.formats.json.records import Text, batches as record_batches, records
from streampro.formats.json.typed import quoted
from streampro.formats.packing import readable, unpacked
from streampro.formats.parquet.parts import Part, rows_of, session

_TEXTS = ("raw_line", "source_file", "is_invalid")
_BATCH_BYTES = 4 * 1024 * 1024
_BATCH_ROWS = 10_000

_JSON_ELEMENTS = """
    SELECT list_transform(
        CASE WHEN json_valid(x) THEN CASE WHEN json_type(x, $1) = 'ARRAY'
            THEN json_extract(json_extract(x, $1), '$[*]') END END,
        lambda element: list_transform($2, lambda path: json_extract_string(element, path))
    ) AS elements
    FROM texts ORDER BY number
"""


def split_json_lines(batches: Iterable[Any], rows: Sequence[str]) -> Iterator[Any]:
    """Yield what `records.batches` makes of Arrow batches of lines: their text and file, and
    whether bytes of it were replaced.
    """
    for batch in batches:
        columns = (batch.column(name).to_pylist() for name in _TEXTS)
        found = [
            (record, file)
            for text, file, is_invalid in zip(*columns, strict=True)
            for record in records(rows, [Text(text, 0, is_invalid=is_invalid)])
        ]
        yield from record_batches(rows, found)


def split_json_documents(batches: Iterable[Any], rows: Sequence[str]) -> Iterator[Any]:
    """Yield what `records.batches` makes of batches of whole files: their name and their bytes."""
    for batch in batches:
        for place, content in zip(*(each.to_pylist() for each in batch.columns), strict=True):
            with readable(place):
                data = unpacked(BytesIO(content), place).read()
            yield from record_batches(
                rows, ((each, place) for each in records(rows, texts_of(data, place)))
            )


def parse_json(batches: Iterable[Any], query: str) -> Iterator[Any]:
    """Yield what `query.json_query` over `LINES` makes of Arrow batches of lines or records."""
    import duckdb
    import pyarrow as pa

    with duckdb.connect(config={"threads": 1}) as connection:
        for batch in batches:
            connection.register(LINES, pa.Table.from_batches([batch]))
            yield from connection.execute(query).to_arrow_table().to_batches()


def json_elements(texts: Any, pointers: Any) -> Any:
    """Return of each text of a pandas series the elements of the JSON list to which the first JSON
    pointer leads, of each the texts to which the others do; null where there is no list. The
    pointers are the same in all rows.
    """
    import duckdb
    import pandas as pd
    import pyarrow as pa

    rows = pa.table({"number": range(len(texts)), "x": pa.array(texts, pa.string())})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("texts", rows)
        place, *places = pointers[0] if len(pointers) else [""]
        found = connection.execute(_JSON_ELEMENTS, [place, places])
        return pd.Series(found.to_arrow_table()["elements"].to_pylist(), dtype=object)


def read_lines(batches: Iterable[Any]) -> Iterator[Any]:
    """Yield Arrow batches of `value` and `source_file`, a row per line, for batches of whole files:
    their name and their bytes, packed or not.
    """
    import pyarrow as pa

    schema = pa.schema([("value", pa.binary()), ("source_file", pa.string())])
    for batch in batches:
        for place, content in zip(*(each.to_pylist() for each in batch.columns), strict=True):
            lines = _lines(place, content)
            while some := list(_some(lines)):
                yield pa.record_batch([some, [place] * len(some)], schema=schema)


def read_csv(
    batches: Iterable[Any], dialect: Dialect, columns: Sequence[str], secret: Sequence[str]
) -> Iterator[Any]:
    """Yield Arrow batches of records, with `source_file` and `is_invalid_utf8`, for batches of
    whole files: their name and their bytes.
    """
    import pyarrow as pa

    kinds = [(name, pa.string()) for name in (*columns, "raw_line", "source_file")]
    schema = pa.schema([*kinds, ("is_invalid_utf8", pa.bool_())])
    for batch in batches:
        for place, content in zip(*(each.to_pylist() for each in batch.columns), strict=True):
            rows = _records(place, content, dialect, columns, secret)
            while some := list(islice(rows, 10_000)):
                table = [(*row, place, invalid) for row, invalid in some]
                arrays = [
                    pa.array(values, field.type)
                    for values, field in zip(zip(*table, strict=True), schema, strict=True)
                ]
                yield pa.record_batch(arrays, schema=schema)


def read_parquet(batches: Iterable[Any], part: Part, folder: str | None) -> Iterator[Any]:
    """Yield Arrow batches of rows for batches of files: their names, which stand below a folder of
    this machine, or else also their bytes.
    """
    import duckdb

    with session() as connection:
        for batch in batches:
            for name, *content in zip(*(each.to_pylist() for each in batch.columns), strict=True):
                with _placed(folder, name, content) as path:
                    query = part.query(rows_of([path]), quoted(name))
                    try:
                        yield from connection.execute(query).to_arrow_reader(_BATCH_ROWS)
                    except duckdb.Error as error:
                        raise SourceError(f"{name} cannot be read: {error}") from error


@contextmanager
def _placed(folder: str | None, name: str, content: Sequence[bytes]) -> Iterator[str]:
    """Give the path of a file, of its bytes as long as it is needed."""
    if folder is not None:
        yield f"{folder}/{name}"
        return
    with NamedTemporaryFile(suffix=".parquet") as file:
        file.writelines(content)
        file.flush()
        yield file.name


def _records(
    place: str, content: bytes, dialect: Dialect, columns: Sequence[str], secret: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], bool]]:
    with readable(place), unpacked(BytesIO(content), place) as file:
        for _, row, invalid in read_records(file, dialect, columns, place, secret):
            yield row, invalid


def _lines(place: str, content: bytes) -> Iterator[bytes]:
    """Yield the lines of a file without their ends, and without a byte order mark before them."""
    with readable(place), unpacked(BytesIO(content), place) as file:
        number, start = 1, codecs.BOM_UTF8
        while line := file.readline(LONGEST_LINE + len(start) + 1):
            line = line.removeprefix(start)
            if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                raise overlong(f"{place}: line {number}")
            yield line.removesuffix(b"\n")
            number, start = number + 1, b""


def _some(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the next lines, as many as are well sent together."""
    size = 0
    for line in lines:
        yield line
        size += len(line) + 1
        if size >= _BATCH_BYTES:
            break
