"""Files of a disk that match patterns. Nothing that may hold rows is passed over in silence: what
cannot be looked at is an `OSError` that names it.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from functools import cache
from itertools import takewhile
from pathlib import Path, PurePosixPath
from stat import S_ISDIR, S_ISREG

from streampro.names import HIDDEN, WAREHOUSE

_ANY_DEPTH = "**"
WILD = frozenset("*?[")
"""Signs that make a pattern of a name."""


def matching(folder: Path, patterns: Iterable[str]) -> list[tuple[Path, os.stat_result]]:
    """Return the files below a folder that match a pattern, by path, hidden ones left out.

    A part of a pattern matches one name as `fnmatch` does, `**` any number of folders. Files and
    folders are hidden from a part that does not itself begin with their sign; `**` follows no
    links.

    Raises `OSError` for a link to nowhere, a folder or a file that may not be read, and for what
    is neither a file nor a folder.
    """
    found = {path for each in patterns for path in _paths(folder, PurePosixPath(each).parts)}
    looked_at = ((path, _status(path)) for path in sorted(found))
    return [(path, stat) for path, stat in looked_at if stat and _is_file(path, stat)]


def unmatched(folder: Path, patterns: Iterable[str], but: Path) -> Iterator[str]:
    """Yield what stands below a folder and is not looked at for any pattern, by its path from
    there: files, links to folders, and folders that may not be read. Of what is hidden, only files
    that a pattern would find were they not. The folder `but` is left out.
    """
    wanted = [PurePosixPath(each).parts for each in patterns]
    for names, is_folder in _below(folder, _identity(but)):
        if is_folder:
            is_told = not (_has_hidden(names) or any(_leads(names, parts) for parts in wanted))
        else:
            is_told = _is_left_over(names, wanted)
        if is_told:
            yield "/".join(names)


def left_over(paths: Iterable[str], patterns: Iterable[str]) -> Iterator[str]:
    """Yield the paths of files that fit no pattern; of hidden ones, of those that would fit one
    were they not hidden.
    """
    wanted = [PurePosixPath(each).parts for each in patterns]
    return (path for path in paths if _is_left_over(PurePosixPath(path).parts, wanted))


def fits(path: str, pattern: str) -> bool:
    """Tell whether a file is one that `matching` finds, by its path from the folder."""
    return _fit(PurePosixPath(path).parts, PurePosixPath(pattern).parts)


def is_hidden(path: str) -> bool:
    """Tell whether a path has a part that is hidden from patterns that do not spell its sign."""
    return _has_hidden(PurePosixPath(path).parts)


def any_depth_below(pattern: str) -> str | None:
    """Return the folder in which a pattern begins to look at any depth, None if it does not."""
    return named_folder(pattern) if _ANY_DEPTH in PurePosixPath(pattern).parts else None


def named_folder(pattern: str) -> str:
    """Return the folder below which all files lie that match a pattern, as far as it is named."""
    [*folders, _] = PurePosixPath(pattern).parts
    return "/".join(takewhile(WILD.isdisjoint, folders))


def _has_hidden(names: Iterable[str]) -> bool:
    return any(name.startswith(HIDDEN) for name in names)


def _is_left_over(names: Sequence[str], wanted: Sequence[Sequence[str]]) -> bool:
    if any(_fit(names, parts) for parts in wanted):
        return False
    return not _has_hidden(names) or any(_fit(names, parts, sees_hidden=True) for parts in wanted)


def _fit(names: Sequence[str], parts: Sequence[str], sees_hidden: bool = False) -> bool:
    if not names or not parts:
        return not names and not parts
    [name, *names_below], [first, *rest] = names, parts
    is_shown = sees_hidden or not _is_hidden(name, first)
    if first == _ANY_DEPTH:
        is_deeper = is_shown and _fit(names_below, parts, sees_hidden)
        return bool(rest) and (_fit(names, rest, sees_hidden) or is_deeper)
    return bool(_matcher(first).match(name)) and is_shown and _fit(names_below, rest, sees_hidden)


def _leads(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Tell whether a pattern looks into a linked folder."""
    through = parts[: len(names)]
    return len(parts) > len(names) and _ANY_DEPTH not in through and _fit(names, through)


def _below(
    folder: Path, but: tuple[int, int] | None, names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Yield the names that lead to each file and link below a folder, and whether that is a folder
    again; the folder itself if it may not be read. What is in a warehouse is its own matter.
    """
    try:
        with os.scandir(folder) as found:
            entries = [*found]
            folders = {each.name for each in entries if each.is_dir(follow_symlinks=False)}
            links = {each.name for each in entries if each.is_symlink() and each.is_dir()}
    except OSError:
        yield names, False
        return
    for each in entries if WAREHOUSE not in folders else ():
        if each.name not in folders:
            yield (*names, each.name), each.name in links
        elif not but or _identity(folder / each.name) != but:
            yield from _below(folder / each.name, but, (*names, each.name))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _is_hidden(name: str, part: str) -> bool:
    """Tell whether a part of a pattern passes over a file or folder, though it names it."""
    return name.startswith(HIDDEN) and name[0] != part[0]


def _paths(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield what stands at the end of a pattern, of which `parts` are left below a folder."""
    first, *rest = parts
    if first == _ANY_DEPTH:
        for each in _folders(folder):
            yield from _paths(each, rest) if rest else ()
    elif rest:
        for path in _named(folder, first):
            if not _is_hidden(path.name, first):
                stat = _status(path)
                yield from _paths(path, rest) if stat and S_ISDIR(stat.st_mode) else ()
    else:
        yield from (path for path in _named(folder, first) if not _is_hidden(path.name, first))


def _named(folder: Path, part: str) -> Iterator[Path]:
    """Yield what a part of a pattern names in a folder, be it there or a link to nowhere."""
    if WILD.isdisjoint(part):
        yield from [folder / part] if _is_there(folder / part) else []
    else:
        yield from (path for path in folder.iterdir() if _matcher(part).match(path.name))


def _folders(folder: Path) -> Iterator[Path]:
    """Yield a folder and all below it that are neither hidden nor links."""
    yield folder
    with os.scandir(folder) as entries:
        below = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    for name in below:
        if not name.startswith(HIDDEN):
            yield from _folders(folder / name)


@cache
def _matcher(part: str) -> re.Pattern[str]:
    return re.compile(translate(part))


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _status(path: Path) -> os.stat_result | None:
    """Return what a path leads to, None where it has vanished meanwhile."""
    try:
        return path.stat()
    except FileNotFoundError:
        if _is_there(path):
            told = f"it is a link to nowhere ({path.readlink()})"
            raise FileNotFoundError(errno.ENOENT, told, str(path)) from None
        return None


def _is_file(path: Path, stat: os.stat_result) -> bool:
    """Tell whether a path is a file and not a folder. Raises `OSError` for one that is neither, or
    may not be read.
    """
    if S_ISDIR(stat.st_mode):
        return False
    if not S_ISREG(stat.st_mode):
        raise OSError(errno.EINVAL, "it is neither a file nor a folder", str(path))
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return True
