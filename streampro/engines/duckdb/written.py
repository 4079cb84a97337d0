"""Data files that DuckDB has written, as COPY tells of them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt

from streampro.storage.data_files import DataFile
from streampro.storage.place import Disk
from streampro.storage.statistics import statistic


def data_file(row: tuple[Any, ...], schema: ibis.Schema) -> DataFile:
    """Read a row of COPY's RETURN_STATS: file name, rows, bytes, footer bytes, statistics."""
    path, rows, size, _, statistics, _ = row
    columns = {name[1:-1].replace('""', '"'): values for name, values in (statistics or {}).items()}
    columns = {name: values for name, values in columns.items() if name in schema}
    return DataFile(
        path=Disk(Path(path)),
        name=Path(path).name,
        size=size,
        rows=rows,
        minimum=_statistic("min", columns, schema),
        maximum=_statistic("max", columns, schema),
        nulls={name: int(values["null_count"]) for name, values in columns.items()},
    )


def _statistic(
    which: str, columns: dict[str, dict[str, str]], schema: ibis.Schema
) -> dict[str, Any]:
    """Return a bound per column, read from the text that COPY returns."""
    found = {
        name: statistic(_read_bound(values[which], schema[name]))
        for name, values in columns.items()
        if values.get(which) is not None
    }
    return {name: bound for name, bound in found.items() if bound is not None}


def _read_bound(text: str, kind: dt.DataType) -> Any:
    if kind.is_integer():
        return int(text)
    if kind.is_timestamp():
        return datetime.fromisoformat(text)
    return text if kind.is_string() or kind.is_date() else None
