"""The sources: one of each kind."""

from streampro import Dialect, Source

raw_reports = Source(
    name="raw_reports",
    files=("reports*.jsonl",),
    format="json_lines",
    rows=("rides",),
    fields={
        "station_id": ("station",),
        "ride_id": ("rides", "id"),
        "bike_id": ("rides", "bike"),
        "rider_id": ("rides", "rider"),
        "started_at": ("rides", "at"),
        "minutes": ("rides", "minutes"),
    },
)
"""What stations send: a line per report, with the list of rides that began there."""

raw_stations = Source(
    name="raw_stations",
    files=("stations.csv",),
    format="csv",
    fields={"Nr": ("Nr",), "Straße": ("Straße",)},
    dialect=Dialect(delimiter=";", encoding="cp1252"),
)
"""What a spreadsheet saved."""

raw_weather = Source(
    name="raw_weather",
    files=("weather/**/*.parquet",),
    format="parquet",
    fields={"day": ("day",), "rain_mm": ("rain_mm",), "month": ("month",)},
    types={"day": "date", "rain_mm": "float64"},
)
"""A folder per month."""

raw_bikes = Source(
    name="raw_bikes",
    files=("bikes",),
    format="delta",
    fields={"bike_id": ("bike_id",), "kind": ("kind",)},
)
"""A table of the workshop's warehouse."""

raw_riders = Source(
    name="raw_riders",
    files=("crm/riders",),
    format="database",
    fields={"rider_id": ("id",), "plan": ("plan",)},
    types={"rider_id": "int64"},
    key=("rider_id",),
)
"""A table of the database of customers."""
