"""What SQL of a user's may do: read the tables of a run, and other files where that is allowed."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from pipelines.shop import SHOP, write_raw

import streampro
from streampro import ConfigError, Target
from streampro.engines.registry import connect_sql
from streampro.modeling.model import TableName
from streampro.warehouse.published import Published
from streampro.warehouse.snapshot import Snapshot, published_run

READS = [
    "select * from mart.revenue",
    "SELECT shop FROM revenue ORDER BY shop",
    "from mart.revenue",
    "table mart.revenue",
    "values (1), (2)",
    "-- a comment\nselect 1; ",
    "with a as (from mart.revenue) from a join staging.shops using (shop)",
    "with recursive n as (select 1 as a union all select a + 1 from n where a < 3) from n",
    "select * from range(3), unnest([1, 2]), lateral (select 1)",
    "select current_setting('threads'), random(), list_transform([1], lambda x: x + 1)",
    "pivot mart.revenue on shop using sum(amount)",
    "pivot mart.revenue on shop using sum(amount) group by city order by city;",
    "from (pivot mart.revenue on shop using sum(amount))",
    "pivot mart.revenue on shop in ('a', 'b') using sum(amount)",
    "unpivot mart.revenue on sales, amount",
    "show tables",
    "show all tables",
    "describe mart.revenue",
    "describe select 1",
    "summarize mart.revenue",
    "select table_name from information_schema.tables",
    "from duckdb_views()",
    "explain select 1",
    "EXPLAIN ANALYZE from mart.revenue",
    "explain (select 1) union (select 2)",
    "explain (format json) select 1",
    "explain /* why */ (analyze, format json) -- this\n select 1",
]
"""What a user may ask, files or none."""

WRITES = [
    "copy (select 1) to '{new}'",
    "copy mart.revenue to '{data}'",
    "copy (pivot mart.revenue on shop using sum(amount)) to '{new}'",
    "explain analyze copy (select 1) to '{new}'",
    "explain analyze copy (select 1) to '{data}' (format parquet, use_tmp_file false)",
    "explain (analyze) copy (select 1) to '{new}'",
    "explain analyze copy (pivot mart.revenue on shop using sum(amount)) to '{new}'",
    "explain -- select 1\nanalyze copy (select 1) to '{new}'",
    "explain analyze pivot mart.revenue on shop using sum(amount)",
    "explain pragma version",
    "explain analyze create table t as select 1",
    "explain analyze insert into mart.revenue select 1",
    "EXPLAIN ANALYZE\tEXPORT DATABASE '{new}'",
    "export database '{new}'",
    "import database '{outside}'",
    "select 1; copy (select 1) to '{new}'",
    "explain select 1; copy (select 1) to '{new}'",
    "pivot mart.revenue on shop using sum(amount); copy (select 1) to '{new}'",
    "select 1; select 2",
    "create table t as pivot mart.revenue on shop using sum(amount)",
    "create table t as select 1",
    "create or replace view mart.revenue as select 1",
    "create type t as enum ('a'); pivot mart.revenue on shop using sum(amount)",
    "create macro m() as table from read_text('{secret}')",
    "create persistent secret (type s3)",
    "insert into mart.revenue select 1",
    "update mart.revenue set amount = 1",
    "delete from mart.revenue",
    "truncate mart.revenue",
    "merge into mart.revenue using staging.shops on true when matched then delete",
    "drop view mart.revenue",
    "alter view mart.revenue rename to r",
    "comment on view mart.revenue is 'a'",
    "attach '{new}'",
    "attach '{new}' as n; create table n.t as select 1",
    "copy from database memory to system",
    "detach memory",
    "use staging",
    "install httpfs",
    "load httpfs",
    "load '{secret}'",
    "set threads = 1",
    "set variable a = 1",
    "reset threads",
    "set enable_external_access = true",
    "pragma enable_profiling",
    "pragma version",
    "pragma database_list",
    "pragma profiling_output = '{new}'",
    "call pragma_version()",
    "call enable_logging(storage = 'file', storage_config = {{'path': '{new}'}})",
    "from enable_logging(storage = 'file', storage_config = {{'path': '{new}'}})",
    "select (select count(*) from enable_profiling(save_location = '{new}'))",
    "from disable_logging()",
    "from force_checkpoint()",
    "checkpoint",
    "vacuum",
    "analyze",
    "begin",
    "prepare p as select 1",
    "execute p",
    "select write_blob('{data}', 'x'::blob)",
    "select write_blob('{new}', 'x'::blob)",
    "SELECT system.main.\"WRITE_BLOB\"('{new}', 'x'::blob)",
    "select 1 order by write_blob('{new}', 'x'::blob)",
    "select 1 limit (select 1 from (select write_blob('{new}', 'x'::blob)))",
    "select sum(1) filter (where write_blob('{new}', 'x'::blob)::int > 0)",
    "select list_transform(['{new}'], lambda p: write_blob(p, 'x'::blob))",
    "values (write_blob('{new}', 'x'::blob))",
    "pivot mart.revenue on shop using count(write_blob('{new}', 'x'::blob))",
    "with a as materialized (select write_blob('{new}', 'x'::blob)) from a",
    "explain analyze select write_blob('{new}', 'x'::blob)",
    "describe select write_blob('{new}', 'x'::blob)",
    "summarize select write_blob('{new}', 'x'::blob) as a",
    "select write_log('x')",
    "from query('from read_text(''{secret}'')')",
    "from query_table('mart.revenue')",
    "pivot query('select 1 as a') on a using count(*)",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "from arrow_scan(0, 0, 0)",
    "from pandas_scan(0)",
    "from delta_scan('{outside_table}')",
    "describe from delta_scan('{outside_table}')",
    "from delta_list_files('{outside_table}')",
    "from delta_set_transaction_version('{outside_table}', 'a', 1)",
    "from copy_dir('{outside}', '{new}')",
    "from which_secret('s3://a', 's3')",
    "",
    " ;; -- nothing",
    "selec 1",
    'select U&"a"',
    "select 1\0; copy (select 1) to '{new}'",
    "select '\udcff'",
]
"""What nobody may ask, with files allowed or not."""

CONFINED = [
    "copy (select 1) to '{new}'",
    "explain analyze copy (select 1) to '{new}'",
    "explain analyze copy (pivot (select 1 as a) on a using sum(a)) to '{new}'",
    "export database '{new}'",
    "import database '{outside}'",
    "attach '{new}'",
    "select write_blob('{new}', 'x'::blob)",
    "create persistent secret (type s3)",
    "load '{secret}'",
    "install httpfs",
    "set enable_external_access = true",
    "set allowed_paths = ['{secret}']",
    "set lock_configuration = false",
    "from read_text('{secret}')",
    "from '{secret}'",
]
"""What a confined connection refuses, were it let through."""

READS_FILES = [
    "from '{secret}'",
    'from "{secret}"',
    "select (select any_value(columns(*)) from '{secret}')",
    "describe '{secret}'",
    "summarize '{secret}'",
    "from mart.revenue where shop not in (from '{secret}')",
    "pivot '{secret}' on secret using count(*)",
    "from read_csv('{secret}')",
    "from READ_CSV_AUTO('{secret}')",
    "from system.main.\"read_csv\"('{secret}')",
    "select 1 as a order by (select 1 from read_text('{secret}'))",
    "from mart.revenue, lateral (from read_text('{secret}'))",
    "with a as (from read_blob('{secret}')) from a",
    "explain analyze from read_text('{secret}')",
    "describe from read_csv('{secret}')",
    "pivot read_csv('{secret}') on secret using count(*)",
    "from glob('{outside}/*')",
    "from sniff_csv('{secret}')",
    "from '{other}'",
    "from read_parquet('{other}')",
    "from parquet_metadata('{other}')",
    "from parquet_schema('{other}')",
]
"""What is asked of files, by those who may."""


class Places:
    """A warehouse and what lies beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = Target(name="t", raw=write_raw(folder / "raw"), warehouse=folder / "w")
        streampro.run(SHOP, self.target)
        outside = folder / "outside"
        streampro.run(SHOP, self.target.model_copy(update={"warehouse": outside / "w"}))
        (outside / "secret.csv").write_text("secret\nhidden\n")
        (outside / "schema.sql").write_text("select 'hidden';")
        (outside / "load.sql").write_text("")
        self.names = {
            "new": folder / "new",
            "secret": outside / "secret.csv",
            "outside": outside,
            "outside_table": outside / "w" / "mart" / "revenue",
            "other": next((outside / "w" / "mart" / "revenue").glob("*.parquet")),
            "data": next((folder / "w" / "mart" / "revenue").glob("*.parquet")),
        }

        stored = Snapshot(self.target.warehouse, published_run(self.target)).intact()[0]
        self.revenue = {TableName.of("mart.revenue"): stored[TableName.of("mart.revenue")]}

    def text(self, query: str) -> str:
        """Return a query with the paths that it names."""
        return query.format(**self.names)

    def digest(self) -> str:
        """Return what is on the disk: names and content, but for the scratch of who is asking."""
        found = (each for each in self.folder.rglob("*") if "scratch" not in each.parts)
        files = sorted(each for each in found if each.is_file())
        parts = ((str(each), hashlib.sha256(each.read_bytes()).hexdigest()) for each in files)
        return hashlib.sha256(repr([*parts]).encode()).hexdigest()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def confined(places: Places) -> Iterator[Published]:
    with streampro.published(places.target) as tables:
        yield tables


@pytest.fixture(scope="module")
def allowed(places: Places) -> Iterator[Published]:
    with streampro.published(places.target, allow_files=True) as tables:
        yield tables


@pytest.fixture(params=["confined", "allowed"])
def either(request: pytest.FixtureRequest) -> Published:
    tables: Published = request.getfixturevalue(request.param)
    return tables


@pytest.fixture(autouse=True)
def _nothing_changes_on_disk(places: Places) -> Iterator[None]:
    before = places.digest()
    yield
    assert places.digest() == before


@pytest.mark.parametrize("query", READS)
def test_what_reads_the_tables_is_asked(query: str, either: Published) -> None:
    assert either.sql(query).num_rows > 0


@pytest.mark.parametrize("query", WRITES)
def test_what_does_more_than_to_read_is_refused(
    query: str, either: Published, places: Places
) -> None:
    with pytest.raises(ConfigError, match=r"^the query is (refused|wrong|empty)"):
        either.sql(places.text(query))
    assert either.sql("select count(*) as n from mart.revenue").to_pylist() == [{"n": 2}]


@pytest.mark.parametrize("query", READS_FILES)
def test_files_are_read_only_where_that_is_allowed(
    query: str, confined: Published, allowed: Published, places: Places
) -> None:
    with pytest.raises(ConfigError, match=r"^the query is refused.*--allow-files") as caught:
        confined.sql(places.text(query))
    assert "hidden" not in str(caught.value)
    assert allowed.sql(places.text(query)).num_rows > 0


def test_files_of_tables_that_the_run_does_not_pin_are_none_of_it(
    confined: Published, places: Places
) -> None:
    runs = next((places.folder / "w" / "_streampro" / "runs").glob("*.parquet"))
    with pytest.raises(ConfigError, match="--allow-files"):
        confined.sql(f"from '{runs}'")


def test_a_variable_of_python_is_no_table(either: Published) -> None:
    secret = duckdb.sql("select 1 as a").arrow()
    assert secret is not None
    with pytest.raises(ConfigError, match="Table with name secret does not exist"):
        either.sql("from secret")


def test_no_extension_is_fetched_for_an_address(either: Published) -> None:
    with pytest.raises(ConfigError, match=r"the query is (refused|wrong): "):
        either.sql("from 'https://example.invalid/a.parquet'")


@pytest.mark.parametrize("query", CONFINED)
def test_a_confined_connection_refuses_what_might_be_let_through(
    query: str, places: Places
) -> None:
    with connect_sql(places.target, places.folder.parent / "scratch") as engine:
        engine.show(places.revenue)
        with pytest.raises(streampro.StreamProError):
            engine.query(places.text(query))


@pytest.mark.slow
def test_what_sorts_more_than_memory_holds_spills(places: Places) -> None:
    small = places.target.duckdb.model_copy(update={"memory_limit": "40MB", "threads": 2})
    with streampro.published(places.target.model_copy(update={"duckdb": small})) as tables:
        asked = "select row_number() over (order by md5(i::text)) r from range(700000) t(i)"
        assert tables.sql(f"select count(*) n from ({asked}) where r > 5").num_rows == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["w w", "ü'w", "a,b"])
def test_warehouses_are_asked_wherever_they_lie(
    name: str, places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    streampro.run(SHOP, places.target.model_copy(update={"warehouse": Path(name)}))
    for path in (Path(name), tmp_path / name, tmp_path / "link", Path("link") / ".." / name):
        target = places.target.model_copy(update={"warehouse": path})
        assert streampro.sql("from mart.revenue", target).num_rows == 2


def test_expressions_go_with_tables_of_the_caller(confined: Published) -> None:
    import ibis

    shops = ibis.memtable([{"shop": "a", "boss": "Ada"}])
    joined = confined.table("mart.revenue").join(shops, "shop").select("boss", "amount")
    assert joined.to_pyarrow().to_pylist() == [{"boss": "Ada", "amount": 15}]


def test_a_comment_that_is_read_otherwise_explains_nothing_else(either: Published) -> None:
    query = "explain /* /* */ select 1 -- */ analyze copy (select 1) to 'new'"
    assert "copy" not in str(either.sql(query).to_pylist()).lower()


@pytest.mark.slow
def test_no_function_that_is_known_writes(places: Places, tmp_path: Path) -> None:
    """Each scalar function is called with a path, and with a path and a content."""
    with connect_sql(places.target, tmp_path / "scratch") as engine:
        engine.read(TableName.of("mart.revenue"), 0)
        asked = "select distinct function_name as name from duckdb_functions() where function_type "
        names = engine.query(f"{asked} in ('scalar', 'macro')").column("name").to_pylist()
        new = tmp_path / "new"
        found = set()
        for name in {*names} - {"sleep_ms"}:
            for arguments in (f"'{new}'", f"'{new}', 'x'", f"'x', '{new}'"):
                with suppress(streampro.StreamProError):
                    engine.query(f'select "{name}"({arguments})')
                if new.exists():
                    found.add(name)
                    new.unlink()
        assert found == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "write_blob('{new}', 'x'::blob) is not null",
        "shop in (from '{secret}')",
        "exists (from read_text('{secret}'))",
        "shop = (select max(shop) from mart.revenue)",
        "shop in (select 1)",
        "array(from glob('{outside}/*')) is not null",
        "true) union all (from '{secret}'",
        "true\0; copy (select 1) to '{new}'",
        "true; copy (select 1) to '{new}'",
        "shop in (pivot '{secret}' on secret using count(*))",
        "getvariable(query) is null and shop in (values (1))",
    ],
)
def test_a_condition_asks_nothing_but_columns(where: str, places: Places) -> None:
    with pytest.raises(
        ConfigError,
        match=r"--where|^the query is (refused: it calls write_blob|wrong: it holds a NUL)",
    ):
        streampro.explain(SHOP, places.target, "revenue", places.text(where))
    assert streampro.explain(SHOP, places.target, "revenue", "amount > abs(10)").rows
