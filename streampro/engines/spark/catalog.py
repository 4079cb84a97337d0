"""A catalog that knows published tables by layer and name, one listing for each layer."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streampro.config import Target
from streampro.engines.spark import readers
from streampro.engines.spark.failures import cause_of, failing
from streampro.engines.spark.files import SparkPlace
from streampro.engines.spark.session import Reach, Session, opened
from streampro.errors import ConfigError
from streampro.location import Remote
from streampro.modeling.model import TableName
from streampro.names import WAREHOUSE

_LOCATION = re.compile(r"^Provider: delta$.*?^Location: (.*?)$", re.DOTALL | re.MULTILINE)


class Catalog:
    """The session's own catalog, the one that has a name, or none (`False`), as others ask it after
    the run.

    `published` are the tables that `register` lets it know.
    """

    def __init__(self, session: Session, files: Reach, name: str | bool | None = None) -> None:
        self.spark, self.files, self.catalog = session.spark, files, name or None
        self.stays = bool(name) or (name is None and session.catalog_stays)
        self.published: dict[TableName, SparkPlace] = {}
        self._layers: dict[str, Mapping[str, str]] = {}

    def refuse_another(self, table: TableName) -> None:
        """Raise `ConfigError` where a catalog that stays has a table of this name which is not in a
        warehouse of StreamPro.
        """
        if self.stays:
            self._refuse_another(table)

    def register(self) -> None:
        """Let a catalog that stays know the published tables."""
        if self.stays:
            for table, folder in self.published.items():
                self.know(table, folder)

    def know(self, table: TableName, folder: SparkPlace) -> None:
        """Let the catalog know the Delta table in a folder by its layer and name.

        It takes the place of one in another warehouse. Raises `ConfigError` for any other.
        """
        known = self._refuse_another(table)
        if known == folder.uri:
            return
        name = self._name(table.layer, table.name)
        with failing(f"{table} is published, but not known to the catalog"):
            self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {self._name(table.layer)}")
            if known is not None:
                self.spark.sql(f"DROP TABLE {name}")
            self.spark.sql(
                f"CREATE TABLE {name} USING delta LOCATION {readers.literal(folder.uri)}"
            )

    def _refuse_another(self, table: TableName) -> str | None:
        """Return where the table of this name lies, None if there is none."""
        location = self._tables(table.layer).get(table.name)
        if location is not None and not self._is_ours(location):
            raise ConfigError(f"the catalog has another table {table}. Rename or drop it.")
        return location

    def _is_ours(self, location: str) -> bool:
        """Tell whether a table lies in a warehouse of StreamPro, or has lain where none is now."""
        if not location:
            return False
        on_disk = location.startswith("file:/")
        try:
            table, warehouse = (
                self.files.place(Path(each.removeprefix("file:")) if on_disk else Remote(each))
                for each in (location, location.rsplit("/", 2)[0])
            )
        except ConfigError:  # out of reach
            return False
        return not (table / "_delta_log").exists() or (warehouse / WAREHOUSE).exists()

    def _tables(self, layer: str) -> Mapping[str, str]:
        """Return where the tables of a layer lie, by name; "" for what is no Delta table. The
        catalog is asked once.
        """
        if layer not in self._layers:
            self._layers[layer] = self._listed(layer)
        return self._layers[layer]

    def _listed(self, layer: str) -> Mapping[str, str]:
        from pyspark.errors import AnalysisException

        with failing(f"the catalog does not tell of {layer}"):
            try:
                query = f"SHOW TABLE EXTENDED IN {self._name(layer)} LIKE '*'"
                rows = self.spark.sql(query).where("NOT isTemporary").collect()
            except AnalysisException as error:
                if "SCHEMA_NOT_FOUND" in str(error):
                    return {}
                if self.catalog:
                    raise ConfigError(
                        f"catalog {self.catalog!r} of the target cannot be used: {cause_of(error)}"
                    ) from error
                raise
        found = {row.tableName: _LOCATION.search(row.information) for row in rows}
        return {name: location[1] if location else "" for name, location in found.items()}

    def _name(self, *parts: str) -> str:
        """Return the SQL of a name in this catalog."""
        return ".".join(f"`{part}`" for part in (self.catalog, *parts) if part)


def registered(target: Target, session: Any, tables: Sequence[TableName]) -> Any:
    """Return a Spark session whose catalog knows some tables of a target's warehouse."""
    made = opened(target.spark, session)
    files = made.reach()
    catalog, warehouse = Catalog(made, files, target.spark.catalog), files.place(target.warehouse)
    for table in tables:
        catalog.know(table, warehouse.table(table))
    return made.handed_over()
