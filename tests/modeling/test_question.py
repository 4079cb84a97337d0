"""A question as a notebook shows it."""

from streampro.modeling.question import Column, Question, Table


def test_a_notebook_shows_title_summary_and_sentences_as_text() -> None:
    table = Table((Column("<b>"), Column("share", "share")), [{"<b>": "<i>", "share": 0.5}])
    question = Question("q", "Is x < y?", "<script>", "", table, lambda _: (), summary_note="Yes.")
    html = question._repr_html_()
    assert html.endswith("<p>&lt;script&gt; Yes.</p>")
    assert "Is x &lt; y?" in html
    assert '<td style="text-align: left">&lt;i&gt;</td><td style="text-align: left">50.0%' in html


def test_a_question_without_rows_has_no_table_rows() -> None:
    question = Question("q", "Who?", "Nobody.", "", Table((Column("who"),), []), lambda _: ())
    assert (question.caption, question.summary.texts) == ("Nobody.", [])
