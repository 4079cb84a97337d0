"""JSON lines by DuckDB's parser: one query reads them on every engine."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from streampro.formats.format import RAW_COLUMNS, Format, LocalText
from streampro.names import json_pointer

if TYPE_CHECKING:
    from streampro.modeling.source import Source

LINES = "lines"
"""The table that a worker's query reads: `raw_line` and `source_file` of a batch."""
_RESPELLED = r"^-?[0-9]+(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)$"
"""How the JSON parser spells a number that it has not left as it was."""
_MARKED = (
    r"""replace(regexp_replace(raw_line, '("[^"\\]*(?:\\.[^"\\]*)*")|(-?[0-9][0-9.eE+-]*)', """
    r"""'\1' || chr(1) || '\2' || chr(1), 'g'), chr(1) || chr(1), '')"""
)
_WITH_QUOTED_NUMBERS = (
    rf"""replace(regexp_replace({_MARKED}, '\x01([0-9.+-]+)E', chr(1) || '\1e', 'g'), """
    """chr(1), '"')"""
)
"""The line with its numbers as text, exponents by a small e."""
_GLOB_SIGNS = frozenset("*?[")
"""An engine would take a path with one of them for a pattern, and read other files."""


class JsonLines(Format):
    """An object per line."""

    name = "json_lines"
    revision = 1
    own_columns = {"is_object": "boolean"}
    tells_readable = "is_object"
    may_be_empty = False
    grows = False

    def secret_fields(self, source: "Source") -> tuple[str, ...]:
        """See `Format.secret_fields`. The case of keys does not matter, as where lines are
        masked.
        """
        secret = {key.casefold() for key in source.secret}
        paths = source.fields.items()
        return tuple(name for name, path in paths if secret & {key.casefold() for key in path})

    def local_text(
        self, source: "Source", raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        """See `Format.local_text`: the lines of the few files that are not plain are rewritten."""
        from streampro.formats.lines import count_lines, exact_lines
        from streampro.formats.rewrite import rewrite

        with ThreadPoolExecutor() as pool:
            counts = dict(zip(paths, pool.map(count_lines, paths), strict=True))
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
        records = (
            ((line, path.relative_to(raw).as_posix()), invalid)
            for path in odd
            for line, invalid in exact_lines(path)
        )
        written = rewrite(scratch, RAW_COLUMNS, records)
        return replace(text, rewritten=written.rewritten, invalid_utf8=written.invalid_utf8)

    def numbered(self, source: "Source", path: Path) -> Iterator[tuple[int, str]]:
        """See `Format.numbered`."""
        from streampro.formats.lines import numbered_lines

        return ((number, text) for number, text, _ in numbered_lines(path))

    def deal(self, source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
        """See `Format.deal`."""
        from streampro.formats.lines import deal_lines

        deal_lines(path, places, dice)


JSON_LINES = JsonLines()


def json_query(source: "Source", lines: str) -> str:
    """Return DuckDB's query that parses `raw_line` of a relation into text, a column per field.

    One pass, each line parsed once if valid. Of a repeated key the first value counts; it is what
    the JSON parser returns.
    """
    structures: list[dict[str, Any]] = [{}]
    columns = [
        f"{_scalar(_placed(path, structures), path)} AS {identifier(name)}"
        for name, path in source.fields.items()
    ]
    valid = "CASE WHEN json_valid(raw_line) THEN raw_line END"
    parsed = [
        f"json_transform({valid}, {quoted(json.dumps(each))}) AS fields_{number}"
        for number, each in enumerate(structures)
    ]
    return (
        f"SELECT {', '.join(columns)}, raw_line, source_file, "
        "CASE WHEN fields_0 IS NULL THEN false WHEN starts_with(raw_line, '{') THEN true "
        r"ELSE regexp_matches(raw_line, '^[ \t\r]*\{') END AS is_object "
        f"FROM (SELECT raw_line, source_file, {', '.join(parsed)} FROM {lines})"
    )


def _placed(path: Sequence[str], structures: list[dict[str, Any]]) -> int:
    """Put a path into the first structure where it may stand, and return its number."""
    number = next((n for n, each in enumerate(structures) if _fits(path, each)), len(structures))
    if number == len(structures):
        structures.append({})
    *outer, last = path
    level = structures[number]
    for key in outer:
        level = level.setdefault(key, {})
    level[last] = "VARCHAR"
    return number


def _fits(path: Sequence[str], structure: dict[str, Any]) -> bool:
    """Tell whether a structure would hold no value within another, and no keys that differ in case
    only, which the parser takes for one.
    """
    key, *rest = path
    if key not in structure:
        return key.lower() not in {each.lower() for each in structure}
    inner = structure[key]
    return not rest if isinstance(inner, str) else bool(rest) and _fits(rest, inner)


def quoted(value: object) -> str:
    """Return the SQL of a text."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return the SQL of a column's name."""
    return '"' + name.replace('"', '""') + '"'


def _scalar(number: int, path: Sequence[str]) -> str:
    """Return the SQL of a field: a scalar's text, numbers as they are spelled in the line.

    The parser writes objects and lists as text and numbers anew (`5.10` becomes `5.1`). Rows where
    the text may be one or the other are few; only they pay for a second look at the line.
    """
    text = f"fields_{number}" + "".join(f".{identifier(key)}" for key in path)
    place = quoted(json_pointer(path))
    key = quoted(f'"{path[-1]}"')
    token = quoted(rf'^{re.escape(path[-1])}"[ \t\r]*:[ \t\r]*(-?[0-9]+\.[0-9]+)[ \t\r]*[,}}]')
    behind = f"substr(raw_line, strpos(raw_line, {key}) + 1)"
    is_plain = f"NOT contains(raw_line, '\\') AND NOT contains({behind}, {key})"
    return (
        f"CASE WHEN {text} >= '[' AND ({text} < '\\' OR ({text} >= '{{' AND {text} < '|')) "
        f"THEN CASE WHEN json_type(raw_line, {place}) = 'VARCHAR' THEN {text} END "
        f"WHEN CASE WHEN {text} < ':' AND NOT contains({text}, ':') "
        f"THEN regexp_matches({text}, '{_RESPELLED}') END "
        f"THEN coalesce(CASE WHEN {is_plain} THEN nullif(regexp_extract({behind}, {token}, 1), '') "
        f"END, json_extract_string({_WITH_QUOTED_NUMBERS}, {place}), {text}) ELSE {text} END"
    )
