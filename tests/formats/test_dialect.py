"""Files of CSV in the dialect that a source declares, and those that do not fit it."""

import codecs
import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import assume, example, given, settings, strategies as st

from streampro import Dialect, Source
from streampro.errors import PipelineError, SourceError
from streampro.formats.csv import CSV
from streampro.formats.files import find, freeze
from streampro.storage.place import Disk

COLUMNS = ("id", "name")


def source(dialect: Dialect | None, columns: Sequence[str] = COLUMNS, **more: Any) -> Source:
    fields = {name: (name,) for name in columns}
    return Source("users", ("users*.csv*",), "csv", fields, dialect=dialect, **more)


def read(
    folder: Path, data: bytes, dialect: Dialect | None, name: str = "users.csv", **more: Any
) -> tuple[list[tuple[str | None, ...]], int]:
    """Return the fields and the raw line of every record, and how many were not decoded."""
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    (raw / name).write_bytes(data)
    of = source(dialect, **more)
    paths = [raw / file.path for file in find(of, Disk(raw))]
    found = CSV.local_text(of, raw, paths, folder / "scratch" / "users")
    assert found.rewritten is not None
    rows = [tuple(row.values())[:-1] for row in pq.read_table(found.rewritten).to_pylist()]
    assert found.lines == len(rows)
    return rows, found.invalid_utf8


SEMICOLONS = Dialect(delimiter=";")
READ: dict[str, tuple[bytes, Dialect, list[tuple[str, ...]]]] = {
    "semicolons": (b'id;name\n1;"a;b"\n', SEMICOLONS, [("1", "a;b", '1;"a;b"')]),
    "tabs, no quotes": (
        b'id\tname\n1\t"a\n"2"\tb"c\n', Dialect(delimiter="\t", quote=None),
        [("1", '"a', '1\t"a'), ('"2"', 'b"c', '"2"\tb"c')],
    ),
    "another quote": (
        b"id,name\n1,'it''s, \"a\"'\n", Dialect(quote="'"),
        [("1", 'it\'s, "a"', "1,'it''s, \"a\"'")],
    ),
    "cp1252": (b"id,name\n1,\x80 \xe9\n", Dialect(encoding="cp1252"), [("1", "€ é", "1,€ é")]),
    "utf-16 with its mark": (
        "id,name\r\n1,\u6c49\r\n".encode("utf-16"), Dialect(encoding="UTF16"), [("1", "汉", "1,汉")]
    ),
    "utf-16, big end first": (
        codecs.BOM_UTF16_BE + 'id,name\n1,"\u0a0a\n"\n'.encode("utf-16-be"),
        Dialect(encoding="utf-16"), [("1", "\u0a0a\n", '1,"\u0a0a\n"')],
    ),
    "header given": (b"1,a\n", Dialect(header=("id", "name")), [("1", "a", "1,a")]),
    "lines passed over": (
        b'made by "x\n\nid,name\n1,a\n', Dialect(skip=1), [("1", "a", "1,a")]
    ),
    "comments": (
        b'#x "\nid,name\n# y\n1,"a\n#b"\n2,#\n#', Dialect(comment="#"),
        [("1", "a\n#b", '1,"a\n#b"'), ("2", "#", "2,#")],
    ),
    "a spreadsheet's": (
        b'\xef\xbb\xbfsep=;\r\nid;name\r\n1;"a\r\nb"\r\n', SEMICOLONS,
        [("1", "a\r\nb", '1;"a\r\nb"')],
    ),
    "a spreadsheet's, said to be passed over": (
        b"sep=;\r\nid;name\r\n1;a\r\n", Dialect(delimiter=";", skip=1), [("1", "a", "1;a")]
    ),
    "a CR within": (b"id,name\n1,a\rb\n", Dialect(quote=None), [("1", "a\rb", "1,a\rb")]),
    "a title that is a value": (b"id,name\n1,name\n", Dialect(), [("1", "name", "1,name")]),
    "titles that are a record": (
        b"id,name\n1,a\nid,name\n", Dialect(header=COLUMNS, skip=1),
        [("1", "a", "1,a"), ("id", "name", "id,name")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_files_are_read_in_their_dialect(name: str, tmp_path: Path) -> None:
    data, dialect, expected = READ[name]
    assert read(tmp_path, data, dialect) == (expected, 0)
    (tmp_path / "raw" / "users.csv").unlink()
    assert read(tmp_path, gzip.compress(data), dialect, name="users.csv.gz") == (expected, 0)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("utf-8", b"id,name\n1,\xff\xfe\n"),
        ("cp1252", b"id,name\n1,\x81\x8d\n"),
        ("ascii", b"id,name\n1,\xc3\xa9\n"),
        ("utf-16", "id,name\n1,".encode("utf-16") + b"\x00\xd8\x00\xd8\n\0"),
    ],
)
def test_bytes_that_are_not_of_the_encoding_are_replaced_and_counted(
    encoding: str, data: bytes, tmp_path: Path
) -> None:
    read_as, invalid = read(tmp_path, data, Dialect(encoding=encoding))
    assert (read_as, invalid) == ([("1", "\ufffd\ufffd", "1,\ufffd\ufffd")], 1)


MISFITS: dict[str, tuple[bytes, Dialect | None, str]] = {
    "semicolons": (
        b"id;name\n1;a\n", None,
        "has no column 'id'. Its columns: id;name. It looks as if its fields were separated by "
        "';': write dialect=Dialect(delimiter=';').",
    ),
    "tabs and quotes": (
        b'"id"\t"name"\n', Dialect(comment="#"),
        "line 1 cannot be read as CSV (Dialect(comment='#')): ',' expected after '\"'. It looks "
        "as if its fields were separated by '\\t': write dialect=Dialect(delimiter='\\t', "
        "comment='#'). Nothing was published.",
    ),
    "another quote": (
        b"'id'|'name'\n", None,
        "has no column 'id'. Its columns: 'id'|'name'. It looks as "
        "if its fields were separated by '|' and its fields were quoted by ': write "
        "dialect=Dialect(delimiter='|', quote=\"'\").",
    ),
    "titles further down": (
        b"A list\n\n2026\nid;name\n", None,
        "has no column 'id'. Its columns: A list. It looks as if its fields were separated by ';' "
        "and its titles stood on line 4: write dialect=Dialect(delimiter=';', skip=3).",
    ),
    "utf-16": (
        "id,name\n".encode("utf-16"), None,
        "begins with the byte order mark of UTF-16, but is read as utf-8. Write "
        "dialect=Dialect(encoding='utf-16'); nothing was published.",
    ),
    "utf-16, the other end first": (
        "\ufeffid,name\n".encode("utf-16-be"), Dialect(encoding="utf-16-le"),
        "begins with the byte order mark of UTF-16, but is read as utf-16-le. Write "
        "dialect=Dialect(encoding='utf-16'); nothing was published.",
    ),
    "utf-16 without a mark": (
        "id,name\n".encode("utf-16-le"), Dialect(header=COLUMNS),
        "has NUL bytes in its first line, as text in UTF-16 has. Write "
        "dialect=Dialect(encoding='utf-16', header=('id', 'name')); nothing was published.",
    ),
    "utf-32": (
        "id,name\n".encode("utf-32"), Dialect(encoding="cp1252"),
        "begins with the byte order mark of UTF-32, but is read as cp1252. Write "
        "dialect=Dialect(encoding='utf-32'); nothing was published.",
    ),
    "utf-8, said to be cp1252": (
        b"\xef\xbb\xbfid,name\n", Dialect(encoding="cp1252"),
        "begins with the byte order mark of UTF-8, but is read as cp1252. Write "
        "dialect=Dialect(); nothing was published.",
    ),
    "utf-8, said to be utf-16": (
        b"id,name\n1,a\n", Dialect(encoding="utf-16"),
        "It does not look like utf-16: name its encoding in the dialect.",
    ),
    "titles in cp1252": (
        b"id,n\xe4me\n", None,
        "has no column 'name'. Did you mean 'n\ufffdme'? Its columns: id, n\ufffdme. Its titles "
        "hold bytes that are not utf-8: name its encoding, such as "
        "dialect=Dialect(encoding='cp1252').",
    ),
    "sep=": (
        b"sep=;\r\nid;name\r\n", None,
        "begins with 'sep=;', as spreadsheets write it, but is read with the delimiter ','. Write "
        "dialect=Dialect(delimiter=';'); nothing was published.",
    ),
    "titles once more": (
        b" id,name\n1,a\n id,name\n2,b\n", None,
        "line 3 holds the titles once more, as where files were joined. Remove it; if it is a "
        "record, write dialect=Dialect(header=('id', 'name'), skip=1). Nothing was published.",
    ),
    "titles, though a header is given": (
        b"id,name\n1,a\n", Dialect(header=COLUMNS),
        "begins with the titles that the dialect names: write dialect=Dialect(), or "
        "dialect=Dialect(header=('id', 'name'), skip=1). Nothing was published.",
    ),
    "records of another width": (
        b"\n1;secret\n", Dialect(header=COLUMNS),
        "line 2: the first record has 1 fields, but the header of the dialect names 2. It looks "
        "as if its fields were separated by ';': write dialect=Dialect(delimiter=';', "
        "header=('id', 'name')). Nothing was published.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_file_that_does_not_fit_its_dialect_is_told(name: str, tmp_path: Path) -> None:
    data, dialect, told = MISFITS[name]
    with pytest.raises(SourceError) as caught:
        read(tmp_path, data, dialect)
    assert str(caught.value).startswith(str(tmp_path / "raw" / "users.csv"))
    assert str(caught.value).endswith(told)


def test_secrets_are_masked_in_every_dialect(tmp_path: Path) -> None:
    data = b"1;x;'s;'\n2;y;s;t\n"
    dialect = Dialect(delimiter=";", quote="'", header=("id", "name", "pin"))
    rows, _ = read(tmp_path, data, dialect, secret=("pin",))
    assert rows == [("1", "x", "1;x;***"), ("2", "y", "***;***;***;***")]


def test_records_are_numbered_by_the_line_on_which_they_begin(tmp_path: Path) -> None:
    data = 'x\nsay "\n#\nid|name\n#\n1|"a\n\nb"\n# "\n\n2|b'.encode("utf-16")
    (tmp_path / "users.csv").write_bytes(data)
    dialect = Dialect(delimiter="|", encoding="utf-16", skip=2, comment="#")
    numbered = [*CSV.numbered(source(dialect), tmp_path / "users.csv")]
    assert numbered == [(6, '1|"a\n\nb"'), (11, "2|b")]


DEALT = {
    "by default": (None, b'\n"id",name\n', [b'1,"a\n"\n', b"2,\xff\n", b"3,c\n", b"4,d"]),
    "in a dialect": (
        Dialect(skip=1, comment="#", quote="'"),
        b"it's\n\n#'\nid,name\n",
        [b"1,'a\n#'\n", b"#'\n2,b\n", b"3,c\n", b"#'\n4,d"],
    ),
    "in UTF-16": (
        Dialect(encoding="utf-16", delimiter=";"),
        "\ufeffsep=;\nid;name\n".encode("utf-16-be"),
        [text.encode("utf-16-be") for text in ('1;"a\n"\n', "\u0a0a;\n", "3;\u0a00\n", "4;d")],
    ),
}


@pytest.mark.parametrize("name", DEALT)
def test_growing_files_end_with_whole_records(name: str, tmp_path: Path) -> None:
    dialect, head, records = DEALT[name]
    of, raw = source(dialect), tmp_path / "raw"
    raw.mkdir()
    path = raw / "users.csv"
    path.write_bytes(b"".join((head, *records)))
    parts = [tmp_path / str(part) for part in range(4)]
    CSV.deal(of, path, parts, Random(1))
    whole = [head, *records[:3]]
    shares = [b"".join(whole[: max(1, n)]) for n in (1, 2, 3)]
    assert [part.read_bytes() for part in parts] == [*shares, path.read_bytes()]
    [file] = find(of, Disk(raw))
    freeze(of, [file], raw, tmp_path / "frozen")
    assert (tmp_path / "frozen" / "users.csv").read_bytes() == b"".join(whole)


def test_half_a_record_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_bytes("id,name\n1,a\n2,'b\n".encode("utf-16"))
    of = source(Dialect(encoding="utf-16", quote="'"))
    [file] = find(of, Disk(tmp_path))
    freeze(of, [file], tmp_path, tmp_path / "frozen")
    assert [*CSV.numbered(of, tmp_path / "frozen" / "users.csv")] == [(2, "1,a")]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two signs": ({"delimiter": "::"}, "delimiter is '::', but must be one sign that is no letter"),
    "a letter": ({"delimiter": "x"}, "delimiter is 'x', but must be one sign"),
    "a line end": ({"delimiter": "\n"}, r"delimiter is '\\n', but must be one sign"),
    "no delimiter": ({"delimiter": None}, "delimiter is None, but must be one sign"),
    "no sign": ({"quote": ""}, "quote is '', but must be one sign .* or None"),
    "the same twice": ({"quote": ","}, "quote is ',', but must be another sign than the delimiter"),
    "rot13": ({"encoding": "rot13"}, "encoding is 'rot13', but must be one of text that Python"),
    "base64": ({"encoding": "base64"}, "encoding is 'base64', but must be one of text"),
    "unknown": ({"encoding": "latin-99"}, "encoding is 'latin-99', but must be one of text"),
    "NUL": ({"encoding": "a\0"}, "but must be one of text"),
    "escapes": ({"encoding": "unicode_escape"}, "'unicode_escape', but must be one that files"),
    "many spellings": ({"encoding": "utf-7"}, "'utf-7', but must be one that files have on every"),
    "number for an encoding": ({"encoding": 8}, "encoding is 8, but must be a text"),
    "sign that is not there": (
        {"encoding": "cp1252", "delimiter": "\u2192"},
        "delimiter is '→', but must be text that cp1252 has",
    ),
    "text for a header": ({"header": "id"}, r"header is 'id', but must be a tuple .* \('id',\)"),
    "no column": ({"header": ()}, r"header is \(\), but must be of names"),
    "space": ({"header": (" id",)}, "but must be of names, without space around them"),
    "one twice": ({"header": ("id", "id")}, "header names 'id' twice"),
    "truth": ({"skip": True}, "skip is True, but must be a number of lines"),
    "below zero": ({"skip": -1}, "skip is -1, but must be a number of lines"),
    "blank": ({"comment": " "}, "comment is ' ', but must be what a line begins with"),
    "quoted comment": ({"comment": '"#'}, "comment is '\"#', but must be what no field begins"),
    "misspelled": ({"delimeter": ";"}, "no argument 'delimeter'. Did you mean 'delimiter'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_dialect_that_no_file_has_is_refused(name: str) -> None:
    arguments, told = WRONG[name]
    with pytest.raises(PipelineError, match=told):
        Dialect(**arguments)


def test_dialect_fits_its_source() -> None:
    with pytest.raises(PipelineError, match=r"dialect is ';', but must be Dialect\(...\)"):
        source(";")  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match="must be left out: it is for format 'csv'"):
        Source("s", ("*",), "json_lines", {"a": ("a",)}, dialect=Dialect())
    for more in ({"columns": ("id", "nmae")}, {"columns": ("id",), "secret": ("nmae",)}):
        with pytest.raises(PipelineError, match="must be one whose header has 'nmae'"):
            source(Dialect(header=COLUMNS), **more)  # type: ignore[arg-type]


ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le", "cp1252", "latin-1"),
    *("cp037", "gb18030", "shift_jis", "iso2022_jp", "koi8-r"),
)
signs = st.sampled_from([",", ";", "\t", "|", " ", "^", "~", ":"])
letters = st.one_of(st.sampled_from(",;\t|\"'^ #\n\r\0s"), st.characters(exclude_categories=["Cs"]))
texts = st.text(letters, max_size=6)
NOTHING_BUT_A_TAB = Dialect(delimiter="\t", header=("id", "name")), b"\t\n", [("", "")]
UNALIGNED = (
    Dialect(encoding="utf-16-be"),
    "id,name\n\u0a0a,\u0a00\n".encode("utf-16-be"),
    [("\u0a0a", "\u0a00")],
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Dialect, bytes, list[tuple[str, ...]]]:
    """Return a dialect, a file that Python's `csv` wrote in it, and its records."""
    encoding = draw(st.sampled_from(ENCODINGS))
    delimiter, quote = draw(signs), draw(st.sampled_from(['"', "'", "$", None]))
    skip, comment = draw(st.integers(0, 2)), draw(st.sampled_from([None, "#", "--"]))
    rows = draw(st.lists(st.tuples(texts, texts), max_size=6))
    has_titles = draw(st.booleans())
    dialect = Dialect(
        delimiter=delimiter, quote=quote, encoding=encoding, skip=skip, comment=comment,
        header=None if has_titles else COLUMNS,
    )  # fmt: skip
    buffer = io.StringIO()
    for n in range(skip):
        buffer.write(f"{n}\"'\n")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    options: dict[str, Any] = {"delimiter": delimiter, "quotechar": quote, "lineterminator": end}
    options["quoting"] = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    if quote is None:
        options["quoting"] = csv.QUOTE_NONE
        assume(
            not any(sign in text for row in rows for text in row for sign in (delimiter, *"\r\n"))
        )
    else:
        options["quotechar"] = quote
    if comment and options["quoting"] != csv.QUOTE_ALL:
        assume(not any(row[0].startswith(comment) for row in rows))
    csv.writer(buffer, **options).writerows([COLUMNS, *rows] if has_titles else rows)
    text = buffer.getvalue()
    assume(list(COLUMNS) not in [[text.strip(" \t\r\n") for text in row] for row in rows])
    assume(has_titles or skip or not (text.startswith("\ufeff") or "\0" in text.split("\n")[0]))
    try:
        data = text.encode(encoding)
        assume(data.decode(encoding) == text)
    except UnicodeEncodeError:
        assume(False)
    return dialect, data, rows


@settings()
@example(table=UNALIGNED)
@example(table=NOTHING_BUT_A_TAB)
@given(table=tables())
def test_what_a_writer_wrote_in_any_dialect_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[Dialect, bytes, list[tuple[str, ...]]],
) -> None:
    dialect, data, written = table
    folder = tmp_path_factory.mktemp("csv")
    rows, invalid = read(folder, data, dialect)
    given = [(None, None) if "\0" in "".join(record) else record for record in written]
    assert ([row[:2] for row in rows], invalid) == (given, 0)
    raw = folder / "raw"
    of = source(dialect)
    [file] = find(of, Disk(raw))
    freeze(of, [file], raw, folder / "frozen")
    frozen = CSV.numbered(of, folder / "frozen" / "users.csv")
    assert [text for _, text in frozen] == [row[2] for row in rows]
