"""DuckDB on one machine: text files in, Delta tables out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streampro.config import Target
from streampro.engines.compilation.casts import physical_query
from streampro.engines.duckdb import parts, python, statements
from streampro.engines.duckdb.compiler import compiler_of
from streampro.engines.duckdb.readers import READERS, parquet
from streampro.engines.duckdb.repeats import seen_function
from streampro.engines.duckdb.written import data_file
from streampro.engines.protocol import Raw
from streampro.engines.staging import ACCEPTED, FATE, REJECTED, Staging, by_fate
from streampro.environment import COMPUTING, pass_over_warnings
from streampro.errors import ComputationError, ConfigError, EngineError, SourceError
from streampro.expressions.decimals import exact
from streampro.expressions.python import RowsOfKeys
from streampro.expressions.types import nullable
from streampro.formats.files import InputFile
from streampro.formats.json.typed import identifier, quoted
from streampro.formats.registry import format_of, reader_of
from streampro.location import Location
from streampro.modeling.model import Model, TableName
from streampro.modeling.quarantine import REJECTION, settled
from streampro.modeling.source import Source
from streampro.names import ours
from streampro.storage import delta, leftovers
from streampro.storage.data_files import COMPRESSION, DataFile
from streampro.storage.delta import Stored
from streampro.storage.place import Place, place_of
from streampro.storage.place.store import ObjectPlace

_UNREADABLE = re.compile(
    "Failed to read file|in Parquet file|bytes outside file|don't know what type|TProtocolException"
)
"""What DuckDB says of a damaged Parquet file; it has no class for that."""
_OF_A_VALUE = "Lists larger than "
"""What DuckDB says of a length that no list has; it takes that for a wrong call."""
_OWN_HINT = re.compile(r"Did you mean .*")
"""What DuckDB advises for a table that is not there; it also knows tables of its own."""
_MOST_NAMED = 12
_BATCH = 50_000
"""Rows of a table that are at hand at once, where all of them are read."""
_MANY_LINES = 2**20
"""That a run reads: fewer are grouped by all columns to find those that repeat others."""
_SEEN = "seen"
"""A fate beside those of `staging`: neither is known yet."""


class DuckDBEngine(Staging[Place]):
    """Computes in one process."""

    name = "duckdb"
    packages: Mapping[str, str] = {"duckdb": duckdb.__version__}

    def __init__(self, target: Target, session: None = None, scratch: Path | None = None) -> None:
        super().__init__(target, scratch)
        pass_over_warnings()
        settings = target.duckdb
        config: dict[str, Any] = {
            **statements.CONFIG,
            "preserve_insertion_order": False,
            "temp_directory": str(
                (settings.temp_directory or self.staging.path / "spill").absolute()
            ),
        }
        config |= settings.model_dump(include={"memory_limit", "threads"}, exclude_none=True)
        try:
            self.staging.make()
            self.ibis = ibis.duckdb.connect(**config)
            self.ibis.compiler = compiler_of()
        except duckdb.Error as error:
            raise ConfigError(f"DuckDB refuses its settings: {error}") from error
        except OSError as error:
            raise EngineError(f"DuckDB cannot start: {error}") from error
        self.lines = 0
        self.connection = self.ibis.con
        COMPUTING.add(self.connection)
        with suppress(duckdb.InvalidInputException):  # in Jupyter it wants ipywidgets for that
            self.connection.execute(
                "SET enable_progress_bar = true; SET enable_progress_bar_print = false"
            )
        self.allow_files = False
        if isinstance(self.warehouse, ObjectPlace):
            self.connection.register_filesystem(self.warehouse.file_system())

    def place(self, location: Location) -> Place:
        """Return a location as this engine reaches it."""
        return place_of(location)

    def read_raw(
        self, source: Source, raw: Location, files: Sequence[InputFile] | None = None
    ) -> Raw:
        """See `Engine.read_raw`."""
        files = self.find(source, raw) if files is None else files
        read = reader_of(source, READERS, self.name)
        place = self.place(raw)  # of a store copied once, for files are read twice
        folder = Path(raw if place.is_local else self.freeze(source, raw, files))
        self.counter += 1
        scratch = self.staging.path / f"{source.name}-{self.counter}"
        form = format_of(source)
        paths = [folder / form.stored_as(source, file.path) for file in files]
        with _named(folder, raw):
            reading = read(source, folder, paths, scratch)
        table = self._view(reading.query)
        found = Raw(table, reading.by_file, reading.invalid_utf8, reading.holding)
        self.lines += found.lines
        return found

    def read(self, table: TableName, version: int, warehouse: Location | None = None) -> ir.Table:
        """See `Engine.read`."""
        return self._view(self.scan(self._published(table, warehouse), version))

    def scan(self, folder: Place, version: int) -> str:
        """See `SqlEngine.scan`."""
        return self._rows_in(delta.stored(folder, version))

    def fetch(self, rows: ir.Table) -> pa.Table:
        """See `Engine.fetch`."""
        with _errors("the query failed"):
            return self.ibis.to_pyarrow(exact(self._sql_of(rows)))

    def load(self, rows: pa.Table, schema: ibis.Schema, name: str | None = None) -> ir.Table:
        """See `Engine.load`."""
        self.counter += 1
        name = name or f"streampro_{self.counter}"
        self.connection.register(name, rows)
        return ibis.table(schema, name=name)

    def show(self, tables: Mapping[TableName, Stored], allow_files: bool = False) -> None:
        """See `SqlEngine.show`."""
        layers = dict.fromkeys(table.layer for table in tables)
        for layer in layers:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(layer)}")
        for table, stored in tables.items():
            name = f"{identifier(table.layer)}.{identifier(table.name)}"
            with _errors(f"{table} cannot be read"):
                self.connection.execute(f"CREATE VIEW {name} AS {self._rows_in(stored)}")
        path = quoted(",".join(map(identifier, ["main", *layers])))
        self.connection.execute(f"SET search_path = {path}")  # so SHOW TABLES knows them
        if not allow_files:
            statements.confine(
                self.connection, [p.uri for each in tables.values() for p in each.places]
            )
        self.connection.execute("SET lock_configuration = true")
        self.allow_files = allow_files

    def shown(self, table: TableName) -> ir.Table:
        """See `SqlEngine.shown`."""
        return self.ibis.table(table.name, database=table.layer)

    def batches(self, table: TableName) -> pa.RecordBatchReader:
        """See `SqlEngine.batches`."""
        name = f"{identifier(table.layer)}.{identifier(table.name)}"
        failed = f"{table} cannot be read"
        with _errors(failed):
            rows = self.connection.execute(f"SELECT * FROM {name} ORDER BY ALL")
            reader = rows.to_arrow_reader(_BATCH)

        def batches() -> Iterator[pa.RecordBatch]:
            with _errors(failed):
                yield from reader

        return pa.RecordBatchReader.from_batches(reader.schema, batches())

    def query(self, sql: str) -> pa.Table:
        """See `SqlEngine.query`. Raises `ConfigError` for one that DuckDB refuses."""
        try:
            return self.connection.execute(sql).to_arrow_table()
        except (duckdb.OperationalError, duckdb.InternalError, duckdb.InterruptException) as error:
            raise EngineError(f"the query failed: {error}") from error
        except duckdb.PermissionException as error:
            raise ConfigError(f"the query is refused: {error}. {statements.FILES}") from error
        except duckdb.CatalogException as error:
            hint = self._tables() if str(error).startswith("Catalog Error: Table") else ""
            said = _OWN_HINT.sub(hint, str(error)) if hint else str(error)
            raise ConfigError(f"the query is wrong: {said}") from error
        except duckdb.Error as error:
            if _UNREADABLE.search(str(error)):
                raise EngineError(f"the query failed: {error}") from error
            raise ConfigError(f"the query is wrong: {error}") from error

    def _tables(self) -> str:
        found = self.connection.execute(
            "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal "
            "AND schema_name != 'main' ORDER BY ALL"
        ).fetchall()
        names = [f"{layer}.{name}" for layer, name in found]
        more = ", and others" if len(names) > _MOST_NAMED else ""
        return f"Tables: {', '.join(names[:_MOST_NAMED])}{more}." if names else ""

    def ask(self, query: str) -> pa.Table:
        """See `SqlEngine.ask`."""
        found = self.query(statements.reading(self.connection, query, self.allow_files))
        return found.rename_columns(_distinct(found.column_names))

    def where(self, rows: ir.Table, condition: str) -> ir.Table:
        """See `SqlEngine.where`."""
        if not condition.strip():
            raise ConfigError("--where is empty.")
        statements.refuse_unreadable(condition)
        try:
            stored = self._view(self._physical(rows)).op().name
            query = f"SELECT * FROM {stored} WHERE (\n{condition}\n)"
            with _errors("the query failed"):
                duckdb.SQLExpression(condition)  # none closes the bracket
                self.connection.extract_statements(query)
            statements.refuse_all_but_condition(self.connection, query)
            return self.cache(self._view(query))
        except (EngineError, ComputationError) as error:
            if isinstance(error.__cause__, (duckdb.ProgrammingError, duckdb.DataError)):
                [reason, *_] = str(error.__cause__).splitlines()
                raise ConfigError(f"--where {condition!r}: {reason}") from error
            raise

    def progress(self) -> float:
        """See `Engine.progress`."""
        return max(0.0, float(self.connection.query_progress())) / 100

    def close(self) -> None:
        """See `Engine.close`."""
        with suppress(duckdb.ConnectionException):  # it may be closed already
            self.connection.interrupt()  # what a signal stopped: it would be waited for
        self.ibis.disconnect()
        leftovers.remove_leftovers(self.warehouse, self.staging)

    def __enter__(self) -> "DuckDBEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _view(self, query: str) -> ir.Table:
        self.counter += 1
        name = f"streampro_{self.counter}"
        with _errors("the query failed"):
            self.connection.execute(f"CREATE VIEW {name} AS {query}")
            return self.ibis.table(name)

    def _scan(self, files: list[DataFile], schema: ibis.Schema) -> ir.Table:
        return self._view(self._rows_of([file.path for file in files], schema))

    def _rows_in(self, stored: Stored) -> str:
        return self._rows_of(
            [place.uri for place in stored.places], ibis.Schema.from_pyarrow(stored.schema)
        )

    def _rows_of(self, paths: Sequence[object], schema: ibis.Schema) -> str:
        """Return the query of the rows of parquet files, which has its columns without a file."""
        if paths:
            return f"SELECT {', '.join(map(identifier, schema))} FROM {parquet(paths)}"
        types = self.ibis.compiler.type_mapper
        nulls = ", ".join(
            f"NULL::{types.to_string(kind)} AS {identifier(name)}" for name, kind in schema.items()
        )
        return f"SELECT {nulls} WHERE false"

    def _by_fate(self, model: Model, judged: ir.Table) -> Mapping[str, list[DataFile]]:
        """See `Staging`: many lines stream into files as they are judged, and none is held. Few are
        grouped, which takes less time.

        A line whose hash may be that of one before is set aside. Of these few and the accepted rows
        of their hashes, which are then read again, all columns are compared.
        """
        if self.lines < _MANY_LINES:
            return super()._by_fate(model, judged)
        schema, columns = judged.schema(), ", ".join(map(identifier, model.spec.schema))
        function = ours("seen")
        fate = (
            f"CASE WHEN {REJECTION} IS NOT NULL THEN {quoted(REJECTED)} "
            f"WHEN {function}(hash({columns})) THEN {quoted(_SEEN)} ELSE {quoted(ACCEPTED)} END"
        )
        with seen_function(self.connection, function):
            query = f"SELECT *, {fate} AS {FATE} FROM ({self._physical(judged)})"
            written = by_fate(self._copy(query, judged, model.table, FATE))
        if repeats := written.pop(_SEEN, None):
            seen, accepted = (
                self._scan(repeats, schema),
                self._scan(written.get(ACCEPTED, []), schema),
            )
            of_hash = self._view(
                f"SELECT * FROM {accepted.op().name} WHERE hash({columns}) IN "
                f"(SELECT hash({columns}) FROM {seen.op().name})"
            )
            found = self._split(settled(seen, self.cache(of_hash)), model.table)
            for fate, files in found.items():
                written.setdefault(fate, []).extend(files)
        return written

    def parts(
        self, inputs: Mapping[str, ir.Table], keys: Mapping[str, str]
    ) -> Sequence[Mapping[str, ir.Table]]:
        """See `Engine.parts`."""
        keyed = {name: inputs[name] for name, key in keys.items() if key in inputs[name].columns}
        if len({nullable(rows[keys[name]].type()) for name, rows in keyed.items()}) != 1:
            return [inputs]  # without a key, or with keys whose hashes differ though they are equal
        queries = {name: self._physical(rows) for name, rows in keyed.items()}
        sized = ((query, len(keyed[name].columns)) for name, query in queries.items())
        number = parts.number_of(self.connection, sized)
        if number == 1:
            return [inputs]

        def part(which: int) -> Mapping[str, ir.Table]:
            of_part = {
                name: self._view(parts.one_of(query, keys[name], which, number))
                for name, query in queries.items()
            }
            return {**inputs, **of_part}

        return [part(which) for which in range(number)]

    def _physical(self, rows: ir.Table) -> str:
        return physical_query(self.ibis.compiler, rows)

    def _write(self, rows: ir.Table, table: TableName, by: str | None = None) -> list[DataFile]:
        return self._copy(self._physical(rows), rows, table, by)

    def _of_python(self, node: RowsOfKeys) -> list[DataFile]:
        folder = self._folder(TableName("python", "rows"))
        with _errors("rows for Python cannot be computed"):
            folder.make()
            query = self._physical(node.parent.to_expr())
            path = folder / f"part-{self.token}-{self.counter}.parquet"
            return [python.written(self.connection, query, node, path)]

    def _copy(self, query: str, rows: ir.Table, table: TableName, by: str | None) -> list[DataFile]:
        folder = self._folder(table)
        with _errors("the warehouse cannot be written"):
            folder.make()
        pattern = f"part-{self.token}-{self.counter}-{{i}}"
        layout = f"PARTITION_BY ({by})" if by else "FILE_SIZE_BYTES '1GB'"
        with _errors(f"{table.name} cannot be computed"):
            written = self.connection.execute(
                f"COPY ({query}) TO {quoted(folder.uri)} "
                f"(FORMAT parquet, COMPRESSION {COMPRESSION}, RETURN_STATS, {layout}, "
                f"FILENAME_PATTERN '{pattern}')"
            ).fetchall()
        return [data_file(row, rows.schema()) for row in written]


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of columns, those that come again with a number, as DuckDB numbers them."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        found.append(
            name if name not in found else next(n for n in numbered if n not in {*names, *found})
        )
    return found


@contextmanager
def _named(copy: Path, raw: Location) -> Iterator[None]:
    """Say where files are, not where their copies are, in an error of the data."""
    try:
        yield
    except SourceError as error:
        raise type(error)(str(error).replace(str(copy), str(raw))) from error


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn errors of DuckDB into ours: of the data where a value is to blame."""
    try:
        yield
    except duckdb.DataError as error:
        raise ComputationError(f"{what}: {error}") from error
    except (duckdb.Error, OSError) as error:
        if _OF_A_VALUE in str(error):
            raise ComputationError(f"{what}: {error}") from error
        kind = SourceError if _UNREADABLE.search(str(error)) else EngineError
        raise kind(f"{what}: {error}") from error
