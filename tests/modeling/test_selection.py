"""Which models `--select` and `--exclude` name."""

from types import ModuleType
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest

from streampro import Contract, Pipeline, PipelineError, Source, column, model


class Numbers(Contract):
    """One row per number."""

    number: dt.Int64 = column("Number.")

    class Config:
        unique = ["number"]


def one(raw_a: ir.Table) -> ir.Table:
    return raw_a.select(number=raw_a.number.try_cast("int64")).distinct()


def two(raw_b: ir.Table) -> ir.Table:
    return raw_b.select(number=raw_b.number.try_cast("int64")).distinct()


def both(one: ir.Table, two: ir.Table) -> ir.Table:
    return one.semi_join(two, "number")


def top(both: ir.Table) -> ir.Table:
    return both.filter(both.number > 10)


def alone(two: ir.Table) -> ir.Table:
    return two.filter(two.number > 0)


def pipeline_of(**declared: Any) -> Pipeline:
    """Return a pipeline of the models above, each with what is declared of it."""
    modules = {name: ModuleType(name) for name in ("staging", "mart", "answers")}
    layers = {one: "staging", two: "staging", both: "mart", top: "answers", alone: "mart"}
    for transform, layer in layers.items():
        transform.__module__, name = layer, transform.__name__
        made = model(contract=Numbers, **declared.get(name, {}))(transform)
        setattr(modules[layer], name, made)
    for name in "ab":
        source = Source(f"raw_{name}", (f"{name}.csv",), "csv", {"number": ("number",)})
        setattr(modules["staging"], source.name, source)
    return Pipeline("numbers", [*modules.values()])


PIPELINE = pipeline_of(
    one={"tags": ["daily", "core"], "owner": "platform"},
    both={"tags": ["daily"]},
    top={"owner": "growth@example.org"},
)


@pytest.mark.parametrize(
    ("select", "exclude", "wanted"),
    [
        ("tag:daily", None, "one both"),
        ("tag:core+", None, "one both top"),
        ("+tag:daily", None, "one two both"),
        ("owner:growth@example.org", None, "top"),
        ("layer:mart", None, "both alone"),
        ("layer:staging,top", None, "one two top"),
        ("source:raw_a", None, "one"),
        ("source:raw_b+", None, "two both alone top"),
        (None, "layer:answers", "one two both alone"),
        (None, "two+", "one"),
        ("both+ alone", "top", "both alone"),
        ("layer:mart", "tag:daily", "alone"),
        ("mart.both", None, "both"),
    ],
)
def test_words_name_models(select: str | None, exclude: str | None, wanted: str) -> None:
    found = [each.name for each in PIPELINE.select(select, exclude)]
    assert {*found} == {*wanted.split()}
    assert found == [name for name in PIPELINE.models if name in found]


@pytest.mark.parametrize(
    ("select", "exclude", "said"),
    [
        ("tag:dayly", None, "--select tag:dayly: pipeline 'numbers' has no tag 'dayly'. Did you "),
        ("layer:gold", None, "has no layer 'gold'. Layers: staging, mart, answers."),
        ("source:raw_c+", None, "has no source 'raw_c'. Did you mean 'raw_b'? Sources: raw_a, raw"),
        ("taag:daily", None, "has no model 'taag:daily'. "),
        (None, "owner:me", "--exclude owner:me: pipeline 'numbers' has no owner 'me'. Owners: "),
        ("state:new", None, "`state:changed` and `state:changed@RUN` are known."),
        ("state:changed@x", None, "`state:changed` and `state:changed@RUN` are known."),
        ("state:changed", None, "there is no warehouse to compare with"),
        ("both", "mart.both", "--select both --exclude mart.both leaves no model."),
        (" , ", None, "--select ' , ' names no model."),
    ],
)
def test_what_names_nothing_is_refused(select: str | None, exclude: str | None, said: str) -> None:
    with pytest.raises(PipelineError) as raised:
        PIPELINE.select(select, exclude)
    assert said in str(raised.value)


def test_a_pipeline_without_tags_says_so() -> None:
    with pytest.raises(PipelineError, match=r"has no tag 'daily'\. It has no tag at all\."):
        pipeline_of().select("tag:daily")


def test_what_changed_is_what_has_another_code_than_a_run() -> None:
    hashes = PIPELINE.code_hashes()
    runs = {1: {}, 2: hashes | {"both": "another"}, None: hashes}

    def names(select: str) -> list[str]:
        return [each.name for each in PIPELINE.select(select, published=lambda run: runs[run])]

    assert names("state:changed") == []
    assert names("state:changed@2") == ["both"]
    assert names("state:changed@2+") == ["both", "top"]
    assert names("state:changed@1") == [*PIPELINE.models]


def test_tags_and_owners_are_no_part_of_the_code() -> None:
    assert pipeline_of().code_hashes() == PIPELINE.code_hashes()


@pytest.mark.parametrize("declared", [{"tags": ["a b"]}, {"tags": ["a,b"]}, {"owner": ""}])
def test_a_word_that_cannot_be_selected_is_refused(declared: Any) -> None:
    with pytest.raises(PipelineError, match="is no word by which --select can find"):
        pipeline_of(one=declared)


def test_tags_are_a_list() -> None:
    with pytest.raises(PipelineError, match="tags"):
        pipeline_of(one={"tags": "daily"})


def test_many_ways_between_two_models_are_followed_once() -> None:
    """There are 2 ** 40 of them."""
    module: Any = ModuleType("staging")
    module.raw = Source("raw_a", ("a.csv",), "csv", {"number": ("number",)})
    one.__module__ = module.__name__
    module.one = model(contract=Numbers)(one)
    below = "one"
    for depth in range(40):
        pair = [f"left_{depth}", f"right_{depth}"]
        for name in pair:
            scope: dict[str, Any] = {}
            exec(f"def {name}({below}): return {below.split(',')[0]}", scope)
            scope[name].__module__ = module.__name__
            setattr(module, name, model(contract=Numbers)(scope[name]))
        below = ", ".join(pair)
    pipeline = Pipeline("deep", [module])
    assert len(pipeline.select("one+")) == len(pipeline.select("+left_39")) + 1 == 81
