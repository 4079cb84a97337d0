"""What to build: sources, models and the pipeline that links them by name. Pure data, no I/O."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import TypeVar

import ibis
import ibis.expr.types as ir

from streampro.arguments import declares
from streampro.errors import PipelineError, blamed, did_you_mean
from streampro.expressions.hash import code_hash
from streampro.expressions.keys import Declared, keys_of
from streampro.formats.csv.dialect import Dialect
from streampro.formats.registry import format_of
from streampro.modeling.audit import audit
from streampro.modeling.checks import (
    differences,
    local_keys,
    misnamed,
    not_allowed,
    not_local,
    refuse_wrong_links,
    uncounted,
    unportable,
)
from streampro.modeling.model import (
    ANSWERS,
    AUTO,
    Export,
    Model,
    TableName,
    refuse_unfit_observation,
)
from streampro.modeling.quarantine import fates, is_judged
from streampro.modeling.selection import Published, built_from, selected
from streampro.modeling.source import LENIENT, Source
from streampro.modeling.spec import spec_of
from streampro.names import ours, wanted_pattern

_Thing = TypeVar("_Thing", Source, Model)
_OF_A_NOTEBOOK = re.compile(r"_+|_[0-9]+|_oh|Out")
"""Variables in which IPython keeps what cells have shown."""
_FUNCTION = re.compile(r"[\w.]+:[\w.]+")


@declares
class Pipeline:
    """Sources and models of a list of modules, linked by parameter names.

    `models` is in an order in which every model comes after its inputs.

    Args:
        name: shown in messages and kept in the history.
        modules: where sources and models are declared.
        questions: `module:function`, for answers on the console and in the report: a
            `streampro.report.Questions`. Imported when the pipeline is checked or answers are
            shown, not before.
        unread: glob patterns of files below the raw folder that no source reads on purpose; other
            such files are mentioned by every run.
        exports: tables that are written elsewhere after each run; see `Export`.

    Modules hold models and sources in variables, or in dicts, lists and tuples of these, whether
    they are declared there, made by a function of another module, or imported; one that several
    modules hold counts once.

    Raises `PipelineError` for two things of one name, a parameter that is neither a model nor a
    source, a key or a reference that is no column, a cycle, and where there is no model.
    """

    def __init__(
        self,
        name: str,
        modules: Sequence[ModuleType],
        questions: str | None = None,
        unread: Sequence[str] = (),
        exports: Sequence[Export] = (),
    ) -> None:
        _refuse_misfits(name, questions, unread)
        self.name = name
        self.unread = unread
        self.questions = questions
        for module in modules:
            if not isinstance(module, ModuleType):
                raise PipelineError(
                    f"Pipeline(): modules holds {module!r}, which is no module. Import it first."
                )
        declared = [thing for module in modules for thing in _declared_in(module)]
        self.sources = self._by_name([thing for thing in declared if isinstance(thing, Source)])
        models = self._by_name([thing for thing in declared if isinstance(thing, Model)])
        if not models:
            raise PipelineError(
                f"pipeline {name!r} has no model: no module of it holds a function below "
                "@model(contract=...)."
            )
        for built in models.values():
            with blamed(f"model {built.name}", built.contract):
                assert isinstance(built.spec.rules, list)
                refuse_unfit_observation(built, self.sources)
        refuse_wrong_links(name, models, self.sources)
        self._declared = {name: place for place, name in enumerate(models)}
        self.models = {name: models[name] for name in self._order(models)}
        self.models = {name: self._resolved(built) for name, built in self.models.items()}
        self.exports = tuple(exports)
        self._refuse_exports()

    def without_exports(self) -> "Pipeline":
        """Return the pipeline without exports: for runs whose tables nobody keeps."""
        if not self.exports:
            return self  # of which it is known what is wrong with it
        alone = copy(self)
        alone.exports = ()
        return alone

    def without_limits(self) -> "Pipeline":
        """Return the pipeline with sources whose limits only warn: for runs on parts of files, in
        which all lines may be odd.
        """
        lenient = copy(self)
        sources = self.sources.items()
        lenient.sources = {name: replace(source, limits=LENIENT) for name, source in sources}
        return lenient

    def with_model(self, built: Model) -> "Pipeline":
        """Return the pipeline with another model in place of the one of the same name."""
        changed = copy(self)
        changed.models = {**self.models, built.name: built}
        changed.__dict__.pop("_code_hashes", None)
        changed.expressions = {**self.expressions, built.name: self._unbound(built)}
        return changed

    def tables(self, select: str | None = None) -> list[TableName]:
        """Return every table that a run publishes, the rejected ones beside their models; with
        `select` those of the selected models.
        """
        tables = []
        for built in self.select(select):
            tables += [built.table, built.rejected] if built.quarantine else [built.table]
        return tables

    def source_of(self, model: Model) -> Source:
        """Return the source whose books a quarantine model keeps."""
        [name] = (name for name in model.inputs if name in self.sources)
        return self.sources[name]

    def read(self, models: Iterable[Model]) -> list[Source]:
        """Return the sources that models read."""
        names = dict.fromkeys(name for each in models for name in each.inputs)
        return [self.sources[name] for name in names if name in self.sources]

    def answers(self) -> list[Model]:
        """Return the models of the layer `answers`, in the order in which they are declared."""
        found = [built for built in self.models.values() if built.table.layer == ANSWERS]
        return sorted(found, key=lambda built: self._declared.get(built.name, len(self.models)))

    def schemas(self) -> dict[str, ibis.Schema]:
        """Return columns and types of every source and model by its name."""
        schemas = {name: source.schema for name, source in self.sources.items()}
        return schemas | {name: built.spec.schema for name, built in self.models.items()}

    @cached_property
    def expressions(self) -> dict[str, ir.Table]:
        """Every model's expression over unbound inputs: no engine, no data."""
        return {name: self._unbound(built) for name, built in self.models.items()}

    def code_hashes(self) -> dict[str, str]:
        """Return per model a digest of its expression, its sources and what it quarantines."""
        return dict(self._code_hashes)

    def problems(self) -> list[str]:
        """Return what is wrong between expressions and contracts, a sentence each."""
        models = [(self.models[name], rows) for name, rows in self.expressions.items()]
        for built, _ in models:
            with blamed(f"model {built.table}", built.contract):
                audit(built.contract, ibis.table(built.spec.schema, name=built.name), {})
            self._unbound(built, ours)  # refuses a table that only looks like an input
        wrong = [each for built, rows in models for each in differences(built, rows)]
        wrong += [each for built, rows in models for each in misnamed(built, rows)]
        wrong += [s for built, rows in models for s in uncounted(built, rows, self.sources)]
        return wrong + [each for built, rows in models for each in not_local(built, rows)]

    def unportable(self, beyond: Mapping[str, Iterable[str]] | None = None) -> list[str]:
        """Return which operations of models and contract rules mean different things on different
        engines, and which orders may leave rows tied, a sentence each; without those that a model
        allows, and with allowances of nothing.

        `beyond` is what else is said of operations, by model: these are looked at, without it all.
        """
        keys = self.keys()
        lines = {
            name: ("source_file", *format_of(source).known_by(source))
            for name, source in self.sources.items()
            if not source.secret
        }
        told = dict.fromkeys(self.models, ()) if beyond is None else beyond
        return [
            sentence
            for built, rows in ((self.models[name], self.expressions[name]) for name in told)
            for sentence in not_allowed(
                built, unportable(built, rows, keys, lines), told[built.name]
            )
        ]

    def keys(self) -> Declared:
        """Return the keys of every model's table: what its contract says, which every run checks,
        and what follows from its expression.
        """
        keys: dict[str, list[tuple[str, ...]]] = {}
        for name, rows in self.expressions.items():
            built = self.models[name]
            declared = [built.spec.key] if built.spec.key else []
            derived = [] if built.quarantine or built.observed_at else keys_of(rows, keys)
            keys[name] = [*declared, *derived]
        return keys

    def select(
        self,
        selector: str | None,
        exclude: str | None = None,
        published: Published | None = None,
    ) -> list[Model]:
        """Return the models of a selector without those of another, in building order.

        `name` (or `layer.name`) is one model, `tag:daily`, `owner:growth`, `layer:mart` and
        `source:raw_events` are those that have the tag, the owner, are of the layer, or read the
        source; `state:changed` those whose code is not that of the newest run, `state:changed@12`
        of run 12. `+` before a word adds all that these are built from, `+` behind it all that is
        built from them; several are separated by commas or spaces. None selects everything. A
        source has one account for all that read it: `+name` has these readers too.

        Args:
            selector: what is selected.
            exclude: what is left out of it, in the same words.
            published: returns the digest of the code of each model of a run, of the newest for
                None; what `state:` is compared with.

        Raises `PipelineError` for what names nothing.
        """
        if selector is None and exclude is None:
            return list(self.models.values())
        return selected(self, selector, exclude, published)

    def built_from(self, name: str) -> list[Model]:
        """Return a model and all that it is built from, in building order."""
        chosen = {name} | built_from(self, name)
        return [built for each, built in self.models.items() if each in chosen]

    @cached_property
    def _code_hashes(self) -> Mapping[str, str]:
        return {name: self._code_hash(built) for name, built in self.models.items()}

    def _code_hash(self, built: Model) -> str:
        contract, rows = built.contract, self.expressions[built.name]
        schemas = self.schemas()
        read = [self.sources.get(name, schemas[name]) for name in built.inputs]
        columns = spec_of(contract).columns
        return code_hash(
            self._reading_rules(built),
            fates(built, rows).rows if is_judged(built, rows) else rows,
            audit(contract, ibis.table(spec_of(contract).schema, name="rows"), {}),
            repr(spec_of(contract).schema),
            [(name, spec.description, spec.metadata) for name, spec in columns.items()],
            spec_of(contract).key,
            [(rule.name, rule.severity) for rule in spec_of(contract).rules],
            [repr(each) for each in (*read, built.incremental_by, built.quarantine)],
            *([dict(built.key_in)] if built.key_in else []),
            *([dialects] if (dialects := self._dialects(built)) else []),
            *([("observed at", built.observed_at)] if built.observed_at else []),
        )

    def _reading_rules(self, built: Model) -> int:
        """Return a number that is raised with the revision of any format that a model reads."""
        sources = (self.sources[name] for name in built.inputs if name in self.sources)
        return 1 + sum(each.revision for each in {*map(format_of, sources)})

    def _dialects(self, built: Model) -> list[tuple[str, str]]:
        """Return how files are written that a model reads, where not as by default."""
        sources = (self.sources[name] for name in built.inputs if name in self.sources)
        given = ((source.name, source.dialect) for source in sources)
        return [
            (name, repr(dialect)) for name, dialect in given if dialect not in (None, Dialect())
        ]

    def _refuse_exports(self) -> None:
        """Raise `PipelineError` for an export of no table, and for two to one place."""
        tables = self.tables()
        for each in self.exports:
            if each.table not in tables:
                raise PipelineError(
                    f"pipeline {self.name!r} exports {each.table!r}, which it does not have. "
                    f"{did_you_mean(each.table, tables)}Tables: {', '.join(tables)}."
                )
        places = [(each.to, each.table if "://" in each.to else "") for each in self.exports]
        if twice := next((to for to, table in places if places.count((to, table)) > 1), None):
            raise PipelineError(f"pipeline {self.name!r} exports twice to {twice!r}.")

    def by_runs(self) -> dict[TableName, str]:
        """Return which tables depend on when runs were, a sentence on each: those that keep what
        runs have seen, and what is built from them.
        """
        found: dict[TableName, str] = {}
        for built in self.models.values():
            parents = [self.models[name].table for name in built.inputs if name in self.models]
            so = [table for table in parents if table in found]
            if built.observed_at:
                found[built.table] = (
                    f"{built.table} depends on when runs were: it keeps what they saw of "
                    f"{', '.join(parents)}, of which there is no other copy."
                )
            elif so:
                found[built.table] = (
                    f"{built.table} depends on when runs were: it is built from {', '.join(so)}."
                )
        return found

    def could_be_incremental(self) -> dict[str, str]:
        """Return by which column models could be incremental that are not, by their name."""
        rest = [m for m in self.models.values() if m.incremental_by is None and not m.observed_at]
        found = {each.name: local_keys(each, self.expressions[each.name]) for each in rest}
        return {name: keys[0] for name, keys in found.items() if keys}

    def _resolved(self, built: Model) -> Model:
        """Return a model whose `incremental_by` is a column, or none."""
        if built.incremental_by != AUTO:
            return built
        found = local_keys(built, self._unbound(built))
        return replace(built, incremental_by=found[0] if found else None)

    def _unbound(self, built: Model, called: Callable[[str], str] = str) -> ir.Table:
        schemas = self.schemas()
        return built(**{n: ibis.table(schemas[n], name=called(n)) for n in built.inputs})

    def _by_name(self, things: list[_Thing]) -> dict[str, _Thing]:
        by_name: dict[str, _Thing] = {}
        for thing in things:
            if by_name.get(thing.name, thing) is not thing:
                raise PipelineError(
                    f"pipeline {self.name!r} has two {type(thing).__name__.lower()}s named "
                    f"{thing.name!r}: {_place(by_name[thing.name])} and {_place(thing)}. "
                    f"Rename one.{_loop_advice(by_name[thing.name], thing)}"
                )
            by_name[thing.name] = thing
        return by_name

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


def _refuse_misfits(name: str, questions: str | None, unread: Sequence[str]) -> None:
    """Raise `PipelineError` for texts that name nothing."""
    if not name.strip():
        raise PipelineError(f"Pipeline(): name is {name!r}, which says nothing.")
    if questions is not None and not _FUNCTION.fullmatch(questions):
        raise PipelineError(
            f"Pipeline(): questions is {questions!r}, but must be a module and its function: "
            "'shop.questions:questions'."
        )
    for each in unread:
        if wanted := wanted_pattern(each, may_be_hidden=True):
            raise PipelineError(f"Pipeline(): unread is {each!r}, but must be {wanted}.")


def _declared_in(module: ModuleType) -> Iterator[Source | Model]:
    """Yield what a module holds, but for what a notebook keeps of earlier cells."""
    for name, value in vars(module).items():
        if not _OF_A_NOTEBOOK.fullmatch(name):
            yield from _things_in(value)


def _things_in(value: object) -> Iterator[Source | Model]:
    if isinstance(value, Source | Model):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _things_in(each)


def _place(thing: Source | Model) -> str:
    return f"{thing.transform.__module__}" if isinstance(thing, Model) else f"files {thing.files}"


def _loop_advice(one: Source | Model, other: Source | Model) -> str:
    """Return what to do where both are models of one function that is defined several times."""
    codes = [getattr(getattr(each, "transform", None), "__code__", None) for each in (one, other)]
    is_loop = codes[0] is not None and codes[0] is codes[1]
    return " Give functions that a loop makes a `__name__` before `model`." if is_loop else ""
