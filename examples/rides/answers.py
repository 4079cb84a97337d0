"""Who rides in the rain."""

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import Contract, column, model
from streampro.portable import count_if, ratio


class RainByPlan(Contract):
    """One row per plan; null is a group of its own."""

    plan: str = column("Plan of the rider.", nullable=True)
    rides: dt.Int64 = column("Rides on days with known weather.", unit="rides", gt=0)
    rainy_rides: dt.Int64 = column("Of them, on rainy days.", unit="rides", ge=0)
    minutes: dt.Int64 = column("How long they took together.", unit="min", ge=0)
    rainy_share: dt.Float64 = column("rainy_rides / rides.", unit="share", ge=0, le=1)

    class Config:
        unique = ["plan"]


@model(contract=RainByPlan)
def rain_by_plan(fact_ride: ir.Table) -> ir.Table:
    """One row per plan."""
    known = fact_ride.filter(fact_ride.is_rainy.notnull())
    counts = known.group_by("plan").aggregate(
        rides=known.count(), rainy_rides=count_if(known.is_rainy), minutes=known.minutes.sum()
    )
    return counts.mutate(rainy_share=ratio(counts.rainy_rides, counts.rides))
