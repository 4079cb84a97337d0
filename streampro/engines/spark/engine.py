"""Spark on one machine or a cluster: text files in, Delta tables out."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from streampro.config import Location, Remote, Target
from streampro.engines.casts import physical_query
from streampro.engines.protocol import Quarantined, Raw, Staged
from streampro.engines.spark import readers
from streampro.engines.spark.compiler import compiler_of
from streampro.engines.spark.files import Files, HadoopPlace, escaped
from streampro.engines.spark.session import Session
from streampro.engines.staging import Staging
from streampro.errors import ComputationError, EngineError, SourceError, StreamProError
from streampro.expressions.nulls import may_be_null
from streampro.expressions.types import changed
from streampro.formats.files import InputFile
from streampro.formats.registry import reader_of
from streampro.modeling.contract import Contract
from streampro.modeling.model import Model, TableName
from streampro.modeling.source import Source
from streampro.names import WAREHOUSE
from streampro.storage import leftovers
from streampro.storage.data_files import COMPRESSION, DataFile

_REPORTED = re.compile(r"streampro\.errors\.SourceError: (.*)")
"""How a worker's error comes back."""
_UNREADABLE = re.compile(r"FAILED_READ_FILE|PATH_NOT_FOUND|\bZipException|\bEOFException")
_OF_A_VALUE = re.compile(r"SQLSTATE: 22\w{3}|\bArithmeticException|\bDateTimeException")
"""The class of SQL's states for values that cannot be computed with, and what has no state."""
_LIKE_OTHERS = {"spark.sql.mapKeyDedupPolicy": "EXCEPTION"}
"""A key that a map has twice stops every engine; Ibis would have Spark take the last."""
_CALLED = re.compile(r"^An error occurred while calling .*\n: ")
"""Stands before an error that Java raised."""


class SparkEngine(Staging[HadoopPlace]):
    """Compiles expressions to Spark SQL; rows stay in Spark but for answers, counts and samples.

    What is staged is parquet, computed once and written by the workers; to publish it, its files
    are moved and committed in one log entry.
    """

    name = "spark"

    def __init__(self, target: Target, session: Any = None, scratch: Path | None = None) -> None:
        self.session = Session(target.spark, session)
        self.spark = self.session.spark
        self.published: list[tuple[TableName, HadoopPlace]] = []
        try:
            self.ibis = ibis.pyspark.connect(self.spark, **_LIKE_OTHERS)
            self.ibis.compiler = compiler_of()
            self.files = Files(self.spark)
            self.packages = versions(self.spark)
            super().__init__(target, scratch)
        except BaseException:
            self.session.close()
            raise

    def place(self, location: Location) -> HadoopPlace:
        """Return a location as Spark reaches it."""
        return self.files.place(location)

    def find(self, source: Source, raw: Location) -> tuple[InputFile, ...]:
        """See `Engine.find`."""
        with _errors(f"source {source.name!r} cannot be read"):
            found = super().find(source, raw)
        for file in found:
            if ":" in file.path:
                raise SourceError(f"{raw} has a file {file.path!r}: Spark reads no such name.")
        return found

    def read_raw(
        self, source: Source, raw: Location, files: Sequence[InputFile] | None = None
    ) -> Raw:
        """See `Engine.read_raw`."""
        files = self.find(source, raw) if files is None else files
        with _errors(f"source {source.name!r} cannot be read"):
            folder = self.place(raw)
            read = reader_of(source, readers.READERS, self.name)
            places = [folder / file.path for file in files]
            scratch = self._folder(TableName("raw", source.name)).uri
            reading = read(self.spark, source, readers.RawFiles(files, places, folder.uri, scratch))
            table = self._table(reading.rows, source.schema)
            return Raw(table, reading.by_file, reading.invalid_utf8, reading.holding)

    def read(self, table: TableName, version: int) -> ir.Table:
        """See `Engine.read`."""
        with _errors(f"{table} cannot be read"):
            folder = self.warehouse.table(table).uri
            rows = self.spark.read.format("delta").option("versionAsOf", version).load(folder)
            return self._table(rows, _canonical(self.ibis.table(self._name(rows)).schema()))

    def stage(self, table: TableName, rows: ir.Table, contract: type[Contract]) -> Staged:
        """See `Engine.stage`."""
        self._refuse_another(table)
        return super().stage(table, rows, contract)

    def quarantine(self, model: Model, outcomes: ir.Table) -> Quarantined:
        """See `Engine.quarantine`."""
        self._refuse_another(model.table)
        return super().quarantine(model, outcomes)

    def publish(
        self,
        staged: Sequence[Staged],
        run: int,
        onto: int | None = None,
        personal: frozenset[str] = frozenset(),
    ) -> int:
        """See `Engine.publish`. When the engine is closed, a catalog that stays comes to know the
        table.
        """
        table = staged[0].table
        with _errors(f"{table} cannot be published"):
            version = super().publish(staged, run, onto, personal)
            if self.session.catalog_stays:
                self.published.append((table, self.warehouse.table(table)))
        return version

    def fetch(self, rows: ir.Table) -> pa.Table:
        """See `Engine.fetch`."""
        with _errors("the query failed"):
            return self.spark.sql(self._sql(rows)).toArrow()

    def load(self, rows: pa.Table, schema: ibis.Schema, name: str | None = None) -> ir.Table:
        """See `Engine.load`."""
        return self._table(self.spark.createDataFrame(rows), schema, name)

    def progress(self) -> float:
        """See `Engine.progress`: finished tasks of the stages at work."""
        tracker = self.spark.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(each) for each in tracker.getActiveStageIds()]
        tasks = sum(stage.numTasks for stage in stages if stage)
        return sum(stage.numCompletedTasks for stage in stages if stage) / tasks if tasks else 0.0

    def close(self) -> None:
        """See `Engine.close`. Also lets the session's catalog know what was published."""
        try:
            for table, folder in self.published:
                register(self.spark, table, folder)
            leftovers.remove_leftovers(self.warehouse, self.staging)
        finally:
            self.session.close()

    def __enter__(self) -> "SparkEngine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_another(self, table: TableName) -> None:
        """Raise `EngineError` where a catalog that stays has another table of this name."""
        if self.session.catalog_stays:
            known_location(self.spark, table)

    def _write(self, rows: ir.Table, table: TableName, by: str | None = None) -> list[DataFile]:
        folder = self._folder(table)
        with _errors(f"{table.name} cannot be computed"):
            found = self.spark.sql(physical_query(self.ibis.compiler, rows))
            writer = found.write.option("compression", COMPRESSION)
            (writer.partitionBy(by) if by else writer).parquet(folder.uri)
            return [self._data_file(*written) for written in folder.written()]

    def _data_file(self, path: HadoopPlace, size: int, footer: pq.FileMetaData) -> DataFile:
        self.counter += 1
        return DataFile.of(path, f"part-{self.token}-{self.counter}.parquet", size, footer)

    def _scan(self, files: list[DataFile], schema: ibis.Schema) -> ir.Table:
        kinds = self.ibis.compiler.type_mapper
        columns = ", ".join(
            f"{readers.identifier(name)} {kinds.to_string(kind)}" for name, kind in schema.items()
        )
        if not files:
            return self._table(self.spark.createDataFrame([], columns), schema)
        paths = [escaped(file.path.uri) for file in files]
        return self._table(self.spark.read.schema(columns).parquet(*paths), schema)

    def _table(self, rows: Any, schema: ibis.Schema, name: str | None = None) -> ir.Table:
        """Return a Spark data frame as an Ibis table of canonical types, for `_sql` to compile.

        As in a view of DuckDB's, no column is known to have no nulls.
        """
        return ibis.table(may_be_null(schema), name=self._name(rows, name))

    def _name(self, rows: Any, name: str | None = None) -> str:
        self.counter += 1
        name = name or f"streampro_{self.counter}"
        rows.createOrReplaceTempView(name)
        return name

    def _sql(self, rows: ir.Table) -> str:
        return str(self.ibis.compile(rows))


def versions(spark: Any) -> dict[str, str]:
    """Return what computes and stores in a session, by name."""
    return {"spark": spark.version, "delta-spark": str(spark._jvm.io.delta.package.VERSION())}


def known_location(spark: Any, table: TableName) -> str | None:
    """Return where the catalog's table of this name lies, "" if it is gone; None if it knows none.

    Raises `EngineError` for a table that is there, but not in a warehouse of StreamPro.
    """
    from pyspark.errors import AnalysisException

    name = f"`{table.layer}`.`{table.name}`"
    with _errors(f"the catalog does not tell of {table}"):
        try:
            if not spark.catalog.tableExists(name):
                return None
            described = (
                spark.sql(f"DESCRIBE EXTENDED {name}").where("col_name = 'Location'").first()
            )
        except AnalysisException as error:
            if "DELTA_PATH_DOES_NOT_EXIST" in str(error):
                return ""
            raise
        location = described.data_type if described else ""
        warehouse = Files(spark).place(Remote(location.rsplit("/", 2)[0]))
        if not location or not (warehouse / WAREHOUSE).exists():
            raise EngineError(f"the catalog has another table {table}. Rename or drop it.")
        return str(location)


def register(spark: Any, table: TableName, folder: HadoopPlace) -> None:
    """Let the session's catalog know the Delta table in a folder by its layer and name.

    It takes the place of one in another warehouse; see `known_location` for any other.
    """
    name = f"`{table.layer}`.`{table.name}`"
    known = known_location(spark, table)
    if known == folder.uri:
        return
    with _errors(f"{table} is published, but not known to the catalog"):
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS `{table.layer}`")
        if known is not None:
            spark.sql(f"DROP TABLE {name}")
        spark.sql(f"CREATE TABLE {name} USING delta LOCATION {readers.literal(folder.uri)}")


def registered(target: Target, session: Any, tables: Sequence[TableName]) -> Any:
    """Return a Spark session whose catalog knows some tables of a target's warehouse."""
    spark = Session(target.spark, session).spark
    warehouse = Files(spark).place(target.warehouse)
    for table in tables:
        register(spark, table, warehouse.table(table))
    return spark


def _canonical(schema: ibis.Schema) -> ibis.Schema:
    """Return the schema with instants of the one type that pipelines know."""

    def canonical(kind: dt.DataType) -> dt.DataType:
        return dt.Timestamp("UTC", 6) if kind.is_timestamp() else kind

    return ibis.schema({name: changed(kind, canonical) for name, kind in schema.items()})


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Turn errors of Spark into ours: of the data where a file or a value is to blame, else of the
    engine.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError, OSError) as error:
        if reported := _REPORTED.search(str(error)):
            raise SourceError(reported[1]) from error
        raise _kind(error)(f"{what}: {_cause(error)}") from error


def _kind(error: Exception) -> type[StreamProError]:
    said = f"{type(error).__name__}: {error}"
    if _UNREADABLE.search(said):
        return SourceError
    return ComputationError if _OF_A_VALUE.search(said) else EngineError


def _cause(error: Exception) -> str:
    """Return the first line of an error and the last of its causes."""
    text = _CALLED.sub("", str(error).strip())
    first, *more = text.splitlines() or [type(error).__name__]
    causes = [line.removeprefix("Caused by: ") for line in more if line.startswith("Caused by: ")]
    return f"{first} ({causes[-1]})" if causes else first
