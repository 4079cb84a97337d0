"""What becomes of every line, counted."""

from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from streampro.engines.duckdb.compiler import compiler_of
from streampro.errors import BooksError, PipelineError
from streampro.modeling.checks import unportable
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import DUPLICATE, Model, TableName
from streampro.modeling.quarantine import (
    COPIES,
    REJECT_COLUMNS,
    REJECTION,
    UNREADABLE_LINES,
    Books,
    judged,
    one_row_per_key,
    outcomes,
    rejected_lines,
    settled,
    tally,
)
from streampro.testing import Workbench

CON = ibis.duckdb.connect()
CON.compiler = compiler_of()
COLUMNS = pa.schema(
    {
        "name": pa.string(),
        "number": pa.int64(),
        "reject_reason": pa.string(),
        "raw_line": pa.string(),
        "source_file": pa.string(),
        "is_unreadable": pa.bool_(),
    }
)


class Things(Contract):
    """Things."""

    name: str = column("Name.", nullable=True)
    number: dt.Int64 = column("Number.", nullable=True, severity="quarantine", ge=0)


THINGS = Model(TableName("raw", "things"), lambda lines: lines, Things, ("lines",), quarantine=True)


DEEP = Annotated[dt.Struct, {"w": dt.Float64}]
NESTED: list[Any] = [
    list[dt.Float64],
    list[list[dt.Float64]],
    list[DEEP],
    DEEP,
    Annotated[dt.Struct, {"v": list[DEEP], "d": DEEP}],
    dict[str, dt.Float64],
    dict[str, list[dt.Float64]],
]


@pytest.mark.parametrize("kind", NESTED, ids=repr)
def test_lines_with_floats_at_any_depth_may_be_quarantined(kind: Any) -> None:
    """NaN in them is stored as null, by operations that nobody wrote and `check` must accept."""
    body = {"__annotations__": {"nested": kind}, "nested": column("Any.", nullable=True)}
    things = type("Things", (Contract,), body)
    built = Model(TableName("raw", "things"), lambda each: each, things, ("each",), quarantine=True)
    told = ibis.table(dict.fromkeys(REJECT_COLUMNS, "string"), name="each").schema()
    rows = ibis.table(built.spec.schema | told, name="each")
    assert [*unportable(built, rows, {}, {})] == []


def line(
    name: str | None = None,
    number: int | None = None,
    reason: str | None = None,
    text: str = "line",
    file: str = "f",
    unreadable: bool = False,
) -> tuple[Any, ...]:
    return (name, number, reason, text, file, unreadable)


def table(*lines: tuple[Any, ...]) -> ir.Table:
    rows = [dict(zip(COLUMNS.names, each, strict=True)) for each in lines]
    return CON.create_table("lines", pa.Table.from_pylist(rows, COLUMNS), overwrite=True)


def fetched(rows: ir.Table) -> list[tuple[Any, ...]]:
    """Return rows as sorted tuples."""
    found = [tuple(row.values()) for row in CON.to_pyarrow(rows).to_pylist()]
    return sorted(found, key=repr)


def split(*lines: tuple[Any, ...], secret: tuple[str, ...] = ()) -> ir.Table:
    return outcomes(judged(THINGS, table(*lines), secret))


def rejected(*lines: tuple[Any, ...], secret: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    return fetched(rejected_lines(split(*lines, secret=secret)))


def test_equal_rows_are_one_outcome_with_copies() -> None:
    found = split(line("a", 1), line("a", 1, text="other", file="g"), line("b", 2))
    assert found.columns == ("name", "number", REJECTION, COPIES, UNREADABLE_LINES)
    assert fetched(found) == [("a", 1, None, 2, 0), ("b", 2, None, 1, 0)]


def test_repeats_of_accepted_rows_are_duplicates_and_others_are_accepted_once() -> None:
    """Also where a row is accepted that no repeat equals."""
    lines = [line("a", 1, unreadable=True), line("a", 1), line("b"), line("b"), line(None, 2)]
    both = judged(THINGS, table(*lines, line("c", 3)), ())
    accepted = both.filter(both.name.isin(["a", "c"]))
    found = settled(both.filter(both.name.isnull() | (both.name != "c")), accepted)
    assert fetched(found) == [
        ("a", 1, f"{DUPLICATE}\x1f\x1f", 2, 1),
        ("b", None, None, 2, 0),
        (None, 2, None, 1, 0),
    ]
    assert fetched(tally(found)) == [(DUPLICATE, 1, 2, 1), (None, 2, 3, 0)]


def test_null_columns_are_equal() -> None:
    assert fetched(split(line(None, 1), line(None, 1))) == [(None, 1, None, 2, 0)]


def test_rejected_line_is_kept_as_it_stands() -> None:
    odd = [
        line(reason="has no name", text="a\x1fb\x1f", file="day 1/f\u00e9.csv"),
        line(reason="has no name", text="two\nlines\r\n", file="f"),
        line(reason="r", text="", file="f"),
        line(reason="r", text="\x1f", file="\U0001f600.csv"),
        line(reason="r", text=" '\"\\ \u0301e \U0001f468\u200d\U0001f469", file="f"),
    ]
    assert rejected(*odd) == sorted(((each[2], each[3], each[4]) for each in odd), key=repr)


@pytest.mark.parametrize("missing", ["raw_line", "source_file"])
def test_rejected_line_without_text_or_file_is_not_accepted(missing: str) -> None:
    lines = table(line("a", 1, reason="bad")).mutate(**{missing: ibis.null("string")})
    counts = {row[0]: row[2] for row in fetched(tally(outcomes(judged(THINGS, lines, ()))))}
    assert counts == {"bad": 1}


def test_repeated_rejected_lines_are_kept() -> None:
    bad = line(reason="bad", text="x")
    assert rejected(bad, bad, bad) == [("bad", "x", "f")] * 3


def test_equal_lines_of_two_files_are_two() -> None:
    assert rejected(line(reason="bad", file="f"), line(reason="bad", file="g")) == [
        ("bad", "line", "f"),
        ("bad", "line", "g"),
    ]


def test_rejected_row_with_values_keeps_its_line_once() -> None:
    assert rejected(line("a", 1, "bad", "x"), line("a", 2, "bad", "x")) == [("bad", "x", "f")] * 2


def test_duplicates_are_counted_and_not_kept() -> None:
    lines = [line("a", 1), line("a", 1, DUPLICATE), line("a", 1, DUPLICATE)]
    assert rejected(*lines) == []
    assert fetched(tally(split(*lines))) == [("duplicate", 1, 2, 0), (None, 1, 1, 0)]


def test_quarantine_rule_rejects_with_its_name() -> None:
    lines = [line("a", -1, text="x"), line("a", -1, "older", text="y"), line("a", None)]
    assert rejected(*lines) == [
        ("number greater_than_or_equal_to(0)", "x", "f"),
        ("older", "y", "f"),
    ]


def test_secret_values_are_masked_in_rejected_lines() -> None:
    bad = line(reason="bad", text='{"ip": "1.2.3.4", "pin": 7, "x": 1}')
    assert rejected(bad, secret=("ip", "pin")) == [
        ("bad", '{"ip":"***", "pin":"***", "x": 1}', "f")
    ]
    assert rejected(bad) == [("bad", bad[3], "f")]


def test_tally_counts_outcomes_lines_and_unreadable_ones_per_reason() -> None:
    found = split(
        line("a", 1),
        line("a", 1, unreadable=True),
        line("b", 1),
        line(reason="no name", text="x", unreadable=True),
        line(reason="no name", text="x", unreadable=True),
        line(reason="no name", text="y"),
        line(reason="bad", text="x"),
    )
    assert fetched(tally(found)) == [
        ("bad", 1, 1, 0),
        ("no name", 2, 3, 2),
        (None, 2, 3, 1),
    ]


def test_unreadable_lines_need_not_be_told() -> None:
    lines = table(line("a", 1, unreadable=True)).drop("is_unreadable")
    assert fetched(tally(outcomes(judged(THINGS, lines, ())))) == [(None, 1, 1, 0)]


def test_no_lines_have_no_outcome() -> None:
    assert rejected() == []
    assert fetched(tally(split())) == []


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
some_lines = st.lists(
    st.builds(
        line,
        name=st.sampled_from(["a", "b", None]),
        number=st.sampled_from([-1, 0, 1, None]),
        reason=st.sampled_from([None, None, "no name", "bad", DUPLICATE]),
        text=texts,
        file=st.sampled_from(["f", "dir/g \u00e9.jsonl"]),
    ),
    max_size=12,
)


@pytest.mark.slow
@given(some_lines)
def test_every_line_is_accepted_a_duplicate_or_rejected(lines: list[tuple[Any, ...]]) -> None:
    found = split(*lines)
    counts = {reason: (rows, total) for reason, rows, total, _ in fetched(tally(found))}
    accepted, with_copies = counts.pop(None, (0, 0))
    _, marked = counts.pop(DUPLICATE, (0, 0))
    kept = fetched(rejected_lines(found))
    assert with_copies + marked + len(kept) == len(lines)
    assert sum(total for _, total in counts.values()) == len(kept)
    good = [each for each in lines if each[2] is None and each[1] != -1]
    assert accepted == len({each[:2] for each in good})
    assert kept == sorted(
        (
            (each[2] or "number greater_than_or_equal_to(0)", each[3], each[4])
            for each in lines
            if each not in good and each[2] != DUPLICATE
        ),
        key=repr,
    )


class Ranked(Contract):
    """Records with columns that have names of ranks."""

    key: str = column("Key.", nullable=True)
    rank: dt.Int64 = column("Rank.", nullable=True)
    copy: dt.Int64 = column("Number of the copy.", nullable=True)
    raw_line: str = column("Text.")
    source_file: str = column("File.")


def test_columns_keep_their_values_whatever_their_names(engine: Workbench) -> None:
    records = [
        ("p1", 3, 7, "a"),
        ("p2", 1, 8, "b"),
        ("p2", 1, 8, "c"),
        ("p3", 2, 9, "d"),
        ("p3", 9, 9, "e"),
        (None, 5, 5, "f"),
    ]
    names = ("key", "rank", "copy", "raw_line")
    given = [{**dict(zip(names, each, strict=True)), "source_file": "f"} for each in records]
    found = engine.rows(one_row_per_key(engine.table(given, Ranked), "key"))
    told = {row["raw_line"]: (row["rank"], row["copy"], row["reject_reason"]) for row in found}
    assert told == {
        "a": (3, 7, None),
        "b": (1, 8, None),
        "c": (1, 8, DUPLICATE),
        "d": (2, 9, None),
        "e": (9, 9, "repeated_key"),
        "f": (5, 5, "missing_key"),
    }


def test_balanced_books_pass() -> None:
    Books("lines", lines=10, accepted=5, duplicates=2, rejected=3, reasons={"a": 1, "b": 2}).check()
    Books("lines", lines=0, accepted=0, duplicates=0, rejected=0).check()


@pytest.mark.parametrize(
    "books",
    [
        Books("lines", lines=11, accepted=5, duplicates=2, rejected=3, reasons={"a": 3}),
        Books("lines", lines=9, accepted=5, duplicates=2, rejected=3, reasons={"a": 3}),
        Books("lines", lines=10, accepted=5, duplicates=2, rejected=3, reasons={"a": 2}),
        Books("lines", lines=10, accepted=5, duplicates=2, rejected=3),
    ],
)
def test_unbalanced_books_are_refused_with_their_numbers(books: Books) -> None:
    with pytest.raises(BooksError) as caught:
        books.check()
    assert str(caught.value).startswith(
        f"the books of lines do not balance: {books.lines} lines, but 5 accepted + 2 duplicates + "
        "3 rejected = 10"
    )


def test_columns_with_parts_do_not_tell_which_row_is_smallest() -> None:
    columns = {"key": "string", "tags": "array<string>", "raw_line": "string"}
    rows = ibis.table(columns | {"source_file": "string"}, name="rows")
    with pytest.raises(PipelineError, match="is not told by tags, because engines sort lists"):
        one_row_per_key(rows, "key")
