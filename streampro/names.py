"""Names of columns, tables and values: those that are ours, those that cannot be stored, and how
what stands in JSON is named.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

WAREHOUSE = "_streampro"
"""A folder that has this one is a warehouse; what is in it is ours."""
LEDGER = "runs"
"""The table in it that has a row for each run."""
HIDDEN = ("_", ".")
"""How names of files begin that Spark passes over, so that every engine does."""
_OURS = "streampro_"
_UNSTORABLE = " ,;{}()=\n\t"
"""Signs that Delta Lake allows in no column without a mapping of columns."""
MASK = "***"
"""Stands for a secret."""
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What the catalogs of Spark take."""
_LONGEST = 128
"""Letters of a name: what catalogs of platforms keep. Files are named after tables, and may have
255 letters with what is added.
"""
_IS_OURS = (
    f"'streampro' and names that begin with {_OURS!r} are StreamPro's own, also behind underscores"
)
_BELOW = "a pattern below the raw folder"
_EITHER = re.compile(r"\{[^{}]*,[^{}]*\}")
"""What shells take for several patterns."""
_SCHEMAS = (
    *("global_temp", "information_schema", "memory", "pg_catalog", "spark_catalog"),
    *("system", "temp"),
)
"""Schemas, databases and catalogs that engines have before there is any table."""


def json_pointer(keys: Iterable[str]) -> str:
    """Return how RFC 6901 names the value at these keys, the outermost first."""
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in keys)


def ours(name: object) -> str:
    """Return a name for what is added to a user's columns or tables for a while."""
    return f"{_OURS}{name}"


def named(values: Mapping[str, Any]) -> list[Any]:
    """Return Ibis values under names of the user, to be given by place: by keyword a name could be
    an argument of the method that is called, such as `by` or `self`.
    """
    return [value.name(name) for name, value in values.items()]


def refused_column(name: str) -> str | None:
    """Return why no column of a table may have a name, None if it may."""
    if not name:
        return "it is empty"
    if is_ours(name):
        return _IS_OURS
    odd = sorted({*name} & {*_UNSTORABLE} | {each for each in name if not each.isprintable()})
    if odd:
        return f"Delta Lake stores no column whose name has {', '.join(map(repr, odd))}"
    return None


def refused_table(name: str) -> str | None:
    """Return why no model or source may have a name, None if it may."""
    if is_ours(name):
        return _IS_OURS
    if not _WORD.fullmatch(name):
        return "a name is made of letters from a to z, digits and underscores, no digit first"
    if len(name) > _LONGEST:
        return f"a name has at most {_LONGEST} letters"
    return None


def refused_layer(name: str) -> str | None:
    """Return why no layer may have a name, None if it may."""
    if name.lower() in _SCHEMAS:
        return (
            "an engine has a schema or catalog of this name. Rename the file that its models are in"
        )
    return refused_table(name)


def wanted_pattern(pattern: str, may_be_hidden: bool = False) -> str | None:
    """Return what a glob pattern of files below the raw folder must be, None if it is. Hidden files
    are never read, but may be named where they are left unread.
    """
    parts = PurePosixPath(pattern).parts
    if "://" in pattern or parts[:1] in (("file:",), ("~",)):
        return f"{_BELOW}: what is above it is named by `raw` of the target, or by its [sources]"
    if _EITHER.search(pattern):
        return f"{_BELOW}: braces stand for nothing, so write a pattern each"
    if not parts or parts[0] == "/" or ".." in parts or "\0" in pattern:
        return _BELOW
    if pattern.endswith("/") or parts[-1] == "**":
        files = pattern.rstrip("/") + "/*"
        return f"a pattern of files, not of folders, such as {files!r}"
    if parts[-1].startswith(HIDDEN) and not may_be_hidden:
        return "a pattern of other files: those whose names begin with '_' or '.' are passed over"
    return None


def is_utf8(text: str) -> bool:
    """Tell whether a text can be written in UTF-8; a name of other bytes cannot."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_ours(name: str) -> bool:
    """Tell whether a name is, or could be, one of ours."""
    return f"{name.lower().lstrip('_')}_".startswith(_OURS)


def repeated(names: Iterable[str]) -> str | None:
    """Return the first of the names that stands there twice, None if each stands there once."""
    return next((name for name, times in Counter(names).items() if times > 1), None)


def twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two of the names that differ in case only, which DuckDB and Spark take for one."""
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.lower(), name)
        if other != name:
            return other, name
    return None


def ledger_of(table: str) -> str | None:
    """Return where the ledger is of the warehouse that a table, `folder/layer/name`, may be in;
    None for a name that no table of a warehouse has.
    """
    *folders, _ = table.split("/")
    return "/".join([*folders[:-1], WAREHOUSE, LEDGER]) if folders else None
