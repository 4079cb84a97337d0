"""What readers of a warehouse see."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from streampro.config import Target
from streampro.warehouse import published, snapshot

Contents = dict[str, list[dict[str, Any]]]
ANNA = "zz-anna@example.org"
"""Whom tests forget."""


def contents(target: Target, run_id: int | None = None) -> Contents:
    """All rows of all tables of a run, sorted, by one query."""
    names = [item.table for item in snapshot.published_run(target, run_id).tables]
    lists = (f'(SELECT list(t ORDER BY t::VARCHAR) FROM {name} t) AS "{name}"' for name in names)
    [found] = published.sql(f"SELECT {', '.join(lists)}", target, run_id).to_pylist()
    return {name: rows or [] for name, rows in found.items()}


def without_anna(tables: Contents) -> Contents:
    """Return tables without the rows in which `ANNA` stands."""
    return {
        name: [row for row in rows if "zz-anna" not in str(row)] for name, rows in tables.items()
    }


def holding(folder: Path, text: str) -> list[str]:
    """Return the files in which a text stands, also inside parquet."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        rows = str(pq.ParquetFile(path).read().to_pylist()) if path.suffix == ".parquet" else ""
        if text in rows or text.encode() in path.read_bytes():
            found.append(str(path.relative_to(folder)))
    return found
