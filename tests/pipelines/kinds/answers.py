import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model


class Kinds(Contract):
    """One row per day, null where there is none."""

    day: dt.Date = column("Day.", nullable=True)
    ids: list[str] = column("Deliveries.")

    class Config:
        unique = ["day"]


@model(contract=Kinds)
def days(parts: ir.Table) -> ir.Table:
    return parts.group_by("day").aggregate(ids=parts.id.collect().sort())
