"""What models, contracts and sources declare of every table: it needs no run."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from textwrap import dedent
from typing import Any
from urllib.parse import quote

import ibis.expr.datatypes as dt
from markupsafe import Markup

from streampro.engines.compiled import compiled_everywhere
from streampro.expressions.columns import ROWS, ColumnRef, How
from streampro.formats.registry import format_of
from streampro.lineage import graph
from streampro.modeling.audit import key_rule, reference_rule, severity_of
from streampro.modeling.columns.lineage import Lineage
from streampro.modeling.columns.secrets import withheld_columns
from streampro.modeling.contract import Contract, Rejected
from streampro.modeling.model import Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.source import Source
from streampro.modeling.spec import spec_of

_AROUND, _MOST = 24, 60
"""Tables and sources that are drawn around one, and those beyond which not all are drawn."""
_VALUES: tuple[How, ...] = ("copied", "computed")


@dataclass(frozen=True)
class Link:
    """A text that leads to a page of the site, `href` as seen from its first page."""

    text: str
    href: str


@dataclass(frozen=True)
class Column:
    """A column of a table, or a field of a source.

    Attributes:
        marks: short words on it: key, event time, personal, what it references.
        is_withheld: no value of it may be shown.
        made_from: per `copied`, `computed` and `decides` the columns that it comes from; what
            decides about all rows of its table is told there.
        used_in: the columns whose values are made from it, and tables whose rows it decides about.
    """

    name: str
    kind: str
    unit: str
    meaning: str
    marks: tuple[str, ...]
    is_withheld: bool
    made_from: Mapping[str, Sequence[Link]]
    used_in: Sequence[Link]


@dataclass(frozen=True)
class Code:
    """A text of code, and what it is."""

    title: str
    text: str


@dataclass(frozen=True)
class Entry:
    """A table or a source, as it has a page.

    Attributes:
        name: full name, `layer.table` of tables.
        kind: `table`, `rejected` for a table of rejected lines, or `source`.
        page: where its page is in the site.
        grain: what a row is, the first paragraph that says it; "" of sources.
        about: what else its contract and its model say of it.
        facts: short texts by what they are: owner, tags, files.
        rules: severity by the name of each rule.
        decided_by: the columns that decide which rows there are.
        drawing: what it is built from and what from it, None where nothing reads a source.
    """

    name: str
    kind: str
    layer: str
    page: str
    grain: str
    about: str
    key: tuple[str, ...]
    facts: Mapping[str, str]
    columns: Sequence[Column]
    rules: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Link] = ()
    outputs: Sequence[Link] = ()
    rejects_to: Link | None = None
    decided_by: Sequence[Link] = ()
    drawing: Markup | None = None
    codes: Sequence[Code] = ()

    @property
    def has_lineage(self) -> bool:
        """Whether a column comes from another one or is used."""
        return any(each.used_in or any(each.made_from.values()) for each in self.columns)


class Declared:
    """All that a pipeline declares.

    Raises `PipelineError` for an operation whose lineage is not known.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.withheld = withheld_columns(pipeline)
        self._lineage = Lineage(pipeline)
        self._graph = graph.of_tables(pipeline)
        self.pages = {name: f"sources/{name}.html" for name in pipeline.sources}
        self.pages |= {table.name: f"tables/{table}.html" for table in pipeline.tables()}

    @cached_property
    def entries(self) -> list[Entry]:
        """Every table in building order, rejected ones behind theirs, then every source."""
        tables: list[Entry] = []
        for model in self.pipeline.models.values():
            tables += [self._table(model)]
            tables += [self._rejected(model)] if model.quarantine else []
        return [*tables, *map(self._source, self.pipeline.sources.values())]

    def drawing(self) -> Markup | None:
        """Return a drawing of all tables, to stand on a page beside the first one; None where there
        are too many for a reader to find anything.
        """
        if len(self._graph.boxes) > _MOST:
            return None
        return Markup(graph.linked(self._graph, lambda name: self.pages[name]))

    def shows(self, table: str, names: Sequence[str]) -> bool:
        """Tell whether values of all these columns of a table may be shown."""
        return self.withheld.isdisjoint(ColumnRef(table, name) for name in names)

    def _table(self, model: Model) -> Entry:
        name, spec = model.name, model.spec
        grain, about = _told(spec.grain, inspect.getdoc(inspect.unwrap(model.transform)))
        return Entry(
            name=model.table,
            kind="table",
            layer=model.table.layer,
            page=self.pages[name],
            grain=grain,
            about=about,
            key=spec.key,
            facts=_facts(model) | self._when(model.table) | self._exports(model.table),
            columns=self._columns(name, spec.schema, lambda each: _said(model.contract, each)),
            rules=_rules(model),
            inputs=[self._link(each) for each in model.inputs],
            outputs=self._readers(name),
            rejects_to=self._link(model.rejected.name) if model.quarantine else None,
            decided_by=self._made_from(ColumnRef(name, ROWS))["decides"],
            drawing=self._drawn(name),
            codes=self._codes(model),
        )

    def _rejected(self, model: Model) -> Entry:
        table = model.rejected
        grain, about = _told(Rejected.__doc__, None)
        return Entry(
            name=table,
            kind="rejected",
            layer=table.layer,
            page=self.pages[table.name],
            grain=grain,
            about=about,
            key=(),
            facts=self._exports(table),
            columns=self._columns(
                table.name, spec_of(Rejected).schema, lambda each: _said(Rejected, each)
            ),
            inputs=[self._link(model.name)],
            drawing=self._drawn(model.name),
        )

    def _source(self, source: Source) -> Entry:
        secret = {*source.secret_fields}

        def said(name: str) -> tuple[str, str, tuple[str, ...]]:
            path = ".".join(source.fields.get(name, ()))
            return "", f"Read from {path}." if path else "", ("secret",) if name in secret else ()

        return Entry(
            name=source.name,
            kind="source",
            layer="sources",
            page=self.pages[source.name],
            grain="",
            about="",
            key=source.key,
            facts={
                "files": ", ".join(source.files),
                "format": format_of(source).name,
                "limits": str(source.limits),
            }
            | ({"secret": ", ".join(source.secret)} if source.secret else {}),
            columns=self._columns(source.name, source.schema, said),
            outputs=self._readers(source.name),
            drawing=self._drawn(source.name) if source.name in self._graph.boxes else None,
        )

    def _columns(
        self,
        table: str,
        schema: Mapping[str, dt.DataType],
        said: Callable[[str], tuple[str, str, tuple[str, ...]]],
    ) -> list[Column]:
        found = []
        for name, kind in schema.items():
            column = ColumnRef(table, name)
            unit, meaning, marks = said(name)
            found.append(
                Column(
                    name=name,
                    kind=str(kind).removeprefix("!"),
                    unit=unit,
                    meaning=meaning,
                    marks=marks,
                    is_withheld=column in self.withheld,
                    made_from=self._made_from(column),
                    used_in=self._used_in.get(column, ()),
                )
            )
        return found

    def _made_from(self, column: ColumnRef) -> dict[str, list[Link]]:
        """Return the origins of a column by how, without those that decide about all rows."""
        found: dict[str, list[Link]] = {"copied": [], "computed": [], "decides": []}
        of_rows = self._deciding(column.table) if column.column != ROWS else set()
        for origin in self._lineage.origins(column):
            if not (origin.how == "decides" and origin.column in of_rows):
                found[origin.how].append(self._link_to(origin.column))
        return found

    def _deciding(self, table: str) -> set[ColumnRef]:
        if table in self.pipeline.sources:
            return set()
        return {each.column for each in self._lineage.origins(ColumnRef(table, ROWS))}

    @cached_property
    def _used_in(self) -> Mapping[ColumnRef, Sequence[Link]]:
        """Per column those that are made from it, and the tables whose rows it decides about."""
        found: dict[ColumnRef, list[Link]] = defaultdict(list)
        for table, rows in self._lineage.tables.items():
            for column in (ColumnRef(table, name) for name in rows.columns):
                for origin in self._lineage.origins(column):
                    if origin.how in _VALUES:
                        found[origin.column].append(self._link_to(column))
            for origin in self._lineage.origins(ColumnRef(table, ROWS)):
                found[origin.column].append(self._link_to(ColumnRef(table, ROWS)))
        return found

    def _readers(self, name: str) -> list[Link]:
        models = self.pipeline.models.values()
        return [self._link(each.name) for each in models if name in each.inputs]

    def _when(self, table: TableName) -> dict[str, str]:
        told = self._by_runs.get(table)
        return {"depends on when runs were": told.partition(": ")[2]} if told else {}

    @cached_property
    def _by_runs(self) -> Mapping[TableName, str]:
        return self.pipeline.by_runs()

    def _exports(self, table: TableName) -> dict[str, str]:
        places = [each.to for each in self.pipeline.exports if each.table == table]
        return {"exported to": ", ".join(places)} if places else {}

    def _link(self, name: str) -> Link:
        return Link(self._lineage.shown_table(name), self.pages[name])

    def _link_to(self, column: ColumnRef) -> Link:
        """Return a link to a column on the page of its table; to the page for its rows."""
        page, name = self._link(column.table), column.column
        if name == ROWS:
            return Link(f"rows of {page.text}", page.href)
        return Link(f"{page.text}.{name}", f"{page.href}#lineage-{quote(name)}")

    def _drawn(self, name: str) -> Markup:
        near = graph.nearest(self._graph, name, _AROUND)
        return Markup(graph.linked(near, lambda each: f"../{self.pages[each]}", name))

    def _codes(self, model: Model) -> list[Code]:
        sql = compiled_everywhere(self.pipeline, model.name)
        found = [Code("Model", _code(model.transform)), Code("Contract", _code(model.contract))]
        found += [Code(f"SQL for {engine}", text) for engine, text in sql.items()]
        return [each for each in found if each.text]


def _told(*texts: str | None) -> tuple[str, str]:
    """Return the first paragraph of the first text that says something, and all other ones."""
    parts = [
        " ".join(part.split())
        for text in texts
        for part in inspect.cleandoc(text or "").split("\n\n")
        if part.strip()
    ]
    if not parts:
        return "", ""
    grain, *more = parts
    return grain, "\n".join(filter(None, (part.removeprefix(grain).strip() for part in more)))


def _facts(model: Model) -> dict[str, str]:
    said = {
        "owner": model.owner,
        "tags": ", ".join(model.tags),
        "incremental by": model.incremental_by,
        "allowed": "; ".join(f"{each}: {why}" for each, why in model.allow.items()),
    }
    return {name: text for name, text in said.items() if text}


def _said(contract: type[Contract], name: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the unit of a column, its meaning, and its marks."""
    spec = spec_of(contract)
    column = spec.columns[name]
    marks = {
        "key": name in spec.key and len(spec.key) < len(spec.columns),
        "event time": name == spec.event_time,
        "may be null": column.nullable,
        "personal": name not in spec.bounded,
        f"references {'.'.join(column.references or ())}": bool(column.references),
    }
    return (
        column.unit or "",
        column.description or "",
        tuple(m for m, is_so in marks.items() if is_so),
    )


def _rules(model: Model) -> dict[str, str]:
    spec = model.spec
    names = [key_rule(spec.key)] if spec.key else []
    names += [rule.name for rule in spec.rules]
    names += [reference_rule(name, *where) for name, where in spec.references.items()]
    return {name: severity_of(model.contract, name) for name in names}


@cache
def _code(thing: Any) -> str:
    """Return the code of a function or class as it was written, "" where no file has it. For each
    class Python parses its whole file, and models share contracts.
    """
    if sql := getattr(thing, "__sql__", ""):
        return str(sql).strip("\n")
    try:
        return dedent(inspect.getsource(thing)).strip("\n")
    except (OSError, TypeError):
        return ""
