"""A database as one moment shows it: what its tables have, and their values as text."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from streampro.addresses import Address
from streampro.errors import ConfigError
from streampro.formats.json.typed import identifier

if TYPE_CHECKING:
    import ibis.expr.datatypes as dt

Table = Sequence[str]
"""The parts of a table's name: maybe a schema, and its own."""
ROWS_AT_ONCE = 10_000
PATIENCE_S = 20
"""For a database to answer, or to let others finish."""


@dataclass(frozen=True)
class Column:
    """A column: its type in Ibis' words, None where each value has its own or digits are not
    bounded, and how the database calls it. `is_read` is false for a type that is not read, `also`
    another that its values may be.
    """

    name: str
    kind: "dt.DataType | None"
    said: str
    is_read: bool = True
    also: "dt.DataType | None" = None


@dataclass(frozen=True)
class Asked:
    """A column that a field reads, and the type that it is read as."""

    column: Column
    kind: "dt.DataType"


@dataclass(frozen=True)
class Fingerprint:
    """What tells whether rows are the same: how many, their characters, and a digest that does not
    depend on their order.
    """

    rows: int
    size: int
    digest: str

    @property
    def etag(self) -> str:
        """All of it in a text."""
        return f"{self.rows}-{self.digest}"


class Session(ABC):
    """One connection and one transaction, which sees what there was when it began.

    All that a database refuses is raised as `SourceError`, `EngineError` or `ConfigError`.
    """

    connection: Any

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connect()
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def connect(self) -> None:
        """Set `connection`. Raises `ConfigError` without the driver, and for what is refused of the
        address; `EngineError` where the database does not answer.
        """

    @abstractmethod
    def begin(self) -> None:
        """Begin the transaction."""

    @abstractmethod
    def columns(self, table: Table) -> dict[str, Column]:
        """Return the columns of a table or view; none where there is no such table."""

    @abstractmethod
    def tables(self) -> list[str]:
        """Return the names of tables, as sources say them."""

    @abstractmethod
    def text(self, asked: Asked) -> str:
        """Return the SQL of a value as text; bytes are hexadecimal, lists JSON."""

    def wrong(self, asked: Asked) -> str | None:
        """Return the SQL that tells a value of another type than its column's, None where no value
        can be.
        """
        return None

    @abstractmethod
    def digests(self, table: Table, asked: Sequence[Asked], part: str) -> list[tuple[Any, ...]]:
        """Return, for each value of the SQL `part` that rows have, that value, the number of such
        rows, their characters, and two sums of halves of their MD5.
        """

    @abstractmethod
    def query(self, sql: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield the rows of a query, some at a time."""

    @abstractmethod
    def failing(self, what: str) -> AbstractContextManager[None]:
        """Raise an error of ours for one of the database."""

    def close(self) -> None:
        """End the transaction and the connection."""
        self.connection.close()

    def identifier(self, name: str) -> str:
        """Return the SQL of a name."""
        return identifier(name)

    def table(self, table: Table) -> str:
        """Return the SQL of a table's name."""
        return ".".join(map(self.identifier, table))

    def fingerprints(
        self, table: Table, asked: Sequence[Asked], part: str, parts: int
    ) -> list[Fingerprint]:
        """Return what tells whether the rows of each part are the same, in what is asked of them;
        it includes the types of the columns. The SQL `part` numbers the parts from 0.
        """
        types = [(each.column.name, each.column.said) for each in asked]
        found = {int(number): values for number, *values in self.digests(table, asked, part)}
        made = []
        for number in range(parts):
            rows, size, *sums = found.get(number, (0, 0, 0, 0))
            told = sha256(repr((types, [str(int(each)) for each in sums])).encode()).hexdigest()
            made.append(Fingerprint(int(rows), int(size), told[:32]))
        return made

    def texts(
        self, table: Table, asked: Sequence[Asked], where: str
    ) -> Iterator[Sequence[tuple[Any, ...]]]:
        """Yield rows: a text per column, and a list, as `,0,2,`, of those whose value is none of
        its type, or null.
        """
        values = ", ".join(self.text(each) for each in asked)
        tests = [(number, self.wrong(each)) for number, each in enumerate(asked)]
        cases = [f"CASE WHEN {sql} THEN ',{number},' ELSE '' END" for number, sql in tests if sql]
        odd = " || ".join(cases) if cases else "NULL"
        yield from self.query(f"SELECT {values}, {odd} FROM {self.table(table)} WHERE {where}")

    def fetched(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, few of them."""
        return [row for rows in self.query(sql) for row in rows]

    def one(self, sql: str) -> tuple[Any, ...] | None:
        """Return the first row of a query, None if it has none."""
        for rows in self.query(sql):
            for row in rows:
                return row
        return None


def opened(address: Address) -> Session:
    """Connect to a database. Raises `ConfigError` without its driver, and for what it refuses of
    the address; `EngineError` where it does not answer.
    """
    if address.kind == "sqlite":
        from streampro.formats.database.sqlite import SQLite

        return SQLite(address)
    if address.kind == "postgresql":
        from streampro.formats.database.postgres import Postgres

        return Postgres(address)
    from streampro.formats.database.mysql import MySQL

    return MySQL(address)


def missing_driver(what: str, extra: str) -> ConfigError:
    """Return the error for a package that is not there."""
    return ConfigError(f"{what} needs a further package: pip install 'streampro[{extra}]'.")
