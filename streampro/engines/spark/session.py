"""Spark sessions of our own, in which queries mean what they mean everywhere."""

import atexit
import functools
import logging
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from streampro.config import SparkSettings
from streampro.engines.spark.files import SparkPlace
from streampro.errors import ConfigError
from streampro.location import Location

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
"""What Spark is started with to know Delta Lake."""
_OURS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.variable.substitute": "false",  # a text may hold ${NAME}
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.maxConcurrentOutputFileWriters": "2",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(16 * 1024 * 1024),  # lines may be long
    "spark.sql.codegen.hugeMethodLimit": "8000",  # HotSpot only interprets longer methods
    "spark.sql.artifact.isolation.enabled": "false",  # else each session has Python workers anew
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""What every query of ours relies on; set in a session of its own, so no caller's is changed."""
_HOW_FAST = (
    *("adaptive.", "autoBroadcastJoinThreshold", "broadcastTimeout", "cbo.", "codegen."),
    *("execution.arrow.maxRecords", "execution.reuseSubquery", "execution.sort", "exchange.reuse"),
    *("files.max", "files.min", "files.open", "inMemoryColumnarStorage.", "join.", "optimizer."),
    *("shuffle.", "sortMergeJoin", "sources.parallelPartitionDiscovery.", "statistics."),
    *("parquet.columnarReaderBatchSize", "parquet.enableVectorizedReader"),
    *("catalog", "hive.", "redaction.", "streaming.", "ui.", "warehouse."),
)
"""Settings of an application below `spark.sql.` that change no row. The others, of which there are
hundreds and more in every release, may: they are as Spark has them by default.
"""
SHIPPED = "streampro.zip"
_PLATFORM = "spark.databricks.clusterUsageTags."
"""Settings that only a platform with a Delta Lake of its own has."""


class Reach(Protocol):
    """The file systems that a session reaches."""

    def place(self, location: Location) -> SparkPlace:
        """Return a location as Spark reaches it."""


class Session(ABC):
    """A Spark session of our own: new in what the caller has, or in what this starts or calls.

    `close` ends no more than this began.
    """

    spark: Any
    catalog_stays: bool
    """Whether anyone can ask the session's catalog after `close`."""

    @property
    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """The versions of what computes and stores, by name."""

    @abstractmethod
    def reach(self) -> Reach:
        """Return the file systems that it reaches."""

    def refuse_unseen(self, place: SparkPlace) -> None:  # noqa: B027  # most see all that we do
        """Raise `ConfigError` for a file, or a folder that is made for that, which Spark does not
        see where this process does.
        """

    @abstractmethod
    def progress(self) -> float:
        """Return the finished share of the tasks at work, 0 to 1."""

    @abstractmethod
    def close(self) -> None:
        """End what this began."""

    def handed_over(self) -> Any:
        """Return the Spark session for the caller to keep, with what PySpark does at Ctrl-C."""
        return self.spark

    def interrupt(self) -> None:
        """Stop the queries that still run, where the caller was told to end."""
        with suppress(Exception):  # a Spark that is gone runs none
            self.spark.interruptAll()

    def _set_as_ours(self) -> None:
        conf = self.spark.conf
        for name in conf.getAll:
            may_change_rows = name.startswith("spark.sql.") and not changes_no_row(name)
            if may_change_rows and conf.isModifiable(name):
                conf.unset(name)
        for name, value in _OURS.items():
            conf.set(name, value)


def opened(settings: SparkSettings, caller: Any = None) -> Session:
    """Return a session in the caller's application or server, in the one that runs in this process,
    or in a new one.

    Raises `ConfigError` without PySpark or Delta Lake, `EngineError` where Spark cannot be reached.
    """
    forget_files_of_stopped()
    if find_spec("pyspark") is None or find_spec("delta") is None:
        raise ConfigError(
            "engine 'spark' needs PySpark and Delta Lake: pip install 'streampro[spark]'."
        )
    from streampro.engines.spark import application, connect

    if connect.is_asked_for(settings, caller):
        return connect.ConnectSession(settings, caller)
    return application.ApplicationSession(settings, caller)


def forget_files_of_stopped() -> None:
    """Take off Python's path what applications put there that are gone, with their files."""
    sys.path[:] = [each for each in sys.path if "/userFiles-" not in each or Path(each).exists()]


def changes_no_row(name: str) -> bool:
    """Tell whether a setting of Spark SQL only says how fast or where a query runs."""
    return name.startswith(tuple(f"spark.sql.{each}" for each in _HOW_FAST))


@functools.cache
def scratch() -> Path:
    """Return a folder that is there until this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="streampro-spark-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def shipped() -> str:
    """Return an archive of the code that workers on other machines run, made once."""
    package = Path(__file__).parents[2]
    base = (scratch() / SHIPPED).with_suffix("")
    return shutil.make_archive(str(base), "zip", package.parent, package.name)


def refuse_without_delta(conf: Mapping[str, str], has_no_jar: bool, advice: str) -> None:
    """Raise `ConfigError` for a Spark that was started without Delta Lake, unless it is one of a
    platform with its own.
    """
    missing = [name for name, value in DELTA.items() if value not in conf.get(name, "")]
    if (has_no_jar or missing) and not any(name.startswith(_PLATFORM) for name in conf):
        wanted = "".join(f" --conf {name}={DELTA[name]}" for name in missing)
        raise ConfigError(
            "the Spark session does not know Delta Lake. Start it with "
            f"--packages {delta_package()}{wanted}{advice}."
        )


def silence() -> None:
    """Leave messages to the errors that are raised; PySpark logs each of them once more."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL + 1)


def delta_package() -> str:
    """Return the coordinates of Delta Lake in Maven."""
    from importlib.metadata import version

    return f"io.delta:delta-spark_2.13:{version('delta-spark')}"
