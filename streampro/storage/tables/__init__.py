"""Delta tables of others, as sources: the data files of the newest version, or of the version that
the newest run of a warehouse has.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from streampro.errors import SourceError, did_you_mean
from streampro.names import ledger_of
from streampro.storage import delta
from streampro.storage.native import native

if TYPE_CHECKING:
    from streampro.storage.place import FileStatus, Place

_NOWHERE = "__HIVE_DEFAULT_PARTITION__"
_READ = {
    "deletionVectors",  # refused below where there are any
    "columnMapping",  # refused below where it is on
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
}
"""Features of tables whose data files are read as any Parquet file, each by its own types."""
_ELSEWHERE = re.compile("/|[A-Za-z][A-Za-z0-9+.-]*:")
"""How a path begins that does not count from the table's folder."""
_MAPPING = "delta.columnMapping.mode"


@dataclass(frozen=True)
class Table:
    """A version of a table: its columns, and its data files below the raw folder."""

    version: int
    columns: tuple[str, ...]
    files: "tuple[FileStatus, ...]"


@native
def newest(raw: "Place", name: str, columns: Mapping[str, str]) -> Table:
    """Return the newest version of the table in a folder below the raw folder, of which a source
    reads `columns`, its fields by the column of each. Of a table of a warehouse that is the version
    of its newest run, whatever was committed since.

    Raises `SourceError` for what is no Delta table, for one whose rows are not those of its data
    files as they are, and for a column that it does not have.
    """
    folder = raw / name
    try:
        table = DeltaTable(folder.delta_uri, version=_published(raw, name))
        _refuse_features(table, name)
        known = tuple(field.name for field in table.schema().fields)
        _refuse_missing(columns, known, f"{name}, a Delta table in version {table.version()},")
        parts = [each for each in table.metadata().partition_columns if each in columns]
        files = tuple(_files(table, name, parts))
        return Table(int(table.version()), known, files)
    except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
        [reason, *_] = str(error).splitlines() or [type(error).__name__]
        raise SourceError(
            f"{name} below {raw} cannot be read as a Delta table: {reason}. Nothing was published."
        ) from error


def _published(raw: "Place", name: str) -> int | None:
    """Return the version of a table in the newest run of its warehouse, None if it is in none."""
    ledger = ledger_of(name)
    last = ledger and delta.read_last(raw / ledger, "run_id")
    if not last:
        return None
    said = last[1].select(["run_id", "tables", "tokens"])
    [run] = said.to_pylist(maps_as_pydicts="strict")
    versions = {item["table"]: int(item["version"]) for item in run["tables"]}
    table = ".".join(name.split("/")[-2:])
    if table not in versions:
        raise SourceError(
            f"{name}: run {run['run_id']} of that warehouse has no table {table!r}. "
            f"{did_you_mean(table, [*versions])}Its tables: {', '.join(versions)}. "
            "Nothing was published."
        )
    delta.refuse_another(raw / name, versions[table], (run["tokens"] or {}).get(table))
    return versions[table]


def _files(table: DeltaTable, name: str, parts: list[str]) -> Iterator["FileStatus"]:
    """Yield the data files of a table by their paths below the raw folder."""
    from streampro.storage.place import FileStatus

    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for action in sorted(actions, key=lambda each: str(each["path"])):
        path = unquote(action["path"])
        if _ELSEWHERE.match(action["path"]):
            raise SourceError(
                f"{name} has files of another table, {path}, as a shallow clone has: name that "
                "table, or copy this one deeply. Nothing was published."
            )
        for part in parts:
            _refuse_other_folder(name, path, part, action[f"partition.{part}"])
        yield FileStatus(
            f"{name}/{path}",
            action["size_bytes"],
            action["modification_time"] * 1_000_000,
            etag=path.rpartition("/")[2],
            version=int(table.version()),
        )


def _refuse_features(table: DeltaTable, name: str) -> None:
    """Raise `SourceError` for a table whose rows are not those of its data files as they are."""
    unknown = {*(table.protocol().reader_features or ())} - _READ
    mapped = table.metadata().configuration.get(_MAPPING, "none")
    if unknown:
        what, how = ", ".join(sorted(unknown)), "Copy it into a table without that"
    elif mapped != "none":
        what, how = f"column mapping ({mapped})", "Copy it into a table without that"
    elif _has_deletion_vectors(table):
        what = "deletion vectors"
        how = f"Take the rows out of its files: REORG TABLE {name} APPLY (PURGE)"
    else:
        return
    raise SourceError(
        f"{name} is a Delta table with {what} in version {table.version()}, so its rows are not "
        f"those of its files. {how}; nothing was published."
    )


def _has_deletion_vectors(table: DeltaTable) -> bool:
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return False
    return any(batch.num_rows for batch in table.deletion_vectors())


def _refuse_missing(columns: Mapping[str, str], known: tuple[str, ...], what: str) -> None:
    for column, name in columns.items():
        if column not in known:
            raise SourceError(
                f"{what} has no column {column!r}, the place of field {name!r}. "
                f"{did_you_mean(column, known)}Its columns: {', '.join(known)}. "
                "Nothing was published."
            )


def _refuse_other_folder(name: str, path: str, part: str, value: Any) -> None:
    """Raise `SourceError` unless the folder of a file says the value that the log says."""
    said = [each.partition("=")[2] for each in path.split("/")[:-1] if each.startswith(f"{part}=")]
    plain = isinstance(value, date | int | str) or value is None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    wanted = _NOWHERE if value in (None, "") else text
    if not plain or [unquote(each) for each in said] != [wanted]:
        raise SourceError(
            f"{name}: the folder of {path} does not tell column {part!r}, which is {value!r} in "
            "the log. Such partitions are not read; nothing was published."
        )
