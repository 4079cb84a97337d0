"""Laws that hold for any input: order, files and repetition do not matter, books balance."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import wraps
from inspect import Parameter, Signature, signature

import oracle
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from viewing.nasty import write_nasty

from streampro.errors import SourceError
from streampro.execution.runner import run
from streampro.formats.packing import packing_of
from streampro.viewing import PIPELINE
from streampro.viewing.answers import q1_engagement, q2_retention, q3_dropoff
from streampro.viewing.intermediate import user_sessions
from streampro.viewing.mart import fact_user_session
from streampro.viewing.staging import events, users, videos

FILES = ("events.jsonl", "events_2.jsonl.gz", "events/events_3.jsonl", "events/events_4.jsonl.gz")
START = datetime(2026, 1, 5, 10, tzinfo=UTC)
HOURS_72 = 72 * 3_600_000_000
USERS = "user_id,signup_date,subscription_tier,age_group,gender\nu1,2025-03-01,free,,f\nu1,,,,m\n"
VIDEOS = "video_id,title,genre,duration_seconds\nv1,A film,Drama,90\nv2,,News,x\n,,,\n"

small = settings(
    max_examples=settings().max_examples // 3,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
few = settings(small, max_examples=max(2, settings().max_examples // 15))


def law(**drawn):
    """Make a test of what is drawn; on Spark, where a draw takes seconds, of few draws."""

    def declare(test):
        @wraps(test)
        def holds(engine, **fixtures):
            @(few if engine.name == "spark" else small)
            @given(**drawn)
            def check(**values):
                test(**fixtures, **values)

            check()

        asked = [name for name in signature(test).parameters if name not in drawn]
        parameters = [Parameter(n, Parameter.KEYWORD_ONLY) for n in ("engine", *asked)]
        holds.__signature__ = Signature(parameters)
        return holds

    return declare


def multiset(rows):
    return Counter(tuple(row.items()) for row in rows)


# Few users, sessions and instants, so that ties, repeats and long gaps are frequent.
ids = {"user_id": st.sampled_from(["u1", "u2", "\vu1"]), "session_id": st.sampled_from("abc")}
instants = st.sampled_from([0, 1, 5_000_000, HOURS_72 - 1, HOURS_72, HOURS_72 + 1]).map(
    lambda microseconds: START + timedelta(microseconds=microseconds)
)
names = st.sampled_from(["session_start", "session_end", "watch_time", "watch_time", "like"])
values = st.sampled_from([0, 5, 9, 10, 25, 30, None])
columns = {
    "video_id": st.sampled_from(["v1", "v2", "v3", None]),
    "device_os": st.sampled_from(["iOS", "Android", None]),
    "app_version": st.sampled_from(["5.1", "5.2"]),
    "account_id": st.sampled_from(["a", "b"]),
}


def event_rows(instant):
    fields = ids | {"event_name": names, "value": values} | instant
    return st.fixed_dictionaries(fields, optional=columns)


rows = st.lists(
    event_rows({"event_ts": instants}),
    max_size=25,
    unique_by=lambda row: tuple(sorted((k, v) for k, v in row.items() if v is not None)),
)


def spelled(instant):
    return [
        instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        instant.strftime(" %Y-%m-%d %H:%M:%S.%f999"),
        (instant + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f+02:00"),
    ]


clean = event_rows({"timestamp": instants.flatmap(lambda at: st.sampled_from(spelled(at)))})
layouts = st.sampled_from(
    [
        {},
        {"network_type": "wifi", "country": "DE", "ip": "10.0.0.1"},
        {"network": {"type": "wifi", "country": "DE", "ip": "10.0.0.2"}},
    ]
)
dirt = st.sampled_from(
    [
        *({"user_id": " "}, {"session_id": None}, {"event_name": ""}, {"timestamp": "2026-01-05"}),
        *(
            {"value": -1},
            {"value": "1_000"},
            {"user_id": 7},
            {"timestamp": None},
            {"device": " x "},
        ),
    ]
)
broken = st.sampled_from(
    ["{", "[]", "null", "\v", '{"user_id": "u1"', "caf\u00e9", "\ufffd", "{\0}"]
)
objects = st.builds(
    lambda *parts: json.dumps({k: v for p in parts for k, v in p.items()}),
    clean,
    layouts,
    st.one_of(st.just({}), st.just({}), dirt),
)
lines = st.lists(st.one_of(objects, objects, objects, broken), max_size=25)


@pytest.fixture(scope="module")
def facts_of(rows_of):
    """The tables of sessions that are built from staged rows."""

    def call(event_rows, user_rows=(), video_rows=()):
        inputs = {"events": [*event_rows], "users": [*user_rows], "videos": [*video_rows]}
        sessions = rows_of(user_sessions, **inputs)
        facts = rows_of(fact_user_session, user_sessions=sessions)
        return {"user_sessions": sessions, "fact_user_session": facts}

    return call


@pytest.fixture(scope="module")
def tables_of(rows_of, facts_of):
    """Every table that is built from staged rows."""

    def call(event_rows, user_rows=(), video_rows=()):
        built = facts_of(event_rows, user_rows, video_rows)
        facts = built["fact_user_session"]
        return built | {
            "q1_engagement": rows_of(q1_engagement, fact_user_session=facts),
            "q2_retention": rows_of(q2_retention, fact_user_session=facts, events=[*event_rows]),
            "q3_dropoff": rows_of(q3_dropoff, fact_user_session=facts),
        }

    return call


@pytest.mark.thorough("spark")
@pytest.mark.slow
@law(data=st.data(), drawn=lines)
def test_order_files_and_repetition_of_lines_change_no_accepted_row(stage, data, drawn):
    once = stage(events, drawn)
    twice = data.draw(st.permutations(drawn + drawn))
    files = {name: [] for name in FILES}
    for line in twice:
        files[data.draw(st.sampled_from(FILES))].append(line)
    split = stage(events, None, files=files)
    assert multiset(split.accepted) == multiset(once.accepted)
    texts = Counter((row["reject_reason"], row["raw_line"]) for row in once.rejected)
    assert Counter((row["reject_reason"], row["raw_line"]) for row in split.rejected) == Counter(
        {text: 2 * count for text, count in texts.items()}
    )


@pytest.mark.slow
@law(drawn=st.lists(st.one_of(objects, broken, st.sampled_from(["", " \t", "\r"])), max_size=25))
def test_every_line_that_is_not_blank_is_accepted_a_duplicate_or_rejected(stage, drawn):
    staged = stage(events, drawn)
    assert staged.lines == sum(1 for line in drawn if line.strip(" \t\r\n"))
    assert staged.lines == len(staged.accepted) + staged.duplicates + len(staged.rejected)


cells = st.sampled_from(["", " ", "1", "2", " 1", "x", "\v", "a,b", '"', "1\n2"])
records = st.lists(st.tuples(st.sampled_from(["", "v1", " v1", "v2"]), cells, cells, cells))


def csv_text(header, drawn):
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in record) for record in drawn]
    return "\n".join([header, *quoted, ""])


@pytest.mark.thorough("spark")
@pytest.mark.slow
@law(data=st.data(), drawn=records)
def test_the_order_of_a_dimension_file_does_not_matter_and_its_books_balance(stage, data, drawn):
    header = "video_id,title,genre,duration_seconds"
    found = stage(videos, videos=csv_text(header, drawn))
    other = stage(videos, videos=csv_text(header, data.draw(st.permutations(drawn))))
    assert multiset(found.accepted) == multiset(other.accepted)
    assert multiset(found.rejected) == multiset(other.rejected)
    for staged in (found, other):
        assert staged.lines == len(drawn)
        assert staged.lines == len(staged.accepted) + staged.duplicates + len(staged.rejected)


@pytest.mark.thorough("spark")
@pytest.mark.slow
@law(data=st.data(), drawn=rows)
def test_the_order_of_events_changes_no_table_and_parts_add_up(tables_of, data, drawn):
    expected = tables_of(drawn)
    found = tables_of(data.draw(st.permutations(drawn)))
    for name, table in expected.items():
        assert multiset(found[name]) == multiset(table), name
    assert_parts_add_up(drawn, found)


@pytest.mark.thorough("spark")
@pytest.mark.slow
@law(drawn=rows)
def test_the_facts_of_a_user_depend_on_no_other_user(facts_of, drawn):
    facts = facts_of(drawn)["fact_user_session"]
    alone = [
        fact
        for user in {row["user_id"] for row in drawn}
        for fact in facts_of([row for row in drawn if row["user_id"] == user])["fact_user_session"]
    ]
    assert multiset(alone) == multiset(facts)


def assert_parts_add_up(drawn, tables):
    facts, [engagement] = tables["fact_user_session"], tables["q1_engagement"]
    people = len({row["user_id"] for row in drawn})
    assert sum(fact["event_count"] for fact in facts) == len(drawn)
    assert engagement["users"] == people
    assert sum(row["users"] for row in tables["q2_retention"]) == people
    for dimension in ("device_os", "app_version", "device_os x app_version"):
        groups = [row for row in tables["q3_dropoff"] if row["dimension"] == dimension]
        assert sum(row["sessions"] for row in groups) == len(facts)
        assert sum(row["dropoff_sessions"] for row in groups) == sum(
            fact["dropoff_under_10s"] for fact in facts
        )


def assert_agreement(raw, stage, tables_of):
    expected = oracle.read(raw)
    staged = {model.name: stage(model, raw=raw) for model in (events, users, videos)}
    for name, found in staged.items():
        assert multiset(found.accepted) == multiset(getattr(expected, name))
        assert multiset(found.rejected) == multiset(getattr(expected, f"{name}_rejected"))
        books = (found.lines, len(found.accepted), found.duplicates, len(found.rejected))
        assert books == tuple(expected.books[name].values())
    for name, table in tables_of(*(found.accepted for found in staged.values())).items():
        assert multiset(table) == multiset(getattr(expected, name)), name


odd_characters = st.sampled_from(' \t\r\n\v\f\0\x1c\x85\u00a0\u2028\ufeff"\\/{}[],:1-é旅😀')
characters = st.one_of(odd_characters, odd_characters, st.characters(codec="utf-8"))
spaces = st.sampled_from(["", "", " ", "\t", "\r", " \t "])


def literal(character, escaped):
    if not escaped and character not in '"\\' and character >= " ":
        return character
    units = character.encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


texts = st.lists(st.tuples(characters, st.booleans()), max_size=6).map(
    lambda pairs: '"' + "".join(literal(*pair) for pair in pairs) + '"'
)
numbers = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1E2", "1e+05", "0.10", "-0.0", "1.0", "-1e400", "9007199254740993.0"]),
)
scalars = st.one_of(texts, texts, numbers, st.sampled_from(["true", "false", "null", '""']))


@st.composite
def json_object(draw, pairs):
    """An object of the given pairs as text, white space drawn around every token."""
    parts = [
        draw(spaces) + json.dumps(key) + draw(spaces) + ":" + draw(spaces) + value + draw(spaces)
        for key, value in pairs
    ]
    return "{" + ",".join(parts) + "}"


@st.composite
def odd_line(draw):
    """An event whose keys may repeat, in any order, with any text or number as their values."""
    usual = {
        "user_id": '" u1"',
        "session_id": '"s1"',
        "event_name": '"watch_time"',
        "timestamp": '"2026-01-05T10:00:00Z"',
    }
    pairs = [
        (key, draw(scalars) if draw(st.integers(0, 9)) == 0 else value)
        for key, value in usual.items()
    ]
    optional = ["account_id", "video_id", "device", "network_type", "country", "value", "ip", "x"]
    extra = st.tuples(st.sampled_from([*optional, *usual]), scalars)
    pairs += draw(st.lists(extra, max_size=4))
    inner = st.tuples(st.sampled_from(["type", "country", "ip", "type "]), scalars)
    for network in draw(st.lists(st.lists(inner, max_size=3), max_size=2)):
        pairs.append(("network", draw(json_object(network))))
    text = draw(spaces) + draw(json_object(draw(st.permutations(pairs)))) + draw(spaces)
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


def is_packed(content: bytes) -> bool:
    """Tell whether a file that begins so is no text."""
    try:
        return packing_of(content, "events.jsonl") is not None
    except SourceError:
        return True


junk = (
    st.binary(max_size=6)
    .map(lambda content: content.replace(b"\n", b""))
    .filter(lambda content: not is_packed(content))
)


@pytest.mark.thorough("spark")
@pytest.mark.slow
@law(drawn=st.lists(st.one_of(objects, objects, objects, broken, odd_line(), junk), max_size=25))
def test_any_lines_give_the_tables_of_the_oracle(raw_folder, stage, tables_of, drawn):
    assert_agreement(raw_folder(drawn, users=USERS, videos=VIDEOS), stage, tables_of)


@pytest.mark.thorough
@pytest.mark.slow
@law(drawn=st.lists(st.one_of(odd_line(), odd_line(), odd_line(), junk), max_size=12))
def test_any_text_gives_the_tables_of_the_oracle(raw_folder, stage, tables_of, drawn):
    assert_agreement(raw_folder(drawn, users=USERS, videos=VIDEOS), stage, tables_of)


def assert_running_twice_gives_the_same(first):
    before = first.tables()
    again = run(PIPELINE.without_limits(), first.target, full_refresh=True)
    assert again.run_id == first.run.run_id + 1
    assert again.books == first.run.books
    assert first.tables() == before


@pytest.mark.slow
def test_running_twice_gives_the_same_rows_and_books(warehouse, tmp_path):
    write_nasty(tmp_path)
    assert_running_twice_gives_the_same(warehouse(raw=tmp_path))


@pytest.mark.thorough
@pytest.mark.slow
@few
@given(drawn=st.lists(objects, min_size=15, max_size=40))
def test_running_any_lines_twice_gives_the_same_rows_and_books(warehouse, drawn):
    assert_running_twice_gives_the_same(warehouse([*drawn, "broken"], users=USERS, videos=VIDEOS))
