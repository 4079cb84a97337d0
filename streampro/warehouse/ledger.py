"""The ledger of runs: what each run read, counted and published. A run is published when its row
in `<warehouse>/_streampro/runs` is; the row pins the Delta version of every table.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass, replace
from datetime import datetime
from functools import cache
from hashlib import sha256
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from streampro.config import Target
from streampro.errors import ConfigError, OvertakenError, WarehouseError, advised
from streampro.formats.files import InputFile
from streampro.location import Location
from streampro.modeling.model import TableName
from streampro.storage import delta, marks
from streampro.storage.place import Place, place_of
from streampro.storage.versions import remembered
from streampro.warehouse import known_files
from streampro.warehouse.folders import main_of, no_branch, usable
from streampro.warehouse.known_files import KnownFiles
from streampro.warehouse.run import KNOWN_FILES, REPAIRED, RUNS, Fork, Run


def _arrow_type(kind: Any) -> pa.DataType:
    """Return the type in which the ledger stores values of a Python type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        [kind] = (each for each in arguments if each is not NoneType)
        return _arrow_type(kind)
    if origin in (tuple, Sequence):
        return pa.list_(_arrow_type(arguments[0]))
    if origin in (Mapping, dict):
        return pa.map_(*map(_arrow_type, arguments))
    if is_dataclass(kind):
        return pa.struct(_arrow_fields(kind))
    return pa.string() if origin is Literal else _SCALARS[kind]


def _arrow_fields(declared: Any) -> dict[str, pa.DataType]:
    hints = get_type_hints(declared)
    return {field.name: _arrow_type(hints[field.name]) for field in fields(declared)}


_SCALARS = {
    str: pa.string(),
    TableName: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", "UTC"),
}


_DIGEST = "digest"
"""The column that says what a row said when it was written."""


@cache
def _schema() -> pa.Schema:
    """Return the columns of the ledger, which are the fields of `Run`."""
    return pa.schema(_arrow_fields(Run))


@cache
def _run_type() -> "TypeAdapter[Run]":
    return TypeAdapter(Run)


@remembered()
def append(warehouse: Location, run: Run, known_holder: str = "") -> Run:
    """Publish a run and return it as it is kept: its row is written last, in one commit, after that
    of the run before, which must be the newest. `known_holder` is what `marks.holder` was when it
    began.

    Raises `OvertakenError` where another run was published meanwhile, or versions were written
    anew, `WarehouseError` when the ledger cannot be written, and for a run that was cleaned.
    """
    place = place_of(warehouse)
    last = delta.read_last(place.table(RUNS), "run_id")
    newest = last[1]["run_id"][0].as_py() if last else 0
    overtaken = (
        f"another run was published in {place} meanwhile. Nothing of this one was published: "
        "run again."
    )
    if newest != run.run_id - 1:
        raise OvertakenError(overtaken)
    if marks.holder(place) != known_holder:
        raise OvertakenError(
            f"what runs have read in {place} was written anew meanwhile. Nothing of this one was "
            "published: run again."
        )
    back_to = run.rolled_back_to
    if back_to is not None and back_to < (oldest := marks.oldest(place)):
        raise WarehouseError(f"run {back_to} was cleaned; the oldest that can be read is {oldest}.")
    try:
        delta.write(place.table(RUNS), _rows([run]), last[0] if last else None)
    except OvertakenError as error:
        if not _is_published(place, run):
            raise OvertakenError(overtaken) from error
    return run


def _is_published(place: Place, run: Run) -> bool:
    """Tell whether the newest run is this one: a store may write a row and not be heard."""
    last = delta.read_last(place.table(RUNS), "run_id")
    newest = runs_of(place, last[1]) if last else []
    return [(each.run_id, each.started_at, each.tokens) for each in newest] == [
        (run.run_id, run.started_at, run.tokens)
    ]


@contextmanager
def rewritten(warehouse: Location, runs: Sequence[Run]) -> Iterator[None]:
    """Write a ledger of these runs once the one that is there is out of the way. They are kept
    beside it until then, so that nobody takes a warehouse for an empty one where this is cut off.
    Raises `WarehouseError` when it cannot be written.
    """
    place = place_of(warehouse)
    place.table(REPAIRED).remove()
    if runs:
        delta.write(place.table(REPAIRED), _rows(runs))
    yield
    if runs:
        delta.write(place.table(RUNS), _rows(runs))
    place.table(REPAIRED).remove()


def _refuse_cut_off(place: Place) -> None:
    """Raise `WarehouseError` for an empty ledger that is about to be written anew."""
    if delta.read_last(place.table(REPAIRED), "run_id"):
        raise WarehouseError(f"{place}: `streampro repair` was cut off, and no run can be found.")


def files(warehouse: Location, last: Run | None, found: Sequence[InputFile]) -> KnownFiles:
    """Return the raw files of a run that is to be published, kept beside the ledger."""
    folder = place_of(warehouse).table(KNOWN_FILES)
    return known_files.kept(folder, last.inputs if last else (), found)


def runs(target: Target | Location, newest: int | None = None) -> list[Run]:
    """Return all published runs of a target, or of a warehouse folder, the oldest first; none
    where there is no warehouse yet. With `newest` the newest so many, which takes as long however
    many there are.

    ```python
    for run in streampro.runs(target):
        print(run.run_id, run.kind, run.finished_at)
    ```
    """
    if type(target) is str:
        raise ConfigError(f"runs() is given {target!r}: give a Target, or Path({target!r}).")
    if newest is not None and newest < 1:
        raise ConfigError(f"runs() is asked for the newest {newest}; it must be 1 or more.")
    place = usable(target.warehouse if isinstance(target, Target) else target)
    with advised(known_files.REPAIR):
        rows = _all_rows(place)
        found = runs_of(place, rows[-newest:] if newest else rows)
    if not found and isinstance(target, Target) and (main := main_of(target.warehouse)):
        raise ConfigError(no_branch(*main))
    return found


def versions(warehouse: Location) -> list[tuple[int, TableName, int]]:
    """Return which run published which version of which table, the oldest first. Rows are not
    compared with their digests, as that takes long of many.
    """
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        said = _all_rows(place).select(["run_id", "tables"]).to_pylist()
    return [
        (r["run_id"], TableName.of(i["table"]), i["version"]) for r in said for i in r["tables"]
    ]


def observing(warehouse: Location) -> list[Run]:
    """Return the runs that published tables which keep what runs have seen, the oldest first."""
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        rows = _all_rows(place)
        if "observed" not in rows.column_names:
            return []
        return runs_of(place, rows.filter(pc.greater(pc.list_value_length(rows["observed"]), 0)))


def _all_rows(place: Place) -> pa.Table:
    """Return the rows of all runs in their order. Raises `WarehouseError` where some are gone."""
    table = delta.read(place.table(RUNS))
    rows = _schema().empty_table() if table is None else table.sort_by("run_id")
    if not rows.num_rows:
        _refuse_cut_off(place)
    if rows["run_id"].to_pylist() != [*range(1, rows.num_rows + 1)]:
        raise WarehouseError(f"{place}: runs are missing in the ledger.")
    return rows


def run(warehouse: Location, run_id: int) -> Run | None:
    """Return a published run, None if there is none of that number."""
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        table = delta.read(place.table(RUNS))
        found = [] if table is None else runs_of(place, table.filter(pc.field("run_id") == run_id))
    return found[0] if found else None


def newest(warehouse: Location) -> Run | None:
    """Return the run that readers see, None before the first. Older ones are not looked at."""
    place = usable(warehouse)
    with advised(known_files.REPAIR):
        last = delta.read_last(place.table(RUNS), "run_id")
        if not last:
            _refuse_cut_off(place)
        return runs_of(place, last[1])[0] if last else None


def last_of(warehouse: Location) -> Run | None:
    """Return the run that the next one goes on from: the newest, and before the first of a branch
    the newest of main, as run 0. Raises `ConfigError` where that has none.
    """
    found, main = newest(warehouse), main_of(warehouse)
    if found or not main:
        return found
    begin = newest(main[0])
    if begin is None:
        raise ConfigError(
            f"{main[0]} has no published run yet, at which branch {main[1]!r} could begin. Run "
            "without --branch first."
        )
    fork = Fork(begin.run_id, {item.table: item.version for item in begin.tables}, {**begin.tokens})
    return replace(
        begin,
        run_id=0,
        fork=fork,
        books=(),
        warnings=(),
        changes=(),
        moves=(),
        rolled_back_to=None,
        merged=None,
    )


def _rows(runs: Sequence[Run]) -> pa.Table:
    kept = (
        replace(run, inputs=() if run.files_version is not None else run.inputs) for run in runs
    )
    return signed(pa.Table.from_pylist([asdict(run) for run in kept], schema=_schema()))


def signed(rows: pa.Table) -> pa.Table:
    """Return rows of the ledger, each with the digest of all that it says, by which anybody can
    tell whether it is as it was written.
    """
    said = rows.select([name for name in rows.column_names if name != _DIGEST])
    digests = [_digest(row) for row in said.to_pylist(maps_as_pydicts="strict")]
    return said.append_column(_DIGEST, pa.array(digests, pa.string()))


def _digest(row: Mapping[str, Any]) -> str:
    """Return the first 128 bits of the SHA-256 of what a row says; a column that an older release
    did not know says nothing.
    """
    text = json.dumps(_given(row), sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:32]


def _given(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _given(each) for name, each in value.items() if each is not None}
    return [*map(_given, value)] if isinstance(value, list) else value


def runs_of(warehouse: Place, rows: pa.Table) -> list[Run]:
    """Return the runs of rows; what an older release did not know is as by default. Raises
    `WarehouseError` for rows that are not as they were written.
    """
    damaged = f"{warehouse}: the ledger does not hold what was written."
    try:
        said = rows.to_pylist(maps_as_pydicts="strict")
        digests = [row.pop(_DIGEST, None) for row in said]
        if any(each not in (None, _digest(row)) for each, row in zip(digests, said, strict=True)):
            raise WarehouseError(damaged)
        kept_runs = [
            _run_type().validate_python({k: v for k, v in row.items() if v is not None})
            for row in said
        ]
    except (AttributeError, TypeError, ValueError) as error:  # of rows that have no digest
        raise WarehouseError(damaged) from error
    found = []
    for read in kept_runs:
        version = read.files_version
        kept = warehouse.table(KNOWN_FILES)
        inputs: Sequence[InputFile] = tuple(read.inputs)
        if version is not None:
            inputs = KnownFiles(kept, version, read.files_count)
        found.append(replace(read, inputs=inputs))
    return found
