"""Raw text on any file system that Spark reads, made strings by the reading rules."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streampro.engines.records import LONGEST_LINE, overlong, read_batches
from streampro.engines.spark_files import escaped
from streampro.pipeline import Source

_END = r'{"\\u0001":""}'
"""Put behind a line; only where it comes back as the second object was the line one value."""
_AS_OBJECTS = (
    "'array<map<string,string>>', map('allowSingleQuotes', 'false', "
    "'allowNonNumericNumbers', 'false', 'maxNestingDepth', '1000000', "
    "'maxNumLen', '100000000', 'maxStringLen', '100000000')"
)
"""A map, unlike a struct, keeps repeated keys; the first is what a look-up finds."""
_SPACE = r"[ \t\r\n]"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_NOT_FINITE = r"-?(?:(?i)nan|inf(?:inity)?)"
_SCALAR = rf"({_STRING})|([:\[,]{_SPACE}*)({_NUMBER}|{_NOT_FINITE})(?={_SPACE}*[,}}\]])"
"""A text, or a number where a value may stand."""
_LAST_COMMA = rf"({_STRING}|[}}\]0-9a-zA-Z])({_SPACE}*),(?={_SPACE}*[}}\]])|({_STRING})"
_KEY_END = rf":(?<=[^0-9\\]:){_SPACE}*"
_RESPELLED = rf"{_KEY_END}-?[0-9]+[.eE]"
"""Jackson writes such a number anew when it makes it text: `5.10` as `5.1`."""
_FRACTION = rf'("{_SPACE}*:{_SPACE}*)(-?[0-9]+\.[0-9]+)(?={_SPACE}*[,}}\]])'
"""Its common form. In a text that looks like one the line breaks, and is mended."""
_ESCAPE = r"\\(?:[^u]|u(?:[dD][89abAB]..\\u[dD][c-fC-F]..|[^dD]...|[dD][0-7]..))"
"""Any escape but a lone surrogate."""


@dataclass(frozen=True)
class Counted:
    """What one pass over the lines of a source says of them."""

    lines: int
    invalid_utf8: int


def lines(spark: Any, files: Sequence[str], root: str) -> Any:
    """Return `value`, `raw_line` and `source_file` per line of text files that is not blank.

    `root` is the folder below which files are named, with its file system.
    """
    text = spark.read.text([escaped(path) for path in files], lineSep="\n")
    kept = text.where(r"value >= '!' OR trim(BOTH ' \t\r\n' FROM value) <> ''")
    valid = kept.selectExpr(
        "value", "make_valid_utf8(value) AS line", f"{_below(root)} AS source_file"
    )
    without_cr = r"if(endswith(line, '\r'), left(line, length(line) - 1), line)"
    return valid.selectExpr("value", f"{without_cr} AS raw_line", "source_file")


def count(source: Source, table: Any) -> Counted:
    """Count lines in a pass of their own. Raises `SourceError` for a line over the limit."""
    [found] = table.selectExpr(
        "count(*) AS lines",
        "count_if(NOT is_valid_utf8(value)) AS invalid",
        "max(octet_length(value)) AS longest",
        "max_by(source_file, octet_length(value)) AS file",
    ).collect()
    if (found.longest or 0) > LONGEST_LINE:
        raise overlong(f"{found.file}: a line of source {source.name!r}")
    return Counted(found.lines, found.invalid)


def json_query(source: Source, view: str) -> str:
    """Return the query that parses the lines of a view into text, as the DuckDB engine does.

    Of a repeated key the first value counts. A line that Jackson refuses is parsed once more with
    what DuckDB tolerates mended: a comma before a closing bracket, bare NaN and Infinity. Rare
    forms are told by one test a line, because generated code that is long is not compiled.
    """
    kept = "raw_line, source_file"
    places = _places(source)
    exact = (
        f"CASE WHEN NOT raw_line RLIKE r'{_RESPELLED}' THEN raw_line "
        f"WHEN raw_line RLIKE r'{_KEY_END}[0-9.-]+[eE]' THEN {_quoted('raw_line')} "
        f"""ELSE regexp_replace(raw_line, r'{_FRACTION}', '$1"$2"') END"""
    )
    mended = _quoted(f"regexp_replace(raw_line, r'{_LAST_COMMA}', '$1$2$3')")
    leaves = [f"{_value(path, places)} AS `{name}`" for name, path in source.fields.items()]
    scalars = [f"{_scalar(f'`{name}`', path)} AS `{name}`" for name, path in source.fields.items()]
    query = view
    for step in (
        f"SELECT {kept}, {_parsed(exact)} AS parsed",
        f"SELECT {kept}, parsed, if(coalesce({_is_whole('parsed')}, false), NULL, "
        f"{_parsed(mended)}) AS mended",
        f"SELECT {kept}, CASE WHEN {_has_lone_surrogate()} THEN NULL "
        f"WHEN {_is_whole('parsed')} THEN get(parsed, 0) "
        f"WHEN {_is_whole('mended')} THEN get(mended, 0) END AS fields",
        *(f"SELECT *, {_inner(path, places)} AS {name}" for path, name in places.items() if path),
        f"SELECT {kept}, fields IS NOT NULL AS is_object, {', '.join(leaves)}",
        f"SELECT {', '.join(scalars)}, {kept}, is_object",
    ):
        query = f"({step} FROM {query})"
    return f"SELECT * FROM {query}"


def records(spark: Any, source: Source, files: Sequence[str], root: str) -> Any:
    """Return CSV records: a string per field, `raw_line`, `source_file`, and `is_invalid_utf8`.

    Workers run the code that reads CSV on DuckDB; each file is read whole, by one of them.
    """
    columns = [*source.fields]
    schema = ", ".join(f"`{name}` string" for name in (*columns, "raw_line", "source_file"))
    found = spark.read.format("binaryFile").load([escaped(path) for path in files])
    named = found.selectExpr(f"{_below(root)} AS source_file", "content")
    read = functools.partial(read_batches, columns=columns)
    return named.mapInArrow(read, f"{schema}, is_invalid_utf8 boolean")


def _places(source: Source) -> dict[tuple[str, ...], str]:
    """Return the column that holds the parsed object of every path to one, the line's own first."""
    paths = {path[:length] for path in source.fields.values() for length in range(1, len(path))}
    inner = {path: f"inner_{i}" for i, path in enumerate(sorted(paths, key=lambda p: (len(p), p)))}
    return {(): "fields"} | inner


def _inner(path: tuple[str, ...], places: Mapping[tuple[str, ...], str]) -> str:
    """Return the SQL of the object that stands at a path, parsed; null if there is none."""
    text = _value(path, places)
    is_object = f"startswith({text}, '{{') AND {_holds_structure(path[-1])}"
    return f"if({is_object}, get(from_json(concat('[', {text}, ']'), {_AS_OBJECTS}), 0), NULL)"


def _value(path: tuple[str, ...], places: Mapping[tuple[str, ...], str]) -> str:
    """Return the SQL of what stands at a path as text, objects and lists too."""
    return f"try_element_at({places[path[:-1]]}, {literal(path[-1])})"


def _scalar(found: str, path: Sequence[str]) -> str:
    """Return the SQL of a field: a scalar's text, null for an object or a list."""
    is_structure = f"(startswith({found}, '{{') OR startswith({found}, '['))"
    return f"CASE WHEN {is_structure} AND {_holds_structure(path[-1])} THEN NULL ELSE {found} END"


def _parsed(line: str) -> str:
    return f"from_json(concat('[', {line}, ',{_END}]'), {_AS_OBJECTS})"


def _is_whole(parsed: str) -> str:
    return (
        f"(size({parsed}) = 2 AND get({parsed}, 0) IS NOT NULL "
        f"AND try_element_at(get({parsed}, 1), char(1)) IS NOT NULL)"
    )


def _holds_structure(key: str) -> str:
    """Return the SQL that tells an object or list from a text that begins like one."""
    pattern = rf'"{re.escape(key)}"{_SPACE}*:{_SPACE}*[{{\[]'
    return f"raw_line RLIKE {literal(pattern)}"


def _quoted(line: str) -> str:
    """Return the SQL of a line with numbers, NaN and Infinity as text, as the DuckDB engine spells
    them: exponents by a small e, no minus before a lone 0.
    """
    marked = f"regexp_replace({line}, r'{_SCALAR}', concat('$1$2', char(1), '$3', char(1)))"
    numbers = f"replace({marked}, concat(char(1), char(1)), '')"
    small = f"regexp_replace({numbers}, r'\x01([0-9.+-]+)E', concat(char(1), '$1e'))"
    plain = f"replace({small}, concat(char(1), '-0', char(1)), concat(char(1), '0', char(1)))"
    return f"if(contains(raw_line, char(1)), NULL, replace({plain}, char(1), '\"'))"


def _has_lone_surrogate() -> str:
    return (
        r"if(contains(raw_line, r'\ud') OR contains(raw_line, r'\uD'), "
        rf"regexp_replace(raw_line, r'{_ESCAPE}', '') RLIKE r'\\u[dD]', false)"
    )


def _below(root: str) -> str:
    """Return the SQL of a file's path below a folder, which is given with its file system."""
    path = "_metadata.file_path"
    decoded = f"try_url_decode(replace({path}, '+', '%2B'))"
    path = f"if(contains({path}, '%'), {decoded}, {path})"
    system = re.match(r"[A-Za-z0-9+.-]+:(//[^/]*)?", root)
    start = system.end() if system else 0
    folder = f"{root[start:].rstrip('/')}/"
    return f"substr({path}, locate({literal(folder)}, {path}, {start + 1}) + {len(folder)})"


def literal(value: str) -> str:
    """Return the SQL of a text."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
