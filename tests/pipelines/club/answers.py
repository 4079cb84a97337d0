import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.sql.model import sql_model


class Sizes(Contract):
    """One row per number of members that a city has."""

    members: dt.Int64 = column("Members.")
    cities: dt.Int64 = column("Cities that have so many.")

    class Config:
        unique = ["members"]


class Firsts(Contract):
    """One row per first address."""

    first_mail: str = column("Address.")
    members: dt.Int64 = column("Members of its cities.")

    class Config:
        unique = ["first_mail"]


@sql_model(contract=Sizes)
def sizes() -> str:
    """Return how many cities are how large."""
    return "SELECT members, count(*) AS cities FROM cities GROUP BY members"


@model(contract=Firsts)
def firsts(cities: ir.Table) -> ir.Table:
    return cities.group_by("first_mail").aggregate(members=cities.members.sum())
