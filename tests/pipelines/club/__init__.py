"""A pipeline for tests that has what nobody may show: a secret, a personal column, and what is made
of them.
"""

import json
from pathlib import Path

from pipelines.club import answers, mart, raw, staging

from streampro.modeling.pipeline import Pipeline

CLUB = Pipeline("club_members", [raw, staging, mart, answers])
HIDDEN = ("anna@", "bert@", "ANNA", "4711", "0815")
"""What stands in values that nobody may show."""


def member(mail: str | None, city: str | None, day: int, **others: object) -> dict[str, object]:
    return {"mail": mail, "city": city, "at": f"2026-05-{day:02}T10:00:00Z", **others}


MEMBERS = (
    member("anna@a.org", "Oslo", 1, card="4711"),
    member("bert@b.org", "Oslo", 2, card="0815"),
    member("cora@c.org", "Rome", 3, tips=["a", "b"]),
    member("dora@d.org", None, 4),
)


def write_members(folder: Path, name: str, *members: dict[str, object]) -> Path:
    """Write a file of members and return the folder."""
    folder.mkdir(exist_ok=True)
    text = "".join(f"{json.dumps(each)}\n" for each in members)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
