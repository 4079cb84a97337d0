"""The seam between the framework and what computes and stores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from streampro.expressions.decimals import exact
from streampro.expressions.nulls import may_be_null
from streampro.formats.files import InputFile
from streampro.location import Location
from streampro.modeling.contract import Contract
from streampro.modeling.model import Model, TableName
from streampro.modeling.question import plain_rows
from streampro.modeling.source import Source
from streampro.storage.delta import Stored
from streampro.storage.place import Place


@dataclass(frozen=True)
class Raw:
    """What `read_raw` returns: the text of a source, counted.

    `by_file` counts what is not blank in a pass of its own, before anything is parsed: by plain
    Python on one machine, by a job on Spark; CSV records as they are split.
    `invalid_utf8` counts those in which bytes had to be replaced by U+FFFD. Of a source with `rows`
    it counts the elements, as Python splits them, and `holding` the lines that hold their lists.
    """

    table: ir.Table
    by_file: Mapping[str, int]
    invalid_utf8: int = 0
    holding: int | None = None

    @property
    def lines(self) -> int:
        """The lines of all files; with `rows` the elements."""
        return sum(self.by_file.values())


@dataclass(frozen=True)
class Staged:
    """Rows computed once, on disk, visible to nobody before they are published.

    `data` reads them; `payload` is the engine's own.
    """

    table: TableName
    contract: type[Contract]
    rows: int
    data: ir.Table
    payload: Any = field(repr=False)


@dataclass(frozen=True)
class Quarantined:
    """A quarantine model, split; `tally` as in `streampro.modeling.quarantine`."""

    accepted: Staged
    rejected: Staged
    tally: pa.Table


class Engine(Protocol):
    """What an engine does; all else is Ibis. Use it as a context manager, so it is closed."""

    name: str
    token: str
    """Marks the data files and commits of this engine; another has another."""

    @property
    def packages(self) -> Mapping[str, str]:
        """Return the versions of what computes, by name."""

    def find(self, source: Source, raw: Location) -> tuple[InputFile, ...]:
        """Return the files of a source in a fixed order. Raises `SourceError` if there are none."""

    def changed(self, raw: Location, files: Iterable[InputFile]) -> set[str]:
        """Return the paths of files that changed since they were found; of stores none, whose files
        are written at once.
        """

    def freeze(self, source: Source, raw: Location, files: Iterable[InputFile]) -> Location:
        """Return a folder of this machine with the files as they were found: each up to its size
        then, and the end of the last whole record in it; those of a store as they are.

        Raises `SourceError` for one that cannot be read, `EngineError` for a store that only the
        engine reaches.
        """

    def unread(self, patterns: Iterable[str], raw: Location) -> Iterator[str]:
        """Yield the files below a raw folder that fit no pattern, those of the warehouse left out,
        and hidden ones that would fit none either were they not; in a store of the first files
        only.
        """

    def read_raw(
        self, source: Source, raw: Location, files: Sequence[InputFile] | None = None
    ) -> Raw:
        """Return the lines of the source's files, or of some of them, as text.

        Raises `SourceError` for a missing or unreadable file, column or an overlong line.
        """

    def read(self, table: TableName, version: int, warehouse: Location | None = None) -> ir.Table:
        """Return a published version of a table, with canonical types; of another warehouse than
        the target's if one is given.
        """

    def parts(
        self, inputs: Mapping[str, ir.Table], keys: Mapping[str, str]
    ) -> Sequence[Mapping[str, ir.Table]]:
        """Return the inputs of a model as parts that are computed one after the other, so that each
        fits the engine's memory: all rows of some values of a key, and inputs without one in each.
        `keys` tells the column of the key, by the name of the input.
        """

    def stage(
        self, table: TableName, rows: ir.Table, contract: type[Contract], *more: ir.Table
    ) -> Staged:
        """Compute rows once, then more of them, and store them with the physical types of the
        contract.
        """

    def cache(self, rows: ir.Table) -> ir.Table:
        """Compute rows once, for this run alone, and return them."""

    def quarantine(self, model: Model, judged: ir.Table) -> Quarantined:
        """Stage the outcomes of the judged lines of a quarantine model, computing them once."""

    def accepted(self, model: Model, judged: ir.Table) -> ir.Table:
        """Compute the rows of a quarantine model once, for this run alone, and return them."""

    def publish(
        self,
        staged: Sequence[Staged],
        run: int,
        onto: int | None = None,
        personal: frozenset[str] = frozenset(),
    ) -> int:
        """Make staged rows of one table its whole content; return the new Delta version.

        With `onto` they are added to the content that the table had at that version.
        """

    def fetch(self, rows: ir.Table) -> pa.Table:
        """Return few rows: an audit, samples, an answer."""

    def load(self, rows: pa.Table, schema: ibis.Schema, name: str | None = None) -> ir.Table:
        """Return few rows as a table, the opposite of `fetch`; a name is given anew each time."""

    def progress(self) -> float:
        """Return the finished share of the running step, 0 to 1; callable from any thread."""

    def close(self) -> None:
        """Remove what was staged and not published, and let go of all resources."""

    def __enter__(self) -> Self:
        """Return the engine."""

    def __exit__(self, *_: object) -> None:
        """Close the engine."""


class SqlEngine(Engine, Protocol):
    """An engine that also answers SQL over a snapshot: the tables of one run as it pins them."""

    def show(self, tables: Mapping[TableName, Stored], allow_files: bool = False) -> None:
        """Give published versions the names `layer.table`, for `ask` and for `shown`.

        From then on nothing but their data files is read, other files only with `allow_files`.
        """

    def shown(self, table: TableName) -> ir.Table:
        """Return a table that `show` has named."""

    def batches(self, table: TableName) -> pa.RecordBatchReader:
        """Return the rows of a table that `show` has named, ordered by all columns."""

    def ask(self, query: str) -> pa.Table:
        """Return the result of a user's query, which changes nothing.

        Raises `ConfigError` for one that is wrong, for several, for what does not only read, and
        for what reads more than `show` lets it.
        """

    def where(self, rows: ir.Table, condition: str) -> ir.Table:
        """Return the rows of a table that was `read` which meet a condition, in the engine's SQL.

        Raises `ConfigError` for a condition that is wrong, for what is no expression, and for one
        with a query inside it.
        """

    def scan(self, folder: Place, version: int) -> str:
        """Return the query that reads a version of a Delta table."""

    def query(self, sql: str) -> pa.Table:
        """Return the result of a statement of ours."""


def fetched_rows(engine: Engine, query: ir.Table) -> list[dict[str, Any]]:
    """Return the few rows of an expression, values of the types that the expression says."""
    return plain_rows(fetched(engine, query))


def fetched(engine: Engine, query: ir.Table) -> pa.Table:
    """Return the few rows of an expression, columns of the types that the expression says."""
    return engine.fetch(query).cast(may_be_null(exact(query).schema()).to_pyarrow())


def row_count(engine: Engine, rows: ir.Table) -> int:
    """Return the number of rows of an expression."""
    [found] = engine.fetch(rows.aggregate(rows=rows.count())).to_pylist()
    return int(found["rows"])
