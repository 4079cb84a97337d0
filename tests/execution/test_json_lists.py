"""Pipelines over lists inside of JSON, and over JSON documents: books, runs, explanations."""

from pathlib import Path
from typing import Any

import pytest
from pipelines.lists import LISTS, event, write_raw

import streampro
from streampro.execution.runner import run
from streampro.modeling.quarantine import Books
from streampro.proofs.prove import prove
from streampro.testing import Workbench
from streampro.warehouse.run import Run
from streampro.warehouse.upkeep.key import Key


@pytest.fixture(scope="module")
def published(
    streampro_engine: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> tuple[streampro.Target, Run]:
    folder = tmp_path_factory.mktemp("lists")
    target = streampro.Target(
        name="test",
        engine=streampro_engine.name,
        raw=write_raw(folder / "raw"),
        warehouse=folder / "w",
    )
    return target, streampro_engine.run(LISTS, target)


def rows_of(target: streampro.Target, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = streampro.sql(f"SELECT * FROM {table}", target).to_pylist()
    return sorted(found, key=repr)


ITEMS = Books(
    "raw_items",
    lines=7,
    accepted=3,
    duplicates=2,
    rejected=4,
    reasons={"missing_sku": 1, "not_a_json_object": 1, "not_an_item": 2},
    elements=9,
)
ORDERS = Books(
    "raw_orders",
    lines=5,
    accepted=3,
    duplicates=0,
    rejected=2,
    reasons={"missing_order": 1, "not_a_json_object": 1},
    warnings={"unreadable_value": 1},
)


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_books_count_lines_and_elements(published: tuple[streampro.Target, Run]) -> None:
    target, done = published
    assert done.books == (ITEMS, ORDERS)
    assert streampro.runs(target)[-1].books == done.books
    assert [
        (row["event"], row["position"], row["sku"], str(row["price"]))
        for row in rows_of(target, "staging.items")
    ] == [("e1", 0, "i1", "9.99"), ("e1", 1, "i2", "0.01"), ("e3", 0, "i1", "None")]
    assert [
        (row["order"], row["tags"], row["size"]) for row in rows_of(target, "staging.orders")
    ] == [
        ("o1", ["a", "1.50"], {"w": 2, "h": 1000.0}),
        ("o2", None, {"w": None, "h": None}),
        ("o3", None, None),
    ]
    rejected = {row["raw_line"] for row in rows_of(target, "staging.items_rejected")}
    assert rejected == {
        '"none"',
        '{"price": 5, "email":"***"}',
        '{"event":"e4","ecommerce":{"items":{"sku":"i9"}},"email":"***"}',
        "nonsense",
    }


@pytest.mark.slow
@pytest.mark.thorough("spark")
def test_explanation_names_line_and_element(published: tuple[streampro.Target, Run]) -> None:
    target, _ = published
    [line] = streampro.explain(LISTS, target, "items.sku", "event = 'e3'").lines
    assert (line.file, line.number, line.element, line.text) == (
        "events.jsonl", 4, 0, '{"sku": "i1"}'
    )  # fmt: skip
    told = streampro.explain(LISTS, target, "items_rejected", "reject_reason = 'missing_sku'")
    [line] = told.lines
    assert (line.number, line.element, line.text) == (4, 2, '{"price": 5, "email":"***"}')
    [line] = streampro.explain(LISTS, target, "orders", "\"order\" = 'o2'").lines
    assert (line.file, line.number, line.element) == ("orders-1.json", 13, 1)


@pytest.mark.thorough("spark")
@pytest.mark.slow
def test_runs_in_parts_equal_a_full_run(
    published: tuple[streampro.Target, Run], engine: Workbench, tmp_path: Path
) -> None:
    target, _ = published
    if engine.name == "duckdb":
        assert streampro.check_incremental(LISTS, target, parts=3).runs == 3
    raw = write_raw(tmp_path / "raw")
    own = target.model_copy(update={"raw": raw, "warehouse": tmp_path / "w"})
    engine.run(LISTS, own)
    (raw / "events-2.jsonl").write_text(event(3, {"sku": "i1"}) + "\n" + event(6, {"sku": "i7"}))
    (raw / "orders-3.json").write_text('[{"order": "o1", "tags": ["a", 1.50]}]')
    with pytest.raises(streampro.ContractError, match="order"):
        engine.run(LISTS, own)
    (raw / "orders-3.json").write_text('[{"order": "o4"}]')
    [items, _] = engine.run(LISTS, own).books
    assert (items.lines, items.elements, items.accepted, items.duplicates) == (2, 2, 1, 1)
    assert len(rows_of(own, "staging.items")) == 4


@pytest.mark.thorough
@pytest.mark.slow
def test_engines_prove_equal(tmp_path: Path, spark: Any) -> None:
    raw = write_raw(tmp_path / "raw")
    left = streampro.Target(name="left", raw=raw, warehouse=tmp_path / "left")
    right = streampro.Target(name="right", engine="spark", raw=raw, warehouse=tmp_path / "right")
    assert prove(LISTS, left, right).equal


def test_number_that_is_an_element_is_known_in_lists() -> None:
    key = Key("user", "42", frozenset({"user", "ids"}), is_of_source=True, is_element=True)
    held = ['{"ids":[42, 43]}', '{"ids":[1, 42]}', '{"ids":[ "42" ]}', "42"]
    assert [key.is_in(each) for each in (*held, '{"ids":[421]}', '{"a":{"ids":[142]}}')] == [
        *(True,) * 4, False, False
    ]  # fmt: skip


@pytest.mark.slow
def test_too_many_elements_that_are_none_stop_a_run(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw")
    (raw / "events-2.jsonl").write_text(event(9, *[{"sku": "x"}, "y", "z"] * 20))
    target = streampro.Target(name="test", raw=raw, warehouse=tmp_path / "w")
    with pytest.raises(streampro.SourceError, match=r"rejected lines: 44 of 69 .*not_an_item 42"):
        run(LISTS, target)


@pytest.mark.slow
def test_forgotten_key_is_named_where_raw_files_hold_it(tmp_path: Path) -> None:
    raw = write_raw(tmp_path / "raw")
    target = streampro.Target(name="test", raw=raw, warehouse=tmp_path / "w")
    run(LISTS, target)
    done = streampro.forget(target, {"event": "e3"}, pipeline=LISTS)
    assert {each.table: each.rows for each in done.tables} == {"staging.items": 1}
    assert done.raw is not None
    assert [(each.path, each.lines) for each in done.raw] == [("events.jsonl", 1)]
    done = streampro.forget(target, {"sku": "i9"}, pipeline=LISTS)
    assert {each.table: each.rows for each in done.tables} == {"staging.items_rejected": 1}
