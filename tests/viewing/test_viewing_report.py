"""The report of the viewing pipeline: what it says, and how it looks in a browser."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from streampro.report import MOST_ROWS, write_report
from streampro.report.content import Section
from streampro.viewing import PIPELINE
from streampro.viewing.answers import OS, OS_BY_VERSION, VERSION
from streampro.viewing.mart import fact_user_session
from streampro.viewing.questions import questions
from streampro.viewing.questions.engagement import watch_curve
from streampro.viewing.questions.retention import OVER

VIDEOS = "video_id,title,genre,duration_seconds\n"
START = datetime(2026, 1, 1, tzinfo=UTC)
MARKUP = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(2)>",
    "<!--<script>",
    "{{ 7 * 7 }} ${7 * 7} &lt;b&gt;",
)
LONG = "Ein sehr langer Name, der nirgends in eine Zeile passt und doch irgendwo hin muss"
SOLID = "Donaudampfschifffahrtsgesellschaftskapitänsmützenfabrik"
NAMES = (*MARKUP, LONG, SOLID, "المسلسلات العربية", "長いジャンルの名前", None)


def event(user, session, start, watched, video=None, **columns):
    row = {"timestamp": start.isoformat(), "user_id": user, "session_id": session}
    row |= {"event_name": "watch_time", "value": watched, "video_id": video}
    return row | columns


def report_of(warehouse, folder):
    out = folder / "report.html"
    write_report(PIPELINE, warehouse.target, out)
    return out


@pytest.fixture(scope="module")
def sample(sample_run, tmp_path_factory):
    return report_of(sample_run, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def odd(warehouse, tmp_path_factory):
    """Names that are markup, long or not Latin, everywhere where a name can stand."""
    videos = io.StringIO(VIDEOS)
    videos.seek(0, io.SEEK_END)
    csv.writer(videos).writerows([f"v{i}", name, name, 9] for i, name in enumerate(NAMES))
    lines = [
        event(f"u{i}-{j}", "s", START + timedelta(hours=i), 9 * j, f"v{i}", **{OS: n, VERSION: n})
        for i, n in enumerate(NAMES)
        for j in range(4)
    ]
    rejected = [f'{{"user_id": "{MARKUP[1]}", "ip": "1.2.3.4"}}', MARKUP[0] + "x" * 500]
    found = warehouse([*lines, *rejected], videos=videos.getvalue())
    return report_of(found, tmp_path_factory.mktemp("odd"))


@pytest.fixture(scope="module")
def crowded(warehouse, tmp_path_factory):
    """500 releases on three systems, one of which is bad, and 60 genres."""
    lines = [
        event(f"u{i}", "s", START + timedelta(minutes=i), 60, f"v{i % 60}", **{OS: o, VERSION: v})
        for i, (o, v) in enumerate(product("ABC", (f"{n // 100}.{n % 100}" for n in range(500))))
    ]
    lines += [
        event(f"b{i}", "s", START, 3 if i % 9 else 30, **{OS: "A", VERSION: "4.99"})
        for i in range(90)
    ]
    videos = VIDEOS + "".join(f"v{i},T,Genre {i},9\n" for i in range(60))
    return report_of(warehouse(lines, videos=videos), tmp_path_factory.mktemp("crowded"))


@pytest.fixture(scope="module")
def empty(warehouse, tmp_path_factory):
    return report_of(warehouse(["no event"]), tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="module")
def single(warehouse, tmp_path_factory):
    """One user, one genre, whose 3 days are not over, and nothing known of the device."""
    found = warehouse([event("u", "s", START, 40, "v")], videos=VIDEOS + "v,T,Drama,9\n")
    return report_of(found, tmp_path_factory.mktemp("single"))


@pytest.fixture(params=["sample", "odd", "crowded", "empty", "single"])
def page(request):
    return request.getfixturevalue(request.param)


def test_curve_counts_first_sessions_by_what_was_watched_in_them(engine):
    watched = [("u1", 1, 4), ("u2", 1, 5), ("u3", 1, 30), ("u4", 1, 119), ("u4", 2, 500)]
    facts = [
        {"user_id": user, "session_number": number, "total_watch_time_s": seconds}
        for user, number, seconds in watched
    ]
    assert engine.rows(watch_curve(engine.table(facts, fact_user_session))) == [
        {
            "users": 4,
            "reached_5s": 3,
            "reached_10s": 2,
            "reached_30s": 2,
            "reached_60s": 1,
            "reached_120s": 0,
        }
    ]


def test_curve_of_nobody_is_zero(engine):
    [row] = engine.rows(watch_curve(engine.table([], fact_user_session)))
    assert set(row.values()) == {0}


def genre(name, users, retained, observable, observable_retained):
    return {
        "first_genre": name,
        "users": users,
        "retained_users": retained,
        "retention_rate": retained / users,
        "observable_users": observable,
        "observable_retained_users": observable_retained,
        "observable_retention_rate": observable_retained / observable if observable else None,
        "censored_users": users - observable,
    }


def dropoff(dimension, system, version, n, d):
    """Build a row of q3_dropoff; every session has a user of its own."""
    row = {"dimension": dimension, OS: system, VERSION: version, "dropoff_rate": d / n}
    row |= dict.fromkeys(("sessions", "sum_sessions_squared", "sum_sessions_all_sessions"), n)
    row |= {"dropoff_sessions": d} | {
        f"sum_{name}": d
        for name in (
            *("dropoff_squared", "sessions_dropoff", "sessions_all_dropoff"),
            *("dropoff_all_sessions", "dropoff_all_dropoff"),
        )
    }
    row |= dict.fromkeys(("all_sessions", "all_users", "all_sum_sessions_squared"), 40_000)
    names = ("all_dropoff_sessions", "all_sum_dropoff_squared", "all_sum_sessions_dropoff")
    return row | dict.fromkeys(names, 5_000)


def asked(retention=(), dropoffs=()):
    curve = dict.fromkeys(("users", *(f"reached_{s}s" for s in (5, 10, 30, 60, 120))), 0)
    q1 = [{"users": 0, "reached_users": 0, "reached_rate": None}]
    answers = {"q1_engagement": q1, "q2_retention": retention, "q3_dropoff": dropoffs}
    return [Section(each, each.figures(lambda _: [curve])) for each in questions(answers)]


def drawn(figure):
    [rows] = figure.chart.to_dict()["datasets"].values()
    return rows


def test_genres_are_ranked_by_the_fair_comparison_and_null_is_unknown():
    q2 = [genre("A", 10, 8, 4, 1), genre(None, 10, 2, 4, 2), genre("New", 3, 3, 0, 0)]
    [figure] = asked(q2)[1].figures
    shown = ("genre", "users", "came back", "3 days over", "open", "came back (3 days over)")
    assert [tuple(row[name] for name in shown) for row in figure.table.rows] == [
        ("unknown", 10, 0.2, 4, 6, 0.5),
        ("A", 10, 0.8, 4, 6, 0.25),
        ("New", 3, 1.0, 0, 3, None),
    ]
    assert [row["name"] for row in drawn(figure) if row["series"] == OVER] == ["unknown", "A"]


def test_sentence_names_the_genres_that_chart_and_table_begin_with():
    q2 = [genre("Tiny", 1, 1, 1, 1), genre("Big", 500, 500, 500, 500)]
    for given in (q2, q2[::-1]):
        retention = asked(given)[1]
        [figure] = retention.figures
        assert retention.question.answer.startswith("Big and Tiny lead: 100.0% of their 501 users")
        assert [row["genre"] for row in figure.table.rows] == ["Big", "Tiny"]
        assert [row["name"] for row in drawn(figure) if row["series"] == OVER] == ["Big", "Tiny"]


def test_a_value_called_unknown_has_a_bar_and_a_cell_beside_the_unknown_one():
    q3 = [dropoff(OS, name, None, 50, d) for name, d in ((None, 20), ("unknown", 10))]
    q3 += [
        dropoff(OS_BY_VERSION, name, version, 40, d)
        for name, version, d in ((None, None, 9), ("unknown", None, 8), (None, "unknown", 7))
    ]
    q2 = [genre(None, 9, 8, 9, 8), genre("unknown", 9, 7, 9, 7)]
    _, retention, abnormal = asked(q2, q3)
    [genres] = retention.figures
    assert {row["label"].split("\x1f")[0] for row in drawn(genres)} == {"unknown", '"unknown"'}
    bars, _, cells = abnormal.figures
    assert [(row["name"], row["share"]) for row in drawn(bars)] == [
        ("unknown", 0.4),
        ('"unknown"', 0.2),
    ]
    assert {(row["line"], row["column"]): row["share"] for row in drawn(cells)} == {
        ("unknown", "unknown"): 9 / 40,
        ('"unknown"', "unknown"): 8 / 40,
        ("unknown", '"unknown"'): 7 / 40,
    }


@pytest.mark.slow
def test_rows_that_the_page_holds_or_draws_have_their_interval():
    q3 = [dropoff(OS_BY_VERSION, "A", f"{n}", 29 + n, 5) for n in range(MOST_ROWS + 100)]
    q2 = [genre(f"{n}", 900 - n, 3, 30, 2) for n in range(MOST_ROWS + 100)]
    _, retention, abnormal = asked(q2, q3)
    [genres], cells = retention.figures, abnormal.figures[2]
    for figure in (genres, cells):
        names = [column.name for column in figure.table.columns if column.kind == "interval"]
        assert all(row[name] for row in figure.table.shown for name in names)
        assert all(row["low"] < row["share"] < row["high"] for row in drawn(figure))
    beyond = genres.table.rows[MOST_ROWS:]
    assert [each for row in beyond for name, each in row.items() if "interval" in name] == (
        [None] * 200
    )


def test_bars_of_both_dimensions_share_their_axis_and_small_cells_tell_n():
    q3 = [
        dropoff(OS, "A", None, 500, 100),
        dropoff(VERSION, None, "1", 500, 300),
        dropoff(OS_BY_VERSION, "A", "1", 20, 5),
    ]
    systems, versions, cells = asked((), q3)[2].figures
    ranges = {
        layer["encoding"]["x"]["scale"]["domain"][1]
        for figure in (systems, versions)
        for layer in figure.chart.to_dict()["layer"]
        if "scale" in layer.get("encoding", {}).get("x", {})
    }
    assert len(ranges) == 1
    assert [row["few"] for row in drawn(cells)] == ["25%\x1fn=20"]


@pytest.mark.slow
def test_same_run_gives_the_same_bytes(sample_run, sample, tmp_path):
    assert report_of(sample_run, tmp_path).read_bytes() == sample.read_bytes()


def test_says_nothing_and_asks_for_nothing_but_itself(page, seen):
    found = seen(page)
    assert (found.messages, found.requests) == ([], [page.as_uri()])
    assert page.stat().st_size < 3_000_000


@pytest.mark.parametrize("width", [390, 1280])
def test_never_scrolls_sideways(page, seen, width):
    assert seen(page, width).ask("document.documentElement.scrollWidth") <= width


def test_a_table_wider_than_a_phone_shows_that_it_scrolls(sample, seen):
    told = """[...document.querySelectorAll('.scroll > table')].map(table => [
        table.scrollWidth > table.parentElement.clientWidth + 1,
        getComputedStyle(table.parentElement.previousElementSibling).display !== 'none'
            && table.parentElement.previousElementSibling.className === 'hint',
        table.parentElement.clientWidth > 0])"""
    for width in (390, 1280):
        hints = [(wide, hint) for wide, hint, is_open in seen(sample, width).ask(told) if is_open]
        assert all(wide == hint for wide, hint in hints)
        assert any(wide for wide, _ in hints) == (width == 390)


def test_no_row_of_a_phone_is_tall_for_a_cell_that_is_not_seen(sample, seen):
    heights = seen(sample, 390).ask(
        """[...document.querySelectorAll('#q3_dropoff tbody tr')].map(row => row.clientHeight)"""
    )
    assert max(heights) < 40


def test_names_of_bars_never_meet_the_next_row(sample, seen):
    gaps = seen(sample, 390).ask(
        """[...document.querySelectorAll('#q3_dropoff .role-axis-label')].slice(0, 40).map(axis =>
            [...axis.querySelectorAll('text')].map(text => text.getBoundingClientRect()))
            .flatMap(all => all.slice(1).map((each, place) => each.top - all[place].bottom))"""
    )
    assert len(gaps) > 10
    assert all(gap > 0 or gap < -10 for gap in gaps)  # labels of a line stand beside each other


def test_old_data_is_said_at_the_top_and_the_title_is_for_people(sample, seen):
    found = seen(sample)
    warning = found.ask("document.querySelector('p.warning').innerText")
    assert warning.startswith("The data is old: its newest row happened ")
    assert warning.endswith(" before this run, 2026-01-30 20:46:18 UTC.")
    title = found.ask("[document.title, document.querySelector('h1').innerText]")
    assert title[0] == title[1]
    assert re.fullmatch(r"Viewing, \d+ [A-Z][a-z]+ \d{4} \(run 1\)", title[0])


@pytest.mark.parametrize("width", [390, 1280])
def test_charts_are_drawn_and_no_wider_than_their_place(sample, seen, width):
    sizes = seen(sample, width).ask(
        """[...document.querySelectorAll(".chart svg")].map(svg => [
            svg.getBoundingClientRect().width - svg.parentElement.clientWidth,
            svg.getBoundingClientRect().height, svg.querySelectorAll("path, rect").length])"""
    )
    assert len(sizes) == 5
    for too_wide, height, marks in sizes:
        assert too_wide <= 0
        assert height > 150
        assert marks > 10


def test_nothing_is_drawn_of_nothing(empty, seen):
    found = seen(empty)
    assert found.ask("document.querySelectorAll('.chart').length") == 0
    assert "Nobody has a session yet." in found.ask("document.querySelector('.answer').innerText")


def test_abnormal_combination_is_marked_with_effect_and_p_and_explains_its_version(sample, seen):
    text = seen(sample).ask("document.querySelector('#q3_dropoff').innerText")
    assert "Abnormal: Android 5.2.0; without it neither Android nor 5.2.0 stands out." in text
    assert "▲ Android 5.2.0: 45.1% of 213 sessions, +33.3 points against the rest" in text
    assert "only by Android 5.2.0" in text
    marks = seen(sample).ask("[...document.querySelectorAll('strong.mark')].map(m => m.innerText)")
    assert marks == ["abnormal"]


def test_what_does_not_fit_is_counted(crowded, seen):
    text = seen(crowded).ask("document.querySelector('main').innerText")
    assert "Not drawn: the 480 values with the fewest sessions." in text
    assert "Not drawn: the 1,464 combinations with the fewest sessions." in text
    assert "1,000 more rows are not in this page." in text
    bars = "document.querySelectorAll('#q3_dropoff figure:nth-of-type(2) .mark-rect path').length"
    assert seen(crowded).ask(bars) == 20


def test_text_of_the_data_is_never_markup(odd, seen):
    found = seen(odd)
    assert found.ask("document.querySelectorAll('main img, main script:not(.spec)').length") == 0
    cells = found.ask(
        "[...document.querySelectorAll('#q2_retention td.text')].map(c => c.innerText)"
    )
    assert {*MARKUP} <= {*cells}
    samples = found.ask("[...document.querySelectorAll('.sample code')].map(c => c.textContent)")
    assert f'{{"user_id": "{MARKUP[1]}", "ip":"***"}}' in samples
    assert any(text.startswith(MARKUP[0]) and text.endswith("x…") for text in samples)


def test_tooltips_show_markup_as_text(odd, seen):
    found = seen(odd)
    told = set()
    for point in found.page.locator("#q2_retention .mark-symbol path[aria-label]").all():
        point.hover()
        told.add(found.page.locator("#vg-tooltip-element td.value").first.inner_text())
    assert {*MARKUP} <= told
    assert found.messages == []


def test_colours_follow_the_scheme(sample, seen, opened):
    script = """[getComputedStyle(document.body).backgroundColor,
        getComputedStyle(document.querySelector(".chart .role-axis-label text")).fill]"""
    light, dark = seen(sample).ask(script), opened(sample, scheme="dark").ask(script)
    assert light == ["rgb(246, 246, 243)", "rgb(89, 97, 107)"]
    assert dark == ["rgb(19, 21, 25)", "rgb(161, 168, 179)"]


def test_print_is_light_whole_and_not_cut(sample, opened):
    found = opened(sample, width=700, scheme="dark")
    found.page.emulate_media(media="print")
    found.ask("dispatchEvent(new Event('beforeprint'))")
    assert found.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert found.ask("document.querySelectorAll('details:not([open])').length") == 0
    hidden = (
        """[...document.querySelectorAll("tbody tr")].filter(row => !row.clientHeight).length"""
    )
    assert found.ask(hidden) == 0
    cut = """[...document.querySelectorAll(".chart svg, table, svg.lineage")].filter(
        each => each.getBoundingClientRect().right > innerWidth).length"""
    assert found.ask(cut) == 0
    found.ask("dispatchEvent(new Event('afterprint'))")
    assert found.ask("document.querySelectorAll('details:not([open])').length") > 10


class TestTables:
    @pytest.fixture
    def found(self, sample, seen):
        """A page of a width that no other test looks at, as its tables are sorted."""
        return seen(sample, 1300)

    def column(self, found, name):
        return found.ask(
            f"""(() => {{
                const table = document.querySelector("#q2_retention table");
                const heads = [...table.tHead.rows[0].cells];
                const place = heads.findIndex(head => head.innerText === "{name}");
                return [...table.tBodies[0].rows].map(row => row.cells[place].innerText);
            }})()"""
        )

    def heading(self, found, name):
        return found.page.locator("#q2_retention th button", has_text=name).first

    def test_numbers_sort_by_value_the_largest_first(self, found):
        self.heading(found, "users").click()
        numbers = [int(cell.replace(",", "")) for cell in self.column(found, "users")]
        assert numbers == [133, 104, 89, 68, 68, 50, 38, 30, 25, 17]
        self.heading(found, "users").click()
        assert [int(cell) for cell in self.column(found, "users")] == numbers[::-1]

    def test_keys_sort_too_and_say_how(self, found):
        self.heading(found, "genre").focus()
        found.page.keyboard.press("Enter")
        genres = self.column(found, "genre")
        assert genres == sorted(genres, key=str.casefold)
        sorts = "[...document.querySelectorAll('#q2_retention th')].map(h => h.ariaSort)"
        assert found.ask(sorts) == ["ascending", *["none"] * 7]

    def test_nothing_sorts_last_both_ways(self, found):
        rows = "[...document.querySelectorAll('#q3_dropoff table')].at(-1).tBodies[0].rows"
        ends = f"[0, 46].map(n => {rows}[n].querySelector('.p_value').innerText)"
        header = found.page.locator("#q3_dropoff table").last.get_by_text("adjusted p")
        header.click()
        assert found.ask(ends) == ["1", "\u2013"]
        header.click()
        assert found.ask(ends) == ["< 0.0001", "\u2013"]

    def test_long_ones_are_short_until_asked(self, found):
        rows = "[...document.querySelectorAll('#q3_dropoff table')].at(-1).tBodies[0].rows"
        seen = f"[...{rows}].filter(row => row.clientHeight).length"
        assert found.ask(seen) == 12
        found.page.locator("#q3_dropoff .more").click()
        assert found.ask(seen) == 47
