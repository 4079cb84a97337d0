"""Lines and records that are odd in every way that a rule of the staging models speaks of."""

import gzip
import json
from datetime import UTC, datetime

EVENT = {
    "timestamp": "2026-01-05T10:00:00Z",
    "user_id": "u1",
    "session_id": "s1",
    "event_name": "watch_time",
}
TEN = datetime(2026, 1, 5, 10, tzinfo=UTC)

TOKENS = [
    ("12", "12"),
    ("-7", "-7"),
    ("-0", "0"),
    ("5.10", "5.10"),
    ("1E5", "1e5"),
    ("1e400", "1e400"),
    ("9223372036854775807", "9223372036854775807"),
    ("123456789012345678901234567890", "123456789012345678901234567890"),
    ("true", "true"),
    ("false", "false"),
    ("null", None),
]

INSTANTS = [
    ("2026-01-05T10:00:00Z", TEN),
    ("2026-01-05 10:00:00Z", TEN),
    ("2026-01-05T10:00", TEN),
    ("2026-01-05 10:00", TEN),
    ("2026-01-05T10:00:00", TEN),
    ("2026-01-05T10:00Z", TEN),
    (" \t2026-01-05T10:00:00Z\r\n", TEN),
    ("2026-01-05T12:00:00+02", TEN),
    ("2026-01-05T12:00:00+0200", TEN),
    ("2026-01-05T12:00:00+02:00", TEN),
    ("2026-01-05T04:30-05:30", TEN),
    ("2026-01-05T04:30:00-0530", TEN),
    ("2026-01-05T10:00:00-00:00", TEN),
    ("2026-01-06T09:59:00+23:59", TEN),
    ("2026-01-04T10:01-23:59", TEN),
    ("2026-01-05T10:00:00.5Z", TEN.replace(microsecond=500_000)),
    ("2026-01-05T10:00:00.000001", TEN.replace(microsecond=1)),
    ("2026-01-05 12:00:00.123456+02:00", TEN.replace(microsecond=123_456)),
    ("2026-01-05T10:00:00.1234569Z", TEN.replace(microsecond=123_456)),
    ("2026-01-05T10:00:00.999999999Z", TEN.replace(microsecond=999_999)),
    ("2026-01-05T12:00:00.999999999+02", TEN.replace(microsecond=999_999)),
    ("2026-01-05T00:00:00Z", datetime(2026, 1, 5, tzinfo=UTC)),
    ("2026-01-05T23:59:59Z", datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC)),
    ("2024-02-29T00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
    ("2000-02-29T00:00Z", datetime(2000, 2, 29, tzinfo=UTC)),
    ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ("1970-01-01T00:00:00+01:00", datetime(1969, 12, 31, 23, tzinfo=UTC)),
    ("2199-12-31T23:59:59Z", datetime(2199, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("2199-12-31T23:30:00-01:00", datetime(2200, 1, 1, 0, 30, tzinfo=UTC)),
]

NO_INSTANTS = [
    "2026-01-05",
    "2026-01-05T10",
    "2026-01-05T10:00:00z",
    "2026-01-05t10:00:00Z",
    "2026-01-05  10:00:00Z",
    "2026-01-05T10:00:00 Z",
    "2026-01-05T10:00:00Z\v",
    "\u00a02026-01-05T10:00:00Z",
    "2026-01-05T24:00:00Z",
    "2026-01-05T25:00:00Z",
    "2026-01-05T10:60:00Z",
    "2026-01-05T10:00:60Z",
    "2026-01-05T10:00:00.Z",
    "2026-01-05T10:00:00,5Z",
    "2026-01-05T10:00:00.1234567890Z",
    "2026-01-05T10:00.5Z",
    "2026-01-05T10:00:00+2",
    "2026-01-05T10:00:00+02:0",
    "2026-01-05T10:00:00+24:00",
    "2026-01-05T10:00:00+02:60",
    "2026-01-05T10:00:00+02:00:00",
    "2026-01-05T10:00:00 UTC",
    "2026-01-05T10:00:00Z+00",
    "2026-02-29T10:00:00Z",
    "2100-02-29T10:00:00Z",
    "2026-04-31T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-00-01T10:00:00Z",
    "2026-01-00T10:00:00Z",
    "2026-1-5T10:00:00Z",
    "20260105T100000Z",
    "1969-12-31T23:59:59Z",
    "1969-12-31T23:59:59-05:00",
    "2200-01-01T00:00:00Z",
    "2200-01-01T00:00:00+05:00",
    "12026-01-05T10:00:00Z",
    "-2026-01-05T10:00:00Z",
    "\u0662\u0660\u0662\u0666-01-05T10:00:00Z",
    "05.01.2026 10:00",
    "1767607200",
    1767607200,
    1767607200.5,
    "now",
    "infinity",
    True,
]

VALUES = [
    ("12", 12),
    ("-12", -12),
    ("0", 0),
    ("12.9", 12),
    ("-12.9", -12),
    ("-0.9", 0),
    ("1.5e2", 150),
    ("1E2", 100),
    ("1e-2", 0),
    ("9007199254740993", 9007199254740993),
    ("9223372036854775807", 9223372036854775807),
    ("9223372036854775808", None),
    ("-9223372036854775808", -9223372036854775808),
    ("-9223372036854775809", None),
    ("1e19", None),
    ("1e400", None),
    ("9223372036854774784.0", 9223372036854774784),
    ('"12"', 12),
    ('" \\t12\\r\\n"', 12),
    ('"+12"', 12),
    ('"-12"', -12),
    ('"0012"', 12),
    ('"12.9"', 12),
    ('"-12.9"', -12),
    ('".9"', 0),
    ('"-.9"', 0),
    ('"1.5e2"', 150),
    ('"1.5e+2"', 150),
    ('"150e-1"', 15),
    ('".5e1"', 5),
    ('"9223372036854775807"', 9223372036854775807),
    ('"+9223372036854775808"', None),
    ('"-9223372036854775808"', -9223372036854775808),
    ('"1e400"', None),
    ('"5."', None),
    ('"."', None),
    ('"+"', None),
    ('"+-5"', None),
    ('"1 2"', None),
    ('"1,5"', None),
    ('"1_000"', None),
    ('"0x1F"', None),
    ('"1e"', None),
    ('"1e1.5"', None),
    ('"NaN"', None),
    ('"Infinity"', None),
    ('"-inf"', None),
    ('"12\\u000b"', None),
    ('"\\u0661\\u0662"', None),
    ('"abc"', None),
    ('""', None),
    ('"true"', None),
    ("true", None),
    ("false", None),
    ("null", None),
    ("[5]", None),
    ('{"value": 5}', None),
]

NO_OBJECTS = [
    '["user_id"]',
    '"text"',
    "12",
    "null",
    "true",
    "hello",
    "{",
    '{"user_id": "u1"',
    "{'user_id': 'u1'}",
    '{"user_id": "u1"} {"user_id": "u1"}',
    '{"user_id": "u1"}}',
    '{"user_id": "\tu1"}',
    '{"user_id": "\\x41"}',
    '{"user_id": u1}',
    '{"user_id" "u1"}',
    '{"user_id": 01}',
    "\v{}",
    "// {}",
]

MASKED = [
    ('{"ip":"10.0.0.1","a":1}', '{"ip":"***","a":1}'),
    ('{"a":1, "ip" : "10.0.0.1" }', '{"a":1, "ip":"***" }'),
    ('{"network":{"ip":"10.0.0.1","type":"4g"}}', '{"network":{"ip":"***","type":"4g"}}'),
    ('{"ip":"10.0.0.1","network":{"ip":"10.0.0.2"}}', '{"ip":"***","network":{"ip":"***"}}'),
    ('{"IP":"10.0.0.1"}', '{"ip":"***"}'),
    ('{"ip":167772161}', '{"ip":"***"}'),
    ('{"ip":null}', '{"ip":"***"}'),
    ('{"a":1,"ip":["10.0.0.1","10.0.0.2"]}', '{"a":1,"ip":"***"'),
    ('{"a":1,"ip":{"v4":"10.0.0.1"}}', '{"a":1,"ip":"***"'),
    ('{"ip":"10.0\\"0.1","a":1}', '{"ip":"***","a":1}'),
    ('{"ip":"10.0.0', '{"ip":"***"'),
    ("{'ip': '10.0.0.1', 'a': 1}", '{"ip":"***", \'a\': 1}'),
    ("{ip: 10.0.0.1, a: 1}", '{"ip":"***", a: 1}'),
    ('{"zip":"12345","ship":"x","ip_address":"y"}',) * 2,
]

DEEP = [
    '{"ip":{"v4":["10.0.0.1"],"v6":"10.0.0.2"}}',
    '{"ip":[["10.0.0.1"],"10.0.0.2"]}',
    '{"ip":["]","10.0.0.2"]}',
    '"{\\"ip\\":\\"10.0.0.2\\"}"',
    '{"\\u0069p":"10.0.0.2"}',
]

TRIMMED = " \t\r\n"
TEXTS = ("account_id", "video_id", "device", "device_os", "app_version", "network_type", "country")
OTHER_SPACE = "\v\f\x00\x1c\x85\u00a0\u2003\u2028\u200b\ufeff"


def line_of(name, token, **others):
    """An event with a value as it stands in a file."""
    return json.dumps(EVENT | others)[:-1] + f', "{name}": {token}}}'


def event(**fields):
    return json.dumps(EVENT | fields, ensure_ascii=False)


def plain_lines():
    return [
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


def lines_of_values():
    """Every instant, number and text that has a rule, each of a user or session of its own."""
    instants = [*(text for text, _ in INSTANTS), *NO_INSTANTS]
    return [
        *(event(user_id=f"at {place}", timestamp=at) for place, at in enumerate(instants)),
        *(line_of("account_id", token, user_id=f"text {token}") for token, _ in TOKENS),
        *(
            line_of("value", token, session_id=f"number {token}", event_name=name)
            for token, _ in VALUES
            for name in ("seek", " watch_time ", "Watch_Time")
        ),
        *(event(user_id=f"{other}v1{other}", video_id=other) for other in OTHER_SPACE),
        event(user_id="trimmed", **dict.fromkeys(TEXTS, f"{TRIMMED} a {TRIMMED} b{TRIMMED}")),
        event(user_id="empty", **dict.fromkeys(TEXTS, TRIMMED)),
        *(event(**{name: f"\n\t{EVENT[name]}\r "}) for name in EVENT),
        event(user_id=7, session_id=8, event_name=True),
    ]


def lines_of_objects():
    """What is an object and what is none, which of its keys count, and why it is rejected."""
    flat = {"network_type": "wifi", "country": "DE", "ip": "10.0.0.1"}
    nested = {"network": {"type": "4g", "country": "FR", "ip": "10.0.0.2"}}
    rest = json.dumps(EVENT)[1:-1]
    full = dict.fromkeys(TEXTS, "a") | {"user_id": "full", "value": 1}
    others = dict.fromkeys((*EVENT, *TEXTS), "other") | {
        "timestamp": "2026-01-06 10:00",
        "value": 2,
    }
    known = [{name: EVENT[name] for name in [*EVENT][:number]} for number in range(4)]
    return [
        *NO_OBJECTS,
        *(line for line, _ in MASKED),
        *DEEP,
        f" \t{json.dumps(EVENT, indent=0)}\t ".replace("\n", "\t"),
        *(event(**{name: nothing}) for name in EVENT for nothing in (None, "", TRIMMED)),
        *map(json.dumps, known),
        event(event_name=" ", timestamp="never", value=-1),
        event(timestamp="", value=-1),
        event(timestamp="never", value=-1),
        event(value=" -2.5 "),
        event(user_id="flat", **flat),
        event(user_id="nested", **nested),
        event(user_id="both", **flat, **nested),
        event(user_id="flat type", **nested, network_type="5g"),
        event(user_id="empty flat", **nested, network_type=None, country=" "),
        event(user_id="no object", network="wifi"),
        f'{{"device": "first", "device": "second", "user_id": "a", {rest}}}',
        f'{{"device": null, "device": "second", "user_id": "b", {rest}}}',
        f'{{"network": {{"type": "x", "type": "y"}}, "network": {{"country": "z"}}, {rest}}}',
        event(**{"User_Id": "x", "DEVICE": "x", "device ": "x", "extra": {"device": "x"}}),
        event(user_id="escaped").replace("user_id", "user\\u005fid"),
        line_of("device", '"\\u00e9\\ud83d\\ude00\\"\\/"'),
        event(device="\ufffd"),
        event(**full),
        *(event(**full | {name: other}) for name, other in others.items()),
        *(event(**full | {name: None}) for name in (*TEXTS, "value")),
        *(f"bro{other}ken" for other in "\v\f\x1c\x85\u2028\u2029\r"),
        event(user_id="cr").replace(", ", ",\r"),
        *(f"\x00{each}" for each in "ab"),
        event(user_id="nul")[:-1] + "\0}",
        '{"user_id": "u1",  "text": "\\u00e9 é\x7f" }  ',
        '{"user_id": "u1",  "text": "\\u00e9 é\x7f" }  ',
    ]


INVALID_UTF8 = {"events": 5, "videos": 1}
"""Lines of these files that are no UTF-8."""


def write_nasty(raw):
    """Write a raw folder of such lines and records."""
    for name, content in nasty_files().items():
        path = raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def nasty_files():
    plain = plain_lines()
    late = [
        event(user_id="u2", session_id=f"s{hour}", timestamp=f"2026-01-06T{hour}:00Z")
        for hour in ("07", "09", "08")
    ]
    broken = b"\xef\xbb\xbf{}\n \xff \v \r\n\xff\r\r\n\t\xff\n" + '{"a": 1}\n'.encode("utf-16-le")
    return {
        "events.jsonl": "\ufeff" + "\r\n".join(plain),
        "events_2.jsonl": ("\n".join(plain) + "\n\n").encode() + b'{"user_id": "\xff"}\n\xe9\r\n',
        "events_values.jsonl.gz": gzip.compress("\r\n".join(lines_of_values()).encode()),
        "events/events_3.jsonl.gz": gzip.compress("\n".join(late + plain[:3]).encode()),
        "events/events_4.jsonl": "\n".join([*late, *late, event(user_id="x\ry"), "a\rb\x1fc"]),
        "events/events_objects.jsonl": "\n".join(lines_of_objects()).encode()
        + b"\n\n \t \n"
        + broken,
        "events/ignored.jsonl": event(user_id="ignored"),
        "events.json": event(user_id="ignored"),
        "users.csv": "\ufeffgender,more,user_id,age_group,subscription_tier,signup_date\r\n"
        'f,x,u1,18-24,free,2025-03-01\r\n"f",y, u1 ,18-24,free,2025-03-01\r\n'
        "m,,u1,18-24,free,2025-02-30\n\n \n,,,,,\n"
        ',"a\nb",u2\n"a ""b"", c",,,,,n/a\n\vu1,,\vu1,,,\n'
        "\0,,u3,,,\n,,u3\0,,,\nz,,u4,z,z,2025-03-02\na,,u4,a,a,2025-03-01\na,,u4,a,a,never\n"
        ",,u5,,,01.03.2025\n,,u5,,,2025-3-1\n  ,\t, u6\t, free,  ,\t2025-03-01 ",
        "videos.csv": b"video_id,title,genre,duration_seconds,more\n"
        b'v1,"A, film",Drama,90.9,z\nv1,"A, film",Drama,ninety,z\nv2,"two\nlines",,1e3,\n'
        b"v2,z,,1_000,\nv2,z,,,\n,,,5,\n"
        b"v3,b,x,1\nv3,a,z,9\nv3,a,y,10\nv3,a,y,9\n v3,a ,y,9.5\nv3,b,x,1\nv4,,a,1\nv4,z,a,1\n"
        b'v5,A film\nv6,a\rb,"c\rd",60\r\n\n \t\r\n,,,\n,"a, b",,4:30\n,"a ""b""",\'x\',"61"\n'
        b',"a\r\nb",,9223372036854775807\n,"a\r\nb",,9223372036854775807\n'
        b"v7,caf\xe9,b,60\nv8,caf\xc3\xa9,b,60\n",
    }
