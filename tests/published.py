"""What readers of a warehouse see."""

from typing import Any

from streampro.config import Target
from streampro.warehouse import snapshot

Contents = dict[str, list[dict[str, Any]]]


def contents(target: Target, run_id: int | None = None) -> Contents:
    """All rows of all tables of a run, sorted, by one query."""
    names = [item.table for item in snapshot.published_run(target, run_id).tables]
    lists = (f'(SELECT list(t ORDER BY t::VARCHAR) FROM {name} t) AS "{name}"' for name in names)
    [found] = snapshot.sql(f"SELECT {', '.join(lists)}", target, run_id).to_pylist()
    return {name: rows or [] for name, rows in found.items()}
