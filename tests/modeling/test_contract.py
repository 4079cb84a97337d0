"""One aggregate says what pandera says, rule by rule."""

import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.errors
import pandera.ibis as pandera
import pyarrow as pa
import pytest

from streampro.errors import PipelineError
from streampro.expressions.portability import findings
from streampro.modeling.audit import ROW_COUNT, audit, breaking_rows, severity_of, with_reasons
from streampro.modeling.contract import Contract, Instant, Rejected, column, rule
from streampro.modeling.spec import spec_of
from streampro.testing import Workbench
from streampro.viewing import PIPELINE

Row = dict[str, Any]
AT = datetime(2024, 5, 1, 12, 30, tzinfo=UTC)


class Parcels(Contract):
    """One row per parcel, with a rule of every kind."""

    parcel: str = column("Parcel.", ne="none")
    kind: str = column("Kind.", nullable=True, isin=["box", "bag"])
    label: str = column("Label.", nullable=True, notin=["x", "y"], severity="quarantine")
    weight_g: dt.Int64 = column("Weight.", gt=0, le=30)
    height_cm: dt.Int64 = column("Height.", nullable=True, ge=1, lt=200, severity="warn")
    country: str = column("Country.", eq="NO")
    sent_ts: Instant = column("When it was sent.")
    come_ts: Instant = column("When it came, null if it has not.", nullable=True)
    carrier: str = column("Carrier.", nullable=True, references="carriers.name")

    class Config:
        unique = ["parcel", "kind"]

    @rule()
    def comes_after_it_was_sent(cls, parcels: ir.Table) -> ir.BooleanValue:
        return parcels.come_ts >= parcels.sent_ts

    @rule("quarantine")
    def bags_are_light(cls, parcels: ir.Table) -> ir.BooleanValue:
        return (parcels.kind != "bag") | (parcels.weight_g < 10)

    @rule("warn")
    def height_is_even(cls, parcels: ir.Table) -> ir.BooleanValue:
        return parcels.height_cm % 2 == 0


class Registered(Parcels):
    """Parcels with a number; rules and columns are inherited."""

    number: dt.Int64 = column("Number.", gt=0)

    @rule("warn")
    def number_is_even(cls, parcels: ir.Table) -> ir.BooleanValue:
        return parcels.number % 2 == 0


PARCEL: Row = {
    "parcel": "p1",
    "kind": "box",
    "label": "a",
    "weight_g": 5,
    "height_cm": 10,
    "country": "NO",
    "sent_ts": AT,
    "come_ts": AT,
    "carrier": "post",
}
FAULTS: dict[str, Row] = {
    "parcel is null": {"parcel": None},
    "weight_g is null": {"weight_g": None},
    "country is null": {"country": None},
    "sent_ts is null": {"sent_ts": None},
    "parcel not_equal_to(none)": {"parcel": "none"},
    "kind isin(['box', 'bag'])": {"kind": "tin"},
    "label notin(['x', 'y'])": {"label": "y"},
    "weight_g greater_than(0)": {"weight_g": 0},
    "weight_g less_than_or_equal_to(30)": {"weight_g": 31},
    "height_cm greater_than_or_equal_to(1)": {"height_cm": 0},
    "height_cm less_than(200)": {"height_cm": 200},
    "country equal_to(NO)": {"country": "SE"},
    "comes_after_it_was_sent": {"come_ts": AT - timedelta(microseconds=1)},
    "bags_are_light": {"kind": "bag", "weight_g": 10},
    "height_is_even": {"height_cm": 7},
    "key (parcel, kind) is repeated": {"parcel": "p1"},
}
WARNED = {
    "height_cm greater_than_or_equal_to(1)",
    "height_cm less_than(200)",
    "height_is_even",
    "session_ends_after_it_starts",
}
VIEWING = {built.name: built.contract for built in PIPELINE.models.values()}
ROW_FAULTS: dict[str, Row] = {
    "session_ends_after_it_starts": {"session_end_ts": AT - timedelta(seconds=1)},
    "next_session_is_later": {"next_session_start_ts": AT - timedelta(seconds=1)},
    "retention_is_told_of_first_sessions_only": {"retained_within_3d": None},
    "reached_users_are_users": {"reached_users": 2},
}
CHECK_FAULTS = {
    "greater_than": lambda given: given["min_value"],
    "greater_than_or_equal_to": lambda given: given["min_value"] - 1,
    "less_than_or_equal_to": lambda given: given["max_value"] + 1,
    "isin": lambda given: "no such value",
}
DUCKDB = ibis.duckdb.connect()


def bound(contract: type[Contract], rows: list[Row]) -> ir.Table:
    """Return rows as a DuckDB table that may hold nulls everywhere."""
    types = spec_of(contract).schema.to_pyarrow()
    nullable = pa.schema([field.with_nullable(True) for field in types])
    data = pa.Table.from_pylist(rows, schema=nullable)
    return DUCKDB.create_table("contract_rows", data, overwrite=True)


def audited(contract: type[Contract], rows: list[Row], **options: Any) -> Row:
    query = audit(contract, bound(contract, rows), options.pop("inputs", {}), **options)
    [counts] = DUCKDB.to_pyarrow(query).to_pylist()
    assert counts.pop(ROW_COUNT) == len(rows)
    return counts


def broken(contract: type[Contract], rows: list[Row]) -> Row:
    return {name: count for name, count in audited(contract, rows).items() if count}


def pandera_verdict(contract: type[Contract], rows: list[Row]) -> tuple[set[str], int]:
    """Return the rules that fail, and how many warn, as pandera itself says."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            contract.to_schema().validate(bound(contract, rows), lazy=True)
            failed = set()
        except pandera.errors.SchemaErrors as error:
            failed = {_rule_name(contract, fault) for fault in error.schema_errors}
    warned = [each for each in caught if issubclass(each.category, pandera.errors.SchemaWarning)]
    return failed, len(warned)


def _rule_name(contract: type[Contract], fault: pandera.errors.SchemaError) -> str:
    if fault.reason_code.name == "DUPLICATES":
        return f"key ({', '.join(spec_of(contract).key)}) is repeated"
    if fault.reason_code.name == "SERIES_CONTAINS_NULLS":
        return f"{fault.schema.name} is null"
    of_column = fault.schema.name in contract.to_schema().columns
    return f"{fault.schema.name} {fault.check.error}" if of_column else fault.check.name


def valid_row(contract: type[Contract], number: int) -> Row:
    """Return a row that keeps every rule of a viewing contract; rows differ by their texts."""
    values = {
        "string": lambda name: f"{name} {number}",
        "int64": lambda _: 1,
        "float64": lambda _: 1.0,
        "boolean": lambda _: True,
        "date": lambda _: date(2024, 5, 1),
    }
    row = {}
    for name, kind in spec_of(contract).schema.items():
        row[name] = AT if kind.is_timestamp() else values[str(kind).lstrip("!")](name)
        for check in contract.to_schema().columns[name].checks:
            if check.name == "isin":
                row[name] = next(iter(check.statistics["allowed_values"]))
    return row


def faults_of(contract: type[Contract]) -> dict[str, Row]:
    """Return per rule what makes a valid row break it."""
    found: dict[str, Row] = {}
    schema = contract.to_schema()
    for name, spec in schema.columns.items():
        if not spec.nullable:
            found[f"{name} is null"] = {name: None}
        for check in spec.checks:
            found[f"{name} {check.error}"] = {name: CHECK_FAULTS[check.name](check.statistics)}
    found |= {name: fault for name, fault in ROW_FAULTS.items() if hasattr(contract, name)}
    if key := spec_of(contract).key:
        first = valid_row(contract, 0)
        found[f"key ({', '.join(key)}) is repeated"] = {name: first[name] for name in key}
    return found


def test_valid_rows_break_no_rule() -> None:
    rows = [PARCEL, PARCEL | {"parcel": "p2"}, PARCEL | {"parcel": "p1", "kind": None}]
    assert broken(Parcels, rows) == {}
    assert pandera_verdict(Parcels, rows) == (set(), 0)


def test_every_rule_is_counted() -> None:
    assert set(audited(Parcels, [PARCEL])) == set(FAULTS)
    assert {each.name for each in spec_of(Parcels).rules} | {
        "key (parcel, kind) is repeated"
    } == set(FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_rule_is_broken_and_pandera_agrees(name: str) -> None:
    rows = [PARCEL, PARCEL | {"parcel": "p2"} | FAULTS[name], PARCEL | {"parcel": "p3"}]
    assert broken(Parcels, rows) == {name: 1}
    assert pandera_verdict(Parcels, rows) == (({name}, 0) if name not in WARNED else (set(), 1))


def test_counts_are_rows() -> None:
    light = PARCEL | {"weight_g": 0}
    rows = [light | {"parcel": "p1"}, light | {"parcel": "p2"}, PARCEL, PARCEL, PARCEL]
    assert broken(Parcels, rows) == {
        "weight_g greater_than(0)": 2,
        "key (parcel, kind) is repeated": 3,
    }


def test_rules_are_independent() -> None:
    rows = [PARCEL | {"weight_g": 31, "kind": "bag", "height_cm": 0, "label": "x"}]
    assert set(broken(Parcels, rows)) == {
        "weight_g less_than_or_equal_to(30)",
        "bags_are_light",
        "height_cm greater_than_or_equal_to(1)",
        "label notin(['x', 'y'])",
    }


def test_null_passes_checks_and_rules_and_pandera_agrees() -> None:
    rows = [PARCEL | dict.fromkeys(["kind", "label", "height_cm", "come_ts", "carrier"])]
    assert broken(Parcels, rows) == {}
    assert pandera_verdict(Parcels, rows) == (set(), 0)


@pytest.mark.slow
def test_nulls_are_equal_in_a_key_and_pandera_agrees() -> None:
    rows = [PARCEL | {"kind": None}, PARCEL | {"kind": None}]
    assert broken(Parcels, rows) == {"key (parcel, kind) is repeated": 1}
    assert pandera_verdict(Parcels, rows) == ({"key (parcel, kind) is repeated"}, 0)


def test_no_rows_break_nothing() -> None:
    assert broken(Parcels, []) == {}


def test_a_rule_may_look_at_other_rows() -> None:
    class Queue(Contract):
        """One row per place."""

        place: dt.Int64 = column("Place.")
        size: dt.Int64 = column("Size.")

        class Config:
            unique = ["place"]

        @rule()
        def is_above_the_one_before(cls, queue: ir.Table) -> ir.BooleanValue:
            return queue["size"] > queue["size"].lag().over(order_by="place")

        @rule("warn")
        def is_no_giant(cls, queue: ir.Table) -> ir.BooleanValue:
            return queue["size"] <= 2 * queue["size"].mean()

    rows = [{"place": n, "size": size} for n, size in enumerate([1, 3, 2, 40, 40])]
    assert broken(Queue, rows) == {"is_above_the_one_before": 2, "is_no_giant": 2}
    shown = breaking_rows(Queue, bound(Queue, rows), ["is_above_the_one_before"])
    assert sorted(row["place"] for row in DUCKDB.to_pyarrow(shown).to_pylist()) == [2, 4]


@pytest.mark.parametrize("name", FAULTS)
def test_breaking_rows_are_shown(name: str) -> None:
    bad = PARCEL | {"parcel": "p2"} | FAULTS[name]
    found = breaking_rows(Parcels, bound(Parcels, [PARCEL, bad]), [name])
    shown = DUCKDB.to_pyarrow(found).to_pylist()
    assert shown == ([PARCEL, bad] if name.startswith("key") else [bad])


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("weight_g is null", "fail"),
        ("weight_g greater_than(0)", "fail"),
        ("height_cm less_than(200)", "warn"),
        ("label notin(['x', 'y'])", "quarantine"),
        ("comes_after_it_was_sent", "fail"),
        ("bags_are_light", "quarantine"),
        ("height_is_even", "warn"),
        ("key (parcel, kind) is repeated", "fail"),
        ("orphan carrier: not in carriers.name", "warn"),
    ],
)
def test_severity(name: str, severity: str) -> None:
    assert severity_of(Parcels, name) == severity


def test_inherited_rules_keep_their_names_and_severities() -> None:
    found = {each.name: each.severity for each in spec_of(Registered).rules}
    assert found["comes_after_it_was_sent"] == "fail"
    assert found["height_is_even"] == found["number_is_even"] == "warn"
    assert len(found) == len(spec_of(Registered).rules), "two rules of one name"


@pytest.mark.parametrize("name", ["comes_after_it_was_sent", "bags_are_light", "height_is_even"])
def test_inherited_rule_is_broken(name: str) -> None:
    row = PARCEL | {"number": 2} | FAULTS[name]
    assert broken(Registered, [row]) == {name: 1}


def test_quarantine_rules_give_their_name_as_reason() -> None:
    rows = [
        PARCEL | {"reject_reason": None},
        PARCEL | {"label": "x", "reject_reason": None},
        PARCEL | {"kind": "bag", "weight_g": 20, "reject_reason": None},
        PARCEL | {"label": "x", "kind": "bag", "weight_g": 20, "reject_reason": None},
        PARCEL | {"label": "x", "reject_reason": "older"},
        PARCEL | {"weight_g": -1, "reject_reason": None},
    ]
    table = ibis.memtable(pa.Table.from_pylist([{"i": i} | row for i, row in enumerate(rows)]))
    found = DUCKDB.to_pyarrow(with_reasons(Parcels, table).order_by("i"))
    assert found["reject_reason"].to_pylist() == [
        None,
        "label notin(['x', 'y'])",
        "bags_are_light",
        "label notin(['x', 'y'])",
        "older",
        None,
    ]


def test_without_quarantine_rules_rows_stay_as_they_are() -> None:
    table = ibis.table(spec_of(Rejected).schema, name="rejected")
    assert with_reasons(Rejected, table) is table


def carriers(*names: str | None) -> ir.Table:
    return ibis.memtable(pa.table({"name": pa.array(names, pa.string())}))


def test_orphans_are_counted_by_row_and_null_is_none() -> None:
    rows = [
        PARCEL | {"parcel": str(i), "carrier": carrier}
        for i, carrier in enumerate(["post", "post", "dove", "dove", "Post", None])
    ]
    name = "orphan carrier: not in carriers.name"
    inputs = {"carriers": carriers("post", "post", None)}
    assert audited(Parcels, rows, inputs=inputs)[name] == 3
    assert audited(Parcels, rows, inputs={"carriers": carriers()})[name] == 5
    assert name not in audited(Parcels, rows, inputs={"others": carriers()})


def test_references_are_declared_by_columns() -> None:
    assert spec_of(Parcels).references == {"carrier": ("carriers", "name")}


def test_audit_is_one_query() -> None:
    inputs = {"carriers": ibis.table({"name": "string"}, name="carriers")}
    query = audit(Parcels, ibis.table(spec_of(Parcels).schema, name="parcels"), inputs)
    statements = [each for each in ibis.to_sql(query, dialect="duckdb").split(";") if each.strip()]
    assert len(statements) == 1
    assert len(query.columns) == len(FAULTS) + 2


def test_key_of_all_columns_is_not_counted_where_rows_are_distinct() -> None:
    class Pairs(Contract):
        """Pairs."""

        left: dt.Int64 = column("Left.")
        right: dt.Int64 = column("Right.")

        class Config:
            unique = ["right", "left"]

    rows = [{"left": 1, "right": 2}]
    assert "key (right, left) is repeated" in audited(Pairs, rows)
    assert "key (right, left) is repeated" not in audited(Pairs, rows, is_distinct=True)


def test_part_of_the_columns_is_counted_also_where_rows_are_distinct() -> None:
    rows = [PARCEL, PARCEL | {"label": "b"}]
    assert audited(Parcels, rows, is_distinct=True)["key (parcel, kind) is repeated"] == 1


def test_contract_without_key_has_none() -> None:
    assert spec_of(Rejected).key == ()
    row = {"reject_reason": "r", "raw_line": "l", "source_file": "f"}
    assert broken(Rejected, [row, row]) == {}


def test_key_may_be_one_name() -> None:
    class Named(Contract):
        """Names."""

        name: str = column("Name.")

        class Config:
            unique = "name"

    assert spec_of(Named).key == ("name",)
    assert broken(Named, [{"name": "a"}, {"name": "a"}]) == {"key (name) is repeated": 1}


def test_unsupported_check_is_refused_with_a_hint() -> None:
    class Matching(Contract):
        """Names that match."""

        name: str = pandera.Field(str_matches="a.*")

    with pytest.raises(PipelineError) as caught:
        list(spec_of(Matching).rules)
    assert str(caught.value) == (
        "column 'name': check 'str_matches' is not one of equal_to, not_equal_to, greater_than, "
        "greater_than_or_equal_to, less_than, less_than_or_equal_to, isin, notin; "
        "write it as a @rule."
    )


def test_check_over_rows_that_is_no_rule_is_refused() -> None:
    class Checked(Contract):
        """Names, checked by pandera alone."""

        name: str = column("Name.")

        @pandera.dataframe_check
        def is_fine(cls, data: Any) -> Any:  # noqa: N805  pandera makes it a class method
            return data.table.name != ""

    with pytest.raises(PipelineError, match="rule 'is_fine' is not declared by @rule"):
        list(spec_of(Checked).rules)


def test_rule_may_have_any_name() -> None:
    class Named(Contract):
        """Names."""

        name: str = column("Name.")

        @rule()
        def rows(cls, names: ir.Table) -> ir.BooleanValue:
            return names.name != ""

    query = audit(Named, bound(Named, [{"name": ""}]), {})
    assert DUCKDB.to_pyarrow(query).num_rows == 1


def test_schema_is_types_and_nullability() -> None:
    schema = spec_of(Parcels).schema
    assert schema["sent_ts"] == dt.Timestamp("UTC", 6, nullable=False)
    assert schema["come_ts"] == dt.Timestamp("UTC", 6, nullable=True)
    assert schema["weight_g"] == dt.Int64(nullable=False)


@pytest.mark.parametrize("name", VIEWING)
def test_valid_viewing_rows_keep_every_rule(name: str) -> None:
    contract = VIEWING[name]
    rows = [valid_row(contract, number) for number in range(3)]
    assert broken(contract, rows) == {}
    assert pandera_verdict(contract, rows) == (set(), 0)


@pytest.mark.parametrize("name", VIEWING)
def test_viewing_rows_may_be_null_where_the_contract_says_so(name: str) -> None:
    contract = VIEWING[name]
    needed = {"retained_within_3d"}
    nulls = {
        n: None for n, kind in spec_of(contract).schema.items() if kind.nullable and n not in needed
    }
    rows = [valid_row(contract, 0) | nulls]
    assert broken(contract, rows) == {}
    assert pandera_verdict(contract, rows) == (set(), 0)


@pytest.mark.parametrize("name", VIEWING)
def test_every_viewing_rule_has_a_fault_here(name: str) -> None:
    assert set(faults_of(VIEWING[name])) == set(audited(VIEWING[name], []))


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWING)
def test_null_is_found_in_every_column_that_must_not_be_null_and_pandera_agrees(name: str) -> None:
    contract = VIEWING[name]
    nulls = {each: fault for each, fault in faults_of(contract).items() if None in fault.values()}
    nulls = {each: fault for each, fault in nulls.items() if each not in ROW_FAULTS}
    rows = [valid_row(contract, number) | fault for number, fault in enumerate(nulls.values())]
    assert broken(contract, rows) == dict.fromkeys(nulls, 1)
    assert pandera_verdict(contract, rows) == (set(nulls), 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "broken_rule"),
    [
        (name, each)
        for name, contract in VIEWING.items()
        for each in faults_of(contract)
        if not each.endswith(" is null")
    ],
)
def test_broken_viewing_rule_is_found_and_pandera_agrees(name: str, broken_rule: str) -> None:
    contract = VIEWING[name]
    rows = [valid_row(contract, number) for number in range(3)]
    rows[1] |= faults_of(contract)[broken_rule]
    found = broken(contract, rows)
    assert found.get(broken_rule) == 1
    failing = {each for each in found if severity_of(contract, each) == "fail"}
    failed, warned = pandera_verdict(contract, rows)
    assert (failed, warned) == (failing, len(found) - len(failing))


class Prices(Contract):
    """One row per price."""

    price: Annotated[dt.Decimal, 18, 4, True] = column("Price.", ge=Decimal("1.1051"))
    vat: Annotated[dt.Decimal, 6, 5, True] = column(
        "Tax.", isin=[Decimal("0.19005"), Decimal("0.07")]
    )


def test_decimals_are_checked_to_the_last_digit(engine: Workbench) -> None:
    rows = [
        {"price": Decimal("1.1051"), "vat": Decimal("0.07000")},
        {"price": Decimal("1.1050"), "vat": Decimal("0.19005")},
        {"price": Decimal("9.9999"), "vat": Decimal("0.19004")},
    ]
    query = audit(Prices, engine.table(rows, Prices), {})
    assert findings(query) == []
    [counts] = engine.rows(query)
    assert [rule for rule, broken in counts.items() if broken == 1] == [
        "price greater_than_or_equal_to(1.1051)",
        "vat isin([Decimal('0.19005'), Decimal('0.07')])",
    ]


@pytest.mark.parametrize("bound", ["1.10505", "100000000000000", "1e14"])
def test_bound_that_a_decimal_cannot_have_is_refused(bound: str) -> None:
    class Wrong(Contract):
        price: Annotated[dt.Decimal, 18, 4, True] = column("Price.", ge=Decimal(bound))

    with pytest.raises(PipelineError, match=r"'price': no decimal\(18, 4\) can be 1"):
        list(spec_of(Wrong).rules)
