"""How raw text becomes rows, and what becomes of the rest."""

import json
from datetime import date

import pytest
from viewing.nasty import (
    DEEP,
    EVENT,
    INSTANTS,
    MASKED,
    NO_INSTANTS,
    NO_OBJECTS,
    TEN,
    TOKENS,
    VALUES,
    line_of,
)

from streampro.config import Target
from streampro.errors import SourceError
from streampro.execution.runner import run
from streampro.viewing import PIPELINE
from streampro.viewing.staging import events, users, videos

pytestmark = pytest.mark.thorough("spark")  # `write_nasty` has all of it, and Spark reads that


def pick(rows, *columns):
    return sorted((tuple(row[column] for column in columns) for row in rows), key=_as_text)


def _as_text(row):
    return [str(value) for value in row]


def reasons(staged):
    return sorted(row["reject_reason"] for row in staged.rejected)


def test_an_event_has_twelve_columns_in_the_order_of_the_contract(stage):
    full = EVENT | {
        "account_id": "a1",
        "video_id": "v1",
        "value": 12,
        "device": "Pixel 8",
        "device_os": "Android",
        "app_version": "5.2.0",
        "network_type": "wifi",
        "ip": "10.0.0.1",
        "country": "DE",
    }
    [row] = stage(events, [full]).accepted
    assert list(row.items()) == [
        ("event_ts", TEN),
        ("account_id", "a1"),
        ("user_id", "u1"),
        ("video_id", "v1"),
        ("session_id", "s1"),
        ("event_name", "watch_time"),
        ("value", 12),
        ("device", "Pixel 8"),
        ("device_os", "Android"),
        ("app_version", "5.2.0"),
        ("network_type", "wifi"),
        ("country", "DE"),
    ]


def test_text_loses_space_tab_cr_and_lf_at_both_ends_only(stage):
    columns = ("account_id", "video_id", "device", "device_os", "app_version")
    staged = stage(events, [EVENT | dict.fromkeys(columns, " \t\r\n a \t\r\n b \n\r\t ")])
    assert pick(staged.accepted, *columns) == [("a \t\r\n b",) * 5]


def test_required_text_is_trimmed_too(stage):
    staged = stage(events, [EVENT, *(EVENT | {name: f"\n\t{EVENT[name]}\r "} for name in EVENT)])
    assert pick(staged.accepted, "event_ts", "user_id", "session_id", "event_name") == [
        (TEN, "u1", "s1", "watch_time")
    ]
    assert (staged.duplicates, staged.rejected) == (4, [])


def test_network_type_and_country_are_trimmed_in_both_layouts(stage):
    lines = [
        EVENT | {"user_id": "flat", "network_type": "\twifi ", "country": " DE\n"},
        EVENT | {"user_id": "nested", "network": {"type": "\twifi ", "country": " DE\n"}},
    ]
    assert pick(stage(events, lines).accepted, "user_id", "network_type", "country") == [
        ("flat", "wifi", "DE"),
        ("nested", "wifi", "DE"),
    ]


@pytest.mark.slow
def test_no_other_character_is_trimmed(stage):
    others = "\v\f\x00\x1c\x85\u00a0\u2003\u2028\u200b\ufeff"
    lines = [EVENT | {"user_id": f"{other}v1{other}", "video_id": other} for other in others]
    assert pick(stage(events, lines).accepted, "user_id", "video_id") == [
        (f"{other}v1{other}", other) for other in sorted(others)
    ]


def test_ids_that_differ_in_a_vertical_tab_or_form_feed_are_different_ids(stage):
    lines = [EVENT | {"user_id": name} for name in ("u", "\vu", "u\f", " u", "u\t")]
    assert pick(stage(events, lines).accepted, "user_id") == [("\x0bu",), ("u",), ("u\x0c",)]


@pytest.mark.slow
def test_text_of_which_nothing_is_left_is_null(stage):
    staged = stage(events, [EVENT | {"video_id": "", "device": " \t\r\n", "country": " "}])
    assert pick(staged.accepted, "video_id", "device", "country") == [(None, None, None)]


def test_a_number_or_boolean_in_a_text_field_becomes_its_json_text(stage):
    lines = [line_of("account_id", token, user_id=token) for token, _ in TOKENS]
    accepted = stage(events, lines).accepted
    assert {row["user_id"]: row["account_id"] for row in accepted} == dict(TOKENS)


def test_a_number_is_good_enough_for_an_id(stage):
    lines = [EVENT | {"user_id": 7, "session_id": 8, "event_name": True}]
    staged = stage(events, lines)
    assert pick(staged.accepted, "user_id", "session_id", "event_name") == [("7", "8", "true")]


@pytest.mark.slow
def test_a_timestamp_in_the_grammar_is_an_instant_in_utc(stage):
    lines = [EVENT | {"user_id": repr(text), "timestamp": text} for text, _ in INSTANTS]
    accepted = stage(events, lines).accepted
    assert {row["user_id"]: row["event_ts"] for row in accepted} == {
        repr(text): instant for text, instant in INSTANTS
    }


@pytest.mark.slow
def test_any_other_timestamp_is_a_bad_timestamp(stage):
    lines = [EVENT | {"user_id": repr(text), "timestamp": text} for text in NO_INSTANTS]
    staged = stage(events, lines)
    assert pick(staged.accepted, "user_id") == []
    assert reasons(staged) == ["bad_timestamp"] * len(NO_INSTANTS)


@pytest.mark.slow
def test_a_value_is_a_number_cut_to_an_int64_or_null(stage):
    lines = [line_of("value", token, user_id=token, event_name="seek") for token, _ in VALUES]
    accepted = stage(events, lines).accepted
    assert {row["user_id"]: row["value"] for row in accepted} == dict(VALUES)


@pytest.mark.slow
def test_blank_lines_are_counted_nowhere(stage):
    line = json.dumps(EVENT).encode()
    staged = stage(events, b"\n" + line + b"\n\n \t \n\r\n" + b"broken\n" + b"  ")
    assert (staged.lines, len(staged.accepted), len(staged.rejected)) == (2, 1, 1)


@pytest.mark.slow
def test_a_line_of_other_white_space_is_not_blank(stage):
    staged = stage(events, ["\v", "\f", "\u00a0", "\u2003"])
    assert (staged.lines, reasons(staged)) == (4, ["not_a_json_object"] * 4)


@pytest.mark.slow
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_lines_end_at_lf_and_a_cr_before_it_is_trimmed(stage, end):
    staged = stage(events, json.dumps(EVENT).encode() + end + b"broken" + end)
    assert staged.lines == 2
    assert pick(staged.accepted, "user_id") == [("u1",)]
    assert pick(staged.rejected, "raw_line") == [("broken",)]


@pytest.mark.slow
def test_line_ends_may_differ_within_a_file(stage):
    one, two = (json.dumps(EVENT | {"user_id": name}).encode() for name in ("u1", "u2"))
    staged = stage(events, one + b"\r\nbroken\n" + two + b"\nbroken too\r\n")
    assert pick(staged.accepted, "user_id") == [("u1",), ("u2",)]
    assert pick(staged.rejected, "raw_line") == [("broken",), ("broken too",)]


@pytest.mark.slow
def test_a_cr_within_a_line_does_not_end_it(stage):
    inside = json.dumps(EVENT).replace(", ", ",\r").encode()
    staged = stage(events, inside + b"\nbro\rken\n")
    assert staged.lines == 2
    assert pick(staged.accepted, "user_id") == [("u1",)]
    assert pick(staged.rejected, "raw_line") == [("bro\rken",)]


@pytest.mark.slow
def test_no_other_character_ends_aline_of(stage):
    lines = [f"bro{other}ken" for other in "\v\f\x1c\x85\u2028\u2029"]
    staged = stage(events, lines)
    assert staged.lines == 6
    assert pick(staged.rejected, "raw_line") == [(line,) for line in lines]


@pytest.mark.slow
def test_the_last_line_needs_no_newline(stage):
    lines = [json.dumps(EVENT | {"user_id": name}).encode() for name in ("u1", "u2")]
    staged = stage(events, b"\n".join(lines))
    assert pick(staged.accepted, "user_id") == [("u1",), ("u2",)]


@pytest.mark.slow
def test_a_byte_order_mark_is_dropped_at_the_start_of_a_file_only(stage):
    mark, line = b"\xef\xbb\xbf", json.dumps(EVENT).encode()
    staged = stage(events, mark + line + b"\n" + mark + line + b"\n")
    assert len(staged.accepted) == 1
    assert pick(staged.rejected, "reject_reason", "raw_line") == [
        ("not_a_json_object", "\ufeff" + line.decode())
    ]


@pytest.mark.slow
def test_invalid_utf8_becomes_replacement_characters_and_is_counted(stage):
    line = json.dumps(EVENT | {"device": "x?y"}).encode()
    lines = [line.replace(b"?", b"\xff"), line.replace(b"?", b"\xc3"), b"\xfe", line]
    staged = stage(events, lines)
    assert pick(staged.accepted, "device") == [("x?y",), ("x\ufffdy",)]
    assert pick(staged.rejected, "raw_line") == [("\ufffd",)]
    assert (staged.lines, staged.duplicates, staged.invalid_utf8) == (4, 1, 3)


@pytest.mark.slow
def test_a_line_with_invalid_utf8_is_otherwise_kept_as_it_stands(stage):
    staged = stage(events, b"\n \xff \v \r\n\xff\r\r\n\t\xff")
    assert pick(staged.rejected, "raw_line") == [("\t\ufffd",), (" \ufffd \v ",), ("\ufffd\r",)]
    assert (staged.lines, staged.invalid_utf8) == (3, 3)


@pytest.mark.slow
def test_a_replacement_character_that_stands_in_the_file_is_no_warning(stage):
    staged = stage(events, [EVENT | {"device": "\ufffd"}])
    assert (pick(staged.accepted, "device"), staged.invalid_utf8) == ([("\ufffd",)], 0)


@pytest.mark.slow
def test_events_are_read_from_both_folders_plain_and_gzipped(stage):
    names = [
        *("events.jsonl", "events-2026.jsonl", "events.jsonl.gz"),
        *("events/events_1.jsonl", "events/events_2.jsonl.gz"),
    ]
    files = {name: [EVENT | {"user_id": name}, f"broken {name}"] for name in names}
    others = ["more_events.jsonl", "events.json", "events.jsonl.bak", "events/other.jsonl"]
    files |= {name: [EVENT | {"user_id": name}] for name in others}
    staged = stage(events, None, files=files)
    assert {row["user_id"] for row in staged.accepted} == {*names}
    assert pick(staged.rejected, "raw_line", "source_file") == sorted(
        (f"broken {name}", name) for name in names
    )


@pytest.mark.slow
def test_flat_and_nested_layouts_may_share_a_file(stage):
    flat = {"network_type": "wifi", "country": "DE", "ip": "10.0.0.1"}
    nested = {"network": {"type": "4g", "country": "FR", "ip": "10.0.0.2"}}
    lines = [
        EVENT | {"user_id": "flat"} | flat,
        EVENT | {"user_id": "nested"} | nested,
        EVENT | {"user_id": "both"} | flat | nested,
        EVENT | {"user_id": "flat type"} | nested | {"network_type": "5g"},
        EVENT | {"user_id": "empty flat"} | nested | {"network_type": None, "country": " "},
        EVENT | {"user_id": "no object", "network": "wifi"},
    ]
    assert pick(stage(events, lines).accepted, "user_id", "network_type", "country") == [
        ("both", "wifi", "DE"),
        ("empty flat", "4g", "FR"),
        ("flat", "wifi", "DE"),
        ("flat type", "5g", "FR"),
        ("nested", "4g", "FR"),
        ("no object", None, None),
    ]


def test_of_a_repeated_key_the_first_value_counts(stage):
    rest = json.dumps(EVENT)[1:-1]
    lines = [
        f'{{"device": "first", "device": "second", "user_id": "a", {rest}}}',
        f'{{"device": null, "device": "second", "user_id": "b", {rest}}}',
        f'{{"network": {{"type": "x", "type": "y"}}, "network": {{"country": "z"}}, {rest}}}',
    ]
    accepted = stage(events, lines).accepted
    assert pick(accepted, "user_id", "device", "network_type", "country") == [
        ("a", "first", None, None),
        ("b", None, None, None),
        ("u1", None, "x", None),
    ]


@pytest.mark.slow
def test_keys_are_matched_exactly_and_others_ignored(stage):
    lines = [EVENT | {"User_Id": "x", "DEVICE": "x", "device ": "x", "extra": {"device": "x"}}]
    assert pick(stage(events, lines).accepted, "user_id", "device") == [("u1", None)]


@pytest.mark.slow
def test_escapes_in_keys_and_values_are_read(stage):
    line = json.dumps(EVENT).replace("user_id", "user\\u005fid")[:-1]
    line += ', "device": "\\u00e9\\ud83d\\ude00\\"\\/"}'
    assert pick(stage(events, [line]).accepted, "user_id", "device") == [("u1", 'é😀"/')]


@pytest.mark.slow
def test_what_is_not_one_json_object_is_rejected_as_such(stage):
    staged = stage(events, NO_OBJECTS)
    assert staged.accepted == []
    assert pick(staged.rejected, "reject_reason", "raw_line") == [
        ("not_a_json_object", line) for line in sorted(NO_OBJECTS)
    ]


@pytest.mark.slow
def test_what_holds_a_nul_or_is_utf_16_is_rejected_as_no_text(stage):
    good = json.dumps(EVENT)
    lines = [good.encode(), f"{good[:-1]}\0}}".encode(), f"{good}\n".encode("utf-16-le")]
    staged = stage(events, b"\n".join(lines))
    assert len(staged.accepted) == 1
    assert {*reasons(staged)} == {"not_utf8_text"}
    assert all(row["raw_line"].startswith("text with NUL, ") for row in staged.rejected)


def test_a_record_that_holds_a_nul_is_rejected_as_no_text(stage):
    records = "user_id,signup_date,subscription_tier,age_group,gender\nu1,,,,\nu1\0,,,,\nu3,,,\0,\n"
    staged = stage(users, users=records)
    assert pick(staged.accepted, "user_id") == [("u1",)]
    assert reasons(staged) == ["not_utf8_text"] * 2


def test_an_object_may_have_white_space_around_it(stage):
    staged = stage(events, [f" \t{json.dumps(EVENT, indent=0).replace(chr(10), chr(9))}\t "])
    assert pick(staged.accepted, "user_id") == [("u1",)]


def test_a_required_field_that_is_null_or_empty_is_missing(stage):
    missing = {
        json.dumps(EVENT | {column: nothing}): f"missing_{column}"
        for column in EVENT
        for nothing in (None, "", " \t\r\n")
    }
    staged = stage(events, [*missing])
    assert staged.accepted == []
    assert {row["raw_line"]: row["reject_reason"] for row in staged.rejected} == missing


def test_the_first_reason_that_applies_counts(stage):
    required = ("user_id", "session_id", "event_name", "timestamp")
    lines = [{name: EVENT[name] for name in required[:known]} for known in range(4)]
    lines.append({"event_name": "watch_time", "timestamp": "never", "value": -1})
    lines.append(EVENT | {"event_name": " ", "timestamp": "never", "value": -1})
    lines.append(EVENT | {"timestamp": "", "value": -1})
    lines.append(EVENT | {"timestamp": "never", "value": -1})
    lines.append(EVENT | {"value": -1})
    lines.insert(0, [EVENT])
    texts = [*map(json.dumps, lines)]
    reasons = {row["raw_line"]: row["reject_reason"] for row in stage(events, texts).rejected}
    assert [reasons[text] for text in texts] == [
        "not_a_json_object",
        "missing_user_id",
        "missing_session_id",
        "missing_event_name",
        "missing_timestamp",
        "missing_user_id",
        "missing_event_name",
        "missing_timestamp",
        "bad_timestamp",
        "negative_watch_time",
    ]


def test_only_watch_time_must_not_be_negative(stage):
    lines = [
        EVENT | {"user_id": "negative", "value": -1},
        EVENT | {"user_id": "text", "value": " -2.5 "},
        EVENT | {"user_id": "cut to zero", "value": -0.5},
        EVENT | {"user_id": "zero", "value": 0},
        EVENT | {"user_id": "unreadable", "value": "-x"},
        EVENT | {"user_id": "other name", "event_name": "Watch_Time", "value": -1},
        EVENT | {"user_id": "padded name", "event_name": " watch_time ", "value": -1},
    ]
    staged = stage(events, lines)
    assert pick(staged.accepted, "user_id", "value") == [
        ("cut to zero", 0),
        ("other name", -1),
        ("unreadable", None),
        ("zero", 0),
    ]
    assert reasons(staged) == ["negative_watch_time"] * 3


@pytest.mark.slow
def test_a_rejected_line_is_kept_as_it_stands_in_the_file_once_perline_of(stage):
    line = '{"user_id": "u1",  "text": "\\u00e9 é\x7f" }  '
    files = {"events/events_1.jsonl": [line, line], "events/events_2.jsonl": [line]}
    assert stage(events, None, files=files).rejected == [
        *[_reject("missing_session_id", line, "events/events_1.jsonl")] * 2,
        _reject("missing_session_id", line, "events/events_2.jsonl"),
    ]


def _reject(reason, line, file):
    return {"reject_reason": reason, "raw_line": line, "source_file": file}


@pytest.mark.slow
def test_the_value_of_ip_is_masked_in_the_text_of_a_rejectedline_of(stage):
    files = {f"events/events_{place:02}.jsonl": [line] for place, (line, _) in enumerate(MASKED)}
    rejected = stage(events, None, files=files).rejected
    assert pick(rejected, "source_file", "raw_line") == [
        (file, masked) for file, (_, masked) in zip(files, MASKED, strict=True)
    ]


def test_no_part_of_the_value_of_ip_is_left(stage):
    rejected = stage(events, DEEP).rejected
    assert len(rejected) == len(DEEP)
    assert [row["raw_line"] for row in rejected if "10.0.0" in row["raw_line"]] == []


@pytest.mark.slow
def test_ip_is_stored_nowhere_while_network_type_and_country_are_kept(warehouse):
    secret = "203.0.113.77"
    nested = {"network": {"type": "4g", "country": "FR", "ip": secret}}
    flat = {"network_type": "wifi", "country": "DE", "ip": secret}
    built = warehouse([EVENT | flat, EVENT | {"user_id": "u2"} | nested, nested, flat])
    assert secret not in repr(built.tables())
    accepted = built.rows("staging.events")
    assert pick(accepted, "network_type", "country") == [("4g", "FR"), ("wifi", "DE")]
    assert "ip" not in accepted[0]
    assert [item.rows for item in built.run.tables if item.table == "staging.events_rejected"] == [
        2
    ]
    files = [path for path in built.target.warehouse.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.slow
def test_lines_that_mean_the_same_are_one_row_across_files(stage):
    one = EVENT | {"value": 5, "network_type": "4g", "country": "FR"}
    same = EVENT | {"value": " 5.9 ", "network": {"type": "4g", "country": " FR"}, "ip": "x"}
    same |= {"timestamp": "2026-01-05 12:00:00.0000009+02", "device": "", "more": 1}
    files = {"events_2.jsonl": [same], "events/events_3.jsonl.gz": [one, one]}
    staged = stage(events, [one, "broken", "broken"], files=files)
    assert pick(staged.accepted, "event_ts", "value") == [(TEN, 5)]
    assert (staged.lines, staged.duplicates, len(staged.rejected)) == (6, 3, 2)


def test_rows_that_differ_in_any_column_are_two_rows(stage):
    full = EVENT | {"account_id": "a", "video_id": "b", "value": 1, "device": "c", "country": "d"}
    full |= {"device_os": "e", "app_version": "f", "network_type": "g"}
    other = dict.fromkeys(full, "other") | {"timestamp": "2026-01-05T10:00:00.000001Z", "value": 2}
    unknown = {name: None for name in full if name not in EVENT}
    lines = [full, full, *(full | {name: other[name]} for name in full)]
    lines += [full | {name: None} for name in unknown]
    assert len(full) == 12
    assert len(stage(events, lines).accepted) == 1 + 12 + 8


USERS = "user_id,signup_date,subscription_tier,age_group,gender\n"
VIDEOS = "video_id,title,genre,duration_seconds\n"


def test_users_are_trimmed_and_typed(stage):
    rows = " u1 ,\t2025-03-01 , free,,  \n\vu2,2025-3-1,free,18-24,f\n"
    columns = ("user_id", "signup_date", "subscription_tier", "age_group", "gender")
    assert pick(stage(users, users=USERS + rows).accepted, *columns) == [
        ("\x0bu2", None, "free", "18-24", "f"),
        ("u1", date(2025, 3, 1), "free", None, None),
    ]


def test_videos_are_trimmed_and_typed(stage):
    rows = " v1 , A film\t,Drama,\t90.9 \nv2,,,9223372036854775807\n"
    columns = ("video_id", "title", "genre", "duration_seconds")
    assert pick(stage(videos, videos=VIDEOS + rows).accepted, *columns) == [
        ("v1", "A film", "Drama", 90),
        ("v2", None, None, 9223372036854775807),
    ]


def test_csv_is_read_by_rfc_4180(stage):
    rows = 'v1,"Top 10, ranked","a ""real"" one",60\r\nv2,"two\nlines",\'x\',"61"\r\n'
    assert pick(stage(videos, videos=VIDEOS + rows).accepted, *VIDEOS.strip().split(",")) == [
        ("v1", "Top 10, ranked", 'a "real" one', 60),
        ("v2", "two\nlines", "'x'", 61),
    ]


def test_csv_columns_may_stand_in_any_order_among_others(stage):
    text = "genre,more,duration_seconds,video_id,title\nDrama,x,60,v1,A film\n"
    assert stage(videos, videos=text).accepted == [
        {"video_id": "v1", "title": "A film", "genre": "Drama", "duration_seconds": 60}
    ]


def test_a_csv_may_begin_with_a_byte_order_mark_and_end_without_a_newline(stage):
    staged = stage(videos, videos=b"\xef\xbb\xbf" + VIDEOS.encode() + b"v1,A film,Drama,60")
    assert pick(staged.accepted, "video_id") == [("v1",)]


def test_blank_csv_lines_are_counted_nowhere(stage):
    staged = stage(videos, videos="\n" + VIDEOS + "\n \t\r\nv1,a,b,60\n\r\n,,,\n")
    assert (staged.lines, pick(staged.accepted, "video_id")) == (2, [("v1",)])
    assert pick(staged.rejected, "reject_reason", "raw_line") == [("missing_video_id", ",,,")]


def test_a_short_csv_record_lacks_its_last_values(stage):
    staged = stage(videos, videos=VIDEOS + "v1,A film\n")
    assert pick(staged.accepted, "video_id", "title", "genre", "duration_seconds") == [
        ("v1", "A film", None, None)
    ]


def test_a_cr_within_a_csv_field_does_not_end_the_record(stage):
    staged = stage(videos, videos=VIDEOS.replace("\n", "\r\n") + 'v1,a\rb,"c\rd",60\r\nv2,,,\r\n')
    assert pick(staged.accepted, "video_id", "title", "genre", "duration_seconds") == [
        ("v1", "a\rb", "c\rd", 60),
        ("v2", None, None, None),
    ]


@pytest.mark.slow
def test_unreadable_csv_numbers_and_dates_are_null_and_a_warning(warehouse):
    built = warehouse(
        [EVENT],
        users=USERS + "u1,2025-02-30,a,b,c\nu2,01.03.2025,a,b,c\nu3,,a,b,c\nu4,2025-03-01,a,b,c\n",
        videos=VIDEOS + "v1,a,b,4:30\nv2,a,b,\nv3,a,b,60\n",
    )
    assert pick(built.rows("staging.users"), "user_id", "signup_date") == [
        ("u1", None),
        ("u2", None),
        ("u3", None),
        ("u4", date(2025, 3, 1)),
    ]
    assert pick(built.rows("staging.videos"), "video_id", "duration_seconds") == [
        ("v1", None),
        ("v2", None),
        ("v3", 60),
    ]
    assert built.books("raw_users").warnings == {"unreadable_value": 2}
    assert built.books("raw_videos").warnings == {"unreadable_value": 1}


def test_only_what_is_there_and_cannot_be_read_is_unreadable(stage):
    days = ("2025-02-30", "1.3.2025", "", "2025-03-01", "2025-03-02", "2025-03-03")
    records = "".join(f"u{n},{day},,,\n" for n, day in enumerate(days))
    assert stage(users, users=USERS + records).unreadable == 2
    records = "".join(f"v{n},,,{s}\n" for n, s in enumerate(("4:30", "", "", "60", "61", "62")))
    assert stage(videos, videos=VIDEOS + records).unreadable == 1


@pytest.mark.slow
def test_invalid_utf8_in_a_csv_is_counted_too(stage):
    staged = stage(videos, videos=VIDEOS.encode() + b"v1,caf\xe9,b,60\nv2,caf\xc3\xa9,b,60\n")
    assert pick(staged.accepted, "title") == [("café",), ("caf\ufffd",)]
    assert staged.invalid_utf8 == 1


def test_of_rows_that_repeat_a_key_the_smallest_wins_and_the_others_are_rejected(stage):
    rows = [
        *("v1,b,x,1", "v1,a,z,9", "v1,a,y,10", "v1,a,y,9"),
        *("v2,,a,1", "v2,z,a,1"),
        *("v3,a,a,", "v3,a,a,7"),
        "v4,a,a,1",
    ]
    staged = stage(videos, videos=VIDEOS + "\n".join(rows) + "\n")
    assert pick(staged.accepted, "video_id", "title", "genre", "duration_seconds") == [
        ("v1", "a", "y", 9),
        ("v2", "z", "a", 1),
        ("v3", "a", "a", 7),
        ("v4", "a", "a", 1),
    ]
    assert pick(staged.rejected, "reject_reason", "raw_line") == [
        ("repeated_key", "v1,a,y,10"),
        ("repeated_key", "v1,a,z,9"),
        ("repeated_key", "v1,b,x,1"),
        ("repeated_key", "v2,,a,1"),
        ("repeated_key", "v3,a,a,"),
    ]


def test_the_smallest_user_is_the_one_who_signed_up_first(stage):
    rows = "u1,2025-03-02,a,a,a\nu1,2025-03-01,z,z,z\nu1,never,a,a,a\n"
    staged = stage(users, users=USERS + rows)
    assert pick(staged.accepted, "user_id", "signup_date") == [("u1", date(2025, 3, 1))]
    assert reasons(staged) == ["repeated_key"] * 2


def test_equal_dimension_rows_are_duplicates_also_of_a_rejected_row(stage):
    rows = "v1,a,x,1\n v1,a ,x,1.5\nv1,b,x,1\nv1,b,x,1\nv1,b,x,1\nv2,a,x,1\n"
    staged = stage(videos, videos=VIDEOS + rows)
    assert pick(staged.accepted, "video_id", "title") == [("v1", "a"), ("v2", "a")]
    assert pick(staged.rejected, "reject_reason", "raw_line") == [("repeated_key", "v1,b,x,1")]
    assert (staged.lines, staged.duplicates) == (6, 3)


def test_dimension_rows_without_a_key_are_rejected_each(stage):
    staged = stage(users, users=USERS + ",2025-03-01,a,b,c\n \t,,,,\n,2025-03-01,a,b,c\n")
    assert staged.accepted == []
    assert pick(staged.rejected, "reject_reason", "raw_line", "source_file") == [
        ("missing_user_id", " \t,,,,", "users.csv"),
        ("missing_user_id", ",2025-03-01,a,b,c", "users.csv"),
        ("missing_user_id", ",2025-03-01,a,b,c", "users.csv"),
    ]
    staged = stage(videos, videos=VIDEOS + ",a,b,1\n")
    assert reasons(staged) == ["missing_video_id"]


def test_a_rejected_csv_record_is_kept_with_the_quotes_it_needs(stage):
    quoted = [',"a, b",Drama,60', ',"a ""b""",Drama,60', ',"a\nb",Drama,60', ',"a\r\nb",Drama,60']
    records = [*quoted, ",a b,,"]
    staged = stage(videos, videos=VIDEOS + "".join(f"{record}\n" for record in records))
    assert pick(staged.rejected, "raw_line") == [(record,) for record in sorted(records)]


@pytest.mark.slow
def test_every_source_has_books_that_balance_and_devices_csv_is_no_source(warehouse):
    built = warehouse(
        [EVENT, EVENT, EVENT | {"timestamp": "never"}, EVENT | {"user_id": None}, "x", "x"],
        users=USERS + "u1,,,,\nu1,,,,\nu1,,,,f\n,,,,m\n,,,,\n",
        videos=VIDEOS + "v1,,,\n",
        files={"devices.csv": b"\xff broken"},
    )
    assert not [item for item in built.run.tables if "device" in item.table]
    assert [file.path for file in built.run.inputs] == ["events.jsonl", "users.csv", "videos.csv"]
    told = {
        books.source: (books.lines, books.accepted, books.duplicates, books.rejected, books.reasons)
        for books in built.run.books
    }
    bad = {"bad_timestamp": 1, "missing_user_id": 1, "not_a_json_object": 2}
    assert told == {
        "raw_events": (6, 1, 1, 4, bad),
        "raw_users": (5, 1, 1, 3, {"missing_user_id": 2, "repeated_key": 1}),
        "raw_videos": (1, 1, 0, 0, {}),
    }


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"lines": None}, ["events*.jsonl"]),
        ({"files": {"users.csv": None}}, ["users.csv"]),
        ({"files": {"videos.csv": None}}, ["videos.csv"]),
        ({"users": "user_id,subscription_tier\n"}, ["users.csv", "signup_date"]),
        ({"videos": "video_id,title,genre,Duration_Seconds\n"}, ["videos.csv", "duration_seconds"]),
        ({"videos": ""}, ["videos.csv", "video_id"]),
    ],
)
def test_a_missing_file_or_column_is_named_and_nothing_is_written(
    raw_folder, tmp_path, files, named
):
    target = Target(
        name="test", raw=raw_folder(**{"lines": [EVENT]} | files), warehouse=tmp_path / "warehouse"
    )
    with pytest.raises(SourceError) as error:
        run(PIPELINE, target)
    assert all(word in str(error.value) for word in named)
    assert not list(target.warehouse.rglob("*.parquet"))
    assert not list(target.warehouse.rglob("_delta_log"))


@pytest.mark.slow
def test_an_object_or_list_is_no_text(stage):
    devices = [{"ip": "9.9.9.9"}, [{"a": 1, "IP": "9.9.9.9"}], "{brace }", "[list]"]
    staged = stage(events, [EVENT | {"device": device} for device in devices])
    assert pick(staged.accepted, "device") == [(None,), ("[list]",), ("{brace }",)]
