"""The notebook: executed in a kernel of its own on the sample, kept without outputs."""

import ast
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "viewing.ipynb"
QUESTIONS = 3


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the notebook looks for beside it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "notebooks").mkdir()
    shutil.copy(NOTEBOOK, folder / "notebooks")
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "data").symlink_to(ROOT / "data")
    return folder


@pytest.fixture(scope="module")
def executed(kept: NotebookNode, project: Path) -> NotebookNode:
    """The notebook with its outputs; a cell that fails, also by an assertion, fails here."""
    notebook = nbformat.from_dict(kept)
    resources = {"metadata": {"path": str(project / "notebooks")}}
    return NotebookClient(notebook, resources=resources, timeout=300).execute()


def test_sql_and_ibis_agree_on_every_question_and_with_the_published_answers(
    executed: NotebookNode,
) -> None:
    """The cells assert it; here, that they do so."""
    asserted = [line for cell in code_of(executed) for line in cell.source.splitlines()]
    told = [line for line in asserted if line.startswith("assert ")]
    for number in range(1, QUESTIONS + 1):
        assert (
            f"assert q{number}_ibis.to_pyarrow().to_pylist() == q{number}_sql.to_pylist()" in told
        )
    assert len(told) == 2 * QUESTIONS


def test_shows_plots_and_prints_nothing(executed: NotebookNode) -> None:
    outputs = [output for cell in code_of(executed) for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"execute_result"}
    pictures = [output for output in outputs if "image/png" in output.data]
    assert len(pictures) == 4


def test_cells_import_call_and_plot_but_hold_no_logic(kept: NotebookNode) -> None:
    statements = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.Try, ast.With)
    for cell in code_of(kept):
        found = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, statements)]
        assert found == [], cell.source


def test_is_kept_without_outputs(kept: NotebookNode) -> None:
    for cell in code_of(kept):
        assert (cell.outputs, cell.execution_count, dict(cell.metadata)) == ([], None, {})
    assert {*kept.metadata} == {"kernelspec", "language_info"}


@pytest.mark.parametrize("anew", [False, pytest.param(True, marks=pytest.mark.thorough)])
def test_make_notebook_writes_a_copy_that_needs_no_network(
    project: Path, executed: NotebookNode, anew: bool
) -> None:
    """Of a notebook that was executed, or is so by the command itself."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [command] = [line for line in makefile.splitlines() if "nbconvert" in line]
    words = shlex.split(command.strip().removeprefix("@$(BIN)/python"))
    assert "--execute" in words
    if not anew:
        words.remove("--execute")
        nbformat.write(executed, project / "notebooks" / "viewing.ipynb")
    subprocess.run([sys.executable, *words], cwd=project, check=True)
    page = (project / "notebooks" / "viewing.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 4
    assert 'src="http' not in page


def test_a_cell_that_ends_with_its_model_may_be_run_again(tmp_path: Path) -> None:
    """What a cell shows, IPython keeps in variables; they do not count as declared."""
    (tmp_path / "hits.jsonl").write_text('{"page": "x"}\n{"page": "y"}\n')
    declare = """
        import sys
        import ibis.expr.types as ir
        import streampro
        from streampro import Contract, Pipeline, Source, column, model
        fields = {"page": ("page",)}
        raw_hits = Source("raw_hits", ("*.jsonl",), format="json_lines", fields=fields)
        class Hits(Contract):
            "One row per line."
            page: str = column("Page.", nullable=True)
        @model(contract=Hits)
        def hits(raw_hits: ir.Table) -> ir.Table:
            "One row per line."
            return raw_hits.select("page")%s
        %s
    """
    run = """
        pipeline = Pipeline("book", [sys.modules["__main__"]])
        done = streampro.run(pipeline, streampro.Target(name="x", raw=".", warehouse="w"))
        [each.rows for each in done.tables]
    """
    narrower = ".filter(raw_hits.page != 'x')"
    cells = (declare % ("", "hits"), run, declare % (narrower, "(hits, raw_hits)"), run)
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(textwrap.dedent(cell)) for cell in cells]
    )
    resources = {"metadata": {"path": str(tmp_path)}}
    executed = NotebookClient(notebook, resources=resources, timeout=300).execute()
    shown = [cell.outputs[-1].data["text/plain"] for cell in executed.cells[1::2]]
    assert shown == ["[2]", "[1]"]
