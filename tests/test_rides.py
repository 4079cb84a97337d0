"""The example that reads a source of every kind, from a store and a database that are real."""

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from published import contents
from servers import Lake, Postgres

import streampro
from examples.rides import PIPELINE
from examples.rides.make_data import FIRST, riders_sql, write
from examples.rides.mart import RAINY_MM
from streampro import Target
from streampro.location import Remote

Execute = Callable[[str], Any]
Change = Callable[[Path, Execute], None]


def new_report(raw: Path, execute: Execute) -> None:
    ride = {"id": "late", "bike": "b1", "rider": 2, "at": "2026-02-01T23:59:59Z", "minutes": "7"}
    line = {"station": "3", "rides": [ride, ride, "no ride"]}
    (raw / "reports-2.jsonl").write_text(json.dumps(line) + "\n")


def new_street(raw: Path, execute: Execute) -> None:
    (raw / "stations.csv").write_bytes("Nr;Straße\n3;Am Fluß\n5;Öder Weg\n".encode("cp1252"))


def new_month(raw: Path, execute: Execute) -> None:
    path = raw / "weather/month=2026-03/days.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"rain_mm": [9.5, None], "day": [FIRST, date(2026, 3, 1)]}), path)


def new_bike(raw: Path, execute: Execute) -> None:
    bike = pa.table({"bike_id": ["b20"], "kind": ["cargo"]})
    write_deltalake(raw / "bikes", bike, mode="append")


def other_plan(raw: Path, execute: Execute) -> None:
    execute("UPDATE riders SET plan = 'year' WHERE id < 9")


CHANGES: Sequence[Change] = (new_report, new_street, new_month, new_bike, other_plan)


def answer(raw: Path, plans: dict[int, str | None]) -> list[tuple[Any, ...]]:
    """Return `rain_by_plan`, worked out from the files by other means than the pipeline's."""
    minutes: dict[str, int] = {}
    rides: dict[str, dict[str, Any]] = {}
    for path in sorted(raw.glob("reports*.jsonl")):
        for line in map(json.loads, path.read_text().splitlines()):
            for ride in (each for each in line["rides"] if isinstance(each, dict)):
                if str(ride["minutes"]).isdigit():
                    rides[ride["id"]] = ride
                    longest = max(int(ride["minutes"]), minutes.get(ride["id"], 0))
                    minutes[ride["id"]] = longest
    rain: dict[date, float] = {}
    for path in raw.rglob("days.parquet"):
        for row in pq.ParquetFile(path).read().to_pylist():
            if row["rain_mm"] is not None:
                rain[row["day"]] = max(row["rain_mm"], rain.get(row["day"], 0.0))
    counted, rainy, lasted = Counter[Any](), Counter[Any](), Counter[Any]()
    for name, ride in rides.items():
        day = datetime.fromisoformat(ride["at"]).date()
        if day in rain:
            plan = plans.get(ride["rider"])
            counted[plan] += 1
            rainy[plan] += rain[day] >= RAINY_MM
            lasted[plan] += minutes[name]
    return sorted(((plan, counted[plan], rainy[plan], lasted[plan]) for plan in counted), key=str)


def told(target: Target) -> list[tuple[Any, ...]]:
    rows = streampro.sql("SELECT plan, rides, rainy_rides, minutes FROM rain_by_plan", target)
    return sorted((tuple(row.values()) for row in rows.to_pylist()), key=str)


@pytest.mark.slow
@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param([CHANGES[:3], CHANGES[3:]], id="some"),
        pytest.param([[each] for each in CHANGES], id="each", marks=pytest.mark.thorough),
    ],
)
def test_after_a_change_in_any_source_a_run_from_a_store_is_a_full_run(
    rounds: list[Sequence[Change]],
    lake: Lake,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", postgres.password)
    write(tmp_path)
    raw = tmp_path / "raw"
    target = Target(
        name="store",
        raw=lake.put(raw, "raw"),
        warehouse=Remote(f"{lake.url}/warehouse"),
        databases={"crm": postgres.url},
    )
    with psycopg.connect(postgres.dsn, autocommit=True) as crm:
        try:
            crm.execute("".join(riders_sql()))
            streampro.run(PIPELINE, target)
            assert streampro.run(PIPELINE, target).run_id == 1
            for number, changes in enumerate(rounds):
                for change in changes:
                    change(raw, crm.execute)
                lake.put(raw, "raw")
                assert streampro.run(PIPELINE, target).run_id == number + 2
                whole = target.model_copy(update={"raw": raw, "warehouse": tmp_path / f"{number}"})
                streampro.run(PIPELINE, whole)
                assert contents(target) == contents(whole)
                plans = dict(crm.execute("SELECT id, plan FROM riders").fetchall())
                assert told(target) == answer(raw, plans)
            found = streampro.explain(PIPELINE, target, "fact_ride.plan", "ride_id = 'late'")
            lines = {(line.source, line.file, line.number, line.row) for line in found.lines}
            assert lines == {
                ("raw_reports", "reports-2.jsonl", 1, None),
                ("raw_riders", "crm/riders", 3, "rider_id=2"),
            }
        finally:
            crm.execute("DROP TABLE IF EXISTS riders")


@pytest.mark.thorough
@pytest.mark.slow
def test_engines_are_proven_equal_over_a_source_of_every_kind(spark: Any, tmp_path: Path) -> None:
    write(tmp_path)
    left = Target(
        name="left",
        raw=tmp_path / "raw",
        warehouse=tmp_path / "w",
        databases={"crm": f"sqlite:///{tmp_path}/crm.db"},
    )
    with sqlite3.connect(tmp_path / "crm.db") as crm:
        for change in CHANGES:
            change(tmp_path / "raw", crm.execute)
    proof = streampro.prove(
        PIPELINE, left, left.model_copy(update={"name": "right", "engine": "spark"})
    )
    assert proof.equal
    assert {each.path.partition("/")[0] for each in proof.inputs} == {
        *("reports-1.jsonl", "reports-2.jsonl", "stations.csv", "weather", "bikes", "crm"),
    }
