"""The page What you may write: each operation and method of Ibis, and whether models may use it."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.expressions.portability.allowed import ALLOWED, RELATIONS, Argument, Entry
from streampro.expressions.portability.refused import REFUSED

INTRODUCTION = """A model may use an operation if it has been proven equal on all engines, row for \
row and bit for bit, for the types of its arguments: `streampro check` and every run refuse the \
rest. Some are equal because StreamPro writes other SQL than Ibis would: the table says which. \
The list is also what the fuzzer draws from (`make fuzz`).

Types: *integer* is any signed integer, *float* is float64, *instant* is `timestamp('UTC', 6)`, \
*number* an integer, float or decimal, *plain* all but lists, structs, maps and intervals, *list* \
one of plain values, *nested* a list of lists or structs, *map* one whose keys are texts or \
integers. A *literal* stands in the code; `?` may be left out, `*` stands for any number of them.

A map has its entries in the order of its keys, whatever order they were given in.

Aggregates and windows may stand in columns and filters, not in each other, nor in keys of \
`group_by` and `order_by` or conditions of joins; an `unnest()` may only be a column, one in a \
select. `mutate()` makes a column that may stand anywhere. \
An aggregate in a column or filter is over the rows of the table that it stands in, also where it \
was written of a table below: Ibis takes the one for the other. `as_scalar()` asks for all rows of \
the table that it was written of: `some.mutate(total=all_rows.x.sum().as_scalar())`. A subquery \
whose value looks at the row outside of it is refused: join an aggregate.

To propose another: add a line to `streampro/expressions/portability/allowed.py`, run `make fuzz`, \
and open a pull request with what it says.
"""
SHOWN = {
    "Any value": (ir.Value, ir.Column),
    "Numbers": (
        *(ir.NumericValue, ir.NumericColumn, ir.FloatingValue),
        *(ir.IntegerValue, ir.IntegerColumn),
    ),
    "Booleans": (ir.BooleanValue, ir.BooleanColumn),
    "Texts": (ir.StringValue,),
    "Dates and instants": (ir.DateValue, ir.TimestampValue, ir.IntervalValue),
    "Lists, structs, maps": (ir.ArrayValue, ir.StructValue, ir.MapValue),
    "JSON": (ir.JSONValue,),
    "Tables": (ir.Table,),
}
"""Classes of Ibis whose methods the page answers for."""
RUNS = {
    *("alias", "as_scalar", "as_table", "bind", "cache", "columns", "compile", "equals", "execute"),
    *("get_backend", "get_name", "has_name", "head", "info", "name", "op", "pipe", "preview"),
    *("fields", "names", "schema", "tee", "types", "to_sql", "type", "unbind", "visualize"),
}
"""Methods that compute, show or name and are no operations."""

_GROUPS = {
    ("boolean", "integer", "float", "decimal", "text", "date", "instant"): "plain",
    ("integer", "float", "decimal"): "number",
}
"""Families of types by the name that stands for all of them, the largest first."""
_MOST_NAMED = 9


def what_you_may_write() -> str:
    """Return the page: operations with their types, what is refused, and every method."""
    parts = [INTRODUCTION, "## Operations\n", "| operation | takes | engines agree because |"]
    parts.append("|---|---|---|")
    parts += [_row(operation.__name__, entries) for operation, entries in _sorted_entries()]
    parts += ["\n## Refused\n", "| operation | why | instead |", "|---|---|---|"]
    for rule in REFUSED:
        names = ", ".join(f"`{each.__name__}`" for each in rule.operations)
        parts.append(f"| {names} | {_cell(rule.why)} | {_cell(rule.instead)} |")
    for title, classes in SHOWN.items():
        parts += [f"\n## {title}: may I use ...\n", "| method | answer |", "|---|---|"]
        parts += [
            f"| `{name}` | {_cell(answer)} |" for name, answer in sorted({*_methods(classes)})
        ]
    return "\n".join(parts)


def _sorted_entries() -> list[tuple[type, tuple[Entry, ...]]]:
    return sorted(ALLOWED.items(), key=lambda item: item[0].__name__)


def _row(name: str, entries: tuple[Entry, ...]) -> str:
    takes = dict.fromkeys(_signature(entry) for entry in entries)
    why = dict.fromkeys(entry.rewritten or "they do" for entry in entries)
    return f"| `{name}` | {_cell('; '.join(takes))} | {_cell('; '.join(why))} |"


def _signature(entry: Entry) -> str:
    taken = ", ".join(map(_argument, entry.arguments))
    return f"{taken} to {_named(entry.result)}" if entry.result else taken or "-"


def _argument(argument: Argument) -> str:
    literal = "literal " if argument.is_literal else ""
    return f"{literal}{_named(argument.families)}{argument.times}"


def _named(families: tuple[str, ...]) -> str:
    named = [each for each in families if each not in ("null", "other")]
    if len(named) > _MOST_NAMED:
        return "any" if "interval" in named else "any but intervals"
    for group, called in _GROUPS.items():
        if {*group} <= {*named}:
            named = [called, *(each for each in named if each not in group)]
    return " or ".join(named) or "null"


def _methods(classes: tuple[type, ...]) -> Iterator[tuple[str, str]]:
    for each in classes:
        for name, method in vars(each).items():
            method = getattr(method, "fget", method)
            is_public = not name.startswith("_") and inspect.isfunction(method)
            if is_public and name not in RUNS and not name.startswith("to_"):
                yield name, _answer(method)


def _answer(method: Any) -> str:
    found = re.findall(r"\bops\.(\w+)", inspect.getsource(method))
    kinds = [getattr(ops, name) for name in dict.fromkeys(found) if hasattr(ops, name)]
    made = [kind for kind in kinds if _is_operation(kind)]
    return "; ".join(dict.fromkeys(map(_verdict, made))) or "as what it makes"


def _is_operation(kind: Any) -> bool:
    is_node = isinstance(kind, type) and issubclass(kind, ops.Value | ops.Relation)
    return is_node and kind not in (ops.Value, ops.Relation, ops.Field, ops.Literal, ops.Cast)


def _verdict(kind: type) -> str:
    of_all = [rule for rule in REFUSED if ops.Value in rule.operations]
    rules = [r for r in REFUSED if issubclass(kind, r.operations) and r not in of_all]
    for rule in rules:
        if rule.is_always:
            return f"no: {rule.why}. Instead: {rule.instead}"
    if kind not in ALLOWED and not issubclass(kind, RELATIONS):
        return f"not yet proven (`{kind.__name__}`)"
    but = [f"{rule.why} (instead: {rule.instead})" for rule in rules]
    return "yes" + (f", but: {'; '.join(but)}" if but else "")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
