"""The catalog as readers meet it: on a phone and a wide screen, in the dark, by keyboard alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipelines.club import CLUB, MEMBERS, member, write_members
from pipelines.kinds import KINDS

from streampro.catalog.site import write_catalog
from streampro.config import Target
from streampro.execution.runner import run

Open = Callable[..., Any]
LONG = "Donaudampfschifffahrtsgesellschaft"
PAGES = (
    *("index.html", "lineage.html", "runs.html", "sources/raw_members.html"),
    *("tables/staging.members.html", "tables/answers.sizes.html"),
)

OVERLAPPING = """(() => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    const hidden = (each) => each.closest(
        '.skip, .hits, .hits-told, title, details:not([open]) > :not(summary)');
    while (walk.nextNode()) {
        const node = walk.currentNode, range = document.createRange();
        if (!node.textContent.trim() || hidden(node.parentElement)) continue;
        range.selectNodeContents(node);
        const scroll = node.parentElement.closest('.scroll')?.getBoundingClientRect();
        for (const box of range.getClientRects()) {
            if (box.width < 2 || (scroll && box.left > scroll.right - 2)) continue;
            found.push([node.textContent.trim().slice(0, 40), box]);
        }
    }
    return found.flatMap(([text, a], place) => found.slice(place + 1)
        .filter(([, b]) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
            && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 6)
        .map(([other]) => [text, other]));
})()"""
"""The texts that stand on each other, as far as they are seen: what scrolls is cut at its box."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("club")
    raw = write_members(place / "raw", "first", *MEMBERS)
    target = Target(name="test", raw=raw, warehouse=place / "warehouse")
    run(CLUB, target)
    write_members(raw, "second", member("emil@e.org", LONG * 3, 6), member(None, "Bonn", 6))
    run(CLUB, target)
    write_catalog(CLUB, target, place / "site")
    return place / "site"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("declared")
    write_catalog(CLUB, Target(name="test", warehouse=place / "warehouse"), place / "site")
    return place / "site"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [390, 1600])
def test_pages_need_nothing_else_and_never_scroll_sideways(
    site: Path, declared: Path, seen: Open, page: str, width: int
) -> None:
    for folder in (site, declared):
        found = seen(folder / page, width)
        assert found.messages == []
        assert {each.startswith(folder.as_uri()) for each in found.requests} == {True}
        assert found.ask("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("page", PAGES)
def test_what_is_wider_than_the_page_shows_that_it_scrolls(
    site: Path, seen: Open, page: str
) -> None:
    told = """[...document.querySelectorAll('.scroll')]
        .filter(each => each.clientWidth).map(each => [
            each.scrollWidth > each.clientWidth + 1,
            getComputedStyle(each.previousElementSibling).display !== 'none'])"""
    boxes = [box for width in (390, 1600) for box in seen(site / page, width).ask(told)]
    assert all(is_wide == is_told for is_wide, is_told in boxes)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [390, 1600])
def test_no_two_texts_of_a_page_stand_on_each_other(
    site: Path, seen: Open, page: str, width: int
) -> None:
    assert seen(site / page, width).ask(OVERLAPPING) == []


@pytest.mark.parametrize("page", ["index.html", "sources/raw_members.html"])
@pytest.mark.parametrize("width", [390, 1600])
def test_figures_at_the_top_fill_their_box(site: Path, seen: Open, page: str, width: int) -> None:
    ends = """['', ' > :last-child'].map(
        (part) => document.querySelector('.facts' + part).getBoundingClientRect().right)"""
    box, last = seen(site / page, width).ask(ends)
    assert box - last <= 2


def test_the_type_of_a_column_is_seen_on_a_phone(site: Path, seen: Open) -> None:
    """However long the words are that stand beside the name of a column."""
    found = seen(site / "tables" / "staging.members.html", 390)
    ends = """['#columns .scroll', '#columns td:nth-child(2) code'].map(
        (part) => document.querySelector(part).getBoundingClientRect().right)"""
    box, kind = found.ask(ends)
    assert kind < box


@pytest.mark.parametrize("width", [390, 1600])
def test_long_types_and_names_stay_in_their_column(seen: Open, tmp_path: Path, width: int) -> None:
    write_catalog(KINDS, Target(name="test", warehouse=tmp_path / "warehouse"), tmp_path / "site")
    page = tmp_path / "site" / "tables" / "staging.parts.html"
    assert "array&lt;struct&lt;x: int64, y: string" in page.read_text(encoding="utf-8")
    assert seen(page, width).ask(OVERLAPPING) == []


def test_keys_alone_find_a_column_and_walk_down_to_the_raw_field(site: Path, opened: Open) -> None:
    page = opened(site / "index.html").page
    page.keyboard.press("/")
    page.keyboard.type("first_mail cities")
    assert page.locator(".hits a").first.inner_text().startswith("mart.cities.first_mail")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/mart.cities.html#column-first_mail")
    for link, there in (
        ("#column-first_mail td:first-child a", "#lineage-first_mail"),
        ("#lineage-first_mail td:nth-child(2) a", "staging.members.html#lineage-mail"),
        ("#lineage-mail td:nth-child(2) a", "raw_members.html#lineage-mail"),
        ("#lineage-mail td:nth-child(2) a", "staging.members.html#lineage-mail"),
    ):
        page.locator(link).first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/*{there}")
        outlines = "getComputedStyle(document.querySelector('tr:target')).backgroundColor"
        assert page.evaluate(outlines) != "rgba(0, 0, 0, 0)"


def test_search_ranks_names_before_texts_and_ends_with_escape(site: Path, opened: Open) -> None:
    page = opened(site / "tables" / "answers.sizes.html").page
    search = page.get_by_role("searchbox")
    search.fill("members")
    found = [each.splitlines()[0] for each in page.locator(".hits a").all_inner_texts()]
    assert found[:2] == ["staging.members", "answers.firsts.members"]
    assert "raw_members.mail" in found
    search.fill("no such thing")
    assert page.locator(".hits").inner_text() == "Nothing has these words."
    page.keyboard.press("Escape")
    assert not page.locator(".hits").is_visible()


def test_enter_opens_the_first_that_is_found(site: Path, opened: Open) -> None:
    page = opened(site / "runs.html", 390).page
    page.get_by_role("searchbox").fill("sizes")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tables/answers.sizes.html")


def test_boxes_of_the_lineage_are_links(site: Path, opened: Open) -> None:
    page = opened(site / "lineage.html", 1600).page
    box = page.locator("svg.lineage").get_by_role("link", name="cities")
    box.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tables/mart.cities.html")
    assert page.locator("svg.lineage [aria-current=page]").text_content() != ""


def test_a_reader_who_tabs_comes_to_the_page_first(site: Path, opened: Open) -> None:
    page = opened(site / "tables" / "mart.cities.html").page
    page.keyboard.press("Tab")
    focused = "document.activeElement.innerText"
    assert page.evaluate(focused) == "Skip to the page"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") > 0
    for name in ("Club members", "Tables", "Lineage", "Runs"):
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == name


def test_tables_sort_by_their_headers(site: Path, opened: Open) -> None:
    page = opened(site / "tables" / "staging.members.html").page
    heading = page.locator("#columns th", has_text="null").get_by_role("button")
    heading.press("Enter")
    names = page.locator("#columns tbody td:first-child code").all_inner_texts()
    assert names == ["city", "mail", "joined_ts"]


@pytest.mark.parametrize(
    ("scheme", "paper", "bar"),
    [
        ("light", "rgb(246, 246, 243)", "rgb(31, 95, 191)"),
        ("dark", "rgb(19, 21, 25)", "rgb(127, 176, 255)"),
    ],
)
def test_colours_follow_the_scheme(
    site: Path, opened: Open, scheme: str, paper: str, bar: str
) -> None:
    found = opened(site / "tables" / "staging.members.html", scheme=scheme)
    assert found.ask(
        """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.bars rect')).fill]"""
    ) == [paper, bar]


def test_print_shows_what_is_folded(site: Path, opened: Open) -> None:
    found = opened(site / "tables" / "mart.cities.html", width=700)
    found.page.emulate_media(media="print")
    found.ask("dispatchEvent(new Event('beforeprint'))")
    assert found.ask("document.querySelectorAll('details:not([open])').length") == 0
