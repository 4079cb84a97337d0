from pathlib import Path

import pytest

import streampro
from streampro.viewing import PIPELINE
from streampro.viewing.synthetic import generate

pytestmark = pytest.mark.slow

QUERIES = Path(__file__).parents[1] / "queries"


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    raw = tmp_path_factory.mktemp("queries") / "raw"
    generate(raw, events=5_000, seed=3, days=6, dirt=0.05)
    found = streampro.load_target("local", raw=raw, warehouse=raw.parent / "warehouse")
    streampro.run(PIPELINE, found)
    return found


@pytest.mark.parametrize("name", ["q1_engagement", "q2_retention", "q3_dropoff"])
def test_plain_sql_says_what_the_answers_say(target, name):
    rows = streampro.sql((QUERIES / f"{name}.sql").read_text(), target).to_pylist()
    answers = streampro.sql(f"select * from answers.{name}", target).to_pylist()
    shared = [column for column in rows[0] if column in answers[0]]
    assert len(shared) >= 3
    assert _multiset(rows, shared) == _multiset(answers, shared)


def test_rate_of_all_others_is_that_of_the_sessions_outside(target):
    rows = streampro.sql((QUERIES / "q3_dropoff.sql").read_text(), target).to_pylist()
    for row in rows:
        if row["dimension"] == "app_version":
            outside = (
                "select count(*) filter (where dropoff_under_10s) / count(*) as rate "
                "from mart.fact_user_session "
                f"where app_version is distinct from '{row['app_version']}'"
            )
            [expected] = streampro.sql(outside, target).to_pylist()
            assert row["rate_of_all_others"] == expected["rate"]


def _multiset(rows, columns):
    return sorted([str(row[name]) for name in columns] for row in rows)
