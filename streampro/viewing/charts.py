"""The charts of the report, from rows of numbers. Shares are drawn with their 95 % intervals.

Colours are those of the page (`streampro.report.Figure`); nothing is shown by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from streampro.viewing.values import ABNORMAL

Rows = Sequence[Mapping[str, Any]]
ACCENT, SECOND, ALERT = "var(--accent)", "var(--accent-2)", "var(--alert)"
INK, MUTED, CARD = "var(--ink)", "var(--muted)", "var(--card)"
_LINE = "\x1f"
"""Ends a line of an axis label."""
_ROOM_FOR_EFFECT = 1.85
"""How far the axis goes beyond an interval beside which its effect is written."""
_STEPS = [digit * 10.0**power for power in range(-6, 0) for digit in (1, 2, 2.5, 5)]
_LINE_HEIGHT, _CELL_HEIGHT = 46, 34
_LABEL_LIMIT = 130
"""Widest label in pixels; longer names end in an ellipsis, tooltip and table have them whole."""


def curve(rows: Rows) -> alt.LayerChart:
    """Return how many of a group pass each threshold.

    Rows: `seconds`, `share`, `low`, `high`, `is_asked` for the threshold of the question.
    """
    base = alt.Chart().encode(
        x=alt.X(
            "seconds:Q",
            title="seconds watched, at least (log scale)",
            scale=alt.Scale(type="log", nice=False, padding=24),
            axis=alt.Axis(values=[row["seconds"] for row in rows], grid=False, format="d"),
        ),
        tooltip=[
            alt.Tooltip("seconds:Q", title="seconds"),
            alt.Tooltip("share:Q", title="share", format=".1%"),
            alt.Tooltip("low:Q", title="from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
        ],
    )
    share = alt.Y(
        "share:Q",
        title="share of first sessions",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    colour = _when("datum.is_asked", ALERT, ACCENT)
    return _layered(
        rows,
        base.mark_area(opacity=0.15, color=ACCENT).encode(y="low:Q", y2="high:Q"),
        base.mark_line(color=ACCENT).encode(y=share),
        base.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q", color=colour),
        base.mark_point(size=60, filled=True, opacity=1).encode(y=share, color=colour),
        base.mark_text(dy=-16, dx=16, fontWeight="bold").encode(
            y="high:Q", text=alt.Text("share:Q", format=".1%")
        ),
        height=280,
    )


def pairs(rows: Rows, series: Sequence[str]) -> alt.LayerChart:
    """Return two shares per name below each other, the names in the order of the rows.

    Rows: `name`, `told` (a second line of the name), `series`, `share`, `low`, `high`.
    """
    limit = min(1.0, 1.05 * max(row["high"] for row in rows))
    base = alt.Chart().encode(
        y=_names([_label(row) for row in rows]),
        yOffset=alt.YOffset("series:N", sort=[*series], scale=alt.Scale(paddingOuter=0.7)),
        color=alt.Color(
            "series:N",
            sort=[*series],
            scale=alt.Scale(domain=[*series], range=[ACCENT, SECOND]),
            legend=alt.Legend(orient="top", title=None, columns=1, symbolSize=70, offset=4),
        ),
        tooltip=_tooltip("series"),
    )
    return _layered(
        [{**row, "label": _label(row)} for row in rows],
        base.mark_rule(strokeWidth=2).encode(x=_share("low", limit), x2="high:Q"),
        base.mark_point(size=70, filled=True, opacity=1).encode(
            x=_share("share", limit),
            shape=alt.Shape(
                "series:N",
                sort=[*series],
                scale=alt.Scale(domain=[*series], range=["circle", "square"]),
            ),
        ),
        height=_LINE_HEIGHT * len({_label(row) for row in rows}),
    )


def limit_of(rows: Rows) -> float:
    """Return the share up to which `bars` of these rows go, so that several share an axis."""
    ends = (row["high"] * (_ROOM_FOR_EFFECT if row["is_abnormal"] else 1.05) for row in rows)
    return max(ends, default=1.0)


def bars(rows: Rows, overall: float, limit: float) -> alt.LayerChart:
    """Return a bar per name in the order of the rows, against the `overall` share, up to `limit`.

    Rows: `name`, `told`, `share`, `low`, `high`, `is_abnormal`, `is_judged` (else too few to
    colour), `effect` (two lines).
    """
    labels = [_label(row) for row in rows]
    base = alt.Chart().encode(y=_names(labels), tooltip=_tooltip("effect"))
    return _layered(
        [{**row, "label": label} for row, label in zip(rows, labels, strict=True)],
        base.mark_bar(height={"band": 0.62}).encode(
            x=_share("share", limit),
            color=_when("datum.is_abnormal", ALERT, ACCENT),
            opacity=_when("datum.is_judged", 0.6, 0.25),
        ),
        base.mark_rule(strokeWidth=1.5, color=INK).encode(x="low:Q", x2="high:Q"),
        base.transform_filter("datum.is_abnormal")
        .mark_text(align="right", lineBreak=_LINE, dy=-6, fontWeight="bold", fill=ALERT)
        .encode(x=alt.value("width"), text="effect:N"),
        alt.Chart().mark_rule(strokeDash=[4, 3], color=MUTED).encode(x=alt.datum(overall)),
        height=_LINE_HEIGHT * len(rows),
    )


def heat_map(rows: Rows, columns: Sequence[str], lines: Sequence[str]) -> alt.LayerChart:
    """Return a cell per `column` and `line`, darker for a higher share.

    Rows: `column`, `line`, `few` (what is written where it is too small to judge, two lines), and
    what `bars` takes.
    """
    darkest = max([row["share"] for row in rows if row["is_judged"]], default=1) or 1
    base = alt.Chart().encode(
        x=alt.X(
            "column:N",
            sort=[*columns],
            title=None,
            axis=alt.Axis(orient="top", labelAngle=-45, labelLimit=90, domain=False, ticks=False),
        ),
        y=alt.Y(
            "line:N",
            sort=[*lines],
            title=None,
            axis=alt.Axis(labelLimit=100, domain=False, ticks=False),
        ),
        tooltip=[
            alt.Tooltip("name:N", title="combination"),
            alt.Tooltip("share:Q", title="share", format=".1%"),
            alt.Tooltip("interval:N", title="95 % interval"),
            alt.Tooltip("told:N", title="of"),
            alt.Tooltip("effect:N", title="against the rest"),
        ],
    )
    text = base.encode(text=alt.Text("share:Q", format=".0%"))
    return _layered(
        rows,
        base.transform_filter("datum.is_judged")
        .mark_rect(color=ACCENT, cornerRadius=2)
        .encode(
            fillOpacity=alt.FillOpacity(
                "share:Q", scale=alt.Scale(domain=[0, darkest], range=[0.05, 0.85]), legend=None
            )
        ),
        base.transform_filter("datum.is_abnormal").mark_rect(
            filled=False, stroke=ALERT, strokeWidth=3, cornerRadius=2
        ),
        base.transform_filter("!datum.is_judged")
        .mark_text(fill=MUTED, fontSize=10, lineBreak=_LINE, lineHeight=11, dy=-5)
        .encode(text="few:N"),
        text.transform_filter("datum.is_judged")
        .mark_text(fontSize=11)
        .encode(fill=_when(f"datum.share > {darkest * 0.6!r}", CARD, INK)),
        height=_CELL_HEIGHT * len(lines),
    )


def _layered(rows: Rows, *layers: alt.Chart, height: int) -> alt.LayerChart:
    return alt.LayerChart(
        layer=layers,
        data=alt.InlineData(values=[dict(row) for row in rows]),
        width="container",
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def _share(field: str, limit: float) -> alt.X:
    return alt.X(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(domain=[0, limit], nice=False),
        axis=alt.Axis(format="~%", values=_ticks(min(limit, 1.0)), labelFlush=False),
    )


def _ticks(limit: float) -> list[float]:
    """Return at most six round shares from 0 to a limit."""
    step = next(step for step in _STEPS if limit / step <= 5)
    return [round(number * step, 6) for number in range(int(limit / step) + 1)]


def _names(labels: Sequence[str]) -> alt.Y:
    is_marked = f"indexof(datum.label, '{ABNORMAL}') === 0"
    return alt.Y(
        "label:N",
        sort=[*labels],
        title=None,
        axis=alt.Axis(
            labelExpr=f"split(datum.label, '{_LINE}')",
            labelLimit=_LABEL_LIMIT,
            labelLineHeight=14,
            labelOffset=-7,
            labelColor={"condition": {"test": is_marked, "value": ALERT}, "value": INK},
            domain=False,
            ticks=False,
        ),
    )


def _label(row: Mapping[str, Any]) -> str:
    name = f"{ABNORMAL} {row['name']}" if row.get("is_abnormal") else str(row["name"])
    return _LINE.join([name.replace(_LINE, " "), row["told"]])


def _tooltip(also: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("name:N", title="name"),
        alt.Tooltip("told:N", title="of"),
        alt.Tooltip("share:Q", title="share", format=".1%"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip(f"{also}:N", title=" "),
    ]


def _when(test: str, value: str | float, otherwise: str | float) -> Any:
    return alt.condition(test, alt.value(value), alt.value(otherwise))
