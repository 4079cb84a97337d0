import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.portable import upper


class Cities(Contract):
    """One row per city, null where it is unknown."""

    city: str = column("City.", nullable=True)
    members: dt.Int64 = column("Members.", unit="members", gt=0)
    first_mail: str = column("Address of the first in the alphabet.")
    shouted: str = column("The same in capitals.")

    class Config:
        unique = ["city"]


@model(contract=Cities)
def cities(members: ir.Table) -> ir.Table:
    first = members.mail.min()
    return members.group_by("city").aggregate(
        members=members.count(), first_mail=first, shouted=upper(first)
    )
