import ibis
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, Instant, column, rule
from streampro.modeling.model import REJECT_COLUMNS, model
from streampro.portable import to_utc


class Members(Contract):
    """One row per member."""

    mail: str = column("Address.", personal=True)
    city: str = column("Where they live.", nullable=True)
    joined_ts: Instant = column("When they joined.", unit="UTC", event_time=True)

    class Config:
        unique = ["mail"]

    @rule("warn")
    def city_is_known(cls, members: ir.Table) -> ir.BooleanValue:
        return members.city.notnull()


@model(contract=Members, incremental_by="mail", quarantine=True, owner="club", tags=["people"])
def members(raw_members: ir.Table) -> ir.Table:
    """Return the members as they joined."""
    at = to_utc(raw_members.at)
    reason = ibis.cases((raw_members.mail.isnull(), "no mail"), (at.isnull(), "no instant"))
    typed = raw_members.mutate(joined_ts=at, reject_reason=reason)
    return typed.select("mail", "city", "joined_ts", *REJECT_COLUMNS)
