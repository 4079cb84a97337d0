"""Lists inside of JSON lines and documents are rows, and typed fields values, the same on both
engines as in plain Python.
"""

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from streampro.config import Target
from streampro.engines.protocol import Engine, Raw
from streampro.engines.registry import connect
from streampro.errors import PipelineError, SourceError
from streampro.formats.format import digest
from streampro.formats.json.elements import split
from streampro.formats.locate import locate
from streampro.modeling.source import Source

FIELDS = {"id": ("id",), "a": ("p", "c", "a"), "n": ("p", "c", "n")}
COMMITS = Source("commits", ("*.jsonl*",), "json_lines", FIELDS, rows=("p", "c"))
TEXTS = Source(
    "texts", ("*.jsonl*",), "json_lines", {"id": ("id",), "e": ("p", "c")}, rows=("p", "c")
)
PLACES = Source("places", ("*.jsonl*",), "json_lines", {"id": ("id",)}, rows=("p", "c"))
DOCUMENTS = Source("documents", ("*.json*",), "json", {"a": ("a",), "n": ("b", "n")})
ITEMS = Source("items", ("*.json*",), "json", {"of": ("of",), "n": ("items", "n")}, rows=("items",))
TYPED = Source(
    "typed",
    ("*.jsonl*",),
    "json_lines",
    {"id": ("id",), "v": ("v",)},
    types={"v": "struct<t: array<string>, n: int64, x: float64, d: decimal(9, 2), b: boolean>"},
)


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with connect(Target(name="left", warehouse=tmp_path_factory.mktemp("left"))) as engine:
        yield engine


@pytest.fixture(scope="module")
def spark_engine(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    target = Target(name="right", engine="spark", warehouse=tmp_path_factory.mktemp("right"))
    with connect(target, spark) as engine:
        yield engine


def rows_of(engine: Engine, source: Source, raw: Path) -> list[dict[str, Any]]:
    rows, _ = read_by(engine, source, raw)
    return rows


def read_by(engine: Engine, source: Source, raw: Path) -> tuple[list[dict[str, Any]], Raw]:
    read = engine.read_raw(source, raw)
    rows: list[dict[str, Any]] = engine.fetch(read.table).to_pylist()
    assert read.lines == len(rows), "each element is counted once"
    assert {f: n for f, n in read.by_file.items() if n} == Counter(r["source_file"] for r in rows)
    return sorted(rows, key=repr), read


NO_LIST, NO_OBJECT = object(), object()
LINES: dict[str, Any] = {
    # what stands in the list, by position
    '{"id":1,"p":{"c":[{"a":"x","n":5.10}, {"n":1E5} ]}}': [("x", "5.10"), (None, "1e5")],
    '{"id":2,"p":{"c":[{"a":"[,]\\"}","n":{"z":1}},{"n":"[1"}]}}': [('[,]"}', None), (None, "[1")],
    '{"id":3,"p":{"c":[1,null,"x",[{"a":1}],{"a":0}]}}': [None, None, None, None, ("0", None)],
    '{"id":4,"p":{"c":[{"a":1},{"a":01},{"a":"\\ud800"}]}}': [("1", None), None, None],
    '{"id":5,"p":{"c":[{"a":"u","a":"v"}],"c":[1]},"p":7}': [("u", None)],
    '{"id":6,"p":{"q":"\\"c\\":[","C":[1],"c":[{"a":"w"}]}}': [("w", None)],
    '{"id":7,"\\u0070":{"\\u0063":[{"a":"e"}]}}': [("e", None)],
    ' {"id" : 8 , "p" : { "c" : [ { "a" : "s" } , {} ] } } ': [("s", None), (None, None)],
    '{"id":9,"p":{"c":[{"a":"t"},],},}': [("t", None)],
    '{"id":10,"z":NaN,"p":{"c":[{"a":-Infinity}]}}': [("-Infinity", None)],
    '{"id":11,"p":{"c":[{"a":' + "[" * 50 + "]" * 50 + ',"n":2}]}}': [(None, "2")],
    '{"id":12,"p":{"c":[{"n":123456789012345678901234567890}]}}': [
        (None, "123456789012345678901234567890")
    ],
    # nothing
    '{"id":20,"p":{"c":[ ]}}': [],
    '{"id":21,"p":{"c":null}}': [],
    '{"id":22,"p":{}}': [],
    '{"id":23,"p":null}': [],
    '{"id":24}': [],
    '{"id":' + "9" * 5000 + "}": [],
    # no list
    '{"id":30,"p":{"c":{"a":"x"}}}': NO_LIST,
    '{"id":31,"p":{"c":"[]"}}': NO_LIST,
    '{"id":32,"p":["c"]}': NO_LIST,
    '{"id":33,"p":5}': NO_LIST,
    # no object
    '[{"id":1,"p":{"c":[{"a":"x"}]}}]': NO_OBJECT,
    '{"id":40,"p":{"c":[{"a":"x"}]}} x': NO_OBJECT,
    '{"id":41,"p":{"c":[{"a":"x"}]}': NO_OBJECT,
    '{"id":42,"p":{"c":[{"a":"x"}': NO_OBJECT,
    '{"id":43,"p":{"c":[]},"z":01}': NO_OBJECT,
    '{"id":44,"z":"\\ud800"}': NO_OBJECT,
    "{,}": NO_OBJECT,
    '{"id":45,"p":{"c":[{"a":"x"}]}}\x00': NO_OBJECT,
    "null": NO_OBJECT,
}


def expected_of(lines: dict[str, Any]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for line, said in lines.items():
        key = digest(line)
        if said is NO_LIST or said is NO_OBJECT:
            found[key, None, said is NO_LIST, False, None, None] += 1
        else:
            for position, each in enumerate(said):
                found[key, position, True, each is not None, *(each or (None, None))] += 1
    return found


def test_elements_are_rows_as_said_by_hand(duckdb: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes("\n".join(LINES).encode())
    rows = rows_of(duckdb, COMMITS, tmp_path)
    told = ("line_digest", "position", "is_object", "is_element", "a", "n")
    assert Counter(tuple(row[name] for name in told) for row in rows) == expected_of(LINES)
    for row in rows:
        if row["position"] is None:
            assert row["raw_line"] in LINES
        else:
            [line] = [each for each in LINES if digest(each) == row["line_digest"]]
            found = split(line, ("p", "c"))
            assert found
            assert row["raw_line"] == found.elements[row["position"]]


def test_elements_themselves_are_texts(duckdb: Engine, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"p":{"c":[1.50,"x",null,true,"[",{"a":1},[2],1E3,-0,""]}}\n'
    )
    rows = rows_of(duckdb, TEXTS, tmp_path)
    assert {row["position"]: (row["e"], row["is_element"]) for row in rows} == {
        0: ("1.50", True),
        1: ("x", True),
        2: (None, True),
        3: ("true", True),
        4: ("[", True),
        5: (None, False),
        6: (None, False),
        7: ("1e3", True),
        8: ("0", True),
        9: ("", True),
    }  # fmt: skip
    assert all(row["is_element"] for row in rows_of(duckdb, PLACES, tmp_path))


VALUES: dict[str, tuple[Any, bool]] = {
    "null": (None, False),
    "{}": ({}, False),
    '{"t":[1.50,"z",null,true],"n":5}': ({"t": ["1.50", "z", None, "true"], "n": 5}, False),
    '{"t":[{"a":1},[2],"x"]}': ({"t": [None, None, "x"]}, True),
    '{"t":"x","n":"7"}': ({"n": 7}, True),
    '{"n":5.00,"x":1,"b":true}': ({"n": 5, "x": 1.0, "b": True}, False),
    '{"n":5.5}': ({}, True),
    '{"n":9223372036854775807,"x":-2.5e-3}': ({"n": 2**63 - 1, "x": -0.0025}, False),
    '{"n":9223372036854775808}': ({}, True),
    '{"n":1e3,"x":1e3}': ({"x": 1000.0}, True),
    '{"x":1e400}': ({}, True),
    '{"x":"NaN"}': ({}, True),
    '{"b":"true"}': ({"b": True}, False),
    '{"b":1}': ({}, True),
    '{"d":12.340}': ({"d": "12.34"}, False),
    '{"d":12.345}': ({}, True),
    '{"d":12345678.00}': ({}, True),
    '{"n":[1]}': ({}, True),
    '{"T":["x"]}': ({}, False),
    '{"t":["a"],"t":5}': ({"t": ["a"]}, False),
    "[1]": (None, True),
    '"x"': (None, True),
    "7": (None, True),
}


def test_value_of_another_type_is_null_and_told(duckdb: Engine, tmp_path: Path) -> None:
    text = "\n".join(f'{{"id":{n},"v":{value}}}' for n, value in enumerate(VALUES))
    (tmp_path / "a.jsonl").write_text(text)
    rows = {int(row["id"]): row for row in rows_of(duckdb, TYPED, tmp_path)}
    for number, (value, (parts, is_unreadable)) in enumerate(VALUES.items()):
        found = rows[number]["v"]
        if found is not None:
            found = {k: str(v) if k == "d" else v for k, v in found.items() if v is not None}
        assert (found, rows[number]["is_unreadable"]) == (parts, is_unreadable), value


GOOD: dict[str, tuple[bytes, list[tuple[Any, ...]]]] = {
    "list.json": (
        b'\xef\xbb\xbf [\r\n {"a": 5.10,\n "b": {"n": 1E5}},\n {"a": "x"}, 7, {"a":01} ]\n',
        [(0, True, "5.10", "1e5"), (1, True, "x", None), (2, False, None, None),
         (3, False, None, None)],
    ),
    "object.json": (b'{"a": "one", "a": "two"}', [(None, True, "one", None)]),
    "packed.json.gz": (gzip.compress(b'[{"a":"\xff"}]'), [(0, True, "\ufffd", None)]),
    "scalar.json": (b" 1.50 ", [(None, False, None, None)]),
    "text.json": (b'"[1,2]"', [(None, False, None, None)]),
    "nothing.json": (b"", []),
    "blank.json": (b" \n", []),
    "empty.json": (b"[ ]", []),
    "comma.json": (b'[{"a":"x"},]', [(0, True, "x", None)]),
    "nul.json": (b'[{"a":"\x00x"}]', [(0, False, None, None)]),
}  # fmt: skip
BAD = {
    "garbage.json": (b'[{"a":1}]\n x', 'line 2 cannot be read as a JSON document: "x" stands'),
    "several.json": (b'{"a":1}\n{"a":2}\n', "line 2 .* more than one.*'json_lines'"),
    "cut.json": (b'[{"a":1},\n{"a"', "line 2 .*a list does not end"),
    "quote.json": (b'[{"a":"x}]', "line 1 .*a text does not end"),
    "bracket.json": (b'[{"a":1}}', "ends a list"),
    "wide.json": ('[{"a":1}]'.encode("utf-16"), "UTF-16"),
    "wide_le.json": ('[{"a":1}]'.encode("utf-16-le"), "UTF-16"),
    "not.json.gz": (b"[]", "its name says gzip"),
}


def test_documents_are_read_as_said_by_hand(duckdb: Engine, tmp_path: Path) -> None:
    for name, (data, _) in GOOD.items():
        (tmp_path / name).write_bytes(data)
    rows = rows_of(duckdb, DOCUMENTS, tmp_path)
    told = [(r["source_file"], r["position"], r["is_object"], r["a"], r["n"]) for r in rows]
    assert Counter(told) == Counter(
        (name, *row) for name, (_, some) in GOOD.items() for row in some
    )
    assert duckdb.read_raw(DOCUMENTS, tmp_path).invalid_utf8 == 1


@pytest.mark.parametrize("name", BAD)
def test_broken_document_is_one_clear_error(name: str, duckdb: Engine, tmp_path: Path) -> None:
    data, told = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError, match=rf"(?s)^[^\n]*{name}.*{told}.*Nothing was published\.$"):
        rows_of(duckdb, DOCUMENTS, tmp_path)


def write_all(folder: Path) -> None:
    (folder / "a.jsonl").write_bytes("\n".join(LINES).encode() + b'\n{"p":{"c":["\xff"]}}\r\n\n')
    typed = "\n".join(f'{{"id":{n},"v":{value}}}' for n, value in enumerate(VALUES))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(typed.encode()))
    (folder / "long.jsonl").write_text(json.dumps({"p": {"c": [{"n": n} for n in range(2_500)]}}))
    for name, (data, _) in GOOD.items():
        (folder / name).write_bytes(data)
    (folder / "items.json").write_bytes(b'[{"of":"x","items":[{"n":1.0},{}]},\n{"items":5},{}]')


def test_engines_read_alike(duckdb: Engine, spark_engine: Engine, tmp_path: Path) -> None:
    write_all(tmp_path)
    for source in (COMMITS, TEXTS, PLACES, TYPED, DOCUMENTS, ITEMS):
        pattern = ("*.jsonl*",) if source.format == "json_lines" else ("*.json", "*.json.gz")
        one = Source(
            source.name, pattern, source.format, source.fields, rows=source.rows, types=source.types
        )
        left, read = read_by(duckdb, one, tmp_path)
        right, other = read_by(spark_engine, one, tmp_path)
        assert left == right, source.name
        assert (read.lines, read.holding, read.invalid_utf8) == (
            other.lines,
            other.holding,
            other.invalid_utf8,
        )
        assert left
    for path in [*tmp_path.iterdir()]:
        path.unlink()
    for name in ("garbage.json", "wide.json"):
        (tmp_path / name).write_bytes(BAD[name][0])
        with pytest.raises(SourceError, match=rf"{name}.*cannot be read as a JSON document"):
            rows_of(spark_engine, DOCUMENTS, tmp_path)
        (tmp_path / name).unlink()


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(-1e9, 1e9)
NESTED = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "n", "c", "p", "x", "é"]), inner, max_size=3)
    ),
    max_leaves=12,
)
LISTS = st.lists(NESTED, max_size=4)
HOLDERS = st.fixed_dictionaries({}, optional={"c": LISTS | NESTED, "x": NESTED})
DRAWN = st.fixed_dictionaries({}, optional={"id": SCALARS, "p": HOLDERS | NESTED, "x": NESTED})


def text_of(value: Any) -> str | None:
    if value is None or isinstance(value, dict | list):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def oracle(value: Any) -> Iterator[tuple[Any, ...]]:
    """Yield position, is_element, id, a and n of every row of an object."""
    known = text_of(value.get("id"))
    found = value
    for key in ("p", "c"):
        if found is not None and not isinstance(found, dict):
            yield None, False, known, None, None
            return
        found = None if found is None else found.get(key)
    if found is not None and not isinstance(found, list):
        yield None, False, known, None, None
        return
    for position, each in enumerate(found or ()):
        is_object = isinstance(each, dict)
        texts = (text_of(each.get(key)) if is_object else None for key in ("a", "n"))
        yield position, is_object, known, *texts


def spelled(value: Any, dice: random.Random) -> str:
    """Return JSON of a value with white space and escapes as others write them."""
    gap = dice.choice(["", "", " ", "\t"])
    separators = (f"{gap},{gap}", f"{gap}:{gap}")
    return json.dumps(value, separators=separators, ensure_ascii=dice.random() < 0.5)


@pytest.mark.slow
@given(
    st.lists(st.lists(DRAWN, max_size=4), min_size=1, max_size=3), st.randoms(use_true_random=False)
)
def test_any_lists_split_over_files_are_those_of_plain_python(
    duckdb: Engine, tmp_path_factory: pytest.TempPathFactory, files: list[list[Any]], dice: Any
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    expected: Counter[Any] = Counter()
    for number, values in enumerate(files):
        expected.update(row for value in values for row in oracle(value))
        lines = "\n".join(spelled(value, dice) for value in values)
        (folder / f"{number}.jsonl").write_text(lines, encoding="utf-8")
        (folder / f"{number}.json").write_text(
            f"[{','.join(spelled(value, dice) for value in values)}]", encoding="utf-8"
        )
    documents = Source("documents", ("*.json",), "json", FIELDS, rows=("p", "c"))
    for source in (COMMITS, documents):
        if source is COMMITS and not any(files):
            continue
        rows = rows_of(duckdb, source, folder)
        told = ("position", "is_element", "id", "a", "n")
        assert Counter(tuple(row[name] for name in told) for row in rows) == expected


def test_elements_are_located_by_line_and_position(tmp_path: Path) -> None:
    lines = ['{"id":1,"p":{"c":["x","x"]}}', "", '{"id":2,"p":{"c":["x"]}}', "[1]"]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    keys = [f"{digest(lines[0])}:1", f"{digest(lines[2])}:0", f"{digest('[1]')}:"]
    found = [(each.number, each.element, each.text) for _, each in
             locate(TEXTS, tmp_path, {"a.jsonl": keys})]  # fmt: skip
    assert found == [(1, 1, '"x"'), (3, 0, '"x"'), (4, None, "[1]")]
    (tmp_path / "b.json").write_text('[\n{"a":1},\n\n{"a":1}]')
    key = digest('{"a":1}') + ":1"
    [(_, each)] = locate(DOCUMENTS, tmp_path, {"b.json": [key]})
    assert (each.number, each.element, each.text) == (4, 1, '{"a":1}')


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rows of csv": ({"format": "csv", "rows": ("a",)}, "holds no lists"),
    "rows as text": ({"rows": "p"}, r"rows is 'p', but must be a tuple of texts, such as \('p',\)"),
    "empty key": ({"rows": ("",)}, "keys with one sign"),
    "secret around": ({"rows": ("p", "IPs"), "secret": ("ips",)}, "stand in the secret 'IPs'"),
    "field around": ({"rows": ("a", "c")}, "the list .* stands in there"),
    "own column": ({"rows": ("c",), "fields": {"position": ("x",)}}, "StreamPro gives"),
    "type of no field": ({"types": {"b": "int64"}}, "types is 'b', but must be one"),
    "no type": ({"types": {"a": "list of texts"}}, "must be a type, as 'int64'"),
    "type not read": ({"types": {"a": "date"}}, "string, boolean, int64, float64"),
    "types of csv": ({"format": "csv", "types": {"a": "int64"}}, "csv is read as text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_declaration_that_cannot_be_read_is_refused(name: str) -> None:
    given_, told = REFUSED[name]
    arguments = {"name": "s", "files": ("*",), "format": "json_lines", "fields": {"a": ("a",)}}
    with pytest.raises(PipelineError, match=told):
        Source(**{**arguments, **given_})  # type: ignore[arg-type]  # any keyword


def test_names_that_only_other_sources_get_are_free() -> None:
    fields = {name: (name,) for name in ("position", "is_element", "line_digest", "is_unreadable")}
    Source("s", ("*",), "json_lines", fields)
    Source("s", ("*",), "csv", {**fields, "is_object": ("is_object",)})


@pytest.mark.parametrize("kind", ["json_lines", "json"])
@pytest.mark.parametrize("name", ["is_unreadable", "is_element", "line_digest", "fields_0"])
def test_a_field_of_a_name_that_only_other_sources_have_is_read(
    duckdb: Engine, tmp_path: Path, kind: Any, name: str
) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"id": "1", name: "torn"}) + "\n")
    source = Source("odd", ("a.json",), kind, {"id": ("id",), name: (name,)})
    [row] = rows_of(duckdb, source, tmp_path)
    assert (row["id"], row[name]) == ("1", "torn")


@pytest.mark.parametrize(
    "name", ["elements", "Elements", "fields_0", "FIELDS_1", "position_", "is_unreadable"]
)
def test_a_field_around_a_list_may_have_any_name(duckdb: Engine, tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"of": "torn", "l": [{"n": 1}, {"n": 2}]}) + "\n")
    fields = {name: ("of",), "n": ("l", "n")}
    source = Source("odd", ("a.jsonl",), "json_lines", fields, rows=("l",))
    rows = rows_of(duckdb, source, tmp_path)
    assert sorted((row[name], row["n"]) for row in rows) == [("torn", "1"), ("torn", "2")]
