"""Temporary folders of what publishes nothing: private, and gone even where a process was killed.

A folder lies below the warehouse if there is one that can be written, else in `TMPDIR`. A lock in
it is held as long as its process lives; a folder whose lock is free is removed by whoever comes
next.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

from streampro.config import Location
from streampro.errors import EngineError
from streampro.names import WAREHOUSE
from streampro.storage.place import place_of

_PRIVATE = 0o700
_LOCK = "lock"
_TRIES = 3
"""How often a folder is made anew that was swept before its lock was held."""


@contextmanager
def scratch(warehouse: Location) -> Iterator[Path]:
    """Yield an empty folder that only this user can look into, and remove it.

    Raises `EngineError` where none can be made.
    """
    sweep(warehouse)
    with ExitStack() as held:
        yield _made(warehouse, held)


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


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # there are others
        folder.parent.rmdir()
