"""The lineage of a pipeline for people: as text, as Mermaid, as a drawing, as a page.

Every function tells of the tables, or with `column` of what the values of that column are made
from, table by table down to the fields of sources.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any
from unicodedata import east_asian_width

from streampro.expressions.columns import ROWS, ColumnRef
from streampro.lineage.drawing import Drawing, Size, draw
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.model import ANSWERS, Model
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source

BOX_HEIGHT = 44
_REJECTED_HEIGHT = 22
_LONGEST_NAME = 32
_WIDTH_OF_LETTER = 8.6
_PADDING = 22
_RESERVED = re.compile(
    "call|class|classdef|click|default|direction|end|flowchart|graph|href|interpolate|linkstyle|"
    "style|subgraph",
    re.IGNORECASE,
)
"""Words of Mermaid's flowcharts, which are no names of boxes."""


@dataclass(frozen=True)
class Box:
    """A table, a source or a column.

    Attributes:
        name: without what it belongs to.
        of: what it belongs to: a layer, the files of a source, a table.
        full_name: as commands take it.
        rejected: full name of the table with what the model rejects, empty if it rejects nothing.
    """

    name: str
    of: str
    full_name: str
    is_source: bool = False
    is_answer: bool = False
    rejected: str = ""

    @property
    def size(self) -> Size:
        """Return the size of the drawn box; its foot is the table with what is rejected."""
        texts = (self.name, self.of, self.rejected.rpartition(".")[2])
        width = max(_letters(shortened(each)) for each in texts) * _WIDTH_OF_LETTER + _PADDING
        foot = _REJECTED_HEIGHT if self.rejected else 0
        return Size(width, BOX_HEIGHT + foot, foot)


@dataclass(frozen=True)
class Graph:
    """Boxes by key, and the keys of those that each is made from."""

    title: str
    boxes: dict[str, Box]
    inputs: dict[str, list[str]]

    @cached_property
    def drawing(self) -> Drawing:
        """Where boxes and arrows stand."""
        sizes = {key: box.size for key, box in self.boxes.items()}
        return draw(self.inputs, self._generations(), sizes)

    def _generations(self) -> list[list[str]]:
        """Return the keys by depth: what is made from nothing else first."""
        sorter = TopologicalSorter(self.inputs)
        sorter.prepare()
        found = []
        while sorter.is_active():
            ready = sorter.get_ready()
            found.append([key for key in self.boxes if key in ready])
            sorter.done(*ready)
        return found


def text(pipeline: Pipeline, column: str | None = None) -> str:
    """Return the tables in building order with their inputs, or a column as a tree."""
    if column is None:
        return "\n".join(_tables_as_text(of_tables(pipeline)))
    lineage = Lineage(pipeline)
    asked = lineage.column(column)
    lines = [lineage.shown(asked), *_branches(lineage, asked, {asked})]
    if deciding := decides(lineage, asked):
        lines += ["", "Decided by (which rows there are, and whose values are taken):"]
        lines += [f"  {table}: {', '.join(names)}" for table, names in deciding.items()]
    return "\n".join(lines)


def mermaid(pipeline: Pipeline, column: str | None = None) -> str:
    """Return a Mermaid flowchart."""
    graph = _graph(pipeline, column)
    rejected = {key: f"{key}_rejected" for key, box in graph.boxes.items() if box.rejected}
    ids = _ids([*graph.boxes, *rejected.values()])
    lines = ["flowchart LR"]
    for key, box in graph.boxes.items():
        left, right = ("[/", "/]") if box.is_source else ("[", "]")
        lines.append(f"    {ids[key]}{left}{_quoted(box.full_name)}{right}")
    for key, box in graph.boxes.items():
        lines += [f"    {ids[each]} --> {ids[key]}" for each in graph.inputs[key]]
        if key in rejected:
            lines.append(f"    {ids[key]} -.-> {ids[rejected[key]]}[({_quoted(box.rejected)})]")
    return "\n".join(lines)


def svg(pipeline: Pipeline, column: str | None = None) -> str:
    """Return a drawing to embed in a page.

    It takes the page's colour of text, and `--accent` for answers, and shrinks with its container.
    """
    return _rendered("graph.svg", graph=_graph(pipeline, column))


def linked(graph: Graph, link: Callable[[str], str], here: str = "") -> str:
    """Return a drawing, in its own size, of tables whose boxes are links: `link` of a name is where
    one leads. The box of `here` stands out.
    """
    return _rendered("graph.svg", graph=graph, link=link, here=here)


def nearest(graph: Graph, name: str, most: int) -> Graph:
    """Return the part of a graph of the boxes that are the fewest steps away from one, either way,
    in the order of the graph; at most as many.
    """
    used_by: dict[str, list[str]] = {key: [] for key in graph.boxes}
    for key, inputs in graph.inputs.items():
        for each in inputs:
            used_by[each].append(key)
    found = [name]
    for each in found:
        if len(found) < most:
            found += [n for n in (*graph.inputs[each], *used_by[each]) if n not in found]
    kept = {*found[:most]}
    boxes = {key: box for key, box in graph.boxes.items() if key in kept}
    made_from = {key: [each for each in graph.inputs[key] if each in boxes] for key in boxes}
    return Graph(graph.boxes[name].full_name, boxes, made_from)


def html(pipeline: Pipeline, column: str | None = None) -> str:
    """Return a page of its own: the drawing, and what columns are made from in words."""
    lineage = Lineage(pipeline)
    asked = lineage.column(column) if column else None
    return _rendered(
        "graph.html",
        graph=_graph(pipeline, column),
        deciding=decides(lineage, asked) if asked else {},
        tables={} if asked else _columnsof_tables(lineage),
    )


def decides(lineage: Lineage, column: ColumnRef) -> dict[str, list[str]]:
    """Return per table, the nearest first, the columns that take no part in the values of a column
    but decide which rows there are, or whose values are taken, on all the way from the sources.
    """
    values = {*_values(lineage, column)}
    deciding = [e for e in lineage.upstream(column) if e not in values and e.column != ROWS]
    tables = [*reversed(lineage.tables), *lineage.pipeline.sources]
    by_table = {each: [e.column for e in deciding if e.table == each] for each in tables}
    return {lineage.shown_table(each): names for each, names in by_table.items() if names}


def shortened(name: str) -> str:
    """Return a name cut to what a box has room for."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\u2026"


def _graph(pipeline: Pipeline, column: str | None) -> Graph:
    return of_tables(pipeline) if column is None else _of_column(Lineage(pipeline), column)


def of_tables(pipeline: Pipeline) -> Graph:
    """Return the tables of a pipeline, and the sources that are read, by their names."""
    read = {name for model in pipeline.models.values() for name in model.inputs}
    sources = {name: _source(each) for name, each in pipeline.sources.items() if name in read}
    models = {name: _model(each) for name, each in pipeline.models.items()}
    inputs = {name: [*each.inputs] for name, each in pipeline.models.items()}
    return Graph(pipeline.name, sources | models, {name: [] for name in sources} | inputs)


def _of_column(lineage: Lineage, name: str) -> Graph:
    asked = lineage.column(name)
    inputs = _values(lineage, asked)
    boxes = {str(each): _column(lineage, each) for each in reversed(inputs)}
    made_from = {str(each): [*map(str, of)] for each, of in inputs.items()}
    return Graph(lineage.shown(asked), boxes, made_from)


def _source(source: Source) -> Box:
    first, *more = source.files
    files = f"{first}, \u2026" if more else first
    return Box(source.name, files, source.name, is_source=True)


def _model(model: Model) -> Box:
    rejected = model.rejected if model.quarantine else ""
    layer = model.table.layer
    return Box(model.name, layer, model.table, False, layer == ANSWERS, rejected)


def _column(lineage: Lineage, column: ColumnRef) -> Box:
    name = "rows" if column.column == ROWS else column.column
    is_source = column.table in lineage.pipeline.sources
    return Box(name, lineage.shown_table(column.table), lineage.shown(column), is_source)


def _values(lineage: Lineage, column: ColumnRef) -> dict[ColumnRef, list[ColumnRef]]:
    """Return a column and all that its values are made from, each with its own direct inputs."""
    upstream = lineage.upstream(column)
    found: dict[ColumnRef, list[ColumnRef]] = {}
    todo = [column]
    while todo:
        each = todo.pop(0)
        if each not in found:
            found[each] = [o.column for o in upstream[each] if o.how != "decides"]
            todo += found[each]
    return found


def _tables_as_text(graph: Graph) -> Iterator[str]:
    width = max(len(box.full_name) for box in graph.boxes.values())
    for key, box in graph.boxes.items():
        inputs = ", ".join(graph.boxes[each].full_name for each in graph.inputs[key])
        made_from = f"files {box.of}" if box.is_source else f"<- {inputs}"
        rejects = f"; rejects to {box.rejected}" if box.rejected else ""
        yield f"{box.full_name:{width}}  {made_from}{rejects}"


def _branches(lineage: Lineage, column: ColumnRef, seen: set[ColumnRef]) -> Iterator[str]:
    """Yield a line per origin of a column's values, and below it those of the origin, once."""
    origins = [each for each in lineage.origins(column) if each.how != "decides"]
    for number, origin in enumerate(origins, 1):
        is_last = number == len(origins)
        is_seen = origin.column in seen
        again = " (see above)" if is_seen and lineage.origins(origin.column) else ""
        yield f"{'└─' if is_last else '├─'} {origin.how} from {lineage.shown(origin.column)}{again}"
        seen.add(origin.column)
        for line in () if is_seen else _branches(lineage, origin.column, seen):
            yield f"{'   ' if is_last else '│  '}{line}"


def _columnsof_tables(lineage: Lineage) -> dict[str, list[dict[str, Any]]]:
    """Return per table a row per column: its name, and what it comes from by how."""
    return {
        lineage.shown_table(table): [
            {"name": name} | _by_how(lineage, ColumnRef(table, name)) for name in rows.columns
        ]
        for table, rows in lineage.tables.items()
    }


def _by_how(lineage: Lineage, column: ColumnRef) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"copied": [], "computed": [], "decides": []}
    for origin in lineage.origins(column):
        found[origin.how].append(lineage.shown(origin.column))
    return found


def _letters(text: str) -> int:
    """Return the width of a text in letters; an East Asian one is as wide as two."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _ids(keys: Sequence[str]) -> dict[str, str]:
    """Return ids that Mermaid can read: names where they are unique, otherwise numbers."""
    names = {key: re.sub(r"\W", "_", key, flags=re.ASCII) for key in keys}
    often = Counter(names.values())
    return {
        key: name
        if key.isascii() and often[name] == 1 and not _RESERVED.fullmatch(name)
        else str(number)
        for number, (key, name) in enumerate(names.items(), 1)
    }


def _quoted(label: str) -> str:
    return '"' + label.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;") + '"'


def _rendered(template: str, **values: Any) -> str:
    from streampro.pages import environment

    jinja = environment("streampro.lineage")
    jinja.filters["shortened"] = shortened
    jinja.globals |= {"box_height": BOX_HEIGHT, "link": None, "here": ""}
    return jinja.get_template(template).render(values)
