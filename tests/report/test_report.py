"""The report of any pipeline: what it knows of a run."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pipelines.shop import SHOP, answers, mart, raw, staging, write_raw

from streampro.config import Target
from streampro.errors import ConfigError, WarehouseError
from streampro.execution.runner import run
from streampro.modeling.contract import Rejected
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import Books
from streampro.report import p_value_text, points_text, write_report
from streampro.report.cells import sortable, written
from streampro.report.content import content_of
from streampro.report.quality import ancestry, late_rows, rejected_samples, whole_books
from streampro.testing import Workbench
from streampro.warehouse import ledger
from streampro.warehouse.run import Run, Warned
from streampro.warehouse.upkeep.retention import clean, rollback

ANSWERING = Pipeline("shop", [raw, staging, mart, answers])

LENIENT = SHOP.without_limits()
"""For files of one line, which may be odd."""


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def add(target: Target, name: str, *sales: dict[str, str]) -> None:
    """Write another file of sales."""
    assert target.raw is not None
    lines = "".join(f"{json.dumps(sale)}\n" for sale in sales)
    Path(target.raw / f"sales-{name}.jsonl").write_text(lines)


def page(pipeline: Pipeline, target: Target, **options: Any) -> str:
    out = target.warehouse.parent / "report.html"  # type: ignore[union-attr]
    write_report(pipeline, target, out, **options)
    return out.read_text(encoding="utf-8")


def books(target: Target, run_id: int) -> list[Books]:
    runs = ledger.runs(target.warehouse)
    return whole_books(runs, runs[run_id - 1], SHOP)


class TestWithoutQuestionsOfItsOwn:
    @pytest.mark.slow
    def test_answers_are_tables_as_their_contract_says(self, target: Target) -> None:
        found = content_of(ANSWERING, target, run(ANSWERING, target))
        section = next(each for each in found.answered if each.question.model == "cities")
        [figure] = section.figures
        assert section.question.definition == "One row per city, null where it is unknown."
        assert [(c.name, c.kind, c.meaning) for c in figure.table.columns] == [
            ("city", "text", "City."),
            ("shops", "number", "Shops."),
            ("known", "share", "Share of sales with a price."),
        ]
        assert [tuple(row.values()) for row in figure.table.rows] == [
            ("Oslo", 1, 1.0),
            ("Rome", 1, 1.0),
        ]

    def test_a_pipeline_without_answers_has_a_page_too(
        self, target: Target, opened: Callable[..., Any]
    ) -> None:
        run(SHOP, target)
        page(SHOP, target)
        found = opened(target.warehouse.parent / "report.html", 390)  # type: ignore[union-attr]
        assert "mart.revenue" in found.ask("document.querySelector('main h2').innerText")
        assert found.messages == []
        assert found.ask("document.documentElement.scrollWidth") <= 390

    @pytest.mark.slow
    def test_a_run_by_other_code_says_so_and_is_not_judged_by_present_contracts(
        self, target: Target
    ) -> None:
        write_raw(target.raw, shops="shop,city\na,Oslo\n")  # type: ignore[arg-type]
        done = run(SHOP, target)
        now = content_of(SHOP, target, done)
        assert [row["rule"] for row in now.warnings.rows] == ["orphan shop: not in shops.shop"]
        stale = content_of(SHOP, target, replace(done, code=done.code | {"revenue": "older"}))
        assert (stale.other_code, stale.warnings.rows) == (["revenue"], [])

    @pytest.mark.slow
    def test_the_page_of_a_run_by_other_code_names_its_models(
        self, target: Target, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = run(ANSWERING, target)
        monkeypatch.setattr(Pipeline, "code_hashes", lambda _: {**done.code, "cities": "newer"})
        told = page(ANSWERING, target)
        assert (
            "This run was built by other code than the pipeline's present one (cities), so its "
            "answers are shown as plain tables." in told
        )
        assert "Not built yet" not in told

    @pytest.mark.slow
    def test_a_model_that_the_run_lacks_is_not_built_yet(self, target: Target) -> None:
        done = run(ANSWERING, target, select="sales")
        found = content_of(ANSWERING, target, done)
        assert (found.missing, found.other_code) == (["shops", "revenue", "cities"], [])
        told = page(ANSWERING, target)
        assert "Not built yet: shops, revenue, cities." in told
        assert "built by other code" not in told
        assert "0 answers" not in told

    @pytest.mark.slow
    def test_models_that_are_missing_and_models_of_other_code_are_told_apart(
        self, target: Target
    ) -> None:
        done = run(SHOP, target)
        stale = replace(done, code=done.code | {"revenue": "older"})
        found = content_of(ANSWERING, target, stale)
        assert (found.missing, found.other_code) == (["cities"], ["revenue"])


class TestRefuses:
    def test_a_warehouse_without_a_run(self, target: Target) -> None:
        with pytest.raises(ConfigError, match=r"no published run yet\. Start with `streampro run`"):
            write_report(SHOP, target)

    def test_an_unknown_run(self, target: Target) -> None:
        run(SHOP, target)
        with pytest.raises(ConfigError, match="has no run 7; the runs are 1 to 1"):
            write_report(SHOP, target, run_id=7)

    def test_the_warehouse_of_another_pipeline(self, target: Target) -> None:
        run(SHOP, target)
        with pytest.raises(ConfigError, match="warehouse of pipeline 'shop', not of 'other'"):
            write_report(Pipeline("other", [raw, staging, mart]), target)

    @pytest.mark.slow
    def test_a_run_that_was_cleaned(self, target: Target) -> None:
        run(SHOP, target)
        run(SHOP, target, full_refresh=True)
        clean(target, keep=1, dry_run=False)
        with pytest.raises(WarehouseError, match="run 1 was cleaned"):
            write_report(SHOP, target, run_id=1)

    @pytest.mark.slow
    def test_a_place_that_cannot_be_written(self, target: Target, tmp_path: Path) -> None:
        run(LENIENT, target)
        with pytest.raises(ConfigError, match=r"report\.html cannot be written: No such"):
            write_report(SHOP, target, tmp_path / "nowhere" / "report.html")


class TestBooks:
    first = Books("raw_sales", 6, 3, 1, 2, {"no day": 2})
    second = Books("raw_sales", 9, 5, 1, 3, {"no day": 2, "no shop": 1})

    def sell_more(self, target: Target) -> None:
        add(target, "more", {"shop": "a", "day": "2024-05-03"}, {"shop": "e", "day": "2024-05-03"})
        add(target, "bad", {"day": "2024-05-03"})
        run(LENIENT, target)

    @pytest.mark.slow
    def test_are_of_all_lines_that_the_tables_were_built_from(self, target: Target) -> None:
        run(LENIENT, target)
        self.sell_more(target)
        assert run(LENIENT, target).books == ()
        assert [books(target, number) for number in (1, 2)] == [[self.first], [self.second]]

    @pytest.mark.slow
    def test_start_anew_where_all_was_read_anew(self, target: Target) -> None:
        run(LENIENT, target)
        self.sell_more(target)
        run(LENIENT, target, full_refresh=True)
        assert books(target, 3) == [self.second]

    @pytest.mark.slow
    def test_go_back_with_a_rollback(self, target: Target) -> None:
        run(LENIENT, target)
        self.sell_more(target)
        rollback(target, 1)
        assert books(target, 3) == [self.first]
        run(LENIENT, target)
        assert books(target, 4) == [self.second]

    @pytest.mark.slow
    def test_the_run_before_a_rollback_is_the_one_it_went_back_to(self, target: Target) -> None:
        done = run(LENIENT, target)
        runs = [replace(done, run_id=number) for number in (1, 2, 3)]
        runs += [replace(done, run_id=4, rolled_back_to=2), replace(done, run_id=5)]
        assert [each.run_id for each in ancestry(runs, runs[4])] == [5, 4, 2, 1]


@pytest.mark.slow
def test_warnings_count_all_rows_and_not_those_of_the_last_run(target: Target) -> None:
    run(SHOP, target)
    add(target, "one", {"shop": "x", "day": "2024-05-03", "amount": "1"})
    run(SHOP, target)
    add(target, "two", {"shop": "y", "day": "2024-05-03", "amount": "5000"})
    last = run(SHOP, target)
    found = content_of(SHOP, target, last)
    assert last.warnings == (
        Warned("mart.revenue", "amount_is_usual", 1),
        Warned("mart.revenue", "orphan shop: not in shops.shop", 1),
    )
    assert [(row["rule"], row["rows"]) for row in found.warnings.rows] == [
        ("amount_is_usual", 1),
        ("orphan shop: not in shops.shop", 2),
    ]


def test_first_lines_of_every_reason_are_shown_each_once(engine: Workbench) -> None:
    lines = [("b", "f", text) for text in ("4", "2", "2", "3", "1")] + [("a", "g", "x" * 301)]
    rejected = engine.table(
        [{"reject_reason": r, "source_file": f, "raw_line": text} for r, f, text in lines], Rejected
    )
    found = engine.rows(rejected_samples(rejected))
    assert [tuple(row.values()) for row in found] == [
        ("a", 1, "g", "x" * 300, 301),
        ("b", 5, "f", "1", 1),
        ("b", 5, "f", "2", 1),
        ("b", 5, "f", "3", 1),
    ]


@pytest.mark.slow
def test_late_rows_are_told_per_run(target: Target) -> None:
    first = run(SHOP, target)
    [sales] = [c for c in first.changes if c.table == "staging.sales"]
    second = replace(
        first, run_id=2, changes=(replace(sales, mode="incremental", added=9, late=4, late_by_s=7),)
    )
    [row] = late_rows([first, second], second)
    shown = ("run", "table", "new rows", "late rows", "latest by")
    assert tuple(row[name] for name in shown) == (2, "staging.sales", 9, 4, 7)


@pytest.mark.slow
def test_secrets_are_masked_and_versions_are_told(target: Target) -> None:
    done = run(SHOP, target)
    told = page(SHOP, target)
    assert "&#34;card&#34;:&#34;***&#34;" in told.replace(": ", ":")
    assert "4711&#34;" not in told
    for text in (done.code["revenue"][:12], done.packages["ibis-framework"], "sales.jsonl"):
        assert text in told


@pytest.mark.slow
def test_an_older_run_is_reported_as_it_was(target: Target) -> None:
    run(ANSWERING, target)
    before = page(ANSWERING, target)
    add(target, "new", {"shop": "a", "day": "2024-05-03"})
    run(ANSWERING, target)
    assert page(ANSWERING, target) != before
    assert page(ANSWERING, target, run_id=1) == before


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_every_engine_has_the_same_page(engine: Workbench, target: Target) -> None:
    done = engine.run(ANSWERING, target)
    own = target.model_copy(update={"engine": engine.name})
    found = content_of(ANSWERING, own, done)
    assert [row["city"] for row in found.answered[0].figures[0].table.rows] == ["Oslo", "Rome"]
    assert [(group["reason"], group["lines"]) for group in found.samples] == [("no day", 2)]


@pytest.mark.thorough
def test_a_remote_warehouse_is_read_by_its_engine(tmp_path: Path, spark: Any) -> None:
    folder = write_raw(tmp_path / "raw")
    places = {"raw": f"file://{folder}", "warehouse": f"file://{tmp_path / 'w'}"}
    target = Target(name="test", engine="spark", **places)
    done = run(ANSWERING, target, session=spark)
    found = content_of(ANSWERING, target, done, spark)
    assert sorted(row["city"] for row in found.answered[0].figures[0].table.rows) == [
        "Oslo",
        "Rome",
    ]
    assert [(group["reason"], group["lines"]) for group in found.samples] == [("no day", 2)]


@pytest.mark.slow
def test_page_may_run_its_own_scripts_only(target: Target) -> None:
    run(SHOP, target)
    [policy] = re.findall(
        r'http-equiv="Content-Security-Policy" content="([^"]*)"', page(SHOP, target)
    )
    assert policy.startswith("default-src 'none'; ")
    assert re.fullmatch(r"script-src( 'sha256-\S+'){2}", policy.rpartition("; ")[2])


@pytest.mark.parametrize(
    ("value", "kind", "text", "sorts_as"),
    [
        (None, "share", "\u2013", ""),
        (0.1234, "share", "12.3%", "0.1234"),
        ((0.1, 0.25), "interval", "10.0 to 25.0%", "0.1"),
        (-0.0311, "points", "-3.1", "-0.0311"),
        (0.00005, "p_value", "< 0.0001", "5e-05"),
        (0.0312, "p_value", "0.031", "0.0312"),
        (1234567, "count", "1,234,567", "1234567"),
        ("1e9", "text", "1e9", "1e9"),
    ],
)
def test_values_are_written_and_sorted(value: Any, kind: Any, text: str, sorts_as: str) -> None:
    assert (written(value, kind), sortable(value, kind)) == (text, sorts_as)


def test_points_have_a_sign_and_small_p_values_a_bound() -> None:
    assert (points_text(0.172), p_value_text(1e-9)) == ("+17.2 points", "< 0.0001")


@pytest.mark.slow
def test_run_is_what_write_report_returns(target: Target, tmp_path: Path) -> None:
    done: Run = run(SHOP, target)
    assert write_report(SHOP, target, tmp_path / "r.html") == done
