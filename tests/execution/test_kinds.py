"""Every type that a contract may have is stored, audited and shown alike on both engines."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from pipelines.kinds import KINDS, LATER, LINES, write_raw
from pipelines.kinds.staging import number

from streampro.cli import cli
from streampro.config import Target
from streampro.errors import ContractError
from streampro.execution.runner import run
from streampro.lineage.explain import explain
from streampro.modeling.contract import Contract, column, rule
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import COPIES, REJECTION, UNREADABLE_LINES
from streampro.modeling.source import Source
from streampro.proofs.check_incremental import check_incremental
from streampro.report import write_report
from streampro.testing import Workbench, assert_rows_equal
from streampro.warehouse.published import published, sql
from streampro.warehouse.run import Run


def of_lines(folder: Path) -> Target:
    raw = write_raw(folder / "raw", first=LINES)
    return Target(name="test", raw=raw, warehouse=folder / "warehouse")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return of_lines(tmp_path)


@pytest.fixture(scope="session")  # tests of other modules may run between those of this one
def done(engine: Workbench, tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, Run]:
    """A warehouse of one run, for tests that look at it only."""
    target = of_lines(tmp_path_factory.mktemp("done"))
    return target, engine.run(KINDS, target)


def contents(target: Target, table: str) -> list[dict[str, Any]]:
    return sql(f"select * from {table}", target).to_pylist(maps_as_pydicts="strict")


LEFT = {"x": 1, "y": "left", "tags": ["b", "a", "a"]}
RIGHT = {"x": None, "y": "right", "tags": ["b", None, "a"]}
FULL = {
    "id": "full",
    "at": datetime(2026, 1, 5, 10, 0, 0, 1, tzinfo=UTC),
    "day": date(2026, 1, 5),
    "tags": ["b", "a", "a"],
    "sizes": [3.0, 1.0],
    "counts": {"x": 2, "y": 1},
    "place": LEFT,
    "places": [LEFT, None, LEFT],
    "price": Decimal("1.10"),
    "weight": 2.5,
    "number": 3,
    "tiny": 3,
    "short": 3,
    "half": 2.5,
    "json": '{"a": [1, null]}',
    "is_left": True,
}
HOLES = FULL | {
    "id": "holes",
    "at": datetime(2026, 1, 5, 11, tzinfo=UTC),
    "tags": ["b", None, "a"],
    "sizes": [None, 2.0, None],
    "counts": {"z": None, "é": 5},
    "place": RIGHT,
    "places": [RIGHT, None, RIGHT],
    "price": Decimal("-0.01"),
    "weight": None,
    "half": None,
    "json": None,
    "is_left": False,
}
NULL = dict.fromkeys(FULL) | {"id": "null", "places": [None, None, None]}
EMPTY = NULL | {
    "id": "empty",
    "at": datetime(2026, 1, 5, 12, tzinfo=UTC),
    "day": date(2026, 1, 5),
    "tags": [],
    "sizes": [],
    "counts": {},
    "number": 0,
    "tiny": 0,
    "short": 0,
}


@pytest.mark.slow
def test_rows_are_stored_as_they_are_and_equal_ones_once(done: tuple[Target, Run]) -> None:
    """The order of a map's entries, NaN for null and zeros behind the point are no difference."""
    target, run = done
    [books] = run.books
    assert (books.lines, books.accepted, books.duplicates) == (6, 4, 2)
    assert_rows_equal(contents(target, "staging.parts"), [FULL, HOLES, NULL, EMPTY])
    labels = [("full", "b"), ("full", "a"), ("full", "a"), ("holes", "b"), ("holes", None)]
    assert_rows_equal(
        contents(target, "mart.labels"),
        [{"id": part, "tag": tag} for part, tag in [*labels, ("holes", "a")]],
    )


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_further_file_is_read_incrementally_and_gives_what_a_full_run_does(
    engine: Workbench, target: Target
) -> None:
    engine.run(KINDS, target)
    assert target.raw
    write_raw(Path(str(target.raw)), later=LATER)
    done = engine.run(KINDS, target)
    told = {change.table: (change.mode, change.added, change.changed) for change in done.changes}
    assert told["staging.parts"] == ("incremental", 2, 0)
    assert told["mart.deliveries"] == ("incremental", 1, 1)
    [books] = done.books
    assert (books.accepted, books.duplicates, books.rejected) == (2, 1, 1)
    elsewhere = target.model_copy(update={"warehouse": target.warehouse.parent / "elsewhere"})
    run(KINDS, elsewhere)
    for table in KINDS.tables():
        assert_rows_equal(contents(target, table), contents(elsewhere, table))
    again = engine.run(KINDS, target)
    assert {change.mode for change in again.changes} == {"unchanged"}


@pytest.mark.slow
def test_tables_are_delta_tables_of_the_oldest_protocol(done: tuple[Target, Run]) -> None:
    target, _ = done
    table = DeltaTable(target.warehouse / "staging" / "parts")
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    stored = {
        field["name"]: field["type"] for field in json.loads(table.schema().to_json())["fields"]
    }
    assert stored["price"] == "decimal(18,2)"
    assert (stored["tiny"], stored["short"], stored["number"]) == ("byte", "short", "integer")
    assert stored["tags"]["elementType"] == "string"
    assert (stored["counts"]["keyType"], stored["counts"]["valueType"]) == ("string", "long")
    assert [field["name"] for field in stored["place"]["fields"]] == ["x", "y", "tags"]
    rows = table.to_pyarrow_table().to_pylist(maps_as_pydicts="strict")
    assert_rows_equal(rows, [FULL, HOLES, NULL, EMPTY])


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_statistics_leave_out_what_has_parts(done: tuple[Target, Run]) -> None:
    target, _ = done
    log = target.warehouse / "staging" / "parts" / "_delta_log" / f"{0:020}.json"
    added = [json.loads(line) for line in log.read_text().splitlines() if '"add"' in line]
    flat = {*FULL, COPIES, UNREADABLE_LINES, REJECTION} - {
        "tags",
        "sizes",
        "counts",
        "place",
        "places",
    }
    for each in added:
        told = json.loads(each["add"]["stats"])
        for bounds in (told["minValues"], told["maxValues"], told["nullCount"]):
            assert {*bounds} <= flat


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_columns_are_explained_sent_and_reported(done: tuple[Target, Run], tmp_path: Path) -> None:
    target, _ = done
    found = explain(KINDS, target, "parts.counts", "id = 'holes'")
    assert [row["counts"] for row in found.rows] == [{"z": None, "é": 5}]
    assert [step.rows for step in found.steps] == [1, 2]
    labels = explain(KINDS, target, "labels", "tag is null")
    assert [(step.name, step.rows) for step in labels.steps] == [
        ("mart.labels", 1),
        ("staging.parts", 1),
        ("raw_parts", 2),
    ]
    with published(target) as tables:
        parts = tables.table("staging.parts")
        assert parts.counts.type() == dt.Map(dt.string, dt.int64)
    write_report(KINDS, target, tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "[&#34;empty&#34;, &#34;full&#34;, &#34;holes&#34;]" in report


QUERY = "select tags, counts, place.x as x from staging.parts where id = 'holes'"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", '"tags","counts","x"\n"[""b"", null, ""a""]","{""z"": null, ""é"": 5}",\n'),
        ("json", [{"tags": ["b", None, "a"], "counts": {"z": None, "é": 5}, "x": None}]),
        ("table", '["b", null, "a"]  {"z": null, "é": 5}'),
    ],
)
@pytest.mark.thorough("spark")
def test_lists_and_maps_are_printed_as_json(
    done: tuple[Target, Run], form: str, expected: Any
) -> None:
    target, _ = done
    asked = ["sql", QUERY, "--format", form, "--warehouse", str(target.warehouse)]
    told = CliRunner().invoke(cli, asked)
    assert told.exit_code == 0
    if form == "json":
        assert json.loads(told.output) == expected
    else:
        assert expected in told.output


@pytest.mark.slow
def test_random_parts_give_what_all_lines_give(target: Target, tmp_path: Path) -> None:
    check_incremental(KINDS, target, parts=2, seed=1)


# What a contract says is asked of what is stored


class Readings(Contract):
    """One row per reading."""

    s: str = column("Sensor.", nullable=True)
    v: dt.Float64 = column("Value.")


class Sums(Contract):
    """One row per reading."""

    s: str = column("Sensor.", nullable=True)
    is_missing: bool = column("Whether there is no value.")
    is_large: bool = column("Whether it is above 1.", nullable=True)
    v: dt.Float64 = column("Value.", nullable=True)
    filled: dt.Float64 = column("Value, 0 without.", nullable=True)
    vs: list[float] = column("Value, and twice.", nullable=True)

    @rule("warn")
    def v_is_small(cls, sums: ir.Table) -> ir.BooleanValue:
        return sums.v < 10


READINGS = '{"s": "a", "v": "1.5"}\n{"s": "b", "v": "NaN"}\n{"s": "c"}\n{"s": "d", "v": "-0.0"}\n'
raw_readings = Source("raw_readings", ("r.jsonl",), "json_lines", {"s": ("s",), "v": ("v",)})


def readings(raw_readings: ir.Table) -> ir.Table:
    return raw_readings.select("s", v=number(raw_readings.v) * 2.0)


def sums(raw_readings: ir.Table) -> ir.Table:
    rows = raw_readings.select("s", v=number(raw_readings.v))
    return rows.select(
        "s",
        is_missing=rows.v.isnull(),
        is_large=rows.v > 1.0,
        v=rows.v,
        filled=rows.v.fill_null(0.0),
        vs=ibis.array([rows.v, rows.v * 2.0]),
    )


def of_one_model(contract: type[Contract], transform: Any, *allowed: str) -> Pipeline:
    from types import ModuleType

    layer = ModuleType("layer")
    made = Model(
        TableName("layer", transform.__name__),
        transform,
        contract,
        ("raw_readings",),
        allow=dict.fromkeys(allowed, "compared on these rows only"),
    )
    vars(layer).update(raw_readings=raw_readings, made=made)
    transform.__module__ = "layer"
    return Pipeline("readings", [layer])


@pytest.fixture
def read(tmp_path: Path) -> Target:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "r.jsonl").write_text(READINGS)
    return Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")


def test_nan_is_a_number_while_it_is_computed_and_null_once_it_is_stored(
    engine: Workbench, read: Target
) -> None:
    done = engine.run(of_one_model(Sums, sums), read)
    columns = ("s", "is_missing", "is_large", "v", "filled", "vs")
    expected = [
        ("a", False, True, 1.5, 1.5, [1.5, 3.0]),
        ("b", False, True, None, None, [None, None]),
        ("c", True, None, None, 0.0, [None, None]),
        ("d", False, False, 0.0, 0.0, [0.0, 0.0]),
    ]
    rows = contents(read, "layer.sums")
    assert_rows_equal(rows, [dict(zip(columns, row, strict=True)) for row in expected])
    assert done.warnings == ()


def test_nan_breaks_a_column_that_must_not_be_null(engine: Workbench, read: Target) -> None:
    with pytest.raises(ContractError, match="v is null in 2 rows"):
        engine.run(of_one_model(Readings, readings), read)


class FewTags(Contract):
    """One row per part."""

    s: str = column("Sensor.", nullable=True)
    tags: list[str] = column("Labels.")

    @rule()
    def has_a_label(cls, rows: ir.Table) -> ir.BooleanValue:
        return rows.tags.length() > 0


def tagged(raw_readings: ir.Table) -> ir.Table:
    words = raw_readings.v.split("-")
    return raw_readings.select("s", tags=words.filter(lambda each: each != "NaN"))


def test_columns_with_parts_are_audited(engine: Workbench, read: Target) -> None:
    with pytest.raises(ContractError) as caught:
        engine.run(of_one_model(FewTags, tagged), read)
    assert "tags is null in 1 rows, has_a_label in 1 rows" in str(caught.value)
    assert "{'s': 'b', 'tags': []}" in str(caught.value)
    assert "{'s': 'c', 'tags': None}" in str(caught.value)


def test_types_with_parts_are_checked(tmp_path: Path) -> None:
    def other(raw_readings: ir.Table) -> ir.Table:
        return raw_readings.select("s", tags=ibis.array([raw_readings.s.length()]))

    assert of_one_model(FewTags, other).problems() == [
        "layer.other.tags is array<int32>; its contract says array<string>."
    ]


def test_key_twice_in_a_map_stops_the_run(engine: Workbench, read: Target) -> None:
    class Counts(Contract):
        """One row per reading."""

        counts: dict[str, str] = column("Values.", nullable=True)

    def counted(raw_readings: ir.Table) -> ir.Table:
        twice = ibis.array([raw_readings.s, raw_readings.s])
        return raw_readings.select(counts=ibis.map(twice, twice))

    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        engine.run(of_one_model(Counts, counted), read)
