"""What is wrong with models and what links them, told from expressions and contracts, without
data.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeAlias

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.errors import PipelineError, blamed, did_you_mean
from streampro.expressions.decimals import exact
from streampro.expressions.keys import Declared, Lines
from streampro.expressions.locality import correlated, operations_across_rows, why_not_local
from streampro.expressions.nulls import origin_of_null
from streampro.expressions.order import ties
from streampro.expressions.portability import findings
from streampro.expressions.types import in_microseconds, nullable
from streampro.modeling.audit import audit
from streampro.modeling.model import AUTO, UNREADABLE, Model
from streampro.modeling.quarantine import fates, is_judged
from streampro.modeling.source import Source
from streampro.names import is_ours, refused_layer, refused_table, twins

Models: TypeAlias = Mapping[str, Model]
Sources: TypeAlias = Mapping[str, Source]


def differences(built: Model, expression: ir.Table) -> list[str]:
    """Compare the columns of an expression with those of its contract, in sentences."""
    expected = built.schema
    beside = {UNREADABLE} & {*expression.columns} - {*expected}
    actual = exact(expression.drop(*beside)).schema()
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
        returned, declared = (nullable(each[name]) for each in (actual, expected))
        returned = in_microseconds(returned)
        must_exist = not expected[name].nullable and not built.quarantine
        if returned != declared:
            found.append(f"{built.table}.{name} is {returned}; its contract says {declared}.")
        elif must_exist and (origin := origin_of_null(expression, name)):
            found.append(f"{built.table}.{name} must not be null, but {origin}.")
    return found


def uncounted(built: Model, expression: ir.Table, sources: Sources) -> list[str]:
    """Return that a model which keeps books leaves out what tells values of another type than the
    source says, or has that of its own.
    """
    read = [sources[name] for name in built.inputs if name in sources]
    if not built.quarantine:
        return []
    if UNREADABLE in expression.columns:
        kind = nullable(expression[UNREADABLE].type())
        if kind.is_boolean():
            return []
        return [
            f"{built.table} returns {UNREADABLE} as {kind}, but in a model with quarantine that is "
            "StreamPro's own: whether a value of the row could not be read. Give yours another "
            "name in the fields of its source."
        ]
    return [
        f"{built.table} leaves out {UNREADABLE} of {source.name}, so values that are not of their "
        "type would be lost unseen. Return that column too."
        for source in read
        if source.tells_unreadable
    ]


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


def local_keys(built: Model, expression: ir.Table) -> list[str]:
    """Return the columns by which a model may be incremental: parts of its key whose rows follow
    from the input rows of the same key, or from one line, and that are never null.
    """
    keys = [name for name in built.spec.key if not built.spec.schema[name].nullable]
    claims = [replace(built, incremental_by=name) for name in keys]
    return [
        str(each.incremental_by)
        for each in claims
        if not not_local(each, expression)
        and not _not_by_key(each, expression)
        and not _may_lack_its_key(each, expression)
        and _are_of_its_type(each, expression)
    ]


def _not_by_key(built: Model, expression: ir.Table) -> str:
    """Return why rows of one key may follow from rows of others, "" if they never do."""
    keys = {name: column for name, (column, _) in _key_columns(built, expression).items()}
    return "" if built.quarantine else why_not_local(expression, str(built.incremental_by), keys)


def _may_lack_its_key(built: Model, expression: ir.Table) -> bool:
    """Tell whether the key of an input may be null: then each change computes all."""
    columns = _key_columns(built, expression).values()
    return not built.quarantine and any(kind.nullable for _, kind in columns)


def _are_of_its_type(built: Model, expression: ir.Table) -> bool:
    """Tell whether the columns of inputs that hold the key are of its type."""
    own = built.spec.schema[str(built.incremental_by)].copy(nullable=True)
    return built.quarantine or all(
        kind.copy(nullable=True) == own for _, kind in _key_columns(built, expression).values()
    )


def _key_columns(built: Model, expression: ir.Table) -> dict[str, tuple[str, dt.DataType]]:
    """Return the columns of inputs that hold the key, and their types."""
    return {
        each.name: (column, each.schema[column])
        for each in expression.op().find(ops.UnboundTable)
        if (column := built.key_of(each.name)) in each.schema
    }


def unportable(built: Model, expression: ir.Table, keys: Declared, lines: Lines) -> Iterator[str]:
    """Yield the operations of a model and its rules that engines read differently, and what may
    leave rows tied that differ, given the keys of its inputs and which are read from lines. Each
    sentence begins with the name of the operation.
    """
    rows = ibis.table(built.spec.schema, name=built.name)
    computed = [expression, audit(built.contract, rows, {})]
    if is_judged(built, expression):
        computed.append(fates(built, expression).rows)
    for each in computed:
        yield from (*findings(each), *ties(each, keys, lines), *correlated(each))
    if not built.incremental_by or _may_lack_its_key(built, expression):
        return
    if why := _not_by_key(built, expression):
        yield (
            f"incremental_by: it is not proven that rows of one {built.incremental_by} follow from "
            f"input rows of the same alone: {why}. Compute them so, or take incremental_by out."
        )


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


def refuse_wrong_links(pipeline: str, models: Models, sources: Sources) -> None:
    """Raise `PipelineError` where models and sources do not fit together: names that cannot be told
    apart or stored, inputs, references and keys that are not there.
    """
    _refuse_shared_names(pipeline, models, sources)
    for built in models.values():
        with blamed("", built.transform):
            _refuse_unknown_inputs(pipeline, built, models, sources)
            _refuse_column_of_books(built)
            _refuse_unfit_increment(built)
            for name, key in built.key_in.items():
                _refuse_unknown_key(built, name, key, models)
            _refuse_unknown_references(built, models)
            _refuse_quarantine_of_tables(built)
            _refuse_unfit_python(built, models)
    _refuse_freshness_of_nothing(models, sources)


def _refuse_unfit_python(built: Model, models: Models) -> None:
    """Raise `PipelineError` for a Python model that is not given the rows of one key."""
    if built.by is None:
        return
    if len(built.inputs) != 1 or built.inputs[0] not in models:
        raise PipelineError(
            f"{built.table} is computed by Python, so it takes one model, not "
            f"{', '.join(built.inputs) or 'none'}: join and type rows in a model before it."
        )
    for holder in (built, models[built.inputs[0]]):
        if built.by not in holder.spec.schema:
            why = f"{built.table} is computed by {built.by!r}, which is no column of {holder.name}."
            raise PipelineError(f"{why} {did_you_mean(built.by, list(holder.spec.schema))}".strip())


def _refuse_freshness_of_nothing(models: Models, sources: Sources) -> None:
    """Raise `PipelineError` for a source with a freshness that no table can tell."""
    for name, source in sources.items():
        alone = [
            each
            for each in models.values()
            if [other for other in each.inputs if other in sources] == [name]
        ]
        if source.limits.freshness and alone and not any(each.spec.event_time for each in alone):
            raise PipelineError(
                f"source {name!r} has a freshness, but no model that reads it has a column with "
                "event_time=True in its contract, by which it could be told."
            )


def _refuse_shared_names(pipeline: str, models: Models, sources: Sources) -> None:
    layers = {built.table.layer for built in models.values()}
    reasons = {name: refused_table(name) for name in models}
    for name, why in (reasons | {name: refused_layer(name) for name in layers}).items():
        if why:
            raise PipelineError(f"pipeline {pipeline!r}: {name!r}: {why}.")
    tables = [each for built in models.values() for each in (built.table, built.rejected)]
    if same := twins(layers) or twins([*models, *sources]) or twins(tables):
        raise PipelineError(
            f"pipeline {pipeline!r}: the names {same[0]!r} and {same[1]!r} differ only in "
            "case, and engines and some disks do not tell them apart. Rename one."
        )
    for name in models.keys() & sources.keys():
        raise PipelineError(
            f"pipeline {pipeline!r}: {name!r} is both a source and the model "
            f"{models[name].table}. Rename one."
        )
    for rejecting in (built for built in models.values() if built.quarantine):
        if rejecting.rejected.name in {**models, **sources}:
            raise PipelineError(
                f"pipeline {pipeline!r}: {rejecting.rejected.name!r} has the name of "
                f"the table for what {rejecting.name!r} rejects. Rename it."
            )


def _refuse_unknown_inputs(pipeline: str, built: Model, models: Models, sources: Sources) -> None:
    known = [*models, *sources]
    for item in built.inputs:
        if item not in known:
            raise PipelineError(
                f"model {built.name} takes {item!r}, which is neither a model nor a "
                f"source of pipeline {pipeline!r}. {did_you_mean(item, known)}".strip()
            )
    read = [item for item in built.inputs if item in sources]
    if built.quarantine and len(read) != 1:
        raise PipelineError(
            f"model {built.name} keeps the books of a source, so it must take exactly one; "
            f"it takes {', '.join(read) or 'none'}."
        )


def _refuse_unknown_references(built: Model, models: Models) -> None:
    for name, (other, key) in built.spec.references.items():
        start = f"{built.table}.{name} references {other}.{key}, but"
        if other not in models:
            raise PipelineError(
                f"{start} there is no model {other!r}. {did_you_mean(other, list(models))}".strip()
            )
        if key not in models[other].spec.schema:
            raise PipelineError(f"{start} {other} has no such column.")
        here, there = (
            kind.copy(nullable=True)
            for kind in (built.spec.columns[name].type, models[other].spec.columns[key].type)
        )
        if not (here.castable(there) or there.castable(here)):
            raise PipelineError(f"{start} one is {here} and the other {there}.")
        inputs = [models[each] for each in built.inputs if each in models]
        orphans = built.spec.columns[name].orphans
        if other == built.name and orphans == "quarantine":
            raise PipelineError(
                f"{start} that is the table itself, of which rows cannot be rejected for others "
                "that are. Write orphans='fail' or 'warn'."
            )
        if orphans == "quarantine" and built.incremental_by:
            raise PipelineError(
                f"{start} lines would be rejected for rows of {other}, while {built.table} is "
                f"incremental by {built.incremental_by}, so every row must follow from one line "
                "alone. Take out incremental_by, or write orphans='fail' or 'warn'."
            )
        if orphans != "warn" and other not in (*built.inputs, built.name):
            raise PipelineError(
                f"{start} {built.name} does not take {other}, as its orphans must not pass. "
                f"Give it the parameter {other!r}."
            )
        is_handed_on = any(i.spec.references.get(name) == (other, key) for i in inputs)
        if other not in (*built.inputs, built.name) and not is_handed_on:
            raise PipelineError(
                f"{start} {built.name} does not take {other}, so nobody would look. Give it "
                f"the parameter {other!r}, or leave the reference out."
            )


def _refuse_column_of_books(built: Model) -> None:
    """Raise `PipelineError` for a column that means something else in a quarantine model."""
    if built.quarantine and UNREADABLE in built.spec.schema:
        raise PipelineError(
            f"model {built.name}: column {UNREADABLE!r} of its contract is StreamPro's own in "
            "models with quarantine=True: it tells which values could not be read. Rename the "
            "column."
        )


def _refuse_quarantine_of_tables(built: Model) -> None:
    """Raise `PipelineError` for a rule that would reject rows where there is no table for them."""
    if built.quarantine:
        return
    rules = [rule.name for rule in built.spec.rules if rule.severity == "quarantine"]
    columns = built.spec.columns.items()
    rules += [f"orphans of {n}" for n, each in columns if each.orphans == "quarantine"]
    if rules:
        raise PipelineError(
            f"model {built.name}: {', '.join(rules)}: severity 'quarantine' is for models with "
            "quarantine=True, which have a table of rejected rows. Use 'fail' or 'warn'."
        )


def _refuse_unfit_increment(built: Model) -> None:
    by, columns = built.incremental_by, built.spec.schema
    if by is None or by == AUTO:
        return
    start = f"model {built.name} is incremental by {by!r}, which"
    if by not in columns:
        raise PipelineError(
            f"{start} is no column of it. {did_you_mean(by, list(columns))}".strip()
        )
    if by not in built.spec.key:
        raise PipelineError(
            f"{start} is no part of its key. Rows of different values could then have the same key."
        )
    if columns[by].nullable:
        raise PipelineError(f"{start} may be null.")


def _refuse_unknown_key(built: Model, name: str, key: str, models: Models) -> None:
    by, inputs = built.incremental_by, [each for each in built.inputs if each in models]
    start = f"model {built.name} has the key_in {{{name!r}: {key!r}}}, but"
    if by is None or built.quarantine:
        raise PipelineError(f"{start} only models with incremental_by that read tables have keys.")
    if name not in inputs:
        raise PipelineError(
            f"{start} {name!r} is no model that it takes. {did_you_mean(name, inputs)}".strip()
        )
    columns = models[name].spec.schema
    if key not in columns:
        raise PipelineError(
            f"{start} {name} has no such column. {did_you_mean(key, [*columns])}".strip()
        )
    if by == AUTO:
        return
    there, here = (kind.copy(nullable=True) for kind in (columns[key], built.spec.schema[by]))
    if there != here:
        raise PipelineError(f"{start} {name}.{key} is {there} and {built.name}.{by} {here}.")
