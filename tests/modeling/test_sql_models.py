"""Models in SQL are models as any other."""

import importlib.util
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest
from pipelines.shop import SHOP, raw, staging, write_raw

import streampro
from streampro.config import Target
from streampro.errors import PipelineError
from streampro.lineage.explain import explain
from streampro.modeling.pipeline import Pipeline
from streampro.proofs.check_incremental import check_incremental
from streampro.testing import Workbench
from streampro.warehouse import published

HEAD = """\
import ibis.expr.datatypes as dt
from pipelines.shop.mart import Revenue
from streampro import Contract, column, sql_model

class Sales(Contract):
    '''One row per shop.'''

    shop: str = column("Shop.")
    sales: dt.Int64 = column("Sales.")

    class Config:
        unique = ["shop"]
"""
REVENUE = """\
-- What each shop took.
SELECT s.shop, h.city, count(*) AS sales, sum(s.amount) AS amount
FROM sales AS s LEFT JOIN shops AS h ON s.shop = h.shop
GROUP BY ALL
"""


def module(folder: Path, code: str, **files: str) -> ModuleType:
    """Return a module `mart` of some code, beside files of SQL."""
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text, encoding="utf-8")
    path = folder / "mart.py"
    path.write_text(HEAD + dedent(code), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("mart", path)
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def of_a_file(folder: Path, revenue: str = REVENUE) -> Pipeline:
    code = 'revenue = sql_model("revenue.sql", contract=Revenue, incremental_by="shop")'
    return Pipeline("shop", [raw, staging, module(folder, code, revenue=revenue)])


def refusal(folder: Path, code: str, **files: str) -> str:
    with pytest.raises(PipelineError) as told:
        Pipeline("shop", [raw, staging, module(folder, code, **files)]).problems()
    return str(told.value).replace(f"{folder.resolve().as_posix()}/", "")


@pytest.mark.thorough("spark")
def test_a_file_beside_the_module_is_a_model_of_its_layer(
    engine: Workbench, tmp_path: Path
) -> None:
    pipeline = of_a_file(tmp_path)
    assert pipeline.models["revenue"].table == "mart.revenue"
    assert pipeline.models["revenue"].inputs == ("sales", "shops")
    assert pipeline.problems() == []
    assert pipeline.unportable() == []
    target = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")
    engine.run(pipeline, target)
    of_ibis = target.model_copy(update={"warehouse": tmp_path / "ibis"})
    engine.run(SHOP, of_ibis)
    query = "FROM mart.revenue ORDER BY shop"
    assert published.sql(query, target).to_pylist() == published.sql(query, of_ibis).to_pylist()


def test_it_is_incremental_and_explained(tmp_path: Path) -> None:
    pipeline = of_a_file(tmp_path)
    target = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")
    assert check_incremental(pipeline, target).models == ("revenue",)
    streampro.run(pipeline, target)
    found = explain(pipeline, target, "revenue", "shop = 'a'")
    assert [line.source for line in found.lines] != []
    assert found.notes == ()


def test_a_function_may_return_the_text(tmp_path: Path) -> None:
    made = module(
        tmp_path,
        '''
        @sql_model(contract=Sales, tags=["daily"], owner="growth")
        def revenue() -> str:
            """One row per shop."""
            return "SELECT shop, count(*) FROM sales GROUP BY shop"
        ''',
    )
    model = made.revenue
    assert (model.table, model.inputs, model.tags, model.owner) == (
        "mart.revenue", ("sales",), ("daily",), "growth",
    )  # fmt: skip
    assert model.transform.__doc__ == "One row per shop."
    assert Pipeline("shop", [raw, staging, made]).problems() == []


def test_the_code_of_a_model_is_what_it_says_not_how(tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in "ab")
    one.mkdir()
    other.mkdir()
    spelled = REVENUE.lower().replace("group by all", "group   by\n  s.shop, h.city -- as above")
    hashes = [of_a_file(one).code_hashes(), of_a_file(other, spelled).code_hashes()]
    assert hashes[0] == hashes[1]
    changed = of_a_file(other, REVENUE.replace("count(*)", "count(amount)"))
    assert changed.code_hashes()["revenue"] != hashes[0]["revenue"]


def test_errors_tell_file_line_and_column(tmp_path: Path) -> None:
    file = 'revenue = sql_model("revenue.sql", contract=Sales)'
    text = "SELECT shop,\n  total\nFROM sales"
    assert refusal(tmp_path, file, revenue=text) == (
        "revenue.sql:2:3: model mart.revenue: no column total."
    )
    assert refusal(tmp_path, file, revenue="SELECT FROM x WHERE").startswith("revenue.sql:1:")
    assert "revenue.txt" in refusal(tmp_path, file.replace(".sql", ".txt"))
    assert "none.sql cannot be read" in refusal(tmp_path, file.replace("revenue.sql", "none.sql"))
    inline = """
    @sql_model(contract=Sales)
    def revenue():
        return "SELECT shop, total FROM sales"
    """
    assert refusal(tmp_path, inline) == (
        "mart.py:14: model mart.revenue: line 1, column 14 of its SQL: no column total."
    )
    assert "returns a NoneType, no text" in refusal(
        tmp_path, inline.replace('return "', 'text = "')
    )
    assert "a function without parameters" in refusal(
        tmp_path, inline.replace("revenue()", "revenue(sales)")
    )


def test_what_is_wrong_with_a_model_is_told_with_its_file(tmp_path: Path) -> None:
    file = 'revenue = sql_model("revenue.sql", contract=Revenue)'
    said = refusal(tmp_path, file, revenue="SELECT shop, count(*) FROM sales GROUP BY shop")
    assert said.startswith("revenue.sql: mart.revenue.shop references shops.shop, but")


def test_a_table_that_the_pipeline_lacks_is_an_input_that_it_lacks(tmp_path: Path) -> None:
    file = 'revenue = sql_model("revenue.sql", contract=Revenue)'
    said = refusal(tmp_path, file, revenue="SELECT * FROM sale")
    assert "'sale'" in said
    assert "Did you mean 'sales'" in said


DEEP = f"SELECT {'(' * 300}1{')' * 300} AS shop, count(*) FROM sales"
"""More brackets than Python has room for calls."""


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('x = sql_model("", contract=Sales)', "sql_model(''): write the name of a file beside"),
        ('x = sql_model("a/b.sql", contract=Sales)', "sql_model('a/b.sql'): write the name of a"),
        ('x = sql_model("..", contract=Sales)', "sql_model('..')"),
        ('x = sql_model("x\\0.sql", contract=Sales)', "cannot be read: "),
        ("@sql_model(contract=Sales)\ndef x(): return {}['q']", "@sql_model: x: KeyError: 'q'"),
        (f'@sql_model(contract=Sales)\ndef x(): return "{DEEP}"', "stand too deep in each other"),
        ('x = sql_model("deep.sql", contract=Sales)', "deep.sql: its SQL: brackets or subqueries"),
    ],
)
def test_what_is_no_query_is_told_with_its_place(code: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, code, deep=DEEP)
