"""Two engines that say the same are certified; any difference is named by table and cell."""

import hashlib
import json
import math
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, example, given, settings, strategies as st
from pipelines.kinds import KINDS, LATER, LINES, write_raw as write_parts
from pipelines.shop import (
    SHOP,
    mart as shop_mart,
    raw as shop_raw,
    staging as shop_staging,
    write_raw,
)
from pipelines.shop.mart import Revenue

from streampro import cli
from streampro.config import DuckDBSettings, Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.engines.protocol import Engine, Quarantined, Raw, Staged
from streampro.engines.registry import connect
from streampro.errors import (
    ConfigError,
    ContractError,
    ParityError,
    PipelineError,
    SourceError,
)
from streampro.execution import runner
from streampro.formats.files import InputFile
from streampro.location import Location
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.proofs.certificate import ComparedTable
from streampro.proofs.compare import Comparison, Difference, Version
from streampro.proofs.prove import prove
from streampro.storage.place import Disk
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate

UNLIKE = "unlike"
SPARK = "spark-local"
"""Every test with this parameter proves DuckDB against Spark, too."""


# One table: digests and differences


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    target = Target(name="test", warehouse=tmp_path_factory.mktemp("compare") / "none")
    with Comparison(target) as started:
        yield started


def stored(*batches: list[dict[str, Any]], schema: pa.Schema) -> Version:
    """Write a Delta table, a file per batch."""
    folder = Path(tempfile.mkdtemp())
    for rows in batches:
        write_deltalake(folder, pa.Table.from_pylist(rows, schema), mode="append")
    return Version(Disk(folder), len(batches) - 1)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every temporary folder of a test one of `tmp_path`."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


def of_type(kind: pa.DataType, *values: Any) -> Version:
    return stored([{"x": value} for value in values], schema=pa.schema({"x": kind}))


INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = pa.schema({"text": pa.string(), "other": pa.string(), "number": pa.int64()})
ROWS = [{"text": text, "other": "o", "number": 1} for text in "abc"]


def test_order_of_rows_and_files_does_not_matter(comparison: Comparison) -> None:
    one_file = comparison.digest(stored(ROWS, schema=TYPES))
    assert comparison.digest(stored(ROWS[:0:-1], ROWS[:1], schema=TYPES)) == one_file
    assert one_file.rows == 3


def test_names_and_types_are_part_of_the_digest(comparison: Comparison) -> None:
    texts = [of_type(pa.string(), "1"), of_type(pa.int64(), 1), of_type(pa.int32(), 1)]
    renamed = stored([{"y": "1"}], schema=pa.schema({"y": pa.string()}))
    assert len({comparison.digest(table).digest for table in (*texts, renamed)}) == 4


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        (pa.string(), None, ""),
        (pa.string(), "a", "a "),
        (pa.string(), "é", "e\u0301"),
        (pa.string(), "a", "a\x00"),
        (pa.int64(), 2**63 - 1, 2**63 - 2),
        (pa.bool_(), False, None),
        (pa.float64(), 0.0, -0.0),
        (pa.float64(), 0.1 + 0.2, 0.3),
        (pa.float64(), math.nan, None),
        (pa.float64(), math.inf, -math.inf),
        (pa.timestamp("us", "UTC"), INSTANT, INSTANT + timedelta(microseconds=1)),
        (pa.date32(), INSTANT.date(), None),
        (pa.binary(), b"\xff", b"\xfe"),
        (pa.list_(pa.string()), ["a, b"], ["a", "b"]),
        (pa.list_(pa.string()), [None], ["null"]),
    ],
)
def test_cells_that_look_alike_differ(
    comparison: Comparison, kind: pa.DataType, left: Any, right: Any
) -> None:
    one, other = of_type(kind, left), of_type(kind, right)
    found = comparison.difference(one, other, (), 5)
    assert comparison.digest(one) != comparison.digest(other)
    assert (found.only_left, found.only_right, len(found.rows)) == (1, 1, 1)
    [(left_cells, right_cells)] = found.rows
    assert left_cells != right_cells


def test_instants_are_told_in_utc_and_floats_exactly(comparison: Comparison) -> None:
    late = INSTANT + timedelta(microseconds=1)
    instants = of_type(pa.timestamp("us", "UTC"), INSTANT), of_type(pa.timestamp("us", "UTC"), late)
    floats = of_type(pa.float64(), 0.1 + 0.2), of_type(pa.float64(), -0.0)
    assert comparison.difference(*instants, (), 5).rows == (
        (("2026-01-01 00:00:00",), ("2026-01-01 00:00:00.000001",)),
    )
    assert comparison.difference(*floats, (), 5).rows == ((("0.30000000000000004",), ("-0.0",)),)


def test_every_nan_is_the_same(comparison: Comparison) -> None:
    negative = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))[0]
    assert math.isnan(negative)
    nans = of_type(pa.float64(), math.nan), of_type(pa.float64(), negative)
    assert comparison.digest(nans[0]) == comparison.digest(nans[1])


def test_second_copy_of_a_row_is_a_difference(comparison: Comparison) -> None:
    once, twice = stored(ROWS, schema=TYPES), stored(ROWS, ROWS[:1], schema=TYPES)
    assert comparison.difference(twice, once, (), 5) == Difference(1, 0, ((("a", "o", "1"), None),))
    assert comparison.difference(once, twice, (), 5) == Difference(0, 1, ((None, ("a", "o", "1")),))


def test_rows_are_paired_by_their_key_and_pairs_come_first(comparison: Comparison) -> None:
    left = [{"text": "k1", "other": None, "number": n} for n in (1, 2, 3)]
    right = [left[0], left[1] | {"other": "new"}, {"text": "k0", "other": None, "number": 0}]
    versions = stored(left, schema=TYPES), stored(right, schema=TYPES)
    found = comparison.difference(*versions, ("text", "number"), 5)
    assert (found.only_left, found.only_right) == (2, 2)
    first, *others = found.rows
    assert first == (("k1", None, "2"), ("k1", "new", "2"))
    assert {*others} == {(None, ("k0", None, "0")), (("k1", None, "3"), None)}
    assert comparison.difference(*versions, ("text", "number"), 1).rows == found.rows[:1]


def test_columns_with_the_names_of_the_query_are_compared(comparison: Comparison) -> None:
    names = ("row_id", "copies", "cells", "number", "value_0", "rows", 'a"b')
    schema = pa.schema(dict.fromkeys(names, pa.string()))
    row = dict.fromkeys(names, "v")
    versions = stored([row], schema=schema), stored([row | {"number": "w"}], schema=schema)
    assert comparison.digest(versions[0]) != comparison.digest(versions[1])
    [(left, right)] = comparison.difference(*versions, ("row_id", 'a"b'), 5).rows
    assert (left, right) == (("v",) * 7, ("v", "v", "v", "w", "v", "v", "v"))


tricky = st.sampled_from([None, "", "N", ":", "1:", "0:", "1:a", "a", "aN", "N1:a", "\x00", "é"])
numbers = st.sampled_from([None, 0, 1, 10, -1])
rows = st.fixed_dictionaries({"text": tricky, "other": tricky, "number": numbers})
tables = st.lists(rows, max_size=4)


def counted(table: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row[name] for name in TYPES.names) for row in table)


def digest_of(table: list[dict[str, Any]]) -> str:
    """The digest as the certificate describes it, in plain Python."""
    schema = json.dumps([["text", "string"], ["other", "string"], ["number", "long"]]).encode()
    total = 0
    for row in table:
        values = [row[name] for name in TYPES.names]
        texts = [None if value is None else str(value).encode() for value in values]
        cells = [b"N" if text is None else b"%d:%s" % (len(text), text) for text in texts]
        line = hashlib.sha256(schema).hexdigest()[:8].encode() + b"".join(cells)
        total += int.from_bytes(hashlib.md5(line).digest(), "little")
    return f"{total % 2**128:032x}"


@pytest.mark.slow
@settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(left=tables, right=tables)
@example(
    left=[{"text": "aN", "other": "", "number": None}],
    right=[{"text": "a", "other": "N", "number": None}],
)
@example(
    left=[{"text": None, "other": "1:a", "number": None}],
    right=[{"text": "N1:a", "other": None, "number": None}],
)
def test_digests_are_equal_exactly_for_equal_multisets(
    comparison: Comparison, left: list[dict[str, Any]], right: list[dict[str, Any]]
) -> None:
    versions = stored(left, schema=TYPES), stored(right, schema=TYPES)
    digests = [comparison.digest(version) for version in versions]
    assert (digests[0] == digests[1]) == (counted(left) == counted(right))
    assert [digest.digest for digest in digests] == [digest_of(left), digest_of(right)]
    found = comparison.difference(*versions, (), 5)
    assert found.only_left == (counted(left) - counted(right)).total()
    assert found.only_right == (counted(right) - counted(left)).total()


# Two engines


@dataclass
class Changes:
    """What an engine does unlike all others; by default nothing."""

    stage: Callable[[TableName, ir.Table, type[Contract]], tuple[ir.Table, type[Contract]]] = (
        lambda _, rows, contract: (rows, contract)
    )
    quarantine: Callable[[ir.Table], ir.Table] = lambda rows: rows
    find: Callable[[Sequence[InputFile]], Sequence[InputFile]] = lambda files: files
    read_raw: Callable[[Raw], Raw] = lambda raw: raw
    on_close: Callable[[], None] = lambda: None


@pytest.fixture
def unlike(monkeypatch: pytest.MonkeyPatch) -> Changes:
    """Give the target `unlike` an engine of its own: DuckDB with the returned changes."""
    changes = Changes()

    class Unlike(DuckDBEngine):
        def find(self, source: Source, raw: Location) -> tuple[InputFile, ...]:
            return tuple(changes.find(super().find(source, raw)))

        def read_raw(
            self, source: Source, raw: Location, files: Sequence[InputFile] | None = None
        ) -> Raw:
            return changes.read_raw(super().read_raw(source, raw, files))

        def stage(self, table: TableName, rows: ir.Table, contract: type[Contract]) -> Staged:
            return super().stage(table, *changes.stage(table, rows, contract))

        def quarantine(self, model: Model, judged: ir.Table) -> Quarantined:
            return super().quarantine(model, changes.quarantine(judged))

        def close(self) -> None:
            super().close()
            changes.on_close()

    def start(target: Target, *options: Any) -> Engine:
        return Unlike(target) if target.name == UNLIKE else connect(target, *options)

    monkeypatch.setattr(runner, "connect", start)
    return changes


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_raw(tmp_path / "raw")


@pytest.fixture
def left(raw: Path) -> Target:
    return Target(name="local", raw=raw)


@pytest.fixture
def right(raw: Path) -> Target:
    return Target(name=UNLIKE, raw=raw, duckdb=DuckDBSettings(threads=1))


def changed(
    table: str, **columns: Callable[[ir.Table], ir.Value]
) -> Callable[..., tuple[ir.Table, type[Contract]]]:
    """Return a change of some columns of one staged table."""

    def stage(
        name: TableName, rows: ir.Table, contract: type[Contract]
    ) -> tuple[ir.Table, type[Contract]]:
        return (rows.mutate(**columns) if str(name) == table else rows), contract

    return stage


def differing(caught: pytest.ExceptionInfo[ParityError]) -> list[ComparedTable]:
    return [table for table in caught.value.certificate.tables if not table.equal]


def maximum_for_sum(rows: ir.Table) -> ir.Table:
    def rewritten(node: Any, arguments: dict[str, Any] | None) -> Any:
        again = node.__recreate__(arguments) if arguments else node
        return ops.Max(again.arg, again.where) if isinstance(again, ops.Sum) else again

    return rows.op().replace(rewritten).to_expr()


@pytest.mark.slow
def test_equal_sides_are_certified(left: Target, right: Target, unlike: Changes) -> None:
    found = prove(SHOP, left, right)
    assert found.equal
    assert found.ledger == ()
    assert {item.table: (item.left.rows, item.equal) for item in found.tables} == {
        "staging.sales": (3, True),
        "staging.sales_rejected": (2, True),
        "staging.shops": (2, True),
        "mart.revenue": (2, True),
    }
    assert all(item.left == item.right for item in found.tables)


@pytest.mark.slow
def test_certificate_tells_who_computed_what_from_which_bytes(
    left: Target, right: Target, unlike: Changes, raw: Path, tmp_path: Path
) -> None:
    prove(SHOP, left, right, out=tmp_path / "parity.json")
    told = json.loads((tmp_path / "parity.json").read_text())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in raw.iterdir()}
    assert {item["path"]: item["sha256"] for item in told["inputs"]} == sums
    assert [item["source"] for item in told["inputs"]] == ["raw_sales", "raw_shops"]
    listing = "".join(f"{sums[name]}  {name}\n" for name in ("sales.jsonl", "shops.csv"))
    assert told["inputs_sha256"] == hashlib.sha256(listing.encode()).hexdigest()
    assert (told["equal"], told["pipeline"], told["ledger"]) == (True, "shop", [])
    assert [told[side]["target"] for side in ("left", "right")] == ["local", UNLIKE]
    for side in ("left", "right"):
        assert told[side]["engine"] == "duckdb"
        assert told[side]["code"] == SHOP.code_hashes()
        assert {"streampro", "duckdb", "deltalake"} <= told[side]["packages"].keys()
        assert told["compared_with"].items() <= told[side]["packages"].items()
        assert told[side]["books"][0]["reasons"] == {"no day": 2}


@pytest.mark.slow
def test_certificate_is_the_same_every_time_but_for_the_times(left: Target, right: Target) -> None:
    told = [prove(SHOP, left, right).to_json() for _ in range(2)]
    for certificate in told:
        del certificate["started_at"], certificate["finished_at"]
        del certificate["left"]["seconds"], certificate["right"]["seconds"]
    assert told[0] == told[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("select", "built", "compared", "sources"),
    [
        ("shops", {"shops"}, ["staging.shops"], ["raw_shops"]),
        (
            "staging.sales",
            {"sales"},
            ["staging.sales", "staging.sales_rejected"],
            ["raw_sales"],
        ),
        ("revenue", {"sales", "shops", "revenue"}, ["mart.revenue"], ["raw_sales", "raw_shops"]),
        (
            "shops+",
            {"sales", "shops", "revenue"},
            ["staging.shops", "mart.revenue"],
            ["raw_sales", "raw_shops"],
        ),
    ],
)
def test_selected_models_are_proven_from_what_they_are_built_from(
    select: str,
    built: set[str],
    compared: list[str],
    sources: list[str],
    left: Target,
    right: Target,
    unlike: Changes,
) -> None:
    found = prove(SHOP, left, right, select=select)
    assert [item.table for item in found.tables] == compared
    assert [*found.selected] == [name for name in compared if not name.endswith("_rejected")]
    assert {*found.left.code} == {*found.right.code} == built
    assert [file.source for file in found.inputs] == sources
    assert found.to_json()["selected"] == found.selected


@pytest.mark.slow
def test_difference_in_a_model_that_is_not_selected_is_not_asked_for(
    left: Target, right: Target, unlike: Changes
) -> None:
    unlike.stage = lambda _, rows, contract: (maximum_for_sum(rows), contract)
    assert prove(SHOP, left, right, select="sales shops").equal
    with pytest.raises(ParityError, match="differ in 1 of 1 tables"):
        prove(SHOP, left, right, select="revenue")


def test_unknown_model_is_refused_before_anything_runs(
    left: Target, right: Target, unlike: Changes, tmp_path: Path
) -> None:
    out = tmp_path / "parity.json"
    out.write_text("of yesterday")
    with pytest.raises(PipelineError, match=r"has no model 'shop'\. Did you mean 'shops'"):
        prove(SHOP, left, right, select="shop", out=out)
    assert out.read_text() == "of yesterday"


@pytest.mark.slow
def test_operation_that_one_engine_computes_otherwise_is_named_by_table_and_cell(
    left: Target, right: Target, unlike: Changes, tmp_path: Path
) -> None:
    unlike.stage = lambda _, rows, contract: (maximum_for_sum(rows), contract)
    out = tmp_path / "parity.json"
    with pytest.raises(ParityError) as caught:
        prove(SHOP, left, right, out=out)
    assert str(caught.value) == (
        "left local (duckdb) and right unlike (duckdb) differ in 1 of 4 tables and in 0 entries "
        "of their ledgers.\n"
        "mart.revenue: rows only on the left 1, on the right 1\n"
        '  shop="a": amount is "15" on the left, "10" on the right'
    )
    told = json.loads(out.read_text())
    assert told["equal"] is False
    [table] = [table for table in told["tables"] if not table["equal"]]
    assert table["rows"] == [
        {"row": {"shop": "a"}, "only": None, "column": "amount", "left": "15", "right": "10"}
    ]


@pytest.mark.slow
def test_null_is_not_an_empty_text(left: Target, right: Target, unlike: Changes) -> None:
    assert left.raw
    write_raw(left.raw, shops="shop,city\na,\nb,Rome\n")
    unlike.stage = changed("staging.shops", city=lambda rows: rows.city.nullif(""))
    with pytest.raises(ParityError, match='shop="a": city is "" on the left, null on the right'):
        prove(SHOP, left, right)


@pytest.mark.slow
def test_rejected_rows_are_compared_and_long_lines_shown_where_they_differ(
    left: Target, right: Target, unlike: Changes
) -> None:
    assert left.raw
    write_raw(left.raw, '{"shop": "%s good", "day": "x"}\n{"shop":"a"}\n' % ("a" * 1000))
    unlike.stage = changed(
        "staging.sales_rejected", raw_line=lambda rows: rows.raw_line.replace("good", "bad")
    )
    with pytest.raises(ParityError) as caught:
        prove(SHOP.without_limits(), left, right)
    [table] = differing(caught)
    [row] = table.rows
    assert (table.table, table.only_left, table.only_right) == ("staging.sales_rejected", 1, 1)
    assert (row.row["source_file"], row.column) == ("sales.jsonl", "raw_line")
    assert row.left == "a" * 29 + ' good", "day": "x"}'
    assert row.right == "a" * 29 + ' bad", "day": "x"}'


@pytest.mark.slow
def test_accepted_rows_are_compared(left: Target, right: Target, unlike: Changes) -> None:
    unlike.quarantine = lambda rows: rows.mutate(amount=rows.amount + 1)
    with pytest.raises(ParityError) as caught:
        prove(SHOP, left, right)
    assert [table.table for table in differing(caught)] == ["staging.sales", "mart.revenue"]
    assert 'amount is "10" on the left, "11" on the right' in str(caught.value)


class NarrowRevenue(Revenue):
    amount: dt.Int32 = column("Sum.", nullable=True, ge=0)


@pytest.mark.slow
def test_differing_columns_are_told_and_their_rows_not_compared(
    left: Target, right: Target, unlike: Changes
) -> None:
    unlike.stage = lambda name, rows, contract: (
        (rows.cast({"amount": "int32"}), NarrowRevenue)
        if name.name == "revenue"
        else (rows, contract)
    )
    with pytest.raises(ParityError) as caught:
        prove(SHOP, left, right)
    [table] = differing(caught)
    assert (table.only_left, table.rows) == (None, ())
    assert str(table) == (
        "mart.revenue: type of column amount is 'long' on the left, 'integer' on the right; "
        "comment of column amount is 'Sum of the prices.' on the left, 'Sum.' on the right; "
        "rows are not compared, because the columns differ"
    )


@pytest.mark.slow
def test_books_and_files_are_compared(
    left: Target, right: Target, unlike: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streampro.formats.files._is_still", lambda *_: True)
    unlike.read_raw = lambda found: replace(found, invalid_utf8=3)
    unlike.find = lambda files: [replace(file, size=9) for file in files]
    with pytest.raises(ParityError) as caught:
        prove(SHOP, left, right)
    assert differing(caught) == []
    sizes = {item.path: item.size for item in caught.value.certificate.inputs}
    assert sorted(caught.value.certificate.ledger) == [
        "books of raw_sales, warning invalid_utf8: nothing on the left, 3 on the right",
        f"bytes of sales.jsonl for raw_sales: {sizes['sales.jsonl']} on the left, 9 on the right",
        f"bytes of shops.csv for raw_shops: {sizes['shops.csv']} on the left, 9 on the right",
        "warning invalid_utf8 of staging.shops: nothing on the left, 3 on the right",
    ]


@pytest.mark.slow
def test_warnings_are_compared(left: Target, right: Target, unlike: Changes) -> None:
    unlike.stage = changed("mart.revenue", amount=lambda rows: rows.amount * 100)
    with pytest.raises(ParityError) as caught:
        prove(SHOP, left, right)
    assert caught.value.certificate.ledger == (
        "warning amount_is_usual of mart.revenue: nothing on the left, 1 on the right",
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", ["content", "new file", "vanished file"])
def test_raw_files_that_change_between_the_runs_are_refused(
    change: str, left: Target, right: Target, unlike: Changes, raw: Path, tmp_path: Path
) -> None:
    def write() -> None:
        if change == "content":
            write_raw(raw, shops="shop,city\na,Ulm!\nb,Rome\n")
        elif change == "new file":
            (raw / "sales2.jsonl").write_text("{}\n")
        else:
            (raw / "sales2.jsonl").unlink()

    if change == "vanished file":
        (raw / "sales2.jsonl").write_text("{}\n")
    unlike.on_close = write
    out = tmp_path / "parity.json"
    out.write_text('{"equal": true}')
    name = r"shops\.csv" if change == "content" else r"sales2\.jsonl"
    with pytest.raises(SourceError, match=f"{name} of raw_.* changed while the two sides"):
        prove(SHOP.without_limits(), left, right, out=out)
    assert not out.exists(), "an older certificate must not stand for a proof that failed"


@pytest.mark.slow
def test_failure_of_a_run_says_on_which_side(left: Target, right: Target, unlike: Changes) -> None:
    unlike.stage = changed("mart.revenue", sales=lambda rows: rows.sales - 1)
    with pytest.raises(ContractError, match=r"^right side, target 'unlike': mart\.revenue broke"):
        prove(SHOP, left, right)


def test_both_targets_need_the_same_raw_folder(left: Target, right: Target) -> None:
    elsewhere = right.model_copy(update={"raw": Path("elsewhere")})
    with pytest.raises(ConfigError, match=r"'unlike' from elsewhere.*the same bytes.*--raw DIR"):
        prove(SHOP, left, elsewhere)
    with pytest.raises(ConfigError, match=r"'unlike' has no raw folder.*--raw DIR"):
        prove(SHOP, left, right.model_copy(update={"raw": None}))


def test_certificate_that_cannot_be_written_is_told_before_any_work(
    left: Target, right: Target, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"the certificate .* cannot be written"):
        prove(SHOP, left, right, out=tmp_path / "nowhere" / "parity.json", warehouse=tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
def test_warehouses_are_temporary_unless_a_folder_is_given(
    left: Target, right: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prove(SHOP, left, right)
    assert list((tmp_path / "tmp").iterdir()) == []
    prove(SHOP, left, right, warehouse=tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["left", "right"]
    assert not (tmp_path / "warehouse").exists(), "the targets' own warehouse"


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dirty") / "raw"
    generate(folder, events=5_000, seed=5, dirt=0.1)
    return folder


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("other", ["one-thread", pytest.param(SPARK, marks=pytest.mark.thorough)])
def test_dirty_events_give_the_same_tables(other: str, dirty: Path) -> None:
    one_thread = Target(name="one-thread", raw=dirty, duckdb=DuckDBSettings(threads=1))
    right = one_thread if other == "one-thread" else _configured(other, dirty)
    found = prove(PIPELINE, Target(name="local", raw=dirty), right)
    assert {item.table for item in found.tables} == {str(table) for table in PIPELINE.tables()}
    assert all(item.left.rows for item in found.tables)


@pytest.mark.usefixtures("spark")
def test_columns_of_every_type_are_proven_equal(tmp_path: Path) -> None:
    raw = write_parts(tmp_path / "parts", first=LINES, later=LATER)
    found = prove(KINDS, Target(name="local", raw=raw), _configured(SPARK, raw))
    assert {item.table: item.left.rows for item in found.tables} == {
        "staging.parts": 6,
        "staging.parts_rejected": 1,
        "mart.deliveries": 5,
        "mart.labels": 9,
        "answers.days": 3,
    }


@pytest.mark.thorough
@pytest.mark.usefixtures("spark")
def test_operation_that_lint_refuses_is_caught_by_the_proof_too(left: Target, raw: Path) -> None:
    """Ibis' own `strip` takes white space on DuckDB, and the letter v, too, on Spark."""
    write_raw(raw, shops="shop,city\na,vienna\nb,Rome\n")
    unportable = Pipeline("shop", [shop_raw, shop_staging, shop_mart])
    unportable.models["shops"] = replace(
        shop_staging.shops,
        transform=lambda raw_shops: shop_staging.shops(raw_shops).mutate(
            city=lambda rows: rows.city.strip()
        ),
        allow={"Strip": "so that the proof sees it"},
    )
    with pytest.raises(ParityError, match='shop="a": city is "vienna" on the left, "ienna"'):
        prove(unportable, left, _configured(SPARK, raw))


def _configured(name: str, raw: Path) -> Target:
    from streampro.config import load_target

    return load_target(name, Path(__file__).parents[2] / "configs", raw=raw)


# The command


@pytest.fixture
def command(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[Any, str, str]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / f"{UNLIKE}.toml").write_text("[duckdb]\nthreads = 1\n")

    def call(*options: str) -> tuple[Any, str, str]:
        sides = ("--raw", str(raw), "--right", UNLIKE, "--pipeline", "pipelines.shop:SHOP")
        monkeypatch.setattr(sys, "argv", ["streampro", "prove", *sides, *options])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return caught.value.code, *capfd.readouterr()

    return call


@pytest.mark.slow
def test_command_shows_the_tables_and_writes_the_certificate(
    command: Callable[..., Any], unlike: Changes, tmp_path: Path
) -> None:
    code, out, err = command()
    told = json.loads((tmp_path / "parity.json").read_text())
    assert (code, err) == (0, "")
    assert told["equal"] is True
    for table in told["tables"]:
        assert table["table"] in out
        assert table["left"]["digest"] in out


@pytest.mark.slow
@pytest.mark.usefixtures("unlike")
def test_certificate_on_a_full_disk_is_tried_again(command: Callable[..., Any]) -> None:
    code, _, err = command("--out", "/dev/full")
    assert (code, "/dev/full cannot be written: No space left" in err) == (3, True)
    assert Path("/dev/full").exists()


@pytest.mark.slow
def test_command_exits_1_and_names_table_and_cell(
    command: Callable[..., Any], unlike: Changes, tmp_path: Path
) -> None:
    unlike.stage = lambda _, rows, contract: (maximum_for_sum(rows), contract)
    code, out, err = command("--out", "other.json")
    assert code == 1
    assert "different" in out
    assert "mart.revenue" in err
    assert 'shop="a": amount is "15" on the left, "10" on the right' in err
    assert json.loads((tmp_path / "other.json").read_text())["equal"] is False


@pytest.mark.slow
def test_command_proves_selected_models(
    command: Callable[..., Any], unlike: Changes, tmp_path: Path
) -> None:
    code, out, _ = command("--select", "shops")
    assert (code, "mart.revenue" in out, "staging.shops" in out) == (0, False, True)
    assert json.loads((tmp_path / "parity.json").read_text())["selected"] == ["staging.shops"]


@pytest.mark.slow
def test_command_prints_the_certificate_as_json(
    command: Callable[..., Any], unlike: Changes, tmp_path: Path
) -> None:
    code, out, _ = command("--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "parity.json").read_text())
