"""Every raw file at hand is read, refused or mentioned, on every engine."""

from pathlib import Path

import pytest
from pipelines.shop import SHOP, write_raw

from streampro.config import Target
from streampro.errors import EngineError
from streampro.testing import Workbench
from streampro.warehouse import ledger

SALE = '{"shop": "b", "day": "2024-05-07", "amount": "3"}\n'


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(name="test", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "warehouse")


def write(target: Target, name: str, data: bytes | str) -> Path:
    path = Path(str(target.raw)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_link_whose_target_goes_away_stops_the_run(
    engine: Workbench, target: Target, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "mounted.jsonl"
    elsewhere.write_text(SALE)
    link = Path(str(target.raw)) / "sales-2.jsonl"
    link.symlink_to(elsewhere)
    first = engine.run(SHOP, target)
    elsewhere.unlink()
    for attempt in (engine.plan, engine.run):
        with pytest.raises(EngineError) as caught:
            attempt(SHOP, target)
        assert str(caught.value) == (
            f"source 'raw_sales': {link} cannot be read: it is a link to nowhere ({elsewhere}). "
            "Nothing was published."
        )
    assert ledger.runs(target.warehouse) == [first]
    elsewhere.write_text(SALE)
    again = engine.run(SHOP, target)
    assert {each.table: each.rows for each in again.tables} == {
        each.table: each.rows for each in first.tables
    }
