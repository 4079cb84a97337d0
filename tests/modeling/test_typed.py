"""Columns of a contract, read from text columns."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pytest

from streampro import Contract, Instant, column, typed
from streampro.engines.duckdb.compiler import compiler_of
from streampro.errors import PipelineError
from streampro.expressions.portability import findings


class Kinds(Contract):
    """One row per line."""

    name: str = column("Text.", nullable=True)
    count: dt.Int64 = column("Integer.", nullable=True)
    small: dt.Int32 = column("Small integer.", nullable=True)
    share: dt.Float64 = column("Float.", nullable=True)
    price: Annotated[dt.Decimal, 9, 2] = column("Decimal.", nullable=True)
    is_paid: bool = column("Boolean.", nullable=True)
    day: dt.Date = column("Date.", nullable=True)
    paid_ts: Instant = column("Instant.", unit="UTC", nullable=True)


NAMES = ["name", "count", "small", "share", "price", "is_paid", "day", "paid_ts"]
READ = [" a ", "12", "2147483647", "0.1", "1.50", "True", "2024-05-01", "2024-05-01T01:00+01:00"]
AT = datetime(2024, 5, 1, tzinfo=UTC)
VALUES = ["a", 12, 2147483647, 0.1, Decimal("1.50"), True, date(2024, 5, 1), AT]
BAD = [" ", "x", "2147483648", "NaN", "1.505", "maybe", "2024-02-30", "today"]


def test_every_type_is_read_by_its_word() -> None:
    texts = ibis.table(dict.fromkeys([*NAMES, "more"], "string"), name="rows")
    found = typed(texts, Kinds)
    assert findings(found) == []
    assert found.schema() == ibis.schema(
        dict(zip(NAMES, ["string", "int64", "int32", "float64", "decimal(9, 2)"], strict=False))
        | {"is_paid": "boolean", "day": "date", "paid_ts": "timestamp('UTC', 6)"}
    )
    backend = ibis.duckdb.connect()
    backend.compiler = compiler_of()
    rows = pa.table({name: each for name, *each in zip(NAMES, READ, BAD, strict=True)})
    backend.create_table("rows", rows.append_column("more", rows["name"]))
    [read, bad] = backend.con.sql(str(backend.compile(found))).to_arrow_table().to_pylist()
    assert [*read.values()] == VALUES
    assert set(bad.values()) == {None}


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda columns: columns | {"paid_ts": "date"}, "paid_ts is date and no text"),
        (lambda columns: {"shares" if n == "share" else n: k for n, k in columns.items()}, "share"),
    ],
)
def test_what_cannot_be_read_is_refused(of: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(PipelineError, match=told):
        typed(ibis.table(of(dict.fromkeys(NAMES, "string")), name="rows"), Kinds)
