"""A table of a pipeline: its name, the function that computes it, its contract."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
from pydantic_core import core_schema

from streampro.arguments import declares
from streampro.destination import destination_of
from streampro.errors import PipelineError, blamed, place_of
from streampro.expressions.nulls import may_be_null
from streampro.expressions.python import frame_of, rows_of_keys
from streampro.formats.format import RAW_COLUMNS
from streampro.modeling.audit import with_orphans
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.spec import TableSpec, spec_of
from streampro.names import named

ANSWERS = "answers"
"""The layer whose tables are small and are shown after a run."""
REJECT_COLUMNS = ("reject_reason", *RAW_COLUMNS)
DUPLICATE = "duplicate"
"""The `reject_reason` with which a transform says: this row repeats another, count it, drop it."""
UNREADABLE = "is_unreadable"
"""Optional boolean column of a quarantine model: some value became null because it could not be
read. Such lines are counted as a warning."""

GONE = "is_gone"
"""Boolean column of an observed model: what the row tells of was no longer there."""
UNSEEN = datetime(1970, 1, 1, tzinfo=UTC)
"""When rows of an observed model were seen that no run has seen."""

AUTO = "auto"
"""As `incremental_by`: by what is proven."""

_WORD = re.compile(r"[^\s,+]+")


class TableName(str):
    """A table's name, as the text `layer.name` that commands, messages and the ledger have."""

    __slots__ = ("layer", "name")
    layer: str
    name: str

    def __new__(cls, layer: str, name: str) -> Self:
        """Return the name of a table in a layer; a text without a dot is one without a name."""
        made = super().__new__(cls, f"{layer}.{name}" if name else layer)
        made.layer, made.name = layer, name
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]  # for copies
        return self.layer, self.name

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: object) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the name that a text `layer.name` tells."""
        layer, _, name = text.partition(".")
        return cls(layer, name)


@declares
@dataclass(frozen=True)
class Export:
    """A table that is written elsewhere after each run that changed it.

    Args:
        table: `layer.name`, of a model or of its rejected rows.
        to: a file on this machine that ends in `.csv`, `.csv.gz`, `.parquet`, `.jsonl`,
            `.jsonl.gz`, `.json` or `.xlsx`, or `postgresql://user:${NAME}@host/database`, where the
            table has the same name in the schema that is called like its layer. `${NAME}` stands
            for a variable of the environment. What is there is replaced.
    """

    table: str
    to: str

    def __post_init__(self) -> None:
        for name in ("table", "to"):
            if not isinstance(given := getattr(self, name), str):
                raise PipelineError(f"Export: {name} is {given!r}, but must be a text.")
        destination_of(self.to, lambda said: PipelineError(f"Export: {said}"))


@declares
@dataclass(frozen=True)
class Model:
    """A table of the warehouse: a pure function from its inputs to an Ibis expression.

    Calling the model calls the function, so tests can use it directly; rows whose references are
    of severity `quarantine` get their reason here, where the inputs are. What the function raises,
    and what it returns if that is no table, is a `PipelineError` that names model, file and line.
    """

    table: TableName
    transform: Callable[..., ir.Table]
    contract: type[Contract]
    inputs: tuple[str, ...]
    incremental_by: str | None = None
    quarantine: bool = False
    key_in: Mapping[str, str] = field(default_factory=dict, hash=False)
    allow: Mapping[str, str] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()
    owner: str | None = None
    by: str | None = None
    observed_at: str | None = None

    def __call__(self, /, *args: ir.Table, **inputs: ir.Table) -> ir.Table:
        with blamed(f"model {self.table}", self.transform):
            given = dict(zip(self.inputs, args, strict=False)) | inputs
            if self.by is None:
                rows = _table(self.transform(*args, **inputs))
            else:
                [only] = given.values()
                rows = rows_of_keys(only, self.by, self.transform, may_be_null(self.spec.schema))
            _refuse_strangers(rows, given)
            rows = self._seen(rows) if self.observed_at else rows
            return with_orphans(self.contract, rows, given)

    def _seen(self, rows: ir.Table) -> ir.Table:
        """Return rows with what runs add, as if none had seen them: only runs know when."""
        at = ibis.literal(UNSEEN, dt.Timestamp("UTC", 6))
        own = {str(self.observed_at): at, GONE: ibis.literal(False)}
        if taken := [name for name in own if name in rows.columns]:
            raise PipelineError(
                f"it returns {', '.join(taken)}, which runs add to rows that they observe: leave "
                "it out."
            )
        held = rows.mutate(named(own))
        order = [name for name in self.spec.schema if name in held.columns]
        return held.select(*order, *(name for name in rows.columns if name not in order))

    @property
    def seen_key(self) -> tuple[str, ...]:
        """The columns that tell what rows of an observed model tell of: its key without when."""
        return tuple(name for name in self.spec.key if name != self.observed_at)

    @property
    def name(self) -> str:
        """The table's name without its layer."""
        return self.table.name

    @property
    def rejected(self) -> TableName:
        """The table that receives what a quarantine model rejects."""
        return TableName(self.table.layer, f"{self.table.name}_rejected")

    def key_of(self, name: str) -> str:
        """Return the column of an input that holds the values which the model is incremental by."""
        return self.key_in.get(name, str(self.incremental_by))

    @property
    def allowances(self) -> list[str]:
        """What the model may compute though engines differ in it, and why, a sentence each."""
        return [f"{self.table} allows {each}: {why}" for each, why in self.allow.items()]

    @property
    def spec(self) -> TableSpec:
        """What the contract says of the table."""
        return spec_of(self.contract)

    @property
    def schema(self) -> ibis.Schema:
        """Columns and types that the transform returns."""
        schema = self.spec.schema
        return schema | spec_of(Rejected).schema if self.quarantine else schema


@declares
def model(
    contract: type[Contract],
    incremental_by: str | None = None,
    quarantine: bool = False,
    key_in: Mapping[str, str] | None = None,
    allow: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    owner: str | None = None,
    python: bool = False,
    by: str | None = None,
    observed_at: str | None = None,
) -> Callable[[Callable[..., Any]], Model]:
    """Make a model of a function: its name is the table, its parameters are the lineage,
    its module is the layer.

    Args:
        contract: columns, types, key and rules of the result.
        incremental_by: column by whose values the rows can be recomputed independently, of which
            `check` demands the proof; `"auto"` for the first part of the key that has one, if any.
        quarantine: the result also has `reject_reason`, `raw_line` and `source_file`; rows with a
            reason go to the table `<name>_rejected`, equal rows without one are stored once.
        key_in: the column of an input that holds the values of `incremental_by`, by the name of
            the input, where it is called otherwise there: `{"lineitem": "l_orderkey"}`.
        allow: operations that are refused because engines differ in them, by the name with which
            the message begins, and why they may stand here:
            `{"Median": "runs on DuckDB only, reviewed in May"}`. `check` and `plan` show them.
        tags: words by which `--select tag:WORD` finds the model.
        owner: who answers for the model, a team or an address; `--select owner:WORD` finds it.
        python: the function is given the rows of one key after the other, and returns rows of that
            key: a table of Arrow, or of pandas or polars if its parameter is annotated so. It takes
            one model; the rows come sorted by all columns, the same on every engine.
        by: with `python` the column of the key, by which the model is incremental, too.
        observed_at: the table keeps what runs have seen: of each key a row for every state in which
            a run found it, with the instant in this column of the contract at which the first
            one that saw it began. `is_gone`, a boolean column of the contract, is true in the row
            of a key that a run no longer found; the rest of that row is as it was last. The
            function returns the rows of now, without these two. So the table, and all that is
            built from it, depends on when runs were, and no run computes it again: neither a full
            refresh nor other code removes a row. The key of the contract has this column.
    """
    _refuse_no_contract(contract)
    for operation, why in (allow or {}).items():
        if not (isinstance(why, str) and why.strip()):
            raise PipelineError(f"model(): allow={{{operation!r}: {why!r}}} tells no reason.")
    for word in (*tags, *([] if owner is None else [owner])):
        if not _WORD.fullmatch(word):
            raise PipelineError(
                f"model(): {word!r} is no word by which --select can find a tag or an owner: "
                "blanks, commas and `+` separate words."
            )

    _refuse_half_of_python(python, by, quarantine)
    if observed_at is not None and (quarantine or incremental_by is not None or python):
        raise PipelineError(
            "model(): observed_at does not go with quarantine, incremental_by or python: read and "
            "compute the rows in a model before it."
        )

    def declare(transform: Callable[..., Any]) -> Model:
        if not inspect.isfunction(transform):
            raise PipelineError(
                f"@model stands above {transform!r}, which is no function, but "
                f"{type(transform).__name__}: write it above `def`."
            )
        if not transform.__module__:
            raise PipelineError(
                f"@model: function {transform.__name__!r} has no module, whose name would be the "
                'layer. Say it: `transform.__module__ = "staging"`.',
                place_of(transform),
            )
        if python:
            frame_of(transform)
        layer = transform.__module__.rpartition(".")[2]
        return Model(
            table=TableName(layer, transform.__name__),
            transform=transform,
            contract=contract,
            inputs=tuple(inspect.signature(transform).parameters),
            incremental_by=incremental_by or by,
            quarantine=quarantine,
            key_in=key_in or {},
            allow=allow or {},
            tags=tuple(tags),
            owner=owner,
            by=by,
            observed_at=observed_at,
        )

    return declare


def _refuse_half_of_python(python: bool, by: str | None, quarantine: bool) -> None:
    if python and by is None:
        raise PipelineError('model(): python=True needs the key of the rows: by="...".')
    if by is not None and not python:
        raise PipelineError(
            f"model(): by={by!r} goes with python=True; of others it is a group_by."
        )
    if python and quarantine:
        raise PipelineError("model(): python=True does not go with quarantine=True.")


def refuse_unfit_observation(built: Model, sources: Collection[str]) -> None:
    """Raise `PipelineError` for a model that cannot keep what runs see of its rows."""
    at = built.observed_at
    if at is None:
        return
    start = f"{built.table} is observed, so"
    for name, wanted in (
        (at, dt.Timestamp("UTC", 6, nullable=False)),
        (GONE, dt.Boolean(nullable=False)),
    ):
        found = built.spec.schema.get(name)
        if found != wanted:
            said = "Instant" if name == at else "bool"
            has = (
                "it has no such column" if found is None else f"that is {found.copy(nullable=True)}"
            )
            has = "that may be null" if found == wanted.copy(nullable=True) else has
            raise PipelineError(f"{start} its contract has {name}: {said}, but {has}.")
    if at not in built.spec.key or not built.seen_key or GONE in built.spec.key:
        raise PipelineError(
            f"{start} its key is what tells a thing, and {at}, without {GONE}: "
            f'`unique = ["id", {at!r}]`.'
        )
    if nullable := [name for name in built.seen_key if built.spec.schema[name].nullable]:
        raise PipelineError(f"{start} {nullable[0]}, which tells a thing, may not be null.")
    if read := [name for name in built.inputs if name in sources]:
        raise PipelineError(
            f"{start} it takes models, but {read[0]!r} is a source: read it in a model before."
        )
    for name, column in built.spec.columns.items():
        if column.references and column.orphans != "warn":
            raise PipelineError(
                f"{start} its rows stay when what they refer to is gone: {name} needs "
                "orphans='warn'."
            )


def _refuse_no_contract(contract: object) -> None:
    if inspect.isfunction(contract):
        raise PipelineError(
            f"@model stands above {contract.__name__!r} without brackets: write "
            "@model(contract=...).",
            place_of(contract),
        )
    if not (isinstance(contract, type) and issubclass(contract, Contract)):
        raise PipelineError(
            f"@model(contract={contract!r}): a contract is a class derived from Contract."
        )


def _refuse_strangers(rows: ir.Table, inputs: Mapping[str, ir.Table]) -> None:
    """Raise `PipelineError` for rows of a table that a model makes or opens by itself."""
    known = {each for table in inputs.values() for each in table.op().find(ops.PhysicalTable)}
    for table in rows.op().find((ops.UnboundTable, ops.DatabaseTable)):
        if table not in known:
            raise PipelineError(
                f"table {table.name!r} is made by itself and none of its inputs. Use its "
                "parameters, which are called like the models and sources that it reads."
            )


def _table(returned: object) -> ir.Table:
    if isinstance(returned, ir.Table):
        return returned
    kind = "None: is `return` missing?" if returned is None else f"{type(returned).__name__}."
    raise PipelineError(f"a model returns an Ibis table, this one {kind}")
