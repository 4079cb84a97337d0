"""A key taken out of every version of every table."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from pipelines.plain import plain_models
from pipelines.shop import SALES, SHOP, SHOPS, answers, mart, raw, staging, write_raw
from published import ANNA, contents, holding, without_anna
from stopped import dies_after, hears_a_signal_at, numbers_of_steps

import streampro
from streampro import Contract, column
from streampro.cli import cli
from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.formats.csv.dialect import Dialect
from streampro.location import Remote
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.portable import to_integer
from streampro.storage import rewrite
from streampro.testing import Workbench
from streampro.warehouse import ledger
from streampro.warehouse.folders import writing
from streampro.warehouse.upkeep.forget import Key, forget
from streampro.warehouse.upkeep.key import key_of

HERS = f"""\
{{"shop": "{ANNA}", "day": "2024-05-01", "amount": "10"}}
{{"shop": "{ANNA}", "day": "soon"}}
{{"shop": "zz-anna\\u0040example.org", "day": "sooner"}}
{{"shop": "{ANNA}", "bro
"""
LATER = f'{{"shop": "a", "day": "2024-06-01", "amount": "1"}}\n{{"shop": "{ANNA}", "day": "x"}}\n'


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def two_runs(target: Target, run: Callable[..., Any]) -> None:
    """Build tables from all sales, then from a file that came later."""
    assert target.raw is not None
    write_raw(target.raw, SALES + HERS, SHOPS + f"{ANNA},Ulm\n")
    run(SHOP, target)
    (target.raw / "sales-later.jsonl").write_text(LATER)
    run(SHOP, target)


def fresh(folder: Path) -> Target:
    folder.mkdir()
    return Target(name="test", raw=folder / "raw", warehouse=folder / "warehouse")


@pytest.fixture(scope="session")  # tests of other modules may run between those of this one
def built(tmp_path_factory: pytest.TempPathFactory) -> Target:
    target = fresh(tmp_path_factory.mktemp("built") / "first")
    two_runs(target, streampro.run)
    return target


@pytest.fixture
def target(built: Target, tmp_path: Path) -> Target:
    """A warehouse after two runs that hold the key."""
    shutil.copytree(built.warehouse.parent, tmp_path / "copy")
    return Target(name="test", raw=tmp_path / "copy/raw", warehouse=tmp_path / "copy/warehouse")


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_key_is_in_no_byte_and_all_else_as_it_was(engine: Workbench, tmp_path: Path) -> None:
    target = fresh(tmp_path / engine.name)
    two_runs(target, engine.run)
    DeltaTable(target.warehouse / "staging" / "sales").create_checkpoint()
    before = {run: contents(target, run) for run in (1, 2)}
    assert holding(target.warehouse, "zz-anna") != []
    done = forget(target, {"shop": ANNA}, pipeline=SHOP)
    assert [(each.table, each.rows, each.versions) for each in done.tables] == [
        ("mart.revenue", 1, 2),
        ("staging.sales", 1, 2),
        ("staging.sales_rejected", 4, 2),
        ("staging.shops", 1, 1),
    ]
    assert holding(target.warehouse, "zz-anna") == []
    assert {run: contents(target, run) for run in (1, 2)} == {
        run: without_anna(tables) for run, tables in before.items()
    }
    for run in ledger.runs(target.warehouse):
        rows = {item.table: item.rows for item in run.tables}
        assert rows == {name: len(each) for name, each in contents(target, run.run_id).items()}
    assert engine.run(SHOP, target).kind == "unchanged"
    assert target.raw is not None
    (target.raw / "sales-new.jsonl").write_text('{"shop": "a", "day": "2024-07-01"}\n')
    assert engine.run(SHOP, target).kind == "incremental"
    assert contents(target, 3) == {
        **without_anna(before[2]),
        "staging.sales": contents(target, 3)["staging.sales"],
        "mart.revenue": contents(target, 3)["mart.revenue"],
    }
    assert holding(target.warehouse, "zz-anna") == []


@pytest.mark.slow
def test_raw_files_that_hold_it_are_named_and_bring_it_back(target: Target) -> None:
    assert target.raw is not None
    done = forget(target, {"shop": ANNA}, pipeline=SHOP)
    assert done.raw is not None
    assert [(file.path, file.lines) for file in done.raw] == [
        ("sales-later.jsonl", 1),
        ("sales.jsonl", 4),
        ("shops.csv", 1),
    ]
    streampro.run(SHOP, target, full_refresh=True)
    assert holding(target.warehouse, "zz-anna") != []
    write_raw(target.raw)
    (target.raw / "sales-later.jsonl").unlink()
    streampro.run(SHOP, target, accept_lost_files=True)
    assert forget(target, {"shop": ANNA}, pipeline=SHOP).raw == ()
    assert holding(target.warehouse, "zz-anna") == []
    again = forget(target, {"shop": ANNA}, pipeline=SHOP)
    assert (again.tables, again.raw) == ((), ())


@pytest.mark.slow
def test_statistics_of_files_that_were_cleaned_are_forgotten(target: Target) -> None:
    assert target.raw is not None
    write_raw(target.raw)
    (target.raw / "sales-later.jsonl").unlink()
    streampro.run(SHOP, target, accept_lost_files=True)
    streampro.clean(target, keep=1, dry_run=False)
    assert holding(target.warehouse, "zz-anna") != []
    done = forget(target, {"shop": ANNA})
    assert {(each.rows, each.versions, each.files) for each in done.tables} == {(0, 0, 0)}
    assert all(each.entries for each in done.tables)
    assert done.raw is None
    assert holding(target.warehouse, "zz-anna") == []


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_statistics_hold_no_value_of_a_personal_column(engine: Workbench, tmp_path: Path) -> None:
    module = ModuleType("staging")
    module.__dict__.update(vars(staging))

    class Shops(Contract):
        """One row per shop."""

        shop: str = column("Shop.", personal=True)
        city: str = column("City.", nullable=True)

    class Names(Contract):
        """One row per city."""

        city: str = column("City.", nullable=True)
        first: str = column("First shop.")
        longest: dt.Int64 = column("Letters of the longest name.")

    def names(shops: ir.Table) -> ir.Table:
        return shops.group_by("city").agg(
            first=(shops.shop + "!").min(), longest=shops.shop.length().max().cast("int64")
        )

    module.shops = replace(staging.shops, contract=Shops)
    names.__module__ = staging.__name__
    module.names = streampro.model(contract=Names)(names)
    target = fresh(tmp_path / engine.name)
    two_runs(target, lambda _, target: engine.run(Pipeline("shop", [raw, module, mart]), target))
    [added, of_names] = [
        json.loads(line)["add"]
        for table in ("shops", "names")
        for path in target.warehouse.glob(f"staging/{table}/_delta_log/*.json")
        for line in path.read_text().splitlines()
        if "Ulm" in line
    ]
    assert json.loads(of_names["stats"])["minValues"].keys() == {"city", "longest"}
    stats = json.loads(added["stats"])
    assert (stats["minValues"], stats["maxValues"]) == ({"city": "Oslo"}, {"city": "Ulm"})
    assert stats["nullCount"]["shop"] == 0
    for path in target.warehouse.glob("staging/sales_rejected/_delta_log/*.json"):
        assert "zz-anna" not in path.read_text()


def test_dry_run_tells_the_same_and_changes_nothing(target: Target) -> None:
    before = digests(target.warehouse)
    told = forget(target, {"shop": ANNA}, pipeline=SHOP, dry_run=True)
    assert digests(target.warehouse) == before
    assert told == forget(target, {"shop": ANNA}, pipeline=SHOP)


@pytest.mark.slow
def test_killed_at_any_step_every_version_is_readable_and_the_next_call_completes(
    target: Target, tmp_path: Path
) -> None:
    DeltaTable(target.warehouse / "staging" / "sales").create_checkpoint()
    before = {run: contents(target, run) for run in (1, 2)}
    after = {run: without_anna(tables) for run, tables in before.items()}
    for steps in numbers_of_steps(200, 11):
        shutil.copytree(target.warehouse, tmp_path / f"{steps}")
        mine = target.model_copy(update={"warehouse": tmp_path / f"{steps}"})
        if not dies_after(steps, partial(forget, mine, {"shop": ANNA})):
            break
        for run in (1, 2):
            found = contents(mine, run)
            assert without_anna(found) == after[run], (steps, run)
            for table, rows in found.items():
                assert all(rows.count(row) <= before[run][table].count(row) for row in rows), steps
        forget(mine, {"shop": ANNA})
        assert {run: contents(mine, run) for run in (1, 2)} == after
        assert holding(mine.warehouse, "zz-anna") == [], steps
        shutil.rmtree(mine.warehouse)
    assert 30 < steps < 199


def test_a_signal_stops_forget_before_it_changes_anything_or_when_all_is_done(
    target: Target,
) -> None:
    before = {run: contents(target, run) for run in (1, 2)}
    hears_a_signal_at(rewrite, "prepared", partial(forget, target, {"shop": ANNA}))
    assert {run: contents(target, run) for run in (1, 2)} == before
    hears_a_signal_at(rewrite, "carry_out", partial(forget, target, {"shop": ANNA}))
    assert {run: contents(target, run) for run in (1, 2)} == {
        run: without_anna(tables) for run, tables in before.items()
    }
    assert streampro.verify(SHOP, target).damages == ()
    assert holding(target.warehouse, "zz-anna") == []


class Cities(Contract):
    """One row per city."""

    city: str = column("City.")
    shops: dt.Int64 = column("Shops.", unit="shops")

    class Config:
        unique = ["city"]


def cities(shops: ir.Table) -> ir.Table:
    known = shops.filter(shops.city.notnull())
    return known.group_by("city").aggregate(shops=known.count())


COUNTED = SHOP.with_model(
    Model(TableName("mart", "cities"), cities, Cities, ("shops",), owner="geography")
)


@pytest.mark.slow
@pytest.mark.parametrize("is_told", [True, False])
def test_what_counts_over_forgotten_rows_is_built_anew_by_the_next_run(
    is_told: bool, tmp_path: Path
) -> None:
    """And not before: until then it cannot be explained."""
    target = fresh(tmp_path / "counted")
    assert target.raw is not None
    write_raw(target.raw, SALES + HERS, SHOPS + f"{ANNA},Oslo\n")
    streampro.run(COUNTED, target)
    forget(target, {"shop": ANNA}, pipeline=COUNTED if is_told else None)
    with pytest.raises(ConfigError, match=r"rows of staging\.shops were forgotten"):
        streampro.explain(COUNTED, target, "cities", "city = 'Oslo'")
    write_raw(target.raw, SALES, SHOPS)
    run = streampro.run(COUNTED, target)
    assert {"city": "Oslo", "shops": 1} in contents(target, run.run_id)["mart.cities"]
    assert streampro.explain(COUNTED, target, "cities", "city = 'Oslo'")


@pytest.mark.slow
def test_moves_of_answers_and_names_of_files_are_forgotten(target: Target) -> None:
    told = Pipeline("shop", [raw, staging, mart, answers])
    assert target.raw is not None
    (target.raw / "shops.csv").write_text(SHOPS.replace("Rome", "Zz-Ulm"))
    (target.raw / "sales-Zz-Ulm.jsonl").write_text('{"shop": "b", "day": "2024-06-01"}\n')
    streampro.run(told, target)
    write_raw(target.raw)
    (target.raw / "sales-Zz-Ulm.jsonl").unlink()
    moved = streampro.run(told, target, accept_lost_files=True).moves
    assert any("Zz-Ulm" in move.row for move in moved)
    streampro.export("mart.revenue", target, to=str(target.raw.parent / "Zz-Ulm.csv"))
    forget(target, {"city": "Zz-Ulm"}, pipeline=told)
    assert holding(target.warehouse, "Zz-Ulm") == []
    assert any(run.moves for run in ledger.runs(target.warehouse))
    assert streampro.run(told, target).kind == "unchanged"


ODD = ['zz"anna', "zz\\anna", "zz/anna", "zz\tanna", "zz😀anna", "zzännä"]


@pytest.mark.slow
@pytest.mark.parametrize("key", ODD)
def test_signs_that_json_and_csv_escape_hide_no_key(key: str, tmp_path: Path) -> None:
    target = fresh(tmp_path / "odd")
    sale = {"shop": key, "day": "soon"}
    lines = [json.dumps(sale), json.dumps(sale, ensure_ascii=False), json.dumps(sale)[:-4]]
    lines += ["not json", json.dumps(sale | {"shop": "other", "day": "soon"})]
    shops = SHOPS + "".join(f'"{each.replace(chr(34), 2 * chr(34))}",Ulm\n' for each in ODD)
    assert target.raw is not None
    write_raw(target.raw, "\n".join(lines) + "\n" + SALES, shops)
    streampro.run(SHOP, target)
    done = forget(target, {"shop": key}, pipeline=SHOP)
    rows = {each.table: each.rows for each in done.tables}
    assert (rows["staging.sales_rejected"], rows["staging.shops"]) == (3, 1)
    assert {(file.path, file.lines) for file in done.raw or ()} == {
        ("sales.jsonl", 3),
        ("shops.csv", 1),
    }
    spelt = (key, json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1])
    assert [holding(target.warehouse, each) for each in spelt] == [[], [], []]


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (Dialect(delimiter=";"), "a;42;x"),
        (Dialect(quote="'"), "'a,b',42"),
        (Dialect(delimiter="^", quote=None), "42^x"),
    ],
)
def test_numbers_are_found_in_texts_of_every_dialect(dialect: Dialect, line: str) -> None:
    fields = {"id": ("id",)}
    lines = Source("lines", ("*.csv",), "csv", fields, dialect=dialect)
    module = ModuleType("raw")
    module.lines = lines  # type: ignore[attr-defined]
    key = key_of({"id": 42}, Pipeline("told", [raw, staging, mart, module]))
    assert key.is_in(line)
    assert not key.is_in(line.replace("42", "421"))


def test_numbers_are_found_by_the_name_that_raw_lines_have_for_a_column() -> None:
    class Owners(Contract):
        """One row per line."""

        user_id: dt.Int64 = column("Who.", nullable=True)

    def owners(lines: ir.Table) -> ir.Table:
        return lines.select(user_id=to_integer(lines.owner))

    source = Source("lines", ("*.jsonl",), "json_lines", {"owner": ("account", "uid")})
    key = key_of({"user_id": 42}, plain_models([source], Owners, owners))
    assert key.is_in('{"account": {"uid": 42}}')
    assert key.is_in('{"account":{"uid":"42"}}')
    assert not key.is_in('{"account": {"age": 42}}')


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_rejected_lines_of_others_lose_the_name_of_its_file(
    engine: Workbench, tmp_path: Path
) -> None:
    target = fresh(tmp_path / engine.name)
    assert target.raw is not None
    write_raw(target.raw)
    (target.raw / f"sales-{ANNA}.jsonl").write_text(SALES)
    engine.run(SHOP, target)
    before = contents(target, 1)["staging.sales_rejected"]
    done = forget(target, {"shop": ANNA})
    assert [(each.table, each.rows, each.files) for each in done.tables] == [
        ("staging.sales_rejected", 0, 1)
    ]
    assert contents(target, 1)["staging.sales_rejected"] == [
        {**row, "source_file": row["source_file"].replace(ANNA, "***")} for row in before
    ]
    assert holding(target.warehouse, ANNA) == []


@pytest.mark.parametrize(
    ("value", "line", "is_in"),
    [
        ("anna", '{"user": "anna"}', True),
        ("anna", '{"user": "joanna"}', False),
        ("anna", "anna,free", True),
        ("anna", '{"user": "anna', True),
        ("a/b", '{"user": "a\\/b"}', True),
        ("é", '{"user": "\\u00e9"}', True),
        ("42", '{"user": 42, "n": 1}', True),
        ("42", '{"uid": "42"}', True),
        ("42", '{"user": 421}', False),
        ("42", '{"user": 7, "n": 42}', False),
        ("42", '{"user": 42', True),
        ("42", "42,free", True),
        ("42", "free,142", False),
        ("42", 'free,"42"', True),
        ('a"b', '{"user": "a\\"b"}', True),
        ('a"b', '"a""b",free', True),
        ("a\\b", '{"user": "a\\\\b"}', True),
        ("a\tb", '{"user": "a\\tb"}', True),
        ("a\nb", '{"user": "a\\u000ab"}', True),
        ("a😀", '{"user": "a\\ud83d\\ude00"}', True),
        ("a😀", '{"user": "a\\ud83d\\ude0', False),
    ],
)
def test_key_in_a_raw_line(value: str, line: str, is_in: bool) -> None:
    assert Key("user", value, frozenset({"user", "uid"})).is_in(line) is is_in


@pytest.mark.parametrize(
    ("value", "line", "is_in"),
    [
        ("042", '{"user": 42}', True),
        ("+42", '{"user":4.2e1, "n": 1}', True),
        ("42", '{"user": "042"', True),
        ("42", "free,42.0", True),
        ("42", "042", True),
        ("42", '{"user": 420}', False),
        ("42", '{"n": 042}', False),
        ("42", "4.2,free", False),
    ],
)
def test_number_in_a_raw_line_however_it_is_spelt(value: str, line: str, is_in: bool) -> None:
    key = Key("user", value, frozenset({"user"}))
    assert key.read_as([pa.field("user", pa.int64())]).is_in(line) is is_in


@pytest.mark.parametrize(
    ("key", "column", "found"),
    [
        (Key("user", "anna", frozenset()), ["anna", "bob", None, "anna"], 2),
        (Key("user", "anna", frozenset()), ["joanna", "anna b"], 0),
        (Key("user", "anna", frozenset()), [["bob", "anna"], None, []], 1),
        (Key("user", "anna", frozenset()), [[{"a": None, "b": ["anna"]}]], 1),
        (Key("user", "42", frozenset()), [42, 43], 0),
        (Key("user", "042", frozenset(), number="42"), [42, 43], 0),
        (Key("user", "42", frozenset(), references=frozenset({("t", "of")})), [42, 43], 1),
        (Key("user", "42", frozenset(), references=frozenset({("s", "of")})), [42, 43], 0),
    ],
)
def test_value_in_columns_of_other_names(key: Key, column: list[Any], found: int) -> None:
    assert key.elsewhere("t", pa.table({"of": column})) == ({"of": found} if found else {})


def test_numbers_are_found_by_their_value_and_types_that_cannot_have_it_are_passed_over(
    target: Target,
) -> None:
    done = forget(target, {"amount": 7})
    assert {each.table: each.rows for each in done.tables} == {
        "mart.revenue": 1,
        "staging.sales": 1,
    }


def test_calls_that_cannot_be_meant_are_refused(target: Target, tmp_path: Path) -> None:
    for key in ({}, {"a": 1, "b": 2}, {"a": None}, {"a": " "}, {"": "a"}):
        with pytest.raises(ConfigError, match="one column and its value"):
            forget(target, key)
    with pytest.raises(ConfigError, match=r"no table has a column 'shp'\. Did you mean 'shop'"):
        forget(target, {"shp": ANNA}, pipeline=SHOP)
    friends = pa.field("names", pa.list_(pa.string()))
    with pytest.raises(ConfigError, match=r"names is of type list<.*: no single value, so no key"):
        Key("names", "a", frozenset()).refuse_nested_column([friends])
    with pytest.raises(ConfigError, match="no amount is 'much': it is of type int64"):
        forget(target, {"amount": "much"}, pipeline=SHOP)
    empty = Target(name="test", warehouse=tmp_path / "none")
    with pytest.raises(ConfigError, match="no published run"):
        forget(empty, {"shop": "a"})
    with pytest.raises(ConfigError, match="hdfs://b/w is neither"):
        forget(Target(name="t", engine="spark", warehouse=Remote("hdfs://b/w")), {"shop": "a"})
    other = Pipeline("other", [raw, staging, mart])
    with pytest.raises(ConfigError, match="warehouse of pipeline 'shop', not of 'other'"):
        forget(target, {"shop": "a"}, pipeline=other)
    with (
        writing(target.warehouse),
        pytest.raises(WarehouseError, match="another run is writing"),
    ):
        forget(target, {"shop": "a"})
    (target.warehouse / "mart/revenue/_delta_log" / f"{0:020}.json").unlink()
    with pytest.raises(WarehouseError, match="entries of the log are missing"):
        forget(target, {"shop": "a"})


@pytest.mark.slow
def test_places_of_exports_are_named(target: Target, tmp_path: Path) -> None:
    to = str(tmp_path / "shops.csv")
    streampro.export("staging.shops", target, to, run_id=1)
    streampro.export("staging.shops", target, to)
    done = forget(target, {"shop": ANNA}, dry_run=True)
    assert [(each.table, each.to, each.run_id) for each in done.exported] == [
        ("staging.shops", to, 2)
    ]
    places = ["--raw", str(target.raw), "--warehouse", str(target.warehouse)]
    command = ["forget", "--pipeline", "pipelines.shop:SHOP", *places, "--key", f"shop={ANNA}"]
    told = f"staging.shops as of run 2 was exported to {to}, which is not changed: export it again"
    assert told in " ".join(CliRunner().invoke(cli, command).output.split())
    assert forget(target, {"shop": ANNA}).exported == ()


@pytest.mark.slow
def test_command_names_what_it_did_and_exits_with_1_while_raw_files_hold_it(target: Target) -> None:
    places = ["--raw", str(target.raw), "--warehouse", str(target.warehouse)]
    command = ["forget", "--pipeline", "pipelines.shop:SHOP", *places]
    done = CliRunner().invoke(cli, [*command, "--key", f"shop={ANNA}"])
    assert done.exit_code == 1
    for said in ("staging.sales_rejected", "still in shops.csv: 1 line", "brings the rows back"):
        assert said in done.output
    done = CliRunner().invoke(cli, [*command, "--key", "shop=nobody"])
    assert (done.exit_code, done.output) == (0, "No table holds shop=nobody.\n")
    done = CliRunner().invoke(cli, [*command, "--key", "shop=Oslo"])
    assert done.exit_code == 1
    told = "staging.shops.city still has it in 1 row: streampro forget --key city=Oslo"
    assert told in done.output
    done = CliRunner().invoke(cli, [*command, "--key", "shop"])
    assert isinstance(done.exception, ConfigError)
