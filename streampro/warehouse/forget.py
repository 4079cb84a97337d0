"""A person, or whatever else has a key, taken out of a warehouse: of every table and version."""

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from streampro.arguments import asks
from streampro.config import Target
from streampro.errors import ConfigError
from streampro.formats.files import find
from streampro.formats.registry import format_of
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.names import WAREHOUSE
from streampro.storage import leftovers, rewrite
from streampro.storage.place import place_of
from streampro.storage.rewrite import Change, Rewriting
from streampro.warehouse import ledger, snapshot
from streampro.warehouse.scratch import scratch

_RAW_LINE = "raw_line"
_MASK = "***"
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\(/)")
"""How JSON may spell a letter."""


@dataclass(frozen=True)
class ForgottenRows:
    """What is taken out of a table.

    Attributes:
        table: its name.
        rows: rows that its newest version loses.
        versions: versions that lose rows.
        files: data files that are written anew.
        entries: of the log, whose statistics or texts told the key of files that are gone.
    """

    table: TableName
    rows: int
    versions: int
    files: int
    entries: int


@dataclass(frozen=True)
class HeldRaw:
    """A raw file that still holds the key, in so many lines; `path` is below the raw folder."""

    source: str
    path: str
    lines: int


@dataclass(frozen=True)
class Forgotten:
    """What `forget` did, or would do.

    Attributes:
        tables: those that held the key.
        raw: raw files that still hold it; None where nobody looked.
    """

    tables: tuple[ForgottenRows, ...]
    raw: tuple[HeldRaw, ...] | None


@asks
def forget(
    target: Target,
    key: Mapping[str, Any],
    *,
    pipeline: Pipeline | None = None,
    dry_run: bool = False,
) -> Forgotten:
    """Take the rows with a key out of every version of every table, and tell where it still is.

    ```python
    done = streampro.forget(target, {"city": "Ulm"}, pipeline=PIPELINE, dry_run=True)
    print({each.table: each.rows for each in done.tables}, done.raw)
    ```

    Tables lose the rows whose column of that name has the value, and rows that keep a `raw_line`
    in which it stands, such as rejected ones; files and statistics of older versions lose it
    too. Versions keep their numbers, so all runs can be asked as before. Tables without the
    column, such as answers that count, keep their numbers until they are built anew.

    Raw files are never changed. Those of the target's raw folder that hold the key are named,
    where `pipeline` says how to read them: as long as they do, whatever builds a table anew brings
    the key back.

    Killed in between it leaves every version readable; the same call completes it.

    Args:
        target: whose warehouse.
        key: one column and its value.
        pipeline: tells the sources.
        dry_run: change nothing, return what would be.

    Raises `ConfigError` for a remote warehouse, one without a run or of another pipeline, and for
    no or several columns, `WarehouseError` while another run is writing, or when a table cannot be
    read or written.
    """
    wanted = key_of(key, pipeline)
    place = place_of(target.warehouse)
    if not place.is_local:
        raise ConfigError(f"streampro forget works on local warehouses; {target.warehouse} is not.")
    warehouse = place.path
    _refuse_another_pipeline(target, pipeline)
    with ExitStack() as stack:
        if dry_run:
            own = stack.enter_context(scratch(target.warehouse))
        else:
            stack.enter_context(ledger.writing(target.warehouse))
            own = warehouse / WAREHOUSE / "staging"
        staging = own / uuid4().hex[:12]
        tables = _tables(target, warehouse, wanted, staging)
        done = [told for table, found in tables.items() if (told := _told(table, found))]
        if not dry_run:
            for table, found in tables.items():
                rewrite.carry_out(found, staging / table)
            _rewrite_ledger(warehouse, wanted, [*tables], staging / WAREHOUSE)
            leftovers.remove_leftovers(place, place_of(staging))
        return Forgotten(tuple(done), _held(target, wanted, pipeline))


@dataclass(frozen=True)
class Key:
    """A key, and how it is known in rows, statistics and texts.

    A number alone is no mark of a key in a text, so it must stand behind a name, or be a whole
    field of CSV.
    """

    column: str
    text: str
    names: frozenset[str]

    @property
    def is_number(self) -> bool:
        return bool(re.fullmatch(r"[+-]?[\d.]+", self.text))

    def is_in(self, line: str) -> bool:
        """Tell whether a raw line holds the key."""
        value = re.escape(self.text)
        alone = rf"(?<!\w){value}(?!\w)"
        if self.is_number:
            names = "|".join(map(re.escape, sorted(self.names)))
            alone = rf'(?:"(?:{names})"\s*:\s*"?|^|,"?)\s*{value}\s*(?="?\s*(?:[,}}]|$))'
        return bool(re.search(alone, line) or re.search(alone, _ESCAPED.sub(_unescaped, line)))

    def mask(self, text: str) -> str:
        """Return a text of the log or the ledger without the key."""
        value = rf"(?<!\w){re.escape(self.text)}(?!\w)"
        if self.is_number:
            value = rf"(?<=(?<!\w){re.escape(self.column)}=){re.escape(self.text)}(?!\w)"
        return re.sub(value, _MASK, text)

    def mask_value(self, text: str | None) -> str | None:
        """Return the text of a value, masked if it is the key."""
        return _MASK if text == self.text and not self.is_number else text

    def is_bound(self, bounds: Mapping[str, Any]) -> bool:
        """Tell whether a statistic tells the key."""
        texts = (bound for bound in bounds.values() if isinstance(bound, str))
        is_bound = str(bounds.get(self.column)) == self.text
        return is_bound or (not self.is_number and any(map(self.is_in, texts)))

    def change(self) -> Change:
        """Return what becomes of a table."""
        return Change(
            columns=lambda names: [name for name in (self.column, _RAW_LINE) if name in names],
            rows=self._rest,
            is_told=self.is_bound,
            text=self.mask,
        )

    def _rest(self, rows: pa.Table) -> pa.Table:
        """Return the rows that do not have the key."""
        found = pa.array([False] * len(rows), pa.bool_())
        if self.column in rows.column_names:
            found = pc.or_(found, self._equal(rows.column(self.column)).combine_chunks())
        if _RAW_LINE in rows.column_names:
            lines = rows.column(_RAW_LINE).to_pylist()
            held = [bool(line and self.is_in(line)) for line in lines]
            found = pc.or_(found, pa.array(held, pa.bool_()))
        return rows.filter(pc.invert(found)) if pc.any(found).as_py() else rows

    def _equal(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            wanted = pa.scalar(self.text).cast(values.type)
            return pc.fill_null(pc.equal(values, wanted), False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # no value of such a column
            return pa.chunked_array([pa.array([False] * len(values), pa.bool_())])


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else found[2]


def key_of(key: Mapping[str, Any], pipeline: Pipeline | None) -> Key:
    """Return a key by its column and value, and by what the sources of a pipeline call it.

    Raises `ConfigError` for no value, and for several columns.
    """
    if len(key) != 1 or any(value is None or not str(value).strip() for value in key.values()):
        raise ConfigError("what to forget is one column and its value, such as user=42.")
    [(column, value)] = key.items()
    sources = pipeline.sources.values() if pipeline else ()
    paths = (source.fields[column] for source in sources if column in source.fields)
    return Key(column, str(value), frozenset({column, *(path[-1] for path in paths)}))


def _refuse_another_pipeline(target: Target, pipeline: Pipeline | None) -> None:
    """Raise `ConfigError` unless something was published, by that pipeline."""
    run = snapshot.published_run(target)
    if pipeline and pipeline.name != run.pipeline:
        raise ConfigError(
            f"{target.warehouse} is the warehouse of pipeline {run.pipeline!r}, not of "
            f"{pipeline.name!r}. Name it with --pipeline."
        )


def _tables(
    target: Target, warehouse: Path, wanted: Key, staging: Path
) -> dict[TableName, Rewriting]:
    """Return what becomes of each table that any run has published."""
    names = sorted({item.table for run in ledger.runs(target.warehouse) for item in run.tables})
    return {
        name: rewrite.prepared(
            place_of(warehouse).table(name).path, wanted.change(), staging / name, staging.name
        )
        for name in names
        if (place_of(warehouse).table(name).path / "_delta_log").is_dir()
    }


def _told(table: TableName, found: Rewriting) -> ForgottenRows | None:
    fewer = found.fewer()
    if not (found.successors or found.telling or found.garbage):
        return None
    newest = max(found.history.entries)
    files = len(found.successors) + len(found.garbage)
    return ForgottenRows(table, fewer.get(newest, 0), len(fewer), files, found.telling)


def _rewrite_ledger(warehouse: Path, wanted: Key, tables: list[TableName], staging: Path) -> None:
    """Let the ledger tell the rows that versions now have, and nothing of the key."""
    counts = {
        (table, version): sum(rows for rows in files.values() if rows is not None)
        for table in tables
        for version, files in rewrite.history(place_of(warehouse).table(table).path).versions()
        if None not in files.values()
    }

    def rows(runs: pa.Table) -> pa.Table:
        old = runs.to_pylist()
        new = [_ledger_row(run, wanted, counts) for run in old]
        return runs if new == old else pa.Table.from_pylist(new, schema=runs.schema)

    for table, changed in (
        (ledger.RUNS, rows),
        (ledger.KNOWN_FILES, lambda files: _masked_paths(files, wanted)),
    ):
        folder, staged = place_of(warehouse).table(table).path, staging / table.name
        change = Change(columns=lambda names: names, rows=changed, text=wanted.mask)
        if folder.is_dir():
            found = rewrite.prepared(folder, change, staged, staging.parent.name)
            rewrite.carry_out(found, staged)


def _masked_paths(files: pa.Table, wanted: Key) -> pa.Table:
    old = files.to_pylist()
    new = [{**file, "path": wanted.mask(file["path"])} for file in old]
    return files if new == old else pa.Table.from_pylist(new, schema=files.schema)


def _ledger_row(
    run: Mapping[str, Any], wanted: Key, counts: Mapping[tuple[TableName, int], int]
) -> dict[str, Any]:
    """Return a row of the ledger with other counts of rows, and without moves of the key."""
    tables = [
        {**item, "rows": counts.get((TableName.of(item["table"]), item["version"]), item["rows"])}
        for item in run["tables"]
    ]
    masked = {
        name: [{**each, text: wanted.mask(each[text])} for each in run.get(name) or ()]
        for name, text in (("inputs", "path"), ("changes", "reason"))
    }
    moves = [
        {
            **move,
            "before": wanted.mask_value(move["before"]),
            "after": wanted.mask_value(move["after"]),
        }
        for move in run.get("moves") or ()
        if f"{wanted.column}={wanted.text}" not in move["row"].split(", ")
    ]
    told = {"tables": tables, **masked, "moves": moves}
    return {**run, **{name: each for name, each in told.items() if run.get(name)}}


def _held(target: Target, wanted: Key, pipeline: Pipeline | None) -> tuple[HeldRaw, ...] | None:
    """Return the raw files in which the key stands, None where nobody can look."""
    if pipeline is None or target.raw is None or not place_of(target.raw).is_local:
        return None
    return tuple(_held_in(Path(target.raw), wanted, pipeline))


def _held_in(raw: Path, wanted: Key, pipeline: Pipeline) -> Iterator[HeldRaw]:
    for source in pipeline.sources.values():
        for file in find(source, place_of(raw)):
            records = format_of(source).numbered(source, raw / file.path)
            if lines := sum(wanted.is_in(text) for _, text in records):
                yield HeldRaw(source.name, file.path, lines)
