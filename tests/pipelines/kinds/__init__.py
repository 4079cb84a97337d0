"""A pipeline for tests whose contracts have every type that is stored: parts of a delivery."""

import json
from pathlib import Path

from pipelines.kinds import answers, mart, raw, staging

from streampro.modeling.pipeline import Pipeline

KINDS = Pipeline("kinds", [raw, staging, mart, answers])


def lines(*rows: dict[str, str]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


LINES = lines(
    {
        "id": "full",
        "at": "2026-01-05T10:00:00.000001Z",
        "tags": "b,a,a",
        "sizes": "3,1",
        "keys": "y,x",
        "values": "1,2",
        "x": "1",
        "y": "left",
        "price": "1.10",
        "weight": "2.5",
        "json": '{"a": [1, null]}',
    },
    {
        "id": "full",
        "at": "2026-01-05T10:00:00.000001Z",
        "tags": "b,a,a",
        "sizes": "3,1",
        "keys": "x,y",
        "values": "2,1",
        "x": "1",
        "y": "left",
        "price": "1.1",
        "weight": "2.5",
        "json": '{"a": [1, null]}',
    },
    {
        "id": "holes",
        "at": "2026-01-05T11:00:00Z",
        "tags": "b,,a",
        "sizes": ",2,NaN",
        "keys": "z,é",
        "values": ",5",
        "y": "right",
        "price": "-0.01",
        "weight": "NaN",
    },
    {
        "id": "holes",
        "at": "2026-01-05T11:00:00Z",
        "tags": "b,,a",
        "sizes": ",2,",
        "keys": "é,z",
        "values": "5,",
        "y": "right",
        "price": "-0.01",
    },
    {
        "id": "empty",
        "at": "2026-01-05T12:00:00Z",
        "tags": "-",
        "sizes": "-",
        "keys": "-",
        "values": "-",
    },
    {"id": "null"},
)
LATER = lines(
    {
        "id": "full",
        "at": "2026-01-06T10:00:00Z",
        "tags": "c",
        "keys": "k",
        "values": "7",
        "x": "2",
        "price": "99999999999999.99",
        "weight": "-0.0",
    },
    {
        "id": "holes",
        "at": "2026-01-05T11:00:00Z",
        "tags": "b,,a",
        "sizes": ",2,",
        "keys": "z,é",
        "values": ",5",
        "y": "right",
        "price": "-0.01",
    },
    {"id": "new", "at": "2026-01-06T10:00:00Z", "tags": ",", "sizes": "0.1"},
    {"at": "2026-01-06T11:00:00Z", "tags": "lost"},
)


def write_raw(folder: Path, **files: str) -> Path:
    """Write a raw folder, a file per argument, and return it."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"parts-{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
