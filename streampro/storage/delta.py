"""Delta tables on local storage: one atomic log entry per publication."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from streampro.errors import OvertakenError, WarehouseError
from streampro.modeling.spec import TableSpec
from streampro.storage import integrity, log
from streampro.storage.data_files import DataFile, found_bytes, opened, refuse_altered, sizes
from streampro.storage.merge import MOST_SMALL_FILES, Merged
from streampro.storage.native import native, of_store, reason
from streampro.storage.place import Place
from streampro.storage.versions import newest, newest_if_any, once, remembered, version_of

RUN, TOKEN = "streampro.run", "streampro.token"
"""What a commit says of the run that made it."""
_DESCRIPTION_KEY = "comment"
_ATTEMPTS = 5
_KEEPS_ITS_LOG = {"delta.enableExpiredLogCleanup": "false", "delta.checkpointInterval": "10"}
"""Else versions that older runs pin could not be read after 30 days, and whoever opens a table
would read up to a hundred entries of its log."""
_KEEP_LOGS = PostCommitHookProperties(cleanup_expired_logs=False)


def published_schema(spec: TableSpec) -> pa.Schema:
    """Return the published schema: canonical types, descriptions as column comments."""
    return pa.schema(
        [
            field.with_metadata({_DESCRIPTION_KEY: spec.columns[field.name].description or ""})
            for field in spec.schema.to_pyarrow()
        ]
    )


@native
def commit(
    folder: Place,
    files: Sequence[DataFile],
    schema: pa.Schema,
    description: str,
    run: int,
    onto: int | None = None,
    merged: Merged | None = None,
    token: str = "",
) -> int:
    """Make `files` the whole content of the table in `folder`; return its new version.

    `token` stays with the commit: whoever knows it is not deceived by a version of the same number
    that was written after the log had lost this one.

    With `onto` they are added to what the table had at that version, whatever others did to it
    since; `merged` then takes the place of some of these. Older versions stay readable.

    Raises `WarehouseError` when the log cannot be written.
    """
    origin = {RUN: str(run), TOKEN: token}
    properties = CommitProperties(custom_metadata=origin, max_commit_retries=0)
    columns = Schema.from_arrow(schema)
    damaged = ". Where its log is damaged, `streampro repair` sets it aside."
    with told(folder, f"{folder}: the table cannot be published", damaged), remembered():
        folder.make()
        if onto is not None:
            _stored(folder, onto)
        made = [*files, merged.file] if merged else files
        added = [file.moved_to(folder) for file in made]
        if newest_if_any(folder) is None:
            try:
                create_table_with_add_actions(
                    folder.delta_uri,
                    columns,
                    added,
                    description=description,
                    configuration=_KEEPS_ITS_LOG,
                    commit_properties=properties,
                )
            except DeltaError:
                if not DeltaTable.is_deltatable(folder.delta_uri):
                    raise  # else another run made it meanwhile
            else:
                return 0
        replaced = merged.names if merged else frozenset[str]()
        return _commit_exactly(folder, added, columns, onto, replaced, properties)


@native
def write(folder: Place, rows: pa.Table, onto: int | None = None) -> int:
    """Write the rows of a small table in one commit and return its new version: added to those of
    version `onto`, or else in place of all that it has. Many small files become one on the way.

    Raises `OvertakenError` where `onto` is not the newest version, `WarehouseError` when the table
    cannot be written.
    """
    with told(folder, f"{folder}: the table cannot be written"):
        table = newest_if_any(folder)
        try:
            if table is None:
                write_deltalake(folder.delta_uri, rows, mode="error", configuration=_KEEPS_ITS_LOG)
                return 0
            return _write_onto(table, folder, rows, onto)
        except DeltaError as error:
            came_first = table is None and DeltaTable.is_deltatable(folder.delta_uri)
            if not came_first and not isinstance(error, CommitFailedError):
                raise
            raise OvertakenError(f"{folder}: another writer came first: {reason(error)}") from error


@native
def read(folder: Place, version: int | None = None) -> pa.Table | None:
    """Return the rows of a version of a small table, or of its newest, None if there is no table.

    Raises `WarehouseError` when it is damaged.
    """
    with readable(folder, version):
        table = newest_if_any(folder) if version is None else version_of(folder, version)
        return None if table is None else _rows(table, folder)


@native
def read_last(folder: Place, column: str) -> tuple[int, pa.Table] | None:
    """Return the newest version of a small table, and of its rows the one that has the greatest
    value of a column; None if there is no table. Raises what `read` raises.
    """
    with readable(folder):
        table = newest_if_any(folder)
        if table is None:
            return None
        return int(table.version()), _rows(table, folder, column).sort_by(column)[-1:]


@native
def newest_version(folder: Place) -> int:
    """Return the newest version of a table. Raises `WarehouseError` when it cannot be read."""
    with readable(folder):
        return int(newest(folder).version())


@native
def columns(folder: Place, version: int) -> list[dict[str, Any]]:
    """Return the columns of a version as its log declares them: name, type, nullable, metadata.

    Raises `WarehouseError` when it cannot be read.
    """
    with readable(folder, version):
        schema = version_of(folder, version).schema().to_json()
    return list(json.loads(schema)["fields"])


@dataclass(frozen=True)
class Stored:
    """What a version of a table consists of by its log: columns, and the names of data files with
    the bytes of all; and what of the rows is in other tables of the same columns.
    """

    folder: Place
    schema: pa.Schema
    files: tuple[str, ...]
    size_bytes: int
    beside: "tuple[Stored, ...]" = ()

    @property
    def parts(self) -> "tuple[Stored, ...]":
        """It and what is beside it."""
        return (self, *self.beside)

    @property
    def places(self) -> list[Place]:
        """Where the data files lie."""
        return [each.folder / unquote(name) for each in self.parts for name in each.files]


@native
def adopt(
    folder: Place, source: Place, version: int, run: int, onto: int | None, token: str
) -> int:
    """Make the rows of a version of another table the content of the table in `folder`, or add them
    to what that had at version `onto`; return its new version. The data files also stay where they
    are, on a disk without another byte; here their names say the token.

    Raises `WarehouseError` where the other table is damaged, or this one cannot be published.
    """
    was = stored(source, version)
    refuse_altered(source, was.files)
    files = [
        each.as_data_file(f"part-{token}-{number}.parquet")
        for number, each in enumerate(integrity.logged_files(source, version))
    ]
    with readable(source, version):
        description = version_of(source, version).metadata().description or ""
    return commit(folder, files, was.schema, description, run, onto, token=token)


def refuse_another(folder: Place, version: int, token: str | None) -> None:
    """Raise `WarehouseError` for a version whose commit has another token."""
    with readable(folder, version):
        is_it = not token or _token(folder, version) in (token, None)
    if not is_it:
        raise WarehouseError(
            f"version {version} of {folder} cannot be read: the log has lost it, and another was "
            "written under its number."
        )


@native
def stored(folder: Place, version: int, token: str | None = None) -> Stored:
    """Return what a version of a table consists of.

    Raises `WarehouseError` unless it can be read: its log tells of it, its commit has the token if
    one is given, and all its data files are there with the bytes that the log says. None of them is
    opened.
    """

    def found() -> Stored:
        refuse_another(folder, version, token)
        return _stored(folder, version)

    return once((folder.delta_uri, version, token), found)


def _stored(folder: Place, version: int) -> Stored:
    with readable(folder, version):
        table = version_of(folder, version)
        files = sizes(table)
        _refuse_damaged(folder, version, {name: size for name, (size, _) in files.items()})
        schema, size_bytes = pa.schema(table.schema().to_arrow()), sum(n for n, _ in files.values())
        return Stored(folder, schema, tuple(sorted(files)), size_bytes)


@contextmanager
def readable(folder: Place, version: int | None = None) -> Iterator[None]:
    """Raise `WarehouseError` for a table, or a version of it, that cannot be read."""
    what = f"{folder}: the table" if version is None else f"version {version} of {folder}"
    with told(folder, f"{what} cannot be read"):
        yield


@contextmanager
def told(folder: Place, what: str, advice: str = "") -> Iterator[None]:
    """Raise `WarehouseError` for what is wrong with a table, `EngineError` for a store that does
    not answer or refuses.
    """
    try:
        yield
    except (DeltaError, OSError, ValueError, pa.ArrowException) as error:
        is_missing = isinstance(error, FileNotFoundError)
        if isinstance(error, OSError) and not folder.is_local and not is_missing:
            raise of_store(what, error) from error
        raise WarehouseError(f"{what}: {reason(error)}{advice}") from error


def _token(folder: Place, version: int) -> str | None:
    """Return the token of a version's commit, "" if it has none; None without an entry of it."""
    actions = log.read(folder, version)
    if actions is None:
        return None
    said = (each["commitInfo"] for each in actions if "commitInfo" in each)
    return next((info.get(TOKEN) for info in said), "")


def _refuse_damaged(folder: Place, version: int, expected: Mapping[str, int]) -> None:
    """Raise `WarehouseError` unless data files, named as in the log, are there with these bytes."""
    found = found_bytes(folder, expected)
    damaged = sorted(name for name, size in expected.items() if found.get(name) != size)
    if damaged:
        first, size = damaged[0], found.get(damaged[0])
        what = "is missing" if size is None else f"has {size:,} bytes, not {expected[first]:,}"
        raise WarehouseError(
            f"version {version} of {folder} cannot be read: {len(damaged)} of its data files are "
            f"damaged; {first} {what}."
        )


def _write_onto(table: DeltaTable, folder: Place, rows: pa.Table, onto: int | None) -> int:
    """Write rows of a small table that is there; see `write`."""
    if onto is not None and table.version() != onto:
        raise OvertakenError(f"{folder}: another writer added version {table.version()}.")
    is_added = onto is not None and len(table.file_uris()) < MOST_SMALL_FILES
    if onto is not None and not is_added:
        rows = pa.concat_tables([_rows(table, folder), rows], promote_options="permissive")
    write_deltalake(
        table,
        rows,
        mode="append" if is_added else "overwrite",
        schema_mode="merge" if is_added else "overwrite",
        commit_properties=CommitProperties(max_commit_retries=0),
        post_commithook_properties=_KEEP_LOGS,
    )
    return int(table.version())


def _commit_exactly(
    folder: Place,
    added: list[AddAction],
    columns: Schema,
    onto: int | None,
    replaced: Set[str],
    properties: CommitProperties,
) -> int:
    """Commit on top of the version that was looked at, never on one that came in between."""
    for attempt in range(_ATTEMPTS):
        table = _with_schema_of(newest(folder), folder, onto, properties)
        try:
            table.create_write_transaction(
                [
                    *added,
                    *(
                        []
                        if onto is None
                        else _restored(table, folder, onto, replaced, {each.path for each in added})
                    ),
                ],
                mode="overwrite" if onto is None else "append",
                schema=columns,
                commit_properties=properties,
                post_commithook_properties=_KEEP_LOGS,
            )
        except CommitFailedError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            break
    return int(table.version()) + 1


def _with_schema_of(
    table: DeltaTable, folder: Place, version: int | None, properties: CommitProperties
) -> DeltaTable:
    """Return a table that has the columns of a version, if need be after a commit that restores it.

    A commit that adds files cannot change columns, as it must where code came and went in between.
    """
    if version is None or table.schema() == version_of(folder, version).schema():
        return table
    table.restore(version, commit_properties=properties, post_commithook_properties=_KEEP_LOGS)
    return newest(folder)


def _restored(
    table: DeltaTable, folder: Place, version: int, replaced: Set[str], added: Set[str]
) -> list[AddAction | RemoveAction]:
    """Return what makes the newest content of a table that of a version again, but for files that
    are replaced; what is `added` may be there, where a commit was tried that nobody answered.
    """
    then = sizes(version_of(folder, version)).items()
    wanted = {path: file for path, file in then if path not in replaced}
    found = sizes(table)
    now = int(time.time() * 1000)
    return [
        *(
            RemoveAction(path, True, now, size)
            for path, (size, _) in found.items() - wanted.items()
            if path not in added
        ),
        *(
            AddAction(path, size, {}, now, True, json.dumps({"numRecords": rows}))
            for path, (size, rows) in wanted.items() - found.items()
        ),
    ]


def _rows(table: DeltaTable, folder: Place, last: str | None = None) -> pa.Table:
    """Return the rows of a table, or those of the file with the greatest value of `last`.

    Files of a disk are read directly: `DeltaTable.to_pyarrow_table` leaves threads behind that
    abort a process which ends right after it, about every second time.
    """
    actions = pa.table(table.get_add_actions(flatten=True))
    names = actions.column("path").to_pylist()
    if last is not None and f"max.{last}" in actions.column_names and len(names) > 1:
        greatest = actions.column(f"max.{last}").to_pylist()
        if None not in greatest:
            names = [names[greatest.index(max(greatest))]]
    files = sizes(table)
    _refuse_damaged(folder, table.version(), {name: files[name][0] for name in names})
    schema = pa.schema(table.schema().to_arrow())
    try:
        rows = [file.read() for file in opened(folder, sorted(names))]
    except OSError as error:  # a store that does not answer is told before
        raise ValueError(reason(error)) from error
    found = pa.concat_tables([schema.empty_table(), *rows], promote_options="permissive")
    return found.select(schema.names)
