"""JSON by DuckDB's parser: one query reads it on every engine."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streampro.formats.json.typed import identifier, is_unreadable, quoted, typed
from streampro.formats.registry import format_of
from streampro.names import json_pointer, ours

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
_AROUND, _ELEMENT, _NUMBER, _OBJECT, _TYPED, _UNREADABLE = map(
    ours, ("around", "element", "number", "object", "typed", "unreadable")
)
"""Columns on the way: the line without its list, an element and its number in a record, whether the
line is an object, what is read as JSON for a type, whether a value of the line is of another."""
_WRAPPER = "element"
_IS_OBJECT = (
    "CASE WHEN {unread} THEN false WHEN starts_with(raw_line, '{{') THEN true "
    r"ELSE regexp_matches(raw_line, '^[ \t\r]*\{{') END"
)


@dataclass
class _Parsed:
    """How the fields of a text are parsed.

    Attributes:
        values: the columns that the parser makes of `raw_line`, each read once.
        columns: of each field the SQL of its value, read from these.
        is_unread: whether the text is not JSON.
        is_unreadable: whether a value is not of the type of its field.
    """

    values: list[str]
    columns: dict[str, str]
    is_unread: str
    is_unreadable: str


def json_query(source: "Source", lines: str) -> str:
    """Return DuckDB's query that parses `raw_line` of a relation into text, a column per field.

    One pass, each line parsed once if valid. Of a repeated key the first value counts; it is what
    the JSON parser returns. Of documents, and of a source with `rows`, the relation has what
    `records.batches` yields.
    """
    columns = format_of(source).columns(source)
    if source.rows:
        return _rows_query(source, columns, lines)
    parsed = _parsed(source, source.fields)
    own = {"raw_line", "source_file", "position"} - {*source.fields}
    given = [name for name in columns if name in own]
    made = {name: name for name in given} | {
        "is_object": _IS_OBJECT.format(unread=parsed.is_unread),
        "is_unreadable": parsed.is_unreadable,
    }
    made |= parsed.columns
    return (
        f"SELECT {_named({name: made[name] for name in columns})} "
        f"FROM (SELECT {', '.join([*given, *parsed.values])} FROM {lines})"
    )


def _rows_query(source: "Source", columns: Iterable[str], records: str) -> str:
    """Return the query that parses once what stands around each list, then each element of it.

    An element is parsed as the value of a key where a field is the element itself.
    """
    depth = len(source.rows)
    inner = {
        name: path[depth:]
        for name, path in source.fields.items()
        if tuple(path[:depth]) == tuple(source.rows)
    }
    is_wrapped = not all(inner.values())
    paths = {name: (_WRAPPER, *path) if is_wrapped else path for name, path in inner.items()}
    outer = {name: path for name, path in source.fields.items() if name not in inner}
    around, within = _parsed(source, outer), _parsed(source, paths, f"{_OBJECT} AND ")
    kept = ("source_file", "line_digest", "position", "elements")
    passed = {name: ours(f"outer_{number}") for number, name in enumerate(outer)}
    read = {passed[name]: sql for name, sql in around.columns.items()}
    read |= {name: name for name in kept} | {
        _AROUND: "raw_line",
        _OBJECT: _IS_OBJECT.format(unread=around.is_unread),
    }
    read[_UNREADABLE] = around.is_unreadable
    elements = "CASE WHEN elements IS NULL THEN [NULL] ELSE elements END"
    element = f"""'{{"{_WRAPPER}":' || {_ELEMENT} || '}}'""" if is_wrapped else _ELEMENT
    made = {
        "raw_line": f"coalesce({_ELEMENT}, {_AROUND})",
        "source_file": "source_file",
        "is_object": _OBJECT,
        "is_element": f"coalesce({_OBJECT} AND NOT ({within.is_unread}) "
        f"AND {_is_wanted(source, inner)}, false)",
        "position": f"CASE WHEN elements IS NOT NULL THEN position + {_NUMBER} END",
        "line_digest": "line_digest",
        "is_unreadable": f"({_UNREADABLE} OR {within.is_unreadable})",
    }
    made |= passed | within.columns
    return (
        f"SELECT {_named({name: made[name] for name in columns})} FROM ("
        f"SELECT {', '.join(['*', *within.values])} FROM ("
        f"SELECT *, {element} AS raw_line FROM ("
        f"SELECT *, unnest({elements}) AS {_ELEMENT}, "
        f"unnest(range(len({elements}))) AS {_NUMBER} FROM ("
        f"SELECT {_named(read)} FROM ("
        f"SELECT {', '.join(['raw_line', *kept, *around.values])} FROM {records})))))"
    )


def _is_wanted(source: "Source", inner: Mapping[str, Sequence[str]]) -> str:
    """Return the SQL that tells whether an element is of a kind that the fields can read: an object
    where they stand in one, a single value, or what the type says, where they are the element.
    """
    if not inner:
        return "true"
    kinds = [source.schema[name] for name, path in inner.items() if not path]
    is_wanted = {
        "{": any(inner.values()) or any(kind.is_struct() for kind in kinds),
        "[": any(kind.is_array() for kind in kinds),
        "n": bool(kinds),
        "": any(not kind.is_nested() for kind in kinds),
    }
    begins = " ".join(f"WHEN {quoted(sign)} THEN {is_wanted[sign]}" for sign in "{[n")
    return f"CASE {_ELEMENT}[1] {begins} ELSE {is_wanted['']} END"


def _parsed(source: "Source", fields: Mapping[str, Sequence[str]], condition: str = "") -> _Parsed:
    """Return how fields are read; texts only where a condition holds, too."""
    structures: list[dict[str, Any]] = []
    typed_structures: list[dict[str, Any]] = []
    columns, unreadable = {}, []
    for name, path in fields.items():
        if name not in source.types:
            columns[name] = _scalar(_placed(path, structures, "VARCHAR"), path)
            continue
        place = _placed(path, typed_structures, "JSON")
        value = f"{_TYPED}_{place}" + "".join(f".{identifier(key)}" for key in path)
        columns[name] = typed(value, source.schema[name])
        unreadable.append(is_unreadable(value, source.schema[name]))
    valid = "CASE WHEN {}json_valid(raw_line) THEN {} END".format
    values = [
        f"json_transform({valid(condition, text)}, {quoted(json.dumps(each))}) AS {name}_{number}"
        for name, text, all_of in (
            ("fields", "raw_line", structures),
            (_TYPED, _WITH_QUOTED_NUMBERS, typed_structures),
        )
        for number, each in enumerate(all_of)
    ]
    first = "fields_0" if structures else f"{_TYPED}_0"
    is_unread = f"{first} IS NULL" if values else "NOT json_valid(raw_line)"
    return _Parsed(values, columns, is_unread, " OR ".join(unreadable) or "false")


def _named(columns: Mapping[str, str]) -> str:
    """Return the SQL of columns by their names."""
    return ", ".join(
        name if sql == name else f"{sql} AS {identifier(name)}" for name, sql in columns.items()
    )


def _placed(path: Sequence[str], structures: list[dict[str, Any]], kind: str) -> int:
    """Put a path into the first structure where it may stand, and return its number."""
    number = next((n for n, each in enumerate(structures) if _fits(path, each)), len(structures))
    if number == len(structures):
        structures.append({})
    *outer, last = path
    level = structures[number]
    for key in outer:
        level = level.setdefault(key, {})
    level[last] = kind
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


def _scalar(number: int, path: Sequence[str]) -> str:
    """Return the SQL of a field: a scalar's text, numbers as they are spelled in the line.

    The parser writes objects and lists as text and numbers anew (`5.10` becomes `5.1`). Rows where
    the text may be one or the other are few; only they pay for a second look at the line.
    """
    text = f"fields_{number}" + "".join(f".{identifier(key)}" for key in path)
    place = quoted(json_pointer(path))
    key = quoted(f'{path[-1]}"')  # which begins with a letter, as every other sign is a quote
    token = quoted(rf'^"{re.escape(path[-1])}"[ \t\r]*:[ \t\r]*(-?[0-9]+\.[0-9]+)[ \t\r]*[,}}]')
    found = f"strpos(raw_line, {key})"
    is_plain = (
        f"NOT contains(raw_line, '\\') AND NOT contains(substr(raw_line, {found} + 1), {key})"
    )
    read = f"nullif(regexp_extract(substr(raw_line, {found} - 1), {token}, 1), '')"
    return (
        f"CASE WHEN {text} >= '[' AND ({text} < '\\' OR ({text} >= '{{' AND {text} < '|')) "
        f"THEN CASE WHEN json_type(raw_line, {place}) = 'VARCHAR' THEN {text} END "
        f"WHEN CASE WHEN {text} < ':' AND NOT contains({text}, ':') "
        f"THEN regexp_matches({text}, '{_RESPELLED}') END "
        f"THEN coalesce(CASE WHEN {is_plain} THEN {read} END, "
        f"json_extract_string({_WITH_QUOTED_NUMBERS}, {place}), {text}) ELSE {text} END"
    )
