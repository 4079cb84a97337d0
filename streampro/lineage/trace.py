"""Rows followed from a table down to raw lines, model by model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from streampro.config import Target
from streampro.engines.protocol import Raw, SqlEngine, fetched_rows, row_count
from streampro.errors import ConfigError, EngineError, SourceError, WarehouseError, number_of
from streampro.expressions.conditions import match, where_any
from streampro.expressions.rows import Contribution, contributions
from streampro.formats.database.extracts import Extracts
from streampro.formats.locate import locate
from streampro.formats.registry import format_of
from streampro.location import Location
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.model import GONE, REJECT_COLUMNS, Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import fates, masked
from streampro.modeling.question import plain_rows
from streampro.modeling.sample import SAMPLED, Sample
from streampro.modeling.source import Source
from streampro.modeling.spec import spec_of
from streampro.storage.place import place_of
from streampro.warehouse import ledger, observed
from streampro.warehouse.folders import main_of
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import Snapshot

_KEY = "key"


@dataclass(frozen=True)
class Step:
    """What a table, or the raw files of a source, gave to the selected rows.

    Attributes:
        name: `layer.table`, or the name of a source.
        rows: rows (of a source lines) that the selected rows are computed from.
        total: rows (lines) that there are.
        deciding: further rows that enter no value, but have a say: they share a window with one
            that does, or stand on the other side of a semi join. They are not followed further.
        decides_as_a_whole: whether all of it has the same say in every selected row, such as the
            largest instant of all, or in what a limit keeps; such rows are not counted.
        duplicates: of the lines those that only repeat a row; null for a table.
    """

    name: str
    rows: int
    total: int
    deciding: int = 0
    decides_as_a_whole: bool = False
    duplicates: int | None = None


@dataclass(frozen=True)
class Line:
    """A raw line, values of secret keys masked; of a CSV record the line on which it begins, and so
    of an element of JSON, with its place in the list, from 0. `row` is the key of a row of a
    database, where its source declares one.
    """

    source: str
    file: str
    number: int
    text: str
    element: int | None = None
    row: str | None = None


class RowTrace:
    """Goes from selected rows of a table down to raw lines, model by model."""

    def __init__(
        self,
        pipeline: Pipeline,
        target: Target,
        run: Run,
        engine: SqlEngine,
        extracts: Extracts,
        limit: int,
    ) -> None:
        self.pipeline = pipeline
        self.extracts = extracts
        self.target = target
        self.run = run
        self.engine = engine
        self.snapshot = Snapshot(target.warehouse, run, engine)
        self.limit = limit
        self.models = {model.table: model for model in pipeline.models.values()}
        self.models |= {m.rejected: m for m in pipeline.models.values() if m.quarantine}
        self.code = pipeline.code_hashes()
        self.samples = Sample.of_models(run.code, pipeline)
        self.found: dict[str, list[Contribution]] = {}
        self.steps: list[Step] = []
        self.lines: list[Line] = []
        self.notes: list[str] = []
        self.without_folder: dict[str, list[str]] = {}

    def contract(self, table: TableName) -> type[Contract]:
        """Return the contract of a model's table, or that of rejected lines."""
        return self.models[table].contract if self._is_accepted(table) else Rejected

    def from_table(
        self, table: TableName, column: str | None, where: str | None
    ) -> tuple[Mapping[str, Any], ...]:
        """Note all steps and lines; return the first of the selected rows."""
        self._refuse_other_code(table)
        contract = self.contract(table)
        rows = self._stored(table)
        selected = self.engine.where(rows, where) if where is not None else rows
        names = [column] if column else [*spec_of(contract).schema]
        key = [name for name in spec_of(contract).key if name not in names] if column else []
        order = spec_of(contract).key or spec_of(contract).schema.names
        shown = selected.order_by(*order).limit(self.limit).select(*key, *names)
        first = tuple(plain_rows(self.engine.fetch(shown)))
        count = row_count(self.engine, selected)
        self.steps.append(Step(table, count, self._total(table)))
        if count:
            self._follow(table, selected, names)
            for model in reversed(self.pipeline.models.values()):
                if model.name in self.found:
                    self._through(model)
        for why, names in self.without_folder.items():
            is_own = any(name in self.target.sources for name in names)
            advice = (
                "Correct [sources] in the target." if is_own else "Name the raw folder: --raw DIR."
            )
            self.notes.append(
                f"No lines of {', '.join(dict.fromkeys(names))} are told: {why}. {advice}"
            )
        return first

    def _through(self, model: Model) -> None:
        """Note what a table gave to those built from it, and follow it to its own inputs."""
        rows = self._stored(model.table)
        parts = self.found[model.name]
        entering, deciding = self._merged(rows, parts)
        whole = any(part.decides_as_a_whole for part in parts)
        if entering is None:
            if whole or deciding:
                self.steps.append(Step(model.table, 0, self._total(model.table), deciding, whole))
            return
        count, total = row_count(self.engine, entering), self._total(model.table)
        self.steps.append(Step(model.table, count, total, deciding, whole))
        columns = frozenset[str]().union(*(part.columns for part in parts))
        if count:
            self._follow(model.table, entering, [name for name in rows.columns if name in columns])

    def _follow(self, table: TableName, selected: ir.Table, columns: Sequence[str]) -> None:
        """Find what the inputs of a table gave to selected rows of it."""
        model, contract = self.models[table], self.contract(table)
        self._refuse_other_code(table)
        sources = [self.pipeline.sources[n] for n in model.inputs if n in self.pipeline.sources]
        raw = {source.name: self._raw(source) for source in sources}
        read = {name: found for name, found in raw.items() if found is not None}
        if len(read) < len(raw):
            return
        models = [self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models]
        inputs = {name: found.table for name, found in read.items()}
        inputs |= {parent.name: self._stored(parent.table) for parent in models}
        rows = self._expression(table, {n: self._chosen(model, n, t) for n, t in inputs.items()})
        key = [] if model.quarantine else spec_of(contract).key
        if model.observed_at:
            selected, key = self._still_there(model, selected), model.seen_key
            if not row_count(self.engine, selected):
                return
        known = selected.select(*(key or spec_of(contract).schema))
        found = contributions(rows, inputs, known, columns, self.engine.cache)
        for parent in models:
            self.found.setdefault(parent.name, []).append(found[parent.name])
        for source in sources:
            self._to_lines(source, found[source.name], read[source.name].lines, table, selected)

    def _still_there(self, model: Model, selected: ir.Table) -> ir.Table:
        """Return the rows of what is there as it was seen; note of others when that was, and what
        became of the raw files.
        """
        at = str(model.observed_at)
        newest = observed.now(model, self._stored(model.table))
        which = [*model.seen_key, at]
        past = selected.anti_join(newest, which)
        seen = past.group_by(past[at].name(_KEY), GONE).aggregate(rows=past.count())
        newest_first = seen.order_by(ibis.desc(_KEY), GONE).limit(self.limit)
        runs = dict(self._by_start())
        for row in fetched_rows(self.engine, newest_first):
            what, how = ("Gone", "missed") if row[GONE] else ("No longer so", "seen")
            told = f"{what}: {number_of(row['rows'], 'row')} of {model.table}, first {how}"
            when = f"{row[_KEY]:%Y-%m-%d %H:%M:%S.%f} UTC"
            self.notes.append(f"{told} {when}{self._raw_then(model, runs.get(row[_KEY]))}")
        return self.engine.cache(selected.semi_join(newest, which))

    def _by_start(self) -> Iterator[tuple[datetime, Run]]:
        """Yield the runs that may have seen rows, by when they began; on a branch main's too."""
        main = main_of(self.target.warehouse)
        for warehouse in (*(main or ())[:1], self.target.warehouse):
            yield from ((run.started_at, run) for run in ledger.runs(warehouse))

    def _raw_then(self, model: Model, run: Run | None) -> str:
        """Return which run saw the rows of a model, and what became of the files that it read."""
        if run is None:
            return ". Which run that was is not known, as of a branch that was merged."
        read = {each.name for each in self.pipeline.read(self.pipeline.built_from(model.name))}
        there = {(file.source, file.path): file for file in self.run.inputs}
        try:
            then = [file for file in run.inputs if file.source in read]
        except WarehouseError:
            return f" by run {run.run_id}. Which files it read is no longer kept."
        lost = [
            f"{file.path} ({file.size:,} bytes) has been "
            + ("replaced" if (file.source, file.path) in there else "removed")
            for file in then
            if not (now := there.get((file.source, file.path))) or not file.is_still(now)
        ]
        raw = f"{', '.join(lost)} since" if lost else "The raw files are as they were"
        return f" by run {run.run_id}. {raw}."

    def _to_lines(
        self,
        source: Source,
        part: Contribution,
        total: int,
        table: TableName,
        selected: ir.Table,
    ) -> None:
        """Note how many lines of a source there are, and some of them."""
        if part.rows is None:
            return
        key = _known_by(part.rows, format_of(source).known_by(source))
        lines = self.engine.cache(part.rows.select("source_file", key.name(_KEY)))
        count, duplicates = row_count(self.engine, lines), None
        if self.models[table].quarantine and self._is_accepted(table):
            duplicates = count - row_count(self.engine, selected)
        if duplicates is not None and duplicates < 0:
            self.notes.append(
                f"{source.name}: {-duplicates} rows of {table} stand in no line of the files now."
            )
        self.steps.append(
            Step(
                source.name,
                count,
                total,
                row_count(self.engine, part.deciding) if part.deciding is not None else 0,
                part.decides_as_a_whole,
                duplicates,
            )
        )
        some = lines.distinct().order_by("source_file", _KEY).limit(self.limit)
        self.lines += self._located(source, self.engine.fetch(some).to_pylist())

    def _located(self, source: Source, rows: Sequence[Mapping[str, str]]) -> list[Line]:
        wanted: dict[str, list[str]] = {}
        for row in rows:
            wanted.setdefault(row["source_file"], []).append(row[_KEY])
        raw = self._folder(source)
        files = [file for file in self.engine.find(source, raw) if file.path in wanted]
        folder = place_of(raw)
        here = folder.path if folder.is_local else self.engine.freeze(source, raw, files)
        located = locate(source, Path(str(here)), wanted)
        places = sorted(located, key=lambda each: (each[0], each[1].number, each[1].element or 0))
        kinds = ibis.schema({"place": "int64", "raw_line": "string"})
        numbered = [{"place": n, "raw_line": each.text} for n, (_, each) in enumerate(places)]
        loaded = self.engine.load(pa.Table.from_pylist(numbered, kinds.to_pyarrow()), kinds)
        shown = loaded.mutate(raw_line=masked(loaded.raw_line, source.secret)).order_by("place")
        return [
            Line(source.name, file, each.number, row["raw_line"], each.element, each.row)
            for (file, each), row in zip(places, self.engine.fetch(shown).to_pylist(), strict=True)
        ]

    def _raw(self, source: Source) -> Raw | None:
        """Return the lines of the files that the run read, None if they are not the same now."""
        if not source.is_in_database and (why := self._no_folder(source)):
            self.without_folder.setdefault(why, []).append(source.name)
            return None
        known = [file for file in self.run.inputs if file.source == source.name]
        try:
            self.extracts.look(source, [file.path for file in known])
            there = {file.path: file for file in self.engine.find(source, self._folder(source))}
        except (SourceError, EngineError) as error:
            self.notes.append(str(error))
            return None
        lost = [
            f"{file.path} {'changed' if file.path in there else 'vanished'}"
            for file in known
            if file.path not in there or not file.is_still(there[file.path])
        ]
        if lost:
            self.notes.append(
                f"{source.name}: {', '.join(lost)} since run {self.run.run_id}, so its lines "
                "cannot be told. Run again to explain what the files say now."
            )
            return None
        self.extracts.provide(source, [file.path for file in known])
        return self.engine.read_raw(source, self._folder(source), known)

    def _no_folder(self, source: Source) -> str:
        """Return why there is no raw folder to look into, an empty text if there is one."""
        raw = self.target.raw_of(source.name)
        if raw is None:
            return "no raw folder is known"
        place = place_of(raw)
        if not place.is_reached:
            return f"{raw} is not on this machine"
        is_there = not place.is_local or place.path.is_dir()
        return "" if is_there else f"{raw} is no folder"

    def _folder(self, source: Source) -> Location:
        return self.extracts.location(source, self.target)

    def _chosen(self, model: Model, name: str, rows: ir.Table) -> ir.Table:
        """Return the rows of an input that a model was built from: on a branch some, maybe."""
        is_sampled = model.name in self.samples and name in self.pipeline.models
        return self.samples[model.name].rows(model, name, rows) if is_sampled else rows

    def _expression(self, table: TableName, inputs: Mapping[str, ir.Table]) -> ir.Table:
        """Return the expression of the lines or rows that a table's rows come from."""
        model = self.models[table]
        rows = model(**inputs)
        if not model.quarantine:
            return rows
        of = fates(model, rows)
        if self._is_accepted(table):
            return of.rows.filter(of.accepted | of.duplicate).select(*model.spec.schema)
        line = masked(of.rows.raw_line, self.pipeline.source_of(model).secret)
        return of.rows.filter(of.rejected).mutate(raw_line=line).select(*REJECT_COLUMNS)

    def _merged(self, rows: ir.Table, parts: Sequence[Contribution]) -> tuple[ir.Table | None, int]:
        """Return the rows that enter any table built from them, and how many more decide."""
        entering = [part.rows for part in parts if part.rows is not None]
        deciding = [part.deciding for part in parts if part.deciding is not None]
        if len(parts) == 1:
            kept = self.engine.cache(entering[0]) if entering else None
            return kept, row_count(self.engine, deciding[0]) if deciding else 0
        fields = [ops.Field(rows.op(), name) for name in rows.columns]
        met = [[match(each, fields, self.engine.cache)] for each in entering]
        further = [[match(each, fields, self.engine.cache)] for each in deciding]
        count = row_count(self.engine, where_any(rows.op(), further, met)) if further else 0
        return self.engine.cache(where_any(rows.op(), met)) if met else None, count

    def _stored(self, table: TableName) -> ir.Table:
        if table not in self.snapshot.versions:
            raise ConfigError(f"{table} was never published. Select it: streampro run.")
        return self.snapshot.table(table)

    def _total(self, table: TableName) -> int:
        return self.snapshot.row_count(table)

    def _is_accepted(self, table: TableName) -> bool:
        return self.models[table].table == table

    def _refuse_other_code(self, table: TableName) -> None:
        """An expression explains only the rows that were computed from it."""
        model = self.models[table]
        built_by = self.run.code.get(model.name, "").partition(SAMPLED)[0]
        if built_by != self.code[model.name]:
            raise ConfigError(
                f"run {self.run.run_id} has {table} as other code built it, so the code of now "
                "cannot explain it. Run again first."
            )
        built_from = self.run.lineage.get(model.table, {})
        for parent in (each for each in self.models if each.name in model.inputs):
            if parent not in built_from:
                raise ConfigError(
                    f"{table} was built before rows of {parent} were forgotten, so it counts them "
                    f"still. Build it anew first: streampro run --select {model.name}."
                )
        for parent, version in built_from.items():
            if self.run.version_of(parent) != version:
                raise ConfigError(
                    f"{table} was built from version {version} of {parent}, which changed since. "
                    f"Build it anew first: streampro run --select {model.name}."
                )


def _known_by(rows: ir.Table, columns: Sequence[str]) -> ir.StringValue:
    """Return what `Placed.key` is of rows."""
    parts = [rows[name].hexdigest("md5") if name == "raw_line" else rows[name] for name in columns]
    first, *places = parts
    for place in places:
        first = first + ":" + place.cast("string").fill_null("")
    return first
