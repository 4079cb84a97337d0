"""A Delta table's whole past written anew without some of its rows: versions keep their numbers.

The order of steps lets a reader see each version complete at any moment, some rows still in it or
gone, and lets a later call finish what a killed one began. What repeats the log goes first, then
come new data files; then every entry that removes an old file removes its successor too; then, the
newest first, entries and checkpoints that add an old file add its successor and remove it; the old
files go last.

Checkpoints are written anew in their places as entries are, never removed: a log may begin at one.
Whoever reads from a checkpoint that has the successors reads entries after it that know them too;
from one that has the old files, entries that take either away.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema

from streampro.errors import EngineError, WarehouseError
from streampro.storage import log, statistics
from streampro.storage.data_files import COMPRESSION, found_bytes, refuse_altered, with_digest
from streampro.storage.log import LOG, Action, Record
from streampro.storage.place import Place

_HINT = f"{LOG}/_last_checkpoint"
_REPEATED = ("*.checkpoint.*", "*.compacted.json", "*.crc", ".*.crc", "_sidecars/**/*")
"""What repeats entries and checkpoints, and can be made again from them."""
_ELSEWHERE = re.compile("/|[A-Za-z][A-Za-z0-9+.-]*:")
"""How a name in a log begins that does not count from the table's folder."""


@dataclass(frozen=True)
class Change:
    """What becomes of a table's rows and of the texts of its log.

    Attributes:
        columns: of a file's columns those that tell whether it changes; none: it does not.
        rows: returns some rows as they shall be; the same object where they stay.
        is_told: whether statistics tell what must not stay.
        text: returns a text of the log as it shall be.
    """

    columns: Callable[[list[str]], list[str]]
    rows: Callable[[pa.Table], pa.Table]
    is_told: Callable[[Mapping[str, Any]], bool] = lambda _: False
    text: Callable[[str], str] = lambda text: text


@dataclass(frozen=True)
class History:
    """The log of a table in a folder: its entries and checkpoints, by version; the version at which
    it begins; and by their names in the log the bytes of the data files that are there.
    """

    folder: Place
    records: Sequence[Record]
    begins: int
    found: Mapping[str, int]

    def said(self, kind: str) -> Iterator[Action]:
        """Yield what every action of a kind says, such as `add`."""
        for record in self.records:
            yield from (action[kind] for action in record.actions if kind in action)

    def columns(self) -> list[pa.Field]:
        """Return the columns that the table has, or had in any version."""
        schemas = (Schema.from_json(said["schemaString"]) for said in self.said("metaData"))
        return [field for schema in schemas for field in pa.schema(schema.to_arrow())]

    def place(self, name: str) -> Place:
        """Return where a data file is that the log names."""
        return self.folder / unquote(name)

    def is_own(self, name: str) -> bool:
        """Tell whether it is there, in the folder of the table: a clone names those of others."""
        is_inside = not _ELSEWHERE.match(name) and ".." not in unquote(name).split("/")
        return is_inside and name in self.found

    def versions(self) -> Iterator[tuple[int, Mapping[str, int | None]]]:
        """Yield each version that can be read and the files that it is made of, with the rows of
        each; one that a checkpoint tells of too is yielded twice.
        """
        files: dict[str, int | None] = {}
        for record in self.records:
            if record.version < self.begins:
                continue
            if record.schema is not None:
                files = {}
            for removed in (each["remove"] for each in record.actions if "remove" in each):
                files.pop(removed["path"], None)
            for added in (each["add"] for each in record.actions if "add" in each):
                files[added["path"]] = _statistics(added).get("numRecords")
            yield record.version, dict(files)


@dataclass(frozen=True)
class Successor:
    """What takes the place of a data file: its name in the log, and how many rows fewer it has."""

    name: str
    size: int
    stats: str
    fewer: int


@dataclass(frozen=True)
class Rewriting:
    """What a table's rewriting does, or would do.

    Attributes:
        history: the log as it was.
        successors: by the name of the data file that each replaces.
        garbage: data files that the log only removes, left by a killed rewriting.
        telling: entries and checkpoints whose statistics or other texts change.
    """

    history: History
    change: Change
    successors: Mapping[str, Successor] = field(default_factory=dict)
    garbage: tuple[str, ...] = ()
    telling: int = 0

    def fewer(self) -> dict[int, int]:
        """Return by version how many rows fewer it has, for each that is changed."""
        return {
            version: sum(self.successors[name].fewer for name in changed)
            for version, files in self.history.versions()
            if (changed := files.keys() & self.successors.keys())
        }


def history(folder: Place) -> History:
    """Return the log of a table. Raises `WarehouseError` where entries are missing or damaged."""
    try:
        known = log.log_of(folder)
        files = sorted((*known.checkpoints, *known.entries), key=log.version_of)
        records = [*known.records(files)]
        said = (each.get("add") or each.get("remove") for file in records for each in file.actions)
        found = found_bytes(folder, {each["path"] for each in said if each})
    except (OSError, ValueError) as error:
        raise WarehouseError(f"{folder}: the log cannot be read: {error}") from error
    if not known.is_whole:
        raise WarehouseError(
            f"{folder}: entries of the log are missing, so its past cannot be written anew. Remove "
            "older runs with their logs, streampro clean, then do the same again; or build the "
            "tables in another --warehouse and remove this one."
        )
    return History(folder, records, known.begins or 0, found)


def prepared(found: History, change: Change, staging: Path, token: str) -> Rewriting:
    """Return the rewriting of a table, its new data files written to `staging`.

    Raises `WarehouseError` for a file that cannot be read, or that was altered.
    """
    successors = {}
    names = dict.fromkeys(added["path"] for added in found.said("add"))
    kept_bounds = {added["path"]: _statistics(added) for added in found.said("add")}
    for number, name in enumerate(names):
        if found.is_own(name):
            refuse_altered(found.folder, [name])
            new = staging / f"part-{token}-{number}.parquet"
            fewer = _write(found.place(name), change, new)
            if fewer is not None:
                new = new.rename(new.with_name(with_digest(new.name, new)))
                stats = _new_statistics(new, kept_bounds[name])
                parent = name.rpartition("/")[0]
                named = f"{parent}/{new.name}" if parent else new.name
                successors[name] = Successor(named, new.stat().st_size, stats, fewer)
    removed = {each["path"] for each in found.said("remove")}
    left = sorted(removed - names.keys())
    garbage = tuple(name for name in left if found.is_own(name))
    telling = sum(
        any(_cleaned(action, change, found) != action for action in record.actions)
        for record in found.records
    )
    return Rewriting(found, change, successors, garbage, telling)


def row_groups(place: Place, staging: Path) -> Iterator[pa.Table]:
    """Yield the rows of a data file, part by part. Raises `WarehouseError` where it cannot."""
    try:
        with place.at_hand(staging) as path, pq.ParquetFile(path) as file:
            for each in range(file.num_row_groups):
                yield file.read_row_group(each)
    except (OSError, pa.ArrowException) as error:
        raise WarehouseError(f"{place} cannot be read: {error}") from error


def carry_out(rewriting: Rewriting, staging: Path) -> None:
    """Make a table's past what its rewriting says. Raises `WarehouseError` where it cannot."""
    found, successors = rewriting.history, rewriting.successors
    try:
        if successors or rewriting.telling:
            _remove_what_repeats(found)
        for name, successor in successors.items():
            new = staging / Path(successor.name).name
            found.place(successor.name).put(new, like=found.place(name))
        records, etags = [*found.records], [record.file.etag for record in found.records]
        for step in (_with_removals, _with_successors):
            for number, record in reversed([*enumerate(records)]):
                actions = step(record.actions, rewriting)
                if actions != record.actions:
                    records[number] = record.saying(actions)
                    etags[number] = _put(found.folder, records[number], staging, etags[number])
        old = map(unquote, (*successors, *rewriting.garbage))
        found.folder.discard([each for path in old for each in (path, _checksum(path))])
    except (OSError, EngineError) as error:
        raise WarehouseError(
            f"{found.folder} cannot be written anew: {error}. Every version can be read; "
            "do the same again when it can."
        ) from error


def _statistics(added: Action) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(added.get("stats") or "{}")
    return found


def _write(old: Place, change: Change, new: Path) -> int | None:
    """Write what a data file shall hold; return how many rows fewer, None if it stays as it is."""
    try:
        with old.at_hand(new.parent) as path, pq.ParquetFile(path) as file:
            names = change.columns(file.schema_arrow.names)
            groups = range(file.num_row_groups)
            parts = (file.read_row_group(each, columns=names) for each in groups if names)
            if all(change.rows(part) is part for part in parts):
                return None
            new.parent.mkdir(parents=True, exist_ok=True)
            rows = 0
            with pq.ParquetWriter(new, file.schema_arrow, compression=COMPRESSION) as writer:
                for each in groups:
                    kept = change.rows(file.read_row_group(each))
                    writer.write_table(kept)
                    rows += kept.num_rows
            return int(file.metadata.num_rows) - rows
    except (OSError, pa.ArrowException) as error:
        raise WarehouseError(f"{old} cannot be written anew: {error}") from error


def _new_statistics(path: Path, old: Mapping[str, Any]) -> str:
    """Return the statistics of a new file, bounds of the columns that had any."""
    footer = pq.read_metadata(path)
    new = {"numRecords": footer.num_rows}
    for which, key in (("min", "minValues"), ("max", "maxValues")):
        bounds = statistics.bounds(footer, which)  # type: ignore[arg-type]  # of the two texts
        new[key] = {name: bounds[name] for name in old.get(key, {}) if name in bounds}
    counts = statistics.nulls(footer)
    new["nullCount"] = {name: counts[name] for name in old.get("nullCount", {}) if name in counts}
    return json.dumps(new, ensure_ascii=False)


def _with_removals(actions: list[Action], rewriting: Rewriting) -> list[Action]:
    """Return an entry that removes, with each old file, its successor."""
    found = []
    for action in actions:
        found.append(action)
        successor = rewriting.successors.get(action.get("remove", {}).get("path"))
        if successor:
            removed = {"path": successor.name, "size": successor.size}
            found.append({"remove": action["remove"] | removed})
    return found


def _with_successors(actions: list[Action], rewriting: Rewriting) -> list[Action]:
    """Return an entry that adds successors and removes what they replace, and tells no more."""
    found = []
    for action in actions:
        added = action.get("add")
        if added and (successor := rewriting.successors.get(added["path"])):
            new = {"path": successor.name, "size": successor.size, "stats": successor.stats}
            found.append({"add": added | new})
            found.append({"remove": _removal(added)})
        else:
            found.append(_cleaned(action, rewriting.change, rewriting.history))
    return found


def _removal(added: Action) -> Action:
    return {
        "path": added["path"],
        "deletionTimestamp": added.get("modificationTime"),
        "dataChange": added.get("dataChange", True),
    }


def _cleaned(action: Action, change: Change, found: History) -> Action:
    """Return an action whose statistics and texts do not tell what must not stay.

    Statistics of a file that stays tell what is in it, so only those of a missing one are judged.
    """
    [(kind, said)] = action.items()
    if kind == "commitInfo":
        return {kind: _changed_texts(said, change.text)}
    if kind not in ("add", "remove") or not said.get("stats"):
        return action
    stats = _statistics(said)
    bounds = {**stats.get("minValues", {})}, {**stats.get("maxValues", {})}
    if not any(map(change.is_told, bounds)) or (kind == "add" and said["path"] in found.found):
        return action
    rest = {key: value for key, value in stats.items() if key not in ("minValues", "maxValues")}
    return {kind: said | {"stats": json.dumps(rest, ensure_ascii=False)}}


def _changed_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_changed_texts(each, change) for each in value]
    if isinstance(value, dict):
        return {key: _changed_texts(each, change) for key, each in value.items()}
    return value


def _put(folder: Place, record: Record, staging: Path, etag: str | None) -> str | None:
    """Put an entry or a checkpoint in the place of that with an etag, and return its own."""
    staging.mkdir(parents=True, exist_ok=True)
    new = staging / Path(record.file.path).name
    record.write(new)
    folder.discard([_checksum(record.file.path)])
    place = folder / record.file.path
    return place.put(new, like=place, etag=etag)


def _checksum(path: str) -> str:
    """Return where Hadoop keeps the check sum of a file on a disk."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name}.crc"


def _remove_what_repeats(found: History) -> None:
    folder, known = found.folder, {record.file.path for record in found.records}
    folder.discard([_HINT])
    repeated = folder.files([f"{LOG}/{pattern}" for pattern in _REPEATED])
    folder.discard([file.path for file in repeated if file.path not in known])
