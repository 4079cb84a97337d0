"""Rows in parts of their keys, of which each fits the memory."""

from collections.abc import Iterable
from math import ceil

import duckdb

from streampro.formats.json.typed import identifier

_BYTES_OF_A_VALUE = 16
"""What DuckDB holds of a value, long text aside."""
_MOST_BYTES = 2 * 10**9
"""Of the rows of one part, however much memory there is."""


def number_of(connection: duckdb.DuckDBPyConnection, queries: Iterable[tuple[str, int]]) -> int:
    """Return into how many parts the rows of queries, each with the number of its columns, are
    taken together.
    """
    limit = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
    [[memory]] = connection.execute(limit).fetchall()
    values = 0
    for query, columns in queries:
        [[rows]] = connection.execute(f"SELECT count(*) FROM ({query})").fetchall()
        values += rows * columns
    return max(1, ceil(values * _BYTES_OF_A_VALUE / min(int(memory), _MOST_BYTES)))


def one_of(query: str, key: str, part: int, number: int) -> str:
    """Return the query of the rows whose key is in one part of so many."""
    return f"SELECT * FROM ({query}) WHERE hash({identifier(key)}) % {number} = {part}"
