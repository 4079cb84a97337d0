"""Pytest plugin for pipelines: write a test of a model once, run it on every engine.

```python
from streampro.testing import assert_rows_equal

def test_orders_of_one_day_are_one_row(engine):
    orders = engine.table([{"order_id": "a", "amount": 3}, {"order_id": "b", "amount": 4}], Orders)
    assert_rows_equal(engine.rows(daily_sales(orders=orders)), [{"amount": 7}])
```

`pytest --engines duckdb,spark` says on which engines tests that use the fixture `engine` run; the
default is every engine that is installed. All Spark tests of a run share one session.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import pytest

from streampro.engines.registry import ENGINES

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from streampro.config import Target
    from streampro.engines.protocol import Engine
    from streampro.modeling.contract import Contract
    from streampro.modeling.model import Model
    from streampro.modeling.pipeline import Pipeline
    from streampro.warehouse.ledger import Plan, Run

Row = Mapping[str, Any]
_SHOWN = 5
_WIDE = Context(prec=76)
"""Has more digits than a column; Python's own rounds to 28."""
_OF_IBIS = ("fetch_arrow_table:DeprecationWarning", "The 'future.infer_string':Warning")
"""Ibis 12 calls DuckDB's old name, and asks pandas 3 for a retired option."""
_SMALL: dict[str, str | int | bool] = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.adaptive.enabled": False,
    "spark.sql.shuffle.partitions": 2,
}
"""What makes queries on a handful of rows quick."""


class Workbench:
    """An engine under test, with a warehouse of its own."""

    def __init__(self, engine: "Engine", session: Any = None) -> None:
        self.engine = engine
        self.name = engine.name
        self.session = session

    def table(
        self, rows: Iterable[Row], contract: "type[Contract] | Model", name: str | None = None
    ) -> "ir.Table":
        """Return rows as a table with the columns of a contract (or of a model's contract).

        Columns that a row leaves out are null. Raises `ValueError` for a column that the contract
        does not have.
        """
        import pyarrow as pa

        from streampro.expressions.nulls import may_be_null
        from streampro.modeling.model import Model
        from streampro.modeling.spec import spec_of

        schema = spec_of(contract.contract if isinstance(contract, Model) else contract).schema
        given = [dict(row) for row in rows]
        if unknown := {column for row in given for column in row} - {*schema.names}:
            raise ValueError(f"the contract has no column {', '.join(sorted(unknown))}.")
        types = may_be_null(schema).to_pyarrow()
        return self.engine.load(pa.Table.from_pylist(given, schema=types), schema, name)

    def rows(self, table: "ir.Table") -> list[dict[str, Any]]:
        """Return the rows of an expression, values of the types that the expression says."""
        from streampro.engines.protocol import fetched_rows

        return fetched_rows(self.engine, table)

    def run(self, pipeline: "Pipeline", target: "Target", **options: Any) -> "Run":
        """Run a pipeline as a target says, but on the engine under test; options as of `run`."""
        from streampro.execution.runner import run

        return run(pipeline, self._own(target), session=self.session, **options)

    def plan(self, pipeline: "Pipeline", target: "Target", **options: Any) -> "Plan":
        """Plan a run on the engine under test; options as of `plan`."""
        from streampro.execution.runner import plan

        return plan(pipeline, self._own(target), session=self.session, **options)

    def _own(self, target: "Target") -> "Target":
        return target.model_copy(update={"engine": self.name})


def assert_rows_equal(actual: Iterable[Row], expected: Iterable[Row]) -> None:
    """Fail unless both hold the same rows, each as often, in any order.

    Only the columns of the expected rows are compared; without expected rows there must be none.
    Values are equal if they are and have the same type: 1 is not True. Raises `ValueError` for
    expected rows that have different columns.
    """
    wanted = [dict(row) for row in expected]
    found = [dict(row) for row in actual]
    columns = [*wanted[0]] if wanted else sorted({name for row in found for name in row})
    if any(row.keys() != {*columns} for row in wanted):
        raise ValueError("expected rows must have the same columns.")
    left, right = _counted(found, columns), _counted(wanted, columns)
    if left == right:
        return
    lines = [f"{len(found)} rows, expected {len(wanted)}."]
    for what, rows in (("missing", right - left), ("unexpected", left - right)):
        lines += [f"{what}: {row}" for row in [*rows.elements()][:_SHOWN]]
    pytest.fail("\n".join(lines))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--engines`."""
    parser.addoption(
        "--engines",
        help=f"Engines for tests with the fixture `engine`: {','.join(ENGINES)}; "
        "default: those that are installed.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse unknown engines before anything runs; pass over warnings that nobody can mend."""
    engines_of(config)
    for warning in _OF_IBIS:
        config.addinivalue_line("filterwarnings", f"ignore:{warning}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with this module's fixture `engine`, not another of that name, once per engine."""
    found = metafunc._arg2fixturedefs.get("engine", ())
    if found and found[-1].func.__module__ == __name__:
        names = engines_of(metafunc.config)
        metafunc.parametrize("engine", names, indirect=True, scope="session")


def engines_of(config: pytest.Config) -> list[str]:
    """Return the engines of a test run. Raises `UsageError` for an unknown one."""
    asked = config.getoption("--engines")
    if asked is None:
        return [name for name, entry in ENGINES.items() if entry.is_installed]
    names = [name.strip() for name in asked.split(",")]
    if unknown := [name for name in names if name not in ENGINES]:
        raise pytest.UsageError(f"--engines: no engine {', '.join(unknown)}; {', '.join(ENGINES)}")
    return names


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A Spark session with Delta Lake, one for the whole test run."""
    from streampro.config import SparkSettings
    from streampro.engines.spark.session import Session

    session = Session(SparkSettings(master="local[2]", settings={**_SMALL}))
    yield session.spark
    session.close()


@pytest.fixture(scope="session")
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workbench]:
    """The engine under test."""
    from streampro.config import Target
    from streampro.engines.registry import connect

    target = Target(name="test", engine=request.param, warehouse=tmp_path_factory.mktemp("engine"))
    session = request.getfixturevalue("spark") if request.param == "spark" else None
    with connect(target, session) as found:
        yield Workbench(found, session)


def _counted(rows: list[dict[str, Any]], columns: Sequence[str]) -> Counter[str]:
    return Counter(repr({name: _comparable(row[name]) for name in columns}) for row in rows)


def _comparable(value: Any) -> Any:
    """Return a decimal without closing zeros and an instant in UTC, also inside of a list or a
    struct: how they are written is no difference.
    """
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items()}
    if isinstance(value, list):
        return [*map(_comparable, value)]
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value.normalize(_WIDE) if isinstance(value, Decimal) else value
