"""Rows that may repeat one before them, told while they stream by."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
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
_MASKS = 2**12
_BITS = 3
"""How many bits of a word a hash sets, and of how many such masks it takes one."""
_PLACES = 2**18
"""Of which the rows of one call take one each, to be told apart."""


class Seen:
    """The hashes of all rows so far, as Bloom filters of 2 bytes per row.

    Of two equal rows at least one is told to be seen. Of the others less than one in a hundred is,
    so that rows that are told to be seen are few, and those that are not are distinct for certain.
    A hash looks at one word of a filter: its uppermost bits say which, its lowest which bits of it.
    """

    def __init__(self, rows: int = _FIRST_ROWS) -> None:
        self.room = rows
        self.filters = [_words(rows)]
        self.masks = _masks()
        self.last = np.empty(_PLACES, dtype=np.int64)
        self.lock = Lock()  # DuckDB asks from all its threads

    def __call__(self, hashes: pa.ChunkedArray) -> pa.Array:
        """Return for each hash whether it may be one before it, and keep it."""
        values = hashes.to_numpy()
        with self.lock:
            return pa.array(self._repeated(values) | self._seen(values))

    def _seen(self, hashes: "np.ndarray[Any, Any]") -> Any:
        bits = self.masks[hashes & np.uint64(_MASKS - 1)]
        seen = np.zeros(len(hashes), dtype=bool)
        for words in self.filters:
            places = _places(words, hashes)
            held = words[places]
            seen |= (held & bits) == bits
        words[places] = held | bits
        if (lost := (words[places] & bits) != bits).any():  # two of these hashes have one word
            np.bitwise_or.at(words, places[lost], bits[lost])
        self.room -= len(hashes)
        if self.room < 0:
            self.room = _GROWTH * len(words) * _WORD // _BITS_PER_ROW
            self.filters.append(_words(self.room))
        return seen

    def _repeated(self, hashes: "np.ndarray[Any, Any]") -> Any:
        """Return for each of these whether a later one may be the same."""
        places, rows = hashes & np.uint64(_PLACES - 1), np.arange(len(hashes))
        self.last[places] = rows
        return self.last[places] != rows


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


def _masks() -> "np.ndarray[Any, Any]":
    dice = Random(0)
    masks = (sum(1 << bit for bit in dice.sample(range(_WORD), _BITS)) for _ in range(_MASKS))
    return np.fromiter(masks, dtype=np.uint64, count=_MASKS)


def _places(words: "np.ndarray[Any, Any]", hashes: "np.ndarray[Any, Any]") -> Any:
    """Return which word a hash is in: a power of two of them takes its uppermost bits."""
    return (hashes >> np.uint64(_WORD - (len(words).bit_length() - 1))).view(np.int64)
