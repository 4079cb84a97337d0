"""What those who join find: the files around the code parse, and name what is there."""

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from streampro.cli.commands import cli

ROOT = Path(__file__).parents[1]
FORMS = [ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml" for name in ("bug", "feature")]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
NAME_TARGETS = [
    ROOT / ".ci" / "run",
    ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "README.md",
    HOOKS,
    WORKFLOW,
    *FORMS,
]
CALL = re.compile(r"(?:^\s*|`|entry: |name: |run: )make ([a-z][a-z-]*)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def targets() -> set[str]:
    return {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)}


def test_make_targets_that_are_named_exist() -> None:
    named = {
        (path.relative_to(ROOT).as_posix(), target)
        for path in NAME_TARGETS
        for target in CALL.findall(path.read_text(encoding="utf-8"))
    }
    assert {(".ci/run", "check"), (".pre-commit-config.yaml", "lint")} <= named
    assert {(path, target) for path, target in named if target not in targets()} == set()


def test_targets_that_are_no_files_are_phony() -> None:
    text = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert {*phony.split()} == targets()


def test_hooks_fetch_nothing() -> None:
    for repo in parsed(HOOKS)["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            assert hook["language"] == "system"
            assert not hook["pass_filenames"], "make takes no file names"


def test_hosts_check_is_the_one_of_everybody() -> None:
    workflow = parsed(WORKFLOW)
    steps = workflow["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()
    assert workflow["permissions"] == {"contents": "read"}
    versions = {
        name: value
        for step in steps
        for name, value in step.get("with", {}).items()
        if name.endswith("-version")
    }
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert versions == {"python-version": oldest, "java-version": "17"}
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_form_of_an_issue_is_one_that_the_host_takes(path: Path) -> None:
    form = parsed(path)
    assert {"name", "description", "body"} <= form.keys()
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    names = [item["id"] for item in asked]
    assert len({*names}) == len(names)
    assert "engine" in names
    for item in asked:
        assert item["type"] in {"checkboxes", "dropdown", "input", "textarea"}
        assert item["attributes"]["label"]
        options = item["attributes"].get("options", [])
        assert bool(options) == (item["type"] in {"checkboxes", "dropdown"})
        assert len({*options}) == len(options)
    assert parsed(path.with_name("config.yml")) == {"blank_issues_enabled": True}


def test_licence_is_the_one_that_is_declared() -> None:
    project = PROJECT["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in text


def test_editors_break_lines_where_ruff_does() -> None:
    settings = configparser.ConfigParser()
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    settings.read_string(f"[preamble]\n{text}")
    assert settings.getboolean("preamble", "root")
    assert settings.getint("*.py", "max_line_length") == PROJECT["tool"]["ruff"]["line-length"]
    assert settings["Makefile*"]["indent_style"] == "tab"


def test_contributors_find_what_they_look_for() -> None:
    """Every file of the table is there, and has the names that stand behind it."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!what|---)(.+?) \| (.+) \|$", text, flags=re.MULTILINE)
    assert len(rows) >= 12
    for what, where in rows:
        words = re.findall(r"`([^`]+)`", where)
        files = [word for word in words if word.endswith(".py")]
        assert files, what
        for file in files:
            behind = re.match(r"`: ((?:`\w+`(?:, | and )?)+)", where.partition(f"`{file}")[2])
            names = re.findall(r"`(\w+)`", behind[1]) if behind else []
            code = (ROOT / file).read_text(encoding="utf-8")
            assert [name for name in names if not re.search(rf"\b{name}\b", code)] == [], what


def test_names_of_test_files_are_told_apart() -> None:
    """Pytest imports them by name."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_example_of_a_review_calls_commands_that_there_are() -> None:
    [job] = parsed(ROOT / "examples" / "pull-request.yml")["jobs"].values()
    lines = [step["run"] for step in job["steps"] if "run" in step]
    called = re.findall(r"bin/streampro (\w+) ([^|&>\n]*)", "\n".join(lines))
    assert [name for name, _ in called] == ["run", "run", "diff"]
    for name, given in called:
        command = cli.commands[name]
        command.make_context(name, given.split())
