"""Records of JSON that Python has split, on their way to the parser: the same on every engine.

Of a source with `rows` a record is a line (of a document an object) with the elements of its list,
so that what stands around them is read once; of other documents it is an element.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streampro.formats.format import LocalText, Placed, digest
from streampro.formats.json.elements import split

_BATCH_SIGNS = 4 * 1024 * 1024
_MOST_ELEMENTS = 1_000
"""Elements of one record; a longer list is several records."""


@dataclass(frozen=True)
class Text:
    """A line, or an object or element of a document, as it stands in a file.

    Attributes:
        text: what it says.
        number: the line on which it begins, the first is 1.
        position: its place in the list that a document is, from 0; null for all else.
        is_invalid: whether bytes of it were replaced by U+FFFD.
    """

    text: str
    number: int
    position: int | None = None
    is_invalid: bool = False


@dataclass(frozen=True)
class Record:
    """What is parsed at once.

    Attributes:
        text: what is read; of a source with `rows` without its list.
        position: the place of the element in its list; with `rows`, of the first of `elements`.
        digest: tells lines of one file apart; none without `rows`.
        elements: null for a line in which no list is found, which is a row as it is.
    """

    text: str
    position: int | None
    is_invalid: bool
    digest: str | None = None
    elements: list[str] | None = None

    @property
    def count(self) -> int:
        """How many rows it is."""
        return 1 if self.elements is None else len(self.elements)

    @property
    def size(self) -> int:
        """How many signs it has."""
        return len(self.text) + sum(map(len, self.elements or ()))


def records(rows: Sequence[str], texts: Iterable[Text]) -> Iterator[Record]:
    """Yield the records of texts, in their order."""
    if not rows:
        yield from (Record(each.text, each.position, each.is_invalid) for each in texts)
        return
    for each in texts:
        line, found = digest(each.text), split(each.text, rows)
        if found is None:
            yield Record(each.text, 0, each.is_invalid, line)
            continue
        for start in range(0, max(1, len(found.elements)), _MOST_ELEMENTS):
            some = [*found.elements[start : start + _MOST_ELEMENTS]]
            yield Record(found.rest, start, each.is_invalid and not start, line, some)


def of_files(
    rows: Sequence[str],
    raw: Path,
    paths: Sequence[Path],
    texts_in: Callable[[Path], Iterable[Text]],
) -> Iterator[tuple[Record, str]]:
    """Yield the records of files, each with the path of its file below the raw folder."""
    for path in paths:
        name = path.relative_to(raw).as_posix()
        for record in records(rows, texts_in(path)):
            yield record, name


def placed(rows: Sequence[str], texts: Iterable[Text]) -> Iterator[Placed]:
    """Yield what `records` holds row by row, each with its place and by what it is known."""
    for each in texts:
        if not rows:
            key = f"{digest(each.text)}:{_shown(each.position)}"
            yield Placed(each.number, key, each.text, each.position)
            continue
        line, found = digest(each.text), split(each.text, rows)
        if found is None:
            yield Placed(each.number, f"{line}:", each.text)
            continue
        number, seen = each.number, 0
        for position, (text, start) in enumerate(zip(found.elements, found.starts, strict=True)):
            number, seen = number + each.text.count("\n", seen, start), start
            yield Placed(number, f"{line}:{position}", text, position)


def batches(rows: Sequence[str], found: Iterable[tuple[Record, str]]) -> Iterator[Any]:
    """Yield records, each with its file, as Arrow batches that fit into memory: `raw_line`,
    `source_file`, `position`, `is_invalid`, with `rows` also `line_digest` and `elements`.
    """
    import pyarrow as pa

    kinds: dict[str, Any] = {
        "raw_line": pa.string(),
        "source_file": pa.string(),
        "position": pa.int64(),
        "is_invalid": pa.bool_(),
    }
    if rows:
        kinds |= {"line_digest": pa.string(), "elements": pa.list_(pa.string())}
    schema = pa.schema([*kinds.items()])
    for some in _some(found):
        values: list[tuple[Any, ...]] = [
            (each.text, file, each.position, each.is_invalid, each.digest, each.elements)
            for each, file in some
        ]
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(
                [*zip(*values, strict=True)][: len(schema)], schema, strict=True
            )
        ]
        yield pa.record_batch(arrays, schema=schema)


def written(rows: Sequence[str], scratch: Path, found: Iterable[tuple[Record, str]]) -> LocalText:
    """Write records to a parquet file, in constant memory, and return it with their number."""
    import pyarrow.parquet as pq

    counted = _Counted(found)
    scratch.parent.mkdir(parents=True, exist_ok=True)
    path = scratch.with_suffix(".parquet")
    made = batches(rows, counted)
    first = next(made, None)
    if first is None:
        first = next(batches(rows, [(Record("", None, False, "", []), "")])).slice(0, 0)
    with pq.ParquetWriter(path, first.schema, compression="lz4") as writer:
        writer.write_batch(first)
        for batch in made:
            writer.write_batch(batch)
    return LocalText(
        sum(counted.by_file.values()),
        rewritten=path,
        invalid_utf8=counted.invalid,
        by_file=counted.by_file,
        holding=counted.holding if rows else None,
    )


class _Counted:
    """Records, counted as they are iterated over."""

    def __init__(self, found: Iterable[tuple[Record, str]]) -> None:
        self.found = found
        self.by_file: dict[str, int] = {}
        self.holding = 0
        self.invalid = 0

    def __iter__(self) -> Iterator[tuple[Record, str]]:
        for record, file in self.found:
            self.by_file[file] = self.by_file.get(file, 0) + record.count
            self.holding += not record.position
            self.invalid += record.is_invalid
            yield record, file


def _some(found: Iterable[tuple[Record, str]]) -> Iterator[list[tuple[Record, str]]]:
    """Yield the records, as many at once as are well written together."""
    held: list[tuple[Record, str]] = []
    size = 0
    for each in found:
        held.append(each)
        size += each[0].size + 64
        if size >= _BATCH_SIGNS:
            yield held
            held, size = [], 0
    if held:
        yield held


def _shown(position: int | None) -> str:
    return "" if position is None else str(position)
