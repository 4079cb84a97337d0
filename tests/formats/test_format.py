"""The seam of raw formats: what it takes to add one, and when tables are built anew."""

import gzip
import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pipelines.shop import mart, raw, staging

import streampro
from streampro.engines.duckdb import readers as duckdb_readers
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.engines.spark import readers as spark_readers
from streampro.errors import PipelineError, SourceError
from streampro.formats.csv.dialect import Dialect
from streampro.formats.format import RAW_COLUMNS, Format, LocalText
from streampro.formats.json.elements import BrokenError, elements
from streampro.formats.lines import deal_lines, exact_lines, numbered_lines
from streampro.formats.registry import FORMATS
from streampro.formats.rewrite import rewrite
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source

PACKAGE = Path(streampro.__file__).parent

_VALUES = (
    *("1", "-0", "5.10", "1E5", "1e400", "-1.50e-7", "01", "1.", "1_0", "0x1", "NaN", "inf", ""),
    *('"5.10"', '"it\'s"', r'"\u0061"', r'"\""', r'"\x41"', '"{"', '"["', '"\t"', '"\u2028\u00a0"'),
    *("null", "true", "[1,2.50]", '{"t":1.50}', '"a" "b"', "'x'", '1.50,"c":2.50', '"\ufeff"'),
)
_FRAMES = (
    *('{"a":#}', '{"a":#}\r', ' \t{"a" : #  , } ', '{"b":1,"a":#,"a":"2"}', '{"n":{"t":#,"t":2}}'),
    *('[{"a":#}]', '{"a":#}{"a":1}', '{"a":#', '{"a":#}x', '\ufeff{"a":#}', r'{"\u0061":#}'),
    *('{"A":#}', r'{"b":"\"a\":7.0","a":#}', '{"n":#}', '{"n":{"T":#}}', '{"n":{"it\'s":#},"b":#}'),
)
_CELLS = (
    "1",
    " 1\t",
    '"a, ""b"""',
    '"two\r\nlines"',
    '"a\n\n"',
    "b\rc",
    "\u00e9",
    "\udcff\udcfe",
    "",
)


def nasty_lines() -> dict[str, bytes]:
    lines = [frame.replace("#", value) for frame in _FRAMES for value in _VALUES]
    plain = "\n".join(lines).encode()
    blank = b"\n\r\n \t\n\x0b\n\x1f\n"
    bad = b'{"a":"\xff\xc3"}\x00\n{"a":\x02}\n{"a":"\xed\xa0\x80","b":"x\ry"}\n\x01{"a":1}'
    return {
        "plain.jsonl": plain + b"\r\n\n",
        "odd.jsonl": b"\xef\xbb\xbf" + plain + blank + bad,
        "packed.jsonl.gz": gzip.compress(blank + plain, mtime=0),
        "empty.jsonl": b"",
        "a[b]*.jsonl": b'{"a":1.0}',
    }


def nasty_records() -> dict[str, bytes]:
    rows = [",".join((one, other)) for one in _CELLS for other in _CELLS]
    rows += [*_CELLS, " ", "\t", ",", ",,", "a,b,c", '"",""']
    encoded = [row.encode("utf-8", "surrogateescape") for row in rows]
    return {
        "lf.csv": b"id,secret,name\n" + b"\n".join(encoded),
        "crlf.csv": b'\xef\xbb\xbf\r\n \r\n" name","id\t",secret,secret\r\n'
        + b"\r\n".join(encoded),
        "header.csv": b"id,name,secret\n",
        "no_column.csv": b"id,nmae,secret\n",
        "no_secret.csv": b"id,name\n1,2\n",
        "open_quote.csv": b'id,name,secret\n"1,2,3\n',
        "text_behind_quote.csv": b'id,name,secret\n"1"x,2,3\n',
        "quote_within.csv": b'id,name,secret\n1",2,3\n',
        "nul.csv": b"id,name,secret\n1\x00,2,3\n",
        "empty.csv": b"",
    }


def nasty_columns() -> dict[str, bytes]:
    def parquet(**columns: Any) -> bytes:
        rows = len(next(iter(columns.values())))
        pq.write_table(
            pa.table({name: pa.nulls(rows) for name in KINDS} | columns), place := BytesIO()
        )
        return place.getvalue()

    edge = [0, -1, 2**63 - 1, -(2**63), 253402300799999999, 253402300800000000, -62135596800000000]
    nested = [{"m": None, "x": 1}, None, {"m": [{"k": 1}, None], "x": None}]
    whole = parquet(id=["1", None], at=[datetime(2024, 5, 1), None])
    return {
        "us.parquet": parquet(at=pa.array(edge, pa.timestamp("us")), id=list("abcdefg")),
        "ns.parquet": parquet(at=pa.array(edge, pa.timestamp("ns", "UTC"))),
        "day.parquet": parquet(day=pa.array([0, -(2**31), 2932896, 2932897], pa.date32())),
        "number.parquet": parquet(number=[1.5, float("nan"), float("-inf"), -0.0, 1e300, None]),
        "price.parquet": parquet(price=[Decimal("-1.10"), None, Decimal(10) ** 17]),
        "nested.parquet": parquet(nested=nested, more=pa.nulls(3)),
        "bytes.parquet": parquet(bytes=[b"\x00\xff\\", None, b""], id=["1", "2", ""]),
        "none.parquet": parquet(id=pa.array([], pa.string())),
        "wide.parquet": parquet(price=[2**63 - 1]),
        "text.parquet": parquet(number=["1.5"]),
        "cut.parquet": whole[:-1],
        "twins.parquet": parquet(id=["1"], ID=["2"]),
    }


def nasty_documents() -> dict[str, bytes]:
    """Elements that are broken in themselves are rows; what breaks the list is refused."""
    values = [frame.replace("#", value) for frame in _FRAMES for value in _VALUES]
    values = [each for each in values if _is_one_element(each)]
    return {
        "list.json": f"\ufeff[\n{' ,'.join(values)}\n]".encode(),
        "packed.json.gz": gzip.compress(f"[{','.join(values)},]".encode(), mtime=0),
        "object.json": b'{"a":1.0,"a":2,"n":{"t":1E5}}\n',
        "scalar.json": b'"x"',
        "empty.json": b"[ ]",
        "nothing.json": b"",
        "bad.json": b'[{"a":"\xff\xc3"},{"a":"\xed\xa0\x80"},\x00,"\x02"]',
        "cut.json": b'[{"a":1}',
        "behind.json": b"[1] 2",
        "two.json": b'{"a":1}{"a":2}',
        "wide.json": "[1]".encode("utf-16"),
    }


def _is_one_element(text: str) -> bool:
    try:
        found = elements(f"[{text}]", 0)
    except BrokenError:
        return False
    return len(found.texts) == 1 and found.end == len(text) + 2


FIELDS = {"a": ("a",), "b": ("b",), "t": ("n", "t"), "d": ("n", "it's")}
COLUMNS = {"id": ("id",), "name": ("name",)}
KINDS = {
    "id": "string",
    "at": "timestamp('UTC', 6)",
    "day": "date",
    "number": "float64",
    "price": "decimal(38, 2)",
    "nested": "struct<m: array<struct<k: int64, l: date>>, x: int64>",
    "bytes": "binary",
}
NASTY = {
    "json_lines": (nasty_lines, {"fields": FIELDS}),
    "json": (nasty_documents, {"fields": FIELDS}),
    "csv": (nasty_records, {"fields": COLUMNS, "secret": ("secret",)}),
    "parquet": (nasty_columns, {"fields": {name: (name,) for name in KINDS}, "types": KINDS}),
}
PINNED = {
    ("json", 0): "2b030ca45cf87c44",
    ("json_lines", 0): "627c82cde0027333",
    ("csv", 0): "7c62a9c5350a8c2f",
    ("json_lines", 1): "627c82cde0027333",
    ("csv", 1): "7c62a9c5350a8c2f",
    ("parquet", 0): "a3c3a7fed448142a",
    ("csv", 2): "7c62a9c5350a8c2f",
    ("csv", 3): "d21fa2b02c25ac58",
    ("parquet", 1): "55493371c7a5f2f1",
}
"""What the files above are read as, by format and revision; so they never change."""


def digest_of_rows(name: str, folder: Path) -> str:
    """Read each file by DuckDB's reader of a format."""
    make, options = NASTY[name]
    found = []
    target = streampro.Target(name="pin", warehouse=folder / "warehouse")
    (folder / "raw").mkdir()
    with DuckDBEngine(target) as engine:
        for number, (file, data) in enumerate(make().items()):
            raw = folder / "raw" / str(number)
            raw.mkdir()
            (raw / file).write_bytes(data)
            source = Source(f"source_{number}", ("*",), name, **options)  # type: ignore[arg-type]  # any keyword
            try:
                read = engine.read_raw(source, raw)
                rows = sorted(map(repr, engine.fetch(read.table).to_pylist()))
                found.append((file, read.lines, read.invalid_utf8, rows))
            except SourceError:
                found.append((file, "refused"))
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, each in FORMATS.items() if not each.is_table])
def test_reading_rules_change_with_the_revision_of_their_format(name: str, tmp_path: Path) -> None:
    assert name in NASTY, f"pin what files of {name} are read as: add them to NASTY"
    found, revision = digest_of_rows(name, tmp_path), FORMATS[name].revision
    assert found == PINNED.get((name, revision)), (
        f"files of format {name} are read as other rows than revision {revision} read. If that is "
        f"meant, raise `revision` of {type(FORMATS[name]).__name__} in "
        f"{type(FORMATS[name]).__module__}, so that models that read such files are built anew; "
        f"then pin {found!r} here for it, and leave what stands here for earlier ones."
    )


def shop() -> Pipeline:
    return Pipeline("shop", [raw, staging, mart])


@pytest.mark.parametrize(("name", "readers"), [("json_lines", {"sales"}), ("csv", {"shops"})])
def test_raised_revision_builds_the_models_anew_that_read_such_files(
    name: str, readers: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shop().code_hashes()
    monkeypatch.setattr(type(FORMATS[name]), "revision", FORMATS[name].revision + 1)
    after = shop().code_hashes()
    assert {model for model in before if before[model] != after[model]} == readers


def test_declared_dialect_builds_the_models_anew_that_read_its_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = shop().code_hashes()
    for dialect, changed in ((Dialect(), set()), (Dialect(delimiter=";"), {"shops"})):
        monkeypatch.setattr(raw, "raw_shops", replace(raw.raw_shops, dialect=dialect))
        after = shop().code_hashes()
        assert {model for model in before if before[model] != after[model]} == changed


class Tabs(Format):
    """A record per line, fields between tabs, each with the number of its place."""

    name = "tabs"
    may_be_empty = False
    grows = False

    def secret_fields(self, source: Source) -> tuple[str, ...]:
        return tuple(name for name, path in source.fields.items() if path[0] in source.secret)

    def local_text(
        self, source: Source, raw: Path, paths: Sequence[Path], scratch: Path
    ) -> LocalText:
        places = [int(place) for (place,) in source.fields.values()]
        records = (
            ((*(text.split("\t")[n] for n in places), text, path.relative_to(raw).as_posix()), odd)
            for path in paths
            for text, odd in exact_lines(path)
        )
        return rewrite(scratch, [*source.fields, *RAW_COLUMNS], records)

    def numbered(self, source: Source, path: Path) -> Iterator[tuple[int, str]]:
        return ((number, text) for number, text, _ in numbered_lines(path))

    def deal(self, source: Source, path: Path, places: Sequence[Path], dice: Random) -> None:
        deal_lines(path, places, dice)


@pytest.fixture
def tabs(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """The pipeline of the shop over files of a format that only this test knows."""
    monkeypatch.setitem(FORMATS, "tabs", Tabs())
    return tables_of_tabs()


def tables_of_tabs() -> Pipeline:
    raw = ModuleType("made_up.raw")
    fields = {"shop": ("0",), "day": ("1",), "amount": ("2",)}
    raw.sales = Source("raw_sales", ("sales*",), "tabs", fields)  # type: ignore[attr-defined]  # a module made here
    raw.shops = Source(  # type: ignore[attr-defined]
        "raw_shops", ("shops*",), "tabs", {"shop": ("0",), "city": ("1",)}
    )
    return Pipeline("tabs", [raw, staging, mart])


@pytest.fixture
def target(tmp_path: Path) -> streampro.Target:
    raw = tmp_path / "raw"
    raw.mkdir()
    sales = (
        "a\t2024-05-01\t10\na\t2024-05-01\t10\n\na\t2024-05-02\t5\nb\t2024-05-01\t7\nc\tsoon\t\n"
    )
    (raw / "sales.tsv").write_text(sales)
    (raw / "shops.tsv").write_text("a\tOslo\nb\tRome\n")
    return streampro.Target(name="test", raw=raw, warehouse=tmp_path / "w")


@pytest.mark.slow
def test_new_format_is_a_class_and_a_reader(
    tabs: Pipeline, target: streampro.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read, counted, located, dealt out and part of the code hash like any other."""
    monkeypatch.setitem(duckdb_readers.READERS, "tabs", duckdb_readers.read_rewritten)  # type: ignore[arg-type]
    [books] = streampro.run(tabs, target).books
    assert (books.lines, books.accepted, books.duplicates, books.rejected) == (5, 3, 1, 1)
    [line] = streampro.explain(tabs, target, "revenue.amount", "shop = 'b'").lines
    assert (line.source, line.file, line.number, line.text) == (
        "raw_sales", "sales.tsv", 5, "b\t2024-05-01\t7"
    )  # fmt: skip
    assert streampro.check_incremental(tabs, target, parts=2).runs == 2
    monkeypatch.setattr(Tabs, "revision", 1)
    assert tables_of_tabs().code_hashes()["sales"] != tabs.code_hashes()["sales"]


@pytest.mark.slow
def test_format_that_an_engine_does_not_read_is_refused(
    tabs: Pipeline, target: streampro.Target
) -> None:
    with pytest.raises(PipelineError) as caught:
        streampro.run(tabs, target)
    assert str(caught.value) == (
        "source 'raw_sales': duckdb does not read 'tabs'. It reads json_lines, json, csv, parquet, "
        "delta, database."
    )


def test_unknown_format_is_refused_with_a_hint() -> None:
    with pytest.raises(PipelineError) as caught:
        Source("lines", ("*.jsonl",), "jsonlines", {"a": ("a",)})
    assert str(caught.value) == (
        "source 'lines' has the unknown format 'jsonlines'. Did you mean 'json_lines'? "
        "Formats: json_lines, json, csv, parquet, delta, database."
    )


def test_every_engine_reads_every_format() -> None:
    assert {*duckdb_readers.READERS} == {*spark_readers.READERS} == {*FORMATS}


def test_only_the_registry_asks_for_the_format_of_a_source() -> None:
    asks = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\bsource\.format\b", path.read_text(encoding="utf-8"))
    ]
    assert asks == ["formats/registry.py"]


def test_workers_of_spark_need_no_package_to_import_what_they_run() -> None:
    heavy = ["ibis", "pydantic", "pandas", "numpy", "pyarrow", "duckdb", "pyspark"]
    code = (
        "import sys, streampro.engines.spark.workers, streampro.formats.registry; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
