"""An event column that a session carries is declared in three places, and nowhere else."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import streampro
from streampro.config import Target
from streampro.modeling.pipeline import Pipeline
from streampro.viewing import raw
from streampro.warehouse.published import sql

LAYERS = ("raw", "staging", "intermediate", "mart")
EDITS = {
    "raw": ('    "app_version",\n', '    "carrier",\n'),
    "staging": (
        '    app_version: str = column("Release of the app, null if not given.", nullable=True)\n',
        '    carrier: str = column("Carrier, null if not given.", nullable=True)\n',
    ),
    "intermediate": (
        '    app_version: str = column("Release of the earliest event that has one.", '
        "nullable=True)\n",
        '    carrier: str = column("Carrier of the earliest event that has one.", nullable=True)\n',
    ),
}
"""Per file the line after which one is added."""
EVENT = (
    '{"user_id": "u", "session_id": "s", "event_name": "like", '
    '"timestamp": "2026-01-01T00:00:0%dZ"%s}\n'
)


@pytest.fixture
def carrying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The viewing pipeline from a copy of its files, with a column `carrier` of an event."""
    package = tmp_path / "carrying"
    package.mkdir()
    for layer in LAYERS:
        text = Path(str(raw.__file__)).with_name(f"{layer}.py").read_text(encoding="utf-8")
        if layer in EDITS:
            before, added = EDITS[layer]
            assert text.count(before) == 1
            text = text.replace(before, before + added)
        (package / f"{layer}.py").write_text(text.replace("streampro.viewing", "carrying"))
    monkeypatch.syspath_prepend(tmp_path)
    yield Pipeline("viewing", [import_module(f"carrying.{layer}") for layer in LAYERS])
    for name in [each for each in sys.modules if each.partition(".")[0] == "carrying"]:
        del sys.modules[name]


@pytest.mark.slow
def test_a_column_added_in_three_places_reaches_the_fact_table(
    carrying: Pipeline, tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    carriers = (', "carrier": "  "', ', "carrier": " tele "', ', "carrier": "later"')
    lines = [EVENT % (second, carrier) for second, carrier in enumerate(carriers)]
    lines.append(EVENT % (2, ', "carrier": "only the carrier differs"'))
    (folder / "events.jsonl").write_text("".join(lines))
    (folder / "users.csv").write_text("user_id,signup_date,subscription_tier,age_group,gender\n")
    (folder / "videos.csv").write_text("video_id,title,genre,duration_seconds\n")
    target = Target(name="test", raw=folder, warehouse=tmp_path / "warehouse")
    assert carrying.problems() == []
    streampro.run(carrying, target)
    assert sql("select carrier, event_count from mart.fact_user_session", target).to_pylist() == [
        {"carrier": "tele", "event_count": 4}
    ]
