"""What to build: sources, models and the pipeline that links them by name. Pure data, no I/O."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import NamedTuple, TypeVar

import ibis
import ibis.expr.types as ir

from streampro.contract import (
    Contract,
    Rejected,
    audit,
    key_of,
    references_of,
    schema_of,
    with_reasons,
)
from streampro.errors import PipelineError, did_you_mean
from streampro.fingerprint import code_hash
from streampro.lint import findings
from streampro.nullability import origin_of_null
from streampro.rowwise import not_rowwise
from streampro.source import RAW_COLUMNS
from streampro.source import Source as Source

ANSWERS = "answers"
"""The layer whose tables are small and are shown after a run."""
REJECT_COLUMNS = ("reject_reason", *RAW_COLUMNS)
DUPLICATE = "duplicate"
"""The `reject_reason` with which a transform says: this row repeats another, count it, drop it."""
UNREADABLE = "is_unreadable"
"""Optional boolean column of a quarantine model: some value became null because it could not be
read. Such lines are counted as a warning."""


class TableName(NamedTuple):
    """A table's place in the warehouse: `<layer>/<name>`, shown as `layer.name`."""

    layer: str
    name: str

    def __str__(self) -> str:
        return f"{self.layer}.{self.name}"


@dataclass(frozen=True)
class Model:
    """A table of the warehouse: a pure function from its inputs to an Ibis expression.

    Calling the model calls the function, so tests can use it directly.
    """

    table: TableName
    transform: Callable[..., ir.Table]
    contract: type[Contract]
    inputs: tuple[str, ...]
    incremental_by: str | None = None
    quarantine: bool = False

    def __call__(self, *args: ir.Table, **inputs: ir.Table) -> ir.Table:
        return self.transform(*args, **inputs)

    @property
    def name(self) -> str:
        """The table's name without its layer."""
        return self.table.name

    @property
    def rejected(self) -> TableName:
        """The table that receives what a quarantine model rejects."""
        return TableName(self.table.layer, f"{self.table.name}_rejected")

    @property
    def schema(self) -> ibis.Schema:
        """Columns and types that the transform returns."""
        schema = schema_of(self.contract)
        return schema | schema_of(Rejected) if self.quarantine else schema


def model(
    contract: type[Contract], incremental_by: str | None = None, quarantine: bool = False
) -> Callable[[Callable[..., ir.Table]], Model]:
    """Make a model of a function: its name is the table, its parameters are the lineage,
    its module is the layer.

    Args:
        contract: columns, types, key and rules of the result.
        incremental_by: column by whose values the rows can be recomputed independently.
        quarantine: the result also has `reject_reason`, `raw_line` and `source_file`; rows with a
            reason go to the table `<name>_rejected`, equal rows without one are stored once.
    """

    def declare(transform: Callable[..., ir.Table]) -> Model:
        layer = transform.__module__.rpartition(".")[2]
        return Model(
            table=TableName(layer, transform.__name__),
            transform=transform,
            contract=contract,
            inputs=tuple(inspect.signature(transform).parameters),
            incremental_by=incremental_by,
            quarantine=quarantine,
        )

    return declare


_Thing = TypeVar("_Thing", Source, Model)


class Pipeline:
    """Sources and models of a list of modules, linked by parameter names.

    `models` is in an order in which every model comes after its inputs.

    Args:
        name: shown in messages and kept in the history.
        modules: where sources and models are declared.
        summary: `module:function`, imported only to print answers. The function takes the rows of
            the models of layer `answers` by name and returns a question, a sentence and a list of
            printable rows for each question.
        report: `module:function`, imported only for the report: a `streampro.report.Questions`.

    Raises `PipelineError` for two things of one name, a parameter that is neither a model nor a
    source, a reference to an unknown column, and a cycle.
    """

    def __init__(
        self,
        name: str,
        modules: Iterable[ModuleType],
        summary: str | None = None,
        report: str | None = None,
    ) -> None:
        self.name = name
        self.summary = summary
        self.report = report
        declared = [thing for module in modules for thing in _declared_in(module)]
        self.sources = self._by_name([thing for thing in declared if isinstance(thing, Source)])
        models = self._by_name([thing for thing in declared if isinstance(thing, Model)])
        self._refuse_shared_names(models)
        self._refuse_unknown_inputs(models)
        self._refuse_unknown_references(models)
        self.models = {name: models[name] for name in self._order(models)}

    def tables(self) -> list[TableName]:
        """Return every table that a run publishes, the rejected ones beside their models."""
        found = []
        for built in self.models.values():
            found += [built.table, built.rejected] if built.quarantine else [built.table]
        return found

    def source_of(self, model: Model) -> Source:
        """Return the source whose books a quarantine model keeps."""
        [name] = (name for name in model.inputs if name in self.sources)
        return self.sources[name]

    def answers(self) -> list[Model]:
        """Return the models of the layer `answers`."""
        return [built for built in self.models.values() if built.table.layer == ANSWERS]

    @cached_property
    def expressions(self) -> dict[str, ir.Table]:
        """Every model's expression over unbound inputs: no engine, no data."""
        return {name: self._unbound(built) for name, built in self.models.items()}

    def code_hashes(self) -> dict[str, str]:
        """Return per model a digest of its expression, its sources and what it quarantines."""
        return {name: self._code_hash(built) for name, built in self.models.items()}

    def problems(self) -> list[str]:
        """Return what is wrong between expressions and contracts, a sentence each."""
        found = []
        for name, expression in self.expressions.items():
            found += _differences(self.models[name], expression)
        for built in self.models.values():
            if built.incremental_by:
                staged = self.expressions[built.name] if built.quarantine else None
                told = f"{built.table} is incremental by {built.incremental_by}, so"
                found += [f"{told} {each}" for each in not_rowwise(built.contract, staged)]
        return found

    def unportable(self) -> list[str]:
        """Return which operations of models and contract rules mean different things on different
        engines, a sentence each.
        """
        found: dict[str, None] = {}
        for name, expression in self.expressions.items():
            built = self.models[name]
            rows = ibis.table(schema_of(built.contract), name=name)
            computed = [expression, audit(built.contract, rows, {})]
            if built.quarantine:
                computed.append(with_reasons(built.contract, expression))
            found |= {
                f"{built.table}: {finding}": None for each in computed for finding in findings(each)
            }
        return [*found]

    def select(self, selector: str | None) -> list[Model]:
        """Return the models of a selector, in building order.

        `name` (or `layer.name`) is one model, `+name` with all it is built from, `name+` with all
        built from it; several are separated by commas or spaces. None selects everything.
        """
        if selector is None:
            return list(self.models.values())
        names = {str(built.table): name for name, built in self.models.items()}
        names |= {name: name for name in self.models}
        parts = selector.replace(",", " ").split()
        if not parts:
            raise PipelineError(f"--select {selector!r} names no model.")
        chosen: set[str] = set()
        for part in parts:
            asked = part.strip("+")
            if asked not in names:
                raise PipelineError(
                    f"--select {part}: pipeline {self.name!r} has no model {asked!r}. "
                    f"{did_you_mean(asked, list(names))}"
                    f"Models: {', '.join(self.models)}."
                )
            chosen.add(names[asked])
            chosen |= self._ancestors(names[asked]) if part.startswith("+") else set()
            chosen |= self._descendants(names[asked]) if part.endswith("+") else set()
        return [built for name, built in self.models.items() if name in chosen]

    def _code_hash(self, built: Model) -> str:
        rows = self.expressions[built.name]
        rows = with_reasons(built.contract, rows) if built.quarantine else rows
        schemas = self._schemas()
        read = [self.sources.get(name, schemas[name]) for name in built.inputs]
        return code_hash(rows, built.contract, (*read, built.incremental_by, built.quarantine))

    def _ancestors(self, name: str) -> set[str]:
        direct = {item for item in self.models[name].inputs if item in self.models}
        return direct.union(*(self._ancestors(item) for item in direct))

    def _descendants(self, name: str) -> set[str]:
        return {other for other in self.models if name in self._ancestors(other)}

    def _schemas(self) -> dict[str, ibis.Schema]:
        """Return columns and types of every source and model by its name."""
        schemas = {name: source.schema for name, source in self.sources.items()}
        return schemas | {name: schema_of(built.contract) for name, built in self.models.items()}

    def _unbound(self, built: Model) -> ir.Table:
        schemas = self._schemas()
        return built(**{name: ibis.table(schemas[name], name=name) for name in built.inputs})

    def _by_name(self, things: list[_Thing]) -> dict[str, _Thing]:
        found: dict[str, _Thing] = {}
        for thing in things:
            if thing.name in found and found[thing.name] is not thing:
                raise PipelineError(
                    f"pipeline {self.name!r} has two {type(thing).__name__.lower()}s named "
                    f"{thing.name!r}: {_place(found[thing.name])} and {_place(thing)}. "
                    "Rename one."
                )
            found[thing.name] = thing
        return found

    def _refuse_shared_names(self, models: Mapping[str, Model]) -> None:
        for name in models.keys() & self.sources.keys():
            raise PipelineError(
                f"pipeline {self.name!r}: {name!r} is both a source and the model "
                f"{models[name].table}. Rename one."
            )
        for rejecting in (built for built in models.values() if built.quarantine):
            if rejecting.rejected.name in {**models, **self.sources}:
                raise PipelineError(
                    f"pipeline {self.name!r}: {rejecting.rejected.name!r} has the name of "
                    f"the table for what {rejecting.name!r} rejects. Rename it."
                )

    def _refuse_unknown_inputs(self, models: Mapping[str, Model]) -> None:
        known = [*models, *self.sources]
        for built in models.values():
            for item in built.inputs:
                if item not in known:
                    raise PipelineError(
                        f"model {built.name} takes {item!r}, which is neither a model nor a "
                        f"source of pipeline {self.name!r}. {did_you_mean(item, known)}".strip()
                    )

        for built in models.values():
            by, columns = built.incremental_by, list(schema_of(built.contract))
            if by is not None and by not in columns:
                raise PipelineError(
                    f"model {built.name} is incremental by {by!r}, which is no column of it. "
                    f"{did_you_mean(by, columns)}".strip()
                )
            if by is not None and by not in key_of(built.contract):
                raise PipelineError(
                    f"model {built.name} is incremental by {by!r}, which is no part of its key. "
                    "Rows of different values could then have the same key."
                )
            if by is not None and schema_of(built.contract)[by].nullable:
                raise PipelineError(
                    f"model {built.name} is incremental by {by!r}, which may be null."
                )
        for built in (built for built in models.values() if built.quarantine):
            sources = [item for item in built.inputs if item in self.sources]
            if len(sources) != 1:
                raise PipelineError(
                    f"model {built.name} keeps the books of a source, so it must take exactly one; "
                    f"it takes {', '.join(sources) or 'none'}."
                )

    def _refuse_unknown_references(self, models: Mapping[str, Model]) -> None:
        for built in models.values():
            for name, (other, key) in references_of(built.contract).items():
                if other not in models:
                    raise PipelineError(
                        f"{built.table}.{name} references {other}.{key}, but there is no model "
                        f"{other!r}. {did_you_mean(other, list(models))}".strip()
                    )
                if key not in schema_of(models[other].contract):
                    raise PipelineError(
                        f"{built.table}.{name} references {other}.{key}, but {other} has no such "
                        "column."
                    )

    def _order(self, models: Mapping[str, Model]) -> list[str]:
        inputs = {
            name: [item for item in built.inputs if item in models]
            for name, built in models.items()
        }
        try:
            return list(TopologicalSorter(inputs).static_order())
        except CycleError as error:
            raise PipelineError(
                f"pipeline {self.name!r} has a cycle: {' -> '.join(error.args[1])}."
            ) from error


def _declared_in(module: ModuleType) -> Iterator[Source | Model]:
    """Yield what is declared in the module itself, not what it imports from another."""
    for thing in vars(module).values():
        if isinstance(thing, Source) or (
            isinstance(thing, Model) and thing.transform.__module__ == module.__name__
        ):
            yield thing


def _place(thing: Source | Model) -> str:
    return f"{thing.transform.__module__}" if isinstance(thing, Model) else f"files {thing.files}"


def _differences(built: Model, expression: ir.Table) -> list[str]:
    """Compare the columns of an expression with those of its contract."""
    actual = expression.drop(*({UNREADABLE} & {*expression.columns})).schema()
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
        returned, declared = (schema[name].copy(nullable=True) for schema in (actual, expected))
        must_exist = not expected[name].nullable and not built.quarantine
        if returned != declared:
            found.append(f"{built.table}.{name} is {returned}; its contract says {declared}.")
        elif must_exist and (origin := origin_of_null(expression, name)):
            found.append(f"{built.table}.{name} must not be null, but {origin}.")
    return found
