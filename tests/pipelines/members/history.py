import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import portable
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.model import model


class SeenMembers(Contract):
    """One row per member and state in which a run found it."""

    member: str = column("Member.")
    tier: str = column("What was paid for.", nullable=True)
    age: dt.Int64 = column("Age.", unit="years", nullable=True)
    seen_at: Instant = column("When the first run began that found it so.")
    is_gone: bool = column("Whether it was no longer there.")

    class Config:
        unique = ["member", "seen_at"]


class MemberVersions(Contract):
    """One row per member and time in which nothing else was seen of it."""

    member: str = column("Member.")
    tier: str = column("What was paid for.", nullable=True)
    age: dt.Int64 = column("Age.", unit="years", nullable=True)
    valid_from: Instant = column("Since when, inclusive.")
    valid_to: Instant = column("Until when, exclusive; null for what holds.", nullable=True)
    is_current: bool = column("Whether it holds.")

    class Config:
        unique = ["member", "valid_from"]


@model(contract=SeenMembers, observed_at="seen_at")
def seen_members(members: ir.Table) -> ir.Table:
    return members


@model(contract=MemberVersions, incremental_by="member")
def member_versions(seen_members: ir.Table) -> ir.Table:
    versions = portable.versions_of(seen_members, key="member", at="seen_at")
    return versions.filter(~versions.is_gone).drop("is_gone")
