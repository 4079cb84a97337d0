"""Proof that two engines say the same: both run from the same bytes, then every table is compared
as a multiset of rows, without tolerance. What was found is written down as a certificate.
"""

import hashlib
import json
import platform
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from streampro import addresses
from streampro.arguments import asks
from streampro.config import Target, unheard
from streampro.engines.checked import refuse_problems
from streampro.environment import replacing
from streampro.errors import (
    ConfigError,
    PipelineError,
    SourceError,
    StreamProError,
    WarehouseError,
    writes,
)
from streampro.execution.progress import Progress, Unwatched, Watcher
from streampro.execution.runner import run
from streampro.formats.database.extracts import Extracts, databases_of
from streampro.formats.files import find
from streampro.formats.registry import format_of
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.proofs.certificate import (
    Certificate,
    ComparedTable,
    DifferingRow,
    FileFingerprint,
    ledger_differences,
    side_of,
)
from streampro.proofs.compare import DIGEST, Comparison, StoredColumn, Version
from streampro.proofs.places import at_hand, refuse_other_folders, refuse_out_of_reach
from streampro.storage.place import place_of
from streampro.warehouse.folders import extracted, scratch
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import code_of

_COMPARED_WITH = ("streampro", "duckdb", "deltalake")
_FEW = 5
"""Differing rows that are shown per table."""


@asks
def prove(
    pipeline: Pipeline,
    left: Target,
    right: Target,
    *,
    select: str | None = None,
    exclude: str | None = None,
    out: Path | None = None,
    warehouse: Path | None = None,
    watcher: Watcher | None = None,
) -> Certificate:
    """Return the proof that two targets compute the same rows from one raw folder.

    The pipeline is run on both, then every table is compared as a multiset of rows, without
    tolerance, and so are books, warnings and code. The targets' own warehouses are not touched.

    Args:
        pipeline: what both sides build.
        left: one target.
        right: the other; it must have the same raw folder, on this machine.
        select: models to prove, as of `run`; both sides build them and all that they are built
            from, and only tables of the selected models are compared. Default: all.
        exclude: models that are left out of these, as of `run`.
        out: a JSON file for the certificate, written whether the sides are equal or not; an older
            one there is removed first.
        warehouse: a folder in which the warehouses of both sides are kept, as `left` and `right`;
            default: temporary ones.
        watcher: as of `run`.

    Raises `ParityError` for any difference, `SourceError` when a raw file changed in between,
    `ConfigError` for targets that read different folders, `PipelineError` for an unknown model in
    `select`, and what `run` raises on either side.
    """
    pipeline = pipeline.without_exports()
    refuse_problems(pipeline, left.engine, right.engine)
    sources = [*pipeline.sources.values()]
    for target in (left, right):
        refuse_out_of_reach(sources, target)
    refuse_other_folders(sources, left, right)
    _refuse_other_databases(sources, left, right)
    if select is not None or exclude is not None:
        select = _names(pipeline.select(select, exclude, code_of(left)))
    built = select and " ".join(f"+{name}" for name in select.split())
    if out:
        _write(out, "")
        if out.is_file():
            out.resolve().unlink()
    with (
        nullcontext(warehouse) if warehouse else scratch(left.warehouse) as folder,
        extracted(sources, left) as extracts,
    ):
        here = at_hand(sources, left, folder / "copied")
        for source in pipeline.read(pipeline.select(built)):
            extracts.whole(source, here)
        proof = _Proof(pipeline, select, built, here, extracts, folder, watcher or Unwatched())
        certificate = proof.certificate(left, right)
    if out:
        _write(out, json.dumps(certificate.to_json(), indent=2, ensure_ascii=False) + "\n")
    certificate.check()
    return certificate


def compared_tables(
    pipeline: Pipeline,
    one: Run,
    other: Run,
    scratch: Path,
    comparison: Comparison,
    watcher: Watcher,
    select: str | None = None,
    without: Collection[TableName] = (),
) -> Iterator[ComparedTable]:
    """Yield every table of a pipeline, or of selected models, but some, in two runs, whose
    warehouses are `left` and `right`.
    """
    keys = {model.table: model.spec.key for model in pipeline.models.values()}
    for table in (each for each in pipeline.tables(select) if each not in without):
        left, right = (
            _version(table, one, scratch / "left"),
            _version(table, other, scratch / "right"),
        )
        with watcher.step(f"compare {table}", comparison.progress):
            yield _table(str(table), left, right, keys.get(table, ()), comparison)


@dataclass(frozen=True)
class _Proof:
    """What is proven: models of a pipeline, from the raw files of a target.

    Attributes:
        select: the models whose tables are compared.
        built: those and all that they are built from.
        here: has the raw files on this machine.
    """

    pipeline: Pipeline
    select: str | None
    built: str | None
    here: Target
    extracts: Extracts
    scratch: Path
    watcher: Watcher

    def certificate(self, left: Target, right: Target) -> Certificate:
        """Run both sides, compare their tables, and return what was found."""
        started_at = datetime.now(UTC)
        inputs = self._fingerprint()
        one, other = (
            self._run(target, side, started_at)
            for target, side in ((left, "left"), (right, "right"))
        )
        by_runs = self.pipeline.by_runs()
        _refuse_changes(inputs, self._fingerprint())
        with Comparison(left) as comparison:
            tables = tuple(
                compared_tables(
                    self.pipeline, one, other, self.scratch, comparison, self.watcher, self.select
                )
            )
        ledger = ledger_differences(one, other)
        compared = {each.table for each in tables}
        return Certificate(
            equal=not ledger and all(table.equal for table in tables),
            pipeline=self.pipeline.name,
            selected=tuple(str(model.table) for model in self.pipeline.select(self.select)),
            started_at=started_at,
            finished_at=datetime.now(UTC),
            compared_with={package: version(package) for package in _COMPARED_WITH},
            machine=f"Python {platform.python_version()} on {platform.platform()}",
            left=side_of(one),
            right=side_of(other),
            inputs_sha256=_total(inputs),
            inputs=inputs,
            digest=DIGEST,
            tables=tables,
            ledger=ledger,
            by_runs=tuple(told for table, told in by_runs.items() if table in compared),
        )

    def _run(self, target: Target, side: str, started_at: datetime) -> Run:
        tables = dict.fromkeys(target.databases, addresses.extracted(self.extracts.folder))
        read = {"raw": self.here.raw, "sources": self.here.sources, "databases": tables}
        here = unheard(target, self.scratch / side).model_copy(update=read)
        watcher = _SideWatcher(self.watcher, side)
        try:
            return run(
                self.pipeline,
                here,
                select=self.built,
                full_refresh=True,
                accept_lost_files=True,
                started_at=started_at,
                watcher=watcher,
            )
        except StreamProError as error:
            raise type(error)(f"{side} side, target {target.name!r}: {error}") from error

    def _fingerprint(self) -> tuple[FileFingerprint, ...]:
        with self.watcher.step("fingerprint the raw files", lambda: None):
            return tuple(
                _file_fingerprint(
                    source.name, file.path, folder / format_of(source).stored_as(source, file.path)
                )
                for source in self.pipeline.read(self.pipeline.select(self.built))
                for folder in [Path(self.extracts.location(source, self.here))]
                for file in find(source, place_of(folder))
            )


class _SideWatcher:
    """Says which side a step belongs to."""

    def __init__(self, watcher: Watcher, side: str) -> None:
        self.watcher = watcher
        self.side = side

    def step(self, what: str, progress: Progress) -> AbstractContextManager[Any]:
        return self.watcher.step(f"{self.side} {what}", progress)

    def staged(self, table: TableName, rows: int, seconds: float) -> None:
        self.watcher.staged(TableName(f"{self.side} {table.layer}", table.name), rows, seconds)

    def notice(self, text: str) -> None:
        self.watcher.notice(f"{self.side}: {text}")


def _version(table: TableName, done: Run, warehouse: Path) -> Version:
    number = done.version_of(table)
    if number is None:
        raise WarehouseError(f"{warehouse}: target {done.target!r} did not publish {table}.")
    return Version(place_of(warehouse).table(table), number)


def _table(
    name: str, left: Version, right: Version, key: Sequence[str], comparison: Comparison
) -> ComparedTable:
    """Compare columns, then digests; rows only where the digests differ."""
    columns, others = comparison.columns(left), comparison.columns(right)
    schema = _differing_columns(columns, others)
    digests = comparison.digest(left), comparison.digest(right)
    if digests[0] == digests[1]:
        return ComparedTable(name, *digests, equal=not schema, schema=schema)
    if [(c.name, c.type) for c in columns] != [(c.name, c.type) for c in others]:
        return ComparedTable(name, *digests, False, schema, only_left=None, only_right=None)
    found = comparison.difference(left, right, key, _FEW)
    rows = tuple(DifferingRow.of(columns, key, *pair) for pair in found.rows)
    return ComparedTable(name, *digests, False, schema, found.only_left, found.only_right, rows)


def _differing_columns(
    left: Sequence[StoredColumn], right: Sequence[StoredColumn]
) -> tuple[str, ...]:
    names = [[column.name for column in side] for side in (left, right)]
    if names[0] != names[1]:
        one, other = (", ".join(side) for side in names)
        return (f"columns are {one} on the left, {other} on the right",)
    facts = [
        (f"{fact} of column {mine.name}", getattr(mine, fact), getattr(yours, fact))
        for mine, yours in zip(left, right, strict=True)
        for fact in ("type", "nullable", "comment")
    ]
    return tuple(
        f"{fact} is {mine!r} on the left, {yours!r} on the right"
        for fact, mine, yours in facts
        if mine != yours
    )


def _names(models: Sequence[Model]) -> str:
    if not models:
        raise PipelineError("the selection names no model, so there is nothing to prove.")
    return " ".join(model.name for model in models)


def _refuse_other_databases(sources: Sequence[Source], left: Target, right: Target) -> None:
    for name in sorted(databases_of(sources)):
        one, other = (each.databases.get(name) for each in (left, right))
        if one != other:
            raise ConfigError(
                f"target {left.name!r} and target {right.name!r} say that database {name!r} is in "
                "different places, but a proof needs the same rows."
            )


def _file_fingerprint(source: str, name: str, path: Path) -> FileFingerprint:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return FileFingerprint(source, name, file.tell(), sha256)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def _total(inputs: Sequence[FileFingerprint]) -> str:
    sums = "".join(f"{file.sha256}  {file.path}\n" for file in inputs)
    return hashlib.sha256(sums.encode()).hexdigest()


def _refuse_changes(before: Sequence[FileFingerprint], after: Sequence[FileFingerprint]) -> None:
    if changed := sorted({f"{file.path} of {file.source}" for file in {*before} ^ {*after}}):
        raise SourceError(
            f"{', '.join(changed)} changed while the two sides were running, so they did "
            "not read the same bytes. Nothing was compared; prove again when nobody writes there."
        )


def _write(out: Path, content: str) -> None:
    with writes(f"the certificate {out}"), replacing(out) as place:
        place.write_text(content, encoding="utf-8")
