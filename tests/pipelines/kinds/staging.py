from typing import Annotated

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.modeling.contract import Contract, Instant, column, rule
from streampro.modeling.model import model
from streampro.portable import to_decimal, to_integer, to_utc

COMPARED = dict.fromkeys(
    ("Add", "Cast", "Literal", "NullIf"), "floats of 32 bits, compared on these rows only"
)

Place = Annotated[dt.Struct, {"x": dt.Int64, "y": str, "tags": list[str]}]
Money = Annotated[dt.Decimal, 18, 2]
_NUMBER = r"^(NaN|-?[0-9]+(\.[0-9]+)?)\z"


class Parts(Contract):
    """One row per distinct part of a delivery."""

    id: str = column("Delivery.")
    at: Instant = column("When.", unit="UTC", nullable=True, event_time=True)
    day: dt.Date = column("Day of it.", nullable=True)
    tags: list[str] = column("Labels.", nullable=True)
    sizes: dt.Array[dt.Float64] = column("Sizes.", unit="m", nullable=True)
    counts: dict[str, dt.Int64] = column("Pieces by kind.", nullable=True)
    place: Place = column("Where.", nullable=True)
    places: Annotated[dt.Array, Place] = column("Where, and where again.", nullable=True)
    price: Money = column("Price.", nullable=True)
    weight: dt.Float64 = column("Weight.", unit="kg", nullable=True)
    number: dt.Int32 = column("Labels, in few bytes.", nullable=True)
    tiny: dt.Int8 = column("The same.", nullable=True)
    short: dt.Int16 = column("The same.", nullable=True)
    half: dt.Float32 = column("A half.", nullable=True)
    json: str = column("JSON text.", nullable=True)
    is_left: bool = column("Whether it is.", nullable=True)

    class Config:
        unique = ["id", "at"]

    @rule("warn")
    def labels_are_few(cls, parts: ir.Table) -> ir.BooleanValue:
        return parts.tags.length() < 3

    @rule("quarantine")
    def weight_is_known(cls, parts: ir.Table) -> ir.BooleanValue:
        return (parts.id != "lost") | parts.weight.notnull()


def listed(text: ir.StringValue) -> ir.ArrayValue:
    """Return the texts between commas, null for an empty one; `-` is no text at all."""
    return text.split(",").filter(lambda each: each != "-").map(lambda each: each.nullif(""))


def number(text: ir.StringValue) -> ir.FloatingValue:
    return ibis.cases((text.re_search(_NUMBER), text.try_cast("float64")))


@model(contract=Parts, incremental_by="id", quarantine=True, allow=COMPARED)
def parts(raw_parts: ir.Table) -> ir.Table:
    rows = raw_parts.mutate(
        tags=listed(raw_parts.tags),
        values=listed(raw_parts["values"]).map(to_integer),
        at=to_utc(raw_parts["at"]),
    )
    place = ibis.struct({"x": to_integer(rows.x), "y": rows.y, "tags": rows.tags})
    rows = rows.mutate(
        place=ibis.cases((rows.x.notnull() | rows.y.notnull(), place)),
        counts=ibis.cases((rows["keys"].notnull(), ibis.map(listed(rows["keys"]), rows["values"]))),
        weight=number(rows.weight),
    )
    many = rows.tags.length()
    return rows.select(
        "id",
        "at",
        day=rows["at"].date(),
        tags=rows.tags,
        sizes=listed(rows.sizes).map(number),
        counts=rows.counts,
        place=rows.place,
        places=ibis.array([rows.place, ibis.null(rows.place.type()), rows.place]),
        price=to_decimal(rows.price, 18, 2),
        weight=rows.weight,
        number=many.cast("int32"),
        tiny=many.cast("int8"),
        short=many.cast("int16"),
        half=rows.weight.cast("float32"),
        json=rows.json,
        is_left=rows.y == "left",
        reject_reason=ibis.cases((rows.id.isnull(), "missing_id")),
        raw_line=rows.raw_line,
        source_file=rows.source_file,
    )
