"""The catalog of a pipeline: what it tells, what it never shows, and how it comes into a folder."""

import html
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import ibis.expr.types as ir
import pytest
from pipelines.club import CLUB, HIDDEN, MEMBERS, member, write_members
from pipelines.plain import plain_models
from pipelines.shop import SHOP, write_raw
from pipelines.shop.raw import raw_shops
from pipelines.shop.staging import Shops
from servers import Lake

from streampro.catalog.site import write_catalog
from streampro.config import Target
from streampro.errors import ConfigError
from streampro.execution.runner import run
from streampro.location import Remote
from streampro.modeling.contract import Contract, column
from streampro.modeling.model import model
from streampro.modeling.pipeline import Pipeline
from streampro.warehouse.upkeep.retention import clean


@pytest.fixture
def target(tmp_path: Path) -> Target:
    raw = write_members(tmp_path / "raw", "first", *MEMBERS)
    return Target(name="test", raw=raw, warehouse=tmp_path / "warehouse")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Target, Path]:
    """A catalog after two runs: the second has a new city, and a line without an address."""
    place = tmp_path_factory.mktemp("club")
    raw = write_members(place / "raw", "first", *MEMBERS)
    found = Target(name="test", raw=raw, warehouse=place / "warehouse")
    run(CLUB, found)
    write_members(raw, "second", member("emil@e.org", "Bonn", 6), member(None, "Bonn", 6))
    run(CLUB, found)
    write_catalog(CLUB, found, place / "site")
    return found, place / "site"


class _Page(HTMLParser):
    """A page as a reader sees it: its texts, its links, its ids."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [str(given[each]) for each in ("href", "src") if each in given]
        self.ids += [str(given["id"])] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.texts += [" ".join(data.split())] if data.strip() else []

    @property
    def text(self) -> str:
        return " ".join(self.texts)


def pages(site: Path) -> Iterator[Path]:
    return site.rglob("*.html")


def contents(site: Path) -> dict[str, str]:
    paths = (path for path in site.rglob("*") if path.is_file())
    return {path.relative_to(site).as_posix(): path.read_text() for path in paths}


def row(page: Path, mark: str) -> str:
    """Return the text of the row of a table that has an id, or of the first that holds a text."""
    rows = re.findall(r"<tr.*?</tr>", page.read_text(encoding="utf-8"), re.DOTALL)
    found = next(each for each in rows if f'id="{mark}"' in each or f">{mark}<" in each)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found)).split())


class TestTells:
    def test_what_is_declared_before_any_run_and_says_so(self, target: Target, site: Path) -> None:
        assert write_catalog(CLUB, target, site) is None
        assert not Path(str(target.warehouse)).exists()
        told = _Page(site / "tables" / "staging.members.html").text
        for text in (
            "One row per member.",
            "Return the members as they joined.",
            "No run is published yet",
            "owner club",
            "tags people",
            "city_is_known warn",
            "When they joined.",
        ):
            assert text in told
        assert "the most frequent, with" not in told
        assert "No run is published yet" in _Page(site / "index.html").text
        assert "No run is published yet" in _Page(site / "runs.html").text

    def test_the_share_of_nulls_and_what_values_there_are(
        self, two_runs: tuple[Target, Path]
    ) -> None:
        page = two_runs[1] / "tables" / "staging.members.html"
        assert row(page, "column-city") == (
            "city may be null string Where they live. 20.0% Oslo 2 Bonn 1 Rome 1"
        )
        assert row(two_runs[1] / "tables" / "answers.sizes.html", "column-members").endswith(
            "key int64 Members. 0.0% 1 to 2"
        )
        assert row(page, "column-joined_ts").endswith(
            "0.0% 2026-05-01 10:00:00 UTC to 2026-05-06 10:00:00 UTC"
        )

    def test_how_rules_fared_over_the_runs(self, two_runs: tuple[Target, Path]) -> None:
        page = two_runs[1] / "tables" / "staging.members.html"
        assert row(page, "mail is null") == "mail is null fail held in 2 of 2"
        assert row(page, "city_is_known") == (
            "city_is_known warn broken in 1 of 2, last in run 1 by 1"
        )
        assert row(page, "no mail") == "no mail quarantine broken in 1 of 2, last in run 2 by 1"

    def test_rows_and_freshness_per_run(self, two_runs: tuple[Target, Path]) -> None:
        page = two_runs[1] / "tables" / "staging.members.html"
        found = re.findall(r"<title>run (\d+): ([^<]+)</title>", page.read_text(encoding="utf-8"))
        assert [(int(n), told) for n, told in found[:2]] == [(1, "4 rows"), (2, "5 rows")]
        assert all(re.fullmatch(r"\d+ days", told) for _, told in found[2:])
        told = _Page(page).text
        assert "newest row 2026-05-06 10:00:00 UTC" in told
        assert "2026-05-04 10:00:00 UTC" in told

    def test_runs_that_were_cleaned_keep_their_rows(self, target: Target, site: Path) -> None:
        run(CLUB, target)
        run(CLUB, target, full_refresh=True)
        clean(target, keep=1, dry_run=False)
        write_catalog(CLUB, target, site)
        text = (site / "tables" / "staging.members.html").read_text(encoding="utf-8")
        assert "<title>run 1: 4 rows</title>" in text

    def test_the_code_as_it_was_written_and_the_sql_of_both_engines(
        self, two_runs: tuple[Target, Path]
    ) -> None:
        tables = two_runs[1] / "tables"
        python = _Page(tables / "mart.cities.html").text
        assert "def cities(members: ir.Table) -> ir.Table:" in python
        assert "class Cities(Contract):" in python
        for engine, quoted in (("duckdb", '"staging"."members"'), ("spark", "`staging`.`members`")):
            assert quoted in python.partition(f"SQL for {engine}")[2]
        sql = _Page(tables / "answers.sizes.html").text
        assert "SELECT members, count(*) AS cities FROM cities GROUP BY members" in sql

    def test_what_columns_are_made_from_and_what_is_made_from_them(
        self, two_runs: tuple[Target, Path]
    ) -> None:
        page = two_runs[1] / "tables" / "mart.cities.html"
        assert row(page, "lineage-shouted") == "shouted computed from staging.members.mail \u2013"
        assert row(page, "lineage-first_mail") == (
            "first_mail computed from staging.members.mail answers.firsts.first_mail , "
            "rows of answers.firsts"
        )
        assert "staging.members.joined_ts" in row(
            two_runs[1] / "sources" / "raw_members.html", "lineage-at"
        )

    def test_the_runs_and_what_they_moved(self, two_runs: tuple[Target, Path]) -> None:
        told = _Page(two_runs[1] / "runs.html").text
        newest, first = told.split("Run 1 ")
        assert "staging.members +1" in newest
        assert "built anew" in first
        assert "members=1 cities 2 3" in newest

    def test_that_models_are_of_other_code_than_the_run(
        self, target: Target, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = run(CLUB, target)
        monkeypatch.setattr(Pipeline, "code_hashes", lambda _: {**done.code, "cities": "newer"})
        write_catalog(CLUB, target, site)
        told = _Page(site / "tables" / "mart.cities.html").text
        assert "built this table by other code than the present one" in told
        assert "the most frequent, with" not in told
        assert "the most frequent, with" in _Page(site / "tables" / "answers.sizes.html").text

    def test_that_the_run_lacks_a_table(self, target: Target, site: Path) -> None:
        run(CLUB, target, select="members")
        write_catalog(CLUB, target, site)
        assert "The newest run has no such table" in _Page(site / "tables/mart.cities.html").text
        assert "not built" in row(site / "index.html", "cities")


class TestNeverShows:
    def test_values_that_are_personal_or_secret_or_made_from_such(
        self, two_runs: tuple[Target, Path]
    ) -> None:
        everything = "".join(
            path.read_text(encoding="utf-8") for path in two_runs[1].rglob("*") if path.is_file()
        )
        assert [each for each in HIDDEN if each in everything] == []
        assert "emil@" not in everything
        assert "Oslo" in everything

    def test_a_table_without_them_says_why(self, two_runs: tuple[Target, Path]) -> None:
        tables = two_runs[1] / "tables"
        assert row(tables / "staging.members.html", "column-mail").endswith("not shown: personal")
        assert row(tables / "mart.cities.html", "column-shouted").endswith(
            "not shown: made from personal or secret values"
        )
        assert "more are told by streampro history 2" in _Page(two_runs[1] / "runs.html").text

    def test_text_of_the_data_as_markup(self, target: Target, site: Path) -> None:
        write_members(Path(str(target.raw)), "odd", member("x@x.org", "<b>\u202eBonn</b>", 5))
        run(CLUB, target)
        write_catalog(CLUB, target, site)
        text = (site / "tables" / "staging.members.html").read_text(encoding="utf-8")
        assert "&lt;b&gt;\\u202eBonn&lt;/b&gt;" in text


class TestFolder:
    def test_every_link_leads_somewhere(self, two_runs: tuple[Target, Path]) -> None:
        site = two_runs[1]
        found = {path.resolve(): _Page(path) for path in pages(site)}
        assert len(found) == 3 + 5 + 1
        for path, page in found.items():
            assert len({*page.ids}) == len(page.ids), path
            for link in (each for each in page.links if not each.startswith("data:")):
                name, _, place = link.partition("#")
                there = (path.parent / unquote(name)).resolve() if name else path
                assert there.is_file(), (path, link)
                assert not place or unquote(place) in found[there].ids, (path, link)

    def test_every_table_and_column_can_be_searched(self, two_runs: tuple[Target, Path]) -> None:
        text = (two_runs[1] / "search.js").read_text(encoding="utf-8")
        index = json.loads(text[text.index("[") : text.rindex("]") + 1])
        assert [name for name, *_ in index] == [
            *("staging.members", "staging.members_rejected", "mart.cities"),
            *("answers.sizes", "answers.firsts", "raw_members"),
        ]
        assert index[0][3:] == [
            "club people",
            [
                ["mail", "Address."],
                ["city", "Where they live."],
                ["joined_ts", "When they joined."],
            ],
        ]

    @pytest.mark.slow
    def test_the_same_run_gives_the_same_bytes(
        self, two_runs: tuple[Target, Path], site: Path
    ) -> None:
        write_catalog(CLUB, two_runs[0], site)
        assert contents(site) == contents(two_runs[1])

    def test_a_catalog_is_replaced_as_a_whole(self, target: Target, site: Path) -> None:
        write_catalog(CLUB, target, site)
        stale = site / "tables" / "mart.gone.html"
        stale.write_text("")
        write_catalog(CLUB, target, site)
        assert not stale.exists()
        assert (site / "index.html").is_file()
        assert [path.name for path in site.parent.iterdir() if "site" in path.name] == ["site"]

    @pytest.mark.parametrize("is_in_one_step", [True, False])
    def test_every_page_is_there_at_any_moment(
        self, is_in_one_step: bool, target: Target, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not is_in_one_step:
            monkeypatch.setattr("streampro.catalog.site._exchanged", lambda *_: False)
        write_catalog(CLUB, target, site)
        (site / "tables" / "mart.gone.html").touch()
        before = contents(site)
        run(CLUB, target)
        seen: list[dict[str, str]] = []
        reading, done = Event(), Event()

        def read() -> None:
            while not done.is_set():
                seen.append(
                    {name: (site / name).read_text() for name in before if "gone" not in name}
                )
                reading.set()

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(read)
            assert reading.wait(60)
            write_catalog(CLUB, target, site)
            done.set()
            reader.result()
        after = contents(site)
        assert {*before} - {*after} == {"tables/mart.gone.html"}
        assert all(each[name] in (before[name], after[name]) for each in seen for name in each)
        assert [path.name for path in site.parent.iterdir() if "site" in path.name] == ["site"]

    @pytest.mark.parametrize("step", [0, 1, 7, 11, 99])
    def test_what_is_stopped_leaves_a_site_that_the_next_one_replaces(
        self, step: int, target: Target, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streampro.catalog.site._exchanged", lambda *_: False)
        write_catalog(CLUB, target, site)
        (site / "tables" / "mart.gone.html").touch()
        before = contents(site)
        run(CLUB, target)
        steps, replace = count(), Path.replace

        def stopped(path: Path, place: Path) -> Path:
            if next(steps) == step:
                raise KeyboardInterrupt
            return replace(path, place)

        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(Path, "replace", stopped)
            write_catalog(CLUB, target, site)
        assert (before.keys() <= contents(site).keys()) == (step < 99)
        write_catalog(CLUB, target, site)
        assert before.keys() - contents(site).keys() == {"tables/mart.gone.html"}
        assert "newest run" in _Page(site / "index.html").text

    def test_what_is_no_catalog_is_not_replaced(self, target: Target, site: Path) -> None:
        site.mkdir()
        write_catalog(CLUB, target, site)
        for place in (site.parent, site / "index.html"):
            with pytest.raises(ConfigError, match=r"did not write, and would replace"):
                write_catalog(CLUB, target, place)
        assert (site / "index.html").is_file()

    def test_a_catalog_stays_where_the_next_one_cannot_be_written(
        self, target: Target, site: Path
    ) -> None:
        run(CLUB, target)
        write_catalog(CLUB, target, site)
        before = (site / "index.html").read_bytes()
        write_members(Path(str(target.raw)), "more", member("f@f.org", "Bonn", 6))
        run(CLUB, target)
        [lost] = Path(str(target.warehouse)).glob("mart/cities/_delta_log/*1.json")
        lost.unlink()
        with pytest.raises(Exception, match="cities"):
            write_catalog(CLUB, target, site)
        assert (site / "index.html").read_bytes() == before

    def test_the_warehouse_of_another_pipeline_is_refused(self, target: Target, site: Path) -> None:
        run(CLUB, target)
        with pytest.raises(
            ConfigError, match="warehouse of pipeline 'club_members', not of 'shop'"
        ):
            write_catalog(SHOP, target, site)
        assert not site.exists()

    def test_a_place_that_cannot_be_written_is_told(self, target: Target, site: Path) -> None:
        with pytest.raises(ConfigError, match=r"catalog .*nowhere/site cannot be written: No such"):
            write_catalog(CLUB, target, site / "nowhere" / "site")


def test_a_warehouse_in_a_store_tells_the_same(target: Target, lake: Lake, tmp_path: Path) -> None:
    there = target.model_copy(update={"warehouse": Remote(f"{lake.url}/warehouse")})
    for each, folder in ((target, "here"), (there, "there")):
        run(CLUB, each)
        write_catalog(CLUB, each, tmp_path / folder)
    told = [
        (tmp_path / folder / "tables" / "staging.members.html").read_text(encoding="utf-8")
        for folder in ("here", "there")
    ]
    here, other = (text.partition('id="columns"')[2].partition('id="runs"')[0] for text in told)
    assert here == other
    assert all("newest row</dt><dd>2026-05-04 10:00:00 UTC" in text for text in told)


def test_a_column_may_have_any_name_that_a_table_can_store(tmp_path: Path) -> None:
    class Odd(Contract):
        """One row per shop."""

        shop: str = column("Shop.", alias="a/b#c?d&é%20<\"'", nullable=True)

    def odd(raw_shops: ir.Table) -> ir.Table:
        return raw_shops.select(**{"a/b#c?d&é%20<\"'": raw_shops.shop})

    from pipelines.shop import raw

    odd.__module__ = "staging"
    module: Any = ModuleType("staging")
    module.odd = model(contract=Odd)(odd)
    pipeline = Pipeline("odd", [raw, module])
    target = Target(name="t", raw=write_raw(tmp_path / "raw"), warehouse=tmp_path / "w")
    run(pipeline, target)
    write_catalog(pipeline, target, tmp_path / "site")
    page = _Page(tmp_path / "site" / "tables" / "staging.odd.html")
    [link] = [each for each in page.links if each.startswith("#lineage-")]
    assert unquote(link.removeprefix("#")) in page.ids
    source = _Page(tmp_path / "site" / "sources" / "raw_shops.html")
    [link] = [each for each in source.links if "staging.odd.html#" in each]
    assert unquote(link.partition("#")[2]) in page.ids


@pytest.mark.slow
def test_what_many_tables_are_built_from_is_a_list(tmp_path: Path) -> None:
    """A drawing of them all would be wider than anybody can read."""

    def copy_of(number: int) -> Any:
        def copied(raw_shops: ir.Table) -> ir.Table:
            return raw_shops.filter(raw_shops.shop.notnull()).select("shop", "city")

        copied.__name__ = f"shops_{number}"
        return copied

    pipeline = plain_models([raw_shops], Shops, *(copy_of(number) for number in range(60)))
    write_catalog(pipeline, Target(name="t", warehouse=tmp_path / "w"), tmp_path / "site")
    page = _Page(tmp_path / "site" / "lineage.html")
    assert {f"tables/staging.shops_{number}.html" for number in range(60)} <= {*page.links}
    assert "<svg" not in (tmp_path / "site" / "lineage.html").read_text(encoding="utf-8")
    near = (tmp_path / "site" / "tables" / "staging.shops_7.html").read_text(encoding="utf-8")
    assert near.count('<a href="../tables/staging.shops_') + near.count("aria-current") > 20
