"""The lineage as people see it."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pipelines.shop import SHOP, mart, raw, staging
from playwright.sync_api import Page, sync_playwright

from streampro.lineage.drawing import Drawing, Size, draw
from streampro.lineage.graph import _ids, html, linked, mermaid, nearest, of_tables, svg, text
from streampro.modeling.model import TableName
from streampro.modeling.pipeline import Pipeline
from streampro.viewing import PIPELINE

NASTY = Pipeline("</title><script>alert(1)</script>", [raw, staging, mart])
NASTY.sources["raw_shops"] = replace(raw.raw_shops, files=('<b title="x">&*.csv',))


def test_tables_stand_in_building_order_with_their_inputs() -> None:
    assert text(SHOP).splitlines() == [
        "raw_sales      files sales*.jsonl",
        "raw_shops      files shops.csv",
        "staging.sales  <- raw_sales; rejects to staging.sales_rejected",
        "staging.shops  <- raw_shops",
        "mart.revenue   <- staging.sales, staging.shops",
    ]


def test_column_is_told_down_to_fields_of_sources_and_what_decides_after_it() -> None:
    assert text(SHOP, "mart.revenue.city").splitlines() == [
        "mart.revenue.city",
        "└─ copied from staging.shops.city",
        "   └─ copied from raw_shops.city",
        "",
        "Decided by (which rows there are, and whose values are taken):",
        "  staging.shops: shop",
        "  staging.sales: shop",
        "  raw_sales: shop, day, raw_line, amount",
        "  raw_shops: shop",
    ]


def test_column_of_several_origins_is_a_tree_that_tells_each_once() -> None:
    name = "answers.q2_retention.observable_retention_rate"
    assert text(PIPELINE, name).splitlines()[:10] == [
        "answers.q2_retention.observable_retention_rate",
        "├─ computed from mart.fact_user_session.retention_deadline_ts",
        "│  └─ computed from intermediate.user_sessions.session_start_ts",
        "│     └─ computed from staging.events.event_ts",
        "│        └─ computed from raw_events.timestamp",
        "├─ computed from staging.events.event_ts (see above)",
        "└─ computed from mart.fact_user_session.retained_within_3d",
        "   └─ computed from intermediate.user_sessions.session_start_ts (see above)",
        "",
        "Decided by (which rows there are, and whose values are taken):",
    ]


def test_mermaid_of_tables() -> None:
    assert mermaid(SHOP).splitlines() == [
        "flowchart LR",
        '    raw_sales[/"raw_sales"/]',
        '    raw_shops[/"raw_shops"/]',
        '    sales["staging.sales"]',
        '    shops["staging.shops"]',
        '    revenue["mart.revenue"]',
        "    raw_sales --> sales",
        '    sales -.-> sales_rejected[("staging.sales_rejected")]',
        "    raw_shops --> shops",
        "    sales --> revenue",
        "    shops --> revenue",
    ]


def test_mermaid_of_a_column_shows_its_values_only() -> None:
    assert mermaid(SHOP, "revenue.sales").splitlines() == [
        "flowchart LR",
        '    sales__["staging.sales.*"]',
        '    revenue_sales["mart.revenue.sales"]',
        "    sales__ --> revenue_sales",
    ]


def test_mermaid_ids_are_numbers_where_names_will_not_do() -> None:
    strange = {"größe": mart.revenue, "grüße": mart.revenue, "end": mart.revenue}
    pipeline = Pipeline("strange", [raw, staging])
    pipeline.models |= {
        name: replace(each, table=TableName("mart", name)) for name, each in strange.items()
    }
    drawn = mermaid(pipeline).splitlines()
    boxes = [line.partition("[")[0].strip() for line in drawn if '["' in line]
    assert boxes == ["sales", "shops", "5", "6", "7"]
    assert '    5["mart.größe"]' in drawn
    assert [line.strip() for line in drawn if line.endswith(("> 5", "> 6", "> 7"))] == [
        f"{table} --> {number}" for number in (5, 6, 7) for table in ("sales", "shops")
    ]


def test_mermaid_tells_columns_apart_whose_names_look_alike() -> None:
    assert _ids(["a.b_c", "a_b.c", "a.b", "Class", "sales", "sales.*"]) == {
        "a.b_c": "1",
        "a_b.c": "2",
        "a.b": "a_b",
        "Class": "4",
        "sales": "sales",
        "sales.*": "sales__",
    }


def test_boxes_stand_below_their_inputs_and_do_not_overlap() -> None:
    inputs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "a"], "e": ["c", "d", "a"]}
    drawing = draw(inputs, [["a"], ["b", "c"], ["d"], ["e"]], dict.fromkeys("abcde", Size(80, 40)))
    boxes = drawing.boxes
    for name, made_from in inputs.items():
        assert all(boxes[each].bottom < boxes[name].y for each in made_from)
    assert boxes["b"].y == boxes["c"].y
    assert abs(boxes["b"].x - boxes["c"].x) >= 80
    assert all(0 <= box.left <= drawing.width - 80 for box in boxes.values())
    assert len(drawing.arrows) == 7
    assert min(_numbers(drawing)) >= 0
    assert max(_numbers(drawing)) <= max(drawing.width, drawing.height)


def _numbers(drawing: Drawing) -> list[int]:
    return [int(number) for path in drawing.arrows for number in re.findall(r"-?\d+", path)]


def test_arrow_passes_beside_the_boxes_between() -> None:
    inputs = {"a": [], "b": ["a"], "c": ["b", "a"]}
    drawing = draw(inputs, [["a"], ["b"], ["c"]], dict.fromkeys("abc", Size(80, 40)))
    past = next(path for path in drawing.arrows if "V" in path.removeprefix("M")[8:])
    between = drawing.boxes["b"]
    passage = int(re.findall(r" (\d+) \d+V", past)[-1])
    assert not between.left < passage < between.left + between.width


def test_drawing_is_xml_with_every_table_once() -> None:
    root = ElementTree.fromstring(svg(PIPELINE))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(titles) == sorted(
        [
            *("raw_events", "raw_users", "raw_videos"),
            "staging.events rejects to staging.events_rejected",
            "staging.users rejects to staging.users_rejected",
            "staging.videos rejects to staging.videos_rejected",
            *("intermediate.user_sessions", "mart.fact_user_session"),
            *("answers.q1_engagement", "answers.q2_retention", "answers.q3_dropoff"),
        ]
    )


def test_nearest_tables_are_the_fewest_steps_away_either_way() -> None:
    graph = of_tables(PIPELINE)
    found = nearest(graph, "user_sessions", 5)
    assert [*found.boxes] == ["events", "users", "videos", "user_sessions", "fact_user_session"]
    assert found.inputs["user_sessions"] == ["events", "users", "videos"]
    assert found.inputs["events"] == []
    assert [*nearest(graph, "user_sessions", 1).boxes] == ["user_sessions"]
    assert nearest(graph, "users", 99).inputs == graph.inputs


def test_boxes_of_a_linked_drawing_lead_to_their_tables_and_to_what_these_reject() -> None:
    root = ElementTree.fromstring(linked(of_tables(SHOP), lambda name: f"{name}.html", "sales"))
    links = [*root.iter("{http://www.w3.org/2000/svg}a")]
    names = ("raw_sales", "raw_shops", "sales", "sales_rejected", "shops", "revenue")
    assert sorted(link.attrib["href"] for link in links) == sorted(f"{n}.html" for n in names)
    assert [a.attrib["href"] for a in links if "aria-current" in a.attrib] == ["sales.html"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 390, "height": 800})
    found.problems = []
    found.on("console", lambda message: found.problems.append(message.text))
    found.on("pageerror", lambda error: found.problems.append(str(error)))
    yield found
    assert found.problems == []
    found.close()


@pytest.mark.parametrize("column", [None, "answers.q3_dropoff.sum_dropoff_all_sessions"])
def test_page_stands_alone_and_fits_a_phone(page: Page, tmp_path: Path, column: str | None) -> None:
    file = tmp_path / "lineage.html"
    file.write_text(html(PIPELINE, column), encoding="utf-8")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    assert requests == [file.as_uri()]
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] > 200
    assert box["height"] > 200


def test_page_follows_the_colours_of_its_reader(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "lineage.html"
    file.write_text(html(SHOP), encoding="utf-8")
    page.goto(file.as_uri())
    colour = "getComputedStyle(document.querySelector('svg text')).fill"
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(colour) != light


def test_names_and_files_are_text_and_no_markup(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "lineage.html"
    file.write_text(html(NASTY), encoding="utf-8")
    page.goto(file.as_uri())
    assert page.locator("script").count() == 0
    assert page.locator("b").count() == 0
    assert page.locator("h1").text_content() == f"Lineage of {NASTY.name}"
    assert '<b title="x">&*.csv' in page.locator("svg").text_content()
