"""The tables of databases as a run reads them: each database as one moment shows it, and what is
read of a table in a typed Parquet file beside a note of what it is.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from streampro.addresses import address_of, folder_of, table_of
from streampro.errors import ConfigError, SourceError, did_you_mean
from streampro.formats.database.session import Asked, Column, Session, Table, opened
from streampro.formats.json.typed import quoted

if TYPE_CHECKING:
    from streampro.config import Target
    from streampro.location import Location
    from streampro.modeling.source import Source
    from streampro.storage.place import FileStatus, Place

_RANGE = re.compile(r"(.*)/([^/=]+)=(-?\d+)\.\.(-?\d+)")
_BATCH = 10_000
_SHOWN = 3
_NOTES = ".json"


class Extracts:
    """What is read of databases for one run. As long as it is open each database shows what it had
    when it was first asked; tables are looked at first, and read when they are wanted.
    """

    def __init__(self, databases: Mapping[str, str], folder: Path) -> None:
        self.databases = databases
        self.folder = folder
        self.sessions: dict[str, Session] = {}
        self._columns: dict[str, dict[str, Column]] = {}
        self._rows: dict[tuple[str, str], tuple[str, str]] = {}
        """By source and path the table and the condition of what was looked at."""

    def __enter__(self) -> "Extracts":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the databases: what was read of them stays."""
        for session in self.sessions.values():
            session.close()
        self.sessions.clear()

    def location(self, source: "Source", target: "Target") -> "Location":
        """Return the folder of a source: of a database that of its extracts, else the raw one."""
        if source.is_in_database:
            return self._given(source) or self.folder
        raw = target.raw_of(source.name)
        assert raw is not None, "refused before"
        return raw

    def whole(self, source: "Source", target: "Target") -> "Location":
        """Return the same, after reading all tables of the source, where it has any."""
        if source.is_in_database:
            self.look(source)
            self.provide(source, [note["path"] for _, note in _notes(source, self.folder)])
        return self.location(source, target)

    def look(self, source: "Source", known: Iterable[str] = ()) -> None:
        """Note what the tables of a source have: of one that is only added to the rows of each part
        that runs have `known`, and those that came since.

        Raises `ConfigError` for a database that the target does not have, `SourceError` for a table
        or a column that is not there or not as it is declared, and what the database refuses.
        """
        if not source.is_in_database or self._given(source):
            return
        paths = [*known]
        for file in source.files:
            session, table = self._table(file)
            asked = self._asked(source, file)
            parts = _Parts([(file, "1 = 1")])
            if source.append_only_by is not None:
                self._refuse_odd_numbers(source, session, table, file, asked)
                parts = _parts(source, session, table, file, paths)
            found = session.fingerprints(table, asked, parts.number, len(parts.conditions))
            for (path, where), each in zip(parts.conditions, found, strict=True):
                self._rows[source.name, path] = file, where
                _note(self.folder / stored_as(source.name, path), path, each.size, each.etag)

    def provide(self, source: "Source", paths: Iterable[str]) -> None:
        """Read what is not there yet of what was looked at. Raises what `look` raises, and
        `SourceError` for rows without a key, or with that of others.
        """
        from streampro.formats.parquet.parts import session

        if not source.is_in_database or self._given(source):
            return
        places = {path: self.folder / stored_as(source.name, path) for path in paths}
        wanted = {path: place for path, place in places.items() if not place.exists()}
        if not wanted:
            return
        for file in dict.fromkeys(self._rows[source.name, path][0] for path in wanted):
            self._refuse_keys(source, *self._table(file), file)
        spill = str(self.folder / f"{source.name}.spill")
        with session(threads=None, temp_directory=spill) as duckdb:
            for path, place in wanted.items():
                with self._texts(source, *self._rows[source.name, path], place) as rows:
                    duckdb.execute(f"COPY ({rows}) TO {quoted(place)} (FORMAT parquet)")

    def _given(self, source: "Source") -> Path | None:
        """Return the folder in which the tables of a source lie already, None if there is none."""
        name, _ = table_of(source.files[0])
        return folder_of(self.databases.get(name, ""))

    def _table(self, file: str) -> tuple[Session, Table]:
        name, table = table_of(file)
        if name not in self.databases:
            raise ConfigError(
                f"{file}: the target has no database {name!r}. "
                f"{did_you_mean(name, [*self.databases])}Say where it is: [databases] "
                f'{name} = "${{{name.upper()}_URL}}" in the file of the target.'
            )
        if name not in self.sessions:
            self.sessions[name] = opened(address_of(name, self.databases[name]))
        return self.sessions[name], table

    def _asked(self, source: "Source", file: str) -> list[Asked]:
        from streampro.formats.database.values import asked_of

        session, table = self._table(file)
        if file not in self._columns:
            self._columns[file] = session.columns(table)
        columns = self._columns[file]
        if not columns:
            known = session.tables()
            name, own = ".".join(table), {each.rpartition(".")[2]: each for each in known}
            hint = did_you_mean(name, known) or did_you_mean(name, [*own])
            listed = ", ".join(known[:12]) + (", and others" if len(known) > 12 else "")
            raise SourceError(
                f"source {source.name!r}: {session.address.shown} has no table {name!r}. "
                f"{hint}Tables: {listed or 'none'}. Nothing was published."
            )
        return asked_of(source, file, columns)

    def _refuse_keys(self, source: "Source", session: Session, table: Table, file: str) -> None:
        """Raise `SourceError` for rows that have no key, and for one that several have."""
        if not source.key:
            return
        columns = [session.identifier(source.fields[name][0]) for name in source.key]
        names, of = ", ".join(source.key), session.table(table)
        empty = " OR ".join(f"{each} IS NULL" for each in columns)
        if session.one(f"SELECT 1 FROM {of} WHERE {empty} LIMIT 1"):
            raise SourceError(
                f"{file}: key {names} is null in a row. Declare the key that the table has; "
                "nothing was published."
            )
        said = ", ".join(columns)
        again = f"SELECT {said}, count(*) FROM {of} GROUP BY {said} HAVING count(*) > 1"
        if found := session.one(f"{again} ORDER BY {said} LIMIT 1"):
            *key, count = found
            raise SourceError(
                f"{file}: key {names} is repeated: {', '.join(map(str, key))} stands in {count} "
                "rows. Declare the key that the table has; nothing was published."
            )

    def _refuse_odd_numbers(
        self, source: "Source", session: Session, table: Table, file: str, asked: Sequence[Asked]
    ) -> None:
        """Raise `SourceError` for values that are no integers where rows are known by integers:
        such a row would be in no part, or in two.
        """
        column = source.fields[str(source.append_only_by)][0]
        [one] = (each for each in asked if each.column.name == column)
        odd = session.wrong(one)
        if odd and session.one(f"SELECT 1 FROM {session.table(table)} WHERE {odd} LIMIT 1"):
            raise SourceError(
                f"{file}: {column}, which grows with each row, is no integer in all of them. "
                "Nothing was published."
            )

    @contextmanager
    def _texts(self, source: "Source", file: str, where: str, place: Path) -> Iterator[str]:
        """Yield the query of rows from their texts, which lie beside a place for so long."""
        from streampro.formats.database.values import query_of

        session, table = self._table(file)
        asked = self._asked(source, file)
        text = place.with_suffix(".text")
        _write_texts(text, session.texts(table, asked, where), len(asked))
        try:
            yield query_of(source, session, asked, file, text)
        finally:
            text.unlink()


def databases_of(sources: "Iterable[Source]") -> set[str]:
    """Return the names of the databases whose tables sources read."""
    read = (source for source in sources if source.is_in_database)
    return {table_of(file)[0] for source in read for file in source.files}


def stored_as(source: str, path: str) -> str:
    """Return where below the folder of extracts a table of a source lies, or a part of one."""
    part = _RANGE.fullmatch(path)
    table = hashlib.md5((part[1] if part else path).encode(), usedforsecurity=False).hexdigest()
    return f"{source}/{table}/{f'{part[3]}..{part[4]}' if part else 'all'}.parquet"


def listed(source: "Source", raw: "Place") -> "Sequence[FileStatus]":
    """Return what is noted of a source as files; a part of a table comes after those below it."""
    notes = dict(_notes(source, raw.path))
    found = [
        replace(file, **notes[file.path], modified_ns=0, changed_ns=None)
        for file in raw.files([f"{source.name}/*/*{_NOTES}"])
    ]
    return sorted(found, key=_in_order)


def rows_of(paths: Sequence[Path]) -> dict[str, int]:
    """Return the rows of extracts by their tables."""
    import pyarrow.parquet as pq

    rows: Counter[str] = Counter()
    for path in paths:
        name = _noted(path)["path"]
        part = _RANGE.fullmatch(name)
        rows[part[1] if part else name] += pq.read_metadata(path).num_rows
    return rows


def in_table(path: Path) -> list[Path]:
    """Return all extracts of the table of one."""
    return sorted(path.parent.glob("*.parquet"))


def numbered(source: "Source", paths: Iterable[Path]) -> Iterator[tuple[int, str, str | None]]:
    """Yield the number, the text and the key of the rows of extracts."""
    import pyarrow.parquet as pq

    number = 0
    for path in paths:
        for batch in pq.ParquetFile(path).iter_batches(_BATCH, columns=["raw_line", *source.key]):
            for row in batch.to_pylist():
                number += 1
                key = ", ".join(f"{name}={row[name]}" for name in source.key)
                yield number, row["raw_line"], key or None


def deal(source: "Source", path: Path, places: Sequence[Path], dice: Random) -> None:
    """See `Format.deal`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, note = pq.read_table(path), _noted(path)
    by = source.append_only_by
    if by is None:
        dealt = np.random.default_rng(dice.randrange(2**32)).integers(len(places), size=len(rows))
        for number, place in enumerate(places):
            part = rows.filter(pa.array(dealt <= number))
            _put(part, place / stored_as(source.name, note["path"]), note["path"])
        return
    file = _RANGE.fullmatch(note["path"])
    assert file, "a part of a table that is only added to"
    rows = rows.sort_by(by)
    cuts = [len(rows) * n // len(places) for n in range(len(places) + 1)]
    for place, (start, end) in zip(places, pairwise(cuts), strict=True):
        if start == end:
            continue
        part = rows.slice(start, end - start)
        path_of = f"{file[1]}/{file[2]}={part[by][0]}..{part[by][-1]}"
        _put(part, place / stored_as(source.name, path_of), path_of)


def _put(rows: Any, place: Path, path: str) -> None:
    import pyarrow.parquet as pq

    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, place)
    content = place.read_bytes()
    _note(place, path, len(content), hashlib.sha256(content).hexdigest())


def _note(place: Path, path: str, size: int, etag: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(_NOTES).write_text(json.dumps({"path": path, "size": size, "etag": etag}))


def _notes(source: "Source", folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where below the folder a note of a source is, and what it says."""
    for path in (folder / source.name).glob(f"*/*{_NOTES}"):
        yield path.relative_to(folder).as_posix(), json.loads(path.read_text())


def _noted(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(place.with_suffix(_NOTES).read_text())
    return found


def _in_order(found: "FileStatus") -> tuple[str, int]:
    part = _RANGE.fullmatch(found.path)
    return (part[1], int(part[4])) if part else (found.path, 0)


@dataclass(frozen=True)
class _Parts:
    """The parts of a table, each with the condition of its rows, and the SQL that numbers them."""

    conditions: Sequence[tuple[str, str]]
    number: str = "0"


def _parts(
    source: "Source", session: Session, table: Table, file: str, known: Sequence[str]
) -> _Parts:
    """Return the parts of a table that is only added to: those that are known, and what is above
    them.
    """
    by = source.append_only_by
    assert by is not None
    column = source.fields[by][0]
    name, of = session.identifier(column), session.table(table)
    found = session.one(f"SELECT min({name}), max({name}), count(*), count({name}) FROM {of}")
    least, greatest, rows, given = found or (None, None, 0, 0)
    if int(rows) != int(given):
        raise SourceError(
            f"{file}: {column}, which grows with each row, is null in {int(rows) - int(given):,} "
            "of them. Nothing was published."
        )
    parts = sorted(
        (int(part[4]), path)
        for path in known
        if (part := _RANGE.fullmatch(path)) and (part[1], part[2]) == (file, column)
    )
    ends = [end for end, _ in parts]
    top = ends[-1] if ends else None
    if greatest is not None and (top is None or int(greatest) > top):
        start = int(least) if top is None else top + 1
        parts.append((int(greatest), f"{file}/{column}={start}..{int(greatest)}"))
    return _Parts(
        [
            (path, _between(name, above, end))
            for above, (end, path) in zip((None, *ends), parts, strict=False)
        ],
        numbered_in_sql(name, ends),
    )


def numbered_in_sql(name: str, ends: Sequence[int], first: int = 0) -> str:
    """Return the SQL that numbers parts by their ends, in as many steps as halving takes."""
    if not ends:
        return str(first)
    middle = len(ends) // 2
    below = numbered_in_sql(name, ends[:middle], first)
    above = numbered_in_sql(name, ends[middle + 1 :], first + middle + 1)
    return f"CASE WHEN {name} <= {ends[middle]} THEN {below} ELSE {above} END"


def _between(name: str, above: int | None, end: int) -> str:
    """Return the condition of the rows of a part; the first has all that is below it too."""
    return f"{name} <= {end}" + ("" if above is None else f" AND {name} > {above}")


def _write_texts(place: Path, batches: Iterator[Sequence[tuple[Any, ...]]], columns: int) -> None:
    """Write rows of texts, in constant memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place.parent.mkdir(parents=True, exist_ok=True)
    names = [*(f"c{number}" for number in range(columns)), "wrong"]
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(place, schema, compression="lz4") as writer:
        for rows in batches:
            arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
