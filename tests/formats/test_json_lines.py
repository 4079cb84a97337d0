"""Files of JSON lines that a fast reader reads by the rules are left as they are."""

from pathlib import Path

import pyarrow.parquet as pq

from streampro.formats.files import find
from streampro.formats.json_lines import JSON_LINES
from streampro.modeling.source import Source
from streampro.storage.place import Disk

EVENTS = Source("events", ("*.jsonl", "more/*.jsonl"), "json_lines", {"a": ("a",)})


def test_plain_json_files_are_left_as_they_are(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    (raw / "more").mkdir(parents=True)
    (raw / "a.jsonl").write_bytes(b"{}\n\n{}\n")
    (raw / "more" / "b.jsonl").write_bytes(b"\xef\xbb\xbf{}\n\xff\n")
    paths = [raw / file.path for file in find(EVENTS, Disk(raw))]
    found = JSON_LINES.local_text(EVENTS, raw, paths, tmp_path / "scratch" / "events")
    assert found.plain == (raw / "a.jsonl",)
    assert pq.read_table(found.rewritten).to_pylist() == [
        {"raw_line": "{}", "source_file": "more/b.jsonl"},
        {"raw_line": "\ufffd", "source_file": "more/b.jsonl"},
    ]
    assert (found.lines, found.invalid_utf8) == (4, 1)
