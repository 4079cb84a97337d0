"""Too much that is odd about a source stops a run, or is a warning, as its limits say."""

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipelines.plain import plain_models
from pipelines.shop import SHOP, mart, raw, staging, write_raw

from streampro import Contract, Source, column, model
from streampro.config import Target
from streampro.errors import PipelineError, SourceError
from streampro.execution.runner import plan, run
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Limits
from streampro.testing import Workbench
from streampro.warehouse import ledger

pytestmark = pytest.mark.slow

DEFAULT = Limits()
GOOD = '{"shop": "a", "day": "2024-05-%02d", "amount": "1"}\n'
BAD = '{"shop": "a", "day": "soon"}\n'


def shop(limits: Limits) -> Pipeline:
    """The pipeline of the shop with other limits of both sources."""
    sources = ModuleType("sources")
    for name in ("raw_sales", "raw_shops"):
        setattr(sources, name, replace(getattr(raw, name), limits=limits))
    return Pipeline("shop", [sources, staging, mart])


def dated(limits: Limits) -> Pipeline:
    """The same, of which the contract of sales says when they were."""

    class Sales(staging.Sales):
        """One row per sale."""

        day: dt.Date = column("Day.", nullable=True, event_time=True)

    module: Any = ModuleType(staging.__name__)
    module.sales = replace(staging.sales, contract=Sales)
    module.raw_sales = replace(raw.raw_sales, limits=limits)
    return Pipeline("shop", [module])


def keyless(limits: Limits) -> Pipeline:
    """Shops whose contract names no key."""

    class Shops(Contract):
        """One row per line."""

        shop: str = column("Shop.")
        city: str = column("City.", nullable=True)

    module: Any = ModuleType(staging.__name__)
    module.shops = replace(staging.shops, contract=Shops)
    module.raw_shops = replace(raw.raw_shops, limits=limits)
    return Pipeline("shop", [module])


def sales(good: int, bad: int) -> str:
    return "".join(GOOD % (day + 1) for day in range(good)) + BAD * bad


@pytest.fixture
def target(tmp_path: Path) -> Target:
    folder = write_raw(tmp_path / "raw", sales(3, 0))
    return Target(name="test", raw=folder, warehouse=tmp_path / "warehouse")


def write(target: Target, name: str, text: str) -> None:
    (Path(str(target.raw)) / name).write_text(text)


def warned(target: Target, limits: Limits) -> dict[str, int]:
    return {each.rule: each.rows for each in run(shop(limits), target).warnings}


@pytest.mark.thorough("spark")
def test_run_with_mostly_rejected_lines_publishes_nothing(
    engine: Workbench, target: Target
) -> None:
    first = engine.run(SHOP, target)
    write(target, "sales-2.jsonl", sales(9, 11))
    with pytest.raises(SourceError) as caught:
        engine.run(SHOP, target)
    line = 'no day in sales-2.jsonl: \'{"shop": "a", "day": "soon"}\''
    assert str(caught.value) == (
        "source 'raw_sales': rejected lines: 11 of 20 (no day 11), more than 50%. First lines: "
        f"{line}; {line}; {line}. Nothing was published. If that is right, say so in the source: "
        "limits=Limits(rejected_share=0.56)."
    )
    assert caught.value.exit_code == 1
    assert ledger.runs(target.warehouse) == [first]


@pytest.mark.parametrize(("good", "bad"), [(10, 10), (1, 18), (1, 1)])
def test_half_of_the_lines_and_few_of_them_may_be_rejected(
    target: Target, good: int, bad: int
) -> None:
    write(target, "sales.jsonl", sales(good, bad))
    assert run(SHOP, target).warnings == ()


@pytest.mark.thorough("spark")
def test_file_of_which_all_lines_are_rejected_stops_a_run(
    engine: Workbench, target: Target
) -> None:
    write(target, "sales.jsonl", sales(30, 0))
    write(target, "sales-2.jsonl", "<html>\n\n")
    with pytest.raises(SourceError, match=r"all lines of sales-2\.jsonl are rejected; .* 1 of 31 "):
        engine.run(SHOP, target)
    write(target, "sales-2.jsonl", "<html>\n" + GOOD % 7)
    assert engine.run(SHOP, target).run_id == 1


LONG = '{"shop": "a", "day": "2024-05-01", "amount": "1", "more": "%s"}' % ("x" * 2000)
OLD_LINES = {
    "none but the first kilobyte": f"{LONG}\r" * 30,
    "some of a file": sales(30, 0) + (GOOD % 8).replace("\n", "\r") * 9 + GOOD % 9,
}


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("kind", OLD_LINES)
def test_records_with_cr_alone_between_them_stop_a_run_however_few_lines_they_are(
    engine: Workbench, target: Target, kind: str
) -> None:
    write(target, "sales-2.jsonl", sales(30, 0))
    write(target, "sales-3.jsonl", OLD_LINES[kind])
    told = r"1 line of sales-3\.jsonl hold several records, as these end in CR alone, .* with LF or"
    with pytest.raises(SourceError, match=told):
        engine.run(SHOP, target)
    assert ledger.runs(target.warehouse) == []
    done = engine.run(shop(Limits(rejected="warn")), target)
    assert "rejected lines that are several" in {each.rule for each in done.warnings}


@pytest.mark.parametrize(("allowed", "bad"), [(2, 2), (0, 0)])
def test_number_of_rejected_lines_is_a_limit_too(target: Target, allowed: int, bad: int) -> None:
    limits = Limits(rejected_lines=allowed)
    write(target, "sales.jsonl", sales(3, bad))
    assert run(shop(limits), target).run_id == 1
    write(target, "sales-2.jsonl", sales(3, bad + 1))
    with pytest.raises(SourceError, match=rf"more than {allowed}\..*rejected_lines={bad + 1}"):
        run(shop(limits), target)


def test_rejected_lines_may_be_a_warning(target: Target) -> None:
    write(target, "sales.jsonl", sales(1, 30))
    write(target, "sales-2.jsonl", BAD)
    assert warned(target, Limits(rejected="warn")) == {
        "too many rejected lines": 31,
        "files with no line that is not rejected": 1,
    }


@pytest.mark.thorough("spark")
def test_column_that_is_never_given_is_told(engine: Workbench, target: Target) -> None:
    write(target, "sales.jsonl", sales(20, 0).replace("amount", "amuont"))
    done = engine.run(SHOP, target)
    assert [(str(each.table), each.rule, each.rows) for each in done.warnings] == [
        ("staging.sales", "amount is never given", 20)
    ]
    strict = shop(Limits(never_given="fail"))
    write(target, "sales-2.jsonl", sales(20, 0).replace("amount", "amuont").replace("-05-", "-06-"))
    with pytest.raises(
        SourceError, match=r"amount is null in all 20 rows that are new.*never_given=\"warn\""
    ):
        run(strict, target)


@pytest.mark.thorough("spark")
def test_column_that_is_not_given_any_more_is_told_of_a_table_that_is_built_anew(
    engine: Workbench, target: Target
) -> None:
    def anew(limits: Limits) -> Pipeline:
        module: Any = ModuleType(staging.__name__)
        module.sales = replace(staging.sales, incremental_by=None)
        module.raw_sales = replace(raw.raw_sales, limits=limits)
        return Pipeline("shop", [module])

    strict = anew(Limits(never_given="fail"))
    write(target, "sales.jsonl", sales(25, 0))
    engine.run(strict, target)
    write(target, "sales-2.jsonl", sales(20, 0).replace("amount", "amuont").replace("-05-", "-06-"))
    with pytest.raises(SourceError, match=r"amount is null in all 20 rows that are new"):
        engine.run(strict, target)


def test_column_that_few_rows_leave_out_is_not_told(target: Target) -> None:
    write(target, "sales.jsonl", sales(19, 0).replace("amount", "amuont"))
    assert run(SHOP, target).warnings == ()


@pytest.mark.parametrize(("kept", "rule"), [(10, None), (9, "rows vanished")])
@pytest.mark.parametrize("made", [shop, keyless])
@pytest.mark.thorough("spark")
def test_rows_of_a_dimension_that_vanish_are_told(
    engine: Workbench,
    target: Target,
    made: Callable[[Limits], Pipeline],
    kept: int,
    rule: str | None,
) -> None:
    records = [f"{n},{'Oslo' * (n % 2)}\n" for n in range(20)]
    write(target, "shops.csv", "shop,city\n" + "".join(records))
    engine.run(made(DEFAULT), target)
    write(target, "shops.csv", "shop,city\n" + "".join(records[:kept]) + "new,Oslo\n")
    strict = made(Limits(vanished="fail"))
    told = engine.plan(made(DEFAULT), target).warnings
    found = [each.rule for each in told if "vanished" in each.rule]
    assert found == ([rule] if rule else [])
    if rule:
        with pytest.raises(SourceError, match=r"11 of 20 rows of staging\.shops vanished, more"):
            engine.run(strict, target)


def days(target: Target, *numbers: int) -> None:
    """Let the raw folder hold these days of sales, and no others."""
    wanted = {f"sales-{number}.jsonl": GOOD % number for number in numbers}
    at_hand = {path.name: path for path in Path(str(target.raw)).glob("sales*.jsonl")}
    for name in at_hand.keys() - wanted.keys():
        at_hand[name].unlink()
    for name in wanted.keys() - at_hand.keys():
        write(target, name, wanted[name])


@pytest.mark.thorough("spark")
def test_run_that_lost_many_known_files_publishes_nothing(
    engine: Workbench, target: Target
) -> None:
    days(target, 1, 2, 3, 4, 5)
    first = engine.run(SHOP, target)
    days(target, 1, 6)
    for attempt in (engine.plan, engine.run, partial(engine.run, full_refresh=True)):
        with pytest.raises(SourceError) as caught:
            attempt(SHOP, target)
        assert str(caught.value) == (
            "source 'raw_sales': 4 of 5 files that the last run read are gone, more than 20%: "
            "sales-2.jsonl, sales-3.jsonl, sales-4.jsonl and others. Nothing was published. If "
            "they were removed on purpose, run with --accept-lost-files "
            "(accept_lost_files=True); to allow it always, say so in the source: "
            "limits=Limits(lost_files_share=0.81)."
        )
        assert caught.value.exit_code == 1
    assert ledger.runs(target.warehouse) == [first]
    told = engine.plan(SHOP, target, accept_lost_files=True).lost_files
    assert told == tuple(f"sales-{day}.jsonl vanished" for day in (2, 3, 4, 5))
    done = engine.run(SHOP, target, accept_lost_files=True)
    fresh = engine.run(SHOP, target.model_copy(update={"warehouse": f"{target.warehouse}-2"}))
    assert {each.table: each.rows for each in done.tables} == {
        each.table: each.rows for each in fresh.tables
    }
    assert engine.run(SHOP, target).run_id == done.run_id


@pytest.mark.parametrize(
    ("share", "left"), [(0.6, 2), (0, 5), (1, 1), pytest.param(0.2, 4, marks=pytest.mark.thorough)]
)
def test_run_that_lost_few_files_goes_on(target: Target, share: float, left: int) -> None:
    limits = Limits(lost_files_share=share)
    days(target, *range(1, 6))
    run(shop(limits), target)
    days(target, *range(1, left + 1))
    assert run(shop(limits), target).inputs[-2].path == f"sales-{left}.jsonl"
    days(target, *range(left + 1, 7))
    if share < 1:
        with pytest.raises(SourceError, match="are gone, more than"):
            run(shop(limits), target)


def test_folder_that_is_not_mounted_stops_the_run(target: Target) -> None:
    source = replace(raw.raw_sales, files=("sales*.jsonl", "days/*.jsonl"))
    pipeline: Any = ModuleType("sources")
    pipeline.raw_sales, pipeline.raw_shops = source, raw.raw_shops
    (Path(str(target.raw)) / "days").mkdir()
    write(target, "days/one.jsonl", GOOD % 1)
    run(Pipeline("shop", [pipeline, staging, mart]), target)
    (Path(str(target.raw)) / "days").rename(Path(str(target.warehouse)) / "unmounted")
    (Path(str(target.raw)) / "days").mkdir()
    with pytest.raises(SourceError, match=r"1 of 2 files .* more than 20%: days/one\.jsonl\."):
        run(Pipeline("shop", [pipeline, staging, mart]), target)


def test_limits_change_no_code_and_are_shown_in_a_plan(target: Target) -> None:
    limits = Limits(rejected_share=0.1, rejected_lines=2_000, vanished="fail")
    assert shop(limits).code_hashes() == SHOP.code_hashes()
    assert plan(shop(limits), target).limits["raw_sales"] == (
        "more than 10% or 2,000 lines rejected, or all of a file: fail; a column never given: "
        "warn; more than 50% of rows vanished: fail; more than 20% of known files gone: fail"
    )


@pytest.mark.parametrize(
    ("argument", "value", "told"),
    [
        ("rejected_share", 50, "rejected_share is 50, but must be 0 to 1."),
        ("rejected_share", True, "rejected_share is True, but must be 0 to 1."),
        ("vanished_share", "0.5", "vanished_share is '0.5', but must be 0 to 1."),
        ("lost_files_share", 1.1, "lost_files_share is 1.1, but must be 0 to 1."),
        ("rejected_lines", 0.5, "rejected_lines is 0.5, but must be a number of lines or None."),
        ("rejected_lines", -1, "rejected_lines is -1, but must be a number of lines or None."),
        ("rejected", "wran", "rejected is 'wran', but must be 'fail' or 'warn'. Did you mean"),
        ("never_given", None, "never_given is None, but must be 'fail' or 'warn'."),
        ("reject", "fail", "Limits() has no argument 'reject'. Did you mean 'rejected'?"),
    ],
)
def test_limits_of_another_kind_are_refused(argument: str, value: object, told: str) -> None:
    with pytest.raises(PipelineError) as caught:
        Limits(**{argument: value})  # type: ignore[arg-type]  # what is refused
    assert told in str(caught.value)


def test_limits_that_are_none_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"limits is 0\.5, but must be Limits\(\.\.\.\)"):
        replace(raw.raw_sales, limits=0.5)  # type: ignore[arg-type]  # what is refused


@pytest.mark.thorough("spark")
def test_lines_that_a_plain_model_leaves_out_are_told(engine: Workbench, tmp_path: Path) -> None:
    class Names(Contract):
        """One row per name."""

        name: str = column("Name.", nullable=True)

    def names(raw_names: ir.Table) -> ir.Table:
        return raw_names.filter(raw_names.name != "drop").select("name")

    def lengths(raw_names: ir.Table) -> ir.Table:
        return raw_names.group_by("name").aggregate().select("name")

    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "names.csv").write_text("name\na\ndrop\nb\na\ndrop\n")
    source = Source(name="raw_names", files=("*.csv",), format="csv", fields={"name": ("name",)})
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    done = engine.run(plain_models([source], Names, names, lengths), target)
    assert [(each.table, each.rule, each.rows) for each in done.warnings] == [
        ("staging.names", "lines that are no row", 2)
    ]


@pytest.mark.thorough("spark")
def test_lines_that_joins_and_groups_leave_out_are_told(engine: Workbench, tmp_path: Path) -> None:
    class Names(Contract):
        """One row per name and number."""

        name: str = column("Name.", nullable=True)
        number: dt.Int64 = column("Number.", nullable=True)

    def joined(raw_names: ir.Table, raw_old: ir.Table) -> ir.Table:
        both = raw_names.join(raw_old, raw_names.name == raw_old.name)
        return both.select(name=both.name, number=ibis.literal(1, "int64"))

    def known(raw_names: ir.Table, raw_old: ir.Table) -> ir.Table:
        found = raw_names.semi_join(raw_old, "name")
        return found.select("name", number=ibis.literal(1, "int64"))

    def grouped(raw_names: ir.Table) -> ir.Table:
        kept = raw_names.filter(raw_names.name != "b")
        return kept.group_by("name").aggregate(number=kept.count())

    def unmatched(raw_names: ir.Table, raw_old: ir.Table) -> ir.Table:
        both = raw_names.left_join(raw_old, raw_names.name == raw_old.name)
        return both.select(name=both.name, number=both.name_right.length().cast("int64"))

    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "names.csv").write_text("name\na\nb\na\nc\n")
    (raw / "old.csv").write_text("name\na\nx\n")
    sources = [
        Source(name=f"raw_{name}", files=(f"{name}.csv",), format="csv", fields={"name": ("name",)})
        for name in ("names", "old")
    ]
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    done = engine.run(plain_models(sources, Names, joined, known, grouped, unmatched), target)
    assert [(each.table.name, each.rule, each.rows) for each in done.warnings] == [
        ("joined", "lines of raw_names that are no row", 2),
        ("joined", "lines of raw_old that are no row", 1),
        ("known", "lines of raw_names that are no row", 2),
        ("known", "lines of raw_old that are no row", 1),
        ("grouped", "lines that are no row", 1),
        ("unmatched", "lines of raw_old that are no row", 1),
    ]


@pytest.mark.thorough("spark")
def test_lines_that_lists_and_extremes_leave_out_are_told(
    engine: Workbench, target: Target
) -> None:
    class Tags(Contract):
        """One row per tag or line."""

        tag: str = column("Tag.", nullable=True)

    def unnested(raw_tags: ir.Table) -> ir.Table:
        return raw_tags.select(tag=raw_tags.tags.unnest())

    def last(raw_tags: ir.Table) -> ir.Table:
        return raw_tags.filter(raw_tags.tag == raw_tags.tag.max()).select("tag")

    write(target, "tags.jsonl", '{"tag": "a", "tags": ["x", "y"]}\n{"tag": "b", "tags": []}\n')
    source = Source(
        name="raw_tags",
        files=("tags.jsonl",),
        format="json_lines",
        fields={"tag": ("tag",), "tags": ("tags",)},
        types={"tags": "array<string>"},
    )
    done = engine.run(plain_models([source], Tags, unnested, last), target)
    assert [(each.table.name, each.rule, each.rows) for each in done.warnings] == [
        ("unnested", "lines that are no row", 1),
        ("last", "lines that are no row", 1),
    ]


@pytest.mark.thorough("spark")
def test_lines_without_the_list_of_their_rows_are_told(engine: Workbench, target: Target) -> None:
    class Items(Contract):
        """One row per item."""

        item: str = column("Item.", nullable=True)

    def items(raw_items: ir.Table) -> ir.Table:
        return raw_items.select("item")

    write(target, "items.jsonl", '{"item": [{"id": "a"}]}\n' * 2)
    source = Source(
        name="raw_items",
        files=("items.jsonl",),
        format="json_lines",
        fields={"item": ("items", "id")},
        rows=("items",),
    )
    done = engine.run(plain_models([source], Items, items), target)
    assert [(each.rule, each.rows) for each in done.warnings] == [("items is never given", 2)]


def test_limits_that_say_nothing_are_refused() -> None:
    for name, of in (("stale", "freshness"), ("changed", "row_change")):
        with pytest.raises(PipelineError, match=f"{name}='fail' says nothing without {of}="):
            Limits(**{name: "fail"})
    with pytest.raises(PipelineError, match="raw_sales' has a freshness, but no model that reads"):
        shop(Limits(freshness=timedelta(days=1)))


def plain(limits: Limits = DEFAULT) -> Pipeline:
    """A model without quarantine of the lines of a source, `k` a secret of it."""

    class Words(Contract):
        """One row per line."""

        word: str = column("Word.", nullable=True)

    def words(raw_words: ir.Table) -> ir.Table:
        return raw_words.select("word")

    words.__module__ = "staging"
    module: Any = ModuleType("staging")
    module.words = model(contract=Words)(words)
    module.source = Source(
        name="raw_words",
        files=("words*",),
        format="json_lines",
        fields={"word": ("word",)},
        secret=("k",),
        limits=limits,
    )
    return Pipeline("words", [module])


def tarred(data: bytes) -> bytes:
    with tarfile.open(fileobj=(archive := io.BytesIO()), mode="w") as tar:
        tar.addfile(tarfile.TarInfo("words.jsonl"), io.BytesIO(data))
    return archive.getvalue()


def as_parquet(_: bytes) -> bytes:
    pq.write_table(pa.table({"word": ["a"]}), file := io.BytesIO())
    return file.getvalue()


NO_LINES: dict[str, Callable[[bytes], bytes]] = {
    "prose": lambda _: b"<html>\n<body>\n",
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "a list": lambda data: b"[" + data.strip() + b"]",
}
OTHERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip in gzip": (lambda data: gzip.compress(gzip.compress(data)), "gzip, within gzip"),
    "tar": (tarred, "packed by tar"),
    "parquet": (as_parquet, "a file of Parquet"),
}
WORD = b'{"word": "a"}\n'


@pytest.mark.thorough("spark")
@pytest.mark.parametrize("kind", NO_LINES)
def test_a_file_of_which_a_plain_model_can_read_no_line_stops_the_run(
    engine: Workbench, tmp_path: Path, kind: str
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "words-1").write_bytes(WORD * 30)
    (raw / "words-2").write_bytes(NO_LINES[kind](WORD))
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    with pytest.raises(SourceError, match=r"all lines of words-2 are unreadable; .* of 3\d \(not"):
        engine.run(plain(), target)
    assert ledger.runs(target.warehouse) == []
    allowed = engine.run(plain(Limits(rejected="warn")), target)
    rules = [each.rule for each in allowed.warnings]
    assert rules[:2] == ["files with no line that is not unreadable", "unreadable lines"]


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_stops_the_run_whatever_is_allowed(
    engine: Workbench, tmp_path: Path, kind: str
) -> None:
    made, told = OTHERS[kind]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "words-1").write_bytes(WORD * 30)
    (raw / "words-2").write_bytes(made(WORD))
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    with pytest.raises(SourceError, match=rf"words-2 cannot be read: .*{told}"):
        engine.run(plain(Limits(rejected="warn")), target)
    assert ledger.runs(target.warehouse) == []


@pytest.mark.thorough("spark")
def test_some_lines_that_a_plain_model_cannot_read_are_told(
    engine: Workbench, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "words").write_bytes(WORD * 18 + b"no json\n" + b'{"word": "\xff"}\n')
    target = Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")
    done = engine.run(plain(), target)
    assert {each.rule: each.rows for each in done.warnings} == {
        "unreadable lines": 1,
        "invalid_utf8": 1,
    }
    (raw / "words").write_bytes(WORD * 18 + b'"k": "hush"\n' * 19)
    with pytest.raises(SourceError, match=r"unreadable lines: 19 of 37 .*object 19.* 50%") as told:
        engine.run(plain(), target)
    assert "hush" not in str(told.value)
    allowed = engine.run(plain(Limits(rejected="warn")), target)
    assert {each.rule: each.rows for each in allowed.warnings} == {"too many unreadable lines": 19}


@pytest.mark.thorough("spark")
def test_a_table_whose_newest_event_is_old_is_told_by_every_run(
    engine: Workbench, target: Target
) -> None:
    aged = dated(Limits(freshness=timedelta(days=7)))
    for _ in range(2):  # the second has nothing to do
        done = engine.run(aged, target)
        assert [(each.table, each.rule, each.rows) for each in done.warnings] == [
            ("staging.sales", "the newest event is too old", 3)
        ]
    assert engine.run(dated(Limits(freshness=timedelta(days=100_000))), target).warnings == ()
    with pytest.raises(SourceError, match=r"newest day of staging.sales is 2024-05-03 .* 7 days"):
        engine.run(dated(Limits(freshness=timedelta(days=7), stale="fail")), target)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ([], r"no day of staging\.sales is in the past\."),
        (["2190-01-01"], r"no day of staging\.sales is in the past\."),
        (["2024-05-03", "2190-01-01"], r"the newest day of staging\.sales is 2024-05-03 .* ago"),
    ],
)
@pytest.mark.thorough("spark")
def test_a_table_without_an_event_in_the_past_is_old(
    engine: Workbench, target: Target, days: list[str], told: str
) -> None:
    write(target, "sales.jsonl", "".join(f'{{"shop": "a", "day": "{day}"}}\n' for day in days))
    write(target, "sales-2.jsonl", BAD + '{"shop": "a"}\n')
    limits = Limits(freshness=timedelta(days=7), stale="fail", rejected="warn")
    with pytest.raises(SourceError, match=told):
        engine.run(dated(limits), target)


@pytest.mark.thorough("spark")
def test_a_table_that_grows_or_shrinks_too_much_is_told(engine: Workbench, target: Target) -> None:
    write(target, "sales_2.jsonl", sales(25, 0))
    strict = shop(Limits(row_change=0.2, changed="fail"))
    engine.run(strict, target)
    write(target, "sales_3.jsonl", sales(28, 0))
    engine.run(strict, target)
    write(target, "sales_4.jsonl", sales(28, 0).replace('"a"', '"b"'))
    with pytest.raises(SourceError, match=r"56 rows; it had 28, and may .* limits=Limits\(row_ch"):
        engine.run(strict, target)
    done = engine.run(shop(Limits(row_change=0.2)), target)
    assert [(each.rule, each.rows) for each in done.warnings] == [
        ("too many rows more or fewer", 28)
    ]
