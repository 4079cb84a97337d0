"""Names belong to the user: any works everywhere, or is refused where it is declared."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest
from hypothesis import example, given, settings, strategies as st

from streampro import (
    REJECT_COLUMNS,
    Contract,
    Limits,
    Pipeline,
    Source,
    column,
    model,
    one_row_per_key,
    rule,
    sql_model,
    typed,
)
from streampro.config import Target
from streampro.errors import PipelineError
from streampro.execution.runner import plan, run
from streampro.lineage.explain import explain
from streampro.modeling.model import TableName
from streampro.portable import mode, to_integer
from streampro.testing import Workbench
from streampro.warehouse.published import sql

TAKEN = sorted(
    {
        name
        for method in ("select", "mutate", "aggregate", "group_by", "join", "filter", "order_by")
        for name in inspect.signature(getattr(ir.Table, method)).parameters
    }
    | {"cls", "metrics", "exprs", "rname", "lname", "name", "on", "args", "kwargs", "table", "arg"}
)
"""Names of arguments of Ibis, with which a user's name may not be mixed up."""
NAMES = [
    *TAKEN,
    *("_id", "class", "count", "schema", "columns", "validate", "example", "Config", "__x__"),
    *("select", "order", "group", "user", "null", "true", "timestamp", "date"),
    *("copies", "rejection", "unreadable", "fate", "copy", "rank", "line", "value"),
    *("filename", "lines", "fields", "outcomes", "rows", "v", "t0", "cells", "number", "place"),
    *('a"b', "a`b", "a'b", "a.b", "a\\b", "$x", "%s", "a-b", "1", "#", "é", "名", "😀", "ß"),
    *("is_late", "by_us", "late", "added", "before", "after", "reason", "element", "position"),
]
KEYS = [
    *(("user",), ("user", "id"), ("USER",), ("user", "ID"), ("user", "id", "x"), ("a.b",)),
    *(
        ('"',),
        ("\\",),
        ("/",),
        ("~",),
        ("~1",),
        ("*",),
        ("$",),
        (" ",),
        ("\n",),
        ("'",),
        ("é", "0"),
    ),
]
"""Paths of values: among them are keys that differ in case, and values within values."""


def pipeline_of(
    names: Sequence[str],
    keys: Sequence[tuple[str, ...]],
    *,
    layer: str = "staging",
    table: str = "things",
    patterns: tuple[str, ...] = ("*.jsonl",),
) -> Pipeline:
    """A table that keeps the books of its source, with a column of the names each, and one that is
    incremental by the first.
    """
    fields = {f"field_{n}": path for n, path in enumerate(keys)}
    source = Source(name="raw_things", files=patterns, format="json_lines", fields=fields)
    declared = {
        f"column_{n}": column("A number.", alias=name, nullable=True, severity="quarantine", ge=0)
        for n, name in enumerate(names)
    }
    hints = dict.fromkeys(declared, dt.Int64)
    things = type("Things", (Contract,), {"__annotations__": hints, **declared})
    key = column("Its key.", alias=names[0])
    totals = type(
        "Totals",
        (Contract,),
        {
            "__annotations__": {"key": dt.Int64, **dict.fromkeys([*declared][1:], dt.Int64)},
            "key": key,
            **{
                f"column_{n}": column("A sum.", alias=name, nullable=True)
                for n, name in enumerate(names[1:], 1)
            },
            "Config": type("Config", (), {"unique": [names[0]]}),
        },
    )

    def staged(raw_things: ir.Table) -> ir.Table:
        values = {name: to_integer(raw_things[f"field_{n}"]) for n, name in enumerate(names)}
        reason = ibis.cases((~raw_things.is_object, "not_a_json_object"))
        given = [value.name(name) for name, value in values.items()]
        return raw_things.select(*given, reason.name("reject_reason"), *REJECT_COLUMNS[1:])

    def summed(**inputs: ir.Table) -> ir.Table:
        [rows] = inputs.values()
        given = rows.filter(rows[names[0]].notnull())
        return given.group_by(names[0]).aggregate(*(given[n].sum().name(n) for n in names[1:]))

    module = ModuleType(layer)
    staged.__name__, staged.__module__ = table, layer
    summed.__name__, summed.__module__ = f"{table}_sum", layer
    parameter = inspect.Parameter(table, inspect.Parameter.KEYWORD_ONLY)
    summed.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    module.source, module.staged = source, model(contract=things, quarantine=True)(staged)
    module.summed = model(contract=totals, incremental_by=names[0])(summed)
    return Pipeline("names", [module])


def line_of(keys: Sequence[tuple[str, ...]], first: int) -> tuple[str, list[int | None]]:
    """Return a line of JSON that has a number at every path, and the numbers; null where a value
    stands within the one of a path.
    """
    made: dict[str, Any] = {}
    for n, path in enumerate(keys):
        level = made
        for key in path[:-1]:
            inner = level.setdefault(key, {})
            level = inner if isinstance(inner, dict) else level
            if not isinstance(inner, dict):
                break
        else:
            level.setdefault(path[-1], first + n)
    return json.dumps(made, ensure_ascii=False), [_at(made, path) for path in keys]


def _at(made: Any, path: Sequence[str]) -> int | None:
    for key in path:
        made = made.get(key) if isinstance(made, Mapping) else None
    return made if isinstance(made, int) else None


def write(raw: Path, name: str, keys: Sequence[tuple[str, ...]], first: int) -> list[int | None]:
    raw.mkdir(exist_ok=True, parents=True)
    line, values = line_of(keys, first)
    (raw / name).write_text(f"{line}\nno json\n", encoding="utf-8")
    return values


def stored(target: Target, table: str, names: Sequence[str]) -> list[list[Any]]:
    quoted = '"' + names[0].replace('"', '""') + '"'
    found = sql(f"select * from {table} order by {quoted}", target)
    assert found.column_names == [*names]
    return [[*row.values()] for row in found.to_pylist()]


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_columns_may_have_any_name(engine: Workbench, tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    keys = [(name,) for name in NAMES]
    pipeline = pipeline_of(NAMES, keys)
    first = write(tmp_path / "raw", "a.jsonl", keys, 100)
    engine.run(pipeline, target)
    second = write(tmp_path / "raw", "b.jsonl", keys, 900)
    plan(pipeline, target)
    engine.run(pipeline, target)
    assert stored(target, "staging.things", NAMES) == [first, second]
    assert stored(target, "staging.things_sum", NAMES) == [first, second]
    rejected = sql("select count(*) as n from staging.things_rejected", target).to_pylist()
    assert rejected == [{"n": 2}]
    found = explain(pipeline, target, "staging.things_sum", f'"{NAMES[0]}" = 100')
    assert [[*row.values()] for row in found.rows] == [first]


def arguments_of(name: str) -> Pipeline:
    """A pipeline in which a name stands wherever one may: a source, fields, columns of each kind,
    a key, a rule, a reference, in SQL.
    """
    source = Source(
        name=name, files=("*.csv",), format="csv", fields={"k": ("k",), name: (name,)},
        limits=Limits(never_given="fail"),
    )  # fmt: skip

    def made(own: Any, grain: str, **more: Any) -> type[Contract]:
        """A table of a key and of a column of the name."""
        hints = {"key": str, "column": own}
        given = column("C.", alias=name, nullable=True)
        space = {"__annotations__": hints, "key": column("K."), "column": given, "__doc__": grain}
        return type("Rows", (Contract,), space | {"key": column("K.", alias="k")} | more)

    @rule("warn")
    def is_small(_: Any, rows: ir.Table) -> ir.BooleanValue:
        return rows[name] < 3

    keyed = type("Config", (), {"unique": ["k"]})
    staging = made(dt.Int64, "A number by key.", Config=keyed, **{name: is_small})
    answer = made(dt.Boolean, "Whether it is large.", Config=keyed)
    shares = made(dt.Float64, "A share by key.")

    def things(**inputs: ir.Table) -> ir.Table:
        [lines] = inputs.values()
        kept = typed(lines, staging).columns
        values = [to_integer(lines[name]).name(name)]
        reason = ibis.cases((lines.k == "", "no_key")).name("reject_reason")
        rows = lines.select(
            lines.k.fill_null("").name("k"), *values, reason, "raw_line", "source_file"
        )
        assert kept == ("k", name)
        return one_row_per_key(rows, "k")

    def large(things: ir.Table) -> ir.Table:
        return things.select("k", (things[name] > 2).name(name))

    def commonest(large: ir.Table) -> ir.Table:
        return mode(large, name, by=["k"])

    def sums(things: ir.Table) -> ir.Table:
        return things.select("k", (things[name] / 2).name(name))

    parameter = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    things.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    refers = type(
        "Refers",
        (Contract,),
        {
            "__annotations__": {"column": dt.Int64},
            "column": column("C.", alias=name, nullable=True, references=f"things.{name}"),
        },
    )
    for each in (things, large, commonest, sums):
        each.__module__ = "staging"
    module: Any = ModuleType("staging")
    module.source = source
    module.things = model(contract=staging, quarantine=True)(things)
    module.large = model(contract=answer, incremental_by="k")(large)
    module.commonest = model(contract=answer)(commonest)
    module.sums = model(contract=shares)(sums)
    text = """
        with t as (select C + 0 as C, row_number() over (order by k) as n from things)
        select t.C from t join (select distinct C from things) u on t.C = u.C
        where exists (select 1 from things w where w.C = t.C)
        and t.C <= (select max(v.C) from things v where v.C = t.C)
        group by t.C having count(*) > 0""".replace("C", f'"{name}"')

    @sql_model(contract=refers)
    def queried() -> str:
        return text

    module.queried = replace(queried, table=TableName("staging", "queried"))
    return Pipeline("arguments", [module])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("by", "self") else pytest.mark.thorough)
        for name in TAKEN
    ],
)
def test_a_name_may_be_that_of_an_argument(name: str, tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    pipeline = arguments_of(name)
    for number in (1, 2):
        (tmp_path / "raw").mkdir(exist_ok=True)
        rows = "".join(f"k{number}_{n},{n}\n" for n in range(1, 25))
        (tmp_path / "raw" / f"{number}.csv").write_text(f"k,{name}\n{rows}")
        done = run(pipeline, target)
        plan(pipeline, target)
    assert stored(target, "staging.large", ["k", name])[0] == ["k1_1", False]
    assert stored(target, "staging.commonest", ["k", name])[-1] == ["k2_9", True]
    assert stored(target, "staging.queried", [name]) == [[n] for n in range(1, 25)]
    assert [(str(each.table), each.rule, each.rows) for each in done.warnings] == [
        ("staging.things", name, 44)
    ]
    found = explain(pipeline, target, "staging.large", "k = 'k1_3'")
    assert [[*row.values()] for row in found.rows] == [["k1_3", True]]


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_keys_may_have_any_name(engine: Workbench, tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    names = [f"c{n}" for n, _ in enumerate(KEYS)]
    shuffled = [KEYS[0], *reversed(KEYS[1:])]
    for number, keys in enumerate((KEYS, shuffled)):
        write(tmp_path / "raw", f"{number}.jsonl", keys, 100 * (number + 1))
    engine.run(pipeline_of(names, KEYS), target)
    texts = [(tmp_path / "raw" / f"{n}.jsonl").read_text(encoding="utf-8") for n in (0, 1)]
    made = [json.loads(text.splitlines()[0]) for text in texts]
    wanted = [[_at(each, path) for path in KEYS] for each in made]
    assert sorted(map(repr, stored(target, "staging.things", names))) == sorted(map(repr, wanted))


@pytest.mark.thorough("spark")
@pytest.mark.slow
@pytest.mark.parametrize(
    "folders",
    [("line=U1", "filename=x", "a b=%41"), ("line=42", "value=1", "raw_line=y")],
    ids=", ".join,
)
@pytest.mark.parametrize("above", [False, True])
def test_folders_of_files_are_no_columns(
    folders: tuple[str, ...], above: bool, engine: Workbench, tmp_path: Path
) -> None:
    raw = tmp_path.joinpath(*folders, "raw") if above else tmp_path / "raw"
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    places = [raw] if above else [raw / folder for folder in folders]
    values = [
        write(place, "a.jsonl", [("user",), ("line",)], 7 * number)
        for number, place in enumerate(places)
    ]
    engine.run(pipeline_of(["x", "line"], [("user",), ("line",)], patterns=("**/*.jsonl",)), target)
    assert stored(target, "staging.things", ["x", "line"]) == values


@pytest.mark.thorough("spark")
@pytest.mark.slow
@pytest.mark.parametrize("layer", ["select", "main", "default", "order", "sys", "raw_things"])
def test_layers_may_have_any_name(layer: str, engine: Workbench, tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path / "raw", warehouse=tmp_path / "warehouse")
    values = write(tmp_path / "raw", "a.jsonl", [("user",), ("line",)], 7)
    engine.run(pipeline_of(["x", "y"], [("user",), ("line",)], layer=layer, table="table"), target)
    assert stored(target, f'"{layer}"."table"', ["x", "y"]) == [values]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"names": ["streampro_copies"]}, "StreamPro's own"),
        ({"names": ["_StreamPro"]}, "StreamPro's own"),
        ({"names": ["a b"]}, "Delta Lake stores no column whose name has ' '"),
        ({"names": ["a\n{}"]}, "Delta Lake stores no column whose name has"),
        ({"layer": "_streampro"}, "StreamPro's own"),
        ({"layer": "information_schema"}, "an engine has a schema or catalog of this name"),
        ({"layer": "Spark_Catalog"}, "an engine has a schema or catalog of this name"),
        ({"layer": "é"}, "a name is made of letters from a to z"),
        ({"table": "streampro_1"}, "StreamPro's own"),
        ({"keys": [("",)]}, "a key has at least one sign"),
        ({"keys": [()]}, "a key has at least one sign"),
    ],
)
def test_other_names_are_refused(given: dict[str, Any], said: str) -> None:
    made = {"names": ["x"], "keys": [("user",)]} | given
    with pytest.raises(PipelineError, match=said):
        pipeline_of(**made).problems()


@pytest.mark.parametrize("name", ["a/b", "..", "a b", "1", ""])
def test_a_source_is_asked_for_by_a_name_of_python(name: str) -> None:
    with pytest.raises(PipelineError, match="a name is made of letters"):
        Source(name=name, files=("*",), format="csv", fields={"a": ("a",)})


def test_names_of_a_table_on_the_way_are_not_ours() -> None:
    source = Source(name="raw", files=("*",), format="json_lines", fields={"a": ("a",)})

    class Rows(Contract):
        """Rows."""

        a: str = column("A.", nullable=True)

    def rows(raw: ir.Table) -> ir.Table:
        return raw.mutate(streampro_0_0=raw.a).select(a="streampro_0_0")

    module = ModuleType("staging")
    rows.__module__ = "staging"
    module.source, module.rows = source, model(contract=Rows)(rows)  # type: ignore[attr-defined]
    [said] = Pipeline("names", [module]).problems()
    assert "'streampro_0_0': names that begin so are StreamPro's own" in said


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=5)


@pytest.mark.slow
@settings(max_examples=20)
@given(names=st.lists(TEXTS, min_size=2, max_size=3, unique=True))
@example(names=["a", "A"])
@example(names=["\x00", "b"])
@example(names=["a\u0301", "á"])
def test_a_drawn_name_works_or_is_refused(
    names: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("names")
    target = Target(name="test", raw=place / "raw", warehouse=place / "warehouse")
    keys = [(name,) for name in names]
    try:
        pipeline = pipeline_of(names, keys)
        problems = pipeline.problems()
    except PipelineError:
        return
    if not problems:
        values = write(place / "raw", "a.jsonl", keys, 1)
        run(pipeline, target)
        assert stored(target, "staging.things", names) == [values]
