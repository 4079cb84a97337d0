"""JSON documents: a file is one list, an element of which is a record, or one object."""

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, BinaryIO

from streampro.errors import SourceError
from streampro.formats.format import LONGEST_LINE, LocalText, Placed, overlong
from streampro.formats.json import records
from streampro.formats.json.elements import BrokenError, elements, end_of_object, past_spaces
from streampro.formats.json.records import Text
from streampro.formats.json_lines import Json
from streampro.formats.packing import created, opened

if TYPE_CHECKING:
    from streampro.modeling.source import Source

_REPLACED = re.compile("[\udc80-\udcff]")
"""Stands for a byte that is not UTF-8."""
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_REPEATED = 0.02
"""Share of the elements that are dealt out twice."""


class JsonDocuments(Json):
    """A list of objects, or one object, per file."""

    name = "json"
    may_be_empty = True  # a list of nothing is an answer

    def own_columns(self, source: "Source") -> dict[str, str]:
        """See `Format.own_columns`."""
        own = super().own_columns(source)
        return (
            own if source.rows else {"is_object": own.pop("is_object"), "position": "int64"} | own
        )

    def known_by(self, source: "Source") -> tuple[str, ...]:
        """See `Format.known_by`."""
        return super().known_by(source) if source.rows else ("raw_line", "position")

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: all records are rewritten, as they are split."""
        found = records.of_files(source.rows, raw, paths, _texts_in)
        return records.written(source.rows, scratch, found)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`."""
        return ((each.number, each.text) for each in _texts_in(path))

    def placed(self, source: "Source", path: Path) -> Iterator[Placed]:
        """See `Format.placed`."""
        return records.placed(source.rows, _texts_in(path))

    def whole_records(self, source: "Source", file: BinaryIO) -> Iterator[bytes]:
        """See `Format.whole_records`: a document is one, however much of it is there."""
        yield from file

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`. A document that is no list is dealt out as a whole."""
        found = [*_texts_in(path)]
        parts: list[list[str]] = [[] for _ in places]
        for number, each in enumerate(found):
            for _ in range(2 if dice.random() < _REPEATED else 1):
                parts[dice.randrange(len(places)) if number else 0].append(each.text)
        is_list = all(each.position is not None for each in found)
        for place, part in zip(places, parts, strict=True):
            with created(place) as file:
                text = f"[{','.join(part)}]" if is_list else "".join(part[:1])
                file.write(text.encode())


JSON_DOCUMENTS = JsonDocuments()


def texts_of(data: bytes, place: str) -> Iterator[Text]:
    """Yield the elements of the list that a document is, or the one object or value.

    Raises `SourceError`, naming `place`, for text that is not UTF-8, for a list or object that does
    not end, for what follows it, and for an overlong element.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    if data.startswith(_WIDE) or b"\0" in data[:4]:
        raise SourceError(
            f"{place} cannot be read as a JSON document: its first bytes are those of UTF-16 or "
            "UTF-32. Save it as UTF-8. Nothing was published."
        )
    text = data.decode("utf-8", "surrogateescape")
    start = past_spaces(text, 0)
    if start == len(text):
        return
    line, seen = 1, 0
    try:
        for begin, end, position in _spans(text, start):
            line, seen = line + text.count("\n", seen, begin), begin
            if end - begin > LONGEST_LINE:
                raise overlong(f"{place}: what begins on line {line}")
            found = text[begin:end]
            is_invalid = not found.isascii() and bool(_REPLACED.search(found))
            if is_invalid:
                found = found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            yield Text(found, line, position, is_invalid)
    except BrokenError as broken:
        raise SourceError(
            f"{place}, line {1 + text.count(chr(10), 0, broken.at)} cannot be read as a JSON "
            f"document: {broken}. Nothing was published."
        ) from broken


def _texts_in(path: Path) -> Iterator[Text]:
    with opened(path) as file:
        data = file.read()
    return texts_of(data, str(path))


def _spans(text: str, start: int) -> Iterator[tuple[int, int, int | None]]:
    """Yield where each record stands, and its place in the list. Raises `BrokenError`."""
    if text[start] == "[":
        found = elements(text, start)
        for position, (each, begin) in enumerate(zip(found.texts, found.starts, strict=True)):
            yield begin, begin + len(each), position
        end = found.end
    elif text[start] == "{":
        end = end_of_object(text, start)
        yield start, end, None
    else:
        end = len(text)
        yield start, start + len(text[start:].rstrip()), None
    behind = past_spaces(text, end)
    if behind < len(text):
        raise BrokenError(behind, _told(text[behind]))


def _told(sign: str) -> str:
    if sign in "[{":
        return (
            "it holds more than one. If each line is one, the format of the source is 'json_lines'"
        )
    return f"{json.dumps(sign)} stands behind its end"
