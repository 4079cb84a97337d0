"""Spark on one machine or a cluster: text files in, Delta tables out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from streampro.config import Target
from streampro.engines.compilation.casts import physical_query
from streampro.engines.protocol import Raw, Staged
from streampro.engines.spark import readers
from streampro.engines.spark.catalog import Catalog
from streampro.engines.spark.compiler import compiler_of
from streampro.engines.spark.failures import failing
from streampro.engines.spark.files import SparkPlace, escaped
from streampro.engines.spark.functions import of_python
from streampro.engines.spark.session import opened
from streampro.engines.staging import Staging
from streampro.errors import SourceError
from streampro.expressions.nulls import may_be_null
from streampro.expressions.python import RowsOfKeys
from streampro.expressions.types import changed
from streampro.formats.files import InputFile
from streampro.formats.registry import format_of, reader_of
from streampro.location import Location
from streampro.modeling.contract import Contract
from streampro.modeling.model import Model, TableName
from streampro.modeling.source import Source
from streampro.storage import leftovers
from streampro.storage.data_files import COMPRESSION, DataFile

_LIKE_OTHERS = {"spark.sql.mapKeyDedupPolicy": "EXCEPTION"}
"""A key that a map has twice stops every engine; Ibis would have Spark take the last."""


class SparkEngine(Staging[SparkPlace]):
    """Compiles expressions to Spark SQL; rows stay in Spark but for answers, counts and samples.

    What is staged is parquet, computed once and written by the workers; to publish it, its files
    are moved and committed in one log entry.
    """

    name = "spark"

    def __init__(self, target: Target, session: Any = None, scratch: Path | None = None) -> None:
        self.session = opened(target.spark, session)
        self.spark = self.session.spark
        try:
            self.ibis = ibis.pyspark.connect(self.spark, **_LIKE_OTHERS)
            self.ibis.compiler = compiler_of()
            self.files = self.session.reach()
            self.packages = self.session.versions
            self.catalog = Catalog(self.session, self.files, target.spark.catalog)
            super().__init__(target, scratch)
            self.session.refuse_unseen(self.staging)
        except BaseException:
            self.session.close()
            raise

    def place(self, location: Location) -> SparkPlace:
        """Return a location as Spark reaches it."""
        return self.files.place(location)

    def find(self, source: Source, raw: Location) -> tuple[InputFile, ...]:
        """See `Engine.find`."""
        with failing(f"source {source.name!r} cannot be read"):
            found = super().find(source, raw)
        form = format_of(source)
        names = [form.stored_as(source, file.path) for file in found]
        for name in names:
            if ":" in name:
                raise SourceError(f"{raw} has a file {name!r}: Spark reads no such name.")
        for first in names[:1]:
            self.session.refuse_unseen(self.place(raw) / first)
        return found

    def read_raw(
        self, source: Source, raw: Location, files: Sequence[InputFile] | None = None
    ) -> Raw:
        """See `Engine.read_raw`."""
        files = self.find(source, raw) if files is None else files
        with failing(f"source {source.name!r} cannot be read"):
            folder = self.place(raw)
            read = reader_of(source, readers.READERS, self.name)
            form = format_of(source)
            places = [folder / form.stored_as(source, file.path) for file in files]
            scratch = self._folder(TableName("raw", source.name)).uri
            reading = read(self.spark, source, readers.RawFiles(files, places, folder.uri, scratch))
            table = self._table(reading.rows, source.schema)
            return Raw(table, reading.by_file, reading.invalid_utf8, reading.holding)

    def read(self, table: TableName, version: int, warehouse: Location | None = None) -> ir.Table:
        """See `Engine.read`."""
        with failing(f"{table} cannot be read"):
            folder = self._published(table, warehouse).uri
            rows = self.spark.read.format("delta").option("versionAsOf", version).load(folder)
            return self._table(rows, _canonical(self.ibis.table(self._name(rows)).schema()))

    def stage(
        self, table: TableName, rows: ir.Table, contract: type[Contract], *more: ir.Table
    ) -> Staged:
        """See `Engine.stage`."""
        self.catalog.refuse_another(table)
        return super().stage(table, rows, contract, *more)

    def _by_fate(self, model: Model, judged: ir.Table) -> Mapping[str, list[DataFile]]:
        self.catalog.refuse_another(model.table)
        return super()._by_fate(model, judged)

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
        with failing(f"{table} cannot be published"):
            version = super().publish(staged, run, onto, personal)
            self.catalog.published[table] = self.warehouse.table(table)
        return version

    def fetch(self, rows: ir.Table) -> pa.Table:
        """See `Engine.fetch`."""
        with failing("the query failed"):
            return self.spark.sql(self._sql(self._sql_of(rows))).toArrow()

    def load(self, rows: pa.Table, schema: ibis.Schema, name: str | None = None) -> ir.Table:
        """See `Engine.load`."""
        return self._table(self.spark.createDataFrame(rows), schema, name)

    def progress(self) -> float:
        """See `Engine.progress`: finished tasks of the stages at work."""
        return self.session.progress()

    def close(self) -> None:
        """See `Engine.close`. Also lets the session's catalog know what was published."""
        try:
            self.catalog.register()
            leftovers.remove_leftovers(self.warehouse, self.staging)
        finally:
            self.session.close()

    def __enter__(self) -> "SparkEngine":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind:
            self.session.interrupt()
        self.close()

    def _write(self, rows: ir.Table, table: TableName, by: str | None = None) -> list[DataFile]:
        with failing(f"{table.name} cannot be computed"):
            found = self.spark.sql(physical_query(self.ibis.compiler, rows))
            return self._written(found, table, by)

    def _written(self, rows: Any, table: TableName, by: str | None = None) -> list[DataFile]:
        folder = self._folder(table)
        writer = rows.write.option("compression", COMPRESSION)
        (writer.partitionBy(by) if by else writer).parquet(folder.uri)
        return [self._data_file(*written) for written in folder.written()]

    def _of_python(self, node: RowsOfKeys) -> list[DataFile]:
        kinds = self.ibis.compiler.type_mapper
        made = ", ".join(
            f"{readers.identifier(name)} {kinds.to_string(kind)}"
            for name, kind in node.schema.items()
        )
        with failing("rows for Python cannot be computed"):
            rows = self.spark.sql(physical_query(self.ibis.compiler, node.parent.to_expr()))
            with of_python(rows, node, made) as found:
                return self._written(found, TableName("python", "rows"))

    def _data_file(self, path: SparkPlace, size: int, footer: pq.FileMetaData) -> DataFile:
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


def _canonical(schema: ibis.Schema) -> ibis.Schema:
    """Return the schema with instants of the one type that pipelines know."""

    def canonical(kind: dt.DataType) -> dt.DataType:
        return dt.Timestamp("UTC", 6) if kind.is_timestamp() else kind

    return ibis.schema({name: changed(kind, canonical) for name, kind in schema.items()})
