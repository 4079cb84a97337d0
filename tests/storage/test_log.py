"""Where the log of a table begins, and what its files say."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from streampro.storage import log
from streampro.storage.place import Disk


@pytest.mark.parametrize(
    ("entries", "checkpoints", "begins", "is_whole"),
    [
        ([], [], None, True),
        (range(4), [], 0, True),
        (range(4), [2], 0, True),
        (range(3, 6), [3], 3, True),
        (range(4, 6), [3], 3, True),
        (range(2, 6), [4], 4, True),
        (range(2, 6), [2, 4], 2, True),
        ([0, 1, 4, 5], [1, 4], 4, False),
        ([0, 1, 4, 5], [1], None, False),
        (range(3, 6), [1], None, False),
    ],
)
def test_log_begins_where_all_after_it_is_told(
    entries: Iterable[int],
    checkpoints: list[int],
    begins: int | None,
    is_whole: bool,
    tmp_path: Path,
) -> None:
    names = [f"{version:020}.json" for version in entries]
    names += [f"{version:020}.checkpoint.parquet" for version in checkpoints]
    others = [f"{0:020}.{4:020}.compacted.json", f"{4:020}.checkpoint.{1:010}.{2:010}.parquet"]
    (tmp_path / "_delta_log").mkdir()
    for name in (*names, *others, f".{4:020}.json.crc", "_last_checkpoint"):
        (tmp_path / "_delta_log" / name).touch()
    found = log.log_of(Disk(tmp_path))
    assert sorted(file.path[11:] for file in (*found.entries, *found.checkpoints)) == sorted(names)
    assert (found.begins, found.is_whole) == (begins, is_whole)
    assert [log.version_of(file) for file in found.beginning] == ([begins] if begins else [])


def test_checkpoint_says_what_entries_say_and_is_written_as_it_was(tmp_path: Path) -> None:
    for number in range(3):
        rows = pa.table({"number": [number], "day": pa.array([None], pa.string())})
        write_deltalake(tmp_path, rows, mode="append", partition_by=["day"])
    DeltaTable(tmp_path).delete("number = 1")
    DeltaTable(tmp_path).create_checkpoint()
    known = log.log_of(Disk(tmp_path))
    [checkpoint] = known.records(known.checkpoints)
    entries = [action for each in known.records(known.entries) for action in each.actions]
    removed = [each["remove"]["path"] for each in entries if "remove" in each]
    wanted = [each["add"] for each in entries if "add" in each]
    added = [each["add"] for each in checkpoint.actions if "add" in each]
    assert sorted(each["path"] for each in added) == sorted(
        each["path"] for each in wanted if each["path"] not in removed
    )
    assert {str(each["partitionValues"]) for each in added} == {"{'day': None}"}
    path = tmp_path / checkpoint.file.path
    before = pq.read_table(path)
    place = before.schema.get_field_index("add")
    parsed = [
        *before.schema.field(place).type,
        pa.field("stats_parsed", pa.struct({"n": pa.int64()})),
    ]
    wider = before.schema.set(place, pa.field("add", pa.struct(parsed)))
    with_parsed = pa.Table.from_pylist(before.to_pylist(maps_as_pydicts="strict"), schema=wider)
    pq.write_table(with_parsed, path)
    [checkpoint] = known.records(known.checkpoints)
    checkpoint.write(path)
    assert pq.read_table(path).equals(before), "but for what says the same once more"
    assert sorted(DeltaTable(tmp_path).to_pyarrow_table()["number"].to_pylist()) == [0, 2]
