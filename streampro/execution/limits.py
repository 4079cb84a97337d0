"""The limits of a source, held against what a run made of its lines."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir

from streampro.engines.protocol import Engine, Quarantined, Raw, Staged, row_count
from streampro.errors import PipelineError, SourceError, number_of
from streampro.execution.inputs import Files
from streampro.expressions.rows import contributions
from streampro.formats.registry import format_of
from streampro.modeling.model import UNREADABLE, Model
from streampro.modeling.quarantine import NOT_TEXT, NUL, Books, masked
from streampro.modeling.source import FEWEST, Reaction, Source
from streampro.names import named, ours
from streampro.portable import count_if
from streampro.warehouse.changes import unknown
from streampro.warehouse.run import Warned

_LINE_BY_LINE = (
    ops.Distinct,
    ops.DropColumns,
    ops.DropNull,
    ops.FillNull,
    ops.Filter,
    ops.Limit,
    ops.PhysicalTable,
    ops.Project,
    ops.Sort,
)
"""What makes at most a row of each row."""
_ROWS = ours("rows")
_DROPS = (
    ops.Difference,
    ops.DropNull,
    ops.Filter,
    ops.Intersection,
    ops.JoinChain,
    ops.Limit,
    ops.TableUnnest,
    ops.Unnest,
)
"""What leaves out rows."""
_WARNS = 'rejected="warn"'
_SHOWN = 3
_LONGEST = 120
"""Files and lines that a message shows, and the characters of a line."""


@dataclass(frozen=True)
class Excess:
    """What is beyond a limit: `rule` for the warnings, `rows` it is about, `said` for the error,
    and the argument of `Limits` that allows it.
    """

    rule: str
    rows: int
    said: str
    reaction: Reaction
    allowed_by: str


def held(source: Source, model: Model, excesses: Iterable[Excess]) -> tuple[Warned, ...]:
    """Return a warning per excess that only warns. Raises `SourceError` for one that fails."""
    warnings = []
    for each in excesses:
        if each.reaction == "fail":
            raise SourceError(
                f"source {source.name!r}: {each.said} Nothing was published. If that is right, "
                f"say so in the source: limits=Limits({each.allowed_by})."
            )
        warnings.append(Warned(model.table, each.rule, each.rows))
    return tuple(warnings)


def refuse_lost_files(source: Source, files: Files) -> None:
    """Raise `SourceError` where more of the known files are gone than a source allows; the files of
    a table are those that its log tells.
    """
    if format_of(source).is_table:
        return
    gone, share = len(files.gone), source.limits.lost_files_share
    if gone <= share * files.known:
        return
    raise SourceError(
        f"source {source.name!r}: {gone:,} of {files.known:,} files that the last run read are "
        f"gone, more than {share:.0%}: {_shown(files.gone)}. Nothing was published. If they were "
        "removed on purpose, run with --accept-lost-files (accept_lost_files=True); to allow it "
        "always, say so in the source: "
        f"limits=Limits(lost_files_share={_rounded_up(gone / files.known)})."
    )


@dataclass(frozen=True)
class OddLines:
    """Lines of a source that are not what they should be: `what` they are in a word, how many of
    how many by reason, and the lines with `reject_reason`, `source_file` and `raw_line`; and in how
    many a value is not of its type.
    """

    what: str
    of: int
    reasons: Mapping[str, int]
    rows: ir.Table
    values: int = 0

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(self.reasons.values())


def rejected(quarantined: Quarantined, books: Books) -> OddLines:
    """Return the lines that a model rejected."""
    return OddLines("rejected", books.records, books.reasons, quarantined.rejected.data)


def unreadable(engine: Engine, source: Source, raw: Raw) -> OddLines:
    """Return the lines of which nothing can be read: those that are not what their format says, or
    no text.
    """
    tells, is_typed = format_of(source).tells_readable(source), source.tells_unreadable
    reason, is_odd = NOT_TEXT, raw.table.raw_line.contains(NUL)
    if tells:
        reason, is_odd = f"not {tells.removeprefix('is_')}", ~raw.table[tells]
    elif is_typed:
        is_odd = raw.table.raw_line.isnull()  # of none: a literal is no column to count
    lines = raw.table.filter(is_odd)
    rows = lines.mutate(
        reject_reason=ibis.literal(reason), raw_line=masked(lines.raw_line, source.secret)
    )
    counts = {"lines": count_if(is_odd)}
    if is_typed:
        counts["values"] = count_if(raw.table[UNREADABLE])
    [found] = engine.fetch(raw.table.aggregate(named(counts))).to_pylist()
    odd, values = found["lines"], found.get("values", 0)
    return OddLines("unreadable", raw.lines, {reason: odd}, rows, values)


def too_many(engine: Engine, source: Source, raw: Raw, odd: OddLines) -> Iterator[Excess]:
    """Yield what is beyond the limits of lines that are rejected, or of which nothing is read."""
    limits, what = source.limits, odd.what
    if not odd.count:
        return
    share = odd.count / odd.of
    reasons = ", ".join(f"{name} {count:,}" for name, count in odd.reasons.items())
    found = f"{what} lines: {odd.count:,} of {odd.of:,} ({reasons})"
    first = _first(engine, odd.rows)
    if joined := _joined(engine, source, odd.rows):
        yield Excess(
            f"{what} lines that are several", sum(joined.values()),
            f"{number_of(sum(joined.values()), 'line')} of {_shown(joined)} hold several records, "
            "as these end in CR alone, so that nobody can count what is lost. Save it with LF or "
            f"CR LF; {found}.{first}",
            limits.rejected, _WARNS,
        )  # fmt: skip
    if odd.of >= FEWEST and share > limits.rejected_share:
        yield Excess(
            f"too many {what} lines", odd.count,
            f"{found}, more than {limits.rejected_share:.0%}.{first}",
            limits.rejected, f"rejected_share={_rounded_up(share)}" if share < 1 else _WARNS,
        )  # fmt: skip
    if limits.rejected_lines is not None and odd.count > limits.rejected_lines:
        yield Excess(
            f"too many {what} lines", odd.count,
            f"{found}, more than {limits.rejected_lines:,}.{first}",
            limits.rejected, f"rejected_lines={odd.count}",
        )  # fmt: skip
    if whole := _wholly(engine, raw.by_file, odd.rows):
        yield Excess(
            f"files with no line that is not {what}", sum(whole.values()),
            f"all lines of {_shown(whole)} are {what}; {found}.{first}",
            limits.rejected, _WARNS,
        )  # fmt: skip


def told(raw: Raw, odd: OddLines, beyond: Collection[Excess]) -> Iterator[Excess]:
    """Yield what books would tell of a source, for a model that keeps none, and what is not told
    as `beyond` a limit.
    """
    for rule, lines in (
        (f"{odd.what} lines", odd.count),
        ("unreadable_value", odd.values),
        ("invalid_utf8", raw.invalid_utf8),
    ):
        if lines and f"too many {rule}" not in {each.rule for each in beyond}:
            yield Excess(rule, lines, "", "warn", "")


def never_given(
    engine: Engine, source: Source, staged: Staged, known: ir.Table | None
) -> Iterator[Excess]:
    """Yield a column that is null in every row that is not `known` already, which tables that are
    built anew have from the run before.
    """
    if staged.rows < FEWEST:
        return
    rows = staged.data if known is None else unknown(staged.data, known)
    counts = {name: rows[name].count() for name in rows.columns}
    [found] = engine.fetch(rows.aggregate([rows.count().name(_ROWS), *named(counts)])).to_pylist()
    number = found.pop(_ROWS)
    for name, given in found.items():
        if not given and number >= FEWEST:
            yield Excess(
                f"{name} is never given", number,
                f"{name} is null in all {number:,} rows that are new. Is the key or "
                "column of its field spelled otherwise in the files?",
                source.limits.never_given, 'never_given="warn"',
            )  # fmt: skip


def no_element(source: Source, raw: Raw) -> Iterator[Excess]:
    """Yield that no line has an element of the list of which a source makes its rows."""
    if raw.holding and not raw.lines:
        place = ".".join(source.rows)
        yield Excess(
            f"{place} is never given", raw.holding,
            f"none of {raw.holding:,} lines has an element in {place}. Is its key spelled "
            "otherwise in the files?",
            source.limits.never_given, 'never_given="warn"',
        )  # fmt: skip


def is_line_by_line(expression: ir.Table) -> bool:
    """Tell whether each row of a model is made of one line of its own."""
    root = expression.op()
    are_lines = all(isinstance(each, _LINE_BY_LINE) for each in root.find(ops.Relation))
    return are_lines and not root.find(ops.Unnest)


def left_out(
    engine: Engine,
    model: Model,
    expression: ir.Table,
    inputs: Mapping[str, ir.Table],
    read: Mapping[str, Raw],
    made: Staged,
) -> Iterator[Warned]:
    """Yield how many lines of each source `read` have no part in any row of a model that keeps no
    books, as those that a filter or a join drops; all of them, where that cannot be told.
    """
    what = "that are no row"
    if is_line_by_line(expression):
        found = {name: raw.lines - made.rows for name, raw in read.items()}
    elif expression.op().find(_DROPS):
        try:
            found = _without_part(engine, model, inputs, read, made)
        except PipelineError:
            found, what = {name: raw.lines for name, raw in read.items()}, "that may be no row"
    else:
        return
    for name, lines in found.items():
        if lines:
            lines_of = "lines" if len(read) == 1 else f"lines of {name}"
            yield Warned(model.table, f"{lines_of} {what}", lines)


def _without_part(
    engine: Engine,
    model: Model,
    inputs: Mapping[str, ir.Table],
    read: Mapping[str, Raw],
    made: Staged,
) -> dict[str, int]:
    rows, schema = model(**inputs), model.spec.schema
    plain = [name for name, kind in schema.items() if not kind.is_nested()]
    known = made.data.select(*(model.spec.key or plain))
    parts = contributions(rows, inputs, known, schema, engine.cache)
    return {
        name: raw.lines
        - sum(row_count(engine, each) for each in (part.rows, part.deciding) if each is not None)
        for name, raw in read.items()
        if (part := parts[name]).rows is not None or not part.decides_as_a_whole
    }


def vanished(
    engine: Engine, source: Source, model: Model, before: ir.Table, now: ir.Table
) -> Iterator[Excess]:
    """Yield that too many rows of the last run are there no more, by their keys, or as a whole
    where they have none.
    """
    key, limits = [*model.spec.key], source.limits
    gone = before.anti_join(now, key) if key else unknown(before, now)
    counts = before.aggregate(before=before.count()).cross_join(gone.aggregate(gone=gone.count()))
    [row] = engine.fetch(counts).to_pylist()
    if row["before"] >= FEWEST and row["gone"] > limits.vanished_share * row["before"]:
        yield Excess(
            "rows vanished", row["gone"],
            f"{row['gone']:,} of {row['before']:,} rows of {model.table} vanished, more than "
            f"{limits.vanished_share:.0%}.",
            limits.vanished, f"vanished_share={_rounded_up(row['gone'] / row['before'])}",
        )  # fmt: skip


def stale(
    engine: Engine, source: Source, model: Model, table: ir.Table, rows: int
) -> Iterator[Excess]:
    """Yield that the newest event of a table is older than the source allows, or that it has none.
    Events that are to come, a day or more, do not make it fresh.
    """
    oldest, at = source.limits.freshness, model.spec.event_time
    if oldest is None or at is None:
        return
    now, when = datetime.now(UTC), table[at]
    end = now + timedelta(days=1)
    is_past = when < ibis.literal(end.date() if when.type().is_date() else end, when.type())
    [row] = engine.fetch(table.aggregate(newest=when.max(where=is_past))).to_pylist()
    newest = row["newest"]
    if isinstance(newest, date) and not isinstance(newest, datetime):
        newest = datetime.combine(newest, time.max, UTC)
    if newest is None or now - newest > oldest:
        found = (
            f"no {at} of {model.table} is in the past."
            if newest is None
            else f"the newest {at} of {model.table} is {newest:%Y-%m-%d %H:%M:%S}, more than "
            f"{oldest} ago."
        )
        yield Excess(
            "the newest event is too old",
            rows,
            found,
            source.limits.stale or "warn",
            'stale="warn"',
        )


def row_change(source: Source, model: Model, before: int, now: int) -> Iterator[Excess]:
    """Yield that a table has many more or fewer rows than it had."""
    share = source.limits.row_change
    if share is not None and before >= FEWEST and abs(now - before) > share * before:
        yield Excess(
            "too many rows more or fewer", abs(now - before),
            f"{model.table} has {now:,} rows; it had {before:,}, and may change by {share:.0%}.",
            source.limits.changed or "warn",
            f"row_change={_rounded_up(abs(now - before) / before)}",
        )  # fmt: skip


def _joined(engine: Engine, source: Source, odd: ir.Table) -> dict[str, int]:
    """Return how many odd lines of a file are several with CR alone between them, by file."""
    between = format_of(source).joined
    return _by_file(engine, odd.filter(odd.raw_line.re_search(between))) if between else {}


def _wholly(engine: Engine, by_file: Mapping[str, int], odd: ir.Table) -> dict[str, int]:
    """Return the lines of the files of which every line is odd."""
    found = _by_file(engine, odd)
    return {file: lines for file, lines in found.items() if lines == by_file.get(file)}


def _by_file(engine: Engine, lines: ir.Table) -> dict[str, int]:
    """Return how many lines are of a file, by file."""
    counts = lines.group_by("source_file").aggregate(lines=lines.count())
    found = engine.fetch(counts.order_by("source_file")).to_pylist()
    return {row["source_file"]: row["lines"] for row in found}


def _shown(files: Collection[str]) -> str:
    return ", ".join([*files][:_SHOWN]) + (" and others" if len(files) > _SHOWN else "")


def _first(engine: Engine, odd: ir.Table) -> str:
    """Return the first of odd lines, in words."""
    ordered = odd.order_by("reject_reason", "source_file", "raw_line").limit(_SHOWN)
    lines = [
        f"{row['reject_reason']} in {row['source_file']}: {row['raw_line'][:_LONGEST]!r}"
        for row in engine.fetch(ordered).to_pylist()
    ]
    return f" First lines: {'; '.join(lines)}."


def _rounded_up(share: float) -> float:
    rounded = round(share + 0.005, 2)
    return min(1.0, rounded) if share <= 1 else rounded
