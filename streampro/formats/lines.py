"""Lines of local text files, counted in plain Python before an engine reads them.

The count is the independent side of the books, and it finds the few files that a fast line reader
would read differently from the rules; those are rewritten by `exact_lines`.
"""

import codecs
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from streampro.formats.format import LONGEST_LINE, overlong
from streampro.formats.packing import Unpacked, created, opened

LONGEST_PLAIN_LINE = 1024 * 1024
SEPARATOR = "\x02"
"""A byte that no plain file holds: what a CSV reader that reads whole lines takes for the
separator of columns.
"""

_CHUNK = 256 * 1024
_BLANK = b" \t\r\n"
_REPEATED = 0.02
"""Share of the lines that are dealt out twice."""


@dataclass(frozen=True)
class LineCount:
    """Lines of a file that are not blank, and whether a fast reader reads them by the rules; of a
    packed file when it unpacks it.
    """

    lines: int
    plain: bool
    packed: bool = False


def count_lines(path: Path) -> LineCount:
    """Read a file once, in constant memory.

    Raises `SourceError` for a file that cannot be read or unpacked and for a line over the limit.
    """
    counter = _LineCounter(path)
    with opened(path) as file:
        start = file.read(len(codecs.BOM_UTF8))
        if start == codecs.BOM_UTF8:
            counter.plain = False
        elif start:
            counter.add(start)
        while chunk := file.read(_CHUNK):
            counter.add(chunk)
        if not isinstance(file, Unpacked):
            return counter.finish()
        count = counter.finish()
        return replace(count, plain=count.plain and file.is_usual, packed=True)


def exact_lines(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (text, had invalid UTF-8) of every line that is not blank, by the reading rules.

    Lines end at LF only; a trailing CR and a byte order mark at the file's start are dropped.
    """
    for _, text, invalid in numbered_lines(path):
        yield text, invalid


def numbered_lines(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield the same with the number of each line in its file, the first is 1."""
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip(_BLANK):
                text = line.decode("utf-8", errors="replace")
                yield number, text.removesuffix("\n").removesuffix("\r"), not _is_utf8(line)


def deal_lines(path: Path, places: Sequence[Path], dice: Random) -> None:
    """Write every line of a file to a random one of new files, some to two, the first line that is
    not blank and all before it to the first of them.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(created(place)) for place in places]
        lines = stack.enter_context(opened(path))
        is_first = True
        while line := lines.readline(LONGEST_LINE):
            whole = line if line.endswith(b"\n") else line + b"\n"
            for _ in range(2 if dice.random() < _REPEATED else 1):
                files[0 if is_first else dice.randrange(len(files))].write(whole)
            is_first = is_first and not line.strip()


class _LineCounter:
    """Counts lines chunk by chunk: a few vectorised passes, and a closer look at the rare lines
    that end in white space.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.newlines = 0
        self.plain = True
        self.open_line = b""
        self.open_length = 0
        self.decoder = codecs.getincrementaldecoder("utf-8")("strict")

    def add(self, chunk: bytes) -> None:
        values = np.frombuffer(chunk, dtype=np.uint8)
        ends = np.flatnonzero(values == ord("\n"))
        if self.plain:
            self.plain = self._is_plain(chunk, values, ends)
        if len(ends) == 0:
            self._keep_open(chunk)
            return
        self._close_open_line(chunk[: ends[0]])
        suspects = np.flatnonzero(values[ends[1:] - 1] <= ord(" ")) + 1
        blank = sum(1 for i in suspects if not chunk[ends[i - 1] : ends[i]].strip(_BLANK))
        self.lines += len(ends) - 1 - blank
        self.newlines += len(ends)
        self.open_line, self.open_length = b"", 0
        self._keep_open(chunk[ends[-1] + 1 :])

    def finish(self) -> LineCount:
        self.lines += bool(self.open_line)
        try:
            self.decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            self.plain = False
        return LineCount(lines=self.lines, plain=self.plain)

    def _keep_open(self, part: bytes) -> None:
        """Remember of a line that goes on in the next chunk its length and whether it has text."""
        self.open_length += len(part)
        self.open_line = self.open_line or part.strip(_BLANK)[:1]
        if self.open_length > LONGEST_PLAIN_LINE:
            self.plain = False
        if self.open_length > LONGEST_LINE:
            raise overlong(f"{self.path}: line {self.newlines + 1}")

    def _close_open_line(self, part: bytes) -> None:
        self._keep_open(part)
        self.lines += bool(self.open_line)

    def _is_plain(
        self, chunk: bytes, values: "np.ndarray[Any, Any]", ends: "np.ndarray[Any, Any]"
    ) -> bool:
        if int(values.min()) < ord("\t"):
            return False
        if b"\r" in chunk:
            before_ends = int(np.count_nonzero(values[ends[ends > 0] - 1] == ord("\r")))
            if before_ends != int(np.count_nonzero(values == ord("\r"))):
                return False
        if not chunk.isascii() or self.decoder.getstate()[0]:
            try:
                self.decoder.decode(chunk)
            except UnicodeDecodeError:
                return False
        return True


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
