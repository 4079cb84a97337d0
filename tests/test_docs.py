"""Every block of README and docs is executed, and shows what really comes out.

The blocks of a page run one after the other in a folder with the sample data, as a reader would
paste them: `sh` and `python` run, a block with a title is a file that is written, and what follows
a command as `text` is its output, where `...` stands for anything and times do not count. A comment
before a block says why it is not run here; there are few such reasons.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt
from warm_streampro import Commands

import streampro
from streampro import report
from streampro.cli import cli
from streampro.testing import engines_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
AT_HAND = ("configs", "data", "examples", "queries")
REASONS = {"installs packages", "needs a cluster"}
MARK = re.compile(r"<!-- (not run|run in): (.+) -->")
OUTPUT = {"text", "mermaid", "json"}
STARTS_SPARK = re.compile(r"spark-local|\bprove\b|--engines \S*spark|SparkSession|spark_session")
THOROUGH = {
    "docs/api/history.md",
    "docs/api/prove.md",
    "docs/api/test.md",
    "docs/concepts/contracts.md",
    "docs/concepts/engines.md",
    "docs/concepts/publishing.md",
    "docs/guide/branches.md",
    "docs/guide/catalog.md",
    "docs/guide/cluster.md",
    "docs/guide/databases.md",
    "docs/guide/earlier-runs.md",
    "docs/guide/export.md",
    "docs/guide/from-dbt.md",
    "docs/guide/histories.md",
    "docs/guide/lineage.md",
    "docs/guide/mutation.md",
    "docs/guide/orchestration.md",
    "docs/guide/personal-data.md",
    "docs/guide/python-models.md",
    "docs/guide/report.md",
    "docs/guide/review.md",
    "docs/guide/select.md",
    "docs/guide/start-your-own.md",
    "docs/guide/test-on-both-engines.md",
    "docs/guide/write-a-model.md",
    "docs/incremental.md",
    "docs/questions.md",
}
"""Pages that take two seconds or start Spark; their commands have tests of their own."""
EXITS = re.compile(r"^(.+?)\s+# exit code (\d)$", re.MULTILINE)
TIMES = (
    re.compile(r"\b\d+\.\d+ ?s\b"),
    re.compile(r"\b\d+\.\d\d(?= +\d+ *$)", re.MULTILINE),  # seconds of a table, before its version
    re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z +\w+ +\d+\.\d"),  # start of a run
)
SHELL = """
source "$STATE"
trap 'export -p > "$STATE"; printf "cd %q\\n" "$PWD" >> "$STATE"' EXIT
set -e -o pipefail
"""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    text: str
    mark: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    mark = None
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = re.fullmatch(r'title="(.+)"', rest)
            line = token.map[0] + 1 if token.map else 0
            yield Block(page, line, language, title and title[1], token.content, mark)
        found = MARK.fullmatch(token.content.strip()) if token.type == "html_block" else None
        mark = (found[1], found[2]) if found else None


def is_run(block: Block) -> bool:
    return not block.mark and not block.title and block.language in {"sh", "python"}


def needs_spark(page: Path) -> bool:
    return any(is_run(block) and STARTS_SPARK.search(block.text) for block in blocks_of(page))


def group_of(page: Path) -> str:
    """Pages that start Spark share one, pages that do not need not wait for each other."""
    return "docs on Spark" if needs_spark(page) else name_of(page)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Pages that start Spark are tests of that engine."""
    if "desk" in metafunc.fixturenames:
        without = "spark" not in engines_of(metafunc.config)
        metafunc.parametrize(
            "page",
            [
                pytest.param(
                    page,
                    id=name_of(page),
                    marks=[
                        pytest.mark.xdist_group(group_of(page)),
                        *([pytest.mark.thorough] if name_of(page) in THOROUGH else []),
                    ],
                )
                for page in PAGES
                if [*blocks_of(page)] and not (without and needs_spark(page))
            ],
        )


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with what stands in a clone."""
    folder = tmp_path / "streampro"
    folder.mkdir()
    for name in AT_HAND:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "state").write_text(f"cd '{folder}'\n")
    return folder


def test_page_tells_what_happens(page: Path, desk: Path, commands: Commands) -> None:
    printed = None
    commands.start("fork", *(["stay"] if needs_spark(page) else []))
    for block in blocks_of(page):
        if block.mark:
            printed = None
        elif block.title:
            file = desk / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language in OUTPUT:
            assert printed is not None, f"{block}: output of no command"
            compare(block, printed)
            printed = None
        else:
            printed = execute(block, desk, commands.folder)


def execute(block: Block, desk: Path, commands: Path) -> str:
    """Run a block where the one before it ended; return what a reader sees."""
    assert block.language in {"sh", "python"}, f"{block}: what is {block.language!r}?"
    script = EXITS.sub(r"if \1; then exit 99; else test $? = \2; fi", block.text)
    if block.language == "python":
        script = f"python-script <<'PYTHON'\n{block.text}\nPYTHON"
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    own |= {
        "COLUMNS": "110",
        "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), own["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "STATE": str(desk.parent / "state"),
    }
    done = subprocess.run(
        ["bash", "-c", SHELL + script],
        env=own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{block} exits with {done.returncode}:\n{done.stdout}"
    return done.stdout


def compare(block: Block, printed: str) -> None:
    wanted, got = block.text, printed
    for pattern in TIMES:
        wanted, got = pattern.sub("TIME", wanted), pattern.sub("TIME", got)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(wanted, got, flags):
        pytest.fail(f"{block} shows other output than the command. It prints:\n{printed}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_is_not_run_here_has_a_reason(page: Path) -> None:
    for kind, what, block in ((*block.mark, block) for block in blocks_of(page) if block.mark):
        if kind == "not run":
            assert what in REASONS, f"{block}: {what}"
        else:
            there = {
                line for other in blocks_of(ROOT / what) if is_run(other) for line in lines(other)
            }
            assert {*lines(block)} <= there, f"{block} is not run in {what}"


def lines(block: Block) -> list[str]:
    """The commands of a block, without comments."""
    return [
        command for line in block.text.splitlines() if (command := line.partition(" #")[0].strip())
    ]


def test_readme_names_every_command() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [name for name in cli.commands if f"streampro {name}" not in readme] == []


def test_no_block_calls_what_does_not_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for block in (block for page in PAGES for block in blocks_of(page) if block.language == "sh"):
        for line in lines(block):
            program, *words = line.split()
            if program == "make":
                assert {word for word in words if "=" not in word} <= {*targets}, str(block)
            elif program == "streampro":
                assert {*re.findall(r" (--[\w-]+)", line)} <= options_of(words), str(block)


def options_of(words: list[str]) -> set[str]:
    command = cli.commands[words[0]]
    if isinstance(command, click.Group) and words[1:] and words[1] in command.commands:
        command = command.commands[words[1]]
    return {name for option in command.params for name in option.opts} | {"--help"}


def test_every_public_name_has_a_section() -> None:
    page = (ROOT / "docs" / "reference" / "python-names.md").read_text(encoding="utf-8")
    sections = {*re.findall(r"^## (\S+)$", page, flags=re.MULTILINE)}
    public = {f"streampro.{name}" for name in streampro.__all__}
    public |= {f"streampro.report.{name}" for name in report.__all__}
    assert public | {"streampro.portable", "streampro.testing.Workbench"} <= sections


@pytest.mark.slow
def test_reference_is_that_of_the_code() -> None:
    command = [sys.executable, ROOT / "tools" / "reference.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0, "run `make reference`"


@pytest.mark.slow
def test_site_is_built_without_a_warning_and_asks_no_other_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ROOT / "mkdocs.yml"]
    done = subprocess.run([*command, "-d", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = [*tmp_path.rglob("*.html")]
    assert len(pages) > len(PAGES) / 2
    loads = re.compile(r'<(?:script|img|iframe)[^>]+src="https?:|<link[^>]+href="https?:')
    assert [page for page in pages if loads.search(page.read_text(encoding="utf-8"))] == []
