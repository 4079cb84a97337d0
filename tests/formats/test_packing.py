"""Packed files are known by their bytes; what `gzip -t` takes is read."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, strategies as st

from streampro.errors import SourceError
from streampro.formats.csv import CSV
from streampro.formats.json_lines import JSON_LINES
from streampro.formats.packing import HEAD, Unpacked, beginning, opened, packing_of, unpacked
from streampro.modeling.source import Source

TEXT, CHECKSUM, EXTRA, NAME, COMMENT = 1, 2, 4, 8, 16
flags = st.integers(0, 31)
padding = st.sampled_from([b"", b"", b"\0", b"\0" * 5, b"\0" * 512])


def member(data: bytes, flags: int = 0) -> bytes:
    """Write a gzip member by RFC 1952, with the optional parts of its header that flags tell."""
    packer = zlib.compressobj(wbits=-15)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff"
    head += b"\x04\x00ab\x00\x00" if flags & EXTRA else b""
    head += b"day.jsonl\0" if flags & NAME else b""
    head += "für später\0".encode("latin-1") if flags & COMMENT else b""
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF) if flags & CHECKSUM else b""
    end = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return head + packer.compress(data) + packer.flush() + end


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.jsonl"), data)
    return file.getvalue()


def tarred(data: bytes, form: int = tarfile.GNU_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        info = tarfile.TarInfo("days/a.jsonl")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def is_gzip(data: bytes) -> bool:
    """Ask another program."""
    return not subprocess.run(
        ["gzip", "-t"], input=data, capture_output=True, check=False
    ).returncode


@given(st.lists(st.tuples(st.binary(max_size=20), flags, padding), min_size=1, max_size=5))
def test_members_with_any_header_and_padding_are_read(
    members: list[tuple[bytes, int, bytes]],
) -> None:
    packed = b"".join(member(data, kinds) + zeros for data, kinds, zeros in members)
    file = unpacked(io.BytesIO(packed), "a")
    assert file.read() == b"".join(data for data, _, _ in members)
    usual = all(kinds in (0, NAME) and not zeros for _, kinds, zeros in members)
    assert isinstance(file, Unpacked)
    assert file.is_usual is usual


@given(st.lists(st.binary(max_size=20).map(b"{%b".__mod__), min_size=1, max_size=3))
def test_beginning_of_a_packed_file_is_unpacked_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, members: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "growing.gz"
    path.write_bytes(b"".join(map(member, members)))
    ends = [sum(len(member(each)) for each in members[:n]) for n in range(len(members) + 1)]
    for size in range(ends[-1] + 1):
        with beginning(path, size) as file:
            found = file.read()
        whole = sum(end <= size for end in ends) - 1
        assert b"".join(members).startswith(found)
        assert found.startswith(b"".join(members[:whole]))


def test_members_longer_than_a_chunk_are_read() -> None:
    data = Random(1).randbytes(300_000)
    packed = member(data) + member(data, COMMENT) + b"\0" * 200_000
    assert unpacked(io.BytesIO(packed), "a").read() == data * 2
    assert is_gzip(packed)


@given(st.binary(max_size=30), st.integers(1, 60), flags)
def test_what_gzip_refuses_is_refused(data: bytes, cut: int, kinds: int) -> None:
    whole = member(data, kinds)
    short = whole[:-cut] if cut < len(whole) - 2 else whole[:2]
    with pytest.raises((EOFError, zlib.error, SourceError)):  # packed twice is refused too
        unpacked(io.BytesIO(short), "a").read()
    assert not is_gzip(short)


@pytest.mark.parametrize(
    "spoiled",
    [
        member(b"a\n")[:-8] + b"\1" * 8,
        member(b"a\n", CHECKSUM)[:10] + b"\1\1" + member(b"a\n")[10:],
        member(b"a\n") + b"and more",
        member(b"a\n") + b"\0\0and more",
        b"a\n",
    ],
)
def test_spoiled_file_is_refused_by_name(tmp_path: Path, spoiled: bytes) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(spoiled)
    assert not is_gzip(spoiled)
    refused = pytest.raises(SourceError, match=rf"^{path} cannot be read: .*published\.$")
    with refused, opened(path) as file:
        file.read()


@pytest.mark.parametrize(
    ("data", "packing"),
    [
        (bz2.compress(b"{}\n"), "bzip2"),
        (bz2.compress(b""), "bzip2"),
        (lzma.compress(b"{}\n"), "xz"),
        (zipped(b"{}\n"), "zip"),
        (b"\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00{}\n", "zstd"),
        (b"\x04\x22\x4d\x18\x64\x40\xa7", "lz4"),
        (b"\x02\x21\x4c\x18\x03\0\0\0\x30{}\n", "lz4"),
        (lzma.compress(b"{}\n", lzma.FORMAT_ALONE), "lzma"),
        *((zlib.compress(b'{"a":1}\n' * 9, level), "zlib") for level in (0, 1, 6, 9)),
        (b"Rar!\x1a\x07\x01\0{}\n", "rar"),
        (b"LZIP\x01\x0c{}\n", "lzip"),
        (b"\x89LZO\0\r\n\x1a\n{}\n", "lzop"),
        (b"\x1f\x9d\x90{}\n", "compress"),
        (tarred(b"{}\n"), "tar"),
        (tarred(b"{}\n", tarfile.PAX_FORMAT), "tar"),
        (gzip.compress(tarred(b"{}\n"), mtime=0), "tar, within gzip"),
        (gzip.compress(tarred(b"{}\n" * 9999), 0, mtime=0), "tar, within gzip"),
        (gzip.compress(zipped(b"{}\n"), mtime=0), "zip, within gzip"),
        (gzip.compress(gzip.compress(b"{}\n", mtime=0), mtime=0), "gzip, within gzip"),
    ],
)
def test_other_packings_are_refused_by_name(data: bytes, packing: str) -> None:
    with pytest.raises(SourceError) as caught:
        packing_of(data[:HEAD], "events.jsonl")
    assert str(caught.value) == (
        f"events.jsonl cannot be read: it is packed by {packing}, as its first bytes say. "
        "Unpack it, or pack it by gzip. Nothing was published."
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"PAR1\x15\x04\x15", "Parquet"),
        (b"Obj\x01\x04\x14avro.codec", "Avro"),
        (b"ORC\n\x0b\n\x03\0\0\0", "ORC"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SQLite format 3\0\x10\0", "SQLite"),
        (b"ARROW1\0\0\xff", "Arrow"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "Excel"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
        (b"GIF89a\x01\0\x01\0", "GIF"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"\x80\x05\x95\x10\0\0", "pickle"),
    ],
)
@pytest.mark.parametrize(("packed", "where"), [(bytes, ""), (gzip.compress, ", within gzip")])
def test_what_is_no_text_is_refused_by_name(
    data: bytes, kind: str, packed: Callable[[bytes], bytes], where: str
) -> None:
    told = f"^events.jsonl cannot be read: it is a file of {kind}{where}, as its first bytes say"
    with pytest.raises(SourceError, match=told):
        packing_of(packed(data)[:HEAD], "events.jsonl")


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"BZh9 is no archive\n", b"PK,name\n", b"\x1f", b"7z"),
        *(b"PAR1\n1\n", b"ORC\nMordor\n", b"Obj1\n", b"%PDF\n", b"ustar" * 99 + b"\n"),
        *(b"x^2,y\n1,2\n", b"x\xda,y\n", b"GIF89a,name\n", b"Rar!\n", b"LZIP\n", b"]\n", b"x"),
        *(b'{"a":1}\r', b'{"a":1}\r\n{"a":2}\r\n', b'{"a":1,\r"b":[2]}', b'{"a":1}\n{}\r{}\n'),
    ],
)
def test_text_is_not_taken_for_packed(data: bytes) -> None:
    assert packing_of(data, "events.zst") is None


@pytest.mark.parametrize("data", [b'{"a":1}\r{"a":2}', b"[1] \r\r [2]\r", b"{}\r{}\r\n"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_lines_that_end_in_cr_alone_are_refused_by_name(
    data: bytes, packed: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(SourceError, match=r"^e.jsonl has lines that end in CR alone, as old "):
        packing_of(packed(data), "e.jsonl")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.GZ"])
def test_packed_lines_are_dealt_out_as_their_names_say(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(member(b'{"n":1}\n{"n":2}\n', COMMENT) + member(b'{"n":3}') + b"\0")
    parts = [tmp_path / f"part-{n}-{name}" for n in range(3)]
    JSON_LINES.deal(None, path, parts, Random(2))  # type: ignore[arg-type]  # lines need no source
    dealt = [text for part in parts for _, text in JSON_LINES.numbered(None, part)]  # type: ignore[arg-type]
    assert {*dealt} == {'{"n":1}', '{"n":2}', '{"n":3}'}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_packed_records_are_dealt_out_as_their_names_say(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b'id\n1\n"2\n"\n'))
    parts = [tmp_path / f"{n}-{name}" for n in range(2)]
    source = Source("ids", ("*.csv",), "csv", {"id": ("id",)})
    CSV.deal(source, tmp_path / name, parts, Random(2))
    with opened(parts[0]) as first, opened(parts[1]) as last:
        assert (first.read(), last.read()) == (b"id\n", b'id\n1\n"2\n"\n')
