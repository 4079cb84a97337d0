"""Contracts: a table's columns, types, units, key and rules in one place, and their audit.

A contract is a `pandera.ibis.DataFrameModel`. Pandera checks it with a query per rule; StreamPro
compiles it into one aggregate query, whatever the number of rules, and knows severities:

- `fail`: nothing is published;
- `quarantine`: the row moves to `<name>_rejected` with the rule's name as its reason;
- `warn`: the rows are counted and shown.

As in SQL, a rule that is null for a row is not broken by it.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.api.checks import Check

from streampro.errors import PipelineError

Severity = Literal["fail", "quarantine", "warn"]
Instant = Annotated[dt.Timestamp, "UTC", 6, True]
"""The one type of instants: microseconds, UTC."""

ROW_COUNT = "row count"

_BUILT_IN: Mapping[str, Callable[[ir.Column, dict[str, Any]], ir.BooleanValue]] = {
    "equal_to": lambda column, given: column == given["value"],
    "not_equal_to": lambda column, given: column != given["value"],
    "greater_than": lambda column, given: column > given["min_value"],
    "greater_than_or_equal_to": lambda column, given: column >= given["min_value"],
    "less_than": lambda column, given: column < given["max_value"],
    "less_than_or_equal_to": lambda column, given: column <= given["max_value"],
    "isin": lambda column, given: column.isin(given["allowed_values"]),
    "notin": lambda column, given: column.notin(given["forbidden_values"]),
}


@dataclass(frozen=True)
class Rule:
    """One thing that a row can break; `breaks(table)` is true for the rows that do."""

    name: str
    severity: Severity
    breaks: Callable[[ir.Table], ir.BooleanValue]


class Contract(pa.DataFrameModel):
    """Base of all contracts: columns, types, units, key and rules of one table, in one place.

    ```python
    import ibis.expr.datatypes as dt
    import ibis.expr.types as ir

    from streampro import Contract, Instant, column, rule


    class Orders(Contract):
        '''One row per order.'''

        order_id: str = column("Order.")
        ordered_ts: Instant = column("When it was placed.", unit="UTC", event_time=True)
        amount: dt.Int64 = column("Price.", unit="cents", nullable=True, ge=0)

        class Config:
            unique = ["order_id"]

        @rule("warn")
        def amount_is_usual(cls, orders: ir.Table) -> ir.BooleanValue:
            return orders.amount < 1_000_000
    ```

    The docstring says what a row is (the grain); `Config.unique` lists the columns of the key. The
    expression of a model must return exactly these columns, in this order. Types are `str`,
    `bool`, `Instant` and those of `ibis.expr.datatypes`.
    """

    class Config:
        strict = True
        ordered = True


class Rejected(Contract):
    """One row per rejected line or record. It has no key: a line may stand in a file twice."""

    reject_reason: str = pa.Field(description="Name of the first rule that the line breaks.")
    raw_line: str = pa.Field(
        description="The line as it stands in the file, values of secret fields masked; "
        "of a CSV record its fields with minimal RFC 4180 quoting."
    )
    source_file: str = pa.Field(description="Path of the file below the raw folder.")


def column(
    description: str,
    *,
    unit: str | None = None,
    nullable: bool = False,
    references: str | None = None,
    event_time: bool = False,
    severity: Severity = "fail",
    **checks: Any,
) -> Any:
    """Return the declaration of a column of a contract.

    Args:
        description: what a value means; what null means where it may be null.
        unit: unit of a number, such as `s` or `rows`.
        nullable: whether null is legal.
        references: `model.column` in which every value should exist; orphans are a warning.
        event_time: whether it says when a row happened, so that late rows can be told.
        severity: of the checks given here (null in a column that is not nullable always fails).
        checks: pandera's `eq, ne, gt, ge, lt, le, isin, notin`.
    """
    metadata = {
        "unit": unit,
        "references": references,
        "event_time": event_time,
        "severity": severity,
    }
    return pa.Field(
        description=description,
        nullable=nullable,
        metadata=metadata,
        raise_warning=severity == "warn",
        **checks,
    )


def rule(severity: Severity = "fail") -> Callable[[Callable[[Any, ir.Table], Any]], Any]:
    """Return a decorator that makes a rule of a contract's method.

    The method takes the class and the table and returns a boolean column that is true for the rows
    that keep the rule; its name is the rule's, in messages and as `reject_reason`. Where it is
    null, the rule is not broken.

    Args:
        severity: `fail`, `quarantine` or `warn`.
    """

    def declare(holds: Callable[[Any, ir.Table], Any]) -> Any:
        def check(cls: type, data: Any) -> Any:
            return holds(cls, data.table).fill_null(True)

        check.__name__, check.__doc__ = holds.__name__, holds.__doc__
        return pa.dataframe_check(
            raise_warning=severity == "warn",
            statistics={"severity": severity, "holds": holds},
        )(check)

    return declare


def schema_of(contract: type[Contract]) -> ibis.Schema:
    """Return column names, types and nullability as an Ibis schema."""
    columns = contract.to_schema().columns
    return ibis.schema(
        {name: spec.dtype.type.copy(nullable=spec.nullable) for name, spec in columns.items()}
    )


def key_of(contract: type[Contract]) -> tuple[str, ...]:
    """Return the columns of the key, empty where there is none."""
    unique = contract.to_schema().unique or ()
    return (unique,) if isinstance(unique, str) else tuple(unique)


def event_time_of(contract: type[Contract]) -> str | None:
    """Return the column that says when a row happened, None if the contract names none."""
    columns = contract.to_schema().columns.items()
    return next((name for name, spec in columns if (spec.metadata or {}).get("event_time")), None)


def references_of(contract: type[Contract]) -> dict[str, tuple[str, str]]:
    """Return for each referencing column the model and column it references."""
    found = {}
    for name, spec in contract.to_schema().columns.items():
        if target := (spec.metadata or {}).get("references"):
            model, _, key = target.partition(".")
            found[name] = (model, key)
    return found


def rules_of(contract: type[Contract]) -> list[Rule]:
    """Return every row rule: not-null columns, checks on columns, then rules over rows.

    Raises `PipelineError` for a pandera check that StreamPro does not compile.
    """
    schema = contract.to_schema()
    rules = []
    for name, spec in schema.columns.items():
        if not spec.nullable:
            rules.append(Rule(f"{name} is null", "fail", _is_null(name)))
        severity = (spec.metadata or {}).get("severity", "fail")
        rules += [
            Rule(f"{name} {check.error}", severity, _breaks_check(name, spec.dtype.type, check))
            for check in spec.checks
        ]
    for check in schema.checks:
        given = check.statistics or {}
        if "holds" not in given:
            raise PipelineError(
                f"contract {schema.name}: rule {check.name!r} is not declared by @rule."
            )
        rules.append(Rule(check.name, given["severity"], _breaks_row(contract, given["holds"])))
    return rules


def with_reasons(contract: type[Contract], rows: ir.Table) -> ir.Table:
    """Give rows that break a `quarantine` rule its name as `reject_reason`, if they have none."""
    broken = [
        (rule.breaks(rows), rule.name)
        for rule in rules_of(contract)
        if rule.severity == "quarantine"
    ]
    if not broken:
        return rows
    return rows.mutate(reject_reason=ibis.coalesce(rows.reject_reason, ibis.cases(*broken)))


def audit(
    contract: type[Contract],
    rows: ir.Table,
    inputs: Mapping[str, ir.Table],
    *,
    is_distinct: bool = False,
) -> ir.Table:
    """Return the whole contract as one aggregate: a row with `row count` and a count per rule.

    The count of the key is the number of rows beyond the first with the same key; of a
    reference, the number of rows whose value is not in the referenced column of `inputs`
    (null counts as no reference; a referenced model that is not an input is not looked at).
    `is_distinct` says that `rows` were grouped by all their columns: a key of all columns then
    holds by construction, and counting it would cost as much as grouping again.
    """
    counts = {rule.name: rule.breaks(rows).sum() for rule in rules_of(contract)}
    key = key_of(contract)
    if key and not (is_distinct and set(key) == set(schema_of(contract))):
        distinct = rows.select(*key).distinct().count().as_scalar()
        counts[key_rule(key)] = rows.count() - distinct
    for name, (model, referenced) in references_of(contract).items():
        if model in inputs:
            parents = inputs[model].select(**{name: inputs[model][referenced]})
            children = rows.filter(rows[name].notnull())
            counts[reference_rule(name, model, referenced)] = (
                children.anti_join(parents, name).count().as_scalar()
            )
    zero = ibis.literal(0, "int64")
    broken = {name: ibis.coalesce(count, zero) for name, count in counts.items()}
    return rows.aggregate(**{ROW_COUNT: rows.count()}, **broken)


def severity_of(contract: type[Contract], rule_name: str) -> Severity:
    """Return the severity of a count of `audit`: references warn, the key fails."""
    declared = {rule.name: rule.severity for rule in rules_of(contract)}
    return declared.get(rule_name, "warn" if rule_name.startswith("orphan ") else "fail")


def breaking_rows(contract: type[Contract], rows: ir.Table, rule_names: list[str]) -> ir.Table:
    """Return the rows that break any of the named rules, the repeated key among them."""
    broken = [rule.breaks(rows) for rule in rules_of(contract) if rule.name in rule_names]
    key = key_of(contract)
    if key and key_rule(key) in rule_names:
        broken.append(rows.count().over(ibis.window(group_by=list(key))) > 1)
    return rows.filter(ibis.or_(*broken))


def key_rule(key: tuple[str, ...]) -> str:
    """Return the name of the rule that a key is not repeated."""
    return f"key ({', '.join(key)}) is repeated"


def reference_rule(name: str, model: str, referenced: str) -> str:
    """Return the name of the rule that a value exists in another model."""
    return f"orphan {name}: not in {model}.{referenced}"


def _is_null(name: str) -> Callable[[ir.Table], ir.BooleanValue]:
    return lambda rows: rows[name].isnull()


def _breaks_check(
    name: str, kind: dt.DataType, check: Check
) -> Callable[[ir.Table], ir.BooleanValue]:
    given = check.statistics or {}
    if check.name is None or check.name not in _BUILT_IN:
        raise PipelineError(
            f"column {name!r}: check {check.name!r} is not one of {', '.join(_BUILT_IN)}; "
            "write it as a @rule."
        )
    holds = _BUILT_IN[check.name]
    given = {key: _literals(name, kind, each) for key, each in given.items()}
    return lambda rows: (~holds(rows[name], given)).fill_null(False)


def _literals(name: str, kind: dt.DataType, given: Any) -> Any:
    """Return what a check compares a column with; decimals are given its type, because engines cut
    those without a type, and lists of several, differently.
    """
    if isinstance(given, Set | list | tuple):
        return [_literals(name, kind, each) for each in sorted(given)]
    if not (isinstance(given, Decimal) and kind.is_decimal()):
        return given
    behind_point = -int(given.as_tuple().exponent)
    if behind_point > kind.scale or given.adjusted() >= kind.precision - kind.scale:
        raise PipelineError(f"column {name!r}: no {kind} can be {given}, to which it is compared.")
    return ibis.literal(given, kind)


def _breaks_row(
    contract: type[Contract], holds: Callable[[Any, ir.Table], ir.BooleanValue]
) -> Callable[[ir.Table], ir.BooleanValue]:
    return lambda rows: (~holds(contract, rows)).fill_null(False)
