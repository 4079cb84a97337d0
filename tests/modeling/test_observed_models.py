"""What a model that keeps what runs have seen must declare."""

from types import ModuleType
from typing import Any

import ibis
import ibis.expr.types as ir
import pytest
from pipelines.members import MEMBERS, history, raw, staging

from streampro.errors import PipelineError
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.model import UNSEEN, model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.sql.model import sql_model


class Seen(Contract):
    """One row per member and state."""

    member: str = column("Member.")
    seen_at: Instant = column("When.")
    is_gone: bool = column("Whether it was gone.")

    class Config:
        unique = ["member", "seen_at"]


def seen(members: ir.Table) -> ir.Table:
    return members.select("member")


def seen_raw(raw_members: ir.Table) -> ir.Table:
    return raw_members.select("member")


def declared(contract: type[Contract] = Seen, of: Any = seen, **options: Any) -> Pipeline:
    module: Any = ModuleType("history")
    module.seen = model(contract=contract, **({"observed_at": "seen_at"} | options))(of)
    return Pipeline("members", [raw, staging, module])


def test_a_model_adds_when_and_whether_in_the_places_of_the_contract() -> None:
    rows = history.seen_members(members=ibis.table(staging.members.spec.schema, name="members"))
    assert rows.columns == ("member", "tier", "age", "seen_at", "is_gone")
    assert rows.seen_at.op().name == "seen_at"
    assert UNSEEN.year == 1970


def test_two_states_of_a_thing_are_no_key_of_the_table() -> None:
    assert MEMBERS.keys()["seen_members"] == [("member", "seen_at")]
    assert "seen_members" not in MEMBERS.could_be_incremental()


class NoGone(Contract):
    member: str = column("Member.")
    seen_at: Instant = column("When.")

    class Config:
        unique = ["member", "seen_at"]


class NullableGone(NoGone):
    is_gone: bool = column("Whether it was gone.", nullable=True)

    class Config:
        unique = ["member", "seen_at"]


class NullableMember(Seen):
    member: str = column("Member.", nullable=True)

    class Config:
        unique = ["member", "seen_at"]


class KeyOfMember(Seen):
    class Config:
        unique = ["member"]


class KeyOfInstant(Seen):
    class Config:
        unique = ["seen_at"]


class Referring(Seen):
    member: str = column("Member.", references="members.member", orphans="fail")

    class Config:
        unique = ["member", "seen_at"]


START = "test_observed_models.seen is observed, so"
KEY = f"{START} its key is what tells a thing, and seen_at, without is_gone: "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"contract": NoGone},
            f"{START} its contract has is_gone: bool, but it has no such column.",
        ),
        (
            {"contract": NullableGone},
            f"{START} its contract has is_gone: bool, but that may be null.",
        ),
        (
            {"observed_at": "member"},
            f"{START} its contract has member: Instant, but that is string.",
        ),
        ({"contract": NullableMember}, f"{START} member, which tells a thing, may not be null."),
        ({"contract": KeyOfMember}, KEY),
        ({"contract": KeyOfInstant}, KEY),
        ({"of": seen_raw}, "'raw_members' is a source: read it in a model before."),
        (
            {"contract": Referring, "of": seen},
            f"{START} its rows stay when what they refer to is gone: member needs orphans='warn'.",
        ),
        ({"incremental_by": "member"}, "observed_at does not go with quarantine, incremental_by"),
        ({"quarantine": True}, "observed_at does not go with quarantine, incremental_by or python"),
    ],
)
def test_declarations_that_keep_no_history_are_refused(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(PipelineError) as raised:
        declared(**arguments)
    assert message in str(raised.value).replace("seen_raw", "seen")


def test_a_function_that_tells_when_itself_is_refused() -> None:
    def seen(members: ir.Table) -> ir.Table:
        return members.select("member", is_gone=members.age.isnull())

    with pytest.raises(PipelineError, match="it returns is_gone, which runs add to rows"):
        declared(of=seen).problems()


class SeenFirst(Contract):
    """One row per member and state; what runs add stands before what the query returns."""

    seen_at: Instant = column("When.")
    is_gone: bool = column("Whether it was gone.")
    member: str = column("Member.")

    class Config:
        unique = ["member", "seen_at"]


def test_a_query_returns_what_runs_do_not_add() -> None:
    module: Any = ModuleType("history")

    @sql_model(contract=SeenFirst, observed_at="seen_at")
    def seen() -> str:
        return "SELECT member || '!' FROM members"

    module.seen = seen
    pipeline = Pipeline("members", [raw, staging, module])
    assert pipeline.expressions["seen"].columns == ("seen_at", "is_gone", "member")
    assert pipeline.problems() == []
