"""Raw folders, warehouses and bound tables: what the tests of the viewing pipeline start from."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streampro.config import Target
from streampro.execution.runner import run
from streampro.modeling.model import DUPLICATE, Model
from streampro.modeling.quarantine import (
    COPIES,
    REJECTION,
    UNREADABLE_LINES,
    Books,
    judged,
    outcomes,
)
from streampro.testing import Workbench
from streampro.viewing import PIPELINE
from streampro.warehouse.published import sql
from streampro.warehouse.run import Run

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
LENIENT = PIPELINE.without_limits()
"""For the few lines of a test, all of which may be odd."""
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
    unreadable: int


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
        return Warehouse(run(LENIENT, target), target)

    return build


@pytest.fixture(scope="session")
def sample_run(warehouse: Callable[..., Warehouse]) -> Warehouse:
    """A run of the sample, which tests only read."""
    return warehouse(raw=SAMPLE)


@pytest.fixture(scope="session")
def warehouse_of(
    engine: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Warehouse]:
    """Run the pipeline on a raw folder in a new warehouse, on the engine under test."""

    def build(raw: Path) -> Warehouse:
        target = Target(name="test", raw=raw, warehouse=tmp_path_factory.mktemp("warehouse"))
        return Warehouse(engine.run(LENIENT, target), target)

    return build


@pytest.fixture(scope="session")
def stage(engine: Workbench, raw_folder: Callable[..., Path]) -> Callable[..., Staged]:
    """Read a raw folder and apply one staging model on the engine under test, without a run."""

    def read(model: Model, *lines: Lines, raw: Path | None = None, **files: Any) -> Staged:
        source = PIPELINE.sources[model.inputs[0]]
        text = engine.engine.read_raw(source, raw or raw_folder(*lines, **files))
        found = engine.rows(outcomes(judged(model, model(text.table), source.secret)))
        accepted = [row for row in found if row[REJECTION] is None]
        rejected = [
            (row, *row[REJECTION].split("\x1f", 2)) for row in found if row[REJECTION] is not None
        ]
        return Staged(
            accepted=[{name: row[name] for name in model.spec.schema} for row in accepted],
            rejected=[
                {"reject_reason": reason, "raw_line": line, "source_file": file}
                for row, reason, file, line in sorted(rejected, key=lambda each: each[1:])
                if reason != DUPLICATE
                for _ in range(row[COPIES])
            ],
            lines=text.lines,
            duplicates=sum(row[COPIES] - 1 for row in accepted)
            + sum(row[COPIES] for row, reason, *_ in rejected if reason == DUPLICATE),
            invalid_utf8=text.invalid_utf8,
            unreadable=sum(row[UNREADABLE_LINES] for row in found),
        )

    return read


@pytest.fixture(scope="session")
def rows_of(engine: Workbench) -> Callable[..., list[Row]]:
    """Call a model with rows instead of tables; columns that a row leaves out are null."""

    def call(model: Model, **inputs: list[Row]) -> list[Row]:
        assert set(inputs) == set(model.inputs)
        tables = {
            name: engine.table(rows, PIPELINE.models[name], name) for name, rows in inputs.items()
        }
        return engine.rows(model(**tables))

    return call


def _bytes(content: str | bytes | Lines) -> bytes:
    if isinstance(content, (str, bytes)):
        return content.encode() if isinstance(content, str) else content
    return b"".join(_line(line) + b"\n" for line in content)


def _line(line: Row | str | bytes) -> bytes:
    text = json.dumps(line, ensure_ascii=False) if isinstance(line, dict) else line
    return text.encode() if isinstance(text, str) else text
