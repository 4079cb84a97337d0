"""Data files that no version needs, which only its log tells."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import WarehouseError
from streampro.storage import log
from streampro.storage.native import native
from streampro.storage.place import Place

_SLACK_NS = 60_000_000_000
"""By so much times of a file system may be in disorder."""


@native
def surplus_files(folder: Place, kept: Iterable[int]) -> dict[Path, int]:
    """Return the data files, and the bytes of each, that neither `kept` versions nor the newest of
    the table in `folder` are made of.

    Files that no log entry names belong to a writer at work and are left out. `DeltaTable.vacuum`
    either counts them in (`full`) or overlooks files whose removal a checkpoint has forgotten; it
    also writes two log entries.

    Raises `WarehouseError` when the log cannot be read.
    """
    try:
        if not DeltaTable.is_deltatable(folder.delta_uri):
            return {}
        versions = {*kept, DeltaTable(folder.delta_uri).version()}
        tables = [DeltaTable(folder.delta_uri, version=version) for version in versions]
        needed = {path for table in tables for path in _data_files(table, folder.path)}
        return {
            path: path.stat().st_size
            for path in sorted(_logged_files(folder.path) - needed)
            if path.is_file()
        }
    except (DeltaError, OSError, ValueError) as error:
        raise WarehouseError(
            f"{folder}: the log cannot be read: {error}. Mend the warehouse: streampro repair."
        ) from error


def remove_leftovers(warehouse: Place, staging: Place) -> None:
    """Remove what a run left behind: staged files, and moved ones that no log entry names.

    `staging` is the run's folder; its name is the token that the run's data files carry. Call it
    only while no other run writes. In a store moved files stay.
    """
    if warehouse.is_local and staging.is_local:
        if not staging.path.is_dir():
            return
        moved: dict[Path, list[Path]] = {}
        for path in warehouse.path.glob(f"*/*/*{staging.path.name}*.parquet"):
            moved.setdefault(path.parent, []).append(path)
        for folder, paths in moved.items():
            with suppress(OSError, ValueError):  # a damaged log may name what looks left behind
                for path in {*paths} - _logged_since(folder, min(map(_written, paths))):
                    path.unlink()
    try:
        staging.remove()
    except OSError as error:
        raise WarehouseError(f"{staging} cannot be removed: {error}") from error


def _data_files(table: DeltaTable, folder: Path) -> set[Path]:
    actions = pa.table(table.get_add_actions(flatten=True))
    return {folder / unquote(path) for path in actions.column("path").to_pylist()}


def _logged_files(folder: Path) -> set[Path]:
    """Return the parquet files inside a table's folder that any entry of its log has added."""
    found = {path for entry in (folder / "_delta_log").glob("*.json") for path in _added(entry)}
    return {
        path
        for path in found
        if path.suffix == ".parquet"
        and path.is_relative_to(folder)
        and ".." not in path.relative_to(folder).parts
    }


def _logged_since(folder: Path, written_ns: int) -> set[Path]:
    """Return the files that entries of a log have added since files of a time were written."""
    found: set[Path] = set()
    for entry in sorted((folder / "_delta_log").glob("*.json"), reverse=True):
        if _written(entry) < written_ns - _SLACK_NS:
            break
        found |= _added(entry)
    return found


def _added(entry: Path) -> set[Path]:
    """Return the files that an entry has added. Raises `ValueError` for a damaged one."""
    added = (each["add"] for each in log.actions(entry) if "add" in each)
    return {entry.parent.parent / unquote(each["path"]) for each in added}


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
