"""The audit of a table: its whole contract as one aggregate query, whatever the number of rules."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from streampro.expressions.conditions import is_rowwise
from streampro.modeling.contract import Contract, Severity
from streampro.modeling.spec import spec_of
from streampro.names import named, ours

ROW_COUNT = "row count"


def with_reasons(contract: type[Contract], rows: ir.Table) -> ir.Table:
    """Give rows that break a `quarantine` rule its name as `reject_reason`, if they have none."""
    broken = [
        (rule.breaks(rows), rule.name)
        for rule in spec_of(contract).rules
        if rule.severity == "quarantine"
    ]
    if not broken:
        return rows
    return rows.mutate(reject_reason=ibis.coalesce(rows.reject_reason, ibis.cases(*broken)))


def with_orphans(
    contract: type[Contract], rows: ir.Table, inputs: Mapping[str, ir.Table]
) -> ir.Table:
    """Give rows that refer to nothing the name of the rule as `reject_reason`, if they have none
    and the reference is of severity `quarantine`.
    """
    broken = [
        (is_orphan, rule)
        for rule, (name, is_orphan) in _orphans(contract, rows, inputs).items()
        if spec_of(contract).columns[name].orphans == "quarantine"
    ]
    if not broken:
        return rows
    return rows.mutate(reject_reason=ibis.coalesce(rows["reject_reason"], ibis.cases(*broken)))


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
    spec = spec_of(contract)
    broken = {rule.name: rule.breaks(rows) for rule in spec.rules}
    marks = {
        ours(number): breaks
        for number, breaks in enumerate(broken.values())
        if not is_rowwise(breaks.op())
    }
    rows = rows.mutate(named(marks)) if marks else rows  # no aggregate is taken of a window
    counts = {
        name: (rows[ours(number)] if ours(number) in marks else breaks).sum()
        for number, (name, breaks) in enumerate(broken.items())
    }
    key = spec.key
    if key and not (is_distinct and set(key) == set(spec.schema)):
        distinct = rows.select(*key).distinct().count().as_scalar()
        counts[key_rule(key)] = rows.count() - distinct
    for name, (model, referenced) in spec.references.items():
        if model in inputs:
            parents = inputs[model].select(inputs[model][referenced].name(name))
            children = rows.filter(rows[name].notnull())
            counts[reference_rule(name, model, referenced)] = (
                children.anti_join(parents, name).count().as_scalar()
            )
    zero = ibis.literal(0, "int64")
    known = {name: ibis.coalesce(count, zero) for name, count in counts.items()}
    return rows.aggregate(named({ROW_COUNT: rows.count()} | known))


def severity_of(contract: type[Contract], rule_name: str) -> Severity:
    """Return the severity of a count of `audit`; that of the key is `fail`."""
    spec = spec_of(contract)
    declared = {rule.name: rule.severity for rule in spec.rules}
    declared |= {
        reference_rule(name, *where): spec.columns[name].orphans
        for name, where in spec.references.items()
    }
    return declared.get(rule_name, "fail")


def breaking_rows(
    contract: type[Contract],
    rows: ir.Table,
    rule_names: list[str],
    inputs: Mapping[str, ir.Table] | None = None,
) -> ir.Table:
    """Return the rows that break any of the named rules, the repeated key among them, and
    references into `inputs`.
    """
    broken = [rule.breaks(rows) for rule in spec_of(contract).rules if rule.name in rule_names]
    key = spec_of(contract).key
    if key and key_rule(key) in rule_names:
        broken.append(rows.count().over(ibis.window(group_by=list(key))) > 1)
    orphans = _orphans(contract, rows, inputs or {})
    broken += [is_orphan for rule, (_, is_orphan) in orphans.items() if rule in rule_names]
    return rows.filter(ibis.or_(*broken))


def key_rule(key: tuple[str, ...]) -> str:
    """Return the name of the rule that a key is not repeated."""
    return f"key ({', '.join(key)}) is repeated"


def reference_rule(name: str, model: str, referenced: str) -> str:
    """Return the name of the rule that a value exists in another model."""
    return f"orphan {name}: not in {model}.{referenced}"


def _orphans(
    contract: type[Contract], rows: ir.Table, inputs: Mapping[str, ir.Table]
) -> dict[str, tuple[str, ir.BooleanValue]]:
    """Return by rule which column refers to one of the inputs, and which of its values is not
    there.
    """
    return {
        reference_rule(name, model, key): (
            name,
            rows[name].notnull() & ~rows[name].isin(inputs[model][key]),
        )
        for name, (model, key) in spec_of(contract).references.items()
        if model in inputs
    }
