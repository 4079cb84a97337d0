"""Write the warehouse of a release, which later ones must read: `python tests/old_warehouse.py`.

`tests/data/warehouse-of-<release>` holds raw files written by hand. This adds `tables`, a warehouse
of two runs, and `expected.jsonl`, what readers of it were told; only if the oracle agrees. It uses
public names only, so that it can be run at any release.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import oracle

import streampro
from streampro.viewing import PIPELINE

FIRST_S, SECOND_S = 1_767_700_000, 1_767_800_000
"""When the files of a run were written; any file system keeps even seconds."""
OF_RUN_2 = "events/events-2.jsonl"

Table = dict[str, list[Any]]


def contents(target: streampro.Target, run_id: int | None = None) -> dict[str, Table]:
    """Return columns and rows of every table of a run."""
    with streampro.published(target, run_id) as tables:
        found = {
            item.table: tables.sql(f"select * from {item.table}") for item in tables.run.tables
        }
    return {name: as_json(rows.column_names, rows.to_pylist()) for name, rows in found.items()}


def as_json(columns: Sequence[str], rows: list[dict[str, Any]]) -> Table:
    """Return a table as JSON values, its rows in the order of their text."""
    values = [[_plain(row[name]) for name in columns] for row in rows]
    return {"columns": [*columns], "rows": sorted(values, key=json.dumps)}


def write(folder: Path) -> None:
    """Add tables and what is expected of them to a folder of raw files.

    Run 1 is a full one, on DuckDB; run 2, on Spark, reads a second file and a longer users.csv.
    """
    with TemporaryDirectory() as scratch:
        raw, warehouse = Path(scratch) / "raw", Path(scratch) / "warehouse"
        target = streampro.Target(name="old", raw=raw, warehouse=warehouse)
        shutil.copytree(folder / "raw", raw)
        users = (raw / "users.csv").read_bytes()
        (raw / "users.csv").write_bytes(b"".join(users.splitlines(keepends=True)[:-1]))
        (raw / OF_RUN_2).unlink()
        _date([path for path in raw.rglob("*") if path.is_file()], FIRST_S)
        streampro.run(PIPELINE, target)
        _must_agree(target)

        (raw / "users.csv").write_bytes(users)
        shutil.copy(folder / "raw" / OF_RUN_2, raw / OF_RUN_2)
        _date([raw / "users.csv", raw / OF_RUN_2], SECOND_S)
        streampro.run(PIPELINE, target.model_copy(update={"engine": "spark"}))
        _must_agree(target)

        (warehouse / "_streampro" / "lock").unlink(missing_ok=True)
        told = [json.dumps(line, ensure_ascii=False) for line in _told(target)]
        shutil.rmtree(folder / "tables", ignore_errors=True)
        shutil.copytree(warehouse, folder / "tables")
    text = "".join(f"{line}\n" for line in told)
    (folder / "expected.jsonl").write_text(text, encoding="utf-8", newline="\n")


def _told(target: streampro.Target) -> Iterator[dict[str, Any]]:
    """Yield a line per run, and after it one per table."""
    for run in streampro.runs(target.warehouse):
        yield {"kind": run.kind, "run": run.to_json()}
        for name, table in contents(target, run.run_id).items():
            yield {"run_id": run.run_id, "table": name, **table}


def _date(paths: list[Path], second: int) -> None:
    for path in paths:
        os.utime(path, (second, second))


def _must_agree(target: streampro.Target) -> None:
    expected = oracle.read(Path(str(target.raw)))
    for name, found in contents(target).items():
        if found != as_json(found["columns"], getattr(expected, name.rpartition(".")[2])):
            raise SystemExit(f"{name} does not agree with the oracle.")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


if __name__ == "__main__":
    release = version("streampro").rpartition(".")[0]
    write(Path(__file__).parent / "data" / f"warehouse-of-{release}")
