"""Rows in files: every type exact, nothing executed, never half a file."""

import csv
import gzip
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exported import ROWS, SCHEMA, TABLE, reader

from streampro.errors import ConfigError, EngineError, PipelineError
from streampro.exports.files import write_file
from streampro.modeling.model import Export


def written(folder: Path, name: str, kind: str, rows: int = 2) -> Path:
    path = folder / "new" / name
    assert write_file(kind, TABLE, reader(rows), path) == rows
    assert [each.name for each in path.parent.iterdir()] == [name]
    return path


TEXTS = {
    "text": '=1+1, "é"\n',
    "empty": "",
    "whole": "4611686018427387905",
    "small": "-7",
    "share": "0.1",
    "price": "1.10",
    "sum": "123456789012345678.91",
    "is_new": "true",
    "day": "2026-01-05",
    "at_ts": "2026-01-05 10:00:00.000001Z",
    "tags": '["b", null]',
    "place": '{"x": 1}',
    "counts": '{"a": 1}',
    "raw": "00ff",
    "nothing": "",
}


def test_csv_is_exact(tmp_path: Path) -> None:
    with written(tmp_path, "kinds.csv", "csv").open(newline="", encoding="utf-8") as file:
        assert [*csv.DictReader(file)] == [TEXTS, TEXTS]
    path = written(tmp_path / "packed", "kinds.csv.gz", "csv", rows=1)
    plain = gzip.decompress(path.read_bytes()).decode()
    assert plain.endswith(',"00ff",\n')
    assert ',"",4611686018427387905,' in plain  # an empty text is none that is missing
    before = path.read_bytes()
    assert written(tmp_path / "again", "kinds.csv.gz", "csv", rows=1).read_bytes() == before


def test_json_is_exact(tmp_path: Path) -> None:
    expected = {
        "text": '=1+1, "é"\n', "empty": "", "whole": 2**62 + 1, "small": -7, "share": 0.1,
        "price": "1.10", "sum": "123456789012345678.91", "is_new": True, "day": "2026-01-05",
        "at_ts": "2026-01-05T10:00:00.000001Z", "tags": ["b", None], "place": {"x": 1},
        "counts": {"a": 1}, "raw": "00ff", "nothing": None,
    }  # fmt: skip
    lines = written(tmp_path, "kinds.jsonl", "jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [expected, expected]
    whole = written(tmp_path / "whole", "kinds.json", "json").read_text(encoding="utf-8")
    assert json.loads(whole) == [expected, expected]
    none = written(tmp_path / "none", "kinds.json", "json", rows=0).read_text(encoding="utf-8")
    assert json.loads(none) == []


def test_parquet_is_exact(tmp_path: Path) -> None:
    found = pq.read_table(written(tmp_path, "kinds.parquet", "parquet"))
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == [{name: value for name, (_, value) in ROWS.items()}] * 2


def test_sheet_is_exact_and_executes_nothing(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(written(tmp_path, "kinds.xlsx", "xlsx"))
    [sheet] = book.worksheets
    titles, first, second = sheet.iter_rows()
    assert sheet.title == "kinds"
    assert [cell.value for cell in titles] == [*ROWS]
    cells = dict(zip(ROWS, first, strict=True))
    values = {name: cell.value for name, cell in cells.items()}
    assert [cell.value for cell in second] == [*values.values()]
    as_numbers = {"small": -7, "share": 0.1, "price": 1.1, "is_new": True}
    assert values == TEXTS | as_numbers | {
        "nothing": None, "day": datetime(2026, 1, 5)
    }  # fmt: skip
    assert cells["text"].data_type == "s"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_decimals_have_all_their_digits_and_instants_end_in_z_wherever_they_stand(
    kind: str, tmp_path: Path
) -> None:
    price, at_ts = Decimal("-0.0000000001"), datetime(1, 1, 1, tzinfo=UTC)
    parts = pa.struct({"price": pa.decimal128(38, 10), "at_ts": pa.timestamp("us", "UTC")})
    schema = pa.schema({"zero": pa.decimal128(18, 8), "price": parts["price"].type, "all": parts})
    row = {"zero": Decimal("0E-8"), "price": price, "all": {"price": price, "at_ts": at_ts}}
    batch = pa.RecordBatch.from_pylist([row], schema)
    path = tmp_path / f"kinds.{kind}"
    write_file(kind, TABLE, pa.RecordBatchReader.from_batches(schema, [batch]), path)
    text = path.read_text()
    found = json.loads(text) if kind == "jsonl" else next(csv.DictReader(text.splitlines()))
    assert (found["zero"], found["price"]) == ("0.00000000", "-0.0000000001")
    inner = found["all"] if kind == "jsonl" else json.loads(found["all"])
    assert inner == {"price": "-0.0000000001", "at_ts": "0001-01-01T00:00:00.000000Z"}


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), sys.float_info.max])
def test_what_is_no_number_of_a_sheet_is_text(value: float, tmp_path: Path) -> None:
    path = tmp_path / "kinds.xlsx"
    write_file("xlsx", TABLE, reader(share=value), path)
    [sheet] = openpyxl.load_workbook(path).worksheets
    assert sheet["E2"].value == str(value)


def test_what_a_sheet_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kinds.xlsx"
    path.write_bytes(b"old")
    with pytest.raises(ConfigError, match=r"mart.kinds.text has a text of 32,768 letters"):
        write_file("xlsx", TABLE, reader(text="x" * 32_768), path)
    with pytest.raises(ConfigError, match=r"mart.kinds.text has a text of 40,000 letters"):
        write_file("xlsx", TABLE, reader(text="😀" * 20_000), path)
    wide = pa.schema([(f"c{n}", pa.int64()) for n in range(16_385)])
    with pytest.raises(ConfigError, match="has 16385 columns; a sheet has 16,384"):
        write_file("xlsx", TABLE, reader(schema=wide), path)
    monkeypatch.setattr("streampro.exports.files._SHEET_ROWS", 3)
    with pytest.raises(ConfigError, match=r"mart\.kinds has more than 2 rows"):
        write_file("xlsx", TABLE, reader(3), path)
    assert write_file("xlsx", TABLE, reader(2), tmp_path / "other.xlsx") == 2
    assert path.read_bytes() == b"old"


def test_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "kinds.csv"
    path.write_text("old")

    def cut() -> Any:
        yield from reader(1)
        raise OSError(28, "No space left on device")

    rows = pa.RecordBatchReader.from_batches(SCHEMA, cut())
    with pytest.raises(EngineError, match=r"kinds.csv cannot be written: .*No space left"):
        write_file("csv", TABLE, rows, path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kinds.csv", "old")]
    with pytest.raises(EngineError, match="cannot be written: File exists"):
        write_file("csv", TABLE, reader(), path / "kinds.csv")
    with pytest.raises(ConfigError, match="is a folder: name a file in it"):
        write_file("csv", TABLE, reader(), tmp_path)


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("out/", r"to is 'out/', but must be a file on this machine whose name ends in \.csv"),
        ("rows.txt", "to is 'rows.txt', but must be a file"),
        ("s3://bucket/rows.csv", "to is 's3://bucket/rows.csv', but must be a file on this"),
        ("$1.csv", "a dollar sign that stands for itself is written"),
        (3, "to is 3, but must be a text"),
    ],
)
def test_export_to_nowhere_is_refused(to: Any, told: str) -> None:
    with pytest.raises(PipelineError, match=f"^Export: .*{told}"):
        Export("mart.kinds", to=to)


@pytest.mark.parametrize(
    "to", ["postgresql://me:secret@host/db", "postgresql://host/db?user=me&password=secret"]
)
def test_password_is_not_declared(to: str) -> None:
    with pytest.raises(PipelineError, match=r"'to' holds a password\. Put it") as caught:
        Export("mart.kinds", to=to)
    assert "secret" not in str(caught.value)
    assert Export("mart.kinds", to=to.replace("secret", "${SECRET}"))
