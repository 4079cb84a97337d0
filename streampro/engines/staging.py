"""Rows staged as parquet files that no table names yet: the same on every engine."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streampro.config import Location
from streampro.engines.protocol import Quarantined, Staged
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.model import Model, TableName
from streampro.modeling.quarantine import rejected_lines, tally
from streampro.modeling.spec import spec_of
from streampro.storage import delta
from streampro.storage.statistics import DataFile, Move, move_locally


class Staging(ABC):
    """What engines share: files lie in a folder named by the run's token until they are published.

    The folder is in the warehouse, or in `scratch`; then nothing is left in the warehouse.
    """

    def __init__(self, warehouse: Location, scratch: Path | None) -> None:
        self.warehouse = warehouse
        self.token = uuid4().hex[:12]
        self.staging = (scratch or warehouse / "_streampro" / "staging") / self.token
        self.counter = 0

    @abstractmethod
    def fetch(self, rows: ir.Table) -> pa.Table:
        """See `Engine.fetch`."""

    @abstractmethod
    def _write(self, rows: ir.Table, table: TableName, by: str | None = None) -> list[DataFile]:
        """Write rows with the physical types that their Ibis types say, and return the files."""

    @abstractmethod
    def _scan(self, files: list[DataFile], schema: ibis.Schema) -> ir.Table:
        """Return staged files as a table; it has its columns even where it has no file."""

    def stage(self, table: TableName, rows: ir.Table, contract: type[Contract]) -> Staged:
        """See `Engine.stage`."""
        return self._staged(table, self._write(rows, table), contract)

    def keep(self, rows: ir.Table) -> ir.Table:
        """See `Engine.keep`."""
        return self._scan(self._write(rows, TableName("kept", "rows")), rows.schema())

    def quarantine(self, model: Model, outcomes: ir.Table) -> Quarantined:
        """See `Engine.quarantine`: one query parses, de-duplicates, counts and splits.

        The files of accepted rows also hold the few columns of an outcome that are not published.
        """
        parted = outcomes.mutate(is_rejected=outcomes.rejection.notnull())
        files = self._write(parted, model.table, by="is_rejected")
        accepted = [file for file in files if "is_rejected=false" in str(file.path)]
        staged = self._scan(files, outcomes.schema())
        return Quarantined(
            accepted=self._staged(model.table, accepted, model.contract),
            rejected=self.stage(model.rejected, rejected_lines(staged), Rejected),
            tally=self.fetch(tally(staged)),
        )

    def _folder(self, table: TableName) -> Location:
        self.counter += 1
        return self.staging / table.layer / f"{table.name}-{self.counter}"

    def _staged(self, table: TableName, files: list[DataFile], contract: type[Contract]) -> Staged:
        rows = sum(file.rows for file in files)
        return Staged(table, contract, rows, self._scan(files, spec_of(contract).schema), files)


def publish(
    warehouse: Location,
    staged: Sequence[Staged],
    run: int,
    onto: int | None = None,
    move: Move = move_locally,
) -> int:
    """Make staged files of one table its content, as `delta.commit` does; return the version."""
    table, contract = staged[0].table, staged[0].contract
    return delta.commit(
        warehouse / table.layer / table.name,
        [file for each in staged for file in each.payload],
        delta.published_schema(contract),
        spec_of(contract).grain or "",
        run,
        onto,
        move,
    )
