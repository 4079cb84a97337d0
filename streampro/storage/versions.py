"""Versions of Delta tables as their logs tell them, looked at once by a run."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import WarehouseError
from streampro.storage import log
from streampro.storage.place import Place

_Found = TypeVar("_Found")
_known: ContextVar[dict[tuple[Hashable, ...], Any] | None] = ContextVar("known", default=None)


@contextmanager
def remembered() -> Iterator[None]:
    """Look at each version of a table once as long as this lasts, and of its log only at what came
    since: a store is asked for every entry of it.

    What a version is does not change, but for `forget`, which no lock keeps out of a store: so
    whoever commits looks again, and what it then remembers is forgotten with the commit.
    """
    token = _known.set({})
    try:
        yield
    finally:
        _known.reset(token)


def once(key: tuple[Hashable, ...], found: Callable[[], _Found]) -> _Found:
    """Return what was found for a key, looked for once as long as `remembered` lasts."""
    known = _known.get()
    if known is None:
        return found()
    if key not in known:
        known[key] = found()
    return known[key]  # type: ignore[no-any-return]  # of the type that was found for this key


def version_of(folder: Place, version: int) -> DeltaTable:
    """Return a version of a table, to be read only. Raises what `newest` raises."""
    return once((folder.delta_uri, version), lambda: _whole(folder, _open(folder, version)))


def newest(folder: Place) -> DeltaTable:
    """Return the newest version of a table. Delta readers take an entry without a byte for one that
    changes nothing: it is one that was lost.

    Raises `WarehouseError` for such an entry, `DeltaError` and `OSError` for what cannot be read.
    """
    key = (folder.delta_uri,)
    is_known = key in (_known.get() or {})
    table = once(key, lambda: _open(folder))
    if is_known:
        table.update_incremental()
    return _whole(folder, table)


def newest_if_any(folder: Place) -> DeltaTable | None:
    """Return the newest version of a table, None where there is none. Raises what `newest` does."""
    try:
        return newest(folder)
    except DeltaError:
        if DeltaTable.is_deltatable(folder.delta_uri):
            raise
        return None


def _open(folder: Place, version: int | None = None) -> DeltaTable:
    return DeltaTable(folder.delta_uri, version=version)


def _whole(folder: Place, table: DeltaTable) -> DeltaTable:
    """Return a table. Raises `WarehouseError` where an entry of its log was lost."""
    read = _since_checkpoint(folder.path, table.version()) if folder.is_local else ()
    if lost := next((entry for entry in read if not entry.stat().st_size), None):
        raise WarehouseError(
            f"{folder} cannot be read: {lost.name} of its log is empty. "
            "`streampro repair` sets it aside."
        )
    return table


def _since_checkpoint(folder: Path, version: int) -> Iterator[Path]:
    """Yield the entries of a log that are read for a version, the newest first."""
    for number in range(version, -1, -1):
        entry = log.entry(folder, number)
        if entry.is_file():
            yield entry
        if entry.with_suffix(".checkpoint.parquet").is_file():
            break
