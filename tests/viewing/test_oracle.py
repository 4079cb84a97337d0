"""Every table of a run, row by row, against the same tables computed in plain Python."""

import gzip
import json
from collections import Counter
from dataclasses import asdict

import oracle
import pytest

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
@pytest.mark.parametrize("layout", ["flat", "nested", "mixed"])
def test_a_run_on_synthetic_data_agrees_with_the_oracle(warehouse, tmp_path, layout, seed):
    raw = tmp_path / "raw"
    generate(raw, events=20_000, seed=seed, days=8, late=0.1, dirt=0.1, layout=layout)
    assert_agreement(warehouse(raw=raw), raw)


@pytest.mark.thorough("spark")
def test_a_run_on_either_engine_agrees_with_the_oracle(warehouse_of, tmp_path):
    raw = tmp_path / "raw"
    generate(raw, events=5_000, seed=3, days=8, late=0.1, dirt=0.2)
    assert_agreement(warehouse_of(raw), raw)


EVENT = {
    "timestamp": "2026-01-05T10:00:00Z",
    "user_id": "u1",
    "session_id": "s1",
    "event_name": "watch_time",
}


def event(**fields):
    return json.dumps(EVENT | fields, ensure_ascii=False)


def nasty_files():
    plain = [
        event(value=40, video_id="v1", device_os="iOS", network={"type": "4g", "ip": "10.0.0.1"}),
        event(value=40, video_id="v1", device_os=" iOS ", network_type="4g", country=""),
        event(value="1_000", session_id="s2", timestamp="2026-01-08 12:00:00.0000009+02"),
        event(value=-5),
        event(value=-5, event_name="seek", account_id=True, device=12.5, country=["DE", {"a": 1}]),
        event(value=9223372036854775807, event_name="seek", user_id=12345678901234567890),
        event(user_id="\vu1", video_id="v2", app_version="\u00a05.1"),
        event(user_id="\t", ip="10.0.0.2"),
        event(timestamp="2026-01-05", network={"ip": "10.0.0.3"}, ip=["10.0.0.4", "x"]),
        event(timestamp="2026-02-30T10:00:00Z"),
        '{"user_id":"a","user_id":"b","session_id":"s","event_name":"like",'
        '"timestamp":"2026-01-05T10:00Z","timestamp":"never"}',
        "[1, 2]",
        '{"user_id": "u1", "ip": "10.0.0.5',
        "\v",
        "null",
        "  ",
    ]
    late = [
        event(user_id="u2", session_id=f"s{hour}", timestamp=f"2026-01-06T{hour}:00Z")
        for hour in ("07", "09", "08")
    ]
    return {
        "events.jsonl": "\ufeff" + "\r\n".join(plain),
        "events_2.jsonl": ("\n".join(plain) + "\n\n").encode() + b'{"user_id": "\xff"}\n\xe9\r\n',
        "events/events_3.jsonl.gz": gzip.compress("\n".join(late + plain[:3]).encode()),
        "events/events_4.jsonl": "\n".join([*late, *late, event(user_id="x\ry"), "a\rb\x1fc"]),
        "events/ignored.jsonl": event(user_id="ignored"),
        "users.csv": "\ufeffgender,more,user_id,age_group,subscription_tier,signup_date\r\n"
        'f,x,u1,18-24,free,2025-03-01\r\n"f",y, u1 ,18-24,free,2025-03-01\r\n'
        "m,,u1,18-24,free,2025-02-30\n\n \n,,,,,\n"
        ',"a\nb",u2\n"a ""b"", c",,,,,n/a\n\vu1,,\vu1,,,\n',
        "videos.csv": "video_id,title,genre,duration_seconds,more\n"
        'v1,"A, film",Drama,90.9,z\nv1,"A, film",Drama,ninety,z\nv2,"two\nlines",,1e3,\n'
        "v2,z,,1_000,\nv2,z,,,\n,,,5,\n",
    }


def test_a_run_on_a_nasty_folder_agrees_with_the_oracle(warehouse_of, tmp_path):
    for name, content in nasty_files().items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert_agreement(warehouse_of(tmp_path / "raw"), tmp_path / "raw")
