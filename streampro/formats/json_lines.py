"""JSON lines by DuckDB's parser: one query reads them on every engine."""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


def json_query(source: "Source", lines: str) -> str:
    """Return DuckDB's query that parses `raw_line` of a relation into text, a column per field.

    One pass, each line parsed once if valid. Of a repeated key the first value counts; it is what
    the JSON parser returns.
    """
    structure: dict[str, Any] = {}
    for path in source.fields.values():
        *outer, last = path
        level = structure
        for key in outer:
            level = level.setdefault(key, {})
        level[last] = "VARCHAR"
    columns = ", ".join(f'{_scalar(path)} AS "{name}"' for name, path in source.fields.items())
    return (
        f"SELECT {columns}, raw_line, source_file, CASE WHEN fields IS NULL THEN false "
        r"WHEN starts_with(raw_line, '{') THEN true "
        r"ELSE regexp_matches(raw_line, '^[ \t\r]*\{') END AS is_object "
        "FROM (SELECT *, json_transform(CASE WHEN json_valid(raw_line) THEN raw_line END, "
        f"{quoted(json.dumps(structure))}) AS fields FROM {lines})"
    )


def quoted(value: object) -> str:
    """Return the SQL of a text."""
    return "'" + str(value).replace("'", "''") + "'"


def _scalar(path: Sequence[str]) -> str:
    """Return the SQL of a field: a scalar's text, numbers as they are spelled in the line.

    The parser writes objects and lists as text and numbers anew (`5.10` becomes `5.1`). Rows where
    the text may be one or the other are few; only they pay for a second look at the line.
    """
    text = "fields" + "".join(f'."{key}"' for key in path)
    place = quoted("$" + "".join(f'."{key}"' for key in path))
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
