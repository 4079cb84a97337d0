"""Two published versions of one table, compared as multisets of rows by DuckDB, exactly.

Every cell has one text: its value, so that two cells of one type have the same text exactly when
they are equal. Floats are told by their bits (-0.0 is not 0.0; every NaN is the same NaN), instants
are microseconds in UTC. A row's text is its cells one after the other, a null as `N`, any other
as `<bytes>:<text>`, so no text of a cell can imitate another row.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from streampro.config import Target
from streampro.engines.registry import connect_sql
from streampro.formats.json.typed import identifier
from streampro.storage import delta
from streampro.storage.place import Place
from streampro.warehouse.folders import scratch

DIGEST = (
    "sum over all rows, modulo 2^128, of MD5(schema + row) read as a little-endian number; schema: "
    "the first 8 hex digits of SHA-256 of the JSON list of [name, type]; row: per cell N for null, "
    "else <length in bytes>:<text>; instants as UTC microseconds, floats as shortest exact decimal"
)
"""How to compute a digest again, for the reader of a certificate."""

_WORD = 2**64
_FORMS = {
    "string": "{}",
    "binary": "hex({})",
    "float": "CASE WHEN isnan({0}) THEN 'nan' ELSE CAST({0} AS VARCHAR) END",
    "double": "CASE WHEN isnan({0}) THEN 'nan' ELSE CAST({0} AS VARCHAR) END",
    "timestamp": "CAST(make_timestamp(epoch_us({})) AS VARCHAR)",
    "timestamp_ntz": "CAST(make_timestamp(epoch_us({})) AS VARCHAR)",
}
"""The text of a cell by Delta type; DuckDB prints the sign of a NaN, which means nothing."""

Cells = tuple[str | None, ...]
Pair = tuple[Cells | None, Cells | None]


@dataclass(frozen=True)
class StoredColumn:
    """A column as the Delta log declares it."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True)
class Version:
    """A version of a Delta table in a folder."""

    folder: Place
    version: int


@dataclass(frozen=True)
class Digest:
    """Rows of a table and their digest (see `DIGEST`), in which their order plays no part."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Difference:
    """How many rows each side has beyond those of the other, and the first of them.

    `rows` pairs a row of the left with one of the right by the key, or by their order where there
    is no key; None stands for a row without a partner. A row is the texts of its cells.
    """

    only_left: int
    only_right: int
    rows: tuple[Pair, ...]


class Comparison:
    """Reads published tables of local warehouses, writes nothing; use it as a context manager.

    It computes with the DuckDB settings of `target`, and spills what they do not let it hold.
    """

    def __init__(self, target: Target) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(scratch(target.warehouse))
            self.engine = stack.enter_context(connect_sql(target, folder))
            self.resources = stack.pop_all()

    def columns(self, table: Version) -> tuple[StoredColumn, ...]:
        """Return the columns of a table. Raises `WarehouseError` when it cannot be read."""
        return tuple(map(_column, delta.columns(table.folder, table.version)))

    def digest(self, table: Version) -> Digest:
        """Return the rows of a table and their digest, in one pass and constant memory."""
        columns = self.columns(table)
        [found] = self._ask(
            "SELECT count(*) AS rows, CAST(sum(md5_number_lower(text)) AS VARCHAR) AS high, "
            "CAST(sum(md5_number_upper(text)) AS VARCHAR) AS low "
            f"FROM (SELECT {_row_text(columns)} AS text FROM ({self._scan(table)}))"
        )
        total = int(found["high"] or 0) * _WORD + int(found["low"] or 0)
        return Digest(found["rows"], f"{total % _WORD**2:032x}")

    def difference(self, left: Version, right: Version, key: Sequence[str], few: int) -> Difference:
        """Return the rows of each side that the other lacks; both must have the same columns.

        Rows are told apart by their MD5, and counted, so a row that one side holds twice and the
        other once is a difference. At most `few` pairs are shown, always the same ones. Memory is
        bounded whatever differs: sorts, groups and joins are of numbers, and spill.
        """
        columns = self.columns(left)
        keys = [column for column in columns if column.name in key]
        keys = keys if len(keys) < len(columns) else []
        key_id = f"{_identity(keys)} AS key_id"
        self._ask(
            "CREATE OR REPLACE TEMP TABLE surplus AS "
            "SELECT row_id, key_id, CAST(sum(copies) AS BIGINT) AS copies FROM ("
            f"SELECT *, 1 AS copies FROM {self._rows(left, columns, key_id)} UNION ALL "
            f"SELECT *, -1 AS copies FROM {self._rows(right, columns, key_id)}) "
            "GROUP BY row_id, key_id HAVING sum(copies) <> 0"
        )
        [counts] = self._ask(
            "SELECT CAST(coalesce(sum(copies) FILTER (copies > 0), 0) AS BIGINT) AS only_left, "
            "CAST(coalesce(-sum(copies) FILTER (copies < 0), 0) AS BIGINT) AS only_right "
            "FROM surplus"
        )
        find = self._pairs_by_key if keys else self._pairs_by_order
        return Difference(**counts, rows=tuple(find(left, right, columns, few)))

    def progress(self) -> float:
        """Return the finished share of the running query."""
        return self.engine.progress()

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    def _pairs_by_key(
        self, left: Version, right: Version, columns: Sequence[StoredColumn], few: int
    ) -> Iterator[Pair]:
        """Yield pairs of one key, then rows whose key the other side lacks, as their MD5 falls."""
        pairs = self._ask(
            "SELECT CAST(one AS VARCHAR) AS one, CAST(other AS VARCHAR) AS other FROM ("
            "SELECT key_id, min(row_id) FILTER (copies > 0) AS one, "
            "min(row_id) FILTER (copies < 0) AS other FROM surplus GROUP BY key_id "
            f"ORDER BY one IS NULL OR other IS NULL, key_id LIMIT {few})"
        )
        lefts = self._cells(left, columns, [pair["one"] for pair in pairs])
        rights = self._cells(right, columns, [pair["other"] for pair in pairs])
        for pair in pairs:
            yield lefts.get(pair["one"]), rights.get(pair["other"])

    def _cells(
        self, table: Version, columns: Sequence[StoredColumn], row_ids: Sequence[str | None]
    ) -> dict[str | None, Cells]:
        wanted = ", ".join(f"CAST('{row_id or 0}' AS UHUGEINT)" for row_id in row_ids)
        rows = self._ask(
            "SELECT CAST(row_id AS VARCHAR) AS row_id, cells "
            f"FROM {self._rows(table, columns, _cells(columns))} WHERE row_id IN ({wanted})"
        )
        return {row["row_id"]: tuple(row["cells"]) for row in rows}

    def _pairs_by_order(
        self, left: Version, right: Version, columns: Sequence[StoredColumn], few: int
    ) -> Iterator[Pair]:
        """Yield the smallest rows of each side, side by side."""
        names = [f"value_{number}" for number in range(len(columns))]
        values = ", ".join(map("{} AS {}".format, map(_name, columns), names))
        order = ", ".join(names)
        sides = []
        for table, sign in ((left, ">"), (right, "<")):
            rows = self._ask(
                f"SELECT cells FROM {self._rows(table, columns, _cells(columns), values)} "
                f"SEMI JOIN (SELECT row_id FROM surplus WHERE copies {sign} 0) USING (row_id) "
                f"ORDER BY {order} LIMIT {few}"
            )
            sides.append(list(dict.fromkeys(tuple(row["cells"]) for row in rows)))
        yield from zip_longest(*sides)

    def _rows(self, table: Version, columns: Sequence[StoredColumn], *beside: str) -> str:
        """Return the subquery of a table's row numbers, and of what else is asked."""
        selected = ", ".join([f"{_identity(columns)} AS row_id", *beside])
        return f"(SELECT {selected} FROM ({self._scan(table)}))"

    def _scan(self, table: Version) -> str:
        return self.engine.scan(table.folder, table.version)

    def _ask(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.engine.query(query).to_pylist()
        return rows


def _column(field: dict[str, Any]) -> StoredColumn:
    kind = field["type"]
    return StoredColumn(
        name=field["name"],
        type=kind if isinstance(kind, str) else json.dumps(kind, sort_keys=True),
        nullable=field["nullable"],
        comment=field["metadata"].get("comment", ""),
    )


def _row_text(columns: Sequence[StoredColumn]) -> str:
    texts = [_cell_text(column) for column in columns]
    cells = [f"coalesce(strlen({text}) || ':' || {text}, 'N')" for text in texts]
    return f"concat({', '.join([_schema_text(columns), *cells])})"


def _schema_text(columns: Sequence[StoredColumn]) -> str:
    declared = json.dumps([[column.name, column.type] for column in columns], ensure_ascii=False)
    return f"'{hashlib.sha256(declared.encode()).hexdigest()[:8]}'"


def _cell_text(column: StoredColumn) -> str:
    """Return the expression for a cell's text, null for null. Nested values are told as JSON."""
    nested = column.type.startswith("{")
    form = "CAST(to_json({}) AS VARCHAR)" if nested else "CAST({} AS VARCHAR)"
    return _FORMS.get(column.type, form).format(_name(column))


def _identity(columns: Sequence[StoredColumn]) -> str:
    return f"md5_number({_row_text(columns)})"


def _cells(columns: Sequence[StoredColumn]) -> str:
    return f"[{', '.join(map(_cell_text, columns))}] AS cells"


def _name(column: StoredColumn) -> str:
    return identifier(column.name)
