"""Both engines read the same bytes as the same text: odd lines by hand, others made at random."""

import bz2
import gzip
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streampro.config import Target
from streampro.engines.protocol import Engine
from streampro.engines.registry import connect
from streampro.errors import SourceError
from streampro.formats.csv.dialect import Dialect
from streampro.modeling.source import Source

JSON = Source(
    "lines",
    ("*.jsonl", "*.jsonl.gz"),
    "json_lines",
    {"a": ("a",), "b": ("b",), "nested": ("n", "t"), "deep": ("n", "it's", "d")},
)
CSV = Source("records", ("*.csv",), "csv", {"id": ("id",), "name": ("name",)})
NOT_ONE_OBJECT = None
"""What an odd line is read as: nothing, or the texts of its fields."""

ODD: dict[str, dict[str, str | None] | None] = {
    # what stands around the object
    '{"a":"x"} text': NOT_ONE_OBJECT,
    '{"a":"x"}{"a":"y"}': NOT_ONE_OBJECT,
    '{"a":"x"},{"a":"y"}': NOT_ONE_OBJECT,
    '{"a":"x"}],[{"a":"y"}': NOT_ONE_OBJECT,
    '{"a":"x"}]': NOT_ONE_OBJECT,
    '{"a":"x"},': NOT_ONE_OBJECT,
    '[{"a":"x"}]': NOT_ONE_OBJECT,
    '"x"': NOT_ONE_OBJECT,
    "null": NOT_ONE_OBJECT,
    "{}": {},
    '\v{"a":"x"}': NOT_ONE_OBJECT,
    '{"a":"x"}\f': NOT_ONE_OBJECT,
    '\ufeff\ufeff{"a":"x"}': NOT_ONE_OBJECT,
    '\u00a0{"a":"x"}': NOT_ONE_OBJECT,
    '\x01{"a":"x"}': NOT_ONE_OBJECT,
    '{"a":"x"}\x00': NOT_ONE_OBJECT,
    ' \t{"a":"x"}\t \r': {"a": "x"},
    # what only looks like JSON
    "{'a':'x'}": NOT_ONE_OBJECT,
    '{a:"x"}': NOT_ONE_OBJECT,
    '{nan:"x"}': NOT_ONE_OBJECT,
    '{"a":"x"//c\n}'.replace("\n", " "): NOT_ONE_OBJECT,
    '{"a":"x"': NOT_ONE_OBJECT,
    '{"a":01}': NOT_ONE_OBJECT,
    '{"a":1.}': NOT_ONE_OBJECT,
    '{"a":+1}': NOT_ONE_OBJECT,
    '{"a":0x10}': NOT_ONE_OBJECT,
    '{"a":1_000}': NOT_ONE_OBJECT,
    '{"a":1.5.2}': NOT_ONE_OBJECT,
    '{1.5:"x"}': NOT_ONE_OBJECT,
    '{"a":"\t"}': NOT_ONE_OBJECT,
    '{"a":"\\x41"}': NOT_ONE_OBJECT,
    # a comma before a closing bracket, bare NaN and Infinity are tolerated
    '{"a":"x", }': {"a": "x"},
    '{"a":"x","c":[1,]}': {"a": "x"},
    '{"a":"x",,}': NOT_ONE_OBJECT,
    "{,}": NOT_ONE_OBJECT,
    '{"a":NaN,"b":-Infinity}': {"a": "NaN", "b": "-Infinity"},
    '{"a":inf,"b":"x"}': {"a": "inf", "b": "x"},
    '{"a":"x, nan, y",}': {"a": "x, nan, y"},
    # repeated keys: the first counts
    '{"a":"1","a":"2"}': {"a": "1"},
    '{"a":null,"a":"2"}': {},
    '{"n":{"t":"w"},"n":{"t":"v"}}': {"nested": "w"},
    '{"n":{"t":"w","t":"v"}}': {"nested": "w"},
    '{"\\u0061":"x","a":"y"}': {"a": "x"},
    # numbers keep their spelling
    '{"a":5.10,"b":"5.10"}': {"a": "5.10", "b": "5.10"},
    '{"a":1E5,"b":1e-7}': {"a": "1e5", "b": "1e-7"},
    '{"a":1e400,"b":-1E400}': {"a": "1e400", "b": "-1e400"},
    '{"a":123456789012345678901234567890}': {"a": "123456789012345678901234567890"},
    '{"a":-0,"b":-0.0}': {"a": "0", "b": "-0.0"},
    '{"a":":1.5,","b":1.50}': {"a": ":1.5,", "b": "1.50"},
    '{"a":"k\\\\","b":1.50}': {"a": "k\\", "b": "1.50"},
    '{"n":{"t":2.50}}': {"nested": "2.50"},
    '{"a":true,"b":false}': {"a": "true", "b": "false"},
    # escapes
    '{"a":"\\ud83d\\ude00"}': {"a": "\U0001f600"},
    '{"a":"\\ud800"}': NOT_ONE_OBJECT,
    '{"a":"\\ude00\\ud83d"}': NOT_ONE_OBJECT,
    '{"a":"\\\\ud800"}': {"a": "\\ud800"},
    '{"a":"\\u0000b"}': {"a": "\x00b"},
    '{"a":"\\u000bx\\f"}': {"a": "\vx\f"},
    # objects and lists are no text
    '{"a":{"z":1.50},"b":[1]}': {},
    '{"a":"{z}","b":"[1"}': {"a": "{z}", "b": "[1"},
    '{"a":"[1","n":{"a":[1]}}': {"a": "[1"},
    '{"\\u0061":"[1","b":[1]}': {"a": "[1"},
    '{"a":"x","c":' + "[" * 2_000 + "]" * 2_000 + "}": {"a": "x"},
    '{"n":null,"a":"q"}': {"a": "q"},
    '{"n":"{\\"t\\":\\"w\\"}"}': {},
    '{"n":[{"t":"w"}]}': {},
    '{"n":{"t":{"t":"w"}}}': {},
    '{"n":{"T":"w"},"A":"x"}': {},
    '{"n":{"t":1.50,"it\'s":{"d":"z"}}}': {"nested": "1.50", "deep": "z"},
}
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def engines(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    warehouse = tmp_path_factory.mktemp("engines")
    with (
        connect(Target(name="left", warehouse=warehouse / "duckdb")) as left,
        connect(
            Target(name="right", engine="spark", warehouse=warehouse / "spark"), spark
        ) as right,
    ):
        yield [left, right]


@pytest.fixture
def read(engines: list[Engine], tmp_path: Path) -> Callable[..., list[tuple[Any, Counter[Row]]]]:
    """Read files by each engine: lines, lines that were not UTF-8, and the multiset of rows."""

    def by_each(source: Source, **files: bytes) -> list[tuple[Any, Counter[Row]]]:
        for name, data in files.items():
            path = tmp_path / name.replace("_", ".")
            path.write_bytes(data)
        found = []
        for engine in engines:
            raw = engine.read_raw(source, tmp_path)
            rows = engine.fetch(raw.table).to_pylist()
            found.append(
                ((raw.lines, raw.invalid_utf8), Counter(_row(source, row) for row in rows))
            )
        return found

    return by_each


def _row(source: Source, row: dict[str, Any]) -> Row:
    """Return a row as told by the rules: what is no object has no fields."""
    place = (row["source_file"], row["raw_line"])
    if not row.get("is_object", True):
        return (*place, NOT_ONE_OBJECT)
    return (*place, *(row[name] for name in source.fields))


def test_an_odd_line_is_the_same_row_or_none(read: Callable[..., Any]) -> None:
    left, right = read(JSON, odd_jsonl="\n".join(ODD).encode())
    told = {line: found for _, line, *found in left[1]}
    expected = {
        line.removesuffix("\r"): [None] if row is None else [row.get(n) for n in JSON.fields]
        for line, row in ODD.items()
    }
    assert told == expected
    assert left == right


def test_lines_are_told_apart_alike(read: Callable[..., Any]) -> None:
    data = b'\xef\xbb\xbf{"a":"1"}\r\n\n \t\r\n{"a":"2"}\r\r\n{"a":\r"3"}\n\xef\xbb\xbf{"a":"4"}\nx'
    left, right = read(
        JSON,
        a_jsonl=data,
        b_jsonl=b"",
        **{"e_jsonl.gz": b"", "c d%20+é[1]_jsonl.gz": gzip.compress(data)},
    )
    assert left == right
    assert left[0] == (10, 0)


def test_bytes_that_are_no_utf8_are_replaced_alike(read: Callable[..., Any]) -> None:
    dice = random.Random(3)
    lines = []
    for _ in range(2_000):
        text = bytearray("{'é': \"\u20ac\U0001f600\"}".replace("'", '"').encode())
        for _ in range(dice.randint(1, 3)):
            text[dice.randrange(len(text))] = dice.choice([*range(0x80, 0x100), 0x20])
        lines.append(bytes(text))
    left, right = read(JSON, bytes_jsonl=b"\n".join(lines))
    assert left == right
    assert left[0][1] > 1_000


def test_lines_at_random_are_read_alike(read: Callable[..., Any]) -> None:
    dice = random.Random(5)
    tokens = (
        *"{}[],:'\\\"",
        *('"a"', '"b"', '"n"', '"t"', '"x"', "1.50", "-0", "1e5", "1E+7", "NaN", "inf", "true"),
        *("-Infinity", "null", " ", "\t", '"\\ud83d\\ude00"', '"\\ud800"', '"\\\\ud800"', "\u00e9"),
        *("\x0b", "\x01", '{"t":1.5}', '"[x"', "[1,2.50]", "123456789012345678901", '"a":1'),
        *('"a":"v"', '"n":{"t":"w"}', ",}", '"1.5"', '"{}"'),
    )

    def line() -> str:
        if dice.random() < 0.3:
            return "".join(dice.choice(tokens) for _ in range(dice.randint(1, 9)))
        keys = ('"a"', '"b"', '"n"', '"x"')
        pairs = [
            f"{dice.choice(keys)}{dice.choice(('', ' '))}:{dice.choice(tokens)}"
            for _ in range(dice.randint(1, 4))
        ]
        text = "{" + ",".join(pairs) + dice.choice(("}", "}", "}", ",}", ", }", ",]", ""))
        cut = dice.randrange(len(text) + 1)
        return text[:cut] + dice.choice(tokens) + text[cut:] if dice.random() < 0.3 else text

    lines = [line() for _ in range(10_000)]
    left, right = read(JSON, random_jsonl="\n".join(lines).encode())
    assert left == right


def test_long_texts_with_escapes_do_not_stop_an_engine(read: Callable[..., Any]) -> None:
    escapes = '\\"' * 100_000
    lines = f'{{"a":"{escapes}","b":1.50}}\n{{"a":"{escapes}","b":1.50,}}\n{{"a":"x","b":NaN}}'
    left, right = read(JSON, long_jsonl=lines.encode())
    assert left == right
    assert Counter(row[3] for row in left[1]) == {"1.50": 2, "NaN": 1}


def test_hidden_files_are_passed_over(read: Callable[..., Any]) -> None:
    left, right = read(JSON, **{".hidden_jsonl": b"{}", "seen_jsonl": b"{}"})
    assert left == right
    assert left[0] == (1, 0)


PACKED = gzip.compress(b'{"a":"1"}\n', mtime=0)
LONG = b'{"a":"1","b":"%s"}\n' % (b"x" * 80)
COMMENTED = PACKED[:3] + b"\x10" + PACKED[4:10] + b"of today\0" + PACKED[10:]


READABLE = {
    "zeros_jsonl.gz": (PACKED + b"\0" * 512, 1),
    "comment_jsonl.gz": (COMMENTED, 1),
    "second_jsonl.gz": (PACKED + COMMENTED, 2),
    "upper_jsonl.GZ": (PACKED, 1),
    "bare_jsonl": (PACKED, 1),
    "marked_jsonl": (gzip.compress(b'\xef\xbb\xbf{"a":"1"}\r\n\n \n{"a":"\xff"}', mtime=0), 2),
    "long_jsonl.gz": (gzip.compress(LONG * 30_000, mtime=0), 30_000),
    "text_jsonl.bz2": (b'{"a":"1"}\n', 1),
    "text_jsonl.zst": (b'{"a":"1"}\n', 1),
    "plain_jsonl": (b'{"a":"2"}\n', 1),
}
"""Files, and how many lines each has."""


def test_packed_files_are_read_alike(read: Callable[..., Any]) -> None:
    source = replace(JSON, files=("*",))
    left, right = read(source, **{name: data for name, (data, _) in READABLE.items()})
    assert left == right
    found: Counter[str] = Counter()
    for (file, *_), rows in left[1].items():
        found[file] += rows
    assert found == {name.replace("_", "."): lines for name, (_, lines) in READABLE.items()}
    assert left[0][0] == found.total()
    assert all(row[2] in ("1", "2", "\ufffd") for row in left[1])


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("day_jsonl.bz2", bz2.compress(b"{}"), "packed by bzip2"),
        ("day_jsonl.gz", bz2.compress(b"{}"), "packed by bzip2"),
        ("day_jsonl", b"\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00{}", "packed by zstd"),
        ("day_jsonl", b"PAR1\x15\x04\x15\n{}\n", "a file of Parquet"),
        (
            "day_jsonl.gz",
            gzip.compress(b"a" * 257 + b"ustar\0\n{}", mtime=0),
            "packed by tar, within gzip",
        ),
        ("day_jsonl.gz", b"{}", "its name says gzip"),
        ("day_jsonl", PACKED[:-2], "in the middle of a gzip member"),
    ],
)
def test_packed_file_is_refused_alike(
    engines: list[Engine], tmp_path: Path, name: str, data: bytes, told: str
) -> None:
    (tmp_path / name.replace("_", ".")).write_bytes(data)
    source = replace(JSON, files=("*",))
    for engine in engines:
        with pytest.raises(SourceError, match=rf"day\.jsonl.*{told}.*published\.$"):
            engine.fetch(engine.read_raw(source, tmp_path).table)


@pytest.mark.parametrize("name", ["users_csv", "users_csv.gz"])
def test_packed_csv_is_read_alike(read: Callable[..., Any], name: str) -> None:
    data = b'id,name\n1,"a\nb"\n'
    left, right = read(replace(CSV, files=("*",)), **{name: gzip.compress(data) + b"\0"})
    assert left == right
    assert [row[1:] for row in left[1]] == [('1,"a\nb"', "1", "a\nb")]


DIALECTS = {
    "sheet": (
        Dialect(delimiter=";"),
        b'\xef\xbb\xbfsep=;\r\nid;name\r\n1;"a;b"\r\n2;\xff\r\n', ["a;b", "\ufffd"],
    ),
    "wide": (
        Dialect(encoding="utf-16", delimiter="|", header=("id", "name"), comment="#", skip=1),
        "made by x\n1|\u0a0a\n#\n2|'it''s'\n".encode("utf-16"), ["\u0a0a", "'it''s'"],
    ),
    "tabs": (
        Dialect(encoding="cp1252", delimiter="\t", quote=None),
        b'id\tname\n1\t"\x80\n2\t\x81', ['"\u20ac', "\ufffd"],
    ),
}  # fmt: skip


def test_dialects_are_read_alike(read: Callable[..., Any]) -> None:
    for name, (dialect, data, names) in DIALECTS.items():
        files = (f"{name}*",)
        left, right = read(
            replace(CSV, dialect=dialect, files=files),
            **{f"{name}.csv": data, f"{name}.gz": gzip.compress(data)},
        )
        assert left == right
        assert sorted(row[3] for row in left[1]) == sorted(2 * names)


def test_files_that_do_not_fit_their_dialect_are_told_alike(
    engines: list[Engine], tmp_path: Path
) -> None:
    source = replace(CSV, dialect=Dialect(encoding="utf-16"))
    (tmp_path / "records.csv").write_text("id;name\n")
    told = "It does not look like utf-16: name its encoding in the dialect."
    for engine in engines:
        with pytest.raises(SourceError, match=told):
            engine.fetch(engine.read_raw(source, tmp_path).table)


def test_csv_is_read_alike(read: Callable[..., Any]) -> None:
    data = (
        b'\xef\xbb\xbf name ,x,id\r\n"a, ""b""",,1\n\n"two\r\nlines",y,2\nc\r,\xff,3\nd,,4,5\ne\n'
    )
    left, right = read(CSV, users_csv=data, more_csv=b"id,name\n1,\xc3\xa9")
    assert left == right
    assert left[0] == (6, 1)
