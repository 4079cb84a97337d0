"""What the report shows of tables about which nobody asks a question: read off their contracts.

Of each table that answers, or no model, are built from: how often its statements are true, each
with its interval; its rows and measures over event time; the values that its texts have most often.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import altair as alt
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from scipy.stats import binomtest

from streampro.modeling.columns.secrets import personal_columns
from streampro.modeling.model import ANSWERS, Model
from streampro.modeling.question import Column, Figure, Question, Rows, Table
from streampro.portable import count_if
from streampro.report.run_tables import RunTables, most_frequent

CONFIDENCE = 0.95
_MEASURES, _TEXTS, _VALUES = 3, 4, 8
"""Measures and texts of a table that are drawn, and values of a text."""
_LEAST_SHARE = 0.2
"""Of all rows, that these values have at least: what tells rows apart is not drawn."""
_LARGE = 10_000
"""From here on numbers at an axis are short."""
_LINE_HEIGHT, _LABEL_LIMIT = 28, 150
_ACCENT, _INK = "var(--accent)", "var(--ink)"


def default_questions(tables: RunTables) -> Iterator[Question]:
    """Yield what there is to see in each table; none of columns that are personal."""
    personal = personal_columns(tables.pipeline)
    for model in _shown(tables):
        hidden = personal.get(model.table, frozenset())
        figures = tuple(_figures(tables, model, [n for n in model.spec.schema if n not in hidden]))
        if figures:
            yield _question(tables, model, figures)


def _question(tables: RunTables, model: Model, figures: tuple[Figure, ...]) -> Question:
    rows = tables.snapshot.row_count(model.table)
    table = Table((Column("rows", "count"),), [{"rows": rows}])
    return Question(
        model=model.name,
        title=str(model.table),
        answer=f"{rows:,} rows." if rows != 1 else "1 row.",
        definition=" ".join((model.contract.__doc__ or "").split()),
        summary=table,
        figures=lambda _: figures,
    )


def _shown(tables: RunTables) -> list[Model]:
    models = tables.pipeline.models.values()
    read = {name for each in models if each.table.layer != ANSWERS for name in each.inputs}
    return [
        each
        for each in models
        if each.name not in read and each.table.layer != ANSWERS and tables.knows(each.name)
    ]


def _figures(tables: RunTables, model: Model, names: Sequence[str]) -> Iterator[Figure]:
    rows, schema = tables.table(model.table), model.spec.schema
    yield from _shares(tables, model, rows, [n for n in names if schema[n].is_boolean()])
    at = model.spec.event_time or next((n for n in names if _is_time(schema[n])), None)
    measures = [n for n in names if schema[n].is_numeric() and _unit(model, n)][:_MEASURES]
    if at in names:
        yield from _over_time(tables, model, rows, str(at), measures)
    apart = {*model.spec.key, *model.spec.references}
    texts = (n for n in names if schema[n].is_string() and n not in apart)
    tops = (figure for name in texts for figure in _top(tables, model, rows, name))
    yield from islice(tops, _TEXTS)


def _shares(
    tables: RunTables, model: Model, rows: ir.Table, names: Sequence[str]
) -> Iterator[Figure]:
    if not names:
        return
    counts = [
        each
        for n, name in enumerate(names)
        for each in (
            count_if(rows[name]).name(f"true_{n}"),
            count_if(rows[name].notnull()).name(f"known_{n}"),
        )
    ]
    [found] = tables.rows(rows.aggregate(counts))
    shares = []
    for n, name in enumerate(names):
        true, known = found[f"true_{n}"], found[f"known_{n}"]
        if known:
            interval = binomtest(true, known).proportion_ci(CONFIDENCE, method="wilson")
            ends = (float(interval.low), float(interval.high))
            shares.append(
                {"statement": name, "rows": known, "share": true / known, "interval": ends}
            )
    meaning = _meaning(model, names[0]) if len(names) == 1 else ""
    columns = (
        Column("statement", "text", meaning),
        Column("rows", "count", "rows in which it is known"),
        Column("share", "share", "of these in which it is true"),
        Column("interval", "interval", "95 % Wilson score interval of independent rows"),
    )
    if shares:
        drawn = [{**row, "low": row["interval"][0], "high": row["interval"][1]} for row in shares]
        yield Figure(
            "How often it is true",
            Table(columns, shares),
            _bars(drawn, "statement", "share", is_share=True),
            f"A bar for each of {len(shares)} statements with its share.",
            "Rows count as independent: where many are of one key, the intervals are too narrow.",
        )


def _over_time(
    tables: RunTables, model: Model, rows: ir.Table, at: str, measures: Sequence[str]
) -> Iterator[Figure]:
    when = rows[at]
    day = when if when.type().is_date() else when.truncate("D").date()
    known = rows.filter(when.notnull()).mutate(day.name("day"))
    exact = [name for name in measures if not known[name].type().is_floating()]
    sums = [known[name].sum().name(f"sum_{n}") for n, name in enumerate(exact)]
    by_day = tables.rows(
        known.group_by("day").aggregate([known.count().name("rows"), *sums]).order_by("day")
    )
    series = [("rows", "rows", "")]
    series += [(f"sum_{n}", name, _unit(model, name)) for n, name in enumerate(exact)]
    for key, name, unit in series if len(by_day) > 1 else ():
        table = Table(
            (Column("day"), Column(name, "number", _meaning(model, name))),
            [{"day": row["day"], name: row[key]} for row in by_day],
        )
        title = f"{name} per day of {at}" + (f", {unit}" if unit else "")
        yield Figure(title, table, _curve(by_day, key), f"A line over {len(by_day)} days.")


def _top(tables: RunTables, model: Model, rows: ir.Table, name: str) -> Iterator[Figure]:
    most = tables.rows(most_frequent(rows, name, _VALUES))
    all_rows = tables.snapshot.row_count(model.table)
    if len(most) < 2 or sum(row["rows"] for row in most) < _LEAST_SHARE * all_rows:
        return
    table = Table((Column("value", "text", _meaning(model, name)), Column("rows", "count")), most)
    yield Figure(
        f"Most frequent {name}",
        table,
        _bars(most, "value", "rows", is_share=False),
        f"A bar for each of the {len(most)} most frequent values.",
    )


def _bars(rows: Rows, name: str, value: str, *, is_share: bool) -> alt.LayerChart:
    labels = [str(row[name]) for row in rows]
    base = alt.Chart().encode(
        y=alt.Y(
            "label:N",
            sort=labels,
            title=None,
            axis=alt.Axis(labelLimit=_LABEL_LIMIT, domain=False, ticks=False),
        )
    )
    axis = alt.Axis(format="~%" if is_share else _format(row[value] for row in rows), tickCount=4)
    scale = alt.Scale(domain=[0, 1]) if is_share else alt.Scale(zero=True)
    layers = [
        base.mark_bar(height={"band": 0.62}, color=_ACCENT, opacity=0.6).encode(
            x=alt.X(f"{value}:Q", title=None, axis=axis, scale=scale)
        )
    ]
    if is_share:
        layers.append(base.mark_rule(strokeWidth=1.5, color=_INK).encode(x="low:Q", x2="high:Q"))
    kept = (value, "low", "high") if is_share else (value,)
    shown = [
        {"label": label, **{key: row[key] for key in kept}}
        for row, label in zip(rows, labels, strict=True)
    ]
    return _chart(shown, layers, _LINE_HEIGHT * len(rows) + 20)


def _curve(rows: Rows, value: str) -> alt.LayerChart:
    shown = [{"day": str(row["day"]), "value": float(row[value] or 0)} for row in rows]
    base = alt.Chart().encode(
        x=alt.X("day:T", title=None, axis=alt.Axis(grid=False, labelOverlap=True)),
        y=alt.Y(
            "value:Q",
            title=None,
            axis=alt.Axis(tickCount=4, format=_format(row["value"] for row in shown)),
        ),
    )
    return _chart(shown, [base.mark_line(color=_ACCENT), base.mark_point(color=_ACCENT)], 220)


def _chart(rows: list[dict[str, Any]], layers: list[alt.Chart], height: int) -> alt.LayerChart:
    return alt.LayerChart(
        layer=layers,
        data=alt.InlineData(values=rows),
        width="container",
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def _format(values: Iterable[Any]) -> str:
    return "~s" if max(map(abs, values), default=0) >= _LARGE else ",~f"


def _is_time(kind: dt.DataType) -> bool:
    return not kind.nullable and (kind.is_timestamp() or kind.is_date())


def _unit(model: Model, name: str) -> str:
    return str((model.spec.columns[name].metadata or {}).get("unit") or "")


def _meaning(model: Model, name: str) -> str:
    return model.spec.columns[name].description or "" if name in model.spec.columns else ""
