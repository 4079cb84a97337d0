"""Data files that no version needs, which only its log tells."""

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import EngineError, WarehouseError
from streampro.storage import delta, log
from streampro.storage.native import native, reason
from streampro.storage.place import FileStatus, Place

_SLACK_NS = 60_000_000_000
"""By so much times of a file system may be in disorder."""
_GRACE_NS = 3600 * 1_000_000_000
"""So long files stay that no log entry names."""
_OURS = re.compile(r"part-[0-9a-f]{5,12}-[^/]*\.parquet")
"""How the files are called that runs and delta-rs write."""


@dataclass(frozen=True)
class Published:
    """The newest run, and when the store or the disk has its row: what began before that and is in
    no run can no more become one.
    """

    run_id: int
    at_ns: int


@native
def surplus_files(folder: Place, kept: Iterable[int], newest: Published) -> dict[str, int]:
    """Return the data files, by their paths below the table's folder, and the bytes of each, that
    neither `kept` versions nor the newest of the table are made of.

    Where no lock keeps writers out, versions are kept too that a run at work may publish. A file
    that no log entry names is surplus once no run can publish it, `_GRACE_NS` after it was written:
    until then one that was overtaken may be about to name it. `DeltaTable.vacuum` either counts all
    of these in (`full`) or overlooks files whose removal a checkpoint has forgotten; it also writes
    two log entries.

    Raises `WarehouseError` when the log cannot be read.
    """
    try:
        if not DeltaTable.is_deltatable(folder.delta_uri):
            return {}
        found = folder.files(["**/*.parquet"])
        logged, going = set[str](), set[int]()
        for entry, actions in log.history(folder):
            logged |= _added(actions)
            if not folder.is_lockable and _may_be_going(entry, actions, newest):
                going.add(int(log.version_of(entry)))
        versions = {*kept, *going, DeltaTable(folder.delta_uri).version()}
        tables = [DeltaTable(folder.delta_uri, version=version) for version in versions]
        needed = {path for table in tables for path in _data_files(table)}
    except (DeltaError, OSError, ValueError) as error:
        if isinstance(error, OSError) and not folder.is_lockable:
            raise EngineError(f"{folder}: the log cannot be read: {reason(error)}") from error
        raise WarehouseError(
            f"{folder}: the log cannot be read: {error}. Mend the warehouse: streampro repair."
        ) from error
    return {
        file.path: file.size
        for file in found
        if file.path not in needed and (file.path in logged or _is_left(file, newest))
    }


def left_staged(staging: Place, newest: Published) -> dict[str, int]:
    """Return what runs staged that no run can publish any more, by paths below the folder of all
    staging, and the bytes of each.
    """
    by_run: dict[str, list[FileStatus]] = {}
    for file in staging.files(["**/*"]) if staging.exists() else ():
        by_run.setdefault(file.path.partition("/")[0], []).append(file)
    return {
        file.path: file.size
        for files in by_run.values()
        if all(_is_old(each, newest) for each in files)
        for file in files
    }


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


def _data_files(table: DeltaTable) -> set[str]:
    actions = pa.table(table.get_add_actions(flatten=True))
    return {unquote(path) for path in actions.column("path").to_pylist()}


def _added(actions: Iterable[log.Action]) -> set[str]:
    """Return the paths of the files that an entry has added."""
    return {unquote(each["add"]["path"]) for each in actions if "add" in each}


def _may_be_going(entry: FileStatus, actions: Iterable[log.Action], newest: Published) -> bool:
    """Tell whether the run that wrote an entry may yet be published: it has not begun before the
    newest one was.
    """
    if entry.modified_ns < newest.at_ns:
        return False
    runs = (each["commitInfo"].get(delta.RUN) for each in actions if "commitInfo" in each)
    return all(run is None or int(run) > newest.run_id for run in runs)


def _is_left(file: FileStatus, newest: Published) -> bool:
    return bool(_OURS.fullmatch(file.path)) and _is_old(file, newest)


def _is_old(file: FileStatus, newest: Published) -> bool:
    return file.modified_ns < min(newest.at_ns, time.time_ns() - _GRACE_NS)


def _logged_since(folder: Path, written_ns: int) -> set[Path]:
    """Return the files that entries of a log have added since files of a time were written."""
    found: set[Path] = set()
    for entry in sorted((folder / "_delta_log").glob("*.json"), reverse=True):
        if _written(entry) < written_ns - _SLACK_NS:
            break
        found |= {folder / path for path in _added(log.actions(entry))}
    return found


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
