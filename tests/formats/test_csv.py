"""CSV files become strings by the reading rules."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import ibis.expr.types as ir
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

import streampro
from streampro import Contract, Pipeline, Target, column, model
from streampro.errors import SourceError
from streampro.formats.csv import CSV
from streampro.formats.files import find
from streampro.formats.format import LocalText
from streampro.modeling.source import Source
from streampro.storage.place import Disk

USERS = Source("users", ("users*.csv",), "csv", {"id": ("id",), "name": ("name",)})


def paths(source: Source, raw: Path) -> list[Path]:
    return [raw / file.path for file in find(source, Disk(raw))]


def read_csv(folder: Path, data: bytes) -> list[tuple[str | None, ...]]:
    """Return (id, name, raw_line) of every record."""
    return [row[:3] for row in rows(read(folder, data))]


def read(folder: Path, data: bytes) -> LocalText:
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    (raw / "users.csv").write_bytes(data)
    return CSV.local_text(USERS, raw, paths(USERS, raw), folder / "scratch" / "users")


def rows(found: LocalText) -> list[tuple[str | None, ...]]:
    assert found.rewritten is not None
    return [tuple(row.values()) for row in pq.read_table(found.rewritten).to_pylist()]


def test_quoting_is_that_of_rfc_4180(tmp_path: Path) -> None:
    data = b'id,name\r\n1,"a, ""b"""\r\n2,"two\nlines"\r\n3,plain\r\n'
    assert read_csv(tmp_path, data) == [
        ("1", 'a, "b"', '1,"a, ""b"""'),
        ("2", "two\nlines", '2,"two\nlines"'),
        ("3", "plain", "3,plain"),
    ]
    assert read(tmp_path, data).lines == 3


def test_raw_line_is_written_with_the_least_quoting(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b'id,name\n"1","a"\n') == [("1", "a", "1,a")]


def test_columns_stand_in_any_order_and_others_are_ignored(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b" name ,more,\tid\na,x,1\n") == [("1", "a", "a,x,1")]


def test_short_records_are_filled_and_long_ones_cut(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b'id,name\n1\n2,b,c,"d"\n3,\n') == [
        ("1", None, "1"),
        ("2", "b", "2,b,c,d"),
        ("3", "", "3,"),
    ]


def test_blank_lines_of_a_file_with_one_column_are_no_records(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "users.csv").write_bytes(b'id\na\n\n  \nb\n""\n\r\nc\n')
    only = replace(USERS, fields={"id": ("id",)})
    found = CSV.local_text(only, raw, paths(only, raw), tmp_path / "scratch" / "users")
    assert [row[0] for row in rows(found)] == ["a", "b", "", "c"]
    assert found.lines == 4


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    data = b"\n  \r\nid,name\n\n1,a\n \t\n\r\n,\n2,b"
    assert read_csv(tmp_path, data) == [("1", "a", "1,a"), ("", "", ","), ("2", "b", "2,b")]
    assert read(tmp_path, data).lines == 3


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b'\xef\xbb\xbf"id",name\n1,a\n') == [("1", "a", "1,a")]


def test_values_are_not_trimmed(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b"id,name\n 1 ,\ta\n") == [(" 1 ", "\ta", " 1 ,\ta")]


def test_bytes_that_are_no_utf8_are_replaced_and_counted(tmp_path: Path) -> None:
    found = read(tmp_path, b"id,name\n1,\xff\xfe\n2,\xc3\xa9\n")
    assert [row[1] for row in rows(found)] == ["\ufffd\ufffd", "\u00e9"]
    assert found.invalid_utf8 == 1


def test_replacement_character_in_a_file_is_no_invalid_byte(tmp_path: Path) -> None:
    assert read(tmp_path, "id,name\n1,\ufffd\n".encode()).invalid_utf8 == 0


def test_header_alone_is_no_record(tmp_path: Path) -> None:
    found = read(tmp_path, b"id,name\n")
    assert (found.lines, rows(found)) == (0, [])


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("id,nmae,x", "has no column 'name'. Did you mean 'nmae'? Its columns: id, nmae, x."),
        (
            "id,name, name",
            "has 2 columns 'name', and which one is meant is not known. Rename one; "
            "nothing was published.",
        ),
    ],
)
def test_column_that_is_read_stands_once_in_the_header(
    tmp_path: Path, header: str, told: str
) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, f"{header}\n1,a,b\n".encode())
    assert str(caught.value) == f"{tmp_path / 'raw' / 'users.csv'} {told}"


def test_column_that_is_not_read_may_stand_twice(tmp_path: Path) -> None:
    assert read_csv(tmp_path, b"id,x,name,x\n1,2,a,3\n") == [("1", "a", "1,2,a,3")]


@pytest.mark.parametrize("data", [b"id,name\r1,a\r2,b\r", b"name,id\r1,a", b"id,name,x\r1,a,b\n"])
def test_lines_that_end_in_cr_alone_are_told(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, data)
    assert str(caught.value).startswith(
        f"{tmp_path / 'raw' / 'users.csv'} has lines that end in CR alone"
    )


def test_empty_file_has_no_column(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'id'\. Its columns: none, the file is empty"):
        read(tmp_path, b"\n")


def test_overlong_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read as CSV"):
        read(tmp_path, b"id,name\n1," + b"x" * (16 * 1024 * 1024 + 1))


def test_every_file_is_read_in_order(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "users_b.csv").write_bytes(b"name,id\nb,2\n")
    (raw / "users_a.csv").write_bytes(b"id,name\n1,a\n")
    found = CSV.local_text(USERS, raw, paths(USERS, raw), tmp_path / "scratch" / "users")
    assert rows(found) == [("1", "a", "1,a", "users_a.csv"), ("2", "b", "b,2", "users_b.csv")]


@pytest.mark.parametrize(
    ("data", "line"), [(b"id,name\n1,a\r2,b\r3,c\n", 2), (b"id,name\n1,a\n2,b\r\r3,c\r\n4,d\n", 3)]
)
def test_records_with_cr_alone_between_them_are_refused(
    tmp_path: Path, data: bytes, line: int
) -> None:
    with pytest.raises(
        SourceError, match=rf"users\.csv, line {line} has lines that end in CR alone"
    ):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"id,name\n1,a\rb\n", ["a\rb"]),
        (b'id,name\n1,"a,b\r1,2"\n', ["a,b\r1,2"]),
        (b"id,name\n1,a\rb,c,d\n", ["a\rb"]),
    ],
)
def test_a_cr_within_a_record_is_kept(tmp_path: Path, data: bytes, names: list[str]) -> None:
    assert [row[1] for row in read_csv(tmp_path, data)] == names


# A lone CR, and a record that is blank text only, are no text of these laws.
values = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=6)
records = st.lists(st.tuples(values, values), max_size=6)


@settings()
@given(records, st.sampled_from(["\n", "\r\n"]))
def test_what_a_writer_wrote_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str]], end: str
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=end).writerows([("id", "name"), *written])
    found = read(tmp_path_factory.mktemp("csv"), buffer.getvalue().encode())
    given = [(None, None) if "\0" in "".join(record) else record for record in written]
    assert [row[:2] for row in rows(found)] == given
    assert found.lines == len(written)
    assert [next(csv.reader([str(row[2])])) for row in rows(found) if "\n" not in str(row[2])] == [
        list(record) for record in written if "\n" not in "".join(record)
    ]


def test_fields_may_be_called_as_what_other_formats_tell(tmp_path: Path) -> None:
    class Rows(Contract):
        """One row per record."""

        is_unreadable: str = column("Said.", nullable=True)

    @model(contract=Rows)
    def said(notes: ir.Table) -> ir.Table:
        return notes.select("is_unreadable")

    module: Any = ModuleType("staging")
    module.said = said
    module.notes = Source("notes", ("*.csv",), "csv", {"is_unreadable": ("is_unreadable",)})
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "notes.csv").write_text("is_unreadable,n\nno,1\nyes,2\n")
    target = Target(name="t", raw=raw, warehouse=tmp_path / "warehouse")
    [table] = streampro.run(Pipeline("notes", [module]), target).tables
    found = streampro.sql(f"from {table.table}", target).to_pylist()
    assert sorted(row["is_unreadable"] for row in found) == ["no", "yes"]
