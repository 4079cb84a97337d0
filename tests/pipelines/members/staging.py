import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.formats.format import RAW_COLUMNS
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.quarantine import one_row_per_key
from streampro.portable import strip, to_integer


class Members(Contract):
    """One row per member."""

    member: str = column("Member.")
    tier: str = column("What is paid for.", nullable=True)
    age: dt.Int64 = column("Age.", unit="years", nullable=True)

    class Config:
        unique = ["member"]


@model(contract=Members, quarantine=True)
def members(raw_members: ir.Table) -> ir.Table:
    typed = raw_members.mutate(
        member=strip(raw_members.member),
        tier=strip(raw_members.tier),
        age=to_integer(raw_members.age),
    )
    return one_row_per_key(typed.select("member", "tier", "age", *RAW_COLUMNS), key="member")
