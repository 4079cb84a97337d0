"""Parquet as others write it: both engines read the same rows, or refuse by the same words."""

import datetime as d
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import SourceError
from streampro.formats.parquet.conversions import is_exact, type_of_sql
from streampro.location import Remote
from streampro.modeling.source import Source

INSTANT = "timestamp('UTC', 6)"
AT = d.datetime(2024, 5, 1, 12, 30, 0, 123456, d.UTC)
AT_NS = 1714566600123456789
UUID = b"0123456789abcdef"

KINDS: Sequence[tuple[pa.Array, str, Sequence[Any]]] = (
    (pa.array(["ä", None, ""]), "string", ["ä", None, ""]),
    (pa.array(["a", "b", "a"]).dictionary_encode(), "string", ["a", "b", "a"]),
    (pa.array(["a", "b", None], pa.large_string()), "string", ["a", "b", None]),
    (pa.array([True, None, False]), "boolean", [True, None, False]),
    (pa.array([-128, None, 127], pa.int8()), "int64", [-128, None, 127]),
    (pa.array([0, None, 255], pa.uint8()), "int16", [0, None, 255]),
    (pa.array([0, None, 2**32 - 1], pa.uint32()), "int64", [0, None, 2**32 - 1]),
    (pa.array([-(2**63), None, 2**63 - 1]), "int64", [-(2**63), None, 2**63 - 1]),
    (pa.array([0, 1, 2**64 - 1], pa.uint64()), "decimal(20, 0)", [0, 1, Decimal(2**64 - 1)]),
    (pa.array([0.5, None, -np.inf], pa.float32()), "float64", [0.5, None, -np.inf]),
    (pa.array([np.float16(0.5), None, np.float16(2)]), "float32", [0.5, None, 2.0]),
    (pa.array([1, 2, 3], pa.int32()), "float64", [1.0, 2.0, 3.0]),
    (pa.array([Decimal("-1.50"), None, Decimal(1)], pa.decimal128(10, 2)), "decimal(12, 3)",
     [Decimal("-1.500"), None, Decimal("1.000")]),
    (pa.array([1, 2, None], pa.int16()), "decimal(7, 2)", [Decimal("1.00"), Decimal("2.00"), None]),
    (pa.array([b"\x00\xff", None, b""]), "binary", [b"\x00\xff", None, b""]),
    (pa.array([UUID, None, UUID], pa.binary(16)), "binary", [UUID, None, UUID]),
    (pa.array([UUID, None, UUID], pa.uuid()), "string",
     ["30313233-3435-3637-3839-616263646566", None] * 1 + ["30313233-3435-3637-3839-616263646566"]),
    (pa.array([1, None, 86399999999], pa.time64("us")), "string",
     ["00:00:00.000001", None, "23:59:59.999999"]),
    (pa.array([1, None, 2], pa.duration("us")), "int64", [1, None, 2]),
    (pa.array([d.date(2024, 2, 29), None, d.date(1, 1, 1)]), "date",
     [d.date(2024, 2, 29), None, d.date(1, 1, 1)]),
    # days and instants beyond the years 1 to 9999 are null
    (pa.array([2**31 - 1, -(2**31), 3_000_000], pa.int32()).cast(pa.date32()), "date", [None] * 3),
    (pa.array([2**63 - 1, -(2**63), 253402300799999999], pa.timestamp("us")), INSTANT,
     [None, None, d.datetime(9999, 12, 31, 23, 59, 59, 999999, d.UTC)]),
    (pa.array([AT_NS // 10**3] * 3, pa.timestamp("us", "Asia/Tokyo")), INSTANT, [AT] * 3),
    # without a zone is UTC; nanoseconds are cut
    (pa.array([AT_NS, None, 2**63 - 1], pa.timestamp("ns")), INSTANT, [AT, None, None]),
    (pa.array([AT_NS, None, 999], pa.timestamp("ns", "UTC")), INSTANT,
     [AT, None, d.datetime(1970, 1, 1, tzinfo=d.UTC)]),
    (pa.array([AT_NS // 10**6, None, -1], pa.timestamp("ms")), INSTANT,
     [AT.replace(microsecond=123000), None, d.datetime(1969, 12, 31, 23, 59, 59, 999000, d.UTC)]),
    (pa.array([AT_NS // 10**9, None, 0], pa.timestamp("s")), INSTANT,
     [AT.replace(microsecond=0), None, d.datetime(1970, 1, 1, tzinfo=d.UTC)]),
    # what holds nulls only has no type, so it is of any
    (pa.nulls(3), INSTANT, [None] * 3),
    (pa.array([[], None, [None]], pa.list_(pa.null())), "array<date>", [[], None, [None]]),
    (pa.array([[1, None], None, []], pa.list_(pa.int32())), "array<int64>", [[1, None], None, []]),
    (pa.array([[AT_NS], None, [2**63 - 1]], pa.list_(pa.timestamp("ns"))), f"array<{INSTANT}>",
     [[AT], None, [None]]),
    (pa.array([{"a": 1, "b": {"c": "x"}}, None, {"a": None, "b": None}]),
     "struct<b: struct<c: string, day: date>, a: int64>",
     [{"b": {"c": "x", "day": None}, "a": 1}, None, {"b": None, "a": None}]),
    (pa.array([[("k", AT_NS), ("l", None)], None, []], pa.map_(pa.string(), pa.timestamp("ns"))),
     f"map<string, {INSTANT}>", [[("k", AT), ("l", None)], None, []]),
)  # fmt: skip
"""What a file has, the type that a source says, and what is read."""


@pytest.fixture(scope="module")
def engines(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    warehouse = tmp_path_factory.mktemp("engines")
    target = Target(name="spark", engine="spark", warehouse=warehouse / "spark")
    with (
        connect(Target(name="duckdb", warehouse=warehouse / "duckdb")) as left,
        connect(target, spark) as right,
    ):
        yield [left, right]


Read = Callable[..., tuple[dict[str, int], list[dict[str, Any]]]]


@pytest.fixture
def read(engines: list[Engine], tmp_path: Path) -> Read:
    """Read a source by each engine, and return what both say: rows per file, and all rows."""

    def by_each(of: Source) -> tuple[dict[str, int], list[dict[str, Any]]]:
        found = []
        for engine in engines:
            raw = engine.read_raw(of, tmp_path)
            rows = engine.fetch(raw.table).cast(of.schema.to_pyarrow()).to_pylist()
            found.append((dict(raw.by_file), sorted(rows, key=repr)))
        assert found[0] == found[1]
        return found[0]

    return by_each


def source(fields: Sequence[str] | Mapping[str, tuple[str, ...]], **options: Any) -> Source:
    paths = fields if isinstance(fields, Mapping) else {name: (name,) for name in fields}
    return Source("rows", ("**/*.parquet",), "parquet", paths, **options)


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def test_every_type_is_read_alike(read: Read, tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(len(KINDS))]
    write(tmp_path / "a.parquet", **dict(zip(names, (each for each, _, _ in KINDS), strict=True)))
    types = dict(zip(names, (kind for _, kind, _ in KINDS), strict=True))
    by_file, rows = read(source(names, types=types))
    assert by_file == {"a.parquet": 3}
    for name, (_, kind, expected) in zip(names, KINDS, strict=True):
        found = sorted((row[name] for row in rows), key=repr)
        assert found == sorted(expected, key=repr), (name, kind)


def test_every_writer_is_read_alike(read: Read, tmp_path: Path, spark: Any) -> None:
    """INT96, pages of both versions, dictionaries, packings, many row groups."""
    rows = pa.table({"at": pa.array([AT] * 9, pa.timestamp("us", "UTC")), "n": range(9),
                     "s": ["x", "y", None] * 3})  # fmt: skip
    options: dict[str, dict[str, Any]] = {
        "old": {"version": "1.0", "use_deprecated_int96_timestamps": True},
        "plain": {"use_dictionary": False, "compression": "none", "row_group_size": 2},
        "pages": {"data_page_version": "2.0", "compression": "brotli"},
        "nano": {"coerce_timestamps": None, "compression": "gzip"},
    }
    for name, of in options.items():
        pq.write_table(rows, tmp_path / f"{name}.parquet", **of)
    rows.to_pandas().to_parquet(tmp_path / "pandas.parquet")
    rows.to_pandas().set_index("s").to_parquet(tmp_path / "index.parquet")
    with duckdb.connect() as connection:
        place = tmp_path / "duckdb.parquet"
        connection.execute(f"COPY (FROM rows) TO '{place}' (PARQUET_VERSION v2, ROW_GROUP_SIZE 2)")
    for kind in ("INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"):
        spark.conf.set("spark.sql.parquet.outputTimestampType", kind)
        spark.createDataFrame(rows).coalesce(1).write.parquet(str(tmp_path / "spark" / kind))
    spark.conf.unset("spark.sql.parquet.outputTimestampType")
    by_file, found = read(source(["at", "n", "s"], types={"at": INSTANT, "n": "int64"}))
    assert [*by_file.values()] == [9] * 10
    millis = AT.replace(microsecond=123000)
    for row in found:
        at = millis if "MILLIS" in row["source_file"] else AT
        assert (row["at"], row["s"]) == (at, ["x", "y", None][row["n"] % 3])


def test_files_may_have_other_columns_and_folders_are_columns(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", id=["1"], n=pa.array([1], pa.int16()), more=["x"])
    write(tmp_path / "b.parquet", n=[2], id=["2"], address=[{"city": "Oslo", "zip": 1}])
    write(tmp_path / "c.parquet", id=["3"], n=pa.nulls(1), address=[{"zip": 3}])
    write(tmp_path / "none.parquet", id=pa.array([], pa.string()))
    write(tmp_path / "month=2026-01/place=a%2Fb %/d.parquet", id=["4"], n=[4], month=["other"])
    write(tmp_path / "month=2026-02/e.parquet", id=["5"])
    write(tmp_path / "old/month=__HIVE_DEFAULT_PARTITION__/f.parquet", id=["6"])
    fields = {name: (name,) for name in ("id", "n", "month", "place")} | {
        "city": ("address", "city")
    }
    by_file, rows = read(source(fields, types={"n": "int64"}))
    assert (len(by_file), sum(by_file.values()), by_file["none.parquet"]) == (7, 6, 0)
    found = {row["id"]: (row["n"], row["city"], row["month"], row["place"]) for row in rows}
    assert found == {
        "1": (1, None, None, None),
        "2": (2, "Oslo", None, None),
        "3": (None, None, None, None),
        "4": (4, None, "2026-01", "a/b %"),
        "5": (None, None, "2026-02", None),
        "6": (None, None, None, None),
    }
    texts = {row["id"]: row["raw_line"] for row in rows}
    assert texts["2"] == '{"id":"2","n":2,"month":null,"place":null,"city":"Oslo"}'
    assert texts["4"] == '{"id":"4","n":4,"city":null}'


def test_folder_tells_a_value_of_its_type(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "day=2026-01-05/n=007/a.parquet", id=["1"])
    _, [row] = read(source(["id", "day", "n"], types={"day": "date", "n": "int32"}))
    assert (row["day"], row["n"]) == (d.date(2026, 1, 5), 7)


def test_values_of_secrets_are_masked_in_the_text(read: Read, tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", id=["1"], card=["4711"], of=[{"Card": "4712", "x": 1}])
    types = {"of": "struct<Card: string, x: int64>"}
    of = source({"id": ("id",), "pay": ("card",), "of": ("of",)}, types=types, secret=("card",))
    assert of.secret_fields == ("pay", "of")
    _, [row] = read(of)
    assert (row["pay"], row["raw_line"]) == ("4711", '{"id":"1","pay":"***","of":"***"}')


def _encrypted(path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET force_mbedtls_unsafe = 'true'")
        connection.execute("PRAGMA add_parquet_key('key', '0123456789abcdef')")
        how = "ENCRYPTION_CONFIG {footer_key: 'key'}"
        connection.execute(f"COPY (SELECT 1 AS id) TO '{path}' ({how})")


def _scrambled(path: Path) -> None:
    write(path, id=[f"{number:09}" for number in range(9999)])
    data = bytearray(path.read_bytes())
    for place in range(100, len(data) - 2000, 7):
        data[place] ^= 0x5A
    path.write_bytes(data)


def _not_utf8(path: Path) -> None:
    _, ends, text = pa.array([b"\xff\xfe", b"ok"]).buffers()
    write(path, id=pa.StringArray.from_buffers(2, ends, text))


BAD: dict[str, tuple[Callable[[Path], Any], dict[str, Any], str]] = {
    "no byte": (lambda path: path.write_bytes(b""), {}, "a.parquet is no Parquet file, or its end"),
    "text": (
        lambda path: path.write_text("id\n1\n" * 9),
        {},
        "a.parquet is no Parquet file, or it",
    ),
    "cut off": (
        lambda path: path.write_bytes(write(path, id=["1"]).read_bytes()[:-9]),
        {},
        "or its end is cut off: it has",
    ),
    "damaged footer": (
        lambda path: path.write_bytes(b"PAR1" + b"\x9f" * 20 + b"\x14\0\0\0PAR1"),
        {},
        "a.parquet cannot be read as Parquet: ",
    ),
    "encrypted": (_encrypted, {}, "a.parquet is encrypted, and nobody tells its key."),
    "damaged rows": (_scrambled, {}, "Failed to read file"),
    "not UTF-8": (_not_utf8, {}, "Invalid string encoding found in Parquet file"),
    "another type": (
        lambda path: write(path, id=[1]),
        {},
        "a.parquet: column 'id' is int64, which does not convert exactly to text, as where types "
        "say nothing, the type of field 'id'. Say in the source what the file has, "
        "types={'id': 'int64'}, and cast it in a model. Nothing was published.",
    ),
    "too wide": (
        lambda path: write(path, id=pa.array([1], pa.uint64())),
        {"types": {"id": "int64"}},
        "column 'id' is uint64, which does not convert exactly to int64",
    ),
    "too many digits": (
        lambda path: write(path, id=pa.array([Decimal(1)], pa.decimal256(50, 2))),
        {"types": {"id": "float64"}},
        "column 'id' is decimal of more than 38 digits, which does not convert",
    ),
    "time in nanoseconds": (
        lambda path: write(path, id=pa.array([1], pa.time64("ns"))),
        {},
        "column 'id' is time in nanoseconds, which does not convert exactly to text",
    ),
    "interval": (
        lambda path: duckdb.sql(f"COPY (SELECT INTERVAL 1 DAY AS id) TO '{path}'"),
        {},
        "column 'id' is interval",
    ),
    "bytes": (lambda path: write(path, id=[b"x"]), {}, "column 'id' is binary, which does not"),
    "no such column": (
        lambda path: write(path, idd=["1"], n=[1]),
        {},
        "a.parquet has no column 'id', the place of field 'id'. Did you mean 'idd'? Its columns: "
        "idd, n.",
    ),
    "no such part": (
        lambda path: write(path, of=[{"Id": "1"}]),
        {"fields": {"id": ("of", "id")}},
        "a.parquet has no column 'of.id', the place of field 'id'. Did you mean 'Id'?",
    ),
    "parts of no struct": (
        lambda path: write(path, of=["1"]),
        {"fields": {"id": ("of", "id")}},
        "the place of field 'id' is 'of.id', but the column has string there, which has no part",
    ),
    "twins": (
        lambda path: write(path, id=["1"], ID=["2"]),
        {},
        "a.parquet has columns 'id' and 'ID', which engines do not tell apart.",
    ),
    "a folder of another type": (
        lambda path: write(path.parent / "n=x" / "a.parquet", id=["1"]),
        {"fields": {"n": ("n",)}, "types": {"n": "int64"}},
        "n=x/a.parquet: the folder 'n=x' tells no int64, the type of field 'n'.",
    ),
}


def test_what_cannot_be_read_is_refused_alike(engines: list[Engine], tmp_path: Path) -> None:
    for name, (make, options, told) in BAD.items():
        raw = tmp_path / name
        raw.mkdir()
        make(raw / "a.parquet")
        of = source(**({"fields": ["id"]} | options))
        for engine in engines:
            with pytest.raises(SourceError) as caught:
                engine.fetch(engine.read_raw(of, raw).table)
            assert told in str(caught.value), (name, engine.name)


EXACT = (
    "tinyint>int8", "utinyint>int16", "uinteger>int64", "integer>float64", "float>float64",
    "bigint>decimal(19,0)", "ubigint>decimal(20,0)", "decimal(5,2)>decimal(6,3)",
    "timestamp_ns>timestamp('UTC',6)", "uuid>string", "json>string", "integer[]>array<int64>",
    "struct(a integer)>struct<a:int64,b:date>", "map(varchar,integer)>map<string,int64>",
)  # fmt: skip
INEXACT = (
    "bigint>int32", "uinteger>int32", "bigint>float64", "double>float32", "blob>string",
    "bigint>decimal(18,0)", "decimal(5,2)>decimal(5,3)", "decimal(5,2)>float64",
    "double>decimal(38,2)", "date>timestamp('UTC',6)", "timestamp>date", "boolean>int64",
    "integer>string", "varchar>int64", "integer[]>int64", "struct(b integer)>struct<a:int64>",
    "struct(a bigint)>struct<a:int32>", "interval>string",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pair", [*EXACT, *INEXACT])
def test_what_converts_exactly(pair: str) -> None:
    of, to = pair.split(">", 1)
    assert is_exact(type_of_sql(of), ibis.dtype(to)) == (pair in EXACT)


def test_columns_of_files_that_are_no_names_of_ours(read: Read, tmp_path: Path) -> None:
    names = ("file name", "filename", "source_file", "a.b", 'q"', "file_row_number")
    write(tmp_path / "a.parquet", **{name: [name] for name in names})
    fields = {f"c{number}": (name,) for number, name in enumerate(names)}
    _, [row] = read(source(fields))
    assert tuple(row.values())[: len(names)] == names


def test_from_a_store_workers_are_sent_the_bytes(engines: list[Engine], tmp_path: Path) -> None:
    """An address stands for the store: only Hadoop reaches it."""
    write(tmp_path / "month=2026-01" / "a b%.parquet", id=["1", "2"])
    (tmp_path / "x.txt").write_text("x")
    of = source(["id", "month"])
    raw = engines[1].read_raw(of, Remote(f"file://{tmp_path}"))
    rows = engines[1].fetch(raw.table).to_pylist()
    assert raw.by_file == {"month=2026-01/a b%.parquet": 2}
    assert [(row["id"], row["month"], row["source_file"]) for row in rows] == [
        (each, "2026-01", "month=2026-01/a b%.parquet") for each in "12"
    ]
