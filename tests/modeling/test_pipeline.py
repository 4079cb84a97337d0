"""Names are lineage: what a pipeline links, orders, selects and refuses."""

import subprocess
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from pipelines.shop import SHOP

from streampro.errors import PipelineError
from streampro.modeling.contract import Contract, Instant, column
from streampro.modeling.model import REJECT_COLUMNS, UNREADABLE, Model, TableName, model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source


class Numbers(Contract):
    """A number and its name."""

    number: dt.Int64 = column("Number.")
    name: str = column("Name.", nullable=True)


class References(Contract):
    """Numbers that stand elsewhere."""

    number: dt.Int64 = column("Number.", references="first.nummer")


def lines(name: str = "lines") -> Source:
    return Source(name, ("*.csv",), "csv", {"number": ("number",), "name": ("name",)})


def module(layer: str, *things: Source | Callable[..., Any], **options: Any) -> types.ModuleType:
    """Return a module `made_up.<layer>` of sources, and of functions as models of Numbers."""
    made = types.ModuleType(f"made_up.{layer}")
    for thing in things:
        if isinstance(thing, Source):
            setattr(made, thing.name, thing)
        else:
            thing.__module__ = made.__name__
            setattr(made, thing.__name__, model(**{"contract": Numbers, **options})(thing))
    return made


def first(lines: ir.Table) -> ir.Table:
    return lines.select(number=lines.number.try_cast("int64"), name=lines.name)


def second(first: ir.Table) -> ir.Table:
    return first.filter(first.number > 2)


def third(second: ir.Table, lines: ir.Table) -> ir.Table:
    return second.semi_join(lines, "name")


def fourth(second: ir.Table) -> ir.Table:
    return second


CHAIN = Pipeline(
    "chain",
    [module("gold", fourth, third), module("silver", second), module("raw", lines(), first)],
)


def names(selector: str | None) -> list[str]:
    return [built.name for built in CHAIN.select(selector)]


def test_parameters_are_the_lineage_and_models_come_after_their_inputs() -> None:
    assert {name: built.inputs for name, built in CHAIN.models.items()} == {
        "first": ("lines",),
        "second": ("first",),
        "third": ("second", "lines"),
        "fourth": ("second",),
    }
    assert list(CHAIN.models)[:2] == ["first", "second"]
    assert list(CHAIN.sources) == ["lines"]


def test_function_is_the_table_and_module_is_the_layer() -> None:
    assert [str(table) for table in CHAIN.tables()][:2] == ["raw.first", "silver.second"]
    assert TableName("gold", "third") in CHAIN.tables()


def test_quarantine_model_has_a_table_for_what_it_rejects() -> None:
    pipeline = Pipeline("books", [module("raw", lines(), first, quarantine=True)])
    assert [str(table) for table in pipeline.tables()] == ["raw.first", "raw.first_rejected"]


def test_model_is_the_function_it_was_made_of() -> None:
    table = ibis.table({"number": "int64", "name": "string"}, name="any")
    assert CHAIN.models["second"](table).equals(second(table))
    assert CHAIN.models["second"](first=table).equals(second(table))


def test_what_a_module_imports_is_declared_once() -> None:
    raw = module("raw", lines(), first)
    silver = module("silver", second)
    silver.first, silver.lines = raw.first, raw.lines  # type: ignore[attr-defined]  # a made module
    assert set(Pipeline("imports", [silver, raw]).models) == {"first", "second"}
    assert set(Pipeline("imports", [silver]).models) == {"first", "second"}


def test_a_model_that_a_function_of_another_module_makes_is_one() -> None:
    def made_by(helper: str) -> Model:
        def made(lines: ir.Table) -> ir.Table:
            return first(lines)

        made.__module__ = helper
        return model(contract=Numbers)(made)

    staging = module("staging", lines(), second, first)
    staging.made = made_by("helpers")  # type: ignore[attr-defined]  # a made module
    found = Pipeline("factory", [staging]).models
    assert [str(found[name].table) for name in sorted(found)] == [
        "staging.first",
        "helpers.made",
        "staging.second",
    ]
    also = module("also")
    also.made = made_by("others")  # type: ignore[attr-defined]  # a made module
    with pytest.raises(PipelineError, match="two models named 'made': helpers and others"):
        Pipeline("factory", [staging, also])


def test_unknown_parameter_has_a_hint() -> None:
    def second(frist: ir.Table) -> ir.Table:
        return frist

    with pytest.raises(PipelineError) as caught:
        Pipeline("typo", [module("raw", lines(), first), module("silver", second)])
    assert caught.value.message == (
        "model second takes 'frist', which is neither a model nor a source of pipeline 'typo'. "
        "Did you mean 'first'?"
    )


def test_unlike_parameter_has_no_hint() -> None:
    def second(zzz: ir.Table) -> ir.Table:
        return zzz

    with pytest.raises(PipelineError, match=r"takes 'zzz', .* source of pipeline 'typo'\.$"):
        Pipeline("typo", [module("raw", lines(), first), module("silver", second)])


def test_two_models_of_one_name_are_refused() -> None:
    def again(lines: ir.Table) -> ir.Table:
        return first(lines)

    again.__name__ = "first"
    with pytest.raises(PipelineError) as caught:
        Pipeline("twice", [module("raw", lines(), first), module("silver", again)])
    assert str(caught.value) == (
        "pipeline 'twice' has two models named 'first': made_up.raw and made_up.silver. Rename one."
    )


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(PipelineError, match="two sources named 'lines'"):
        Pipeline("twice", [module("raw", lines()), module("other", lines())])


def test_source_and_model_of_one_name_are_refused() -> None:
    with pytest.raises(PipelineError) as caught:
        Pipeline("both", [module("raw", lines(), lines("first")), module("silver", first)])
    assert str(caught.value) == (
        "pipeline 'both': 'first' is both a source and the model silver.first. Rename one."
    )


def first_rejected(lines: ir.Table) -> ir.Table:
    return lines


@pytest.mark.parametrize("named", [first_rejected, lines("first_rejected")])
def test_model_or_source_named_like_a_table_of_rejected_lines_is_refused(named: Any) -> None:
    with pytest.raises(PipelineError) as caught:
        Pipeline("clash", [module("raw", lines(), first, quarantine=True), module("silver", named)])
    assert str(caught.value) == (
        "pipeline 'clash': 'first_rejected' has the name of the table for what 'first' "
        "rejects. Rename it."
    )


def test_cycle_is_named() -> None:
    def egg(hen: ir.Table) -> ir.Table:
        return hen

    def hen(egg: ir.Table) -> ir.Table:
        return egg

    with pytest.raises(PipelineError, match=r"'farm' has a cycle: (egg|hen) -> (egg|hen) -> "):
        Pipeline("farm", [module("raw", egg, hen)])


def test_reference_to_an_unknown_column_is_refused() -> None:
    with pytest.raises(PipelineError) as caught:
        Pipeline(
            "lost", [module("raw", lines(), first), module("gold", second, contract=References)]
        )
    assert caught.value.message == (
        "gold.second.number references first.nummer, but first has no such column."
    )


def test_quarantine_of_a_model_instead_of_a_source_is_refused() -> None:
    with pytest.raises(PipelineError):
        Pipeline("late", [module("raw", lines(), first), module("silver", second, quarantine=True)])


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, {"first", "second", "third", "fourth"}),
        ("second", {"second"}),
        ("+second", {"first", "second", "third"}),
        ("second+", {"second", "third", "fourth"}),
        ("+second+", {"first", "second", "third", "fourth"}),
        ("first,third", {"first", "third"}),
        ("first, third+", {"first", "third"}),
        ("first third", {"first", "third"}),
        ("silver.second", {"second"}),
        ("+gold.third", {"first", "second", "third"}),
        ("silver.second+", {"second", "third", "fourth"}),
        ("fourth,+fourth,fourth", {"first", "second", "third", "fourth"}),
    ],
)
def test_selection(selector: str | None, selected: set[str]) -> None:
    assert set(names(selector)) == selected


def test_selection_is_in_building_order() -> None:
    assert names("third,first,second") == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (
            "+secnd",
            "--select +secnd: pipeline 'chain' has no model 'secnd'. Did you mean 'second'? ",
        ),
        ("first,lines", "--select lines: pipeline 'chain' has no model 'lines'. "),
        ("gold.second", "--select gold.second: pipeline 'chain' has no "),
    ],
)
def test_unknown_selection_is_refused_with_a_hint(selector: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        CHAIN.select(selector)
    assert str(caught.value).startswith(message)
    assert "second" in str(caught.value)


def problems_of(transform: Callable[..., Any], **options: Any) -> list[str]:
    return Pipeline("checked", [module("raw", lines(), transform, **options)]).problems()


def test_expressions_like_their_contracts_have_no_problems() -> None:
    assert CHAIN.problems() == []


def test_missing_column_is_a_problem() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        return lines.select(number=lines.number.try_cast("int64"))

    assert problems_of(kept) == ["raw.kept lacks name."]


def test_extra_column_is_a_problem() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        return first(lines).mutate(more=ibis.literal(1), most=ibis.literal(2))

    assert problems_of(kept) == ["raw.kept has more, most, which its contract does not know."]


def test_order_of_columns_is_a_problem() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        return first(lines).select("name", "number")

    assert problems_of(kept) == [
        "raw.kept has its columns in the order name, number; its contract says number, name."
    ]


def test_type_is_a_problem() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        return first(lines).cast({"number": "int32"})

    assert problems_of(kept) == ["raw.kept.number is int32; its contract says int64."]


def test_instant_in_the_code_is_of_the_type_of_instants() -> None:
    class Day(Contract):
        """One row per line."""

        at: Instant = column("An instant.", unit="UTC")
        all_at: list[Instant] = column("The same in a list.", unit="UTC")

    def kept(lines: ir.Table) -> ir.Table:
        new_year = ibis.literal(datetime(2024, 1, 1, tzinfo=UTC))
        at = ibis.ifelse(lines.number == "1", new_year, new_year + ibis.interval(days=1))
        return lines.select(at=at, all_at=ibis.array([at]))

    assert problems_of(kept, contract=Day) == []


def test_every_problem_is_told() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        return lines.select("number", other="name")

    assert problems_of(kept) == [
        "raw.kept lacks name.",
        "raw.kept has other, which its contract does not know.",
        "raw.kept.number is string; its contract says int64.",
    ]


def test_quarantine_model_must_say_why_and_may_say_what_was_unreadable() -> None:
    def kept(lines: ir.Table) -> ir.Table:
        rows = lines.mutate(
            number=lines.number.try_cast("int64"), reject_reason=ibis.null("string")
        )
        return rows.select("number", "name", *REJECT_COLUMNS).mutate(**{UNREADABLE: False})

    assert problems_of(kept, quarantine=True) == []
    assert problems_of(first, quarantine=True) == [
        "raw.first lacks reject_reason, raw_line, source_file."
    ]


def hash_of(transform: Callable[[ir.Table], ir.Table]) -> str:
    def kept(lines: ir.Table) -> ir.Table:
        return transform(first(lines))

    return Pipeline("hashed", [module("raw", lines(), kept)]).code_hashes()["kept"]


LONG = "x" * 300


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda t: t.filter(t.number > 2), lambda t: t.filter(t.number > 3)),
        (lambda t: t.filter(t.number > 2), lambda t: t.filter(t.number >= 2)),
        (lambda t: t.filter(t.name == "a"), lambda t: t.filter(t.name == "b")),
        (lambda t: t.filter(t.name == LONG + "a"), lambda t: t.filter(t.name == LONG + "b")),
        (lambda t: t.filter(t.name == "a\nb"), lambda t: t.filter(t.name == "a b")),
        (lambda t: t.filter(t.number > 0.1), lambda t: t.filter(t.number > 0.10000000000000002)),
        (
            lambda t: t.filter(t.number.isin(range(100))),
            lambda t: t.filter(t.number.isin([*range(50), 500, *range(51, 100)])),
        ),
        (lambda t: t.order_by("number"), lambda t: t.order_by("name")),
        (
            lambda t: t.filter(t.name.re_search("a|b")),
            lambda t: t.filter(t.name.re_search("a|c")),
        ),
    ],
)
def test_code_hash_changes_with_the_meaning(one: Any, other: Any) -> None:
    assert hash_of(one) != hash_of(other)


def test_code_hash_does_not_change_without_the_meaning() -> None:
    def told_otherwise(rows: ir.Table) -> ir.Table:
        """Says more and names things differently."""
        limit = 1 + 1
        return rows.filter(rows.number > limit)

    assert hash_of(lambda t: t.filter(t.number > 2)) == hash_of(told_otherwise)


def test_code_hash_does_not_change_with_names_that_ibis_makes_up() -> None:
    def listed(rows: ir.Table) -> ir.Table:
        words = rows.select("number", word=rows.name.split(",").remove("a").unnest())
        other = words.view()
        return words.join(other, words.number == other.number, rname="{name}_other")

    assert hash_of(listed) == hash_of(listed)


def test_code_hash_of_a_model_does_not_depend_on_other_models() -> None:
    alone = Pipeline("hashed", [module("raw", lines(), first)])
    assert CHAIN.code_hashes()["first"] == alone.code_hashes()["first"]


@pytest.mark.slow
def test_code_hashes_are_the_same_in_every_process() -> None:
    code = "from pipelines.shop import SHOP; print(SHOP.code_hashes())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == str(SHOP.code_hashes())
