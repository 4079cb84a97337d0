import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from pipelines.kinds.staging import Money, Place

from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model


class Deliveries(Contract):
    """One row per delivery."""

    id: str = column("Delivery.")
    parts: dt.Int64 = column("Parts.", unit="parts")
    price: Money = column("Largest price.", nullable=True)
    ids: list[str] = column("Id of each part.")
    counts: dict[str, dt.Int64] = column("Pieces by kind, of the delivery.", nullable=True)
    place: Place = column("Any, if there is one only.", nullable=True)

    class Config:
        unique = ["id"]


class Labels(Contract):
    """One row per label of a part."""

    id: str = column("Delivery.")
    tag: str = column("Label.", nullable=True)
    counts: dict[str, dt.Int64] = column("Pieces by kind.", nullable=True)


@model(contract=Deliveries, incremental_by="id")
def deliveries(parts: ir.Table) -> ir.Table:
    found = parts.group_by("id").aggregate(
        parts=parts.count(), price=parts.price.max(), ids=parts.id.collect().sort()
    )
    first = parts.filter(parts["at"].isnull() | (parts.number == 1))
    joined = found.left_join(first, "id", rname="{name}_first")
    return joined.select("id", "parts", "price", "ids", "counts", "place")


@model(contract=Labels)
def labels(parts: ir.Table) -> ir.Table:
    return parts.select("id", "counts", tag=parts.tags.unnest()).select("id", "tag", "counts")
