"""Control signs of the data never reach a terminal as they are."""

import json
import sys

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from markupsafe import Markup

from streampro.console.explanation import show_explanation
from streampro.console.output import print_rows
from streampro.console.progress import ProgressBars
from streampro.console.tables import show_table
from streampro.errors import printable
from streampro.lineage.explain import Explanation
from streampro.lineage.trace import Line, Step
from streampro.modeling.question import json_text
from streampro.pages import environment


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\x00\x7f\x9b", r"a\x00\x7f\x9b"),
        ("\u202eabc\u2066", r"\u202eabc\u2066"),
        ("end\r", r"end\r"),
        ("line\n\ttab, é \u00a0 日本 \U0001f600 [b] \\x1b", None),
    ],
)
def test_control_signs_are_shown_as_escapes(text: str, shown: str | None) -> None:
    assert printable(text) == (text if shown is None else shown)


def test_tables_and_notices_hold_no_control_sign(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("ti\x1btle", [{"na\x9bme": "\x1b]0;x\x07[bold]"}], "capt\u202eion")
    ProgressBars().notice("no source reads a\x1b[2J\n.jsonl")
    out, err = capsys.readouterr()
    assert all(text in out for text in (r"ti\x1btle", r"na\x9bme", r"\x1b]0;x\x07[bold]"))
    assert r"capt\u202eion" in out
    assert err == "note: no source reads a\\x1b[2J\\n.jsonl\n"


@pytest.mark.parametrize(
    ("is_terminal", "shown"), [(True, r"a\x1b[2J\x07\r"), (False, "a\x1b[2J\x07\r")]
)
def test_csv_is_as_it_is_but_on_a_terminal(
    is_terminal: bool,
    shown: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    print_rows(pa.table({"t": ["a\x1b[2J\x07\r"]}), "csv")
    sys.stdout.flush()
    assert capfd.readouterr().out == f'"t"\n"{shown}"\n'


def test_names_of_files_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line("src", "a\n\x1b\u2028b.jsonl", 3, "{}")
    found = Explanation(
        "s.m",
        None,
        1,
        None,
        (),
        ("A table.",),
        (),
        "",
        {},
        (Step("s.m", 1, 1, 0, False),),
        (line,),
        (),
    )
    show_explanation(found)
    assert "  a\\n\\x1b\\u2028b.jsonl:3\n    {}\n" in capsys.readouterr().out


@pytest.mark.slow
@given(
    st.text() | st.sampled_from(["\x9b2J", "\u202e", "\x7f\t\n", '\\"\x1b']),
    st.sampled_from([None, 2]),
)
def test_json_holds_no_control_sign_and_says_the_same(text: str, indent: int | None) -> None:
    said = json_text({text: [text]}, indent=indent)
    assert printable(said) == said
    assert json.loads(said) == {text: [text]}


def test_pages_hold_no_control_sign() -> None:
    page = environment("streampro.report").from_string("<p>{{ text }}{{ own }}</p>")
    shown = page.render(text="<a\x1b\u202e>", own=Markup("<b>\x1b</b>"))
    assert shown == r"<p>&lt;a\x1b\u202e&gt;" + "<b>\x1b</b></p>"
