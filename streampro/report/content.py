"""What the page shows: all that is known of a run, as tables and short texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from pkgutil import resolve_name
from typing import Any

from markupsafe import Markup

from streampro.config import Target
from streampro.lineage import graph
from streampro.modeling.model import ANSWERS, Model, TableName
from streampro.modeling.pipeline import Pipeline
from streampro.modeling.quarantine import Books
from streampro.modeling.question import Column, Figure, Kind, Question, Rows, Table
from streampro.report import quality
from streampro.report.cells import written
from streampro.report.defaults import default_questions
from streampro.report.run_tables import RunTables
from streampro.warehouse import ledger
from streampro.warehouse.run import Run
from streampro.warehouse.snapshot import opened

_BYTES_PER_MB = 1e6
_FRESH_DAYS = 7
"""Older data is pointed out at the top of the page."""
_SHOWN_CODE = 12
"""Characters of a code hash; the ledger has all of them."""


@dataclass(frozen=True)
class Term:
    """A column of an answer as its contract defines it."""

    name: str
    meaning: str
    unit: str


@dataclass(frozen=True)
class Section:
    """A question and its figures, made from the tables of the run."""

    question: Question
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    Attributes:
        title: what the page is of, and when.
        stale: a sentence if the newest data was older than a week when the run ended, else "".
        answered: a section per question.
        missing: models that the run lacks.
        other_code: models whose present code is not that of the run.
        samples: a group of lines per reject reason.
        terms: per model that a section is of the columns of its contract.
        names: the table of each of these models.
        is_asked: whether sections answer questions, and do not show tables.
    """

    run: Run
    title: str
    stale: str
    answered: Sequence[Section]
    missing: Sequence[str]
    other_code: Sequence[str]
    terms: Mapping[str, Sequence[Term]]
    names: Mapping[str, TableName]
    is_asked: bool
    facts: Mapping[str, str]
    books: Table
    samples: Sequence[Mapping[str, Any]]
    warnings: Table
    freshness: Table
    late: Table
    lineage: Markup
    versions: Mapping[str, str]
    packages: Table
    tables: Table
    inputs: Table


def content_of(pipeline: Pipeline, target: Target, run: Run, session: Any = None) -> Content:
    """Return what the page shows of a run that can be read."""
    runs = ledger.runs(target.warehouse)
    with opened(target, run, session) as snapshot:
        tables = RunTables(snapshot, pipeline)
        answered = [
            Section(question, question.figures(tables.ask)) for question in _questions(tables)
        ]
        samples = quality.samples(tables)
        spans = quality.freshness(tables)
        warned = quality.warnings(tables)
    books = quality.whole_books(runs, run, pipeline)
    asked = {section.question.model for section in answered} & {*pipeline.models}
    return Content(
        run=run,
        title=_title(run),
        stale=_stale(run, spans),
        answered=answered,
        missing=tables.missing,
        other_code=tables.other_code,
        terms={name: _terms(pipeline.models[name]) for name in asked},
        names={name: pipeline.models[name].table for name in asked},
        is_asked=bool(pipeline.questions) and tables.is_of_the_present,
        facts=_facts(run, books, spans),
        books=_books_table(books),
        samples=_grouped(samples),
        warnings=_table([vars(each) for each in warned], "table", "rule", "rows"),
        freshness=_freshness_table(run, spans),
        late=_late_table(quality.late_rows(runs, run)),
        lineage=Markup(graph.svg(pipeline)),
        versions=_versions(run),
        packages=_table(
            [{"package": name, "version": is_at} for name, is_at in sorted(run.packages.items())],
            "package",
            "version",
        ),
        tables=_tables_table(run),
        inputs=_table(
            [vars(file) | {"bytes": file.size} for file in run.inputs], "source", "path", "bytes"
        ),
    )


def _questions(tables: RunTables) -> list[Question]:
    pipeline = tables.pipeline
    published = [item.table for item in tables.run.tables if item.table.layer == ANSWERS]
    rows = {table.name: tables.snapshot.small_table(table) for table in published}
    if pipeline.questions and tables.is_of_the_present:
        return list(resolve_name(pipeline.questions)(rows))
    plain = [_plain(name, each, pipeline.models.get(name)) for name, each in rows.items()]
    return [*plain, *(default_questions(tables) if not pipeline.questions else ())]


def _plain(name: str, rows: Rows, model: Model | None) -> Question:
    """Return an answer as its table, sorted by its key."""
    specs = model.spec.columns if model else {}
    names = list(rows[0]) if rows else list(specs)
    columns = [
        Column(
            each,
            _kind(rows, each, is_share=each in specs and _unit(specs[each]) == "share"),
            specs[each].description or "" if each in specs else "",
        )
        for each in names
    ]
    key = [each for each in (model.spec.key if model else ()) if each in names]
    plain = [n for n in names if not any(isinstance(row[n], list | dict) for row in rows)]
    in_order = sorted(rows, key=lambda row: [(row[n] is None, row[n]) for n in key or plain])
    table = Table(tuple(columns), in_order)
    return Question(
        model=name,
        title=name,
        answer=f"{len(rows):,} rows." if len(rows) != 1 else "1 row.",
        definition=" ".join((model.contract.__doc__ or "").split()) if model else "",
        summary=table,
        figures=lambda _: (Figure(name, table),),
    )


def _kind(rows: Rows, name: str, is_share: bool) -> Kind:
    if is_share:
        return "share"
    values = [row[name] for row in rows if row[name] is not None]
    is_number = values and not any(isinstance(v, bool | str) for v in values)
    return "number" if is_number and all(hasattr(v, "__float__") for v in values) else "text"


def _unit(spec: Any) -> str:
    return (spec.metadata or {}).get("unit") or ""


def _terms(model: Model) -> list[Term]:
    columns = model.spec.columns
    return [
        Term(name, columns[name].description or "", _unit(columns[name]))
        for name in model.spec.schema
    ]


def _title(run: Run) -> str:
    name = run.pipeline.replace("_", " ")
    return f"{name[:1].upper()}{name[1:]}, {run.finished_at:%-d %B %Y} (run {run.run_id})"


def _newest(spans: Rows) -> date | None:
    """Return when the newest row of all tables happened."""
    newest = {str(span["newest"]): span["newest"] for span in spans if span["newest"]}
    return newest[max(newest)] if newest else None


def _stale(run: Run, spans: Rows) -> str:
    newest = _newest(spans)
    if newest is None or (run.finished_at - _instant(newest)).days < _FRESH_DAYS:
        return ""
    return (
        f"The data is old: its newest row happened {_age(run, newest)} before this run, "
        f"{written(newest, 'text')}."
    )


def _facts(run: Run, books: Sequence[Books], spans: Rows) -> dict[str, str]:
    """Return the few figures at the top of the page."""
    lines = sum(account.records for account in books)
    rejected = sum(account.rejected for account in books)
    newest = _newest(spans)
    facts = {"raw lines read": written(lines, "count")} if books else {}
    if lines:
        facts["rejected, with reasons"] = f"{rejected:,} ({rejected / lines:.2%})"
    if newest:
        facts["newest event"] = written(newest, "text")
    return facts | {"run finished": written(run.finished_at.replace(microsecond=0), "text")}


def _table(rows: Rows, *names: str) -> Table:
    """Return a table of counts, where the first row has a whole number, and of texts."""
    first = rows[0] if rows else dict.fromkeys(names)
    kinds: dict[bool, Kind] = {True: "count", False: "text"}
    return Table(
        tuple(
            Column(name, kinds[any(isinstance(row[name], int) for row in rows or [first])])
            for name in names
        ),
        rows,
    )


def _books_table(books: Sequence[Books]) -> Table:
    rows = [
        vars(account)
        | {"kept, but odd": ", ".join(f"{n}: {c:,}" for n, c in account.warnings.items()) or None}
        for account in books
    ]
    elements = ["elements"] if any(account.elements is not None for account in books) else []
    return _table(
        rows, "source", "lines", *elements, "accepted", "duplicates", "rejected", "kept, but odd"
    )


def _grouped(samples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    def reason(row: Mapping[str, Any]) -> tuple[str, str, int]:
        return row["table"], row["reject_reason"], row["lines"]

    return [
        {"table": table, "reason": why, "lines": lines, "samples": list(rows)}
        for (table, why, lines), rows in groupby(samples, reason)
    ]


def _freshness_table(run: Run, spans: Rows) -> Table:
    rows = [dict(span) | {"before the run": _age(run, span["newest"])} for span in spans]
    return _table(rows, "table", "oldest", "newest", "before the run")


def _age(run: Run, newest: date | None) -> str | None:
    """Return how long before the run an instant was, or a day began; null for a later one."""
    if newest is None:
        return None
    age = run.finished_at - _instant(newest)
    return None if age.days < 0 else _duration(age.total_seconds())


def _instant(when: date) -> datetime:
    """Return an instant, of a day its begin."""
    if isinstance(when, datetime):
        return when
    return datetime(when.year, when.month, when.day, tzinfo=UTC)


def _late_table(rows: Rows) -> Table:
    written_rows = [
        dict(row) | {"latest by": None if row["latest by"] is None else _duration(row["latest by"])}
        for row in rows
    ]
    return _table(written_rows, "run", "finished", "table", "new rows", "late rows", "latest by")


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours // 24:,} days" if hours >= 48 else f"{hours} h {rest // 60:02} min"


def _versions(run: Run) -> dict[str, str]:
    seconds = (run.finished_at - run.started_at).total_seconds()
    return {
        "run": f"{run.run_id} ({run.kind})",
        "pipeline": run.pipeline,
        "target": run.target,
        "engine": run.engine,
        "started": written(run.started_at, "text"),
        "finished": f"{written(run.finished_at, 'text')}, after {seconds:.1f} s",
        "input files": f"{len(run.inputs):,}, "
        f"{sum(file.size for file in run.inputs) / _BYTES_PER_MB:,.1f} MB",
    }


def _tables_table(run: Run) -> Table:
    rows = [
        vars(item) | {"code": run.code.get(item.table.partition(".")[2], "")[:_SHOWN_CODE] or None}
        for item in run.tables
    ]
    return _table(rows, "table", "rows", "version", "code")
