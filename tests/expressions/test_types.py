"""How a contract spells types, and which it may not have."""

from datetime import date
from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import pytest

from streampro.errors import PipelineError
from streampro.expressions.types import as_stored, refusal, type_of
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.spec import TableSpec, spec_of

Place = Annotated[dt.Struct, {"x": dt.Int64, "tags": list[str]}]


def contract_of(annotation: Any, **config: Any) -> TableSpec:
    body = {"__annotations__": {"x": annotation}, "x": column("X.", nullable=True)}
    body |= {"Config": type("Config", (), config), "__module__": __name__}
    return spec_of(type("Things", (Contract,), body))


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, "string"),
        (bool, "boolean"),
        (int, "int64"),
        (date, "date"),
        (dt.Int16, "int16"),
        (Instant, "timestamp('UTC', 6)"),
        (Annotated[dt.Decimal, 18, 2], "decimal(18, 2)"),
        (Annotated[dt.Decimal, 18, 2, True], "decimal(18, 2)"),
        (dt.Decimal(18, 2), "decimal(18, 2)"),
        (list[str], "array<string>"),
        (dt.Array[dt.Int64], "array<int64>"),
        (dt.Array(dt.int64), "array<int64>"),
        (Annotated[dt.Array, dt.int64], "array<int64>"),
        (list[Annotated[dt.Decimal, 9, 3]], "array<decimal(9, 3)>"),
        (list[Instant], "array<timestamp('UTC', 6)>"),
        (dict[str, dt.Int64], "map<string, int64>"),
        (dt.Map[dt.String, dt.Int64], "map<string, int64>"),
        (dict[str, list[str]], "map<string, array<string>>"),
        (Place, "struct<x: int64, tags: array<string>>"),
        (dt.Struct({"x": dt.int64}), "struct<x: int64>"),
        (list[Place], "array<struct<x: int64, tags: array<string>>>"),
    ],
)
def test_annotation_spells_a_type(annotation: Any, kind: str) -> None:
    assert contract_of(annotation).schema == ibis.schema({"x": kind})
    assert type_of(annotation) == ibis.dtype(kind)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (dt.Decimal, "not store decimal alike: write digits in all and behind the point, such as"),
        (Annotated[dt.Decimal, 39, 2], "not store decimal.39, 2. alike"),
        (dt.Timestamp, "not store timestamp alike: write Instant"),
        (Annotated[dt.Timestamp, "Europe/Oslo", 6], "write Instant, the one type of instants"),
        (dt.Time, "not store time alike: write str, such as '23:59', or dt.Int64 with a unit"),
        (Annotated[dt.Interval, "s"], "write dt.Int64 with a unit, such as microseconds"),
        (dt.UInt8, "not store uint8 alike: write dt.Int64"),
        (dt.Float16, "not store float16 alike: write dt.Float64"),
        (dt.UUID, "not store uuid alike: write str"),
        (dt.JSON, "not store json alike: write str, which keeps the text of JSON as it is"),
        (dt.INET, "not store inet alike: write str"),
        (list[dt.Time], "not store time alike"),
        (dict[str, list[dt.UUID]], "not store uuid alike"),
        (list[dict[str, str]], "write a list of struct<key, value> there"),
        (dict[float, str], "has keys that are neither str nor dt.Int64: write their text"),
        (Annotated[dt.Struct, {"a": dt.int64, "A": dt.int64}], "'a' and 'A', which engines do not"),
        (list[Annotated[dt.Struct, {}]], "has no part"),
        (list[dt.Int64(nullable=False)], "!int64 says that a part is not null"),
        (Annotated[dt.Array, dt.int64, 3], "the same without a length, and a @rule"),
        (dt.Array, "Array says no type of a column: write one such as str, dt.Int64 or list"),
        (list, "list says no type of a column"),
        (object(), "says no type of a column"),
    ],
)
def test_type_that_engines_do_not_store_alike_is_refused(annotation: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=rf"contract Things: column 'x': .*{message}"):
        contract_of(annotation)


@pytest.mark.parametrize("annotation", [list[str], Place, dict[str, str]])
def test_key_has_no_parts(annotation: Any) -> None:
    with pytest.raises(
        PipelineError, match=r"contract Things: column 'x' of the key is .*<.*A key"
    ):
        contract_of(annotation, unique=["x"])


def test_what_is_not_refused_has_a_type_in_delta() -> None:
    kinds = ["boolean", "int8", "int32", "float32", "binary", "date", "map<int64, string>"]
    assert [refusal(ibis.dtype(kind)) for kind in kinds] == [None] * len(kinds)


@pytest.mark.parametrize(
    ("kind", "is_changed"),
    [
        ("float64", True),
        ("float32", True),
        ("array<float64>", True),
        ("struct<x: string, y: array<float64>>", True),
        ("map<string, int64>", True),
        ("array<string>", False),
        ("decimal(9, 2)", False),
        ("struct<x: int64>", False),
    ],
)
def test_only_floats_and_maps_are_stored_otherwise_than_computed(
    kind: str, is_changed: bool
) -> None:
    rows = ibis.table({"x": kind}, name="rows")
    stored = as_stored(rows)
    assert stored.schema() == rows.schema()
    assert (stored.op() != rows.op()) == is_changed
