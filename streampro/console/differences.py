"""How two runs differ, for a terminal, a pull request, a browser; and a model and its mutants."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streampro.console.tables import few, say, show_table
from streampro.errors import number_of, printable
from streampro.modeling.model import TableName
from streampro.modeling.question import value_text
from streampro.proofs.diff import RowDifference, RunDifference, TableDifference
from streampro.proofs.mutation.mutate import MutationScore
from streampro.proofs.replay import Replay
from streampro.warehouse.changes import Move

_COLUMNS = 8
"""Columns that are named of each table."""
_MOVES = 20
"""Values of answers that are shown."""


@dataclass(frozen=True)
class Section:
    """A table with a title, and what is said above it."""

    title: str
    rows: list[dict[str, str]]
    notes: tuple[str, ...] = ()


def show_difference(found: RunDifference) -> None:
    """Print how two runs differ as tables."""
    say(f"{found.left} -> {found.right}")
    say(_verdict(found))
    say("")
    for section in _sections(found):
        for note in section.notes:
            say(f"{section.title}: {note}")
        if section.rows:
            show_table(section.title, section.rows)


def show_replay(done: Replay) -> None:
    """Print what came of a run that was computed again, and in what it was not the same."""
    if done.is_equal:
        tables = number_of(len(done.difference.tables), "table")
        say(f"Run {done.run_id} computed again: {tables}, all equal.")
    else:
        show_difference(done.difference)
    for told in (*done.by_runs, *done.reasons):
        say(f"- {told}")


def show_score(score: MutationScore) -> None:
    """Print which mutants of a model are killed, and the survivors: formula and row."""
    killed, survivors = score.killed, score.survivors
    say(
        f"{score.model}: {len(killed)} of {number_of(len(score.mutants), 'mutant')} killed "
        f"({score.share:.1%}). Tests that use it: {len(score.tests)}."
    )
    if survivors:
        alike = sum(each.row is None for each in survivors)
        say(
            f"{number_of(len(survivors), 'survivor')}, {alike} of which no row at hand tells apart "
            f"(rows of {score.data})."
        )
    for each in survivors:
        say(f"\n{each.number}. {each.change}")
        for line in each.diff:
            say(f"   {line}")
        if each.row is None:
            say("   no row at hand tells it apart")
            continue
        say("")
        sides = {"left": "model", "right": "mutant"}
        show_table("", [{sides.get(n, n): v for n, v in row.items()} for row in _lines(each.row)])


def markdown(found: RunDifference) -> str:
    """Return how two runs differ as Markdown, as a comment of a pull request shows it."""
    parts = [f"### {_plain(found.left)} → {_plain(found.right)}", _plain(_verdict(found))]
    for section in _sections(found):
        parts.append(f"**{_plain(section.title)}**")
        parts += map(_plain, section.notes)
        if section.rows:
            names = [*section.rows[0]]
            lines = [names, ["---"] * len(names), *(list(row.values()) for row in section.rows)]
            parts.append("\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def html(found: RunDifference) -> str:
    """Return how two runs differ as a page."""
    from streampro.pages import environment

    template = environment("streampro.console").get_template("difference.html")
    title = f"{found.left} → {found.right}"
    return template.render(title=title, verdict=_verdict(found), sections=[*_sections(found)])


def _verdict(found: RunDifference) -> str:
    differing = [each for each in found.tables if not each.is_equal]
    if not differing:
        return f"{number_of(len(found.tables), 'table')}, none differs."
    return f"{len(differing)} of {number_of(len(found.tables), 'table')} differ."


def _sections(found: RunDifference) -> Iterator[Section]:
    differing = [each for each in found.tables if not each.is_equal]
    if differing:
        yield Section("Tables that differ", [_summary(each) for each in differing])
    if found.moves:
        beyond = len(found.moves) - _MOVES
        more = (f"{number_of(beyond, 'more value')} of answers move.",) if beyond > 0 else ()
        yield Section("Answers that move", [_moved(each) for each in found.moves[:_MOVES]], more)
    for each in differing:
        examples = [line for row in each.first for line in _lines(row)]
        if examples or each.schema:
            yield Section(str(each.table), examples, each.schema)


def _summary(table: TableDifference) -> dict[str, str]:
    return {
        "table": str(table.table),
        "rows": f"{_count(table.left_rows)} → {_count(table.right_rows)}",
        "added": f"{table.added:,}",
        "removed": f"{table.removed:,}",
        "changed": f"{table.changed:,}",
        "in columns": few([f"{name} {n:,}" for name, n in table.columns.items()], _COLUMNS),
        "bytes": f"{_count(table.left_bytes)} → {_count(table.right_bytes)}",
        "seconds": f"{_seconds(table.left_seconds)} → {_seconds(table.right_seconds)}",
    }


def _moved(move: Move) -> dict[str, str]:
    return {
        "answer": str(move.table),
        "row": move.row,
        "column": move.column,
        "left": move.before or "",
        "right": move.after or "",
    }


def _seconds(seconds: float | None) -> str:
    return "not built" if seconds is None else f"{seconds:.2f}"


def _count(rows: int | None) -> str:
    return "none" if rows is None else f"{rows:,}"


def _lines(row: RowDifference) -> Iterator[dict[str, str]]:
    """Yield a line per value that differs, one for a row that is on one side only."""
    left, right = row.left, row.right
    if left is None or right is None:
        told = left if right is None else right
        side = "removed" if right is None else "added"
        yield {"row": _texts(told or {}), "column": side, "left": "", "right": ""}
        return
    same = {name: value for name, value in left.items() if name not in row.columns}
    for name in row.columns:
        values = (left[name], right[name])
        yield {"row": _texts(same), "column": name} | dict(
            zip(("left", "right"), map(_text, values), strict=True)
        )


def _texts(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_text(value)}" for name, value in values.items())


def _text(value: Any) -> str:
    return "" if value is None else value_text(value)


def _plain(text: str | TableName) -> str:
    """Return a text in which nothing is markup of Markdown or HTML."""
    shown = printable(str(text)).replace("&", "&amp;").replace("<", "&lt;")
    for sign in "\\`*_[]|#":
        shown = shown.replace(sign, f"\\{sign}")
    return " ".join(shown.split())
