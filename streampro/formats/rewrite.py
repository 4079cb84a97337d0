"""Records written as parquet, where an engine cannot read the raw files by the rules."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from streampro.formats.format import LocalText

Record = tuple[tuple[str | None, ...], bool]
"""A row of text, and whether bytes of it were replaced."""
_BATCH = 10_000


def rewrite(scratch: Path, columns: Sequence[str], records: Iterable[Record]) -> LocalText:
    """Write records to a parquet file of text columns, in constant memory, and return it with
    their number. The last column is the file in which each stands.
    """
    scratch.parent.mkdir(parents=True, exist_ok=True)
    path = scratch.with_suffix(".parquet")
    schema = pa.schema([(name, pa.string()) for name in columns])
    counted = _Counted(records)
    with pq.ParquetWriter(path, schema, compression="lz4") as writer:
        while batch := list(islice(counted, _BATCH)):
            arrays = [pa.array(values, pa.string()) for values in zip(*batch, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    return LocalText(
        counted.by_file.total(),
        rewritten=path,
        invalid_utf8=counted.invalid,
        by_file=counted.by_file,
    )


class _Counted:
    """The rows of records, counted as they are iterated over."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = iter(records)
        self.by_file: Counter[str] = Counter()
        self.invalid = 0

    def __iter__(self) -> Iterator[tuple[str | None, ...]]:
        return self

    def __next__(self) -> tuple[str | None, ...]:
        row, is_invalid = next(self.records)
        self.by_file[row[-1] or ""] += 1
        self.invalid += is_invalid
        return row
