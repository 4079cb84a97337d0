"""Where the elements of a JSON list stand in a text: told by its quotes and brackets, in plain
Python, so that they are counted and keep their text before any engine parses them.

A text is cut where commas and brackets say so; whether what stands between them is JSON is left to
the parser that reads it. Python's own scanner only finds the ends faster where it can.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from json.decoder import JSONDecoder
from typing import Any

_SCAN: Any = JSONDecoder(parse_int=str).scan_once  # type: ignore[attr-defined]  # not in the stubs
"""Integers stay text: Python makes no number of one that is very long."""
_UNREAD = (StopIteration, ValueError, RecursionError)
_ENDS = (",", "]", "}")
"""What stands behind a value."""
_UNENDED = "a list does not end"
_DEEPER = {"[": 1, "{": 1, "]": -1, "}": -1}
_SPACE = " \t\n\r"
_GAP = f"[{_SPACE}]*+"
_SPACES = re.compile(_GAP)
_TEXT = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SIGN = re.compile(rf'{_TEXT}|[\[\]{{}},"]', re.DOTALL)
"""What tells where a value ends; a quote alone begins a text that does not end."""


def _within(levels: int) -> str:
    """Return a pattern of what stands in brackets that hold others of so many levels."""
    inner = rf"|[\[{{]{_within(levels - 1)}[\]}}]" if levels else ""
    return rf'(?:[^\[\]{{}}"]++|{_TEXT}{inner})*+'


_VALUE = rf'(?:[^\[\]{{}},"]++|{_TEXT}|[\[{{]{_within(5)}[\]}}])*+'
"""Up to the sign behind it. Values of more levels are rare, and are followed sign by sign."""
_ELEMENT = re.compile(rf"({_VALUE})([,\]]){_GAP}", re.DOTALL)
_TOLERATED = re.compile(
    rf"({_TEXT})|-?\b(?i:nan|inf|infinity)\b|(?<![\[{{,:{_SPACE}])[{_SPACE}]*,(?=[{_SPACE}]*[\]}}])",
    re.DOTALL,
)
"""What the parser takes and Python does not: words for numbers, a comma before a bracket."""


class BrokenError(ValueError):
    """Quotes or brackets that do not fit together. `at` is where."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(what)
        self.at = at


@dataclass(frozen=True)
class Elements:
    """The elements of a list: their texts as they are spelled, where each begins, and where the
    list ends.
    """

    texts: Sequence[str]
    starts: Sequence[int]
    end: int


@dataclass(frozen=True)
class Split:
    """A JSON text without one of its lists, and the elements of that, each with its place.

    Attributes:
        rest: the text with an empty list in its place; as it is where there is no list.
        elements: their texts as they are spelled.
        starts: where each begins in the text.
    """

    rest: str
    elements: Sequence[str] = ()
    starts: Sequence[int] = ()


def split(text: str, path: Sequence[str]) -> Split | None:
    """Return the elements of the list to which the keys of a path lead; none where a key is missing
    or leads to null.

    None for a text that is no JSON object, and where something else than a list stands there. Of a
    repeated key the first counts.
    """
    try:
        place = _place(text, path)
        if place is None:
            return Split(text) if is_valid(text) else None
        if text[place : place + 1] != "[":
            return None
        found = elements(text, place)
    except BrokenError:
        return None
    rest = f"{text[:place]}[]{text[found.end :]}"
    return Split(rest, found.texts, found.starts) if is_valid(rest) else None


def elements(text: str, at: int) -> Elements:
    """Return the elements of the list that begins at a place. Raises `BrokenError` for a list that
    does not end.
    """
    texts: list[str] = []
    starts: list[int] = []
    end = _collected(text, at, texts, starts)
    return Elements([each.rstrip(_SPACE) for each in texts], starts, end)


def _collected(text: str, at: int, texts: list[str], starts: list[int]) -> int:
    """Add the elements of a list, with the space behind each, and return where the list ends."""
    at = past_spaces(text, at + 1)
    while not text.startswith("]", at):
        scanner: Any = _ELEMENT.scanner(text, at)  # type: ignore[attr-defined]  # typeshed has none
        following: Callable[[], re.Match[str] | None] = scanner.match
        for found in iter(following, None):
            is_last = found[2] == "]"
            if is_last and found.start(2) == at:  # behind a comma that nothing follows
                return found.end(2)
            texts.append(found[1])
            starts.append(at)
            if is_last:
                return found.end(2)
            at = found.end()
        end = _end(text, at)
        if not text.startswith((",", "]"), end):
            raise BrokenError(end, f"{text[end]!r} ends a list" if end < len(text) else _UNENDED)
        texts.append(text[at:end])
        starts.append(at)
        at = past_spaces(text, end + 1) if text[end] == "," else end
    return at + 1


def end_of_object(text: str, at: int) -> int:
    """Return where the object that begins at a place ends. Raises `BrokenError` if it does not."""
    try:
        return int(_SCAN(text, at)[1])
    except _UNREAD:
        depth = 0
        for sign in _signs(text, at):
            depth += _DEEPER.get(sign[0], 0)
            if not depth:
                return sign.end()
    raise BrokenError(len(text), "an object does not end")


def past_spaces(text: str, at: int) -> int:
    """Return the place of the next sign that is no white space."""
    return _SPACES.match(text, at).end()  # type: ignore[union-attr]  # it always matches


def is_valid(text: str) -> bool:
    """Tell whether a text is JSON as the parser reads it; no where that is not sure."""
    return _is_read(text) or _is_read(_TOLERATED.sub(_as_python_has_it, text))


def _as_python_has_it(found: re.Match[str]) -> str:
    return found[1] or ("" if found[0].endswith(",") else "0")


def _is_read(text: str) -> bool:
    try:
        _, end = _SCAN(text, past_spaces(text, 0))
        if "\\ud" in text or "\\uD" in text:  # half of a pair alone is no letter
            for found in re.finditer(_TEXT, text):
                if "\\u" in found[0]:
                    _SCAN(found[0], 0)[0].encode()
    except _UNREAD:
        return False
    return past_spaces(text, end) == len(text)


def _place(text: str, path: Sequence[str]) -> int | None:
    """Return where the value at a path begins, None where there is none or null; the place of what
    is no object where a key of the path should stand in it.
    """
    if usual := _usual(tuple(path)).match(text):
        at = usual.end()
        return None if text.startswith("null", at) else at
    at = past_spaces(text, 0)
    for number, key in enumerate(path):
        if number and text.startswith("null", at):
            return None
        if not text.startswith("{", at):
            return len(text)
        found = _member(text, at, key)
        if found is None:
            return None
        at = found
    return None if text.startswith("null", at) else at


def _member(text: str, at: int, key: str) -> int | None:
    """Return where the value of a key begins, of the object that begins at a place; None where it
    has no such key.
    """
    at = _before(key).match(text, at + 1).end()  # type: ignore[union-attr]  # it always matches
    while not text.startswith("}", at):
        name, at = _key(text, at)
        if name == key:
            return at
        at = _end(text, at)
        if text.startswith(",", at):
            at = past_spaces(text, at + 1)
        elif not text.startswith("}", at):
            raise BrokenError(at, "an object does not end")
    return None


@lru_cache
def _usual(path: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that ends where the value at a path begins, where the objects on the way
    have plain names.
    """
    steps = (rf'\{{{_before(key).pattern}"{re.escape(key)}"{_GAP}:{_GAP}' for key in path)
    return re.compile(_GAP + "".join(steps), re.DOTALL)


@lru_cache
def _before(key: str) -> re.Pattern[str]:
    """Return a pattern of the usual members of an object before a key: those with a plain name."""
    name = rf'(?!"{re.escape(key)}")"[^"\\]*+"'
    return re.compile(rf"{_GAP}(?:{name}{_GAP}:{_VALUE},{_GAP})*+", re.DOTALL)


def _key(text: str, at: int) -> tuple[str, int]:
    """Return a key and where its value begins."""
    try:
        name, end = _SCAN(text, at)
    except _UNREAD as error:
        raise BrokenError(at, "a key is no text") from error
    end = past_spaces(text, end)
    if not text.startswith('"', at) or not text.startswith(":", end):
        raise BrokenError(at, "a key is no text")
    return name, past_spaces(text, end + 1)


def _end(text: str, at: int) -> int:
    """Return where the sign stands that ends the value that begins at a place."""
    depth = 0
    for sign in _signs(text, at):
        if not depth and sign[0] in _ENDS:
            return sign.start()
        depth += _DEEPER.get(sign[0], 0)
    return len(text)


def _signs(text: str, at: int) -> Iterator[re.Match[str]]:
    for sign in _SIGN.finditer(text, at):
        if sign[0] == '"':
            raise BrokenError(sign.start(), "a text does not end")
        yield sign
