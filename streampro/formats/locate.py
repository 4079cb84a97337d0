"""Where in its file a row stands."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from streampro.formats.format import Placed
from streampro.formats.registry import format_of

if TYPE_CHECKING:
    from streampro.modeling.source import Source


def locate(
    source: "Source", raw: Path, wanted: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, Placed]]:
    """Yield file and place of the first row that is known by each of some keys, which are given per
    file; a record of CSV stands on the line on which it begins.
    """
    for name, keys in wanted.items():
        missing = {*keys}
        form = format_of(source)
        for each in form.placed(source, raw / form.stored_as(source, name)):
            if each.key in missing:
                yield name, each
                missing.remove(each.key)
                if not missing:
                    break
