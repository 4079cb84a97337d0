"""Lists of JSON become the same rows on both engines."""

import json
from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from streampro import portable
from streampro.engines.duckdb.compiler import compiler_of
from streampro.errors import PipelineError
from streampro.expressions.portability import findings

Run = Callable[[ir.Table, pa.Table], list[Any]]
ROWS = ibis.table({"i": "int64", "x": "string"}, name="rows")
TEXTS = {
    '[{"sku": "a", "n": 1, "a/b~": {"deep": [1, 2]}}, {"sku": "b"}]': [
        (0, "a", "1", '{"deep":[1,2]}'),
        (1, "b", None, None),
    ],
    '[{"sku": null, "n": true}, 7, "t", null, [{"sku": "in"}]]': [
        (0, None, "true", None),
        *((position, None, None, None) for position in (1, 2, 3, 4)),
    ],
    ' [ {"sku": "\\u00e9\\n\\"", "sku": "again", "n": 12345678901234567890} ] ': [
        (0, 'é\n"', "12345678901234567890", None)
    ],
    "[]": [],
    "{}": [],
    '{"sku": "a"}': [],
    "7": [],
    "": [],
    '[{"sku": "a"}': [],
    "not json": [],
    None: [],
}


def unnested(*fields: str) -> ir.Table:
    found = ROWS.select("i", part=portable.unnest_json(ROWS.x, *fields))
    assert findings(found) == []
    return found.select("i", v=found.part)


def rows_of(found: list[Any]) -> list[tuple[Any, ...]]:
    return sorted((tuple(each.values()) for each in found), key=lambda each: each[0])


def test_elements_of_lists_are_rows(run: Run) -> None:
    rows = pa.table({"i": range(len(TEXTS)), "x": pa.array([*TEXTS], pa.string())})
    part = ROWS.select("i", part=portable.unnest_json(ROWS.x, "sku", "n", "a/b~")).unpack("part")
    found = [tuple(each.values()) for each in run(part, rows)]
    wanted = [(i, *row) for i, of_text in enumerate(TEXTS.values()) for row in of_text]
    assert sorted(found, key=lambda row: row[:2]) == wanted


def test_a_list_at_a_path(run: Run) -> None:
    texts = [
        '{"a": {"b/": [{"k": 1}, {"k": 2}]}}',
        '{"a": {"b/": {"k": 1}}}',
        '{"a": []}',
        "[]",
        "{",
    ]
    part = portable.unnest_json(ROWS.x, "k", path=("a", "b/"))
    rows = pa.table({"i": range(5), "x": texts})
    found = run(ROWS.select("i", part=part).unpack("part"), rows)
    assert sorted(map(str, found)) == [
        "{'i': 0, 'position': 0, 'k': '1'}",
        "{'i': 0, 'position': 1, 'k': '2'}",
    ]


def test_a_path_is_no_text() -> None:
    with pytest.raises(PipelineError, match=r"path is 'a', but must be \('a',\)"):
        portable.unnest_json(ROWS.x, "k", path="a")


def test_whole_elements_without_fields(run: Run) -> None:
    rows = pa.table({"i": [0], "x": ['[1, "a", null, {"b": 2.50}, [ ]]']})
    assert rows_of(run(unnested(), rows)) == [
        (0, "1"),
        (1, "a"),
        (2, None),
        (3, '{"b":2.5}'),
        (4, "[]"),
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b ", "~/", "é"]), JSON), max_size=4))
def test_fields_are_those_that_python_reads(elements: list[dict[str, Any]]) -> None:
    fields = ["a", "b ", "~/", "é"]
    backend = ibis.duckdb.connect()
    backend.compiler = compiler_of()
    text = json.dumps(elements, ensure_ascii=False)
    table = pa.table({"i": [0], "x": [text]})
    backend.create_table("rows", table)
    query = str(backend.compile(unnested(*fields)))
    found = [row[1] for row in backend.con.execute(query).fetchall()]
    given_back = [
        {name: _as_json(each[name], element.get(name)) for name in fields}
        for each, element in zip(_in_order(found), elements, strict=True)
    ]
    assert given_back == [{name: each.get(name) for name in fields} for each in elements]


def _in_order(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda each: each["position"])


def _as_json(text: str | None, original: Any) -> Any:
    """Texts are as they are, all else is JSON."""
    return text if text is None or isinstance(original, str) else json.loads(text)


@pytest.mark.parametrize("fields", [("position",), ("a", "A"), ("",)])
def test_fields_that_cannot_be_columns_are_refused(fields: tuple[str, ...]) -> None:
    with pytest.raises(PipelineError, match="a name that no other has"):
        portable.unnest_json(ROWS.x, *fields)
