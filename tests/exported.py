"""Rows with every type that is stored, for tests of what is written elsewhere."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from streampro.modeling.model import TableName

TABLE = TableName("mart", "kinds")
AT = datetime(2026, 1, 5, 10, 0, 0, 1, tzinfo=UTC)
ROWS: dict[str, tuple[pa.DataType, Any]] = {
    "text": (pa.string(), '=1+1, "é"\n'),
    "empty": (pa.string(), ""),
    "whole": (pa.int64(), 2**62 + 1),
    "small": (pa.int64(), -7),
    "share": (pa.float64(), 0.1),
    "price": (pa.decimal128(15, 2), Decimal("1.10")),
    "sum": (pa.decimal128(38, 2), Decimal("123456789012345678.91")),
    "is_new": (pa.bool_(), True),
    "day": (pa.date32(), date(2026, 1, 5)),
    "at_ts": (pa.timestamp("us", "UTC"), AT),
    "tags": (pa.list_(pa.string()), ["b", None]),
    "place": (pa.struct([("x", pa.int64())]), {"x": 1}),
    "counts": (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    "raw": (pa.binary(), b"\x00\xff"),
    "nothing": (pa.string(), None),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in ROWS.items()])


def reader(rows: int = 1, schema: pa.Schema = SCHEMA, **values: Any) -> pa.RecordBatchReader:
    row = {name: values.get(name, value) for name, (_, value) in ROWS.items()}
    batches = [pa.RecordBatch.from_pylist([row], schema)] * rows
    return pa.RecordBatchReader.from_batches(schema, batches)
