"""Statistics of data files, by which readers skip those that have no row for them."""

from datetime import date, datetime
from typing import Any, Literal

import pyarrow.parquet as pq

_LONGEST_TEXT_STATISTIC = 64


def statistic(value: Any) -> Any:
    """Return a column's bound as the JSON value that a Delta log holds, None for no bound.

    Long texts are left out, as bounds need not be exact but must not be cut; so are booleans,
    floats and decimals, for which the log has no order, no NaN or no exact number.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    is_number = isinstance(value, int) and not isinstance(value, bool)
    is_text = isinstance(value, str) and len(value) <= _LONGEST_TEXT_STATISTIC
    return value if is_number or is_text else None


def bounds(footer: pq.FileMetaData, which: Literal["min", "max"]) -> dict[str, Any]:
    """Return per column the least or greatest value that a file's footer tells, as the log has it.

    A row group without values has no bound; where one with values tells none, there is none.
    """
    found = {}
    for name, chunks in _chunks(footer).items():
        parts = [chunk.statistics for chunk in chunks]
        filled = [p for p, c in zip(parts, chunks, strict=True) if not _is_empty(p, c.num_values)]
        if filled and all(part is not None and part.has_min_max for part in filled):
            pick = min if which == "min" else max
            found[name] = statistic(pick(getattr(part, which) for part in filled))
    return {name: value for name, value in found.items() if value is not None}


def nulls(footer: pq.FileMetaData) -> dict[str, int]:
    """Return per column the number of nulls that a file's footer tells."""
    return {
        name: sum(chunk.statistics.null_count for chunk in chunks)
        for name, chunks in _chunks(footer).items()
        if all(chunk.statistics and chunk.statistics.has_null_count for chunk in chunks)
    }


def _chunks(footer: pq.FileMetaData) -> dict[str, list[pq.ColumnChunkMetaData]]:
    """Return the chunks of each column that has no parts: of others the log has no bounds."""
    groups = [footer.row_group(group) for group in range(footer.num_row_groups)]
    leaves = (footer.schema.column(i) for i in range(footer.num_columns))
    names = {i: leaf.name for i, leaf in enumerate(leaves) if leaf.name == leaf.path}
    return {name: [group.column(i) for group in groups] for i, name in names.items()}


def _is_empty(statistics: pq.Statistics | None, values: int) -> bool:
    return bool(statistics and statistics.has_null_count and statistics.null_count == values)
