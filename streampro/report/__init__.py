"""The report of a run: one HTML file that needs neither network nor program but a browser.

A pipeline brings its own questions by a function that `Pipeline(questions="module:function")`
names. The console prints title, answer and summary; the report shows the rest too:

```python
from streampro.report import Answers, Ask, Column, Figure, Question, Table

def questions(answers: Answers) -> list[Question]:
    table = Table((Column("day"), Column("sales", "count")), answers["sales_per_day"])

    def figures(ask: Ask) -> tuple[Figure, ...]:
        import altair

        chart = altair.Chart(altair.InlineData(values=table.rows)).mark_bar().encode(...)
        return (Figure("Sales per day", table, chart),)

    return [Question("sales_per_day", "How much is sold?", "...", "...", table, figures)]
```

Without one the tables of the layer `answers` are shown as they are. `write_report` is imported on
first use, because the page draws with Altair, and the console must not wait for that.
"""

from typing import TYPE_CHECKING, Any

from streampro.modeling.question import (
    MOST_ROWS,
    Answers,
    Ask,
    Column,
    Figure,
    Question,
    Questions,
    Table,
    p_value_text,
    points_text,
    share_text,
)

if TYPE_CHECKING:
    from streampro.report.page import write_report

__all__ = [
    "MOST_ROWS",
    "Answers",
    "Ask",
    "Column",
    "Figure",
    "Question",
    "Questions",
    "Table",
    "p_value_text",
    "points_text",
    "share_text",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from streampro.report.page import write_report

    return write_report
