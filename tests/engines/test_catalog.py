"""Catalogs that outlive a session, and Delta Lake that is there before StreamPro."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pyspark
import pytest
from pipelines.shop import SHOP, write_raw

from streampro.config import SparkSettings, Target
from streampro.engines.spark.catalog import Catalog
from streampro.engines.spark.session import opened
from streampro.execution.runner import run

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]
OF_HIVE = """
import sys
from pathlib import Path

import streampro
from pipelines.shop import SHOP, write_raw
from streampro.config import SparkSettings

folder, what = Path(sys.argv[1]), sys.argv[2]
metastore = f"jdbc:derby:;databaseName={folder}/metastore;create=true"
settings = {
    "spark.sql.catalogImplementation": "hive",
    "spark.hadoop.javax.jdo.option.ConnectionURL": metastore,
    "spark.sql.warehouse.dir": str(folder / "catalog"),
    "spark.driver.extraJavaOptions":
        f"-Dderby.stream.error.file={folder}/derby.log -XX:TieredStopAtLevel=1",
}
raw, spark = write_raw(folder / "raw"), SparkSettings(settings=settings)
target = streampro.Target(
    name="hive", engine="spark", raw=raw, warehouse=folder / "w", spark=spark
)
if what == "run":
    streampro.run(SHOP, target)
    (raw / "shops.csv").write_text("shop,city\\nb,Ulm\\n")
    streampro.run(SHOP, target, full_refresh=True)
else:
    from streampro.engines.spark.session import opened

    found = opened(spark).spark
    print([tuple(row) for row in found.sql("select * from mart.revenue order by shop").collect()])
"""
WITH_JARS = """
import sys
from pathlib import Path

from streampro.config import SparkSettings
from streampro.engines.spark.session import opened

session = opened(SparkSettings())
session.spark.range(3).write.format("delta").save(sys.argv[1])
print(
    session.spark.read.format("delta").load(sys.argv[1]).count(),
    session.versions["delta-spark"],
    session.spark.conf.get("spark.jars.packages", "no packages"),
)
"""


def output_of(code: str, *arguments: Any, **environment: str) -> str:
    path = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.thorough
def test_metastore_of_hive_knows_the_newest_run_in_a_later_session(tmp_path: Path) -> None:
    output_of(OF_HIVE, tmp_path, "run")
    said = output_of(OF_HIVE, tmp_path, "ask")
    assert said == "[('a', None, 2, 15), ('b', 'Ulm', 1, 7)]\n"


@pytest.mark.thorough
def test_delta_among_the_jars_of_spark_is_used(tmp_path: Path, spark: Any) -> None:
    """Maven is not asked for any."""
    home, jars = tmp_path / "spark", tmp_path / "spark" / "jars"
    jars.mkdir(parents=True)
    own = Path(pyspark.__file__).parent
    for part in own.iterdir():
        if part.name in ("bin", "python", "sbin"):
            (home / part.name).symlink_to(part)
    of_delta = spark.sparkContext.getConf().get("spark.jars").split(",")
    for jar in [*(own / "jars").iterdir(), *(Path(urlparse(each).path) for each in of_delta)]:
        (jars / jar.name).symlink_to(jar.resolve(strict=True))
    said = output_of(WITH_JARS, tmp_path / "table", SPARK_HOME=str(home))
    assert said == f"3 {version('delta-spark')} no packages\n"


@pytest.mark.thorough
def test_catalog_is_asked_once_for_each_layer(tmp_path: Path, spark: Any) -> None:
    """And nothing is written to it where all is known."""
    raw, warehouse = write_raw(tmp_path / "raw"), tmp_path / "w"
    target = Target(name="t", engine="spark", raw=raw, warehouse=warehouse)
    done = run(SHOP, target, session=spark)
    session = opened(SparkSettings(), spark)
    files, asked = session.reach(), []
    catalog, original = Catalog(session, files), session.spark.sql
    session.spark.sql = lambda query: asked.append(query) or original(query)
    for item in done.tables:
        catalog.know(item.table, files.place(warehouse).table(item.table))
    layers = sorted({item.table.layer for item in done.tables})
    assert sorted(asked) == [f"SHOW TABLE EXTENDED IN `{each}` LIKE '*'" for each in layers]
