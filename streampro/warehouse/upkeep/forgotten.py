"""What the ledger tells once a key is forgotten."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import rewrite
from streampro.storage.place import Place
from streampro.storage.rewrite import Change
from streampro.warehouse import ledger
from streampro.warehouse.run import EXPORTS, KNOWN_FILES, RUNS
from streampro.warehouse.upkeep.key import Key


def cut_lineage(
    warehouse: Place,
    wanted: Key,
    fewer: Collection[tuple[TableName, int]],
    pipeline: Pipeline | None,
    staging: Path,
) -> None:
    """Let no run say that a table was built from a version that will have fewer rows, so that the
    next run builds it anew; what is local to the key follows without. First of all, as a call that
    completes another finds the rows gone.
    """

    def follows(table: TableName, parent: TableName) -> bool:
        if pipeline is None or table.name not in pipeline.models:
            return False
        model = pipeline.models[table.name]
        by = {model.incremental_by, model.key_of(parent.name)}
        return by == {wanted.column} or not {*model.inputs}.isdisjoint(pipeline.sources)

    def kept(table: str, parents: list[tuple[str, int]]) -> list[tuple[str, int]]:
        names = [(TableName.of(parent), version) for parent, version in parents]
        return [
            (str(parent), version)
            for parent, version in names
            if (parent, version) not in fewer or follows(TableName.of(table), parent)
        ]

    def rows(runs: pa.Table) -> pa.Table:
        old = runs.to_pylist()
        new = [
            {**run, "lineage": [(table, kept(table, each)) for table, each in run["lineage"] or ()]}
            for run in old
        ]
        return _signed(runs, old, new)

    _rewrite(warehouse, RUNS, rows, wanted, staging)


def _signed(runs: pa.Table, old: list[Any], new: list[Any]) -> pa.Table:
    if new == old:
        return runs
    told = pa.Table.from_pylist(new, schema=runs.schema)
    return ledger.signed(told).select(runs.column_names)


def _rewrite(
    warehouse: Place,
    table: TableName,
    rows: Callable[[pa.Table], pa.Table],
    wanted: Key,
    staging: Path,
) -> None:
    """Change the rows of a table of the ledger, in all its versions."""
    history, staged = rewrite.history(warehouse.table(table)), staging / table.name
    change = Change(columns=lambda names: names, rows=rows, text=wanted.mask)
    if history.records:
        found = rewrite.prepared(history, change, staged, staging.parent.name)
        rewrite.carry_out(found, staged)


def rewrite_ledger(warehouse: Place, wanted: Key, tables: list[TableName], staging: Path) -> None:
    """Let the ledger tell the rows that versions now have, and nothing of the key."""
    counts = {
        (table, version): sum(rows for rows in files.values() if rows is not None)
        for table in tables
        for version, files in rewrite.history(warehouse.table(table)).versions()
        if None not in files.values()
    }

    def rows(runs: pa.Table) -> pa.Table:
        old = runs.to_pylist()
        new = [_ledger_row(run, wanted, counts) for run in old]
        return _signed(runs, old, new)

    for table, changed in (
        (RUNS, rows),
        (KNOWN_FILES, lambda files: _masked(files, "path", wanted)),
        (EXPORTS, lambda exports: _masked(exports, "to", wanted)),
    ):
        _rewrite(warehouse, table, changed, wanted, staging)


def _masked(rows: pa.Table, column: str, wanted: Key) -> pa.Table:
    old = rows.to_pylist()
    new = [{**row, column: wanted.mask(row[column])} for row in old]
    return rows if new == old else pa.Table.from_pylist(new, schema=rows.schema)


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
        if not wanted.is_named_in(move["row"].split(", "))
    ]
    told = {"tables": tables, **masked, "moves": moves}
    return {**run, **{name: each for name, each in told.items() if run.get(name)}}
