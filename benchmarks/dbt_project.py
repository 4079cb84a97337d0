"""dbt-duckdb: the floor's layers as models of a dbt project, tables of one DuckDB file.

No rejects, no books, no tests. The command `dbt` stands in an environment of its own.

    python benchmarks/dbt_project.py RAW OUT DBT
"""

import json
import subprocess
import sys
from pathlib import Path

from floor import ANSWERS, EVENTS, FACTS, SESSIONS, USERS, VIDEOS, columns

LAYERS = {
    "events": EVENTS,
    "users": USERS,
    "videos": VIDEOS,
    "sessions": SESSIONS,
    "facts": FACTS,
    "q1": ANSWERS[0],
    "q2": ANSWERS[1],
    "q3": ANSWERS[2],
}


def write(raw: Path, out: Path) -> None:
    """Write the project, its profile and a model per layer below `out`."""
    (out / "models").mkdir(parents=True)
    project = {
        "name": "floor",
        "profile": "floor",
        "flags": {"send_anonymous_usage_stats": False},
        "models": {"+materialized": "table"},
    }
    database = {
        "type": "duckdb",
        "path": str(out / "floor.duckdb"),
        "threads": 1,  # of dbt: DuckDB uses all cores for each model
        "settings": {"TimeZone": "UTC", "preserve_insertion_order": False},
    }
    profile = {"floor": {"target": "local", "outputs": {"local": database}}}
    (out / "dbt_project.yml").write_text(json.dumps(project))
    (out / "profiles.yml").write_text(json.dumps(profile))
    for name, sql in LAYERS.items():
        query = sql.format(raw=raw, out="OUT", columns=columns())
        for layer in LAYERS:
            query = query.replace(f"'OUT/{layer}.parquet'", f"{{{{ ref('{layer}') }}}}")
        (out / "models" / f"{name}.sql").write_text(query)


if __name__ == "__main__":
    write(Path(sys.argv[1]).absolute(), out := Path(sys.argv[2]).absolute())
    where = ["--project-dir", str(out), "--profiles-dir", str(out)]
    sys.exit(subprocess.run([sys.argv[3], "run", *where]).returncode)
