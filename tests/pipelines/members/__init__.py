"""Members of a club in a file that is replaced, and what runs have seen of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.members import history, raw, staging

from streampro.modeling.pipeline import Pipeline

MEMBERS = Pipeline("members", [raw, staging, history])
FIRST = datetime(2026, 1, 1, tzinfo=UTC)

State = Mapping[str, tuple[str | None, int | None]]
"""What a file says: tier and age by member."""


def day(number: int) -> datetime:
    """Return the instant at which the run of a day begins."""
    return FIRST + timedelta(days=number)


def write_members(folder: Path, state: State) -> None:
    """Replace the file."""
    folder.mkdir(exist_ok=True)
    lines = (f"{name},{tier or ''},{age or ''}\n" for name, (tier, age) in state.items())
    (folder / "members.csv").write_text("member,tier,age\n" + "".join(lines), encoding="utf-8")
