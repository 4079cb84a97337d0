"""Tables whose files are damaged: whoever reads one says so, from what the log and the disk say."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pipelines.kinds import KINDS, LINES

import streampro
from streampro import Target, WarehouseError
from streampro.console.output import print_past_run
from streampro.location import Remote
from streampro.modeling.model import TableName
from streampro.proofs.compare import Comparison, Version
from streampro.storage import delta
from streampro.storage.place import place_of
from streampro.warehouse.snapshot import Snapshot, published_run

DAYS = TableName.of("answers.days")


def asked_as_expression(target: Target) -> None:
    with streampro.published(target) as tables:
        tables.table(str(DAYS))


def compared(target: Target) -> None:
    with Comparison(target) as comparison:
        comparison.digest(Version(place_of(target.warehouse).table(DAYS), 0))


COMMANDS: dict[str, Callable[[Target], object]] = {
    "sql": lambda target: streampro.sql("select count(*) from answers.days", target),
    "sql of a file": lambda target: streampro.sql("from Days", target, allow_files=True),
    "sql that pivots": lambda target: streampro.sql('pivot "days" on day using count(*)', target),
    "sql that explains": lambda target: streampro.sql("explain from days", target),
    "sql of a run": lambda target: streampro.sql("from answers.days", target, 1),
    "published": asked_as_expression,
    "explain": lambda target: streampro.explain(KINDS, target, "days"),
    "explain --where": lambda target: streampro.explain(KINDS, target, "days", "day is not null"),
    "report": lambda target: streampro.write_report(KINDS, target),
    "test": lambda target: streampro.test(KINDS, target),
    "answers": lambda target: Snapshot(target.warehouse, published_run(target)).small_table(DAYS),
    "prove": compared,
}
"""What reads a published table, by its name."""

NO_ADVICE = {"prove"}
"""What reads tables of warehouses that are of no use after it."""


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def lengthen(file: Path) -> None:
    file.write_bytes(b"PAR1" + file.read_bytes())


def replace_by_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("whole")
    (folder / "raw").mkdir()
    (folder / "raw" / "parts.jsonl").write_text(LINES)
    target = Target(name="t", raw=folder / "raw", warehouse=folder / "w")
    streampro.run(KINDS, target)
    return target


@pytest.fixture
def target(whole: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(str(whole.warehouse)), tmp_path / "w")
    return whole.model_copy(update={"warehouse": tmp_path / "w"})


def data_file(target: Target, table: TableName = DAYS) -> Path:
    return next((Path(str(target.warehouse)) / table.layer / table.name).glob("*.parquet"))


@pytest.mark.parametrize(
    ("command", "damage"),
    [
        *((command, damage) for command in COMMANDS for damage in (remove, cut)),
        *(("sql", damage) for damage in (empty, lengthen, replace_by_a_folder)),
    ],
)
def test_whatever_reads_a_damaged_table_says_so(
    command: str, damage: Callable[[Path], None], target: Target
) -> None:
    file = data_file(target)
    damage(file)
    with pytest.raises(WarehouseError) as caught:
        COMMANDS[command](target)
    assert "answers/days cannot be read: 1 of its data files are damaged" in str(caught.value)
    assert file.name in str(caught.value)
    assert ("--full-refresh" in str(caught.value)) == (command not in NO_ADVICE)


@pytest.mark.parametrize("command", COMMANDS)
def test_whatever_reads_a_table_without_its_log_says_so(command: str, target: Target) -> None:
    for entry in (data_file(target).parent / "_delta_log").iterdir():
        entry.unlink()
    with pytest.raises(WarehouseError, match=r"version 0 of .*answers/days cannot be read"):
        COMMANDS[command](target)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sql", "published", "explain --where", "test", "answers"])
def test_what_is_damaged_is_told_of_no_other_table(command: str, target: Target) -> None:
    rejected = next(t.table for t in published_run(target).tables if "rejected" in t.table.name)
    (Path(str(target.warehouse)) / rejected.layer / rejected.name).rename("gone")
    COMMANDS[command](target)


@pytest.mark.parametrize("damage", [remove, cut])
def test_damage_is_found_in_a_store(damage: Callable[[Path], None], target: Target) -> None:
    store = place_of(Remote(f"file://{target.warehouse}")).table(DAYS)
    assert [path.name for path in data_file(target).parent.glob("*.parquet")] == [
        *delta.stored(store, 0).files
    ]
    damage(data_file(target))
    with pytest.raises(WarehouseError, match=r"1 of its data files are damaged; part-"):
        delta.stored(store, 0)


def test_past_answers_that_are_damaged_are_told(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(data_file(target))
    print_past_run(target, KINDS, 1, as_json=False)
    assert "answers cannot be read: " in capsys.readouterr().err


@pytest.mark.slow
def test_a_full_refresh_mends_what_is_damaged(target: Target) -> None:
    cut(data_file(target))
    streampro.run(KINDS, target, full_refresh=True)
    for name in COMMANDS.keys() - {"sql of a run", "prove"}:  # these name what is damaged
        COMMANDS[name](target)
