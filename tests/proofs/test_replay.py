"""A run that is computed again from the same files is equal, or it is said why not."""

import subprocess
from dataclasses import replace
from pathlib import Path

import ibis.expr.types as ir
import pytest
from click.testing import CliRunner
from copied import copied
from pipelines.shop import SHOP, add_sale, mart, raw, staging

import streampro
from streampro import ConfigError, SourceError, Target
from streampro.cli.commands import cli
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.origin import origin_of

pytestmark = pytest.mark.slow


@pytest.fixture
def target(first_run: Target, tmp_path: Path) -> Target:
    return copied(first_run, tmp_path)


def test_each_run_is_equal_whatever_came_after(target: Target) -> None:
    for number in (2, 3):
        add_sale(target, number)
        streampro.run(SHOP, target)
    for run_id in (1, 2, None):
        done = streampro.replay(SHOP, target, run_id)
        assert (done.is_equal, done.run_id) == (True, run_id or 3)
        assert done.reasons == ()


def test_files_that_are_not_as_they_were_are_named(target: Target) -> None:
    add_sale(target, 2)
    streampro.run(SHOP, target)
    (Path(str(target.raw)) / "sales-2.jsonl").unlink()
    done = streampro.replay(SHOP, target)
    assert not done.is_equal
    assert done.difference.right == "run 2, computed again"
    assert any("sales-2.jsonl vanished" in reason for reason in done.reasons)
    before = {path: path.stat().st_mtime_ns for path in Path(str(target.warehouse)).rglob("*.json")}
    streampro.replay(SHOP, target, 1)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_source_without_a_file_is_an_error_of_the_data(target: Target) -> None:
    (Path(str(target.raw)) / "shops.csv").unlink()
    with pytest.raises(SourceError, match="no file of source 'raw_shops' is left"):
        streampro.replay(SHOP, target, 1)


def test_a_run_of_some_models_left_others_as_they_were(target: Target) -> None:
    add_sale(target, 2)
    streampro.run(SHOP, target, select="sales")
    done = streampro.replay(SHOP, target)
    assert done.reasons == ("the run left tables as an earlier one built them: mart.revenue.",)


def test_other_code_is_named(target: Target, tmp_path: Path) -> None:
    def doubled(sales: ir.Table, shops: ir.Table) -> ir.Table:
        found = mart.revenue(sales=sales, shops=shops)
        return found.mutate(amount=found.amount * 2)

    changed = Pipeline("shop", [raw, staging, mart])
    changed.models["revenue"] = replace(mart.revenue, transform=doubled)
    done = streampro.replay(changed, target)
    assert "models have other code: revenue." in done.reasons
    [table] = [each for each in done.difference.tables if not each.is_equal]
    assert (table.table, table.changed) == ("mart.revenue", 2)


def test_a_run_keeps_its_commit_and_what_was_not_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    code = tmp_path / "kept_code.py"
    code.write_text((Path(__file__).parents[1] / "pipelines/shop/staging.py").read_text())
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "kept_code.py"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    import kept_code  # type: ignore[import-not-found]  # written above

    pipeline = Pipeline("kept", [raw, kept_code])
    committed = origin_of(pipeline)
    assert committed.commit
    assert committed.changes is None
    code.write_text(code.read_text() + "# later\n")
    later = origin_of(pipeline)
    assert later.changes not in (None, committed.changes)
    assert "later" not in str(later)
    assert later.commit == committed.commit
    subprocess.run([*git, "checkout", "-q", "kept_code.py"], check=True)
    assert origin_of(pipeline) == committed
    (tmp_path / "new.py").write_text("1")
    assert origin_of(pipeline).changes is not None


def test_what_cannot_be_replayed_is_refused(target: Target) -> None:
    branch = streampro.on_branch(target, "trial")
    streampro.run(SHOP, branch)
    with pytest.raises(ConfigError, match="a run of a branch is not replayed"):
        streampro.replay(SHOP, branch)
    with pytest.raises(ConfigError, match="has no run 7"):
        streampro.replay(SHOP, target, 7)


def test_the_command_tells_it_and_exits_by_it(target: Target) -> None:
    where = ["--warehouse", str(target.warehouse), "--raw", str(target.raw)]
    call = ["replay", "--pipeline", "pipelines.shop:SHOP", *where]
    done = CliRunner().invoke(cli, call)
    assert done.exit_code == 0
    assert done.stdout.startswith("Run 1 computed again: 4 tables, all equal.\n")
    Path(str(target.raw), "shops.csv").unlink()
    Path(str(target.raw), "shops.csv").write_text("shop,city\na,Bergen\n")
    other = CliRunner().invoke(cli, call)
    assert other.exit_code == 1
    assert "shops.csv changed" in other.stdout
