"""The pipeline on a Spark that is reached by Spark Connect: another process, no Java here."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pipelines.python_shop import PYTHON_SHOP
from pipelines.shop import SHOP, write_raw
from published import contents
from servers import PATIENCE_S, wait_until

import streampro
from streampro.config import SparkSettings, Target
from streampro.engines.registry import connect
from streampro.engines.spark.connect import ConnectSession
from streampro.engines.spark.engine import SparkEngine
from streampro.engines.spark.session import DELTA
from streampro.errors import ConfigError, EngineError, SourceError
from streampro.execution.runner import run
from streampro.location import Remote
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate
from streampro.warehouse import ledger
from tools.cluster import free_port

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
ODD = {
    "spark.sql.ansi.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.groupByOrdinal": "false",
    "spark.sql.session.timeZone": "America/Lima",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
}
"""As a server may be started with, or a session have them: each changes what some query says."""
CALLER = """
import json, sys
from pathlib import Path

from pipelines.kinds import KINDS, LINES, write_raw
from pyspark.sql import SparkSession

import streampro

address, folder, odd = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
theirs = SparkSession.builder.remote(address).getOrCreate()
for name, value in odd.items():
    theirs.conf.set(name, value)
raw = write_raw(folder / "raw", first=LINES)
rows = {}
for engine, session in (("duckdb", None), ("spark", theirs)):
    target = streampro.Target(name=engine, engine=engine, raw=raw, warehouse=folder / engine)
    run = streampro.run(KINDS, target, session=session)
    with streampro.published(target) as tables:
        rows[engine] = {
            item.table: sorted(map(repr, tables.sql(f"from {item.table}").to_pylist()))
            for item in run.tables
        }
print(json.dumps({
    "rows": rows,
    "settings": {name: theirs.conf.get(name) for name in odd},
    "views": [each.name for each in theirs.catalog.listTables()],
    "is_active": SparkSession.getActiveSession() is theirs,
    "known": theirs.sql("SHOW TABLES IN mart").count(),
}))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server of PySpark's own wheel, with Delta Lake and settings of somebody else's."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    settings = ODD | DELTA
    settings |= {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(folder / "catalog"),
        "spark.ui.enabled": "false",
    }
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--class", server]
    command += ["--master", "local[2]", "--driver-memory", "900m"]
    command += ["--packages", f"io.delta:delta-spark_2.13:{version('delta-spark')}"]
    command += [f"--conf={name}={value}" for name, value in settings.items()]
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "spark-internal"],
            stdout=out,
            stderr=out,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        wait_until(lambda: "Connect server started" in log.read_text(), process)
        yield f"sc://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def spark_target(address: str, tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("connect")
    generate(folder / "raw", events=400, seed=7, days=6, late=0.1, dirt=0.1)
    return Target(
        name="connect",
        engine="spark",
        raw=folder / "raw",
        warehouse=folder / "w",
        spark=SparkSettings(remote=address, settings={"spark.sql.shuffle.partitions": 2}),
    )


def shop(folder: Path, address: str, **settings: Any) -> Target:
    spark = SparkSettings(remote=address, **settings)
    raw = write_raw(folder / "raw")
    return Target(name="shop", engine="spark", raw=raw, warehouse=folder / "w", spark=spark)


def catalog_of(target: Target) -> list[str]:
    """Return the layers that the server's catalog has."""
    with connect(target) as engine:
        assert isinstance(engine, SparkEngine)
        schemas = [row.namespace for row in engine.spark.sql("SHOW SCHEMAS").collect()]
    return sorted({*schemas} & {"mart", "staging"})


@pytest.mark.thorough
def test_prove_plan_and_session(address: str, tmp_path: Path) -> None:
    target = shop(tmp_path, address, catalog="spark_catalog")
    assert streampro.prove(SHOP, Target(name="local", raw=target.raw), target).equal
    assert {each.mode for each in streampro.plan(SHOP, target).changes} == {"full"}
    assert catalog_of(target) == [], "what is tried out is known to nobody"
    run(SHOP, target)
    session = streampro.spark_session(target)
    found = session.sql("SELECT shop, amount FROM spark_catalog.mart.revenue ORDER BY shop")
    assert found.toArrow().to_pylist() == [{"shop": "a", "amount": 15}, {"shop": "b", "amount": 7}]
    session.stop()
    assert catalog_of(target) == ["mart", "staging"]


@pytest.mark.thorough
def test_full_and_incremental_runs_equal_those_of_duckdb(spark_target: Target) -> None:
    """Limits, quarantine, books and warnings among them; then what readers are shown."""
    raw = spark_target.raw
    assert isinstance(raw, Path)
    last = max(path for path in raw.rglob("*") if "events" in str(path) and path.is_file())
    later = last.rename(raw.parent / last.name)
    local = spark_target.model_copy(
        update={"engine": "duckdb", "warehouse": raw.parent / "duckdb", "name": "local"}
    )
    for _ in range(2):
        done, wanted = (run(PIPELINE, target) for target in (spark_target, local))
        assert done.packages.keys() >= {"spark", "delta-spark"}
        assert (done.books, [*done.warnings]) == (wanted.books, [*wanted.warnings])
        assert contents(spark_target) == contents(local)
        if later.exists():
            later.rename(last)
    assert [each.run_id for each in ledger.runs(spark_target.warehouse)] == [1, 2]
    assert {str(each.table): each.mode for each in done.changes}["staging.events"] == "incremental"
    assert all(contents(local).values()), "a table without rows proves nothing"
    assert [*Path(spark_target.warehouse).glob("_streampro/staging/*")] == []


@pytest.mark.thorough
def test_models_of_python_run_in_workers_of_the_server(address: str, tmp_path: Path) -> None:
    target = shop(tmp_path, address)
    here = Target(name="here", raw=target.raw, warehouse=tmp_path / "here")
    for each in (target, here):
        run(PYTHON_SHOP, each)
    assert contents(target) == contents(here)


@pytest.mark.thorough
def test_session_of_the_caller_keeps_its_settings(address: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLER, address, str(tmp_path), json.dumps(ODD)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["rows"]["spark"] == said["rows"]["duckdb"]
    assert said["settings"] == ODD
    assert (said["views"], said["is_active"]) == ([], True)
    assert said["known"]


@pytest.mark.thorough
def test_run_that_is_terminated_leaves_no_query_and_no_file(
    address: str, spark_target: Target, tmp_path: Path
) -> None:
    (tmp_path / "configs").mkdir()
    places = f'engine = "spark"\nraw = "{spark_target.raw}"\nwarehouse = "w"\n'
    (tmp_path / "configs" / "far.toml").write_text(f'{places}[spark]\nremote = "{address}"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "streampro", "run", "--target", "far"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        text=True,
    )
    staging = tmp_path / "w" / "_streampro" / "staging"
    wait_until(lambda: any(staging.glob("*/*/*/_temporary")), process)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said.splitlines()[-1]) == (143, "Terminated.")
    assert "Traceback" not in said
    time.sleep(1)
    assert [*staging.glob("*")] == []
    assert ledger.runs(tmp_path / "w") == []


def test_what_a_server_cannot_do_is_told_before_any_work(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = shop(tmp_path, address)
    with connect(target) as engine:
        assert engine.progress() == 0.0
        with pytest.raises(ConfigError, match=r"s3a://b/raw: by Spark Connect, files are reached"):
            engine.find(SHOP.sources["raw_sales"], Remote("s3a://b/raw"))
        with pytest.raises(SourceError, match="nowhere"):
            engine.find(SHOP.sources["raw_sales"], tmp_path / "nowhere")
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(type(engine.place(tmp_path)), "uri", f"file:{tmp_path}/elsewhere")
            with pytest.raises(ConfigError, match=r"sales\.jsonl is not seen by the Spark at sc:"):
                engine.find(SHOP.sources["raw_sales"], tmp_path / "raw")
    with pytest.raises(ConfigError, match=r"'spark.executor.memory' of Spark is not one of a se"):
        connect(shop(tmp_path, address, settings={"spark.executor.memory": "1g"}))
    with pytest.raises(ConfigError, match="catalog 'nowhere' of the target cannot be used"):
        run(SHOP, shop(tmp_path, address, catalog="nowhere"))
    with pytest.raises(ConfigError, match=r"`remote` of a target's .* is wrong"):
        ConnectSession(SparkSettings(remote="sc://host/path"))


def test_server_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    start = time.process_time()
    nobody = f"sc://127.0.0.1:{free_port()}/;user_id=secret"
    with pytest.raises(EngineError, match=r"^sc://127\.0\.0\.1:\d+ does not answer\. Is the "):
        connect(shop(tmp_path, nobody))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"remote": "http://host"}, "begins with sc://"),
        ({"remote": "sc://host", "master": "local[2]"}, "remove the key 'master'"),
        ({"remote": "sc://host", "jars": ["a.jar"]}, "remove the key 'jars'"),
    ],
)
def test_address_that_makes_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SparkSettings(**settings)


def test_store_is_refused_with_the_target() -> None:
    spark = SparkSettings(remote="sc://host")
    with pytest.raises(ConfigError, match="a disk that this machine and Spark share"):
        Target(name="t", engine="spark", raw="s3a://b/raw", spark=spark)
