"""What was exported of which run, kept beside the ledger of runs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from streampro.errors import OvertakenError
from streampro.location import Location
from streampro.modeling.model import TableName
from streampro.storage import delta
from streampro.storage.place import place_of
from streampro.warehouse.run import EXPORTS

_ATTEMPTS = 5
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("table", "to")),
        *((name, pa.int64()) for name in ("run_id", "version", "rows")),
        ("token", pa.string()),
        ("exported_at", pa.timestamp("us", "UTC")),
    ]
)


@dataclass(frozen=True)
class Exported:
    """What was written of a table.

    Attributes:
        table: its name.
        to: where it was written, as it was declared: variables are not replaced.
        run_id: the run whose rows these are.
        version: of the table.
        rows: how many.
        token: of the commit that made the version.
        exported_at: when.
    """

    table: TableName
    to: str
    run_id: int
    version: int
    rows: int
    token: str
    exported_at: datetime


def append(warehouse: Location, done: Exported) -> None:
    """Keep what was exported. Raises `WarehouseError` where the warehouse cannot be written."""
    folder = place_of(warehouse).table(EXPORTS)
    rows = pa.Table.from_pylist([asdict(done)], schema=_SCHEMA)
    for attempt in range(_ATTEMPTS):
        last = delta.read_last(folder, "run_id")
        try:
            delta.write(folder, rows, last[0] if last else None)
        except OvertakenError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


def exports(warehouse: Location) -> Sequence[Exported]:
    """Return all that was exported, the oldest first."""
    table = delta.read(place_of(warehouse).table(EXPORTS))
    if table is None:
        return ()
    rows = table.sort_by("exported_at").to_pylist()
    return [Exported(**{**row, "table": TableName.of(row["table"])}) for row in rows]
