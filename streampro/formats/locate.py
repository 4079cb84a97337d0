"""Where in its file a record stands."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streampro.formats.registry import format_of

if TYPE_CHECKING:
    from streampro.modeling.source import Source


def locate(
    source: "Source", raw: Path, wanted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, int, str]]:
    """Yield file, number and text of the first line with each of some texts; a record of CSV stands
    on the line on which it begins. The texts are given per file as their `digest`.
    """
    for name, digests in wanted.items():
        missing = {*digests}
        for number, text in format_of(source).numbered(source, raw / name):
            if (key := digest(text)) in missing:
                yield name, number, text
                missing.remove(key)
                if not missing:
                    break


def digest(text: str) -> str:
    """Return what `hexdigest('md5')` says of a text on every engine."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
