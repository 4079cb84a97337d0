"""What is wrong with a model, told from its expression and its contract, without data."""

import re
from collections.abc import Iterable, Iterator

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.errors import did_you_mean
from streampro.expressions.decimals import exact
from streampro.expressions.keys import Declared, Lines
from streampro.expressions.locality import correlated, operations_across_rows
from streampro.expressions.nulls import origin_of_null
from streampro.expressions.order import ties
from streampro.expressions.portability import findings
from streampro.expressions.types import nullable
from streampro.modeling.audit import audit
from streampro.modeling.model import UNREADABLE, Model
from streampro.modeling.quarantine import fates
from streampro.names import is_ours, twins


def differences(built: Model, expression: ir.Table) -> list[str]:
    """Compare the columns of an expression with those of its contract, in sentences."""
    actual = exact(expression.drop(*({UNREADABLE} & {*expression.columns}))).schema()
    expected = built.schema
    found = []
    if missing := [name for name in expected if name not in actual]:
        found.append(f"{built.table} lacks {', '.join(missing)}.")
    if extra := [name for name in actual if name not in expected]:
        found.append(f"{built.table} has {', '.join(extra)}, which its contract does not know.")
    if not missing and not extra and tuple(actual) != tuple(expected):
        found.append(
            f"{built.table} has its columns in the order {', '.join(actual)}; its contract says "
            f"{', '.join(expected)}."
        )
    for name in (name for name in expected if name in actual):
        returned, declared = (nullable(schema[name]) for schema in (actual, expected))
        must_exist = not expected[name].nullable and not built.quarantine
        if returned != declared:
            found.append(f"{built.table}.{name} is {returned}; its contract says {declared}.")
        elif must_exist and (origin := origin_of_null(expression, name)):
            found.append(f"{built.table}.{name} must not be null, but {origin}.")
    return found


def misnamed(built: Model, expression: ir.Table) -> list[str]:
    """Return which columns of a table on the way have names that engines do not tell apart, or that
    are ours, a sentence each.
    """
    found = []
    for relation in expression.op().find(ops.Relation):
        if same := twins(relation.schema):
            found.append(
                f"{built.table}: names of the columns {same[0]!r} and {same[1]!r} differ only in "
                "case, and engines do not tell them apart. Rename one."
            )
        found += [
            f"{built.table}: {name!r}: names that begin so are StreamPro's own. Rename the column."
            for name in relation.schema
            if is_ours(name)
        ]
    return [*dict.fromkeys(found)]


def not_local(built: Model, expression: ir.Table) -> list[str]:
    """Return what a full run would compute otherwise than an incremental one, a sentence each.

    Every rule must look at one row at a time, and so must the expression of a staging model.
    """
    if not built.incremental_by:
        return []
    start = f"{built.table} is incremental by {built.incremental_by}, so"
    found = []
    if built.quarantine:
        found += [
            f"{start} every row must follow from one line alone; it uses {operation}."
            for operation in operations_across_rows(expression)
        ]
    rows = ibis.table(built.spec.schema, name="rows")
    return found + [
        f"{start} its rules must look at one row at a time; {rule.name} uses {operation}."
        for rule in built.spec.rules
        for operation in operations_across_rows(rule.breaks(rows))
    ]


def unportable(built: Model, expression: ir.Table, keys: Declared, lines: Lines) -> Iterator[str]:
    """Yield the operations of a model and its rules that engines read differently, and what may
    leave rows tied that differ, given the keys of its inputs and which are read from lines. Each
    sentence begins with the name of the operation.
    """
    rows = ibis.table(built.spec.schema, name=built.name)
    computed = [expression, audit(built.contract, rows, {})]
    if built.quarantine:
        computed.append(fates(built, expression).rows)
    for each in computed:
        yield from (*findings(each), *ties(each, keys, lines), *correlated(each))


def operation_of(said: str) -> str:
    """Return the name of the operation with which a sentence begins."""
    return re.split(r"\W", said, maxsplit=1)[0]


def not_allowed(built: Model, said: Iterable[str], beyond: Iterable[str]) -> list[str]:
    """Return which sentences on its operations a model does not allow, with the model in front, and
    which of its allowances allow nothing. Those of `beyond` count where nothing else is said of
    their operation.
    """
    told = [*dict.fromkeys(said)]
    operations = {operation_of(each) for each in told}
    told += [each for each in dict.fromkeys(beyond) if operation_of(each) not in operations]
    operations |= {operation_of(each) for each in told}
    return [f"{built.table}: {each}" for each in told if operation_of(each) not in built.allow] + [
        f"{built.table} allows {name!r}, but nothing of that name is refused there. "
        f"{did_you_mean(name, [*operations])}Take it out of `allow`."
        for name in built.allow
        if name not in operations
    ]
