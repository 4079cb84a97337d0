"""Sources made typed tables; a ride that cannot be read is kept with a reason."""

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import REJECT_COLUMNS, Contract, Instant, column, model, one_row_per_key
from streampro.portable import strip, to_integer, to_utc


class Rides(Contract):
    """One row per distinct ride of a report."""

    ride_id: str = column("Ride.")
    station_id: str = column("Where it began.", nullable=True)
    bike_id: str = column("Bike.", nullable=True)
    rider_id: dt.Int64 = column("Who rode, null where unknown.", nullable=True)
    started_at: Instant = column("When it began.", unit="UTC", event_time=True)
    minutes: dt.Int64 = column("How long it took.", unit="min", ge=0, severity="quarantine")

    class Config:
        unique = ["ride_id", "station_id", "bike_id", "rider_id", "started_at", "minutes"]


class Stations(Contract):
    """One row per station."""

    station_id: str = column("Station.")
    name: str = column("Street where it stands.", nullable=True)

    class Config:
        unique = ["station_id"]


class Weather(Contract):
    """One row per day."""

    day: dt.Date = column("Day.")
    rain_mm: dt.Float64 = column("Rain of the day.", unit="mm", nullable=True, ge=0)

    class Config:
        unique = ["day"]


class Bikes(Contract):
    """One row per bike."""

    bike_id: str = column("Bike.")
    kind: str = column("city or cargo.", nullable=True)

    class Config:
        unique = ["bike_id"]


class Riders(Contract):
    """One row per rider."""

    rider_id: dt.Int64 = column("Rider.")
    plan: str = column("Plan, null where there is none.", nullable=True)

    class Config:
        unique = ["rider_id"]


@model(contract=Rides, incremental_by="ride_id", quarantine=True)
def rides(raw_reports: ir.Table) -> ir.Table:
    """One row per element of a report's list; the first reason that applies counts."""
    typed = raw_reports.mutate(
        ride_id=strip(raw_reports.ride_id),
        rider_id=to_integer(raw_reports.rider_id),
        started_at=to_utc(raw_reports.started_at),
        minutes=to_integer(raw_reports.minutes),
    )
    reason = ibis.cases(
        (~typed.is_element, "not_a_ride"),
        (typed.ride_id.isnull(), "missing_ride"),
        (typed.started_at.isnull(), "bad_start"),
        (typed.minutes.isnull(), "bad_minutes"),
    )
    return typed.mutate(reject_reason=reason).select(*Rides.to_schema().columns, *REJECT_COLUMNS)


@model(contract=Stations, quarantine=True)
def stations(raw_stations: ir.Table) -> ir.Table:
    """One row per record; of several of one station the smallest counts."""
    typed = raw_stations.mutate(
        station_id=strip(raw_stations["Nr"]), name=strip(raw_stations["Straße"])
    )
    return one_row_per_key(typed.drop("Nr", "Straße"), "station_id")


@model(contract=Weather)
def weather(raw_weather: ir.Table) -> ir.Table:
    """One row per day that was measured; of several measurements the wettest."""
    days = raw_weather.filter(raw_weather.day.notnull())
    return days.group_by("day").aggregate(rain_mm=days.rain_mm.max())


@model(contract=Bikes)
def bikes(raw_bikes: ir.Table) -> ir.Table:
    """One row per bike."""
    return raw_bikes.filter(raw_bikes.bike_id.notnull()).select("bike_id", "kind").distinct()


@model(contract=Riders)
def riders(raw_riders: ir.Table) -> ir.Table:
    """One row per rider."""
    return raw_riders.filter(raw_riders.rider_id.notnull()).select("rider_id", "plan")
