"""The entries of a Delta table's log, as they lie on a disk."""

import json
from pathlib import Path
from typing import Any

Action = dict[str, Any]


def entry(folder: Path, version: int) -> Path:
    """Return where the entry of a version of the table in a folder lies."""
    return folder / "_delta_log" / f"{version:020}.json"


def actions(entry: Path) -> list[Action]:
    """Return the actions of an entry.

    Raises `OSError` for one that cannot be read, `ValueError` for a damaged one.
    """
    return [json.loads(line) for line in entry.read_bytes().split(b"\n") if line.strip()]
