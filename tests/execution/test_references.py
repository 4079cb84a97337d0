"""References of every severity: orphans are counted, stop a run, or are rejected."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.types as ir
import pytest
from pipelines.plain import plain_models

import streampro
from streampro import REJECT_COLUMNS, Contract, Pipeline, Source, column, model, one_row_per_key
from streampro.config import Target
from streampro.errors import ContractError, PipelineError
from streampro.lineage.explain import explain
from streampro.portable import strip
from streampro.report.quality import warnings
from streampro.report.run_tables import RunTables
from streampro.testing import Workbench
from streampro.warehouse.published import sql
from streampro.warehouse.snapshot import opened

pytestmark = pytest.mark.slow


class Users(Contract):
    """One row per user."""

    user: str = column("User.")

    class Config:
        unique = ["user"]


def pipeline_of(orphans: str, incremental_by: str | None = None) -> Pipeline:
    class Orders(Contract):
        """One row per distinct order."""

        number: str = column("Order.", nullable=incremental_by is None)
        user: str = column("Who.", nullable=True, references="users.user", orphans=orphans)  # type: ignore[arg-type]

        class Config:
            unique = ["number"] if incremental_by else None

    def users(raw_users: ir.Table) -> ir.Table:
        return one_row_per_key(raw_users.mutate(user=strip(raw_users.user)), "user")

    def orders(raw_orders: ir.Table, users: ir.Table) -> ir.Table:
        reason = ibis.cases((~raw_orders.is_object, "not_a_json_object"))
        return raw_orders.mutate(reject_reason=reason).select("number", "user", *REJECT_COLUMNS)

    users.__module__ = orders.__module__ = "staging"
    module: Any = ModuleType("staging")
    module.raw_users = Source(
        name="raw_users", files=("users*.csv",), format="csv", fields={"user": ("user",)}
    )
    module.raw_orders = Source(
        name="raw_orders",
        files=("orders*.jsonl",),
        format="json_lines",
        fields={"number": ("number",), "user": ("user",)},
    )
    module.users = model(contract=Users, quarantine=True)(users)
    module.orders = model(contract=Orders, quarantine=True, incremental_by=incremental_by)(orders)
    return Pipeline("references", [module])


@pytest.mark.thorough("spark")
def test_orphans_among_the_rows_of_a_table_itself_are_counted(
    engine: Workbench, tmp_path: Path
) -> None:
    def tree(orphans: str) -> Pipeline:
        class Nodes(Contract):
            """One row per node."""

            node: str = column("Node.", nullable=True)
            above: str = column("Parent.", nullable=True, references="nodes.node", orphans=orphans)  # type: ignore[arg-type]

        def nodes(raw_nodes: ir.Table) -> ir.Table:
            return raw_nodes.select("node", "above")

        fields = {"node": ("node",), "above": ("above",)}
        source = Source(name="raw_nodes", files=("nodes.csv",), format="csv", fields=fields)
        return plain_models([source], Nodes, nodes)

    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "w")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "nodes.csv").write_text("node,above\na\nb,a\nc,z\n")
    done = engine.run(tree("warn"), target)
    told = [("orphan above: not in nodes.node", 1)]
    assert [(each.rule, each.rows) for each in done.warnings] == told
    assert [(each.rule, each.rows) for each in streampro.test(tree("warn"), target)] == told
    with opened(target, done) as snapshot:
        found = warnings(RunTables(snapshot, tree("warn")))
    assert [(each.rule, each.rows) for each in found] == told
    with pytest.raises(ContractError, match=r"orphan above: not in nodes\.node in 1 rows"):
        engine.run(tree("fail"), target)
    with pytest.raises(PipelineError, match="that is the table itself"):
        tree("quarantine")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "users-1.csv").write_text("user\nu1\n")
    lines = [{"number": 1, "user": "u1"}, {"number": 2, "user": "u2"}, {"number": 3}]
    lines += [{"number": 4, "user": "u1"}, {"number": 4, "user": "u1"}]
    (raw / "orders-1.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")


def numbers(target: Target) -> list[str]:
    found = sql("select number from staging.orders order by number", target)
    return [str(each) for each in found["number"].to_pylist()]


def rejected(target: Target) -> list[tuple[str, int]]:
    found = sql("select reject_reason, raw_line from staging.orders_rejected", target).to_pylist()
    return [(row["reject_reason"], json.loads(row["raw_line"])["number"]) for row in found]


@pytest.mark.thorough("spark")
def test_orphans_are_a_warning(engine: Workbench, target: Target) -> None:
    done = engine.run(pipeline_of("warn"), target)
    assert [(each.rule, each.rows) for each in done.warnings] == [
        ("orphan user: not in users.user", 1)
    ]
    assert numbers(target) == ["1", "2", "3", "4"]


def test_lines_of_an_incremental_model_are_not_rejected_for_rows_of_others() -> None:
    wanted = (
        r"lines would be rejected for rows of users, .* incremental by number, .* incremental_by"
    )
    with pytest.raises(PipelineError, match=wanted):
        pipeline_of("quarantine", incremental_by="number")


@pytest.mark.thorough("spark")
def test_orphans_stop_a_run(engine: Workbench, target: Target) -> None:
    with pytest.raises(ContractError, match=r"orphan user: not in users.user in 1 rows") as found:
        engine.run(pipeline_of("fail"), target)
    assert found.value.rows == [{"number": "2", "user": "u2"}]


@pytest.mark.thorough("spark")
def test_orphans_are_rejected_until_they_are_none(engine: Workbench, target: Target) -> None:
    pipeline = pipeline_of("quarantine")
    done = engine.run(pipeline, target)
    assert numbers(target) == ["1", "3", "4"]
    assert rejected(target) == [("orphan user: not in users.user", 2)]
    [books] = [each for each in done.books if each.source == "raw_orders"]
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (5, 3, 1, 1)
    assert target.raw is not None
    Path(target.raw, "users-2.csv").write_text("user\nu2\n")
    engine.run(pipeline, target)
    assert numbers(target) == ["1", "2", "3", "4"]
    assert rejected(target) == []
    assert explain(pipeline, target, "staging.orders", "number = '2'").rows == (
        {"number": "2", "user": "u2"},
    )
