"""Folders that a process holds: a warehouse as its only writer, and temporary ones.

Those of what publishes nothing are private, and gone even where a process was killed. One lies
below the warehouse if there is one that can be written, else in `TMPDIR`. A lock in it is held as
long as its process lives; a folder whose lock is free is removed by whoever comes next.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from streampro.config import Target
from streampro.environment import undisturbed
from streampro.errors import ConfigError, EngineError, WarehouseError, did_you_mean
from streampro.formats.database.extracts import Extracts
from streampro.location import Location
from streampro.modeling.source import Source
from streampro.names import WAREHOUSE
from streampro.storage import leftovers
from streampro.storage.place import Place, place_of

_UNUSABLE = re.compile("[]\\[%*?|^\\\\\x00-\x1f\x7f\ud800-\udfff]")
_IMPOSSIBLE = (errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
"""What is wrong with a path itself, so that trying again never helps."""
_PRIVATE = 0o700
_LOCK = "lock"
_BRANCHES = "branches"
_TRIES = 3
"""How often a folder is made anew that was swept before its lock was held."""


@contextmanager
def writing(warehouse: Location) -> Iterator[None]:
    """Hold the warehouse as its only writer, after removing what a killed writer left.

    A warehouse in a store cannot be held: of two runs at once, the ledger lets one be published.

    Raises `ConfigError` for a folder that holds something else, `WarehouseError` when another run
    is writing or the folder cannot be written.
    """
    place = usable(warehouse)
    own = place / WAREHOUSE
    with ExitStack() as held:
        try:
            if place.is_local:
                _refuse_unfit(place.path)
            own.make()
            held.enter_context((own / "lock").lock())
            if place.is_local:
                _refuse_unwritable(place.path)
        except TimeoutError as error:
            raise WarehouseError(
                f"another run is writing to {place}. Wait for it to end, then run again."
            ) from error
        except OSError as error:
            if error.errno in _IMPOSSIBLE:
                told = f"there can be no warehouse {place}: {error.strerror}. Name a folder."
                raise ConfigError(told) from error
            raise WarehouseError(f"the warehouse {place} cannot be written: {error}") from error
        sweep(warehouse)
        _remove_leftovers(place)
        try:
            yield
        finally:  # of an engine that was stopped while it started
            with undisturbed():
                _remove_leftovers(place)


def staging(warehouse: Place, token: str) -> Place:
    """Return the folder of what is about to be published under a token: while it is there, data
    files are removed that have the token in their names and that no log names.
    """
    return warehouse / WAREHOUSE / "staging" / token


def _remove_leftovers(warehouse: Place) -> None:
    folder = warehouse / WAREHOUSE / "staging"
    for leftover in folder.path.glob("*") if warehouse.is_local else ():
        leftovers.remove_leftovers(warehouse, staging(warehouse, leftover.name))


def branch_folder(warehouse: Location, name: str) -> Location:
    """Return the warehouse of a branch, which is in that of main, where no other reader looks."""
    return warehouse / WAREHOUSE / _BRANCHES / name


def branches(warehouse: Location) -> list[str]:
    """Return the names of the branches of a warehouse, also of those whose first run is going or
    was stopped.
    """
    place = place_of(warehouse)
    if not place.is_reached:
        return []
    folder = place / WAREHOUSE / _BRANCHES
    found = folder.files(["*/**/*", f"*/{WAREHOUSE}/**/*"]) if folder.exists() else []
    return sorted({file.path.partition("/")[0] for file in found})


def no_branch(warehouse: Location, name: str) -> str:
    """Return that a warehouse has no branch of a name, and which it has."""
    known = branches(warehouse)
    if name in known:
        return (
            f"branch {name!r} has no run yet: its first is going, or was stopped. Wait, run again, "
            f"or remove it: streampro branch drop {name}."
        )
    there_are = f"Branches: {', '.join(known)}. " if known else ""
    return (
        f"{warehouse} has no branch {name!r}. {did_you_mean(name, known)}{there_are}"
        f"To make it: streampro run --branch {name}."
    )


def refuse_branch(warehouse: Location, command: str) -> None:
    """Raise `ConfigError` for the warehouse of a branch."""
    if main := main_of(warehouse):
        raise ConfigError(
            f"streampro {command} works on main, not on branch {main[1]!r}. Drop it, and run again."
        )


def main_of(warehouse: Location) -> tuple[Location, str] | None:
    """Return the warehouse of main and the name of the branch whose warehouse this is, None for one
    of main.
    """
    path = str(warehouse)
    *_, own, kind, name = ["", "", *path.split("/")]
    if (own, kind) != (WAREHOUSE, _BRANCHES):
        return None
    main = path.removesuffix(f"{WAREHOUSE}/{_BRANCHES}/{name}")
    return type(warehouse)(main if main == "/" else main.rstrip("/") or "."), name


def usable(warehouse: Location) -> Place:
    """Return the place of a warehouse. Raises `ConfigError` for one that no Delta reader takes."""
    place = place_of(warehouse)
    if unusable := _UNUSABLE.search(place.delta_uri):
        raise ConfigError(
            f"the path of a warehouse must not contain {unusable[0]!r}, which Delta readers take "
            f"for a pattern or an escape, or refuse: {str(warehouse)!r}"
        )
    return place


def reached(warehouse: Location, command: str) -> Place:
    """Return the place of a warehouse for a command that moves files in it. Raises `ConfigError`
    for one that only an engine reaches.
    """
    place = place_of(warehouse)
    if not place.is_reached:
        raise ConfigError(
            f"streampro {command} works on warehouses on disks and in object stores; "
            f"{warehouse} is neither."
        )
    return place


def _refuse_unfit(warehouse: Path) -> None:
    if warehouse.is_dir() and any(warehouse.iterdir()) and not (warehouse / WAREHOUSE).is_dir():
        raise ConfigError(
            f"{warehouse} holds other files and is no StreamPro warehouse. "
            "Choose an empty or a new folder with --warehouse."
        )


def _refuse_unwritable(warehouse: Path) -> None:
    """Raise `OSError` for a folder of a layer, a table or its log in which nothing can be made."""
    for folder in chain.from_iterable(map(warehouse.glob, ("*", "*/*", "*/*/_delta_log"))):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


@contextmanager
def scratch(warehouse: Location) -> Iterator[Path]:
    """Yield an empty folder that only this user can look into, and remove it.

    Raises `EngineError` where none can be made.
    """
    sweep(warehouse)
    with ExitStack() as held:
        with undisturbed():
            folder = _made(warehouse, held)
        yield folder


def is_at_hand(source: Source, target: Target) -> bool:
    """Tell whether this process reaches the files of a source, or its database, by itself."""
    raw = target.raw_of(source.name)
    return source.is_in_database or (raw is not None and place_of(raw).is_reached)


@contextmanager
def extracted(sources: Iterable[Source], target: Target) -> Iterator[Extracts]:
    """Yield what reads the tables of sources that are in databases, into a folder that only this
    user can look into, and that is then gone; nothing is read yet.
    """
    is_asked = any(source.is_in_database for source in sources)
    with (
        scratch(target.warehouse) if is_asked else nullcontext(Path()) as folder,
        Extracts(target.databases, folder) as extracts,
    ):
        yield extracts


def sweep(warehouse: Location) -> None:
    """Remove the temporary folders that processes left which are no more; what cannot be removed
    stays.
    """
    for base in _bases(warehouse):
        with suppress(OSError):
            for folder in [*base.iterdir()]:
                with suppress(OSError), place_of(folder / _LOCK).lock():
                    _remove(folder)


def _bases(warehouse: Location) -> Iterator[Path]:
    """Yield where temporary folders lie, the best place first."""
    own = place_of(warehouse) / WAREHOUSE
    if own.is_local and own.path.is_dir():
        yield own.path / "scratch"
    yield Path(gettempdir()) / f"streampro-{os.geteuid()}"


def _made(warehouse: Location, held: ExitStack) -> Path:
    failed = None
    for base in [each for each in _bases(warehouse) for _ in range(_TRIES)]:
        folder = base / uuid4().hex[:12]
        try:
            _make_private(base)
            folder.mkdir(_PRIVATE)
            held.enter_context(place_of(folder / _LOCK).lock())
        except OSError as error:
            failed = error
            continue
        if (folder / _LOCK).exists():
            folder.chmod(_PRIVATE)
            held.callback(_remove, folder)
            return folder
    raise EngineError(f"no temporary folder can be made: {failed}") from failed


def _make_private(base: Path) -> None:
    """Make a folder of ours. Raises `OSError` for one of somebody else."""
    base.mkdir(_PRIVATE, exist_ok=True)
    if base.lstat().st_uid != os.geteuid():
        raise PermissionError(f"{base} belongs to another user")


@undisturbed()
def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # there are others
        folder.parent.rmdir()
