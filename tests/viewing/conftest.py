"""Raw folders, warehouses and bound tables: what the tests of the viewing pipeline start from."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest

from streampro.config import Target
from streampro.contract import schema_of
from streampro.engine import connect
from streampro.engines.duckdb import DuckDBEngine
from streampro.history import Run
from streampro.pipeline import DUPLICATE, Model
from streampro.quarantine import Books, outcomes, rejected_lines, tally
from streampro.query import sql
from streampro.runner import run
from streampro.viewing import PIPELINE

USERS = "user_id,signup_date,subscription_tier,age_group,gender\n"
VIDEOS = "video_id,title,genre,duration_seconds\n"

Row = dict[str, Any]
Lines = Iterable[Row | str | bytes]


@dataclass(frozen=True)
class Warehouse:
    """A published run and the way to its tables."""

    run: Run
    target: Target

    def rows(self, table: str) -> list[Row]:
        return sql(f"select * from {table}", self.target).to_pylist()

    def tables(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """Every table as the multiset of its rows, in one query."""
        lists = ", ".join(
            f'(select list(t) from {item.table} t) as "{item.table}"' for item in self.run.tables
        )
        [found] = sql(f"select {lists}", self.target).to_pylist()
        return {name: multiset(rows or []) for name, rows in found.items()}

    def books(self, source: str) -> Books:
        return next(books for books in self.run.books if books.source == source)


@dataclass(frozen=True)
class Staged:
    """What one staging model makes of a raw folder, before anything is published."""

    accepted: list[Row]
    rejected: list[Row]
    lines: int
    duplicates: int
    invalid_utf8: int


def multiset(rows: Iterable[Row]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(row.items()) for row in rows)


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write a raw folder of files given as text, bytes or lines (dicts: as JSON; None: no file)."""

    def write(
        lines: Lines | None = (),
        users: str | bytes = USERS,
        videos: str | bytes = VIDEOS,
        files: dict[str, Any] | None = None,
    ) -> Path:
        raw = tmp_path_factory.mktemp("raw")
        contents = {"events.jsonl": lines, "users.csv": users, "videos.csv": videos}
        for name, content in (contents | (files or {})).items():
            if content is not None:
                path = raw / name
                path.parent.mkdir(exist_ok=True)
                data = _bytes(content)
                path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return raw

    return write


@pytest.fixture(scope="session")
def warehouse(
    raw_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Warehouse]:
    """Run the pipeline on `raw`, or on a raw folder of the given files, in a new warehouse."""

    def build(*lines: Lines, raw: Path | None = None, **files: Any) -> Warehouse:
        folder = raw or raw_folder(*lines, **files)
        place = tmp_path_factory.mktemp("warehouse")
        target = Target(name="test", raw=folder, warehouse=place)
        return Warehouse(run(PIPELINE, target), target)

    return build


class Queries:
    """Ibis expressions, compiled once because that costs most, over Arrow tables given by name."""

    def __init__(self) -> None:
        self.connection = ibis.duckdb.connect().con
        self.texts: dict[str, str] = {}

    def fetch(self, name: str, rows: Callable[[], ir.Table], **tables: pa.Table) -> pa.Table:
        if name not in self.texts:
            self.texts[name] = ibis.to_sql(rows(), dialect="duckdb")
        for parameter, table in tables.items():
            self.connection.register(parameter, table)
        return self.connection.execute(self.texts[name]).to_arrow_table()


@pytest.fixture(scope="session")
def queries() -> Queries:
    return Queries()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    """An engine for many raw folders. A run reads one, so DuckDB may cache its files there."""
    with connect(Target(name="test", warehouse=tmp_path_factory.mktemp("engine"))) as engine:
        engine.connection.execute("SET enable_external_file_cache = false")
        yield engine


@pytest.fixture(scope="session")
def stage(
    engine: DuckDBEngine, queries: Queries, raw_folder: Callable[..., Path]
) -> Callable[..., Staged]:
    """Read a raw folder and apply one staging model, without a run."""

    def read(model: Model, *lines: Lines, raw: Path | None = None, **files: Any) -> Staged:
        source = PIPELINE.sources[model.inputs[0]]
        text = engine.read_raw(source, raw or raw_folder(*lines, **files))
        given = {source.name: engine.fetch(text.table)}

        def found() -> ir.Table:
            return outcomes(model, _unbound(model), source.secret)

        def accepted() -> ir.Table:
            kept = found()
            return kept.filter(kept.rejection.isnull()).select(*schema_of(model.contract))

        counts = queries.fetch(f"{model.table} tally", lambda: tally(found()), **given)
        repeats = [
            row["lines"] - (row["outcomes"] if row["reject_reason"] is None else 0)
            for row in counts.to_pylist()
            if row["reject_reason"] in (None, DUPLICATE)
        ]
        return Staged(
            accepted=queries.fetch(str(model.table), accepted, **given).to_pylist(),
            rejected=queries.fetch(
                str(model.rejected), lambda: rejected_lines(found()), **given
            ).to_pylist(),
            lines=text.lines,
            duplicates=sum(repeats),
            invalid_utf8=text.invalid_utf8,
        )

    return read


@pytest.fixture(scope="session")
def rows_of(queries: Queries) -> Callable[..., list[Row]]:
    """Call a model with rows instead of tables; columns that a row leaves out are null."""

    def call(model: Model, **inputs: list[Row]) -> list[Row]:
        assert set(inputs) == set(model.inputs)
        given = {name: _arrow(name, rows) for name, rows in inputs.items()}
        found = queries.fetch(f"model {model.name}", lambda: _unbound(model), **given)
        return found.cast(schema_of(model.contract).to_pyarrow()).to_pylist()

    return call


def _unbound(model: Model) -> ir.Table:
    schemas = {name: source.schema for name, source in PIPELINE.sources.items()}
    schemas |= {name: schema_of(other.contract) for name, other in PIPELINE.models.items()}
    return model(**{name: ibis.table(schemas[name], name=name) for name in model.inputs})


def _arrow(name: str, rows: list[Row]) -> pa.Table:
    columns = schema_of(PIPELINE.models[name].contract).to_pyarrow()
    schema = pa.schema([(field.name, field.type) for field in columns])
    unknown = {column for row in rows for column in row} - {*schema.names}
    assert not unknown, f"{name} has no column {unknown}"
    return pa.Table.from_pylist(rows, schema=schema)


def _bytes(content: str | bytes | Lines) -> bytes:
    if isinstance(content, (str, bytes)):
        return content.encode() if isinstance(content, str) else content
    return b"".join(_line(line) + b"\n" for line in content)


def _line(line: Row | str | bytes) -> bytes:
    text = json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line
    return text.encode() if isinstance(text, str) else text
