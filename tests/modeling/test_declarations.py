"""Declarations and calls are checked when they are made, with what was meant."""

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pytest

import streampro
from streampro import (
    Contract,
    Instant,
    Limits,
    Model,
    Pipeline,
    Source,
    column,
    model,
    one_row_per_key,
    rule,
    typed,
)
from streampro.config import Target
from streampro.errors import ConfigError, PipelineError
from streampro.modeling.spec import TableSpec, spec_of
from streampro.viewing import PIPELINE

TABLE = ibis.table({"a": "string"}, name="rows")
TARGET = Target(name="test", raw=Path("raw"), warehouse=Path("warehouse"))


def problems_of(
    of_model: dict[str, Any] | None = None, own: Sequence[str] = ("a",), **columns: Any
) -> list[str]:
    """Return what is wrong with a pipeline of one plain model with a contract of these columns,
    whose source has fields of its own, of which the model returns all.
    """
    hints = {name: Instant if name.endswith("_ts") else str for name in columns}
    contract = type("Rows", (Contract,), {"__annotations__": hints, **columns})

    def rows(raw: ir.Table) -> ir.Table:
        return raw.select(*own)

    rows.__module__ = "staging"
    module = ModuleType("staging")
    fields = {name: (name,) for name in own}
    module.raw = Source(name="raw", files=("*",), format="csv", fields=fields)  # type: ignore[attr-defined]
    module.rows = model(contract=contract, **of_model or {})(rows)  # type: ignore[attr-defined]
    return Pipeline("declared", [module]).problems()


def unwritten(transform: Callable[[Any], Any]) -> Pipeline:
    """Return a pipeline of a plain model of one column, a, that a function makes."""

    def rows(raw: ir.Table) -> ir.Table:
        made: ir.Table = transform(raw)
        return made.select("a")

    rows.__module__ = "staging"
    module: Any = ModuleType("staging")
    module.raw, module.rows = source(name="raw"), model(contract=Rows)(rows)
    return Pipeline("declared", [module])


def fails(pipeline: Pipeline) -> None:
    """Raise what `check` finds, if anything."""
    if found := [*pipeline.problems(), *pipeline.unportable()]:
        raise PipelineError(" ".join(found))


def homeless(raw: ir.Table) -> ir.Table:
    return raw


homeless.__module__ = None  # type: ignore[assignment]


def asking(questions: str) -> Pipeline:
    """Return a pipeline that is right but for its questions."""
    other = copy(PIPELINE)
    other.questions = questions
    return other


A = column("A.", nullable=True)


def source(**given: Any) -> Source:
    """Return a source that is right but for what is given."""
    right: dict[str, Any] = {"name": "s", "files": ("*.csv",), "format": "csv"}
    return Source(**(right | {"fields": {"a": ("a",)}} | given))


def contract(_type: Any = str, _column: Any = A, **config: Any) -> TableSpec:
    """Return what a contract of one column says whose `class Config` has these options."""
    space = {"__annotations__": {"a": _type}, "a": _column, "Config": type("Config", (), config)}
    return spec_of(type("Rows", (Contract,), space))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "severity": (
        lambda: column("A.", severity="error"),  # type: ignore[arg-type]
        "severity is 'error', but must be 'fail', 'quarantine' or 'warn'",
    ),
    "severity of a rule": (lambda: rule("failed"), r"rule\(\): severity is 'failed'.* mean 'fail'"),  # type: ignore[arg-type]
    "unit": (lambda: column("A.", unit=3), "unit is 3, but must be a text"),  # type: ignore[arg-type]
    "nullable": (lambda: column("A.", nullable="yes"), "nullable is 'yes', but must be True or"),  # type: ignore[arg-type]
    "description": (lambda: column(None), "description is None, but must be a text"),  # type: ignore[arg-type]
    "nothing is legal": (lambda: column("A.", isin=[]), "isin is empty"),
    "reference without a column": (lambda: column("A.", references="users"), "'products.product'"),
    "orphans of nothing": (lambda: column("A.", orphans="fail"), "without references"),
    "severity of nothing": (
        lambda: column("A.", severity="warn"),
        r"column\(\): severity='warn' says nothing without a check, such as ge=0\.$",
    ),
    "severity of nothing that is as by default": (
        lambda: column("A.", nullable=True, severity="fail"),
        "severity='fail' says nothing",
    ),
    "severity of a reference": (
        lambda: column("A.", references="users.id", severity="quarantine"),
        r"severity='quarantine' says nothing .* Write orphans='quarantine'\.",
    ),
    "incremental by": (lambda: model(contract=Contract, incremental_by=3), "incremental_by is 3"),  # type: ignore[arg-type]
    "quarantine": (lambda: model(contract=Contract, quarantine="yes"), "must be True or False"),  # type: ignore[arg-type]
    "name of a pipeline": (lambda: Pipeline(3, []), "name is 3"),  # type: ignore[arg-type]
    "a module alone": (lambda: Pipeline("p", ModuleType("staging")), "must be an instance of"),  # type: ignore[arg-type]
    "name of a module": (lambda: Pipeline("p", ["staging"]), "must be an instance of module"),  # type: ignore[list-item]
    "quarantine of a table": (
        lambda: problems_of(a=column("A.", nullable=True, ge="b", severity="quarantine")),
        r"a greater_than_or_equal_to\(b\): severity 'quarantine' is for models with quarantine",
    ),
    "quarantine of orphans of a table": (
        lambda: problems_of(a=column("A.", references="rows.a", orphans="quarantine")),
        "references rows.a, but that is the table itself, of which rows cannot be rejected",
    ),
    "event time of a text": (lambda: problems_of(a=column("A.", event_time=True)), "an instant or"),
    "two event times": (
        lambda: problems_of(
            a=A, b_ts=column("B.", event_time=True), c_ts=column("C.", event_time=True)
        ),
        "said of b_ts, c_ts, but must be of one column",
    ),
    "two columns of one name": (
        lambda: problems_of(a=column("A.", alias="id"), b=column("B.", alias="id")),
        "contract Rows: the attributes a, b are one column, 'id'. Give one another alias",
    ),
    "alias that is an attribute": (
        lambda: problems_of(a=A, b=column("B.", alias="a")),
        "the attributes a, b are one column, 'a'",
    ),
    "no column": (lambda: spec_of(type("Rows", (Contract,), {})), "contract Rows has no column"),
    "list of checks in a dict": (lambda: column("A.", isin={"x": 1}), r"must be a list: \['x'\]"),
    "text for a list": (lambda: column("A.", notin="x"), r"notin is 'x', .* a list: \['x'\]"),
    "null among values": (lambda: column("A.", isin=["x", None]), "isin has None: .* nullable="),
    "NaN among values": (lambda: column("A.", isin=[float("nan")]), "isin has nan, to which"),
    "NaN as a bound": (lambda: column("A.", ge=Decimal("NaN")), r"ge has Decimal\('NaN'\), to"),
    "lists as values": (lambda: column("A.", isin=[["x"]]), r"isin has \['x'\], but compares"),
    "a list as a bound": (lambda: column("A.", ge=[1]), r"ge has \[1\], but compares"),
    "values of two types": (lambda: column("A.", isin=["x", 1]), "values 'x', 1 are of different"),
    "bounds of two types": (lambda: column("A.", ge="x", le=1), "values 'x', 1 are of different"),
    "bounds that exclude each other": (lambda: column("A.", ge=5, le=3), "passes ge=5, le=3"),
    "nothing between bounds": (lambda: column("A.", gt=5, lt=5), "no value passes gt=5, lt=5"),
    "nothing at a bound": (lambda: column("A.", ge=5, lt=5), "no value passes ge=5, lt=5"),
    "values beyond a bound": (lambda: column("A.", isin=[1, 2], gt=2), r"passes gt=2, isin=\[1, 2"),
    "one value that is not the other": (lambda: column("A.", eq=1, ne=1), "passes eq=1, ne=1"),
    "values that are forbidden": (lambda: column("A.", isin=[1], notin=[1]), "no value passes"),
    "blank description": (lambda: column(" "), "description is ' ', which says nothing"),
    "empty unit": (lambda: column("A.", unit=""), "unit is '', which says nothing"),
    "empty alias": (lambda: column("A.", alias=""), "alias is '', which says nothing"),
    "a number for a text": (
        lambda: contract(str, column("A.", ge=3)).rules,
        "column 'a': no string compares to 3",
    ),
    "a text for a number": (
        lambda: contract(dt.Int64, column("A.", isin=["1"])).rules,
        "column 'a': no int64 compares to '1'",
    ),
    "a text for an instant": (
        lambda: contract(Instant, column("A.", ge="2020-01-01")).rules,
        r"column 'a': no timestamp.* compares to '2020-01-01'\. Write a datetime.* tzinfo=UTC",
    ),
    "an instant without a zone": (
        lambda: contract(Instant, column("A.", isin=[datetime(2020, 1, 1)])).rules,
        r"column 'a': no timestamp.* compares to datetime.*\. Write a datetime.* tzinfo=UTC",
    ),
    "an instant for a date": (
        lambda: contract(dt.Date, column("A.", ge=datetime(2020, 1, 1, tzinfo=UTC))).rules,
        r"column 'a': no date compares to datetime.*\. Write a datetime\.date",
    ),
    "reference to another type": (
        lambda: problems_of(a=column("A.", nullable=True, references="rows.b_ts"), b_ts=A),
        r"staging\.rows\.a references rows\.b_ts, but one is string and the other timestamp",
    ),
    "misspelled option of a contract": (
        lambda: contract(uniqe=["a"]),
        "contract Rows: class Config has 'uniqe', which is no option. Did you mean 'unique'",
    ),
    "option of pandera": (lambda: contract(coerce=True), "'coerce', which is no option. Options:"),
    "option that is fixed": (lambda: contract(strict=False), "but every contract is strict"),
    "number as a key": (lambda: contract(unique=3), "unique=3, but must have a list of columns"),
    "numbers as a key": (lambda: contract(unique=[3]), r"unique=\[3\], but must have a list of"),
    "key with a column twice": (lambda: contract(unique=["a", "a"]), "'a' stands twice"),
    "rule that is no function": (lambda: rule()(3), "@rule stands above 3, which is no function"),  # type: ignore[arg-type]
    "part of an argument": (lambda: model(Contract, key_in={"x": 3}), r"key_in\['x'\] is 3, but"),  # type: ignore[dict-item]
    "key of an argument": (lambda: model(Contract, allow={3: "x"}), "a key of allow is 3, but"),  # type: ignore[dict-item]
    "unknown argument": (lambda: Source(secrets=()), "argument 'secrets'. Did you mean 'secret'"),  # type: ignore[call-arg]
    "argument of another": (
        lambda: source(to=()),
        r"argument 'to'\. Arguments: name, files",
    ),
    "a format by another name": (
        lambda: source(format="jsonl"),
        "unknown format 'jsonl'. Did you mean 'json_lines'",
    ),
    "a database by its name": (lambda: source(format="Postgres"), "Did you mean 'database'"),
    "a struct with a part twice": (
        lambda: source(format="json", types={"a": "array<struct<x: string, x: int64>>"}),
        r"types\['a'\] is 'array<str.* a type, as 'int64': array<struct.* has a part twice\.",
    ),
    "a decimal of texts": (
        lambda: contract(Annotated[dt.Decimal, "5", "2"]),
        r"'a': Decimal of '5', '2' says no type of a column",
    ),
    "a number beyond its type": (
        lambda: contract(dt.Int64, column("A.", ge=10**30)).rules,
        "column 'a': no int64 can be 1000000000000000000000000000000, to which it is compared",
    ),
    "a number beyond a small type": (
        lambda: contract(dt.Int8, column("A.", le=1000)).rules,
        "column 'a': no int8 can be 1000, to which it is compared",
    ),
    "a fraction for an integer": (
        lambda: contract(dt.Int64, column("A.", isin=[1, 1.5])).rules,
        "column 'a': no int64 can be 1.5",
    ),
    "an endless number for an integer": (
        lambda: contract(dt.Int64, column("A.", le=float("inf"))).rules,
        "column 'a': no int64 can be inf",
    ),
    "a number beyond floats": (
        lambda: contract(dt.Float64, column("A.", le=10**400)).rules,
        "column 'a': no float64 can be 1000000",
    ),
    "an endless decimal": (
        lambda: column("A.", ge=Decimal("Infinity")),
        r"ge has Decimal\('Infinity'\), to which nothing compares",
    ),
    "files of a store": (lambda: source(files=("s3://b/*",)), "named by `raw` of the target"),
    "files by a URL": (lambda: source(files=("file:///a/*",)), "named by `raw` of the target"),
    "files of a home": (lambda: source(files=("~/a/*",)), "named by `raw` of the target"),
    "either of two patterns": (
        lambda: source(files=("{a,b}.csv",)),
        "but must be a pattern below the raw folder: braces stand for nothing, so write a pattern",
    ),
    "model by hand": (lambda: Model("mart.a", 1, 2, 3), "table is 'mart.a', but must be a Table"),  # type: ignore[arg-type]
    "typed of no table": (lambda: typed(3, Contract), "table is 3, but must be a Table"),  # type: ignore[arg-type]
    "typed by no contract": (lambda: typed(TABLE, str), "must be a class derived from Contract"),  # type: ignore[arg-type]
    "no table to judge": (lambda: one_row_per_key(3, "a"), "rows is 3, but must be a Table"),  # type: ignore[arg-type]
    "key that is not there": (lambda: one_row_per_key(TABLE, "aa"), "no column 'aa'. Did you mean"),
    "no raw columns": (lambda: one_row_per_key(TABLE, "a"), "have no column 'raw_line'"),
    "path in a record": (lambda: source(fields={"a": ("a", "b")}), r"must be \('a',\): a column"),
    "path to another name": (lambda: source(fields={"a": ("b",)}), r"must be \('a',\): a column"),
    "field without a name": (lambda: source(fields={1: ("a",)}), "a name of fields is 1, but"),
    "types of no field": (
        lambda: source(fields={"at": ("at",)}, types={"att": "date"}),
        "a name of types is 'att', but must be one of the fields. Did you mean 'at'",
    ),
    "types as a text": (lambda: source(types="date"), "types is 'date', but must be a mapping"),
    "a type that is none": (lambda: source(types={"a": "int65"}), r"types\['a'\] is 'int65', but"),
    "a type of no table": (lambda: source(types={"a": "uint64"}), r"do not store uint64 alike"),
    "a type of a text file": (lambda: source(types={"a": "int64"}), "csv is read as text: cast"),
    "no fields": (lambda: source(fields={}), "fields is {}, but must be of one at least"),
    "no files": (lambda: source(files=()), r"files is \(\), but must be of one at least"),
    "folder for files": (lambda: source(files=("a/",)), "files, not of folders, such as 'a/[*]'"),
    "folders for files": (lambda: source(files=("**",)), "files, not of folders, such as '[*]{2}/"),
    "hidden files": (lambda: source(files=("a/_*",)), "whose names begin with '_' or '.' are"),
    "NUL in a pattern": (lambda: source(files=("a\0",)), "must be a pattern below the raw folder"),
    "pattern twice": (lambda: source(files=("*", "*")), "files names '[*]' twice"),
    "secret without a sign": (lambda: source(secret=("",)), "must be of keys with one sign"),
    "secret twice": (lambda: source(secret=("a", "a")), "secret names 'a' twice"),
    "negative age": (lambda: Limits(freshness=timedelta(-1)), "must be a timedelta above zero"),
    "no age": (lambda: Limits(freshness=timedelta()), "must be a timedelta above zero"),
    "negative share": (lambda: Limits(rejected_share=-0.1), "-0.1, but must be 0 to 1"),
    "negative change": (lambda: Limits(row_change=-1), "must be a share from 0 up"),
    "endless change": (lambda: Limits(row_change=float("inf")), "must be a share from 0 up"),
    "negative number": (lambda: Limits(rejected_lines=-1), "-1, but must be a number of lines"),
    "name of a source beyond all files": (
        lambda: source(name="a" * 129),
        "a name has at most 128 letters",
    ),
    "pipeline without a name": (lambda: Pipeline("", []), "name is '', which says nothing"),
    "questions of nowhere": (lambda: Pipeline("p", [], "q"), "a module and its function: 'shop"),
    "questions of no module": (
        lambda: streampro.run(asking("no_such:questions"), TARGET),
        "questions is 'no_such:questions', which cannot be imported: No module named 'no_such'",
    ),
    "questions that a module does not have": (
        lambda: streampro.plan(asking("streampro:no_such"), TARGET),
        "questions is 'streampro:no_such', which cannot be imported: .*no_such",
    ),
    "unread folder": (lambda: Pipeline("p", [], unread=["a/"]), "unread is 'a/', but must be a p"),
    "unread text": (lambda: Pipeline("p", [], unread="a"), "'a', but must be a list of texts"),
    "a column of the books": (
        lambda: problems_of({"quarantine": True}, is_unreadable=A),
        "model rows: column 'is_unreadable' of its contract is StreamPro's own in models with",
    ),
    "a name of ours behind an underscore": (
        lambda: problems_of(a=column("A.", alias="_streampro")),
        "column '_streampro': 'streampro' and names .* StreamPro's own, also behind underscores",
    ),
    "a text that is not UTF-8": (
        lambda: column("A.", ne="\ud800"),
        r"column\(\): ne has '\\ud800', which no text in UTF-8 is",
    ),
    "such a text in a list": (
        lambda: column("A.", isin=["a", "\udfff"]),
        r"isin has '\\udfff', which no text in UTF-8 is",
    ),
    "such a key": (lambda: source(fields={"\ud800": ("a",)}), r"fields has '\\ud800', which no"),
    "such a file": (lambda: source(files=("\ud800",)), r"files has '\\ud800', which no text"),
    "such a text in a model": (
        lambda: fails(unwritten(lambda raw: raw.filter(raw.a != "\ud800"))),
        "Literal .*: what is not UTF-8 can be stored nowhere",
    ),
    "a table that is no input": (
        lambda: unwritten(lambda _: ibis.table({"a": "string"}, name="other")).problems(),
        r"model staging.rows: table 'other' is made by itself and none of its inputs. Use its par",
    ),
    "a table called like an input": (
        lambda: unwritten(lambda _: ibis.table({"a": "string"}, name="raw")).problems(),
        "table 'raw' is made by itself",
    ),
    "a table like an input": (
        lambda: unwritten(lambda raw: ibis.table(raw.schema(), name="raw")).problems(),
        "table 'raw' is made by itself",
    ),
    "a table beside an input": (
        lambda: unwritten(
            lambda raw: raw.filter(raw.a.isin(ibis.table({"a": "string"}, name="other").a))
        ).problems(),
        "table 'other' is made by itself",
    ),
    "a table of a database": (
        lambda: unwritten(
            lambda _: ibis.duckdb.connect().create_table("other", schema=TABLE.schema())
        ).problems(),
        "table 'other' is made by itself",
    ),
    "a function without a module": (
        lambda: model(contract=Rows)(homeless),
        r"@model: function 'homeless' has no module, whose name would be the layer. Say it",
    ),
    "incremental by no column": (
        lambda: problems_of({"incremental_by": "b"}, a=A),
        "incremental by 'b', which is no column of it",
    ),
}
CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "run": (lambda: streampro.run(PIPELINE, "local"), "target is 'local', but must be a Target"),  # type: ignore[arg-type]
    "swapped": (lambda: streampro.run(TARGET, PIPELINE), "pipeline is a Target, but must be a"),  # type: ignore[arg-type]
    "plan": (lambda: streampro.plan(PIPELINE, Path("raw")), "target is a "),  # type: ignore[arg-type]
    "sql": (lambda: streampro.sql("select 1", "local"), "target is 'local'"),  # type: ignore[arg-type]
    "published": (lambda: streampro.published("local"), "target is 'local'"),  # type: ignore[arg-type]
    "explain": (lambda: streampro.explain(PIPELINE, TARGET, 3), "model is 3, but must be a text"),  # type: ignore[arg-type]
    "prove": (lambda: streampro.prove(PIPELINE, TARGET, "spark"), "'spark', but must be a Target"),  # type: ignore[arg-type]
    "clean": (lambda: streampro.clean(TARGET, "2"), "keep is '2', but must be a whole number"),  # type: ignore[arg-type]
    "clean all": (lambda: streampro.clean(TARGET, True), "keep is True, but must be a whole"),
    "show": (lambda: streampro.show(PIPELINE, TARGET, "x", limit=-1), "limit is -1, but must be"),
    "show of more rows than there can be": (
        lambda: streampro.show(PIPELINE, TARGET, "x", limit=2**63),
        "limit is 9223372036854775808, but must be",
    ),
    "explain of fewer rows than none": (
        lambda: streampro.explain(PIPELINE, TARGET, "x", limit=-1),
        "limit is -1, but must be",
    ),
    "unknown": (
        lambda: streampro.run(PIPELINE, TARGET, refresh=True),  # type: ignore[call-arg]
        r"run\(\) has no argument 'refresh'. Did you mean 'full_refresh'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_declaration_is_refused_at_once(name: str) -> None:
    declare, said = WRONG[name]
    with pytest.raises(PipelineError, match=said):
        declare()


@pytest.mark.parametrize("name", CALLS)
def test_wrong_call_is_refused_at_once(name: str) -> None:
    call, said = CALLS[name]
    with pytest.raises(ConfigError, match=said):
        call()


@pytest.mark.parametrize(
    "checks",
    [
        {"ge": 5, "le": 5},
        {"gt": 5, "ge": 5, "lt": 7},
        {"isin": [1, 2], "lt": 2},
        {"ne": 1, "eq": 2},
    ],
)
def test_checks_that_some_value_passes_are_taken(checks: dict[str, Any]) -> None:
    assert len(contract(dt.Int64, column("A.", **checks)).rules) == 1 + len(checks)


def test_options_that_say_what_every_contract_is_are_taken() -> None:
    assert contract(unique="a", description="Rows.", strict=True).grain == "Rows."


def test_right_declarations_are_taken() -> None:
    assert problems_of(a=column("A.", nullable=True, isin=("x", "y"), severity="warn")) == []


def test_column_of_the_books_is_none_of_the_source() -> None:
    assert problems_of({"quarantine": True}, own=("a", "is_unreadable"), a=A)[1:] == [
        "staging.rows returns is_unreadable as string, but in a model with quarantine that is "
        "StreamPro's own: whether a value of the row could not be read. Give yours another name in "
        "the fields of its source."
    ]


@pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), pytest.skip.Exception("x"), type("Odd", (BaseException,), {})()],
)
def test_whatever_a_model_raises_is_an_error_of_its_code(error: BaseException) -> None:
    def raises(_: ir.Table) -> ir.Table:
        raise error

    with pytest.raises(PipelineError, match=r"declarations.py:\d+: model staging.rows: [A-Z]"):
        unwritten(raises).problems()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
def test_an_interrupt_is_none(error: BaseException) -> None:
    def raises(_: ir.Table) -> ir.Table:
        raise error

    with pytest.raises(type(error)):
        unwritten(raises).problems()


def leaves(raw: ir.Table) -> ir.Table:
    raise SystemExit(0)


def test_a_model_cannot_end_the_run() -> None:
    """`sys.exit(0)` would look as if all was done."""
    module: Any = ModuleType("staging")
    leaves.__module__ = "staging"
    module.raw = Source(name="raw", files=("*",), format="csv", fields={"a": ("a",)})
    module.leaves = model(contract=Rows)(leaves)
    with pytest.raises(PipelineError, match=r"declarations.py:\d+: .*leaves: SystemExit: 0"):
        Pipeline("ended", [module]).problems()


class Rows(Contract):
    """One row per a."""

    a: str = column("A.", nullable=True)


def test_a_quarantine_model_returns_reasons_and_lines() -> None:
    module: Any = ModuleType("staging")

    def rows(raw: ir.Table) -> ir.Table:
        return raw.select("a")

    rows.__module__ = "staging"
    module.raw = Source(name="raw", files=("*",), format="csv", fields={"a": ("a",)})
    module.rows = model(contract=Rows, quarantine=True)(rows)
    pipeline = Pipeline("lost", [module])
    assert [*pipeline.problems(), *pipeline.unportable()] == [
        "staging.rows lacks reject_reason, raw_line, source_file."
    ]
    assert pipeline.code_hashes()


def test_a_method_that_is_no_rule_is_refused() -> None:
    def a_is_short(cls: Any, rows: ir.Table) -> ir.BooleanValue:
        return rows.a.length() < 9

    with pytest.raises(PipelineError, match=r"method 'a_is_short' is no rule. Write @rule\(\)"):
        type("Short", (Contract,), {"__annotations__": {"a": str}, "a_is_short": a_is_short})
    kept = {"__annotations__": {"a": str}, "_helps": a_is_short}
    assert issubclass(type("Short", (Contract,), kept), Contract)


def test_runs_of_a_text_are_refused() -> None:
    with pytest.raises(ConfigError, match="runs\\(\\) is given 'local': give a Target, or Path"):
        streampro.runs("local")  # type: ignore[arg-type]
