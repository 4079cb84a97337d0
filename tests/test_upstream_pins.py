"""What others get wrong and StreamPro works around.

Each test passes while upstream misbehaves. When one fails, upstream was mended: delete the
workaround it names, then the test.
"""

import inspect
import os
import re
import subprocess
import sys
import warnings
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pandera.errors
import pandera.ibis as pandera
import pyarrow as pa
import pytest
import sqlglot
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from sqlglot import exp


def read_lines(path: Path, data: bytes, **options: str) -> list[Any]:
    """Read lines as the engine does, but for `options`."""
    path.write_bytes(data)
    told = {"delim": "'\x02'", "quote": "''", "escape": "''", "null_padding": "true"} | options
    query = (
        f"SELECT line FROM read_csv('{path}', columns = {{'line': 'VARCHAR'}}, header = false, "
        f"auto_detect = false, {', '.join(f'{name} = {value}' for name, value in told.items())})"
    )
    return [line for (line,) in duckdb.sql(query).fetchall()]


def test_duckdb_sums_integers_to_a_type_that_parquet_lacks(tmp_path: Path) -> None:
    """DuckDBEngine._copy casts every column."""
    sums = duckdb.sql("SELECT sum(x) AS s FROM (VALUES (1::BIGINT)) AS t(x)")
    assert [str(kind) for kind in sums.types] == ["HUGEINT"]
    sums.write_parquet(str(tmp_path / "sums.parquet"))
    stored = duckdb.read_parquet(str(tmp_path / "sums.parquet"))
    assert [str(kind) for kind in stored.types] == ["DOUBLE"]


def test_ibis_says_that_the_same_sum_is_int64() -> None:
    """DuckDBEngine._copy casts to the types that Ibis says, for they are not those it gets."""
    rows = ibis.table({"x": "int64"}, name="t")
    assert str(rows.aggregate(s=rows.x.sum()).schema()["s"]) == "int64"


def test_duckdb_reads_crlf_files_as_twice_the_lines_when_told_the_line_end(tmp_path: Path) -> None:
    """_READ_LINES leaves `new_line` unset."""
    path = tmp_path / "lines"
    assert read_lines(path, b"a\r\nb\r\n", strict_mode="false") == ["a", "b"]
    told = read_lines(path, b"a\r\nb\r\n", strict_mode="false", new_line="'\\n'")
    assert told == ["a", None, "b", None]


def test_duckdb_refuses_mixed_line_ends_in_strict_mode(tmp_path: Path) -> None:
    """_READ_LINES sets `strict_mode = false`, and drops the empty lines that this invents."""
    path = tmp_path / "lines"
    with pytest.raises(duckdb.InvalidInputException):
        read_lines(path, b"a\nb\r\nc\n", strict_mode="true")
    assert read_lines(path, b"a\nb\r\nc\n", strict_mode="false") == ["a", "b", None, "c"]


def test_duckdb_ends_lines_at_a_lone_cr(tmp_path: Path) -> None:
    """A file with a CR inside a line is not plain: exact_lines rewrites it."""
    assert read_lines(tmp_path / "lines", b"a\rb\n", strict_mode="false") == ["a", "b"]


def test_duckdb_refuses_a_file_for_one_byte_that_is_no_utf8(tmp_path: Path) -> None:
    """Such a file is not plain: exact_lines rewrites it."""
    with pytest.raises(duckdb.InvalidInputException):
        read_lines(tmp_path / "lines", b"a\n\xff\n", strict_mode="false")


def test_duckdb_fails_for_one_line_that_is_no_json() -> None:
    """_json_query asks json_valid first."""
    with pytest.raises(duckdb.InvalidInputException, match="Malformed JSON"):
        duckdb.sql("""SELECT json_transform('{bad', '{"a": "VARCHAR"}')""").fetchall()


def test_duckdb_returns_the_first_of_repeated_json_keys() -> None:
    """_json_query documents it; other engines return the last."""
    query = """SELECT json_transform('{"a":1,"a":2}', '{"a":"VARCHAR"}').a"""
    assert duckdb.sql(query).fetchall() == [("1",)]


def test_duckdb_writes_no_file_for_no_rows_of_a_partition(tmp_path: Path) -> None:
    """DuckDBEngine._scan_files invents the columns where there is no file to read them from."""
    written = duckdb.sql(
        f"COPY (SELECT 1 AS a, true AS b WHERE false) TO '{tmp_path / 'out'}' "
        "(FORMAT parquet, PARTITION_BY (b), RETURN_STATS)"
    )
    assert written is None or written.fetchall() == []
    assert list(tmp_path.rglob("*.parquet")) == []


@pytest.mark.slow
def test_pandera_sets_variables_of_the_process() -> None:
    """`contract` puts them back, `arrow_table` makes instants without one of them."""
    script = "import os; before = {*os.environ}; import pandera; print(*{*os.environ} - before)"
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE")
    }
    told = subprocess.check_output([sys.executable, "-c", script], env=clean, text=True)
    assert {*told.split()} == {"SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE"}


def test_pandera_ignores_unique_columns_on_ibis() -> None:
    """A key is Config.unique, which pandera does check."""

    class Named(pandera.DataFrameModel):
        name: str = pandera.Field(unique=True)

    twice = ibis.memtable(pa.table({"name": ["a", "a"]}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Named.to_schema().validate(twice, lazy=True)


def test_pandera_forgets_the_name_of_an_inherited_check() -> None:
    """`rule` gives the function the rule's name as well."""

    class Parent(pandera.DataFrameModel):
        number: dt.Int64 = pandera.Field()

        @pandera.dataframe_check(name="is_small")
        def other(cls, data: Any) -> Any:  # noqa: N805  pandera makes it a class method
            return data.table.number < 10

    class Child(Parent):
        pass

    assert [check.name for check in Parent.to_schema().checks] == ["is_small"]
    assert [check.name for check in Child.to_schema().checks] == ["other"]


def test_pandera_counts_null_as_a_broken_rule_over_rows() -> None:
    """`rule` must say itself that null keeps it."""

    class Pairs(pandera.DataFrameModel):
        left: dt.Int64 = pandera.Field(nullable=True)

        @pandera.dataframe_check
        def is_small(cls, data: Any) -> Any:  # noqa: N805  pandera makes it a class method
            return data.table.left < 10

    rows = ibis.memtable(pa.table({"left": pa.array([None], pa.int64())}))
    with pytest.raises(pandera.errors.SchemaErrors):
        Pairs.to_schema().validate(rows, lazy=True)


def test_ibis_calls_duckdb_by_an_old_name() -> None:
    """environment.OF_IBIS passes over the warning `fetch_arrow_table`."""
    con = ibis.duckdb.connect()
    with pytest.warns(DeprecationWarning, match="fetch_arrow_table"):
        con.create_table("numbers", pa.table({"number": [1]}))


def test_ibis_asks_pandas_for_a_retired_option() -> None:
    """environment.OF_IBIS passes over the warning `future.infer_string`."""
    con = ibis.duckdb.connect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        con.execute(ibis.literal("a").as_table())
    assert any("future.infer_string" in str(each.message) for each in caught)


@pytest.mark.slow
def test_duckdb_refuses_settings_of_its_progress_in_jupyter_without_ipywidgets() -> None:
    """DuckDBEngine goes on without knowing its progress there."""
    assert find_spec("ipywidgets") is None, "with it the settings are taken"
    code = "import duckdb; duckdb.connect().execute('SET enable_progress_bar_print = false')"
    notebook = new_notebook(cells=[new_code_cell(code)])
    with pytest.raises(CellExecutionError, match="'ipywidgets' is missing"):
        NotebookClient(notebook).execute()


@pytest.mark.slow
def test_ibis_compiles_no_float_for_spark_before_pyspark_is_imported() -> None:
    """engines.physical.compiled_query gives Ibis the options that it misses."""
    code = (
        "import ibis; rows = ibis.table({'x': 'float64'}, name='t'); "
        "ibis.to_sql(rows.filter(rows.x > 1.5), dialect='pyspark')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "has no attribute 'treat_nan_as_null'" in done.stderr


@pytest.mark.parametrize(
    ("package", "requirement"),
    [
        ("ibis-framework", "pyspark<4.1,>=3.5; extra == 'pyspark'"),
        ("ibis-framework", "pandas<4,>=1.5.3; extra == 'duckdb'"),
        ("ibis-framework", "numpy<3,>=1.23.2; extra == 'duckdb'"),
        ("ibis-framework", "sqlglot!=26.32.0,>=23.4"),  # with no end, though 30.18 breaks it
    ],
)
def test_packages_that_others_hold_back(package: str, requirement: str) -> None:
    """pyproject.toml has the same ends, and one for SQLGlot that Ibis should have."""
    assert requirement in (requires(package) or [])


def test_ibis_forgets_the_zone_of_an_instant_that_it_truncates() -> None:
    assert "dtype = dt.timestamp\n" in inspect.getsource(ops.TimestampTruncate)


def test_spark_connect_makes_no_session_beside_another() -> None:
    """engines.spark.connect takes apart how the caller's session reaches its server."""
    from pyspark.sql.connect.session import SparkSession

    assert not {"newSession", "cloneSession"} & {*dir(SparkSession)}


def test_page_of_what_is_held_back_names_tests_that_are_there() -> None:
    page = Path(__file__).parents[1] / "docs" / "reference" / "upstream.md"
    named = {*re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    assert named <= globals().keys()
    pins = {name for name in globals() if name.startswith("test_")}
    assert pins - named == {"test_page_of_what_is_held_back_names_tests_that_are_there"}


def test_duckdb_says_false_of_a_truncated_null_and_a_day_within_the_year() -> None:
    """The compiler's visit_DateTruncate puts a case around it."""
    days = "(VALUES (DATE '2024-01-01'), (NULL)) AS days(x)"
    asked = f"SELECT date_trunc('year', x) = DATE '2024-02-29' FROM {days}"
    assert duckdb.sql(asked).fetchall() == [(False,), (False,)]


def test_duckdb_counts_a_week_that_has_not_elapsed() -> None:
    """The compiler's visit_TimestampDelta divides microseconds: six days and 23 hours are none."""
    duckdb.execute("SET TimeZone = 'UTC'")
    start, end = "TIMESTAMPTZ '2017-03-31 22:58:29+00'", "TIMESTAMPTZ '2017-03-24 23:58:29+00'"
    assert duckdb.sql(f"SELECT date_diff('week', {start}, {end})").fetchone() == (-1,)


def test_pyspark_calls_java_in_its_handler_of_interrupts() -> None:
    """`application._context_made` puts back the handler that was there before."""
    assert "signal.signal(signal.SIGINT, signal_handler)" in source_of("pyspark.core.context")


def test_pyspark_keeps_the_process_of_java_to_itself_until_it_answers() -> None:
    """`application._launched` starts it by a function of its own."""
    assert "proc = Popen(command, **popen_kwargs)" in source_of("pyspark.java_gateway")


def test_spark_takes_products_of_three_for_one_another(spark: Any) -> None:
    """`visit_node` of Spark's compiler keeps them apart."""
    rows = spark.createDataFrame([(0.1, 0.2, 0.3)], "a double, b double, c double")
    [row] = rows.selectExpr("a * (b * c) AS x", "(a * b) * c AS y").collect()
    assert row.x == row.y == 0.1 * (0.2 * 0.3)
    assert row.y != (0.1 * 0.2) * 0.3


def test_spark_rounds_a_long_decimal_whose_sign_changes(spark: Any) -> None:
    """`visit_Abs` and `visit_Negate` of Spark's compiler go by its text."""
    number = f"{'1234567890' * 2}12345678.1234567891"
    cast = f"CAST('-{number}' AS DECIMAL(38, 10))"
    [row] = spark.sql(f"SELECT abs({cast}) AS x, -{cast} AS y").collect()
    assert row.x == row.y
    assert str(row.x) != number


def test_engines_round_a_power_each_its_own_way(spark: Any) -> None:
    """`powers_as_products` of `engines/compilation/rewrites.py` multiplies instead."""
    query = "SELECT power(238609294, 2) AS x"
    [row] = spark.sql(query).collect()
    assert duckdb.sql(query).fetchone() == (5.693439518317844e16,)
    assert row.x == 238609294.0 * 238609294.0 == 5.693439518317843e16


def test_sqlglot_reads_signs_of_duckdb_in_another_order() -> None:
    """`modeling/sql/text.py` has a parser of its own for `%`; the others are refused there."""
    [remainder] = sqlglot.parse_one("SELECT 10 - 4 % 3", read="duckdb").expressions
    assert isinstance(remainder, exp.Mod)
    assert duckdb.sql("SELECT 10 - 4 % 3").fetchone() == (9,)
    [compared] = sqlglot.parse_one("SELECT 1 = 1 IS NULL", read="duckdb").expressions
    assert isinstance(compared, exp.EQ)
    both = sqlglot.parse_one("SELECT 1 UNION SELECT 2 INTERSECT SELECT 2", read="duckdb")
    assert isinstance(both, exp.Intersect)


def source_of(module: str) -> str:
    found = find_spec(module)
    assert found
    assert found.origin
    return Path(found.origin).read_text(encoding="utf-8")
