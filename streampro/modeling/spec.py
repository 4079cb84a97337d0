"""What a contract says of its table, computed once: columns, key, rules, references, event time."""

import sys
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro import portable
from streampro.arguments import declares
from streampro.errors import PipelineError, blamed, did_you_mean
from streampro.modeling.contract import Check, Contract, Severity
from streampro.names import named, refused_column

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


@dataclass(frozen=True)
class ColumnSpec:
    """A column as its contract declares it; `metadata` is what `column` was told of it."""

    type: dt.DataType
    nullable: bool
    description: str | None
    metadata: Mapping[str, Any] | None

    @property
    def unit(self) -> str | None:
        """Unit of a number, None where there is none."""
        return (self.metadata or {}).get("unit")

    @property
    def orphans(self) -> Severity:
        """Severity where a value is not in the referenced column."""
        found: Severity = (self.metadata or {}).get("orphans", "warn")
        return found

    @property
    def references(self) -> tuple[str, str] | None:
        """The model and its column in which every value should exist."""
        model, _, key = ((self.metadata or {}).get("references") or "").partition(".")
        return (model, key) if model else None


@dataclass(frozen=True)
class TableSpec:
    """All that a contract says of a table; made by `spec_of`.

    Attributes:
        contract: where it is declared.
        grain: what a row is, None where the contract has no docstring of its own.
        columns: by name, in their order.
        key: columns of the key, empty where there is none.
    """

    contract: type[Contract]
    grain: str | None
    columns: Mapping[str, ColumnSpec]
    key: tuple[str, ...]

    @cached_property
    def schema(self) -> ibis.Schema:
        """Column names, types and nullability."""
        kinds = {name: c.type.copy(nullable=c.nullable) for name, c in self.columns.items()}
        return ibis.schema(kinds)

    @cached_property
    def event_time(self) -> str | None:
        """The column that says when a row happened, None if the contract names none."""
        columns = self.columns.items()
        return next((name for name, c in columns if (c.metadata or {}).get("event_time")), None)

    @cached_property
    def bounded(self) -> frozenset[str]:
        """Columns whose least and greatest values statistics may hold: those not personal."""
        columns = self.columns.items()
        return frozenset(name for name, c in columns if not (c.metadata or {}).get("personal"))

    @cached_property
    def references(self) -> dict[str, tuple[str, str]]:
        """For each referencing column the model and column it references."""
        return {name: c.references for name, c in self.columns.items() if c.references}

    @cached_property
    def rules(self) -> list[Rule]:
        """Every row rule: not-null columns, checks on columns, then rules over rows.

        Raises `PipelineError` for a pandera check that StreamPro does not compile.
        """
        return _rules(self.contract)


@cache
def spec_of(contract: type[Contract]) -> TableSpec:
    """Return what a contract says of its table.

    Raises `PipelineError` for a column whose type engines do not store alike, and for a key of
    lists, structs or maps, or of what is no column; for a name that no column may have, and for
    several event times.
    """
    schema = contract.to_schema()
    unique = schema.unique or ()
    key = (unique,) if isinstance(unique, str) else tuple(unique)
    columns = {
        name: ColumnSpec(each.dtype.type, each.nullable, each.description, each.metadata)
        for name, each in schema.columns.items()
    }
    if not columns:
        raise PipelineError(f"contract {contract.__name__} has no column.")
    for name in columns:
        if why := refused_column(name):
            raise PipelineError(f"contract {contract.__name__}: column {name!r}: {why}.")
    times = [n for n, each in columns.items() if (each.metadata or {}).get("event_time")]
    if len(times) > 1 or any(not _is_a_time(columns[name].type) for name in times):
        raise PipelineError(
            f"contract {contract.__name__}: event_time is said of {', '.join(times)}, but must be "
            "of one column, an instant or a date."
        )
    for name in key:
        if name not in columns:
            raise PipelineError(
                f"contract {contract.__name__}: Config.unique names {name!r}, which is no column "
                f"of it. {did_you_mean(name, [*columns])}".strip()
            )
        if columns[name].type.is_nested():
            raise PipelineError(
                f"contract {contract.__name__}: column {name!r} of the key is "
                f"{columns[name].type}. A key has columns without parts: write one with what tells "
                "the rows apart, such as a field of it or its text."
            )
    return TableSpec(contract, schema.description, columns, key)


def _is_a_time(kind: dt.DataType) -> bool:
    return bool(kind.is_timestamp() or kind.is_date())


def _rules(contract: type[Contract]) -> list[Rule]:
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
        breaks = _breaks_row(contract, check.name, given["holds"])
        rules.append(Rule(check.name, given["severity"], breaks))
    return rules


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
    if not any(is_of(kind) and is_one(given) for is_of, is_one in _COMPARED):
        hint = next((said for is_of, said in _MEANT if is_of(kind)), "")
        raise PipelineError(f"column {name!r}: no {kind} compares to {given!r}. {hint}".strip())
    if not _can_be(kind, given):
        raise PipelineError(f"column {name!r}: no {kind} can be {given}, to which it is compared.")
    is_exact = isinstance(given, Decimal) and kind.is_decimal()
    return ibis.literal(given, kind) if is_exact else given


def _can_be(kind: dt.DataType, given: Any) -> bool:
    """Tell whether a number is one of the type: what none can be is no bound either."""
    if isinstance(given, Decimal) and kind.is_decimal():
        behind_point = -int(given.as_tuple().exponent)
        return bool(behind_point <= kind.scale and given.adjusted() < kind.precision - kind.scale)
    if kind.is_integer():
        low, high = kind.bounds
        return bool(low <= given <= high and given == int(given))
    return not kind.is_floating() or isinstance(given, float) or abs(given) <= sys.float_info.max


def _breaks_row(
    contract: type[Contract], name: str, holds: Callable[[Any, ir.Table], ir.BooleanValue]
) -> Callable[[ir.Table], ir.BooleanValue]:
    def breaks(rows: ir.Table) -> ir.BooleanValue:
        with blamed(f"rule {name} of contract {contract.__name__}", holds):
            kept = holds(contract, rows)
            if not isinstance(kept, ir.BooleanColumn):
                kind = type(kept).__name__
                raise PipelineError(f"a rule returns a boolean column, this one a {kind}.")
        return (~kept).fill_null(False)

    return breaks


@declares
def typed(table: ir.Table, contract: type[Contract]) -> ir.Table:
    """Return the columns of a contract, parsed from the text columns of a table of the same names.

    Text by `portable.strip`; integers, floats, decimals, booleans, dates and instants by the word
    of `portable` for them. What a word does not read is null, and so is an integer that its type
    does not hold. A column that has its type already stays as it is; other columns of the table
    are left out. Raises `PipelineError` for a column that is not there and for one that no word
    makes.
    """
    if not (isinstance(contract, type) and issubclass(contract, Contract)):
        raise PipelineError(
            f"typed(): contract is {contract!r}, but must be a class derived from Contract."
        )
    columns = spec_of(contract).columns
    parsed = {name: _parsed(table, name, each.type) for name, each in columns.items()}
    return table.select(named(parsed))


def _parsed(table: ir.Table, name: str, kind: dt.DataType) -> ir.Value:
    if name not in table.columns:
        hint = did_you_mean(name, table.columns)
        raise PipelineError(f"typed: the table has no column {name}. {hint}Select it before.")
    column = table[name]
    if not kind.is_string() and column.type().copy(nullable=True) == kind.copy(nullable=True):
        return column
    word = next((word for is_of, word in _WORDS if is_of(kind)), None)
    if word is None or not column.type().is_string():
        raise PipelineError(
            f"typed: {name} is {column.type()} and no text that becomes {kind}. "
            "Leave it out of typed() and say how it is made."
        )
    return word(column, kind)


def _integer(text: Any, kind: Any) -> ir.Value:
    number = portable.to_integer(text)
    low, high = kind.bounds
    return ibis.cases((number.between(low, high), number)).cast(kind)


def _is_one(*types: type) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, types)


_COMPARED: tuple[tuple[Callable[[dt.DataType], bool], Callable[[Any], bool]], ...] = (
    (lambda kind: kind.is_string(), _is_one(str)),
    (lambda kind: kind.is_boolean(), _is_one(bool)),
    (lambda kind: kind.is_numeric() and not kind.is_boolean(), _is_one(int, float, Decimal)),
    (lambda kind: kind.is_date(), lambda given: type(given) is date),
    (
        lambda kind: kind.is_timestamp(),
        lambda given: isinstance(given, datetime) and given.tzinfo is not None,
    ),
    (lambda kind: kind.is_binary(), _is_one(bytes)),
)
"""Which types of columns compare with which values."""
_WORDS: tuple[tuple[Callable[[dt.DataType], bool], Callable[[Any, Any], ir.Value]], ...] = (
    (lambda kind: kind.is_string(), lambda text, _: portable.strip(text)),
    (lambda kind: kind.is_boolean(), lambda text, _: portable.to_boolean(text)),
    (lambda kind: kind.is_signed_integer(), _integer),
    (lambda kind: kind.is_float64(), lambda text, _: portable.to_float(text)),
    (
        lambda kind: kind.is_decimal(),
        lambda text, kind: portable.to_decimal(text, kind.precision, kind.scale),
    ),
    (lambda kind: kind.is_date(), lambda text, _: portable.to_date(text)),
    (lambda kind: kind.is_timestamp(), lambda text, _: portable.to_utc(text)),
)
"""Which types are read from text, and by which word."""
_MEANT: tuple[tuple[Callable[[dt.DataType], bool], str], ...] = (
    (lambda kind: kind.is_date(), "Write a datetime.date."),
    (lambda kind: kind.is_timestamp(), "Write a datetime.datetime with tzinfo=UTC."),
)
"""What to compare a column with where it is not plain from its type."""
