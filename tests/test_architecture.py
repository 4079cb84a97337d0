"""What may import what, and what may not be said where."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import streampro
from streampro import report

PACKAGE = Path(__file__).parent.parent / "streampro"
EXAMPLES = PACKAGE.parent / "examples"
FRAMEWORK = sorted(
    path for path in PACKAGE.rglob("*.py") if "viewing" not in path.relative_to(PACKAGE).parts
)
IGNORANT = [path for path in FRAMEWORK if "cli" not in path.relative_to(PACKAGE).parts]
"""All but the composition root, which picks the first user by default."""
VIEWING = PACKAGE / "viewing"
MODELS = [
    VIEWING / f"{layer}.py" for layer in ("raw", "staging", "intermediate", "mart", "answers")
]
SHOWN = sorted(
    path
    for path in VIEWING.rglob("*.py")
    if path not in MODELS and "synthetic" not in path.relative_to(VIEWING).parts
)
"""The rest of the viewing pipeline, but for its made-up data."""
ENGINES = {"duckdb", "duckdb_extension_delta", "pyspark", "delta", "deltalake"}
PIPELINE_WORDS = re.compile(
    r"\b(user[_ ]?(id|session)s?|session_?ids?|videos?|genres?)\b", re.IGNORECASE
)
VALUES_BY_NAME = {"agg", "aggregate", "group_by", "mutate", "relocate", "rename", "select"}
"""Methods of an Ibis table to which values are given by the names of columns."""
LINES = 400

FOLDERS = (
    (
        "addresses",
        "arguments",
        "destination",
        "environment",
        "errors",
        "config",
        "location",
        "names",
        "portable",
        "notebook",
        "pages",
    ),
    ("expressions", "formats"),
    ("modeling",),
    ("storage",),
    ("engines",),
    ("warehouse",),
    ("exports",),
    ("execution",),
    ("proofs", "lineage"),
    ("report",),
    ("catalog",),
    ("console", "project", "testing"),
    ("cli",),
    ("__init__", "__main__"),
)
"""What stands directly below `streampro`: each imports from its own group and those above it."""
MODULES_OF_A_FOLDER = 12


def folder_of(path: Path) -> str:
    """Return the first name below `streampro`: `engines` of engines/duckdb/engine.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield (dotted name, inside a function) of every import that runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from _imports(tree, inside=False)


def _imports(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from ((f"{child.module}.{alias.name}", inside) for alias in child.names)
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _imports(child, inside=inside or is_function)


def own_folders(path: Path) -> Iterator[str]:
    """Yield the folders of ours that a file imports from."""
    names = {each for group in FOLDERS for each in group} | {"viewing"}
    for name, _ in imported(path):
        first, *rest = name.split(".")
        if first == "streampro":
            yield rest[0] if rest and rest[0] in names else "__init__"


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=name_of)
def test_engines_are_imported_in_their_folder_only(path: Path) -> None:
    allowed = {"engines": ENGINES, "storage": {"deltalake"}, "formats": {"duckdb"}}.get(
        folder_of(path), set()
    )
    assert {name.split(".")[0] for name, _ in imported(path)} & ENGINES <= allowed


@pytest.mark.slow
@pytest.mark.parametrize("path", FRAMEWORK, ids=name_of)
def test_imports_of_folders_point_one_way(path: Path) -> None:
    rank = {name: number for number, group in enumerate(FOLDERS) for name in group}
    here = folder_of(path)
    assert here in rank, f"say in FOLDERS where {here} stands"
    used = {name for name in own_folders(path) if name != "viewing"} - {here}
    assert [name for name in sorted(used) if rank[name] > rank[here]] == []


@pytest.mark.slow
def test_folders_import_each_other_in_no_circle() -> None:
    """Also those of one group."""
    imports: dict[str, set[str]] = {}
    for path in FRAMEWORK:
        imports.setdefault(folder_of(path), set()).update(own_folders(path))
    for here, used in imports.items():
        assert [name for name in sorted(used - {here}) if here in imports.get(name, set())] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", IGNORANT, ids=name_of)
def test_framework_does_not_know_its_first_user(path: Path) -> None:
    assert "viewing" not in own_folders(path)


@pytest.mark.parametrize("path", FRAMEWORK, ids=name_of)
def test_names_of_columns_are_no_arguments(path: Path) -> None:
    """A user's name may be that of an argument of Ibis: `names.named` gives values by place."""
    assert list(_by_names(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_walk_sees_names_as_arguments() -> None:
    code = "rows.select(**columns)\nrows.group_by('k').agg(n=1, **{name: 2})\nf(**given)"
    assert list(_by_names(ast.parse(code))) == ["rows.select", "rows.group_by('k').agg"]


def _by_names(tree: ast.AST) -> Iterator[str]:
    """Yield the methods of tables that are given values by names that stand nowhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            takes_values = node.func.attr in VALUES_BY_NAME
            if takes_values and any(each.arg is None for each in node.keywords):
                yield ast.unparse(node.func)


@pytest.mark.parametrize("path", MODELS, ids=name_of)
def test_models_need_nothing_but_expressions_and_public_names(path: Path) -> None:
    allowed = {"ibis", "streampro.portable", *(f"streampro.{each}" for each in streampro.__all__)}
    allowed |= {f"streampro.viewing.{model.stem}" for model in MODELS}
    for name, _ in imported(path):
        assert any(f"{name}.".startswith(f"{known}.") for known in allowed), name


@pytest.mark.parametrize("path", SHOWN, ids=name_of)
def test_what_shows_the_answers_needs_public_names_only(path: Path) -> None:
    own = [name for name, _ in imported(path) if f"{name}.".startswith("streampro.")]
    known = ("streampro.portable", "streampro.viewing")
    known += tuple(f"streampro.{each}" for each in streampro.__all__)
    known += tuple(f"streampro.report.{each}" for each in report.__all__)
    for name in own:
        assert any(f"{name}.".startswith(f"{each}.") for each in known), name


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_examples_use_public_names_only(path: Path) -> None:
    names = [name for name, _ in imported(path) if name.startswith("streampro.")]
    modules = ("streampro.portable.", "streampro.testing.", "streampro.viewing.")
    for name in (name for name in names if not name.startswith(modules)):
        assert name.removeprefix("streampro.") in streampro.__all__


@pytest.mark.parametrize("path", IGNORANT, ids=name_of)
def test_framework_speaks_no_word_of_a_pipeline(path: Path) -> None:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found += [text for text in _words(node) if _says_a_pipeline_word(text)]
    assert found == []


def _says_a_pipeline_word(text: str) -> bool:
    return bool(PIPELINE_WORDS.search(text) or PIPELINE_WORDS.search(text.replace("_", " ")))


def _words(node: ast.AST) -> Iterator[str]:
    """Yield identifiers and strings of a node."""
    for field in ("id", "attr", "arg", "name"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_command_line_starts_without_heavy_imports() -> None:
    heavy = ["ibis", "pandas", "pandera", "duckdb", "deltalake", "pyarrow", "numpy", "scipy"]
    found = f"[name for name in {heavy} if name in sys.modules]"
    code = f"import sys, streampro.cli.commands; print({found})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=name_of)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("folder", sorted({p.parent for p in PACKAGE.rglob("*.py")}), ids=name_of)
def test_folders_are_small(folder: Path) -> None:
    assert len([*folder.glob("*.py")]) <= MODULES_OF_A_FOLDER


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import duckdb", [("duckdb", False)]),
        ("def f():\n    from a.b import c, d", [("a.b.c", True), ("a.b.d", True)]),
        ("if TYPE_CHECKING:\n    import ibis\nimport os.path", [("os.path", False)]),
        ("try:\n    import x\nexcept ImportError:\n    import y", [("x", False), ("y", False)]),
    ],
)
def test_walk_sees_every_import(code: str, names: list[tuple[str, bool]], tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(code)
    assert list(imported(path)) == names


@pytest.mark.parametrize(
    "word", ["user_id", "session_id", "a video here", "first_genre", "UserSessions", "user session"]
)
def test_walk_sees_every_word(word: str) -> None:
    assert _says_a_pipeline_word(word)
