"""Contracts: a table's columns, types, units, key and rules in one place, and their audit.

A contract is a `pandera.ibis.DataFrameModel`. Pandera checks it with a query per rule; StreamPro
compiles it into one aggregate query, whatever the number of rules, and knows severities:

- `fail`: nothing is published;
- `quarantine`: the row moves to `<name>_rejected` with the rule's name as its reason;
- `warn`: the rows are counted and shown.

As in SQL, a rule that is null for a row is not broken by it.
"""

import functools
import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, Literal, get_type_hints

import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from streampro.arguments import declares
from streampro.environment import kept_environment
from streampro.errors import PipelineError, did_you_mean
from streampro.expressions.types import refusal, type_of
from streampro.modeling.contract.body import (
    CONFIG,
    WRAPPED,
    Declared,
    RuleMethod,
    is_column,
    refuse_body,
    rules_of,
)
from streampro.modeling.contract.bounds import refuse_checks
from streampro.names import repeated

with kept_environment():  # pandera has Spark listen on 127.0.0.1 and PyArrow pass over time zones
    import pandera.ibis as pa
    from pandera.api.checks import Check as Check
    from pandera.api.dataframe.model_components import CheckInfo
    from pandera.dtypes import immutable
    from pandera.engines import ibis_engine
    from pandera.typing import AnnotationInfo

Severity = Literal["fail", "quarantine", "warn"]
Instant = Annotated[dt.Timestamp, "UTC", 6, True]
"""The one type of instants: microseconds, UTC."""
_OPTIONS = ("unique", "description")
_FIXED = {"strict": True, "ordered": True}
"""Options of `class Config`, and those that no contract has otherwise."""


class Contract(pa.DataFrameModel, metaclass=Declared):
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
    `bool`, `Instant` and those of `ibis.expr.datatypes`, of which some have parts:
    `Annotated[dt.Decimal, 18, 2]`, `list[str]`, `dict[str, dt.Int64]`,
    `Annotated[dt.Struct, {"x": dt.Int64, "y": str}]`. A type that engines do not store alike is
    refused.
    """

    class Config:
        strict = True
        ordered = True

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse what nothing would apply, and options that no contract has, which pandera passes
        over or takes for checks.
        """
        refuse_body(cls, Contract)
        known = {each for base in cls.__mro__[1:] for each in getattr(base, CONFIG, object).__mro__}
        own = cls.__dict__.get(CONFIG, object)
        bases = [each for each in reversed(own.__mro__) if each not in known]
        given = {name: value for each in bases for name, value in vars(each).items()}
        config = {name: value for name, value in given.items() if not name.startswith("_")}
        cls._refuse_options(config)
        if CONFIG in cls.__dict__:  # pandera writes into it, and reads no base of it
            setattr(cls, CONFIG, type(CONFIG, (own,), config))
        super().__init_subclass__(**options)  # type: ignore[no-untyped-call]  # pandera's has no types

    @classmethod
    def _refuse_options(cls, given: Mapping[str, Any]) -> None:
        start = f"contract {cls.__name__}: class Config has"
        for name, value in given.items():
            if name not in (*_OPTIONS, *_FIXED):
                raise PipelineError(
                    f"{start} {name!r}, which is no option. {did_you_mean(name, _OPTIONS)}"
                    f"Options: {', '.join(_OPTIONS)}."
                )
            if value != _FIXED.get(name, value):
                raise PipelineError(f"{start} {name}={value!r}, but every contract is {name}.")
        unique = given.get("unique") or ()
        names = [unique] if isinstance(unique, str) else unique
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise PipelineError(f"{start} unique={unique!r}, but must have a list of columns.")
        if twice := repeated(names):
            raise PipelineError(f"{start} unique={unique!r}, in which {twice!r} stands twice.")

    @classmethod
    def _collect_fields(cls) -> Any:
        """Let pandera know of types that it has no class for, and of columns whose names begin
        with an underscore, which it passes over.
        """
        hints = get_type_hints(cls, include_extras=True)
        super()._collect_fields()
        attributes: dict[str, Any] = {hint: cls._get_model_attrs().get(hint) for hint in hints}
        columns = {n: each for n, each in attributes.items() if is_column(each)}
        if twice := repeated(each.name for each in columns.values()):
            same = ", ".join(n for n, each in columns.items() if each.name == twice)
            raise PipelineError(
                f"contract {cls.__name__}: the attributes {same} are one column, {twice!r}. Give "
                "one another alias."
            )
        infos = {each.name: (AnnotationInfo(hints[n]), each) for n, each in columns.items()}
        return {name: (_typed(cls, name, info), field) for name, (info, field) in infos.items()}

    @classmethod
    def _collect_check_infos(cls, key: str) -> list[CheckInfo]:
        """Let pandera know of rules by the names of their attributes: those of their functions are
        the same for all that one function makes, and for lambdas.
        """
        return [
            CheckInfo(info.check_fn, **(info.check_kwargs | {"name": name}))
            for name, info in rules_of(cls, key).items()
        ]


class Rejected(Contract):
    """One row per rejected line or record. It has no key: a line may stand in a file twice."""

    reject_reason: str = pa.Field(description="Name of the first rule that the line breaks.")
    raw_line: str = pa.Field(
        metadata={"personal": True},
        description="The line as it stands in the file, values of secret fields masked; "
        "of a CSV record its fields with minimal RFC 4180 quoting.",
    )
    source_file: str = pa.Field(description="Path of the file below the raw folder.")


@declares
def column(
    description: str,
    *,
    alias: str | None = None,
    unit: str | None = None,
    nullable: bool = False,
    references: str | None = None,
    orphans: Severity = "warn",
    event_time: bool = False,
    personal: bool = False,
    severity: Severity | None = None,
    eq: Any = None,
    ne: Any = None,
    gt: Any = None,
    ge: Any = None,
    lt: Any = None,
    le: Any = None,
    isin: Collection[Any] | None = None,
    notin: Collection[Any] | None = None,
) -> Any:
    """Return the declaration of a column of a contract.

    Args:
        description: what a value means; what null means where it may be null.
        alias: the column's name, where it cannot be that of an attribute: `class`, `a-b`.
        unit: unit of a number, such as `s` or `rows`.
        nullable: whether null is legal.
        references: `model.column` in which every value should exist.
        orphans: severity where a value is not there; `quarantine` in quarantine models.
        event_time: whether it says when a row happened, so that late rows can be told.
        personal: whether it tells of a person: then no statistic of a Delta log holds a value of
            it, and readers cannot pass over files by it.
        severity: of the checks given here, `fail` where not said (null in a column that is not
            nullable always fails).
        eq: what every value is.
        ne: what no value is.
        gt: what every value is above.
        ge: the smallest value.
        lt: what every value is below.
        le: the largest value.
        isin: all values there are.
        notin: what no value is one of.
    """
    for name, text in {"description": description, "alias": alias, "unit": unit}.items():
        if text is not None and not text.strip():
            raise PipelineError(f"column(): {name} is {text!r}, which says nothing.")
    bounds = {"eq": eq, "ne": ne, "gt": gt, "ge": ge, "lt": lt, "le": le}
    checks = bounds | {"isin": isin, "notin": notin}
    given = {name: each for name, each in checks.items() if each is not None}
    refuse_checks(given)
    if severity and not given:
        meant = f" Write orphans={severity!r}." if references else ""
        raise PipelineError(
            f"column(): severity={severity!r} says nothing without a check, such as ge=0.{meant}"
        )
    if references is not None and not re.fullmatch(r"[^.]+\.[^.].*", references):
        raise PipelineError(
            f"column(): references is {references!r}, but must be a model and its column: "
            "'products.product'."
        )
    if orphans != "warn" and references is None:
        raise PipelineError(f"column(): orphans={orphans!r} says nothing without references=...")
    metadata = {
        "unit": unit,
        "references": references,
        "event_time": event_time,
        "severity": severity or "fail",
        **({"personal": True} if personal else {}),
        **({"orphans": orphans} if orphans != "warn" else {}),
    }
    return pa.Field(
        alias=alias,
        description=description,
        nullable=nullable,
        metadata=metadata,
        raise_warning=severity == "warn",
        **checks,
    )


def _typed(contract: type, name: str, info: AnnotationInfo) -> AnnotationInfo:
    """Return an annotation of which pandera asks no more: a class of its own for the type."""
    try:
        kind = type_of(info.arg if info.is_field else info.raw_annotation)
        why = refusal(kind)
    except TypeError as error:
        why = f"{error}: write one such as str, dt.Int64 or list[str]"
    if why:
        raise PipelineError(f"contract {contract.__name__}: column {name!r}: {why}.")
    typed = AnnotationInfo(
        immutable(type(str(kind), (ibis_engine.DataType,), {"type": kind.copy(nullable=True)}))
    )
    typed.is_optional_field = info.is_optional_field
    return typed


@declares
def rule(severity: Severity = "fail") -> Callable[[Callable[[Any, ir.Table], Any]], Any]:
    """Return a decorator that makes a rule of a contract's method.

    The method takes the class and the table and returns a boolean column that is true for the rows
    that keep the rule; the name under which it stands in the contract is the rule's, in messages
    and as `reject_reason`. Where it is null, the rule is not broken.

    Args:
        severity: `fail`, `quarantine` or `warn`.
    """

    def declare(holds: Callable[[Any, ir.Table], Any]) -> Any:
        if not inspect.isfunction(holds):
            kind = type(holds).__name__
            given = f"a {kind}" if isinstance(holds, WRAPPED) else repr(holds)
            raise PipelineError(
                f"@rule stands above {given}, which is no function. Write it above "
                "`def name(cls, rows):` and nothing else."
            )

        @functools.wraps(holds)
        def check(cls: type, data: Any) -> Any:
            return holds(cls, data.table).fill_null(True)

        return pa.dataframe_check(
            raise_warning=severity == "warn",
            statistics={"severity": severity, "holds": holds},
        )(RuleMethod(check))

    return declare
