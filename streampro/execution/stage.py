"""A model at work: what it needs is computed, reconciled with its source, and audited."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

import ibis.expr.types as ir

from streampro.engines.protocol import Engine, Quarantined, Staged
from streampro.errors import PipelineError, StreamProError, WarehouseError
from streampro.execution import limits
from streampro.execution.audit import audited
from streampro.execution.decide import RunMode
from streampro.execution.inputs import Inputs
from streampro.execution.reconcile import reconcile
from streampro.execution.state import Built, ChangedRows, State
from streampro.modeling.model import ANSWERS, Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import Books, judged
from streampro.modeling.question import plain_rows
from streampro.modeling.source import Source
from streampro.warehouse import changes, observed
from streampro.warehouse.changes import Change, Mode, Move
from streampro.warehouse.run import Warned

_Computed = TypeVar("_Computed")


@dataclass(frozen=True)
class StagedModel:
    """What a run made of a model; nothing of it is published.

    Attributes:
        tables: its table as the run leaves it, and that of its rejected lines; none where nothing
            was computed.
        books: of its source, where it reads one.
    """

    change: Change
    tables: Mapping[TableName, Built] = field(default_factory=dict)
    books: Books | None = None
    warnings: tuple[Warned, ...] = ()
    moves: tuple[Move, ...] = ()


class Stage:
    """Stages the models of one run, each after its inputs."""

    def __init__(
        self,
        pipeline: Pipeline,
        engine: Engine,
        state: State,
        inputs: Inputs,
        forced: Collection[str],
        started_at: datetime,
    ) -> None:
        self.pipeline = pipeline
        self.engine = engine
        self.state = state
        self.inputs = inputs
        self.forced = forced
        self.started_at = started_at

    def stage(self, model: Model, run_mode: RunMode) -> StagedModel:
        """Compute what a model needs in its run mode.

        Raises `ContractError` and `BooksError` for the data, `PipelineError` for rows of keys that
        a keyed model must not make.
        """
        staged = self._computed_in(model, run_mode)
        return replace(staged, warnings=(*staged.warnings, *self._grown(model, staged)))

    def _computed_in(self, model: Model, run_mode: RunMode) -> StagedModel:
        change = Change(model.table, run_mode.mode, run_mode.reason)
        if run_mode.mode == "unchanged":
            return StagedModel(change)
        if model.observed_at:
            return self._seen(model, change)
        if run_mode.mode == "full":
            return self._all_rows(model, change)
        if model.quarantine:
            return self._new_lines(model, change)
        return self._changed_keys(model, run_mode, change)

    def _inputs(self, model: Model, mode: Mode) -> dict[str, ir.Table]:
        return {
            name: self.inputs.counted(name, mode).table
            if name in self.inputs.files
            else self.state.input(name, model)
            for name in model.inputs
        }

    def _all_rows(self, model: Model, change: Change) -> StagedModel:
        """Compute the whole table; where the same rows come out, there is nothing to publish."""
        books, tables = None, {}
        warned: tuple[Warned, ...] = ()
        if model.quarantine:
            quarantined, inputs = self._quarantined(model, "full")
            staged = quarantined.accepted
            source = self.pipeline.source_of(model).name
            raw = self.inputs.counted(source, "full")
            books = reconcile(source, raw, quarantined, staged.rows)
            warned = self._held(model, "full", staged, (quarantined, books))
            tables[model.rejected] = self._rejected(quarantined.rejected)
        else:
            staged, inputs = self._computed(model, "full", lambda of: self._whole(model, of))
            readable = (*self._readable(model), *self._left_out(model, inputs, staged))
            warned = (*readable, *self._held(model, "full", staged))
        warnings = (*warned, *self._audited(model, staged.data, inputs, staged.data))
        then = self.state.published(model.table)
        built = Built(staged.data, (staged,), staged.rows, ChangedRows(None))
        is_forced = model.name in self.forced
        if then is not None and not is_forced and self._is_compared(model):
            changed = self.state.difference(model, then, staged.data)
            built = replace(built, changed=changed)
            if changed is None and self.state.is_same_code(model):
                built = replace(built, parts=(), onto=then)
                change = replace(change, added=0, removed=0, changed=0)
        moves: list[Move] = []
        if then is not None and model.table.layer == ANSWERS:
            with suppress(WarehouseError) if is_forced else nullcontext():
                moves = self._moves(model, staged)
        return StagedModel(change, {model.table: built, **tables}, books, warnings, tuple(moves))

    def _new_lines(self, model: Model, change: Change) -> StagedModel:
        """Add the rows of new files that are not stored yet."""
        by = _key_of(model)
        quarantined, inputs = self._quarantined(model, "incremental")
        accepted, stored = quarantined.accepted.data, self.state.stored(model)
        keys = self.engine.cache(changes.keys_of([accepted], by))
        touched = self.engine.cache(stored.semi_join(keys, by))
        fresh = self.engine.stage(model.table, changes.unknown(accepted, touched), model.contract)
        repeated = self.state.count(changes.known(accepted, touched))
        source = self.pipeline.source_of(model).name
        raw = self.inputs.counted(source, "incremental")
        books = reconcile(source, raw, quarantined, fresh.rows, repeated)
        warned = self._held(model, "incremental", quarantined.accepted, (quarantined, books))
        onto = self.state.version(model.rejected)
        is_whole_row = {*model.spec.key} == {*model.spec.schema}
        rejected = self._rejected(quarantined.rejected, onto)
        audited = fresh.data if is_whole_row else fresh.data.union(touched)
        whole = stored.union(fresh.data)
        warnings = (*warned, *self._audited(model, audited, inputs, whole))
        built = Built(
            whole,
            (fresh,),
            self.state.rows(model.table) + fresh.rows,
            ChangedRows(fresh.data, by, touched.union(fresh.data)) if fresh.rows else None,
            self.state.version(model.table),
        )
        late = self._lateness(model, fresh, stored)
        change = replace(change, added=fresh.rows, removed=0, changed=0, **late)
        return StagedModel(change, {model.table: built, model.rejected: rejected}, books, warnings)

    def _changed_keys(self, model: Model, run_mode: RunMode, change: Change) -> StagedModel:
        """Compute the rows of the keys whose inputs changed, and replace exactly these."""
        by, inputs = _key_of(model), self._inputs(model, run_mode.mode)
        changed = run_mode.changed_inputs
        rows = [
            each.rows.select(each.rows[model.key_of(name)].name(by))
            for name, each in changed.items()
            if each.rows is not None
        ]
        keys = self.engine.cache(changes.keys_of(rows, by))
        near = {
            name: self.state.sampled(model, name, each.now)
            for name, each in changed.items()
            if len(changed) == 1 and each.by == model.key_of(name) and each.now is not None
        }
        of_keys = {
            name: _of_keys(table, model.key_of(name), keys, by)
            for name, table in (inputs | near).items()
        }
        new = self._staged(model, of_keys)
        if strays := self.state.count(new.data.anti_join(keys, by)):
            raise PipelineError(
                f"model {model.name} is declared incremental by {by!r}, but of the rows of some "
                f"values it makes {strays} rows of others. Nothing was published."
            )
        stored = self.state.stored(model)
        rest = self.engine.stage(model.table, stored.anti_join(keys, by), model.contract)
        whole = rest.data.union(new.data)
        warnings = self._audited(model, new.data, inputs, whole)
        before = self.engine.cache(stored.semi_join(keys, by))
        [counts] = self.engine.fetch(changes.counts(before, new.data, model.spec.key)).to_pylist()
        built = Built(
            whole,
            (rest, new),
            rest.rows + new.rows,
            ChangedRows(before.union(new.data), by, new.data),
        )
        change = replace(change, keys=self.state.count(keys), **changes.counted(counts))
        return StagedModel(change, {model.table: built}, warnings=warnings)

    def _seen(self, model: Model, change: Change) -> StagedModel:
        """Add what the run sees that none has seen before; nothing that was seen goes."""
        inputs = self._inputs(model, "full")
        rows = observed.seen(model, model(**inputs), self.started_at)
        found = self.engine.stage(model.table, rows, model.contract)
        warnings = self._audited(model, found.data, inputs, found.data)
        if not self.state.is_observed(model):
            built = Built(found.data, (found,), found.rows, ChangedRows(None))
            return StagedModel(change, {model.table: built}, warnings=warnings)
        kept = self.state.kept(model)
        news = observed.news(model, kept, found.data, self.started_at)
        fresh = self.engine.stage(model.table, news, model.contract)
        if fresh.rows:
            observed.refuse_another_order(self.engine, model, kept, self.started_at)
        change = replace(change, added=fresh.rows, removed=0, changed=0)
        if self.state.is_same_code(model):
            built = Built(
                kept.union(fresh.data),
                (fresh,),
                self.state.rows(model.table) + fresh.rows,
                ChangedRows(fresh.data) if fresh.rows else None,
                self.state.version(model.table),
            )
            return StagedModel(change, {model.table: built}, warnings=warnings)
        before = self.engine.stage(model.table, kept, model.contract)
        whole = before.data.union(fresh.data)
        warnings = self._audited(model, whole, inputs, whole)
        built = Built(whole, (before, fresh), before.rows + fresh.rows, ChangedRows(None))
        return StagedModel(change, {model.table: built}, warnings=warnings)

    def _quarantined(self, model: Model, mode: Mode) -> tuple[Quarantined, dict[str, ir.Table]]:
        """Return the lines of a model, quarantined, and what they were computed from."""
        secret = self.pipeline.source_of(model).secret

        def quarantined(inputs: dict[str, ir.Table]) -> Quarantined:
            return self.engine.quarantine(model, judged(model, model(**inputs), secret))

        return self._computed(model, mode, quarantined)

    def _computed(
        self, model: Model, mode: Mode, compute: Callable[[dict[str, ir.Table]], _Computed]
    ) -> tuple[_Computed, dict[str, ir.Table]]:
        """Return what is computed from the inputs of a model, and these. It is computed again where
        files changed while they were read, which an engine may take for an error of its own.
        """
        inputs = self._inputs(model, mode)
        try:
            computed = compute(inputs)
        except StreamProError:
            if not self.inputs.changed_meanwhile(model, mode):
                raise
        else:
            if not self.inputs.changed_meanwhile(model, mode):
                return computed, inputs
        return self._computed(model, mode, compute)

    def _whole(self, model: Model, inputs: dict[str, ir.Table]) -> Staged:
        """Compute all rows of a model: where `check` has proven that its rows of a key come from
        the input rows of that key alone, in parts of the keys. Raw files are read once.
        """
        is_proven = (
            model.incremental_by
            and "incremental_by" not in model.allow
            and not self.state.nullable_keys(model)
        )
        is_split = is_proven and not self._sources(model)
        keys = {name: model.key_of(name) for name in inputs} if is_split else {}
        [first, *more] = (model(**part) for part in self.engine.parts(inputs, keys))
        return self.engine.stage(model.table, first, model.contract, *more)

    def _staged(self, model: Model, inputs: dict[str, ir.Table]) -> Staged:
        return self.engine.stage(model.table, model(**inputs), model.contract)

    def _rejected(self, staged: Staged, onto: int | None = None) -> Built:
        before = 0
        if onto is not None:
            self.state.refuse_damaged(staged.table, onto)
            before = self.state.rows(staged.table)
        return Built(staged.data, (staged,), before + staged.rows, None, onto)

    def _audited(
        self, model: Model, rows: ir.Table, inputs: Mapping[str, ir.Table], whole: ir.Table
    ) -> tuple[Warned, ...]:
        """Audit rows of a table; `whole` is the table, to which they may refer themselves."""
        published, referred = self.state.published(model.table), {**inputs, model.name: whole}
        return tuple(audited(self.engine, model, rows, referred, published))

    def _held(
        self,
        model: Model,
        mode: Mode,
        staged: Staged,
        lines: tuple[Quarantined, Books] | None = None,
    ) -> tuple[Warned, ...]:
        """Return what the limits of the source that a model reads warn of; `staged` is what it
        made of its lines. Raises `SourceError` for what they do not allow.
        """
        source = self._only_source(model)
        if source is None:
            return ()
        expression = self.pipeline.expressions[model.name]
        are_lines = bool(lines) or limits.is_line_by_line(expression)
        is_compared = (are_lines or bool(model.spec.key)) and self._is_known(model)
        known = self.state.stored(model) if is_compared else None
        excesses = [limits.never_given(self.engine, source, staged, known if are_lines else None)]
        raw = self.inputs.counted(source.name, mode)
        excesses.append(limits.no_element(source, raw))
        if lines:
            odd = limits.rejected(*lines)
            excesses.insert(0, limits.too_many(self.engine, source, raw, odd))
        if known is not None:
            excesses.append(limits.vanished(self.engine, source, model, known, staged.data))
        return limits.held(source, model, chain(*excesses))

    def _readable(self, model: Model) -> Iterator[Warned]:
        """Yield what there is to tell of the lines that a model reads without books. Raises
        `SourceError` where the limits of a source allow no more that cannot be read.
        """
        for name in self._sources(model):
            source, raw = self.pipeline.sources[name], self.inputs.counted(name, "full")
            odd = limits.unreadable(self.engine, source, raw)
            beyond = [*limits.too_many(self.engine, source, raw, odd)]
            yield from limits.held(source, model, [*beyond, *limits.told(raw, odd, beyond)])

    def _left_out(
        self, model: Model, inputs: Mapping[str, ir.Table], staged: Staged
    ) -> Iterator[Warned]:
        """Yield the lines that have no part in the rows of a model without books."""
        expression = self.pipeline.expressions[model.name]
        if read := {name: self.inputs.counted(name, "full") for name in self._sources(model)}:
            yield from limits.left_out(self.engine, model, expression, inputs, read, staged)

    def _grown(self, model: Model, staged: StagedModel) -> tuple[Warned, ...]:
        """Return what the limits of the source that a model reads warn of in its whole table.
        Raises `SourceError` for what they do not allow.
        """
        source = self._only_source(model)
        if source is None or not source.limits.look_at_tables:
            return ()
        is_known = self.state.published(model.table) is not None
        before = self.state.rows(model.table) if is_known else 0
        built = staged.tables.get(model.table)
        rows = built.rows if built else before
        data = built.data if built else self.state.stored(model)
        excesses = [
            limits.stale(self.engine, source, model, data, rows),
            limits.row_change(source, model, before, rows),
        ]
        return limits.held(source, model, chain(*excesses))

    def _sources(self, model: Model) -> list[str]:
        """Return the names of the sources that a model reads."""
        return [name for name in model.inputs if name in self.inputs.files]

    def _only_source(self, model: Model) -> Source | None:
        """Return the source of a model that reads one."""
        names = self._sources(model)
        return self.pipeline.sources[names[0]] if len(names) == 1 else None

    def _is_known(self, model: Model) -> bool:
        """Tell whether the rows of a table as it was published are compared with those of now."""
        is_there = self.state.published(model.table) is not None and self.state.is_same_code(model)
        return not model.incremental_by and is_there and model.name not in self.forced

    def _lateness(self, model: Model, fresh: Staged, stored: ir.Table) -> dict[str, Any]:
        at = model.spec.event_time
        if at is None or not fresh.rows:
            return {}
        [row] = self.engine.fetch(changes.lateness(fresh.data, stored, at)).to_pylist()
        by_us = row["late_by_us"]
        return {"late": row["late"], "late_by_s": by_us / 1e6 if by_us else None}

    def _moves(self, model: Model, staged: Staged) -> list[Move]:
        states = self.state.published_rows(model), staged.data
        before, after = (plain_rows(self.engine.fetch(rows)) for rows in states)
        return changes.moves(model.table, model.spec.key, before, after)

    def _is_compared(self, model: Model) -> bool:
        """Tell whether a table that was computed anew is compared with what it was: one that
        others are built from, and that is not declared incremental, as large ones are.
        """
        readers = (m for m in self.pipeline.models.values() if model.name in m.inputs)
        return not model.incremental_by and any(readers)


def _of_keys(rows: ir.Table, column: str, keys: ir.Table, by: str) -> ir.Table:
    """Return the rows of some keys; all of them where they have none."""
    return rows.semi_join(keys, [(column, by)]) if column in rows.columns else rows


def _key_of(model: Model) -> str:
    assert model.incremental_by
    return model.incremental_by
