"""Every table of a run, row by row, against the same tables computed in plain Python."""

from collections import Counter
from dataclasses import asdict

import oracle
import pytest
from viewing.nasty import INVALID_UTF8, write_nasty

from streampro.viewing.synthetic import generate

pytestmark = pytest.mark.slow

SOURCES = ("events", "users", "videos")
TABLES = {f"staging.{name}{end}" for name in SOURCES for end in ("", "_rejected")}
TABLES |= {"intermediate.user_sessions", "mart.fact_user_session"}
TABLES |= {"answers.q1_engagement", "answers.q2_retention", "answers.q3_dropoff"}


def assert_agreement(built, raw):
    expected = oracle.read(raw)
    tables = built.tables()
    assert set(tables) == TABLES
    for name, rows in tables.items():
        wanted = Counter(tuple(row.items()) for row in getattr(expected, name.rpartition(".")[2]))
        assert (rows - wanted, wanted - rows) == (Counter(), Counter()), name
    for source in SOURCES:
        books = asdict(built.books(f"raw_{source}"))
        wanted = expected.books[source]
        assert {name: books[name] for name in wanted} == wanted


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    "layout",
    ["mixed", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("flat", "nested"))],
)
def test_a_run_on_synthetic_data_agrees_with_the_oracle(warehouse, tmp_path, layout, seed):
    raw = tmp_path / "raw"
    generate(raw, events=20_000, seed=seed, days=8, late=0.1, dirt=0.1, layout=layout)
    assert_agreement(warehouse(raw=raw), raw)


@pytest.mark.thorough
def test_a_run_on_either_engine_agrees_with_the_oracle(warehouse_of, tmp_path):
    raw = tmp_path / "raw"
    generate(raw, events=5_000, seed=3, days=8, late=0.1, dirt=0.2)
    assert_agreement(warehouse_of(raw), raw)


def test_a_run_on_a_nasty_folder_agrees_with_the_oracle(warehouse_of, tmp_path):
    write_nasty(tmp_path / "raw")
    built = warehouse_of(tmp_path / "raw")
    assert_agreement(built, tmp_path / "raw")
    for source, lines in INVALID_UTF8.items():
        assert built.books(f"raw_{source}").warnings["invalid_utf8"] == lines
