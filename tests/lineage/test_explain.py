"""A number followed down to its raw lines, by hand, in the shop pipeline."""

from pathlib import Path

import pytest
from pipelines.shop import SALES, SHOP, write_raw

from streampro.config import Target
from streampro.errors import ConfigError
from streampro.execution.runner import run
from streampro.formats.files import InputFile
from streampro.lineage.explain import Line, Step, explain
from streampro.location import Remote
from streampro.modeling.pipeline import Pipeline
from streampro.testing import Workbench

pytestmark = pytest.mark.slow


def ran(folder: Path) -> Target:
    found = Target(name="test", raw=write_raw(folder / "raw"), warehouse=folder / "w")
    run(SHOP, found)
    return found


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A run that tests only read."""
    return ran(tmp_path_factory.mktemp("one"))


@pytest.fixture
def own(tmp_path: Path) -> Target:
    """A run whose files a test changes."""
    return ran(tmp_path)


def raw_of(target: Target) -> Path:
    assert isinstance(target.raw, Path)
    return target.raw


def test_sum_is_followed_to_the_lines_that_it_adds(target):
    found = explain(SHOP, target, "revenue.amount", "shop = 'a'")
    assert found.rows == ({"shop": "a", "amount": 15},)
    assert found.steps == (
        Step("mart.revenue", 1, 2),
        Step("staging.sales", 2, 3),
        Step("raw_sales", 3, 6, duplicates=1),
    )
    assert found.lines == (
        Line("raw_sales", "sales.jsonl", 1, '{"shop": "a", "day": "2024-05-01", "amount": "10"}'),
        Line("raw_sales", "sales.jsonl", 3, '{"shop": "a", "day": "2024-05-02", "amount": "5"}'),
    )
    assert found.notes == ()


def test_joined_value_is_followed_to_the_other_source(target):
    found = explain(SHOP, target, "mart.revenue.city", "shop = 'b'")
    assert found.rows == ({"shop": "b", "city": "Rome"},)
    assert Step("staging.shops", 1, 2) in found.steps
    assert Step("raw_shops", 1, 2) in found.steps
    assert [line for line in found.lines if line.source == "raw_shops"] == [
        Line("raw_shops", "shops.csv", 3, "b,Rome")
    ]


def test_rejected_rows_are_followed_to_their_lines_with_secrets_masked(target):
    found = explain(SHOP, target, "sales_rejected", "reject_reason = 'no day'")
    assert found.steps == (Step("staging.sales_rejected", 2, 2), Step("raw_sales", 2, 6))
    assert found.lines == (
        Line("raw_sales", "sales.jsonl", 6, '{"shop": "c", "day": "soon", "card":"***"}'),
    )


def test_secrets_are_masked_in_lines_of_accepted_rows(own):
    (raw_of(own) / "sales-2.jsonl").write_text('{"shop": "d", "day": "2024-05-01", "card": 1}\n')
    run(SHOP, own)
    [line] = explain(SHOP, own, "sales", "shop = 'd'").lines
    assert line.text == '{"shop": "d", "day": "2024-05-01", "card":"***"}'


def test_row_of_repeated_lines_is_shown_once(target):
    found = explain(SHOP, target, "sales", "amount = 10")
    assert found.steps == (Step("staging.sales", 1, 3), Step("raw_sales", 2, 6, duplicates=1))
    assert [line.number for line in found.lines] == [1]


def test_without_a_condition_all_rows_are_followed(target):
    found = explain(SHOP, target, "revenue", limit=1)
    assert len(found.rows) == 1
    assert [(step.name, step.rows) for step in found.steps] == [
        ("mart.revenue", 2),
        ("staging.shops", 2),
        ("raw_shops", 2),
        ("staging.sales", 3),
        ("raw_sales", 4),
    ]
    assert [line.source for line in found.lines] == ["raw_shops", "raw_sales"]


def test_limit_of_nothing_shows_nothing_but_counts(target):
    found = explain(SHOP, target, "sales", "amount = 10", limit=0)
    assert (found.rows, found.lines) == ((), ())
    assert found.steps == (Step("staging.sales", 1, 3), Step("raw_sales", 2, 6, duplicates=1))


def test_file_changed_unnoticed_is_told(own, monkeypatch):
    path = raw_of(own) / "sales.jsonl"
    path.write_text(SALES.replace('"amount": "5"', '"amount": "6"'))
    monkeypatch.setattr(InputFile, "is_still", lambda *_: True)
    found = explain(SHOP, own, "sales", "amount = 5")
    assert found.notes == ("raw_sales: 1 rows of staging.sales stand in no line of the files now.",)


def test_no_row_comes_from_nowhere(target):
    found = explain(SHOP, target, "revenue", "shop = 'none'")
    assert (found.rows, found.steps, found.lines) == ((), (Step("mart.revenue", 0, 2),), ())


def test_definition_lineage_and_expression_are_told(target):
    found = explain(SHOP, target, "revenue.city", "shop = 'a'")
    assert found.definition == ("One row per shop that sold something.",)
    [meaning] = found.columns
    assert (meaning.type, meaning.description) == ("string", "Its city, null where unknown.")
    told = {name: [(str(o.column), o.how) for o in of] for name, of in found.lineage.items()}
    assert told["revenue.city"][0] == ("shops.city", "copied")
    assert told["shops.city"][0] == ("raw_shops.city", "copied")
    assert "amount: Sum(r0.amount)" in found.expression
    assert "city" not in found.expression


def test_explanation_is_json(target):
    found = explain(SHOP, target, "revenue.city", "shop = 'a'").to_json()
    assert found["lineage"]["revenue.city"][0] == {"column": "shops.city", "how": "copied"}
    assert found["steps"][0]["name"] == "mart.revenue"


def test_earlier_run_is_explained_from_the_files_that_it_read(own):
    (raw_of(own) / "sales-2.jsonl").write_text('{"shop": "a", "day": "2024-06-01"}\n')
    run(SHOP, own)
    assert explain(SHOP, own, "sales", "shop = 'a'").steps[1].rows == 4
    earlier = explain(SHOP, own, "sales", "shop = 'a'", run_id=1)
    assert earlier.steps == (Step("staging.sales", 2, 3), Step("raw_sales", 3, 6, duplicates=1))


def test_lines_of_changed_and_vanished_files_are_not_told(own):
    raw = raw_of(own)
    (raw / "sales.jsonl").write_text(SALES + "\n")
    (raw / "shops.csv").unlink()
    (raw / "shops.csv").mkdir()
    found = explain(SHOP, own, "revenue", "shop = 'a'")
    assert [step.name for step in found.steps] == ["mart.revenue", "staging.shops", "staging.sales"]
    assert found.lines == ()
    assert found.notes == (
        f"{raw} has no file shops.csv for source 'raw_shops'.",
        "raw_sales: sales.jsonl changed since run 1, so its lines cannot be told. "
        "Run again to explain what the files say now.",
    )


def test_without_a_raw_folder_the_tables_are_explained(target):
    found = explain(SHOP, target.model_copy(update={"raw": None}), "revenue", "shop = 'a'")
    assert [step.name for step in found.steps] == ["mart.revenue", "staging.shops", "staging.sales"]
    assert found.notes == (
        "No lines of raw_shops, raw_sales are told: no raw folder is known. "
        "Name the raw folder: --raw DIR.",
    )


@pytest.mark.parametrize("raw", [Path("nowhere"), Remote("hdfs://b/raw")])
def test_missing_raw_folder_is_told_once_for_all_sources(target, raw):
    engine = "duckdb" if isinstance(raw, Path) else "spark"  # which alone may have such a place
    asked = target.model_copy(update={"raw": raw, "engine": engine})
    found = explain(SHOP, asked, "revenue", "shop = 'a'")
    why = f"{raw} is no folder" if isinstance(raw, Path) else f"{raw} is not on this machine"
    assert found.notes == (
        f"No lines of raw_shops, raw_sales are told: {why}. Name the raw folder: --raw DIR.",
    )


@pytest.mark.parametrize(
    ("model", "where", "told"),
    [
        ("revenu", None, "has no table 'revenu'. Did you mean 'revenue'?"),
        ("revenue.amont", None, "mart.revenue has no column 'amont'. Did you mean 'amount'?"),
        ("raw_sales", None, "raw_sales is a source. Ask for a table that is built from it: st"),
        ("raw_shops.city", None, "raw_shops is a source. Ask for a table that is built from it: "),
        ("revenue", "", "--where is empty."),
        ("revenue", " \n", "--where is empty."),
        ("revenue", "shop, city", "--where 'shop, city': Invalid Input Error: "),
        ("revenue", "true; select 1", "--where 'true; select 1': Parser Error: "),
        ("revenue", "true FROM x", "--where 'true FROM x': Parser Error: "),
        ("revenue", "shop =", "--where 'shop =': Parser Error: "),
        ("revenue", "nothing = 1", "--where 'nothing = 1': Binder Error: "),
        ("revenue", "shop = 1", "--where 'shop = 1': Conversion Error: "),
    ],
)
def test_wrong_question_is_refused_in_one_line(target, model, where, told):
    with pytest.raises(ConfigError) as caught:
        explain(SHOP, target, model, where)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        "false) UNION ALL SELECT 'x', 'y', 1, 2 WHERE (true",
        "true); COPY (SELECT 1) TO '{file}'; SELECT (true",
        "true); COPY (SELECT 1) TO '{file}' --",
    ],
)
def test_condition_cannot_become_another_statement(target, tmp_path, where):
    file = tmp_path / "written.csv"
    with pytest.raises(ConfigError, match="Parser Error"):
        explain(SHOP, target, "revenue", where.format(file=file))
    assert not file.exists()


def test_condition_may_hold_brackets_comments_and_semicolons_in_texts(target):
    found = explain(SHOP, target, "revenue", "(shop || ');') = 'a);' -- of Oslo")
    assert [row["shop"] for row in found.rows] == ["a"]


def test_tables_of_other_code_are_not_explained(target, monkeypatch):
    monkeypatch.setattr(Pipeline, "code_hashes", lambda _: dict.fromkeys(SHOP.models, "other"))
    with pytest.raises(ConfigError, match=r"run 1 has mart\.revenue as other code built it"):
        explain(SHOP, target, "revenue")


def test_table_that_lags_behind_its_input_is_not_explained(own):
    (raw_of(own) / "sales-2.jsonl").write_text('{"shop": "a", "day": "2024-06-01"}\n')
    run(SHOP, own, select="sales shops")
    with pytest.raises(ConfigError, match=r"from version 0 of staging\.sales, which changed since"):
        explain(SHOP, own, "revenue")


def test_remote_warehouse_is_refused(target):
    remote = target.model_copy(update={"engine": "spark", "warehouse": Remote("hdfs://b/w")})
    with pytest.raises(
        ConfigError,
        match="explain reads warehouses on disks and in object stores; hdfs://b/w is none",
    ):
        explain(SHOP, remote, "revenue")


@pytest.mark.thorough("spark")
def test_warehouse_of_either_engine_is_explained(engine: Workbench, tmp_path: Path):
    target = Target(
        name="test", engine=engine.name, raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w"
    )
    engine.run(SHOP, target)
    found = explain(SHOP, target, "revenue.amount", "shop = 'a'")
    assert [(step.name, step.rows) for step in found.steps] == [
        ("mart.revenue", 1),
        ("staging.sales", 2),
        ("raw_sales", 3),
    ]
