"""Secrets are told from the lineage before a run, and stand in nothing that it leaves."""

import hashlib
import json
import string
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from streampro.config import Target
from streampro.errors import ContractError, PipelineError, SourceError
from streampro.execution.runner import run
from streampro.expressions.columns import ColumnRef
from streampro.modeling.columns.secrets import leaks, withheld_columns
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import REJECT_COLUMNS, Model, TableName, model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.proofs.prove import prove
from streampro.testing import Workbench, assert_rows_equal
from streampro.warehouse.published import sql

SALES = Source(
    "raw_sales",
    ("sales.jsonl",),
    "json_lines",
    {"shop": ("shop",), "amount": ("amount",), "card": ("card",)},
    secret=("card", "pin"),
)
PEOPLE = Source(
    "raw_people",
    ("people.csv",),
    "csv",
    {"shop": ("shop",), "mail": ("mail",)},
    secret=("mail", "phone"),
)


class Sales(Contract):
    """One row per sale."""

    shop: str = column("Shop.", nullable=True)
    note: str = column("What is said of the sale.", nullable=True)


class Notes(Contract):
    """One row per note."""

    note: str = column("Note.", nullable=True)


def pipeline_of(note: Callable[[ir.Table], ir.Value], source: Source = SALES) -> Pipeline:
    """Return a pipeline that stores a note on every sale, in a table and in one built from it."""
    lines = Model(
        TableName("staging", "sales"),
        lambda **inputs: inputs[source.name].select("shop", note=note),
        Sales,
        (source.name,),
    )
    notes = Model(TableName("mart", "notes"), lambda sales: sales[["note"]], Notes, ("sales",))
    return made_of(source, lines, notes)


def rejecting(**given: Callable[[ir.Table], ir.Value]) -> Pipeline:
    """Return a pipeline that rejects sales without a shop; `given` columns are other than usual."""

    def sales(raw_sales: ir.Table) -> ir.Table:
        reason = ibis.cases((raw_sales.shop.isnull(), "no shop"))
        rows = raw_sales.mutate(note=ibis.null("string"), reject_reason=reason).mutate(**given)
        return rows.select("shop", "note", *REJECT_COLUMNS)

    return made_of(
        SALES, Model(TableName("staging", "sales"), sales, Sales, ("raw_sales",), quarantine=True)
    )


def made_of(*things: Source | Model) -> Pipeline:
    module = types.ModuleType("made_up.staging")
    for thing in things:
        if isinstance(thing, Model):
            thing.transform.__module__ = module.__name__
        setattr(module, thing.name, thing)
    return Pipeline("private", [module])


ADVICE = "Leave it out, or let it only decide, as in a filter or the condition of a case."


def test_stored_secret_is_told_of_every_table_with_its_way() -> None:
    assert leaks(pipeline_of(lambda sales: sales.card)) == [
        "staging.sales.note would hold the secret raw_sales.card: "
        f"raw_sales.card -> staging.sales.note (copied). {ADVICE}",
        "mart.notes.note would hold the secret raw_sales.card: "
        "raw_sales.card -> staging.sales.note (copied) -> mart.notes.note (copied). " + ADVICE,
    ]


def test_raw_text_with_a_secret_is_one() -> None:
    [told, _] = leaks(pipeline_of(lambda sales: sales.raw_line.substr(0, 9)))
    assert told == (
        "staging.sales.note would hold the secret raw_sales.raw_line, text in which card, pin "
        f"stands: raw_sales.raw_line -> staging.sales.note (computed). {ADVICE}"
    )


@pytest.mark.parametrize(
    "note",
    [
        lambda sales: sales.card.hexdigest("md5"),
        lambda sales: sales.card.notnull().cast("string"),
        lambda sales: ibis.coalesce(sales.shop, sales.card),
        lambda sales: sales.card.max().over(group_by="shop"),
        lambda sales: sales.shop + sales.card.max().as_scalar(),
    ],
)
def test_whatever_is_computed_from_a_secret_is_refused(
    note: Callable[[ir.Table], ir.Value],
) -> None:
    assert len(leaks(pipeline_of(note))) == 2


@pytest.mark.parametrize(
    "note",
    [
        lambda sales: ibis.cases((sales.card.isnull(), "cash"), else_="card"),
        lambda sales: sales.amount.max().over(group_by="card"),
        lambda sales: sales.filter(sales.card == "4711").amount.max().as_scalar(),
    ],
)
def test_secret_may_decide(note: Callable[[ir.Table], ir.Value]) -> None:
    assert leaks(pipeline_of(note)) == []


def test_masked_text_of_rejected_lines_is_no_leak() -> None:
    assert leaks(rejecting()) == []


@pytest.mark.parametrize(
    ("column", "value", "origin"),
    [
        ("raw_line", lambda sales: sales.card, "card"),
        ("raw_line", lambda sales: sales.raw_line.upper(), "raw_line"),
        ("reject_reason", lambda sales: sales.card + " is odd", "card"),
        ("reject_reason", lambda sales: sales.raw_line, "raw_line"),
        ("source_file", lambda sales: sales.raw_line, "raw_line"),
    ],
)
def test_rejected_lines_hold_a_secret_that_is_not_masked(
    column: str, value: Callable[[ir.Table], ir.Value], origin: str
) -> None:
    [told] = leaks(rejecting(**{column: value}))
    assert told.startswith(
        f"staging.sales_rejected.{column} would hold the secret raw_sales.{origin}"
    )


def test_reason_may_be_decided_by_a_secret() -> None:
    reason = {"reject_reason": lambda sales: ibis.cases((sales.card.isnull(), "no card"))}
    assert leaks(rejecting(**reason)) == []


def test_field_within_a_secret_object_is_secret_in_any_case() -> None:
    fields = {"shop": ("shop",), "last": ("Payment", "card"), "owner": ("card", "Owner")}
    source = replace(SALES, fields=fields, secret=("CARD", "pay"))
    assert source.secret_fields == ("last", "owner")


def test_column_of_csv_is_secret() -> None:
    assert PEOPLE.secret_fields == ("mail",)
    assert len(leaks(pipeline_of(lambda people: people.mail, PEOPLE))) == 2


def test_source_without_a_secret_may_be_stored_as_it_is() -> None:
    assert leaks(pipeline_of(lambda sales: sales.raw_line, replace(SALES, secret=()))) == []


def test_secret_given_as_a_text_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"secret is 'card', .* such as \('card',\)"):
        replace(SALES, secret="card")


def test_run_that_would_store_a_secret_does_nothing(tmp_path: Path) -> None:
    target = Target(name="test", raw=tmp_path, warehouse=tmp_path / "warehouse")
    with pytest.raises(PipelineError, match=r"notes\.note would hold the secret"):
        run(pipeline_of(lambda sales: sales.card), target)
    assert [*tmp_path.iterdir()] == []


class Staged(Contract):
    """One row per shop and amount."""

    shop: str = column("Shop.")
    amount: dt.Int64 = column("Price.", nullable=True, lt=100)


class People(Contract):
    """One row per shop of somebody."""

    shop: str = column("Shop.")


def sales(raw_sales: ir.Table) -> ir.Table:
    """Reject what has no shop, and what was paid by one card."""
    reason = ibis.cases((raw_sales.shop.isnull(), "no shop"), (raw_sales.card == "0", "bad card"))
    number = ibis.cases(
        (raw_sales.amount.re_search(r"^[0-9]+\z"), raw_sales.amount.try_cast("int64"))
    )
    rows = raw_sales.mutate(amount=number, reject_reason=reason)
    return rows.select("shop", "amount", *REJECT_COLUMNS)


def people(raw_people: ir.Table) -> ir.Table:
    """Reject who has no shop."""
    reason = ibis.cases((raw_people.shop.fill_null("") == "", "no shop"))
    return raw_people.mutate(reject_reason=reason).select("shop", *REJECT_COLUMNS)


def shops(source: Source = SALES) -> Pipeline:
    return made_of(
        source,
        PEOPLE,
        Model(TableName("staging", "sales"), sales, Staged, ("raw_sales",), quarantine=True),
        Model(TableName("staging", "people"), people, People, ("raw_people",), quarantine=True),
    )


LINES = [
    '{"shop": "a", "amount": "5", "card": "SECRET"}',
    '{"shop": "a", "amount": "5", "card": "SECRET"}',
    '{"shop": null, "card": "SECRET", "x": {"pin": ["SECRET"]}}',
    '{"shop": "b", "card": "0", "pin": "SECRET"}',
    "{'card': SECRET, broken",
]
SHAPES = [
    '{"shop": null, "card": "%s"}',
    '{"shop": "b", "card": "0", "pin": ["%s"]}',
    "{'card': %s, broken",
]
RECORDS = [
    "mail,city,shop,phone",
    "SECRET,Oslo,a,SECRET",
    "SECRET,Oslo,,SECRET",
    '"SECRET, ""x""\nSECRET","a, b",,',
    "short,SECRET",
    "Oslo,SECRET,,SECRET,too long",
]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "sales.jsonl").write_text("\n".join(LINES))
    (raw / "people.csv").write_text("\n".join(RECORDS))
    return Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")


def everything_in(folder: Path) -> str:
    """Return the text of all that lies in a folder."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            found.append(repr(pq.ParquetFile(path).read().to_pylist()))
        elif path.is_file():
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return "\n".join(found)


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_nothing_that_a_run_leaves_holds_a_secret(engine: Workbench, target: Target) -> None:
    done = engine.run(shops(), target)
    assert "SECRET" not in json.dumps(done.to_json(), default=str)
    left = everything_in(Path(target.warehouse))
    assert "SECRET" not in left
    assert "***" in left
    rejected = Path(target.warehouse) / "staging" / "people_rejected"
    found = [row for path in rejected.glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    assert_rows_equal(
        found,
        [
            {"reject_reason": "no shop", "raw_line": "***,Oslo,,***"},
            {"reject_reason": "no shop", "raw_line": '***,"a, b",,***'},
            {"reject_reason": "no shop", "raw_line": "***,***"},
            {"reject_reason": "no shop", "raw_line": "***,***,***,***,***"},
        ],
    )


def values_in(folder: Path) -> bytes:
    """Return all bytes of a folder, those of parquet files as they are unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            rows = pq.ParquetFile(path).read().to_pylist()
            found += [f"{value}\n".encode() for row in rows for value in row.values()]
        if path.is_file():
            found.append(path.read_bytes())
    return b"\n".join(found)


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "as it is": str.encode,
    "NUL between letters": lambda text: "\0".join(text).encode(),
    "UTF-16-LE": lambda text: text.encode("utf-16-le"),
    "UTF-16-BE": lambda text: text.encode("utf-16-be"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-32": lambda text: text.encode("utf-32"),
}
words = st.text(string.ascii_letters + string.digits + "äß旅", min_size=6, max_size=12).map(
    "q7{}".format  # so that no secret is a word that a warehouse has anyway, such as "duplicates"
)


@pytest.mark.thorough("spark")
@pytest.mark.slow
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secrets=st.lists(words, min_size=2, max_size=4, unique=True), data=st.data())
def test_no_spelling_of_a_secret_is_in_any_byte_of_a_warehouse(
    engine: Workbench, tmp_path_factory: pytest.TempPathFactory, secrets: list[str], data: Any
) -> None:
    raw = tmp_path_factory.mktemp("raw")
    (raw / "people.csv").write_text("mail,shop,phone\n")
    for file, spelled in enumerate(SPELLINGS.values()):
        lines = [data.draw(st.sampled_from(SHAPES)) % secret for secret in secrets]
        (raw / f"{file}.jsonl").write_bytes(spelled("\n".join(lines) + "\n"))
        inside = [SHAPES[0] % "?", SHAPES[2] % "?"]
        text = "\n".join(inside).encode().replace(b"?", spelled(secrets[0]))
        (raw / f"inside {file}.jsonl").write_bytes(text)
    target = Target(name="test", raw=raw, warehouse=raw.with_name(f"{raw.name}-warehouse"))
    engine.run(shops(replace(SALES, files=("*.jsonl",))).without_limits(), target)
    left = values_in(Path(target.warehouse))
    is_told = b"text with NUL, " in left
    found = [
        (name, secret)
        for secret in secrets
        for name, spelled in SPELLINGS.items()
        for sought in (spelled(secret), spelled(secret).decode("utf-8", "replace").encode())
        if sought in left
    ]
    assert (found, is_told) == ([], True)


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_of_a_line_with_a_nul_length_and_digest_are_kept(engine: Workbench, target: Target) -> None:
    line = '{"shop": "é\0", "card": "SECRET"}'
    assert target.raw is not None
    (Path(target.raw) / "sales.jsonl").write_text(f"{LINES[0]}\n{line}\n", encoding="utf-8")
    engine.run(shops(), target)
    [kept] = sql("SELECT raw_line FROM staging.sales_rejected", target)["raw_line"].to_pylist()
    digest = hashlib.md5(line.encode()).hexdigest()
    assert kept == f"text with NUL, {len(line)} characters, MD5 {digest}"


@pytest.mark.slow
def test_messages_and_certificate_hold_no_secret(target: Target, tmp_path: Path) -> None:
    prove(shops(), target, target.model_copy(update={"name": "b"}), out=tmp_path / "parity.json")
    assert "SECRET" not in (tmp_path / "parity.json").read_text()
    assert target.raw is not None
    (Path(target.raw) / "sales.jsonl").write_text(
        '{"shop": "a", "amount": "100", "card": "SECRET", "pin": "SECRET"}'
    )
    with pytest.raises(ContractError, match="'amount': 100") as caught:
        run(shops(), target)
    assert "SECRET" not in str(caught.value)


def test_secret_column_that_the_file_does_not_have_is_refused(target: Target) -> None:
    assert target.raw is not None
    people = Path(target.raw) / "people.csv"
    people.write_text(people.read_text().replace("phone", "phones"))
    with pytest.raises(SourceError, match=r"no column 'phone'\. Did you mean 'phones'"):
        run(shops(), target)


class Known(Contract):
    """One row per person."""

    mail: str = column("Address.", personal=True)
    shop: str = column("Shop.", nullable=True)


class Derived(Contract):
    """One row per shop."""

    shop: str = column("Shop.", nullable=True)
    size: dt.Int64 = column("Letters of the longest address.", nullable=True)
    people: dt.Int64 = column("People.")


class Lines(Contract):
    """One row per line."""

    contact: str = column("Nobody said that this is an address.", nullable=True)
    line: str = column("Line.", nullable=True)
    shop: str = column("Shop of people with an address.", nullable=True)


def test_values_made_from_what_is_personal_or_secret_are_withheld_wherever_they_go() -> None:
    source = Source(
        "raw_people",
        ("*.jsonl",),
        "json_lines",
        {"shop": ("shop",), "mail": ("mail",), "card": ("card",)},
        secret=("card",),
    )

    def known(raw_people: ir.Table) -> ir.Table:
        return raw_people.filter(raw_people.mail.notnull()).select("mail", "shop")

    def derived(known: ir.Table) -> ir.Table:
        size = known.mail.length().max()
        return known.group_by("shop").aggregate(size=size, people=known.count())

    def lines(raw_people: ir.Table) -> ir.Table:
        rows = raw_people.filter(raw_people.mail.notnull())
        return rows.select(contact=rows.mail, line=rows.raw_line, shop=rows.shop)

    module: Any = types.ModuleType("staging")
    module.source = source
    for transform, contract in ((known, Known), (derived, Derived), (lines, Lines)):
        transform.__module__ = "staging"
        setattr(module, transform.__name__, model(contract=contract)(transform))
    assert withheld_columns(Pipeline("people", [module])) == {
        *(ColumnRef("raw_people", name) for name in ("mail", "card", "raw_line")),
        *(ColumnRef("lines", name) for name in ("contact", "line")),
        ColumnRef("known", "mail"),
        ColumnRef("derived", "size"),
    }
