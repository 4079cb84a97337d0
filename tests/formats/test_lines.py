"""Lines are counted by the reading rules, whatever the bytes."""

import codecs
import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings, strategies as st

from streampro.config import Target
from streampro.engines.duckdb.engine import DuckDBEngine
from streampro.errors import SourceError
from streampro.formats import lines as line_count_module
from streampro.formats.lines import (
    LONGEST_LINE,
    LONGEST_PLAIN_LINE,
    LineCount,
    count_lines,
    exact_lines,
)
from streampro.modeling.source import Source

LINES = Source("lines", ("lines.jsonl",), "json_lines", {"a": ("a",)})
BOM = codecs.BOM_UTF8
PIECES = [b"a", b"\n", b"\n", b"\r\n", b"\r", b" ", b"\t", b'"', b"'", b",", b"\\", b"#", b"{"]
PIECES += [b"\x00", b"\x02", b"\x0b", b"\x1f", b"\x7f", b"\xff", b"\xc3", b"\xc3\xa9", b"\xe2\x80"]
PIECES += ["\u2028".encode(), "\u00a0".encode(), "\U0001f600".encode(), BOM, b'{"a":1}']
PACKED = (b"\x1f\x8b", b"\x1f\x9d", b"\x1f\xa0")
"""Starts of packed files that are short enough to be drawn."""
drawn = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join) | st.binary(max_size=40)
contents = drawn.filter(lambda data: not data.startswith(PACKED))


def naive_lines(data: bytes) -> list[tuple[str, bool]]:
    """Split by the rules, in the plainest way."""
    found = []
    for line in data.removeprefix(BOM).split(b"\n"):
        if line.strip(b" \t\r\n"):
            text = line.removesuffix(b"\r")
            found.append((text.decode("utf-8", "replace"), not is_utf8(text)))
    return found


def is_utf8(text: bytes) -> bool:
    return text.decode("utf-8", "ignore").encode() == text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    target = Target(name="test", warehouse=tmp_path_factory.mktemp("warehouse"))
    with DuckDBEngine(target) as started:
        yield started


def written(folder: Path, data: bytes, name: str = "lines.jsonl") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


@settings(deadline=None)
@given(contents, st.integers(3, 20))
@example(BOM, 64)
@example(BOM + b"\na", 64)
@example(BOM + b" \r\na", 64)
def test_count_is_that_of_a_naive_split(folder: Path, data: bytes, chunk: int) -> None:
    with patch.object(line_count_module, "_CHUNK", chunk):
        assert count_lines(written(folder, data)).lines == len(naive_lines(data))


@settings(deadline=None)
@given(contents)
def test_exact_lines_are_those_of_a_naive_split(folder: Path, data: bytes) -> None:
    assert list(exact_lines(written(folder, data))) == naive_lines(data)


@pytest.mark.slow
@settings(max_examples=settings().max_examples * 3)
@given(contents)
@example(b"")
@example(b"\n \n\r\n")
@example(BOM + b"\n{}")
@example(b"\x0b\n\x1f\n")
@example(b'"a\nb"\n')
@example(b"a\r\nb\nc")
@example(b"a\nb\r\n")
def test_engine_reads_every_file_by_the_rules(
    folder: Path, engine: DuckDBEngine, data: bytes
) -> None:
    written(folder, data)
    found = engine.read_raw(LINES, folder)
    expected = naive_lines(data)
    lines = engine.fetch(found.table.select("raw_line", "source_file"))
    assert Counter(lines["raw_line"].to_pylist()) == Counter(text for text, _ in expected)
    assert set(lines["source_file"].to_pylist()) <= {"lines.jsonl"}
    assert found.lines == len(expected)
    assert found.invalid_utf8 == sum(invalid for _, invalid in expected)


@settings(deadline=None)
@given(contents, st.integers(3, 20))
def test_plain_file_is_valid_text_without_surprises(folder: Path, data: bytes, chunk: int) -> None:
    with patch.object(line_count_module, "_CHUNK", chunk):
        found = count_lines(written(folder, data))
    if found.plain:
        assert is_utf8(data)
        assert not data.startswith(BOM)
        assert b"\r" not in data.replace(b"\r\n", b"")
        assert min(data, default=9) >= 9


@pytest.mark.parametrize(
    "data", [b"", b"\n", b'{"a": 1}\n', b'{"a": 1}\r\n{}', "\u00e9\n".encode()]
)
def test_ordinary_file_is_plain(data: bytes, folder: Path) -> None:
    assert count_lines(written(folder, data)).plain


@pytest.mark.parametrize(
    "data", [BOM + b"a", b"a\rb", b"\xff", b"\x00", b"\x02", b"\xc3", b"a\xe2\x80\n"]
)
def test_odd_file_is_not_plain(data: bytes, folder: Path) -> None:
    assert not count_lines(written(folder, data)).plain


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_letters_cut_by_a_chunk_are_plain(chunk: int, folder: Path) -> None:
    path = written(folder, "a\u00e9\u20ac\U0001f600\n".encode() * 5)
    with patch.object(line_count_module, "_CHUNK", chunk):
        assert count_lines(path) == LineCount(lines=5, plain=True)


def test_packed_file_is_read_like_an_unpacked_one(folder: Path) -> None:
    data = b"a\n\nb\xff\r\n c"
    path = written(folder, data, "packed.jsonl.gz")
    assert count_lines(path).lines == 3
    assert list(exact_lines(path)) == naive_lines(data)


def test_packed_file_of_several_parts_is_read_whole(folder: Path, engine: DuckDBEngine) -> None:
    path = folder / "parts.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\nb", mtime=0) + gzip.compress(b"c\nd\n"))
    assert count_lines(path).lines == 3
    found = engine.read_raw(Source("parts", (path.name,), "json_lines", {"a": ("a",)}), folder)
    lines = engine.fetch(found.table.select("raw_line"))["raw_line"].to_pylist()
    assert sorted(lines) == ["a", "bc", "d"]


@pytest.mark.parametrize(
    "spoiled",
    [
        gzip.compress(b"a\n" * 1000, mtime=0)[:-10],
        gzip.compress(b"a\n" * 1000, mtime=0)[:12],
        gzip.compress(b"a\n" * 1000, mtime=0)[:-8] + b"\0" * 8,
        b"no gzip",
        gzip.compress(b"a\n", mtime=0)[:10] + b"\xff\xff\xff",
    ],
)
def test_spoiled_packed_file_is_refused(spoiled: bytes, folder: Path) -> None:
    path = folder / "spoiled.jsonl.gz"
    path.write_bytes(spoiled)
    with pytest.raises(SourceError, match=r"spoiled\.jsonl\.gz cannot be read: .*published\.$"):
        count_lines(path)


def test_missing_file_is_refused(folder: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        count_lines(folder / "missing.jsonl")


def test_longest_line_is_read_and_a_longer_one_refused(folder: Path) -> None:
    longest = b"x" * LONGEST_LINE
    assert count_lines(written(folder, b"a\n" + longest + b"\nb\n")) == LineCount(3, False)
    for longer in (longest + b"x", longest + b"x\nb\n"):
        with pytest.raises(SourceError, match="line 2 is longer than 16 MiB"):
            count_lines(written(folder, b"a\n" + longer))


def test_lines_too_long_for_a_fast_reader_are_read_too(folder: Path, engine: DuckDBEngine) -> None:
    for length, plain in ((LONGEST_PLAIN_LINE, True), (LONGEST_PLAIN_LINE + 1, False)):
        assert count_lines(written(folder, b"y" * length + b"\n")).plain is plain
        found = engine.read_raw(LINES, folder).table
        assert engine.fetch(found.select(n=found.raw_line.length()))["n"].to_pylist() == [length]
