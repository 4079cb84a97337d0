"""Runs, plans and proofs as a person sees them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from streampro.console.tables import Cells, few, say, show_table
from streampro.errors import number_of, one_line
from streampro.modeling.quarantine import Books
from streampro.proofs.certificate import Certificate
from streampro.warehouse.branches import Branch
from streampro.warehouse.changes import Change, Move
from streampro.warehouse.contracts import Broken
from streampro.warehouse.run import Plan, Run, Warned
from streampro.warehouse.snapshot import LOST
from streampro.warehouse.upkeep.forget import Forgotten
from streampro.warehouse.upkeep.repair import Repaired
from streampro.warehouse.upkeep.retention import Cleaned
from streampro.warehouse.upkeep.verify import Verified

_FILES = 20
_MOVES = 20
_COLUMNS = 4
"""Lines of a plan that are shown."""


def show_run(run: Run) -> None:
    """Print what a run built, the books of its sources and its warnings."""
    built = [item for item in run.tables if item.seconds is not None]
    seconds = (run.finished_at - run.started_at).total_seconds()
    rejected: dict[str, int] = {
        item.table: item.rows for item in built if item.table.endswith("_rejected")
    }
    if not built:
        reason = "nothing that the tables are built from changed since"
        say(f"Run {run.run_id}: {reason} ({seconds:.1f} s).")
        show_warnings(run.warnings)
        return
    show_table(
        f"Run {run.run_id}: {number_of(len(built), 'table')} in {seconds:.1f} s",
        _told(
            [
                {
                    "table": item.table,
                    "rows": f"{item.rows:,}",
                    "rejected": f"{rejected[item.table + '_rejected']:,}"
                    if item.table + "_rejected" in rejected
                    else "",
                    "seconds": f"{item.seconds:.2f}",
                    "version": item.version,
                }
                for item in built
                if item.table not in rejected
            ]
        ),
    )
    if run.run_id > 1 and built:
        show_changes(run.changes, run.moves)
    show_books(run.books, run.warnings)


def show_books(books: Sequence[Books], warnings: Sequence[Warned]) -> None:
    """Print the account of every source that was read, and the warnings."""
    if books:
        _show_accounts(books)
    show_warnings(warnings)


def show_warnings(warnings: Sequence[Warned]) -> None:
    """Print a line per warning."""
    for warned in warnings:
        say(f"warning: {warned.table}: {warned.rule}: {number_of(warned.rows, 'row')}")
    if warnings:
        say("")


def _show_accounts(books: Sequence[Books]) -> None:
    has_elements = any(account.elements is not None for account in books)
    show_table(
        "Books: lines, or elements of lists in them, = accepted + duplicates + rejected"
        if has_elements
        else "Books: lines = accepted + duplicates + rejected",
        _told(
            [
                {
                    "source": account.source,
                    "lines": f"{account.lines:,}",
                    "elements": "" if account.elements is None else f"{account.elements:,}",
                    "accepted": f"{account.accepted:,}",
                    "duplicates": f"{account.duplicates:,}",
                    "rejected": f"{account.rejected:,}",
                    "reasons": _counts(account.reasons),
                    "warnings": _counts(account.warnings),
                }
                for account in books
            ]
        ),
    )


def show_plan(plan: Plan) -> None:
    """Print what a run would read, build and move."""
    files = [*(f"new: {file.path}" for file in plan.new_files), *plan.lost_files]
    for line in files[:_FILES]:
        say(one_line(line))
    if len(files) > _FILES:
        say(f"... and {len(files) - _FILES} more files")
    show_changes(plan.changes, plan.moves)
    show_books(plan.books, plan.warnings)
    for source, limits in plan.limits.items():
        say(f"limits of {source}: {limits}")
    for told in (*plan.allowances, *plan.by_runs):
        say(told)


def show_verified(found: Verified) -> None:
    """Print what was compared with what was written, and what differs, a line each."""
    for damage in found.damages:
        say(str(damage))
    looked = f"{number_of(len(found.runs), 'run')}, {number_of(found.files, 'data file')}"
    left = f"; runs that lack files: {len(found.incomplete)}" if found.incomplete else ""
    said = "not all as written" if found.damages else "all as written"
    say(f"{looked} of {found.bytes / 1e6:,.1f} MB: {said}{left}.")


def show_repaired(done: Repaired) -> None:
    """Print what was set aside and which runs were rebuilt, and what is to be done next."""
    for name in done.set_aside:
        say(f"set aside: {name}")
    for table in done.lost:
        say(f"{table}: {LOST}")
    for number in done.rebuilt:
        say(f"run {number}: known by the commits of its tables only")
    if not done.set_aside:
        say(f"Ledger, lists of raw files and logs can be read: {number_of(len(done.runs), 'run')}.")
    else:
        say("Build the tables anew from the raw files: streampro run --full-refresh.")


def show_changes(changes: Sequence[Change], moves: Sequence[Move]) -> None:
    """Print what becomes of every table, and which answers move."""
    if not changes:
        say("No table changes.")
        return
    show_table(
        "Tables",
        _told(
            [
                {
                    "table": change.table,
                    "mode": change.mode,
                    "because": change.reason,
                    "keys": _count(change.keys),
                    "rows": _rows(change),
                    "changed columns": _counts(change.columns),
                    "late": _late(change),
                }
                for change in changes
            ]
        ),
    )
    show_moves(moves)


def show_moves(moves: Sequence[Move]) -> None:
    """Print the values of answers that move, a line per row of an answer."""
    rows: dict[tuple[str, str], list[str]] = {}
    for move in moves:
        text = f"{move.column} {_short(move.before)} -> {_short(move.after)}"
        rows.setdefault((move.table, move.row), []).append(text)
    if rows:
        show_table(
            "Answers that move",
            [
                {"answer": table, "row": row, "moves": few(texts, _COLUMNS)}
                for (table, row), texts in [*rows.items()][:_MOVES]
            ],
            f"{len(rows) - _MOVES:,} more rows: --json has them." if len(rows) > _MOVES else "",
        )


def show_runs(title: str, runs: Sequence[Run]) -> None:
    """Print a line per run."""
    show_table(
        title,
        [
            {
                "run": run.run_id,
                "started": run.started_at,
                "kind": run.kind,
                "seconds": f"{(run.finished_at - run.started_at).total_seconds():.1f}",
                "target": run.target,
                "engine": run.engine,
                "tables built": sum(item.seconds is not None for item in run.tables),
                "lines": f"{sum(account.lines for account in run.books):,}",
                "duplicates": f"{sum(account.duplicates for account in run.books):,}",
                "rejected": f"{sum(account.rejected for account in run.books):,}",
                "warnings": len(run.warnings),
            }
            for run in runs
        ],
    )


def show_past_run(run: Run, exports: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print all that the ledger tells of a run, and what was exported of it."""
    show_runs(f"Run {run.run_id}, pipeline {run.pipeline}", [run])
    files = run.to_json()["inputs"]
    show_table(
        "Published" if files is None else f"Published, built from {len(files):,} files",
        [
            {
                "table": item.table,
                "version": item.version,
                "rows": f"{item.rows:,}",
                "seconds": None if item.seconds is None else f"{item.seconds:.2f}",
            }
            for item in run.tables
        ],
    )
    if run.changes:
        show_changes(run.changes, run.moves)
    else:
        show_moves(run.moves)
    show_books(run.books, run.warnings)
    if exports:
        shown = ("table", "to", "rows", "exported_at")
        show_table("Exported", [{name: each[name] for name in shown} for each in exports])


def show_branches(branches: Sequence[Branch]) -> None:
    """Print a line per branch."""
    show_table(
        "",
        [
            {
                "branch": each.name,
                "run": each.run_id,
                "published": each.finished_at,
                "begins at": _beginning(each),
                "tables of its own": few([*map(str, each.tables)], _COLUMNS),
                "bytes": f"{each.size_bytes:,}",
            }
            for each in branches
        ],
    )


def _beginning(branch: Branch) -> str:
    if branch.begins_at is None:
        return "its first run has not ended"
    return f"run {branch.begins_at}" + (", behind" if branch.is_behind else "")


def show_broken(broken: Sequence[Broken]) -> None:
    """Print the rules that published rows break, and the first of these rows."""
    for each in broken:
        title = f"{each.table}: {each.rule}: {number_of(each.rows, 'row')} ({each.severity})"
        if each.first:
            show_table(title, each.first)
        else:
            say(f"{title}\n")


def show_cleaned(tables: Sequence[Cleaned]) -> None:
    """Print what is removed, or would be, of each table."""
    show_table(
        "Data files that no kept run needs",
        [
            {
                "table": each.table,
                "files": f"{len(each.files):,}",
                "bytes": f"{each.size_bytes:,}",
            }
            for each in tables
        ],
    )


def show_forgotten(done: Forgotten, key: str, dry_run: bool) -> None:
    """Print what of a key is taken out, or would be, and where it still stands."""
    if not done.tables:
        say(f"No table holds {key}.")
    else:
        show_table(
            f"Rows without {key}" if not dry_run else f"Rows with {key}, which stay for now",
            [
                {
                    "table": each.table,
                    "rows": f"{each.rows:,}",
                    "versions": f"{each.versions:,}",
                    "files": f"{each.files:,}",
                    "log entries": f"{each.entries:,}",
                }
                for each in done.tables
            ],
        )
    for held in done.elsewhere:
        hint = (
            "no key, take it out of the raw files and run"
            if held.is_nested
            else (f"streampro forget --key {held.column}={key.partition('=')[2]}")
        )
        rows = number_of(held.rows, "row")
        say(f"{held.table}.{held.column} still has it in {rows}: {hint}")
    for export in done.exported:
        say(
            f"{export.table} as of run {export.run_id} was exported to {one_line(export.to)}, "
            "which is not changed: export it again"
        )
    if done.raw is None:
        say("Nobody looked into raw files: name their folder with --raw DIR.")
    paths = Counter(file.path for file in done.raw or ())
    for file in done.raw or ():
        of = f" of {file.source}" if paths[file.path] > 1 else ""
        say(f"still in {one_line(file.path)}{of}: {number_of(file.lines, 'line')}")
    if done.raw:
        say(
            "Raw files are not changed. Remove these lines and run again: until then whatever "
            "builds a table anew from these files brings the rows back."
        )


def show_certificate(certificate: Certificate, out: Path) -> None:
    """Print what a proof found of every table; `out` is where the certificate was written."""
    left, right = (
        f"{side.target} ({side.engine})" for side in (certificate.left, certificate.right)
    )
    verdict = "equal" if certificate.equal else "different"
    show_table(
        f"{left} and {right}: {verdict}",
        [
            {
                "table": item.table,
                "rows": f"{item.left.rows:,}",
                "rows right": f"{item.right.rows:,}",
                "digest": item.left.digest,
                "digest right": "the same" if item.left == item.right else item.right.digest,
                "verdict": "equal" if item.equal else "different",
            }
            for item in certificate.tables
        ],
        caption=f"Inputs {certificate.inputs_sha256}, {len(certificate.inputs)} files. "
        f"Certificate: {out}",
    )
    for told in certificate.by_runs:
        say(f"{told} Compared is one run of each side, as if both began at the same instant.")


def _short(value: str | None) -> str:
    """Return four digits of a value if it has more behind the point, else all, as of an amount of
    money; `-` where there is none.
    """
    if value is None:
        return "-"
    try:
        return f"{float(value):.4g}" if len(value.partition(".")[2]) > 4 else value
    except ValueError:
        return value


def _told(rows: Cells) -> Cells:
    """Return rows without the columns that tell nothing in any of them."""
    told = {name for row in rows for name, value in row.items() if value not in (None, "")}
    return [{name: value for name, value in row.items() if name in told} for row in rows]


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _rows(change: Change) -> str:
    """Return what becomes of the rows of a table, "" where they were not compared."""
    counts = {"added": change.added, "removed": change.removed, "changed": change.changed}
    if None in counts.values():
        return ""
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n) or "the same"


def _late(change: Change) -> str:
    if not change.late or change.late_by_s is None:
        return ""
    return f"{change.late:,} rows, up to {timedelta(seconds=round(change.late_by_s))}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
