"""One run at work: what each model needs, computed, counted and audited; then published."""

import time
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import ibis.expr.types as ir

from streampro.config import Location, Target
from streampro.engines.protocol import Engine, Quarantined, Raw, Staged
from streampro.errors import ConfigError, PipelineError, WarehouseError
from streampro.execution.audit import audited
from streampro.execution.decide import Decision, decide
from streampro.execution.inputs import Inputs
from streampro.execution.progress import Watcher
from streampro.execution.state import Built, Moved, State
from streampro.modeling.model import ANSWERS, DUPLICATE, Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import Books, outcomes
from streampro.warehouse import changes, ledger
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.ledger import Plan, PublishedTable, Run, Warned

_PACKAGES = ("streampro", "ibis-framework", "deltalake", "pyarrow", "pandera")


class Build:
    """What one run does. `stage` the models in order, then `publish` or `plan`."""

    def __init__(
        self,
        pipeline: Pipeline,
        target: Target,
        engine: Engine,
        raw: Location,
        models: list[Model],
        forced: Collection[str],
        watcher: Watcher,
    ) -> None:
        self.started_at = datetime.now(UTC)
        self.pipeline = pipeline
        self.target = target
        self.engine = engine
        self.models = models
        self.forced = forced
        self.watcher = watcher
        self.last = ledger.newest(target.warehouse)
        self._refuse_another_pipeline()
        self.state = State(pipeline, engine, target.warehouse, self.last)
        self.inputs = Inputs(pipeline, engine, raw, models, self.last, watcher)
        self.seconds: dict[str, float] = {}
        self.books: list[Books] = []
        self.warnings: list[Warned] = []
        self.changes: list[Change] = []
        self.moves: list[Move] = []

    def count_sources(self) -> None:
        """Count raw files first, so that one that cannot be read is told before any work."""
        for model in self.models:
            if all(name in self.inputs.files for name in model.inputs):
                decision = self._decide(model)
                for name in model.inputs if decision.mode != "unchanged" else ():
                    self.inputs.counted(name, decision.mode)

    def stage(self, model: Model) -> None:
        """Compute what a model needs, keep its books, audit it, tell what moves."""
        start = time.monotonic()
        decision = self._decide(model)
        change = Change(str(model.table), decision.mode, decision.reason)
        if decision.mode != "unchanged":
            with self.watcher.step(str(model.table), self.engine.progress):
                inputs = {name: self._input(name, model, decision) for name in model.inputs}
                change = self._stage(model, inputs, decision, change)
            self.seconds[str(model.table)] = seconds = time.monotonic() - start
            self.watcher.staged(model.table, self.state.built[model.table].rows, seconds)
        self.changes.append(change)

    def plan(self) -> Plan:
        """Return what would be published."""
        files = self.inputs.files.values()
        return Plan(
            new_files=tuple(file for each in files for file in each.new),
            lost_files=tuple(told for each in files for told in each.lost),
            books=tuple(self.books),
            warnings=tuple(self.warnings),
            changes=tuple(self.changes),
            moves=tuple(self.moves),
        )

    def publish(self) -> Run:
        """Publish everything that was staged, then the run itself."""
        number = self.last.run_id + 1 if self.last else 1
        existing = {str(table) for table in self.pipeline.tables()}
        tables = {
            item.table: replace(item, seconds=None)
            for item in (self.last.tables if self.last else ())
            if item.table in existing
        }
        with self.watcher.step("publish", lambda: None):
            for table, built in self.state.built.items():
                if not built.is_as_before:
                    tables[str(table)] = PublishedTable(
                        str(table),
                        self.engine.publish(built.parts, number, built.onto),
                        built.rows,
                        self.seconds.get(str(table), 0.0),
                    )
        done = self._run(number, tables)
        ledger.append(self.target.warehouse, done)
        return done

    def _decide(self, model: Model) -> Decision:
        return decide(model, self.state, self.inputs, self.forced)

    def _input(self, name: str, model: Model, decision: Decision) -> ir.Table:
        if name in self.inputs.files:
            return self.inputs.counted(name, decision.mode).table
        return self.state.input(name, model)

    def _stage(
        self, model: Model, inputs: dict[str, ir.Table], decision: Decision, change: Change
    ) -> Change:
        if decision.mode == "full":
            return self._stage_all(model, inputs, change)
        if model.quarantine:
            return self._stage_new(model, inputs, change)
        return self._stage_keys(model, inputs, decision, change)

    def _stage_all(self, model: Model, inputs: dict[str, ir.Table], change: Change) -> Change:
        """Compute the whole table; where the same rows come out, there is nothing to publish."""
        if model.quarantine:
            split = self._split(model, inputs)
            self._keep_books(model, "full", split, split.accepted.rows)
            self._keep_rejected(split.rejected)
            staged = split.accepted
        else:
            staged = self.engine.stage(model.table, model(**inputs), model.contract)
        self._audit(model, staged.data, inputs)
        then = self.state.published(model.table)
        built = Built(staged.data, (staged,), staged.rows, Moved(None))
        is_forced = model.name in self.forced
        if then is not None and not is_forced and self._is_compared(model):
            moved = self.state.difference(model, then, staged.data)
            built = replace(built, moved=moved)
            if moved is None and self.state.is_same_code(model):
                built = replace(built, parts=(), onto=then)
                change = replace(change, added=0, removed=0, changed=0)
        if then is not None and model.table.layer == ANSWERS:
            with suppress(WarehouseError) if is_forced else nullcontext():
                self.moves += self._moves(model, staged)
        self.state.built[model.table] = built
        return change

    def _stage_new(self, model: Model, inputs: dict[str, ir.Table], change: Change) -> Change:
        """Add the rows of new files that are not stored yet."""
        assert model.incremental_by
        split = self._split(model, inputs)
        accepted, stored = split.accepted.data, self.state.stored(model)
        keys = self.engine.keep(changes.keys_of([accepted], model.incremental_by))
        touched = self.engine.keep(stored.semi_join(keys, model.incremental_by))
        fresh = self.engine.stage(model.table, changes.unknown(accepted, touched), model.contract)
        repeated = self.state.count(changes.known(accepted, touched))
        self._keep_books(model, "incremental", split, fresh.rows, repeated)
        self._keep_rejected(split.rejected, self.state.version(model.rejected))
        is_whole_row = {*model.spec.key} == {*model.spec.schema}
        self._audit(model, fresh.data if is_whole_row else fresh.data.union(touched), inputs)
        self.state.built[model.table] = Built(
            stored.union(fresh.data),
            (fresh,),
            self.state.rows(model.table) + fresh.rows,
            Moved(fresh.data, model.incremental_by, touched.union(fresh.data))
            if fresh.rows
            else None,
            self.state.version(model.table),
        )
        late = self._late(model, fresh, stored)
        return replace(change, added=fresh.rows, removed=0, changed=0, **late)

    def _stage_keys(
        self, model: Model, inputs: dict[str, ir.Table], decision: Decision, change: Change
    ) -> Change:
        """Compute the rows of the keys whose inputs changed, and replace exactly these."""
        assert model.incremental_by
        by = model.incremental_by
        moved = [each.rows for each in decision.moved.values() if each.rows is not None]
        keys = self.engine.keep(changes.keys_of(moved, by))
        near = {
            name: each.now
            for name, each in decision.moved.items()
            if len(decision.moved) == 1 and each.by == by and each.now is not None
        }
        of_keys = {
            name: rows.semi_join(keys, by) if by in rows.columns else rows
            for name, rows in (inputs | near).items()
        }
        new = self.engine.stage(model.table, model(**of_keys), model.contract)
        if strays := self.state.count(new.data.anti_join(keys, by)):
            raise PipelineError(
                f"model {model.name} is declared incremental by {by!r}, but of the rows of some "
                f"values it makes {strays} rows of others. Nothing was published."
            )
        self._audit(model, new.data, inputs)
        stored = self.state.stored(model)
        rest = self.engine.stage(model.table, stored.anti_join(keys, by), model.contract)
        before = self.engine.keep(stored.semi_join(keys, by))
        counts = changes.counts(before, new.data, model.spec.key)
        [found] = self.engine.fetch(counts).to_pylist()
        self.state.built[model.table] = Built(
            rest.data.union(new.data),
            (rest, new),
            rest.rows + new.rows,
            Moved(before.union(new.data), by, new.data),
        )
        return replace(change, keys=self.state.count(keys), **changes.counted(found))

    def _split(self, model: Model, inputs: dict[str, ir.Table]) -> Quarantined:
        secret = self.pipeline.source_of(model).secret
        return self.engine.quarantine(model, outcomes(model, model(**inputs), secret))

    def _keep_books(
        self,
        model: Model,
        mode: changes.Mode,
        split: Quarantined,
        accepted: int,
        repeated: int = 0,
    ) -> None:
        source = self.pipeline.source_of(model).name
        account = _books(source, self.inputs.counted(source, mode), split, accepted, repeated)
        account.check()
        self.books.append(account)

    def _keep_rejected(self, staged: Staged, onto: int | None = None) -> None:
        before = 0
        if onto is not None:
            self.state.refuse_damaged(staged.table, onto)
            before = self.state.rows(staged.table)
        rows = before + staged.rows
        self.state.built[staged.table] = Built(staged.data, (staged,), rows, None, onto)
        self.watcher.staged(staged.table, rows, 0.0)

    def _audit(self, model: Model, rows: ir.Table, inputs: Mapping[str, ir.Table]) -> None:
        published = self.state.published(model.table)
        self.warnings += audited(self.engine, model, rows, inputs, published)

    def _late(self, model: Model, fresh: Staged, stored: ir.Table) -> dict[str, Any]:
        at = model.spec.event_time
        if at is None or not fresh.rows:
            return {}
        [found] = self.engine.fetch(changes.lateness(fresh.data, stored, at)).to_pylist()
        by_us = found["late_by_us"]
        return {"late": found["late"], "late_by_s": by_us / 1e6 if by_us else None}

    def _moves(self, model: Model, staged: Staged) -> list[Move]:
        before = self.engine.fetch(self.state.published_rows(model)).to_pylist()
        after = self.engine.fetch(staged.data).to_pylist()
        return changes.moves(str(model.table), model.spec.key, before, after)

    def _is_compared(self, model: Model) -> bool:
        """Tell whether a table that was computed anew is compared with what it was: one that
        others are built from, and that is not declared incremental, as large ones are.
        """
        readers = (m for m in self.pipeline.models.values() if model.name in m.inputs)
        return not model.incremental_by and any(readers)

    def _refuse_another_pipeline(self) -> None:
        if self.last and self.last.pipeline != self.pipeline.name:
            raise ConfigError(
                f"{self.target.warehouse} is the warehouse of pipeline {self.last.pipeline!r}. "
                f"Give pipeline {self.pipeline.name!r} another with --warehouse."
            )

    def _run(self, number: int, tables: dict[str, PublishedTable]) -> Run:
        last = self.last
        code = {n: c for n, c in (last.code if last else {}).items() if n in self.pipeline.models}
        lineage = {t: of for t, of in (last.lineage if last else {}).items() if t in tables}
        return Run(
            run_id=number,
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
            pipeline=self.pipeline.name,
            target=self.target.name,
            engine=self.engine.name,
            packages={name: version(name) for name in _PACKAGES} | dict(self.engine.packages),
            code=code | {model.name: self.state.hashes[model.name] for model in self.models},
            inputs=self.inputs.ledger(),
            books=tuple(self.books),
            tables=tuple(tables.values()),
            warnings=tuple(self.warnings),
            lineage=lineage | {str(m.table): self._lineage(m, tables) for m in self.models},
            changes=tuple(self.changes),
            moves=tuple(self.moves),
        )

    def _lineage(self, model: Model, tables: Mapping[str, PublishedTable]) -> dict[str, int]:
        parents = (self.pipeline.models[n] for n in model.inputs if n in self.pipeline.models)
        return {str(parent.table): tables[str(parent.table)].version for parent in parents}


def _books(source: str, raw: Raw, split: Quarantined, accepted: int, repeated: int) -> Books:
    """Return the account of a source: lines as they were counted, rows as they were written.

    `repeated` are the accepted rows that earlier runs have stored.
    """
    tally = {row["reject_reason"]: row for row in split.tally.to_pylist()}
    kept = tally.pop(None, {"lines": 0, "outcomes": 0, "unreadable": 0})
    marked = tally.pop(DUPLICATE, {"lines": 0, "unreadable": 0})
    unreadable = sum(row["unreadable"] for row in (*tally.values(), kept, marked))
    warnings = {"unreadable_value": unreadable, "invalid_utf8": raw.invalid_utf8}
    return Books(
        source=source,
        lines=raw.lines,
        accepted=accepted,
        duplicates=kept["lines"] - kept["outcomes"] + marked["lines"] + repeated,
        rejected=split.rejected.rows,
        reasons={reason: row["lines"] for reason, row in sorted(tally.items())},
        warnings={name: lines for name, lines in warnings.items() if lines},
    )
