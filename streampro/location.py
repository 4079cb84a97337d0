"""Where files are: a local path, or an address in a store or on the web."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import WrapValidator

from streampro.names import is_utf8

STORES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
"""How addresses in object stores begin that are reached without an engine."""
WEB = ("http", "https")
"""How addresses begin from which files can be read only."""
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]+:"


class Remote(str):
    """A folder that is no local path, such as `s3a://bucket/folder`; `/` joins, as with `Path`."""

    __slots__ = ()

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.rstrip('/')}/{name}")


def is_remote(location: Any) -> bool:
    """Tell whether a location is in a store, such as `s3a://bucket/folder`, and no local path."""
    return isinstance(location, str) and bool(re.match(f"{_SCHEME}/", location))


def scheme_of(location: str) -> str:
    """Return how the address of a remote location begins, such as `s3a`."""
    return location.partition(":")[0].lower()


def _location(value: Any, read_path: Callable[[Any], Path]) -> "Path | Remote":
    if is_remote(value):
        begins = scheme_of(value)
        if begins in (*STORES, *WEB) and not value[len(begins) :].startswith("://"):
            raise ValueError(f"an address begins with {begins}://, unlike {value}")
        return Remote(value)
    if not str(value).strip():
        raise ValueError("a folder must have a name; '.' is the working directory")
    if "\0" in str(value):
        raise ValueError("no name of a folder has a NUL")
    if not is_utf8(str(value)):
        raise ValueError(f"the name is not UTF-8: {value!r}")
    if isinstance(value, str) and (scheme := re.match(_SCHEME, value)):
        raise ValueError(
            f"an address begins with {scheme[0]}//; a folder of that name is written ./{value}"
        )
    path = read_path(value)
    if re.fullmatch(_SCHEME, (*path.parts, "")[0]):
        raise ValueError("an address is given as a text: a Path keeps one slash only")
    if isinstance(value, str) and re.match(r"~[^/]", value):
        raise ValueError(
            f"homes of others are not known: {path.parts[0]}; a folder of that name is written "
            f"./{path}"
        )
    return path.expanduser() if path.parts[:1] == ("~",) else path


def holds(folder: Path | Remote, other: Path | Remote) -> bool:
    """Tell whether a folder is another one or holds it."""
    if is_remote(folder) or is_remote(other):
        return f"{other}/".startswith(f"{str(folder).rstrip('/')}/")
    return Path(os.path.realpath(other)).is_relative_to(os.path.realpath(folder))


def relative_to(folder: Path | Remote, other: Path | Remote) -> str:
    """Return the path from a folder to another one that it holds, an empty text for any other."""
    if not holds(folder, other):
        return ""
    if is_remote(folder):
        return str(other).removeprefix(str(folder).rstrip("/")).strip("/")
    path = Path(os.path.realpath(other)).relative_to(os.path.realpath(folder))
    return "/".join(path.parts)


if TYPE_CHECKING:
    Location = Path | Remote
else:
    Location = Annotated[Path, WrapValidator(_location)]
