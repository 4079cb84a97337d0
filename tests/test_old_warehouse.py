"""A warehouse of an earlier release is read, continued and rolled back by this one.

`old_warehouse.py` wrote it. Only public names are used: what a user of that release has.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from old_warehouse import Table, as_json, contents

import streampro
from streampro.testing import Workbench
from streampro.viewing import PIPELINE

RELEASES = sorted((Path(__file__).parent / "data").glob("warehouse-of-*"))


@dataclass(frozen=True)
class Old:
    """A copy of the warehouse, its raw files as old as its ledger says, and what is expected."""

    release: Path
    target: streampro.Target
    runs: list[dict[str, Any]]
    tables: dict[int, dict[str, Table]]

    def add_later_files(self) -> None:
        shutil.copytree(self.release / "later", Path(str(self.target.raw)), dirs_exist_ok=True)


@pytest.fixture(scope="session")
def as_in_a_full_run(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Old], dict[str, Table]]:
    """What a run in a new warehouse makes of the raw files of a release and the later ones."""

    @cache
    def tables(release: Path) -> dict[str, Table]:
        folder = tmp_path_factory.mktemp("whole")
        for raw in ("raw", "later"):
            shutil.copytree(release / raw, folder / "raw", dirs_exist_ok=True)
        target = streampro.Target(name="new", raw=folder / "raw", warehouse=folder / "warehouse")
        streampro.run(PIPELINE, target)
        return contents(target)

    return lambda old: tables(old.release)


@pytest.fixture(params=RELEASES, ids=lambda folder: folder.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    release: Path = request.param
    raw, warehouse = tmp_path / "raw", tmp_path / "warehouse"
    shutil.copytree(release / "raw", raw)
    shutil.copytree(release / "tables", warehouse)
    for file in streampro.runs(warehouse)[-1].inputs:
        os.utime(raw / file.path, ns=(file.modified_ns, file.modified_ns))
    text = (release / "expected.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    told = [line for line in lines if "run" in line]
    tables: dict[int, dict[str, Table]] = {line["run"]["run_id"]: {} for line in told}
    for line in lines:
        if "table" in line:
            found = {"columns": line["columns"], "rows": line["rows"]}
            tables[line["run_id"]][line["table"]] = found
    return Old(release, streampro.Target(name="old", raw=raw, warehouse=warehouse), told, tables)


def differences(told: Any, expected: Any, at: str = "run") -> Iterator[str]:
    """Yield where JSON values say something else. A later release may tell more, never less."""
    if isinstance(expected, dict) and isinstance(told, dict):
        for name, value in expected.items():
            if name in told:
                yield from differences(told[name], value, f"{at}.{name}")
            else:
                yield f"{at}.{name} is gone"
    elif isinstance(expected, list) and isinstance(told, list) and len(expected) == len(told):
        for number, (one, other) in enumerate(zip(told, expected, strict=True)):
            yield from differences(one, other, f"{at}[{number}]")
    elif told != expected:
        yield f"{at} is {told!r}, was {expected!r}"


def modes(run: streampro.Run) -> dict[str, str]:
    return {change.table: change.mode for change in run.changes}


def test_there_is_a_warehouse_of_the_first_release() -> None:
    assert "warehouse-of-0.1" in {folder.name for folder in RELEASES}


def test_runs_are_told_as_they_were(old: Old) -> None:
    runs = streampro.runs(old.target.warehouse)
    assert [run.kind for run in runs] == [line["kind"] for line in old.runs]
    for run, line in zip(runs, old.runs, strict=True):
        assert [*differences(json.loads(json.dumps(run.to_json())), line["run"])] == []


@pytest.mark.slow
def test_rows_of_every_run_are_read(old: Old) -> None:
    assert old.tables
    for run_id, tables in old.tables.items():
        assert contents(old.target, run_id) == tables
    assert contents(old.target) == old.tables[max(old.tables)]


@pytest.mark.slow
def test_sql_asks_every_run(old: Old) -> None:
    for run_id, tables in old.tables.items():
        found = streampro.sql("from mart.fact_user_session", old.target, run_id)
        assert as_json(found.column_names, found.to_pylist()) == tables["mart.fact_user_session"]


REBUILT = ("full", "its expression or its contract changed")
BY_DIGESTS_OF_SQL = ("warehouse-of-0.1",)
"""Releases whose models have another code hash than the present ones, and so are built anew once.
Another release is added here only with a line in the changelog that says so to users.
"""


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_first_run_builds_anew_what_has_another_code_hash_and_says_so(
    old: Old, engine: Workbench
) -> None:
    before = streampro.runs(old.target.warehouse)[-1]
    done = engine.run(PIPELINE, old.target)
    told = {change.table: (change.mode, change.reason) for change in done.changes}
    nothing = ("unchanged", "nothing it is built from changed")
    expected = REBUILT if old.release.name in BY_DIGESTS_OF_SQL else nothing
    assert told == dict.fromkeys((str(model.table) for model in PIPELINE.models.values()), expected)
    assert done.inputs == before.inputs
    assert contents(old.target) == old.tables[before.run_id]
    assert done.moves == ()


@pytest.mark.slow
def test_second_run_builds_nothing_and_rows_are_explained_after_the_first(old: Old) -> None:
    if old.release.name in BY_DIGESTS_OF_SQL:
        with pytest.raises(streampro.ConfigError, match=r"as other code built it.*Run again first"):
            streampro.explain(PIPELINE, old.target, "fact_user_session")
    streampro.run(PIPELINE, old.target)
    again = streampro.run(PIPELINE, old.target)
    assert {*modes(again).values()} == {"unchanged"}
    found = streampro.explain(PIPELINE, old.target, "fact_user_session", "event_count > 1")
    assert [step.name for step in found.steps][-1] == "raw_events"
    assert found.lines


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_further_file_is_read_incrementally(
    old: Old, engine: Workbench, as_in_a_full_run: Callable[[Old], dict[str, Table]]
) -> None:
    streampro.run(PIPELINE, old.target)
    old.add_later_files()
    done = engine.run(PIPELINE, old.target)
    assert modes(done) == {
        "staging.events": "incremental",
        "staging.users": "unchanged",
        "staging.videos": "unchanged",
        "intermediate.user_sessions": "incremental",
        "mart.fact_user_session": "incremental",
        "answers.q1_engagement": "full",
        "answers.q2_retention": "full",
        "answers.q3_dropoff": "full",
    }
    [books] = done.books
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (6, 4, 1, 1)
    assert contents(old.target) == as_in_a_full_run(old) != old.tables[2]


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_run_after_a_rollback_goes_on_from_there(old: Old, engine: Workbench) -> None:
    streampro.rollback(old.target, 1, PIPELINE)
    assert contents(old.target) == old.tables[1] != old.tables[2]
    done = engine.run(PIPELINE, old.target)
    is_rebuilt = old.release.name in BY_DIGESTS_OF_SQL
    expected = "full" if is_rebuilt else "incremental"
    assert modes(done)["staging.events"] == modes(done)["mart.fact_user_session"] == expected
    assert contents(old.target) == old.tables[2]


@pytest.mark.slow
def test_files_that_only_the_first_run_needs_are_removed(
    old: Old, as_in_a_full_run: Callable[[Old], dict[str, Table]]
) -> None:
    surplus = streampro.clean(old.target, keep=1)
    assert {each.table for each in surplus} >= {"staging.users", "mart.fact_user_session"}
    assert streampro.clean(old.target, keep=1, dry_run=False) == surplus
    with pytest.raises(streampro.WarehouseError, match="run 1 was cleaned"):
        streampro.sql("select 1", old.target, 1)
    assert contents(old.target, 2) == old.tables[2]
    old.add_later_files()
    streampro.run(PIPELINE, old.target)
    assert contents(old.target) == as_in_a_full_run(old)
