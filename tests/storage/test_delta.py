"""Tables of the warehouse are plain Delta tables that other engines read."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb_extension_delta
import ibis
import ibis.expr.datatypes as dt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, strategies as st

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.errors import OvertakenError, WarehouseError
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.model import Model, TableName
from streampro.modeling.spec import spec_of
from streampro.storage import delta, integrity, leftovers
from streampro.storage.delta import DataFile
from streampro.storage.merge import MOST_SMALL_FILES
from streampro.storage.place import Disk

SCHEMA = pa.schema({"number": pa.int64(), "name": pa.string()})
Row = dict[str, Any]


class Things(Contract):
    """A column of every type."""

    number: dt.Int64 = column("Number.", unit="things")
    name: str = column("Name.", nullable=True)
    day: dt.Date = column("Day.", nullable=True)
    at_ts: Instant = column("Instant.", nullable=True)
    share: dt.Float64 = column("Share.", nullable=True)
    is_good: bool = column("Good.", nullable=True)


THINGS = Model(TableName("layer", "things"), lambda rows: rows, Things, ("rows",))


@pytest.fixture
def duckdb_engine(tmp_path: Path) -> Iterator[DuckDBEngine]:
    with DuckDBEngine(Target(name="test", warehouse=tmp_path / "warehouse")) as started:
        yield started


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    target = Target(name="test", warehouse=tmp_path_factory.mktemp("delta") / "warehouse")
    with DuckDBEngine(target) as started:
        yield started


def data_file(folder: Path, name: str, *numbers: int) -> DataFile:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    rows = [{"number": number, "name": str(number)} for number in numbers]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    bounds = ({"number": min(numbers)}, {"number": max(numbers)}) if numbers else ({}, {})
    return DataFile(
        Disk(path), path.name, path.stat().st_size, len(numbers), *bounds, {"number": 0, "name": 0}
    )


def numbers(folder: Path, version: int | None = None) -> list[int]:
    table = DeltaTable(str(folder), version=version).to_pyarrow_table()
    return sorted(table["number"].to_pylist())


def log_entries(folder: Path, version: int) -> list[Row]:
    path = folder / "_delta_log" / f"{version:020}.json"
    lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    return [json.loads(line) for line in lines]


def statistics(folder: Path, version: int = 0) -> list[Row]:
    entries = log_entries(folder, version)
    return [json.loads(entry["add"]["stats"]) for entry in entries if "add" in entry]


def published(duckdb_engine: DuckDBEngine, rows: list[Row], built: Model = THINGS) -> Path:
    """Stage and publish rows of Things, return the table's folder."""
    schema = pa.schema(field.with_nullable(True) for field in spec_of(Things).schema.to_pyarrow())
    data = pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema)
    table = duckdb_engine.ibis.create_table("rows_of_things", data, overwrite=True)
    staged = duckdb_engine.stage(built.table, table, built.contract)
    assert staged.rows == len(rows)
    duckdb_engine.publish([staged], 1)
    return duckdb_engine.warehouse.table(built.table).path


def test_overwrite_makes_the_files_the_whole_content(tmp_path: Path) -> None:
    folder, staging = tmp_path / "layer" / "table", tmp_path / "staging"
    first = [data_file(staging, "a", 1, 2), data_file(staging, "b", 3)]
    assert delta.commit(Disk(folder), first, SCHEMA, "Numbers.", run=7) == 0
    assert numbers(folder) == [1, 2, 3]
    assert delta.commit(Disk(folder), [data_file(staging, "c", 4)], SCHEMA, "Numbers.", run=8) == 1
    assert numbers(folder) == [4]
    assert list(staging.iterdir()) == []


def test_old_versions_stay_readable(tmp_path: Path) -> None:
    folder, staging = tmp_path / "layer" / "table", tmp_path / "staging"
    for number in range(3):
        files = [data_file(staging, f"f{number}", number)]
        assert delta.commit(Disk(folder), files, SCHEMA, "", run=number) == number
    assert [numbers(folder, version) for version in range(3)] == [[0], [1], [2]]


def test_table_may_be_empty(tmp_path: Path) -> None:
    folder, staging = tmp_path / "layer" / "table", tmp_path / "staging"
    assert delta.commit(Disk(folder), [], SCHEMA, "", run=1) == 0
    assert numbers(folder) == []
    delta.commit(Disk(folder), [data_file(staging, "a", 1)], SCHEMA, "", run=2)
    assert delta.commit(Disk(folder), [], SCHEMA, "", run=3) == 2
    assert (numbers(folder), numbers(folder, 1)) == ([], [1])


def test_schema_may_change_between_versions(tmp_path: Path) -> None:
    folder, staging = tmp_path / "layer" / "table", tmp_path / "staging"
    delta.commit(Disk(folder), [data_file(staging, "a", 1)], SCHEMA, "", run=1)
    wider = SCHEMA.append(pa.field("more", pa.bool_()))
    delta.commit(Disk(folder), [], wider, "", run=2)
    assert [field.name for field in DeltaTable(str(folder)).schema().fields] == wider.names


def test_commit_tells_run_and_table_its_description(tmp_path: Path) -> None:
    folder = tmp_path / "layer" / "table"
    delta.commit(Disk(folder), [], SCHEMA, "Numbers.", run=7)
    assert DeltaTable(str(folder)).metadata().description == "Numbers."
    [newest] = DeltaTable(str(folder)).history(1)
    assert newest["streampro.run"] == "7"


def test_one_publication_is_one_log_entry(tmp_path: Path) -> None:
    folder, staging = tmp_path / "layer" / "table", tmp_path / "staging"
    for run in range(3):
        delta.commit(Disk(folder), [data_file(staging, f"f{run}", 1)], SCHEMA, "", run=run)
    assert len(list((folder / "_delta_log").glob("*.json"))) == 3


def test_published_table_needs_the_oldest_protocol_only(duckdb_engine: DuckDBEngine) -> None:
    protocol = DeltaTable(str(published(duckdb_engine, [{"number": 1}]))).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


def test_published_types_are_canonical_and_described(duckdb_engine: DuckDBEngine) -> None:
    folder = published(duckdb_engine, [{"number": 1, "at_ts": datetime(2024, 5, 1, tzinfo=UTC)}])
    fields = {field.name: field for field in DeltaTable(str(folder)).schema().fields}
    assert {name: field.type.type for name, field in fields.items()} == {
        "number": "long",
        "name": "string",
        "day": "date",
        "at_ts": "timestamp",
        "share": "double",
        "is_good": "boolean",
    }
    assert [name for name, field in fields.items() if not field.nullable] == ["number"]
    assert fields["number"].metadata == {"comment": "Number."}
    [path] = folder.glob("*.parquet")
    stored = pq.read_schema(path)
    assert stored.field("at_ts").type == pa.timestamp("us", "UTC")
    assert stored.field("number").type == pa.int64()


def test_statistics_are_bounds_and_null_counts(duckdb_engine: DuckDBEngine) -> None:
    early = datetime(2024, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
    folder = published(
        duckdb_engine,
        [
            {"number": -3, "name": "b", "day": date(1969, 12, 31), "at_ts": early, "share": 0.5},
            {"number": 2**40, "name": "\u00e9", "at_ts": early + timedelta(days=9)},
            {"number": 0, "day": date(2024, 2, 29), "is_good": True},
        ],
    )
    [found] = statistics(folder)
    assert found["numRecords"] == 3
    assert found["minValues"] == {
        "number": -3,
        "name": "b",
        "day": "1969-12-31",
        "at_ts": "2024-05-01T12:30:15.123456Z",
    }
    assert found["maxValues"] == {
        "number": 2**40,
        "name": "\u00e9",
        "day": "2024-02-29",
        "at_ts": "2024-05-10T12:30:15.123456Z",
    }
    assert found["nullCount"] == {
        "number": 0,
        "name": 1,
        "day": 1,
        "at_ts": 1,
        "share": 2,
        "is_good": 2,
    }


def test_long_texts_have_no_bounds_rather_than_cut_ones(duckdb_engine: DuckDBEngine) -> None:
    folder = published(
        duckdb_engine, [{"number": 1, "name": "x" * 200}, {"number": 2, "name": "a"}]
    )
    [found] = statistics(folder)
    assert found["minValues"]["name"] == "a"
    assert "name" not in found["maxValues"]


def test_column_of_nulls_has_no_bounds(duckdb_engine: DuckDBEngine) -> None:
    [found] = statistics(published(duckdb_engine, [{"number": 1}, {"number": 2}]))
    assert set(found["minValues"]) == set(found["maxValues"]) == {"number"}
    assert found["nullCount"]["name"] == 2


@pytest.mark.parametrize(
    ("rows", "column", "greatest"),
    [
        ([{"number": 1}, {"number": 3}, {"number": 2}], "number", 3),
        ([{"number": 1, "day": date(2024, 2, 29)}, {"number": 2}], "day", date(2024, 2, 29)),
        ([{"number": 1}], "day", None),
        ([{"number": 1, "share": 0.5}], "share", None),
        ([], "number", None),
    ],
)
def test_the_log_tells_the_greatest_value_where_it_has_bounds(
    duckdb_engine: DuckDBEngine, rows: list[Row], column: str, greatest: Any
) -> None:
    folder = published(duckdb_engine, rows)
    assert integrity.greatest(Disk(folder), 0, column) == greatest


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.slow
@pytest.mark.usefixtures("new_york")
def test_instants_are_utc_wherever_the_machine_stands(tmp_path: Path) -> None:
    at = datetime(2024, 5, 1, 23, 30, tzinfo=UTC)
    with DuckDBEngine(Target(name="test", warehouse=tmp_path)) as engine:
        folder = published(engine, [{"number": 1, "at_ts": at}])
        assert statistics(folder)[0]["minValues"]["at_ts"] == "2024-05-01T23:30:00.000000Z"
        found = engine.query(
            f"SELECT at_ts::VARCHAR AS text FROM ({as_others_read(engine, folder)}) "
            "WHERE at_ts = '2024-05-01 23:30:00Z'"
        )
    assert found.to_pylist() == [{"text": "2024-05-01 23:30:00+00"}]
    assert DeltaTable(str(folder)).to_pyarrow_table()["at_ts"].to_pylist() == [at]


@pytest.mark.slow
@pytest.mark.parametrize("year", [1, 999, 1969, 2199, 9999])
def test_instants_of_any_year_are_found_again(year: int, duckdb_engine: DuckDBEngine) -> None:
    at = datetime(year, 7, 1, 1, 2, 3, 999999, tzinfo=UTC)
    things = as_others_read(duckdb_engine, published(duckdb_engine, [{"number": 1, "at_ts": at}]))
    instant = f"TIMESTAMPTZ '{year:04}-07-01 01:02:03.999999+00'"
    assert duckdb_engine.query(f"FROM ({things}) WHERE at_ts >= {instant}").num_rows == 1


def as_others_read(engine: DuckDBEngine, folder: Path) -> str:
    """The query of a reader that skips files by the statistics of the log."""
    extensions = Path(duckdb_extension_delta.__file__).parent / "extensions"
    [extension] = extensions.glob("*/delta.duckdb_extension")
    engine.connection.execute(f"LOAD '{extension}'")
    return f"FROM delta_scan('{folder}')"


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")  # no NUL in SQL text
things = st.fixed_dictionaries(
    {
        "number": st.integers(-(2**63), 2**63 - 1),
        "name": st.none() | st.text(letters, max_size=80),
        "day": st.none() | st.dates(date(1900, 1, 1), date(2199, 12, 31)),
        "at_ts": st.none()
        | st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)),
        "share": st.none() | st.floats(allow_subnormal=False),
        "is_good": st.none() | st.booleans(),
    }
)


@pytest.mark.slow
@given(st.lists(things, min_size=1, max_size=4))
def test_statistics_hide_no_row(shared_engine: DuckDBEngine, rows: list[Row]) -> None:
    built = replace(THINGS, table=TableName("layer", f"things_{uuid4().hex}"))
    folder = published(shared_engine, rows, built)
    [found] = statistics(folder)
    stored = shared_engine.ibis.sql(as_others_read(shared_engine, folder))
    for name in ("number", "name", "day", "at_ts"):
        values = [row[name] for row in rows if row[name] is not None]
        assert found["nullCount"][name] == len(rows) - len(values)
        if name in ("number", "name") and name in found["minValues"]:
            assert found["minValues"][name] == min(values)
        for value in set(values):
            same = stored.filter(stored[name] == ibis.literal(value, spec_of(Things).schema[name]))
            counted = shared_engine.fetch(same.aggregate(rows=same.count()))
            assert counted["rows"].to_pylist() == [values.count(value)]


def test_engine_reads_the_version_it_is_asked_for(duckdb_engine: DuckDBEngine) -> None:
    for number in range(3):
        published(duckdb_engine, [{"number": number}])
    for version in range(3):
        found = duckdb_engine.fetch(duckdb_engine.read(THINGS.table, version).select("number"))
        assert found["number"].to_pylist() == [version]


def rows_of(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([{"number": each, "name": None} for each in numbers], SCHEMA)


def test_small_table_is_created_grown_and_replaced(tmp_path: Path) -> None:
    folder = Disk(tmp_path / "small")
    assert delta.read(folder) is None
    assert delta.write(folder, rows_of(1)) == 0
    assert delta.write(folder, rows_of(2), 0) == 1
    assert delta.write(folder, rows_of(3)) == 2
    found = [delta.read(folder, version) for version in (0, 1, 2)]
    assert [sorted(each["number"].to_pylist()) for each in found if each] == [[1], [1, 2], [3]]
    protocol = DeltaTable(str(folder)).protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


@pytest.mark.slow
def test_files_of_a_small_table_are_few_however_often_it_grows(tmp_path: Path) -> None:
    folder = Disk(tmp_path / "small")
    version = delta.write(folder, rows_of(0))
    for number in range(1, 3 * MOST_SMALL_FILES):
        version = delta.write(folder, rows_of(number), version)
        assert len(DeltaTable(str(folder)).file_uris()) <= MOST_SMALL_FILES
        last = delta.read_last(folder, "number")
        assert last is not None
        assert (last[0], max(last[1]["number"].to_pylist())) == (number, number)
    found = delta.read(folder)
    assert found is not None
    assert sorted(found["number"].to_pylist()) == [*range(3 * MOST_SMALL_FILES)]


def test_of_two_that_write_onto_one_version_one_is_told(tmp_path: Path) -> None:
    folder = Disk(tmp_path / "small")
    delta.write(folder, rows_of(1))
    delta.write(folder, rows_of(2), 0)
    with pytest.raises(OvertakenError, match="another writer added version 1"):
        delta.write(folder, rows_of(3), 0)
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(delta.write, folder, rows_of(10 + each), 1) for each in range(4)]
    failed = [each.exception() for each in written]
    assert [type(each) for each in failed if each] == [OvertakenError] * 3
    found = delta.read(folder)
    assert found is not None
    assert len(found) == 3


def test_damaged_table_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    delta.write(Disk(folder), pa.Table.from_pylist([{"number": 1, "name": "a"}], SCHEMA))
    next(folder.glob("*.parquet")).unlink()
    with pytest.raises(WarehouseError, match=r"1 of its data files are damaged; .* is missing\.$"):
        delta.read(Disk(folder))
    log = folder / "_delta_log" / f"{0:020}.json"
    log.write_text("no json")
    with pytest.raises(WarehouseError, match="the table cannot be read"):
        delta.read(Disk(folder))
    with pytest.raises(WarehouseError, match="the table cannot be written"):
        delta.write(Disk(folder), pa.Table.from_pylist([{"number": 1, "name": "a"}], SCHEMA))


def test_leftovers_are_removed_and_live_files_kept(tmp_path: Path) -> None:
    warehouse, staging = tmp_path, tmp_path / "_streampro" / "staging"
    folder = warehouse / "layer" / "table"
    for version, name in enumerate(("part-aaa-1", "part-bbb-1", "part-bbb-2")):
        delta.commit(Disk(folder), [data_file(tmp_path / "x", name, version)], SCHEMA, "", run=1)
    data_file(folder, "part-bbb-3", 9)
    data_file(folder, "part-ccc-1", 9)
    data_file(warehouse / "layer" / "unborn", "part-bbb-4", 9)
    data_file(staging / "bbb" / "layer" / "table", "part-bbb-5", 9)
    data_file(staging / "ccc" / "layer" / "table", "part-ccc-2", 9)
    leftovers.remove_leftovers(Disk(warehouse), Disk(staging / "bbb"))
    assert [path.name for path in staging.iterdir()] == ["ccc"]
    assert list((warehouse / "layer" / "unborn").iterdir()) == []
    names = {path.name.split(".")[0] for path in folder.glob("*.parquet")}
    assert names >= {"part-aaa-1", "part-bbb-2", "part-ccc-1"}
    assert "part-bbb-3" not in names
    assert numbers(folder) == [2]


def test_nothing_left_over_is_nothing_to_do(tmp_path: Path) -> None:
    leftovers.remove_leftovers(Disk(tmp_path), Disk(tmp_path / "_streampro" / "staging" / "bbb"))
    assert list(tmp_path.iterdir()) == []


def test_text_that_ends_lines_elsewhere_ends_none_in_the_log(duckdb_engine: DuckDBEngine) -> None:
    names = ["a\u2028b", "c\x85d", "e\x1ef"]
    folder = published(duckdb_engine, [{"number": 1, "name": name} for name in names])
    stray = folder / f"part-{duckdb_engine.token}-99-0.parquet"
    stray.write_bytes(b"")
    duckdb_engine.close()
    assert not stray.exists()
    assert len([*folder.glob("*.parquet")]) == 1
