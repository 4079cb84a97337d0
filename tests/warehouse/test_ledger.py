"""Earlier runs: readers can be taken back to one, and its files can be removed."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from copied import copied
from deltalake import DeltaTable, write_deltalake
from filelock import FileLock
from pipelines.shop import SHOP, mart, raw, staging, write_raw
from published import contents

from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.execution.runner import run
from streampro.formats.files import InputFile
from streampro.location import Remote
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.storage import delta
from streampro.storage.place import Disk, place_of
from streampro.warehouse import ledger, published, snapshot
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.run import RUNS, Run
from streampro.warehouse.upkeep.retention import Cleaned, clean, rollback

Rows = list[dict[str, Any]]
FURTHER: list[tuple[str, *tuple[tuple[str, int], ...]]] = [
    ("second", ("a", 100), ("z", 1)),
    ("third", ("a", 30), ("b", 2)),
    ("fourth", ("b", 5)),
]
"""Names of files of sales, and what they hold."""


class Total(Contract):
    """One row."""

    amount: dt.Int64 = column("Sum of all prices.")


class Cities(Contract):
    """One row per city."""

    city: str = column("City.", nullable=True)
    amount: dt.Int64 = column("Sum of the prices.")

    class Config:
        unique = ["city"]


def total(revenue: ir.Table) -> ir.Table:
    return revenue.aggregate(amount=revenue.amount.sum())


def cities(revenue: ir.Table) -> ir.Table:
    return revenue.group_by("city").aggregate(amount=revenue.amount.sum())


def with_answers() -> Pipeline:
    """Return the shop pipeline with two answers: the total, and the sums per city."""
    pipeline = Pipeline("shop", [raw, staging, mart])
    for name, of, by in (("total", total, Total), ("cities", cities, Cities)):
        table = TableName("answers", name)
        pipeline.models[name] = Model(table, of, by, ("revenue",))
    return pipeline


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Target]:
    """Warehouses of one run, two, three and four: each knows one more file of sales."""
    folder = tmp_path_factory.mktemp("built")
    made = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "warehouse")
    run(SHOP, made)
    found = [copied(made, folder / "1")]
    for number, (name, *sales) in enumerate(FURTHER, 2):
        add(made, name, *sales)
        run(SHOP, made)
        found.append(copied(made, folder / str(number)))
    return found


@pytest.fixture
def one(built: list[Target], tmp_path: Path) -> Target:
    return copied(built[0], tmp_path)


def add(target: Target, name: str, *sales: tuple[str, int]) -> None:
    """Write another file of sales."""
    rows = ({"shop": shop, "day": "2024-05-03", "amount": str(amount)} for shop, amount in sales)
    assert target.raw is not None
    Path(target.raw / f"sales-{name}.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in rows))


def fresh(target: Target, pipeline: Pipeline = SHOP) -> dict[str, Rows]:
    """Return what a warehouse holds that never saw another run."""
    other = target.model_copy(update={"warehouse": target.warehouse / "_streampro" / "fresh"})
    run(pipeline, other)
    return contents(other)


def data_files(target: Target) -> set[str]:
    return {
        str(path.relative_to(target.warehouse)) for path in target.warehouse.glob("*/*/*.parquet")
    }


def logs(target: Target) -> Iterator[tuple[str, bytes]]:
    for path in sorted(target.warehouse.glob("*/*/_delta_log/*")):
        yield str(path), path.read_bytes()


class TestRollback:
    @pytest.mark.slow
    def test_publishes_the_old_tables_as_a_new_run(
        self, built: list[Target], tmp_path: Path
    ) -> None:
        target = copied(built[1], tmp_path)
        first = ledger.runs(target.warehouse)[0]
        old, newer = contents(target, 1), contents(target, 2)
        done = rollback(target, 1)
        assert ledger.runs(target.warehouse)[-1] == done
        assert (done.run_id, done.rolled_back_to, done.kind) == (3, 1, "rollback to 1")
        assert (done.code, done.inputs, done.lineage) == (first.code, first.inputs, first.lineage)
        assert (done.books, done.warnings, done.changes, done.moves) == ((), (), (), ())
        assert {item.seconds for item in done.tables} == {None}
        assert contents(target) == old != newer
        assert contents(target, 2) == newer

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "back",
        [
            (1,),
            (3, 1, 2),
            *(
                pytest.param(each, marks=pytest.mark.thorough)
                for each in ((1, 2), (2, 1), (1, 2, 1))
            ),
        ],
    )
    def test_next_run_gives_the_rows_of_a_full_run(
        self, back: tuple[int, ...], built: list[Target], tmp_path: Path
    ) -> None:
        target = copied(built[3], tmp_path)
        for run_id in back:
            rollback(target, run_id)
        done = run(SHOP, target)
        assert done.kind == "incremental"
        assert contents(target) == fresh(target)
        assert run(SHOP, target).kind == "unchanged"

    @pytest.mark.slow
    def test_next_run_leaves_out_a_file_that_is_gone(self, one: Target) -> None:
        assert one.raw is not None
        add(one, "wrong", ("a", 100_000))
        run(SHOP, one)
        rollback(one, 1)
        Path(one.raw / "sales-wrong.jsonl").unlink()
        assert run(SHOP, one).kind == "unchanged"
        assert contents(one) == fresh(one) == contents(one, 1)

    @pytest.mark.slow
    def test_columns_that_came_after_are_gone_in_the_next_run(self, one: Target) -> None:
        class Tagged(staging.Sales):
            """One row per distinct sale."""

            tag: str = column("Always x.")

            class Config:
                unique = ["shop", "day", "amount", "tag"]

        tagged = Pipeline("shop", [raw, staging, mart])
        tagged.models["sales"] = replace(
            staging.sales,
            transform=lambda raw_sales: (
                staging.sales(raw_sales)
                .mutate(tag=ibis.literal("x"))
                .relocate("tag", after="amount")
            ),
            contract=Tagged,
        )
        run(tagged, one)
        rollback(one, 1)
        add(one, "later", ("a", 100))
        assert run(SHOP, one).kind == "incremental"
        assert contents(one) == fresh(one)
        assert "tag" in contents(one, 2)["staging.sales"][0]

    @pytest.mark.slow
    def test_tells_what_moves_in_the_answers(self, target: Target) -> None:
        pipeline = with_answers()
        run(pipeline, target)
        add(target, "later", ("a", 100), ("z", 1))
        run(pipeline, target)
        assert set(rollback(target, 1, pipeline).moves) == {
            Move("answers.total", "", "amount", "123", "22"),
            Move("answers.cities", "city=Oslo", "amount", "115", "15"),
            Move("answers.cities", "city=None", "amount", "1", None),
        }

    @pytest.mark.slow
    def test_to_an_unknown_run_or_to_where_readers_are_is_refused(self, target: Target) -> None:
        with pytest.raises(ConfigError, match="has no published run yet"):
            rollback(target, 1)
        assert not target.warehouse.exists()
        run(SHOP, target)
        run(SHOP, target, full_refresh=True)
        with pytest.raises(ConfigError, match=r"has no run 3; the runs are 1 to 2\."):
            rollback(target, 3)
        with pytest.raises(ConfigError, match=r"run 2 is the newest of .*nothing to roll back"):
            rollback(target, 2)
        rollback(target, 1)
        with pytest.raises(ConfigError, match="already at run 1: run 3, the newest, rolled back"):
            rollback(target, 1)
        with pytest.raises(ConfigError, match=r"pipeline 'shop', not of 'other'.*--pipeline"):
            rollback(target, 2, Pipeline("other", [raw, staging, mart]))
        assert len(ledger.runs(target.warehouse)) == 3

    @pytest.mark.slow
    def test_while_another_writes_is_refused(self, built: list[Target], tmp_path: Path) -> None:
        target = copied(built[1], tmp_path)
        with (
            FileLock(target.warehouse / "_streampro" / "lock"),
            pytest.raises(WarehouseError, match="another run is writing"),
        ):
            rollback(target, 1)

    @pytest.mark.slow
    def test_from_a_damaged_run_is_possible(self, target: Target) -> None:
        pipeline = with_answers()
        run(pipeline, target)
        add(target, "later", ("a", 100))
        before = data_files(target)
        run(pipeline, target)
        [lost] = {file for file in data_files(target) - before if "answers/total" in file}
        (target.warehouse / lost).unlink()
        assert rollback(target, 1, pipeline).moves == ()
        assert contents(target)["answers.total"] == [{"amount": 22}]


@pytest.mark.slow
class TestClean:
    @pytest.fixture
    def three(self, built: list[Target], tmp_path: Path) -> Target:
        """A warehouse of three runs: sales change, shops stay."""
        return copied(built[2], tmp_path)

    def test_dry_run_tells_what_would_be_removed_and_removes_nothing(self, three: Target) -> None:
        before = data_files(three)
        found = clean(three, keep=1)
        assert [each.table for each in found] == ["mart.revenue"]
        sizes = {file: (three.warehouse / file).stat().st_size for file in found[0].files}
        assert found == [Cleaned("mart.revenue", tuple(sorted(sizes)), sum(sizes.values()))]
        assert data_files(three) == before

    @pytest.mark.slow
    def test_kept_runs_stay_and_older_ones_say_that_they_were_cleaned(self, three: Target) -> None:
        kept = {run_id: contents(three, run_id) for run_id in (2, 3)}
        before, log = data_files(three), list(logs(three))
        [found] = clean(three, keep=2, dry_run=False)
        assert data_files(three) == before - {*found.files}
        assert list(logs(three)) == log
        assert {run_id: contents(three, run_id) for run_id in (2, 3)} == kept
        assert [each.run_id for each in ledger.runs(three.warehouse)] == [1, 2, 3]
        told = (
            r"^run 1 was cleaned \(mart\.revenue lost files of version 0\); "
            r"the oldest that can be read is 2\.$"
        )
        with pytest.raises(WarehouseError, match=told):
            published.sql("SELECT 1", three, 1)
        with pytest.raises(WarehouseError, match=told):
            rollback(three, 1)
        assert snapshot.answers(three, ledger.runs(three.warehouse)[0]) is None
        assert clean(three, keep=2) == []

    @pytest.mark.slow
    def test_next_run_goes_on_from_what_is_kept(self, three: Target) -> None:
        clean(three, keep=1, dry_run=False)
        add(three, "fourth", ("b", 5))
        assert run(SHOP, three).kind == "incremental"
        assert contents(three) == fresh(three)

    @pytest.mark.slow
    def test_versions_that_the_next_run_compares_with_are_kept(self, target: Target) -> None:
        run(SHOP, target)
        assert target.raw is not None
        Path(target.raw / "shops.csv").write_text("shop,city\na,Bonn\nb,Rome\n")
        run(SHOP, target, select="shops")
        clean(target, keep=1, dry_run=False)
        done = run(SHOP, target)
        assert [each.mode for each in done.changes if each.keys == 1] == ["incremental"]
        assert contents(target) == fresh(target)

    @pytest.mark.slow
    def test_a_run_that_was_rolled_back_to_keeps_its_versions(self, three: Target) -> None:
        old = contents(three, 1)
        rollback(three, 1)
        [found] = clean(three, keep=1, dry_run=False)
        assert len(found.files) == 2, "those of run 2; run 3 has the newest versions"
        assert contents(three) == contents(three, 1) == old
        with pytest.raises(WarehouseError, match="run 2 was cleaned"):
            published.sql("SELECT 1", three, 2)
        run(SHOP, three)
        assert contents(three) == fresh(three)

    @pytest.mark.slow
    def test_what_others_wrote_is_left_alone(self, three: Target) -> None:
        revenue = three.warehouse / "mart" / "revenue"
        row = {"shop": "theirs", "city": None, "sales": 1, "amount": 1}
        schema = pa.schema(DeltaTable(str(revenue)).schema().to_arrow())
        write_deltalake(str(revenue), pa.Table.from_pylist([row], schema), mode="append")
        newest = DeltaTable(str(revenue)).to_pyarrow_table().num_rows
        write_deltalake(str(three.warehouse / "mart" / "theirs"), pa.table({"a": [1]}))
        write_deltalake(
            str(three.warehouse / "mart" / "theirs"), pa.table({"a": [2]}), mode="overwrite"
        )
        (revenue / "part-of-a-writer-at-work.parquet").write_bytes(b"PAR1")
        before, kept = data_files(three), contents(three)
        [found] = clean(three, keep=1, dry_run=False)
        assert data_files(three) == before - {*found.files}
        assert not any("theirs" in file or "at-work" in file for file in found.files)
        assert DeltaTable(str(revenue)).to_pyarrow_table().num_rows == newest
        assert contents(three) == kept

    @pytest.mark.slow
    def test_versions_that_a_killed_run_left_are_removed(self, three: Target) -> None:
        revenue = three.warehouse / "mart" / "revenue"
        schema = pa.schema(DeltaTable(str(revenue)).schema().to_arrow())
        before = data_files(three)
        row = {"shop": "lost", "city": None, "sales": 1, "amount": 1}
        write_deltalake(str(revenue), pa.Table.from_pylist([row], schema), mode="overwrite")
        [unpinned] = data_files(three) - before
        add(three, "fourth", ("b", 5))
        run(SHOP, three)
        DeltaTable(str(revenue)).create_checkpoint()
        [found] = clean(three, keep=4, dry_run=False)
        assert found.files == (unpinned,)
        assert [contents(three, run_id) for run_id in (1, 2, 3, 4)][-1] == fresh(three)

    def test_calls_that_make_no_sense_are_refused(self, target: Target) -> None:
        with pytest.raises(ConfigError, match="has no published run yet"):
            clean(target, keep=1, dry_run=False)
        assert not target.warehouse.exists()
        with pytest.raises(ConfigError, match="--keep 0 would keep no run"):
            clean(target, keep=0)
        remote = Target(name="far", engine="spark", warehouse=Remote("hdfs://bucket/w"))
        with pytest.raises(ConfigError, match="hdfs://bucket/w is neither"):
            clean(remote, keep=1)

    def test_while_another_writes_only_a_dry_run_is_possible(self, three: Target) -> None:
        with FileLock(three.warehouse / "_streampro" / "lock"):
            assert clean(three, keep=1)
            with pytest.raises(WarehouseError, match="another run is writing"):
                clean(three, keep=1, dry_run=False)

    def test_log_that_cannot_be_read_removes_nothing(self, three: Target) -> None:
        (three.warehouse / "staging" / "shops" / "_delta_log" / f"{0:020}.json").write_text("x")
        before = data_files(three)
        with pytest.raises(WarehouseError, match="shops: the log cannot be read"):
            clean(three, keep=1, dry_run=False)
        assert data_files(three) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modes", "kind"),
    [
        ([], "full"),
        (["full", "full"], "full"),
        (["unchanged", "unchanged"], "unchanged"),
        (["incremental", "full"], "incremental"),
        (["full", "unchanged"], "incremental"),
    ],
)
def test_kind_tells_how_much_was_computed(modes: list[Any], kind: str, one: Target) -> None:
    [done] = ledger.runs(one.warehouse)
    changes = tuple(Change("mart.revenue", mode, "because") for mode in modes)
    assert Run(**vars(done) | {"changes": changes}).kind == kind


@pytest.mark.slow
def test_ledger_that_knew_no_rollback_is_read_and_goes_on(one: Target) -> None:
    [done] = ledger.runs(one.warehouse)
    folder = one.warehouse / "_streampro" / "runs"
    rows = delta.read(Disk(folder))
    assert rows is not None
    older = rows.drop_columns(["rolled_back_to"])
    write_deltalake(str(folder), older, mode="overwrite", schema_mode="overwrite")
    assert ledger.runs(one.warehouse) == [done]
    add(one, "later", ("a", 100))
    run(SHOP, one)
    rollback(one, 1)
    assert [each.rolled_back_to for each in ledger.runs(one.warehouse)] == [None, None, 1]


@pytest.mark.slow
def test_ledger_that_knew_no_etag_is_read_and_goes_on(one: Target) -> None:
    [done] = ledger.runs(one.warehouse)
    folder = one.warehouse / "_streampro" / "runs"
    rows = delta.read(Disk(folder))
    assert rows is not None
    files = [[{**file, "etag": None} for file in each] for each in rows["inputs"].to_pylist()]
    older = pa.list_(pa.struct(list(rows["inputs"].type.value_type)[:4]))
    at = rows.schema.get_field_index("inputs")
    without = rows.set_column(at, "inputs", pa.array(files, older))
    write_deltalake(str(folder), without, mode="overwrite", schema_mode="overwrite")
    assert ledger.runs(one.warehouse) == [done]
    files = tuple(replace(f, etag="x") for f in done.inputs)
    stored = replace(done, run_id=2, inputs=files, files_version=None)
    ledger.append(one.warehouse, stored)
    assert ledger.runs(one.warehouse) == [done, stored]


@pytest.mark.parametrize(
    ("then", "now", "is_still"),
    [(1, 1, True), (1, 2, False), (None, 2, True), (1, None, True)],
)
def test_file_of_a_disk_is_known_by_when_it_changed_where_the_ledger_knows(
    then: int | None, now: int | None, is_still: bool
) -> None:
    known, found = (InputFile("sales", "a.jsonl", 3, 10, changed_ns=each) for each in (then, now))
    assert known.is_still(found) is is_still


@pytest.mark.parametrize(
    ("size", "modified_ns", "etag", "is_still"),
    [
        (3, 10, "a", True),
        (3, 99, "a", True),  # the same content was stored again
        (3, 10, "b", False),
        (4, 10, "a", False),
        (3, 10, None, True),
        (3, 99, None, False),
    ],
)
def test_file_is_known_by_its_etag_where_there_is_one(
    size: int, modified_ns: int, etag: str | None, is_still: bool
) -> None:
    known = InputFile("sales", "a.jsonl", 3, 10, "a")
    assert known.is_still(InputFile("sales", "a.jsonl", size, modified_ns, etag)) is is_still


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spoilt"),
    [("pipeline", pa.array([b"\xb0"]).view(pa.string())), ("started_at", pa.array(["once"]))],
)
def test_rows_that_are_no_runs_are_damage(one: Target, name: str, spoilt: pa.Array) -> None:
    place = place_of(one.warehouse)
    rows = delta.read(place.table(RUNS))
    assert rows is not None
    wrong = rows.slice(0, 1).set_column(rows.column_names.index(name), name, spoilt)
    with pytest.raises(WarehouseError, match="the ledger does not hold what was written"):
        ledger.runs_of(place, wrong)


@pytest.mark.slow
def test_a_row_that_is_not_as_it_was_written_is_damage(one: Target) -> None:
    place = place_of(one.warehouse)
    rows = delta.read(place.table(RUNS))
    assert rows is not None
    [written] = ledger.runs_of(place, rows)
    for name, other in (
        ("finished_at", written.finished_at.replace(year=2031)),
        ("code", [("sales", "another")]),
        ("warnings", []),
        ("checked", "no"),
    ):
        at = rows.column_names.index(name)
        wrong = rows.set_column(at, rows.schema.field(at), pa.array([other], rows.schema[at].type))
        if wrong != rows:
            with pytest.raises(WarehouseError, match="the ledger does not hold what was written"):
                ledger.runs_of(place, wrong)
    assert ledger.runs_of(place, rows.drop_columns(["digest"])) == [written]


@pytest.mark.slow
def test_a_flipped_bit_of_the_ledger_never_tells_another_run(one: Target) -> None:
    before, random = ledger.runs(one), Random(7)
    [path] = Path(str(one.warehouse)).glob("_streampro/runs/*.parquet")
    whole = path.read_bytes()
    for _ in range(200):
        spoilt, place = bytearray(whole), random.randrange(len(whole))
        spoilt[place] ^= 1 << random.randrange(8)
        path.write_bytes(spoilt)
        with suppress(WarehouseError):
            assert ledger.runs(one) == before
