"""The pipeline on a real cluster by `spark-submit`, also when a machine is lost on the way."""

import json
import os
import site
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import write_raw
from servers import PATIENCE_S, wait_until

from streampro.config import Target
from streampro.execution.runner import run
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate
from streampro.warehouse import ledger
from streampro.warehouse.published import sql

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
DELTA = f"io.delta:delta-spark_2.13:{version('delta-spark')}"
LOST = "worker-2"
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
QUICK = {
    "spark.sql.shuffle.partitions": "2",
    "spark.executor.extraJavaOptions": JAVA,
    "spark.driver.extraJavaOptions": JAVA,
}
"""Few tasks, and Java that compiles less: right for jobs of a second."""
OWN_SESSION = """
import sys
from pathlib import Path

import streampro
from pipelines.shop import SHOP
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
raw, warehouse = map(Path, sys.argv[1:])
target = streampro.Target(name="own", engine="spark", raw=raw, warehouse=warehouse)
streampro.run(SHOP, target, session=spark)
streampro.run(SHOP, target, session=spark, select="shops", full_refresh=True)
print(spark.sql("select sum(amount) from mart.revenue").first()[0])
"""


def cluster(what: str, state: Path) -> str:
    """Call the tool as `make cluster-up` and `make cluster-down` do; return what it prints."""
    done = subprocess.run(
        [sys.executable, PROJECT / "tools" / "cluster.py", what, "--state", state, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Running:
    """A cluster; its state is in `folder`, which is also where commands are run."""

    master: str
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def submit(self, script: Path, *arguments: Any, **settings: str) -> subprocess.Popen[str]:
        conf = [f"--conf={name}={value}" for name, value in (QUICK | settings).items()]
        resources = ("--packages", DELTA, "--executor-memory", "900m")
        environment = os.environ | {
            "PYSPARK_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        with (self.folder / "submit.log").open("w") as log:
            return subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("spark-submit")),
                    *("--master", self.master, *resources, *conf, str(script)),
                    *map(str, arguments),
                ],
                cwd=self.folder,
                env=environment | {"PYTHONPATH": str(PROJECT / "tests")},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start_run(self, raw: Path, warehouse: Path) -> subprocess.Popen[str]:
        places = ("--raw", raw, "--warehouse", warehouse)
        main = PROJECT / "streampro" / "__main__.py"
        return self.submit(main, "run", "--target", "cluster", *places, "--json")

    def output_of(self, process: subprocess.Popen[str]) -> str:
        out, _ = process.communicate(timeout=PATIENCE_S)
        log = (self.folder / "submit.log").read_text()
        assert process.returncode == 0, out[-2000:] + log[-4000:]
        return out


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "configs").mkdir()
    config = "configs/cluster.toml"
    (folder / config).write_text((PROJECT / config).read_text())
    state = folder / "state"
    try:
        yield Running(cluster("up", state), folder)
    finally:
        cluster("down", state)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "raw"
    generate(folder, events=3000, seed=7, days=6, late=0.1, dirt=0.1)
    return folder


@pytest.fixture(scope="module")
def wanted(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a DuckDB run publishes of the same raw folder."""
    warehouse = tmp_path_factory.mktemp("duckdb")
    run(PIPELINE, Target(name="wanted", raw=raw, warehouse=warehouse))
    return published(warehouse)


def published(warehouse: Path) -> dict[str, Any]:
    """Return the newest run's tables as multisets of their rows, its books and its warnings."""
    newest = ledger.newest(warehouse)
    assert newest
    target = Target(name="reader", warehouse=warehouse)
    tables = {
        item.table: Counter(
            tuple(row.items()) for row in sql(f"from {item.table}", target).to_pylist()
        )
        for item in newest.tables
    }
    books = {each.source: asdict(each) for each in newest.books}
    return {"tables": tables, "books": books, "warnings": Counter(newest.warnings)}


@pytest.mark.thorough
def test_session_of_the_caller_on_workers_without_streampro_installed(
    running: Running, tmp_path: Path
) -> None:
    """Two runs in one application, on workers that know only what they are sent."""
    python = tmp_path / "python"
    packages = ":".join(site.getsitepackages())
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH="{packages}:$PYTHONPATH" exec "{sys.executable}" -S "$@"\n'
    )
    python.chmod(0o755)
    script = tmp_path / "own.py"
    script.write_text(OWN_SESSION)
    settings = {
        "spark.pyspark.python": str(python),
        "spark.pyspark.driver.python": sys.executable,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.warehouse.dir": str(tmp_path / "catalog"),
    }
    process = running.submit(script, write_raw(tmp_path / "raw"), tmp_path / "w", **settings)
    assert running.output_of(process) == "22\n"
    assert len(ledger.runs(tmp_path / "w")) == 2


@pytest.mark.thorough
def test_submitted_run_equals_one_on_duckdb_though_a_worker_is_lost(
    running: Running, raw: Path, wanted: dict[str, Any], tmp_path: Path
) -> None:
    process = running.start_run(raw, tmp_path)
    staging = tmp_path / "_streampro" / "staging"
    wait_until(lambda: any(staging.glob("**/*.parquet")), process)
    application = max((running.state / LOST).glob("app-*"), key=lambda path: path.stat().st_mtime)
    assert [*application.iterdir()], "the worker must be at work for the run"
    lost_at = datetime.now(UTC)
    cluster("lose", running.state)
    log = running.state / "master.log"
    wait_until(lambda: "Removing worker" in log.read_text(), process)
    assert ledger.runs(tmp_path) == []
    printed = json.loads(running.output_of(process))
    [done] = ledger.runs(tmp_path)
    assert done.started_at < lost_at < done.finished_at
    assert published(tmp_path) == wanted
    assert all(wanted["tables"].values()), "a table without rows proves nothing"
    assert (printed["run"]["engine"], printed["run"]["target"]) == ("spark", "cluster")
    assert list(printed["answers"]) == [each.table.name for each in PIPELINE.answers()]
    left = sorted(path.name for path in running.folder.iterdir())
    assert left == ["configs", "state", "submit.log"]
