"""What of a table no version needs: data files, which only its log tells, and what of the log is
before the versions that are needed.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import EngineError, WarehouseError
from streampro.storage import delta, log
from streampro.storage.log import LOG, Action, Log, Record
from streampro.storage.native import native, reason
from streampro.storage.place import FileStatus, Place, place_of

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


@dataclass(frozen=True)
class Surplus:
    """What no version of a table needs, by paths below its folder, and the bytes of each.

    Attributes:
        data: data files.
        log: entries and what sums them up, the newest first: so each version that is still told is
            told whole, however many of them are gone.
    """

    data: Mapping[str, int] = field(default_factory=dict)
    log: Mapping[str, int] = field(default_factory=dict)

    def remove(self, folder: Place) -> None:
        """Remove it, the data files first: what no log names any more is nobody's."""
        folder.discard([*self.data])
        folder.discard([*self.log])


@native
def surplus(folder: Place, kept: Iterable[int], newest: Published) -> Surplus:
    """Return what neither `kept` versions nor the newest of the table need. Of those kept, some may
    be from before the log begins.

    Where no lock keeps writers out, versions are kept too that a run at work may publish. A file
    that no log entry names is surplus once no run can publish it, `_GRACE_NS` after it was written:
    until then one that was overtaken may be about to name it. `DeltaTable.vacuum` either counts all
    of these in (`full`) or overlooks files whose removal a checkpoint has forgotten; it also writes
    two log entries.

    A log shall begin at the last checkpoint from which all these versions can be read. Where no
    lock keeps writers out, an entry stays as long as a file that none names: who is about to commit
    under its number must find it.

    Raises `WarehouseError` when the log cannot be read.
    """
    try:
        if not DeltaTable.is_deltatable(folder.delta_uri):
            return Surplus()
        found = folder.files(["**/*.parquet"])
        known = log.log_of(folder)
        logged, going, recent = set[str](), set[int](), set[int]()
        for record in known.records([*known.beginning, *known.entries]):
            logged |= _added(record.actions)
            if not folder.is_lockable and record.schema is None:
                going |= {record.version} if _may_be_going(record, newest) else set()
                recent |= set() if _is_old(record.file, newest) else {record.version}
        tables = [DeltaTable(folder.delta_uri), *_told(folder, {*kept, *going}, known)]
        needed = {path for table in tables for path in _data_files(table)}
        oldest = min({int(table.version()) for table in tables} | recent)
        return Surplus(
            {
                file.path: file.size
                for file in found
                if file.path not in needed and (file.path in logged or _is_left(file, newest))
            },
            {file.path: file.size for file in _before(oldest, known)},
        )
    except (DeltaError, OSError, ValueError) as error:
        if isinstance(error, OSError) and not folder.is_lockable:
            raise EngineError(f"{folder}: the log cannot be read: {reason(error)}") from error
        raise WarehouseError(
            f"{folder}: the log cannot be read: {error}. Mend the warehouse: streampro repair."
        ) from error


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


def _told(folder: Place, versions: Iterable[int], known: Log) -> Iterator[DeltaTable]:
    """Yield versions of a table, but for those before its log begins that nothing tells of.

    Raises `WarehouseError` for such a one where entries are missing: it may have been lost.
    """
    for version in versions:
        try:
            yield DeltaTable(folder.delta_uri, version=version)
        except DeltaError:
            if known.begins is None or version >= known.begins:
                raise
            if not known.is_whole:
                raise WarehouseError(
                    f"{folder}: version {version}, which a run needs that you would keep, cannot "
                    "be read, as entries of the log are missing. Nothing of it was removed: clean "
                    "with a smaller --keep."
                ) from None


def _before(version: int, known: Log) -> list[FileStatus]:
    """Return the files of a log without which a version can be read, and all after it."""
    checkpoints = map(log.version_of, known.checkpoints)
    start = max((each for each in checkpoints if each <= version), default=0)
    found = known.folder.files([f"{LOG}/*", f"{LOG}/.*"]) if start else []
    past = [file for file in found if 0 <= log.version_of(file) < start]
    return sorted(past, key=log.version_of, reverse=True)


def _added(actions: Iterable[Action]) -> set[str]:
    """Return the paths of the files that an entry has added."""
    return {unquote(each["add"]["path"]) for each in actions if "add" in each}


def _may_be_going(entry: Record, newest: Published) -> bool:
    """Tell whether the run that wrote an entry may yet be published: it has not begun before the
    newest one was.
    """
    if entry.file.modified_ns < newest.at_ns:
        return False
    runs = (each["commitInfo"].get(delta.RUN) for each in entry.actions if "commitInfo" in each)
    return all(run is None or int(run) > newest.run_id for run in runs)


def _is_left(file: FileStatus, newest: Published) -> bool:
    return bool(_OURS.fullmatch(file.path)) and _is_old(file, newest)


def _is_old(file: FileStatus, newest: Published) -> bool:
    return file.modified_ns < min(newest.at_ns, time.time_ns() - _GRACE_NS)


def _logged_since(folder: Path, written_ns: int) -> set[Path]:
    """Return the files that a log has named since files of a time were written."""
    known = log.log_of(place_of(folder))
    files = (*known.checkpoints, *known.entries)
    since = [file for file in files if file.modified_ns >= written_ns - _SLACK_NS]
    return {folder / path for each in known.records(since) for path in _added(each.actions)}


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns
