"""An application of the caller's, with settings of its own, gives the same rows and keeps them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ODD = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.ansi.enabled": "false",
    "spark.sql.caseSensitive": "true",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.groupByOrdinal": "false",
    "spark.sql.legacy.negativeIndexInArrayInsert": "true",
    "spark.sql.legacy.setopsPrecedence.enabled": "true",
    "spark.sql.legacy.sizeOfNull": "true",
    "spark.sql.legacy.timeParserPolicy": "LEGACY",
    "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
    "spark.sql.parquet.binaryAsString": "true",
    "spark.sql.parser.escapedStringLiterals": "true",
    "spark.sql.parser.quotedRegexColumnNames": "true",
    "spark.sql.session.timeZone": "America/Lima",
    "spark.sql.shuffle.partitions": "3",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",
}
"""As projects have them, each of which changes what some query says, or how fast it is."""
PROGRAM = """
import json, sys
from pathlib import Path

import ibis
import pyarrow as pa
from delta import configure_spark_with_delta_pip
from pipelines.kinds import KINDS, LINES, write_raw
from pyspark.sql import SparkSession

import streampro
from streampro.engines.registry import connect
from streampro.engines.spark.application import find_java

folder, odd = Path(sys.argv[1]), json.loads(sys.argv[2])
find_java()
builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
builder.config(
    "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
)
for name, value in odd.items():
    builder.config(name, value)
theirs = configure_spark_with_delta_pip(builder).getOrCreate()
raw = write_raw(folder / "raw", first=LINES)
said = {"rows": {}, "active": []}

def note_what_is_active():
    active = SparkSession.getActiveSession()._jsparkSession
    said["active"].append(active.equals(theirs._jsparkSession))

def target(engine):
    return streampro.Target(name=engine, engine=engine, raw=raw, warehouse=folder / engine)

for engine, session in (("duckdb", None), ("spark", theirs)):
    run = streampro.run(KINDS, target(engine), session=session)
    with streampro.published(target(engine)) as tables:
        said["rows"][engine] = {
            item.table: sorted(map(repr, tables.sql(f"from {item.table}").to_pylist()))
            for item in run.tables
        }
note_what_is_active()
with connect(target("spark"), theirs) as engine:
    schema = ibis.schema({"text": "string"})
    rows = engine.load(pa.table({"text": ["a"]}), schema)
    said["literal"] = engine.fetch(rows.mutate(text=ibis.literal("${spark.app.name}"))).to_pylist()
    said["shuffle"] = engine.spark.conf.get("spark.sql.shuffle.partitions")
note_what_is_active()
try:
    raw = folder / "none"
    streampro.run(KINDS, target("spark"), session=theirs)
except streampro.SourceError:
    note_what_is_active()
said["settings"] = {name: theirs.conf.get(name) for name in odd}
print(json.dumps(said))
"""


@pytest.mark.thorough
def test_settings_of_an_application_change_no_row_and_are_not_changed(tmp_path: Path) -> None:
    here = Path(__file__).parents[1]
    path = os.pathsep.join([str(here), str(here.parent)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), json.dumps(ODD)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "PYSPARK_PYTHON": sys.executable},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["rows"]["spark"] == said["rows"]["duckdb"]
    assert said["literal"] == [{"text": "${spark.app.name}"}]
    assert said["shuffle"] == "3"
    assert said["active"] == [True, True, True]
    assert said["settings"] == ODD
