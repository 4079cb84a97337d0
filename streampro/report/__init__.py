"""The report of a run: one HTML file that needs neither network nor program but a browser.

A pipeline brings its own questions by a function that `Pipeline(report="module:function")` names:

```python
from streampro.report import Answers, Ask, Column, Figure, Question, Table

def questions(answers: Answers, ask: Ask) -> list[Question]:
    rows = answers["sales_per_day"]
    table = Table((Column("day"), Column("sales", "count")), rows)
    chart = altair.Chart(altair.InlineData(values=rows)).mark_bar().encode(...)
    return [Question("sales_per_day", "How much is sold?", "...", "...", (Figure(...),))]
```

Without one the tables of the layer `answers` are shown as they are.
"""

from streampro.report.page import write_report
from streampro.report.question import (
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
