"""Tables of a real PostgreSQL: every type exact, replaced at once, no password shown."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from exported import ROWS, SCHEMA, TABLE, reader
from pipelines.shop import mart, raw, staging, write_raw
from servers import Postgres

import streampro
from streampro.destination import destination_of
from streampro.errors import ConfigError, EngineError, ExportError
from streampro.exports.postgres import replace_table
from streampro.modeling.model import Export
from streampro.modeling.pipeline import Pipeline


@pytest.fixture
def connection(postgres: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres.dsn, autocommit=True) as found:
        found.execute("SET timezone = 'UTC'")
        yield found
        found.execute("DROP SCHEMA IF EXISTS mart CASCADE")


@pytest.fixture
def url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the driver is told of the server, password and all."""
    monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", postgres.password)
    return destination_of(postgres.url).resolved().text


def rows(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


@pytest.mark.slow
def test_every_type_is_exact(url: str, connection: psycopg.Connection[Any]) -> None:
    assert replace_table(url, TABLE, reader(2)) == 2
    expected = {name: value for name, (_, value) in ROWS.items()} | {"counts": {"a": 1}}
    found = connection.execute("SELECT * FROM mart.kinds")
    assert [each.name for each in found.description or ()] == [*ROWS]
    assert found.fetchall() == [tuple(expected.values())] * 2
    assert expected["at_ts"] == datetime(2026, 1, 5, 10, 0, 0, 1, tzinfo=UTC)
    assert (expected["day"], expected["price"]) == (date(2026, 1, 5), Decimal("1.10"))
    kinds = rows(
        connection,
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'mart.kinds'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert [kind for (kind,) in kinds] == [
        *("text", "text", "bigint", "bigint", "double precision", "numeric(15,2)"),
        *("numeric(38,2)", "boolean", "date", "timestamp with time zone", "jsonb", "jsonb"),
        *("jsonb", "bytea", "text"),
    ]


@pytest.mark.slow
def test_readers_see_the_old_rows_or_the_new_ones(
    url: str, connection: psycopg.Connection[Any]
) -> None:
    replace_table(url, TABLE, reader(3))
    connection.execute("CREATE VIEW mart.seen AS SELECT count(*) FROM mart.kinds")

    def cut() -> Iterator[pa.RecordBatch]:
        yield from reader(2)
        assert rows(connection, "SELECT * FROM mart.seen") == [(3,)]
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        replace_table(url, TABLE, pa.RecordBatchReader.from_batches(SCHEMA, cut()))
    assert rows(connection, "SELECT * FROM mart.seen") == [(3,)]
    replace_table(url, TABLE, reader(1))  # it has the same columns, so the view stays
    assert rows(connection, "SELECT * FROM mart.seen") == [(1,)]
    other = pa.RecordBatch.from_pylist([{"a": 1}], pa.schema([("a", pa.int64())]))
    with pytest.raises(EngineError, match="other objects depend on it"):
        replace_table(url, TABLE, pa.RecordBatchReader.from_batches(other.schema, [other]))
    connection.execute("DROP VIEW mart.seen")
    replace_table(url, TABLE, pa.RecordBatchReader.from_batches(other.schema, [other]))
    assert rows(connection, "SELECT * FROM mart.kinds") == [(1,)]
    connection.execute("DROP TABLE mart.kinds; CREATE VIEW mart.kinds AS SELECT 1")
    with pytest.raises(ConfigError, match=r"mart\.kinds is no table in that database"):
        replace_table(url, TABLE, reader(1))
    connection.execute("DROP VIEW mart.kinds")
    with pytest.raises(EngineError, match=r"PostgreSQL refused mart\.kinds: .*0x00"):
        replace_table(url, TABLE, reader(1, text="a\0b"))


@pytest.mark.slow
def test_declared_export_hides_its_password(
    postgres: Postgres,
    connection: psycopg.Connection[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = Pipeline(
        "shop", [raw, staging, mart], exports=[Export("mart.revenue", to=postgres.url)]
    )
    target = streampro.Target(
        name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse"
    )
    monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", "not the password")
    with pytest.raises(ExportError, match="password authentication failed") as caught:
        streampro.run(pipeline, target)
    assert "not the password" not in str(caught.value)
    assert "${STREAMPRO_TEST_PASSWORD}" in str(caught.value)
    monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", postgres.password)
    streampro.run(pipeline, target)
    with streampro.published(target) as tables:
        expected = tables.table("mart.revenue").to_pandas()
    assert len(rows(connection, "SELECT * FROM mart.revenue")) == len(expected)
    kept = [path for path in target.warehouse.rglob("*") if path.is_file()]  # type: ignore[union-attr]
    assert not [path for path in kept if postgres.password.encode() in path.read_bytes()]
