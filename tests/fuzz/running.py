"""Expressions on a table of nasty values, computed by both engines and compared bit for bit."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
from fuzz.drawing import COLUMNS
from ibis.common.collections import FrozenOrderedDict
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException

from streampro.engines.compilation.casts import physical_query
from streampro.engines.duckdb.compiler import compiler_of as duckdb_compiler
from streampro.engines.spark.compiler import compiler_of as spark_compiler
from streampro.expressions.decimals import in_one_type

STOPS = "the query stops"
"""At some value."""
CANNOT_RUN = "the query cannot run"
"""Whatever the values."""
_INSTANTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 999999, UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2024, 12, 30, 0, 0, 0, 1, UTC),
    datetime(2021, 1, 3, 12, 30, 15, 500000, UTC),
    datetime(2199, 12, 31, 23, 0, tzinfo=UTC),
    datetime(2023, 3, 26, 1, 30, tzinfo=UTC),
    None,
]
_TEXTS = [
    *[
        "",
        "a",
        "ab",
        "abab",
        "Z",
        "é",
        "e\u0301",
        "ß",
        "İ",
        "ΑΣ",
        "\U0001f600",
        "\u2028",
        " a ",
        "\t",
    ],
    *["12", "-7", "+5", "007", "1.5", "1e3", "2024-02-29", "2023-02-29", "2024-02-29T10:00:00Z"],
    *["true", "null", "a,b,,c", "a b", "a_b", "a%b", "\\", "'", '"', "{}", "\x01", "\xa0x", None],
]
_VALUES: dict[str, Sequence[Any]] = {
    "b": [True, False, None],
    "n": [0, 1, -1, 2, 3, -7, 10, 60, 999, -1000, 12345, None],
    "m": [1, 2, -2, 3, 7, 0, None],
    "k": [0, 1, -1, 2, 127, -128, 30000, None],
    "h": [0, 1, -1, 300, 32767, -32768, None],
    "t": [0, 1, -1, 5, 127, -128, None],
    "x": [0.0, 1.0, -1.0, 0.1, 0.5, -2.5, 1e-7, 3.3333333333333335, 1e6, -12345.678, None],
    "y": [1.0, 0.3, -0.7, 2.0, 1e3, None],
    "p": [Decimal(each) for each in ("0.00", "0.05", "-1.25", "9999.99", "1.00")] + [None],
    "q": [Decimal(each) for each in ("0.0000", "0.0001", "-3.3333", "12345.6789")] + [None],
    "r": [Decimal(each) for each in ("0E-10", "1.0000000001", "-2.5000000000")] + [None],
    "s": _TEXTS,
    "w": ["a", "b", "", "é", "Z", None],
    "d": [date(1970, 1, 1), date(2024, 2, 29), date(2023, 12, 31), date(2021, 1, 3), None],
    "at": _INSTANTS,
    "due": [each and each + timedelta(hours=71) for each in _INSTANTS[::-1]],
    "ns": [[], [1], [3, 1, 2], [1, 1], [1, None, 2], [None], None],
    "ws": [[], ["a"], ["b", "a", "é"], ["", "a,b"], ["b", None], [None], None],
    "fs": [[], [0.5, -2.5, 0.5], [1e-7, None], [None], None],
    "bs": [[], [True], [False, True], [None, True], [None, False], [None], None],
    "ps": [{"a": 1, "b": ""}, {"a": None, "b": "é"}, {"a": None, "b": None}, None],
    "ls": [[], [[1], [2, 3]], [[1], None, []], [None], [[None, 1]], None],
    "ms": [{}, {"a": 1}, {"b": 2, "a": None}, {"": 0, "é": -1, "Z": 3}, None],
    "whole": [Decimal(10**38 - 1), Decimal(-(10**37)), Decimal(0), Decimal(7), None],
    "part": [Decimal("0.00001"), Decimal("-0.99999"), Decimal("0.00000"), None],
    "ds": [[], [date(2024, 2, 29), date(1970, 1, 1)], [None, date(2021, 1, 3)], None],
    "ats": [[], _INSTANTS[1:3], [None, _INSTANTS[0]], None],
    "qs": [[], [Decimal("1.5000"), Decimal("-3.3333")], [None, Decimal("0.0001")], None],
    "es": [[], [{"a": 1, "b": "x"}, {"a": None, "b": ""}], [None, {"a": 2, "b": None}], None],
    "pp": [
        {
            "d": date(2024, 2, 29),
            "at": _INSTANTS[1],
            "x": 0.5,
            "p": Decimal("1.25"),
            "ns": [1, None],
        },
        {"d": None, "at": None, "x": None, "p": None, "ns": None},
        None,
    ],
    "mx": [{}, {"a": 0.5, "b": None}, {"é": -2.5}, None],
    "ml": [{}, {"a": [1, 2], "b": None}, {"c": []}, None],
}
_STOP = (duckdb.Error, PySparkException, Py4JJavaError)
_NEVER_RUN = (
    *(duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException),
    *(duckdb.NotImplementedException, AnalysisException),
)
MOST_DIGITS = 38
"""Of a decimal."""
ROWS = 97
"""A prime, so that columns that repeat their values meet in many ways."""
EXTREMES: Mapping[str, Sequence[Any]] = {
    "n": [2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1, 0, None],
    "m": [2**53 + 1, -1, 2**55 + 3, 1, 2**31, 7, None],
    "k": [2**31 - 1, -(2**31), None],
    "x": [1e308, -1e308, 5e-324, 2.0**63, -(2.0**63), math.nan, math.inf, -math.inf, -0.0, None],
    "y": [math.nan, -0.0, 0.0, 1e-300, None],
    "p": [Decimal("9999999999.99"), Decimal("-9999999999.99"), None],
    "q": [Decimal("99999999999999.9999"), Decimal("-0.0001"), None],
    "r": [Decimal(f"{sign}{'9' * 28}.9999999999") for sign in ("", "-")] + [None],
    "ns": [[2**63 - 1, 1], [2**62, None, -(2**63)], [-(2**62), -1], None],
    "fs": [[math.nan, -0.0, math.nan], [0.0, -0.0, math.inf], [None, math.nan], None],
}


def nasty(
    changed: Mapping[str, Sequence[Any]] | None = None, columns: Mapping[str, str] = COLUMNS
) -> pa.Table:
    """Return the nasty table, with these columns; with other values in some if they are given."""
    values = {**_VALUES, **(changed or {})}
    arrays = {"i": pa.array(range(ROWS), pa.int64())}
    for step, (name, kind) in enumerate(columns.items()):
        cycle = itertools.islice(itertools.cycle(values[name]), step, step + ROWS)
        arrays[name] = pa.array(cycle, ibis.dtype(kind).to_pyarrow())
    return pa.table(arrays)


def unbound() -> ir.Table:
    return ibis.table({"i": "int64"} | COLUMNS, name="rows")


def shapes() -> dict[str, ir.Table]:
    """Return relations that are made of the table, with its columns; `i` is a key of each."""
    rows = unbound()
    other = rows.select(j="i", n2="n", s2="s", x2="x", p2="p", d2="d")
    nested = rows.filter(rows.b | rows.n.isnull()).mutate(n2=rows.n + 1, s2=rows.s.fill_null(""))
    late = rows.filter(rows.at > rows.due).mutate(b=~rows.b)
    latest = rows.group_by("k").aggregate(last=rows.i.max(), n2=rows.m.sum(), x2=rows.n.mean())
    return {
        "plain": rows,
        "empty": rows.filter(rows.i < 0),
        "nested": nested.filter(nested.n2 != 3).select(*rows.columns, "n2", "s2"),
        "joined": rows.left_join(other, rows.m == other.j).drop("j"),
        "grouped": rows.inner_join(latest, rows.i == latest.last).drop("k_right", "last"),
        "united": rows.filter(rows.n > 0).union(late.filter(late.n <= 0)).drop("ms").distinct(),
    }


class Engines:
    """Both engines with a nasty table."""

    def __init__(self, spark: Any, rows: pa.Table) -> None:
        self.spark = spark
        spark.conf.set("spark.sql.mapKeyDedupPolicy", "EXCEPTION")  # as in runs
        self.duckdb = ibis.duckdb.connect(memory_limit="2GB")
        self.duckdb.create_table("rows", rows)
        frame = spark.createDataFrame(rows)
        self.frame = spark.createDataFrame(frame.rdd, frame.schema).coalesce(2).cache()

    def on_duckdb(self, query: ir.Table) -> pa.Table:
        return self.duckdb.con.sql(physical_query(duckdb_compiler(), query)).to_arrow_table()

    def on_spark(self, query: ir.Table) -> pa.Table:
        self.frame.createOrReplaceTempView("rows")  # others of this session have theirs
        return self.spark.sql(physical_query(spark_compiler(), query)).toArrow()

    def number_of(self, query: ir.Table) -> float:
        """Return the number of rows of a query: 0 where it cannot run, infinity where it stops."""
        found = self.attempt(self.on_duckdb, query.count().as_table())
        if isinstance(found, dict):
            return int(next(iter(found.values()))[0][1])
        return 0 if found == CANNOT_RUN else math.inf

    def differing(
        self, build: Callable[..., ir.Table], values: Mapping[str, ir.Value]
    ) -> Iterator[str]:
        """Yield the names of the values that differ, stop on one engine only, or cannot run."""
        run = set()
        for name, each in values.items():
            query = build(**{name: each})
            one = self.attempt(self.on_duckdb, query)
            if one == CANNOT_RUN:
                yield name
            elif one != STOPS:
                run.add(name)
            else:
                other = self.attempt(self.on_spark, query)
                if other == CANNOT_RUN or not (
                    other == STOPS or self._may_stop(query, name, each, other)
                ):
                    yield name
        yield from self._different(build, {name: values[name] for name in run})

    def _different(
        self, build: Callable[..., ir.Table], values: Mapping[str, ir.Value]
    ) -> Iterator[str]:
        """Yield the same of values that do not stop on DuckDB; what stops is halved."""
        if not values:
            return
        query = build(**values)
        one, other = (self.attempt(run, query) for run in self.runs)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from (name for name in values if one[name] != other[name])
        elif len(values) > 1:
            names = list(values)
            for part in (names[: len(names) // 2], names[len(names) // 2 :]):
                yield from self._different(build, {name: values[name] for name in part})
        elif (
            not isinstance(one, dict)
            or other == CANNOT_RUN
            or not self._may_stop(query, *next(iter(values.items())), one)
        ):
            yield from values

    def _may_stop(
        self, query: ir.Table, name: str, value: ir.Value, found: Mapping[str, list[Any]]
    ) -> bool:
        """Say whether an engine may go on as it sees that it need not know what stops the other:
        something that the value is made of stops both, or `_stops_for_null` is so of it; of one
        that follows from a row alone it may be so of the value itself. Or it adds decimals of as
        many digits as there are: the sum of some rows may leave them, and each adds in its order.
        """
        sums = (each.arg.dtype for each in value.op().find((ops.Sum, ops.Mean)))
        if any(kind.is_decimal() and kind.precision == MOST_DIGITS for kind in sums):
            return True
        of_groups = bool(query.op().find(ops.Aggregate))
        made_of = {
            node
            for node in value.op().find(ops.Value)
            if len(node.relations) <= 1
            and node != value.op()
            and not isinstance(node, ops.Field | ops.SortKey)
            and not (of_groups and node.find((ops.Reduction, ops.Analytic)))
        }
        made_of |= {  # what is the first of some may be compared with no other, and not be cast
            (one == other).op()
            for node in made_of | {value.op()}
            for first, *others in _alternatives(node)
            for each in others
            for one, other in [in_one_type(first.to_expr(), each.to_expr())]
            if one.type().is_decimal() and other.type().is_decimal()
        }
        if isinstance(of := query.op(), ops.Aggregate):  # a sum that is compared need not be known
            for each in value.op().find(ops.Sum):
                sums = of.copy(metrics=FrozenOrderedDict({"v": each})).to_expr()
                if [self.attempt(run, sums) for run in self.runs] == [STOPS, STOPS]:
                    return True
        for node in made_of:
            relation = next(iter(node.relations), unbound().op())
            rows = relation.to_expr().select("i", v=node.to_expr())
            one, other = (self.attempt(run, rows) for run in self.runs)
            if one == other == STOPS:
                return True
            if STOPS in (one, other):
                found = other if one == STOPS else one
                if isinstance(found, dict) and self._stops_for_null(rows, "v", found):
                    return True
        is_of_rows = value.op().find((ops.Reduction, ops.Analytic))
        return not is_of_rows and self._stops_for_null(query, name, found)

    def _stops_for_null(self, query: ir.Table, name: str, found: Mapping[str, list[Any]]) -> bool:
        """Say whether engines agree in all rows but those in which the one that goes on gives null.

        An engine may stop at a number that is too large where the other sees that the result is
        null without it: at `y + z` in `x + (y + z)` where x is null.
        """
        key = next(iter(found))
        if key == name:
            return False
        given = [k for k, value in zip(found[key], found[name], strict=True) if value is not None]
        rest = query.filter(query[key].isin([int(k[1]) for k in given if k is not None]))
        one, other = (self.attempt(run, rest) for run in self.runs)
        return STOPS not in (one, other) and one == other

    @property
    def runs(self) -> tuple[Callable[[ir.Table], pa.Table], ...]:
        return self.on_duckdb, self.on_spark

    def attempt(self, run: Any, query: ir.Table) -> dict[str, list[Any]] | str:
        """Return the rows of a query, by column, in one order; or why there are none."""
        try:
            found = run(query)
        except _STOP as error:
            return CANNOT_RUN if isinstance(error, _NEVER_RUN) else STOPS
        except Exception:
            return CANNOT_RUN
        columns = {name: plain(found[name]) for name in found.column_names}
        rows = [*zip(*columns.values(), strict=True)]
        key = columns.get("i") or columns.get("g") or rows
        order = sorted(range(found.num_rows), key=lambda place: repr((key[place], rows[place])))
        return {name: [column[place] for place in order] for name, column in columns.items()}

    def told(self, query: ir.Table, name: str) -> list[tuple[Any, Any]]:
        """Return the rows of a column that differ: what is computed on each engine."""
        one, other = (self.attempt(run, query) for run in self.runs)
        if not (isinstance(one, dict) and isinstance(other, dict)):
            return [tuple("rows" if isinstance(each, dict) else each for each in (one, other))]
        return [pair for pair in zip(one[name], other[name], strict=False) if pair[0] != pair[1]]


def _alternatives(node: ops.Node) -> Iterator[tuple[ops.Value, ...]]:
    """Yield the values of which a node takes the first that is right."""
    if isinstance(node, ops.InValues):
        yield node.value, *node.options
    elif isinstance(node, ops.Coalesce):
        yield node.arg


def plain(column: pa.ChunkedArray) -> list[Any]:
    """Return values; days and microseconds as numbers, as Python's calendar is shorter."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return [_bits(each) for each in column.to_pylist()]


def _bits(value: Any) -> Any:
    """Return a value such that what differs in any bit is not equal; NaN is null once stored."""
    if isinstance(value, float):
        return None if math.isnan(value) else (value + 0.0).hex()
    if isinstance(value, list | tuple):
        return [_bits(each) for each in value]
    if isinstance(value, dict):
        return {name: _bits(each) for name, each in value.items()}
    return (type(value).__name__, str(value)) if value is not None else None
