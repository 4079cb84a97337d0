"""From a row that runs have seen to its raw line, or to what became of that."""

from pathlib import Path

import pytest
from pipelines.members import MEMBERS, day, write_members

from streampro import Target, explain
from streampro.execution.runner import run
from streampro.warehouse.branches import merge_branch, on_branch

pytestmark = pytest.mark.slow


@pytest.fixture
def target(tmp_path: Path) -> Target:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    for number, state in (
        (1, {"ann": ("free", 30), "bob": ("pro", 40), "cid": (None, 1)}),
        (2, {"ann": ("pro", 30), "cid": (None, 1)}),
    ):
        write_members(tmp_path / "raw", state)
        run(MEMBERS, target, started_at=day(number))
    return target


def test_a_state_that_holds_leads_to_its_line_whenever_it_was_seen(target: Target) -> None:
    for member, tier, line in (("ann", "pro", "ann,pro,30"), ("cid", None, "cid,,1")):
        told = f"= '{tier}'" if tier else "is null"
        found = explain(MEMBERS, target, "seen_members", f"member = '{member}' and tier {told}")
        assert [each.text for each in found.lines] == [line]
        assert [(step.name, step.rows) for step in found.steps] == [
            ("history.seen_members", 1),
            ("staging.members", 1),
            ("raw_members", 1),
        ]
        assert found.notes == ()


def test_of_a_state_that_is_past_it_is_told_when_it_was_seen_and_that_the_file_is_replaced(
    target: Target,
) -> None:
    size = len("member,tier,age\nann,free,30\nbob,pro,40\ncid,,1\n")
    past = explain(MEMBERS, target, "seen_members", "member = 'ann' and tier = 'free'")
    assert (past.lines, [step.rows for step in past.steps]) == ((), [1])
    assert past.notes == (
        "No longer so: 1 row of history.seen_members, first seen 2026-01-02 00:00:00.000000 "
        f"UTC by run 1. members.csv ({size} bytes) has been replaced since.",
    )
    gone = explain(MEMBERS, target, "seen_members", "is_gone")
    assert gone.notes == (
        "Gone: 1 row of history.seen_members, first missed 2026-01-03 00:00:00.000000 "
        "UTC by run 2. The raw files are as they were.",
    )


def test_versions_lead_to_the_states_that_they_are_made_of(target: Target) -> None:
    found = explain(MEMBERS, target, "member_versions", "member = 'ann'")
    assert [row["tier"] for row in found.rows] == ["free", "pro"]
    assert [each.text for each in found.lines] == ["ann,pro,30"]
    assert [note.partition(",")[0] for note in found.notes] == [
        "No longer so: 1 row of history.seen_members"
    ]


def test_a_branch_knows_what_runs_of_main_have_seen(target: Target) -> None:
    branch = on_branch(target, "trial")
    write_members(Path(str(target.raw)), {"ann": ("gold", 31)})
    run(MEMBERS, branch, started_at=day(3))
    found = explain(MEMBERS, branch, "seen_members", "member = 'ann' and age = 30")
    assert [note.partition(". ")[0].rpartition(" by ")[2] for note in found.notes] == [
        "run 2",
        "run 1",
    ]
    merge_branch(target, "trial", MEMBERS)
    merged = explain(MEMBERS, target, "seen_members", "is_gone and member = 'cid'")
    assert merged.notes == (
        "Gone: 1 row of history.seen_members, first missed 2026-01-04 00:00:00.000000 UTC. Which "
        "run that was is not known, as of a branch that was merged.",
    )
