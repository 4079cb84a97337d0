"""Rides with all that the other sources know of them."""

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, column, model

RAINY_MM = 1.0


class FactRide(Contract):
    """One row per ride; of several reports of one ride the longest counts."""

    ride_id: str = column("Ride.")
    day: dt.Date = column("Day on which it began, UTC.")
    minutes: dt.Int64 = column("How long it took.", unit="min", ge=0)
    station: str = column("Street where it began.", nullable=True)
    kind: str = column("Kind of the bike.", nullable=True)
    plan: str = column("Plan of the rider.", nullable=True)
    is_rainy: bool = column("At least 1 mm of rain on that day; null without.", nullable=True)

    class Config:
        unique = ["ride_id"]


@model(contract=FactRide, incremental_by="ride_id")
def fact_ride(
    rides: ir.Table, stations: ir.Table, bikes: ir.Table, riders: ir.Table, weather: ir.Table
) -> ir.Table:
    """One row per ride; whatever is known of it may be missing."""
    longest = rides.group_by("ride_id").aggregate(
        **{name: rides[name].max() for name in ("started_at", "minutes")},
        **{name: rides[name].min() for name in ("station_id", "bike_id", "rider_id")},
    )
    dated = longest.mutate(day=longest.started_at.date())
    known = (
        dated.left_join(stations, "station_id")
        .left_join(bikes, "bike_id")
        .left_join(riders, "rider_id")
        .left_join(weather, "day")
    )
    return known.select(
        "ride_id",
        "day",
        "minutes",
        station=known["name"],
        kind=known.kind,
        plan=known.plan,
        is_rainy=known.rain_mm >= RAINY_MM,
    )
