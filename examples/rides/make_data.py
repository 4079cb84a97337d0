"""Write the raw files and the database: `python -m examples.rides.make_data FOLDER`.

The same every time, so that what the README shows is what comes out.
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake

STATIONS = {"1": "Königstraße", "2": "Große Bleiche", "3": "Am Fluß", "4": ""}
KINDS = ("city", "cargo")
PLANS = ("day", "month", "year", None)
BIKES, RIDERS, DAYS = 20, 40, 59
FIRST = date(2026, 1, 1)
ODD = 0.1


def write(folder: Path) -> None:
    """Write `raw/` and `crm.db` below a folder."""
    raw, dice = folder / "raw", Random(5)
    raw.mkdir(parents=True)
    lines = [report(dice, number) for number in range(60)]
    (raw / "reports-1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = "".join(f"{number};{name}\n" for number, name in STATIONS.items())
    (raw / "stations.csv").write_bytes(f"Nr;Straße\n{records}".encode("cp1252"))
    for month in (1, 2):
        write_weather(raw, month)
    names = [f"b{number}" for number in range(BIKES)]
    kinds = [KINDS[number % 2] for number in range(BIKES)]
    write_deltalake(raw / "bikes", pa.table({"bike_id": names, "kind": kinds}))
    with sqlite3.connect(folder / "crm.db") as crm:
        crm.executescript("".join(riders_sql()))


def report(dice: Random, number: int) -> dict[str, object]:
    """Return what a station sends at once."""
    return {
        "station": str(dice.randint(1, 5)),  # the fifth is in no list
        "rides": [ride(dice, f"r{number}-{place}") for place in range(dice.randint(0, 6))],
    }


def ride(dice: Random, name: str) -> dict[str, object]:
    """Return a ride; of some nobody can read how long it took."""
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(DAYS * 1440))
    return {
        "id": name,
        "bike": f"b{dice.randrange(BIKES + 2)}",
        "rider": dice.choice([dice.randrange(RIDERS), None]),
        "at": start.isoformat(),
        "minutes": dice.choice(["soon", -1]) if dice.random() < ODD else dice.randint(3, 90),
    }


def write_weather(raw: Path, month: int) -> None:
    """Write the days of a month to a folder of its own."""
    dice = Random(month)
    every = (FIRST + timedelta(days=number) for number in range(DAYS))
    days = [day for day in every if day.month == month]
    rain = [dice.choice([0.0, 0.0, 0.4, 2.5, 11.0]) for _ in days]
    path = raw / "weather" / f"month=2026-{month:02}" / "days.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"day": days, "rain_mm": rain}), path)


def riders_sql() -> Iterator[str]:
    """Yield what makes the table of riders, in words that every database knows."""
    yield "CREATE TABLE riders (id bigint PRIMARY KEY, plan varchar(10));\n"
    for number in range(RIDERS):
        plan = PLANS[number % len(PLANS)]
        quoted = f"'{plan}'" if plan else "NULL"
        yield f"INSERT INTO riders VALUES ({number}, {quoted});\n"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
