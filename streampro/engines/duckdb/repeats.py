"""Rows that may repeat one before them, told while they stream by."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import PythonUDFType

_FIRST_ROWS = 2**20
_GROWTH = 8
_BITS_PER_ROW = 16
_WORD = 64
_INDEXES = 6
"""Bits of a hash that say which bit of a word it sets."""


class Seen:
    """The hashes of all rows so far, as Bloom filters of 2 bytes per row.

    Of two equal rows at least one is told to be seen. Of the others about one in a thousand is, so
    that rows that are told to be seen are few, and those that are not are distinct for certain.
    """

    def __init__(self, rows: int = _FIRST_ROWS) -> None:
        self.room = rows
        self.filters = [_words(rows)]
        self.lock = Lock()  # DuckDB asks from all its threads

    def __call__(self, hashes: pa.ChunkedArray) -> pa.Array:
        """Return for each hash whether it may be one before it, and keep it."""
        values = hashes.to_numpy()
        with self.lock:
            return pa.array(self._seen(values) | _repeated(values))

    def _seen(self, hashes: "np.ndarray[Any, Any]") -> Any:
        bits = np.zeros(len(hashes), dtype=np.uint64)
        for turn in range(3):
            place = (hashes >> np.uint64(turn * _INDEXES)) & np.uint64(_WORD - 1)
            bits |= np.uint64(1) << place
        seen = np.zeros(len(hashes), dtype=bool)
        for words in self.filters:
            places = _places(words, hashes)
            seen |= (words[places] & bits) == bits
        np.bitwise_or.at(words, places, bits)
        self.room -= len(hashes)
        if self.room < 0:
            self.room = _GROWTH * len(words) * _WORD // _BITS_PER_ROW
            self.filters.append(_words(self.room))
        return seen


@contextmanager
def seen_function(connection: duckdb.DuckDBPyConnection, name: str) -> Iterator[None]:
    """Give queries a function of a hash, once per row: whether it may be that of a row before."""
    connection.create_function(
        name,
        Seen().__call__,
        ["UBIGINT"],
        "BOOLEAN",
        type=PythonUDFType.ARROW,
        side_effects=True,
    )
    try:
        yield
    finally:
        connection.remove_function(name)


def _words(rows: int) -> "np.ndarray[Any, Any]":
    return np.zeros(rows * _BITS_PER_ROW // _WORD, dtype=np.uint64)


def _places(words: "np.ndarray[Any, Any]", hashes: "np.ndarray[Any, Any]") -> Any:
    """Return which word a hash is in: a power of two of them takes its uppermost bits."""
    return (hashes >> np.uint64(_WORD - (len(words).bit_length() - 1))).astype(np.int64)


def _repeated(hashes: "np.ndarray[Any, Any]") -> Any:
    """Return for each hash whether it stands earlier among these."""
    ordered = np.sort(hashes)
    repeated = np.zeros(len(hashes), dtype=bool)
    if (ordered[1:] == ordered[:-1]).any():
        repeated[:] = True
        repeated[np.unique(hashes, return_index=True)[1]] = False
    return repeated
