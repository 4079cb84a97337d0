"""Tables of real databases as sources: one read, every type exact, what changed found."""

import json
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings, strategies as st
from pipelines.tables import pipeline_of
from published import contents
from servers import MariaDB, Postgres

import streampro
from streampro import Instant, Pipeline, Source, Target
from streampro.addresses import address_of, table_of
from streampro.config import OpenLineageSettings
from streampro.engines.registry import connect
from streampro.errors import ConfigError, EngineError, PipelineError, SourceError
from streampro.execution.progress import Unwatched
from streampro.formats.database.extracts import numbered_in_sql
from streampro.modeling.model import TableName
from streampro.testing import Workbench
from streampro.warehouse.folders import extracted

KINDS = ("sqlite", "postgresql", "mysql")
CASTS = {
    "sqlite": ("timestamp", "text"),
    "postgresql": ("timestamptz", "text"),
    "mysql": ("datetime(6)", "varchar(40)"),
}


@dataclass
class Shop:
    """A database with the tables of `pipelines.tables`, and a target that reads it."""

    kind: str
    url: str
    connection: Any
    target: Target
    made: list[str] = field(default_factory=list)

    def execute(self, *statements: str) -> None:
        with closing(self.connection.cursor()) as cursor:
            for each in statements:
                cursor.execute(each)
        self.connection.commit()

    def fill(self) -> None:
        instant, text = CASTS[self.kind]
        self.execute(
            "CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, "
            f"price numeric(12,2), at {instant}, note {text})",
            f"CREATE TABLE customers (id bigint PRIMARY KEY, name {text})",
            "INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bo')",
            "INSERT INTO orders VALUES (1, 1, 1.10, '2026-01-01 10:00:00', 'a'), "
            "(2, 2, 0.29, '2026-01-02 10:00:00.000001', NULL), (3, 1, 5, NULL, '')",
        )


@pytest.fixture(params=KINDS)
def shop(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    connection: Any
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/shop ä.db"
        connection = sqlite3.connect(tmp_path / "shop ä.db")
        clean: tuple[str, ...] = ()
    elif request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", server.password)
        url, connection = server.url, psycopg.connect(server.dsn)
        clean = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    else:
        maria: MariaDB = request.getfixturevalue("mariadb")
        monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", maria.password)
        url, connection = maria.url, maria.connect()
        clean = ("DROP DATABASE shop", "CREATE DATABASE shop", "USE shop")
    target = Target(name="test", warehouse=tmp_path / "warehouse", databases={"shop": url})
    with closing(connection):
        found = Shop(request.param, url, connection, target)
        yield found
        connection.rollback()
        found.execute(*clean)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shop", "append_only"),
    [
        ("sqlite", True),
        ("postgresql", False),
        ("mysql", True),
        pytest.param("sqlite", False, marks=pytest.mark.thorough),
        pytest.param("postgresql", True, marks=pytest.mark.thorough),
    ],
    indirect=["shop"],
)
def test_every_change_is_found_and_incremental_runs_equal_a_full_one(
    shop: Shop, append_only: bool, tmp_path: Path
) -> None:
    shop.fill()
    pipeline = pipeline_of(append_only=append_only)
    first = streampro.run(pipeline, shop.target)
    [books] = first.books
    assert (books.lines, books.accepted) == (3, 3)
    assert contents(shop.target)["staging.orders"] == [
        {"id": 1, "customer": 1, "price": Decimal("1.10"), "at": at(1), "note": "a"},
        {"id": 2, "customer": 2, "price": Decimal("0.29"), "at": at(2, 1), "note": None},
        {"id": 3, "customer": 1, "price": Decimal("5.00"), "at": None, "note": ""},
    ]
    assert streampro.run(pipeline, shop.target).run_id == first.run_id, "nothing is new"
    changed = ["shop/orders changed", "shop/customers changed"]
    added = "1 new file" if append_only else changed[0]
    for statement, table, reason in (
        ("INSERT INTO orders VALUES (5, 2, 7, NULL, 'new')", "staging.orders", added),
        ("UPDATE orders SET note = 'other' WHERE id = 2", "staging.orders", None),
        ("INSERT INTO orders VALUES (4, 2, 7, NULL, 'below')", "staging.orders", None),
        ("DELETE FROM orders WHERE id = 5", "staging.orders", None),
        ("UPDATE customers SET name = 'Bob' WHERE id = 2", "staging.customers", changed[1]),
    ):
        shop.execute(statement)
        run = streampro.run(pipeline, shop.target)
        [change] = [each for each in run.changes if each.table == table]
        assert change.reason == reason or (reason is None and change.reason.endswith("changed"))
        assert (change.mode == "incremental") == (change.reason == "1 new file")
        fresh = shop.target.model_copy(update={"warehouse": tmp_path / f"full {run.run_id}"})
        streampro.run(pipeline, fresh)
        assert contents(shop.target) == contents(fresh)
    assert [
        (move.table, move.reason) for move in streampro.plan(pipeline, shop.target).changes
    ] == [
        (table, "nothing it is built from changed")
        for table in ("staging.orders", "staging.customers", "mart.spent")
    ]
    assert not [*(shop.target.warehouse / "_streampro").glob("scratch/*")]


def at(day: int, us: int = 0) -> datetime:
    return datetime(2026, 1, day, 10, 0, 0, us, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shop", "append_only"),
    [
        ("sqlite", True),
        pytest.param("postgresql", False, marks=pytest.mark.thorough),
        pytest.param("mysql", True, marks=pytest.mark.thorough),
    ],
    indirect=["shop"],
)
def test_a_number_is_explained_down_to_table_and_key(shop: Shop, append_only: bool) -> None:
    shop.fill()
    pipeline = pipeline_of(append_only=append_only)
    streampro.run(pipeline, shop.target)
    found = streampro.explain(pipeline, shop.target, "spent", "customer = 1")
    assert [(line.file, line.row) for line in found.lines] == [
        ("shop/customers", "id=1"),
        ("shop/orders", "id=1"),
        ("shop/orders", "id=3"),
    ]
    shop.execute("INSERT INTO orders VALUES (9, 1, 7, NULL, 'new')")
    streampro.run(pipeline, shop.target)
    found = streampro.explain(pipeline, shop.target, "spent", "customer = 1")
    assert [line.row for line in found.lines if line.file == "shop/orders"] == [
        "id=1",
        "id=3",
        "id=9",
    ]
    shop.execute("DELETE FROM orders WHERE id = 1")
    notes = streampro.explain(pipeline, shop.target, "spent").notes
    assert "changed since run 2" in notes[0]
    assert streampro.show(pipeline, shop.target, "spent").to_pylist()[0]["orders"] == 2
    if shop.kind == "sqlite":
        assert streampro.check_incremental(pipeline, shop.target, parts=2).runs == 2


KEPT: dict[str, dict[str, tuple[str, str, Any, str, Any]]] = {
    "sqlite": {
        "whole": ("integer", "int64", 2**63 - 1, "'x'", None),
        "part": ("real", "float64", 0.1, "'1'", 1.0),
        "price": ("decimal(12,2)", "decimal(12, 2)", "1.10", "1.005", None),
        "flag": ("boolean", "boolean", True, "2", None),
        "day": ("date", "date", "'2026-01-05'", "'2026-02-30'", None),
        "said": ("text", "string", "'é'", "x'00ff'", None),
        "raw": ("blob", "binary", "x'00ff'", "'text'", None),
        "loose": ("", "int64", "5", "5.0", None),
        "tiny": ("real", "decimal(12, 5)", "1e-5", "1.5e-5", None),
        "large": ("real", "decimal(38, 0)", "1e22", "1e99", None),
        "endless": ("real", "float64", "-9e999", "'9'", 9.0),
    },
    "postgresql": {
        "whole": ("bigint", "int64", 2**63 - 1, "NULL", None),
        "part": ("double precision", "float64", 0.1, "'Infinity'", float("inf")),
        "price": ("numeric", "decimal(12, 2)", "1.10", "1.005", None),
        "digits": ("numeric", "decimal(12, 2)", "1.10", "'NaN'", None),
        "flag": ("boolean", "boolean", True, "NULL", None),
        "day": ("date", "date", "'2026-01-05'", "'infinity'", None),
        "at": ("timestamptz", "timestamp", "'2026-01-05 12:00:00+02'", "'-infinity'", None),
        "plain": ("timestamp", "timestamp", "'2026-01-05 10:00:00'", "'0044-03-15 10:00 BC'", None),
        "said": ("char(5)", "string", "'é'", "NULL", None),
        "id_": ("uuid", "string", "'00000000-0000-0000-0000-00000000000a'", "NULL", None),
        "doc": ("jsonb", "string", """'{"a": 1}'""", "NULL", None),
        "raw": ("bytea", "binary", r"'\x00ff'", "''", b""),
        "list": ("integer[]", "array<int64>", "'{1,2}'", "'{{1,2},{3,4}}'", None),
        "words": ("text[]", "array<string>", """'{a,"b,c"}'""", "'{}'", []),
    },
    "mysql": {
        "whole": ("int unsigned", "int64", 2**32 - 1, "NULL", None),
        "huge": ("bigint unsigned", "decimal(20, 0)", 2**64 - 1, "NULL", None),
        "part": ("double", "float64", 0.1, "1e300", 1e300),
        "less": ("float", "float64", 0.5, "1.1", 1.100000023841858),
        "price": ("decimal(12,2)", "decimal(12, 2)", "1.10", "NULL", None),
        "flag": ("tinyint(1)", "boolean", True, "2", None),
        "bit": ("bit(1)", "boolean", True, "b'0'", False),
        "small": ("tinyint(1)", "int64", 5, "NULL", None),
        "day": ("date", "date", "'2026-01-05'", "'0000-00-00'", None),
        "part_day": ("date", "date", "'2026-01-05'", "'2026-00-00'", None),
        "at": ("timestamp(6) NULL", "timestamp", "'2026-01-05 10:00:00'", "NULL", None),
        "said": ("text", "string", "'é'", "''", ""),
        "doc": ("json", "string", """'{"a": 1}'""", "NULL", None),
        "word": ("enum('a','b')", "string", "'a'", "NULL", None),
        "raw": ("varbinary(9)", "binary", "x'00ff'", "NULL", None),
        "time": ("time", "string", "'-800:00:00'", "NULL", None),
    },
}
"""A column each: how a database declares it, as what it is read, a value, another that is read as
what stands last: null where it is no value of that type, so that its row is unreadable.
"""
READ = {
    "price": Decimal("1.10"),
    "digits": Decimal("1.10"),
    "huge": Decimal(2**64 - 1),
    "day": date(2026, 1, 5),
    "part_day": date(2026, 1, 5),
    "at": datetime(2026, 1, 5, 10, tzinfo=UTC),
    "plain": datetime(2026, 1, 5, 10, tzinfo=UTC),
    "raw": b"\x00\xff",
    "loose": 5,
    "tiny": Decimal("0.00001"),
    "large": Decimal(10) ** 22,
    "endless": float("-inf"),
    "list": [1, 2],
    "words": ["a", "b,c"],
}


@pytest.mark.slow
def test_values_of_every_type_are_exact_or_unreadable(shop: Shop) -> None:
    kinds = KEPT[shop.kind]
    quote = "`" if shop.kind == "mysql" else '"'
    columns = ", ".join(f"{quote}{name}{quote} {kind}" for name, (kind, *_) in kinds.items())
    good = ", ".join(str(value) for _, _, value, *_ in kinds.values())
    if shop.kind == "mysql":
        shop.execute("SET sql_mode = '', time_zone = '+00:00'")
    shop.execute(
        f"CREATE TABLE kinds (id bigint PRIMARY KEY, {columns})",
        f"INSERT INTO kinds VALUES (0, {good})",
        *(
            f"INSERT INTO kinds (id, {quote}{name}{quote}) VALUES ({number}, {other})"
            for number, (name, (_, _, _, other, _)) in enumerate(kinds.items(), 1)
        ),
    )
    source = source_of(kinds, key=("id",))
    with (
        extracted([source], shop.target) as extracts,
        connect(shop.target) as engine,
    ):
        table = engine.read_raw(source, extracts.whole(source, None)).table
        rows = engine.fetch(table.order_by("id")).to_pylist()
    assert {name: rows[0][name] for name in kinds} == {
        name: READ.get(name, value.strip("'") if isinstance(value, str) else value)
        for name, (_, _, value, *_) in kinds.items()
    }
    assert not rows[0]["is_unreadable"]
    for row, (name, (_, _, _, other, read)) in zip(rows[1:], kinds.items(), strict=True):
        assert (row[name], row["is_unreadable"]) == (read, read is None and other != "NULL"), name
        assert row["source_file"] == "shop/kinds"
    for row in rows:
        json.loads(row["raw_line"], parse_constant=pytest.fail)


def typed(kind: str) -> Any:
    return Instant if kind == "timestamp" else kind


def source_of(kinds: dict[str, Any], **options: Any) -> Source:
    """Return the source that reads a table with a column of each kind."""
    return Source(
        "kinds",
        ("shop/kinds",),
        "database",
        {name: (name,) for name in ("id", *kinds)},
        types={"id": "int64"} | {name: typed(kind) for name, (_, kind, *_) in kinds.items()},
        **options,
    )


REFUSED = [
    ({"table": "nope"}, "has no table 'nope'. Tables: "),
    ({"table": "order"}, "Did you mean '(public.)?orders'"),
    ({"fields": {"id": ("idd",)}}, "shop/orders has no column 'idd'.* Did you mean 'id'"),
    ({"key": ("customer",)}, "key customer is repeated: 1 stands in 2 rows"),
    ({"key": ("note",)}, "key note is null in a row"),
    ({"by": "customer_"}, "customer, which grows with each row, is null in 1 of them"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_what_cannot_be_read_is_one_clear_error(
    shop: Shop, given: dict[str, Any], said: str
) -> None:
    shop.fill()
    names = {name: (name,) for name in ("id", "customer", "note")} | given.get("fields", {})
    if given.get("by"):
        shop.execute("UPDATE orders SET customer = NULL WHERE id = 3")
    source = Source(
        "raw_orders",
        (f"shop/{given.get('table', 'orders')}",),
        "database",
        names,
        types={"id": "int64", "customer": "int64"},
        key=given.get("key", ()),
        append_only_by="customer" if given.get("by") else None,
    )
    with pytest.raises(SourceError, match=said) as error, extracted([source], shop.target) as found:
        found.whole(source, None)
    assert "Nothing was published" in str(error.value) or "nothing was published" in str(
        error.value
    )
    assert "pass" not in str(error.value)


@pytest.mark.slow
def test_views_and_odd_names_are_read_and_an_empty_table_too(shop: Shop) -> None:
    shop.fill()
    quote = "`" if shop.kind == "mysql" else '"'
    odd = f"{quote}Odd. name; 'x' ä%{quote}"
    column = f"{quote}a b.c%s{quote}"
    schema = {"sqlite": "main.", "postgresql": "public.", "mysql": "shop."}[shop.kind]
    shop.execute(
        f"CREATE TABLE {odd} ({column} bigint)",
        f"INSERT INTO {odd} VALUES (7)",
        "CREATE VIEW few AS SELECT id FROM orders WHERE id < 3",
        "CREATE TABLE empty (id bigint)",
    )
    for name, place, rows in (
        (f"{schema}\"Odd. name; 'x' ä%\"", "a b.c%s", [7]),
        ("few", "id", [1, 2]),
        ("empty", "id", []),
    ):
        source = Source("raw", (f"shop/{name}",), "database", {"n": (place,)}, types={"n": "int64"})
        with (
            extracted([source], shop.target) as extracts,
            connect(shop.target) as engine,
        ):
            raw = engine.read_raw(source, extracts.whole(source, None))
            found = engine.fetch(raw.table.order_by("n")).to_pylist()
            assert ([row["n"] for row in found], raw.lines) == (rows, len(rows))


@pytest.mark.slow
def test_a_run_sees_all_tables_as_one_moment_shows_them(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.fill()
    if shop.kind == "sqlite":
        shop.execute("PRAGMA journal_mode = wal")  # others write while it is read
    sources = [*pipeline_of().sources.values()]
    with extracted(sources, shop.target) as extracts, connect(shop.target) as engine:
        extracts.look(sources[0])
        shop.execute("DELETE FROM customers", "INSERT INTO orders VALUES (7, 1, 1, NULL, 'later')")
        counts = [engine.read_raw(each, extracts.whole(each, None)).lines for each in sources]
    assert counts == [3, 2]


UNLIKE = {
    "sqlite": [
        ("note", "array<int64>", "does not convert exactly to array<int64>"),
    ],
    "postgresql": [
        ("price", "string", r"numeric\(12,2\), .*types={'price': 'decimal\(12, 2\)'}"),
        ("id", "int32", r"bigint, .*types={'id': 'int64'}"),
        ("spot", "string", "column 'spot' is point, which is not read, for field 'spot'. Make a v"),
        ("loose", "float64", r"is numeric, .*types={'loose': 'decimal\(38, 9\)'}"),
    ],
    "mysql": [
        ("price", "float64", r"decimal\(12,2\), .*types={'price': 'decimal\(12, 2\)'}"),
        ("spot", "string", "column 'spot' is point, which is not read, for field 'spot'. Make a v"),
        ("huge", "int64", r"bigint\(20\) unsigned, .*types={'huge': 'uint64'}"),
    ],
}


@pytest.mark.slow
def test_a_column_of_another_type_says_what_to_declare(shop: Shop) -> None:
    shop.fill()
    if shop.kind != "sqlite":
        more = "loose numeric" if shop.kind == "postgresql" else "huge bigint unsigned"
        shop.execute(f"ALTER TABLE orders ADD COLUMN spot point, ADD COLUMN {more}")
    for name, kind, said in UNLIKE[shop.kind]:
        source = Source("raw", ("shop/orders",), "database", {name: (name,)}, types={name: kind})
        with pytest.raises(SourceError, match=said), extracted([source], shop.target) as extracts:
            extracts.look(source)


@pytest.mark.slow
def test_what_no_table_has_is_said_by_its_database(shop: Shop, tmp_path: Path) -> None:
    shop.fill()
    pipeline = pipeline_of()
    for databases, kind, said in (
        ({}, ConfigError, r'no database \'shop\'.*\[databases\] shop = "\${SHOP_URL}"'),
        ({"shopp": shop.url}, ConfigError, "Did you mean 'shopp'"),
        ({"shop": "${NOT_SET}"}, ConfigError, r"database 'shop' uses \${NOT_SET}, which is not"),
    ):
        target = shop.target.model_copy(update={"databases": databases})
        with pytest.raises(kind, match=said):
            streampro.run(pipeline, target)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_no_message_and_no_ledger_shows_a_password(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    pipeline = pipeline_of()
    right, wrong = server.password, "wrong/@ word"
    port = str(server.port)
    for variable, url, error, said in (
        (wrong, server.url, ConfigError, "[Pp]assword|Access denied"),
        (right, server.url.replace(port, "1"), EngineError, "does not answer"),
        (right, server.url.replace("streampro:", "nobody:"), ConfigError, "nobody"),
        (right, server.url.rpartition("/")[0] + "/nope", ConfigError, "nope"),
    ):
        monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", variable)
        target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
        with pytest.raises(error, match=said) as raised:
            streampro.run(pipeline, target)
        assert variable not in str(raised.value)
        assert "Nothing was published" in str(raised.value)
        assert variable not in repr(target)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_table_that_may_not_be_read_is_an_error_of_the_source(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb")
    connection = (
        psycopg.connect(server.dsn, autocommit=True) if kind == "postgresql" else server.connect()
    )
    monkeypatch.setenv("STREAMPRO_TEST_PASSWORD", "few")
    at_host = "" if kind == "postgresql" else "@'127.0.0.1'"
    make = "LOGIN PASSWORD" if kind == "postgresql" else "IDENTIFIED BY"
    url = server.url.replace("streampro:", "guest:")
    source = Source("raw", ("shop/hidden",), "database", {"id": ("id",)}, types={"id": "int64"})
    target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE hidden (id bigint)")
        cursor.execute("CREATE TABLE open (id bigint)")
        cursor.execute(f"CREATE USER guest{at_host} {make} 'few'")
        if kind == "postgresql":
            cursor.execute("GRANT USAGE ON SCHEMA public TO guest")
        cursor.execute(f"GRANT SELECT ON open TO guest{at_host}")
        said = "permission denied for table hidden" if kind == "postgresql" else "no table 'hidden'"
        try:
            with pytest.raises(SourceError, match=said), extracted([source], target) as extracts:
                extracts.look(source)
        finally:
            cursor.execute("DROP TABLE hidden")
            cursor.execute("DROP TABLE open")
            if kind == "postgresql":
                cursor.execute("DROP OWNED BY guest")
            cursor.execute(f"DROP USER guest{at_host}")


def test_a_view_over_a_table_that_is_gone_is_an_error_of_the_source(
    untyped: tuple[Pipeline, Target, Callable[[str], object]],
) -> None:
    pipeline, target, execute = untyped
    execute("ALTER TABLE orders RENAME TO sold")
    execute("CREATE VIEW orders AS SELECT * FROM sold")
    execute("DROP TABLE sold")
    with pytest.raises(SourceError, match=r"no such table: main\.sold"):
        streampro.run(pipeline, target)


@settings(max_examples=50)
@given(st.sets(st.integers(-20, 20), max_size=9), st.lists(st.integers(-25, 25), max_size=30))
def test_rows_are_of_the_first_part_that_does_not_end_below_them(
    ends: set[int], values: list[int]
) -> None:
    parts = sorted(ends)
    with closing(sqlite3.connect(":memory:")) as connection:
        for value in values:
            [[found]] = connection.execute(
                f"SELECT {numbered_in_sql('id', parts)} FROM (SELECT {value} AS id)"
            )
            assert found == bisect_left(parts, value)


@pytest.mark.slow
def test_a_table_in_hundreds_of_parts_is_read_as_one(
    untyped: tuple[Pipeline, Target, Callable[[str], object]], tmp_path: Path
) -> None:
    _, target, execute = untyped
    execute("UPDATE orders SET note = NULL")
    source = Source(
        "raw_orders",
        ("shop/orders",),
        "database",
        {"id": ("id",)},
        types={"id": "int64"},
        append_only_by="id",
    )
    known: list[str] = []
    for end in range(2, 400, 2):
        execute(f"INSERT INTO orders (id) VALUES ({end + 1}), ({end + 2})")
        known.append(f"shop/orders/id={end - 1}..{end}")
    with extracted([source], target) as extracts, connect(target) as engine:
        extracts.look(source, known)
        found = engine.find(source, extracts.location(source, None))
        assert len(found) == len(known) + 1
        extracts.provide(source, [file.path for file in found])
        rows = engine.fetch(engine.read_raw(source, extracts.location(source, None)).table)
    assert sorted(rows["id"].to_pylist()) == [*range(1, 401)]


@pytest.mark.slow
def test_a_database_is_let_go_once_its_rows_are_read(
    untyped: tuple[Pipeline, Target, Callable[[str], object]],
) -> None:
    pipeline, target, execute = untyped
    built: list[str] = []

    class Writes(Unwatched):
        def staged(self, table: TableName, rows: int, seconds: float) -> None:
            execute(f"INSERT INTO customers VALUES ({10 + len(built)}, 'a customer of today')")
            built.append(str(table))

    streampro.run(pipeline, target, watcher=Writes())
    assert "staging.customers" in built


@pytest.mark.slow
def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough" * 50)
    for name, error in (("text.db", "file is not a database"), ("nope.db", "there is no file")):
        url = f"sqlite:///{tmp_path / name}"
        target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
        with pytest.raises(SourceError, match=error):
            streampro.run(pipeline_of(), target)


def test_what_a_declaration_cannot_mean_is_refused() -> None:
    def source(file: str = "shop/orders", **options: Any) -> Source:
        fields = options.pop("fields", {"id": ("id",), "note": ("note",)})
        return Source("raw", (file,), options.pop("format", "database"), fields, **options)

    for options, said in (
        ({"file": "orders"}, "must be a database of the target and a table in it"),
        ({"file": "shop/a.b.c"}, "must be a database of the target"),
        ({"fields": {"id": ("a", "b")}}, "the name of one column, such as"),
        ({"key": ("idd",)}, "one of the fields. Did you mean 'id'"),
        ({"append_only_by": "note"}, "a field of integers"),
        ({"format": "csv", "key": ("id",)}, "left out: it is for format 'database'"),
        ({"types": {"id": "struct<a: int64>"}}, "JSON"),
        ({"key": ("id",), "secret": ("ID",)}, "'id' is secret, so rows cannot be known by it"),
        (
            {"append_only_by": "id", "types": {"id": "int64"}, "fields": {"id": ("a/b",)}},
            "without / and =",
        ),
    ):
        with pytest.raises(PipelineError, match=said):
            source(**options)
    for url, said in (
        ("oracle://host/db", "must be sqlite:///file.db"),
        ("postgre://host/db", "Did you mean 'postgres'"),
        ("extracted:///tmp", "must be sqlite:///file.db"),
        ("postgresql://me:sesame@host/db", "a password stands in the environment"),
        ("postgress://me:sesame@host/db", "a password stands in the environment"),
        ("postgresql://me:sesame$@host/db", "a password stands in the environment"),
        ("postgresql://me:se#c/sesame@host/db", "a password stands in the environment"),
        ("postgresql://me@host/db?password=sesame", "a password stands in the environment"),
        ("postgresql://me@host/db?sslpassword=sesame", "a password stands in the environment"),
    ):
        with pytest.raises(ConfigError, match=said) as raised:
            Target(name="t", databases={"shop": url})
        assert "sesame" not in str(raised.value)


@pytest.fixture
def untyped(tmp_path: Path) -> Iterator[tuple[Pipeline, Target, Callable[[str], object]]]:
    """A pipeline over tables of SQLite in which any column holds anything."""
    url = f"sqlite:///{tmp_path}/shop.db"
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as shop:
        shop.executescript(
            "CREATE TABLE orders (id, customer, price, at, note);"
            "CREATE TABLE customers (id, name);"
            "INSERT INTO orders VALUES (1, 1, 1, NULL, 'b' || char(0) || 'c'), (2, 1, 2, NULL, '');"
        )
        target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
        yield pipeline_of(append_only=True), target, shop.execute


@pytest.mark.slow
@pytest.mark.parametrize(
    "odd",
    [
        "'3'",
        "2.5",
        *(pytest.param(each, marks=pytest.mark.thorough) for each in ("'abc'", "x'33'", "-1.5")),
    ],
)
def test_rows_are_in_no_part_of_integers_that_are_none(
    odd: str, untyped: tuple[Pipeline, Target, Callable[[str], object]]
) -> None:
    pipeline, target, execute = untyped
    streampro.run(pipeline, target)
    execute(f"INSERT INTO orders (id) VALUES ({odd})")
    with pytest.raises(SourceError, match="id, which grows with each row, is no integer in all"):
        streampro.run(pipeline, target)


@pytest.mark.slow
def test_what_follows_a_nul_is_part_of_a_text(
    untyped: tuple[Pipeline, Target, Callable[[str], object]],
) -> None:
    pipeline, target, execute = untyped
    streampro.run(pipeline, target)
    execute("UPDATE orders SET note = 'b' || char(0) || 'd' WHERE id = 1")
    assert streampro.run(pipeline, target).run_id == 2


def test_both_engines_read_the_same_rows_of_each_type(
    streampro_engine: Workbench, tmp_path: Path
) -> None:
    kinds = KEPT["sqlite"]
    columns = ", ".join(f"{name} {kind}" for name, (kind, *_) in kinds.items())
    good = ", ".join(str(value) for _, _, value, *_ in kinds.values())
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute(f"CREATE TABLE kinds (id bigint PRIMARY KEY, {columns})")
        database.execute(f"INSERT INTO kinds VALUES (0, {good})")
        database.commit()
    source = source_of(kinds, secret=("said",))
    target = Target(
        name="t", warehouse=tmp_path / "w", databases={"shop": f"sqlite:///{tmp_path}/shop.db"}
    )
    engine = streampro_engine.engine
    with extracted([source], target) as extracts:
        raw = engine.read_raw(source, extracts.whole(source, None))
        [row] = engine.fetch(raw.table).to_pylist()
    assert raw.by_file == {"shop/kinds": 1}
    assert {name: row[name] for name in kinds} == {
        name: READ.get(name, value.strip("'") if isinstance(value, str) else value)
        for name, (_, _, value, *_) in kinds.items()
    }
    assert '"said":"***"' in row["raw_line"]
    assert "é" not in row["raw_line"]


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_a_run_of_each_engine_is_published_and_adds_what_is_new(
    streampro_engine: Workbench, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        shop = Shop("sqlite", url, connection, target)
        shop.fill()
        pipeline = pipeline_of(append_only=True)
        streampro_engine.run(pipeline, target)
        assert streampro_engine.run(pipeline, target).run_id == 1
        shop.execute("INSERT INTO orders VALUES (4, 2, 7, NULL, 'new')")
        plan = streampro_engine.plan(pipeline, target)
        assert [(each.path, each.size > 0) for each in plan.new_files] == [
            ("shop/orders/id=4..4", True)
        ]
        [change, *_] = streampro_engine.run(pipeline, target).changes
        assert (change.mode, change.added) == ("incremental", 1)
        assert [row["orders"] for row in contents(target)["mart.spent"]] == [2, 2]


@pytest.mark.slow
def test_both_engines_are_proven_equal_from_one_read(spark: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    left = Target(name="left", warehouse=tmp_path / "w", databases={"shop": url})
    right = left.model_copy(update={"name": "right", "engine": "spark"})
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        Shop("sqlite", url, connection, left).fill()
    proof = streampro.prove(pipeline_of(), left, right)
    assert proof.equal
    assert {each.path for each in proof.inputs} == {"shop/orders", "shop/customers"}
    elsewhere = right.model_copy(update={"databases": {"shop": "sqlite:///other.db"}})
    with pytest.raises(ConfigError, match="database 'shop' is in different places"):
        streampro.prove(pipeline_of(), left, elsewhere)


@pytest.mark.slow
def test_what_a_database_holds_of_a_key_is_told_when_it_is_forgotten(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        Shop("sqlite", url, connection, target).fill()
    streampro.run(pipeline_of(), target)
    done = streampro.forget(target, {"customer": 1}, pipeline=pipeline_of())
    assert done.raw is not None
    assert [(each.path, each.lines) for each in done.raw] == [("shop/orders", 2)]
    unknown = target.model_copy(update={"databases": {}})
    assert streampro.forget(unknown, {"customer": 2}, pipeline=pipeline_of()).raw is None


@pytest.mark.parametrize(
    ("url", "namespace", "name"),
    [
        ("postgresql://me:${CODE}@db.example.org/crm", "postgres://db.example.org:5432", "crm.a.b"),
        ("mariadb://me@host:3307/crm?ssl-ca=x", "mysql://host:3307", "crm.a.b"),
        ("${WHOLE}", "postgres://secret-host:5432", "crm.a.b"),
        ("sqlite:////srv/shop.db", "file", "/srv/shop.db/a.b"),
    ],
)
def test_tables_are_named_as_openlineage_names_them(
    url: str, namespace: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "p@ss/word")
    monkeypatch.setenv("WHOLE", "postgresql://me:sesame@secret-host/crm")
    database, table = table_of("crm/a.b")
    assert address_of(database, url).dataset(table) == (namespace, name)


@pytest.mark.slow
def test_each_table_of_a_source_is_told_to_openlineage(
    untyped: tuple[Pipeline, Target, Callable[[str], object]], tmp_path: Path
) -> None:
    _, target, execute = untyped
    execute("CREATE TABLE more AS SELECT * FROM orders WHERE false")
    transport = {"type": "file", "log_file_path": str(tmp_path / "events.jsonl"), "append": True}
    told = OpenLineageSettings(namespace="shops", transport=transport)
    streampro.run(
        pipeline_of(more=("shop/more",)),
        target.model_copy(update={"openlineage": told}),
    )
    last = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[-1])
    names = [each["name"].rpartition("/")[2] for each in last["inputs"]]
    assert sorted(names) == ["customers", "more", "orders"]
    kinds = {each["name"]: each["type"] for each in last["inputs"][0]["facets"]["schema"]["fields"]}
    assert kinds["id"] == "int64"


def test_nothing_is_left_of_what_was_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    target = Target(name="t", warehouse=tmp_path / "w", databases={"shop": url})
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        Shop("sqlite", url, connection, target).fill()
    [source, _] = pipeline_of().sources.values()
    with extracted([source], target) as extracts:
        folder = Path(str(extracts.whole(source, None)))
        assert [*folder.rglob("*.parquet")]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_the_file_of_a_target_keeps_the_name_of_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODE", "p@ss/word")
    (tmp_path / "shop.toml").write_text(
        '[databases]\nshop = "postgresql://me:${CODE}@host/crm"\nother = "${NOT_SET}"\n'
    )
    target = streampro.load_target("shop", configs=tmp_path)
    assert target.databases["shop"] == "postgresql://me:${CODE}@host/crm"
    assert address_of("shop", target.databases["shop"]).password == "p@ss/word"
    (tmp_path / "wrong.toml").write_text('[databases]\nshop = "postgresql://me:sesame@host/crm"\n')
    with pytest.raises(ConfigError, match="a password stands in the environment") as raised:
        streampro.load_target("wrong", configs=tmp_path)
    assert "sesame" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
def test_a_connection_that_is_cut_is_an_error_that_says_try_again(shop: Shop) -> None:
    shop.fill()
    [source, _] = pipeline_of().sources.values()
    with extracted([source], shop.target) as extracts:
        extracts.look(source)
        if shop.kind == "postgresql":
            shop.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'streampro'"
            )
        else:
            with shop.connection.cursor() as cursor:
                others = (
                    "SELECT id FROM information_schema.processlist "
                    "WHERE user = 'streampro' AND id <> connection_id()"
                )
                cursor.execute(others)
                for (number,) in cursor.fetchall():
                    cursor.execute(f"KILL {number}")
                while cursor.execute(others):  # the server takes its time
                    time.sleep(0.01)
        with pytest.raises(EngineError, match=r"cannot be read.* Nothing was published"):
            extracts.whole(source, None)
