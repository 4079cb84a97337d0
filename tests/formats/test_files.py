"""The files of a source are found in a fixed order, with what tells whether they changed."""

from pathlib import Path

import pytest

from streampro.errors import SourceError
from streampro.formats.files import find
from streampro.modeling.source import Source
from streampro.storage.place import Disk

EVENTS = Source("events", ("*.jsonl", "more/*.jsonl"), "json_lines", {"a": ("a",)})


def test_files_are_told_by_path_size_and_time(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.jsonl").write_bytes(b"{}")
    (tmp_path / "a.jsonl").write_bytes(b"{}\n\n{}\n")
    first, second = find(EVENTS, Disk(tmp_path))
    assert (first.source, first.path, first.size) == ("events", "a.jsonl", 7)
    assert first.modified_ns == (tmp_path / "a.jsonl").stat().st_mtime_ns
    assert second.path == "more/b.jsonl"


def test_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"{}\n")
    source = Source("events", ("*.jsonl", "a*"), "json_lines", EVENTS.fields)
    assert [file.path for file in find(source, Disk(tmp_path))] == ["a.jsonl"]


def test_missing_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "dir.jsonl").mkdir()
    with pytest.raises(SourceError) as caught:
        find(EVENTS, Disk(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path} has no file *.jsonl or more/*.jsonl for source 'events'."
    )


def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist or is not a folder"):
        find(EVENTS, Disk(tmp_path / "nowhere"))
