"""What is printed of branches, and how commands end."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from copied import copied
from pipelines.shop import add_sale

from streampro.cli.commands import cli
from streampro.config import Target
from streampro.errors import ConfigError

SHOP = ["--pipeline", "pipelines.shop:SHOP"]


class Here:
    """A warehouse with a run, and commands on it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.warehouse = ["--warehouse", str(target.warehouse)]

    def call(self, *words: str) -> Result:
        return CliRunner().invoke(cli, [*words, *self.warehouse])

    def run(self, *words: str) -> Result:
        return self.call("run", "--raw", str(self.target.raw), "--quiet", *SHOP, *words)


@pytest.fixture
def here(first_run: Target, tmp_path: Path) -> Here:
    return Here(copied(first_run, tmp_path))


def test_a_branch_is_listed_compared_and_merged(here: Here) -> None:
    assert here.call("branch", "list").output.endswith("has no branch.\n")
    add_sale(here.target, 2)
    assert here.run("--branch", "trial").exit_code == 0
    [listed] = json.loads(here.call("branch", "list", "--json").stdout)
    assert (listed["name"], listed["begins_at"], listed["is_behind"]) == ("trial", 1, False)
    assert "trial" in here.call("branch", "list").stdout
    asked = ["select count(*) n from staging.sales", "--format", "csv"]
    assert here.call("sql", *asked).stdout == '"n"\n3\n'
    assert here.call("sql", *asked, "--branch", "trial").stdout == '"n"\n4\n'
    compared = here.call("diff", "main..trial", "--format", "json", *SHOP)
    assert compared.exit_code == 1
    sales = next(t for t in json.loads(compared.stdout)["tables"] if t["table"] == "staging.sales")
    assert (sales["added"], sales["left_bytes"] < sales["right_bytes"]) == (1, True)
    merged = here.call("branch", "merge", "trial", *SHOP)
    assert merged.stdout == "Run 2: the tables are those of branch trial.\n"
    assert here.call("diff", "1..2", *SHOP).exit_code == 1
    assert "merge of trial" in here.call("history").stdout


def test_a_model_is_shown_as_a_branch_has_it(here: Here) -> None:
    here.run("--branch", "trial", "--sample", "1% of shop", "--full-refresh")
    words = ["show", "revenue", "--raw", str(here.target.raw), "--format", "csv", *SHOP]
    assert here.call(*words).stdout.count("\n") == 3
    assert here.call(*words, "--branch", "trial").stdout.count("\n") == 1
    lost = here.call(*words, "--branch", "trail").exception
    assert "Did you mean 'trial'? Branches: trial." in str(lost)


def test_a_branch_is_dropped(here: Here) -> None:
    here.run("--branch", "trial", "--sample", "50%", "--full-refresh")
    assert "of a sample only" in str(here.call("branch", "merge", "trial", *SHOP).exception)
    assert here.call("branch", "drop", "trial").stderr == "Branch trial is removed.\n"
    assert isinstance(here.call("branch", "drop", "trial").exception, ConfigError)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["sql", "select 1", "--branch", "trail"], "has no branch 'trail'"),
        (["show", "revenue", "--raw", "raw", "--branch", "trail", *SHOP], "has no branch 'trail'"),
        (["diff", "main..trail", *SHOP], "has no branch 'trail'"),
        (["diff", "..trail", *SHOP], "names no two runs"),
        (["diff", "main..x", "--with-warehouse", "other", *SHOP], "names a branch"),
        (["history", "--branch", "a/b"], "no branch can be named 'a/b'"),
        (["plan", "--sample", "5%", *SHOP], "never for main"),
    ],
)
def test_calls_that_are_wrong(words: list[str], why: str, here: Here) -> None:
    done = here.call(*words)
    said = done.output + str(done.exception)
    assert why in said
