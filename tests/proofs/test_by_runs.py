"""What depends on when runs were is compared as far as it can be, and it is said what and why."""

from dataclasses import replace
from pathlib import Path

import ibis.expr.types as ir
import pytest
from click.testing import CliRunner
from pipelines.members import MEMBERS, day, history, raw, staging, write_members
from published import contents

import streampro
from streampro import Pipeline, Target
from streampro.catalog.declared import Declared
from streampro.cli.commands import cli
from streampro.errors import IncrementalError
from streampro.execution.runner import run
from streampro.proofs.check_incremental import check_incremental
from streampro.proofs.prove import prove

pytestmark = pytest.mark.slow

NUMBERED = {f"m{number}": ("free", number) for number in range(1, 40)}
SEEN_WHY = (
    "history.seen_members depends on when runs were: it keeps what they saw of staging.members, "
    "of which there is no other copy."
)
VERSIONS_WHY = (
    "history.member_versions depends on when runs were: it is built from history.seen_members."
)
EQUAL = " So it is compared with its own expression: all equal."


@pytest.fixture
def target(tmp_path: Path) -> Target:
    write_members(tmp_path / "raw", NUMBERED)
    return Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")


def test_runs_of_parts_see_what_no_full_run_does(target: Target) -> None:
    tried = check_incremental(MEMBERS, target, parts=3)
    assert [each.table for each in tried.tables] == ["staging.members", "staging.members_rejected"]
    assert [*map(str, tried.by_runs)] == [SEEN_WHY + EQUAL, VERSIONS_WHY + EQUAL]


def test_rows_that_do_not_follow_from_what_was_seen_are_an_error(target: Target) -> None:
    def counted(seen_members: ir.Table) -> ir.Table:
        """Versions whose age is how many there are: rows of a key do not follow from it alone."""
        versions = history.member_versions(seen_members=seen_members)
        return versions.mutate(age=seen_members.count().as_scalar())

    wrong = MEMBERS.with_model(
        replace(history.member_versions, transform=counted, allow={"incremental_by": "to see it"})
    )
    with pytest.raises(IncrementalError, match=r"member_versions depends.* rows differ"):
        check_incremental(wrong, target, parts=3)


def test_two_sides_see_at_the_same_instant(target: Target) -> None:
    found = prove(MEMBERS, target, target.model_copy(update={"name": "other"}))
    assert found.equal
    assert found.by_runs == (SEEN_WHY, VERSIONS_WHY)
    assert {each.table for each in found.tables} > {"history.seen_members"}


def test_a_run_is_replayed_but_for_what_runs_had_seen(target: Target) -> None:
    folder = Path(str(target.raw))
    run(MEMBERS, target, started_at=day(1))
    write_members(folder, {**NUMBERED, "m1": ("pro", 1)})
    run(MEMBERS, target, started_at=day(2))
    done = streampro.replay(MEMBERS, target)
    assert (done.is_equal, done.reasons) == (True, ())
    assert {each.table for each in done.difference.tables} == {
        "staging.members",
        "staging.members_rejected",
    }
    assert [*map(str, done.by_runs)] == [SEEN_WHY + EQUAL, VERSIONS_WHY + EQUAL]
    assert len(contents(target)["history.seen_members"]) == 40
    without = Pipeline("members", [raw, staging])
    run(without, target, started_at=day(3))
    assert streampro.replay(without, target).is_equal
    assert not streampro.replay(MEMBERS, target, 1).is_equal  # of a file that was replaced


def test_commands_say_so(target: Target) -> None:
    where = ["--pipeline", "pipelines.members:MEMBERS"]
    folders = ["--raw", str(target.raw), "--warehouse", str(target.warehouse)]
    commands = {
        ("check", *where): (SEEN_WHY, VERSIONS_WHY),
        ("check", "incremental", *where, "--raw", str(target.raw)): (
            "2 tables, 39 rows, all equal",
            SEEN_WHY + EQUAL,
        ),
        ("plan", *where, *folders): (SEEN_WHY, VERSIONS_WHY),
        ("run", *where, *folders): (),
        ("replay", *where, *folders): ("2 tables, all equal", f"- {SEEN_WHY}{EQUAL}"),
        ("run", *where, *folders, "--full-refresh"): (),
        ("rollback", "1", *where, *folders[2:]): (
            "history.seen_members: what later runs have seen is no longer in it, nor seen again.",
        ),
    }
    for command, told in commands.items():
        done = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert (command, done.exit_code) == (command, 0), done.output
        for each in told:
            assert each in " ".join(done.stdout.split())


def test_the_catalog_says_so() -> None:
    told = {each.name: each.facts for each in Declared(MEMBERS).entries}
    assert {name: facts.get("depends on when runs were") for name, facts in told.items()} == {
        "staging.members": None,
        "staging.members_rejected": None,
        "history.seen_members": SEEN_WHY.partition(": ")[2],
        "history.member_versions": VERSIONS_WHY.partition(": ")[2],
        "raw_members": None,
    }
