"""Rows staged as parquet files that no table names yet: the same on every engine."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar
from uuid import uuid4

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streampro.config import Target
from streampro.engines.protocol import Quarantined, Staged
from streampro.expressions.decimals import exact
from streampro.expressions.python import RowsOfKeys, computed
from streampro.formats.files import InputFile, changed, find, freeze
from streampro.location import Location
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.model import Model, TableName
from streampro.modeling.quarantine import REJECTION, outcomes, rejected_lines, tally
from streampro.modeling.source import Source
from streampro.modeling.spec import spec_of
from streampro.names import WAREHOUSE, ours
from streampro.storage import delta, merge
from streampro.storage.data_files import DataFile
from streampro.storage.place import Place

P = TypeVar("P", bound=Place)
FATE = ours("fate")
ACCEPTED, REJECTED = "accepted", "rejected"
"""By what outcomes are split into files, and what it says of them."""


class Staging(ABC, Generic[P]):
    """What engines share: files lie in a folder named by the run's token until they are published.

    The folder is in the warehouse, or in `scratch`; then nothing is left in the warehouse.
    """

    def __init__(self, target: Target, scratch: Path | None) -> None:
        self.warehouse = self.place(target.warehouse)
        self.token = uuid4().hex[:12]
        staging = self.place(scratch) if scratch else self.warehouse / WAREHOUSE / "staging"
        self.staging = staging / self.token
        self.counter = 0

    @abstractmethod
    def place(self, location: Location) -> P:
        """Return a location as this engine reaches it."""

    def find(self, source: Source, raw: Location) -> tuple[InputFile, ...]:
        """See `Engine.find`."""
        return find(source, self.place(raw))

    def changed(self, raw: Location, files: Iterable[InputFile]) -> set[str]:
        """See `Engine.changed`."""
        place = self.place(raw)
        return changed(files, place.path) if place.is_local and self.staging.is_local else set()

    def freeze(self, source: Source, raw: Location, files: Iterable[InputFile]) -> Location:
        """See `Engine.freeze`."""
        folder, place = self._folder(TableName("raw", source.name)).path, self.place(raw)
        if place.is_local:
            freeze(source, files, place.path, folder)
        else:
            place.copy([*files], folder)
        return folder

    def unread(self, patterns: Iterable[str], raw: Location) -> Iterator[str]:
        """See `Engine.unread`."""
        return self.place(raw).unmatched(patterns, self.warehouse)

    @abstractmethod
    def fetch(self, rows: ir.Table) -> pa.Table:
        """See `Engine.fetch`."""

    @abstractmethod
    def _write(self, rows: ir.Table, table: TableName, by: str | None = None) -> list[DataFile]:
        """Write rows with the physical types that their Ibis types say, and return the files."""

    @abstractmethod
    def _of_python(self, node: RowsOfKeys) -> list[DataFile]:
        """Write what a Python function makes of the rows of each key, and return the files."""

    def _sql_of(self, rows: ir.Table) -> ir.Table:
        """Return rows that SQL computes, once Python functions have computed theirs."""
        return computed(rows, lambda node: self._scan(self._of_python(node), node.schema))

    @abstractmethod
    def _scan(self, files: list[DataFile], schema: ibis.Schema) -> ir.Table:
        """Return staged files as a table; it has its columns even where it has no file."""

    def parts(
        self, inputs: Mapping[str, ir.Table], keys: Mapping[str, str]
    ) -> Sequence[Mapping[str, ir.Table]]:
        """See `Engine.parts`: one, where the engine bounds its memory itself."""
        return [inputs]

    def stage(
        self, table: TableName, rows: ir.Table, contract: type[Contract], *more: ir.Table
    ) -> Staged:
        """See `Engine.stage`."""
        written = [
            file for part in (rows, *more) for file in self._write(self._sql_of(part), table)
        ]
        return self._staged(table, written, contract)

    def cache(self, rows: ir.Table) -> ir.Table:
        """See `Engine.cache`."""
        written = self._write(self._sql_of(rows), TableName("cached", "rows"))
        return self._scan(written, exact(rows).schema())

    def quarantine(self, model: Model, judged: ir.Table) -> Quarantined:
        """See `Engine.quarantine`: one query parses, de-duplicates, counts and splits.

        The files of accepted rows also hold the few columns of an outcome that are not published.
        """
        written, schema = self._by_fate(model, judged), judged.schema()
        accepted, rejected = written.get(ACCEPTED, []), written.get(REJECTED, [])
        staged = self._scan([*accepted, *rejected], schema)
        return Quarantined(
            accepted=self._staged(model.table, accepted, model.contract),
            rejected=self.stage(model.rejected, rejected_lines(staged), Rejected),
            tally=self.fetch(tally(staged)),
        )

    def accepted(self, model: Model, judged: ir.Table) -> ir.Table:
        """See `Engine.accepted`."""
        return self._scan(self._by_fate(model, judged).get(ACCEPTED, []), model.spec.schema)

    def _by_fate(self, model: Model, judged: ir.Table) -> Mapping[str, list[DataFile]]:
        """Write the outcomes of judged lines, and return the files of each fate."""
        return self._split(outcomes(judged), model.table)

    def _split(self, outcomes: ir.Table, table: TableName) -> dict[str, list[DataFile]]:
        """Write outcomes, and return the files of the accepted and those of the rejected ones."""
        fate = ibis.ifelse(outcomes[REJECTION].isnull(), ACCEPTED, REJECTED)
        return by_fate(self._write(outcomes.mutate(fate.name(FATE)), table, by=FATE))

    def publish(
        self,
        staged: Sequence[Staged],
        run: int,
        onto: int | None = None,
        personal: frozenset[str] = frozenset(),
    ) -> int:
        """See `Engine.publish`."""
        table, spec = staged[0].table, spec_of(staged[0].contract)
        folder, schema = self.warehouse.table(table), delta.published_schema(spec)
        bounded = spec.bounded - personal
        files = [file.bounded_by(bounded) for each in staged for file in each.payload]
        merged = onto is not None and merge.merged(
            folder, onto, schema, self._folder(table), self.token
        )
        return delta.commit(
            folder,
            files,
            schema,
            spec.grain or "",
            run,
            onto,
            merged.bounded_by(bounded) if merged else None,
            self.token,
        )

    def _published(self, table: TableName, warehouse: Location | None) -> P:
        """Return where a table lies, in the target's warehouse or another."""
        return (self.warehouse if warehouse is None else self.place(warehouse)).table(table)

    def _folder(self, table: TableName) -> P:
        self.counter += 1
        return self.staging.table(TableName(table.layer, f"{table.name}-{self.counter}"))

    def _staged(self, table: TableName, files: list[DataFile], contract: type[Contract]) -> Staged:
        rows = sum(file.rows for file in files)
        return Staged(table, contract, rows, self._scan(files, spec_of(contract).schema), files)


def by_fate(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    """Return files by the value of `FATE` that names the folder of each."""
    found: dict[str, list[DataFile]] = {}
    for file in files:
        folder = str(file.path).rsplit("/", 2)[1]
        found.setdefault(folder.removeprefix(f"{FATE}="), []).append(file)
    return found
