"""What commands leave in the ledger where no lock keeps writers out: properties of its table, each
set in a commit of its own, so that nobody can commit on what was before.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import uuid4

from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError

from streampro.errors import OvertakenError, WarehouseError
from streampro.modeling.model import TableName
from streampro.names import LEDGER, WAREHOUSE
from streampro.storage import log
from streampro.storage.delta import readable, told
from streampro.storage.native import native
from streampro.storage.place import FileStatus, Place
from streampro.storage.versions import newest_if_any

RUNS = TableName(WAREHOUSE, LEDGER)
"""The ledger in a warehouse."""
_HOLDER, _OLDEST = "streampro.holder", "streampro.oldest"
"""Who wrote versions of tables anew last, and the oldest run that nobody cleans."""
_HELD = "held:"


def holder(warehouse: Place) -> str:
    """Return who wrote the versions of tables anew last, "" if nobody did: a run that knows another
    has read what is no more, and is not published. Under a lock there is nothing to know.

    Raises `WarehouseError` while somebody does so.
    """
    found = _marks(warehouse).get(_HOLDER, "")
    if found.startswith(_HELD):
        raise WarehouseError(
            f"a `streampro forget` in {warehouse} has not ended. Wait for it, or where it was "
            "stopped, call it again; until then nothing is published there."
        )
    return found


@contextmanager
def held(warehouse: Place, onto: int | None) -> Iterator[None]:
    """Write versions anew: no run is published meanwhile that began before this ends. Where no lock
    does that, the ledger's next commits after version `onto` do; what fails in between must be done
    again before the next run.

    Raises `OvertakenError` where somebody was published since `onto`.
    """
    if warehouse.is_lockable:
        yield
        return
    ledger, token = warehouse.table(RUNS), uuid4().hex[:12]
    before = _marks(warehouse).get(_HOLDER, "")
    _set(ledger, _HOLDER, f"{_HELD}{token}", before, onto)
    yield
    _set(ledger, _HOLDER, token, f"{_HELD}{token}", None)


def oldest(warehouse: Place) -> int:
    """Return the oldest run that nobody cleans, as far as anybody must know."""
    return int(_marks(warehouse).get(_OLDEST, "1"))


def cleaned_before(warehouse: Place, run_id: int) -> int:
    """Let no rollback to a run before this be published, and return the oldest that may be. Under a
    lock nobody can.
    """
    if warehouse.is_lockable:
        return run_id
    before = _marks(warehouse).get(_OLDEST, "")
    if run_id > int(before or 1):
        _set(warehouse.table(RUNS), _OLDEST, str(run_id), before, None)
    return max(run_id, int(before or 1))


def newest_row(warehouse: Place) -> FileStatus | None:
    """Return the entry of the ledger's log that has its newest row; None where there is none. Its
    time is when the disk or the store had it, or a later writing anew of it.
    """
    ledger = warehouse.table(RUNS)
    for entry in reversed(log.log_of(ledger).entries):
        [content] = ledger.read_each([entry.path])
        with suppress(ValueError):
            if any("add" in action for action in log.parsed(content)):
                return entry
    return None


def _marks(warehouse: Place) -> Mapping[str, str]:
    is_marked = warehouse.is_reached and not warehouse.is_lockable
    return _properties(warehouse.table(RUNS)) if is_marked else {}


@native
def _properties(folder: Place) -> dict[str, str]:
    """Return the properties of a table at its newest version, none where there is no table."""
    with readable(folder):
        table = newest_if_any(folder)
        found = table.metadata().configuration if table else {}
        return {name: value for name, value in found.items() if value is not None}


@native
def _set(folder: Place, name: str, value: str, before: str, onto: int | None) -> int:
    """Let a property of a table that is there be another in one commit, and return its version.

    Raises `OvertakenError` where it is no longer what it was `before`, "" for one that is not set,
    where `onto` is given and not the newest version, and where somebody else commits meanwhile.
    """
    with told(folder, f"{folder}: the table cannot be written"):
        table = DeltaTable(folder.delta_uri)
        is_as_before = table.metadata().configuration.get(name, "") == before
        if not is_as_before or onto not in (None, table.version()):
            raise OvertakenError(f"another command wrote to {folder} meanwhile: run again.")
        try:
            table.alter.set_table_properties(
                {name: value},
                raise_if_not_exists=False,
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except CommitFailedError as error:
            table.update_incremental()
            if table.metadata().configuration.get(name) != value:  # else nobody heard of ours
                raise OvertakenError(
                    f"another command wrote to {folder} meanwhile: run again."
                ) from error
        return int(table.version())
