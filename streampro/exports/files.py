"""Files of rows: CSV, Parquet, JSON, XLSX. Each is written beside its place and then takes it."""

import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import csv, parquet

from streampro.environment import replacing
from streampro.errors import ConfigError, EngineError
from streampro.exports.texts import with_iso_instants, with_texts
from streampro.modeling.model import TableName
from streampro.modeling.question import json_text, plain_rows, value_text

Writer = Callable[[TableName, pa.RecordBatchReader, BinaryIO], int]
"""Writes rows to a file that is open, and returns how many they were."""
_SHEET_ROWS, _SHEET_COLUMNS, _CELL_LETTERS = 1_048_576, 16_384, 32_767
_LARGEST_INTEGER, _MOST_DIGITS = 2**53, 15
"""Numbers in a sheet are doubles; beyond these they would be others."""
_FIRST_DAY = date(1900, 3, 1)
"""Before it sheets count a day that never was."""


def write_file(kind: str, table: TableName, rows: pa.RecordBatchReader, path: Path) -> int:
    """Write rows to a file of a kind in `WRITERS`, packed by gzip if its name ends in `.gz`, in
    place of what is there, and return how many they were. Nobody sees a part of it.

    Raises `ConfigError` for what a file of that kind cannot hold, `EngineError` where it cannot be
    written.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder: name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as beside, beside.open("wb") as file:
            if path.suffix != ".gz":
                return WRITERS[kind](table, rows, file)
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                return WRITERS[kind](table, rows, packed)  # type: ignore[arg-type]  # it is one
    except OSError as error:
        raise EngineError(f"{path} cannot be written: {error.strerror or error}") from error


def write_csv(table: TableName, rows: pa.RecordBatchReader, file: BinaryIO) -> int:
    """Write rows as `streampro sql --format csv` prints them."""
    with csv.CSVWriter(file, with_texts(rows.schema.empty_table()).schema) as writer:
        return _each(rows, lambda some: writer.write_table(with_texts(some)))


def _write_parquet(table: TableName, rows: pa.RecordBatchReader, file: BinaryIO) -> int:
    with parquet.ParquetWriter(file, rows.schema, compression="zstd") as writer:
        return _each(rows, writer.write_table)


def _write_lines(table: TableName, rows: pa.RecordBatchReader, file: BinaryIO) -> int:
    """Write an object per line."""

    def write(some: pa.Table) -> None:
        file.writelines(f"{text}\n".encode() for text in _objects(some))

    return _each(rows, write)


def _write_json(table: TableName, rows: pa.RecordBatchReader, file: BinaryIO) -> int:
    """Write one array, an object per line."""
    before = "[\n"

    def write(some: pa.Table) -> None:
        nonlocal before
        for text in _objects(some):
            file.write(f"{before}{text}".encode())
            before = ",\n"

    count = _each(rows, write)
    file.write(b"\n]\n" if count else b"[]\n")
    return count


def _write_sheet(table: TableName, rows: pa.RecordBatchReader, file: BinaryIO) -> int:
    """Write one sheet. A text is a text, whatever it begins with; numbers that a double does not
    hold, and instants, are texts too.
    """
    try:
        import xlsxwriter
    except ImportError as error:
        raise ConfigError("XLSX needs a further package: pip install 'streampro[xlsx]'.") from error
    names = rows.schema.names
    if len(names) > _SHEET_COLUMNS:
        raise ConfigError(f"{table} has {len(names)} columns; a sheet has {_SHEET_COLUMNS:,}.")
    with xlsxwriter.Workbook(file, {"constant_memory": True, "in_memory": False}) as book:
        book.set_properties({"created": datetime(2000, 1, 1)})  # the same bytes each time
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet = book.add_worksheet(table.name[:31])
        for place, name in enumerate(names):
            sheet.write_string(0, place, name)
        number = 0

        def write(some: pa.Table) -> None:
            nonlocal number
            if number + len(some) >= _SHEET_ROWS:
                raise ConfigError(
                    f"{table} has more than {_SHEET_ROWS - 1:,} rows, the most that a sheet holds "
                    "below its titles. Write CSV or Parquet."
                )
            for row in with_texts(_with_texts_of_instants(some)).to_pylist():
                number += 1
                for place, (name, value) in enumerate(row.items()):
                    _write_cell(sheet, number, place, value, day, f"{table}.{name}")

        return _each(rows, write)


def _with_texts_of_instants(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    return table


def _write_cell(sheet: Any, row: int, place: int, value: Any, day: Any, name: str) -> None:
    match value:
        case None:
            return
        case bool():
            sheet.write_boolean(row, place, value)
        case int() | float() if _is_number_of_a_sheet(value):
            sheet.write_number(row, place, value)
        case Decimal() if len(value.as_tuple().digits) <= _MOST_DIGITS:
            sheet.write_number(row, place, value)
        case date() if value >= _FIRST_DAY:
            sheet.write_datetime(row, place, value, day)
        case _:
            text = value_text(value)
            letters = len(text.encode("utf-16-le")) // 2  # as sheets count: an emoji is two
            if letters > _CELL_LETTERS:
                raise ConfigError(
                    f"{name} has a text of {letters:,} letters, of which a cell of a sheet holds "
                    f"{_CELL_LETTERS:,}. Write CSV or Parquet."
                )
            sheet.write_string(row, place, text)


def _is_number_of_a_sheet(value: float) -> bool:
    """Tell whether a sheet has the number: no integer beyond a double's, no NaN, no infinity, and
    none that is infinite once it is written with 16 digits.
    """
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INTEGER
    return math.isfinite(float(f"{value:.16G}"))


def _objects(some: pa.Table) -> Iterator[str]:
    rows = plain_rows(with_iso_instants(some))
    return map(json_text, rows)


def _each(rows: pa.RecordBatchReader, write: Callable[[pa.Table], None]) -> int:
    """Write rows batch by batch; return how many they are."""
    count = 0
    for batch in rows:
        write(pa.Table.from_batches([batch]))
        count += len(batch)
    return count


WRITERS: Mapping[str, Writer] = {
    "csv": write_csv,
    "parquet": _write_parquet,
    "jsonl": _write_lines,
    "json": _write_json,
    "xlsx": _write_sheet,
}
