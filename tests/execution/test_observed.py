"""Undated dimensions: an observed table keeps what runs have seen, at the time of each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from hypothesis import given, settings, strategies as st
from killed import killed
from pipelines.members import MEMBERS, State, day, history, raw, staging, write_members
from published import contents
from warm_streampro import Commands

from streampro import portable
from streampro.config import Target
from streampro.errors import ConfigError, ContractError, PipelineError, WarehouseError
from streampro.execution.runner import run
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench
from streampro.warehouse.branches import drop_branch, merge_branch, on_branch
from streampro.warehouse.snapshot import published_run
from streampro.warehouse.upkeep.forget import forget
from streampro.warehouse.upkeep.repair import repair
from streampro.warehouse.upkeep.retention import clean, rollback
from streampro.warehouse.upkeep.verify import verify

pytestmark = pytest.mark.slow

SEEN = TableName.of("history.seen_members")
VERSIONS = TableName.of("history.member_versions")
STORY: list[State] = [
    {"ann": ("free", 30), "bob": ("pro", 40), "cid": (None, None)},
    {"ann": ("pro", 30), "cid": (None, None), "dan": ("free", 1)},
    {"ann": ("pro", 30), "bob": ("pro", 40), "cid": (None, 5), "dan": ("free", 1)},
]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    (tmp_path / "raw").mkdir()
    return Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")


def tell(target: Target, story: Sequence[State], first: int = 1) -> None:
    """Run each day on what the file says that day."""
    for number, state in enumerate(story, first):
        write_members(Path(str(target.raw)), state)
        run(MEMBERS, target, started_at=day(number))


def seen(target: Target, run_id: int | None = None) -> list[tuple[Any, ...]]:
    """What runs have seen: who, what, on which day, and whether it was gone."""
    return [
        (row["member"], row["tier"], row["age"], (row["seen_at"] - day(0)).days, row["is_gone"])
        for row in contents(target, run_id)[SEEN]
    ]


def versions(target: Target) -> list[tuple[Any, ...]]:
    def number(at: datetime | None) -> int | None:
        return at and (at - day(0)).days

    return [
        (row["member"], row["tier"], row["age"], number(row["valid_from"]), number(row["valid_to"]))
        for row in contents(target)[VERSIONS]
    ]


def replayed(story: Sequence[State]) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """What must be seen of a story, and which versions there are, told without the package."""
    log, spans = [], []
    for number, (before, after) in enumerate(pairwise([{}, *story]), 1):
        log += [(n, *said, number, False) for n, said in after.items() if before.get(n) != said]
        log += [(n, *before[n], number, True) for n in before if n not in after]
    for name in {row[0] for row in log}:
        own = sorted((row for row in log if row[0] == name), key=lambda row: row[3])
        for row, following in zip(own, [*own[1:], None], strict=True):
            if not row[4]:
                spans.append((*row[:4], following and following[3]))
    return sorted(log, key=str), sorted(spans, key=str)


def test_each_state_is_kept_with_the_instant_of_the_run_that_first_saw_it(
    engine: Workbench, target: Target
) -> None:
    for number, state in enumerate(STORY, 1):
        write_members(Path(str(target.raw)), state)
        done = engine.run(MEMBERS, target, started_at=day(number))
    assert sorted(seen(target), key=str) == sorted(
        [
            ("ann", "free", 30, 1, False),
            ("ann", "pro", 30, 2, False),
            ("bob", "pro", 40, 1, False),
            ("bob", "pro", 40, 2, True),
            ("bob", "pro", 40, 3, False),
            ("cid", None, None, 1, False),
            ("cid", None, 5, 3, False),
            ("dan", "free", 1, 2, False),
        ],
        key=str,
    )
    assert sorted(versions(target), key=str) == sorted(
        [
            ("ann", "free", 30, 1, 2),
            ("ann", "pro", 30, 2, None),
            ("bob", "pro", 40, 1, 2),
            ("bob", "pro", 40, 3, None),
            ("cid", None, None, 1, 3),
            ("cid", None, 5, 3, None),
            ("dan", "free", 1, 2, None),
        ],
        key=str,
    )
    modes = {change.table: change.mode for change in done.changes}
    assert (modes[SEEN], modes[VERSIONS]) == ("incremental", "incremental")
    assert done.observed == (SEEN,)
    assert done.books[0].lines == done.books[0].accepted == 4


@st.composite
def stories(draw: st.DrawFn) -> list[State]:
    said = st.tuples(st.sampled_from([None, "free", "pro"]), st.sampled_from([None, 1]))
    state = st.dictionaries(st.sampled_from("abc"), said)
    return [each | {"z": (None, None)} for each in draw(st.lists(state, min_size=1, max_size=5))]


@settings(max_examples=8)
@given(story=stories())
def test_any_story_is_as_one_that_is_told_again_in_plain_python(
    story: list[State], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("story")
    target = Target(name="test", raw=folder / "raw", warehouse=folder / "warehouse")
    tell(target, story)
    log, spans = replayed(story)
    assert sorted(seen(target), key=str) == log
    assert sorted(versions(target), key=str) == spans


@pytest.mark.thorough
@settings(max_examples=3)
@given(story=stories())
def test_any_story_is_so_on_each_engine(
    engine: Workbench, story: list[State], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("story")
    target = Target(name="test", raw=folder / "raw", warehouse=folder / "warehouse")
    for number, state in enumerate(story, 1):
        write_members(folder / "raw", state)
        engine.run(MEMBERS, target, started_at=day(number))
    log, spans = replayed(story)
    assert sorted(seen(target), key=str) == log
    assert sorted(versions(target), key=str) == spans


@pytest.mark.thorough("spark")
def test_a_run_that_sees_nothing_new_writes_nothing(engine: Workbench, target: Target) -> None:
    tell(target, STORY[:2])
    before = contents(target)
    files = {path: path.stat().st_mtime_ns for path in Path(str(target.warehouse)).rglob("*.json")}
    done = engine.run(MEMBERS, target, started_at=day(3))
    assert done.run_id == 2
    assert files == {path: path.stat().st_mtime_ns for path in files}
    write_members(Path(str(target.raw)), STORY[1])  # another file that says the same
    again = engine.run(MEMBERS, target, started_at=day(4))
    assert again.version_of(SEEN) == published_run(target, 2).version_of(SEEN)
    refreshed = engine.run(MEMBERS, target, started_at=day(5), full_refresh=True)
    assert refreshed.version_of(SEEN) == published_run(target, 2).version_of(SEEN)
    [reason] = [each.reason for each in refreshed.changes if each.table == SEEN]
    assert reason == "a full refresh was asked for; what runs have seen stays"
    assert contents(target) == before


def changed(**attributes: Any) -> Pipeline:
    """The pipeline with other code of the observed model, and without what is built from it."""
    module: Any = ModuleType("history")
    module.seen_members = replace(history.seen_members, **attributes)
    return Pipeline("members", [raw, staging, module])


class WithNote(history.SeenMembers):
    """One row per member and state in which a run found it, with a note."""

    note: str = column("What else is said of it.", nullable=True)

    class Config:
        unique = ["member", "seen_at"]


def noted(members: ir.Table) -> ir.Table:
    return members.mutate(note=portable.upper(members.tier))


def test_other_code_carries_over_what_was_seen(engine: Workbench, target: Target) -> None:
    tell(target, STORY[:2])
    upper = changed(transform=lambda members: members.mutate(tier=portable.upper(members.tier)))
    engine.run(upper, target, started_at=day(3))
    assert {*seen(target)} == {
        *replayed(STORY[:2])[0],
        ("ann", "PRO", 30, 3, False),
        ("dan", "FREE", 1, 3, False),
    }
    with_note = changed(transform=noted, contract=WithNote)
    engine.run(with_note, target, started_at=day(4))
    rows = contents(target)[SEEN]
    assert {row["note"] for row in rows if row["seen_at"] < day(4)} == {None}
    assert {
        (row["member"], row["tier"], row["note"]) for row in rows if row["seen_at"] == day(4)
    } == {
        ("ann", "pro", "PRO"),
        ("dan", "free", "FREE"),
    }
    assert len(rows) == 6 + 2 + 2


class Narrow(Contract):
    """One row per member and state in which a run found it."""

    member: str = column("Member.")
    tier: dt.Int64 = column("What was paid for.", nullable=True)
    since: str = column("Since when.")
    seen_at: Instant = column("When the first run began that found it so.")
    is_gone: bool = column("Whether it was no longer there.")

    class Config:
        unique = ["member", "seen_at"]


PLAIN = {"observed_at": None, "contract": staging.Members}


@pytest.mark.parametrize("full_refresh", [False, True])
def test_what_would_lose_history_is_refused(target: Target, full_refresh: bool) -> None:
    tell(target, STORY[:2])
    before = contents(target)

    def narrow(members: ir.Table) -> ir.Table:
        return members.select(
            "member", tier=members.tier.length().cast("int64"), since=members.member
        )

    with pytest.raises(PipelineError) as raised:
        run(changed(transform=narrow, contract=Narrow), target, full_refresh=full_refresh)
    assert str(raised.value) == (
        "history.seen_members keeps what runs have seen, of which there is no other copy, and has "
        "other columns than its contract: age (int64) is gone; tier is int64, but was string; "
        "since is new and may not be null. Nothing was published. Give the model another name: "
        "history.seen_members then stays beside it, as it is. Or keep the columns as they are, and "
        "let new ones be null in what was seen before."
    )
    with pytest.raises(PipelineError, match="its model is no longer observed"):
        run(changed(**PLAIN), target, full_refresh=full_refresh)
    assert contents(target) == before


def test_a_table_whose_model_is_gone_stays(target: Target) -> None:
    tell(target, STORY[:2])
    without = Pipeline("members", [raw, staging])
    write_members(Path(str(target.raw)), STORY[2])
    done = run(without, target, started_at=day(3))
    assert {*contents(target)} == {"staging.members", "staging.members_rejected", SEEN}
    assert done.observed == (SEEN,)
    assert clean(target, 1, dry_run=False)
    assert sorted(seen(target), key=str) == replayed(STORY[:2])[0]
    run(MEMBERS, target, started_at=day(4))
    assert {row for row in seen(target) if row[3] == 4} == {
        ("bob", "pro", 40, 4, False),
        ("cid", None, 5, 4, False),
    }


def test_a_table_that_every_run_computed_begins_with_what_is_there(target: Target) -> None:
    write_members(Path(str(target.raw)), STORY[0])
    run(changed(**PLAIN), target, started_at=day(1))
    run(changed(), target, started_at=day(2))
    assert {row[3:] for row in seen(target)} == {(2, False)}
    assert len(seen(target)) == 3


def test_a_key_that_is_there_twice_is_an_error_of_the_data(target: Target) -> None:
    def twice(members: ir.Table) -> ir.Table:
        return members.union(members.mutate(tier=ibis.literal("both")))

    tell(target, STORY[:1])
    with pytest.raises(ContractError, match=r"key \(member, seen_at\)"):
        run(changed(transform=twice), target, started_at=day(2))
    assert sorted(seen(target), key=str) == replayed(STORY[:1])[0]


def test_a_clock_that_is_behind_stops_the_run(target: Target) -> None:
    tell(target, STORY[:1], first=5)
    write_members(Path(str(target.raw)), STORY[1])
    for behind in (4, 5):
        with pytest.raises(WarehouseError, match="has rows that a run saw at 2026-01-06 00:00:00"):
            run(MEMBERS, target, started_at=day(behind))
    with pytest.raises(ConfigError, match="an instant has a tzinfo"):
        run(MEMBERS, target, started_at=datetime(2026, 1, 9))
    assert {row[3] for row in seen(target)} == {5}


@pytest.mark.parametrize(("point", "number"), [("after publish", 3), ("before ledger", 1)])
def test_a_run_that_is_killed_has_seen_nothing(
    point: str, number: int, target: Target, commands: Commands
) -> None:
    tell(target, STORY[:1])
    write_members(Path(str(target.raw)), STORY[1])
    killed(commands, target, point, number, "members")
    assert sorted(seen(target), key=str) == replayed(STORY[:1])[0]
    run(MEMBERS, target, started_at=day(2))
    assert sorted(seen(target), key=str) == replayed(STORY[:2])[0]
    assert verify(MEMBERS, target).damages == ()


def test_a_run_that_is_killed_once_its_row_is_there_has_seen(
    target: Target, commands: Commands
) -> None:
    tell(target, STORY[:1])
    write_members(Path(str(target.raw)), STORY[1])
    killed(commands, target, "after ledger", 1, "members")
    before = contents(target)
    assert len(before[SEEN]) == 6
    assert run(MEMBERS, target).run_id == 2
    assert contents(target) == before


def test_the_instant_is_that_at_which_the_run_began(target: Target) -> None:
    write_members(Path(str(target.raw)), STORY[0])
    done = run(MEMBERS, target)
    assert {row["seen_at"] for row in contents(target)[SEEN]} == {done.started_at}


@pytest.mark.thorough("spark")
def test_a_branch_sees_for_itself_and_merge_takes_it_over(
    engine: Workbench, target: Target
) -> None:
    tell(target, STORY[:1])
    branch = on_branch(target, "trial")
    for number in (2, 3):
        write_members(Path(str(target.raw)), STORY[number - 1])
        engine.run(MEMBERS, branch, started_at=day(number))
    assert sorted(seen(target), key=str) == replayed(STORY[:1])[0]
    assert sorted(seen(branch), key=str) == replayed(STORY)[0]
    with pytest.raises(ConfigError) as raised:
        run(MEMBERS, branch, sample="50% of member")
    assert str(raised.value) == (
        "history.seen_members keeps what runs have seen, and of a sample all else would be gone. "
        "Leave it as it is: --exclude seen_members."
    )
    done = merge_branch(target, "trial", MEMBERS)
    assert done.observed == (SEEN,)
    assert sorted(seen(target), key=str) == replayed(STORY)[0]
    assert sorted(versions(target), key=str) == replayed(STORY)[1]
    assert run(MEMBERS, target, started_at=day(4)).run_id == done.run_id


def test_a_branch_that_is_dropped_takes_along_what_it_saw(target: Target) -> None:
    tell(target, STORY[:1])
    write_members(Path(str(target.raw)), STORY[1])
    run(MEMBERS, on_branch(target, "trial"), started_at=day(2))
    drop_branch(target, "trial")
    run(MEMBERS, target, started_at=day(3))
    assert {row[3] for row in seen(target)} == {1, 3}


def test_a_member_that_is_forgotten_was_never_seen(target: Target) -> None:
    tell(target, STORY[:2])
    forget(target, {"member": "ann"}, pipeline=MEMBERS)
    rest = [row for row in replayed(STORY[:2])[0] if row[0] != "ann"]
    assert sorted(seen(target), key=str) == rest
    assert "ann" not in {row[0] for run_id in (1, 2) for row in seen(target, run_id)}
    tell(target, [{name: said for name, said in STORY[1].items() if name != "ann"}], first=3)
    assert sorted(seen(target), key=str) == rest


def test_what_a_rollback_leaves_behind_outlasts_clean(target: Target) -> None:
    tell(target, STORY)
    folder = Path(str(target.warehouse)) / "history" / "seen_members"
    files = {path.name for path in folder.glob("*.parquet")}
    assert len(files) == 3
    rollback(target, 1, MEMBERS)
    assert sorted(seen(target), key=str) == replayed(STORY[:1])[0]
    tell(target, STORY[2:], first=9)
    assert {row[3] for row in seen(target)} == {1, 9}
    assert clean(target, 1, dry_run=False)
    assert files < {path.name for path in folder.glob("*.parquet")}
    assert verify(MEMBERS, target).damages == ()


def test_repair_knows_which_tables_cannot_be_built_anew(target: Target) -> None:
    tell(target, STORY[:2])
    for path in (Path(str(target.warehouse)) / "_streampro" / "runs").glob("*.parquet"):
        path.unlink()
    assert repair(MEMBERS, target).rebuilt == (1, 2)
    assert published_run(target).observed == (SEEN,)
    tell(target, STORY[2:], first=3)
    assert sorted(seen(target), key=str) == replayed(STORY)[0]
    log = Path(str(target.warehouse)) / "history" / "seen_members" / "_delta_log"
    for path in log.iterdir():
        path.unlink()
    assert repair(MEMBERS, target).lost == (SEEN,)
    write_members(Path(str(target.raw)), STORY[0])
    for full_refresh in (False, True):
        with pytest.raises(WarehouseError, match="no run can build it anew: bring its folder back"):
            run(MEMBERS, target, full_refresh=full_refresh)


@pytest.mark.thorough("spark")
def test_a_plan_says_that_tables_depend_on_when_runs_were(
    engine: Workbench, target: Target
) -> None:
    tell(target, STORY[:1])
    write_members(Path(str(target.raw)), STORY[1])
    found = engine.plan(MEMBERS, target)
    assert found.by_runs == (
        "history.seen_members depends on when runs were: it keeps what they saw of "
        "staging.members, of which there is no other copy.",
        "history.member_versions depends on when runs were: it is built from history.seen_members.",
    )
    [change] = [each for each in found.changes if each.table == SEEN]
    assert (change.mode, change.reason, change.added, change.removed) == (
        "incremental",
        "members changed; what runs have seen stays",
        3,
        0,
    )
    assert sorted(seen(target), key=str) == replayed(STORY[:1])[0]
