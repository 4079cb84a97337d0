"""Run a pipeline: stage every model in order, audit it, and publish all of them at the end."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

import ibis.expr.types as ir

from streampro import history
from streampro.config import Location, Target
from streampro.contract import ROW_COUNT, audit, breaking_rows, severity_of
from streampro.engine import Engine, Quarantined, Raw, Staged, connect
from streampro.errors import ConfigError, ContractError, PipelineError, SourceError
from streampro.history import PublishedTable, Run, Warned
from streampro.pipeline import DUPLICATE, Model, Pipeline, TableName
from streampro.quarantine import Books, outcomes

_PACKAGES = ("streampro", "ibis-framework", "deltalake", "pyarrow", "pandera")
_SAMPLE_ROWS = 5

Progress = Callable[[], float | None]


class Watcher(Protocol):
    """Someone who is shown a run while it works."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """Surround a step; `progress` returns its finished share from any thread, null unknown."""

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """Hear that a table was staged and audited."""


class Unwatched:
    """Shows nothing."""

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        """See `Watcher.step`."""
        return nullcontext()

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        """See `Watcher.staged`."""


def run(
    pipeline: Pipeline,
    target: Target,
    *,
    select: str | None = None,
    watcher: Watcher | None = None,
    session: Any = None,
) -> Run:
    """Build the selected models (all by default) from the target's raw folder and publish them.

    All are staged and audited before the first is published; the returned run is written last.
    Whatever fails before leaves the warehouse as it was. `session` is a Spark session to work in;
    without one a Spark target starts its own.

    Raises `PipelineError` for expressions that differ from their contracts, `SourceError`,
    `ContractError` and `BooksError` for data, `EngineError` for the rest.
    """
    if problems := pipeline.problems():
        raise PipelineError("\n".join(problems))
    models = pipeline.select(select)
    if target.raw is None:
        raise ConfigError("no raw folder: give --raw DIR or set `raw` in the target's file.")
    with history.writing(target.warehouse), connect(target, session) as engine:
        build = _Build(pipeline, target, engine, target.raw, watcher or Unwatched())
        build.check_last_run()
        build.read_sources(models)
        for model in models:
            build.stage(model)
        return build.publish()


class _Build:
    """The state of one run."""

    def __init__(
        self, pipeline: Pipeline, target: Target, engine: Engine, raw: Location, watcher: Watcher
    ) -> None:
        self.started_at = datetime.now(UTC)
        self.pipeline = pipeline
        self.target = target
        self.engine = engine
        self.raw_folder = raw
        self.watcher = watcher
        self.packages = {name: version(name) for name in _PACKAGES} | dict(engine.packages)
        self.last = history.newest(target.warehouse)
        self.raw: dict[str, Raw] = {}
        self.staged: dict[TableName, tuple[Staged, float]] = {}
        self.books: list[Books] = []
        self.warnings: list[Warned] = []

    def check_last_run(self) -> None:
        """Refuse a warehouse that another pipeline has written."""
        if self.last and self.last.pipeline != self.pipeline.name:
            raise ConfigError(
                f"{self.target.warehouse} is the warehouse of pipeline {self.last.pipeline!r}. "
                f"Give pipeline {self.pipeline.name!r} another with --warehouse."
            )

    def read_sources(self, models: list[Model]) -> None:
        """Find and count all raw files first, so that a missing one is told before any work."""
        for name in dict.fromkeys(name for model in models for name in model.inputs):
            if name in self.pipeline.sources:
                with self.watcher.step(f"count {name}", lambda: None):
                    source = self.pipeline.sources[name]
                    raw = self.engine.read_raw(source, self.raw_folder)
                    if source.format == "json_lines" and not raw.lines:
                        files = ", ".join(file.path for file in raw.files)
                        raise SourceError(
                            f"{self.raw_folder}: the files of source {name!r} hold no line: "
                            f"{files}. Nothing was published."
                        )
                    self.raw[name] = raw

    def stage(self, model: Model) -> None:
        """Compute a model, keep its books, audit it."""
        start = time.monotonic()
        with self.watcher.step(str(model.table), self.engine.progress):
            inputs = {name: self._input(name, model) for name in model.inputs}
            if model.quarantine:
                staged = self._quarantine(model, model(**inputs))
            else:
                staged = self.engine.stage(model.table, model(**inputs), model.contract)
            self._audit(model, staged, inputs)
        self._keep(staged, time.monotonic() - start)

    def publish(self) -> Run:
        """Publish everything that was staged, then the run itself."""
        published = {}
        number = self.last.run_id + 1 if self.last else 1
        with self.watcher.step("publish", lambda: None):
            for table, (staged, seconds) in self.staged.items():
                delta_version = self.engine.publish(staged, number)
                published[str(table)] = PublishedTable(
                    str(table), delta_version, staged.rows, seconds
                )
        before, hashes = self.last, self.pipeline.code_hashes()
        built = {m.name for m in self.pipeline.models.values() if m.table in self.staged}
        existing = {str(table) for table in self.pipeline.tables()}
        kept_tables = {
            item.table: replace(item, seconds=None)
            for item in (before.tables if before else ())
            if item.table in existing
        }
        kept_code = {
            name: code
            for name, code in (before.code if before else {}).items()
            if name in self.pipeline.models
        }
        kept_inputs = [
            file
            for file in (before.inputs if before else ())
            if file.source in self.pipeline.sources and file.source not in self.raw
        ]
        done = Run(
            run_id=number,
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
            pipeline=self.pipeline.name,
            target=self.target.name,
            engine=self.engine.name,
            packages=self.packages,
            code=kept_code | {name: hashes[name] for name in self.pipeline.models if name in built},
            inputs=(*kept_inputs, *(file for raw in self.raw.values() for file in raw.files)),
            books=tuple(self.books),
            tables=tuple((kept_tables | published).values()),
            warnings=tuple(self.warnings),
        )
        history.append(self.target.warehouse, done)
        return done

    def _input(self, name: str, model: Model) -> ir.Table:
        """Return a raw source, what this run staged, or what an earlier one published."""
        if name in self.raw:
            return self.raw[name].table
        table = self.pipeline.models[name].table
        if table in self.staged:
            return self.staged[table][0].data
        published = self.last.version_of(table) if self.last else None
        if published is None:
            raise ConfigError(
                f"{model.table} is built from {table}, which was never published. "
                f"Select it too: --select +{model.name}."
            )
        return self.engine.read(table, published)

    def _quarantine(self, model: Model, rows: ir.Table) -> Staged:
        start = time.monotonic()
        [source] = (self.pipeline.sources[n] for n in model.inputs if n in self.pipeline.sources)
        split = self.engine.quarantine(model, outcomes(model, rows, source.secret))
        account = _books(source.name, self.raw[source.name], split)
        account.check()
        self.books.append(account)
        self._keep(split.rejected, time.monotonic() - start)
        return split.accepted

    def _keep(self, staged: Staged, seconds: float) -> None:
        self.staged[staged.table] = (staged, seconds)
        self.watcher.staged(staged.table, staged.rows, seconds)

    def _audit(self, model: Model, staged: Staged, inputs: dict[str, ir.Table]) -> None:
        query = audit(model.contract, staged.data, inputs, is_distinct=model.quarantine)
        [counts] = self.engine.fetch(query).to_pylist()
        counts.pop(ROW_COUNT)
        broken = {rule: rows for rule, rows in counts.items() if rows}
        fatal = [r for r in broken if severity_of(model.contract, r) != "warn"]
        self.warnings += [
            Warned(str(model.table), rule, rows)
            for rule, rows in broken.items()
            if rule not in fatal
        ]
        if fatal:
            rows = breaking_rows(model.contract, staged.data, fatal).limit(_SAMPLE_ROWS)
            raise ContractError(
                self._verdict(model, {rule: broken[rule] for rule in fatal})
                + "".join(f"\n  {row}" for row in self.engine.fetch(rows).to_pylist())
            )

    def _verdict(self, model: Model, broken: dict[str, int]) -> str:
        published = self.last.version_of(model.table) if self.last else None
        state = "does not exist yet" if published is None else f"stays at version {published}"
        rules = ", ".join(f"{rule} in {rows} rows" for rule, rows in broken.items())
        count = "1 rule" if len(broken) == 1 else f"{len(broken)} rules"
        return (
            f"{model.table} broke {count}: {rules}. Nothing was published; the table {state}. "
            "First rows:"
        )


def _books(source: str, raw: Raw, split: Quarantined) -> Books:
    """Return the account of a source: lines as they were counted, rows as they were written."""
    tally = {row["reject_reason"]: row for row in split.tally.to_pylist()}
    accepted = tally.pop(None, {"lines": 0, "outcomes": 0, "unreadable": 0})
    marked = tally.pop(DUPLICATE, {"lines": 0, "unreadable": 0})
    unreadable = sum(row["unreadable"] for row in (*tally.values(), accepted, marked))
    warnings = {"unreadable_value": unreadable, "invalid_utf8": raw.invalid_utf8}
    return Books(
        source=source,
        lines=raw.lines,
        accepted=split.accepted.rows,
        duplicates=accepted["lines"] - accepted["outcomes"] + marked["lines"],
        rejected=split.rejected.rows,
        reasons={reason: row["lines"] for reason, row in sorted(tally.items())},
        warnings={name: lines for name, lines in warnings.items() if lines},
    )
