"""JSON lines: a line is an object, or holds a list of what becomes rows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from streampro.formats.format import RAW_COLUMNS, Format, LocalText, Placed
from streampro.formats.json import records
from streampro.formats.json.records import Text
from streampro.formats.json.typed import refused_type
from streampro.formats.packing import JOINED

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

    from streampro.modeling.source import Source

_GLOB_SIGNS = frozenset("*?[")
"""An engine would take a path with one of them for a pattern, and read other files."""


class Json(Format):
    """What DuckDB's JSON parser reads."""

    grows = False
    holds_lists = True

    def own_columns(self, source: "Source") -> dict[str, str]:
        """See `Format.own_columns`."""
        own = {"is_object": "boolean"}
        if source.rows:
            own |= {"is_element": "boolean", "position": "int64", "line_digest": "string"}
        return own | ({"is_unreadable": "boolean"} if source.types else {})

    def tells_readable(self, source: "Source") -> str:
        """See `Format.tells_readable`."""
        return "is_element" if source.rows else "is_object"

    def known_by(self, source: "Source") -> tuple[str, ...]:
        """See `Format.known_by`."""
        return ("line_digest", "position") if source.rows else ("raw_line",)

    def refused_type(self, kind: "dt.DataType") -> str | None:
        """See `Format.refused_type`."""
        return refused_type(kind)

    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """See `Format.secret_fields`. The case of keys does not matter, as where lines are
        masked. The digest of a line with a secret is as good as that.
        """
        secret = {key.casefold() for key in source.secret}
        paths = source.fields.items()
        found = tuple(name for name, path in paths if secret & {key.casefold() for key in path})
        return (*found, "line_digest") if secret and source.rows else found


class JsonLines(Json):
    """An object per line."""

    name = "json_lines"
    revision = 1
    may_be_empty = False
    joined = JOINED

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: the lines of the few files that are not plain are rewritten."""
        from streampro.formats.lines import count_lines, exact_lines
        from streampro.formats.rewrite import rewrite

        with ThreadPoolExecutor() as pool:
            counts = dict(zip(paths, pool.map(count_lines, paths), strict=True))
        if source.rows:
            found = records.of_files(source.rows, raw, paths, _texts_in)
            holding = sum(count.lines for count in counts.values())
            return replace(records.written(source.rows, scratch, found), holding=holding)
        is_plain = {path: n.plain and not _GLOB_SIGNS & {*str(path)} for path, n in counts.items()}
        text = LocalText(
            sum(count.lines for count in counts.values()),
            tuple(path for path in paths if is_plain[path] and not counts[path].packed),
            tuple(path for path in paths if is_plain[path] and counts[path].packed),
            by_file={path.relative_to(raw).as_posix(): counts[path].lines for path in paths},
        )
        odd = [path for path in paths if not is_plain[path]]
        if not odd:
            return text
        lines = (
            ((line, path.relative_to(raw).as_posix()), invalid)
            for path in odd
            for line, invalid in exact_lines(path)
        )
        written = rewrite(scratch, RAW_COLUMNS, lines)
        return replace(text, rewritten=written.rewritten, invalid_utf8=written.invalid_utf8)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`."""
        from streampro.formats.lines import numbered_lines

        return ((number, text) for number, text, _ in numbered_lines(path))

    def placed(self, source: "Source", path: Path) -> Iterator[Placed]:
        """See `Format.placed`."""
        return (
            records.placed(source.rows, _texts_in(path))
            if source.rows
            else super().placed(source, path)
        )

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`."""
        from streampro.formats.lines import deal_lines

        deal_lines(path, places, dice)


JSON_LINES = JsonLines()


def _texts_in(path: Path) -> Iterator[Text]:
    from streampro.formats.lines import numbered_lines

    for number, text, is_invalid in numbered_lines(path):
        yield Text(text, number, is_invalid=is_invalid)
