"""A record is located on the line on which it begins."""

import gzip
from pathlib import Path

import pytest

from streampro.formats.format import digest
from streampro.formats.locate import locate
from streampro.modeling.source import Source

USERS = Source("users", ("users*.csv",), "csv", {"id": ("id",), "name": ("name",)})
EVENTS = Source("events", ("*.jsonl", "more/*.jsonl"), "json_lines", {"a": ("a",)})


@pytest.mark.parametrize(
    ("source", "name", "data", "expected"),
    [
        (
            EVENTS,
            "a.jsonl.gz",
            gzip.compress(b'\xef\xbb\xbf\r\n\r\n{"a": "\xff"}\r\n \n{"a": 1}\n{"a": 1}', mtime=0),
            {'{"a": "\ufffd"}': 3, '{"a": 1}': 5},
        ),
        (EVENTS, "a.jsonl", b'{"a": "1\r2"}\n{"a": 2}', {'{"a": "1\r2"}': 1, '{"a": 2}': 2}),
        (
            USERS,
            "users.csv",
            b'\n"id","name"\r\n\xff,"two\r\nlines"\r\n\r\nz,"""Q"""\r\ny,"a\n\nb",x\r\n"w",v',
            {'\ufffd,"two\r\nlines"': 3, 'z,"""Q"""': 6, 'y,"a\n\nb",x': 7, "w,v": 10},
        ),
        (
            Source("users", ("users.csv",), "csv", {"id": ("id",)}, secret=("name",)),
            "users.csv",
            b"name,id\n\n'a',1\n",
            {"***,1": 3},
        ),
    ],
)
def test_line_is_located_as_an_editor_counts(
    source: Source, name: str, data: bytes, expected: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    wanted = {name: [digest(each) for each in expected]}
    found = [(file, each.number, each.text) for file, each in locate(source, tmp_path, wanted)]
    assert found == [(name, number, each) for each, number in expected.items()]


def test_line_that_is_not_there_is_not_located(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    assert list(locate(EVENTS, tmp_path, {"a.jsonl": [digest("x")]})) == []
