"""Files of SQLite, by Python's own driver: there each value has a type of its own."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from streampro.errors import ConfigError, EngineError, SourceError
from streampro.formats.database.session import (
    PATIENCE_S,
    ROWS_AT_ONCE,
    Asked,
    Column,
    Session,
    Table,
)
from streampro.formats.json.typed import quoted

_NUMBERS = ("integer", "real")
_STATEMENT = 1
"""SQLITE_ERROR: what is wrong with a statement, such as a view over a table that is gone."""


class SQLite(Session):
    """A file, opened for reading only."""

    def connect(self) -> None:
        """See `Session.connect`. Raises `SourceError` where there is no such file."""
        path = Path(self.address.database)
        if not path.is_file():
            raise SourceError(
                f"there is no file {path}, a database of SQLite. Nothing was published."
            )
        with self.failing(f"{self.address.shown} cannot be opened"):
            self.connection = sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=PATIENCE_S,
            )
            self.connection.text_factory = lambda text: text.decode(errors="replace")

    def begin(self) -> None:
        """See `Session.begin`."""
        with self.failing(f"{self.address.shown} cannot be opened"):
            self.connection.execute("BEGIN")
            self.connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()

    def columns(self, table: Table) -> dict[str, Column]:
        """See `Session.columns`."""
        *schema, name = table
        rows = self.fetched(
            "SELECT name, type FROM "
            f"pragma_table_xinfo({quoted(name)}, {quoted((*schema, 'main')[0])})"
        )
        return {name: Column(name, None, kind or "of no type") for name, kind in rows}

    def tables(self) -> list[str]:
        """See `Session.tables`."""
        rows = self.fetched(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
            "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
        )
        return [name for (name,) in rows]

    def text(self, asked: Asked) -> str:
        """See `Session.text`: numbers with all their digits."""
        name, kind = self.identifier(asked.column.name), asked.kind
        real = f"printf('%!.17g', {name})"
        if kind.is_decimal():  # as it was written, where that is the number
            short = f"printf('%.15g', {name})"
            real = f"CASE WHEN CAST({short} AS REAL) = {name} THEN {short} ELSE {real} END"
        blob = f"hex({name})" if kind.is_binary() else f"quote({name})"
        return (
            f"CASE typeof({name}) WHEN 'real' THEN {real} WHEN 'blob' THEN {blob} "
            f"ELSE CAST({name} AS TEXT) END"
        )

    def wrong(self, asked: Asked) -> str:
        """See `Session.wrong`."""
        kind = asked.kind
        kinds: Sequence[str] = ("text",)
        if kind.is_integer() or kind.is_boolean():
            kinds = ("integer",)
        elif kind.is_numeric():
            kinds = (*_NUMBERS, "text") if kind.is_decimal() else _NUMBERS
        elif kind.is_binary():
            kinds = ("blob",)
        right = ", ".join(f"'{each}'" for each in (*kinds, "null"))
        return f"typeof({self.identifier(asked.column.name)}) NOT IN ({right})"

    def digests(self, table: Table, asked: Sequence[Asked], part: str) -> list[tuple[Any, ...]]:
        """See `Session.digests`: it has no MD5, so its rows are read."""
        names = [self.identifier(each.column.name) for each in asked]
        row = " || ',' || ".join(  # `quote` ends a text at its first NUL
            f"typeof({name}) || ':' || CASE WHEN typeof({name}) IN ('text', 'blob') "
            f"THEN hex({name}) ELSE quote({name}) END"
            for name in names
        )
        sums: dict[int, list[int]] = {}
        for some in self.query(f"SELECT {part}, {row} FROM {self.table(table)}"):
            for number, text in some:
                found = hashlib.md5(text.encode(), usedforsecurity=False).digest()
                of_part = sums.setdefault(number, [0, 0, 0, 0])
                of_part[0] += 1
                of_part[1] += len(text)
                of_part[2] += int.from_bytes(found[:8])
                of_part[3] += int.from_bytes(found[8:])
        return [(number, *each) for number, each in sums.items()]

    def query(self, sql: str) -> Iterator[Sequence[tuple[Any, ...]]]:
        """See `Session.query`."""
        with self.failing(f"{self.address.shown} cannot be read"):
            found = self.connection.execute(sql)
            while some := found.fetchmany(ROWS_AT_ONCE):
                yield some

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """See `Session.failing`."""
        try:
            yield
        except sqlite3.OperationalError as error:
            kind = SourceError if error.sqlite_errorcode == _STATEMENT else EngineError
            raise kind(f"{what}: {error}. Nothing was published.") from error
        except sqlite3.DatabaseError as error:  # such as a file that is none
            raise SourceError(f"{what}: {error}. Nothing was published.") from error
        except sqlite3.Error as error:
            raise ConfigError(f"{what}: {error}. Nothing was published.") from error
