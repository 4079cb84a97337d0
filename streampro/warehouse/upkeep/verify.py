"""What is published, compared with what was written: digests, counts, keys and references."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streampro.arguments import asks
from streampro.config import Target
from streampro.errors import WarehouseError, number_of
from streampro.location import Location
from streampro.modeling.audit import key_rule, reference_rule
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import delta, integrity
from streampro.storage.integrity import LoggedFile
from streampro.storage.place import place_of
from streampro.storage.versions import remembered
from streampro.warehouse import contracts, ledger
from streampro.warehouse.folders import reached, scratch
from streampro.warehouse.run import KNOWN_FILES, Run
from streampro.warehouse.snapshot import REBUILD, Part, Snapshot, opened, published_run


@dataclass(frozen=True)
class Damage:
    """Something that is not as it was written.

    Attributes:
        run_id: the newest run that is concerned.
        what: the file or the rule, and what is wrong with it.
    """

    run_id: int
    table: TableName
    version: int
    what: str

    def __str__(self) -> str:
        return f"{self.table}, version {self.version} (run {self.run_id}): {self.what}"


@dataclass(frozen=True)
class Verified:
    """What `verify` looked at and found.

    Attributes:
        runs: those that have all their files.
        incomplete: those that lack files, as `streampro clean` leaves older ones.
        newest_run: the one that readers see.
        files: data files that were read in full.
        bytes: of these files.
    """

    runs: tuple[int, ...]
    incomplete: tuple[int, ...]
    newest_run: int
    files: int
    bytes: int
    damages: tuple[Damage, ...]

    @property
    def advice(self) -> str:
        """What mends it."""
        if any(damage.run_id == self.newest_run for damage in self.damages):
            return REBUILD
        return "Run `streampro clean`: newer runs are in order, older ones cannot be relied on."

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@asks
def verify(
    pipeline: Pipeline, target: Target, *, run_id: int | None = None, session: Any = None
) -> Verified:
    """Compare every data file of the published runs, or of one run, with what was written.

    Looked at are: the digest in each file's name (one written before there were digests is read in
    full instead), its bytes, rows and bounds against the log, the rows of each table against the
    ledger, the lists of raw files; and, in the newest of these runs, the keys and references of
    the contracts as they are now. Nothing is written.

    ```python
    found = streampro.verify(PIPELINE, target)
    assert not found.damages, found.damages
    ```

    Args:
        pipeline: whose tables these are.
        target: where the warehouse is. Of one in a store each file is copied here in turn.
        run_id: of one run, by default of all. An older run that lacks files may have been cleaned,
            which is no damage unless the run was asked for.
        session: as of `run`.

    Raises `ConfigError` where nothing was published, for an unknown run and for a warehouse that
    only an engine reaches; `WarehouseError` for a ledger that cannot be read, `EngineError` for a
    store that does not answer.
    """
    reached(target.warehouse, "verify")
    asked = published_run(target, run_id)
    runs = [asked] if run_id is not None else ledger.runs(target.warehouse)[::-1]
    with remembered(), scratch(target.warehouse) as folder:
        files = _Files(target.warehouse, folder)
        complete = [run.run_id for run in runs if files.are_there(run, run.run_id == asked.run_id)]
    found = tuple(files.damages)
    return Verified(
        runs=tuple(complete),
        incomplete=tuple(run.run_id for run in runs if run.run_id not in complete),
        newest_run=published_run(target).run_id,
        files=len(files.looked_at),
        bytes=sum(file.size for file in files.looked_at),
        damages=found or tuple(_broken_rules(pipeline, target, asked, session)),
    )


class _Files:
    """The data files of a warehouse, each looked at once."""

    def __init__(self, warehouse: Location, scratch: Path) -> None:
        self.warehouse = warehouse
        self.scratch = scratch
        self.damages: list[Damage] = []
        self.looked_at: dict[LoggedFile, str | None] = {}
        self.versions: dict[tuple[TableName, tuple[Part, ...]], bool] = {}

    def are_there(self, run: Run, must_be: bool) -> bool:
        """Look at the files of a run and tell whether none of them is missing. It is damage where
        they must be there.
        """
        pinned = [(item.table, item.version, item.rows) for item in run.tables]
        known = [] if run.files_version is None else [(KNOWN_FILES, run.files_version, None)]
        found = [self._is_there(run, *each, must_be) for each in (*pinned, *known)]
        return all(found)

    def _is_there(
        self, run: Run, table: TableName, version: int, rows: int | None, must_be: bool
    ) -> bool:
        parts = tuple(Snapshot(self.warehouse, run).parts(table, version))
        if (table, parts) not in self.versions:
            files = []
            try:
                for warehouse, number, token in parts:
                    folder = place_of(warehouse).table(table)
                    delta.refuse_another(folder, number, token)
                    files += integrity.logged_files(folder, number)
                found = list(self._found(files, rows))
                is_there = all(map(integrity.is_there, files))
            except WarehouseError as error:
                found, is_there = [str(error)], False
            self.versions[table, parts] = is_there
            if is_there or must_be:
                self.damages += [Damage(run.run_id, table, version, what) for what in found]
        return self.versions[table, parts]

    def _found(self, files: Sequence[LoggedFile], rows: int | None) -> Iterator[str]:
        for file in files:
            if file not in self.looked_at:
                self.looked_at[file] = integrity.damage(file, self.scratch)
            if what := self.looked_at[file]:
                yield f"{file.name}: {what}"
        logged = sum(file.rows or 0 for file in files)
        if rows is not None and logged != rows:
            yield f"its files have {logged:,} rows, but the run published {rows:,}"


def _broken_rules(pipeline: Pipeline, target: Target, run: Run, session: Any) -> Iterator[Damage]:
    """Yield the keys and references that do not hold in a run's tables."""
    with opened(target, run, session) as snapshot:
        for model in pipeline.models.values():
            version = run.version_of(model.table)
            if version is None or {*model.spec.schema} - {*snapshot.table(model.table).columns}:
                continue
            kept = {key_rule(model.spec.key)} if model.spec.key else set()
            kept |= {
                reference_rule(name, *where)
                for name, where in model.spec.references.items()
                if model.spec.columns[name].orphans != "warn"
            }
            for broken in contracts.broken(pipeline, model, snapshot):
                if broken.rule in kept:
                    what = f"{broken.rule}, in {number_of(broken.rows, 'row')}"
                    yield Damage(run.run_id, model.table, version, what)
