"""What an engine is: an entry of the registry, a folder, and a section of the target."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_args

import pytest
from pipelines.shop import SHOP, write_raw

import streampro
from streampro.config import Target
from streampro.engines.checked import problems_of
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.engines.protocol import Engine, SqlEngine
from streampro.engines.registry import ENGINES, Entry, compiled_query
from streampro.formats.registry import FORMATS

PACKAGE = Path(streampro.__file__).parent


class ToyEngine(DuckDBEngine):
    """An engine with a name of its own; it computes as DuckDB does, but is never asked with SQL."""

    name = "toy"
    packages = {"toy": "1.0"}


class AnyTarget(Target):
    """A target that takes an engine by any name, as `Target` would with one more."""

    engine: str  # type: ignore[assignment]


def methods(protocol: type) -> set[str]:
    members = {name for each in protocol.__mro__ for name in vars(each)}
    return {name for name in members if not name.startswith("_")} - {"name"}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Target]:
    """Register the toy; return a target of an engine with a warehouse of its own."""
    problems_of(SHOP, "duckdb")  # as may have been asked before there was a toy
    entry = Entry(f"{__name__}:ToyEngine", ENGINES["duckdb"].compiler, needs=("duckdb",))
    monkeypatch.setitem(ENGINES, "toy", entry)
    write_raw(tmp_path / "raw")

    def target(engine: str) -> Target:
        raw, warehouse = tmp_path / "raw", tmp_path / engine
        return AnyTarget(name=engine, engine=engine, raw=raw, warehouse=warehouse)

    return target


@pytest.mark.parametrize("name", ENGINES)
def test_entry_leads_to_an_engine_that_does_what_the_entry_says(name: str) -> None:
    entry = ENGINES[name]
    engine: Any = resolve_name(entry.engine)
    assert engine.name == name
    wanted = methods(SqlEngine if entry.answers_sql else Engine)
    assert {each for each in wanted if not hasattr(engine, each)} <= {"packages"}
    assert callable(resolve_name(entry.compiler))


@pytest.mark.parametrize("name", ENGINES)
def test_engine_has_a_section_of_the_target_and_a_reader_per_format(name: str) -> None:
    assert name in Target.model_fields
    assert name in get_args(Target.model_fields["engine"].annotation)
    readers = resolve_name(f"streampro.engines.{name}.readers:READERS")
    assert {*readers} == {*FORMATS}


def test_folders_of_engines_have_the_same_files() -> None:
    common = {"__init__.py", "engine.py", "compiler.py", "readers.py"}
    for name in ENGINES:
        assert common <= {path.name for path in (PACKAGE / "engines" / name).iterdir()}


@pytest.mark.slow
def test_a_third_engine_runs_the_pipeline(toy: Callable[[str], Target]) -> None:
    """It is checked, run twice, explained, and gives the rows that DuckDB gives."""
    first, second = streampro.run(SHOP, toy("toy")), streampro.run(SHOP, toy("toy"))
    other = streampro.run(SHOP, toy("duckdb"))
    assert (first.engine, first.packages["toy"], second.kind) == ("toy", "1.0", "unchanged")
    assert (first.books, first.warnings) == (other.books, other.warnings)
    for table in (item.table for item in first.tables):
        query = f"select * from {table} order by all"
        mine, yours = (streampro.sql(query, toy(name)).to_pylist() for name in ("toy", "duckdb"))
        assert mine == yours
    certificate = streampro.prove(SHOP, toy("toy"), toy("duckdb"))
    assert certificate.equal
    found = streampro.explain(SHOP, toy("toy"), "revenue.amount")
    assert {line.source for line in found.lines} == {"raw_sales"}


def test_a_third_engine_compiles_models(toy: Callable[[str], Target]) -> None:
    rows = SHOP.expressions["revenue"]
    assert compiled_query("toy", rows) == compiled_query("duckdb", rows)
